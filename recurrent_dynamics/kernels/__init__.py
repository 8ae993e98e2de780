"""Kernels that know neither a cell nor time, compiled once: element access, products, threads, memory, QR."""
