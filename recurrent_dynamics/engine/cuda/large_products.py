"""The products for all steps at once before and after a walk, by cuBLAS; as `engine.cpu.input_products`.

IEEE arithmetic unless the tape says tf32, and a fixed order: a result is the same every time.
"""

from __future__ import annotations

from typing import Any

from ..flatten import Flat, preactivations_size
from ..run import Tape
from ..stacked_products import StackedProduct, stacked_products
from .blas import product
from .driver import array_module


def inputs(values: Any, tape: Tape, x: Any, W: Any, bias: Any) -> None:
    """values[..., parts] = bias + x W^T, and 0 in steps beyond the length of a sequence."""
    values[..., : preactivations_size(tape.layout)] = bias
    add_input(values, tape, x, W)
    clear_ended(tape, values)


def add_input(values: Any, tape: Tape, x: Any, W: Any) -> None:
    """values[..., parts] += x W^T."""
    g, n, rows = tape.layout.input_rows, tape.layout.input_size, tape.steps * tape.batch
    if g and n:
        product(x.reshape(rows, n), W.T, values.reshape(rows, -1)[:, :g], add=True, tf32=tape.tf32)


def clear_ended(tape: Tape, values: Any) -> None:
    """Zeros in steps beyond the length of a sequence."""
    if tape.lengths.size:
        values[array_module().arange(tape.steps)[:, None] >= tape.lengths] = 0


def add_moved(values: Any, tape: Tape, matrices: Any) -> None:
    """values[target] += M operand for all products of all steps, with other matrices: their tangents."""
    rows = tape.steps * tape.batch
    for p in stacked_products(tape.layout):
        if p.size:
            M = matrices[p.at : p.at + p.size].reshape(p.heads, p.height, p.columns)
            out = _target(p, values, rows).transpose(1, 0, 2)
            product(_operand(tape, p).transpose(1, 0, 2), M.transpose(0, 2, 1), out, add=True, tf32=tape.tf32)


def add_gradients(into: Flat, x: Any, tape: Tape, values: Any) -> None:
    """From the cotangents of the values of a walk: add those of the parameters, write that of the input (T, B, N)."""
    layout = tape.layout
    g, n, rows = layout.input_rows, layout.input_size, tape.steps * tape.batch
    d = values.reshape(rows, -1)
    if g and n:
        product(d[:, :g], tape.W, x.reshape(rows, n), tf32=tape.tf32)
        product(d[:, :g].T, tape.x.reshape(rows, n), into.W, add=True, tf32=tape.tf32)
    into.bias[...] += d[:, : preactivations_size(layout)].sum(axis=0)
    for p in stacked_products(layout):
        if p.size:
            block = into.matrices[p.at : p.at + p.size].reshape(p.heads, p.height, p.columns)
            target, operand = _target(p, values, rows), _operand(tape, p)
            product(target.transpose(1, 2, 0), operand.transpose(1, 0, 2), block, add=True, tf32=tape.tf32)


def _target(p: StackedProduct, values: Any, rows: int) -> Any:
    """The target of a product in all rows, (rows, heads, height)."""
    return values.reshape(rows, -1)[:, p.target : p.target + p.heads * p.height].reshape(
        rows, p.heads, p.height
    )


def _operand(tape: Tape, p: StackedProduct) -> Any:
    """The operand of a product in all rows, (rows, heads, columns)."""
    rows = tape.steps * tape.batch
    row = (tape.before if p.from_state else tape.values).reshape(rows, -1)
    return row[:, p.source : p.source + p.heads * p.columns].reshape(rows, p.heads, p.columns)
