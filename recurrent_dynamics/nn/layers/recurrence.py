"""A recurrent layer: one cell through time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cells import Cell, Constraint, draw_masks
from ...cells.constraint import Choice
from ...cells.mistaken import what_came
from ...checks import ArgumentError, ArgumentTypeError, integer, number
from ...engine import backward, forward
from ..streaming import Memory, Streamed, of_cell
from ..table import FoldedEmbedding
from ..weight_drop import checked_rates, weight_drop
from .base import Back, Layer, Tree, Value
from .context import Inputs, States
from .pointwise import sized


def recurrent(
    cell: Cell,
    hidden_size: int,
    input_size: int | None = None,
    parametrize: Choice | None = None,
    weight_drop: float | Mapping[str, float] = 0.0,
) -> Layer:
    """A cell through time.

    The noise of a cell, such as that of `recurrent_dynamics.cells.zoneout`, is drawn from `Context.rng`; without a
    generator it is its mean.

    Parameters
    ----------
    cell : Cell
        The equations.
    hidden_size : int
        H, the number of units.
    input_size : int, optional
        N; without it that of the layer before in a chain.
    parametrize : Parametrization or dict of them, optional
        What U is made from, as `recurrent_dynamics.cells.Constraint` takes it; by default as the cell asks for.
    weight_drop : float or dict of float
        In [0, 1): the probability that an entry of U is 0, drawn once a call from `Context.rng`; see `weight_drop`. A
        dict has rates by the name of the parameter, such as ``{"U": 0.5, "W": 0.1}``. Without a generator nothing is
        dropped.

    Returns
    -------
    Layer
        Its parameters are those of the cell, the free ones in place of matrices that are made. The output is that of
        the cell. `Pull.runs` keeps its run.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> layer = recurrent(rd.cells.lstm(), 4, input_size=2)
    >>> y, pull = layer(layer.init(rng=0), np.ones((5, 3, 2), "float32"))
    >>> y.shape, pull.run.states["c"].shape
    ((5, 3, 4), (5, 3, 4))
    """
    if not isinstance(cell, Cell):
        raise ArgumentTypeError("cell", "be a Cell", what_came(cell))
    width = None if input_size is None else integer("input_size", input_size, at_least=1)
    return Recurrent(cell, integer("hidden_size", hidden_size, at_least=1), width, parametrize, weight_drop)


class Recurrent(Layer):
    """What `recurrent` returns."""

    def __init__(
        self,
        cell: Cell,
        hidden_size: int,
        input_size: int | None,
        parametrize: Choice | None,
        weight_drop: float | Mapping[str, float] = 0.0,
    ) -> None:
        self.cell, self.hidden_size, self.input_size = cell, hidden_size, input_size
        self.parametrize = parametrize
        # Of a cell that reads the input itself, that is as wide as the units.
        layout = cell.layout(hidden_size if input_size is None else input_size, hidden_size)
        self.output_size = next(s.width for s in layout.slots if s.name == cell.output)
        self.folds = "W" in layout.shapes and not any(s.name == "x" for s in layout.signals)
        if not isinstance(weight_drop, Mapping):
            rate = number("weight_drop", weight_drop, at_least=0, below=1)
            recurrent_names = [name for name in layout.shapes if name == "U" or name.startswith("U_")]
            weight_drop = dict.fromkeys(recurrent_names, rate) if rate else {}
            if rate and not weight_drop:
                raise ArgumentError("weight_drop", f"be 0 for cell {cell.name!r}, which has no U", rate)
        self.weight_drop = checked_rates("weight_drop", weight_drop, tuple(layout.shapes))
        self._constraint = (
            None if input_size is None else Constraint(cell, input_size, hidden_size, parametrize)
        )

    @property
    def constraint(self) -> Constraint:
        """Of an input of a known width."""
        assert self._constraint is not None
        return self._constraint

    def __repr__(self) -> str:
        dropped = f", weight_drop={self.weight_drop}" if self.weight_drop else ""
        return f"recurrent({self.cell.name}, {self.hidden_size}{dropped})"

    @property
    def cells(self) -> dict[str, Cell]:
        return {"": self.cell}

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        c = self.constraint
        free = {key.partition(".")[0] for key in c.made_by}
        of_cell = c.cell.layout(c.input_size, c.hidden_size).shapes
        return {name: None if name in free else shape for name, shape in of_cell.items()}

    @property
    def state_widths(self) -> dict[str, dict[str, int]]:
        layout = self.cell.layout(
            self.hidden_size if self.input_size is None else self.input_size, self.hidden_size
        )
        return {"": {slot.name: slot.width for slot in layout.slots}}

    @property
    def memory_widths(self) -> dict[str, int]:
        width = self.hidden_size if self.input_size is None else self.input_size
        return {m.name: m.width for m in self.cell.layout(width, self.hidden_size).memory}

    def with_input(self, size: int) -> Layer:
        sized(self, size)
        return Recurrent(self.cell, self.hidden_size, size, self.parametrize, self.weight_drop)

    def cell_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"": self.constraint(params)[0]}

    def streamed(self, params: Mapping[str, Any], memory: Memory | None = None) -> Streamed:
        return of_cell(self.cell, self.constraint(params)[0], memory)

    def draw(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Tree:
        c = self.constraint
        return c.sample(self.cell.init(c.input_size, c.hidden_size, rng, dtype.name), rng)

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        weights, pull = self.constraint(params)
        given = {name: a for name, a in inputs.signals.items() if name in self.cell.signals}
        signals, undrop = given, None
        if inputs.rng is not None and self.weight_drop:
            weights, undrop = weight_drop(weights, self.weight_drop, inputs.rng)
        if inputs.rng is not None and self.cell.masks:
            dtype = next(iter(weights.values())).dtype
            signals = draw_masks(self.cell, len(x), x.shape[1], self.hidden_size, inputs.rng, dtype) | given
        merged = None
        if table is not None:
            pair = (table, weights["W"])
            merged = FoldedEmbedding(*(np.array(a) if inputs.copy_params else np.asarray(a) for a in pair))
            weights = {**weights, "W": merged.product()}
        memory: dict[str, Any] = {}
        if self.cell.memory:
            read = {m.name: inputs.memory[m.name] for m in self.cell.memory}
            memory = {"memory": read, "memory_lengths": inputs.memory_lengths}
        run = forward(
            self.cell, weights, x, initial=inputs.initial.get(""), lengths=inputs.lengths, reset=inputs.reset,
            signals=signals, **memory,
            copy_params=inputs.copy_params, tape=inputs.tape,
        )  # fmt: skip

        def back(d_y: NDArray[Any], d_final: States) -> Back:
            try:
                found = backward(run, d_y, d_final=d_final.get(""))
            except ValueError:
                if np.isfinite(d_y).all():
                    raise
                raise FloatingPointError(
                    f"the gradient of the output of {self.cell.name} is not finite"
                ) from None
            params, d_x = found.params, found.x
            if merged is not None:
                d_x, d_W = merged.gradients(params["W"])
                params = {**params, "W": d_W}
            params = params if undrop is None else undrop(params)
            return Back(pull(params), d_x, {k: found.signals[k] for k in given}, {"": found}, found.memory)

        return Value(run.output, {"": run}, back)
