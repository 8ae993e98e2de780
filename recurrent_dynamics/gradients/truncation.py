"""Truncated backpropagation through time (Williams and Peng 1990, BPTT(h; h')).

Time is cut into strides of k1 steps. The losses of a stride are backpropagated together, over the last k2 >= k1 steps
up to the stride's end: every loss counts exactly once, and a loss k steps before the end of its stride sees the past
k2 - k steps. The state is carried through all of it; only the gradient is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..cells import Cell
from ..checks import ArgumentError, integer
from ..engine import backward, check, forward
from ..results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LossGradient = NDArray[Any] | Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class WindowGradients(Result):
    """Gradient of the losses of one stride.

    Attributes
    ----------
    first, start, stop : int
        The losses of steps start..stop-1, backpropagated down to step first.
    params : dict
    x : ndarray (stop - first, B, N)
        Derivative by the input of steps first..stop-1.
    initial : dict
        Derivative by the state before step first: what the cut leaves out continues from here.
    states : dict
        Derivative by every state of the window, (stop - first, B, H) per slot.
    final : dict
        The state after step stop-1, (B, H) per slot: carries over to the next call.
    signals : dict
        Derivative by each signal of steps first..stop-1.
    """

    first: int
    start: int
    stop: int
    params: dict[str, NDArray[Any]]
    x: NDArray[Any]
    initial: dict[str, NDArray[Any]]
    states: dict[str, NDArray[Any]]
    final: dict[str, NDArray[Any]]
    signals: dict[str, NDArray[Any]]

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norm of the gradient by the state over the steps; see `recurrent_dynamics.plot.norms`."""
        from ..plot import norms

        return norms(
            self.states,
            first=self.first + 1,
            what=r"$\Vert\,\partial L / \partial\, \mathrm{state}_t\,\Vert$",
            ax=ax,
            **options,
        )


