"""The nonlinearities: values, derivatives, SymPy functions, and the compiled scalars."""

from __future__ import annotations

import platform
import re
from functools import cache

import llvmlite.binding
import mpmath
import numpy as np
import pytest
import sympy
from numba import njit
from numba.core.errors import TypingError
from refusals import refused, wrong_type

from recurrent_dynamics.equations import nonlinearities as nl
from recurrent_dynamics.equations.nonlinearities import NONLINEARITIES, nonlinearity
from recurrent_dynamics.equations.symbolic import symbolic_function
from recurrent_dynamics.kernels.elementary import COMPILED

NAMES = sorted(NONLINEARITIES)
COMPOSED = [nl.leaky_relu, nl.elu, nl.softsign, nl.hard_sigmoid, nl.hard_tanh, nl.identity]
DTYPES = [np.float32, np.float64]
OPTIONS = {"error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}

EXACT = {
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)) if x >= 0 else mpmath.exp(x) / (1 + mpmath.exp(x)),
    "softplus": lambda x: max(x, 0) + mpmath.log1p(mpmath.exp(-abs(x))),
    "relu": lambda x: max(x, 0),
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": lambda x: mpmath.log(x) if x > 0 else (mpmath.nan if x < 0 else -mpmath.inf),
    "sqrt": lambda x: mpmath.sqrt(x) if x >= 0 else mpmath.nan,
    "absolute": abs,
    "maximum": max,
    "minimum": min,
    "sin": lambda x: mpmath.sin(x) if mpmath.isfinite(x) else mpmath.nan,
    "cos": lambda x: mpmath.cos(x) if mpmath.isfinite(x) else mpmath.nan,
    "positive": lambda x: mpmath.mpf(x > 0),
    "sign": mpmath.sign,
}


def exact(name, *args):
    """Return the values in 100 bits; NaN where an argument is NaN."""

    def entry(*xs):
        return mpmath.nan if any(mpmath.isnan(x) for x in xs) else EXACT[name](*xs)

    with mpmath.workprec(100):
        return [entry(*(mpmath.mpf(float(x)) for x in xs)) for xs in zip(*args)]


def error_in_ulp(values, references, dtype):
    """Return the largest error; infinite where NaN, an infinity or the overflow is wrong."""
    worst = 0.0
    with mpmath.workprec(100), np.errstate(over="ignore"):
        for value, reference in zip(values, references):
            rounded = dtype(float(reference))
            if not np.isfinite(rounded) or not np.isfinite(value):
                same = value == rounded or (np.isnan(value) and np.isnan(rounded))
                worst = max(worst, 0.0 if same else np.inf)
            else:
                ulp = mpmath.mpf(float(np.spacing(abs(rounded))))
                worst = max(worst, float(abs(mpmath.mpf(float(value)) - reference) / ulp))
    return worst


def samples(dtype, rng, n):
    """Return numbers of all exponents, of the sizes of activations, near 1, near 0, and the special ones."""
    info = np.finfo(dtype)
    integer = np.dtype(f"u{info.bits // 8}")
    special = [0.0, 1.0, np.inf, np.nan, info.tiny, info.smallest_subnormal, info.max, np.log(info.max)]
    with np.errstate(over="ignore"):
        parts = [
            rng.integers(0, np.iinfo(integer).max, n, dtype=integer, endpoint=True).view(dtype),
            rng.normal(0, 1, n),
            rng.uniform(-30, 30, n),
            rng.uniform(-1.05, 1.05, n) * float(np.log(info.max)),  # to overflow and subnormal results of exp
            rng.normal(1, 1e-3, n),
            rng.choice([-1.0, 1.0], n) * 2 ** rng.uniform(-30, 1, n),
            rng.uniform(-1e4, 1e4, n),
            rng.integers(1, 6000, n) * (np.pi / 2),
            special,
            np.negative(special),
        ]
        return np.concatenate([np.asarray(part).astype(dtype) for part in parts])


