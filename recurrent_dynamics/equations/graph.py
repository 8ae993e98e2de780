"""The equations of a cell as a graph: what `update` did to its arguments, written down operator by operator.

Recording costs a tenth of a millisecond and needs no SymPy. It sees through closures and helper functions, so the
text of a graph is also the fingerprint of the equations; replayed on SymPy symbols it is what gets differentiated.
"""

from __future__ import annotations

import inspect
import math
import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import CodeType, FrameType
from typing import Any

import numpy as np

from .axes import joined
from .nonlinearities import NONLINEARITIES


class DefinitionError(TypeError):
    """The definition of a cell breaks its contract (see `recurrent_dynamics.cells.Cell`)."""


OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "pow": operator.pow,
    "neg": operator.neg,
}

# NumPy's functions that have another name here.
UFUNCS = {
    "subtract": "sub", "multiply": "mul", "divide": "truediv", "power": "pow", "negative": "neg", "fabs": "absolute",
}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """One value of the equations: a leaf (kind, name), or an operator or nonlinearity applied to earlier values."""

    # Of a leaf: preactivation (`W x + U v + b`, one side of it, or a sum of a read), state, param, signal, constant,
    # memory.
    kind: str
    arguments: tuple[Any, ...]  # indices of nodes and plain numbers (floats); a name for a leaf
    width: str | None  # label of its width; None for a scalar that fits any


@dataclass
class Graph:
    """The values of one step in the order in which they were computed."""

    nodes: list[Node] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)  # names of the local variables of `update`, for LaTeX
    # What `call_and_name` has called and its frame, which is found when the first value is written down.
    running: CodeType | None = field(default=None, repr=False, compare=False)
    frame: FrameType | None = field(default=None, repr=False, compare=False)
    # Set by `record`, which owns products.
    mean: Callable[[Recorded], Recorded] = field(default=lambda value: value)
    read: Callable[..., Recorded] = field(default=lambda kind, *values, by=0: values[0])

    def leaf(self, kind: str, name: str, width: str | None) -> Recorded:
        return self._append(Node(kind, (name,), width))

    def apply(self, kind: str, *arguments: Any) -> Any:
        """A node for `kind(*arguments)`; arguments are recorded values and real numbers."""
        if any(isinstance(argument, Unread) for argument in arguments):
            return Unread()
        known: list[int | float] = []
        widths: set[str | None] = set()
        for argument in arguments:
            if isinstance(argument, Recorded):
                index = argument.index
                known.append(index)
                widths.add(self.nodes[index].width)
            elif isinstance(argument, Real) and math.isfinite(argument):
                known.append(float(argument))
            else:
                raise DefinitionError(
                    "line 5 of the contract: equations combine drives, states, params, signals, constants, memories "
                    f"and finite real numbers, not {type(argument).__name__} ({argument!r}); declare an array of "
                    "numbers as a param"
                )
        exponent = known[1] if kind == "pow" else 1.0
        if not isinstance(exponent, float) or not exponent.is_integer():
            raise DefinitionError(
                "line 5 of the contract: exponents are whole numbers; use sqrt, exp and log"
            )
        width, units = joined(widths)
        if len(units) > 1:
            raise DefinitionError(
                f"line 6 of the contract: values of different widths meet in {kind}: {' and '.join(units)}"
            )
        return self._append(Node(kind, tuple(known), width))

    def _append(self, node: Node) -> Recorded:
        self.nodes.append(node)
        if self.running is not None and self.frame is None:
            self.frame = _caller_with(self.running)
        return Recorded(self, len(self.nodes) - 1)

    def replay(
        self,
        targets: Iterable[int],
        leaf: Callable[[int, Node], Any | None],
        number: Callable[[float], Any] = float,
    ) -> list[Any]:
        """Compute the target nodes again on other values.

        `leaf(index, node)` supplies a node's value, or None to have it computed; `number` converts plain numbers.
        """
        values: dict[int, Any] = {}

        def visit(index: int) -> Any:
            if index not in values:
                node = self.nodes[index]
                given = leaf(index, node)
                if given is None:
                    arguments = [visit(a) if isinstance(a, int) else number(a) for a in node.arguments]
                    function = OPERATORS.get(node.kind) or NONLINEARITIES[node.kind]
                    given = function(*arguments)
                values[index] = given
            return values[index]

        return [visit(t) for t in targets]


