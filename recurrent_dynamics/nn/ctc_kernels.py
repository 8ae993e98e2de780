# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""Compiled forward-backward recursions of CTC, in the log domain and in double precision whatever the logits are.

The target of U labels has S = 2 U + 1 states: blanks around and between the labels. `labels` holds their classes, and
`skip` the logarithm of whether a state may follow the one two places before it: 0 or `LOWEST`. A probability of 0 has
the logarithm `LOWEST`, which is finite, so that no difference of two of them is NaN.

Row t of `alpha` holds, for each state, the log-probability of all paths that reach it at step t; row 0 stands for the
time before the first step. `beta` holds that of all paths on from there. Each row has two entries more than states, so
that one loop serves all of them, and LANES more, as loops over states take LANES of them at once: a remainder of
single ones would take as long as all others. At a step a path is in one of the states from `first_state` to
`end_state`: it moves on by two at most, and must reach the end. Sequences are independent: no result depends on the
number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..kernels.access import INTERPRETED, OPTIONS, get, put, stream_access
from ..kernels.elementary import COMPILED
from ..kernels.parallel import by_threads
from ..kernels.product import clear, total
from . import softmax
from .softmax import largest_of

LOWEST = -1e300
NEGLIGIBLE = -700.0  # logarithm of what is lost in any sum here
PADS, LANES = 2, 8
EXTRA = PADS + LANES
# What a step of a sequence costs, in about as many operations: per state, per class, tangents of either.
STATE_OPERATIONS, CLASS_OPERATIONS = 100, 30

BEFORE, AFTER, SKIP, EMITTED = range(4)  # arrays of a loop over states that never meet
if INTERPRETED:
    exp, log = np.exp, np.log

    def load(array, index, stream):
        return array[index]

    def store(array, index, value, stream):
        array[index] = value

else:
    exp, log = COMPILED["exp"], COMPILED["log"]
    load, store = stream_access(("before", "after", "skip", "emitted"))


@njit(**OPTIONS)
def larger(a, b):
    return a if a > b else b


@njit(**OPTIONS)
def smaller(a, b):
    return b if a > b else a


@njit(**OPTIONS)
def above(x):
    """The exponent, kept where the exponential is a normal number: the processor takes 50 times as long below."""
    return NEGLIGIBLE if x < NEGLIGIBLE else x


@njit(**OPTIONS)
def exp_or_0(x):
    return 0.0 if x < NEGLIGIBLE else exp(above(x))


@njit(**OPTIONS)
def log_sum(a, b, c):
    """log(exp(a) + exp(b) + exp(c)); the largest term is taken out, so that two exponentials are left."""
    upper, lower = larger(a, b), smaller(a, b)
    m, middle = larger(upper, c), larger(lower, smaller(upper, c))
    return m + log(1.0 + exp(above(middle - m)) + exp(above(smaller(lower, c) - m)))


@njit(**OPTIONS)
def whole_lanes(n):
    return (n + (LANES - 1)) // LANES * LANES


@njit(**OPTIONS)
def first_state(t, length, states):
    return larger(0, states - 2 * (length - t))


@njit(**OPTIONS)
def end_state(t, states):
    return smaller(states, 2 * t + 2)


@njit(**OPTIONS)
def clamped(x):
    """A log-probability, not below LOWEST; NaN stays."""
    return LOWEST if x < LOWEST else x


