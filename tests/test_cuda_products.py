"""The calls of cuBLAS and of CUDA graphs, with stand-ins that do what NVIDIA's and CuPy's documents say."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip(
    "numba.cuda", reason="this Numba has no CUDA target of its own, and numba-cuda is not installed"
)

from recurrent_dynamics.engine.cuda import blas, capture, verbs


def by_columns(address, rows, columns, leading, real, shift=0):
    """The matrix that cuBLAS sees at an address."""
    assert leading >= max(1, rows), "the leading dimension of a matrix is at least its number of rows"
    size = real(0).nbytes
    extent = (columns - 1) * leading + rows
    raw = (ctypes.c_char * (extent * size)).from_address(address + shift * size)
    return np.lib.stride_tricks.as_strided(
        np.frombuffer(raw, real), (rows, columns), (size, leading * size), writeable=True
    )


class Cublas:
    """gemm as documented: C = alpha op(A) op(B) + beta C, all by columns; the strided one for a batch of them."""

    def _gemm(self, real, ta, tb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc, apart=(0, 0, 0), i=0):
        a = by_columns(A, *((k, m) if ta else (m, k)), lda, real, i * apart[0])
        b = by_columns(B, *((n, k) if tb else (k, n)), ldb, real, i * apart[1])
        c = by_columns(C, m, n, ldc, real, i * apart[2])
        c[...] = alpha._obj.value * (a.T if ta else a) @ (b.T if tb else b) + beta._obj.value * c
        return 0

    def __getattr__(self, name):
        real = {"S": np.float32, "D": np.float64}[name.removeprefix("cublas")[0]]

        def one(to, ta, tb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc):
            return self._gemm(real, ta, tb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc)

        def many(to, ta, tb, m, n, k, alpha, A, lda, sa, B, ldb, sb, beta, C, ldc, sc, count):
            for i in range(count):
                self._gemm(real, ta, tb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc, (sa, sb, sc), i)
            return 0

        return {"gemm_v2": one, "gemmStridedBatched": many}[name.removeprefix("cublas")[1:]]


sizes = st.integers(1, 4)


@given(
    m=sizes, k=sizes, n=sizes, heads=st.integers(0, 3), ways=st.tuples(st.booleans(), st.booleans()),
    gap=st.integers(0, 2), add=st.booleans(), dtype=st.sampled_from(["float32", "float64"]), seed=st.integers(0, 99),
)  # fmt: skip
def test_a_product_is_what_cublas_computes(m, k, n, heads, ways, gap, add, dtype, seed):
    """Rows and columns in memory, rows apart from each other, sizes of 1, stacks: the very call that a GPU gets."""
    rng = np.random.default_rng(seed)
    stack = (heads,) if heads else ()

    def matrix(rows, columns, transposed):
        shape = (columns, rows + gap) if transposed else (rows, columns + gap)
        whole = rng.standard_normal((*stack, *shape)).astype(dtype)
        part = whole[..., : rows if transposed else columns]
        return part.swapaxes(-1, -2) if transposed else part

    A, B = matrix(m, k, ways[0]), matrix(k, n, ways[1])
    whole = rng.standard_normal((*stack, m, n + gap)).astype(dtype)
    out, kept = whole[..., :n], whole[..., n:].copy()
    wanted = A @ B + (out if add else 0)
    blas.call(Cublas(), None, A, B, out, add, lambda a: a.ctypes.data)
    np.testing.assert_allclose(out, wanted, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-5)
    np.testing.assert_array_equal(whole[..., n:], kept)


def test_heads_that_stand_between_each_other_are_a_stack(rng):
    """As in a row of values: (rows, heads, height), one product for each head."""
    A, M = rng.standard_normal((5, 2, 3)), rng.standard_normal((2, 4, 3))
    values = np.zeros((5, 10))
    out = values[:, 1:9].reshape(5, 2, 4).transpose(1, 0, 2)
    blas.call(Cublas(), None, A.transpose(1, 0, 2), M.transpose(0, 2, 1), out, True, lambda a: a.ctypes.data)
    np.testing.assert_allclose(values[:, 1:9].reshape(5, 2, 4), np.einsum("rhc,hmc->rhm", A, M))
    assert not values[:, [0, 9]].any()


def test_what_cublas_cannot_read_is_refused():
    a = np.ones((4, 4))
    with pytest.raises(ValueError, match="neither rows nor columns"):
        blas.call(Cublas(), None, a[::2, ::2], a[:2, :2], np.ones((2, 2)), False, None)
    with pytest.raises(ValueError, match="the result of a product"):
        blas.call(Cublas(), None, a, a, a.T, False, None)


def test_a_failure_of_cublas_is_told(monkeypatch):
    said = SimpleNamespace(cublasGetStatusString=lambda status: b"CUBLAS_STATUS_NOT_SUPPORTED")
    monkeypatch.setattr(blas, "library", lambda: said)
    with pytest.raises(RuntimeError, match="cuBLAS failed: CUBLAS_STATUS_NOT_SUPPORTED"):
        blas.done(15)


def test_an_absent_cublas_is_told_before_anything_is_computed(monkeypatch):
    class NotFound(RuntimeError):
        pass

    def load(name):
        raise NotFound(name)

    pathfinder = SimpleNamespace(load_nvidia_dynamic_lib=load, DynamicLibNotFoundError=NotFound)
    monkeypatch.setattr(blas.importlib, "import_module", lambda name: pathfinder)
    monkeypatch.setattr(verbs, "ready", lambda: None)
    monkeypatch.setattr(verbs, "array_module", lambda: "cupy")
    blas.library.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r"cuBLAS, which is absent: .*recurrent-dynamics\[cu12\]"):
        verbs.arrays()


class Stream:
    """A stream that writes down what happens on it."""

    def __init__(self, log, name="now"):
        self.log, self.name, self.ptr, self.capturing = log, name, id(self), False

    def record(self):
        self.log.append(f"{self.name} recorded")
        return self.name

    def wait_event(self, event):
        self.log.append(f"{self.name} waits for {event}")

    def begin_capture(self):
        self.capturing = True

    def end_capture(self):
        self.capturing = False
        self.log.append("captured")
        return SimpleNamespace(launch=lambda: self.log.append("graph"))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


@pytest.mark.parametrize(("times", "graphs"), [(16, 0), (17, 2), (20, 2), (24, 2), (25, 3)])
def test_steps_are_captured_once_and_launched_again(monkeypatch, times, graphs):
    log: list[str] = []
    side = Stream(log, "side")
    cuda = SimpleNamespace(get_current_stream=lambda: Stream(log), Stream=lambda non_blocking: side)
    xp = SimpleNamespace(cuda=cuda, empty=lambda size, dtype: "workspace")
    for module in (capture, blas):
        monkeypatch.setattr(module, "array_module", lambda: xp)
    monkeypatch.setattr(capture, "SIMULATED", False)  # no threshold, but whether there is a GPU
    eager, captured = [], []

    def call():
        (captured if side.capturing else eager).append(getattr(blas._THREAD, "workspace", None))

    capture.repeat(call, times, 8)
    assert len(eager) + 8 * graphs == times
    assert len(captured) == (8 if graphs else 0)
    assert set(captured) <= {"workspace"}
    assert blas._THREAD.__dict__.get("workspace") is None
    if graphs:
        events = ["now recorded", "side waits for now", "captured", *["graph"] * graphs, "side recorded"]
        assert log == [*events, "now waits for side"]
        assert eager, "kernels are compiled by a step that is not captured"
