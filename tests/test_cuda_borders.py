"""Arrays and streams of other libraries, several GPUs, and what is refused, with stand-ins for CuPy and its runtime."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import cells

pytest.importorskip(
    "numba.cuda", reason="this Numba has no CUDA target of its own, and numba-cuda is not installed"
)

from recurrent_dynamics.engine.backends import resolve_device
from recurrent_dynamics.engine.cuda import array_exchange, driver, memory_budget
from recurrent_dynamics.engine.cuda.device_model import H200, Sizes

CELL = cells.elman()
PARAMS = CELL.init(2, 3)
X = np.ones((4, 2, 2), "float32")


class There:
    """A tensor of another library on a GPU, which speaks DLPack."""

    def __init__(self, gpu=0, kind=2, needs_grad=False):
        self.gpu, self.kind, self.needs_grad, self.shape, self.dtype = (
            gpu,
            kind,
            needs_grad,
            (3,),
            np.dtype("float32"),
        )

    def __dlpack_device__(self):
        return self.kind, self.gpu

    def __dlpack__(self, **_):
        if self.needs_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return "capsule"


class Tensor(There):
    """PyTorch's, whose CUDA array interface raises where gradients are wanted."""

    @property
    def __cuda_array_interface__(self):
        raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")


@pytest.fixture
def cupy(monkeypatch):
    """What of CuPy the borders use, and a log of it."""
    log: list[str] = []

    @contextmanager
    def entered(what):
        log.append(f"{what} in")
        yield
        log.append(f"{what} out")

    class Stream:
        def __init__(self, name):
            self.name = name

        @staticmethod
        def from_external(given):
            return Stream(f"address {given.__cuda_stream__()[1]}")

        def __enter__(self):
            log.append(f"stream {self.name} in")

        def __exit__(self, *error):
            log.append(f"stream {self.name} out")

        def wait_event(self, event):
            log.append(f"waits for {event}")

    class Array:
        pass

    def from_dlpack(a):
        a.__dlpack__()
        log.append("taken by DLPack")
        return Array()

    attributes = SimpleNamespace(device=1)
    xp = SimpleNamespace(
        ndarray=Array, asarray=lambda a: a, from_dlpack=from_dlpack, log=log,
        cuda=SimpleNamespace(
            Stream=Stream, Device=lambda i: entered(f"GPU {i}"), get_current_stream=lambda: Stream("current"),
            runtime=SimpleNamespace(pointerGetAttributes=lambda p: attributes, memGetInfo=lambda: (10**9, 2 * 10**9)),
        ),
        get_default_memory_pool=lambda: SimpleNamespace(
            free_bytes=lambda: 10**8, get_limit=lambda: 0, used_bytes=lambda: 5 * 10**8
        ),
    )  # fmt: skip
    for module in (array_exchange, driver, memory_budget):
        monkeypatch.setattr(module, "array_module", lambda: xp)
    monkeypatch.setattr(driver, "ready", lambda: None)
    gpus = SimpleNamespace(gpus={i: entered(f"numba {i}") for i in range(2)})
    monkeypatch.setattr(driver, "cuda", gpus)
    return xp


def test_where_arrays_lie():
    assert resolve_device(None, params=PARAMS, x=X) == ("cpu", None)
    assert resolve_device("cuda", params=PARAMS, x=X) == ("cuda", None)
    assert resolve_device(None, params={"U": There(1)}, x=There(1)) == ("cuda", 1)
    assert resolve_device(None, x=There(kind=1)) == ("cpu", None)  # kDLCPU


def test_arrays_on_two_gpus_are_refused():
    params = {name: There(1) for name in PARAMS}
    with refused("arrays", came="params['W'] on GPU 1, x on GPU 0"):
        rd.forward(CELL, params, There(0))


def test_an_array_on_a_gpu_is_refused_by_the_cpu():
    with refused(wrong_type("device", "'cuda'", "'cpu' and params['U'] on a GPU")):
        rd.forward(CELL, PARAMS | {"U": There()}, X, device="cpu")
    run = rd.forward(CELL, PARAMS, X)
    on_a_gpu = ("host", "GPU")
    with refused(wrong_type("d_output", *on_a_gpu)):
        rd.backward(run, There())
    with refused(wrong_type("d_final['h']", *on_a_gpu)):
        rd.backward(run, d_final={"h": There()})
    with refused(wrong_type("d_x", *on_a_gpu)):
        rd.jvp(run, d_x=Tensor())
    with refused(wrong_type("d_output_tangent", *on_a_gpu)):
        rd.hvp(run, run.output, d_output_tangent=There())
    with refused(wrong_type("params['U']", *on_a_gpu)):
        rd.stepper(CELL, PARAMS | {"U": There()})
    with refused(wrong_type("v", *on_a_gpu)):
        rd.jacobian_operator(run).matvec(There())


def test_options_of_the_gpu_are_refused_by_the_cpu():
    with refused("stream", "'cpu'", "int"):
        rd.forward(CELL, PARAMS, X, stream=1)
    with refused("tf32", "'cpu'", "True"):
        rd.forward(CELL, PARAMS, X, tf32=True)
    with refused(wrong_type("tf32", came="'yes'")):
        rd.forward(CELL, PARAMS, X, tf32="yes")
    run = rd.forward(CELL, PARAMS, X)
    for verb in (
        lambda: rd.backward(run, X, stream=1),
        lambda: rd.jvp(run, stream=1),
        lambda: rd.jacobian(run, stream=1),
    ):
        with refused("stream", "'cpu'", "int"):
            verb()


