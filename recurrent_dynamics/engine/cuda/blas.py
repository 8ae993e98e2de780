"""Matrix products of whole arrays: by cuBLAS in place, by NumPy in the simulator.

cuBLAS is called without CuPy's wrappers. These refuse to be captured in a CUDA graph, copy operands whose rows are not
adjacent, allocate every result, and read TF32 from an environment variable. The library is the one that CuPy uses.
"""

from __future__ import annotations

import ctypes
import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from .driver import EXTRAS, array_module

DEFAULT_MATH, TF32_MATH = 0, 3  # of cublasMath_t
ROWS, COLUMNS = 0, 1  # of cublasOperation_t: CUBLAS_OP_N, CUBLAS_OP_T
WORKSPACE = 32 << 20  # bytes, as NVIDIA recommends for Hopper

_THREAD = threading.local()  # a handle belongs to one thread and one device


@cache
def library() -> Any:
    """The functions of cuBLAS, with the types of their arguments."""
    pathfinder = importlib.import_module("cuda.pathfinder")  # numba-cuda and CuPy bring it
    try:
        found = ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path)
    except pathfinder.DynamicLibNotFoundError as error:
        raise ModuleNotFoundError(
            f"device='cuda' needs NVIDIA's library cuBLAS, which is absent: {EXTRAS}"
        ) from error
    pointer: Any = ctypes.c_void_p
    number: Any = ctypes.c_int
    stride: Any = ctypes.c_longlong
    sizes = [pointer, *[number] * 5, pointer]
    for kind in "SD":
        one, many = found[f"cublas{kind}gemm_v2"], found[f"cublas{kind}gemmStridedBatched"]
        one.argtypes = [*sizes, pointer, number, pointer, number, pointer, pointer, number]
        many.argtypes = [*sizes, *[pointer, number, stride] * 2, pointer, pointer, number, stride, number]
        # `found.name` looks a function up once and keeps its types, `found[name]` does not.
        setattr(found, f"cublas{kind}gemm_v2", one)
        setattr(found, f"cublas{kind}gemmStridedBatched", many)
    found.cublasCreate_v2.argtypes = [pointer]
    found.cublasSetStream_v2.argtypes = [pointer, pointer]
    found.cublasSetWorkspace_v2.argtypes = [pointer, pointer, ctypes.c_size_t]
    found.cublasSetMathMode.argtypes = [pointer, number]
    found.cublasGetStatusString.argtypes = [number]
    found.cublasGetStatusString.restype = ctypes.c_char_p
    return found


def done(status: int) -> None:
    """Raise an error for a cuBLAS status other than success."""
    if status:
        raise RuntimeError(f"cuBLAS failed: {library().cublasGetStatusString(status).decode()}")


def handle() -> ctypes.c_void_p:
    """The handle of this thread for the current device, on the current stream."""
    xp = array_module()
    handles = _THREAD.__dict__.setdefault("handles", {})
    index = xp.cuda.runtime.getDevice()
    if index not in handles:
        handles[index] = ctypes.c_void_p()
        done(library().cublasCreate_v2(ctypes.byref(handles[index])))
    done(library().cublasSetStream_v2(handles[index], xp.cuda.get_current_stream().ptr))
    memory = getattr(_THREAD, "workspace", None)
    if memory is not None:  # after the stream: setting the stream resets the workspace
        done(library().cublasSetWorkspace_v2(handles[index], memory.data.ptr, memory.nbytes))
    return handles[index]


@contextmanager
def own_workspace() -> Iterator[None]:
    """Scratch memory of our own while products are captured. Otherwise the graph would contain cuBLAS's allocation."""
    _THREAD.workspace = array_module().empty(WORKSPACE, np.uint8)
    try:
        yield
    finally:
        _THREAD.workspace = None


def product(A: Any, B: Any, out: Any, add: bool = False, tf32: bool = False) -> None:
    """out = A B, or out += A B where `add`: (m, k), (k, n) and (m, n), or a stack of them, (heads, m, k) and so on.

    Neighbours in a row or in a column of A and of B, and in a row of `out`, lie side by side. Numbers are float32 or
    float64, multiplied in that precision unless `tf32`, which rounds float32 operands to 10 bits.
    """
    if isinstance(out, np.ndarray):
        if add:
            out += A @ B
        else:
            out[...] = A @ B
        return
    if not out.size:
        return
    if not A.shape[-1]:
        if not add:
            out[...] = 0
        return
    to = handle()
    done(library().cublasSetMathMode(to, TF32_MATH if tf32 else DEFAULT_MATH))
    call(library(), to, A, B, out, add, lambda a: a.data.ptr)


def call(functions: Any, to: Any, A: Any, B: Any, out: Any, add: bool, address: Any) -> None:
    """The one call of cuBLAS for a product; `address` gives that of an array.

    cuBLAS reads a matrix column by column. A matrix stored row by row is its transpose there, so B^T A^T is computed.
    """
    kind = {"float32": "S", "float64": "D"}[out.dtype.name]
    real = {"S": ctypes.c_float, "D": ctypes.c_double}[kind]
    (how_a, lda), (how_b, ldb), (how_out, ldo) = map(_layout, (A, B, out))
    if how_out != ROWS:
        raise ValueError("the result of a product has no rows of neighbouring numbers")
    (m, n), k = out.shape[-2:], A.shape[-1]
    common = (to, how_b, how_a, n, m, k, ctypes.byref(real(1)))
    beta = ctypes.byref(real(1 if add else 0))
    if out.ndim == 2:
        function = getattr(functions, f"cublas{kind}gemm_v2")
        done(function(*common, address(B), ldb, address(A), lda, beta, address(out), ldo))
        return
    apart = [a.strides[0] // a.itemsize for a in (B, A, out)]
    done(
        getattr(functions, f"cublas{kind}gemmStridedBatched")(
            *common, address(B), ldb, apart[0], address(A), lda, apart[1], beta, address(out), ldo, apart[2], len(out)
        )
    )  # fmt: skip


def _layout(a: Any) -> tuple[int, int]:
    """(how a matrix lies in memory, the distance between its rows or columns)."""
    (rows, columns), (down, along) = a.shape[-2:], (s // a.itemsize for s in a.strides[-2:])
    if along == 1 or columns == 1:
        return ROWS, max(down, columns) if rows > 1 else columns
    if down == 1 or rows == 1:
        return COLUMNS, max(along, rows) if columns > 1 else rows
    raise ValueError("a matrix has neither rows nor columns of neighbouring numbers")