def _binary(name: str) -> tuple[Callable[[Recorded, Any], Recorded], Callable[[Recorded, Any], Recorded]]:
    """An operator and its reflected form."""

    def method(self: Recorded, other: Any) -> Recorded:
        if hasattr(other, "apply_nonlinearity") and not isinstance(other, Recorded):
            return NotImplemented  # it takes the operation itself
        return self.graph.apply(name, self, other)

    def reflected(self: Recorded, other: Any) -> Recorded:
        return self.graph.apply(name, other, self)

    return method, reflected


class Recorded:
    """A value of the equations that records the operations on it."""

    __slots__ = ("_graph", "_index")
    _graph: Graph
    _index: int

    def __init__(self, graph: Graph, index: int) -> None:
        self._graph, self._index = graph, index

    @property
    def graph(self) -> Graph:
        return self._graph

    @property
    def index(self) -> int:
        return self._index

    def apply_nonlinearity(self, name: str, arguments: tuple[Any, ...]) -> Recorded:
        return self.graph.apply(name, *arguments)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Recorded:
        if ufunc is np.positive:
            return +self  # the function `positive` of the equations is a step
        name = UFUNCS.get(ufunc.__name__, ufunc.__name__)
        if method != "__call__" or options or not (name in OPERATORS or name in NONLINEARITIES):
            raise DefinitionError(
                f"line 5 of the contract: numpy.{ufunc.__name__} has no derivative here; "
                f"known functions: {', '.join(sorted(NONLINEARITIES))}"
            )
        return self.graph.apply(name, *inputs)

    def _untraceable(self, *_: Any) -> Any:
        raise DefinitionError(
            "line 5 of the contract: the equations are traced, so a value has no truth, number or order yet: instead "
            "of branches and of functions of `math` use recurrent_dynamics.equations (maximum, positive, tanh, ...)"
        )

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __len__ = __iter__ = _untraceable
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _untraceable
    __hash__ = None  # type: ignore[assignment]

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("sub")
    __mul__, __rmul__ = _binary("mul")
    __truediv__, __rtruediv__ = _binary("truediv")
    __pow__, __rpow__ = _binary("pow")

    def __neg__(self) -> Recorded:
        return self.graph.apply("neg", self)

    def __pos__(self) -> Recorded:
        return self


class Unread:
    """A value that no result of the equations reads: every operation on it gives another one, and none is recorded."""

    def _another(self, *_: Any) -> Unread:
        return Unread()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _another
    __pow__ = __rpow__ = __neg__ = __pos__ = __call__ = apply_nonlinearity = _another
    x = h = property(_another)  # the sides of a drive

    def __array_ufunc__(self, *_: Any, **options: Any) -> Unread:
        return Unread()


def call_and_name(graph: Graph, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call `function(**arguments)`; the local variables it ends with name the values of the graph.

    A frame that is referred to keeps its local variables after the function has returned. So they are read without a
    trace or profile function, which a profiler or coverage may have set. They are those of the innermost function that
    `function` wraps.
    """
    graph.running = getattr(inspect.unwrap(function), "__code__", None)
    try:
        result = function(**arguments)
        for name, value in graph.frame.f_locals.items() if graph.frame is not None else ():
            if type(value) is Recorded and name not in arguments:
                graph.names.setdefault(value.index, name)
        return result
    finally:
        graph.running = graph.frame = None


def _caller_with(code: CodeType) -> FrameType | None:
    """The nearest frame that runs this code."""
    frame = sys._getframe(1).f_back
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame
