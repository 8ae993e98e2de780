"""Where a run is computed: by the CPU engine on NumPy arrays, or by the CUDA engine on CuPy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..cells.layout import Layout
from ..checks import ArgumentError, ArgumentTypeError
from ..kernels.memory import reuse_freed_memory
from . import check
from .run import Run, Tape

_HOST = {np.ndarray}  # types whose arrays always lie in host memory


@dataclass(frozen=True)
class Backend:
    """An engine: its verbs, its array module, the GPU and the stream, and the copies to and from it."""

    device: str
    verbs: Any
    xp: Any
    index: int = 0
    stream: Any = None

    def active(self, after: Any = None) -> AbstractContextManager[Any]:
        """The context of a call. On the CPU it has the threads. Else its GPU and stream are current, after an event."""
        return self.verbs.POOL if self.device == "cpu" else self._on_device(after)

    @contextmanager
    def _on_device(self, after: Any) -> Iterator[None]:
        token = check.ON_DEVICE.set(True)
        try:
            with self.verbs.active(self.index, self.stream, after):
                yield
        finally:
            check.ON_DEVICE.reset(token)

    def to_device(self, name: str, given: Any) -> Any:
        """Convert arrays, or a mapping of arrays, to this backend.

        Anything else is returned unchanged and refused later by the checks.
        """
        if given is None or self.device == "cpu":
            return given
        if isinstance(given, Mapping):
            return {key: self.to_device(f"{name}[{key!r}]", value) for key, value in given.items()}
        return self.verbs.to_device(name, given, self.index)

    def to_host(self, name: str, given: Any) -> Any:
        """Copy an array on a GPU to the host, where lengths and resets are read; return anything else unchanged."""
        return self.verbs.to_host(self.to_device(name, given)) if check.is_on_device(given) else given

    def require(self, verb: str, layout: Layout, steps: int, batch: int, dtype: Any, **options: Any) -> None:
        """Refuse a verb that needs more memory than is free on the GPU."""
        if self.device != "cpu":
            self.verbs.require(verb, layout, steps, batch, np.dtype(dtype), **options)

    def require_for(self, tape: Tape, verb: str, steps: int | None = None) -> None:
        """`require` for a verb of a run, or of some of its steps."""
        if self.device == "cpu":
            return
        rounded = not hasattr(tape.values, "reshape")  # the values of `cuda.rounded` are no array
        self.require(
            verb,
            tape.layout,
            steps or tape.steps,
            tape.batch,
            tape.dtype,
            resets=tape.resets.size > 0,
            rounded=rounded,
        )

    def check_tape_dtype(self, tape_dtype: Any, dtype: Any) -> bool:
        """Whether values are kept as bfloat16."""
        if tape_dtype is None:
            return False
        if str(tape_dtype) not in ("bfloat16", str(dtype)):
            raise ArgumentError("tape_dtype", f"be None, {dtype} or 'bfloat16'", repr(tape_dtype))
        if str(tape_dtype) != "bfloat16":
            return False
        if self.device == "cpu":
            raise ArgumentError("tape_dtype", "be None on device='cpu'", "'bfloat16'")
        if dtype != np.float32:
            raise ArgumentError(
                "tape_dtype", f"be None for parameters of dtype {dtype}", "'bfloat16', which is for float32"
            )
        return True

    def check_tf32(self, tf32: bool, dtype: Any) -> None:
        """Refuse TF32 where the device or the dtype has no such products."""
        if not isinstance(tf32, bool | np.bool_):
            raise ArgumentTypeError("tf32", "be True or False", repr(tf32))
        if not tf32:
            return
        if self.device == "cpu":
            raise ArgumentError("tf32", "be False on device='cpu'", "True")
        if dtype != np.float32:
            raise ArgumentError(
                "tf32", f"be False for parameters of dtype {dtype}", "True, which is for float32"
            )
        self.verbs.check_tf32()


def backend(device: str, index: int | None = None, stream: Any = None) -> Backend:
    """The backend of a device. For "cuda" it looks for a GPU."""
    if device == "cpu":
        if stream is not None:
            raise ArgumentError("stream", "be None on device='cpu'", type(stream).__name__)
        return _cpu()
    if device != "cuda":
        raise ArgumentError("device", "be 'cpu' or 'cuda'", repr(device))
    from .cuda import verbs as cuda

    xp = cuda.arrays()
    return Backend("cuda", cuda, xp, cuda.current_index() if index is None else index, cuda.stream_of(stream))


@lru_cache(maxsize=1)
def _cpu() -> Backend:
    from .cpu import verbs as cpu

    reuse_freed_memory()
    return Backend("cpu", cpu, np)


def backend_of(run: Run, stream: Any = None) -> Backend:
    """The backend of a run."""
    return backend(run.device, run.gpu, stream)


def resolve_device(device: str | None, **given: Any) -> tuple[str, int | None]:
    """(device, which GPU): the device asked for, or else "cuda" if any of the arrays lies on a GPU."""
    on_gpu = _on_devices(given)
    if not on_gpu:
        return "cpu" if device is None else device, None
    if device == "cpu" and on_gpu:
        raise ArgumentTypeError(
            "device",
            "be None or 'cuda' for arrays on a GPU, unless they are copied to the host",
            f"'cpu' and {next(iter(on_gpu))} on a GPU",
        )
    found = {name: _gpu(a) for name, a in on_gpu.items()}
    if len(set(found.values())) > 1:
        first = next(iter(found))
        other = next(name for name in found if found[name] != found[first])
        raise ArgumentError(
            "arrays", "lie on one GPU", f"{first} on GPU {found[first]}, {other} on GPU {found[other]}"
        )
    return "cuda" if device is None else device, next(iter(found.values()))


def _gpu(a: Any) -> int:
    """The number of the GPU that an array lies on."""
    if hasattr(a, "__dlpack_device__"):
        return int(a.__dlpack_device__()[1])
    from .cuda import driver

    return driver.gpu_of(a)


def _on_devices(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays that lie on a GPU, by name."""
    on_gpu: dict[str, Any] = {}
    for name, a in given.items():
        if a is None or isinstance(a, np.ndarray):
            continue
        if isinstance(a, Mapping):
            if {type(value) for value in a.values()} == _HOST:
                continue
            on_gpu |= {f"{name}[{key!r}]": value for key, value in a.items() if check.is_on_device(value)}
        elif check.is_on_device(a):
            on_gpu[name] = a
    return on_gpu
