"""Take the numbers of a diagnosis off a model: its gradients on a batch, its units, a few trial updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import dynamics
from ..checks import ArgumentError, ArgumentTypeError, instance, number
from ..nn import Batch, Model
from ..nn.batch import as_batch
from .clipping import clip_by_global_norm
from .history import History
from .optimizers import Optimizer, apply_updates, as_optimizer, sgd
from .tree import global_norm

TRIAL_UPDATES = 20
CONTRACTED = 0.6  # the growth of gradients, per step, that a trial with contracted matrices aims at


def diagnose(
    model: Any,
    batch: Batch | Sequence[Any],
    history: History | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    validation: Batch | Sequence[Any] | None = None,
    baseline: float | None = None,
    truncation: int | None = None,
    optimizer: Optimizer | str | None = None,
    learning_rate: float | None = None,
) -> dynamics.Diagnosis:
    """Say why a network does not learn, or that it does: vanishing, explosion, saturation, overfitting, or healthy.

    The gradient of the last loss of every sequence alone is sent back through time, gates and states are looked at,
    and with an optimizer a few updates are tried on the batch: at the learning rate, at a tenth of it, and with
    recurrent matrices that let no gradient grow. All numbers go to `recurrent_dynamics.dynamics.diagnose`, which takes
    them from elsewhere too.

    Parameters
    ----------
    model
        An `nn.Model`; or anything with `model` and `params`, such as a `study.CharacterModel`.
    batch
        Data that it is trained on: (inputs, targets[, mask[, lengths[, reset]]]), as many steps as a training window
        or more.
    history
        Of its training, that of a `DivergenceError` too. Without it only gradients and units are judged.
    params
        The parameters, unless the model brings its own. Of a training that diverged those from before, such as the
        initial ones: afterwards everything is saturated.
    validation
        A batch that was not trained on, to see where in a sequence the network is worse there. None for a model that
        pools over time.
    baseline
        The best loss without memory, such as `data.AddingProblem.baseline`.
    truncation
        Steps of a training window; those of the batch by default.
    optimizer, learning_rate
        Of the training, for the trial; the rate by default the highest of the history. Without an optimizer no
        update is tried, unless the history is that of plain gradient descent.

    Returns
    -------
    Diagnosis
        `print` it, or `plot` it.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.
    FloatingPointError
        When the loss or a gradient of the batch is not finite: diagnose earlier parameters.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = rd.nn.Model(rd.cells.elman(), 8, input_size=2, output_size=1, loss="mean_squared_error")
    >>> params = model.init(rng=0)
    >>> params["layers"]["0"]["U"] *= 0.1
    >>> found = rd.diagnose(model, rd.data.AddingProblem(40, batch_size=5).batch(0), params=params)
    >>> found.verdict, found.reach
    ('vanishing', 2)
    """
    if params is None:
        params = getattr(model, "params", None)
    model = getattr(model, "model", model)
    if not isinstance(model, Model):
        advice = (
            ": rd.interop.model_from_torch makes a model and its parameters of its state_dict()"
            if hasattr(model, "state_dict")
            else ""
        )
        raise ArgumentTypeError(
            "model", "be an nn.Model, or have one as its `model`", f"{type(model).__name__}{advice}"
        )
    if params is None:
        raise ArgumentError("params", "be given for a model that brings none", "None")
    if history is not None:
        instance("history", history, History)
    if optimizer is not None:
        optimizer = as_optimizer(optimizer)
    if validation is not None and not isinstance(validation, tuple | list):
        raise ArgumentTypeError("validation", "be a Batch or a tuple, as batch is", type(validation).__name__)
    if validation is not None and model.pool is not None:
        raise ArgumentError("validation", f"be None for {model!r}, whose loss has no steps", "a batch")
    if learning_rate is not None:
        number("learning_rate", learning_rate, above=0)
    layers = params.get("layers") if isinstance(params, Mapping) else None
    if not isinstance(layers, Mapping) or set(layers) != {str(i) for i in range(len(model.cells))}:
        raise ArgumentTypeError(
            "params", "be those of the model, nested as model.init returns them", _outline(params)
        )
    batch = as_batch(batch)
    run = model.run(params, batch)
    flows = last_loss_flows(model, run, batch)
    gates = [[gate.saturation() for gate in dynamics.gates(r)] for r in run.runs]
    by_step: dict[str, Any] = {}
    if validation is not None:
        held_out = as_batch(validation)
        unseen = model.run(params, held_out, tape=False)
        steps = min(len(batch.inputs), len(held_out.inputs))
        by_step = {
            "loss_by_step": loss_by_step(model, run.output, batch)[:steps],
            "validation_by_step": loss_by_step(model, unseen.output, held_out)[:steps],
        }
    return dynamics.diagnose(
        flows,
        len(batch.inputs) if truncation is None else truncation,
        baseline=baseline,
        states=[dynamics.states(r) for r in run.runs],
        gates=gates if any(gates) else None,
        trial=_trials(model, params, batch, flows, history, optimizer, learning_rate),
        gated=any(dynamics.direct_factors(r) for r in run.runs),
        **history_columns(history),
        **by_step,
    )


def _outline(params: Any) -> str:
    return (
        f"a dict of {', '.join(map(str, params)) or 'nothing'}"
        if isinstance(params, Mapping)
        else repr(params)
    )


def history_columns(history: History | None) -> dict[str, Any]:
    """What a history tells `dynamics.diagnose`: nothing if it is empty."""
    if history is None or not len(history):
        return {}
    return {
        "gradient_norms": history["grad_norm"],
        "clipped_norms": history["clipped_norm"],
        "losses": history["loss"],
        "validation_losses": history.validation["loss"],
    }


def last_loss_flows(model: Model, run: Any, batch: Batch) -> list[dynamics.GradientFlow]:
    """The gradient of every sequence's last loss alone by the whole state of each layer, by lag."""
    steps, size = len(batch.inputs), np.shape(batch.inputs)[1]
    weights = batch.weights(model.pool is not None)
    if model.pool is not None:
        if weights is not None and not np.all(weights):
            raise ArgumentError("batch", "have a loss in every sequence", "one without")
        last = np.full(size, steps - 1) if batch.lengths is None else np.asarray(batch.lengths) - 1
        return _flows(model, run, model.score(run.output, Batch(batch.inputs, batch.targets))[1], last)
    counts = np.ones((steps, size), bool) if weights is None else np.asarray(weights) > 0
    if not counts.any(axis=0).all():
        raise ArgumentError("batch", "have a loss in every sequence", "one without")
    last = steps - 1 - counts[::-1].argmax(axis=0)
    alone = np.zeros((steps, size), bool)
    alone[last, np.arange(size)] = True
    return _flows(model, run, model.score(run.output, Batch(batch.inputs, batch.targets, alone))[1], last)


