"""Connectionist temporal classification: a loss for labels that are not aligned with the steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, boolean, integer
from ..engine import check
from ..engine.run import within_lengths


class CtcProblem(NamedTuple):
    """Checked arguments: contiguous logits (T, B, V), targets (B, U) of which unused entries are 0, lengths (B,)."""

    logits: NDArray[Any]
    targets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    target_lengths: NDArray[np.int64]
    blank: int


def ctc_loss(
    logits: NDArray[Any],
    targets: ArrayLike,
    lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None,
    blank: int = 0,
    zero_infinity: bool = False,
    *,
    log_probs: bool = False,
    weights: ArrayLike | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Negative log-likelihood of label sequences, summed over all of their alignments, and its gradient.

    An alignment names a class or the blank at each step. Its labels are what is left when repeats are merged and then
    blanks are left out, so that ``A A - A`` reads ``A A``. The sum over all alignments is computed by the
    forward-backward recursion in the log domain, in double precision.

    Parameters
    ----------
    logits : ndarray (T, B, V)
        Unnormalized log-probabilities of the classes, the blank among them, float32 or float64. Beyond the length of a
        sequence they are not read.
    targets : array_like of int (B, U)
        Class indices in 0..V-1 without the blank. Beyond its length a target is not read.
    lengths : array_like of int (B,), optional
        Steps of each sequence, T by default.
    target_lengths : array_like of int (B,), optional
        Labels of each target, U by default; 0 is an empty target.
    blank : int
        Index of the blank.
    zero_infinity : bool
        Whether the loss of a sequence without any alignment is 0 instead of infinite.
    log_probs : bool
        Whether `logits` are log-probabilities. The gradient is then the one by log-probabilities, which is 0 for every
        class that is not in the target.
    weights : array_like (B,), optional
        Derivatives of a later loss by the losses: factors of the gradient of each sequence.

    Returns
    -------
    losses : ndarray (B,)
        In nats, in the dtype of the logits. Infinite where the steps are fewer than the labels and the blanks that
        repeats need.
    d_logits : ndarray (T, B, V)
        Derivative of the (weighted) sum of the losses: 0 beyond the length, and for sequences without any alignment.

    Raises
    ------
    TypeError, ValueError
        Naming the argument: shapes that do not agree, labels out of range or equal to the blank, lengths below 0 or
        beyond the array, logits that are NaN or plus infinity within the lengths (with the first index).

    References
    ----------
    .. [1] Graves, Fernandez, Gomez, Schmidhuber, "Connectionist Temporal Classification: Labelling
       Unsegmented Sequence Data with Recurrent Neural Networks", ICML 2006.

    Examples
    --------
    With equal probabilities each path has probability V^-T. Of 3^4 paths 15 read "1 2" (choose 4 of T + U):

    >>> losses, d_logits = ctc_loss(np.zeros((4, 1, 3)), [[1, 2]])
    >>> round(float(np.exp(-losses[0]) * 3**4), 9)
    15.0
    >>> d_logits.shape
    (4, 1, 3)
    """
    problem = checked(logits, targets, lengths, target_lengths, blank)
    given = _weights(weights, len(problem.targets))
    from .ctc_kernels import loss_and_gradient

    log_probs, zero_infinity = boolean("log_probs", log_probs), boolean("zero_infinity", zero_infinity)
    losses, gradient = np.empty(len(problem.targets)), np.empty(problem.logits.shape, problem.logits.dtype)
    _launch(loss_and_gradient, problem, (), given, log_probs, losses, gradient)
    _refuse_not_finite(problem, losses, log_probs)
    if zero_infinity:
        losses[np.isinf(losses)] = 0
    return losses.astype(problem.logits.dtype), gradient


