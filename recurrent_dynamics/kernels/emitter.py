"""Emits branch-free LLVM instructions, written with Python's operators, into the function being compiled.

Numba adds the caller's fast-math flags to every floating-point instruction that has none. Each instruction therefore
gets one flag that has no effect on its opcode. Rounding is that of IEEE arithmetic, with fused multiply-adds only where
`Emitter.fma` is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

__all__ = ["Emitter", "Value"]


class Value:
    """A number of the program being emitted, real or integer, with the operators of Python."""

    def __init__(self, emitter: Emitter, value: Any) -> None:
        self.emitter, self.value = emitter, value

    def _binary(self, real: str, integer: str, other: Value | float, swap: bool = False) -> Value:
        a, b = self, self.emitter.like(self, other)
        if swap:
            a, b = b, a
        build = self.emitter.builder
        if isinstance(self.value.type, ir.IntType):
            return Value(self.emitter, getattr(build, integer)(a.value, b.value))
        # A flag that has no effect on this opcode: see the module.
        flag = "contract" if real == "fdiv" else "arcp"
        return Value(self.emitter, getattr(build, real)(a.value, b.value, flags=(flag,)))

    def __add__(self, other: Value | float) -> Value:
        return self._binary("fadd", "add", other)

    def __sub__(self, other: Value | float) -> Value:
        return self._binary("fsub", "sub", other)

    def __rsub__(self, other: float) -> Value:
        return self._binary("fsub", "sub", other, swap=True)

    def __mul__(self, other: Value | float) -> Value:
        return self._binary("fmul", "mul", other)

    def __truediv__(self, other: Value | float) -> Value:
        return self._binary("fdiv", "udiv", other)

    def __neg__(self) -> Value:
        return self * -1.0

    def __and__(self, other: Value | int) -> Value:
        return self._binary("", "and_", other)

    def __or__(self, other: Value | int) -> Value:
        return self._binary("", "or_", other)

    def __xor__(self, other: Value | int) -> Value:
        return self._binary("", "xor", other)

    def __lshift__(self, other: int) -> Value:
        return self._binary("", "shl", other)

    def __rshift__(self, other: int) -> Value:
        return self._binary("", "lshr", other)

    def compare(self, relation: str, other: Value | float) -> Value:
        """Ordered comparison of reals (false for NaN), unsigned comparison of integers."""
        other, build = self.emitter.like(self, other), self.emitter.builder
        if isinstance(self.value.type, ir.IntType):
            return Value(self.emitter, build.icmp_unsigned(relation, self.value, other.value))
        return Value(self.emitter, build.fcmp_ordered(relation, self.value, other.value, flags=("arcp",)))

    def __lt__(self, other: Value | float) -> Value:
        return self.compare("<", other)

    def __le__(self, other: Value | float) -> Value:
        return self.compare("<=", other)

    def __gt__(self, other: Value | float) -> Value:
        return self.compare(">", other)


class Emitter:
    """Emits the instructions of one function for one dtype into the caller's block."""

    def __init__(self, builder: Any, bits: int, hold: bool = False) -> None:
        self.builder, self.bits, self._hold = builder, bits, hold
        self._held: dict[str, Value] = {}
        self.real = ir.FloatType() if bits == 32 else ir.DoubleType()
        self.integer = ir.IntType(bits)
        self.mantissa, self.bias = (23, 127) if bits == 32 else (52, 1023)
        self.magic = 1.5 * 2.0**self.mantissa  # x + magic - magic rounds to an integer
        self.sign_bit = 1 << (bits - 1)

    def like(self, model: Value, other: Value | float) -> Value:
        """Return a Python number as a constant of the type of ``model``."""
        return other if isinstance(other, Value) else Value(self, ir.Constant(model.value.type, other))

    def constant(self, value: float) -> Value:
        """Return a real constant."""
        return Value(self, ir.Constant(self.real, value))

    def held(self, value: float) -> Value:
        """Return a real constant; with `hold`, one that LLVM does not see through and that exists before any loop.

        LLVM would load each constant in each pass of a loop, and store it on the stack where registers are few: a third
        of the instructions of an LSTM with AVX2. Functions that are inlined may not hold constants: a loop with a fence
        inside does not become vectors.
        """
        if not self._hold:
            return self.constant(value)
        key = repr(value)  # 0.0 == -0.0
        if key not in self._held:
            with self.builder.goto_entry_block():
                self._held[key] = self.call("llvm.arithmetic.fence", self.constant(value))
        return self._held[key]

    def select(self, condition: Value, yes: Value | float, no: Value | float) -> Value:
        """Return one of two values, without a branch."""
        a, b = (v if isinstance(v, Value) else self.constant(v) for v in (yes, no))
        return Value(self, self.builder.select(condition.value, a.value, b.value))

    def call(self, name: str, *args: Value) -> Value:
        """Call an intrinsic of LLVM, overloaded on the type of the arguments."""
        kind = args[0].value.type
        function = self.builder.module.declare_intrinsic(
            name, [kind], ir.FunctionType(kind, [kind] * len(args))
        )
        return Value(self, self.builder.call(function, [arg.value for arg in args]))

    def fma(self, a: Value, b: Value | float, c: Value | float) -> Value:
        """Return a * b + c, rounded once."""
        b, c = (v if isinstance(v, Value) else self.held(v) for v in (b, c))
        return self.call("llvm.fma", a, b, c)

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """Evaluate by Estrin's scheme, which has half the latency of Horner's; the constant coefficient comes first."""
        values: list[Any] = list(coefficients)
        while len(values) > 1:
            pairs = [self.fma(x, b, a) for a, b in zip(values[::2], values[1::2], strict=False)]
            x = x * x
            if len(values) % 2:
                pairs[-1] = self.fma(x, values[-1], pairs[-1])
            values = pairs
        return values[0]

    def to_bits(self, x: Value) -> Value:
        """Return the bits of a real as an integer."""
        return Value(self, self.builder.bitcast(x.value, self.integer))

    def from_bits(self, x: Value) -> Value:
        """Return the real of these bits."""
        return Value(self, self.builder.bitcast(x.value, self.real))

    def is_nan(self, x: Value) -> Value:
        """Return whether x is NaN."""
        return Value(self, self.builder.fcmp_unordered("uno", x.value, x.value, flags=("arcp",)))

    def copy_sign(self, magnitude: Value, sign: Value) -> Value:
        """Return ``magnitude`` with the sign of ``sign``."""
        bits = self.to_bits(magnitude) & (self.sign_bit - 1)
        return self.from_bits(bits | (self.to_bits(sign) & self.sign_bit))

    def positive(self, x: Value) -> Value:
        """Return the absolute value; its mask is `held`."""
        sign = self.to_bits(self.held(-0.0))
        return self.from_bits(self.to_bits(x) & (sign ^ -1))

    def with_sign(self, magnitude: Value, sign: Value) -> Value:
        """Return ``magnitude``, which is not negative, with the sign of ``sign``."""
        of_sign = self.to_bits(sign) & self.to_bits(self.held(-0.0))
        return self.from_bits(self.to_bits(magnitude) | of_sign)

    def power_of_two(self, biased: Value) -> Value:
        """Return the power of two of a biased exponent."""
        return self.from_bits(biased << self.mantissa)