def test_tf32_needs_tensor_cores_that_know_it(monkeypatch):
    monkeypatch.setattr(
        array_exchange, "limits", lambda: SimpleNamespace(name="Tesla V100", capability=(7, 0))
    )
    with refused("tf32", "8.0", ("Tesla V100", "7.0")):
        array_exchange.check_tf32()


def test_arrays_come_by_dlpack_where_they_lie(cupy):
    assert isinstance(array_exchange.to_device("x", There(1), 1), cupy.ndarray)
    assert cupy.log == ["taken by DLPack"]
    with refused("d_output", "GPU 1", "GPU 0"):
        array_exchange.to_device("d_output", There(0), 1)
    with refused(wrong_type("params['U']", came="use tensor.detach")):
        array_exchange.to_device("params['U']", Tensor(needs_grad=True), 0)


def test_an_address_tells_the_gpu(cupy):
    there = SimpleNamespace(__cuda_array_interface__={"data": (4096, False)})
    assert driver.gpu_of(there) == 1


def test_streams_of_other_libraries(cupy):
    assert array_exchange.stream_of(None) is None
    own = cupy.cuda.Stream("own")
    assert array_exchange.stream_of(own) is own
    assert array_exchange.stream_of(SimpleNamespace(cuda_stream=77)).name == "address 77"  # PyTorch's

    class Core:
        def __cuda_stream__(self):
            return 0, 78

    assert array_exchange.stream_of(Core()).name == "address 78"
    with refused(wrong_type("stream", "CuPy, of PyTorch, or have __cuda_stream__", "int")):
        array_exchange.stream_of(5)


def test_a_verb_enters_the_gpu_then_the_stream_then_waits(cupy):
    with driver.active(1, cupy.cuda.Stream("mine"), "the run"):
        cupy.log.append("work")
    assert cupy.log == [
        "GPU 1 in", "numba 1 in", "stream mine in", "waits for the run", "work", "stream mine out", "numba 1 out",
        "GPU 1 out",
    ]  # fmt: skip


def test_too_little_memory_says_what_would_fit(cupy, monkeypatch):
    layout, sizes = cells.lstm().layout(64, 512), Sizes(10_000, 64, 64, 512, 4)
    wanted = memory_budget.needed(layout, sizes, "forward")
    assert wanted > 10_000 * 64 * (4 * 512 + 2 * 512) * 4  # drives, and both states
    left = 10**9 + 10**8 - memory_budget.SLACK
    with pytest.raises(MemoryError) as said:
        memory_budget.require(layout, sizes, "forward", False, False, "a GPU")
    words = str(said.value)
    assert words.startswith("the run of T = 10000, B = 64, N = 64, H = 512 in float32 needs 8.87 GB of")
    assert "1.03 GB are free on a GPU" in words
    steps, batch = (
        int(n) for n in (words.split(" steps")[0].split()[-1], words.split(" sequences")[0].split()[-1])
    )
    assert memory_budget.needed(layout, Sizes(steps, 64, 64, 512, 4), "forward") <= left
    assert memory_budget.needed(layout, Sizes(steps + 1, 64, 64, 512, 4), "forward") > left
    assert memory_budget.needed(layout, Sizes(10_000, batch, 64, 512, 4), "forward") <= left
    memory_budget.require(layout, Sizes(steps, 64, 64, 512, 4), "forward", False, False, "a GPU")
    with pytest.raises(
        MemoryError, match=r"its gradients of .* one step does not fit|its gradients of .* would fit"
    ):
        memory_budget.require(layout, sizes, "adjoint", False, False, "a GPU")


def test_a_limit_of_cupys_pool_is_the_memory_there_is(cupy):
    pool = SimpleNamespace(free_bytes=lambda: 0, get_limit=lambda: 7 * 10**8, used_bytes=lambda: 5 * 10**8)
    cupy.get_default_memory_pool = lambda: pool
    assert memory_budget.free() == 2 * 10**8


def test_plans_count_memory():
    whole, half = (rd.engine.plan(CELL, (1000, 64, 64, 512), tape_dtype=t) for t in (None, "bfloat16"))
    assert whole.memory["forward"] - half.memory["forward"] > 0
    assert "memory: " in str(whole)
    with refused("tape_dtype", "be None, or 'bfloat16' of float32", "'bfloat16' of float64"):
        rd.engine.plan(CELL, (10, 4, 2, 8), "float64", tape_dtype="bfloat16")


def test_plans_know_tf32():
    with refused("tf32", "float32", "float64"):
        rd.engine.plan(CELL, (10, 4, 2, 8), "float64", tf32=True)
    large = [
        rd.engine.plan(cells.lstm(), (100, 64, 64, 2048), device=H200, tf32=t).walks["forward"]
        for t in (False, True)
    ]
    assert large[1].kind == "steps"
    assert large[1].seconds < large[0].seconds
