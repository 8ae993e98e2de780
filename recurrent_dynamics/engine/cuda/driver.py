"""The one module that imports numba.cuda: what is compiled, how kernels are launched, where arrays live.

With NUMBA_ENABLE_CUDASIM=1 everything runs in Numba's simulator, on NumPy arrays and without a GPU: slowly, one Python
thread for each thread of a block.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, wraps
from typing import Any

import numpy as np
from numba.core import config

EXTRAS = (
    "pip install 'recurrent-dynamics[cu12]' or 'recurrent-dynamics[cu13]', by the CUDA version that nvidia-smi "
    "shows"
)

try:
    from numba import cuda
except ImportError as error:  # a Numba that no longer brings a target of its own
    raise ModuleNotFoundError(f"device='cuda' needs numba-cuda, which is not installed: {EXTRAS}") from error

from .device_model import REGISTERS, Device  # noqa: E402

__all__ = [
    "EXTRAS", "SIMULATED", "active", "array_module", "cuda", "device", "gpu_of", "kernel", "launch", "launch_phases",
    "limits", "ready",
]  # fmt: skip

SIMULATED = bool(config.ENABLE_CUDASIM)
_CALLED: list[dict[str, Any]] = []  # the modules of device functions
_UNCOPIED: Any = type(cuda.device_array(1)) if SIMULATED else None
UNASKED_SHARED_BYTES = 48 << 10  # shared memory that a kernel gets without asking


def device(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that kernels call. In the simulator it stays a Python function."""
    if SIMULATED:
        _CALLED.append(function.__globals__)
        return function
    return cuda.jit(device=True)(function)


def kernel(function: Callable[..., None], kind: str, dtype: str) -> Any:
    """A kernel of a kind of walk for arrays of a dtype, compiled at its first launch for the types of its arguments."""
    if not SIMULATED:
        # Without link-time optimization: with it, numba-cuda makes other code than the tests assemble.
        return cuda.jit(max_registers=REGISTERS[kind][np.dtype(dtype).itemsize], lto=False)(function)

    @cuda.jit
    @wraps(function)
    def run(*arguments: Any) -> None:
        # The simulator puts its own `cuda` into the module of the kernel alone, here this one.
        for namespace in (function.__globals__, *_CALLED):
            namespace["cuda"] = cuda
        function(*arguments)

    return run


def ready() -> None:
    """Raise unless kernels can run here; the error says what is missing and how to get it."""
    if SIMULATED:
        return
    if cuda.implementation == "Built-in":
        raise ModuleNotFoundError(f"device='cuda' needs numba-cuda, which is not installed: {EXTRAS}")
    available, problem = cuda.is_available(), cuda.cuda_error()
    if problem and "NO_DEVICE" not in problem:
        first = " ".join(problem.split()).rstrip(".")
        raise RuntimeError(
            f"device='cuda' needs NVIDIA's driver, which did not start: {first}. Install the driver of this machine's "
            "GPU, or compute with device='cpu'"
        )
    if problem:
        raise RuntimeError(
            "device='cuda' needs a GPU, and the driver sees none: look at nvidia-smi and CUDA_VISIBLE_DEVICES, or "
            "compute with device='cpu'"
        )
    if not available:
        raise ModuleNotFoundError(
            f"device='cuda' needs NVIDIA's compiler library libnvvm, which is absent: {EXTRAS}"
        )
    if importlib.util.find_spec("cupy") is None:
        raise ModuleNotFoundError(f"device='cuda' needs CuPy, which is not installed: {EXTRAS}")


def array_module() -> Any:
    """CuPy, or NumPy in the simulator."""
    if SIMULATED:
        return np
    import cupy

    return cupy


def limits() -> Device:
    """What the current device can hold."""
    if SIMULATED:
        return Device("simulator", multiprocessors=2, shared_bytes=16 << 10, threads=8, lanes=2)
    return _limits(array_module().cuda.runtime.getDevice())


