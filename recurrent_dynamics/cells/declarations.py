"""What a cell declares: drives, slots of its state, per-unit parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, boolean, instance, integer, number, one_of
from ..equations.axes import SOURCE
from ..equations.graph import DefinitionError
from ..equations.nonlinearities import sigmoid, softplus
from ..equations.schedule import HIDDEN


def natural(name: str, value: int) -> int:
    """An integer of at least 0."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 0:
        raise ArgumentError(name, "be an integer of at least 0", repr(value))
    return int(value)


def positive_integer(name: str, value: int) -> int:
    """An integer of at least 1."""
    if natural(name, value) < 1:
        raise ArgumentError(name, "be an integer of at least 1", repr(value))
    return int(value)


@dataclass(frozen=True)
class Structure:
    """The shape of a drive's block of U: dense, diagonal, block-diagonal heads, or low rank."""

    kind: str = "dense"
    heads: int = 1
    width: str = HIDDEN  # of the inner factor, for low rank

    def __post_init__(self) -> None:
        one_of("kind", self.kind, ("dense", "diagonal", "heads", "low_rank"))
        integer("heads", self.heads, at_least=1)


DENSE, DIAGONAL = Structure(), Structure("diagonal")


def heads(number: int) -> Structure:
    """Block-diagonal U: `number` heads that do not see each other."""
    return Structure("heads", positive_integer("heads", number))


def low_rank(rank: int) -> Structure:
    """U = U_left U_right of the given rank."""
    return Structure("low_rank", width=str(positive_integer("rank", rank)))


def _check_width(what: str, width: Any) -> None:
    if width != HIDDEN and not (isinstance(width, str) and width.isdecimal() and int(width) > 0):
        raise DefinitionError(
            f"line 8 of the contract: the width of {what} is {HIDDEN!r} or a positive number as text, such as '3'; "
            f"came {width!r}"
        )


@dataclass(frozen=True)
class Drive:
    """A linear combination `W x + U v + b` that enters the equations.

    Parameters
    ----------
    name
        Its name in the equations, `drive.<name>`.
    operand
        Slots of the state that U multiplies, side by side; () for none; None for those of the cell (`recurrent`).
        A drive that the equations call, `drive.n(r * state.h)`, takes its operand from there.
    input, bias
        Whether it has a block of W, and an entry of b.
    width
        "hidden" for as many units as the hidden size, or a fixed number as text, such as "3".
    structure
        Of its block of U: `DENSE`, `DIAGONAL`, `heads(n)`, `low_rank(r)`.
    tied
        The drive whose block of U it uses in place of one of its own: one matrix for several products of a step.
    masked
        A signal that multiplies the operand before U does: `W x + U (m * v) + b`; see `variational_dropout`.
    """

    name: str
    operand: tuple[str, ...] | None = None
    input: bool = True
    bias: bool = True
    width: str = HIDDEN
    structure: Structure = DENSE
    tied: str | None = None
    masked: str | None = None

    def __post_init__(self) -> None:
        instance("name", self.name, str)
        boolean("input", self.input)
        boolean("bias", self.bias)
        if self.operand is not None and not isinstance(self.operand, str | tuple | list):
            raise ArgumentTypeError("operand", "be None or a sequence of slots", type(self.operand).__name__)
        _check_width(f"drive {self.name}", self.width)
        if isinstance(self.operand, str):
            raise DefinitionError(
                f"line 8 of the contract: the operand of drive {self.name} is a sequence of slots, such as ('h',); "
                f"came {self.operand!r}"
            )
        if not isinstance(self.structure, Structure):
            raise DefinitionError(
                f"line 4 of the contract: the structure of drive {self.name} is DENSE, DIAGONAL, heads(n) or "
                f"low_rank(r); came {self.structure!r}"
            )


@dataclass(frozen=True)
class Slot:
    """A part of the state, as wide as the hidden size or of a fixed number of units.

    A slot of the width "source" has a number for each position of the cell's memory, such as a coverage.
    """

    name: str
    width: str = HIDDEN

    def __post_init__(self) -> None:
        instance("name", self.name, str)
        if self.width != SOURCE:
            _check_width(f"slot {self.name}", self.width)


