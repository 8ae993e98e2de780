"""The recurrence on CUDA devices: the same programs as on the CPU, in kernels that compute all steps of a run.

Nothing is imported here, so that the package works without a GPU and without numba-cuda.
"""
