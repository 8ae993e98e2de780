"""Walk 4: cells whose units never see each other. A thread takes one unit of one instance through all steps.

Its numbers stay in registers. The values of the next step are read while this step is computed, and no thread waits for
another. Arrays are those of `block_kernels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...cells import Cell
from ...equations.schedule import width_labels
from .block_products import KINDS
from .driver import cuda, kernel
from .programs import column_sizes, columns, each, program, sizes_of_rows

COPY, CLEAR, ADD = "a[{i}] = b[{i}]", "a[{i}] = zero", "a[{i}] += b[{i}]"

_MADE: dict[tuple[str, str, str], Any] = {}


def walk(cell: Cell, verb: str, dtype: str) -> Any:
    """The kernel of a verb: "forward", "tangent" or "adjoint"."""
    key = (cell.fingerprint, verb, dtype)
    if key not in _MADE:
        make = {"forward": _forward, "tangent": _tangent, "adjoint": _adjoint}[verb]
        _MADE[key] = kernel(make(cell, program(cell, verb, dtype), dtype), "columns", dtype)
    return _MADE[key]


def _forward(cell: Cell, row: Any, dtype: str) -> Any:
    kind, (ne, nk, nv) = KINDS[dtype], sizes_of_rows(cell)
    zero, sizes = np.dtype(dtype).type(0), column_sizes(len(width_labels(cell)))
    (load_values, _), (load_state, store_state) = columns(cell, "values"), columns(cell, "state")
    copy_values, copy_state = each(ne, COPY), each(nk, COPY)
    load_vectors, _ = columns(cell, "vectors")

    def forward(
        steps, batch, k, e, widths, widest, P, C, E, initial, before, after, lengths, resets, separate
    ):
        thread = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        b, j = thread // widest, thread % widest
        if b >= batch:
            return
        now, ahead = cuda.local.array(ne, kind), cuda.local.array(ne, kind)
        s, n, p = cuda.local.array(nk, kind), cuda.local.array(nk, kind), cuda.local.array(nv, kind)
        load_vectors(P, 0, j, widths, p)
        load_state(initial, b * k, j, widths, s)
        load_values(E, b * e, j, widths, ahead)
        end, size = lengths[b], sizes(widths, j)
        for t in range(steps):
            r = t * batch + b
            if separate:
                if resets[r]:
                    load_state(initial, (batch + b) * k, j, widths, s)
                store_state(before, r * k, j, widths, s)
            if t < end:
                copy_values(now, ahead, zero)
                if t + 1 < end:
                    load_values(E, (r + batch) * e, j, widths, ahead)
                row(0, 0, size, now, 0, s, 0, p, C, n, 0)
                copy_state(s, n, zero)
            store_state(after, r * k, j, widths, s)

    return forward


def _tangent(cell: Cell, row: Any, dtype: str) -> Any:
    kind, (ne, nk, nv) = KINDS[dtype], sizes_of_rows(cell)
    zero, sizes = np.dtype(dtype).type(0), column_sizes(len(width_labels(cell)))
    (load_values, _), (load_state, store_state) = columns(cell, "values"), columns(cell, "state")
    copy_state = each(nk, COPY)
    load_vectors, _ = columns(cell, "vectors")

    def tangent(
        steps, batch, k, e, widths, widest, P, tP, C, E, S, tE, initial, before, after, lengths, resets, separate
    ):  # fmt: skip
        thread = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        b, j = thread // widest, thread % widest
        if b >= batch:
            return
        x, dx = cuda.local.array(ne, kind), cuda.local.array(ne, kind)
        s, ds, dn = cuda.local.array(nk, kind), cuda.local.array(nk, kind), cuda.local.array(nk, kind)
        p, dp = cuda.local.array(nv, kind), cuda.local.array(nv, kind)
        load_vectors(P, 0, j, widths, p)
        load_vectors(tP, 0, j, widths, dp)
        load_state(initial, b * k, j, widths, ds)
        end, size = lengths[b], sizes(widths, j)
        for t in range(steps):
            r = t * batch + b
            if separate:
                if resets[r]:
                    load_state(initial, (batch + b) * k, j, widths, ds)
                store_state(before, r * k, j, widths, ds)
            if t < end:
                load_values(E, r * e, j, widths, x)
                load_values(tE, r * e, j, widths, dx)
                load_state(S, r * k, j, widths, s)
                row(0, 0, size, x, 0, s, 0, p, C, dx, ds, dp, dn, 0)
                copy_state(ds, dn, zero)
            store_state(after, r * k, j, widths, ds)

    return tangent


def _adjoint(cell: Cell, row: Any, dtype: str) -> Any:
    kind, (ne, nk, nv) = KINDS[dtype], sizes_of_rows(cell)
    zero, sizes = np.dtype(dtype).type(0), column_sizes(len(width_labels(cell)))
    (load_values, store_values), (load_state, store_state) = columns(cell, "values"), columns(cell, "state")
    clear_values, clear_state, clear_vectors = each(ne, CLEAR), each(nk, CLEAR), each(nv, CLEAR)
    copy_state, add_state = each(nk, COPY), each(nk, ADD)
    load_vectors, store_vectors = columns(cell, "vectors")

    def adjoint(
        steps, batch, k, e, v, widths, widest, P, C, E, S, d_values, after, d_vectors, d_initial, lengths, resets,
        separate,
    ):  # fmt: skip
        thread = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        b, j = thread // widest, thread % widest
        if b >= batch:
            return
        x, dx = cuda.local.array(ne, kind), cuda.local.array(ne, kind)
        s, ds, dn = cuda.local.array(nk, kind), cuda.local.array(nk, kind), cuda.local.array(nk, kind)
        p, dp, again = cuda.local.array(nv, kind), cuda.local.array(nv, kind), cuda.local.array(nk, kind)
        load_vectors(P, 0, j, widths, p)
        clear_state(ds, ds, zero)
        clear_state(again, again, zero)
        clear_vectors(dp, dp, zero)
        end, size = lengths[b], sizes(widths, j)
        for t in range(steps - 1, -1, -1):
            r = t * batch + b
            load_state(after, r * k, j, widths, dn)
            add_state(dn, ds, zero)
            store_state(after, r * k, j, widths, dn)
            if t < end:
                clear_state(ds, ds, zero)
                load_values(E, r * e, j, widths, x)
                load_state(S, r * k, j, widths, s)
                row(0, 0, size, x, 0, s, 0, p, C, dn, 0, dx, ds, 0, dp, 0)
            else:
                copy_state(ds, dn, zero)
                clear_values(dx, dx, zero)
            store_values(d_values, r * e, j, widths, dx)
            if separate:
                if resets[r]:
                    add_state(again, ds, zero)
                    clear_state(ds, ds, zero)
        store_state(d_initial, b * k, j, widths, ds)
        if separate:
            store_state(d_initial, (batch + b) * k, j, widths, again)
        store_vectors(d_vectors, b * v, j, widths, dp)

    return adjoint
