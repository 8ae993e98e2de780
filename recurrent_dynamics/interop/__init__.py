"""Weights from and to other libraries; arrays only, none of them is imported."""

from .torch import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]
