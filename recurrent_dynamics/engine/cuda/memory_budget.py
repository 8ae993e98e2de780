"""How much device memory a verb needs, counted before any of it is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...cells.layout import Layout
from .device_model import Sizes
from .driver import array_module
from .footprint import needed

WORK = {
    "forward": "the run",
    "tangent": "its tangent",
    "adjoint": "its gradients",
    "jacobian": "its Jacobians",
}
SLACK = 64 << 20  # bytes for what is not counted: kernels, cuBLAS and its workspace, tables


def free() -> int:
    """Bytes that can still be taken on the current GPU: those of the driver and those that CuPy's pool holds."""
    if array_module() is np:
        return 1 << 62
    xp = array_module()
    pool = xp.get_default_memory_pool()
    left = int(xp.cuda.runtime.memGetInfo()[0]) + pool.free_bytes()
    limit = pool.get_limit()
    return max(0, min(left, limit - pool.used_bytes()) if limit else left)


def require(layout: Layout, sizes: Sizes, verb: str, resets: bool, rounded: bool, name: str) -> None:
    """Raise a MemoryError that says how much a verb needs, how much is available, and what would fit."""

    def size(**other: Any) -> int:
        return needed(layout, replace(sizes, **other), verb, resets, rounded)

    available, s = free() - SLACK, sizes
    if size() <= available:
        return
    most = {
        "steps": _most(lambda n: size(steps=n) <= available, s.steps),
        "sequences": _most(lambda n: size(batch=n) <= available, s.batch),
    }
    fits = " or ".join(f"{n} {what}" for what, n in most.items() if n)
    less = "" if rounded or s.itemsize > 4 else "; tape_dtype='bfloat16' needs less"
    raise MemoryError(
        f"{WORK[verb]} of T = {s.steps}, B = {s.batch}, N = {s.input_size}, H = {s.hidden_size} in "
        f"float{8 * s.itemsize} needs {_text(size())} of device memory, {_text(available)} are free on {name}: "
        f"{fits + ' would fit' if fits else 'one step does not fit'}{less}; device='cpu' takes the memory of the host"
    )


def _text(size: int) -> str:
    return f"{max(size, 0) / 1e9:.3g} GB" if size >= 1e8 else f"{max(size, 0) / 1e6:.3g} MB"


def _most(fits: Callable[[int], bool], most: int) -> int:
    """The largest number below `most` that fits; 0 if none."""
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