def ctc_hvp(
    logits: NDArray[Any],
    targets: ArrayLike,
    direction: NDArray[Any],
    lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None,
    blank: int = 0,
    *,
    log_probs: bool = False,
    weights: ArrayLike | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Derivatives of `ctc_loss` in a direction: of the losses, and of their gradient (a Hessian-vector product).

    Parameters
    ----------
    logits, targets, lengths, target_lengths, blank, log_probs, weights
        As for `ctc_loss`.
    direction : ndarray (T, B, V)
        Tangent of the logits, in their dtype. Beyond the length of a sequence it is not read.

    Returns
    -------
    d_losses : ndarray (B,)
        0 for sequences without any alignment.
    hvp : ndarray (T, B, V)
        Derivative of ``ctc_loss(...)[1]`` in the direction.

    Raises
    ------
    TypeError, ValueError
        As for `ctc_loss`; `direction` must have the shape and dtype of the logits.

    Examples
    --------
    The gradient by logits sums to zero at every step, so no shift of the logits changes it:

    >>> logits = np.random.default_rng(0).standard_normal((5, 1, 3))
    >>> d_losses, hvp = ctc_hvp(logits, [[1, 2]], np.ones_like(logits))
    >>> bool(np.abs(hvp).max() < 1e-12 and np.abs(d_losses).max() < 1e-12)
    True
    """
    problem = checked(logits, targets, lengths, target_lengths, blank)
    given = _weights(weights, len(problem.targets))
    direction = check.array("direction", direction)
    if direction.shape != problem.logits.shape or direction.dtype != problem.logits.dtype:
        raise ArgumentError(
            "direction",
            f"be {problem.logits.dtype} of shape {problem.logits.shape}, as the logits",
            f"{direction.dtype} {direction.shape}",
        )
    from .ctc_kernels import second_order

    moves, log_probs = np.ascontiguousarray(direction).reshape(-1), boolean("log_probs", log_probs)
    losses, gradient = np.empty(len(problem.targets)), np.empty(problem.logits.shape, problem.logits.dtype)
    _launch(second_order, problem, (moves,), given, log_probs, losses, gradient)
    _refuse_not_finite(problem, losses, log_probs)
    if not np.isfinite(losses).all():
        check.floating(
            "direction", direction, within=within_lengths(len(direction), problem.lengths)[..., None]
        )
    return losses.astype(problem.logits.dtype), gradient


def checked(
    logits: NDArray[Any],
    targets: ArrayLike,
    lengths: ArrayLike | None,
    target_lengths: ArrayLike | None,
    blank: int,
) -> CtcProblem:
    """Arguments of a loss or an alignment, looked at once."""
    logits, blank = checked_logits(logits, blank)
    steps, batch, classes = logits.shape
    given = check.array("targets", targets)
    if given.size == 0 and given.dtype.kind == "f":
        given = given.astype(np.int64)  # an empty list
    if given.dtype.kind not in "iu":
        raise ArgumentTypeError("targets", "be class indices (integers)", given.dtype)
    if given.ndim != 2 or len(given) != batch:
        raise ArgumentError("targets", f"have shape (B, U) with B = {batch}, as the logits", given.shape)
    ends = checked_lengths("lengths", lengths, batch, steps)
    counts = checked_lengths("target_lengths", target_lengths, batch, given.shape[1])
    used = np.arange(given.shape[1]) < counts[:, None]
    for wrong, expected in (
        ((given < 0) | (given >= classes), f"be class indices in 0..{classes - 1}"),
        (given == blank, f"not hold the blank, which is class {blank}"),
    ):
        where = np.argwhere(wrong & used)
        if len(where):
            b, u = map(int, where[0])
            raise ArgumentError("targets", expected, f"{given[b, u]} at index {(b, u)}")
    return CtcProblem(logits, np.where(used, given, 0).astype(np.int64), ends, counts, blank)


def checked_logits(logits: NDArray[Any], blank: int) -> tuple[NDArray[Any], int]:
    """(contiguous logits, the index of the blank)."""
    logits = check.array("logits", logits)
    if logits.dtype not in (np.float32, np.float64):
        raise ArgumentTypeError("logits", "be float32 or float64", logits.dtype)
    if logits.ndim != 3 or 0 in logits.shape[1:]:
        raise ArgumentError(
            "logits", "have shape (T, B, V) with at least one sequence and class", logits.shape
        )
    return np.ascontiguousarray(logits), integer("blank", blank, at_least=0, at_most=logits.shape[2] - 1)


def checked_lengths(name: str, lengths: ArrayLike | None, batch: int, most: int) -> NDArray[np.int64]:
    """(B,) integers in 0..most; all of them `most` by default."""
    if lengths is None:
        return np.full(batch, most, np.int64)
    given = check.array(name, lengths)
    if given.dtype.kind not in "iu":
        raise ArgumentTypeError(name, "be integers", given.dtype)
    if given.shape != (batch,):
        raise ArgumentError(name, f"have shape {(batch,)}, one for each sequence", given.shape)
    wrong = np.flatnonzero((given < 0) | (given > most))
    if len(wrong):
        raise ArgumentError(name, f"lie in 0..{most}", f"{given[wrong[0]]} at index {int(wrong[0])}")
    return given.astype(np.int64)


def refuse_rows(logits: NDArray[Any], lengths: NDArray[np.int64], empty: bool = False) -> None:
    """Locate NaN or plus infinity within the lengths, and without `empty` a row of minus infinity alone."""
    within = within_lengths(len(logits), lengths)
    largest = np.where(within, logits.max(axis=2), 0)  # NaN is the largest
    bad = np.argwhere(~np.isfinite(largest) & ~(empty & (largest == -np.inf)))
    if len(bad):
        t, b = map(int, bad[0])
        raise ArgumentError(
            "logits",
            "be finite or minus infinity, one of a row at least finite",
            f"{largest[t, b]} at index {(t, b, int(logits[t, b].argmax()))}",
        )


def _refuse_not_finite(problem: CtcProblem, losses: NDArray[np.float64], log_probs: bool) -> None:
    """Logits show themselves in the losses; of log-probabilities a class that is not in the target is not read."""
    if log_probs or np.isnan(losses).any():
        refuse_rows(problem.logits, problem.lengths, empty=log_probs)


def _weights(weights: ArrayLike | None, batch: int) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(batch)
    given = check.array("weights", weights)
    if given.dtype.kind not in "biuf":
        raise ArgumentTypeError("weights", "be real numbers", given.dtype)
    if given.shape != (batch,):
        raise ArgumentError("weights", f"have shape {(batch,)}, one for each sequence", given.shape)
    if not np.isfinite(given).all():
        first = int(np.flatnonzero(~np.isfinite(given))[0])
        raise ArgumentError("weights", "be finite", f"{given[first]} at index {first}")
    return given.astype(np.float64)


def _launch(kernel: Any, problem: CtcProblem, moves: tuple[Any, ...], weights: Any, *rest: Any) -> None:
    from ..kernels.threads import POOL, launch, threads_for
    from .ctc_kernels import CLASS_OPERATIONS, STATE_OPERATIONS

    steps, batch, classes = problem.logits.shape
    width = problem.targets.shape[1]
    log_probs, losses, gradient = rest
    operations = steps * (classes * CLASS_OPERATIONS + (2 * width + 1) * STATE_OPERATIONS)
    with POOL, np.errstate(all="ignore"):  # for interpreted code
        launch(
            threads_for(batch, operations), kernel, problem.logits.reshape(-1), *moves, problem.targets.reshape(-1),
            problem.lengths, problem.target_lengths, weights, steps, batch, classes, width, problem.blank, log_probs,
            losses, gradient.reshape(-1),
        )  # fmt: skip
