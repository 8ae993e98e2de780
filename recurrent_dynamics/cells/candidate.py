"""The candidate of a cell: the first nonlinearity that reads a drive, and its product with a mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..equations.graph import OPERATORS, UFUNCS
from ..equations.nonlinearities import NONLINEARITIES
from .cell import Cell

GATES = {"sigmoid", "hard_sigmoid"}


def nonlinearities_of(cell: Cell) -> dict[str, set[str]]:
    """Drive -> the nonlinearities that read it first."""
    graph = cell.schedule.graph
    drive_of = {p.name: p.drive for p in cell.schedule.preactivations}
    found: dict[str, set[str]] = {}
    for drive in cell.drives:
        linear: set[int] = set()
        kinds = found.setdefault(drive.name, set())
        for i, node in enumerate(graph.nodes):
            if node.kind == "preactivation" and drive_of[node.arguments[0]] == drive.name:
                linear.add(i)
            elif not linear.isdisjoint(a for a in node.arguments if isinstance(a, int)):
                (linear if node.kind in OPERATORS else kinds).add(i if node.kind in OPERATORS else node.kind)  # type: ignore[arg-type]
    return found


def candidates(cell: Cell) -> list[str]:
    """The drives that enter by another nonlinearity than that of a gate, without those that ask a memory."""
    known = nonlinearities_of(cell)
    asking = {d.name for d in cell.drives if not d.input} if cell.memory else set()
    return [name for name, kinds in known.items() if kinds and not kinds & GATES and name not in asking]


class Candidate:
    """A drive on its way to a nonlinearity, whose value is then multiplied by masks.

    It stands for the drive in all its uses, and for sums and products with it.
    """

    __slots__ = ("_masks", "_value")

    def __init__(self, value: Any, masks: tuple[Any, ...]) -> None:
        self._value, self._masks = value, masks

    @property
    def x(self) -> Candidate:
        return Candidate(self._value.x, self._masks)

    @property
    def h(self) -> Candidate:
        return Candidate(self._value.h, self._masks)

    def __call__(self, *operand: Any) -> Candidate:
        return Candidate(self._value(*operand), self._masks)

    def combined(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Candidate:
        masks = {id(m): m for a in arguments if isinstance(a, Candidate) for m in a._masks}
        return Candidate(function(*map(plain, arguments)), tuple(masks.values()))

    def apply_nonlinearity(self, name: str, arguments: tuple[Any, ...]) -> Any:
        value = self.combined(NONLINEARITIES[name], arguments)
        result = value._value
        for mask in value._masks:
            result = mask * result
        return result

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        name = UFUNCS.get(ufunc.__name__, ufunc.__name__)
        if ufunc is np.positive:
            return self
        if method == "__call__" and not options and name in OPERATORS:
            return self.combined(OPERATORS[name], inputs)
        if method == "__call__" and not options and name in NONLINEARITIES:
            return self.apply_nonlinearity(name, inputs)
        return getattr(ufunc, method)(*map(plain, inputs), **options)  # a recorded value refuses it

    def __neg__(self) -> Candidate:
        return self.combined(OPERATORS["neg"], (self,))

    def __pos__(self) -> Candidate:
        return self


def _operator(name: str, reflected: bool) -> Callable[[Candidate, Any], Candidate]:
    def method(self: Candidate, other: Any) -> Candidate:
        return self.combined(OPERATORS[name], (other, self) if reflected else (self, other))

    return method


for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(Candidate, f"__{_name}__", _operator(_name, False))
    setattr(Candidate, f"__r{_name}__", _operator(_name, True))


def plain(value: Any) -> Any:
    """The value itself."""
    return value._value if isinstance(value, Candidate) else value


class Masked:
    """The drives of a step, some of them candidates."""

    def __init__(self, drives: Any, masks: Mapping[str, Any]) -> None:
        self._drives, self._masks = drives, masks

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._drives, name)
        return Candidate(value, (self._masks[name],)) if name in self._masks else value
