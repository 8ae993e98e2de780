"""Benchmarks of recurrent_dynamics, run by asv; the page "Benchmarks" of the documentation says how."""
