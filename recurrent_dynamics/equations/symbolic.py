"""SymPy functions of the nonlinearities; imported only where equations are derived."""

from __future__ import annotations

from functools import cache
from typing import Any

import sympy

from recurrent_dynamics.equations.nonlinearities import Nonlinearity

__all__ = ["symbolic_function"]


@cache
def symbolic_function(nonlinearity: Nonlinearity) -> Any:
    """Return the SymPy function of a nonlinearity.

    It is real, never evaluates itself (``tanh(0)`` stays as written), and differentiates by the derivatives
    of the nonlinearity, so that they come out in terms of the function's own value.

    Parameters
    ----------
    nonlinearity : Nonlinearity

    Returns
    -------
    subclass of sympy.Function

    Examples
    --------
    >>> import sympy
    >>> from recurrent_dynamics.equations.nonlinearities import tanh
    >>> x = sympy.Symbol("x", real=True)
    >>> symbolic_function(tanh)(x).diff(x)
    1 - tanh(x)**2
    """

    def fdiff(self: Any, argindex: int = 1) -> Any:
        return sympy.sympify(nonlinearity.derivatives(self.args, self)[argindex - 1])

    def latex(self: Any, printer: Any, exp: str | None = None) -> str:
        text = nonlinearity.latex.format(*(printer._print(arg) for arg in self.args))
        return text if exp is None else rf"{{{text}}}^{{{exp}}}"

    attributes = {
        "__module__": __name__,
        "nargs": nonlinearity.arity,
        "is_real": True,
        "eval": classmethod(lambda cls, *args: None),
        "fdiff": fdiff,
        "_latex": latex,
    }
    return type(nonlinearity.name, (sympy.Function,), attributes)
