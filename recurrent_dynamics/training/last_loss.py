"""The gradient of the last loss of every sequence alone, on its way back through the layers of a model."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import dynamics
from ..checks import ArgumentError
from ..dynamics.diagnosis.thresholds import EXPLODING_ABOVE
from ..nn import Batch, EncoderDecoder
from ..nn.encoder_decoder.pairs import as_pairs
from ..nn.losses import LOSSES
from ..nn.scored import Scored
from ..nn.trainable import Losses, Trainable

BOTH_DIRECTIONS = "states"  # the summary of an encoder that both directions enter at their own end


class Flows(NamedTuple):
    """Gradients by lag of the recurrent layers.

    Attributes
    ----------
    flows : list of GradientFlow
    steps : int
        How far they can reach.
    runs : list of int
        Of which of the runs of the model each is.
    paths : list of str
        Where the parameters of each layer stand, keys joined by "/".
    names : list of str or None
        What all layers are called, those of `flows` first.
    notes : list of str
        What else is to be said.
    """

    flows: list[dynamics.GradientFlow]
    steps: int
    runs: list[int]
    paths: list[str]
    names: list[str] | None = None
    notes: tuple[str, ...] = ()


def last_loss_flows(model: Scored, run: Any, batch: Batch) -> list[dynamics.GradientFlow]:
    """The gradient of every sequence's last loss alone by the whole state of each layer, by lag.

    For a layer that reads the sequences from their end it is that of the first loss, the last of its own steps.
    """
    steps, size = len(batch.inputs), np.shape(batch.inputs)[1]
    ends = np.full(size, steps) if batch.lengths is None else np.asarray(batch.lengths)
    weights = batch.weights(model.pool is not None)
    if model.pool is not None:
        if weights is not None and not np.all(weights):
            raise _without_a_loss()
        layers = _gradients(model, run, Batch(batch.inputs, batch.targets))
        return [_flow(layer, ends - 1) for layer in layers]
    counted: Any = np.ones((steps, size), bool) if weights is None else np.asarray(weights) > 0
    last, first = _last(counted), _counts(counted).argmax(axis=0)
    flows: dict[int, dynamics.GradientFlow] = {}
    for from_end, step, own in ((False, last, last), (True, first, ends - 1 - first)):
        chosen = [i for i, other in enumerate(model.from_end) if other == from_end]
        if chosen:
            layers = _gradients(model, run, Batch(batch.inputs, batch.targets, _alone(counted, step)))
            flows |= {i: _flow(layers[i], own) for i in chosen}
    return [flows[i] for i in range(len(flows))]


def pair_flows(model: EncoderDecoder, run: Any, batch: Any) -> Flows:
    """The gradient of every target's last loss alone, through the decoder and through the encoder.

    What the encoder carries is followed from the state that the decoder begins with, by its recurrences alone: what
    attention passes enters the encoder at any position, and is told apart. Of the two parts the one counts in which the
    gradient explodes, else the one that carries less, as a gradient passes both; with attention the decoder.
    """
    losses, score = model.compared(batch), LOSSES[model.loss_name]
    steps, size = run.output.shape[:2]
    counted: Any = np.ones((steps, size), bool) if losses.weights is None else np.asarray(losses.weights) > 0
    last = _last(counted)
    d = score(run.output, losses.targets, _alone(counted, last))[1]
    d = d * d.dtype.type(size)  # for each sequence by its own loss instead of the mean
    whole = model.backward(run, d)
    found = {"decoder": {p: _flow(g, last) for p, g in whole.decoder.runs.items()}}
    sizes = {"decoder": steps}
    by_start = model.backward(run, d, through="start") if model.memory is not None else whole
    lengths = as_pairs(batch).source_lengths
    ends = np.full(size, run.encoder.steps) if lengths is None else np.asarray(lengths)
    several = np.flatnonzero(ends > 1)  # of one step nothing is carried
    if several.size:
        # A direction from the end whose last step is not read has no gradient that enters at its end.
        unread = model.encoder.from_end if model.summary != BOTH_DIRECTIONS else frozenset()
        inner = {
            p: _flow(g, ends[several] - 1, several)
            for p, g in by_start.encoder.runs.items()
            if p not in unread
        }
        inner = {p: flow for p, flow in inner.items() if flow.norms.any()}
        if inner:
            found["encoder"], sizes["encoder"] = inner, int(ends.max())
    left = {part: max(_at_end(flow) for flow in flows.values()) for part, flows in found.items()}
    peaks = {part: max(float(f.relative.max()) for f in flows.values()) for part, flows in found.items()}
    if max(peaks.values()) > EXPLODING_ABOVE:
        counts = max(peaks, key=lambda part: peaks[part])
    else:
        counts = "decoder" if model.memory is not None else min(left, key=lambda part: left[part])
    paths = [("encoder", p) for p in run.encoder.runs] + [("decoder", p) for p in run.decoder.runs]
    order = [i for i, (part, p) in enumerate(paths) if part == counts and p in found[counts]]
    others = [i for i in range(len(paths)) if i not in order]
    keys = [_key(part, p) for part, p in paths]
    names = [
        f"the {part}" if sum(other == part for other, _ in paths) == 1 else f"layer {key}"
        for (part, _), key in zip(paths, keys, strict=True)
    ]
    return Flows(
        [found[counts][paths[i][1]] for i in order],
        sizes[counts],
        [*order, *others],
        [keys[i] for i in order],
        [names[i] for i in [*order, *others]],
        _notes(model, run, d, by_start, {part: left[part] for part in left if part != counts}, found),
    )


def _notes(
    model: EncoderDecoder, run: Any, d: np.ndarray, by_start: Any, left: dict[str, float], found: Any
) -> tuple[str, ...]:
    """Sentences on the part that does not count, and on the ways into the encoder."""
    notes = []
    for part, size in left.items():
        lag = max(len(flow.lags) for flow in found[part].values()) - 1
        notes.append(
            f"In the {part} {size:.2g} times the size it starts with is left of the gradient of a single loss, {lag} "
            f"steps before its end."
        )
    if model.memory is not None and run.encoder.runs:
        parts = [by_start, model.backward(run, d, through="attention")]
        one, other = (
            sum(float(np.linalg.norm(s)) for g in part.encoder.runs.values() for s in g.states.values())
            for part in parts
        )
        if one + other > 0:
            notes.append(
                f"Into the encoder {100 * other / (one + other):.0f} % of the gradient of a single loss pass the "
                "attention, at whatever position is read, the others the state that the decoder begins with (shares of "
                "the sum of both norms)."
            )
    return tuple(notes)


def _key(part: str, path: str) -> str:
    """Where the parameters stand: within the decoder's chain the first key is that of the chain."""
    inner = path if part == "encoder" else path.partition("/")[2]
    return f"{part}/{inner}" if inner else part