def _flows(model: Model, run: Any, score: np.ndarray, last: np.ndarray) -> list[dynamics.GradientFlow]:
    """Flows from the step of each sequence's loss back, for the gradient of the mean of these losses."""
    size = len(last)
    grads = model.backward(run, score * score.dtype.type(size))
    places = last - np.arange(last.min(), -1, -1)[:, None]  # (lags, B), the longest lag first
    flows = []
    for layer in grads.layers:
        d = np.concatenate(list(layer.states.values()), axis=-1)
        flows.append(dynamics.gradient_flow(d[places, np.arange(size)]))
    return flows


def loss_by_step(model: Model, output: np.ndarray, batch: Batch) -> np.ndarray:
    """Mean loss (T,) at every step of a window; NaN where there is none."""
    steps = batch.targets.shape[:2][0]
    weights = batch.weights()
    found = np.full(steps, np.nan)
    for t in range(steps):
        mask = None if weights is None else weights[t : t + 1]
        if mask is None or np.any(mask):
            found[t] = model.score(
                output[t : t + 1], Batch(batch.inputs[t : t + 1], batch.targets[t : t + 1], mask)
            )[0]
    return found


def _trials(
    model: Model,
    params: Mapping[str, Any],
    batch: Batch,
    flows: list[dynamics.GradientFlow],
    history: History | None,
    optimizer: Optimizer | None,
    learning_rate: float | None,
) -> dynamics.Trial | None:
    clip, scale = None, 0.0
    if history is not None and len(history):
        scale = float(history["loss"][0])
        norms, clipped, rates = history["grad_norm"], history["clipped_norm"], history["learning_rate"]
        if learning_rate is None:
            learning_rate = float(rates.max())
        if (clipped < norms * (1 - 1e-6)).any():
            clip = float(clipped.max())
        if optimizer is None and np.allclose(history["update_norm"], rates * clipped, rtol=1e-3, atol=0):
            optimizer = sgd()
    if optimizer is None:
        if learning_rate is not None and history is None:
            raise ArgumentError("optimizer", "be given with a learning_rate", "None")
        return None
    if learning_rate is None:
        raise ArgumentError("learning_rate", "be given with an optimizer where no history has it", "None")
    rate = float(learning_rate)
    contracted = None
    if max(float(f.relative.max()) for f in flows) > 1:
        contracted = _trial(model, _contracted(params, flows), batch, optimizer, rate, clip, scale)
    return dynamics.Trial(
        TRIAL_UPDATES,
        rate,
        _trial(model, params, batch, optimizer, rate, clip, scale),
        _trial(model, params, batch, optimizer, rate / 10, clip, scale),
        contracted,
    )


def _trial(
    model: Model,
    params: Any,
    batch: Batch,
    optimizer: Optimizer,
    rate: float,
    clip: float | None,
    scale: float,
) -> float:
    """The largest loss within some updates over `scale` or the loss before them; infinite if it diverges."""
    state, losses = optimizer.init(params), []
    try:
        for _ in range(TRIAL_UPDATES):
            loss, grads = model.loss_and_grad(params, batch)
            losses.append(loss)
            if clip is not None:
                grads = clip_by_global_norm(grads, clip)[0]
            with np.errstate(over="ignore", invalid="ignore"):
                change, state = optimizer.update(grads, state, params, rate)
                if not np.isfinite(global_norm(change)):
                    return float("inf")
                params = apply_updates(params, change)
        losses.append(model.loss(params, batch))
    except (FloatingPointError, ValueError):  # a run, a gradient or the parameters are no longer finite
        return float("inf")
    before = max(losses[0], scale)
    return max(losses) / before if before > 0 else 1.0


def _contracted(params: Mapping[str, Any], flows: list[dynamics.GradientFlow]) -> dict[str, Any]:
    """The parameters with recurrent matrices scaled so that gradients shrink from step to step."""
    layers = {}
    for (index, layer), flow in zip(params["layers"].items(), flows, strict=True):
        lags = np.arange(1, len(flow.relative))
        with np.errstate(divide="ignore"):
            growth = float(np.exp(np.max(np.log(flow.relative[1:]) / lags, initial=0.0)))
        scale = min(1.0, CONTRACTED / growth)
        layers[index] = {
            name: value * value.dtype.type(scale) if name == "U" or name.startswith("U_") else value
            for name, value in layer.items()
        }
    return {**params, "layers": layers}
