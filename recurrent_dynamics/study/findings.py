"""What was measured, in the words of the captions: nothing is said that the numbers do not hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..dynamics import LyapunovSpectrum
from ..dynamics.diagnosis.words import plus_minus, sign
from . import captions
from .measure import Measurements


def baselines(levels: Mapping[str, float], characters: int) -> str:
    """Losses to compare with, each with its value."""
    return "; ".join(
        captions.BASELINES[name].format(characters=characters, value=value) for name, value in levels.items()
    )


def exponents(found: Measurements) -> str:
    """The first Lyapunov exponent of every layer and what it means, as far as its error lets it mean anything."""
    return "; ".join(
        f"layer {index + 1}, {memory(layer.portrait.spectrum)}"
        for index, layer in enumerate(found.layers)
        if layer.portrait.spectrum is not None
    )


def memory(spectrum: LyapunovSpectrum) -> str:
    """The first exponent with its error, and the time in which a small difference grows or fades."""
    value, error = float(spectrum.exponents[0]), float(spectrum.standard_errors[0])
    words = plus_minus(value, error)
    if not np.isfinite(value):
        return f"{words}: a small difference is gone after one step"
    which = sign(value, error)
    if not which:
        return f"{words}, which cannot be told from 0: whether small differences grow or fade is not known"
    time, early, late = (1 / abs(v) for v in (value, abs(value) + error, abs(value) - error))
    steps = f"{_steps(time)} steps ({_steps(early)} to {_steps(late)} within one standard error)"
    if time > spectrum.steps:
        steps += f", a time longer than the {spectrum.steps} steps that were measured"
    verb = "grow e-fold" if which > 0 else "fade to 1/e"
    return f"{words}: small differences {verb} in {steps}"


def _steps(count: float) -> str:
    return f"{count:.1f}" if count < 10 else f"{count:,.0f}"


def growth(found: Measurements) -> str:
    """The rates of gradients beside the exponents; empty where a gradient is 0 or there is one window alone."""
    rates: dict[str, list[str]] = {"all": [], "late": []}
    last = found.window - 1
    half = max(1, last // 2)
    for index, layer in enumerate(found.layers):
        flow = layer.flow
        if flow.per_window is None or flow.windows < 2 or last < 3:
            return ""
        if not (flow.per_window[1:] > 0).all():
            return ""
        for name, skip in (("all", 1), ("late", half)):
            rate = flow.growth(skip)
            rates[name].append(f"{plus_minus(rate.rate, rate.standard_error)} in layer {index + 1}")
    words = {name: ", ".join(several) for name, several in rates.items()}
    return captions.GROWTH.format(half=half, last=last, **words)


def rest(found: Measurements) -> str:
    """Whether the fixed points lie among the states of the text."""
    several = [held for layer in found.layers for held in layer.portrait.held]
    distances = np.concatenate([held.distance for held in several])
    inside = int(np.sum(distances <= 1))
    if not distances.size:
        return "None was found: under none of these inputs is a state known in which a layer comes to rest."
    count = distances.size
    if not inside:
        return (
            f"All {count} that were found lie further out than the farthest state of the text, {distances.min():.2g} "
            f"to {distances.max():.2g} times as far: the text that was read visits none of them."
        )
    which = f"All {count}" if inside == count else f"Of the {count} that were found {inside}"
    return f"{which} lie no further from the mean than the farthest state of the text."


def time_scales(found: Measurements) -> str:
    """The median time scale of every layer's slots, and that which the slowest tenth of the units pass."""
    words = []
    for index, layer in enumerate(found.layers):
        for scales in layer.time_scales:
            middle, slow = np.quantile(scales.steps, (0.5, 0.9), method="higher")
            words.append(
                f"Layer {index + 1}, {scales.slot}: median {_scale(middle)} steps, the slowest tenth of the units "
                f"{_scale(slow)} or more"
            )
    return ". ".join(words) + "."


def _scale(steps: float) -> str:
    return "∞" if np.isinf(steps) else f"{steps:.2g}" if steps < 100 else f"{steps:,.0f}"
