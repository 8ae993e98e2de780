"""Recording a cell: its equations run once on values that record every operation.

Every use of a drive declares its kind. The products that the drives need are then ordered into a schedule; see
`ordering`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from .axes import SOURCE, axes, has_both, over_both
from .graph import DefinitionError, Graph, Recorded, call_and_name
from .nonlinearities import sqrt
from .ordering import Pending, ordered
from .schedule import (
    ALONG_POSITIONS,
    HIDDEN,
    LEAVES,
    LINEAR,
    MEAN,
    NORMALIZATION_EPSILON,
    OVER_UNITS,
    Preactivation,
    Schedule,
    Vector,
    boundary,
)


class Drives:
    """The uses of the drives in the equations of a cell, and the pre-activations and products that they need."""

    def __init__(self, cell: Any, graph: Graph, states: Mapping[str, Recorded]) -> None:
        self._cell, self.graph, self._states = cell, graph, states
        self.signals: Mapping[str, Recorded] = {}  # set before the equations run
        self._masked: dict[tuple[str, int], Recorded] = {}
        self._declared = {d.name: d for d in cell.drives}
        self.usage: dict[str, str] = {}
        self.preactivations: dict[str, Preactivation] = {}
        self.products: list[Pending] = []
        self.vectors = [Vector(u.name, u.width, u.name) for u in cell.units]
        self.diagonal: list[tuple[str, Vector]] = []
        self._values: dict[str, Any] = {}
        self._unnamed = 0

    def use(self, name: str, as_what: str) -> Any:
        """The value of a drive used as a "value", kept "apart" ((x side, h side)); a called drive has `complete`."""
        before = self.usage.setdefault(name, as_what)
        if before != as_what:
            raise DefinitionError(
                f"line 3 of the contract: drive.{name} is used as {before} and as {as_what}; "
                "a drive is a value, or kept apart (.x and .h), or called with its operand, everywhere alike"
            )
        if name not in self._values:
            drive = self._declared[name]
            slots = self._cell.recurrent if drive.operand is None else drive.operand
            operand = tuple(self._operand(drive, self._states[s]) for s in slots)
            if not operand and drive.structure.kind != "dense":
                raise DefinitionError(
                    f"line 4 of the contract: drive {name} has a structure of U but no operand"
                )
            if as_what == "apart":
                if not operand:
                    raise DefinitionError(
                        f"line 3 of the contract: drive.{name} is kept apart but has no operand"
                    )
                x = self._linear(drive, drive.name, None, bias="b")
                h = self._linear(drive, f"{drive.name}_h", operand, bias="b_h", input=False)
                self._values[name] = (x, h)
            else:
                self._values[name] = self._linear(drive, drive.name, operand or None, bias="b")
        return self._values[name]

    def complete(self, name: str, operand: tuple[Any, ...]) -> Recorded:
        """The value of a drive that is called with its operand."""
        if not operand:
            raise DefinitionError(f"line 3 of the contract: drive.{name}() is called without an operand")
        if name in self.usage:
            raise DefinitionError(
                f"line 3 of the contract: drive.{name} is completed twice, or used as {self.usage[name]} before"
            )
        self.usage[name] = "called"
        for value in operand:
            if not isinstance(value, Recorded):
                raise DefinitionError(
                    f"line 3 of the contract: the operand of drive.{name}() must be values of the equations, "
                    f"came {value!r}"
                )
        drive = self._declared[name]
        return self._linear(
            drive, drive.name, tuple(self._operand(drive, _plain(v)) for v in operand), bias="b"
        )

    def _operand(self, drive: Any, value: Recorded) -> Recorded:
        """What U multiplies: a value, times the mask of the drive; one product for all drives that it is common to."""
        if drive.masked is None:
            return value
        key = (drive.masked, value.index)
        if key not in self._masked:
            self._masked[key] = self.signals[drive.masked] * value
        return self._masked[key]

    def _linear(
        self, drive: Any, name: str, operand: tuple[Recorded, ...] | None, bias: str, input: bool = True
    ) -> Recorded:
        """The pre-activation `W x + M operand + b` of a drive, normalized if the cell says so."""
        normalized = drive.name in self._cell.normalized
        if operand is None and normalized and not drive.input:
            raise DefinitionError(
                f"line 8 of the contract: drive {drive.name} is normalized but sums nothing"
            )
        self.preactivations[name] = Preactivation(
            name,
            drive.width,
            drive.input and input,
            bias if drive.bias and not normalized else None,
            drive.name,
        )
        value = self.graph.leaf("preactivation", name, drive.width)
        structure = drive.structure
        if operand is None:
            pass
        elif structure.kind == "diagonal":
            if len(operand) != 1:
                raise DefinitionError(
                    f"line 4 of the contract: drive {drive.name} is diagonal and takes one operand"
                )
            vector = Vector(f"U__{drive.name}", drive.width, "U")
            self.diagonal.append((drive.name, vector))
            value = value + self.graph.leaf("param", vector.name, drive.width) * operand[0]
        elif structure.kind == "low_rank":
            inner = f"{name}__right"
            self.preactivations[inner] = Preactivation(inner, structure.width, drive=drive.name)
            right = self.graph.leaf("preactivation", inner, structure.width)
            self._multiply(operand, inner, "U_right", 1, drive.name)
            self._multiply((right,), name, "U_left", 1, drive.name)
        else:
            self._multiply(operand, name, "U", structure.heads, drive.name)
        if not normalized:
            return value
        centred = value - self.mean(value)
        gain, offset = (Vector(f"{k}_{name}", drive.width, f"{k}_{name}") for k in ("gain", "offset"))
        self.vectors += [gain, offset]
        scale, shift = (self.graph.leaf("param", v.name, drive.width) for v in (gain, offset))
        return scale * (centred / sqrt(self.mean(centred * centred) + NORMALIZATION_EPSILON)) + shift

    def _multiply(
        self, operand: tuple[Recorded, ...], target: str, family: str | None, heads: int, drive: str
    ) -> None:
        for value in operand:
            if axes(self.graph.nodes[value.index].width)[0]:
                raise DefinitionError(
                    f"line 10 of the contract: the operand of drive {drive} has positions; matrices multiply units"
                )
        kind = MEAN if family is None else LINEAR
        self.products.append(Pending(tuple(v.index for v in operand), target, family, heads, drive, kind))

    def mean(self, value: Recorded) -> Recorded:
        """The mean over the units, as wide as its argument: a product with the constant matrix of entries 1 / width."""
        if self.graph.nodes[value.index].kind == "state":
            value = value * 1.0  # a mean reads a value of the step: copy the slot of the state into one
        width = self.graph.nodes[value.index].width or HIDDEN
        name = self._new("mean", width)
        self._multiply((value,), name, None, 1, name)
        return self.graph.leaf("preactivation", name, width)

    def _new(self, kind: str, width: str) -> str:
        """Declare what an operation other than a drive writes; return its name."""
        name = f"{kind}__{self._unnamed}"
        self._unnamed += 1
        self.preactivations[name] = Preactivation(name, width)
        return name

    def read(self, kind: str, *values: Recorded, by: int = 0) -> Recorded:
        """What a contraction, or an operation along the positions of a memory, gives."""
        if not self._cell.memory:
            raise DefinitionError(
                f"line 10 of the contract: {kind} is for the memory of a cell; cell {self._cell.name!r} has none"
            )
        if kind in ALONG_POSITIONS:
            operands = tuple(self._of_positions(kind, value).index for value in values)
            name = self._new(kind, SOURCE)
            self.products.append(Pending(operands, name, None, 1, name, kind, by=by))
            return self.graph.leaf("preactivation", name, SOURCE)
        (value,) = values
        node = self.graph.nodes[value.index]
        if not has_both(node.width):
            raise DefinitionError(
                f"line 10 of the contract: {kind} sums a value over positions and units, such as one of "
                f"memory.{self._cell.memory[0].name}; came one over {node.width}"
            )
        width = SOURCE if kind == OVER_UNITS else axes(node.width)[1] or HIDDEN
        name = self._new(kind, width)
        operand = boundary(self.graph, value.index)
        self.products.append(Pending(operand, name, None, 1, name, kind, value.index))
        return self.graph.leaf("preactivation", name, width)

    def _of_positions(self, kind: str, value: Recorded) -> Recorded:
        """A value of the step with one number a position; a slot of the state is copied into one."""
        node = self.graph.nodes[value.index]
        if node.width != SOURCE:
            raise DefinitionError(
                f"line 10 of the contract: {kind} takes one number a position, such as over_units(...); came a "
                f"value over {node.width}"
            )
        return value * 1.0 if node.kind in LEAVES and node.kind != "preactivation" else value


def _plain(value: Recorded) -> Recorded:
    return Recorded(value.graph, value.index)


class DriveHandle(Recorded):
    """`drive.n`: a value once it enters an operation; `.x`, `.h` and the call declare the other two uses."""

    __slots__ = ("_drives", "_name")
    _drives: Drives
    _name: str

    def __init__(self, drives: Drives, name: str) -> None:
        self._drives, self._name = drives, name

    @property
    def graph(self) -> Graph:
        return self._drives.graph

    @property
    def index(self) -> int:
        return self._drives.use(self._name, "value").index

    @property
    def x(self) -> Recorded:
        return self._drives.use(self._name, "apart")[0]

    @property
    def h(self) -> Recorded:
        return self._drives.use(self._name, "apart")[1]

    def __call__(self, *operand: Any) -> Recorded:
        return self._drives.complete(self._name, operand)


class Names:
    """A namespace of values with an error that names the contract's line."""

    def __init__(self, what: str, line: int, values: Mapping[str, Any]) -> None:
        self._what, self._line, self._values = what, line, values

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            known = ", ".join(self._values) or "none"
            raise DefinitionError(
                f"line {self._line} of the contract: the equations use {self._what}.{name}, declared are {known}"
            ) from None

    def __getitem__(self, name: object) -> Any:
        raise DefinitionError(
            f"line {self._line} of the contract: values are attributes, {self._what}.a; "
            f"came {self._what}[{name!r}]"
        )


