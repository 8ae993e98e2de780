"""How the gradient of a loss fades or grows on its way back through time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import ArgumentError, integer, number, numbers, reals
from ...results import Tabular

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class GradientFlow(Tabular):
    """Norm of the gradient with respect to the state, by its distance from the end of a window.

    Attributes
    ----------
    lags
        The distance T - t of the state from the last step, 0, 1, ..., shape (T,).
    norms
        Mean over the windows of ||d loss / d state_t||, shape (T,).
    spread
        10 % and 90 % quantiles over the windows, shape (2, T).
    per_window
        The norm in each window, shape (T, B); None where only means are known.
    """

    lags: np.ndarray
    norms: np.ndarray
    spread: np.ndarray
    per_window: np.ndarray | None = None

    @property
    def windows(self) -> int:
        """How many windows the mean was taken over, as far as that is known: 1 for means alone."""
        return 1 if self.per_window is None else self.per_window.shape[1]

    @property
    def entry(self) -> int:
        """The lag at which the gradient enters: the first one where the norm is not 0 (0 if it always is).

        It is 0 for the slot that the loss reads. The cell state of an LSTM is read only by the next step, so that a
        loss of the output enters it at lag 1.
        """
        return int(np.argmax(self.norms > 0))

    @property
    def relative(self) -> np.ndarray:
        """The norms divided by the one at `entry`, shape (T,); 0 where there is no gradient at all."""
        start = self.norms[self.entry]
        return self.norms / start if start > 0 else np.zeros_like(self.norms)

    @property
    def median(self) -> np.ndarray:
        """The norm in a typical window: the median over them, shape (T,)."""
        return self.norms if self.per_window is None else np.median(self.per_window, axis=1)

    @property
    def typical(self) -> np.ndarray:
        """The median divided by that at `entry`, shape (T,): `relative` of a typical window."""
        median = self.median
        start = median[self.entry]
        return median / start if start > 0 else np.zeros_like(median)

    def standard_error(self, lag: int) -> float:
        """Standard error of `relative` at a lag, from the spread over the windows; NaN for fewer than two."""
        lag = integer("lag", lag, at_least=0, at_most=len(self.lags) - 1)
        start = self.norms[self.entry]
        if self.per_window is None or self.windows < 2 or not start > 0:
            return float("nan")
        # Of a ratio of two means over the same windows, to first order.
        residual = self.per_window[lag] - self.relative[lag] * self.per_window[self.entry]
        return float(residual.std(ddof=1) / np.sqrt(self.windows) / start)

    def carried(self, lag: int, share: float = 0.1) -> float:
        """What the windows with the largest norms at a lag, this share of all, add to the mean there; NaN for none."""
        lag = integer("lag", lag, at_least=0, at_most=len(self.lags) - 1)
        number("share", share, above=0, at_most=1)
        if self.per_window is None or not self.norms[lag] > 0:
            return float("nan")
        largest = np.sort(self.per_window[lag])[::-1][: max(1, round(share * self.windows))]
        return float(largest.sum() / self.per_window[lag].sum())

    def reach(self, share: float = 0.01) -> int | None:
        """The first lag at which the norm is below `share` of that at `entry`; None if it nowhere is.

        Examples
        --------
        >>> import numpy as np
        >>> gradient_flow(0.1 ** np.arange(5)[::-1].reshape(5, 1, 1)).reach(0.05)
        2
        """
        number("share", share, above=0)
        below = np.flatnonzero(self.relative[self.entry :] < share)
        return self.entry + int(below[0]) if below.size else None

    def rate(self, lag: int | None = None) -> float:
        """Growth per step back, the geometric mean over the steps from `entry` to a lag.

        So many steps in a row at this rate make `relative` at the lag, which by default is the last one with a norm
        above 0. NaN where it is not behind `entry`.
        """
        if lag is None:
            lag = int(np.max(np.flatnonzero(self.norms > 0), initial=0))
        lag = integer("lag", lag, at_least=0, at_most=len(self.lags) - 1)
        steps = lag - self.entry
        return float(self.relative[lag] ** (1 / steps)) if steps > 0 else float("nan")

    def growth(self, skip: int = 0) -> GradientGrowth:
        """The same as a mean over windows of logarithms, from lag `skip` to the last; see `gradient_growth`.

        Raises
        ------
        ValueError
            Where fewer than two windows are known, or one has no gradient.
        """
        if self.per_window is None or self.windows < 2:
            raise ArgumentError("the windows", "be known, at least two", self.windows)
        return _growth(self.per_window, skip)

    def _columns(self) -> Mapping[str, Any]:
        return {
            "lag": self.lags,
            "norm": self.norms,
            "low": self.spread[0],
            "high": self.spread[1],
            "relative": self.relative,
        }

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norm over the lag; see `recurrent_dynamics.plot.gradient_flow`."""
        from ...plot import gradient_flow

        return gradient_flow(self, ax=ax, **options)


