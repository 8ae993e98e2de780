"""Products of a vector with the Hessian of a model's loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError, instance
from ..engine import backward, check, forward, hvp, jvp
from .batch import Batch, as_batch
from .layers import Objective
from .leaves import named_leaves
from .losses import mean_squared_error, normalized_weights
from .model import Model
from .prediction import softmax
from .table import class_indices, scattered

Array = NDArray[Any]


def loss_hvp(
    model: Model, params: Mapping[str, Any], batch: Batch | Sequence[Any], direction: Mapping[str, Any]
) -> dict[str, Any]:
    """The Hessian of the mean loss of a batch, times a direction in the space of the parameters.

    It is exact, by the tangent of backpropagation (Pearlmutter 1994), and takes about as long as three gradients. No
    matrix is formed. Dropout is not drawn.

    Parameters
    ----------
    model : Model
        Without parametrizations, whose second derivatives are not known, and with a target for each step. Composed
        layers have no second derivatives.
    params, direction : nested dict of arrays
        Of the same names, shapes and dtype.
    batch : Batch or tuple
        As for `Model.loss_and_grad`.

    Returns
    -------
    dict
        Nested as the parameters.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6 (1994).

    Examples
    --------
    The largest eigenvalue of the Hessian, the sharpness of the loss, by SciPy:

    >>> import recurrent_dynamics as rd
    >>> from scipy.sparse.linalg import LinearOperator, eigsh
    >>> model = rd.nn.Model(rd.cells.elman(), 4, input_size=2, output_size=1, loss="mean_squared_error")
    >>> params = model.init(rng=0, dtype="float64")
    >>> batch = np.ones((5, 3, 2)), np.ones((5, 3, 1))
    >>> start, unravel = rd.ravel(params)
    >>> product = lambda v: rd.ravel(rd.nn.loss_hvp(model, params, batch, unravel(v.ravel())))[0]
    >>> H = LinearOperator((start.size, start.size), matvec=product, dtype=float)
    >>> float(eigsh(H, k=1, v0=np.ones(start.size))[0][0]) > 0
    True
    """
    if isinstance(model, Objective):
        raise ArgumentTypeError(
            "model",
            "be a Model",
            "an Objective, whose layers have no second derivatives: its products with the Hessian are differences of "
            "objective.loss_and_grad at params + h direction and params - h direction, over 2 h",
        )
    instance("model", model, Model)
    if model.pool is not None:
        raise ArgumentError("model", "predict at every step (pool=None)", repr(model))
    if any(layer.made_by for layer in model.constraints):
        raise ArgumentError(
            "model", "have no parametrizations, whose second derivatives are unknown", repr(model)
        )
    _check_direction(params, direction)
    batch = as_batch(batch)
    model.loss(params, batch)  # names what is wrong with a batch
    x: Any
    x_moved: Any
    indices, x, x_moved = _source(model, params, direction, batch.inputs)
    runs, moves = [], []
    for i, cell in enumerate(model.cells):
        read = {name: value for name, value in (batch.signals or {}).items() if name in cell.signals}
        run = forward(
            cell, params["layers"][str(i)], x, lengths=batch.lengths, reset=batch.reset, signals=read
        )
        given = {"d_params": direction["layers"][str(i)], "d_x": x_moved}
        runs.append(run)
        moves.append(given)
        x, x_moved = run.output, jvp(run, **given).output
    readout, moved = params["readout"], direction["readout"]
    output = x @ readout["W"].T + readout["b"]
    output_moved = x_moved @ readout["W"].T + x @ moved["W"].T + moved["b"]
    d: Any = model.score(output, batch)[1]
    d_moved: Any = _curvature(model, output, output_moved, batch)
    over = ([0, 1], [0, 1])  # steps and sequences
    d_readout = {
        "W": np.tensordot(d_moved, x, over) + np.tensordot(d, x_moved, over),
        "b": d_moved.sum((0, 1)),
    }
    d, d_moved = d @ readout["W"], d_moved @ readout["W"] + d @ moved["W"]
    layers: dict[str, Any] = {}
    for i in reversed(range(len(runs))):
        second = hvp(runs[i], d, d_output_tangent=d_moved, **moves[i])
        layers[str(i)] = second.params
        d, d_moved = backward(runs[i], d).x, second.x
    hessian: dict[str, Any] = {}
    if indices is not None:
        hessian["embedding"] = {"table": scattered(indices, d_moved, len(params["embedding"]["table"]))}
    return hessian | {"layers": dict(reversed(layers.items())), "readout": d_readout}


def _check_direction(params: Mapping[str, Any], direction: Mapping[str, Any]) -> None:
    trees = {"params": params, "direction": direction}
    wanted, came = (
        {k: (a.shape, a.dtype) for k, a in named_leaves(tree, name=name)} for name, tree in trees.items()
    )
    for name in {**wanted, **came}:
        if wanted.get(name) != came.get(name):
            shown = ["none" if s is None else f"{s[1]} {s[0]}" for s in (wanted.get(name), came.get(name))]
            raise ArgumentError("direction", f"be nested as params: {name!r} must be {shown[0]}", shown[1])
    for path, a in named_leaves(direction, name="direction"):
        check.floating(f"direction {path!r}", a)


def _source(
    model: Model, params: Mapping[str, Any], direction: Mapping[str, Any], inputs: Any
) -> tuple[Array | None, Array, Array | None]:
    """(class indices or None, what the first layer reads, how it moves)."""
    if model.vocabulary_size is None:
        return None, np.asarray(inputs), None
    indices = class_indices(inputs, model.vocabulary_size)
    return indices, params["embedding"]["table"][indices], direction["embedding"]["table"][indices]


def _curvature(model: Model, output: Array, moved: Array, batch: Batch) -> Array:
    """How the gradient of the loss by the output moves with it."""
    weights = batch.weights()
    if model.loss_name == "mean_squared_error":
        return mean_squared_error(moved, np.zeros_like(moved), weights)[1]
    shares = softmax(output)
    change = shares * (moved - (shares * moved).sum(axis=-1, keepdims=True))
    each = normalized_weights(weights, output.shape[:-1]).reshape(*output.shape[:-1], 1)
    return change * each.astype(output.dtype)
