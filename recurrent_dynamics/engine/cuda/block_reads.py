"""The reads of a memory by the threads of one block: the function of a cell, and softmax, shift and scan.

As `kernels.positions`: each is over the first `length` of `size` entries that begin at `source`, and its result begins
at `target` and is 0 beyond the length. All end with a barrier. Sums have LANES parts, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ...cells import Cell
from .device_model import LANES
from .driver import cuda, device
from .programs import compiled, get, put
from .scalars import scalars

_READERS: dict[tuple[str, str, str], Callable[..., None]] = {}


def reader(cell: Cell, verb: str, dtype: str) -> Callable[..., None]:
    """The reads of a stage for any verb, with the same arguments.

    Along the point E, S, P, C; what moves, or the cotangents, are xE, xS, xP, and xM by the memory M, which begin at m
    and xm. The values of a forward pass are xE, xS. Of a cell without a memory the function does nothing.
    """
    key = (cell.fingerprint if cell.memory else "", verb, dtype)
    if key not in _READERS:
        _READERS[key] = device(_of_verb(_function(cell, verb, dtype) if cell.memory else None, verb))
    return _READERS[key]


def _function(cell: Cell, verb: str, dtype: str) -> Callable[..., None]:
    from ...equations.block_source import block_source
    from ...equations.derive import Derivation

    functions = {"get": get, "put": put, "LANES": LANES, **scalars(dtype), **_tools(dtype)}
    return compiled(block_source(Derivation(cell), verb), verb, functions)


def _of_verb(function: Any, verb: str) -> Callable[..., None]:
    def nothing(stage, widths, E, S, P, C, xE, xS, xP, M, xM, m, xm, length, scratch, tid, threads):
        return

    def forward(stage, widths, E, S, P, C, xE, xS, xP, M, xM, m, xm, length, scratch, tid, threads):
        function(stage, widths, xE, 0, xS, 0, P, C, xE, 0, M, m, length, scratch, tid, threads)

    def tangent(stage, widths, E, S, P, C, xE, xS, xP, M, xM, m, xm, length, scratch, tid, threads):
        function(
            stage, widths, E, 0, S, 0, P, C, xE, xS, xP, xE, 0, M, m, xM, length, scratch, tid, threads
        )  # fmt: skip

    def adjoint(stage, widths, E, S, P, C, xE, xS, xP, M, xM, m, xm, length, scratch, tid, threads):
        function(
            stage, widths, E, 0, S, 0, P, C, xE, 0, xE, xS, 0, xP, 0, M, m, xM, xm, length, scratch, tid, threads
        )  # fmt: skip

    if function is None:
        return nothing
    return {"forward": forward, "tangent": tangent, "adjoint": adjoint}[verb]


@cache
def _tools(dtype: str) -> dict[str, Any]:
    """The functions that the source of `equations.block_source` calls."""
    real, of_dtype = np.dtype(dtype).type, scalars(dtype)
    zero, lowest = real(0), real(-np.inf)
    exp, maximum = of_dtype["exp"], of_dtype["maximum"]

    @device
    def wait():
        cuda.syncthreads()

    @device
    def total(scratch, at):
        s = get(scratch, at, 0)
        for lane in range(1, LANES):
            s += get(scratch, at + lane, 0)
        return s

    @device
    def inner(a, at, b, to, length, scratch, tid, threads):
        """The sum of products of two stretches, in every thread."""
        for lane in range(tid, LANES, threads):
            s = zero
            for p in range(lane, length, LANES):
                s += get(a, at + p, 0) * get(b, to + p, 0)
            put(scratch, lane, s, 0)
        cuda.syncthreads()
        s = total(scratch, 0)
        cuda.syncthreads()  # the scratch memory is free again
        return s

    @device
    def clear_beyond(E, target, length, size, tid, threads):
        for p in range(length + tid, size, threads):
            put(E, target + p, zero, 0)

    @device
    def softmax_forward(E, source, target, length, size, scratch, tid, threads):
        for lane in range(tid, LANES, threads):
            largest = lowest
            for p in range(lane, length, LANES):
                largest = maximum(largest, get(E, source + p, 0))
            put(scratch, lane, largest, 0)
        cuda.syncthreads()
        largest = get(scratch, 0, 0)
        for lane in range(1, LANES):
            largest = maximum(largest, get(scratch, lane, 0))
        for p in range(tid, length, threads):
            put(E, target + p, exp(get(E, source + p, 0) - largest), 0)
        cuda.syncthreads()
        for lane in range(tid, LANES, threads):
            s = zero
            for p in range(lane, length, LANES):
                s += get(E, target + p, 0)
            put(scratch, lane, s, 0)
        cuda.syncthreads()
        s = total(scratch, 0)
        for p in range(tid, length, threads):
            put(E, target + p, get(E, target + p, 0) / s, 0)
        clear_beyond(E, target, length, size, tid, threads)
        cuda.syncthreads()

    @device
    def softmax_tangent(E, tE, source, target, length, size, scratch, tid, threads):
        mean = inner(E, target, tE, source, length, scratch, tid, threads)
        for p in range(tid, length, threads):
            put(tE, target + p, get(E, target + p, 0) * (get(tE, source + p, 0) - mean), 0)
        clear_beyond(tE, target, length, size, tid, threads)
        cuda.syncthreads()

    @device
    def softmax_adjoint(E, dE, source, target, length, size, scratch, tid, threads):
        mean = inner(E, target, dE, target, length, scratch, tid, threads)
        for p in range(tid, length, threads):
            move = get(E, target + p, 0) * (get(dE, target + p, 0) - mean)
            put(dE, source + p, get(dE, source + p, 0) + move, 0)
        cuda.syncthreads()

    @device
    def moved(E, source, target, length, size, by, tid, threads):
        """E[target:] = E[source:] moved by some positions."""
        for p in range(tid, size, threads):
            at, value = p - by, zero
            if p < length and at >= 0 and at < length:
                value = get(E, source + at, 0)
            put(E, target + p, value, 0)
        cuda.syncthreads()

    @device
    def shift_forward(E, source, target, length, size, by, scratch, tid, threads):
        moved(E, source, target, length, size, by, tid, threads)

    @device
    def shift_tangent(E, tE, source, target, length, size, by, scratch, tid, threads):
        moved(tE, source, target, length, size, by, tid, threads)

    @device
    def shift_adjoint(E, dE, source, target, length, size, by, scratch, tid, threads):
        for p in range(max(0, by) + tid, min(length, length + by), threads):
            put(dE, source + p - by, get(dE, source + p - by, 0) + get(dE, target + p, 0), 0)
        cuda.syncthreads()

    @device
    def scan_forward(E, decay, source, target, length, size, scratch, tid, threads):
        """One thread goes along the positions, as each sum needs the one before."""
        if tid == 0:
            y = zero
            for p in range(length):
                y = get(E, decay + p, 0) * y + get(E, source + p, 0)
                put(E, target + p, y, 0)
        clear_beyond(E, target, length, size, tid, threads)
        cuda.syncthreads()

    @device
    def scan_tangent(E, tE, decay, source, target, length, size, scratch, tid, threads):
        if tid == 0:
            y, t = zero, zero
            for p in range(length):
                t = get(tE, decay + p, 0) * y + get(E, decay + p, 0) * t + get(tE, source + p, 0)
                y = get(E, target + p, 0)
                put(tE, target + p, t, 0)
        clear_beyond(tE, target, length, size, tid, threads)
        cuda.syncthreads()

    @device
    def scan_adjoint(E, dE, decay, source, target, length, size, scratch, tid, threads):
        if tid == 0:
            further = zero
            for p in range(length - 1, -1, -1):
                d = get(dE, target + p, 0) + further
                put(dE, source + p, get(dE, source + p, 0) + d, 0)
                further = d * get(E, decay + p, 0)
                if p > 0:
                    put(dE, decay + p, get(dE, decay + p, 0) + d * get(E, target + p - 1, 0), 0)
        cuda.syncthreads()

    functions = (
        wait, total, softmax_forward, softmax_tangent, softmax_adjoint, shift_forward, shift_tangent, shift_adjoint,
        scan_forward, scan_tangent, scan_adjoint,
    )  # fmt: skip
    return {_name(f): f for f in functions}


def _name(function: Any) -> str:
    """The name of a device function, or of a Python function in the simulator."""
    return getattr(function, "py_func", function).__name__
