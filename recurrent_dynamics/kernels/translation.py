"""Translates the source of loops over flat arrays into LLVM instructions, without Numba.

Numba would first load its whole library, then infer the types of each variable. Here all integers have 64 bits and all
reals are of one dtype, so that neither is needed. The source may contain

    a, b = sizes[0], sizes[1]               assignments, entries of arrays of integers
    one = E.dtype.type(1.0)                 constants in the dtype of an array
    if stage == 1:                          equality of integers, without else
    for j in range(a, b):                   loops that count by one
    y = x * (one + (-x))                    + - * of two integers, + - * / of two reals, the negative of a real
    x, put(E, at, x, 0)                     calls of functions that write instructions

A variable is known in the block that assigns it and in the blocks inside of it. No variable is assigned again.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from llvmlite.ir.values import MDValue

INTEGER = ir.IntType(64)
# Vectors that an innermost loop computes at a time, instruction by instruction. A processor holds about a hundred
# instructions that wait. If they are those of one vector after the other, most of them wait for the one before: a unit
# of an LSTM of 256 units took 2.7 instead of 1.9 ns with AVX2, 1.7 instead of 1.5 ns with AVX-512 (Zen 4).
INTERLEAVED = 4
_OF_INTEGERS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}
_OF_REALS = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}


class Translation:
    """Writes the instructions of Python source where a builder stands.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    real : llvmlite.ir.Type
        The type of all reals.
    functions : mapping
        By their names in the source, functions that take and return LLVM values. Constants are `int` for them.
    lanes : int
        Entries of a vector. If given, innermost loops compute INTERLEAVED vectors at a time, and the rest in a loop of
        its own.
    """

    def __init__(
        self,
        builder: ir.IRBuilder,
        real: ir.Type,
        functions: Mapping[str, Callable[..., Any]],
        lanes: int = 0,
    ) -> None:
        self.builder, self.real, self.functions, self._lanes = builder, real, functions, lanes

    def write(self, source: str, *arguments: Any) -> None:
        """Write the body of the one function of a source, for these arguments."""
        (function,) = ast.parse(source).body
        if not isinstance(function, ast.FunctionDef):
            raise TypeError(f"the source has no function: {source}")
        names = [argument.arg for argument in function.args.args]
        self._block(function.body, dict(zip(names, arguments, strict=True)))

    def _block(self, statements: list[ast.stmt], variables: dict[str, Any]) -> None:
        for statement in statements:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    variables[name] = self._value(value, variables)
                case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                    found = [self._value(value, variables) for value in values]
                    variables.update(zip([name.id for name in names], found, strict=True))  # type: ignore[attr-defined]
                case ast.If(test=ast.Compare(left=a, ops=[ast.Eq()], comparators=[b]), body=body, orelse=[]):
                    equal = self.builder.icmp_signed(
                        "==", self._instruction(a, variables), self._instruction(b, variables)
                    )
                    with self.builder.if_then(equal):
                        self._block(body, variables.copy())
                case ast.For(
                    target=ast.Name(id=name),
                    iter=ast.Call(func=ast.Name(id="range"), args=ends),
                    body=body,
                    orelse=[],
                ) if len(ends) <= 2:
                    first, end = ([INTEGER(0)] + [self._instruction(end, variables) for end in ends])[-2:]
                    parts = [(first, end, 1)]
                    if self._lanes and not any(isinstance(n, ast.For) for s in body for n in ast.walk(s)):
                        middle = _last_whole(self.builder, first, end, INTERLEAVED * self._lanes)
                        parts = [(first, middle, INTERLEAVED), (middle, end, 1)]
                    for first, end, vectors in parts:
                        with count_up(self.builder, first, end, vectors) as index:
                            self._block(body, variables | {name: index})
                case ast.Expr(value=ast.Call() as call):
                    self._value(call, variables)
                case _:
                    raise TypeError(f"cannot translate {ast.unparse(statement)!r}")

    def _instruction(self, expression: ast.expr, variables: dict[str, Any]) -> Any:
        """The value of an expression, also of a constant."""
        value = self._value(expression, variables)
        return INTEGER(value) if isinstance(value, int) else value

    def _value(self, expression: ast.expr, variables: dict[str, Any]) -> Any:
        match expression:
            case ast.Constant(value=int(value)):
                return value
            case ast.Name(id=name):
                return variables[name]
            case ast.Subscript(value=ast.Name(id=name), slice=at):
                return self.builder.load(
                    self.builder.gep(variables[name], [self._instruction(at, variables)])
                )
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = self._value(operand, variables)
                if getattr(value, "type", None) == self.real:
                    return self.builder.fsub(self.real(-0.0), value)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self._instruction(left, variables), self._instruction(right, variables)
                names: Mapping[type[ast.operator], str] = _OF_INTEGERS if a.type == INTEGER else _OF_REALS
                if a.type == b.type and type(op) in names:
                    return getattr(self.builder, names[type(op)])(a, b)
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="dtype"), attr="type"), args=[number]):
                return self.real(float(ast.literal_eval(number)))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.functions[name](*[self._value(argument, variables) for argument in arguments])
        raise TypeError(f"cannot translate {ast.unparse(expression)!r}")


def _last_whole(builder: ir.IRBuilder, first: Any, end: Any, n: int) -> Any:
    """The last of the integers first, first + n, ... that is at most `end`; n is a power of two."""
    count = builder.sub(end, first)
    some = builder.icmp_signed(">", count, INTEGER(0))
    return builder.add(first, builder.select(some, builder.and_(count, INTEGER(-n)), INTEGER(0)))


@contextmanager
def count_up(builder: ir.IRBuilder, first: Any, end: Any, vectors: int = 1) -> Any:
    """A loop over the integers from `first` to before `end`; its body is what is written while entered.

    With several `vectors` LLVM is to compute so many at a time, instruction by instruction.
    """
    before = builder.block
    inside, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed("<", first, end), inside, after)
    builder.position_at_end(inside)
    index = builder.phi(INTEGER)
    index.add_incoming(first, before)
    yield index
    following = builder.add(index, INTEGER(1), flags=("nsw",))
    index.add_incoming(following, builder.block)
    again = builder.cbranch(builder.icmp_signed("<", following, end), inside, after)
    if vectors > 1:
        module = builder.module
        name, number = ir.MetaDataString(module, "llvm.loop.interleave.count"), ir.IntType(32)(vectors)
        wish = module.add_metadata([name, number])
        # Made directly: `add_metadata` would give all loops one node, and LLVM tells loops apart by their nodes.
        loop = MDValue(module, [wish], name=str(len(module.metadata)))
        loop.operands = (loop, wish)
        again.set_metadata("llvm.loop", loop)
    builder.position_at_end(after)
