"""Gradients built on the engine's verbs."""

from .truncation import TruncatedGradients, WindowGradients, truncated_bptt, truncated_windows

__all__ = ["TruncatedGradients", "WindowGradients", "truncated_bptt", "truncated_windows"]
