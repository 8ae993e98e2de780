"""Parameters that never change: checked once, and packed once for all runs without a tape."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any

import numpy as np

from ..cells.cell import Cell
from . import check
from .backends import backend
from .flatten import flatten, views
from .run import read_only


class FrozenParams(Mapping[str, np.ndarray]):
    """Read-only parameters of one cell, as `freeze` makes them; a mapping from names to arrays.

    Attributes
    ----------
    cell : Cell
        The cell that they belong to.
    dtype : numpy.dtype
        float32 or float64.
    """

    def __init__(self, cell: Cell, params: Mapping[str, np.ndarray]) -> None:
        given, self.dtype, input_size, hidden_size = check.parameters(cell, params)
        self.cell, self.layout = cell, cell.layout(input_size, hidden_size)
        self.flat = flatten(self.layout, given, self.dtype)
        placed = views(self.layout, self.flat)
        self._arrays = {name: read_only(placed[name]) for name in given}
        engine = backend("cpu")
        with engine.active():
            self.factors = engine.verbs.pack_forward(cell, self.layout, self.flat)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def values(self) -> ValuesView[np.ndarray]:
        return self._arrays.values()

    def items(self) -> ItemsView[str, np.ndarray]:
        return self._arrays.items()

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenParams, (self.cell, dict(self._arrays))

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {a.shape}" for name, a in self._arrays.items())
        return f"FrozenParams of {self.cell!r}: {shapes}, {self.dtype}"


def freeze(cell: Cell, params: Mapping[str, np.ndarray]) -> FrozenParams:
    """Copy parameters that will not change, for many runs without a tape.

    `forward` checks its parameters and brings their matrices into another order at each call, because arrays may have
    changed. Frozen parameters are checked and brought into that order here. A run of few sequences or few steps, with
    ``tape=False``, then takes less time; the numbers are the same to the last bit.

    Parameters
    ----------
    cell
        The equations.
    params
        The parameters, as `cell.init` makes them.

    Returns
    -------
    FrozenParams
        Read-only copies, to be given to `forward` and everything else that takes parameters. They are as quick as
        said with this cell only.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came; NaN and infinity are refused, and located.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.gru()
    >>> params = cell.init(input_size=2, hidden_size=3)
    >>> frozen = rd.freeze(cell, params)
    >>> x = np.ones((5, 2), "float32")
    >>> output = rd.forward(cell, frozen, x, tape=False).output
    >>> bool((output == rd.forward(cell, params, x).output).all())
    True
    """
    return FrozenParams(cell, params)
