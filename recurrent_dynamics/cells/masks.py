"""Noise within the recurrence of any cell: dropout of what U multiplies, of the candidate, and zoneout.

Each makes a cell out of a cell, with the same parameters. The noise is a signal of the new cell, so that every analysis
sees it. A layer draws it where it has a generator; where it is neither drawn nor given, it is its mean.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..checks import ArgumentError, floating_dtype, generator, instance, integer
from ..equations.graph import DefinitionError
from ..equations.record import arguments_of
from .candidate import Candidate, Masked, candidates, nonlinearities_of
from .cell import Cell
from .declarations import Mask
from .recipe import remembered


def variational_dropout(cell: Cell, rate: float, drives: Sequence[str] | None = None) -> Cell:
    """The same cell with dropout on what U multiplies, one mask for all steps (Gal and Ghahramani 2016).

    `W x + U h + b` becomes `W x + U (m * h) + b`: all drives and all steps of a sequence have one mask. The state
    itself is not multiplied. With `rd.nn.dropout(rate, per_sequence=True)` before it, the layer is that of the paper.

    Parameters
    ----------
    cell : Cell
    rate : float
        In [0, 1): the probability of a 0; the other entries of the mask are 1 / (1 - rate). In evaluation it is 1.
    drives : sequence of str, optional
        Those whose operand is masked; all that have one by default.

    Returns
    -------
    Cell
        With the signal "variational".

    Raises
    ------
    ValueError, TypeError
        When no drive multiplies by U, or one multiplies slots of another width than the hidden size.

    References
    ----------
    Gal, Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", NIPS 2016.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.variational_dropout(rd.cells.gru(), 0.25)
    >>> mask = rd.cells.draw_masks(cell, steps=3, batch_size=1, hidden_size=6, rng=0)["variational"]
    >>> bool((mask == mask[0]).all()), np.unique(mask)
    (True, array([0.       , 1.3333334], dtype=float32))
    """
    instance("cell", cell, Cell)
    mask, name = Mask(rate, per_sequence=True), "variational"
    multiplying = [
        d.name
        for d in cell.drives
        if cell.schedule.usage[d.name] == "called" or bool(cell.recurrent if d.operand is None else d.operand)
    ]
    chosen = _chosen("drives", multiplying if drives is None else drives, multiplying, cell)
    masked = tuple(replace(d, masked=name) if d.name in chosen else d for d in cell.drives)
    return _with_masks(cell, "variational dropout", {name: mask}, drives=masked)


@remembered()
def recurrent_dropout(
    cell: Cell, rate: float, drives: Sequence[str] | None = None, per_sequence: bool = False
) -> Cell:
    """The same cell with dropout on its candidate alone: no memory is rescaled or lost (Semeniuta et al. 2016).

    The LSTM becomes `c' = f * c + i * m * tanh(g)`, the GRU `h' = (1 - z) * m * n + z * h`. What is masked is the value
    of the first nonlinearity that reads the drive.

    Parameters
    ----------
    cell : Cell
    rate : float
        In [0, 1): the probability of a 0; the other entries of the mask are 1 / (1 - rate). In evaluation it is 1.
    drives : sequence of str, optional
        Those of the candidate; by default those that enter by another nonlinearity than the sigmoid.
    per_sequence : bool
        Whether all steps of a sequence have one mask.

    Returns
    -------
    Cell
        With a signal "candidate_<drive>" for each of the drives.

    Raises
    ------
    ValueError, TypeError
        When there is no such drive, or a slot is the candidate alone, so that the mask would fall on the memory.

    References
    ----------
    Semeniuta, Severyn, Barth, "Recurrent dropout without memory loss", COLING 2016.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> rd.cells.recurrent_dropout(rd.cells.lstm(), 0.25).signals
    ('candidate_g',)
    """
    instance("cell", cell, Cell)
    known = nonlinearities_of(cell)
    chosen = _chosen(
        "drives", candidates(cell) if drives is None else drives, [d for d in known if known[d]], cell
    )
    names = {drive: f"candidate_{drive}" for drive in chosen}
    base = cell.update

    def update(**given: Any) -> Mapping[str, Any]:
        masks = {d: getattr(given["signal"], name) for d, name in names.items()}
        new = base(**arguments_of(cell, given | {"drive": Masked(given["drive"], masks)}))
        if any(isinstance(value, Candidate) for value in new.values()):
            raise ArgumentError(
                "drives",
                "reach the state through a nonlinearity only",
                f"{', '.join(chosen)} of {cell.name!r}",
            )
        return new

    masks = {name: Mask(rate, per_sequence=per_sequence) for name in names.values()}
    made = _with_masks(cell, "recurrent dropout", masks, update=_wrapping(update, base))
    nodes = made.schedule.graph.nodes
    for slot, i in made.schedule.outputs.items():
        arguments = [nodes[a] for a in nodes[i].arguments if isinstance(a, int)]
        if nodes[i].kind == "mul" and any(a.kind == "signal" and a.arguments[0] in masks for a in arguments):
            raise ArgumentError(
                "drives",
                "be a part of what a slot becomes, so that no memory is lost",
                f"all of slot {slot!r}",
            )
    return made


@remembered()
def zoneout(cell: Cell, rate: float | Mapping[str, float]) -> Cell:
    """The same cell, whose units keep their old state at random (Krueger et al. 2017).

    Each slot s becomes `m * s + (1 - m) * s'`, with m 1 where a unit is zoned out. In evaluation m is the rate: the
    mean of both states. The output is the zoned state.

    Parameters
    ----------
    cell : Cell
    rate : float or dict of float
        In [0, 1]: the probability that a unit keeps its state, for all slots or by slot; slots that are not named are
        not zoned. The paper has 0.05 for h and 0.5 for c of an LSTM.

    Returns
    -------
    Cell
        With a signal "zoneout_<slot>" for each slot.

    Raises
    ------
    ValueError, TypeError
        When a slot is not of the cell or not as wide as the hidden size, or a rate is not in [0, 1].

    References
    ----------
    Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR 2017.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.zoneout(rd.cells.lstm(), {"h": 0.05, "c": 0.5})
    >>> cell.masks["zoneout_c"].mean
    0.5
    >>> params, x = cell.init(input_size=2, hidden_size=3), np.ones((4, 1, 2), "float32")
    >>> rd.forward(cell, params, x).output.shape                      # evaluation
    (4, 1, 3)
    >>> masks = rd.cells.draw_masks(cell, steps=4, batch_size=1, hidden_size=3, rng=0)
    >>> run = rd.forward(cell, params, x, signals=masks)              # training
    """
    instance("cell", cell, Cell)
    wide = [s.name for s in cell.slots if s.width == "hidden"]
    rates = dict(rate) if isinstance(rate, Mapping) else dict.fromkeys(cell.state, rate)
    _chosen("rate", list(rates), wide, cell)
    base = cell.update

    def update(**given: Any) -> Mapping[str, Any]:
        new = dict(base(**arguments_of(cell, given)))
        for slot in rates:
            kept = getattr(given["signal"], f"zoneout_{slot}")
            new[slot] = kept * getattr(given["state"], slot) + (1 - kept) * new[slot]
        return new

    masks = {f"zoneout_{slot}": Mask(share, "zoneout") for slot, share in rates.items()}
    return _with_masks(cell, "zoneout", masks, update=_wrapping(update, base))


def draw_masks(
    cell: Cell,
    steps: int,
    batch_size: int,
    hidden_size: int,
    rng: int | np.random.Generator = 0,
    dtype: DTypeLike = "float32",
) -> dict[str, np.ndarray]:
    """The noise of a cell for one run, as the verbs take it by `signals`.

    Parameters
    ----------
    cell : Cell
    steps, batch_size, hidden_size : int
        T, B, H.
    rng : int or Generator
    dtype : {"float32", "float64"}
        Both have the same entries.

    Returns
    -------
    dict of ndarray (T, B, H)
        One for each of `cell.masks`; of masks that are constant in time a view of one step.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.zoneout(rd.cells.gru(), 0.5)
    >>> draw_masks(cell, steps=1, batch_size=2, hidden_size=3, rng=0)["zoneout_h"][0]
    array([[0., 0., 0.],
           [1., 1., 1.]], dtype=float32)
    """
    instance("cell", cell, Cell)
    sizes = {"steps": steps, "batch_size": batch_size, "hidden_size": hidden_size}
    T, B, H = (integer(name, value, at_least=1) for name, value in sizes.items())
    source, kind = generator("rng", rng), floating_dtype("dtype", dtype)
    return {name: mask.draw((T, B, H), source, kind) for name, mask in cell.masks.items()}


def _chosen(what: str, names: Sequence[str], known: Sequence[str], cell: Cell) -> list[str]:
    chosen = [names] if isinstance(names, str) else list(names)
    if not known:
        raise ArgumentError("cell", f"have something for {what} to name", repr(cell.name))
    if not chosen or set(chosen) - set(known):
        raise ArgumentError(
            what,
            f"name some of {', '.join(known)} of cell {cell.name!r}",
            ", ".join(map(str, chosen)) or "none",
        )
    return chosen


def _with_masks(cell: Cell, what: str, masks: Mapping[str, Mask], **changes: Any) -> Cell:
    for name in masks:
        if name in cell.signals:
            raise ArgumentError("cell", f"have no {what} yet", repr(cell.name))
    changes |= {"signals": (*cell.signals, *masks), "masks": {**cell.masks, **masks}}
    try:
        return cell._with(name=f"{cell.name} with {what}", **changes)
    except DefinitionError as error:
        if "line 6" not in str(error):
            raise
        width = f"values as wide as the hidden size in the place of the {what}"
        raise ArgumentError("cell", f"have {width}", f"{cell.name!r}: {error}") from None


def _wrapping(update: Callable[..., Any], base: Callable[..., Any]) -> Callable[..., Any]:
    """Equations that call others: they take the namespaces of those and their own; those name the local variables."""
    names = dict.fromkeys((*inspect.signature(base).parameters, "drive", "state", "signal"))
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    update.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    update.__wrapped__ = base  # type: ignore[attr-defined]
    return update