def _at_end(flow: dynamics.GradientFlow) -> float:
    return float(flow.relative[-1])


def _counts(counted: np.ndarray) -> np.ndarray:
    return counted if counted.ndim == 2 else np.asarray(counted.any(axis=-1))


def _last(counted: np.ndarray) -> np.ndarray:
    """The step of the last loss of each sequence."""
    counts = _counts(counted)
    if not counts.any(axis=0).all():
        raise _without_a_loss()
    return np.asarray(len(counts) - 1 - counts[::-1].argmax(axis=0))


def _without_a_loss() -> ArgumentError:
    return ArgumentError("batch", "have a loss in every sequence", "one without")


def _alone(counted: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Weights of the losses of one step of each sequence, each sequence with the same weight."""
    alone = np.zeros(counted.shape)
    at = step, np.arange(counted.shape[1])
    alone[at] = counted[at]
    if counted.ndim == 3:  # however many of its numbers count
        alone[at] /= counted[at].sum(axis=-1, keepdims=True)
    return alone


def _gradients(model: Scored, run: Any, batch: Batch) -> list[Any]:
    """The gradients of each recurrent layer, for each sequence by its own loss instead of the mean."""
    score = model.score(run.output, batch)[1]
    found: list[Any] = model.backward(run, score * score.dtype.type(np.shape(batch.inputs)[1])).layers
    return found


def _flow(gradients: Any, last: np.ndarray, sequences: np.ndarray | None = None) -> dynamics.GradientFlow:
    """The flow from the step of each sequence's loss back, in the order in which the layer took its steps.

    Of all sequences, or of those with the indices `sequences`.
    """
    places = last - np.arange(last.min(), -1, -1)[:, None]  # (lags, B), the longest lag first
    d = np.concatenate(list(gradients.states.values()), axis=-1)
    return dynamics.gradient_flow(d[places, np.arange(len(last)) if sequences is None else sequences])


def loss_by_step(model: Trainable, output: np.ndarray, losses: Losses) -> np.ndarray:
    """Mean loss (T,) at every step of a window; NaN where there is none."""
    found = np.full(len(output), np.nan)
    for t in range(len(output)):
        mask = None if losses.weights is None else losses.weights[t : t + 1]
        if mask is None or np.any(mask):
            found[t] = LOSSES[model.loss_name](output[t : t + 1], losses.targets[t : t + 1], mask)[0]
    return found
