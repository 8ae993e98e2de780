"""A recurrence in each library: what is timed, and its numbers by the names of our parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from suite.common import Problem, lengths_of, problem_of

import recurrent_dynamics as rd

from .comparison import JAX, PYTORCH, Size

if PYTORCH:
    import torch
    from torch.nn.functional import layer_norm
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Ours:
    """A cell of this library."""

    def __init__(self, problem: Problem, lengths: np.ndarray | None = None) -> None:
        self.problem, self.lengths = problem, lengths

    def forward(self) -> Any:
        """Run forward, keeping what a backward pass needs."""
        cell, params, x, _ = self.problem
        run = rd.forward(cell, params, x, lengths=self.lengths)
        return run, run.output

    def both(self) -> Any:
        """Run forward, and backward through parameters, input and initial state."""
        run, output = self.forward()
        return output, rd.backward(run, self.problem.d_output)

    def numbers(self) -> dict[str, np.ndarray]:
        """Return the output, and the gradient of everything."""
        output, grads = self.both()
        initial = {f"initial {slot}": d for slot, d in grads.initial.items()}
        return {"output": output, "x": grads.x, **grads.params, **initial}


class Theirs:
    """A recurrence of PyTorch: `apply` gives its output, `leaves` are what it is differentiated by."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        batch, units = problem.d_output.shape[1:]
        self.x = torch.tensor(problem.x, requires_grad=True)
        self.d_output = torch.tensor(problem.d_output)
        self.initial = {
            slot: torch.zeros(batch, units, dtype=self.x.dtype, requires_grad=True)
            for slot in problem.cell.state
        }
        self.leaves = {"x": self.x, **{f"initial {slot}": v for slot, v in self.initial.items()}}

    def forward(self) -> Any:
        """Run forward, recording what a backward pass needs."""
        return self.apply()

    def both(self) -> Any:
        """Run forward, and backward through parameters, input and initial state."""
        for leaf in self.leaves.values():
            leaf.grad = None
        output = self.apply()
        output.backward(self.d_output)
        return output

    def numbers(self) -> dict[str, np.ndarray]:
        """Return the output, and the gradient of everything."""
        output = self.both().detach().numpy()
        return {"output": output, **self.named({k: v.grad.numpy() for k, v in self.leaves.items()})}

    def named(self, grads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Gradients by our names."""
        return grads

    def apply(self) -> Any:
        raise NotImplementedError


class Layer(Theirs):
    """PyTorch's own LSTM, GRU or RNN; with lengths by way of a PackedSequence."""

    def __init__(self, problem: Problem, lengths: np.ndarray | None = None) -> None:
        super().__init__(problem)
        cell, params, x, d_output = problem
        module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}[cell.name]
        self.module = module(x.shape[2], d_output.shape[2], dtype=self.x.dtype)
        weights = rd.interop.to_torch((cell, params))
        self.module.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
        self.leaves |= dict(self.module.named_parameters())
        self.lengths = None if lengths is None else torch.tensor(lengths)

    def apply(self) -> Any:
        initial = tuple(v.unsqueeze(0) for v in self.initial.values())
        state = initial if len(initial) > 1 else initial[0]
        if self.lengths is None:
            return self.module(self.x, state)[0]
        packed = pack_padded_sequence(self.x, self.lengths, enforce_sorted=False)
        output, _ = self.module(packed, state)
        return pad_packed_sequence(output, total_length=len(self.x))[0]

    def named(self, grads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        named = {k: v for k, v in grads.items() if not k.endswith("_l0")}
        named |= {"W": grads["weight_ih_l0"], "U": grads["weight_hh_l0"], "b": grads["bias_ih_l0"]}
        if "b_h" in self.problem.params:
            named["b_h"] = grads["bias_hh_l0"][-len(self.problem.params["b_h"]) :]
        return named


class NormalizedLSTM(Theirs):
    """A layer-normalized LSTM as a loop over time, the input's product taken for all steps before it."""

    GATES = ("i", "f", "g", "o")

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        params = problem.params
        leaf = lambda array: torch.tensor(array, requires_grad=True)
        self.W, self.U = leaf(params["W"]), leaf(params["U"])
        self.gain = leaf(np.stack([params[f"gain_{g}"] for g in self.GATES]))
        self.offset = leaf(np.stack([params[f"offset_{g}"] for g in self.GATES]))
        self.leaves |= {"W": self.W, "U": self.U, "gain": self.gain, "offset": self.offset}

    def apply(self) -> Any:
        h, c = self.initial["h"], self.initial["c"]
        U = self.U.T
        outputs = []
        for drive in (self.x @ self.W.T).unbind(0):
            h, c = self.step(drive, h, c, U, self.gain, self.offset)
            outputs.append(h)
        return torch.stack(outputs)

    @staticmethod
    def step(drive: Any, h: Any, c: Any, U: Any, gain: Any, offset: Any) -> tuple[Any, Any]:
        """One step; what it needs comes as arguments, so that it can be compiled alone."""
        shape = (len(h), 4, h.shape[1])
        standard = layer_norm(torch.addmm(drive, h, U).view(shape), shape[2:])
        i, f, g, o = torch.addcmul(offset, standard, gain).unbind(1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def named(self, grads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = {f"{n}_{g}": d for n in ("gain", "offset") for g, d in zip(self.GATES, grads[n], strict=True)}
        return {k: v for k, v in grads.items() if k not in ("gain", "offset")} | rows


def plain(name: str, size: Size, dtype: str = "float32") -> dict[str, Callable[[], Any]]:
    """How each library makes a cell without anything special."""
    problem = problem_of(getattr(rd.cells, name)(), size, dtype)
    return _peers(lambda: Ours(problem), lambda: Layer(problem), lambda: _scan(problem, name))


def normalized(name: str, size: Size) -> dict[str, Callable[[], Any]]:
    """How each library makes a layer-normalized cell; only the LSTM is written out for the others."""
    problem = problem_of(getattr(rd.cells, name)().with_normalization(), size)
    return _peers(
        lambda: Ours(problem), lambda: NormalizedLSTM(problem), lambda: _scan(problem, f"normalized_{name}")
    )


def ragged(name: str, size: Size) -> dict[str, Callable[[], Any]]:
    """How each library runs a cell over sequences of many lengths; JAX has nothing for them."""
    problem, lengths = problem_of(getattr(rd.cells, name)(), size), lengths_of(size)
    return _peers(lambda: Ours(problem, lengths), lambda: Layer(problem, lengths))


def _scan(problem: Problem, step: str) -> Any:
    from . import scans

    return scans.Scan(problem, getattr(scans, step))


def _peers(
    ours: Callable[[], Any], pytorch: Callable[[], Any], jax: Callable[[], Any] | None = None
) -> dict[str, Callable[[], Any]]:
    peers = {"ours": ours}
    if PYTORCH:
        peers["PyTorch"] = pytorch
    if JAX and jax is not None:
        peers["JAX"] = jax
    return peers
