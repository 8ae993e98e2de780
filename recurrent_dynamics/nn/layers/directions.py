"""Sequences from their own end: a layer that reads them in that direction, and both directions side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import ArgumentError
from ...kernels.copying import turned
from .around import Around
from .base import Back, Layer, Value
from .composition import Concatenate, all_layers
from .context import Inputs, States


def bidirectional(forward: Layer, backward: Layer) -> Layer:
    """Two directions side by side: one layer reads each sequence from its begin, the other from its own end.

    The second layer begins at the last valid step of each sequence. Its outputs are turned again, so that what stands
    beside each other belongs to one step (Schuster and Paliwal 1997). Beyond the lengths the output is 0.

    Parameters
    ----------
    forward, backward : Layer
        Such as `recurrent`, or chains of them. They have parameters of their own, also where one layer is given twice.

    Returns
    -------
    Layer
        Its parameters are ``{"forward": ..., "backward": ...}``. The initial and final states have these keys too; the
        final state of the second direction is that after the first step of the sequence. A sequence of length 0 ends
        in its initial state.

    Raises
    ------
    ValueError, TypeError
        When they do not read the same.

    Notes
    -----
    A reset at a step parts two sequences: the second direction returns to its initial state before it takes the last
    step of the earlier one. Signals are turned with their steps. The signal "dt" is the time since the step before;
    for the second direction that is the time to the next step, and the "dt" of the first step stands at the last one.

    References
    ----------
    Schuster, Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45, 1997.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> layer = bidirectional(rd.nn.recurrent(rd.cells.lstm(), 4, input_size=2), rd.nn.recurrent(rd.cells.lstm(), 4))
    >>> x = np.ones((5, 3, 2), "float32")
    >>> y, pull = layer(layer.init(rng=0), x, rd.nn.Context(lengths=[5, 2, 0]))
    >>> y.shape, bool((y[0, 1, 4:] == pull.final["backward"]["h"][1]).all())
    ((5, 3, 8), True)
    """
    first, second = all_layers((forward, backward), ("forward", "backward"))
    return Bidirectional({"forward": first, "backward": Reversed(second)})


def reverse(x: NDArray[Any], lengths: ArrayLike | None = None) -> NDArray[Any]:
    """Each sequence from its own end; what stands beyond its length stays in place. It is its own inverse.

    Parameters
    ----------
    x : ndarray (T, B, ...)
    lengths : array_like of int (B,), optional
        All T when absent.

    Returns
    -------
    ndarray (T, B, ...)
        A copy.

    Examples
    --------
    >>> reverse(np.array([[1, 4], [2, 5], [3, 6]]), [3, 2])
    array([[3, 5],
           [2, 4],
           [1, 6]])
    """
    return turned(x) if lengths is None else turned(x, np.asarray(lengths))


class Reversed(Around):
    """A layer that reads each sequence from its own end."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.has_reversed = True
        self.classes, self.folds = layer.classes, layer.folds

    def __repr__(self) -> str:
        return repr(self.layer)

    @property
    def from_end(self) -> frozenset[str]:
        return frozenset(self.layer.cells) - self.layer.from_end

    def with_input(self, size: int) -> Layer:
        return Reversed(self.layer.with_input(size))

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        ends, steps = inputs.lengths, x.shape[:2]
        gaps = _gaps(steps, ends, inputs.reset) if "dt" in inputs.signals else None
        value = self.layer.apply(
            params,
            reverse(x, ends),
            replace(
                inputs, reset=_turned_reset(inputs.reset, ends), signals=self._turned(inputs, steps, gaps)
            ),
            table,
        )

        def back(d_y: NDArray[Any], d_final: States) -> Back:
            found = value.back(reverse(d_y, ends), d_final)
            signals = {name: reverse(d, ends) for name, d in found.signals.items()}
            if gaps is not None and "dt" in signals:
                moved = np.empty_like(signals["dt"])
                moved[gaps, np.arange(steps[1])] = signals["dt"]  # a permutation of the steps
                signals["dt"] = moved
            d_x = found.x if found.x is None or table is not None else reverse(found.x, ends)
            return Back(found.params, d_x, signals, found.runs, found.memory)

        return value._replace(y=reverse(value.y, ends), back=back)

    def _turned(
        self, inputs: Inputs, steps: tuple[int, ...], gaps: NDArray[Any] | None
    ) -> dict[str, NDArray[Any]]:
        """The signals in the other direction."""
        turned = {}
        for name, given in inputs.signals.items():
            a = np.asarray(given)
            if a.shape[:2] != steps:
                raise ArgumentError(f"signals[{name!r}]", f"have shape {steps} or {(*steps, 'H')}", a.shape)
            if name == "dt" and gaps is not None:
                a = a[gaps, np.arange(steps[1])]
            turned[name] = reverse(a, inputs.lengths)
        return turned


class Bidirectional(Concatenate):
    """What `bidirectional` returns."""

    name = "bidirectional"


def _turned_reset(reset: NDArray[Any] | None, ends: NDArray[Any] | None) -> NDArray[Any] | None:
    """Where the other direction returns to its initial state: before the step before a reset."""
    if reset is None:
        return None
    before = np.zeros_like(reset)
    before[:-1] = reset[1:]
    return reverse(before, ends)


def _gaps(steps: tuple[int, ...], ends: NDArray[Any] | None, reset: NDArray[Any] | None) -> NDArray[Any]:
    """(T, B): the step whose "dt" is the time between a step and the next one of its sequence.

    At the last step that is the first step of the sequence. Steps beyond the lengths stay.
    """
    T, B = steps
    t = np.arange(T)[:, None]
    last = np.zeros((T, B), bool)
    last[-1] = True
    begin = np.zeros((T, B), int)
    if reset is not None:
        last[:-1] |= reset[1:]
        begin = np.maximum.accumulate(np.where(reset, t, 0), axis=0)
    within: Any = True if ends is None else t < ends
    if ends is not None:
        last |= t == ends - 1
    return np.where(within, np.where(last, begin, t + 1), t)
