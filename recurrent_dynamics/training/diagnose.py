"""Take the numbers of a diagnosis off a model: its gradients on a batch, its units, a few trial updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import dynamics
from ..checks import ArgumentError, ArgumentTypeError, instance, number
from ..nn import Batch
from ..nn.batch import as_batch
from ..nn.scored import Scored
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
        An `nn.Model` or an `nn.Objective`; or anything with `model` and `params`, such as a `study.CharacterModel`.
        Layers are those of its `cells`. Of a direction from the end the gradient of the first loss is followed, in
        the order of that layer's steps.
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
    if not isinstance(model, Scored):
        advice = (
            ": rd.interop.model_from_torch makes a model and its parameters of its state_dict()"
            if hasattr(model, "state_dict")
            else ""
        )
        raise ArgumentTypeError(
            "model",
            "be an nn.Model or an nn.Objective, or have one as its `model`",
            f"{type(model).__name__}{advice}",
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
    _check_recurrence(model, params)
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


def _check_recurrence(model: Scored, params: Any) -> None:
    """Refuse parameters of another model, and a model without a gradient through time."""
    if not model.cells:
        raise ArgumentError("model", "have a recurrent layer", repr(model))
    if model.pool == "last" and any(model.from_end):
        raise ArgumentError(
            "model",
            "have no direction from the end where pool='last' reads its first step alone: pool by 'mean'",
            repr(model),
        )
    try:
        model.cell_params(params)
    except (ArgumentError, ArgumentTypeError, KeyError):
        came = repr(params)
        if isinstance(params, Mapping):
            came = f"a dict of {', '.join(map(str, params)) or 'nothing'}"
        raise ArgumentTypeError(
            "params", "be those of the model, nested as model.init returns them", came
        ) from None


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


def last_loss_flows(model: Scored, run: Any, batch: Batch) -> list[dynamics.GradientFlow]:
    """The gradient of every sequence's last loss alone by the whole state of each layer, by lag.

    For a layer that reads the sequences from their end it is that of the first loss, the last of its own steps.
    """
    steps, size = len(batch.inputs), np.shape(batch.inputs)[1]
    ends = np.full(size, steps) if batch.lengths is None else np.asarray(batch.lengths)
    weights = batch.weights(model.pool is not None)
    refusal = ArgumentError("batch", "have a loss in every sequence", "one without")
    if model.pool is not None:
        if weights is not None and not np.all(weights):
            raise refusal
        layers = _gradients(model, run, Batch(batch.inputs, batch.targets))
        return [_flow(layer, ends - 1) for layer in layers]
    counted: Any = np.ones((steps, size), bool) if weights is None else np.asarray(weights) > 0
    counts = counted if counted.ndim == 2 else counted.any(axis=-1)
    if not counts.any(axis=0).all():
        raise refusal
    last, first = steps - 1 - counts[::-1].argmax(axis=0), counts.argmax(axis=0)
    flows: dict[int, dynamics.GradientFlow] = {}
    for from_end, step, own in ((False, last, last), (True, first, ends - 1 - first)):
        chosen = [i for i, other in enumerate(model.from_end) if other == from_end]
        if chosen:
            alone = np.zeros(counted.shape)
            at = step, np.arange(size)
            alone[at] = counted[at]
            if counted.ndim == 3:  # each sequence with the same weight, however many of its numbers count
                alone[at] /= counted[at].sum(axis=-1, keepdims=True)
            layers = _gradients(model, run, Batch(batch.inputs, batch.targets, alone))
            flows |= {i: _flow(layers[i], own) for i in chosen}
    return [flows[i] for i in range(len(flows))]


def _gradients(model: Scored, run: Any, batch: Batch) -> list[Any]:
    """The gradients of each recurrent layer, for each sequence by its own loss instead of the mean."""
    score = model.score(run.output, batch)[1]
    found: list[Any] = model.backward(run, score * score.dtype.type(np.shape(batch.inputs)[1])).layers
    return found


def _flow(gradients: Any, last: np.ndarray) -> dynamics.GradientFlow:
    """The flow from the step of each sequence's loss back, in the order in which the layer took its steps."""
    places = last - np.arange(last.min(), -1, -1)[:, None]  # (lags, B), the longest lag first
    d = np.concatenate(list(gradients.states.values()), axis=-1)
    return dynamics.gradient_flow(d[places, np.arange(len(last))])


def loss_by_step(model: Scored, output: np.ndarray, batch: Batch) -> np.ndarray:
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
    model: Scored,
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
        contracted = _trial(model, _contracted(model, params, flows), batch, optimizer, rate, clip, scale)
    return dynamics.Trial(
        TRIAL_UPDATES,
        rate,
        _trial(model, params, batch, optimizer, rate, clip, scale),
        _trial(model, params, batch, optimizer, rate / 10, clip, scale),
        contracted,
    )


def _trial(
    model: Scored,
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


def _contracted(model: Scored, params: Mapping[str, Any], flows: list[dynamics.GradientFlow]) -> Any:
    """The parameters with recurrent matrices scaled so that gradients shrink from step to step."""
    for path, flow in zip(model.paths, flows, strict=True):
        lags = np.arange(1, len(flow.relative))
        with np.errstate(divide="ignore"):
            growth = float(np.exp(np.max(np.log(flow.relative[1:]) / lags, initial=0.0)))
        params = _scaled(params, [key for key in path.split("/") if key], min(1.0, CONTRACTED / growth))
    return params


def _scaled(params: Mapping[str, Any], keys: Sequence[str], scale: float) -> dict[str, Any]:
    """The parameters with U, or its blocks, of the layer at these keys scaled."""
    if keys:
        return {**params, keys[0]: _scaled(params[keys[0]], keys[1:], scale)}
    return {
        name: value * value.dtype.type(scale) if name == "U" or name.startswith("U_") else value
        for name, value in params.items()
    }
