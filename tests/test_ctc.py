"""CTC: losses against enumeration of alignments, closed forms, faults of other libraries; searches, alignments."""

from __future__ import annotations

from itertools import groupby, pairwise, product
from math import comb, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused, wrong_type

from recurrent_dynamics.nn import ctc_align, ctc_decode, ctc_hvp, ctc_loss


def log_softmax(a):
    shifted = a - a.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def collapsed(path, blank):
    return tuple(c for c, _ in groupby(path) if c != blank)


def likelihoods(log_probs, blank=0):
    """Probability of every label sequence of one sequence (T, V), by enumeration of all paths."""
    steps, classes = log_probs.shape
    found = {}
    for path in product(range(classes), repeat=steps):
        labels = collapsed(path, blank)
        found[labels] = found.get(labels, 0.0) + float(
            np.exp(sum(log_probs[t, c] for t, c in enumerate(path)))
        )
    return found


def random_problem(rng, steps, batch, classes, width, blank, dtype="float64"):
    logits = (3 * rng.standard_normal((steps, batch, classes))).astype(dtype)
    targets = rng.integers(0, classes - 1, (batch, width))
    targets[targets >= blank] += 1
    return logits, targets, rng.integers(0, steps + 1, batch), rng.integers(0, width + 1, batch)


sizes = st.tuples(
    st.integers(1, 5), st.integers(1, 4), st.integers(2, 4), st.integers(0, 3), st.integers(0, 99)
)


@given(sizes, st.sampled_from(["float32", "float64"]))
@settings(max_examples=40)
def test_losses_equal_the_sum_over_all_alignments(size, dtype):
    steps, batch, classes, width, seed = size
    rng = np.random.default_rng(seed)
    blank = int(rng.integers(classes))
    logits, targets, lengths, counts = random_problem(rng, steps, batch, classes, width, blank, dtype)
    losses, gradient = ctc_loss(logits, targets, lengths, counts, blank)
    assert losses.dtype == gradient.dtype == logits.dtype
    exact = log_softmax(logits.astype("float64"))
    for b in range(batch):
        labels = tuple(targets[b, : counts[b]].tolist())
        found = likelihoods(exact[: lengths[b], b], blank).get(labels, 0.0)
        if found:
            np.testing.assert_allclose(losses[b], -log(found), atol=1e-12 if dtype == "float64" else 1e-5)
        else:
            assert losses[b] == np.inf
            assert not gradient[:, b].any()
        assert not gradient[lengths[b] :, b].any()


