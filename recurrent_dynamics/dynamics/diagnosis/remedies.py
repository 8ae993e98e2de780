"""What helps against which trouble, most telling first."""

from __future__ import annotations

ORTHOGONAL = "draw an orthogonal recurrent matrix: cell.init(..., recurrent='orthogonal')"
CLIP = "clip the gradient: fit(..., clip_norm=1.0)"
FLOSSING = "push the leading Lyapunov exponents to 0 before training: dynamics.flossing; or dynamics.omega"
NORMALIZE = "normalize the drives: cell.with_normalization()"

CURES: dict[tuple[str, str | None], tuple[str, ...]] = {
    ("vanishing", "gates"): (
        "open the gate that keeps the state: cells.with_bias(cell, params, f=1.0), or cells.chrono for the longest "
        "dependency",
        ORTHOGONAL,
        FLOSSING,
        NORMALIZE,
    ),
    ("vanishing", "matrix"): (
        ORTHOGONAL,
        "give the state a path of its own: a gated cell (lstm, gru), or leaky with a trained alpha near 1",
        FLOSSING,
    ),
    ("exploding", "Jacobian"): (
        CLIP,
        "start from a smaller or an orthogonal recurrent matrix: recurrent=initialize.gaussian(0.9) or 'orthogonal'",
        "shorten the training windows, through which the product of Jacobians grows",
        NORMALIZE,
    ),
    ("exploding", "learning rate"): (
        "lower the learning rate, to a tenth at first, or raise it slowly: training.warmup",
        "an optimizer that scales its steps: training.adam()",
        "clipping bounds the step too, but a rate that fits needs none",
    ),
    ("saturated", None): (
        "smaller initial weights, or inputs scaled to variance 1",
        NORMALIZE,
        "move the biases of gates that shut units off: cells.with_bias",
        "a lower learning rate, if the units were free at the start",
    ),
    ("overfitting", "long-range memory"): (
        "more text, or early stopping: fit(..., early_stopping=...)",
        "shorter training windows: what is learnt by heart needs long ones",
        "dropout between layers, weight decay (l2), fewer units",
    ),
    ("overfitting", "short range"): (
        "more data, or early stopping: fit(..., early_stopping=...)",
        "dropout between layers, weight decay (l2), fewer units",
    ),
}
TRUNCATION = "longer training windows: gradients reach beyond the present ones"


def remedies(verdict: str, cause: str | None, clipped: bool) -> tuple[str, ...]:
    """What to try; clipping is not advised where it is at work."""
    return tuple(c for c in CURES.get((verdict, cause), ()) if not (clipped and c == CLIP))
