"""Rows that time the CUDA engine by events, alone or by turns with PyTorch on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from suite.common import Problem, problem_of
from suite.events import medians

import recurrent_dynamics as rd
from recurrent_dynamics import cells
from recurrent_dynamics.cells import Cell

from .checks import TOLERANCE, error
from .report import Options, found, say, wait_for_the_gpu


def on_device(problem: Problem) -> Problem:
    """The same with its arrays on the device."""
    from recurrent_dynamics.engine.cuda import driver

    xp = driver.array_module()
    params = {name: xp.asarray(value) for name, value in problem.params.items()}
    return Problem(problem.cell, params, xp.asarray(problem.x), xp.asarray(problem.d_output))


def passes_of(problem: Problem) -> dict[str, Callable[[], Any]]:
    """Forward, and forward and backward, of the CUDA engine; compiled by some steps of the same walks."""
    cell, params, x, d = on_device(problem)

    def forward(steps: int | None = None) -> Any:
        return rd.forward(cell, params, x[:steps], device="cuda")

    rd.backward(forward(32), d[:32])  # more than one CUDA graph of steps
    return {"forward": forward, "both": lambda: rd.backward(forward(), d)}


def predicted(cell: Cell, size: tuple[int, ...], dtype: str) -> dict[str, float]:
    """Milliseconds of the walks by the model of `plan`."""
    from recurrent_dynamics.engine.cuda import driver

    walks = rd.engine.plan(cell, size, dtype, driver.limits()).walks
    return {verb: 1e3 * walks[verb].seconds for verb in ("forward", "adjoint")}


def tell(ours: Mapping[str, float], cell: Cell, size: tuple[int, ...], dtype: str) -> None:
    """Print our times beside what the model says of the walks in them."""
    walks = predicted(cell, size, dtype)
    say(
        f"{dtype} T, B, N, H = {', '.join(map(str, size))}: forward {ours['forward']:.3f} ms (walk predicted "
        f"{walks['forward']:.3f}), both {ours['both']:.3f} ms (walks predicted {sum(walks.values()):.3f})"
    )


def alone(
    name: str, options: Options, cell: Cell, sizes: list[tuple[int, int, int, int]], unit: str, at_most: float
) -> None:
    """The forward pass against a bound: microseconds a step, or milliseconds."""
    prepared = []
    for size in (options.size(*size) for size in sizes):
        prepared.append((size, passes_of(problem_of(cell, size))))
    wait_for_the_gpu()
    for size, passes in prepared:
        ours = medians(passes, options.seconds)
        tell(ours, cell, size, "float32")
        value = ours["forward"] if unit == "ms" else 1e3 * ours["forward"] / size[0]
        found(f"{cell.name} forward, B = {size[1]}, H = {size[3]}", value, unit, at_most=at_most)


def numbers_of(racer: Any) -> dict[str, np.ndarray]:
    """Output and gradients that PyTorch computed, by our names."""
    output = racer.both().detach().cpu().numpy()
    return {
        "output": output,
        **racer.named({name: leaf.grad.cpu().numpy() for name, leaf in racer.leaves.items()}),
    }


def agree(problem: Problem, racer: Any, dtype: str) -> float:
    """The largest error of the racer's numbers against ours; an AssertionError where they are others."""
    cell, params, x, d = on_device(problem)
    run = rd.forward(cell, params, x, device="cuda")
    grads = rd.backward(run, d)
    host = lambda a: a if isinstance(a, np.ndarray) else a.get()
    ours = {"output": host(run.output), "x": host(grads.x)}
    ours |= {name: host(value) for name, value in grads.params.items()}
    errors = {name: error(value, ours[name]) for name, value in numbers_of(racer).items() if name in ours}
    wrong = {name: f"{e:.1e}" for name, e in errors.items() if not e < TOLERANCE[dtype]}
    assert not wrong, f"PyTorch's numbers and ours differ: {wrong}"
    return max(errors.values())


