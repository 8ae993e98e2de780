"""The recurrence on CUDA devices: the same programs as on the CPU, in kernels that walk through all steps at once.

Nothing is imported here: a machine without a GPU, or without numba-cuda, never notices this room.
"""
