# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""Compiled searches over alignments of CTC: the best path of a target, and the best prefixes.

A prefix is a node of a tree that holds its last label and its parent. A node is never made twice: a prefix that left
the beam and comes back is found among the children of its parent, so that no two nodes are the same prefix. Of each
prefix in the beam there are two log-probabilities: of all alignments so far that end in a blank, and of those that end
in its last label.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..kernels.access import OPTIONS, get, put
from ..kernels.parallel import by_threads
from . import ctc_kernels, softmax
from .ctc_kernels import (
    EXTRA,
    LOWEST,
    PADS,
    begin_alpha,
    clamped,
    emissions,
    fill_states,
    larger,
    log_normalizer,
    log_sum,
)

NONE = -1
ZERO_PROBABILITY = LOWEST / 10  # what lies below has a factor of probability 0


@njit(**OPTIONS)
def _best_before(alpha, at, skip, s):
    """The place before state s on its best path: 0, 1 or 2 states back; the fewest of equal ones."""
    stay, one, two = get(alpha, at), get(alpha, at - 1), get(alpha, at - 2) + get(skip, s)
    if stay >= one and stay >= two:
        return 0
    return 1 if one >= two else 2


@by_threads(depends=(ctc_kernels.__file__, softmax.__file__))
def best_paths(
    i, threads, logits, targets, lengths, target_lengths, steps, batch, classes, width, blank, normalized,
    path, positions, scores,
):  # fmt: skip
    """Class and position in the target at each step of the most likely alignment; -1 where there is none."""
    most = 2 * width + 1 + EXTRA
    labels, skip, emitted = np.empty(most, np.int64), np.empty(most), np.empty(most)
    alpha, row = np.empty((steps + 1) * most), np.empty(classes)
    for b in range(i, batch, threads):
        length, states = lengths[b], fill_states(targets, b * width, target_lengths[b], blank, labels, skip)
        wide = states + EXTRA
        begin_alpha(alpha, states)
        for t in range(length):
            at = (t * batch + b) * classes
            z = log_normalizer(logits, at, classes, normalized, row)
            emissions(logits, at, labels, states, z, emitted)
            for j in range(PADS):
                put(alpha, (t + 1) * wide + j, LOWEST)
            for s in range(states):
                p = t * wide + PADS + s
                best = get(alpha, p - 2) + get(skip, s)
                best = larger(larger(get(alpha, p), get(alpha, p - 1)), best)
                put(alpha, (t + 1) * wide + PADS + s, get(emitted, s) + best)
        s, scores[b] = states - 1, 0.0
        if length > 0:
            last = length * wide + PADS + states - 1
            if states > 1 and get(alpha, last - 1) > get(alpha, last):
                s -= 1
            scores[b] = get(alpha, length * wide + PADS + s)
        elif states > 1:
            scores[b] = LOWEST
        possible = scores[b] > ZERO_PROBABILITY
        for t in range(steps - 1, -1, -1):
            if t >= length or not possible:
                path[t * batch + b] = positions[t * batch + b] = NONE
            else:
                path[t * batch + b] = labels[s]
                positions[t * batch + b] = s // 2 if s % 2 else NONE
                s -= _best_before(alpha, t * wide + PADS + s, skip, s)


@njit(**OPTIONS)
def _insert(scores, sources, count, width, score, source):
    """Put a candidate into a list that falls, of at most `width`; the new length. Of equal ones the first stay."""
    if count == width:
        if not score > scores[width - 1]:
            return count
        count -= 1
    j = count
    while j > 0 and scores[j - 1] < score:
        scores[j], sources[j] = scores[j - 1], sources[j - 1]
        j -= 1
    scores[j], sources[j] = score, source
    return count + 1


@njit(**OPTIONS)
def _child(node, label, parents, last, first_child, sibling, count):
    """(the node of a prefix with one more label, the number of nodes)."""
    child = first_child[node]
    while child != NONE and last[child] != label:
        child = sibling[child]
    if child != NONE:
        return child, count
    parents[count], last[count] = node, label
    sibling[count], first_child[count] = first_child[node], NONE
    first_child[node] = count
    return count, count + 1


