"""The device memory that the verbs need, computed from sizes alone."""

from __future__ import annotations

from ...cells.layout import Layout
from ...kernels.tuning import current
from .device_model import Sizes

DERIVATIVES = 1 << 28  # bytes of diagonals, or of derivatives of values by the state, that are held at once


def kept_size(layout: Layout) -> int:
    """Columns of the values before the signals."""
    return layout.signals[0].offset if layout.signals else layout.values_size


def piece_steps(layout: Layout, batch: int) -> int:
    """Steps of a piece of a walk whose values are kept as bfloat16."""
    rows = current().bfloat16_piece_bytes // max(1, 4 * batch * layout.values_size)
    return max(current().bfloat16_piece_steps, rows)


def needed(layout: Layout, sizes: Sizes, verb: str, resets: bool = False, rounded: bool = False) -> int:
    """Bytes that a verb needs, with its input from the host and its results.

    "forward": the run itself. "adjoint", "tangent" and, of so many steps, "jacobian": what is added to a run.
    `rounded`: values kept as bfloat16.
    """
    rows, size = sizes.steps * sizes.batch, sizes.itemsize
    n, e, k = layout.input_size, layout.values_size, layout.state_size
    states = (2 * sizes.steps if resets else sizes.steps + 1) * sizes.batch * k
    if (
        verb == "jacobian"
    ):  # the result, derivatives of values, the diagonals of a step by what they depend on
        together = min(rows, max(1, DERIVATIVES // max(1, e * k * size)))
        diagonals = min(4 * rows * (e + k) * size, DERIVATIVES)
        return (rows * (k * k + e + k) + together * e * k) * size + diagonals
    params = layout.input_rows * n + 2 * layout.matrices_size + 2 * layout.vectors_size
    params += (
        sizes.batch * layout.memory_size
    )  # as given and as read, or the gradient of each sequence and all of them
    values, walked = rows * e * size, 0
    if rounded:
        kept = kept_size(layout)
        values = rows * (2 * kept + 4 * (e - kept))
        walked = min(sizes.steps, piece_steps(layout, sizes.batch)) * sizes.batch * e * size
    if verb == "forward":  # two copies of the input; whether states are finite takes a byte each
        return (2 * rows * n + states + 2 * params) * size + values + walked + rows * k
    if verb == "tangent":
        return (2 * rows * n + states + 2 * params) * size + (2 * walked if rounded else values)
    width = max(layout.widths)  # d_output from the host; cotangents of values, states and input
    return (
        (rows * (width + n) + states + 2 * params) * size + (2 * walked if rounded else values) + rows * width
    )
