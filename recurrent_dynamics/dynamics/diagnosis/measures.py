"""What a diagnosis rests on: arrays of a training and of a network, and the numbers read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...checks import ArgumentError, ArgumentTypeError, numbers
from ...results import Result
from ..gradient_flow.norms import GradientFlow
from ..units.saturation import Saturation, saturation


@dataclass(frozen=True)
class Measure(Result):
    """A number that a diagnosis rests on.

    Attributes
    ----------
    name
        What it is.
    value
        The number.
    threshold
        What it is compared with.
    side
        "above" or "below": on which side of the threshold it speaks for trouble.
    """

    name: str
    value: float
    threshold: float
    side: str = "above"

    @property
    def speaks(self) -> bool:
        """Whether it is on that side."""
        return self.value > self.threshold if self.side == "above" else self.value < self.threshold

    def __str__(self) -> str:
        mark = "!" if self.speaks else " "
        return f"{mark} {self.name}: {self.value:.3g} (trouble {self.side} {self.threshold:g})"


@dataclass(frozen=True)
class Trial(Result):
    """Some updates on one batch again and again, as an experiment.

    Each number is the largest loss among them over the one before them, or over the first one of the training where
    that is larger: in a network that learnt its batch any step raises a loss near zero.

    Attributes
    ----------
    updates
        How many.
    rate
        The learning rate.
    as_it_is
        At that learning rate.
    slower
        At a tenth of it.
    contracted
        At the learning rate, with recurrent matrices scaled down until gradients do not grow; None if they did not.
    """

    updates: int
    rate: float
    as_it_is: float
    slower: float
    contracted: float | None = None


def as_flows(flows: Any) -> list[GradientFlow]:
    """One `GradientFlow` a layer, from such or from norms by lag: (K + 1,) or (layers, K + 1)."""
    if isinstance(flows, GradientFlow):
        return [flows]
    if isinstance(flows, Sequence) and flows and all(isinstance(f, GradientFlow) for f in flows):
        return list(flows)
    try:
        norms = numbers("flows", flows)
        norms = np.atleast_2d(norms) if norms.ndim else np.empty((0, 0))
    except TypeError:
        norms = np.empty((0, 0))
    if norms.ndim != 2 or not norms.size or not np.isfinite(norms).all() or (norms < 0).any():
        raise ArgumentError(
            "flows",
            "be one GradientFlow for each layer, or finite norms of at least 0 by lag, of shape (K + "
            "1,) or (layers, K + 1)",
            repr(flows),
        )
    return [GradientFlow(np.arange(len(n)), n, np.stack([n, n])) for n in norms]


def series(name: str, values: Any, *, finite: bool = False, norms: bool = False) -> np.ndarray | None:
    """A column of a history as float64, None if it is not there or empty. Norms are not negative."""
    if values is None:
        return None
    found = numbers(name, values)
    if found.ndim != 1 or (finite and not np.isfinite(found).all()) or (norms and (found < 0).any()):
        what = "finite numbers" if finite else "numbers of at least 0" if norms else "numbers"
        raise ArgumentError(name, f"be {what} in one row", repr(values))
    return found if found.size else None


def by_layer(name: str, units: Any) -> list[list[Saturation]]:
    """Saturation of gates or states by layer, from such or from activations (T, B, H) by name."""
    if units is None:
        return []
    one = isinstance(units, Mapping) or (
        isinstance(units, Sequence) and len(units) > 0 and isinstance(units[0], Saturation)
    )
    layers = [units] if one else units
    known = isinstance(layers, Sequence) and not isinstance(layers, str)
    if not known or not all(_is_layer(layer) for layer in layers):
        raise ArgumentTypeError(
            name,
            "be activations (T, B, H) by name, or a list of Saturation, or such for each layer",
            repr(units),
        )
    return [
        [_units(f"{name}[{key!r}]", key, values) for key, values in layer.items()]
        if isinstance(layer, Mapping)
        else list(layer)
        for layer in layers
    ]


def _is_layer(layer: Any) -> bool:
    listed = isinstance(layer, Sequence) and all(isinstance(units, Saturation) for units in layer)
    return isinstance(layer, Mapping) or (listed and not isinstance(layer, str))


def _units(argument: str, name: str, values: Any) -> Saturation:
    values = numbers(argument, values)
    if values.ndim != 3 or not values.size or not np.isfinite(values).all():
        raise ArgumentError(argument, "be finite, of shape (T, B, H)", f"shape {values.shape}")
    low, high = float(values.min()), float(values.max())
    thresholds = (0.1, 0.9) if 0 <= low and high <= 1 else (-0.9, 0.9) if -1 <= low and high <= 1 else None
    return saturation(values, thresholds, name=name)


def stuck(layer: Sequence[Saturation]) -> tuple[float, str]:
    """The largest share of stuck units in a state of a layer, and its name."""
    found = (0.0, "")
    for units in layer:
        found = max(found, (float(units.stuck.mean()), units.name))
    return found


def level(losses: np.ndarray) -> float:
    """Where a loss curve ended: the median of its last tenth."""
    return float(np.median(losses[-max(1, len(losses) // 10) :]))


def rise(losses: np.ndarray) -> float:
    """The largest loss over the first one; infinite where a loss is no number."""
    if not np.isfinite(losses).all():
        return float("inf")
    return float(losses.max() / losses[0]) if losses[0] > 0 else 1.0


def spike(norms: np.ndarray) -> tuple[float, int]:
    """The largest gradient norm in the second half of training over the median, and at which update.

    The median is that of the second half, or of the first where that is larger: in a training that succeeds gradients
    nearly vanish in the end, and any batch that is not known by heart stands out.
    """
    half = len(norms) // 2
    later = norms[half:]
    if not np.isfinite(later).all():
        return float("inf"), half + int(np.argmin(np.isfinite(later)))
    middle = max(float(np.median(later)), float(np.median(norms[:half])) if half else 0.0)
    if later.size < 2 or not middle > 0:
        return 0.0, half
    return float(later.max()) / middle, half + int(np.argmax(later))


def widening(training: np.ndarray, validation: np.ndarray) -> float:
    """How much the gap of held-out over training loss grows along the window, as a share of the held-out loss there.

    Between the first and the last third of the steps that have losses.
    """
    known = np.flatnonzero(np.isfinite(training) & np.isfinite(validation))
    third = len(known) // 3
    if third < 1:
        return 0.0
    gap = (validation - training)[known]
    end = float(validation[known][-third:].mean())
    return float(gap[-third:].mean() - gap[:third].mean()) / end if end > 0 else 0.0
