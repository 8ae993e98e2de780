"""Lyapunov exponents, their errors, covariant vectors, and training that changes them."""
