"""Compiled nonlinearities: scalars that LLVM vectorizes inside a row loop, within 4 ulp over the whole range.

Wheels of Numba carry no vector library, so that a call of `math.tanh` stays a scalar call. Each function here
is a Numba intrinsic that emits branch-free LLVM instructions (selects instead of branches) right into its
caller: nothing depends on LLVM's inlining, on the ``error_model`` and ``fastmath`` of the caller, or on who
compiled it first. A processor without fused multiply-add calls the C library for each: correct, but slow.

They take float32 or float64, return the same dtype, and can be called from compiled code only. NaN propagates
through all of them. The errors in the docstrings are the largest ones measured, in ulp of the exact result,
over all exponents. The coefficients are minimax polynomials (Remez exchange in 60 digits).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from recurrent_dynamics.kernels.emitter import Emitter, Value

__all__ = ["COMPILED", "written"]

# (exp(r) - 1 - r) / r^2 for |r| <= ln(2)/2; relative error of exp(r) - 1: 1.4e-8, 2.6e-19
_EXPM1 = {
    32: (0.4999999701976776, 0.1666654646396637, 0.04166744276881218, 0.008366253226995468, 0.0013869948452338576),
    64: (0.5, 0.16666666666666677, 0.04166666666666651, 0.008333333333321691, 0.0013888888888962353,
         0.00019841269885967052, 2.4801587172553352e-05, 2.7557244373042353e-06, 2.7557402639421614e-07,
         2.5108979286734202e-08, 2.0875329507630417e-09),
}  # fmt: skip
# (2 atanh(s) - 2 s) / s^3 in z = s^2, 0 <= z <= 1/9; relative error of atanh(s): 1.1e-10, 1.3e-18
_ATANH = {
    32: (0.6666667461395264, 0.3999887704849243, 0.28616899251937866, 0.21427477896213531,
         0.2430168241262436),
    64: (0.6666666666666631, 0.4000000000015739, 0.2857142854783381, 0.22222223971061295, 0.1818174387547583,
         0.15386561025353337, 0.13300958539082702, 0.12106209417025754, 0.0833954670352094,
         0.1701963244246565),
}  # fmt: skip
# (sin(r) - r) / r^3 in z = r^2, |r| <= pi/4; relative error of sin(r): 4.9e-12, 1.9e-21
_SIN = {
    32: (-0.1666666716337204, 0.008333329111337662, -0.0001983933470910415, 2.7183084512216737e-06),
    64: (-0.16666666666666666, 0.008333333333333323, -0.00019841269841255129, 2.755731921422295e-06,
         -2.5052104920232603e-08, 1.6058367750289508e-10, -7.578754556139582e-13),
}  # fmt: skip
# (cos(r) - 1 + r^2/2) / r^4 in z = r^2, |r| <= pi/4; error of cos(r): 9.5e-11, 4.7e-20
_COS = {
    32: (0.04166664555668831, -0.001388736767694354, 2.4438426407868974e-05),
    64: (0.0416666666666666, -0.0013888888888874131, 2.4801587289487104e-05, -2.7557314353808646e-07,
         2.087572348072378e-09, -1.1359658884871713e-11),
}  # fmt: skip

_LN2_HIGH = {32: 0.693359375, 64: 6.93147180369123816490e-01}  # few bits: k * high is exact
_LN2_LOW = {32: -2.12194440e-4, 64: 1.90821492927058770002e-10}
_LN2 = {32: 0.693147182464599609375, 64: 0.693147180559945286}  # rounded
_LOG2_E = 1.4426950408889634
_TWO_PI_HIGH, _TWO_PI_LOW = 6.283185307179586, 2.4492935982947064e-16


def _absolute(e: Emitter, x: Value) -> Value:
    """Absolute value. Exact."""
    return e.call("llvm.fabs", x)


def _reduced_expm1(e: Emitter, x: Value) -> tuple[Value, Value]:
    """Return p and the integer k of exp(x) = 2^k (1 + p), |p| < 0.42; p = expm1(x) where k = 0."""
    t = e.fma(x, _LOG2_E, e.magic)
    k = t - e.held(e.magic)
    r = e.fma(k, -_LN2_LOW[e.bits], e.fma(k, -_LN2_HIGH[e.bits], x))
    p = e.fma(r * r, e.polynomial(r, _EXPM1[e.bits]), r)
    return p, e.to_bits(t) - e.to_bits(e.constant(e.magic))


def _reduced_expm1_of_twice(e: Emitter, x: Value) -> tuple[Value, Value]:
    """The same of 2 x, for small k: ln(2) is rounded, so r has an error of up to 2e-9 k (float32) or 3e-17 k."""
    t = e.fma(x, 2 * _LOG2_E, e.magic)
    k = t - e.held(e.magic)
    r = e.fma(k, -_LN2[e.bits] / 2, x)
    coefficients = [c * 2 ** (n + 2) for n, c in enumerate(_EXPM1[e.bits])]
    p = e.fma(r * r, e.polynomial(r, coefficients), r + r)
    return p, e.to_bits(t) - e.to_bits(e.constant(e.magic))


def _exp(e: Emitter, x: Value) -> Value:
    """Exponential. Largest error 1.0 ulp (float32), 1.0 ulp (float64)."""
    low, high = (-104.0, 89.0) if e.bits == 32 else (-746.0, 710.0)
    clamped = e.select(x < low, low, e.select(x > high, high, x))
    p, k = _reduced_expm1(e, clamped)
    # Two factors: 2^k alone may be subnormal or overflow. Their sum of exponents is biased twice.
    biased = k + 2 * e.bias
    half = biased >> 1
    return (p + 1.0) * e.power_of_two(half) * e.power_of_two(biased - half)


def _expm1(e: Emitter, x: Value) -> Value:
    """Exponential minus one. Largest error 1.5 ulp (float32), 1.9 ulp (float64)."""
    low, high = (-20.0, 89.0) if e.bits == 32 else (-40.0, 710.0)
    clamped = e.select(x < low, low, e.select(x > high, high, x))
    p, k = _reduced_expm1(e, clamped)
    half = e.power_of_two(k + (e.bias - 1))  # 2^k / 2, because 2^k may overflow where the result does not
    y = e.fma(half, p, half - 0.5)
    return e.copy_sign(y + y, x)


def _tanh(e: Emitter, x: Value) -> Value:
    """Hyperbolic tangent. Largest error 2.4 ulp (float32), 2.5 ulp (float64)."""
    a = e.positive(x)
    limit = e.held(10.0 if e.bits == 32 else 20.0)  # from here tanh(a) rounds to 1
    # It is 1 - 2 / (exp(2 a) + 1): where exp(2 a) is so large that its error is, the error of tanh is small.
    p, k = _reduced_expm1_of_twice(e, e.select(a > limit, limit, a))
    scale = e.power_of_two(k + e.bias)
    y = e.fma(scale, p, scale - e.held(1.0))
    return e.with_sign(y / (y + e.held(2.0)), x)


def _sigmoid(e: Emitter, x: Value) -> Value:
    """Logistic sigmoid. Largest error 2.4 ulp (float32), 2.3 ulp (float64)."""
    # Beyond these numbers it rounds to 0 and to 1.
    low, high = (e.held(limit) for limit in ((-104.0, 40.0) if e.bits == 32 else (-746.0, 60.0)))
    clamped = e.select(x < low, low, x)
    clamped = e.select(clamped > high, high, clamped)
    p, k = _reduced_expm1(e, -clamped)
    # 1 / (1 + exp(-x)), with 1 and exp(-x) times a power of two, so that exp(-x) is a normal number and finite.
    lift = (e.bias + 1) // 2
    scale = e.power_of_two(k + (e.bias - lift))
    one = e.held(2.0**-lift)
    return one / (one + e.fma(scale, p, scale))


def _log_series(e: Emitter, f: Value) -> tuple[Value, Value]:
    """Return f^2/2 and the rest of log(1 + f) = f - (f^2/2 - rest), for -0.3 < f <= 1."""
    s = f / (f + 2.0)
    z = s * s
    half_square = f * f * 0.5
    return half_square, s * (half_square + z * e.polynomial(z, _ATANH[e.bits]))


def _softplus(e: Emitter, x: Value) -> Value:
    """Softplus, log(1 + exp(x)). Largest error 2.0 ulp (float32), 1.9 ulp (float64)."""
    z = _exp(e, -_absolute(e, x))
    half_square, rest = _log_series(e, z)
    return _relu(e, x) + (z - (half_square - rest))


def _log(e: Emitter, x: Value) -> Value:
    """Natural logarithm; -inf at 0, NaN below. Largest error 0.9 ulp (float32), 0.9 ulp (float64)."""
    subnormal = x < 2.0 ** (1 - e.bias)
    lift = e.mantissa + 2
    # m in [sqrt(1/2), sqrt(2)), x = 2^k m
    middle = e.to_bits(e.constant(0.70710678))
    one = e.to_bits(e.constant(1.0))
    bits = e.to_bits(e.select(subnormal, x * 2.0**lift, x)) + (one - middle)
    magic = e.constant(e.magic)
    k = e.from_bits((bits >> e.mantissa) + e.to_bits(magic)) - e.magic
    k = k - e.select(subnormal, float(e.bias + lift), float(e.bias))
    f = e.from_bits((bits & ((1 << e.mantissa) - 1)) + middle) - 1.0
    half_square, rest = _log_series(e, f)
    y = e.fma(k, _LN2_HIGH[e.bits], f - (half_square - (rest + k * _LN2_LOW[e.bits])))
    y = e.select(x < float("inf"), y, x)  # infinity and NaN
    return e.select(x > 0.0, y, e.select(x < 0.0, float("nan"), e.select(e.is_nan(x), x, -float("inf"))))


def _sqrt(e: Emitter, x: Value) -> Value:
    """Square root; NaN below 0. Largest error 0.5 ulp (float32), 0.5 ulp (float64)."""
    # The select hides the square root from LLVM: under the flag arcp it turns a division by it into an
    # estimate of the reciprocal root, which is NaN at 0.
    return e.select(x > 0.0, e.call("llvm.sqrt", x), e.select(x < 0.0, float("nan"), x))


def _relu(e: Emitter, x: Value) -> Value:
    """Rectifier. Exact."""
    return e.select(x <= 0.0, 0.0, x)


def _maximum(e: Emitter, x: Value, y: Value) -> Value:
    """Larger of two. Exact."""
    return e.select(e.is_nan(x), x, e.select(x > y, x, y))


def _minimum(e: Emitter, x: Value, y: Value) -> Value:
    """Smaller of two. Exact."""
    return e.select(e.is_nan(x), x, e.select(x <= y, x, y))


def _positive(e: Emitter, x: Value) -> Value:
    """1 where x > 0, else 0. Exact."""
    return e.select(x > 0.0, 1.0, e.select(e.is_nan(x), x, 0.0))


def _sign(e: Emitter, x: Value) -> Value:
    """Sign: -1, 0 or 1. Exact."""
    return e.select(x > 0.0, 1.0, e.select(x < 0.0, -1.0, x + 0.0))  # 0 for -0, as NumPy


_TABLE_START = {32: 126, 64: 1022}  # biased exponent of 0.5: smaller arguments need no reduction


@cache
def _turns(bits: int) -> tuple[tuple[float, ...], ...]:
    """(2^e / 2 pi) mod 1 in [-1/2, 1/2] as a sum of doubles, for the exponents of x = M 2^e, M an integer."""
    precision = 1300
    inverse_two_pi = _two_over_pi(precision) // 4  # of 2^precision
    mantissa, last, chunks = (23, 254, 2) if bits == 32 else (52, 2046, 4)
    bias = (127 if bits == 32 else 1023) + mantissa
    one = 1 << precision
    rows = []
    for exponent in range(_TABLE_START[bits], last + 1):
        shift = exponent - bias
        rest = inverse_two_pi << shift if shift >= 0 else inverse_two_pi >> -shift
        rest = (rest + one // 2) % one - one // 2
        row = []
        for _ in range(chunks):
            chunk = rest / one  # Python rounds the quotient of two integers correctly
            row.append(chunk)
            numerator, denominator = chunk.as_integer_ratio()
            rest -= numerator * one // denominator
        rows.append(tuple(row))
    return tuple(zip(*rows))


def _two_over_pi(precision: int) -> int:
    """Return floor(2^precision * 2 / pi), by Machin's formula in integers."""
    guard = precision + 64

    def arctan_of_inverse(n: int) -> int:
        power = total = (1 << guard) // n
        k = 1
        while power:
            power //= n * n
            total += (-1) ** k * (power // (2 * k + 1))
            k += 1
        return total

    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
    return (2 << (precision + guard)) // pi


def _look_up(e: Emitter, chunk: int, index: Value) -> Value:
    """Load the entry of a column of `_turns`; the global constant is shared by all uses in a module."""
    name, module = f"recurrent_dynamics.turns.{e.bits}.{chunk}", e.builder.module
    column = _turns(e.bits)[chunk]
    array = ir.ArrayType(ir.DoubleType(), len(column))
    table = module.globals.get(name)
    if table is None:
        table = ir.GlobalVariable(module, array, name)
        table.global_constant, table.linkage, table.unnamed_addr = True, "internal", True
        table.initializer = ir.Constant(array, list(column))
    zero = ir.Constant(ir.IntType(64), 0)
    wide = index.value if e.bits == 64 else e.builder.zext(index.value, ir.IntType(64))
    return Value(e, e.builder.load(e.builder.gep(table, [zero, wide], inbounds=True)))


def _two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _reduce_angle(e: Emitter, x: Value) -> tuple[Value, Value, Value]:
    """Return high, low and the integer n of |x| = n pi/2 + high + low, |high| <= pi/4 (Payne and Hanek)."""
    bits, build = e.to_bits(_absolute(e, x)), e.builder
    exponent, mask = bits >> e.mantissa, (1 << e.mantissa) - 1
    start, end = _TABLE_START[e.bits], _TABLE_START[e.bits] + len(_turns(e.bits)[0]) - 1
    index = e.select(
        exponent < start, e.like(bits, 0), e.select(exponent > end, e.like(bits, end), exponent) - start
    )
    # |x| = M 2^(exponent - bias - mantissa)
    m = e.from_bits((bits & mask) | ((e.bias + e.mantissa) << e.mantissa))
    if e.bits == 32:
        m = Value(e, build.fpext(m.value, ir.DoubleType()))
    product = m * (c := _look_up(e, 0, index))
    error = e.fma(m, c, product * -1.0)
    turn = product - e.call("llvm.rint", product)
    if e.bits == 32:
        quarters = e.call("llvm.rint", turn * 4.0)
        high = ((turn - quarters * 0.25) + (error + m * _look_up(e, 1, index))) * _TWO_PI_HIGH
        high, low = Value(e, build.fptrunc(high.value, e.real)), e.constant(0.0)
        quarters = Value(e, build.fptrunc(quarters.value, e.real))
    else:
        second, third = m * (c1 := _look_up(e, 1, index)), m * (c2 := _look_up(e, 2, index))
        turn, low1 = _two_sum(turn, error)
        turn, low2 = _two_sum(turn, second)
        quarters = e.call("llvm.rint", turn * 4.0)
        turn, low = turn - quarters * 0.25, m * _look_up(e, 3, index) + e.fma(m, c2, third * -1.0)
        for term in (low1, low2, e.fma(m, c1, second * -1.0), third):
            turn, lost = _two_sum(turn, term)
            low = low + lost
        turn, low = _two_sum(turn, low)
        high = turn * _TWO_PI_HIGH
        low = e.fma(turn, _TWO_PI_HIGH, high * -1.0) + (turn * _TWO_PI_LOW + low * _TWO_PI_HIGH)
    n = e.to_bits(quarters + e.magic)
    small = exponent < start
    high, low = e.select(small, _absolute(e, x), high), e.select(small, 0.0, low)
    return high, low, Value(e, build.select(small.value, e.like(n, 0).value, n.value))


def _sine(e: Emitter, x: Value, quarters: int) -> Value:
    """Return the sine of |x| + quarters * pi/2; NaN at infinity."""
    r, low, n = _reduce_angle(e, x)
    n = n + quarters
    z = r * r
    sine = r + e.fma(r * z, e.polynomial(z, _SIN[e.bits]), low * (1.0 - z * 0.5))
    half = z * 0.5
    w = 1.0 - half
    cosine = w + (((1.0 - w) - half) + e.fma(z * z, e.polynomial(z, _COS[e.bits]), r * low * -1.0))
    odd = (n & 1).compare("!=", 0)
    bits = e.to_bits(e.select(odd, cosine, sine)) ^ ((n & 2) << (e.bits - 2))
    return e.select(_absolute(e, x) < float("inf"), e.from_bits(bits), float("nan"))


def _sin(e: Emitter, x: Value) -> Value:
    """Sine; NaN at infinity. Largest error 1.5 ulp (float32), 0.8 ulp (float64)."""
    sign = e.to_bits(x) & e.sign_bit
    return e.from_bits(e.to_bits(_sine(e, x, 0)) ^ sign)


def _cos(e: Emitter, x: Value) -> Value:
    """Cosine; NaN at infinity. Largest error 1.6 ulp (float32), 0.8 ulp (float64)."""
    return _sine(e, x, 1)


def _typed(name: str, args: tuple[Any, ...]) -> Any:
    if args[0] not in (types.float32, types.float64) or any(arg != args[0] for arg in args):
        raise TypingError(f"{name} takes float32 or float64 of one dtype, got {', '.join(map(str, args))}")
    return args[0](*args)


def _compiled(name: str, emit: Callable[..., Value]) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emitter = Emitter(builder, signature.return_type.bitwidth)
        return emit(emitter, *(Value(emitter, arg) for arg in args)).value

    def unary(typingctx: Any, x: Any) -> Any:
        return _typed(name, (x,)), codegen

    def binary(typingctx: Any, x: Any, y: Any) -> Any:
        return _typed(name, (x, y)), codegen

    function = binary if emit.__code__.co_argcount == 3 else unary
    function.__name__, function.__doc__ = name, emit.__doc__
    return intrinsic(function)


_EMITTED: dict[str, Callable[..., Value]] = {
    emit.__name__[1:]: emit
    for emit in (
        _tanh, _sigmoid, _relu, _softplus, _exp, _expm1, _log, _sqrt, _absolute, _maximum, _minimum, _sin,
        _cos, _positive, _sign,
    )
}  # fmt: skip
COMPILED: dict[str, Any] = {name: _compiled(name, emit) for name, emit in _EMITTED.items()}


def written(builder: Any, real: Any) -> dict[str, Callable[..., Any]]:
    """The nonlinearities as functions of LLVM values of one type, which write their instructions."""
    emitter = Emitter(builder, 32 if real == ir.FloatType() else 64, hold=True)

    def function(emit: Callable[..., Value]) -> Callable[..., Any]:
        return lambda *given: emit(emitter, *(Value(emitter, value) for value in given)).value

    return {name: function(emit) for name, emit in _EMITTED.items()}
