"""The rows of `gpu.py`: what is checked and timed on a GPU, each in a process of its own."""
