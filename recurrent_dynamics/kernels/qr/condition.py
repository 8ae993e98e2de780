# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""Measures of a triangle R: ln |R_ii|, and an estimate of its condition number."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..access import OPTIONS, get, put
from ..product import clear
from .panels import EPS, dot


@njit(**OPTIONS)
def measure(R, ro, count, logs, well, two):
    """Fill in ln |R_ii| and return ln of the condition number: the bound from the diagonal if that is enough.

    Otherwise it is estimated in the 1-norm from R^T x = d with d_i = 1 or -1, whichever makes x grow, and R y = x: |y|
    / |x| is about the norm of the inverse (Cline, Moler, Stewart and Wilkinson, SIAM J. Numer. Anal. 16, 1979).
    """
    x, y = two[: count + 1], two[count + 1 :]
    largest, least, most = 0.0, np.inf, 0.0
    clear(x, 0, count)
    clear(y, 0, count)
    for i in range(count):
        row = ro + i * count
        for j in range(i, count):
            entry = abs(get(R, row + j))
            put(x, j, get(x, j) + entry)
            put(y, j, entry if entry > get(y, j) else get(y, j))
        entry = abs(get(R, row + i))
        least, most = min(least, entry), max(most, entry)
    norm = 0.0
    for j in range(count):
        norm, largest = max(norm, get(x, j)), max(largest, get(y, j))
    for i in range(count):
        entry = abs(get(R, ro + i * count + i))
        logs[i] = math.log(entry) if entry > count * EPS * largest else -np.inf
    if least == 0.0 or most / least > 1e8 or not well:
        return math.log(most / least) if least > 0.0 else np.inf
    clear(x, 0, count)
    above = 0.0
    for i in range(count):
        row = ro + i * count
        s = get(x, i)
        s = (-math.copysign(1.0, s) - s) / get(R, row + i)
        put(x, i, s)
        above += abs(s)
        for j in range(i + 1, count):
            put(x, j, get(x, j) + s * get(R, row + j))
    below = 0.0
    for i in range(count - 1, -1, -1):
        row = ro + i * count
        s = (get(x, i) - dot(R, row + i + 1, y, i + 1, count - i - 1)) / get(R, row + i)
        put(y, i, s)
        below += abs(s)
    return math.log(max(norm * below / above, most / least))
