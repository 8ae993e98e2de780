"""What every layer is held to: its pull-back against its own slopes, by everything that goes into it."""

from __future__ import annotations

import numpy as np
import pytest

from recurrent_dynamics.nn import Context
from recurrent_dynamics.nn.layers.context import nested


def drawn_like(tree, rng):
    """Random arrays in the places of a nested dict."""
    if hasattr(tree, "items"):
        return {key: drawn_like(value, rng) for key, value in tree.items()}
    return rng.standard_normal(np.shape(tree))


def moved(tree, direction, h):
    if hasattr(tree, "items"):
        return {key: moved(value, direction[key], h) for key, value in tree.items()}
    return tree + h * direction


def dot(a, b):
    if hasattr(a, "items"):
        assert a.keys() == b.keys()
        return sum(dot(a[key], b[key]) for key in a)
    assert np.shape(a) == np.shape(b)
    return float(np.vdot(a, b))


def check_gradients(layer, params, x, draw, **context):
    """Slopes by central differences along random directions, by params, input, initial states and signals alone."""
    y, pull = layer(params, x, Context(**context))
    d_y, d_final = draw.standard_normal(y.shape), drawn_like(pull.final, draw)
    found = pull.gradients(d_y, d_final)
    given = {
        "params": params,
        "x": x,
        "initial": nested({path: run.initial for path, run in pull.runs.items()}),
    }
    gradients = {"params": found.params, "x": found.x, "initial": found.initial}
    if "signals" in context:
        given["signals"], gradients["signals"] = context["signals"], found.signals
    if x.dtype.kind == "i":
        del given["x"], gradients["x"]
        assert found.x is None

    def loss(at):
        there = context | {"initial": at["initial"]}
        if "signals" in at:
            there["signals"] = at["signals"]
        y, pull = layer(at["params"], at.get("x", x), Context(**there))
        return dot(y, d_y) + dot(pull.final, d_final)

    for name in given:
        direction = drawn_like(given[name], draw)
        up, down = (loss(given | {name: moved(given[name], direction, h)}) for h in (1e-6, -1e-6))
        expected = pytest.approx((up - down) / 2e-6, rel=1e-7, abs=1e-7)
        assert dot(gradients[name], direction) == expected, name