@cache
def row_loop(name):
    """Return a compiled row loop that applies one compiled scalar."""
    f = COMPILED[name]

    def unary(x, y, out):
        for j in range(out.size):
            out[j] = f(x[j])

    def binary(x, y, out):
        for j in range(out.size):
            out[j] = f(x[j], y[j])

    return njit(**OPTIONS)(unary if NONLINEARITIES[name].arity == 1 else binary)


def compiled_error(name, dtype, rng, n):
    x = samples(dtype, rng, n)
    y = rng.permutation(x)
    out = np.empty_like(x)
    row_loop(name)(x, y, out)
    return error_in_ulp(
        out, exact(name, x, y)[: x.size] if name in {"maximum", "minimum"} else exact(name, x), dtype
    )


def documented_error(name, dtype):
    match = re.search(rf"([\d.]+) ulp \({np.dtype(dtype).name}\)", COMPILED[name].__doc__)
    assert match or "Exact." in COMPILED[name].__doc__
    return float(match[1]) if match else 0.0


def test_every_nonlinearity_is_compiled():
    assert set(COMPILED) == set(NONLINEARITIES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_compiled_values(name, dtype, rng):
    assert compiled_error(name, dtype, rng, 80) <= documented_error(name, dtype) <= 4


@pytest.mark.full
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_compiled_values_densely(name, dtype, rng):
    assert compiled_error(name, dtype, rng, 4000) <= documented_error(name, dtype)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_compiled_angles_closest_to_multiples_of_a_quarter_turn(name):
    x = np.array([6381956970095103 * 2.0**797, 5261692873635770 * 2.0**499, 1e22, np.finfo(float).max, np.pi])
    out = np.empty_like(x)
    row_loop(name)(x, x, out)
    with mpmath.workprec(1200):
        references = [getattr(mpmath, name)(mpmath.mpf(v)) for v in x]
    assert error_in_ulp(out, references, np.float64) <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_compiled_signs_of_zero(dtype):
    x = np.array([-0.0, 0.0], dtype)
    for name in ("tanh", "expm1", "sin", "sqrt"):
        out = np.empty_like(x)
        row_loop(name)(x, x, out)
        assert np.signbit(out).tolist() == [True, False], name


@pytest.mark.parametrize("dtype", DTYPES)
def test_division_by_the_compiled_root_of_zero_is_infinite(dtype):
    """Under the flag arcp LLVM estimates 1 / sqrt(x) in float32, with NaN at 0, if it sees the root."""
    sqrt, one = COMPILED["sqrt"], dtype(1)

    @njit(**OPTIONS)
    def reciprocal_root(x, out):
        for j in range(out.size):
            out[j] = one / sqrt(x[j])

    x = np.arange(64).astype(dtype)
    out = np.empty_like(x)
    reciprocal_root(x, out)
    assert out[0] == np.inf
    np.testing.assert_array_max_ulp(out[1:], 1 / np.sqrt(x[1:]), 1)


def test_compiled_scalars_refuse_other_and_mixed_types():
    maximum = COMPILED["maximum"]
    mixed = njit(lambda x, y: maximum(x, y))
    with pytest.raises(
        TypingError, match="maximum takes float32 or float64 of one dtype, got float32, float64"
    ):
        mixed(np.float32(1), np.float64(1))


LIBRARY_CALL = re.compile(
    r"[\s$_](tanh|exp|exp2|expm1|log|log1p|sqrt|sin|cos|sincos|pow|ldexp|rint|fma|fmax|fmin)f?(@\w+)?(,|$)",
    re.MULTILINE,
)


@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"} or not llvmlite.binding.get_host_cpu_features().get("avx2"),
    reason="reads the assembly of x86 with AVX2",
)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_row_loops_vectorize_without_library_calls(name, dtype):
    loop = row_loop(name)
    x = np.ones(8, dtype)
    loop(x, x, x.copy())
    (assembly,) = (
        text for signature, text in loop.inspect_asm().items() if signature[0].dtype.name == x.dtype.name
    )
    assert re.search(r"\tv(?!mov)\w+p[sd]\b[^\n]*%[yz]mm|\tvp\w+[^\n]*%[yz]mm", assembly)
    assert re.search(r"\tvmov(?:u|dqu)\w+\s+%[yz]mm\d+, [^%\n]*\(", assembly)  # a packed result is stored
    assert not LIBRARY_CALL.search(assembly)


