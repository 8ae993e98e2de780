"""Training a character model, everything included: characters per second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import recurrent_dynamics as rd

from .comparison import PYTORCH, Comparison, differences

if PYTORCH:
    import torch

BATCH, WINDOW, VOCABULARY, UNITS, UPDATES = 50, 50, 65, 128, 20
RATE, NORM = 2e-3, 5.0
TOLERANCE = 1e-5


def character(comparison: Comparison) -> None:
    """Embedding, two LSTM layers, readout, cross-entropy, clipping, Adam; the state is carried on."""
    units = 16 if comparison.quick else UNITS
    text = np.random.default_rng(0).integers(0, VOCABULARY, UPDATES * BATCH * WINDOW + 1)
    ways: dict[str, Callable[[], Any]] = {"ours": ours(text, units)}
    numbers = {"ours": {"losses": ways["ours"]()}}
    errors = {}
    if PYTORCH:
        # PyTorch has two biases where we have one: for equal numbers the second one stays 0 there.
        numbers["PyTorch"] = {"losses": pytorch(text, units, second_bias=False)()}
        errors = differences("character", numbers, TOLERANCE)
        ways["PyTorch"] = pytorch(text, units)
        ways["PyTorch, fused Adam"] = pytorch(text, units, fused=True)
    times = comparison.medians(ways)
    title = (
        f"Training a character model: {VOCABULARY} characters, two LSTM layers of {units}, batch {BATCH}, "
        f"windows of {WINDOW}"
    )
    comparison.table("character", title, ["what"], ["characters per second", "ours over it"])
    for way, ms in times.items():
        comparison.row([way], [1e3 * (len(text) - 1) / ms, ms / times["ours"]])
    comparison.agreement(errors, TOLERANCE)


def model_of(units: int) -> tuple[rd.nn.Model, dict[str, Any]]:
    """Our model, and the weights that every side starts from."""
    lstm = rd.cells.lstm()
    model = rd.nn.Model([lstm, lstm], hidden_size=units, vocabulary_size=VOCABULARY)
    return model, model.init(rng=0)


def ours(text: np.ndarray, units: int) -> Callable[[], np.ndarray]:
    """An epoch of the library's training loop; gives the losses."""
    model, params = model_of(units)
    data = rd.data.Streams(text, BATCH, WINDOW)

    def epoch() -> np.ndarray:
        result = rd.training.fit(
            model,
            params,
            data,
            optimizer=rd.training.adam(),
            learning_rate=RATE,
            updates=UPDATES,
            clip_norm=NORM,
            progress=False,
        )
        return np.asarray(result.history["loss"])

    return epoch


def pytorch(
    text: np.ndarray, units: int, fused: bool = False, second_bias: bool = True
) -> Callable[[], np.ndarray]:
    """An epoch of a training loop as one writes it in PyTorch; gives the losses."""
    model, params = model_of(units)
    layers = [(cell, params["layers"][str(k)]) for k, cell in enumerate(model.cells)]
    as_tensors = lambda arrays: {k: torch.tensor(v) for k, v in arrays.items()}
    embedding = torch.nn.Embedding(VOCABULARY, model.input_size)
    embedding.load_state_dict({"weight": torch.tensor(params["embedding"]["table"])})
    recurrent = torch.nn.LSTM(model.input_size, units, num_layers=2)
    recurrent.load_state_dict(as_tensors(rd.interop.to_torch(layers)))
    readout = torch.nn.Linear(units, VOCABULARY)
    readout.load_state_dict(as_tensors({"weight": params["readout"]["W"], "bias": params["readout"]["b"]}))
    for name, parameter in recurrent.named_parameters():
        if name.startswith("bias_hh"):
            parameter.requires_grad_(second_bias)
    trained = [p for m in (embedding, recurrent, readout) for p in m.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=RATE, fused=fused)
    streams = rd.data.Streams(text, BATCH, WINDOW)
    inputs, targets = torch.tensor(streams.inputs), torch.tensor(streams.targets)

    def epoch() -> np.ndarray:
        state, losses = None, []
        for k in range(0, UPDATES * WINDOW, WINDOW):
            output, state = recurrent(embedding(inputs[k : k + WINDOW]), state)
            logits = readout(output).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, targets[k : k + WINDOW].flatten())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, NORM)
            optimizer.step()
            state = tuple(s.detach() for s in state)
            losses.append(loss.item())
        return np.array(losses)

    return epoch
