"""Recurrent cells: equations only, one short file a family, and the contract that they fulfil."""

from .bias import chrono, with_bias
from .cell import Cell
from .constraint import Constraint
from .declarations import DENSE, DIAGONAL, Drive, Slot, Structure, Unit, heads, low_rank
from .elementwise import indrnn, min_gru, min_lstm
from .elman import elman, linear
from .gru import gru, gru_reset_before, minimal_gated_unit
from .leaky import leaky
from .lstm import lstm, lstm_coupled, lstm_peephole, lstm_projected
from .mut import mut1, mut2, mut3
from .named import NAMED, by_name

__all__ = [
    "Cell", "Constraint", "DENSE", "DIAGONAL", "Drive", "NAMED", "Slot", "Structure", "Unit", "by_name", "chrono", "elman",
    "gru", "gru_reset_before", "heads", "indrnn", "leaky", "linear", "low_rank", "lstm", "lstm_coupled", "lstm_peephole",
    "lstm_projected", "min_gru", "min_lstm", "minimal_gated_unit", "mut1", "mut2", "mut3", "with_bias",
]  # fmt: skip
