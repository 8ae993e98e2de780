"""Take the numbers of a diagnosis off a model: its gradients on a batch, its units, a few trial updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import dynamics
from ..checks import ArgumentError, ArgumentTypeError, instance, number
from ..engine import Run
from ..equations.axes import SOURCE
from ..nn import Batch, EncoderDecoder, TreeModel
from ..nn.batch import as_batch
from ..nn.encoder_decoder.pairs import as_pairs
from ..nn.leaves import check_tree
from ..nn.scored import Scored
from .clipping import clip_by_global_norm
from .history import History
from .last_loss import Flows, last_loss_flows, loss_by_step, pair_flows
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
        the order of that layer's steps. Or an `nn.EncoderDecoder`: the gradient of the last symbol's loss is followed
        through the decoder, and from the state that it begins with through the encoder. The verdict is on the one of
        the two in which it explodes, else on the one that carries less; with attention, which brings the gradient to
        any position of the source at once, on the decoder.
    batch
        Data that it is trained on: (inputs, targets[, mask[, lengths[, reset]]]), as many steps as a training window
        or more; `Pairs` for an encoder and a decoder.
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
    _check_model(model)
    if params is None:
        raise ArgumentError("params", "be given for a model that brings none", "None")
    if history is not None:
        instance("history", history, History)
    if optimizer is not None:
        optimizer = as_optimizer(optimizer)
    pairs = isinstance(model, EncoderDecoder)
    if validation is not None and not pairs:
        if not isinstance(validation, tuple | list):
            expected = "be a Batch or a tuple, as batch is"
            raise ArgumentTypeError("validation", expected, type(validation).__name__)
        if model.pool is not None:
            raise ArgumentError("validation", f"be None for {model!r}, whose loss has no steps", "a batch")
    if learning_rate is not None:
        number("learning_rate", learning_rate, above=0)
    _check_recurrence(model, params)
    given: Any = as_pairs(batch) if pairs else as_batch(batch)
    run = model.run(params, given)
    found = pair_flows(model, run, given) if pairs else _of_layers(model, run, given)
    runs = [run.runs[i] for i in found.runs]
    gates = [[gate.saturation() for gate in dynamics.gates(r)] for r in runs]
    by_step: dict[str, Any] = {}
    if validation is not None:
        held_out = as_pairs(validation, "validation") if pairs else as_batch(validation)
        unseen = model.run(params, held_out, tape=False)
        steps = min(len(run.output), len(unseen.output))
        by_step = {
            "loss_by_step": loss_by_step(model, run.output, model.compared(given))[:steps],
            "validation_by_step": loss_by_step(model, unseen.output, model.compared(held_out))[:steps],
        }
    return dynamics.diagnose(
        found.flows,
        found.steps if truncation is None else truncation,
        baseline=baseline,
        states=[_units(r) for r in runs],
        gates=gates if any(gates) else None,
        trial=_trials(model, params, given, found, history, optimizer, learning_rate),
        gated=any(dynamics.direct_factors(r) for r in runs),
        layers=found.names,
        notes=found.notes,
        **history_columns(history),
        **by_step,
    )


def _of_layers(model: Scored, run: Any, batch: Batch) -> Flows:
    """The flows of all layers of a model or an objective."""
    flows = last_loss_flows(model, run, batch)
    return Flows(flows, len(batch.inputs), list(range(len(flows))), model.paths)


def _units(run: Run) -> list[dynamics.Saturation]:
    """Saturation of the states, but for those that have a number for each position of a source instead of units."""
    positions = {slot.name for slot in run.cell.slots if slot.width == SOURCE}
    return [units for units in dynamics.states(run) if units.name not in positions]


def _check_model(model: Any) -> None:
    """Refuse what has no layers along time, or not one loss after another."""
    if isinstance(model, Scored | EncoderDecoder) and not isinstance(model, TreeModel):
        return
    advice = ""
    if isinstance(model, TreeModel):
        advice = (
            ", which has no steps: rd.trees.gradient_by_depth(model.backward(run, d_output).tree) says how its "
            "gradient fades with the distance from the root"
        )
    elif hasattr(model, "state_dict"):
        advice = ": rd.interop.model_from_torch makes a model and its parameters of its state_dict()"
    raise ArgumentTypeError(
        "model",
        "be an nn.Model, an nn.Objective or an nn.EncoderDecoder, or have one as its `model`",
        f"{type(model).__name__}{advice}",
    )


def _check_recurrence(model: Scored | EncoderDecoder, params: Any) -> None:
    """Refuse parameters of another model, and a model without a gradient through time."""
    if not model.cells:
        raise ArgumentError("model", "have a recurrent layer", repr(model))
    if isinstance(model, EncoderDecoder):
        check_tree(params, tuple(dict.fromkeys(path.partition("/")[0] for path in model.shapes)))
        return
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


def _trials(
    model: Scored | EncoderDecoder,
    params: Mapping[str, Any],
    batch: Any,
    found: Flows,
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
    if max(float(f.relative.max()) for f in found.flows) > 1:
        contracted = _trial(model, _contracted(params, found), batch, optimizer, rate, clip, scale)
    return dynamics.Trial(
        TRIAL_UPDATES,
        rate,
        _trial(model, params, batch, optimizer, rate, clip, scale),
        _trial(model, params, batch, optimizer, rate / 10, clip, scale),
        contracted,
    )


def _trial(
    model: Scored | EncoderDecoder,
    params: Any,
    batch: Any,
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


def _contracted(params: Mapping[str, Any], found: Flows) -> Any:
    """The parameters with recurrent matrices scaled so that gradients shrink from step to step."""
    for path, flow in zip(found.paths, found.flows, strict=True):
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
