"""A decoder that attends to a memory at every step: additive attention and an LSTM, forward and backward.

``python -m peer_tables.attention ours`` prints the bytes that one process of a side needs.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

import recurrent_dynamics as rd

from .comparison import JAX, PYTORCH, Comparison, differences
from .memory import _peak, _reset_peak

if PYTORCH:
    import torch

Numbers = dict[str, np.ndarray]
SIZE, TINY = (50, 50, 64, 256), (4, 5, 3, 8)  # steps, positions, sequences, units
TOLERANCE = 1e-4


def attention(comparison: Comparison) -> None:
    """Milliseconds and peak memory; keys are given, so the linear map that makes them is on no side."""
    size = TINY if comparison.quick else SIZE
    sides = {"ours": ours} | ({"PyTorch": pytorch} if PYTORCH else {}) | ({"JAX": jax_scan} if JAX else {})
    passes = {side: make(*problem(size)) for side, make in sides.items()}
    errors = differences("attention", {side: run() for side, run in passes.items()}, TOLERANCE)
    times, ratios = comparison.by_pairs(passes)
    used = {side: 1e-6 * _in_a_process(side, size) for side in sides if side != "JAX"}
    title = "Decoder with additive attention, LSTM, float32: forward and backward"
    title += f", (T, S, B, H) = {size}"
    comparison.table("attention", title, ["side"], ["milliseconds", "over ours", "peak MB", "MB over ours"])
    for side in sides:
        mb, beside_ours = (
            used.get(side, float("nan")),
            side in list(sides)[:2],
        )  # ours were timed beside the first peer
        ms = times[side] if beside_ours else float("nan")
        comparison.row([side], [ms, ratios[side], mb, mb / used["ours"]])
    comparison.agreement(errors, TOLERANCE)


def problem(size: tuple[int, int, int, int]) -> tuple[Numbers, np.ndarray, Numbers, np.ndarray]:
    """Parameters, input (T, B, H), memory and the gradient of the output."""
    steps, positions, batch, units = size
    rng = np.random.default_rng(0)
    params = rd.cells.attention(rd.cells.lstm()).init(units, units, rng)
    draw = lambda *shape: rng.standard_normal(shape).astype("float32")
    memory = {name: draw(positions, batch, units) for name in ("keys", "values")}
    return params, draw(steps, batch, units), memory, draw(steps, batch, units)


def ours(params: Numbers, x: np.ndarray, memory: Numbers, d: np.ndarray) -> Callable[[], Numbers]:
    """Output and all gradients."""
    cell = rd.cells.attention(rd.cells.lstm())

    def run() -> Numbers:
        made = rd.forward(cell, params, x, memory=memory, copy_params=False)
        grads = rd.backward(made, d)
        assert grads.x is not None
        return {"output": made.output, "x": grads.x, **grads.memory, **grads.params}

    return run


def pytorch(params: Numbers, x: np.ndarray, memory: Numbers, d: np.ndarray) -> Callable[[], Numbers]:
    """A loop of PyTorch's `LSTMCell` and attention."""
    both_ways, numbers = loop(params, x, memory, d)
    return lambda: numbers(both_ways())


