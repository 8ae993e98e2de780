"""Stop when the validation loss no longer falls."""

from __future__ import annotations

from dataclasses import dataclass

from ..checks import integer, number


@dataclass(frozen=True)
class EarlyStopping:
    """Say stop after a number of validations without improvement.

    Parameters
    ----------
    patience : int
        Validations in a row that may fail to improve on the best.
    min_delta : float
        What counts as an improvement.

    Examples
    --------
    >>> rule = EarlyStopping(patience=2)
    >>> [rule.should_stop(losses) for losses in ([3.0], [3.0, 2.0, 2.5], [3.0, 2.0, 2.5, 2.1])]
    [False, False, True]
    """

    patience: int = 5
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        integer("patience", self.patience, at_least=1)
        number("min_delta", self.min_delta, at_least=0)

    def should_stop(self, losses: list[float]) -> bool:
        """Whether the last `patience` of the validation losses so far brought no improvement."""
        best, since = float("inf"), 0
        for loss in losses:
            since = 0 if loss < best - self.min_delta else since + 1
            best = min(best, loss)
        return since >= self.patience
