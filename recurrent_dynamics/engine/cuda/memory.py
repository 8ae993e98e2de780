"""How much device memory a verb needs, counted before any of it is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...cells.layout import Layout
from .driver import array_module
from .footprint import needed
from .walks import Sizes

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
    """Raise a MemoryError that says how much a verb needs, how much there is, and what would fit."""
    wanted, there = needed(layout, sizes, verb, resets, rounded), free() - (SLACK)
    if wanted <= there:
        return
    work = {"forward": "the run", "tangent": "its tangent", "adjoint": "its gradients"}[verb]
    s = sizes
    steps = _most(lambda n: needed(layout, replace(s, steps=n), verb, resets, rounded) <= there, s.steps)
    batch = _most(lambda n: needed(layout, replace(s, batch=n), verb, resets, rounded) <= there, s.batch)
    fits = f"{steps} steps or {batch} sequences would fit" if steps and batch else "one step does not fit"
    if steps and not batch:
        fits = f"{steps} steps would fit"
    elif batch and not steps:
        fits = f"{batch} sequences would fit"
    less = "" if rounded or s.itemsize > 4 else "; tape_dtype='bfloat16' needs less"
    raise MemoryError(
        f"{work} of T = {s.steps}, B = {s.batch}, N = {s.input_size}, H = {s.hidden_size} in float{8 * s.itemsize} "
        f"needs {_text(wanted)} of device memory, {_text(there)} are free on {name}: {fits}"
        f"{less}; device='cpu' takes the memory of the host"
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