@dataclass(frozen=True)
class TruncatedGradients(Result):
    """Sum over all strides.

    Attributes
    ----------
    params : dict
    x : ndarray (T, B, N)
    initial : dict
        Derivative by the initial state, through the windows that reach it.
    final : dict
        The state after the last step, (B, H) per slot: the `initial` of the sequence that follows.
    signals : dict
        Derivative by each signal, as it came.
    """

    params: dict[str, NDArray[Any]]
    x: NDArray[Any]
    initial: dict[str, NDArray[Any]]
    final: dict[str, NDArray[Any]]
    signals: dict[str, NDArray[Any]]

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norm of the gradient by the input over the steps; see `recurrent_dynamics.plot.norms`."""
        from ..plot import norms

        return norms({"x": self.x}, what=r"$\Vert\,\partial L / \partial x_t\,\Vert$", ax=ax, **options)


def truncated_windows(
    cell: Cell,
    params: Mapping[str, NDArray[Any]],
    x: NDArray[Any],
    loss_gradient: LossGradient,
    *,
    window: int,
    stride: int,
    initial: Mapping[str, NDArray[Any]] | None = None,
    signals: Mapping[str, NDArray[Any]] | None = None,
) -> Iterator[WindowGradients]:
    """Truncated BPTT, one stride after the other.

    Parameters are read again at every stride: updating the arrays in place between two windows trains online, with
    the state carried on.

    Parameters
    ----------
    cell : Cell
    params : dict
    x : ndarray (T, B, N)
    loss_gradient : ndarray (T, B, H) or callable
        Derivative of the loss by the output of every step; or a function from the output (k, B, H) of a stride to
        it, for losses that add up over the steps. The function is called once for each stride, in order.
    window : int
        k2, how many steps the gradient reaches back, counted from the end of a stride.
    stride : int
        k1, how many steps lie between two updates; at most `window`.
    initial : dict, optional
    signals : dict of ndarray (T, B) or (T, B, H), optional
        The signals that the cell declares, as in `rd.forward`.

    Returns
    -------
    iterator of WindowGradients
        Each is computed when it is asked for.

    Raises
    ------
    ValueError
        When stride or window are out of range, or shapes do not agree.
    """
    check.a_cell(cell)
    x = check.array("x", x)
    if x.ndim != 3:
        raise ArgumentError("x", "have shape (T, B, N)", x.shape)
    if len(x) == 0:
        raise ArgumentError("x", "have at least one step", x.shape)
    spans = _spans(len(x), window, stride)
    slots = tuple(s.name for s in cell.slots)
    known = tuple(s for s in cell.signals if s != "x")
    given = {
        name: check.array(f"signals[{name!r}]", v)
        for name, v in check.mapping("signals", signals, known).items()
    }
    for name in known:
        if name in cell.masks and name not in given:
            continue
        shape = given[name].shape if name in given else None
        if shape is None or shape[:2] != x.shape[:2]:
            raise ArgumentError(
                "signals",
                f"have {name!r} of shape {x.shape[:2]}, or of that and a value for each unit, as cell "
                f"{cell.name!r} reads it",
                "none" if shape is None else shape,
            )

    before = None if initial is None else check.mapping("initial", initial, slots)

    def windows() -> Iterator[WindowGradients]:
        # The states before the steps where windows begin.
        kept: dict[int, dict[str, NDArray[Any]] | None] = {0: before}
        begins = {first for first, _, _ in spans}
        for first, start, stop in spans:
            now = {name: value[first:stop] for name, value in given.items()}
            run = forward(cell, params, x[first:stop], initial=kept[first], signals=now)
            for later in begins.intersection(range(start + 1, stop + 1)):
                kept[later] = {slot: values[later - first - 1] for slot, values in run.states.items()}
            kept = {step: state for step, state in kept.items() if step >= first}
            d_output = np.zeros_like(run.output)
            d_output[start - first :] = _loss_gradient(
                loss_gradient, run.output[start - first :], start, stop, len(x)
            )
            grads = backward(run, d_output)
            assert grads.x is not None
            yield WindowGradients(
                first, start, stop, dict(grads.params), grads.x, dict(grads.initial), dict(grads.states),
                dict(run.final), {name: grads.signals[name] for name in given},
            )  # fmt: skip

    return windows()  # so that wrong arguments are refused here and not with the first window


def truncated_bptt(
    cell: Cell,
    params: Mapping[str, NDArray[Any]],
    x: NDArray[Any],
    loss_gradient: LossGradient,
    *,
    window: int,
    stride: int,
    initial: Mapping[str, NDArray[Any]] | None = None,
    signals: Mapping[str, NDArray[Any]] | None = None,
) -> TruncatedGradients:
    """Gradient of a whole sequence by truncated BPTT: the sum over `truncated_windows`.

    It is the full gradient when the window reaches over the whole sequence, whatever the stride.

    Parameters
    ----------
    cell, params, x, loss_gradient, window, stride, initial, signals
        As in `truncated_windows`.

    Returns
    -------
    TruncatedGradients

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.lstm()
    >>> params = cell.init(input_size=2, hidden_size=3, rng=0, dtype="float64")
    >>> x = np.random.default_rng(0).standard_normal((12, 1, 2))
    >>> ones = np.ones((12, 1, 3))
    >>> full = rd.backward(rd.forward(cell, params, x), ones)
    >>> far = truncated_bptt(cell, params, x, ones, window=12, stride=4)
    >>> near = truncated_bptt(cell, params, x, ones, window=4, stride=4)
    >>> bool(np.allclose(far.params["U"], full.params["U"])), bool(np.allclose(near.params["U"], full.params["U"]))
    (True, False)
    """
    total: dict[str, NDArray[Any]] = {}
    d_initial: dict[str, NDArray[Any]] = {}
    final: dict[str, NDArray[Any]] = {}
    d_x = np.zeros_like(check.array("x", x))
    d_signals = {name: np.zeros_like(np.asarray(value)) for name, value in (signals or {}).items()}
    windows = truncated_windows(
        cell, params, x, loss_gradient, window=window, stride=stride, initial=initial, signals=signals
    )
    for part in windows:
        _add(total, part.params)
        d_x[part.first : part.stop] += part.x
        for name, value in part.signals.items():
            d_signals[name][part.first : part.stop] += value
        if part.first == 0:
            _add(d_initial, part.initial)
        final = part.final
    return TruncatedGradients(total, d_x, d_initial, final, d_signals)


def _add(total: dict[str, NDArray[Any]], part: Mapping[str, NDArray[Any]]) -> None:
    for name, value in part.items():
        total[name] = total[name] + value if name in total else value


def _loss_gradient(
    loss_gradient: LossGradient, output: NDArray[Any], start: int, stop: int, steps: int
) -> NDArray[Any]:
    if callable(loss_gradient):
        part = np.asarray(loss_gradient(output))
        expected = output.shape
    else:
        part = check.array("loss_gradient", loss_gradient)
        expected = (steps, *output.shape[1:])
    if part.shape != expected or part.dtype != output.dtype:
        raise ArgumentError(
            "loss_gradient", f"have dtype {output.dtype} and shape {expected}", f"{part.dtype} {part.shape}"
        )
    return check.finite("loss_gradient", part if callable(loss_gradient) else part[start:stop])


def _spans(steps: int, window: int, stride: int) -> list[tuple[int, int, int]]:
    """For every stride (first, start, stop): its losses are those of start..stop-1, sent back to first."""
    stride = integer("stride", stride, at_least=1)
    window = integer("window", window, at_least=1)
    if window < stride:
        raise ArgumentError("window", f"be at least the stride, {stride}, since every loss counts", window)
    ends = [(start, min(start + stride, steps)) for start in range(0, steps, stride)]
    return [(max(0, stop - window), start, stop) for start, stop in ends]