def loop(
    params: Numbers, x: np.ndarray, memory: Numbers, d: np.ndarray
) -> tuple[Callable[[], torch.Tensor], Callable[[torch.Tensor], Numbers]]:
    """(the loop forward and backward with batched products, output and gradients as NumPy arrays).

    On PyTorch's default device.
    """
    units = params["v"].size
    cell = torch.nn.LSTMCell(x.shape[2] + units, units)
    query = torch.nn.Linear(units, units)
    with torch.no_grad():
        cell.weight_ih[...] = torch.tensor(np.concatenate([params["W"], params["U"][:, units:]], axis=1))
        cell.weight_hh[...] = torch.tensor(params["U"][:, :units])
        cell.bias_ih[...] = torch.tensor(params["b"][: 4 * units])
        cell.bias_hh[...] = 0
        query.weight[...] = torch.tensor(params["U_query"])
        query.bias[...] = torch.tensor(params["b"][4 * units :])
    v = torch.tensor(params["v"], requires_grad=True)
    given = torch.tensor(x, requires_grad=True)
    # Sequences first, as batched products take them.
    kept = {name: torch.tensor(a.swapaxes(0, 1).copy(), requires_grad=True) for name, a in memory.items()}
    d_output = torch.tensor(d)
    leaves = [v, given, *kept.values(), *cell.parameters(), *query.parameters()]

    def both_ways() -> torch.Tensor:
        for leaf in leaves:
            leaf.grad = None
        h = c = torch.zeros(x.shape[1], units)
        outputs = []
        for x_t in given:
            scores = torch.tanh(kept["keys"] + query(h)[:, None]) @ v
            context = torch.bmm(torch.softmax(scores, 1)[:, None], kept["values"])[:, 0]
            h, c = cell(torch.cat([x_t, context], 1), (h, c))
            outputs.append(h)
        output = torch.stack(outputs)
        output.backward(d_output)
        return output

    def numbers(output: torch.Tensor) -> Numbers:
        n = x.shape[2]
        found = {
            "output": output.detach(),
            "x": given.grad,
            **{name: a.grad.swapaxes(0, 1) for name, a in kept.items()},
            "W": cell.weight_ih.grad[:, :n],
            "U_query": query.weight.grad,
            "U": torch.cat([cell.weight_hh.grad, cell.weight_ih.grad[:, n:]], 1),
            "b": torch.cat([cell.bias_ih.grad, query.bias.grad]),
            "v": v.grad,
        }
        return {name: a.cpu().numpy() for name, a in found.items()}

    return both_ways, numbers


def jax_scan(params: Numbers, x: np.ndarray, memory: Numbers, d: np.ndarray) -> Callable[[], Numbers]:
    """The same model as a compiled scan."""
    import jax
    import jax.numpy as jnp

    units = params["v"].size
    turned = {name: a.swapaxes(0, 1).copy() for name, a in memory.items()}

    def output(params: Numbers, x: np.ndarray, memory: Numbers) -> jax.Array:
        def step(
            state: tuple[jax.Array, jax.Array], x_t: jax.Array
        ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
            h, c = state
            asked = h @ params["U_query"].T + params["b"][4 * units :]
            a = jax.nn.softmax(jnp.tanh(memory["keys"] + asked[:, None]) @ params["v"], axis=1)
            context = jnp.einsum("bs,bsv->bv", a, memory["values"])
            both = jnp.concatenate([h, context], 1)
            i, f, g, o = jnp.split(
                x_t @ params["W"].T + both @ params["U"].T + params["b"][: 4 * units], 4, axis=1
            )
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((x.shape[1], units), x.dtype)
        return jax.lax.scan(step, (zeros, zeros), x)[1]

    @jax.jit
    def both_ways(params: Numbers, x: np.ndarray, memory: Numbers, d: np.ndarray):
        y, pull = jax.vjp(output, params, x, memory)
        return y, pull(d)

    def run() -> Numbers:
        y, (by_params, by_x, by_memory) = jax.block_until_ready(both_ways(params, x, turned, d))
        found = {"output": np.asarray(y), "x": np.asarray(by_x)}
        found |= {name: np.asarray(a).swapaxes(0, 1) for name, a in by_memory.items()}
        return found | {name: np.asarray(a) for name, a in by_params.items()}

    return run


def _in_a_process(side: str, size: tuple[int, int, int, int]) -> int:
    command = [sys.executable, "-m", "peer_tables.attention", side, *map(str, size)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, check=True, text=True
    )
    return int(done.stdout)


def _measure(side: str, size: tuple[int, int, int, int]) -> int:
    """Bytes."""
    make = {"ours": ours, "PyTorch": pytorch}[side]
    make(*problem(TINY))()  # loads the code and starts the threads
    run = make(*problem(size))
    gc.collect()
    before = _reset_peak()
    run()
    return _peak() - before


if __name__ == "__main__":
    if PYTORCH:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    print(_measure(sys.argv[1], (int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))))
