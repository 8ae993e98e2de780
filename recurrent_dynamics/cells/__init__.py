"""Recurrent cells: equations only, one short file a family, and the contract that they fulfil."""

from .attention import attention
from .bias import chrono, with_bias
from .cell import Cell
from .clockwork import clockwork, ticks
from .constraint import Constraint
from .continuous import antisymmetric_rnn, ctrnn, gru_ode, lem, lipschitz_rnn
from .declarations import DENSE, DIAGONAL, Drive, Mask, Memory, Slot, Structure, Unit, heads, low_rank
from .elementwise import indrnn, min_gru, min_lstm
from .elman import elman, linear
from .gru import gru, gru_reset_before, minimal_gated_unit
from .leaky import es2n, leaky
from .liquid import cfc, ltc
from .lstm import lstm, lstm_coupled, lstm_peephole, lstm_projected
from .masks import draw_masks, recurrent_dropout, variational_dropout, zoneout
from .modrelu import modrelu_rnn, unitary_rnn
from .mut import mut1, mut2, mut3
from .named import NAMED, by_name
from .oscillators import cornn, unicornn
from .piecewise_linear import shplrnn
from .recipe import remembered

__all__ = [
    "Cell", "Constraint", "DENSE", "DIAGONAL", "Drive", "Mask", "Memory", "NAMED", "Slot", "Structure", "Unit",
    "antisymmetric_rnn", "attention", "by_name", "cfc", "chrono", "clockwork", "cornn", "ctrnn", "draw_masks",
    "elman", "es2n", "gru", "gru_ode", "gru_reset_before", "heads", "indrnn", "leaky", "lem", "linear",
    "lipschitz_rnn", "low_rank", "lstm", "lstm_coupled", "lstm_peephole", "lstm_projected", "ltc", "min_gru",
    "min_lstm", "minimal_gated_unit", "modrelu_rnn", "mut1", "mut2", "mut3", "recurrent_dropout", "remembered",
    "shplrnn", "ticks", "unicornn", "unitary_rnn", "variational_dropout", "with_bias", "zoneout",
]  # fmt: skip
