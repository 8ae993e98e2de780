"""The training loop."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import ArgumentError, boolean, callable_, generator, instance, integer, number, pathlike
from ..engine import check
from ..nn.trainable import Trainable
from ..results import Result
from . import transformations
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .early_stopping import EarlyStopping
from .evaluate import measure
from .history import History
from .metrics import Metric, named_metrics
from .optimizers import Optimizer, as_optimizer
from .progress import ProgressBar
from .schedules import Schedule, as_schedule
from .source import BatchSource, as_source
from .transformations import Penalty
from .tree import Tree, check_real, map_leaves, named_leaves, without
from .update import Updater

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True)
class FitResult(Result):
    """What `fit` returns.

    Attributes
    ----------
    params : nested dict
        After the last update.
    best_params : nested dict or None
        Of the lowest validation loss.
    history : History
    update : int
        How many updates were done, those before a resume included.
    stopped_by : {"updates", "minutes", "early stopping", "interrupt"}
    """

    params: Tree
    best_params: Tree | None
    history: History
    update: int
    stopped_by: str

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return self.stopped_by == "interrupt"

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the loss over the updates; see `recurrent_dynamics.plot.history`."""
        return self.history.plot(ax, **options)


def fit(
    model: Trainable,
    params: Mapping[str, Any],
    data: BatchSource | Sequence[Any],
    *,
    optimizer: Optimizer | str,
    learning_rate: Schedule | float,
    updates: int | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    l2: float = 0.0,
    penalty: Penalty | None = None,
    rng: int | np.random.Generator = 0,
    validation: BatchSource | Sequence[Any] | None = None,
    validate_every: int | None = None,
    metrics: Sequence[str | Metric] | Mapping[str, Metric] = (),
    shuffle: int | None = None,
    early_stopping: EarlyStopping | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    extra: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    callback: Callable[[Checkpoint], object] | None = None,
) -> FitResult:
    """Train a model.

    A run that is killed and resumed from its checkpoint gives the same numbers, bit for bit, as one left alone, as long
    as it is counted in updates or epochs; `minutes` only stops it.

    Parameters
    ----------
    model : Model, Objective, EncoderDecoder, TwoReadings, CtcObjective or TreeModel
    params : nested dict
        Where to start; not changed. With `resume` the checkpoint's parameters replace them, and must be of the same
        names and shapes.
    data : BatchSource or list of Batch
    optimizer : Optimizer or str
        Such as ``rd.training.adam()``; "adam" is the same with its default options. `chain` composes one with
        transformations of the gradient and of the step.
    learning_rate : callable or float
        A schedule, or a constant.
    updates, epochs : int, float, optional
        How many in all, those before a resume included; at most one of them.
    minutes : float, optional
        Stop after so much time in this call. One of the three is needed; the first that is reached ends it.
    clip_norm, clip_value : float, optional
        Largest global norm, and largest entry, of the gradient. These two, `l2` and `penalty` are short for
        ``chain(l2(...), penalty(...), clip_value(...), clip_norm(...), optimizer)``.
    l2 : float
        Adds l2 * w to the gradient of every parameter w; the losses that are shown do not contain it.
    penalty : callable, optional
        From parameters to (value, gradients nested as they are), such as
        ``lambda params: rd.training.orthogonality_penalty(params, 0.01)``. Its gradient is added; the losses that are
        shown do not contain its value.
    rng : int or Generator
        Draws the dropout.
    validation : BatchSource or list of Batch, optional
    validate_every : int, optional
        Updates between validations; an epoch when absent. The last of `updates` is always validated.
    metrics : sequence of (str or callable), or dict of callable
        What else is measured at every validation, as `measure` takes it; ``history.validation["accuracy"]``.
    shuffle : int, optional
        Seed of the order of a list of batches, drawn anew for every epoch; a resumed run goes on in the same order.
        The order of the list when absent.
    early_stopping : EarlyStopping, optional
        Needs a validation.
    checkpoint : path-like, optional
        The .npz to save to: before the first update, at intervals, at the end, and on Ctrl-C. One that cannot be
        written later, on a full disk, is a warning.
    checkpoint_every : int, optional
        Updates between checkpoints; about 30 seconds when absent.
    resume : bool
        Go on from the checkpoint, with an optimizer of the same state; its rates may be others.
    extra : dict, optional
        JSON that the checkpoint keeps for you.
    progress : bool, optional
        The progress bar; by default on a terminal only.
    callback : callable, optional
        Gets the run as a `Checkpoint` after every update. Its arrays may be kept but not changed.

    Returns
    -------
    FitResult
        Also after Ctrl-C, with `interrupted` set.

    Raises
    ------
    DivergenceError
        When loss, gradient or step are not finite. The last checkpoint still stands.
    OSError
        When the checkpoint cannot be written before the first update.
    ValueError
        When arguments contradict each other, a checkpoint does not belong to this model and data, or the parameters to
        start from are not finite: which, and where.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = rd.nn.Model(rd.cells.lstm(), hidden_size=8, vocabulary_size=3)
    >>> cycle = np.arange(13)[:, None] % 3
    >>> result = fit(model, model.init(rng=0), [(cycle[:-1], cycle[1:])],
    ...              optimizer=rd.training.adam(), learning_rate=0.05, updates=30)
    >>> result.update, bool(result.history["loss"][-1] < 0.2 * result.history["loss"][0])
    (30, True)
    """
    instance("model", model, Trainable)
    check_real("params", params)
    resume = boolean("resume", resume)
    if progress is not None:
        progress = boolean("progress", progress)
    if callback is not None:
        callable_("callback", callback, "of a checkpoint")
    if penalty is not None:
        callable_("penalty", penalty, "of the parameters")
    if early_stopping is not None:
        instance("early_stopping", early_stopping, EarlyStopping)
    if extra is not None:
        instance("extra", extra, Mapping)
    if checkpoint is not None:
        pathlike("checkpoint", checkpoint)
    optimizer = as_optimizer(optimizer)
    source = as_source(data, shuffle)
    target = _target(updates, epochs, minutes, source.batches_per_epoch)
    held_out = None if validation is None else as_source(validation, name="validation")
    interval = _validation_interval(held_out, validate_every, early_stopping, source.batches_per_epoch)
    functions = named_metrics(metrics)
    if functions and held_out is None:
        raise ArgumentError("validation", "be data, since metrics are given", "None")
    if (resume or checkpoint_every is not None) and checkpoint is None:
        raise ArgumentError("checkpoint", "be a path, since resume or checkpoint_every is given", "None")
    if checkpoint_every is not None:
        integer("checkpoint_every", checkpoint_every, at_least=1)
    if minutes is not None:
        number("minutes", minutes, above=0)
    optimizer = _with_transformations(optimizer, l2, penalty, clip_value, clip_norm)
    drawn_from = generator("rng", rng)
    bits: Any = drawn_from.bit_generator
    if bits.state["bit_generator"] != "PCG64":
        raise ArgumentError(
            "rng",
            "be a seed or a generator on PCG64, whose state a checkpoint can hold",
            f"one on {bits.state['bit_generator']}",
        )
    settings = {
        "batches_per_epoch": source.batches_per_epoch,
        "carry_steps": source.carry_steps,
        "model": repr(model),
        "cells": ", ".join(map(repr, model.cells)),
        "shuffle": shuffle,
    }
    if resume:
        state = _resumed(checkpoint, params, settings, extra)
        _check_optimizer(optimizer, without(state.params, model.statistics), state, checkpoint)
        if state.history.metrics != tuple(functions):
            raise ArgumentError(
                "metrics",
                f"be {', '.join(state.history.metrics) or 'none'}, as in the checkpoint {checkpoint}",
                ", ".join(functions) or "none",
            )
        bits.state = state.rng_state
    else:
        start = map_leaves(np.array, params)
        rng_state = dict(bits.state)
        state = Checkpoint(
            0, start, optimizer.init(without(start, model.statistics)), rng_state,
            history=History.with_metrics(functions), settings=settings, extra=dict(extra or {}),
        )  # fmt: skip
    for name, a in named_leaves(state.params):
        check.finite(f"params[{name!r}]", a)  # later ones come from finite steps, and are looked at no more
    history = state.history
    seconds_before = history["seconds"][-1] if len(history) else 0.0
    updater = Updater(model, source, optimizer, as_schedule(learning_rate), drawn_from)
    if checkpoint is not None:
        save_checkpoint(checkpoint, state)  # what cannot be written is refused before anything is computed
    begun = saved_at = time.perf_counter()
    saved = state.update
    stopped_by = ""
    bar = ProgressBar(target, state.update, minutes, model.loss_name == "cross_entropy", progress)
    with bar:
        try:
            while not stopped_by:
                stopped_by = _reason_to_stop(
                    state, target, minutes, time.perf_counter() - begun, early_stopping
                )
                if stopped_by:
                    break
                clock = time.perf_counter()
                new, row, symbols = updater(state)
                now = time.perf_counter()
                history.training.append(**row, seconds=seconds_before + now - begun)
                if interval and (new.update % interval == 0 or new.update == target):
                    new = _validated(new, model, held_out, functions, row["epoch"], seconds_before - begun)
                state = new  # from here on the update is done: an interrupt before leaves the old state whole
                bar.step(row["loss"], row["grad_norm"], symbols, now - clock, now - begun)
                if callback is not None:
                    callback(state)
                if checkpoint is not None and (
                    time.perf_counter() - saved_at > CHECKPOINT_SECONDS
                    if checkpoint_every is None
                    else state.update % checkpoint_every == 0
                ):
                    saved = state.update if _saved(checkpoint, state) else saved
                    saved_at = time.perf_counter()
        except KeyboardInterrupt:
            stopped_by = "interrupt"
            history.cut(state.update)
        if checkpoint is not None and saved != state.update:
            _saved(checkpoint, state)
    return FitResult(state.params, state.best_params, history, state.update, stopped_by)


