"""Encoder-decoders of every kind, batches for them, and the same in plain NumPy, real or complex."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import nn

CLASSES, BEGIN, END = 7, 0, 1
STEPS, BATCH, TARGET = 5, 4, 3
RAGGED = {"source_lengths": np.array([5, 2, 0, 4]), "target_lengths": np.array([3, 0, 1, 2])}
LSTM, GRU = rd.cells.lstm(), rd.cells.gru()
ADDITIVE = rd.cells.attention(LSTM, keys="4", values="6")
DOT = rd.cells.attention(GRU, "dot", query="after")
GENERAL = rd.cells.attention(GRU, "general", query="after", input_feeding=False, keys="3", values="5")


def both(cell: Any, units: int) -> nn.Layer:
    return nn.bidirectional(nn.recurrent(cell, units), nn.recurrent(cell, units))


def reader(*layers: nn.Layer) -> nn.Layer:
    return nn.chain(nn.embedding(6, 4), *layers)


def models() -> dict[str, nn.EncoderDecoder]:
    """By what is special about them."""
    words = {"classes": CLASSES, "begin": BEGIN, "end": END}
    lstm, gru = nn.recurrent(LSTM, 5), nn.recurrent(GRU, 5)
    stack = nn.chain(lstm, nn.dropout(0.3), nn.recurrent(LSTM, 5))
    make = nn.encoder_decoder
    return {
        "dense": make(reader(both(GRU, 3)), lstm, **words),
        "tanh": make(reader(both(LSTM, 3)), gru, **words, start="tanh", embedding_size=2),
        "copy": make(reader(stack), stack, **words, start="copy"),
        "mean": make(reader(both(GRU, 3), nn.dense(None, 4)), gru, **words, summary="mean"),
        "last": make(reader(gru, nn.dense(None, 4)), gru, **words, summary="last"),
        "every step": make(reader(gru), stack, **words, every_step=True),
        "copy and every step": make(reader(gru), gru, **words, start="copy", every_step=True),
        "every step alone": make(reader(gru), lstm, **words, start="zero", every_step=True),
        "without an end": make(reader(gru), gru, classes=CLASSES, begin=BEGIN),
        "numbers to classes": make(nn.recurrent(GRU, 4, input_size=3), gru, **words),
        "numbers": make(nn.recurrent(GRU, 4, input_size=3), lstm, output_size=2),
        "numbers every step": make(nn.recurrent(GRU, 4, input_size=3), lstm, output_size=2, every_step=True),
        "vector": make(nn.dense(3, 4), gru, **words),
        "vector every step": make(nn.dense(3, 4), nn.residual(nn.recurrent(GRU, 9)), **words, start="zero",
                                  every_step=True, embedding_size=5),
        "attention": make(reader(both(GRU, 3)), nn.recurrent(ADDITIVE, 5), **words, start="zero"),
        "attention after": make(reader(gru), nn.chain(nn.recurrent(DOT, 5), nn.recurrent(GRU, 5)), **words),
        "attention to numbers": make(nn.recurrent(GRU, 5, input_size=3), nn.recurrent(GENERAL, 4), output_size=2,
                                     every_step=True),
        "class": make(nn.embedding(6, 4), gru, **words),
    }  # fmt: skip


def pairs(model: nn.EncoderDecoder, rng: np.random.Generator, **lengths: Any) -> nn.Pairs:
    """A batch, ragged where lengths are given."""
    if model.encoder.classes is not None:
        source = rng.integers(0, model.encoder.classes, (STEPS, BATCH))
    else:
        source = rng.standard_normal((STEPS, BATCH, model.encoder.input_size))
    if model.encoder.cells or "source_lengths" not in lengths:
        given = dict(lengths)
    else:
        given = {"target_lengths": lengths["target_lengths"]}
    if not model.encoder.cells:
        source = source[0]
    if model.alphabet is None:
        target = rng.standard_normal((TARGET, BATCH, model.output_size))
    else:
        target = rng.integers(2, CLASSES, (TARGET, BATCH))
    return nn.Pairs(source, target, **given)


def plain_gru(p: dict[str, Any], x: Any, h: Any) -> Any:
    """One step for one sequence."""
    xr, xz, xn = np.split(p["W"] @ x + p["b"], 3)
    hr, hz, hn = np.split(p["U"] @ h, 3)
    r, z = 1 / (1 + np.exp(-(xr + hr))), 1 / (1 + np.exp(-(xz + hz)))
    return (1 - z) * np.tanh(xn + r * (hn + p["b_h"])) + z * h


def plain_lstm(p: dict[str, Any], x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """One step for one sequence."""
    i, f, g, o = np.split(p["W"] @ x + p["U"] @ h + p["b"], 4)
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def plain_loss(params: dict[str, Any], batch: nn.Pairs) -> Any:
    """The mean loss of the model "dense", symbol by symbol; its parameters may be complex."""
    total, count, (ahead, back) = 0.0, 0, (params["encoder"]["1"][key] for key in ("forward", "backward"))
    for b in range(batch.source.shape[1]):
        ends = [T if n is None else n[b] for T, n in
                ((len(batch.source), batch.source_lengths), (len(batch.target), batch.target_lengths))]  # fmt: skip
        vectors = params["encoder"]["0"]["table"][batch.source[: ends[0], b]]
        h, g = (np.zeros(len(p["U"]) // 3) for p in (ahead, back))
        for x in vectors:
            h = plain_gru(ahead, x, h)
        for x in vectors[::-1]:
            g = plain_gru(back, x, g)
        h, c = np.split(params["start"]["W"] @ np.concatenate([h, g]) + params["start"]["b"], 2)
        word = [BEGIN, *batch.target[: ends[1], b], END]
        for before, after in itertools.pairwise(word):
            h, c = plain_lstm(params["decoder"], params["embedding"]["table"][before], h, c)
            logits = params["readout"]["W"] @ h + params["readout"]["b"]
            total, count = total + np.log(np.exp(logits).sum()) - logits[after], count + 1
    return total / count
