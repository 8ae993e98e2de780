"""Nonlinearities of recurrent cells: each one is defined once, with its NumPy form and its derivative.

The equations of a cell call these functions. On arrays they compute (the reference), on SymPy expressions
they build an expression with known derivatives (`recurrent_dynamics.equations.symbolic`), and an object that
has a method ``apply_nonlinearity(name, args)``, such as the recorder of a cell's equations, takes the call
itself. The compiled scalars of the same names are in `recurrent_dynamics.kernels.elementary`.

The NumPy forms take complex arrays too, for derivatives by complex step: a piecewise function chooses its
branch by the real part and keeps the imaginary part of the branch. NaN propagates through all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Number
from typing import Any, Literal

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError

__all__ = [
    "NONLINEARITIES",
    "Nonlinearity",
    "absolute",
    "cos",
    "elu",
    "exp",
    "expm1",
    "hard_sigmoid",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "log",
    "maximum",
    "minimum",
    "nonlinearity",
    "positive",
    "relu",
    "sigmoid",
    "sign",
    "sin",
    "softplus",
    "softsign",
    "sqrt",
    "tanh",
]


@dataclass(frozen=True)
class Nonlinearity:
    """A function of one or two scalars, applied entry by entry.

    Parameters
    ----------
    name : str
        The name in `NONLINEARITIES`.
    numpy : callable
        The function on real or complex NumPy arrays, in the dtype of its arguments.
    derivatives : callable
        ``derivatives(args, value)`` returns the partial derivative by each argument, written with operators
        and other nonlinearities, in terms of the function's own ``value`` where possible.
    latex : str
        Template of the formula, with ``{0}`` and ``{1}`` for the arguments.
    arity : int
        Number of arguments.
    derivative_uses : {"value", "argument"}
        Whether the derivative can be written with the function's value alone, or needs the argument. A drive that is
        read through a function of the first kind only may be overwritten with its value.

    Examples
    --------
    >>> import numpy as np
    >>> tanh.derivatives((np.array([0.0]),), np.array([0.0]))
    (array([1.]),)
    """

    name: str
    numpy: Callable[..., Any]
    derivatives: Callable[[tuple[Any, ...], Any], tuple[Any, ...]]
    latex: str
    arity: int = 1
    derivative_uses: Literal["value", "argument"] = "argument"

    def __call__(self, *args: Any) -> Any:
        """Apply the function to arrays or numbers, SymPy expressions, or recorded variables."""
        if len(args) != self.arity:
            raise ArgumentTypeError(f"the arguments of {self.name}", f"be {self.arity} in number", len(args))
        for arg in args:
            if hasattr(arg, "apply_nonlinearity"):
                return arg.apply_nonlinearity(self.name, args)
        if any(_is_symbolic(arg) for arg in args):
            from recurrent_dynamics.equations.symbolic import symbolic_function

            return symbolic_function(self)(*args)
        return self.numpy(*(self._numeric(arg) for arg in args))

    def _numeric(self, arg: Any) -> Any:
        if isinstance(arg, np.ndarray | np.generic) and arg.dtype.kind in "biufc":
            return arg if arg.dtype.kind in "fc" else arg.astype(np.float64)
        if isinstance(arg, Number):
            # A Python number keeps its weak type: it must not promote float32 arrays.
            return arg if isinstance(arg, complex) else float(arg)  # type: ignore[arg-type]
        what = f"an array of dtype {arg.dtype}" if isinstance(arg, np.ndarray | np.generic) else repr(arg)
        raise ArgumentTypeError(
            f"the arguments of {self.name}",
            "be numbers, NumPy arrays, SymPy expressions or variables of a cell's equations",
            f"{what} ({type(arg).__name__})",
        )

    def __repr__(self) -> str:
        return f"<nonlinearity {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return nonlinearity, (self.name,)


def _is_symbolic(arg: Any) -> bool:
    sympy = sys.modules.get("sympy")  # not imported yet: then nothing can be one of its expressions
    return sympy is not None and isinstance(arg, sympy.Basic)


NONLINEARITIES: dict[str, Nonlinearity] = {}


def _define(
    name: str,
    numpy: Callable[..., Any],
    derivatives: Callable[[tuple[Any, ...], Any], tuple[Any, ...]],
    latex: str,
    arity: int = 1,
    derivative_uses: Literal["value", "argument"] = "argument",
) -> Nonlinearity:
    made = Nonlinearity(name, numpy, derivatives, latex, arity, derivative_uses)
    return NONLINEARITIES.setdefault(name, made)


def _relu(x: Any) -> Any:
    return np.where(np.real(x) <= 0, 0.0, x)[()]


def _magnitude(x: Any) -> Any:
    return np.where(np.real(x) < 0, -x, x)[()]


def _absolute(x: Any) -> Any:
    # |-0| = 0; the derivative at 0 is 0, so a complex step there must not come through.
    return np.where(np.real(x) == 0, 0.0, _magnitude(x))[()]


def _sigmoid(x: Any) -> Any:
    z = np.exp(-_magnitude(x))  # at most 1: no overflow, and full relative accuracy in both tails
    return (np.where(np.real(x) < 0, z, 1.0) / (1 + z))[()]


def _softplus(x: Any) -> Any:
    z = np.exp(-_magnitude(x))
    if np.iscomplexobj(z):  # NumPy's complex log1p is not accurate for small z
        a, b = z.real, z.imag
        rest = 0.5 * np.log1p(a * (2 + a) + b * b) + 1j * np.arctan2(b, 1 + a)
    else:
        rest = np.log1p(z)
    return np.where(np.real(x) < 0, 0.0, x)[()] + rest


def _maximum(x: Any, y: Any) -> Any:
    return np.where((np.real(x) > np.real(y)) | np.isnan(x), x, y)[()]


def _minimum(x: Any, y: Any) -> Any:
    return np.where((np.real(x) <= np.real(y)) | np.isnan(x), x, y)[()]


def _positive(x: Any) -> Any:
    x = np.asarray(x).real
    return np.where(np.isnan(x), x, (x > 0).astype(x.dtype))[()]


def _sign(x: Any) -> Any:
    return np.sign(np.real(x))


def _maximum_derivatives(args: tuple[Any, ...], value: Any) -> tuple[Any, Any]:
    first = positive(args[0] - args[1])
    return first, 1 - first


def _minimum_derivatives(args: tuple[Any, ...], value: Any) -> tuple[Any, Any]:
    # Maximum and minimum add up to x + y, and so do their derivatives, at ties too.
    second = positive(args[0] - args[1])
    return 1 - second, second


tanh = _define(
    "tanh",
    np.tanh,
    lambda args, value: (1 - value * value,),
    r"\tanh\left({0}\right)",
    derivative_uses="value",
)
sigmoid = _define(
    "sigmoid",
    _sigmoid,
    lambda args, value: (value * (1 - value),),
    r"\sigma\left({0}\right)",
    derivative_uses="value",
)
relu = _define(
    "relu",
    _relu,
    lambda args, value: (positive(value),),
    r"\operatorname{{relu}}\left({0}\right)",
    derivative_uses="value",
)
softplus = _define(
    "softplus",
    _softplus,
    lambda args, value: (sigmoid(args[0]),),
    r"\operatorname{{softplus}}\left({0}\right)",
)
exp = _define("exp", np.exp, lambda args, value: (value,), r"\exp\left({0}\right)", derivative_uses="value")
expm1 = _define(
    "expm1",
    np.expm1,
    lambda args, value: (value + 1,),
    r"\operatorname{{expm1}}\left({0}\right)",
    derivative_uses="value",
)
log = _define("log", np.log, lambda args, value: (1 / args[0],), r"\log\left({0}\right)")
sqrt = _define("sqrt", np.sqrt, lambda args, value: (0.5 / value,), r"\sqrt{{{0}}}", derivative_uses="value")
absolute = _define("absolute", _absolute, lambda args, value: (sign(args[0]),), r"\left|{0}\right|")
maximum = _define("maximum", _maximum, _maximum_derivatives, r"\max\left({0}, {1}\right)", arity=2)
minimum = _define("minimum", _minimum, _minimum_derivatives, r"\min\left({0}, {1}\right)", arity=2)
sin = _define("sin", np.sin, lambda args, value: (cos(args[0]),), r"\sin\left({0}\right)")
cos: Nonlinearity = _define("cos", np.cos, lambda args, value: (-sin(args[0]),), r"\cos\left({0}\right)")
positive: Nonlinearity = _define(
    "positive",
    _positive,
    lambda args, value: (0,),
    r"\mathbf{{1}}\left[{0} > 0\right]",
    derivative_uses="value",
)
sign: Nonlinearity = _define(
    "sign", _sign, lambda args, value: (0,), r"\operatorname{{sign}}\left({0}\right)", derivative_uses="value"
)


def identity(x: Any) -> Any:
    """Return the argument itself.

    Examples
    --------
    >>> identity(0.5)
    0.5
    """
    return x


def leaky_relu(x: Any, slope: Any = 0.01) -> Any:
    """Rectifier with a slope for negative arguments; its derivative at 0 is ``slope``.

    Examples
    --------
    >>> print(leaky_relu(-2.0), leaky_relu(2.0))
    -0.02 2.0
    """
    return relu(x) + slope * minimum(x, 0)


def elu(x: Any, alpha: Any = 1.0) -> Any:
    """Exponential linear unit of Clevert et al. (2016): x where x > 0, else ``alpha * expm1(x)``.

    Examples
    --------
    >>> print(elu(2.0), elu(-1e-20), elu(-1000.0))
    2.0 -1e-20 -1.0
    """
    return relu(x) + alpha * expm1(minimum(x, 0))


def softsign(x: Any) -> Any:
    """Softsign, `x / (1 + |x|)`.

    Examples
    --------
    >>> print(softsign(-1.0), softsign(3.0), softsign(np.inf))
    -0.5 0.75 1.0
    """
    x = maximum(
        minimum(x, 1e30), -1e30
    )  # infinity by infinity is no number; beyond 1e30 the quotient is 1 anyway
    return x / (1 + absolute(x))


def hard_sigmoid(x: Any) -> Any:
    """PyTorch's piecewise linear sigmoid: (x + 3) / 6 between -3 and 3, 0 below, 1 above.

    Examples
    --------
    >>> print(hard_sigmoid(-4.0), hard_sigmoid(0.0), hard_sigmoid(4.0))
    0.0 0.5 1.0
    """
    return minimum(6, maximum(x + 3, 0)) / 6


def hard_tanh(x: Any) -> Any:
    """Clip to [-1, 1].

    Examples
    --------
    >>> print(hard_tanh(-4.0), hard_tanh(0.25), hard_tanh(4.0))
    -1.0 0.25 1.0
    """
    return minimum(1, maximum(x, -1))


_COMPOSED: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (identity, leaky_relu, elu, softsign, hard_sigmoid, hard_tanh)
}


def nonlinearity(name_or_callable: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return the nonlinearity of a name; a callable is returned as it is.

    Parameters
    ----------
    name_or_callable : str or callable
        A name, such as ``"tanh"`` or ``"leaky_relu"``, or a function written with nonlinearities.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If there is no nonlinearity of this name.
    TypeError
        If the argument is neither a string nor callable.

    Examples
    --------
    >>> nonlinearity("tanh")
    <nonlinearity tanh>
    """
    if callable(name_or_callable):
        return name_or_callable
    if not isinstance(name_or_callable, str):
        raise ArgumentTypeError("nonlinearity", "be a name or a callable", repr(name_or_callable))
    table: dict[str, Callable[..., Any]] = {**NONLINEARITIES, **_COMPOSED}
    if name_or_callable not in table:
        names = ", ".join(sorted(table))
        raise ArgumentError("nonlinearity", f"be one of {names}", repr(name_or_callable))
    return table[name_or_callable]