def test_a_library_call_would_be_seen():
    loop = njit(**OPTIONS)(lambda x: np.tanh(x))
    loop(1.0)
    assert any(LIBRARY_CALL.search(text) for text in loop.inspect_asm().values())


def points(name, n=40):
    """Return points in the domain, at least 1e-3 from the kinks at 0 and, for two arguments, at ties."""
    rng = np.random.default_rng(7)
    magnitude = rng.uniform(1e-3, 4, (2, n))
    if name in {"log", "sqrt"}:
        return magnitude[:1]
    x = magnitude * rng.choice([-1, 1], (2, n))
    return x[: NONLINEARITIES[name].arity] if name in NONLINEARITIES else x[:1]


def complex_step(f, args, k):
    shifted = [a + 1e-100j if i == k else a for i, a in enumerate(args)]
    return np.imag(f(*shifted)) / 1e-100 + np.zeros(args[0].shape)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_against_complex_step_and_sympy(name):
    f = NONLINEARITIES[name]
    args = list(points(name))
    derivatives = f.derivatives(tuple(args), f(*args))
    assert len(derivatives) == f.arity
    symbols = sympy.symbols(f"x:{f.arity}", real=True)
    modules = [{g.name: g.numpy for g in NONLINEARITIES.values()}, "numpy"]
    for k, derivative in enumerate(derivatives):
        expected = complex_step(f, args, k)
        scale = max(abs(expected).max(), 1)
        assert abs(derivative - expected).max() < 1e-9 * scale
        symbolic = sympy.lambdify(symbols, f(*symbols).diff(symbols[k]), modules)
        assert np.max(abs(symbolic(*args) - derivative)) < 1e-14 * scale


@pytest.mark.parametrize("f", COMPOSED)
def test_compositions_differentiate_through_sympy(f):
    x = sympy.Symbol("x", real=True)
    modules = [{g.name: g.numpy for g in NONLINEARITIES.values()}, "numpy"]
    (at,) = points(f.__name__)
    at = at[(abs(abs(at) - 1) > 1e-3) & (abs(abs(at) - 3) > 1e-3)]  # kinks of hard tanh and hard sigmoid
    derivative = sympy.lambdify(x, sympy.diff(f(x), x), modules)(at)
    assert abs(derivative - complex_step(f, [at], 0)).max() < 1e-9


def test_derivatives_at_kinks():
    zero = np.zeros(1)
    assert NONLINEARITIES["relu"].derivatives((zero,), zero)[0] == 0
    assert NONLINEARITIES["absolute"].derivatives((zero,), zero)[0] == 0
    assert NONLINEARITIES["maximum"].derivatives((zero, zero), zero) == (0, 1)
    assert NONLINEARITIES["minimum"].derivatives((zero, zero), zero) == (1, 0)
    x = sympy.Symbol("x", real=True)
    modules = [{g.name: g.numpy for g in NONLINEARITIES.values()}, "numpy"]
    for f, at, expected in (
        (nl.leaky_relu, 0.0, 0.01),  # PyTorch's choices
        (nl.elu, 0.0, 1.0),
        (nl.hard_tanh, 1.0, 0.0),
        (nl.hard_tanh, -1.0, 0.0),
        (nl.hard_sigmoid, 3.0, 0.0),
        (nl.hard_sigmoid, -3.0, 0.0),
    ):
        assert sympy.lambdify(x, sympy.diff(f(x), x), modules)(at) == expected, f


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_forms_are_accurate_and_keep_the_dtype(name, dtype, rng):
    f = NONLINEARITIES[name]
    args = points(name).astype(dtype)
    values = f(*args)
    assert values.dtype == dtype
    assert values.shape == args[0].shape
    assert error_in_ulp(values, exact(name, *args), dtype) <= 4
    assert isinstance(f(*(dtype(0.5),) * f.arity), dtype)
    assert np.isnan(f(*np.full((f.arity, 3), np.nan, dtype))).all()


