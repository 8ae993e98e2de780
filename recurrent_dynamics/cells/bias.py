"""Initial biases by the names of the drives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from ..checks import ArgumentError
from ..parametrize import initialize
from .cell import Cell, Params


def with_bias(cell: Cell, params: Mapping[str, np.ndarray], /, **values: ArrayLike) -> Params:
    """Parameters with the biases of the named drives replaced; the given ones are left as they are.

    Parameters
    ----------
    cell
        The equations.
    params
        Its parameters.
    **values : float or ndarray (width,)
        New biases by drive: `f=1.0`; `n_h` is the recurrent bias of a drive n that is kept apart. For a normalized
        drive its offset is replaced.

    Raises
    ------
    ValueError
        For a drive that the cell does not have, or that has no bias, and for values of another shape or not finite.

    Examples
    --------
    A forget gate that is open at the start (Gers et al. 2000; Jozefowicz et al. 2015):

    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.lstm()
    >>> params = rd.cells.with_bias(cell, cell.init(input_size=2, hidden_size=3), f=1.0)
    >>> params["b"].reshape(4, 3)[1].tolist()     # i, f, g, o
    [1.0, 1.0, 1.0]
    """
    places = _places(cell, params)
    new = dict(params)
    for drive, value in values.items():
        if drive not in places:
            raise ArgumentError(
                "drive", f"have a bias in cell {cell.name!r}: {', '.join(places) or 'none'}", repr(drive)
            )
        name, rows = places[drive]
        wanted, came = (rows.stop - rows.start,), np.asarray(value, dtype=np.float64)
        if came.shape not in ((), wanted) or not np.isfinite(came).all():
            what = f"shape {came.shape}" if came.shape not in ((), wanted) else f"{value!r}"
            raise ArgumentError(
                f"the bias of drive {drive}", f"be a finite number or have shape {wanted}", what
            )
        new[name] = new[name].copy() if new[name] is params[name] else new[name]
        new[name][rows] = came
    return new


def chrono(
    cell: Cell,
    params: Mapping[str, np.ndarray],
    longest: float,
    rng: int | np.random.Generator = 0,
) -> Params:
    """Parameters with gates initialized for time scales up to `longest` steps (Tallec and Ollivier 2018).

    The forget gate f gets the biases ln U(1, longest - 1), an input gate i their negative. This is for gates that keep
    the state where f is near 1, as in an LSTM; the one of `minimal_gated_unit` forgets there.

    Parameters
    ----------
    cell
        Equations with a drive f, the forget gate, and maybe i, the input gate.
    params
        Its parameters.
    longest
        The longest dependency that is expected, in steps, more than 2.
    rng
        A seed or a NumPy generator.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.lstm()
    >>> params = rd.cells.chrono(cell, cell.init(input_size=2, hidden_size=3), longest=100)
    >>> i, f, g, o = params["b"].reshape(4, 3)
    >>> bool(np.all((f >= 0) & (f <= np.log(99)) & (i == -f)))
    True
    """
    places = _places(cell, params)
    if "f" not in places:
        raise ArgumentError(
            "cell",
            "have a forget gate for chrono initialization, a drive f with a bias",
            f"{cell.name!r} with {', '.join(places) or 'no biases'}",
        )
    rows = places["f"][1]
    forget = initialize.chrono(np.random.default_rng(rng), rows.stop - rows.start, longest)
    return with_bias(cell, params, f=forget, **({"i": -forget} if "i" in places else {}))


def _places(cell: Cell, params: Mapping[str, np.ndarray]) -> dict[str, tuple[str, slice]]:
    """Drive -> parameter and rows of its bias, or of the offset that a normalized drive has instead."""
    layout = cell.layout(*cell.sizes(params))
    places: dict[str, tuple[str, slice]] = {}
    for name, parts in layout.biases.items():
        ends = np.cumsum([p.width for p in parts]).tolist()
        places |= {p.name: (name, slice(end - p.width, end)) for p, end in zip(parts, ends, strict=True)}
    for part in layout.preactivations:
        if part.drive in cell.normalized and f"offset_{part.name}" in layout.vector_parameters:
            places[part.name] = (f"offset_{part.name}", slice(0, part.width))
    return places
