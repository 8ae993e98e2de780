"""Vanishing, exploding or healthy: what the numbers of a trained network mean, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .gradient_flow import GradientFlow

VANISHING_BELOW = 1e-3  # relative norm of the gradient at the end of a training window
EXPLODING_ABOVE = 10.0  # the same at any lag
SPIKES_ABOVE = 100.0  # largest gradient norm of the second half of training, over the median
REACH_SHARE = 0.01  # the network learns back to the lag where this share of the gradient is left


@dataclass(frozen=True)
class Diagnosis:
    """What the flow of gradients says about a trained network.

    Attributes
    ----------
    verdict
        "vanishing", "exploding" or "healthy".
    sentences
        Two: what the gradients do, and how far back the network can learn.
    rule
        The thresholds of the verdict, in words.
    relative_norm
        Norm of the gradient of a single loss `truncation` steps back, relative to the one where it enters (lag 0).
    rate
        Its growth per step.
    reach
        Steps after which less than 1 % of the gradient is left; None if there is more at the longest lag
        measured.
    """

    verdict: str
    sentences: tuple[str, str]
    rule: str
    relative_norm: float
    rate: float
    reach: int | None


def diagnose(
    flows: Sequence[GradientFlow], truncation: int, gradient_norms: Sequence[float] | np.ndarray | None = None
) -> Diagnosis:
    """Say what the gradient of a single loss does on its way back through time.

    Of several layers the one counts whose gradient is largest at the end of a training window: what one layer
    carries back the network can learn from.

    Parameters
    ----------
    flows
        `gradient_flow` of a window's last loss alone, one for each layer.
    truncation
        The steps of a training window.
    gradient_norms
        Global norms before clipping in the course of training, if known: spikes count as explosion.

    Returns
    -------
    Diagnosis

    Examples
    --------
    >>> import numpy as np
    >>> from recurrent_dynamics.dynamics import gradient_flow
    >>> flow = gradient_flow(0.5 ** np.arange(30)[::-1].reshape(30, 1, 1))
    >>> found = diagnose([flow], truncation=20)
    >>> found.verdict, found.reach
    ('vanishing', 7)
    """
    if not flows:
        raise ValueError("flows must hold one GradientFlow for each layer, came none")
    if truncation < 1:
        raise ValueError(f"truncation must be at least 1, came {truncation}")
    lag = min(truncation, min(len(f.lags) for f in flows) - 1)
    best = max(flows, key=lambda f: f.relative[lag])
    relative, rate = float(best.relative[lag]), best.rate()
    peak = max(float(np.max(f.relative)) for f in flows)
    spike = _spike(gradient_norms)
    verdict = "healthy"
    if peak > EXPLODING_ABOVE or spike > SPIKES_ABOVE:
        verdict = "exploding"
    elif not relative >= VANISHING_BELOW:
        verdict = "vanishing"
    reaches = [f.reach(REACH_SHARE) for f in flows]
    reach = None if None in reaches else max(r for r in reaches if r is not None)
    rule = (
        f"Exploding: more than {EXPLODING_ABOVE:g} times the size at lag 0 at any lag, or a gradient norm "
        f"above {SPIKES_ABOVE:g} times its median in the second half of training. Vanishing: less than "
        f"{VANISHING_BELOW:g} of it at the end of a training window. Healthy: neither."
    )
    first = _what_it_does(verdict, relative, rate, lag, peak, spike)
    return Diagnosis(
        verdict, (first, _how_far(reach, truncation, int(best.lags[-1]))), rule, relative, rate, reach
    )


def _spike(gradient_norms: Sequence[float] | np.ndarray | None) -> float:
    norms = np.asarray([] if gradient_norms is None else gradient_norms, dtype=np.float64)
    later = norms[len(norms) // 2 :]
    if later.size < 2 or not np.median(later) > 0:
        return 0.0
    return float(later.max() / np.median(later))


def _what_it_does(verdict: str, relative: float, rate: float, lag: int, peak: float, spike: float) -> str:
    size = (
        f"{lag} steps back through time the gradient of a single loss has {relative:.2g} times the size "
        f"it starts with (a factor of {rate:.3f} a step)"
    )
    if verdict == "vanishing":
        return f"The gradients vanish: {size}, too little to learn from."
    if verdict == "healthy":
        return f"The gradients are healthy: {size}; they neither vanish nor explode within a training window."
    if peak > EXPLODING_ABOVE:
        return (
            "The gradients explode: on its way back the gradient of a single loss grows to "
            f"{peak:.2g} times the size it starts with."
        )
    return f"The gradients explode: late in training their norm jumped to {spike:.0f} times its median."


def _how_far(reach: int | None, truncation: int, longest: int) -> str:
    share = f"{REACH_SHARE:.0%}"
    if reach is None:
        return (
            f"More than {share} of the gradient is left at the longest lag measured, {longest} steps: the "
            f"network itself sets no limit there, but training looks back {truncation} steps at most, the "
            "length of its windows."
        )
    kept = f"Less than {share} of the gradient is left beyond {reach} steps: that is how far the network "
    if reach >= truncation:
        return kept + f"could look back; its training windows of {truncation} steps cut the view shorter."
    return kept + f"can learn from the past; training windows of {truncation} steps do not limit it."