@by_threads(depends=(ctc_kernels.__file__, softmax.__file__))
def best_prefixes(
    i, threads, logits, lengths, steps, batch, classes, blank, normalized, width, found, labels, label_counts, scores
):  # fmt: skip
    """The `found` best of at most `width` prefixes of each sequence, the best first; `label_counts` -1 for none."""
    most = steps * width + 1
    parents, last = np.empty(most, np.int64), np.empty(most, np.int64)
    first_child, sibling = np.empty(most, np.int64), np.empty(most, np.int64)
    place, row = np.full(most, NONE), np.empty(classes)  # place: of a node in the beam
    merged = np.zeros(
        width * classes, np.int64
    )  # the step at which an extension was counted with its own prefix
    node, blanks, others = np.empty(width, np.int64), np.empty(width), np.empty(width)
    new_node, new_blanks, new_others = np.empty(width, np.int64), np.empty(width), np.empty(width)
    stay_blanks, stay_others = np.empty(width), np.empty(width)
    ranked, sources = np.empty(width), np.empty(width, np.int64)
    for b in range(i, batch, threads):
        parents[0] = last[0] = first_child[0] = sibling[0] = NONE
        nodes, beam = 1, 1
        node[0], blanks[0], others[0] = 0, 0.0, LOWEST
        merged[:] = 0
        for t in range(lengths[b]):
            at = (t * batch + b) * classes
            z = log_normalizer(logits, at, classes, normalized, row)
            for v in range(classes):
                put(row, v, clamped(np.float64(get(logits, at + v)) - z))
            for k in range(beam):
                place[node[k]] = k
            for k in range(beam):
                stay_blanks[k] = log_sum(blanks[k], others[k], LOWEST) + row[blank]
                stay_others[k] = LOWEST
                if node[k] != 0:
                    label, above = last[node[k]], place[parents[node[k]]]
                    stay_others[k] = others[k] + row[label]
                    if above != NONE:
                        reached = blanks[above]
                        if last[node[above]] != label:
                            reached = log_sum(blanks[above], others[above], LOWEST)
                        stay_others[k] = log_sum(stay_others[k], reached + row[label], LOWEST)
                        merged[above * classes + label] = t + 1
            count = 0
            for k in range(beam):
                score = log_sum(stay_blanks[k], stay_others[k], LOWEST)
                if score > ZERO_PROBABILITY:
                    count = _insert(ranked, sources, count, width, score, -1 - k)
            for k in range(beam):
                whole = log_sum(blanks[k], others[k], LOWEST)
                for v in range(classes):
                    if v != blank and merged[k * classes + v] != t + 1:
                        score = row[v] + (blanks[k] if v == last[node[k]] else whole)
                        if score > ZERO_PROBABILITY and (count < width or score > ranked[width - 1]):
                            count = _insert(ranked, sources, count, width, score, k * classes + v)
            for k in range(beam):
                place[node[k]] = NONE
            for j in range(count):
                if sources[j] < 0:
                    k = -1 - sources[j]
                    new_node[j], new_blanks[j], new_others[j] = node[k], stay_blanks[k], stay_others[k]
                else:
                    k, v = sources[j] // classes, sources[j] % classes
                    new_node[j], nodes = _child(node[k], v, parents, last, first_child, sibling, nodes)
                    new_blanks[j], new_others[j] = LOWEST, ranked[j]
            beam = count
            for j in range(beam):
                node[j], blanks[j], others[j] = new_node[j], new_blanks[j], new_others[j]
        for j in range(found):
            out = b * found + j
            label_counts[out] = NONE
            if j < beam:
                scores[out] = log_sum(blanks[j], others[j], LOWEST)
                depth, at_node = 0, node[j]
                while at_node != 0:
                    depth, at_node = depth + 1, parents[at_node]
                label_counts[out], at_node = depth, node[j]
                for d in range(depth - 1, -1, -1):
                    labels[out * steps + d], at_node = last[at_node], parents[at_node]
