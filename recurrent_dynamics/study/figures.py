"""The figures of a report, as SVG: each panel by itself, so that a narrow screen can stack them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import plot
from ..dynamics import Saturation
from ..training import History
from .measure import Layer, Measurements
from .names import character

TRAJECTORIES = 4
PANEL, SQUARE = (4.4, 3.3), (2.9, 2.9)  # inches


def learning_curve(history: History, levels: Mapping[str, float]) -> list[str]:
    """Training and validation loss over the updates, in bits per character, and losses to compare with."""
    ax = _panel((5.2, 3.8))
    plot.learning_curve(
        history["update"],
        history["loss"] / np.log(2),
        history.validation["update"],
        history.validation["loss"] / np.log(2),
        levels=levels,
        ax=ax,
    )
    return _svg([ax])


def optimization(history: History, limit: float | None) -> list[str]:
    """The gradient's norm before and after clipping, and the step length in weights, over the updates."""
    left, right = _panel(), _panel()
    plot.clipping(history["update"], history["grad_norm"], history["clipped_norm"], limit=limit, ax=left)
    plot.step_lengths(history["update"], history["update_norm"], ax=right)
    return _svg([left, right])


def gradient_flow(found: Measurements, truncation: int) -> list[str]:
    """Gradient of the last loss alone, and of all losses, against the lag; a colour for each layer."""
    panels = [_panel(), _panel()]
    titles = ("last loss of the window alone", "losses of all steps")
    for ax, title, which in zip(panels, titles, ("flow", "flow_all"), strict=True):
        for index, layer in enumerate(found.layers):
            label = f"layer {index + 1}"
            plot.gradient_flow(getattr(layer, which), label=label, index=index, truncation=truncation, ax=ax)
        ax.set_title(title, fontsize="medium")
    _share_y(panels)
    return _svg(panels)


def singular_values(found: Measurements) -> list[str]:
    """Singular values of the Jacobian products over their length, a panel for each layer."""
    panels = [_panel() for _ in found.layers]
    for index, (ax, layer) in enumerate(zip(panels, found.layers, strict=True)):
        plot.singular_values(layer.products, index=index, ax=ax)
        ax.set_title(f"layer {index + 1}", fontsize="medium")
    _share_y(panels)
    return _svg(panels)


def paths(found: Measurements) -> list[str]:
    """The direct path against the rest, a panel for each layer and slot; empty if there is no direct path."""
    panels = []
    for index, layer in enumerate(found.layers):
        for path in layer.paths:
            panels.append(_panel())
            plot.path_norms(path, ax=panels[-1])
            panels[-1].set_title(f"layer {index + 1}, state {path.slot}", fontsize="medium")
    _share_y(panels)
    return _svg(panels)


def spectra(found: Measurements) -> list[str]:
    """The leading Lyapunov exponents of all layers; empty if there are none."""
    known = [(i, layer.portrait.spectrum) for i, layer in enumerate(found.layers) if layer.portrait.spectrum]
    if not known:
        return []
    ax = _panel((5.2, 3.3))
    for index, spectrum in known:
        spectrum.plot(ax=ax, index=index, label=f"layer {index + 1}")
    return _svg([ax])


def fixed_points(found: Measurements, characters: Sequence[str]) -> list[str]:
    """Where every layer drifts while a character is repeated, and its fixed points there, a panel for each layer."""
    panels = [_panel((4.4, 4.1)) for _ in found.layers]
    for index, (ax, layer) in enumerate(zip(panels, found.layers, strict=True)):
        held = layer.portrait.held
        plot.held_inputs(
            layer.portrait.trajectories[:, :TRAJECTORIES],
            [h.path for h in held],
            [h.points for h in held],
            labels=[character(characters[h.token]) for h in held],
            ax=ax,
        )
        ax.set_title(f"layer {index + 1}", fontsize="medium")
        below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 2}
        ax.legend(title="repeated character", frameon=False, fontsize="small", **below)
    return _svg(panels)


def saturation(found: Measurements) -> list[str]:
    """Every unit by its share of saturated steps, a panel for each gate or state; empty if nothing has a range."""
    by_layer = [{result.name: result for result in _with_range(layer)} for layer in found.layers]
    names = list(dict.fromkeys(name for results in by_layer for name in results))
    panels = [_panel(SQUARE) for _ in names]
    for ax, name in zip(panels, names, strict=True):
        for index, results in enumerate(by_layer):
            if name in results:
                results[name].plot(ax=ax, index=index, label=f"layer {index + 1}")
    for ax in panels[:1]:
        ax.legend(frameon=False, fontsize="small", loc="upper right")
    return _svg(panels)


def time_scales(found: Measurements) -> list[str]:
    """Distribution of the units' time scales; empty if no slot has any."""
    named = [
        (f"layer {i + 1}, {t.slot}", t) for i, layer in enumerate(found.layers) for t in layer.time_scales
    ]
    if not named:
        return []
    ax = _panel((5.2, 3.3))
    plot.time_scales([t for _, t in named], labels=[name for name, _ in named], ax=ax)
    return _svg([ax])


def _with_range(layer: Layer) -> list[Saturation]:
    return [result for result in (*layer.gates, *layer.states) if result.thresholds is not None]


def _panel(size: tuple[float, float] = PANEL) -> Any:
    return plot.panels(1, size=size)[1][0]


def _share_y(panels: Sequence[Any]) -> None:
    """Give panels that are compared one scale."""
    limits = np.array([ax.get_ylim() for ax in panels]).reshape(-1, 2)
    for ax in panels:
        ax.set_ylim(limits[:, 0].min(), limits[:, 1].max())


def _svg(panels: Sequence[Any]) -> list[str]:
    """Each panel as SVG without a ground of its own: the page has one, light or dark."""
    for ax in panels:
        ax.figure.patch.set_alpha(0)
        ax.patch.set_alpha(0)
    return [plot.svg(ax.figure) for ax in panels]
