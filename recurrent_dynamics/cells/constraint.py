"""Matrices of a cell that are made from free parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError
from ..kernels.lazy import cached_property
from ..parametrize import Parametrization
from .layout import Layout

Choice = Parametrization | Mapping[str, Parametrization]
PullParams = Callable[[Mapping[str, Any]], dict[str, Any]]


def by_parameter(choice: Any) -> dict[str, Parametrization]:
    """Parametrizations by what they make: "U", or "U.n" for the block of one drive."""
    named = {"U": choice} if isinstance(choice, Parametrization) else choice
    if not isinstance(named, Mapping) or not all(isinstance(p, Parametrization) for p in named.values()):
        raise ArgumentTypeError(
            "parametrize",
            "be a parametrization, or a dict of them by the matrix that they make, such as 'U', or "
            "'U.n' for the rows of drive n alone",
            repr(choice),
        )
    return dict(named)


@dataclass(frozen=True, eq=False)
class Constraint:
    """Parameters of a cell as functions of free ones, for given sizes.

    A free parameter stands in place of the matrix that it makes, as an array or a dict of arrays; where only the rows
    of some drives are made from free parameters, a dict by drive stands there.

    Parameters
    ----------
    cell
        The equations.
    input_size, hidden_size
        N and H.
    parametrize
        A parametrization for the whole of U, or a dict: `{"U": ...}`, `{"U.n": ...}` for the rows of drive n alone.
        The cell's own by default.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.gru()
    >>> constraint = rd.cells.Constraint(cell, 3, 4, {"U.n": rd.parametrize.cayley})
    >>> free = constraint.sample(cell.init(3, 4), rng=0)
    >>> {drive: array.shape for drive, array in free["U"].items()}
    {'r': (4, 4), 'z': (4, 4), 'n': (6,)}
    >>> params, pull = constraint(free)                # what the verbs take
    >>> params["U"].shape
    (12, 4)
    >>> run = rd.forward(cell, params, np.ones((5, 2, 3), "float32"))
    >>> grads = pull(rd.backward(run, np.ones_like(run.output)).params)
    >>> grads["U"]["n"].shape
    (6,)
    """

    cell: Any
    input_size: int
    hidden_size: int
    parametrize: Choice | None = None

    def __post_init__(self) -> None:
        chosen = by_parameter(self.cell.parametrize if self.parametrize is None else self.parametrize)
        object.__setattr__(self, "parametrize", chosen)
        for key in chosen:
            name, dot, drive = key.partition(".")
            if name not in self.blocks:
                raise ArgumentError(
                    "parametrize",
                    f"name matrices of cell {self.cell.name!r}, {', '.join(self.blocks) or 'none'}",
                    repr(key),
                )
            if dot and drive not in self.blocks[name]:
                raise ArgumentError(
                    "parametrize",
                    f"name drives of {name} of cell {self.cell.name!r}, {', '.join(self.blocks[name])}",
                    repr(key),
                )
            if dot and name in chosen:
                raise ArgumentError("parametrize", f"make {name} whole or by drives", f"{name!r} and {key!r}")

    @property
    def made_by(self) -> dict[str, Parametrization]:
        """The parametrizations by what they make, such as "U" or "U.n"."""
        assert isinstance(self.parametrize, dict)
        return self.parametrize

    def __str__(self) -> str:
        made = ", ".join(f"{key} by {p}" for key, p in self.made_by.items())
        return f"{self.cell.name} {self.hidden_size}{f' ({made})' if made else ''}"

    @cached_property
    def blocks(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Shape of each drive's rows in each matrix."""
        layout: Layout = self.cell.layout(self.input_size, self.hidden_size)
        drive = {part.name: part.drive for part in layout.preactivations}
        products = sorted(layout.products, key=lambda p: p.offset)
        return {
            # Drives that share the block of another one come after those that own theirs.
            name: {
                drive[p.target.name]: shape
                for p, shape in zip((p for p in products if p.parameter == name), shapes, strict=False)
            }
            for name, shapes in layout.matrices.items()
        }

    def _of(self, name: str) -> Parametrization | dict[str, Parametrization]:
        """What makes a matrix: one parametrization, or those of some drives."""
        if name in self.made_by:
            return self.made_by[name]
        return {k.partition(".")[2]: p for k, p in self.made_by.items() if k.startswith(f"{name}.")}

    def sample(self, params: Mapping[str, np.ndarray], rng: int | np.random.Generator = 0) -> dict[str, Any]:
        """Parameters with the constrained matrices replaced by free ones, drawn.

        Raises
        ------
        ValueError
            When a matrix has a shape that its parametrization cannot make.
        """
        generator = np.random.default_rng(rng)
        free: dict[str, Any] = dict(params)
        for name, blocks in self.blocks.items():
            made = self._of(name)
            dtype = params[name].dtype
            if isinstance(made, Parametrization):
                free[name] = self._sample(made, name, params[name].shape, generator, dtype)
            elif made:
                ends = np.cumsum([rows for rows, _ in blocks.values()])[:-1]
                rows = dict(zip(blocks, np.split(params[name], ends), strict=True))
                free[name] = {
                    drive: self._sample(made[drive], f"{name}.{drive}", shape, generator, dtype)
                    if drive in made
                    else rows[drive].copy()
                    for drive, shape in blocks.items()
                }
        return free

    def _sample(
        self,
        made: Parametrization,
        key: str,
        shape: tuple[int, ...],
        rng: np.random.Generator,
        dtype: np.dtype[Any],
    ) -> Any:
        try:
            return made.sample((shape[0], shape[1]), rng, dtype)
        except ValueError as error:
            drives = list(self.blocks[key.partition(".")[0]])
            several = "." not in key and len(drives) > 1
            advice = f": it holds the rows of drives {', '.join(drives)}; name one, '{key}.{drives[-1]}'"
            raise ArgumentError(
                "parametrize",
                f"make {key} of cell {self.cell.name!r}, of shape {shape}",
                f"{made!r}: {error}{advice if several else ''}",
            ) from None

    def __call__(self, params: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], PullParams]:
        """Parameters as the verbs take them, and the map from their gradients to those by the free ones."""
        if not isinstance(params, Mapping):
            raise ArgumentTypeError(
                "params", f"hold a dict of the parameters of cell {self.cell.name!r}", type(params).__name__
            )
        if lacking := [name for name in self.blocks if self._of(name) and name not in params]:
            raise ArgumentError("params", f"have {lacking[0]!r}", ", ".join(map(str, params)) or "nothing")
        made, pulls = self._made(params)
        return {**params, **made}, _Pull(self, params, pulls)

    def _made(
        self, params: Mapping[str, Any]
    ) -> tuple[dict[str, np.ndarray], dict[str, Callable[[np.ndarray], Any]]]:
        """The matrices that are made, and for each the map from its gradient."""
        made: dict[str, np.ndarray] = {}
        pulls: dict[str, Callable[[np.ndarray], Any]] = {}
        for name, blocks in self.blocks.items():
            how = self._of(name)
            if isinstance(how, Parametrization):
                made[name], pulls[name] = how(params[name])
            elif how:
                made[name], pulls[name] = _stacked(name, blocks, how, params[name])
        return made, pulls


