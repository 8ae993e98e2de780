"""Cells over children: equations of a node, and of the arcs that lead to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..cells import Cell
from ..cells.cell import Params
from ..cells.declarations import Drive, Slot, Unit
from ..cells.recipe import Recipe
from ..checks import ArgumentError, ArgumentTypeError, callable_, generator, instance, integer, listed, number
from ..equations.graph import DefinitionError

ARC = "arc_"  # before the names of the parameters of the arcs


@dataclass(frozen=True, eq=False)
class TreeCell:
    """The equations of a recursive network: how the state of a node comes from its input and its children's states.

    `child_sum` and `n_ary` make one.

    Attributes
    ----------
    name : str
    state : tuple of str
        The slots of the state of a node.
    node : Cell
        The equations of a node. Its state before is the sum of what the children bring, or with `children` the states
        of all children side by side.
    arc : Cell or None
        The equations of what a child brings to its parent: its state before is that of the child, its input that of
        the parent. None: the state of the child itself.
    children : int or None
        The number of places of an N-ary cell; None for a sum, which has no order.
    recipe : Recipe or None
        The function of the library that made it, with its arguments, by which a file keeps it.
    """

    name: str
    state: tuple[str, ...]
    node: Cell
    arc: Cell | None = None
    children: int | None = None
    recipe: Recipe | None = field(default=None, repr=False)

    @property
    def output(self) -> str:
        """The slot that is the output."""
        if self.children is None:
            return self.node.output or self.state[0]
        return (self.node.output or "").rpartition("_")[0]

    def init(
        self,
        input_size: int,
        hidden_size: int,
        rng: int | np.random.Generator = 0,
        dtype: DTypeLike = "float32",
        **options: Any,
    ) -> Params:
        """Initial parameters of the node and, under names that begin with ``arc_``, of the arcs.

        Parameters
        ----------
        input_size, hidden_size : int
            N and H.
        rng : int or Generator
        dtype : float32 or float64
        **options
            ``weight`` and ``recurrent``, as `Cell.init` takes them.

        Returns
        -------
        dict of ndarray

        Examples
        --------
        >>> import recurrent_dynamics as rd
        >>> params = rd.trees.child_sum_lstm().init(input_size=2, hidden_size=3)
        >>> {name: a.shape for name, a in params.items()}  # doctest: +NORMALIZE_WHITESPACE
        {'W': (9, 2), 'U': (9, 3), 'b': (9,), 'arc_W': (3, 2), 'arc_U': (3, 3), 'arc_b': (3,)}
        """
        draw = generator("rng", rng)
        params = self.node.init(input_size, hidden_size, draw, dtype, **options)
        if self.arc is not None:
            of_arc = self.arc.init(input_size, hidden_size, draw, dtype, **options)
            params |= {ARC + name: a for name, a in of_arc.items()}
        return params

    def apart(self, params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The parameters of the node, and those of the arcs under their own names."""
        if not isinstance(params, Mapping):
            raise ArgumentTypeError("params", "be a mapping of arrays", type(params).__name__)
        if self.arc is None:
            return dict(params), {}
        of_arc = {name.removeprefix(ARC): a for name, a in params.items() if str(name).startswith(ARC)}
        return {name: a for name, a in params.items() if not str(name).startswith(ARC)}, of_arc

    def _repr_latex_(self) -> str:
        from ..equations.latex import latex

        return latex(self.node)

    def __repr__(self) -> str:
        over = "the sum over children" if self.children is None else f"{self.children} children"
        return f"TreeCell({self.name!r}, over {over})"


def child_sum(node: Cell, arc: Cell | None = None, name: str | None = None) -> TreeCell:
    """A cell over the sum of what the children bring; their order does not matter.

    Parameters
    ----------
    node : Cell
        The equations of a node. Its state before the step is the sum over its children, in the equations
        ``state.h``. Any cell will do.
    arc : Cell, optional
        What a child brings: the state after a step of this cell from the state of the child, with the input of the
        parent. It has the slots of `node`. By default a child brings its state.
    name : str, optional
        That of `node` by default.

    Returns
    -------
    TreeCell

    Raises
    ------
    ValueError, TypeError
        When the two cells have other slots, or the cell of the arcs reads signals.

    Examples
    --------
    The child-sum Tree-LSTM (Tai, Socher and Manning 2015): each child brings its h, and its c through a forget gate
    that sees the parent's input and the child's h.

    >>> from recurrent_dynamics.cells import Cell
    >>> from recurrent_dynamics.equations import sigmoid, tanh
    >>> def forget(drive, state):
    ...     return {"h": state.h, "c": sigmoid(drive.f) * state.c}
    >>> def remember(drive, state):
    ...     c = sigmoid(drive.i) * tanh(drive.u) + state.c
    ...     return {"h": sigmoid(drive.o) * tanh(c), "c": c}
    >>> arc = Cell("forget gate", state=("h", "c"), drives=("f",), update=forget)
    >>> node = Cell("child-sum Tree-LSTM", state=("h", "c"), drives=("i", "o", "u"), update=remember)
    >>> child_sum(node, arc)
    TreeCell('child-sum Tree-LSTM', over the sum over children)
    """
    _cell("node", node)
    if name is not None:
        instance("name", name, str)
    if arc is not None:
        _cell("arc", arc)
        if arc.slots != node.slots:
            raise ArgumentError("arc", f"have the slots of node, {_slots(node.slots)}", _slots(arc.slots))
        if arc.signals:
            raise ArgumentError("arc", "read no signals", ", ".join(arc.signals))
        taken = [u.name for u in node.units if u.name.startswith(ARC)]
        if taken:
            raise ArgumentError("node", f"have no param whose name begins with {ARC!r}", taken[0])
    return TreeCell(node.name if name is None else name, node.state, node, arc)


