"""The engine for the processor: kernels in Numba, parallel over the batch."""