class _Pull:
    """From the gradients by a cell's parameters to those by the free ones.

    Pickled as the constraint and the free parameters: functions within functions cannot be.
    """

    def __init__(
        self,
        constraint: Constraint,
        params: Mapping[str, Any],
        pulls: dict[str, Callable[[np.ndarray], Any]],
    ) -> None:
        self._constraint, self._pulls = constraint, pulls
        self._free = {name: params[name] for name in pulls}

    def __call__(self, grads: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._pulls[name](g) if name in self._pulls else g for name, g in grads.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return _pull_again, (self._constraint, self._free)


def _pull_again(constraint: Constraint, free: Mapping[str, Any]) -> _Pull:
    return _Pull(constraint, free, constraint._made(free)[1] if free else {})


def _stacked(
    name: str,
    blocks: Mapping[str, tuple[int, int]],
    how: Mapping[str, Parametrization],
    params: Any,
) -> tuple[np.ndarray, Callable[[np.ndarray], dict[str, Any]]]:
    """Rows of all drives, those of some made from free parameters."""
    if not isinstance(params, Mapping) or set(params) != set(blocks):
        raise ArgumentError(
            f"params[{name!r}]", f"be a dict of the rows of {', '.join(blocks)}", f"{params!r:.60}"
        )
    rows, pulls = [], {}
    for drive, shape in blocks.items():
        value = params[drive]
        if drive in how:
            value, pulls[drive] = how[drive](value)
        if np.shape(value) != shape:
            raise ArgumentError(f"params[{name!r}][{drive!r}]", f"make rows {shape}", np.shape(value))
        rows.append(np.asarray(value))
    ends = np.cumsum([len(r) for r in rows])[:-1]

    def pull(grad: np.ndarray) -> dict[str, Any]:
        of_drives = zip(blocks, np.split(grad, ends), strict=True)
        return {drive: pulls[drive](g) if drive in pulls else g.copy() for drive, g in of_drives}

    return np.concatenate(rows), pull
