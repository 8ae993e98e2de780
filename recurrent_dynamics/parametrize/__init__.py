"""Constraints on U and initial weights; arrays only."""

from . import initialize

__all__ = ["initialize"]
