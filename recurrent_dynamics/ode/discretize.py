"""From a vector field to a trainable cell: one step of a method, written in the contract of cells.

A method evaluates the field at several states within a step, always with the same matrices. The first evaluation of a
drive is the drive itself; every later one adds U times the displacement since, by a tied drive:
W x + U (h + d) + b = (W x + U h + b) + U d. So the parameters of the cell are those of the field, and its gradients,
tangents and Jacobians are those of the numerical map, from the engines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..cells import Cell, Drive, Unit
from ..cells.recipe import remembered
from ..checks import ArgumentError, ArgumentTypeError, boolean, number, one_of
from ..equations import expm1, mean, softplus
from ..equations.graph import Unread
from ..equations.record import arguments_of
from .field import Field, depends_on, with_namespaces
from .methods import EXPLICIT, IMPLICIT, LINEAR, PARTITIONED, Method, method_of

STEPS = ("fixed", "learnt", "unit", "input", "signal")
Values = dict[str, Any]  # by slot


@remembered()
def discretize(
    field: Field,
    method: str | Method = "euler",
    dt: float | None = None,
    *,
    step: str = "fixed",
    inverse: bool = False,
) -> Cell:
    """The cell whose step is one step of a method for a vector field.

    Its parameters are those of the field, whatever the method, and one more for a step that is learnt. The input and
    all signals are held during a step. Backpropagation through the cell is the exact derivative of the numerical
    method (the discrete adjoint), not a method for the adjoint equation.

    Parameters
    ----------
    field
        The equations.
    method
        "euler", "heun", "midpoint", "rk3", "rk4" for any field, and what `runge_kutta` makes; "symplectic_euler" (the
        momenta first, then the positions) and "leapfrog" (half a step of the positions, the momenta, the other half)
        for a partitioned field; "exponential_euler", h + dt phi_1(a dt) f(h) with phi_1(z) = (e^z - 1) / z, and
        "imex_euler", h + dt f(h) / (1 - a dt), the implicit Euler method for the part a h and the explicit one for the
        rest, for a field with a stated linear part.
    dt
        The step, in the field's unit of time: the value, or where learning begins. None if it is a signal.
    step
        "fixed": a constant, which needs no new compilation to change. "learnt": one number, trained; it is the mean of
        softplus(`dt`) over the units. "unit": one for each unit, trained, softplus(`dt`). "input":
        dt_t = softplus(W x_t + b) unit by unit, by a drive "dt". "signal": the signal "dt", shape (T, B) or (T, B, H),
        for irregular time steps. In a field that has a dt of its own it is called "step" instead.
    inverse
        The step back, from the state after to the state before; for partitioned fields only.

    Returns
    -------
    Cell

    Raises
    ------
    ValueError
        For a method that the field does not suit, with the reason.

    References
    ----------
    Hairer, Lubich and Wanner, Geometric Numerical Integration, Springer 2006, chapters II.1 and VI.3.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> oscillator = rd.ode.Field(
    ...     "oscillator", state=("q", "p"), drives=(), units=(rd.cells.Unit("omega", 1.0),), positions=("q",),
    ...     rate=lambda state, param: {"q": param.omega * state.p, "p": -param.omega * state.q},
    ... )
    >>> cell = rd.ode.discretize(oscillator, "leapfrog", dt=0.1)
    >>> params = cell.init(0, 1, dtype="float64")
    >>> run = rd.forward(cell, params, steps=1000, initial={"q": np.ones((1, 1))})
    >>> energy = run.states["q"] ** 2 + run.states["p"] ** 2
    >>> bool(abs(energy - 1).max() < 0.003)
    True
    """
    m, make = _suited(field, method, inverse)
    name = f"{'inverse ' * inverse}{m.name} step of {field.name}"
    return with_step(field, name, lambda f, size: f.moved(make(f, size)), dt, step)


def with_step(
    field: Field, name: str, equations: Callable[[Evaluation, Any], Values], dt: float | None, step: str
) -> Cell:
    """A cell with the parameters of a field and of its step; the equations take the field's rates and the step."""
    one_of("step", step, STEPS)
    if step == "signal":
        if dt is not None:
            raise ArgumentError("dt", "be None where the step is a signal", repr(dt))
        size = 1.0
    else:
        size = number("dt", dt, above=0)
    name_of_step = _name_of_step(field)

    def update(**values: Any) -> Values:
        return equations(Evaluation(field, values), _step_of(step, name_of_step, values))

    drives = list(field.rates.drives)
    if step == "input":
        drives.append(Drive(name_of_step, operand=()))
    drives += _tied_drives(field, update, {d.name for d in drives})
    return Cell(
        name,
        field.rates.slots,
        tuple(drives),
        with_namespaces(update),
        units=(*field.units, Unit(name_of_step, initial=size, low=0))
        if step in ("learnt", "unit")
        else field.units,
        signals=(*field.signals, name_of_step) if step == "signal" else field.signals,
        constants={**field.constants, name_of_step: size} if step == "fixed" else field.constants,
        recurrent=field.recurrent,
        output=field.output,
        parametrize=field.parametrize,
        bias={**field.bias, name_of_step: float(np.log(np.expm1(size)))} if step == "input" else field.bias,
    )