def _cell(name: str, value: Any) -> None:
    instance(name, value, Cell)
    if "x" in value.signals:
        raise ArgumentError(name, "read its input by drives, not as the signal 'x'", repr(value.name))
    if value.memory:
        raise ArgumentError(name, "read no memory over trees", ", ".join(m.name for m in value.memory))


def _slots(slots: tuple[Slot, ...]) -> str:
    return ", ".join(f"{s.name} ({s.width})" for s in slots)


class _OverChildren:
    """The equations of a node over its children as those of a cell with the slots of all children.

    The state after a step has one copy of each slot for each place, so that a parent finds it at the place of the node.
    """

    def __init__(self, update: Callable[..., Any], slots: tuple[Slot, ...], children: int) -> None:
        self.update, self.slots, self.children = update, slots, children
        names = ["state" if n == "child" else n for n in inspect.signature(update).parameters]
        kind = inspect.Parameter.KEYWORD_ONLY
        self.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])

    @property
    def __code__(self) -> Any:
        return self.update.__code__  # its local variables name the values

    def __call__(self, **given: Any) -> dict[str, Any]:
        if "state" in given:
            state = given.pop("state")
            given["child"] = [
                SimpleNamespace(**{s.name: getattr(state, f"{s.name}_{q}") for s in self.slots})
                for q in range(1, self.children + 1)
            ]
        new = self.update(**given)
        names = [s.name for s in self.slots]
        if not isinstance(new, Mapping) or set(new) != set(names):
            came = ", ".join(map(str, new)) if isinstance(new, Mapping) else type(new).__name__
            raise DefinitionError(
                f"update returns the new value of every slot, {{{', '.join(names)}}}; came {came}"
            )
        return {f"{name}_{q}": new[name] for name in names for q in range(1, self.children + 1)}


def n_ary(
    name: str,
    state: Sequence[str | Slot],
    drives: Sequence[str | Drive],
    update: Callable[..., Mapping[str, Any]],
    children: int,
    recurrent: Sequence[str] | None = None,
    units: Sequence[Unit] = (),
    signals: Sequence[str] = (),
    bias: Mapping[str, float] | None = None,
) -> TreeCell:
    """A cell over a fixed number of children, told apart by their places.

    Parameters
    ----------
    name : str
    state : sequence of str or Slot
        The slots of the state of a node; the first is the output.
    drives : sequence of str or Drive
        As of a `Cell`. U multiplies the slots `recurrent` of all children side by side, unless an operand is named; in
        operands slot h of the first child is ``h_1``.
    update : function
        ``update(drive, child, ...)`` with ``child[0].h`` the slot h of the first child; returns the new value of every
        slot. It may also take ``param``, ``signal``, ``constant`` like the equations of a `Cell`.
    children : int
        How many places there are. A place without a child has the initial state.
    recurrent : sequence of str, optional
        The slots that U multiplies; the first slot by default.
    units, signals, bias
        As of a `Cell`.

    Returns
    -------
    TreeCell

    Raises
    ------
    ValueError, TypeError
        For a definition that breaks the contract of a `Cell`.

    Examples
    --------
    A plain recursive network (Socher et al. 2011):

    >>> from recurrent_dynamics.equations import tanh
    >>> cell = n_ary("recursive", ["h"], ["n"], lambda drive: {"h": tanh(drive.n)}, children=2)
    >>> cell.init(input_size=3, hidden_size=4)["U"].shape
    (4, 8)
    """
    places = integer("children", children, at_least=1)
    instance("name", name, str)
    given = listed("state", state, "of slots, such as ('h',)")
    if not given:
        raise ArgumentError("state", "be a sequence of slots, such as ('h',)", repr(state))
    for i, s in enumerate(given):
        if not isinstance(s, str | Slot):
            raise ArgumentTypeError(f"state[{i}]", "be a Slot or its name", type(s).__name__)
    slots = tuple(s if isinstance(s, Slot) else Slot(s) for s in given)
    names = tuple(s.name for s in slots)
    used = names[:1] if recurrent is None else tuple(listed("recurrent", recurrent, "of slots"))
    for slot in used:
        if not isinstance(slot, str) or slot not in names:
            raise ArgumentError("recurrent", f"be some of the slots {', '.join(names)}", repr(slot))
    callable_("update", update, "of drives and the states of children")
    parts: dict[str, list[Any]] = {"drives": listed("drives", drives, "of drives")}
    parts |= {"units": listed("units", units, "of units"), "signals": listed("signals", signals, "of names")}
    for argument, kinds in (("drives", (str, Drive)), ("units", (Unit,)), ("signals", (str,))):
        for i, part in enumerate(parts[argument]):
            if not isinstance(part, kinds):
                wanted = " or ".join(kind.__name__ for kind in kinds)
                raise ArgumentTypeError(f"{argument}[{i}]", f"be a {wanted}", type(part).__name__)
    if bias is not None:
        instance("bias", bias, Mapping)
        bias = {drive: number(f"bias[{drive!r}]", value) for drive, value in bias.items()}
    node = Cell(
        name,
        state=[replace(s, name=f"{s.name}_{q}") for s in slots for q in range(1, places + 1)],  # type: ignore[arg-type]
        drives=tuple(parts["drives"]),
        update=_OverChildren(update, slots, places),
        units=tuple(parts["units"]),
        signals=tuple(parts["signals"]),
        recurrent=tuple(f"{slot}_{q}" for slot in used for q in range(1, places + 1)),
        bias={} if bias is None else bias,
    )
    if "x" in node.signals:
        raise ArgumentError("signals", "not be 'x': the input is read by drives", "'x'")
    return TreeCell(name, names, node, None, places)
