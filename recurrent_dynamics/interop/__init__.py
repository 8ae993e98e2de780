"""Weights from and to other libraries, none of which is imported."""

from .torch import from_torch, to_torch
from .torch_model import model_from_torch

__all__ = ["from_torch", "model_from_torch", "to_torch"]
