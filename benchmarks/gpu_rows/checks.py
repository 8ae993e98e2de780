"""Rows that compare the CUDA engine with the CPU engine: outputs, gradients, tangents, Jacobians."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import cells
from recurrent_dynamics.cells import DIAGONAL, Cell, heads, low_rank

from .report import Options, found, say

TOLERANCE = {"float32": 1e-4, "float64": 1e-11}
LARGEST_JACOBIAN = 320  # units

# The cell, and (T, B, N, H): walks by columns, in blocks, on a grid, and where U fits no shared memory.
COMPARED: dict[str, tuple[Callable[[Options], Cell], tuple[int, int, int, int]]] = {
    "LSTM, 96 units": (lambda o: cells.lstm(), (1000, 5, 16, 96)),
    "LSTM, 320 units": (lambda o: cells.lstm(), (1000, 16, 16, 320)),
    "GRU, 96 units": (lambda o: cells.gru(), (1000, 5, 16, 96)),
    "GRU, 320 units": (lambda o: cells.gru(), (1000, 16, 16, 320)),
    "IndRNN, 300 units": (lambda o: cells.indrnn(), (1000, 5, 16, 300)),
    "normalized LSTM, 64 units": (lambda o: cells.lstm().with_normalization(), (1000, 5, 16, 64)),
    "normalized LSTM, 320 units": (lambda o: cells.lstm().with_normalization(), (200, 16, 16, 320)),
    "LSTM, 1700 units": (lambda o: cells.lstm(), (20, 8, 16, 1700)),
    "two stages, 64 units": (lambda o: cells.gru_reset_before(), (200, 5, 16, 64)),
    "two stages, 320 units": (lambda o: cells.gru_reset_before(), (200, 16, 16, 320)),
    "projected LSTM, 320 units": (lambda o: cells.lstm_projected(3 if o.dry else 32), (100, 5, 16, 320)),
    "peepholes, 64 units": (lambda o: cells.lstm_peephole(), (200, 5, 16, 64)),
    "diagonal LSTM, 300 units": (lambda o: cells.lstm().with_structure(DIAGONAL), (200, 5, 16, 300)),
    "Elman in heads, 64 units": (lambda o: cells.elman().with_structure(heads(2)), (200, 5, 16, 64)),
    "GRU of low rank, 64 units": (lambda o: cells.gru().with_structure(low_rank(2)), (200, 5, 16, 64)),
    "attention decoder, 256 units": (lambda o: cells.attention(cells.lstm()), (50, 16, 16, 256)),
    "dot attention after, 64 units": (
        lambda o: cells.attention(cells.gru(), "dot", "after"),
        (50, 5, 16, 64),
    ),
    "monotonic attention, 64 units": (
        lambda o: cells.attention(cells.elman(), weights="monotonic", location=1),
        (50, 5, 16, 64),
    ),
}
POSITIONS = 45  # of the memory of a cell that reads one


def problem(cell: Cell, size: tuple[int, ...], dtype: str, seed: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """Parameters as PyTorch draws them, input and cotangent, as NumPy arrays."""
    T, B, N, H = size
    rng = np.random.default_rng(seed)
    params = cell.init(N, H, seed, dtype)
    width = next(s.width for s in cell.layout(N, H).slots if s.name == cell.output)
    x, d = rng.standard_normal((T, B, N)), rng.standard_normal((T, B, width))
    return params, x.astype(dtype), d.astype(dtype)


def memory_of(cell: Cell, size: tuple[int, ...], dtype: str, seed: int, positions: int) -> dict[str, Any]:
    """The memory of a cell that reads one, of sources of all lengths, as arguments of `forward`."""
    _, B, N, H = size
    rng, spans = np.random.default_rng(seed), cell.layout(N, H, positions).memory
    return {
        "memory": {m.name: rng.standard_normal((positions, B, m.width)).astype(dtype) for m in spans},
        "memory_lengths": rng.integers(0, positions + 1, B),
    }


def error(came: np.ndarray, wanted: np.ndarray) -> float:
    """Largest error over largest entry; NaN where anything is NaN."""
    return float(np.abs(came - wanted).max() / max(np.abs(wanted).max(), 1e-30))


def quantities(
    run: Any, d: np.ndarray, direction: dict[str, np.ndarray], jacobians: bool
) -> dict[str, np.ndarray]:
    """Everything that the verbs compute of a run."""
    grads = rd.backward(run, d)
    values = {"output": run.output, "d x": grads.x}
    values |= {f"state {name}": value for name, value in run.states.items()}
    values |= {f"d {name}": value for name, value in grads.params.items()}
    values |= {f"d initial {name}": value for name, value in grads.initial.items()}
    values |= {f"d memory {name}": value for name, value in grads.memory.items()}
    values["tangent"] = rd.jvp(run, d_params=direction).output
    if jacobians:
        values["Jacobian"] = rd.jacobian(run, [0, run.steps - 1])
    return values


def compare(
    cell: Cell, params: Any, x: np.ndarray, d: np.ndarray, seed: int, what: str, **options: Any
) -> tuple[float, Any]:
    """(the largest error, the run of the CPU engine); an AssertionError says all that is wrong."""
    rng, dtype = np.random.default_rng(seed), str(x.dtype)
    direction = {name: rng.standard_normal(value.shape).astype(dtype) for name, value in params.items()}
    jacobians = d.shape[-1] <= LARGEST_JACOBIAN and x.shape[1] <= 64 and not cell.memory
    runs = [rd.forward(cell, params, x, device=device, **options) for device in ("cpu", "cuda")]
    wanted, came, again = (quantities(run, d, direction, jacobians) for run in (*runs, runs[1]))
    errors = {name: error(came[name], value) for name, value in wanted.items()}
    wrong = {name: f"{e:.1e}" for name, e in errors.items() if not e < TOLERANCE[dtype]}
    assert not wrong, f"{what}, {dtype}, seed {seed}: relative errors {wrong}"
    changed = [name for name, value in came.items() if not np.array_equal(value, again[name])]
    assert not changed, f"{what}, {dtype}, seed {seed}: another result at the second call: {changed}"
    return max(errors.values()), runs[0]


def compared(name: str, options: Options) -> None:
    """Compare a cell for every dtype and seed; seed 1 has ragged sequences, and states that are set back."""
    from recurrent_dynamics.engine.cuda import driver

    make, size = COMPARED[name]
    cell, size = make(options), options.size(*size)
    T, B = size[:2]
    positions = (3 if options.dry else POSITIONS) if cell.memory else None
    for dtype, allowed in TOLERANCE.items():
        begun, errors = time.perf_counter(), []
        for seed in range(options.seeds):
            rng, ends = np.random.default_rng(seed), {}
            if seed == 1:
                ends = {"lengths": rng.integers(T // 2, T + 1, B), "reset": rng.random((T, B)) < 0.01}
            if positions is not None:
                ends |= memory_of(cell, size, dtype, seed, positions)
            errors.append(compare(cell, *problem(cell, size, dtype, seed), seed, name, **ends)[0])
        walks = rd.engine.plan(cell, size, dtype, driver.limits(), positions=positions).walks.values()
        kinds = sorted({f"{walk.kind}{'' if walk.resident else ' without U'}" for walk in walks})
        found(f"{dtype}, largest relative error", max(errors), "", at_most=allowed)
        say(f"walks: {', '.join(kinds)}; {time.perf_counter() - begun:.1f} s with compiling, both engines")


def expanding(name: str, options: Options) -> None:
    """Networks that double every difference in a few steps: every step from the same state.

    Free runs of such a network part however well each step is computed, so all steps of the CPU's run are taken
    again, side by side as instances, each from the state that the CPU had.
    """
    for cell, gain, size in ((cells.elman(), 3.0, (200, 8, 16, 64)), (cells.lstm(), 6.0, (200, 8, 16, 320))):
        size = options.size(*size)
        T, B, N, H = size
        for dtype, allowed in TOLERANCE.items():
            errors = []
            for seed in range(options.seeds):
                params, x, d = problem(cell, size, dtype, seed)
                U = np.random.default_rng(seed).standard_normal(params["U"].shape) * gain / np.sqrt(H)
                params["U"] = U.astype(dtype)
                run = rd.forward(cell, params, x, device="cpu")
                before = {}
                for slot, value in run.states.items():
                    start = np.zeros((1, *value.shape[1:]), dtype)
                    before[slot] = np.concatenate([start, value[:-1]]).reshape(T * B, -1)
                sides = x.reshape(1, T * B, N), d.reshape(1, T * B, -1)
                errors.append(
                    compare(cell, params, *sides, seed, f"expanding {cell.name}", initial=before)[0]
                )
                free = rd.forward(cell, params, x, device="cuda").output
                parted = np.abs(free - run.output).max(axis=(1, 2))
            found(f"{cell.name} {dtype}, largest relative error of a step", max(errors), "", at_most=allowed)
            say(f"free runs differ by {parted[0]:.1e} after the first step and {parted[-1]:.1e} after {T}")


def residence(name: str, options: Options) -> None:
    """Arrays of CuPy and tensors of PyTorch stay on the device, and the stream of the caller is taken."""
    from recurrent_dynamics.engine.cuda import driver

    xp, cell = driver.array_module(), cells.lstm()
    params, x, d = problem(cell, options.size(100, 5, 16, 96), "float32", 0)
    there = {key: xp.asarray(value) for key, value in params.items()}
    wanted = rd.forward(cell, params, x, device="cuda")
    run = rd.forward(cell, there, xp.asarray(x), device="cuda")
    assert isinstance(run.output, xp.ndarray), type(run.output)
    same = rd.backward(run, xp.asarray(d)).params["U"]
    host = np.asarray(same if options.dry else same.get())
    assert np.array_equal(host, rd.backward(wanted, d).params["U"])
    say("arrays on the device: the same numbers as from the host, bit by bit")
    if options.dry:
        return
    stream = xp.cuda.Stream(non_blocking=True)
    with stream:
        current = rd.forward(cell, there, xp.asarray(x)).output
    given = rd.forward(cell, there, xp.asarray(x), stream=stream).output
    stream.synchronize()
    for output in (current, given):
        assert np.array_equal(output.get(), wanted.output), "other numbers on a stream of the caller's"
    say("a stream of the caller's, current or given: the same numbers")
    try:
        import torch
    except ImportError:
        return
    tensors = {key: torch.as_tensor(value, device="cuda") for key, value in params.items()}
    run = rd.forward(cell, tensors, torch.as_tensor(x, device="cuda"))
    came = torch.from_dlpack(run.output)
    assert came.device.type == "cuda"
    assert np.array_equal(came.cpu().numpy(), wanted.output)
    say("tensors of PyTorch in, and by DLPack out: the same numbers")


def less_precision(name: str, options: Options) -> None:
    """TF32 in cuBLAS, and drives kept as bfloat16: the same run, with the errors that were asked for."""
    d_error = 3e-2  # of gradients from drives of 8 bits
    for size in ((200, 16, 64, 256), (50, 16, 64, 1700)):
        size = options.size(*size)
        params, x, d = problem(cells.lstm(), size, "float32", 0)
        exact = rd.forward(cells.lstm(), params, x, device="cpu")
        wanted = rd.backward(exact, d)
        for what, given, allowed in (
            ("TF32", {"tf32": True}, 1e-2), ("bfloat16 tape", {"tape_dtype": "bfloat16"}, TOLERANCE["float32"]),
        ):  # fmt: skip
            run = rd.forward(cells.lstm(), params, x, device="cuda", **given)
            grads = rd.backward(run, d)
            worst = max(error(grads.params[key], value) for key, value in wanted.params.items())
            found(f"{what}, H = {size[3]}, output", error(run.output, exact.output), "", at_most=allowed)
            found(f"{what}, H = {size[3]}, largest relative error of gradients", worst, "", at_most=d_error)


def too_little_memory(name: str, options: Options) -> None:
    """A run that no device holds is refused before it begins, with what it would need and what would fit."""
    if options.dry:
        say("the simulator has no memory of its own")
        return
    cell = cells.lstm()
    try:
        rd.forward(
            cell,
            cell.init(0, 512),
            steps=5_000_000,
            initial={"h": np.zeros((64, 512), "float32")},
            device="cuda",
        )
    except MemoryError as refused:
        say(str(refused))
        return
    raise AssertionError("5 million steps of 64 LSTMs of 512 units were not refused")


CHECKS: dict[str, Callable[[str, Options], None]] = {
    "where arrays lie": residence,
    "less precision": less_precision,
    "too little memory": too_little_memory,
    **dict.fromkeys(COMPARED, compared),
    "expanding networks": expanding,
}
