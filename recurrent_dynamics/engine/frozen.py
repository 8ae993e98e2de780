"""Parameters that never change: checked once, and packed once for all runs without a tape."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from typing import Any, NamedTuple

import numpy as np

from ..cells.cell import Cell
from ..kernels.tuning import Tuning, current
from . import check
from .arguments import without_steps
from .backends import backend
from .flatten import flatten, views
from .run import Kept, Run, read_only

MOST_SHAPES = 8  # of inputs whose runs are prepared


class Prepared(NamedTuple):
    """The runs of frozen parameters for inputs of one shape, by the thresholds at that time; None: `forward` runs."""

    tuning: Tuning
    compute: Callable[[np.ndarray], Kept | None] | None = None
    run: Run | None = None  # without results


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
        self._engine = engine.verbs
        self._prepared: dict[tuple[int, ...], Prepared] = {}

    def run(self, x: Any) -> Run | None:
        """Run without a tape from a zero state; None where `forward` has to look at the arguments or the numbers."""
        if type(x) is not np.ndarray or x.dtype is not self.dtype or not x.flags.carray:
            return None
        found = self._prepared.get(x.shape)
        if found is None or found.tuning is not current():
            found = self._prepared[x.shape] = self._prepare(x.shape)
        if found.compute is None or found.run is None:
            return None
        kept = found.compute(x)
        return None if kept is None else found.run.with_results(kept)

    def _prepare(self, shape: tuple[int, ...]) -> Prepared:
        """What runs of inputs of one shape have in common; nothing if they are too large."""
        if len(self._prepared) >= MOST_SHAPES:
            self._prepared.clear()
        layout, batch = self.layout, shape[1] if len(shape) == 3 else 1
        fits = len(shape) in (2, 3) and shape[-1] == layout.input_size and layout.input_rows > 0
        made = None
        if fits and min(shape) > 0 and not (layout.signals or self.cell.memory):
            with self._engine.POOL:
                made = self._engine.prepare(self.cell, layout, self.flat, self.factors, shape[0], batch)
        if made is None:
            return Prepared(current())
        tape = without_steps(self.cell, layout, self.flat, shape[0], made.start, check.NO_LENGTHS)
        return Prepared(current(), made, Run(tape, self, len(shape) == 2, False, ()))

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
