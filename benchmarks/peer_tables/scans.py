"""Recurrences in JAX: a ``lax.scan`` over the steps, compiled whole, the input's product taken for all steps before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from suite.common import Problem

jax.config.update("jax_enable_x64", True)  # arrays keep the dtype in which they come
jax.config.update("jax_platforms", "cpu")

State = dict[str, Any]
Step = Callable[[State, Any, State], State]  # parameters, W x + b, state -> state


def lstm(params: State, drive: Any, state: State) -> State:
    """One step."""
    i, f, g, o = jnp.split(drive + state["h"] @ params["U"].T, 4, axis=1)
    return _lstm(i, f, g, o, state)


def normalized_lstm(params: State, drive: Any, state: State) -> State:
    """One step with layer normalization of every drive."""
    drives = (drive + state["h"] @ params["U"].T).reshape(len(drive), 4, -1)
    deviation = drives - drives.mean(axis=2, keepdims=True)
    standard = deviation * jax.lax.rsqrt((deviation**2).mean(axis=2, keepdims=True) + 1e-5)
    gain, offset = (jnp.stack([params[f"{name}_{g}"] for g in "ifgo"]) for name in ("gain", "offset"))
    i, f, g, o = jnp.moveaxis(standard * gain + offset, 1, 0)
    return _lstm(i, f, g, o, state)


def _lstm(i: Any, f: Any, g: Any, o: Any, state: State) -> State:
    c = jax.nn.sigmoid(f) * state["c"] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return {"h": jax.nn.sigmoid(o) * jnp.tanh(c), "c": c}


def gru(params: State, drive: Any, state: State) -> State:
    """One step, the reset gate after the product."""
    r, z, n = jnp.split(drive, 3, axis=1)
    of_r, of_z, of_n = jnp.split(state["h"] @ params["U"].T, 3, axis=1)
    z = jax.nn.sigmoid(z + of_z)
    n = jnp.tanh(n + jax.nn.sigmoid(r + of_r) * (of_n + params["b_h"]))
    return {"h": (1 - z) * n + z * state["h"]}


def elman(params: State, drive: Any, state: State) -> State:
    """One step."""
    return {"h": jnp.tanh(drive + state["h"] @ params["U"].T)}


class Scan:
    """A recurrence of JAX, differentiated by everything that goes into it."""

    def __init__(self, problem: Problem, step: Step) -> None:
        cell, params, x, d_output = problem
        still = np.zeros(d_output.shape[1:], x.dtype)
        leaves = {**params, "x": x, **{f"initial {slot}": still for slot in cell.state}}
        self.leaves = {name: jnp.asarray(a) for name, a in leaves.items()}
        self.d_output = jnp.asarray(d_output)

        def output(leaves: State) -> Any:
            drives = leaves["x"] @ leaves["W"].T + leaves.get("b", 0)

            def move(state: State, drive: Any) -> tuple[State, Any]:
                state = step(leaves, drive, state)
                return state, state["h"]

            return jax.lax.scan(move, {slot: leaves[f"initial {slot}"] for slot in cell.state}, drives)[1]

        def both(leaves: State, d_output: Any) -> tuple[Any, State]:
            out, back = jax.vjp(output, leaves)
            return out, back(d_output)[0]

        self._forward, self._both = jax.jit(output), jax.jit(both)

    def forward(self) -> Any:
        """Run forward alone: JAX compiles one program for both, which keeps nothing between them."""
        return jax.block_until_ready(self._forward(self.leaves))

    def both(self) -> Any:
        """Run forward, and backward through parameters, input and initial state."""
        return jax.block_until_ready(self._both(self.leaves, self.d_output))

    def numbers(self) -> dict[str, np.ndarray]:
        """Return the output, and the gradient of everything."""
        output, grads = self.both()
        return {"output": np.asarray(output), **{name: np.asarray(a) for name, a in grads.items()}}
