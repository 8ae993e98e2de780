"""The state at the borders of sequences: reset to the initial state, or held after the last step; with adjoints.

`resets` (t, b) says where a step begins from the initial state, `lengths` (b,) how many steps a sequence has. Both are
empty where there are none.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ...kernels.access import LIGHT, get, put
from ...kernels.product import clear


@njit(**LIGHT)
def copy(a, at, c, to, n):
    for j in range(n):
        put(c, to + j, get(a, at + j))


@njit(**LIGHT)
def _add(a, at, c, to, n):
    for j in range(n):
        put(c, to + j, get(c, to + j) + get(a, at + j))


@njit(**LIGHT)
def apply_reset(resets, initial, N, S, t, first, previous, batch, b0, b1, k):
    """Write S of step t where S and N are separate arrays: the state before, or the initial state after a reset.

    The rows of the step begin at `first`, those of the step before at `previous`.
    """
    if resets.size > 0:
        for b in range(b0, b1):
            if t == 0 or resets[t * batch + b]:
                copy(initial, b * k, S, (first + b) * k, k)
            else:
                copy(N, (previous + b) * k, S, (first + b) * k, k)


@njit(**LIGHT)
def reset_adjoint(resets, dS, dN, d_initial, t, batch, b0, b1, k):
    """The adjoint of `apply_reset`."""
    if resets.size > 0:
        for b in range(b0, b1):
            i = t * batch + b
            if t == 0 or resets[i]:
                _add(dS, i * k, d_initial, b * k, k)
            else:
                _add(dS, i * k, dN, (i - batch) * k, k)


@njit(**LIGHT)
def active_instances(lengths, t, b0, b1, index, at):
    """List the instances whose sequence has not ended before step t; return their number."""
    count = 0
    for b in range(b0, b1):
        if lengths.size == 0 or t < lengths[b]:
            put(index, at + count, np.int64(b))
            count += 1
    return count


@njit(**LIGHT)
def rows_of_steps(lengths, t, end, batch, b0, b1, index, at):
    """List the active rows of the steps t to `end`, counted from step t; return their number."""
    count = 0
    for q in range(end - t):
        instances = active_instances(lengths, t + q, b0, b1, index, at + count)
        for i in range(at + count, at + count + instances):
            put(index, i, get(index, i) + q * batch)
        count += instances
    return count


@njit(**LIGHT)
def hold_ended(lengths, t, first, b0, b1, S, N, k):
    """Copy the states of sequences that have ended from S to N, in the rows of step t, which begin at `first`."""
    if lengths.size > 0:
        for b in range(b0, b1):
            if t >= lengths[b]:
                copy(S, (first + b) * k, N, (first + b) * k, k)


@njit(**LIGHT)
def hold_adjoint(lengths, t, batch, b0, b1, dN, dS, dE, k, e):
    """The adjoint of `hold_ended`; the cotangents of the values of such a step are zeros."""
    if lengths.size > 0:
        for b in range(b0, b1):
            if t >= lengths[b]:
                r = t * batch + b
                _add(dN, r * k, dS, r * k, k)
                clear(dE, r * e, e)


@njit(**LIGHT)
def hold_adjoint_of_all_steps(lengths, steps, batch, b0, b1, dN, dS, dE, k, e):
    """`hold_adjoint` of every step, the last one first."""
    for t in range(steps - 1, -1, -1):
        hold_adjoint(lengths, t, batch, b0, b1, dN, dS, dE, k, e)
