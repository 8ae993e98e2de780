"""Values of a run kept as bfloat16, half the memory: the upper 16 bits of a float32, rounded to the nearest.

Drives and operands are kept so, and what goes back recomputes gates from them; states, of which a step is made, and
signals, which came from outside, stay float32. Walks go in pieces of some steps, whose values stand in float32 while
they are walked through: forward passes are the same to the last bit, gradients have the precision of the tape.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from ...cells.layout import Layout
from ..run import Tape
from .driver import array_module, cuda, kernel, launch
from .footprint import kept_size, piece_steps

THREADS = 256


class Rounded:
    """Values (T, B, e) in place of an array: `values[steps]` gives those of some steps, in float32."""

    dtype = np.dtype("float32")

    def __init__(self, bits: Any, signals: Any) -> None:
        self.bits, self.signals = bits, signals  # (T, B, m) uint16, (T, B, e - m) float32

    @classmethod
    def zeros(cls, layout: Layout, steps: int, batch: int) -> Rounded:
        """Room for the values of a run."""
        xp, kept = array_module(), kept_size(layout)
        return cls(
            xp.zeros((steps, batch, kept), np.uint16),
            xp.zeros((steps, batch, layout.values_size - kept), cls.dtype),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        steps, batch, kept = self.bits.shape
        return steps, batch, kept + self.signals.shape[-1]

    def __getitem__(self, steps: Any) -> Any:
        bits, xp = self.bits[steps], array_module()
        out = xp.empty((*bits.shape[:-1], self.shape[-1]), self.dtype)
        out[..., bits.shape[-1] :] = self.signals[steps]
        _launch("widen", bits, out)
        return out

    def __setitem__(self, where: tuple[Any, slice], signals: Any) -> None:
        """values[..., a:b] = signals: the only columns that are written from outside."""
        kept = self.bits.shape[-1]
        self.signals[..., where[1].start - kept : where[1].stop - kept] = signals

    def keep(self, first: int, last: int, values: Any) -> None:
        """Round the values of some steps."""
        _launch("narrow", self.bits[first:last], values)


def _launch(name: str, bits: Any, values: Any) -> None:
    if bits.size:
        launch(
            _kernel(name), -(-bits.size // THREADS), THREADS, 0, bits.size, bits.shape[-1], values.shape[-1],
            bits.reshape(-1), values.reshape(-1).view(np.uint32),
        )  # fmt: skip


@cache
def _kernel(name: str) -> Any:
    """Of integers alone, as nothing is computed with the numbers."""

    def narrow(size, kept, row, bits, values):
        i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if i < size:
            u = int(values[i // kept * row + i % kept])
            # To the nearest, and of two to the even one; what is not a number stays that.
            rounded = (u + 0x7FFF + ((u >> 16) & 1)) >> 16
            bits[i] = 0x7FC0 if (u & 0x7FFFFFFF) > 0x7F800000 else rounded

    def widen(size, kept, row, bits, values):
        i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if i < size:
            values[i // kept * row + i % kept] = int(bits[i]) << 16

    return kernel({"narrow": narrow, "widen": widen}[name], "columns", "float32")


def pieces(tape: Tape) -> list[tuple[int, int]]:
    """(first, last) step of the pieces that a walk is cut into: one, unless values are rounded."""
    if not isinstance(tape.values, Rounded):
        return [(0, tape.steps)]
    each = piece_steps(tape.layout, tape.batch)
    return [(a, min(a + each, tape.steps)) for a in range(0, tape.steps, each)]


def piece(tape: Tape, first: int, last: int, values: Any = None) -> Tape:
    """Some steps of a tape as one of their own, with the values given, or else those that are kept."""
    if (first, last) == (0, tape.steps) and not isinstance(tape.values, Rounded):
        return tape
    return replace(
        tape, steps=last - first, input=tape.input[first:last],
        values=tape.values[first:last] if values is None else values,
        before=tape.before[first:last], after=tape.after[first:last],
        lengths=(tape.lengths - first).clip(0, last - first),
        resets=tape.resets[first * tape.batch : last * tape.batch],
    )  # fmt: skip


def begin(tape: Tape, first: int, initial: Any, before: Any, after: Any) -> None:
    """Write the state that a piece starts from; without resets it stands there already, after the step before."""
    if first and tape.resets.size:
        again = tape.resets.reshape(-1, tape.batch)[first, :, None]
        before[first] = array_module().where(again, initial, after[first - 1])
