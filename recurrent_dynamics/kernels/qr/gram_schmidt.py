# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""QR by modified Gram-Schmidt, a panel at a time: half as long as by Householder reflections, for frames that allow it.

All work but that within a panel is matrix products, and Q is formed in place. Q R equals the frame to rounding, and R
is as accurate as from reflections [1]_, whatever the condition number. Q is orthonormal to rounding times the condition
number. That spoils no exponent: the next R contains what a frame lacks, and the logarithms are summed. The loss of
orthogonality is estimated on the way [2]_; a frame with too much of it goes to `householder`.

References
----------
.. [1] Björck, Solving linear least squares problems by Gram-Schmidt orthogonalization, BIT 7 (1967); Björck and Paige,
   Loss and recapture of orthogonality in the modified Gram-Schmidt algorithm, SIAM J. Matrix Anal. Appl. 13 (1992).
.. [2] Jalby and Philippe, Stability analysis and improvement of the block Gram-Schmidt algorithm, SIAM J. Sci. Stat.
   Comput. 12 (1991).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..access import OPTIONS, get, put
from ..product import ZERO, clear
from .panels import EPS, HUGE, TINY, width
from .rows import deflate, pivot, reflect_rows

SINE = 1e-8  # between a column and those before it; Q is then orthonormal to 1e-7 at worst


@njit(**OPTIONS)
def orthonormalize(A, at, R, size, count, scratch, logs, well):
    """Replace a frame by Q and write ln |R_ii|; false, with arrays of no use, if Q would not be orthonormal enough.

    R is written if all is to be well known. How far Q is from orthonormal is rounding over the sine between a column
    and all before it, and over the least sine within a panel before, whose products are taken all at once.
    """
    w = width()
    panels, G, own, Z = (count + w - 1) // w, ZERO(), 2 * w, 3 * w
    sums = Z + w * w
    total, before, least = 0.0, 1.0, np.inf
    clear(scratch, sums, panels * w)  # the squared components of the columns along the panels before
    for p in range(panels):
        panel, columns, worst = at + p * size * w, min(w, count - p * w), 1.0
        clear(scratch, G, 3 * w)
        for j in range(columns):
            reflect_rows(A, panel, size, max(j - 1, 0), j, scratch, G, G + w)  # by nothing at first
            square = pivot(scratch, G, np.int64(j))
            if well:
                for c in range(j, columns):
                    put(R, (p * w + j) * count + p * w + c, get(scratch, G + w + c))
            inside = get(scratch, own + j)
            whole = inside + get(scratch, sums + p * w + j)
            if not (square > whole * (SINE / before) ** 2):
                return False
            worst, least, total = min(worst, square / inside), min(least, square), total + whole
            logs[p * w + j] = math.log(square) / 2
            put(scratch, Z + j, 1 / math.sqrt(square))
        before = min(before, math.sqrt(worst))
        for c in range(columns, w):
            put(scratch, Z + c, 0.0)
        _scale(A, panel, size, scratch, Z)
        for q in range(p + 1, panels):
            deflate(A, panel, at + q * size * w, size, scratch, Z, sums + q * w)
            if well:
                for i in range(w):
                    for c in range(min(w, count - q * w)):
                        put(R, (p * w + i) * count + q * w + c, -get(scratch, Z + i * w + c))
    # Squares without overflow or underflow, and no diagonal entry so small that it counts as 0.
    return TINY < total < HUGE and least > (count * EPS) ** 2 * total


@njit(**OPTIONS)
def _scale(A, panel, size, factors, at):
    """Each column of a panel times its factor."""
    w = width()
    for i in range(size):
        for c in range(w):
            put(A, panel + i * w + c, get(A, panel + i * w + c) * get(factors, at + c))


@njit(**OPTIONS)
def spread(logs):
    """The largest minus the least."""
    least, most = logs[0], logs[0]
    for i in range(1, logs.size):
        least, most = min(least, logs[i]), max(most, logs[i])
    return most - least