# From the rates of a field and a step to the displacement of every slot.
Make = Callable[["Evaluation", Any], Values]


def _suited(field: Field, method: str | Method, inverse: bool) -> tuple[Method, Make]:
    """The method and the function that writes its step, or the reason why the field does not suit it."""
    if not isinstance(field, Field):
        raise ArgumentTypeError("field", "be a Field", type(field).__name__)
    m, inverse = method_of(method), boolean("inverse", inverse)
    if m.kind == IMPLICIT:
        raise ArgumentError(
            "method",
            "be explicit, so that a cell can write it down",
            f"{m.name!r}, which solves an equation in every step: use recurrent_dynamics.ode.implicit_forward",
        )
    if m.kind == PARTITIONED and not field.positions:
        raise ArgumentError(
            "field",
            f"have positions that move by the momenta alone, and the other way round, for method {m.name}",
            f"{field!r}, which states no positions",
        )
    if m.kind == LINEAR and field.linear is None:
        raise ArgumentError(
            "field",
            f"have a stated linear part for method {m.name}",
            f"{field!r}, which has none (argument linear)",
        )
    if inverse and m.kind != PARTITIONED:
        raise ArgumentError(
            "inverse",
            f"be False for method {m.name}, since only methods of partitioned fields can be undone explicitly",
            "True",
        )
    if m.kind == EXPLICIT:
        return m, lambda f, dt: _explicit(m, f, dt)
    if m.kind == LINEAR:
        return m, _exponential if m.name == "exponential_euler" else _imex
    if m.name == "leapfrog":
        return m, (lambda f, dt: _leapfrog(f, -1.0 * dt)) if inverse else _leapfrog
    return m, _symplectic_back if inverse else _symplectic


def _name_of_step(field: Field) -> str:
    """Return "dt", or "step" where the field has a dt of its own."""
    cell = field.rates
    taken = {d.name for d in cell.drives} | {u.name for u in cell.units} | {*cell.signals} | {*cell.constants}
    for name in ("dt", "step"):
        if name not in taken:
            return name
    raise ArgumentError(
        "field", "leave one of the names dt and step to the method", f"{field!r}, which uses both"
    )


def _step_of(step: str, name: str, values: Mapping[str, Any]) -> Any:
    if step in ("signal", "fixed"):
        return getattr(values["signal" if step == "signal" else "constant"], name)
    if step == "input":
        return softplus(getattr(values["drive"], name))
    size = getattr(values["param"], name)
    return mean(size) if step == "learnt" else size


def _explicit(method: Method, f: Evaluation, dt: Any) -> Values:
    stages: list[Values] = []
    for row in method.matrix:
        stages.append(f(_combined(row, stages, dt)))
    return _combined(method.weights, stages, dt)


def _combined(row: tuple[float, ...], stages: list[Values], dt: Any) -> Values:
    """Dt times a combination of stages."""
    terms = [(a, k) for a, k in zip(row, stages) if a != 0]
    if not terms:
        return {}
    return {
        s: dt * sum((_times(a, k[s]) for a, k in terms[1:]), _times(terms[0][0], terms[0][1][s]))
        for s in stages[0]
    }


def _times(a: float, value: Any) -> Any:
    return value if a == 1 else a * value


def _exponential(f: Evaluation, dt: Any) -> Values:
    rates, a = f({}), f.coefficients()
    return {s: expm1(a[s] * dt) / a[s] * k if s in a else dt * k for s, k in rates.items()}


def _imex(f: Evaluation, dt: Any) -> Values:
    rates, a = f({}), f.coefficients()
    return {s: dt * k / (1 - a[s] * dt) if s in a else dt * k for s, k in rates.items()}


def _symplectic(f: Evaluation, dt: Any) -> Values:
    kick = _scaled(dt, f({}, f.field.momenta))
    return kick | _scaled(dt, f(kick, f.field.positions))


def _symplectic_back(f: Evaluation, dt: Any) -> Values:
    drift = _scaled(-1.0 * dt, f({}, f.field.positions))
    return drift | _scaled(-1.0 * dt, f(drift, f.field.momenta))


def _leapfrog(f: Evaluation, dt: Any) -> Values:
    half = _scaled(0.5 * dt, f({}, f.field.positions))
    kick = _scaled(dt, f(half, f.field.momenta))
    other = _scaled(0.5 * dt, f(kick, f.field.positions))
    return kick | {s: half[s] + other[s] for s in half}


def _scaled(dt: Any, rates: Values) -> Values:
    return {s: dt * k for s, k in rates.items()}