def test_numpy_forms_keep_float32_beside_python_numbers():
    x = np.ones(3, np.float32)
    assert all(f(x).dtype == np.float32 for f in COMPOSED)
    assert nl.maximum(0, x).dtype == np.float32
    assert nl.tanh(np.arange(3)).dtype == np.float64


def test_nan_wins_in_either_argument():
    x, y = np.array([np.nan, 1.0]), np.array([1.0, np.nan])
    assert np.isnan(nl.maximum(x, y)).all()
    assert np.isnan(nl.minimum(x, y)).all()
    assert all(np.isnan(f(np.nan)) for f in COMPOSED)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "tanh", "relu"])
def test_numpy_forms_reach_the_tails_without_warnings(name):
    x = np.array([-1e308, -700.0, -100.0, -40.0, 40.0, 100.0, 1e308])
    assert error_in_ulp(NONLINEARITIES[name](x), exact(name, x), np.float64) <= 4


@pytest.mark.parametrize("name", NAMES)
def test_symbolic_functions(name):
    f = NONLINEARITIES[name]
    function = symbolic_function(f)
    assert function is symbolic_function(f)
    zeros = function(*[sympy.Integer(0)] * f.arity)
    assert str(zeros) == f"{name}({', '.join('0' * f.arity)})"  # not evaluated
    assert zeros.is_real
    symbols = sympy.symbols(f"x:{f.arity}", real=True)
    assert f(*symbols) == function(*symbols)
    latex = sympy.latex(f(*symbols) ** 2)
    assert all(sympy.latex(s) in latex for s in symbols)
    assert latex.endswith("}^{2}")


def test_latex():
    x, y = sympy.symbols("x y", real=True)
    assert sympy.latex(nl.sigmoid(x)) == r"\sigma\left(x\right)"
    assert sympy.latex(nl.sqrt(x + 1)) == r"\sqrt{x + 1}"
    assert sympy.latex(nl.maximum(x, y)) == r"\max\left(x, y\right)"


def test_recorded_variables_take_the_call():
    class Variable:
        def apply_nonlinearity(self, name, args):
            return name, len(args), args.index(self)

    assert nl.tanh(Variable()) == ("tanh", 1, 0)
    assert nl.maximum(0.0, Variable()) == ("maximum", 2, 1)


@pytest.mark.parametrize("name", [name for name, f in NONLINEARITIES.items() if f.arity == 1])
def test_what_a_derivative_uses_is_declared(name):
    derivatives = NONLINEARITIES[name].derivatives
    if NONLINEARITIES[name].derivative_uses == "value":
        derivatives((None,), 0.5)
    else:
        with pytest.raises(TypeError):
            derivatives((None,), 0.5)


def test_other_arguments_are_refused():
    with refused(wrong_type("the arguments of tanh", came="'x' (str)")):
        nl.tanh("x")
    with refused(wrong_type("the arguments of tanh", came="dtype object")):
        nl.tanh(np.array([None]))
    with refused(wrong_type("the arguments of maximum", "2", "1")):
        nl.maximum(1.0)


def test_lookup_by_name():
    assert nonlinearity("tanh") is nl.tanh
    assert all(nonlinearity(f.__name__) is f for f in COMPOSED)
    assert nonlinearity(np.tanh) is np.tanh
    with refused("nonlinearity", ("absolute, cos, elu", "tanh"), "'tan'"):
        nonlinearity("tan")
    with refused(wrong_type("nonlinearity", came="3")):
        nonlinearity(3)
