"""How much device memory a verb needs, counted before any of it is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...cells.layout import Layout
from .driver import array_module
from .walks import Sizes

SLACK = 64 << 20  # bytes for what is not counted: kernels, cuBLAS and its workspace, tables


def needed(layout: Layout, sizes: Sizes, verb: str, resets: bool = False) -> int:
    """Bytes that a verb takes, what comes in from the host and what it gives included.

    "forward": the run itself. "adjoint" and "tangent": what is added to a run.
    """
    rows, size = sizes.steps * sizes.batch, sizes.itemsize
    n, e, k = layout.input_size, layout.values_size, layout.state_size
    states = (2 * sizes.steps if resets else sizes.steps + 1) * sizes.batch * k
    params = layout.input_rows * n + 2 * layout.matrices_size + 2 * layout.vectors_size
    if verb == "forward":  # two copies of the input; whether states are finite takes a byte each
        return (2 * rows * n + rows * e + states + 2 * params) * size + rows * k
    if verb == "tangent":
        return (2 * rows * n + rows * e + states + 2 * params) * size
    width = max(layout.widths)  # d_output from the host; cotangents of values, states and input
    return (rows * (width + e + n) + states + 2 * params) * size + rows * width


def free() -> int:
    """Bytes that can still be taken on the current GPU: those of the driver and those that CuPy's pool holds."""
    if array_module() is np:
        return 1 << 62
    xp = array_module()
    pool = xp.get_default_memory_pool()
    left = int(xp.cuda.runtime.memGetInfo()[0]) + pool.free_bytes()
    limit = pool.get_limit()
    return max(0, min(left, limit - pool.used_bytes()) if limit else left)


def require(layout: Layout, sizes: Sizes, verb: str, resets: bool, name: str) -> None:
    """Raise a MemoryError that says how much a verb needs, how much there is, and what would fit."""
    wanted, there = needed(layout, sizes, verb, resets), free() - (SLACK)
    if wanted <= there:
        return
    work = {"forward": "the run", "tangent": "its tangent", "adjoint": "its gradients"}[verb]
    s = sizes
    steps = _most(lambda n: needed(layout, replace(s, steps=n), verb, resets) <= there, s.steps)
    batch = _most(lambda n: needed(layout, replace(s, batch=n), verb, resets) <= there, s.batch)
    fits = f"{steps} steps or {batch} sequences would fit" if steps and batch else "one step does not fit"
    if steps and not batch:
        fits = f"{steps} steps would fit"
    elif batch and not steps:
        fits = f"{batch} sequences would fit"
    raise MemoryError(
        f"{work} of T = {s.steps}, B = {s.batch}, N = {s.input_size}, H = {s.hidden_size} in float{8 * s.itemsize} "
        f"needs {_text(wanted)} of device memory, {_text(there)} are free on {name}: {fits}; device='cpu' takes the "
        "memory of the host"
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
