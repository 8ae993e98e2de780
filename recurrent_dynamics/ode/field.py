"""Vector fields written as equations, in the language of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..cells import Cell, Unit
from ..cells.cell import Params
from ..cells.mistaken import what_came
from ..cells.recipe import packed, remembered, unpacked
from ..cells.tying import drives_of
from ..checks import ArgumentError, ArgumentTypeError, number
from ..dynamics import Flow
from ..dynamics.trajectories.step_map import StepMap
from ..equations import DefinitionError
from ..equations.record import arguments_of


@dataclass(frozen=True, eq=False)
class Field:
    """A vector field d state / dt = rate(state, input), with parameters.

    It is written as a cell is (`recurrent_dynamics.cells.Cell` describes all arguments but `positions` and `linear`);
    its function returns the rate of change of every slot instead of the new value. `discretize` makes a trainable cell
    of it, `flow` a function for `scipy.integrate.solve_ivp`.

    Parameters
    ----------
    name, state, drives, units, signals, constants, recurrent, output, bias, parametrize
        As those of a cell.
    rate
        The equations: a function of some of drive, state, param, signal, constant that returns the rate of change of
        every slot.
    positions
        For a partitioned field: the slots whose rates depend on the other slots alone, and whose values alone the
        rates of the others depend on, such as those of a Hamiltonian T(p) + V(q).
    linear
        For a field with a stated linear part: a function of some of param, signal, constant that returns, by slot, the
        coefficient a of the part a * slot, unit by unit; not 0. The rate contains that part.

    Raises
    ------
    DefinitionError
        If the equations break the contract of a cell, or the field is not partitioned or linear as stated.

    Examples
    --------
    A continuous-time network, tau dh/dt = -h + tanh(W x + U h + b), and its rate at a point:

    >>> import recurrent_dynamics as rd
    >>> from recurrent_dynamics.equations import tanh
    >>> field = rd.ode.Field(
    ...     "rate network", state=("h",), drives=("n",),
    ...     rate=lambda drive, state, constant: {"h": (tanh(drive.n) - state.h) / constant.tau},
    ...     constants={"tau": 2.0},
    ...     linear=lambda constant: {"h": -1 / constant.tau},
    ... )
    >>> params = field.init(input_size=0, hidden_size=3, dtype="float64")
    >>> flow = field.flow(params)
    >>> bool(np.allclose(flow.jacobian(np.zeros((1, 3)))[0], (params["U"] - np.eye(3)) / 2))
    True
    """

    name: str
    state: tuple[Any, ...]
    drives: tuple[Any, ...]
    rate: Callable[..., Mapping[str, Any]]
    units: tuple[Unit, ...] = ()
    signals: tuple[str, ...] = ()
    constants: Mapping[str, float] = field(default_factory=dict)
    recurrent: tuple[str, ...] | None = None
    output: str | None = None
    bias: Mapping[str, float] = field(default_factory=dict)
    parametrize: Mapping[str, Any] = field(default_factory=dict)
    positions: tuple[str, ...] = ()
    linear: Callable[..., Mapping[str, Any]] | None = None
    rates: Cell = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rates = Cell(
            self.name, self.state, self.drives, self.rate, units=self.units, signals=self.signals,
            constants=self.constants, recurrent=self.recurrent, output=self.output, bias=self.bias,
            parametrize=self.parametrize,
        )  # fmt: skip
        object.__setattr__(self, "rates", rates)
        if isinstance(self.positions, str):
            raise DefinitionError(
                f"positions is a sequence of slots, such as ('q',); came {self.positions!r}"
            )
        object.__setattr__(self, "positions", tuple(self.positions))
        if self.positions:
            self._check_partition()
        if self.linear is not None:
            self._check_linear()

    def _check_partition(self) -> None:
        slots = self.rates.state
        for name in self.positions:
            if name not in slots:
                raise DefinitionError(
                    f"positions names the slot {name!r}; field {self.name!r} has {', '.join(slots)}"
                )
        if not self.momenta:
            raise DefinitionError(
                f"positions names all slots of field {self.name!r}; those left out are the momenta"
            )
        for side, what in ((self.positions, "position"), (self.momenta, "momentum")):
            for name in side:
                wrong = sorted(depends_on(self.rates, name)[0] & set(side))
                if wrong:
                    raise DefinitionError(
                        f"field {self.name!r} is not partitioned: the rate of {what} {name} depends on "
                        f"{', '.join(wrong)}, {'itself' if wrong == [name] else f'a {what} too'}"
                    )

    def _check_linear(self) -> None:
        slots = self.rates.state

        def coefficients(param: Any, signal: Any, constant: Any) -> dict[str, Any]:
            given = self.coefficients(param=param, signal=signal, constant=constant)
            for name, value in given.items():
                if name not in slots:
                    raise DefinitionError(
                        f"linear names the slot {name!r}; field {self.name!r} has {', '.join(slots)}"
                    )
                if isinstance(value, int | float) and not (np.isfinite(value) and value != 0):
                    raise DefinitionError(
                        f"linear gives slot {name} the coefficient {value}; leave a slot without a linear part out"
                    )
            if not given:
                raise DefinitionError("linear gives no slot a coefficient")
            return {s: given.get(s, 1.0) for s in slots}

        Cell(
            f"linear part of {self.name}", self.rates.slots, (), coefficients, units=self.units,
            signals=self.signals, constants=self.constants,
        )  # fmt: skip

    def coefficients(self, **values: Any) -> dict[str, Any]:
        """The coefficient of the stated linear part by slot, from the namespaces param, signal, constant."""
        if self.linear is None:
            return {}
        return dict(self.linear(**arguments_of(_Named(self.linear), values)))

    @property
    def momenta(self) -> tuple[str, ...]:
        """The slots of a partitioned field that are not positions."""
        return tuple(s for s in self.rates.state if s not in self.positions)

    def init(
        self,
        input_size: int,
        hidden_size: int,
        rng: int | np.random.Generator = 0,
        dtype: DTypeLike = "float32",
        **options: Any,
    ) -> Params:
        """Initial parameters, as `Cell.init` draws them."""
        return self.rates.init(input_size, hidden_size, rng, dtype, **options)

    def flow(
        self,
        params: Mapping[str, np.ndarray],
        *,
        input: np.ndarray | None = None,
        signals: Mapping[str, Any] | None = None,
        step: float = 0.01,
        method: str = "rk4",
        tolerance: float = 1e-9,
    ) -> Flow:
        """The field with fixed parameters under constant input, in float64.

        Parameters
        ----------
        params
            As `init` makes them.
        input : ndarray (N,), optional
            A constant input; none by default.
        signals : dict, optional
            Constant signals, each a number or (H,).
        step, method, tolerance
            Of `recurrent_dynamics.dynamics.Flow`, for Lyapunov spectra.

        Returns
        -------
        Flow
            Its `field` and `jacobian` take states (B, S), slots side by side. For `scipy.integrate.solve_ivp`:
            ``lambda t, y: flow.field(y[None])[0]``.
        """
        f = StepMap(self.rates, params, input, signals)
        return Flow(f, lambda z: f.linearized(z)[1], step, method, tolerance)

    def __reduce__(self) -> tuple[Any, ...]:
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.init} | {"state": self.rates.slots}
        return _unpickled, (packed(given),)

    def __repr__(self) -> str:
        return f"Field({self.name!r}, state=({', '.join(self.rates.state)}))"


def _unpickled(values: dict[str, Any]) -> Field:
    return Field(**unpacked(values))


@dataclass(frozen=True)
class _Named:
    """What `arguments_of` reads of a cell."""

    update: Callable[..., Any]


@remembered("rate")
def vector_field(cell: Cell, tau: float = 1.0) -> Field:
    """The field (F(state) - state) / tau of a cell that steps state -> F(state).

    One step of forward Euler with dt = tau is the cell again: every cell is an Euler method of this field.

    Parameters
    ----------
    cell
        Its equations, without layer normalization.
    tau
        The time that a step of the cell stands for.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.elman()
    >>> again = rd.ode.discretize(rd.ode.vector_field(cell), "euler", dt=1.0)
    >>> params, x = cell.init(2, 3), np.ones((5, 1, 2), "float32")
    >>> bool(np.allclose(rd.forward(again, params, x).output, rd.forward(cell, params, x).output, atol=1e-6))
    True
    """
    if not isinstance(cell, Cell):
        raise ArgumentTypeError("cell", "be a Cell", what_came(cell))
    if cell.normalized:
        raise ArgumentError(
            "cell",
            "have no layer-normalized drives, whose statistics are those of a step and not of a field",
            f"{cell.name!r}, which normalizes {', '.join(cell.normalized)}",
        )
    tau = number("tau", tau, above=0)

    def rate(**values: Any) -> dict[str, Any]:
        new = cell.update(**arguments_of(cell, values))
        return {s: (new[s] - getattr(values["state"], s)) / tau for s in cell.state}

    return Field(
        f"field of {cell.name}", cell.slots, cell.drives, with_namespaces(rate), units=cell.units,
        signals=cell.signals, constants=cell.constants, recurrent=cell.recurrent, output=cell.output, bias=cell.bias,
        parametrize=cell.parametrize,
    )  # fmt: skip


def with_namespaces(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of keyword arguments that asks for all five namespaces of the equations."""

    def update(drive: Any, state: Any, param: Any, signal: Any, constant: Any) -> Any:
        return function(drive=drive, state=state, param=param, signal=signal, constant=constant)

    return update


def depends_on(cell: Cell, slot: str) -> tuple[set[str], set[str]]:
    """(slots, drives) that the new value of a slot depends on within a step."""
    schedule = cell.schedule
    nodes, drive_of = schedule.graph.nodes, drives_of(cell, schedule.preactivations)
    operands: dict[str, list[int]] = {}
    for product in schedule.products:
        operands.setdefault(product.target, []).extend(product.operand)
    slots, drives, seen, todo = set(), set(), set(), [schedule.outputs[slot]]
    while todo:
        index = todo.pop()
        if index in seen:
            continue
        seen.add(index)
        node = nodes[index]
        if node.kind == "state":
            slots.add(node.arguments[0])
        elif node.kind == "preactivation":
            drives.add(drive_of[node.arguments[0]])
            todo += operands.get(node.arguments[0], [])
        else:
            todo += [a for a in node.arguments if isinstance(a, int)]
    return slots, drives
