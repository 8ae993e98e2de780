"""Full-batch training by any method of SciPy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError, instance
from ..engine.raveling import ravel
from .tree import Tree, check_real

WITHOUT_GRADIENT = ("nelder-mead", "powell", "cobyla", "cobyqa")
LossAndGrad = Callable[[Tree], tuple[float, Mapping[str, Any]]]


def minimize(
    loss_and_grad: LossAndGrad, params: Mapping[str, Any], method: str = "L-BFGS-B", **options: Any
) -> tuple[Tree, Any]:
    """Minimize a loss with `scipy.optimize.minimize`.

    Parameters
    ----------
    loss_and_grad : callable
        From parameters to (loss, gradients), such as ``lambda p: model.loss_and_grad(p, batch)``.
    params : nested dict of arrays
        Where to start; not changed. In float32 the rounding of the loss limits how far a line search gets.
    method : str
        Any of SciPy's methods that use a gradient, or none.
    **options
        Passed on to `scipy.optimize.minimize` (``tol=``, ``callback=``, ``options={"maxiter": 100}``).

    Returns
    -------
    params : nested dict
        In the dtype of the start.
    result : scipy.optimize.OptimizeResult

    Examples
    --------
    >>> def bowl(params):
    ...     return float(((params["w"] - 3) ** 2).sum()), {"w": 2 * (params["w"] - 3)}
    >>> best, result = minimize(bowl, {"w": np.zeros(2)})
    >>> result.success, best["w"].round(6)
    (True, array([3., 3.]))
    """
    from scipy.optimize import minimize as scipy_minimize

    check_real("params", params)
    instance("method", method, str)
    unknown = sorted(set(options) - set(inspect.signature(scipy_minimize).parameters))
    if unknown:
        raise ArgumentTypeError(
            "options",
            "be arguments of scipy.optimize.minimize",
            f"{unknown[0]}: options of a method come in a dict, options={{{unknown[0]!r}: ...}}",
        )
    start, unravel = ravel(params)

    def objective(vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        found = loss_and_grad(unravel(vector))
        if not isinstance(found, tuple) or len(found) != 2:
            raise ArgumentTypeError("loss_and_grad", "return (loss, gradients)", type(found).__name__)
        loss, grads = found
        return loss, ravel(grads)[0].astype(np.float64)

    begin = start.astype(np.float64)
    try:
        if method.lower() in WITHOUT_GRADIENT:
            result = scipy_minimize(lambda v: objective(v)[0], begin, method=method, **options)
        else:
            result = scipy_minimize(objective, begin, jac=True, method=method, **options)
    except ValueError as error:
        if "Unknown solver" not in str(error):
            raise
        raise ArgumentError("method", "be one of scipy.optimize.minimize's", repr(method)) from None
    return unravel(result.x), result