def arguments_of(cell: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments that `cell.update` asks for, out of drive, state, param, signal, constant, memory."""
    names = list(inspect.signature(cell.update).parameters)
    unknown = [n for n in names if n not in values]
    if unknown:
        raise DefinitionError(
            f"line 1 of the contract: update takes arguments out of {', '.join(values)}; "
            f"it asks for {', '.join(unknown)}"
        )
    return {n: values[n] for n in names}


def check_slots(cell: Any, new: Any) -> None:
    """The value that `update` returned has exactly the slots of the state."""
    slots = [s.name for s in cell.slots]
    if not isinstance(new, Mapping) or set(new) != set(slots):
        came = ", ".join(map(str, new)) if isinstance(new, Mapping) else type(new).__name__
        raise DefinitionError(
            f"line 7 of the contract: update returns the new value of every slot, {{{', '.join(slots)}}}; came {came}"
        )


def record(cell: Any) -> Schedule:
    """Run the equations of a cell once on recorded values, and order their products into a schedule."""
    graph = Graph()
    states = {s.name: graph.leaf("state", s.name, s.width) for s in cell.slots}
    drives = Drives(cell, graph, states)
    graph.mean, graph.read = drives.mean, drives.read
    params = {u.name: u.constrain(graph.leaf("param", u.name, u.width)) for u in cell.units}
    constants = {k: graph.leaf("constant", k, None) for k in cell.constants}
    signals = drives.signals = {s: graph.leaf("signal", s, HIDDEN) for s in cell.signals}
    memory = {m.name: graph.leaf("memory", m.name, over_both(m.width)) for m in cell.memory}
    arguments = arguments_of(
        cell,
        {
            "drive": Names("drive", 2, {d.name: DriveHandle(drives, d.name) for d in cell.drives}),
            "state": Names("state", 2, states),
            "param": Names("param", 2, params),
            "signal": Names("signal", 2, signals),
            "constant": Names("constant", 2, constants),
            "memory": Names("memory", 10, memory),
        },
    )
    new = call_and_name(graph, cell.update, arguments)
    check_slots(cell, new)
    outputs = {}
    for slot in cell.slots:
        value = new[slot.name]
        if not isinstance(value, Recorded):
            value = graph.apply("mul", 0.0, states[slot.name]) + value  # a constant slot
        width = graph.nodes[value.index].width
        if width not in (None, slot.width):
            raise DefinitionError(
                f"line 6 of the contract: slot {slot.name} has width {slot.width}, its new value has width {width}"
            )
        outputs[slot.name] = value.index
    unused = [d.name for d in cell.drives if d.name not in drives.usage]
    if unused:
        raise DefinitionError(f"line 2 of the contract: declared but not used: drive {', '.join(unused)}")
    return ordered(cell, graph, drives, outputs)


def mean(value: Any) -> Any:
    """Mean over the units of a layer, as wide as its argument; for use in the equations of a cell.

    Examples
    --------
    >>> import numpy as np
    >>> mean(np.array([[1.0, 3.0]]))
    array([[2., 2.]])
    """
    if isinstance(value, Recorded):
        if axes(value.graph.nodes[value.index].width)[0]:
            raise DefinitionError("line 10 of the contract: mean is over units; this value has positions")
        return value.graph.mean(_plain(value))
    value = np.asarray(value)
    if value.ndim == 0:
        return value[()]
    return np.broadcast_to(value.mean(axis=-1, keepdims=True), value.shape)