@njit(**OPTIONS)
def fill_states(targets, at, count, blank, labels, skip):
    """Write the classes of the states of a target, and which of them may follow the one two places before."""
    states = 2 * count + 1
    for s in range(states):
        put(labels, s, targets[at + s // 2] if s % 2 else blank)
        put(skip, s, LOWEST)
    for s in range(1, states, 2):
        if s == 1 or get(labels, s) != get(labels, s - 2):
            put(skip, s, 0.0)
    for s in range(states, states + EXTRA):
        put(labels, s, blank)
        put(skip, s, LOWEST)
    return states


@njit(**OPTIONS)
def shifted_exp(logits, at, classes, m, row):
    """row = exp(logits - m)."""
    for v in range(classes):
        store(row, v, exp_or_0(np.float64(load(logits, at + v, BEFORE)) - m), AFTER)


@njit(**OPTIONS)
def log_normalizer(logits, at, classes, normalized, row):
    """log sum exp of a row of logits; 0 if they are log-probabilities already. `row` is for its use."""
    if normalized:
        return 0.0
    m = np.float64(largest_of(logits, at, classes))
    shifted_exp(logits, at, classes, m, row)
    return m + log(total(row, 0, classes))


@njit(**OPTIONS)
def emissions(logits, at, labels, states, z, out):
    """Log-probability of the class of each state at one step."""
    for s in range(states):
        put(out, s, clamped(np.float64(get(logits, at + get(labels, s))) - z))
    for s in range(states, states + EXTRA):
        put(out, s, LOWEST)


@njit(**OPTIONS)
def begin_alpha(alpha, states):
    """The row before the first step: the path stands one place before the first state."""
    for s in range(states + EXTRA):
        put(alpha, s, LOWEST)
    put(alpha, PADS - 1, 0.0)


@njit(**OPTIONS)
def next_alpha(alpha, t, length, states, skip, emitted):
    """Row t + 1 of alpha, of the paths up to step t, from the row before."""
    at, to = t * (states + EXTRA), (t + 1) * (states + EXTRA)
    first, end = first_state(t, length, states), end_state(t, states)
    for s in range(PADS + first):
        put(alpha, to + s, LOWEST)
    for s in range(first, first + whole_lanes(end - first)):
        p = at + PADS + s
        reached = log_sum(
            load(alpha, p, BEFORE),
            load(alpha, p - 1, BEFORE),
            load(alpha, p - 2, BEFORE) + load(skip, s, SKIP),
        )
        store(alpha, to + PADS + s, load(emitted, s, EMITTED) + reached, AFTER)
    for s in range(end, states + LANES):
        put(alpha, to + PADS + s, LOWEST)


@njit(**OPTIONS)
def end_beta(beta, states):
    """After the last step: a path may end in the last label or in the blank after it."""
    for s in range(states + EXTRA):
        put(beta, s, 0.0 if states - 2 <= s < states else LOWEST)


@njit(**OPTIONS)
def previous_beta(beta, t, length, states, skip, emitted, onward):
    """Beta at step t, in place of that at step t + 1, to which `emitted` belongs."""
    first, end = first_state(t, length, states), smaller(states, end_state(t, states) + 2)
    for s in range(first, end):
        store(onward, s, load(beta, s, BEFORE) + load(emitted, s, EMITTED), AFTER)
    for s in range(end, end + EXTRA):
        put(onward, s, LOWEST)
    for s in range(first, first + whole_lanes(end - first)):
        reached = log_sum(
            load(onward, s, BEFORE),
            load(onward, s + 1, BEFORE),
            load(onward, s + 2, BEFORE) + load(skip, s + 2, SKIP),
        )
        store(beta, s, reached, AFTER)


@njit(**OPTIONS)
def log_likelihood(alpha, row, states):
    """Of all paths that end in the last label or in the blank after it; `row` is where the last row begins."""
    last = row + PADS + states - 1
    return log_sum(get(alpha, last), get(alpha, last - 1) if states > 1 else LOWEST, LOWEST)


@njit(**OPTIONS)
def forward_rows(logits, b, batch, classes, normalized, length, labels, skip, states, alpha, z, emitted, row):
    """Alpha of all steps of sequence b, and the normalizer of each step; the log-likelihood of its target."""
    width = states + EXTRA
    begin_alpha(alpha, states)
    for t in range(length):
        at = (t * batch + b) * classes
        put(z, t, log_normalizer(logits, at, classes, normalized, row))
        emissions(logits, at, labels, states, get(z, t), emitted)
        next_alpha(alpha, t, length, states, skip, emitted)
    if length == 0:
        return 0.0 if states == 1 else LOWEST
    return log_likelihood(alpha, length * width, states)


@njit(**OPTIONS)
def subtract_occupancy(alpha, at, beta, whole, first, end, labels, occupied, row):
    """Subtract from the class of each state the probability that a path of the target is in that state."""
    for s in range(first, first + whole_lanes(end - first)):
        store(occupied, s, exp_or_0(load(alpha, at + s, SKIP) + load(beta, s, BEFORE) - whole), AFTER)
    blank = 0.0  # every other state: one sum, rather than a chain through memory
    for s in range(first + first % 2, end, 2):
        blank += get(occupied, s)
    put(row, get(labels, 0), get(row, get(labels, 0)) - blank)
    for s in range(first + 1 - first % 2, end, 2):
        v = get(labels, s)
        put(row, v, get(row, v) - get(occupied, s))


@njit(**OPTIONS)
def write_row(row, weight, out, at, classes):
    for v in range(classes):
        store(out, at + v, out.dtype.type(load(row, v, BEFORE) * weight), AFTER)


@by_threads(depends=(softmax.__file__,))
def loss_and_gradient(
    i, threads, logits, targets, lengths, target_lengths, weights, steps, batch, classes, width, blank, normalized,
    losses, gradient,
):  # fmt: skip
    """Loss of each sequence, infinite where there is no path, and the gradient of their weighted sum."""
    most = 2 * width + 1 + EXTRA
    labels, skip = np.empty(most, np.int64), np.empty(most, np.float64)
    emitted, beta, onward = np.empty(most), np.empty(most), np.empty(most)
    alpha, z, row = np.empty((steps + 1) * most), np.empty(steps), np.empty(classes)
    for b in range(i, batch, threads):
        length, states = lengths[b], fill_states(targets, b * width, target_lengths[b], blank, labels, skip)
        whole = forward_rows(
            logits, b, batch, classes, normalized, length, labels, skip, states, alpha, z, emitted, row
        )  # fmt: skip
        possible = not whole < LOWEST / 10  # true for NaN
        losses[b] = -whole if possible else np.inf
        end_beta(beta, states)
        for t in range(steps - 1, -1, -1):
            at = (t * batch + b) * classes
            if t >= length or not possible:
                clear(gradient, at, classes)
                continue
            if t + 1 < length:
                previous_beta(beta, t, length, states, skip, emitted, onward)
            emissions(logits, at, labels, states, get(z, t), emitted)
            if normalized:
                clear(row, 0, classes)
            else:
                shifted_exp(logits, at, classes, get(z, t), row)
            first, end = first_state(t, length, states), end_state(t, states)
            subtract_occupancy(
                alpha, (t + 1) * (states + EXTRA) + PADS, beta, whole, first, end, labels, onward, row
            )
            write_row(row, weights[b], gradient, at, classes)


@njit(**OPTIONS)
def emission_tangents(logits, moves, at, classes, normalized, z, labels, states, row, out):
    """Tangents of `emissions` in the direction of `moves`; those of all classes stay in `row`."""
    mean = 0.0
    if not normalized:
        for v in range(classes):
            mean += exp_or_0(np.float64(get(logits, at + v)) - z) * np.float64(get(moves, at + v))
    for v in range(classes):
        put(row, v, np.float64(get(moves, at + v)) - mean)
    for s in range(states):
        put(out, s, get(row, get(labels, s)))


@njit(**OPTIONS)
def log_sum_tangent(a, b, c, da, db, dc):
    m = larger(larger(a, b), c)
    p, q, r = exp_or_0(a - m), exp_or_0(b - m), exp_or_0(c - m)
    return (p * da + q * db + r * dc) / (p + q + r)


@by_threads(depends=(softmax.__file__,))
def second_order(
    i, threads, logits, moves, targets, lengths, target_lengths, weights, steps, batch, classes, width, blank,
    normalized, d_losses, d_gradient,
):  # fmt: skip
    """Tangents of the losses and of the gradient of their weighted sum, in the direction of `moves`."""
    most = 2 * width + 1 + EXTRA
    labels, skip = np.empty(most, np.int64), np.empty(most, np.float64)
    emitted, beta, onward = np.empty(most), np.empty(most), np.empty(most)
    d_emitted, d_beta, d_onward = np.empty(most), np.empty(most), np.empty(most)
    alpha, d_alpha = np.empty((steps + 1) * most), np.empty((steps + 1) * most)
    z, row = np.empty(steps), np.empty(classes)
    for b in range(i, batch, threads):
        length, states = lengths[b], fill_states(targets, b * width, target_lengths[b], blank, labels, skip)
        wide = states + EXTRA
        whole = forward_rows(
            logits, b, batch, classes, normalized, length, labels, skip, states, alpha, z, emitted, row
        )  # fmt: skip
        possible = length > 0 and not whole < LOWEST / 10
        for j in range(wide):
            put(d_alpha, j, 0.0)
        for t in range(length if possible else 0):
            at, to = (t * batch + b) * classes, (t + 1) * wide
            emission_tangents(
                logits, moves, at, classes, normalized, get(z, t), labels, states, row, d_emitted
            )  # fmt: skip
            for j in range(PADS):
                put(d_alpha, to + j, 0.0)
            for s in range(states):
                p = t * wide + PADS + s
                moved = log_sum_tangent(
                    get(alpha, p), get(alpha, p - 1), get(alpha, p - 2) + get(skip, s),
                    get(d_alpha, p), get(d_alpha, p - 1), get(d_alpha, p - 2),
                )  # fmt: skip
                put(d_alpha, to + PADS + s, get(d_emitted, s) + moved)
        d_whole = 0.0
        if possible:
            last = length * wide + PADS + states - 1
            before = last - 1 if states > 1 else last
            d_whole = log_sum_tangent(
                get(alpha, last), get(alpha, before), LOWEST, get(d_alpha, last), get(d_alpha, before), 0.0
            )
        d_losses[b] = -d_whole
        end_beta(beta, states)
        for s in range(wide):
            put(d_beta, s, 0.0)
        for t in range(steps - 1, -1, -1):
            at = (t * batch + b) * classes
            if t >= length or not possible:
                clear(d_gradient, at, classes)
                continue
            if t + 1 < length:
                first, end = first_state(t, length, states), smaller(states, end_state(t, states) + 2)
                for s in range(first, end):
                    put(d_onward, s, get(d_beta, s) + get(d_emitted, s))
                for s in range(end, end + PADS):
                    put(d_onward, s, 0.0)
                previous_beta(beta, t, length, states, skip, emitted, onward)
                for s in range(first, end):
                    moved = log_sum_tangent(
                        get(onward, s), get(onward, s + 1), get(onward, s + 2) + get(skip, s + 2),
                        get(d_onward, s), get(d_onward, s + 1), get(d_onward, s + 2),
                    )  # fmt: skip
                    put(d_beta, s, moved)
            emissions(logits, at, labels, states, get(z, t), emitted)
            emission_tangents(
                logits, moves, at, classes, normalized, get(z, t), labels, states, row, d_emitted
            )  # fmt: skip
            for v in range(classes):
                p = 0.0 if normalized else exp_or_0(np.float64(get(logits, at + v)) - get(z, t))
                put(row, v, p * get(row, v))
            for s in range(first_state(t, length, states), end_state(t, states)):
                j, v = (t + 1) * wide + PADS + s, get(labels, s)
                occupied = exp_or_0(get(alpha, j) + get(beta, s) - whole)
                put(row, v, get(row, v) - occupied * (get(d_alpha, j) + get(d_beta, s) - d_whole))
            write_row(row, weights[b], d_gradient, at, classes)
