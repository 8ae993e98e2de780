# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""The compiled part of the cross-entropy: log-likelihoods under a softmax and their gradient, in one pass.

And the logarithms of a softmax, in float64.

Rows go in blocks that threads share: what is computed of a block stays in cache, exponentials are taken of all its
entries in one loop, and its losses have a sum of their own, so that no result depends on the number of threads.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit
from numba.extending import intrinsic

from ..kernels.access import INTERPRETED, OPTIONS, get, put
from ..kernels.barrier import share
from ..kernels.copying import are_finite, plain, sum_in_order
from ..kernels.elementary import COMPILED
from ..kernels.flat_arrays import empty
from ..kernels.parallel import by_threads
from ..kernels.product import ZERO, total
from ..kernels.threads import POOL, launch, threads_for

ROWS = 32
OPERATIONS = 40  # of an entry, about


def log_likelihood(
    logits: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray] | None:
    """(loss, gradient) of logits (n, V), targets (n,), weights (n,) in float64; None if a target is out of range.

    Rows of weight 0 are not read.
    """
    rows, classes = logits.shape
    targets = plain(targets.astype(np.int64, copy=False))
    gradient, sums = np.empty((rows, classes), logits.dtype), np.empty(-(-rows // ROWS))
    threads = threads_for(len(sums), ROWS * classes * OPERATIONS)
    valid = np.empty(len(sums), np.bool_)
    with POOL, np.errstate(all="ignore"):  # for interpreted code
        launch(
            threads, _cross_entropy, plain(logits).reshape(-1), targets, weights, classes,
            gradient.reshape(-1), sums, valid,
        )  # fmt: skip
    return (sum_in_order(sums), gradient) if all(valid.tolist()) else None


def log_softmax(logits: np.ndarray) -> np.ndarray | None:
    """Log-probabilities (n, V) in float64, so that sums over long sequences lose nothing; None if they are not finite.

    A row has the same bits, whatever the other rows are.
    """
    rows, classes = logits.shape
    out, blocks = np.empty((rows, classes)), -(-rows // ROWS)
    threads = threads_for(blocks, ROWS * classes * OPERATIONS)
    checksums = np.empty(threads)
    with POOL, np.errstate(all="ignore"):  # for interpreted code
        launch(threads, _log_softmax, plain(logits).reshape(-1), classes, out.reshape(-1), checksums)
    return out if are_finite(checksums) or np.isfinite(logits).all() else None


if INTERPRETED:
    exp, log, larger = np.exp, np.log, np.maximum
else:
    exp, log = COMPILED["exp"], COMPILED["log"]

    @intrinsic
    def larger(typingctx, a, b):
        """The larger of two, NaN if one is: as an instruction that LLVM knows how to reduce by."""

        def codegen(context, builder, signature, arguments):
            kind = arguments[0].type
            maximum = builder.module.declare_intrinsic(
                "llvm.maximum", [kind], ir.FunctionType(kind, [kind] * 2)
            )
            return builder.call(maximum, arguments)

        return a(a, b), codegen


@njit(**OPTIONS)
def largest_of(a, at, n):
    m = get(a, at)
    for j in range(1, n):
        m = larger(m, get(a, at + j))
    return m


@njit(**OPTIONS)
def _block(logits, index, weights, classes, out, first, rows, losses, sums):
    """Write the gradient of some rows; the weighted sum of their losses."""
    for r in range(rows):
        at = (first + r) * classes
        if weights[first + r] == 0:
            for j in range(classes):
                put(out, at + j, out.dtype.type(0))
        else:
            # The largest logit is subtracted: exp cannot overflow, and the largest term of the sum is exactly 1.
            largest = largest_of(logits, at, classes)
            for j in range(classes):
                put(out, at + j, get(logits, at + j) - largest)
        put(losses, r, get(out, at + get(index, r)))
    for j in range(first * classes, (first + rows) * classes):
        put(out, j, exp(get(out, j)))
    for r in range(rows):
        put(sums, r, total(out, (first + r) * classes, classes))
    for r in range(rows):
        put(losses, r, log(get(sums, r)) - get(losses, r))
    loss = 0.0
    for r in range(rows):
        at, weight = (first + r) * classes, out.dtype.type(weights[first + r])
        factor = weight / get(sums, r)
        for j in range(classes):
            put(out, at + j, get(out, at + j) * factor)
        target = at + get(index, r)
        put(out, target, get(out, target) - weight)
        if weights[first + r] > 0:
            loss += weights[first + r] * np.float64(get(losses, r))
    return loss


@by_threads
def _cross_entropy(i, threads, logits, targets, weights, classes, out, sums, valid):
    losses, exponentials, index = (
        empty(ROWS, out.dtype),
        empty(ROWS, out.dtype),
        empty(ROWS, np.int64),
    )
    for b in range(share(sums.size, threads, i), share(sums.size, threads, i + 1)):
        first = b * ROWS
        rows = min(ROWS, targets.size - first)
        valid[b] = True
        for r in range(rows):
            target = targets[first + r] if weights[first + r] > 0 else 0
            valid[b] = valid[b] and 0 <= target < classes
            put(index, r, target if 0 <= target < classes else 0)
        sums[b] = _block(logits, index, weights, classes, out, first, rows, losses, exponentials)


@by_threads
def _log_softmax(i, threads, logits, classes, out, checksums):
    rows, exponentials, checksum = out.size // classes, empty(classes, out.dtype), 0.0
    for r in range(share(rows, threads, i), share(rows, threads, i + 1)):
        at = r * classes
        largest = largest_of(logits, at, classes)
        for j in range(classes):
            put(out, at + j, np.float64(get(logits, at + j)) - np.float64(largest))
        for j in range(classes):
            put(exponentials, j, exp(get(out, at + j)))
        checksum += total(out, at, classes)
        logarithm = log(total(exponentials, ZERO(), classes))
        for j in range(classes):
            put(out, at + j, get(out, at + j) - logarithm)
    checksums[i] = checksum
