"""Take a trained character model apart: one set of results for every layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import dynamics, nn
from ..checks import ArgumentError, integer
from ..engine import forward, jacobian
from ..engine.run import Run
from ..results import Result
from .phase_portraits import Portrait, portraits, tokens_of

LONGEST_PRODUCT = 64
WORK = 4.5e9  # steps * S^3 over the sequences whose Jacobian products are taken: some seconds


@dataclass(frozen=True)
class Layer(Result):
    """What was measured of one layer.

    Attributes
    ----------
    cell
        Its cell.
    flow
        Norm of d loss / d h_t against the lag, of a window's last loss alone.
    flow_all
        The same under the losses of all steps.
    products
        Singular values of the Jacobian products.
    paths
        The direct path against the rest, one for each slot that has a direct path.
    gates, states
        Saturated and dead units; no gates for a cell without any.
    time_scales
        One for each slot whose direct factors lie in [0, 1].
    portrait
        Lyapunov exponents, and fixed points under repeated characters.
    """

    cell: Any
    flow: dynamics.GradientFlow
    flow_all: dynamics.GradientFlow
    products: dynamics.JacobianProducts
    paths: list[dynamics.PathNorms]
    gates: list[dynamics.Saturation]
    states: list[dynamics.Saturation]
    time_scales: list[dynamics.TimeScales]
    portrait: Portrait


@dataclass(frozen=True)
class Measurements(Result):
    """What was measured of a model, on windows of text that it was not trained on.

    Attributes
    ----------
    layers
        From the first to the last.
    window, windows
        Steps of a window, and how many of them the gradients were averaged over.
    sequences
        How many windows the Jacobian products were taken along.
    """

    layers: list[Layer]
    window: int
    windows: int
    sequences: int


def measure(
    model: nn.Model, params: Any, tokens: np.ndarray, *, window: int, windows: int = 100
) -> Measurements:
    """Run a model over windows of text and measure every layer.

    The windows lie apart in the text; each begins with the state after as many steps before it.

    Parameters
    ----------
    model, params
        A model that reads and predicts characters.
    tokens
        Class indices, shape (n,).
    window
        Steps of a window.
    windows
        How many, at most: as many as fit into the text.

    Returns
    -------
    Measurements

    Raises
    ------
    ValueError
        When the text is too short for a single window.
    """
    tokens = tokens_of(model, tokens)
    needed = 2 * integer("window", window, at_least=1) + 1
    windows = min(integer("windows", windows, at_least=1), len(tokens) // needed)
    if windows < 1:
        raise ArgumentError(
            "tokens", f"hold at least {needed} characters for a window of {window} steps", len(tokens)
        )
    starts = np.linspace(0, len(tokens) - needed, windows).astype(np.intp)
    text = tokens[starts + np.arange(needed)[:, None]]
    before = model.forward(params, text[:window], tape=False)
    inputs, targets = text[window:-1], text[window + 1 :]
    run = model.forward(params, inputs, initial=before.final)

    every = model.score(run.output, (inputs, targets))[1] * run.output.dtype.type(targets.size)
    last = np.zeros_like(every)
    last[-1] = every[-1]
    of_last, of_all = model.backward(run, last), model.backward(run, every)
    # The order in which `ahead.ANALYSES` are compiled, perhaps even now. The first one needs no further kernel.
    units = [_units(of_layer) for of_layer in run.runs]
    multiplied = [_products(of_layer) for of_layer in run.runs]
    drawn = portraits(model, params, tokens)
    layers = []
    for index, cell in enumerate(model.cells):
        flow, flow_all = (
            dynamics.gradient_flow(g.layers[index].states[cell.output]) for g in (of_last, of_all)
        )
        products, paths = multiplied[index]
        gates, states, time_scales = units[index]
        layers.append(
            Layer(
                cell=cell,
                flow=flow,
                flow_all=flow_all,
                products=products,
                paths=paths,
                gates=gates,
                states=states,
                time_scales=time_scales,
                portrait=drawn[index],
            )
        )
    return Measurements(layers, window, windows, layers[0].products.log_singular_values.shape[1])


def _products(run: Run) -> tuple[dynamics.JacobianProducts, list[dynamics.PathNorms]]:
    """Jacobian products from the start of some of the windows on, one at a time: Jacobians are large."""
    offsets = {slot.name: slot.offset for slot in run.tape.layout.slots}
    lengths = dynamics.powers_of_two(min(LONGEST_PRODUCT, run.steps))
    work = lengths[-1] * run.tape.layout.state_size**3
    sequences = int(np.clip(WORK / work, 1, min(8, run.batch_size)))
    products: list[dynamics.JacobianProducts] = []
    paths: dict[str, list[dynamics.PathNorms]] = {}
    for b in np.linspace(0, run.batch_size - 1, sequences).astype(int):
        initial = {slot: values[b : b + 1] for slot, values in run.initial.items()}
        along = forward(run.cell, run.params, run.tape.x[: lengths[-1], b : b + 1], initial=initial)
        jacobians = jacobian(along)
        products.append(dynamics.jacobian_products(jacobians))
        for slot, factors in dynamics.direct_factors(along).items():
            part = dynamics.path_norms(jacobians, factors, offset=offsets[slot], slot=slot)
            paths.setdefault(slot, []).append(part)
    logs = np.concatenate([p.log_singular_values for p in products], axis=1)
    return dynamics.JacobianProducts(products[0].steps, logs), [
        _joined(several) for several in paths.values()
    ]


def _joined(several: list[dynamics.PathNorms]) -> dynamics.PathNorms:
    direct, rest = (
        np.concatenate([getattr(p, name) for p in several], axis=1) for name in ("direct", "rest")
    )
    return dynamics.PathNorms(several[0].steps, direct, rest, several[0].slot)


def _units(
    run: Run,
) -> tuple[list[dynamics.Saturation], list[dynamics.Saturation], list[dynamics.TimeScales]]:
    """Saturation of gates and of states, and time scales."""
    gates = [gate.saturation() for gate in dynamics.gates(run)]
    return gates, dynamics.states(run), _time_scales(run)


def _time_scales(run: Run) -> list[dynamics.TimeScales]:
    factors = dynamics.direct_factors(run)
    return [
        dynamics.time_scales(values, slot=slot)
        for slot, values in factors.items()
        if values.min() >= 0 and values.max() <= 1
    ]
