"""Users' arrays on a GPU: arrays and streams of other libraries, and copies to the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...checks import ArgumentError, ArgumentTypeError
from ..check import is_on_device
from .driver import array_module, limits
from .rounded import Rounded

TF32_SINCE = (8, 0)


def to_device(name: str, given: Any, index: int) -> Any:
    """The array on the GPU, without a copy if it lies there. An argument that is no array is returned for the checks.

    DLPack makes the current stream wait for what the other library has queued; CuPy waits for the stream that the CUDA
    array interface names.
    """
    xp = array_module()
    if not is_on_device(given):
        try:
            return xp.asarray(np.asarray(given))
        except (TypeError, ValueError):
            return given
    if hasattr(given, "__dlpack_device__"):
        gpu = int(given.__dlpack_device__()[1])
        if gpu != index:
            raise ArgumentError(
                name, f"be copied to GPU {index}, where the run is computed", f"an array on GPU {gpu}"
            )
    if isinstance(given, xp.ndarray) or xp is np:
        return xp.asarray(given)
    try:
        return xp.from_dlpack(given) if hasattr(given, "__dlpack__") else xp.asarray(given)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ArgumentTypeError(name, "be readable where it lies", error) from error


def to_host(a: Any) -> np.ndarray:
    """A NumPy copy of an array on the GPU, after the work that is queued on the current stream."""
    if isinstance(a, Rounded):
        a = a[:]
    return a if isinstance(a, np.ndarray) else a.get()


def current_index() -> int:
    """The number of the current GPU."""
    return 0 if array_module() is np else int(array_module().cuda.runtime.getDevice())


class _Handle:
    """A stream known by its address, for CuPy. It keeps the object that it came from alive."""

    def __init__(self, address: int, owner: Any) -> None:
        self._address, self._owner = address, owner

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._address


def stream_of(given: Any) -> Any:
    """The CuPy stream of a stream of CuPy, of PyTorch, or of an object with ``__cuda_stream__`` (cuda.core, Numba)."""
    if given is None or (array_module() is not np and isinstance(given, array_module().cuda.Stream)):
        return given
    address: Any = getattr(given, "cuda_stream", None)  # PyTorch
    protocol = hasattr(given, "__cuda_stream__")
    if not protocol and not isinstance(address, int):
        raise ArgumentTypeError(
            "stream", "be one of CuPy, of PyTorch, or have __cuda_stream__", type(given).__name__
        )
    if array_module() is np:
        return given
    return array_module().cuda.Stream.from_external(given if protocol else _Handle(address, given))


def mark() -> Any:
    """An event on the current stream, behind all work that is queued there."""
    if array_module() is np:
        return None
    event = array_module().cuda.Event(disable_timing=True)
    event.record()
    return event


def check_tf32() -> None:
    """Refuse products in TF32 on a GPU that has none."""
    now = limits()
    if now.capability < TF32_SINCE:
        has = ".".join(map(str, now.capability))
        raise ArgumentError(
            "tf32",
            "be False on a GPU of compute capability below 8.0",
            f"True on {now.name}, which has {has}",
        )
