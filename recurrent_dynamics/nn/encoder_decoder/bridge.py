"""From the end of an encoder to the begin of a decoder: a summary of the source, and the states made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError
from ..layers.base import Layer, Tree
from ..layers.context import Inputs, States, by_path
from ..layers.pointwise import dense
from ..layers.pull import Pull
from ..pooling import pooled, pooled_adjoint

STARTS = ("copy", "dense", "tanh", "zero")
SUMMARIES = ("states", "last", "mean")
PLAIN = Inputs(None, None, {}, None, {}, True, True)


class Summary(NamedTuple):
    """One vector (B, F) for each source, with the way back to (d_y, d_final) of the encoder."""

    value: NDArray[Any]
    back: Callable[[NDArray[Any]], tuple[NDArray[Any] | None, States]]


def summary_size(kind: str, encoder: Layer) -> int:
    """F."""
    if kind == "states":
        return sum(width for slots in encoder.state_widths.values() for width in slots.values())
    if encoder.output_size is None:
        raise ArgumentError("encoder", "have a width at its output", repr(encoder))
    return encoder.output_size


def summarized(kind: str, y: NDArray[Any], pull: Pull, lengths: NDArray[Any] | None) -> Summary:
    """The final states of all recurrent layers beside each other, or the output at the last step, or its mean."""
    if kind != "states":
        return Summary(pooled(y, kind, lengths), lambda d: (pooled_adjoint(d, pull.steps, kind, lengths), {}))
    final = {path: dict(run.final) for path, run in pull.runs.items()}
    return Summary(joined(final), lambda d: (None, split(d, widths_of(final))))


def widths_of(states: States) -> dict[str, dict[str, int]]:
    """The width of each slot of states (B, width)."""
    return {path: {slot: a.shape[1] for slot, a in slots.items()} for path, slots in states.items()}


def joined(states: States) -> NDArray[Any]:
    """All states (B, width) beside each other, in the order of their paths and slots."""
    return np.concatenate([a for slots in states.values() for a in slots.values()], axis=1)


def split(a: NDArray[Any], widths: Mapping[str, Mapping[str, int]]) -> States:
    """The inverse of `joined`."""
    flat = [width for slots in widths.values() for width in slots.values()]
    parts = iter(np.split(a, np.cumsum(flat)[:-1], axis=1))
    return {path: {slot: next(parts).copy() for slot in slots} for path, slots in widths.items()}


class Started(NamedTuple):
    """The initial states of a decoder by path, and the way back to (d_params, d_summary, d_final of the encoder)."""

    states: States
    back: Callable[[States], tuple[Tree, NDArray[Any] | None, States]]


class Start:
    """How the decoder's initial states come from the encoder: copied, by a linear map of the summary, or not at all."""

    def __init__(self, kind: str, encoder: Layer, decoder: Layer, size: int) -> None:
        self.kind, self.widths = kind, decoder.state_widths
        self.paths = list(encoder.state_widths)
        if kind == "copy":
            given = [list(slots.items()) for slots in encoder.state_widths.values()]
            wanted = [list(slots.items()) for slots in self.widths.values()]
            if given != wanted:
                raise ArgumentError(
                    "start",
                    "be 'dense' or 'tanh' for an encoder whose states are not those of the decoder one by one",
                    f"'copy' from {_shown(given)} to {_shown(wanted)}",
                )
        outputs = sum(width for slots in self.widths.values() for width in slots.values())
        self.layer = dense(size, outputs) if kind in ("dense", "tanh") else None

    def __call__(self, params: Mapping[str, Any], summary: NDArray[Any], pull: Pull) -> Started:
        if self.kind == "zero":
            return Started({}, lambda d: ({}, None, {}))
        if self.layer is None:
            final = [dict(run.final) for run in pull.runs.values()]
            return Started(dict(zip(self.widths, final, strict=True)), self._copied_back)
        value = self.layer.apply(params, summary[None], PLAIN)
        made = value.y[0] if self.kind == "dense" else np.tanh(value.y[0])

        def back(d_states: States) -> tuple[Tree, NDArray[Any] | None, States]:
            d = joined(d_states)
            if self.kind == "tanh":
                d = d * (1 - made * made)
            found = value.back(d[None], {})
            assert found.x is not None
            return found.params, found.x[0], {}

        return Started(split(made, self.widths), back)

    def _copied_back(self, d_states: States) -> tuple[Tree, NDArray[Any] | None, States]:
        return {}, None, dict(zip(self.paths, d_states.values(), strict=True))


def in_order(nested: Mapping[str, Any], widths: Mapping[str, Any]) -> States:
    """States by path in the order of the layers, from a dict nested as the parameters."""
    found = by_path("initial", nested, tuple(widths))
    return {path: {slot: found[path][slot] for slot in slots} for path, slots in widths.items()}


def added(a: NDArray[Any] | None, b: NDArray[Any] | None) -> NDArray[Any] | None:
    """Their sum; None stands for 0."""
    if a is None or b is None:
        return b if a is None else a
    return a + b


def summed(a: States, b: States) -> States:
    """The sum of states by path, either of them perhaps empty."""
    if not a or not b:
        return a or b
    return {path: {slot: x + b[path][slot] for slot, x in slots.items()} for path, slots in a.items()}


def _shown(states: list[list[tuple[str, int]]]) -> str:
    layers = (" and ".join(f"{slot} ({width})" for slot, width in slots) for slots in states)
    return "; ".join(layers) or "no states"
