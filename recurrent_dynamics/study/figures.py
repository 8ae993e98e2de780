"""The figures of a report, as SVG: one panel for each layer where layers differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plot
from ..dynamics import Saturation
from ..training import History
from .measure import Layer, Measurements

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAJECTORIES = 4


def learning_curve(history: History) -> str:
    """Training and validation loss over the updates, in bits per character."""
    figure, (ax,) = plot.panels(1, size=(7.5, 3.6))
    plot.learning_curve(
        history["update"],
        history["loss"] / np.log(2),
        history.validation["update"],
        history.validation["loss"] / np.log(2),
        ax=ax,
    )
    return plot.svg(figure)


def optimization(history: History, limit: float | None) -> str:
    """The gradient's norm before and after clipping, and the step length in weights, over the updates."""
    figure, (left, right) = plot.panels(2, size=(4.6, 3.2))
    plot.clipping(history["update"], history["grad_norm"], history["clipped_norm"], limit=limit, ax=left)
    plot.step_lengths(history["update"], history["update_norm"], ax=right)
    return plot.svg(figure)


def gradient_flow(found: Measurements, truncation: int) -> str:
    """Gradient of the last loss alone, and of all losses, against the lag; a colour for each layer."""
    figure, panels = plot.panels(2, size=(4.6, 3.4), sharey=True)
    titles = ("last loss of the window alone", "losses of all steps")
    for ax, title, which in zip(panels, titles, ("flow", "flow_all"), strict=True):
        for index, layer in enumerate(found.layers):
            label = f"layer {index + 1}"
            plot.gradient_flow(getattr(layer, which), label=label, index=index, truncation=truncation, ax=ax)
        ax.set_title(title, fontsize="medium")
    panels[0].set_ylabel(r"$\Vert\,\partial L_T / \partial h_t\,\Vert$")
    panels[1].set_ylabel(r"$\Vert\,\partial \sum_s L_s / \partial h_t\,\Vert$")
    return plot.svg(figure)


def singular_values(found: Measurements) -> str:
    """Singular values of the Jacobian products over their length, a panel for each layer."""
    figure, panels = _per_layer(found, sharey=True)
    for index, (ax, layer) in enumerate(zip(panels, found.layers, strict=True)):
        plot.singular_values(layer.products, index=index, ax=ax)
        ax.set_title(f"layer {index + 1}", fontsize="medium")
    return plot.svg(figure)


def paths(found: Measurements) -> str | None:
    """The direct path against the rest, a panel for each layer and slot; None if there is no direct path."""
    several = [(f"layer {i + 1}", p) for i, layer in enumerate(found.layers) for p in layer.paths]
    if not several:
        return None
    columns = min(2, len(several))
    figure, panels = plot.panels(columns, -(-len(several) // columns), size=(4.6, 3.4), sharey=True)
    for ax, (title, path) in zip(panels, several, strict=False):
        plot.path_norms(path, ax=ax)
        ax.set_title(f"{title}, slot {path.slot}", fontsize="medium")
    for ax in panels[len(several) :]:
        ax.remove()
    return plot.svg(figure)


def spectra(found: Measurements) -> str | None:
    """The leading Lyapunov exponents of all layers; None if there are none."""
    known = [(i, layer.portrait.spectrum) for i, layer in enumerate(found.layers) if layer.portrait.spectrum]
    if not known:
        return None
    figure, (ax,) = plot.panels(1, size=(6.5, 3.5))
    for index, spectrum in known:
        spectrum.plot(ax=ax, index=index, label=f"layer {index + 1}")
    return plot.svg(figure)


def fixed_points(found: Measurements, characters: Sequence[str]) -> str:
    """Where every layer drifts while a character is repeated, and its fixed points there, a panel for each layer."""
    figure, panels = _per_layer(found, sharey=False)
    for index, (ax, layer) in enumerate(zip(panels, found.layers, strict=True)):
        held = layer.portrait.held
        plot.held_inputs(
            layer.portrait.trajectories[:, :TRAJECTORIES],
            [h.path for h in held],
            [h.points for h in held],
            labels=[repr(characters[h.token]) for h in held],
            ax=ax,
        )
        ax.set_title(f"layer {index + 1}", fontsize="medium")
    return plot.svg(figure)


def saturation(found: Measurements) -> str | None:
    """Every unit by its share of saturated steps, a panel for each gate or state; None if nothing has a range."""
    by_layer = [{result.name: result for result in _with_range(layer)} for layer in found.layers]
    names = list(dict.fromkeys(name for results in by_layer for name in results))
    if not names:
        return None
    columns = min(3, len(names))
    figure, panels = plot.panels(columns, -(-len(names) // columns), size=(3.1, 3.1))
    for ax, name in zip(panels, names, strict=False):
        for index, results in enumerate(by_layer):
            if name in results:
                results[name].plot(ax=ax, index=index, label=f"layer {index + 1}")
    panels[0].legend(frameon=False, fontsize="small", loc="upper right")
    for ax in panels[len(names) :]:
        ax.remove()
    return plot.svg(figure)


def time_scales(found: Measurements) -> str | None:
    """Distribution of the units' time scales; None if no slot has any."""
    named = [
        (f"layer {i + 1}, {t.slot}", t) for i, layer in enumerate(found.layers) for t in layer.time_scales
    ]
    if not named:
        return None
    figure, (ax,) = plot.panels(1)
    plot.time_scales([t for _, t in named], labels=[name for name, _ in named], ax=ax)
    return plot.svg(figure)


def _with_range(layer: Layer) -> list[Saturation]:
    return [result for result in (*layer.gates, *layer.states) if result.thresholds is not None]


def _per_layer(found: Measurements, sharey: bool) -> tuple[Figure, list[Any]]:
    columns = min(2, len(found.layers))
    figure, panels = plot.panels(columns, -(-len(found.layers) // columns), size=(4.6, 3.4), sharey=sharey)
    for ax in panels[len(found.layers) :]:
        ax.remove()
    return figure, panels[: len(found.layers)]
