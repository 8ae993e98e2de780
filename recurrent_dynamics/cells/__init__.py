"""Recurrent cells: equations only, one short file a family, and the contract that they fulfil."""

from .cell import DENSE, DIAGONAL, Cell, Drive, Slot, Structure, Unit, heads, low_rank
from .elman import elman, linear
from .gru import gru, gru_reset_before
from .lstm import lstm

__all__ = [
    "Cell", "DENSE", "DIAGONAL", "Drive", "Slot", "Structure", "Unit", "heads", "low_rank",
    "elman", "gru", "gru_reset_before", "linear", "lstm",
]  # fmt: skip