def pytorch(options: Options) -> Any:
    """PyTorch with what it makes on the GPU and TF32 off, or None."""
    try:
        import torch
    except ImportError:
        return None
    if options.dry:
        return torch
    if not torch.cuda.is_available():
        return None
    torch.set_default_device("cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return torch


def against_cudnn(
    name: str,
    options: Options,
    cell: Cell,
    dtype: str,
    sizes: list[tuple[int, int, int, int]],
    at_least: float,
) -> None:
    """Forward and backward by turns with PyTorch's layer, which is cuDNN's."""
    torch = pytorch(options)
    prepared = []
    for size in (options.size(*size) for size in sizes):
        problem = problem_of(cell, size, dtype)
        prepared.append((size, problem, passes_of(problem)))
    wait_for_the_gpu()
    for size, problem, ours in prepared:
        passes: dict[str, Callable[[], Any]] = dict(ours)
        if torch is None:
            say("no PyTorch with CUDA here: ours alone")
        else:
            from peer_tables.contestants import Layer

            layer = Layer(problem)
            say(f"H = {size[3]}: PyTorch's numbers and ours agree to {agree(problem, layer, dtype):.1e}")
            passes |= {"cuDNN": layer.both, "cuDNN forward": layer.forward}
        times = medians(passes, options.seconds)
        tell(times, cell, size, dtype)
        if torch is not None:
            say(f"cuDNN: forward {times['cuDNN forward']:.3f} ms, both {times['cuDNN']:.3f} ms")
            ratio = times["cuDNN"] / times["both"]
            found(f"{cell.name} {dtype} H = {size[3]}, cuDNN's time over ours", ratio, "", at_least=at_least)


def against_loops(name: str, options: Options) -> None:
    """The layer-normalized LSTM by turns with a loop over steps in PyTorch, plain and with its step compiled.

    `torch.compile` takes the step, not the loop: it would unroll a thousand steps into one graph.
    """
    torch = pytorch(options)
    cell, size = cells.lstm().with_normalization(), options.size(1000, 64, 256, 256)
    problem = problem_of(cell, size)
    passes, racers = passes_of(problem), {}
    if torch is None:
        say("no PyTorch with CUDA here: ours alone")
    else:
        from peer_tables.contestants import NormalizedLSTM

        racers = {"loop": NormalizedLSTM(problem), "compiled": NormalizedLSTM(problem)}
        racers["compiled"].step = torch.compile(
            racers["compiled"].step, backend="eager" if options.dry else "inductor"
        )
        try:
            racers["compiled"].both()
        except Exception as error:
            say(f"torch.compile failed: {' '.join(str(error).split())[:300]}")
            del racers["compiled"]
    wait_for_the_gpu()
    for who, racer in racers.items():
        say(f"{who}: numbers agree with ours to {agree(problem, racer, 'float32'):.1e}")
    times = medians(passes | {who: racer.both for who, racer in racers.items()}, options.seconds)
    tell(times, cell, size, "float32")
    for who, at_least in (("loop", 20.0), ("compiled", 5.0)):
        if who in times:
            say(f"{who}: both {times[who]:.1f} ms")
            found(
                f"{cell.name}, time of the {who} over ours", times[who] / times["both"], "", at_least=at_least
            )


def attention_decoder(name: str, options: Options) -> None:
    """A decoder with additive attention by turns with a loop of PyTorch's `LSTMCell` and attention."""
    from peer_tables import attention

    from recurrent_dynamics.engine.cuda import driver

    torch, xp = pytorch(options), driver.array_module()
    T, S, B, H = attention.TINY if options.dry else attention.SIZE
    params, x, memory, d = attention.problem((T, S, B, H))
    cell = cells.attention(cells.lstm())
    there = {name: xp.asarray(value) for name, value in params.items()}
    kept = {name: xp.asarray(value) for name, value in memory.items()}
    given, cotangent = xp.asarray(x), xp.asarray(d)

    def forward() -> Any:
        return rd.forward(cell, there, given, memory=kept)

    passes: dict[str, Callable[[], Any]] = {
        "forward": forward, "both": lambda: rd.backward(forward(), cotangent)
    }  # fmt: skip
    passes["both"]()
    numbers = None
    if torch is None:
        say("no PyTorch with CUDA here: ours alone")
    else:
        passes["loop"], numbers = attention.loop(params, x, memory, d)
    wait_for_the_gpu()
    if numbers is not None:
        run = forward()
        grads = rd.backward(run, cotangent)
        host = lambda a: a if isinstance(a, np.ndarray) else a.get()
        ours = {"output": run.output, "x": grads.x, **grads.memory, **grads.params}
        worst = max(error(a, host(ours[key])) for key, a in numbers(passes["loop"]()).items())
        say(f"PyTorch's numbers and ours agree to {worst:.1e}")
        assert worst < TOLERANCE["float32"], worst
    times = medians(passes, options.seconds)
    walks = rd.engine.plan(cell, (T, B, H, H), "float32", driver.limits(), positions=S).walks
    for verb, came in (("forward", times["forward"]), ("adjoint", times["both"] - times["forward"])):
        say(f"{verb}: {came:.3f} ms, walk predicted {1e3 * walks[verb].seconds:.3f}")
    found(f"{cell.name}, forward and backward", times["both"], "ms")
    if "loop" in times:
        found(f"{cell.name}, time of the loop over ours", times["loop"] / times["both"], "", at_least=10.0)


def jacobians(name: str, options: Options) -> None:
    """Jacobians of a whole run, as a share of the bandwidth that writing them takes."""
    from recurrent_dynamics.engine.cuda import driver

    for cell, size in ((cells.lstm(), (1000, 32, 64, 128)), (cells.gru(), (1000, 32, 64, 256))):
        size = options.size(*size)
        _, params, x, _ = on_device(problem_of(cell, size))
        run = rd.forward(cell, params, x, device="cuda")
        rd.jacobian(run, [0])
        if cell.name == "lstm":
            wait_for_the_gpu()
        taken = medians({"jacobians": partial(rd.jacobian, run)}, options.seconds)["jacobians"]
        width = cell.layout(*size[2:]).state_size
        share = 100 * size[0] * size[1] * width**2 * 4 / (1e-3 * taken) / driver.limits().bandwidth
        say(f"{cell.name} float32 T, B, N, H = {', '.join(map(str, size))}: {taken:.3f} ms")
        found(f"Jacobians of {cell.name}, share of the bandwidth", share, "%", at_least=50.0)


def larger(name: str, options: Options) -> None:
    """A network whose U fits no shared memory, without a bound."""
    cell, size = cells.lstm(), options.size(100, 64, 512, 2048)
    passes = passes_of(problem_of(cell, size))
    wait_for_the_gpu()
    ours = medians(passes, options.seconds)
    tell(ours, cell, size, "float32")
    found(f"{cell.name} float32 H = {size[3]}, forward", 1e3 * ours["forward"] / size[0], "us a step")


SMALL = [(1000, 16, 64, H) for H in (32, 64, 116)]
LAYERS = {H: (1000, 64, H, H) for H in (128, 256, 512)}
TIMES: dict[str, Callable[[str, Options], None]] = {
    "LSTM float32 against cuDNN": partial(
        against_cudnn, cell=cells.lstm(), dtype="float32", sizes=[LAYERS[256], LAYERS[512]], at_least=1.0
    ),
    "GRU float32 against cuDNN": partial(
        against_cudnn, cell=cells.gru(), dtype="float32", sizes=[LAYERS[256], LAYERS[512]], at_least=1.2
    ),
    "LSTM float64 against cuDNN": partial(
        against_cudnn, cell=cells.lstm(), dtype="float64", sizes=list(LAYERS.values()), at_least=2.0
    ),
    "LSTM of at most 120 units": partial(
        alone, cell=cells.lstm(), sizes=SMALL, unit="us a step", at_most=2.0
    ),
    "IndRNN over 4096 steps": partial(
        alone, cell=cells.indrnn(), sizes=[(4096, 8, 256, 256)], unit="ms", at_most=1.0
    ),
    "Jacobians of whole runs": jacobians,
    "normalized LSTM against loops": against_loops,
    "LSTM of 2048 units": larger,
    "attention decoder": attention_decoder,
}
