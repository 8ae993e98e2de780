"""Figures of what happens to perturbations and gradients over many steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks import instance, integer, number
from .options import line
from .style import GREY, INK, axes, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import DirectProducts, GradientFlow, JacobianProducts, PathNorms

WINDOW, TYPICAL = "training window", "median window"  # in the legend, the last of all


def gradient_flow(
    flow: GradientFlow,
    *,
    label: str | None = None,
    index: int = 0,
    truncation: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the norm of d loss / d h over the lag: its mean over windows, their median, and a band of their middle 80 %.

    The mean lies above the median, and even above the band, where a few windows carry most of the gradient.

    Parameters
    ----------
    flow
        What to draw; call again with the same `ax` for another layer.
    label
        For the legend.
    index
        Which colour.
    truncation
        Length of the training windows, marked by a vertical line.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import GradientFlow

    instance("flow", flow, GradientFlow)
    line(index, label)
    if truncation is not None:
        integer("truncation", truncation, at_least=1)
    ax = axes(ax)
    # Zeros have no place on the scale: bands end at the smallest number there, lines where they pass it.
    smallest = max(1e-20 * float(flow.norms.max()), np.finfo(float).tiny)
    lags = flow.lags[flow.entry :]
    low, high = (np.maximum(v[flow.entry :], smallest) for v in flow.spread)
    norms, median = (
        np.where(v[flow.entry :] >= smallest, v[flow.entry :], np.nan) for v in (flow.norms, flow.median)
    )
    ax.fill_between(lags, low, high, color=colour(index), alpha=0.15, linewidth=0)
    known = ax.get_legend_handles_labels()[1]  # several layers have one window
    ax.plot(lags, norms, color=colour(index), label=label)
    if flow.windows > 1:
        ax.plot(
            lags,
            median,
            "--",
            color=colour(index),
            linewidth=0.9,
            label=None if TYPICAL in known else TYPICAL,
        )
    ax.set_yscale("log")
    if truncation is not None and truncation <= flow.lags[-1]:
        ax.axvline(
            truncation, color=GREY, linestyle=":", linewidth=1, label=None if WINDOW in known else WINDOW
        )
    ax.set_xlabel("lag $T - t$ (steps)")
    ax.set_ylabel(r"$\Vert\,\partial L / \partial h_t\,\Vert$")
    last = (TYPICAL, WINDOW)
    named = sorted(
        zip(*ax.get_legend_handles_labels(), strict=True),
        key=lambda entry: last.index(entry[1]) if entry[1] in last else -1,
    )
    if named:
        ax.legend(*zip(*named, strict=True), frameon=False)
    return ax


def singular_values(
    products: JacobianProducts, *, index: int = 0, floor: float = 1e-12, ax: Axes | None = None
) -> Axes:
    """Draw singular values of Jacobian products over their length: the largest, and shares of all of them.

    Everything is averaged over the sequences in the logarithm.

    Parameters
    ----------
    products
        What to draw.
    index
        Which colour.
    floor
        Smaller values are not shown.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import JacobianProducts

    instance("products", products, JacobianProducts)
    integer("index", index)
    number("floor", floor, above=0)
    ax = axes(ax)
    logs = products.log_singular_values
    levels = np.quantile(
        np.maximum(logs, np.log(np.finfo(float).tiny)), (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0), axis=2
    )
    bands = np.exp(levels.mean(axis=2))
    ax.plot(products.steps, bands[6], "o-", color=colour(index), markersize=4, label="largest")
    ax.plot(products.steps, bands[3], "s--", color=colour(index), markersize=4, label="median")
    for low, high, strength in ((0, 6, 0.12), (1, 5, 0.18), (2, 4, 0.25)):
        label = "middle 50, 80, 100 %" if strength == 0.25 else None
        ax.fill_between(
            products.steps,
            bands[low],
            bands[high],
            color=colour(index),
            alpha=strength,
            linewidth=0,
            label=label,
        )
    ax.axhline(1, color=INK, linewidth=0.8)
    _logarithmic(ax, products.steps)
    if bands.min() < floor:
        ax.set_ylim(bottom=floor, top=max(3.0, 3 * bands.max()))
    ax.set_ylabel("singular value of the product")
    ax.legend(loc="lower left", framealpha=0.8, edgecolor="none", fontsize="small")  # it stands on the bands
    return ax


def path_norms(paths: PathNorms, *, floor: float = 1e-12, ax: Axes | None = None) -> Axes:
    """Draw the direct path against the rest of the Jacobian products over their length."""
    from ..dynamics import PathNorms

    instance("paths", paths, PathNorms)
    number("floor", floor, above=0)
    ax = axes(ax)
    direct, rest = (
        np.where(v > floor, v, np.nan) for v in (paths.direct.mean(axis=1), paths.rest.mean(axis=1))
    )
    ax.plot(paths.steps, direct, "o-", color=colour(2), markersize=4, label="direct path")
    ax.plot(paths.steps, rest, "s--", color=colour(3), markersize=4, label="the rest, through matrices")
    ax.axhline(1, color=INK, linewidth=0.8)
    _logarithmic(ax, paths.steps)
    name = paths.slot or "s"
    ax.set_ylabel(rf"root mean square of $\partial {name}_{{t+k}} / \partial {name}_t$")
    ax.legend(frameon=False, loc="lower left")
    return ax


def direct_products(products: DirectProducts, *, floor: float = 1e-6, ax: Axes | None = None) -> Axes:
    """Draw how the direct factors of a slow, a median and a fast unit multiply, and the mean over units.

    Parameters
    ----------
    products
        What to draw.
    floor
        Smaller values are not shown.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import DirectProducts

    instance("products", products, DirectProducts)
    number("floor", floor, above=0)
    ax = axes(ax)
    last = products.units[-1]
    order = np.lexsort((products.units[0], last))  # slow is who has most left in the end
    for share, label, style in (
        (0.95, "slow unit (95 %)", "^-"),
        (0.5, "median", "s-"),
        (0.05, "fast (5 %)", "v-"),
    ):
        unit = products.units[:, order[round(share * (len(order) - 1))]]
        ax.plot(products.steps, np.where(unit > floor, unit, np.nan), style, markersize=4, label=label)
    mean = np.where(products.mean > floor, products.mean, np.nan)
    ax.plot(products.steps, mean, "o--", color=INK, markersize=4, label="mean over units")
    _logarithmic(ax, products.steps)
    ax.set_ylim(bottom=floor)
    ax.set_ylabel(f"product of $k$ direct factors{' of ' + products.slot if products.slot else ''}")
    ax.legend(frameon=False, loc="upper right", fontsize="small")
    return ax


def _logarithmic(ax: Axes, steps: np.ndarray) -> None:
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    every = 1 + len(steps) // 9  # labels of numbers side by side would run into each other
    ax.set_xticks(steps, [str(k) if i % every == 0 else "" for i, k in enumerate(steps)])
    ax.minorticks_off()
    ax.set_xlabel("length of the product $k$ (steps)")