@given(sizes, st.booleans())
@settings(max_examples=30)
def test_gradients_and_second_derivatives_equal_differences(size, log_probs):
    steps, batch, classes, width, seed = size
    rng = np.random.default_rng(seed)
    blank = int(rng.integers(classes))
    logits, targets, lengths, counts = random_problem(rng, steps, batch, classes, width, blank)
    logits = log_softmax(logits) if log_probs else logits
    direction, weights, h = rng.standard_normal(logits.shape), rng.uniform(0.5, 2, batch), 1e-5

    def at(step):
        return ctc_loss(
            logits + step * direction,
            targets,
            lengths,
            counts,
            blank,
            True,
            log_probs=log_probs,
            weights=weights,
        )

    _, gradient = at(0.0)
    (up, d_up), (down, d_down) = at(h), at(-h)
    np.testing.assert_allclose(np.vdot(gradient, direction), weights @ (up - down) / (2 * h), atol=1e-7)
    d_losses, hvp = ctc_hvp(
        logits, targets, direction, lengths, counts, blank, log_probs=log_probs, weights=weights
    )
    np.testing.assert_allclose(d_losses, (up - down) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(hvp, (d_up - d_down) / (2 * h), atol=1e-7)
    other = rng.standard_normal(logits.shape)
    back = ctc_hvp(logits, targets, other, lengths, counts, blank, log_probs=log_probs, weights=weights)[1]
    np.testing.assert_allclose(
        np.vdot(other, hvp), np.vdot(direction, back), atol=1e-9
    )  # the Hessian is symmetric


def test_second_derivatives_do_not_read_what_was_left_in_memory(rng):
    logits, targets, _, _ = random_problem(rng, 12, 3, 4, 5, 0)
    found = []
    for filling in (0.0, np.nan, 1e300):
        freed = [np.full(n, filling) for n in range(1, 400)]  # the next arrays of these sizes lie there
        del freed
        found.append(ctc_hvp(logits, targets, logits, [12, 7, 10], [5, 2, 4])[1])
    assert np.isfinite(found[0]).all()
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@pytest.mark.parametrize(
    ("steps", "labels"), [(8, [1, 2, 3]), (9, [1, 1, 2]), (6, [2, 2, 2]), (40, [1, 3, 3, 2])]
)
def test_closed_form_of_uniform_logits(steps, labels):
    classes, width, repeats = 4, len(labels), sum(a == b for a, b in pairwise(labels))
    losses, _ = ctc_loss(np.zeros((steps, 1, classes)), [labels])
    expected = steps * log(classes) - log(comb(steps + width - repeats, 2 * width))
    np.testing.assert_allclose(losses, [expected], atol=1e-12)
    fewest = width + repeats
    assert np.isfinite(ctc_loss(np.zeros((fewest, 1, classes)), [labels])[0][0])
    assert np.isinf(ctc_loss(np.zeros((fewest - 1, 1, classes)), [labels])[0][0])


def test_numbers_of_graves():
    """TensorFlow's test, of the reference implementation: blank 5 of six classes."""
    first = [
        [0.633766, 0.221185, 0.0917319, 0.0129757, 0.0142857, 0.0260553],
        [0.111121, 0.588392, 0.278779, 0.0055756, 0.00569609, 0.010436],
        [0.0357786, 0.633813, 0.321418, 0.00249248, 0.00272882, 0.0037688],
        [0.0663296, 0.643849, 0.280111, 0.00283995, 0.0035545, 0.00331533],
        [0.458235, 0.396634, 0.123377, 0.00648837, 0.00903441, 0.00623107],
    ]
    second = [
        [0.30176, 0.28562, 0.0831517, 0.0862751, 0.0816851, 0.161508],
        [0.24082, 0.397533, 0.0557226, 0.0546814, 0.0557528, 0.19549],
        [0.230246, 0.450868, 0.0389607, 0.038309, 0.0391602, 0.202456],
        [0.280884, 0.429522, 0.0326593, 0.0339046, 0.0326856, 0.190345],
        [0.423286, 0.315517, 0.0338439, 0.0393744, 0.0339315, 0.154046],
    ]
    logits = np.log(np.stack([first, second], axis=1))
    losses, gradient = ctc_loss(logits, [[0, 1, 2, 1, 0], [0, 1, 1, 0, 0]], target_lengths=[5, 4], blank=5)
    np.testing.assert_allclose(losses, [3.34211, 5.42262], atol=2e-5)
    np.testing.assert_allclose(gradient[0, 0, :2], [-0.366234, 0.221185], atol=2e-6)
    np.testing.assert_allclose(
        gradient[0, 1], [-0.69824, 0.28562, 0.0831517, 0.0862751, 0.0816851, 0.161508], atol=2e-6
    )


def test_gradients_by_logits_and_by_log_probabilities_are_two_things(rng):
    logits, targets, lengths, counts = random_problem(rng, 7, 3, 5, 2, 0)
    lengths[:] = 7
    by_logits = ctc_loss(logits, targets, lengths, counts)[1]
    by_log_probs = ctc_loss(log_softmax(logits), targets, lengths, counts, log_probs=True)[1]
    np.testing.assert_allclose(by_logits, np.exp(log_softmax(logits)) + by_log_probs, atol=1e-14)
    np.testing.assert_allclose(by_log_probs.sum(axis=2), -1, atol=1e-13)
    for b in range(3):
        off = np.setdiff1d(np.arange(5), [0, *targets[b, : counts[b]]])
        assert not by_log_probs[:, b, off].any()


def test_empty_targets_alone_and_in_a_batch(rng):
    logits = rng.standard_normal((6, 2, 3))
    blanks = -log_softmax(logits)[..., 0].sum(axis=0)
    np.testing.assert_allclose(ctc_loss(logits[:, :1], [[]])[0], blanks[:1], rtol=1e-14)
    mixed = ctc_loss(logits, [[1, 2], [2, 1]], target_lengths=[0, 2])[0]
    np.testing.assert_allclose(mixed[0], blanks[0], rtol=1e-14)
    np.testing.assert_array_equal(mixed[1:], ctc_loss(logits[:, 1:], [[2, 1]])[0])


def test_not_a_number_is_located_within_the_lengths(rng):
    logits, targets, _, _ = random_problem(rng, 8, 3, 4, 2, 0)
    clean, d_clean = ctc_loss(logits, targets, [8, 5, 8])
    logits[5:, 1] = np.nan  # padding
    logits[3, 0, 2] = np.nan
    with refused("logits", "finite", "nan at index (3, 0, 2)"):
        ctc_loss(logits, targets, [8, 5, 8])
    with refused("logits", "finite", "nan at index (3, 0, 2)"):
        ctc_hvp(logits, targets, np.ones_like(logits), [8, 5, 8])
    with refused("direction", "finite", "index (3, 0, 2)"):
        ctc_hvp(np.zeros_like(logits), targets, logits, [8, 5, 8])
    losses, gradient = ctc_loss(logits[:, 1:], targets[1:], [5, 8])
    np.testing.assert_array_equal(losses, clean[1:])
    np.testing.assert_array_equal(gradient, d_clean[:, 1:])
    assert not gradient[5:, 0].any()


def test_logits_that_are_not_finite_are_located_in_classes_that_no_target_has():
    logits = np.log(np.full((4, 2, 3), 1 / 3))
    for value in (np.nan, np.inf):
        logits[2, 1, 2] = value
        for log_probs in (False, True):
            with refused("logits", "finite", f"{value} at index (2, 1, 2)"):
                ctc_loss(logits, [[1], [1]], log_probs=log_probs)
    logits[2] = -np.inf
    assert np.isinf(ctc_loss(logits, [[1], [1]], log_probs=True)[0]).all()
    with refused("logits", "one of a row at least finite", "-inf at index (2, 0, 0)"):
        ctc_loss(logits, [[1], [1]])


def test_what_has_no_alignment_and_what_hardly_has_one(rng):
    logits, targets = np.zeros((3, 2, 4)), [[1, 2, 3], [1, 1, 2]]
    losses, gradient = ctc_loss(logits, targets, zero_infinity=True)
    assert losses[1] == 0
    assert not gradient[:, 1].any()
    assert gradient[:, 0].any()
    for extreme in (-1e30, -np.inf):
        logits = np.zeros((5, 1, 3))
        logits[2, 0, 1:] = extreme
        losses, gradient = ctc_loss(logits, [[1, 2]])
        assert np.isfinite(losses).all()
        assert np.isfinite(gradient).all()
    logits[:, 0, 1] = -1e30
    losses, gradient = ctc_loss(logits.astype("float32"), [[1, 2]])
    np.testing.assert_allclose(losses, 1e30, rtol=1e-6)
    assert np.isfinite(gradient).all()
    logits[:, 0, 1] = -np.inf
    assert np.isinf(ctc_loss(logits, [[1, 2]])[0]).all()


def test_no_steps_and_one_class():
    losses, gradient = ctc_loss(np.zeros((0, 2, 3)), [[1], [1]], target_lengths=[0, 1])
    np.testing.assert_array_equal(losses, [0, np.inf])
    assert gradient.shape == (0, 2, 3)
    losses, _ = ctc_loss(np.zeros((4, 1, 3)), [[1]], lengths=[0], target_lengths=[0])
    np.testing.assert_array_equal(losses, 0)
    assert ctc_loss(np.zeros((4, 1, 1)), np.zeros((1, 0), int))[0] == 0


def test_any_blank_and_any_order_of_the_classes(rng):
    logits, targets, lengths, counts = random_problem(rng, 9, 4, 6, 3, 2)
    losses, gradient = ctc_loss(logits, targets, lengths, counts, 2, True)
    order = rng.permutation(6)
    place = np.argsort(order)
    moved, d_moved = ctc_loss(logits[..., order], place[targets], lengths, counts, int(place[2]), True)
    np.testing.assert_allclose(moved, losses, rtol=1e-13)
    np.testing.assert_allclose(d_moved, gradient[..., order], atol=1e-14)


def test_a_batch_equals_its_members_for_any_threads(rng, set_threads):
    logits, targets, lengths, counts = random_problem(rng, 60, 9, 30, 12, 0, "float32")
    set_threads(1)
    losses, gradient = ctc_loss(logits, targets, lengths, counts)
    set_threads(2)
    for found, wanted in zip(ctc_loss(logits, targets, lengths, counts), (losses, gradient), strict=True):
        np.testing.assert_array_equal(found, wanted)
    for b in range(9):
        one, d_one = ctc_loss(logits[:, [b]], targets[[b]], lengths[[b]], counts[[b]])
        np.testing.assert_array_equal(one, losses[[b]])
        np.testing.assert_array_equal(d_one, gradient[:, [b]])


def test_long_sequences_in_single_precision(rng):
    logits, targets, _, _ = random_problem(rng, 1500, 2, 8, 100, 0)
    exact, d_exact = ctc_loss(logits, targets)
    losses, gradient = ctc_loss(logits.astype("float32"), targets)
    np.testing.assert_allclose(losses, exact, rtol=1e-6)
    np.testing.assert_allclose(gradient, d_exact, atol=1e-5)


def test_the_loss_of_pytorch(rng):
    torch = pytest.importorskip("torch")
    for _ in range(30):
        steps, batch, classes, width = rng.integers([1, 1, 2, 0], [40, 6, 12, 12])
        blank = int(rng.integers(classes))
        logits, targets, lengths, counts = random_problem(rng, steps, batch, classes, width, blank)
        x = torch.tensor(logits, requires_grad=True)
        losses = torch.nn.functional.ctc_loss(
            x.log_softmax(2), *map(torch.tensor, (targets, np.maximum(lengths, 1), counts)), blank=blank,
            reduction="none", zero_infinity=True,
        )  # fmt: skip
        losses.sum().backward()
        found, gradient = ctc_loss(logits, targets, np.maximum(lengths, 1), counts, blank, True)
        np.testing.assert_allclose(found, losses.detach().numpy(), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(gradient, x.grad.numpy(), atol=1e-10)


@given(sizes)
@settings(max_examples=30)
def test_a_wide_beam_finds_all_labellings(size):
    steps, batch, classes, _, seed = size
    rng = np.random.default_rng(seed)
    blank = int(rng.integers(classes))
    logits, lengths = 2 * rng.standard_normal((steps, batch, classes)), rng.integers(0, steps + 1, batch)
    found = ctc_decode(logits, lengths, width=2000, n_best=2000, blank=blank)
    for b, labellings in enumerate(found):
        exact = likelihoods(log_softmax(logits)[: lengths[b], b], blank)
        assert {tuple(f.labels.tolist()): None for f in labellings}.keys() == exact.keys()
        assert len(labellings) == len(exact)
        for f in labellings:
            np.testing.assert_allclose(np.exp(f.log_prob), exact[tuple(f.labels.tolist())], rtol=1e-11)
        assert sorted((f.log_prob for f in labellings), reverse=True) == [f.log_prob for f in labellings]
        for f in labellings:  # and the loss says the same
            np.testing.assert_allclose(
                ctc_loss(logits[:, [b]], [f.labels.tolist()], lengths[[b]], blank=blank)[0],
                -f.log_prob,
                atol=1e-10,
            )


@pytest.mark.parametrize("width", [2, 3, 7])
def test_a_narrow_beam_gives_distinct_labellings_of_lower_bounds(width, rng):
    logits = 2 * rng.standard_normal((30, 5, 6))
    for b, labellings in enumerate(ctc_decode(logits, width=width, n_best=width)):
        assert len({tuple(f.labels.tolist()) for f in labellings}) == len(labellings)
        assert sum(np.exp(f.log_prob) for f in labellings) <= 1
        for f in labellings:
            assert -f.log_prob >= ctc_loss(logits[:, [b]], [f.labels.tolist()])[0][0] - 1e-9


def test_a_prefix_that_comes_back_to_the_beam_is_not_another_one(rng):
    """Prefixes leave a narrow beam and come back while longer ones stay in it."""
    for seed in range(60):
        logits = 3 * np.random.default_rng(seed).standard_normal((12, 1, 3))
        [found] = ctc_decode(logits, width=3, n_best=3)
        assert len({tuple(f.labels.tolist()) for f in found}) == len(found)


def test_repeats_and_blanks():
    def path(*classes):
        logits = np.full((len(classes), 1, 3), -30.0)
        logits[np.arange(len(classes)), 0, classes] = 0.0
        return logits

    for width in (1, 5):
        [best] = ctc_decode(path(1, 1, 0, 1, 1), width=width)[0]
        np.testing.assert_array_equal(best.labels, [1, 1])
        [best] = ctc_decode(path(1, 1, 2, 0, 0, 2), width=width)[0]
        np.testing.assert_array_equal(best.labels, [1, 2, 2])


def test_no_prefix_of_probability_zero():
    logits = np.full((3, 1, 3), -np.inf)
    logits[:, 0, :2] = 0.0
    found = ctc_decode(logits, width=50, n_best=50)[0]
    assert {tuple(f.labels.tolist()) for f in found} == {(), (1,), (1, 1)}


def test_alignments_read_as_their_targets(rng):
    logits, targets, _, _ = random_problem(rng, 20, 4, 5, 6, 2)
    found = ctc_align(logits, targets, [20, 15, 20, 13], [6, 4, 0, 6], 2)
    log_probs = log_softmax(logits)
    for b, (length, count) in enumerate(zip([20, 15, 20, 13], [6, 4, 0, 6], strict=True)):
        path = found.path[:length, b]
        assert collapsed(path.tolist(), 2) == tuple(targets[b, :count].tolist())
        np.testing.assert_allclose(
            found.log_probs[b], log_probs[np.arange(length), b, path].sum(), rtol=1e-12
        )
        named = found.positions[:length, b] >= 0
        np.testing.assert_array_equal(targets[b, found.positions[:length, b][named]], path[named])
        assert (found.path[length:, b] == -1).all()
        assert (found.positions[length:, b] == -1).all()


def test_the_best_alignment_is_the_best_of_all(rng):
    logits = 2 * rng.standard_normal((6, 1, 3))
    log_probs = log_softmax(logits)[:, 0]
    best = max(
        sum(log_probs[t, c] for t, c in enumerate(path))
        for path in product(range(3), repeat=6)
        if collapsed(path, 0) == (1, 2, 2)
    )
    np.testing.assert_allclose(ctc_align(logits, [[1, 2, 2]]).log_probs, [best], rtol=1e-12)


def test_refused_arguments(rng):
    logits, targets = rng.standard_normal((6, 2, 4)), np.array([[1, 2], [3, 1]])
    with refused("logits", came="(6, 2)"):
        ctc_loss(logits[..., 0], targets)
    with refused(wrong_type("logits", came="int64")):
        ctc_loss(logits.astype(int), targets)
    with refused("targets", came="(3, 2)"):
        ctc_loss(logits, [[1, 2]] * 3)
    with refused(wrong_type("targets", came="float64")):
        ctc_loss(logits, targets + 0.5)
    with refused("targets", "blank"):
        ctc_loss(logits, [[1, 0], [3, 1]])
    with refused("targets", "0..3"):
        ctc_loss(logits, [[1, 4], [3, 1]])
    with refused("lengths", came="-1"):
        ctc_loss(logits, targets, [6, -1])
    with refused("lengths", "0..6"):
        ctc_loss(logits, targets, [6, 7])
    with refused("target_lengths", "0..2"):
        ctc_loss(logits, targets, target_lengths=[2, 3])
    with refused("blank", came="4"):
        ctc_loss(logits, targets, blank=4)
    with refused("weights", came="nan"):
        ctc_loss(logits, targets, weights=[1, np.nan])
    with refused("direction", came="(6, 2, 3)"):
        ctc_hvp(logits, targets, logits[..., :3])
    with refused("n_best", came="3"):
        ctc_decode(logits, width=2, n_best=3)
    with refused("logits", came="sum"):
        ctc_decode(logits, width=2, log_probs=True)
    logits[2, 1, 0] = np.nan
    with refused("logits", came="nan at index (2, 1, 0)"):
        ctc_decode(logits, width=2)
    assert len(ctc_decode(logits, [6, 2], width=2)) == 2
    with refused("lengths", "at least 3"):
        ctc_align(logits, [[1, 1], [2, 3]], [2, 2])
