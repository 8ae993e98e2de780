"""The contract of a cell."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..checks import ArgumentError, floating_dtype, generator, integer
from ..equations.axes import SOURCE
from ..equations.graph import DefinitionError
from ..equations.record import record
from ..equations.schedule import Schedule, fingerprint_text
from ..kernels.lazy import cached_property
from ..parametrize import Parametrization, initialize
from .constraint import Constraint
from .declarations import Drive, Mask, Memory, Slot, Structure, Unit
from .layout import Layout
from .recipe import packed, unpacked
from .tying import tied

Params = dict[str, np.ndarray]


MOST_UNITS = 2**24  # a matrix of so many rows and columns fits in no memory


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell: its equations, written once, and what their names mean.

    Everything else is derived from `update`: the compiled step, its adjoint, tangent, Jacobian and second order, and
    the LaTeX. The contract, line by line (errors name the line that a definition breaks):

    1. `update(drive, state, param, signal, constant, memory)` takes those of the six namespaces that it needs, by name.
    2. It uses declared names only, and every declared drive: `drive.i`, `state.c`, `param.alpha`, `signal.dt`.
    3. A drive is used in one of three ways everywhere, v being multiplied by the signal `masked` of the drive first,
       if it has one: as a value `drive.i`, which is `W x + U v + b` with v the slots
       `recurrent`; kept apart, `drive.n.x` (`W x + b`) and `drive.n.h` (`U v + b_h`); or called once with its operand,
       `drive.n(r * state.h)`, which makes a second matrix product within the step.
    4. A diagonal drive multiplies one operand of its own width.
    5. Equations are pure and pointwise: + - * / ** and the functions of `recurrent_dynamics.equations`, on values of
       the step and real numbers; no branches. `mean(v)`, over the units, is the one exception.
    6. Values that meet have one width, and a slot's new value has the width of the slot.
    7. `update` returns a dict with the new value of every slot.
    8. Names are identifiers, each declared once, and no signal's name is a drive's; widths are positive, constants and
       biases finite; `output` and `recurrent` are slots; what is masked, or is a mask, is a signal.
    9. A drive tied to another is called, has no input or bias, and the operand's width and structure of the other.
    10. `memory.<name>` has positions and units. `over_units(v)` and `over_positions(v)` sum over one of them,
        `softmax(e)` is over the positions of the instance's source. A value with both is summed before it leaves the
        step, and matrices multiply units only.

    Parameters
    ----------
    name
        For people; two cells of one name live side by side.
    state
        Names of the slots, or `Slot` for one of its own width. The first is the output unless `output` names another.
    drives
        Names of the drives in the order of their rows in W, U and b, or `Drive`.
    update
        The equations.
    units
        Per-unit parameters (peepholes, time constants): `Unit`.
    signals
        Names of arrays (T, B) or (T, B, H) that enter without a matrix. "x" is the input itself, which then has as
        many entries as there are units.
    masks
        Which signals are noise, drawn in training, and how: `Mask`. Such a signal need not be given; its mean
        stands for it then. `zoneout` and its neighbours declare masks.
    constants
        Fixed numbers that the equations read as `constant.<name>`. Unlike a number in a closure, a new value needs no
        new compilation.
    recurrent
        The slots that U multiplies where a drive does not say otherwise; the first slot by default, () for none.
    output
        The slot that is the output.
    normalized
        Names of the drives that are layer-normalized (Ba et al. 2016), True for all.
    bias
        Initial values of the biases by drive, e.g. `{"f": 1.0}`; 0 elsewhere. A drive kept apart has it beside `W x`.
    parametrize
        What U must be for the cell to be itself, e.g. `{"U": rd.parametrize.antisymmetric}`; see `Constraint`. `init`
        draws from it, and `rd.nn.Model` trains the free parameters behind it. The equations take any U.
    memory
        Names of arrays that every step reads with attention, or `Memory` for one of its own width.

    Examples
    --------
    A cell that is not in the library, in five lines:

    >>> from recurrent_dynamics.cells import Cell
    >>> from recurrent_dynamics.equations import sigmoid, tanh
    >>> def update(drive, state):
    ...     z = sigmoid(drive.z)
    ...     return {"h": z * state.h + (1 - z) * tanh(drive.n)}
    >>> cell = Cell("my gated unit", state=("h",), drives=("z", "n"), update=update)
    >>> {name: value.shape for name, value in cell.init(input_size=3, hidden_size=4).items()}
    {'W': (8, 3), 'U': (8, 4), 'b': (8,)}
    """

    name: str
    state: tuple[Any, ...]
    drives: tuple[Any, ...]
    update: Callable[..., Mapping[str, Any]]
    units: tuple[Unit, ...] = ()
    signals: tuple[str, ...] = ()
    constants: Mapping[str, float] = field(default_factory=dict)
    recurrent: tuple[str, ...] | None = None
    output: str | None = None
    normalized: Any = ()
    bias: Mapping[str, float] = field(default_factory=dict)
    parametrize: Mapping[str, Parametrization] = field(default_factory=dict)
    masks: Mapping[str, Mask] = field(default_factory=dict)
    memory: tuple[Any, ...] = ()
    slots: tuple[Slot, ...] = field(init=False, repr=False)
    schedule: Schedule = field(init=False, repr=False)

    def __post_init__(self) -> None:
        set_ = lambda name, value: object.__setattr__(self, name, value)
        for what in ("state", "drives", "units", "signals", "recurrent", "normalized", "memory"):
            if isinstance(getattr(self, what), (str, Drive, Slot, Unit, Memory)):
                raise DefinitionError(
                    f"line 8 of the contract: {what} is a sequence, such as ('a',); came {getattr(self, what)!r}"
                )
        if not self.state:
            raise DefinitionError("line 8 of the contract: a cell has at least one slot of state")
        set_("slots", tuple(s if isinstance(s, Slot) else Slot(s) for s in self.state))
        set_("state", tuple(s.name for s in self.slots))
        set_("drives", tuple(d if isinstance(d, Drive) else Drive(d) for d in self.drives))
        set_("memory", tuple(m if isinstance(m, Memory) else Memory(m) for m in self.memory))
        for what in ("units", "signals"):
            set_(what, tuple(getattr(self, what)))
        for what in ("constants", "bias"):
            set_(what, {k: float(v) for k, v in getattr(self, what).items()})
        set_("parametrize", dict(self.parametrize))
        set_("masks", dict(self.masks))
        set_("recurrent", self.state[:1] if self.recurrent is None else tuple(self.recurrent))
        set_("output", self.output or self.state[0])
        names = tuple(d.name for d in self.drives)
        set_("normalized", names if self.normalized is True else tuple(self.normalized or ()))
        self._check()
        set_("schedule", tied(self, record(self)))
        self._check_parameters()

    def _check(self) -> None:
        if not callable(self.update):
            raise DefinitionError(
                f"line 1 of the contract: update is a function, came {type(self.update).__name__}"
            )
        groups = {
            "slot": self.state,
            "drive": tuple(d.name for d in self.drives),
            "param": tuple(u.name for u in self.units),
            "signal": self.signals,
            "constant": tuple(self.constants),
            "memory": tuple(m.name for m in self.memory),
        }
        for slot in self.slots:
            if slot.width == SOURCE and not self.memory:
                raise DefinitionError(
                    f"line 10 of the contract: slot {slot.name} is as wide as the source, but there is no memory"
                )
        for what, names in groups.items():
            for n in names:
                if not isinstance(n, str) or not re.fullmatch(r"(?!.*__)[A-Za-z]\w*", n, re.ASCII):
                    raise DefinitionError(
                        f"line 8 of the contract: a {what} needs an identifier as its name, came {n!r}"
                    )
                if names.count(n) > 1:
                    raise DefinitionError(f"line 8 of the contract: {what} {n} is declared twice")
                if what == "signal" and n in groups["drive"]:
                    raise DefinitionError(f"line 8 of the contract: {n} is a signal and a drive")
        for what, numbers in (("constant", self.constants), ("bias", self.bias)):
            for n, value in numbers.items():
                if not np.isfinite(value):
                    raise DefinitionError(
                        f"line 8 of the contract: {what} {n} is a finite number, came {value}"
                    )
        slots = {"output": (self.output,), "recurrent": self.recurrent or ()}
        slots |= {f"operand of drive {d.name}": d.operand or () for d in self.drives}
        for what, used in slots.items():
            for s in used:
                if s not in self.state:
                    raise DefinitionError(
                        f"line 8 of the contract: {what} names the slot {s!r}, declared are {', '.join(self.state)}"
                    )
        masking = {f"drive {d.name}": d.masked for d in self.drives} | {f"mask {m}": m for m in self.masks}
        for what, name in masking.items():
            if name is not None and name not in self.signals:
                raise DefinitionError(
                    f"line 8 of the contract: {what} names the signal {name!r}, which is not declared"
                )
        for what, named in (("normalized", self.normalized), ("bias", self.bias)):
            for d in named:
                if d not in groups["drive"]:
                    raise DefinitionError(
                        f"line 8 of the contract: {what} names the drive {d!r}, which is not declared"
                    )

    def _check_parameters(self) -> None:
        """No param has the name of a matrix, bias or gain, no drive that of a side of another; biases have a drive."""
        for d, usage in self.schedule.usage.items():
            if usage == "apart" and f"{d}_h" in self.schedule.usage:
                raise DefinitionError(
                    f"line 8 of the contract: drive {d}_h has the name of the recurrent side of drive {d}, kept apart"
                )
        others = {p.parameter for p in self.schedule.products} | {
            p.bias for p in self.schedule.preactivations
        }
        others |= {v.parameter for v in self.schedule.vectors[len(self.units) :]} | {"W", "U", "b", "b_h"}
        for unit in self.units:
            if unit.name in others:
                raise DefinitionError(
                    f"line 8 of the contract: {unit.name} is a param and a parameter of a drive"
                )
        with_bias = {p.drive for p in self.schedule.preactivations if p.bias} | set(self.normalized)
        for drive in self.bias:
            if drive not in with_bias:
                raise DefinitionError(
                    f"line 8 of the contract: bias names the drive {drive!r}, which has none"
                )

    def with_normalization(self, drives: Sequence[str] | bool = True) -> Cell:
        """The same cell with its drives layer-normalized: learnt `gain_<drive>` and `offset_<drive>` instead of b."""
        return self._with(normalized=drives, name=f"layer-normalized {self.name}")

    def with_structure(self, structure: Structure, drives: Sequence[str] | None = None) -> Cell:
        """The same cell with U diagonal, in heads, or of low rank, for all drives or for those named.

        Tied drives follow those that they are tied to.
        """
        multiplying = [
            d.name
            for d in self.drives
            if d.tied is None
            and (
                self.schedule.usage[d.name] == "called"
                or (self.recurrent if d.operand is None else d.operand)
            )
        ]
        chosen = multiplying if drives is None else list(drives)
        if not chosen or set(chosen) - set(multiplying):
            raise ArgumentError(
                "drives",
                f"be some of those of cell {self.name!r} that multiply by U, "
                f"{', '.join(multiplying) or 'none'}",
                ", ".join(chosen) or "none",
            )
        if self.parametrize:
            raise ArgumentError(
                "structure",
                f"be dense for cell {self.name!r}, since {', '.join(self.parametrize)} is made by "
                f"{', '.join(map(repr, self.parametrize.values()))}",
                repr(structure),
            )
        return self._with(
            drives=tuple(
                replace(d, structure=structure) if (d.tied or d.name) in chosen else d for d in self.drives
            )
        )

    def _with(self, **changes: Any) -> Cell:
        return replace(self, **{"state": self.slots, **changes})  # `state` are names, without their widths

    def __reduce__(self) -> tuple[Any, ...]:
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.init} | {"state": self.slots}
        return _unpickled, (packed(given), self.fingerprint)

    @property
    def needed(self) -> tuple[str, ...]:
        """The signals that have to be given: all but the input itself and masks."""
        return tuple(s for s in self.signals if s != "x" and s not in self.masks)

    @cached_property
    def fingerprint(self) -> str:
        """Of the equations and the contract's fields: compiled code is found again under it."""
        return hashlib.sha256(fingerprint_text(self, self.schedule).encode()).hexdigest()[:20]

    def layout(self, input_size: int, hidden_size: int, source_size: int = 0) -> Layout:
        """Where everything stands for given sizes; `source_size` is the number of positions of a memory."""
        return Layout.of(self, input_size, hidden_size, source_size)

    def sizes(self, params: Mapping[str, np.ndarray]) -> tuple[int, int]:
        """(input size, hidden size) that a set of parameters was made for; a ValueError says what does not fit."""
        return Layout.sizes_of(self, params)

    def init(
        self,
        input_size: int,
        hidden_size: int,
        rng: int | np.random.Generator = 0,
        dtype: DTypeLike = "float32",
        weight: Callable[..., np.ndarray] | str = "uniform",
        recurrent: Callable[..., np.ndarray] | str | None = None,
    ) -> Params:
        """Initial parameters.

        Parameters
        ----------
        input_size, hidden_size
            N and H; an autonomous cell has input size 0.
        rng
            A seed or a NumPy generator.
        dtype
            float32 or float64.
        weight, recurrent
            How the blocks of W and of U are drawn: a name or a function `(rng, rows, columns) -> array` of
            `recurrent_dynamics.parametrize.initialize`. By default uniform in (-1, 1) / sqrt(hidden size), as in
            PyTorch; `recurrent` follows `weight` where it is not given. For what the cell parametrizes it is drawn
            from the parametrization instead, unless `recurrent` is given.

        Returns
        -------
        dict
            "W" (G*H, N), "U" (G*H, H), "b" (G*H,), and whatever else the cell declares.

        Examples
        --------
        >>> import recurrent_dynamics as rd
        >>> params = rd.cells.lstm().init(input_size=2, hidden_size=3)
        >>> params["U"].shape, params["U"].dtype
        ((12, 3), dtype('float32'))
        """
        layout = self.layout(
            integer("input_size", input_size, at_least=0, at_most=MOST_UNITS),
            integer("hidden_size", hidden_size, at_least=1, at_most=MOST_UNITS),
        )
        dtype = floating_dtype("dtype", dtype).name
        drawn_from = generator("rng", rng)
        draw_w = initialize.named(weight, hidden_size)
        draw_u = initialize.named(recurrent if recurrent is not None else weight, hidden_size)
        params: Params = {}
        if layout.input_rows and input_size:
            rows = [_block(draw_w, drawn_from, p.width, input_size) for p in layout.preactivations if p.input]
            params["W"] = np.concatenate(rows)
        for name, blocks in layout.matrices.items():
            params[name] = np.concatenate([_block(draw_u, drawn_from, r, c) for r, c in blocks])
        for name, parts in layout.biases.items():
            params[name] = np.concatenate([np.full(p.width, self.bias.get(p.name, 0.0)) for p in parts])
        for name, vectors in layout.vector_parameters.items():
            params[name] = np.concatenate([self._init_vector(v.name, v.width, drawn_from) for v in vectors])
        if self.parametrize and recurrent is None:
            constraint = Constraint(self, input_size, hidden_size)
            params = constraint(constraint.sample(params, drawn_from))[0]
        return {name: np.ascontiguousarray(value, dtype=dtype) for name, value in params.items()}

    def _init_vector(self, name: str, width: int, rng: np.random.Generator) -> np.ndarray:
        for unit in self.units:
            if unit.name == name:
                low, high = unit.initial if isinstance(unit.initial, tuple) else (unit.initial, unit.initial)
                return unit.unconstrain(rng.uniform(low, high, width))
        kind, _, part = name.partition("_")
        if kind == "gain":
            return np.ones(width)
        if kind == "offset":
            return np.full(width, self.bias.get(part, 0.0))
        return rng.uniform(-1, 1, width)  # a diagonal of U: the range in which a linear unit is stable

    def _repr_latex_(self) -> str:
        from ..equations.latex import latex

        return latex(self)

    def __repr__(self) -> str:
        drives = ", ".join(d.name for d in self.drives)
        numbers = dict(self.constants) | {name: mask.rate for name, mask in self.masks.items()}
        constants = "".join(f", {name}={value!r}" for name, value in numbers.items())
        return f"Cell({self.name!r}, state=({', '.join(self.state)}), drives=({drives}){constants})"


def _unpickled(values: dict[str, Any], fingerprint: str) -> Cell:
    cell = Cell(**unpacked(values))
    if cell.fingerprint != fingerprint:
        raise ArgumentError(
            f"cell {cell.name!r}",
            "have the equations that were pickled",
            "others, of another version of the library or of the module that defines them",
        )
    return cell


def _block(draw: initialize.Draw, rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    block = np.asarray(draw(rng, rows, columns))
    if block.shape != (rows, columns):
        raise ArgumentError(
            "weight and recurrent", f"draw arrays (rows, columns), here {(rows, columns)}", block.shape
        )
    return block
