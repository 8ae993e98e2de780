"""Layers of two directions, whole sequences and ragged ones, against PyTorch's bidirectional LSTM and GRU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from suite.common import lengths_of

import recurrent_dynamics as rd

from .comparison import PYTORCH, Comparison, Size
from .recurrences import FLOAT32, race

if PYTORCH:
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def bidirectional(comparison: Comparison) -> None:
    """LSTM and GRU of two directions over whole sequences."""
    title = "Layers of two directions, float32, milliseconds"
    race(comparison, "bidirectional", title, _cells(comparison), contestants, FLOAT32)


def bidirectional_ragged(comparison: Comparison) -> None:
    """The same over sequences of many lengths; PyTorch packs and pads them."""
    title = "Layers of two directions, lengths uniform in 1..T, against PackedSequence, float32, milliseconds"
    make = partial(contestants, ragged=True)
    race(comparison, "bidirectional_ragged", title, _cells(comparison), make, FLOAT32)


def _cells(comparison: Comparison) -> list[str]:
    return [cell for cell in comparison.cells if cell in ("lstm", "gru")]


class Problem:
    """A layer, its parameters, an input and the derivative of a loss by the output."""

    def __init__(self, name: str, size: Size, ragged: bool) -> None:
        steps, batch, inputs, units = size
        one = rd.nn.recurrent(getattr(rd.cells, name)(), units, input_size=inputs)
        self.name, self.layer = name, rd.nn.bidirectional(one, one)
        self.params = self.layer.init(rng=0)
        rng = np.random.default_rng(1)
        self.x = rng.standard_normal((steps, batch, inputs), np.float32)
        self.d_output = rng.standard_normal((steps, batch, 2 * units), np.float32)
        self.lengths = lengths_of(size) if ragged else None
        if self.lengths is not None:
            self.d_output[np.arange(steps)[:, None] >= self.lengths] = 0


class Ours:
    def __init__(self, problem: Problem) -> None:
        self.problem, self.context = problem, rd.nn.Context(lengths=problem.lengths)

    def forward(self) -> Any:
        return self.problem.layer(self.problem.params, self.problem.x, self.context)

    def both(self) -> Any:
        y, pull = self.forward()
        return y, pull(self.problem.d_output)

    def numbers(self) -> dict[str, np.ndarray]:
        y, (d_params, d_x) = self.both()
        named = {f"{way} {name}": d for way, of_way in d_params.items() for name, d in of_way.items()}
        return {"output": y, "x": d_x, **named}


class Theirs:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        units = problem.d_output.shape[2] // 2
        module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[problem.name]
        self.module = module(problem.x.shape[2], units, bidirectional=True)
        weights = rd.interop.to_torch((problem.layer, problem.params))
        self.module.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
        self.x, self.d_output = torch.tensor(problem.x, requires_grad=True), torch.tensor(problem.d_output)
        self.lengths = None if problem.lengths is None else torch.tensor(problem.lengths)

    def forward(self) -> Any:
        if self.lengths is None:
            return self.module(self.x)[0]
        packed = pack_padded_sequence(self.x, self.lengths, enforce_sorted=False)
        return pad_packed_sequence(self.module(packed)[0], total_length=len(self.x))[0]

    def both(self) -> Any:
        self.x.grad = None
        for parameter in self.module.parameters():
            parameter.grad = None
        output = self.forward()
        output.backward(self.d_output)
        return output

    def numbers(self) -> dict[str, np.ndarray]:
        output = self.both().detach().numpy()
        found = {"output": output, "x": self.x.grad.numpy()}
        grads = {name: p.grad.numpy() for name, p in self.module.named_parameters()}
        for way, end in (("forward", ""), ("backward", "_reverse")):
            found |= {f"{way} W": grads[f"weight_ih_l0{end}"], f"{way} U": grads[f"weight_hh_l0{end}"]}
            found[f"{way} b"] = grads[f"bias_ih_l0{end}"]
            of_h = self.problem.params[way].get("b_h")
            if of_h is not None:
                found[f"{way} b_h"] = grads[f"bias_hh_l0{end}"][-len(of_h) :]
        return found


def contestants(name: str, size: Size, ragged: bool = False) -> dict[str, Callable[[], Any]]:
    """How each library makes a layer of two directions."""
    problem = Problem(name, size, ragged)
    peers: dict[str, Callable[[], Any]] = {"ours": lambda: Ours(problem)}
    if PYTORCH:
        peers["PyTorch"] = lambda: Theirs(problem)
    return peers
