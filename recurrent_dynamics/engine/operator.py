"""Jacobians of all steps as an operator: applied to vectors, never formed."""

from __future__ import annotations

import numpy as np

from . import check
from .run import Run, run_shape


class JacobianOperator:
    """J_t v and J_t^T v for every step t of a run, at the cost of one tangent or adjoint step each.

    Attributes
    ----------
    shape : (T, B, S), that of the vectors; without the batch axis for a run of one sequence
    dtype : that of the run
    """

    def __init__(self, run: Run) -> None:
        from .cpu import operators as cpu

        self._cpu = cpu
        self._steps = cpu.single_steps(check.run(run).tape)
        self.shape = run_shape(run, (run.steps, run.batch_size, run.tape.layout.state_size))
        self.dtype = run.dtype

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """J_t v_t for all steps; v has the shape of the operator."""
        return self._cpu.apply_jacobian(self._steps, self._rows(v)).reshape(self.shape)

    def rmatvec(self, v: np.ndarray) -> np.ndarray:
        """J_t^T v_t for all steps; v has the shape of the operator."""
        return self._cpu.apply_transposed(self._steps, self._rows(v)).reshape(self.shape)

    def _rows(self, v: np.ndarray) -> np.ndarray:
        # A copy: compiled functions take arrays that are writeable and aligned, and would be compiled anew for others.
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