def _with_transformations(
    optimizer: Optimizer,
    l2: float,
    penalty: Penalty | None,
    clip_value: float | None,
    clip_norm: float | None,
) -> Optimizer:
    """The chain that the short arguments of `fit` stand for."""
    for name, value in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if value is not None:
            number(name, value, above=0)
    parts = [
        transformations.l2(strength) if (strength := number("l2", l2, at_least=0)) else None,
        None if penalty is None else transformations.penalty(penalty),
        None if clip_value is None else transformations.clip_value(clip_value),
        None if clip_norm is None else transformations.clip_norm(clip_norm),
    ]
    given = [part for part in parts if part is not None]
    return transformations.chain(*given, optimizer) if given else optimizer


def _saved(path: str | os.PathLike[str], state: Checkpoint) -> bool:
    """Whether a checkpoint could be written; a full disk is no reason to lose what was learnt."""
    try:
        save_checkpoint(path, state)
    except OSError as error:
        text = f"the checkpoint of update {state.update} was not written: {error}; the training goes on without it"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
        return False
    return True


def _validated(
    state: Checkpoint,
    model: Trainable,
    data: BatchSource | None,
    metrics: Mapping[str, Metric],
    epoch: float,
    offset: float,
) -> Checkpoint:
    assert data is not None
    measured = measure(model, state.params, data, metrics)
    loss = measured["loss"]
    earlier = state.history.validation["loss"]
    best = state.best_params is None or not len(earlier) or loss < earlier.min()
    state.history.validation.append(
        update=state.update, epoch=epoch, seconds=time.perf_counter() + offset, **measured
    )
    return replace(state, best_params=state.params) if best else state