def gradient_flow(d_states: np.ndarray) -> GradientFlow:
    """Norm of d loss / d state_t against the lag T - t, averaged over windows.

    With the gradient of the last loss alone this shows what vanishes: every entry has passed T - t steps of
    the recurrence [1]_. Under a loss at every step each state also receives its own loss's gradient, whose
    norm hides how little of the later ones is left.

    Parameters
    ----------
    d_states
        Gradients with respect to one slot of the state, as `rd.backward(...).states["h"]` gives them: shape
        (T, B, H) for B windows.

    Returns
    -------
    GradientFlow

    References
    ----------
    .. [1] Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> flow = gradient_flow(0.5 ** np.arange(3)[::-1].reshape(3, 1, 1))
    >>> flow.lags, flow.norms
    (array([0, 1, 2]), array([1.  , 0.5 , 0.25]))
    >>> round(flow.rate(), 12)
    0.5
    """
    d_states = reals("d_states", d_states)
    if d_states.ndim != 3 or not d_states.size:
        raise ArgumentError("d_states", "have shape (T, B, H)", d_states.shape)
    if not np.isfinite(d_states).all():
        step = int(np.flatnonzero(~np.isfinite(d_states).all(axis=(1, 2)))[-1])
        raise ArgumentError("d_states", "be finite", f"other numbers at step {step}")
    norms = _window_norms(d_states)
    spread = np.quantile(norms, (0.1, 0.9), axis=1)
    return GradientFlow(np.arange(len(norms)), norms.mean(axis=1), spread, norms)


def _window_norms(d_states: np.ndarray) -> np.ndarray:
    """Norms (T, B) by lag, scaled on the way, so that squares neither vanish nor overflow."""
    scale = np.abs(d_states).max(axis=2, keepdims=True).astype(np.float64)
    rows = np.divide(d_states, scale, out=np.zeros(d_states.shape), where=scale > 0)
    return (np.linalg.norm(rows, axis=2) * scale[..., 0])[::-1]


@dataclass(frozen=True)
class GradientGrowth(Tabular):
    """How fast the gradient of a window's last loss grows on its way back, with its error.

    Attributes
    ----------
    rate
        Mean over the windows of the growth of ``ln |d loss / d state_t|``, in nats per step back: over long times the
        first Lyapunov exponent.
    standard_error
        From the spread over the windows.
    per_window
        Shape (B,).
    """

    rate: float
    standard_error: float
    per_window: np.ndarray

    def _columns(self) -> Mapping[str, Any]:
        return {"window": np.arange(len(self.per_window)), "rate": self.per_window}

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the rates of the windows; see `recurrent_dynamics.plot.gradient_growth`."""
        from ...plot import gradient_growth

        return gradient_growth(self, ax=ax, **options)


def gradient_growth(d_states: np.ndarray, skip: int = 0) -> GradientGrowth:
    """The growth rate of gradients, as a mean of logarithms, to be compared with a Lyapunov exponent.

    Parameters
    ----------
    d_states
        Gradients of the last loss alone by the state, shape (T, B, H) for B windows, at least two. For long windows in
        float64, that they do not underflow.
    skip
        How many steps back the direction of the gradient may take to align itself; they are left out.

    Returns
    -------
    GradientGrowth

    Raises
    ------
    ValueError
        Naming the argument, what was expected and what came: where a gradient is 0 there is no logarithm.

    Examples
    --------
    >>> import numpy as np
    >>> halved = 0.5 ** np.arange(9.0)[::-1].reshape(9, 1, 1) * np.ones((1, 2, 3))
    >>> bool(np.isclose(gradient_growth(halved).rate, np.log(0.5)))
    True
    """
    d_states = numbers("d_states", d_states)
    if d_states.ndim != 3 or not d_states.size or d_states.shape[1] < 2 or not np.isfinite(d_states).all():
        raise ArgumentError(
            "d_states", "be finite, of shape (T, B, H) with B at least 2", f"shape {d_states.shape}"
        )
    return _growth(_window_norms(d_states), skip)


def _growth(norms: np.ndarray, skip: int) -> GradientGrowth:
    skip = integer("skip", skip, at_least=0, at_most=len(norms) - 2)
    if not (norms > 0).all():
        first = int(np.argmin((norms > 0).all(axis=1)))
        raise ArgumentError("d_states", "not be 0 at any step", f"0 everywhere {first} steps back")
    logs = np.log(norms)
    rates = (logs[-1] - logs[skip]) / (len(logs) - 1 - skip)
    return GradientGrowth(float(rates.mean()), float(rates.std(ddof=1) / np.sqrt(len(rates))), rates)
