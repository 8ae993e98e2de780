"""Compile ahead: before the first call, on all cores."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..cells import Cell
from ..cells.mistaken import what_came
from ..checks import ArgumentError, ArgumentTypeError, boolean, floating_dtype, integer, listed
from ..kernels.processes import awaited
from .cpu.shares import begin_early

VERBS = ("forward", "backward", "jvp", "hvp", "jacobian", "step")


def compile(
    cell: Cell | Iterable[Cell],
    verbs: str | Iterable[str] = ("forward", "backward"),
    dtype: Any = "float32",
    *,
    class_indices: bool = False,
    processes: int | None = None,
) -> None:
    """Compile verbs of cells now, on several processes, and keep the machine code on disk.

    Without it each verb is compiled at its first call. Machine code that is already on disk is only read.

    Parameters
    ----------
    cell
        A cell, or several.
    verbs
        Of "forward", "backward", "jvp", "hvp", "jacobian", "step" (one step of a `stepper`); one or several.
    dtype
        float32 or float64.
    class_indices
        Whether the input will be class indices: two small kernels more.
    processes
        How many further processes compile; as many as there are cores by default. With 1 this process compiles all.

    Raises
    ------
    TypeError
        When `cell` is no cell, `class_indices` neither True nor False, or `dtype` neither float32 nor float64.
    ValueError
        When a verb is unknown or `processes` is below 1.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> rd.compile(rd.cells.elman(), verbs="forward", dtype="float64")
    """
    cells = [cell] if isinstance(cell, Cell) else _cells(cell)
    chosen = [verbs] if isinstance(verbs, str) else listed("verbs", verbs, "of names")
    for verb in chosen:
        if not isinstance(verb, str) or verb not in VERBS:
            raise ArgumentError("verbs", f"be of {', '.join(VERBS)}", repr(verb))
    kind = floating_dtype("dtype", dtype)
    if "forward" in chosen:
        chosen.append("prepared")
    if boolean("class_indices", class_indices):
        chosen.append("classes")
    count = cores() if processes is None else integer("processes", processes, at_least=1)
    wanted = [(verb, kind.name) for verb in chosen]
    begun = begin_early(wanted, count)
    with awaited(begun or ()):
        from .cpu.ahead import compile_ahead

        compile_ahead(cells, wanted, count, begun=begun)


def _cells(given: Any) -> list[Cell]:
    scalar = isinstance(given, str) or (isinstance(given, np.ndarray) and not given.ndim)
    cells = list(given) if isinstance(given, Iterable) and not scalar else [given]
    for one in cells:
        if not isinstance(one, Cell):
            raise ArgumentTypeError("cell", "be a Cell or several", what_came(one))
    return cells


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