@cache
def _limits(index: int) -> Device:
    now = cuda.gpus[index]
    return Device(
        now.name.decode() if isinstance(now.name, bytes) else now.name,
        multiprocessors=now.MULTIPROCESSOR_COUNT,
        shared_bytes=now.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
        capability=now.compute_capability,
    )


@contextmanager
def active(index: int, stream: Any, after: Any) -> Iterator[None]:
    """Make a GPU the current one of CuPy and of numba-cuda, and a stream that of CuPy; wait there for an event."""
    if array_module() is np:
        yield
        return
    xp = array_module()
    with ExitStack() as stack:
        stack.enter_context(xp.cuda.Device(index))
        stack.enter_context(cuda.gpus[index])
        if stream is not None:
            stack.enter_context(stream)
        if after is not None:
            xp.cuda.get_current_stream().wait_event(after)
        yield


def gpu_of(a: Any) -> int:
    """The number of the GPU on which an array lies, from the address in the CUDA array interface."""
    ready()
    if array_module() is np:
        return 0
    attributes = array_module().cuda.runtime.pointerGetAttributes(a.__cuda_array_interface__["data"][0])
    return int(attributes.device)


def launch(function: Any, blocks: int, threads: int, shared_bytes: int, *arguments: Any) -> None:
    """Run a kernel on CuPy's current stream."""
    if SIMULATED:
        # Unwrapped, the simulator would copy arrays in and back out, and views of one array would overwrite each other.
        arguments = tuple(_UNCOPIED(a) if isinstance(a, np.ndarray) else a for a in arguments)
        function[blocks, threads, 0, shared_bytes](*arguments)
        return
    # Wrapped, numba-cuda would wait on the host for the stream of every array: all these are of the current stream.
    arguments = tuple(
        cuda.as_cuda_array(a, sync=False) if hasattr(a, "__cuda_array_interface__") else a for a in arguments
    )
    pointer = array_module().cuda.get_current_stream().ptr
    if shared_bytes > UNASKED_SHARED_BYTES:
        allow_shared_bytes(function, shared_bytes, arguments)
    stream = cuda.external_stream(pointer) if pointer else 0
    _configured(function, blocks, threads, stream, shared_bytes)(*arguments)


def _configured(function: Any, *how: Any) -> Any:
    """The kernel with its launch, without numba-cuda's warning of few blocks: walks have as many as there is work."""
    settings = importlib.import_module("numba.cuda.dispatcher").config
    before = getattr(settings, "CUDA_LOW_OCCUPANCY_WARNINGS", 0)
    settings.CUDA_LOW_OCCUPANCY_WARNINGS = 0
    try:
        return function[how]
    finally:
        settings.CUDA_LOW_OCCUPANCY_WARNINGS = before


def launch_phases(
    function: Any, phases: int, blocks: int, threads: int, shared_bytes: int, *arguments: Any
) -> None:
    """Run a kernel with barriers of the whole grid, `function(begin, end, ...)`: all phases in one launch.

    The simulator knows no such barrier, so there each phase is a launch of its own, unless there is one block.
    """
    together = 1 if SIMULATED and blocks > 1 else phases
    for begin in range(0, phases, together):
        launch(function, blocks, threads, shared_bytes, begin, begin + together, *arguments)


def allow_shared_bytes(function: Any, shared_bytes: int, arguments: tuple[Any, ...]) -> None:
    """Raise the limit of dynamic shared memory of a kernel: numba-cuda leaves it at 48 KB, and does not launch beyond.

    The limit belongs to the loaded function, so it is set on the one that these arguments will find.
    """
    compiled = function.compile(tuple(function.typeof_pyval(a) for a in arguments))
    loaded, api = compiled._codelibrary.get_cufunc(), cuda.cudadrv.driver
    attribute = api.binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    api.driver.cuKernelSetAttribute(attribute, shared_bytes, loaded.handle, loaded.device.id)