@dataclass(frozen=True)
class Memory:
    """An array that the equations read at every step, `memory.<name>`: S positions of as many units as `width` says.

    Each instance has its own, of its own length. `rd.forward` gets it as ``memory={name: array (S, B, width)}``.
    """

    name: str
    width: str = HIDDEN

    def __post_init__(self) -> None:
        _check_width(f"memory {self.name}", self.width)


@dataclass(frozen=True)
class Mask:
    """How a signal is drawn in training that is noise on the cell: entry by entry one of two numbers.

    Where nothing is drawn or given, in evaluation, the signal is its mean.

    Parameters
    ----------
    rate
        Of dropout the probability of a 0, the others are 1 / (1 - rate), in [0, 1); of zoneout that of a 1, in [0, 1].
    kind
        "dropout" or "zoneout".
    per_sequence
        Whether all steps of a sequence have the same entries.
    """

    rate: float
    kind: str = "dropout"
    per_sequence: bool = False

    def __post_init__(self) -> None:
        one_of("kind", self.kind, ("dropout", "zoneout"))
        number("rate", self.rate, at_least=0, at_most=1)
        if self.kind == "dropout":
            number("rate", self.rate, below=1)
        boolean("per_sequence", self.per_sequence)

    @property
    def mean(self) -> float:
        """What stands for the signal in evaluation: 1 of dropout, the rate of zoneout."""
        return 1.0 if self.kind == "dropout" else self.rate

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> np.ndarray:
        """The signal (T, B, H) of one call, a view where all steps have the same."""
        # Drawn in single precision for both dtypes, so that the same entries are chosen.
        drawn = rng.random((1, *shape[1:]) if self.per_sequence else shape, dtype=np.float32)
        chosen, kind = drawn < self.rate, np.dtype(dtype).type
        mask = chosen.astype(dtype) if self.kind == "zoneout" else ~chosen * kind(1 / (1 - self.rate))
        return np.broadcast_to(mask, shape)


@dataclass(frozen=True)
class Unit:
    """A per-unit parameter, trained like any other.

    `low` and `high` bound its value in the equations; the parameter itself is stored unconstrained: as the logit of
    its place in (low, high), or with `high` infinite as the inverse softplus of its distance from low. `initial` is a
    value in the equations, or the bounds of a uniform draw.
    """

    name: str
    initial: float | tuple[float, float] = 0.0
    low: float = -np.inf
    high: float = np.inf
    width: str = HIDDEN

    def __post_init__(self) -> None:
        instance("name", self.name, str)
        _check_width(f"param {self.name}", self.width)
        for name, value in (("low", self.low), ("high", self.high)):
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float | np.number)
                or not (abs(value) <= 1e308 or value in (np.inf, -np.inf))
            ):
                raise DefinitionError(
                    f"line 8 of the contract: {name} of param {self.name} is a number; came {value!r}"
                )
        try:
            start = np.asarray(self.initial)
        except ValueError:
            start = np.asarray(None)
        if start.dtype.kind not in "iuf" or start.shape not in ((), (2,)):
            raise DefinitionError(
                f"line 8 of the contract: initial of param {self.name} is a number, or two that it is drawn between; "
                f"came {self.initial!r}"
            )
        bounds = f"low = {self.low:g} and high = {self.high:g}"
        if not self.low < self.high or np.isinf(self.low) > np.isinf(self.high):
            raise DefinitionError(
                f"line 8 of the contract: param {self.name} needs low < high, and a low where it has a high; "
                f"came {bounds}"
            )
        if not all(self.low < v < self.high for v in np.atleast_1d(self.initial)):
            raise DefinitionError(
                f"line 8 of the contract: param {self.name} starts between {bounds}; came initial = {self.initial}"
            )

    def constrain(self, raw: Any) -> Any:
        """The value in the equations of the stored number."""
        if np.isinf(self.low):
            return raw
        if np.isinf(self.high):
            return self.low + softplus(raw)
        return self.low + (self.high - self.low) * sigmoid(raw)

    def unconstrain(self, value: np.ndarray) -> np.ndarray:
        """The number that is stored for a value in the equations; the inverse of `constrain`."""
        if np.isinf(self.low):
            return value
        if np.isinf(self.high):
            return value - self.low + np.log(-np.expm1(self.low - value))
        share = (value - self.low) / (self.high - self.low)
        return np.log(share) - np.log1p(-share)
