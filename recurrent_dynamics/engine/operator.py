"""Jacobians of all steps as an operator: applied to vectors without being formed, or formed block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..checks import ArgumentError
from ..kernels.tuning import current
from . import check
from .run import Run, run_shape


class JacobianOperator:
    """J_t v and J_t^T v for every step t of a run, at the cost of one tangent or adjoint step each, and blocks of J_t.

    Attributes
    ----------
    shape : tuple of int
        (T, B, S), the shape of the vectors; without the batch axis for a run of one sequence.
    dtype : numpy.dtype
        The dtype of the run.
    """

    def __init__(self, run: Run) -> None:
        from .cpu import independent_steps as cpu
        from .cpu.verbs import dense_jacobian

        self._cpu, self._dense_jacobian = cpu, dense_jacobian
        self._run = run = check.layer_run(run)
        self._steps = cpu.single_steps(run.tape)
        self.shape = run_shape(run, (run.steps, run.batch_size, run.tape.layout.state_size))
        self.dtype = run.dtype

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """J_t v_t for all steps; v has the shape of the operator."""
        return self._cpu.apply_jacobian(self._steps, self._rows(v)).reshape(self.shape)

    def rmatvec(self, v: np.ndarray) -> np.ndarray:
        """J_t^T v_t for all steps; v has the shape of the operator."""
        return self._cpu.apply_transposed(self._steps, self._rows(v)).reshape(self.shape)

    def block(
        self, after: str, before: str, steps: slice | Sequence[int] | np.ndarray | int | None = None
    ) -> np.ndarray:
        """The block of J_t that is the derivative of one slot by another: the memory path of an LSTM is that of c by c.

        Parameters
        ----------
        after, before
            Slots of the cell, the one after the step by the one before it.
        steps
            Which steps, as in `recurrent_dynamics.jacobian`; all by default.

        Returns
        -------
        ndarray (steps, B, width, width)
            Without the axis of steps for one index, without that of the batch for a run of one sequence. Whole
            Jacobians are formed for a few steps at a time.

        Raises
        ------
        ValueError
            When the cell has no such slot or the run no such step.

        Examples
        --------
        >>> import numpy as np
        >>> import recurrent_dynamics as rd
        >>> cell = rd.cells.lstm()
        >>> run = rd.forward(cell, cell.init(1, 3, dtype="float64"), np.ones((4, 2, 1)))
        >>> forget = 1 / (1 + np.exp(-run.drives["f"]))
        >>> memory = rd.jacobian_operator(run).block("c", "c")
        >>> memory.shape, bool(np.allclose(memory, forget[..., None] * np.eye(3)))
        ((4, 2, 3, 3), True)
        """
        tape = self._run.tape
        slots = {s.name: s for s in tape.layout.slots}
        for name, slot in (("after", after), ("before", before)):
            if slot not in slots:
                raise ArgumentError(name, f"be a slot of the cell, {', '.join(slots)}", repr(slot))
        rows, columns = (slice(s.offset, s.offset + s.width) for s in (slots[after], slots[before]))
        chosen = check.steps(steps, tape.steps)
        each = np.atleast_1d(chosen)
        together = max(
            1, current().jacobian_bytes // (tape.batch * tape.layout.state_size**2 * self.dtype.itemsize)
        )
        parts = [
            self._dense_jacobian(tape, each[i : i + together])[..., rows, columns].copy()
            for i in range(0, len(each), together)
        ]
        J = self._run.shaped(np.concatenate(parts))
        return J[0] if np.ndim(chosen) == 0 else J

    def _rows(self, v: np.ndarray) -> np.ndarray:
        # A copy is writeable and aligned. For any other array, compiled functions would be compiled again.
        return np.array(check.floating("v", v, self.dtype, self.shape), order="C").reshape(-1, self.shape[-1])

    def __repr__(self) -> str:
        return f"JacobianOperator(shape={self.shape}, dtype={self.dtype})"


def jacobian_operator(run: Run) -> JacobianOperator:
    """The Jacobians of all steps of a run as an operator.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.elman()
    >>> run = rd.forward(cell, cell.init(1, 3, dtype="float64"), np.ones((4, 2, 1)))
    >>> A = rd.jacobian_operator(run)
    >>> v = np.ones(A.shape)
    >>> bool(np.allclose(A.matvec(v), (rd.jacobian(run) @ v[..., None])[..., 0]))
    True
    """
    return JacobianOperator(run)
