"""The language of a cell's equations, and the programs derived from them.

The functions below work on NumPy arrays (real or complex), on SymPy expressions and in the equations of a cell.
"""

from .graph import DefinitionError
from .memory import over_positions, over_units, scan, shift, softmax
from .nonlinearities import *  # noqa: F403
from .nonlinearities import __all__ as _nonlinearities
from .record import mean

__all__ = [
    "DefinitionError",
    "mean",
    "over_positions",
    "over_units",
    "scan",
    "shift",
    "softmax",
    *_nonlinearities,
]