class Evaluation:
    """The rates of a field at states displaced from that before the step."""

    def __init__(self, field: Field, values: Mapping[str, Any]) -> None:
        self.field, self.values = field, values
        self._first: dict[
            str, tuple[Any, tuple[Any, ...]]
        ] = {}  # drive -> value, and at which displacement or operand
        self._copies: dict[str, int] = {}

    def coefficients(self) -> Values:
        return self.field.coefficients(**{k: self.values[k] for k in ("param", "signal", "constant")})

    def moved(self, by: Values) -> Values:
        """The state, displaced."""
        state = self.values["state"]
        return {
            s: getattr(state, s) + by[s] if s in by else getattr(state, s) for s in self.field.rates.state
        }

    def __call__(self, by: Values, slots: tuple[str, ...] | None = None) -> Values:
        """The rates of some slots at a displaced state."""
        rates = self.field.rates
        slots = rates.state if slots is None else slots
        needed = set().union(*(depends_on(rates, s)[1] for s in slots))
        drive = {
            d.name: self._drive(d, by) if d.name in needed else Unread() for d in rates.drives
        }  # a drive that no wanted rate reads would be a product in vain
        state = SimpleNamespace(**self.moved(by))
        all_rates = rates.update(
            **arguments_of(rates, {**self.values, "drive": SimpleNamespace(**drive), "state": state})
        )
        return {s: all_rates[s] for s in slots}

    def _drive(self, d: Drive, by: Values) -> Any:
        drive, usage = self.values["drive"], self.field.rates.schedule.usage[d.name]
        operand = self.field.rates.recurrent if d.operand is None else d.operand
        if usage == "called":
            return lambda *q: self._called(d, q)
        displaced = any(s in by for s in operand or ())
        if usage == "apart":
            sides = getattr(drive, d.name)
            h = (
                sides.h + self._tied(d, [self._displacement(s, by) for s in operand or ()])
                if displaced
                else sides.h
            )
            return SimpleNamespace(x=sides.x, h=h)
        if d.name not in self._first:
            value = getattr(drive, d.name)
            if displaced:
                value = value(*(self.moved(by)[s] for s in operand or ()))
            self._first[d.name] = (value, tuple(by.get(s) for s in operand or ()))
            return value
        value, at = self._first[d.name]
        now = [by.get(s) for s in operand or ()]
        if all(a is b for a, b in zip(now, at)):
            return value
        return value + self._tied(
            d,
            [_difference(b, a, getattr(self.values["state"], s)) for s, a, b in zip(operand or (), at, now)],
        )

    def _called(self, d: Drive, operand: tuple[Any, ...]) -> Any:
        if d.name not in self._first:
            self._first[d.name] = (getattr(self.values["drive"], d.name)(*operand), operand)
            return self._first[d.name][0]
        value, at = self._first[d.name]
        return value + self._tied(d, [b - a for a, b in zip(at, operand)])

    def _displacement(self, slot: str, by: Values) -> Any:
        return _difference(by.get(slot), None, getattr(self.values["state"], slot))

    def _tied(self, d: Drive, operand: list[Any]) -> Any:
        """U times an operand, by the next tied drive."""
        self._copies[d.name] = self._copies.get(d.name, 0) + 1
        return getattr(self.values["drive"], f"{d.name}{_suffix(self.field)}{self._copies[d.name] + 1}")(
            *operand
        )


def _difference(b: Any, a: Any, state: Any) -> Any:
    """B - a of two displacements, None for none; as wide as the state."""
    if b is None:
        return 0.0 * state if a is None else -1.0 * a
    return b if a is None else b - a


def _suffix(field: Field) -> str:
    """What the names of the tied drives have, and no drive of the field."""
    suffix = "stage"
    while any(f"_{suffix}" in d.name for d in field.rates.drives):
        suffix = f"sub{suffix}"
    return f"_{suffix}"


def _tied_drives(field: Field, update: Callable[..., Values], known: set[str]) -> list[Drive]:
    """The tied drives of a step, in the order in which it asks for them.

    How often a drive is read at another state depends on the stages of the method, on the slots whose rates a stage
    wants and on how the rates read the drive. The step itself knows all of it, so it is written down once, on values
    that stand for any: equations do not branch on values.
    """
    asked: dict[str, None] = {}

    class Asked:
        def __getattr__(self, name: str) -> Any:
            if name not in known:
                asked[name] = None
            return Unread()

    class Anything:
        def __getattr__(self, name: str) -> Any:
            return Unread()

    update(drive=Asked(), state=Anything(), param=Anything(), signal=Anything(), constant=Anything())
    declared = {d.name: d for d in field.rates.drives}
    drives = []
    for name in asked:
        owner = declared[name.rpartition(_suffix(field))[0]]
        tied = owner.tied or owner.name
        drives.append(
            Drive(name, input=False, bias=False, width=owner.width, structure=owner.structure, tied=tied)
        )
    return drives