def _reason_to_stop(
    state: Checkpoint, target: int | None, minutes: float | None, elapsed: float, rule: EarlyStopping | None
) -> str:
    if rule is not None and rule.should_stop(state.history.validation["loss"].tolist()):
        return "early stopping"
    if target is not None and state.update >= target:
        return "updates"
    if minutes is not None and elapsed >= 60 * minutes:
        return "minutes"
    return ""


def _target(
    updates: int | None, epochs: float | None, minutes: float | None, per_epoch: int | None
) -> int | None:
    if updates is not None and epochs is not None:
        raise ArgumentError("either updates or epochs", "be given", "both")
    if updates is None and epochs is None and minutes is None:
        raise ArgumentError("updates, epochs or minutes", "be given, since the loop needs an end", "none")
    if epochs is not None:
        if per_epoch is None:
            raise ArgumentError("epochs", "be None, since the data has none", f"{epochs}: give updates")
        updates = round(number("epochs", epochs, above=0) * per_epoch)
        if updates < 1:
            raise ArgumentError("epochs", f"be at least one update, 1/{per_epoch}", epochs)
    return None if updates is None else integer("updates", updates, at_least=1)


def _validation_interval(
    held_out: BatchSource | None, every: int | None, rule: EarlyStopping | None, per_epoch: int | None
) -> int:
    if held_out is None:
        if every is not None or rule is not None:
            raise ArgumentError(
                "validation", "be data, since validate_every or early_stopping is given", "None"
            )
        return 0
    interval = per_epoch if every is None else every
    if interval is None:
        raise ArgumentError("validate_every", "be given, since the data has no epochs", "None")
    return integer("validate_every", interval, at_least=1)


def _check_optimizer(optimizer: Optimizer, trained: Any, state: Checkpoint, path: Any) -> None:
    expected = sorted(name for name, _ in named_leaves(state.optimizer_state))
    if sorted(name for name, _ in named_leaves(optimizer.init(trained))) != expected:
        raise ArgumentError("optimizer", f"have the state of that in {path}", "one with another state")


def _resumed(
    path: Any, params: Mapping[str, Any], settings: dict[str, Any], extra: Mapping[str, Any] | None
) -> Checkpoint:
    state = load_checkpoint(path)
    shapes = {name: (a.shape, a.dtype) for name, a in named_leaves(params)}
    if shapes != {name: (a.shape, a.dtype) for name, a in named_leaves(state.params)}:
        raise ArgumentError("params", f"have the names, shapes and dtype of those in {path}", "others")
    for name, value in settings.items():
        if state.settings.get(name) != value:
            raise ArgumentError(name, f"be {state.settings.get(name)}, as in the checkpoint {path}", value)
    return state if extra is None else replace(state, extra=dict(extra))
