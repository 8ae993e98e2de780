"""Equations translated into instructions: what Numba computes of the same source, bit by bit."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from cell_variants import of
from llvmlite import ir

from recurrent_dynamics.cells.layout import Layout
from recurrent_dynamics.engine.cpu import rows, tables
from recurrent_dynamics.equations.signatures import ARRAYS, OFFSETS
from recurrent_dynamics.kernels import machine_code, translation
from recurrent_dynamics.kernels.access import INTERPRETED

pytestmark = pytest.mark.skipif(INTERPRETED, reason="not compiled")

CELLS = {name: cell for name, cell in of("assembly").items() if not cell.memory}
DTYPES = ("float32", "float64")
QUICK = [
    (name, verb, dtype) for name, verb in (("elman", "forward"), ("lstm", "adjoint")) for dtype in DTYPES
]
# Each verb of each cell in one dtype: in the other one it has the same instructions on numbers of another size, and
# `test_cells_full` compares the numbers of both with the reference.
ALL = [
    pytest.param(name, verb, DTYPES[(i + j) % 2], marks=pytest.mark.full)
    for i, name in enumerate(CELLS)
    for j, verb in enumerate(ARRAYS)
    if (name, verb, DTYPES[(i + j) % 2]) not in QUICK
]
INSTANCES, STEPS, UNITS = (
    3,
    2,
    101,
)  # with vectors of 64 bytes, 64 units are computed at a time, then the rest


def arrays_of(cell, verb, dtype, rng):
    """The arrays of a task with some rows, and the widths of a row of values, of the state and of vectors."""
    layout = Layout.of(cell, 4, UNITS)
    widths = layout.values_size, layout.state_size, layout.vectors_size
    local = tables.diagonals(cell, layout)[2]
    size = {"e": widths[0], "s": widths[1], "n": widths[1], "dn": widths[1], "ds": widths[1], "tn": widths[1],
            "us": widths[1], "dp": widths[2], "up": widths[2]}  # fmt: skip
    found = []
    for name in ARRAYS[verb]:
        row = {"C": len(cell.constants), "P": widths[2], "tP": widths[2], "J": local}.get(name) or size.get(
            OFFSETS.get(name), 0
        )
        found.append(rng.uniform(0.1, 0.9, max(1, row) * INSTANCES * STEPS).astype(dtype))
    return found, (widths[0], widths[1], local if verb == "jacobian" else widths[2]), tables.widths(layout)


@pytest.mark.parametrize(("name", "verb", "dtype"), QUICK + ALL)
def test_translated_equations_have_the_bits_of_those_that_numba_compiles(name, verb, dtype):
    cell = CELLS[name]
    results = []
    for compiler in (rows._of_instructions, rows._by_numba):
        arrays, row, widths = arrays_of(cell, verb, dtype, np.random.default_rng(0))
        task = np.array([*row, *(n for a in arrays for n in (a.ctypes.data, a.size))], np.int64)
        sizes = np.concatenate([widths, 0 * widths, widths])
        instances = np.array([0, 2], np.int64)
        library, symbol = compiler(cell, verb, dtype)("test")
        integer, pointer = ctypes.c_int64, ctypes.c_void_p
        kind = ctypes.CFUNCTYPE(None, integer, pointer, pointer, pointer, integer, integer)
        kernel = kind(library.get_pointer_to_function(symbol))
        for stage in range(cell.schedule.stages + 1):
            kernel(
                stage, task.ctypes.data, sizes.ctypes.data, instances.ctypes.data, INSTANCES, instances.size
            )
        results.append(arrays)
    start, _, _ = arrays_of(cell, verb, dtype, np.random.default_rng(0))
    assert any((a != b).any() for a, b in zip(start, results[0], strict=True))
    for translated, wanted in zip(*results, strict=True):
        np.testing.assert_array_equal(translated, wanted)


def compiled(source, lanes=0):
    """A function f(array of integers) of a source."""
    pointer = translation.INTEGER.as_pointer()

    def write(builder):
        def put(array, at, value):
            builder.store(value, builder.gep(array, [at]))

        made = translation.Translation(builder, ir.DoubleType(), {"put": put}, lanes)
        made.write(source, *builder.function.args)

    made = machine_code.of_instructions(ir.FunctionType(ir.VoidType(), [pointer]), write)("test")
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(made.library.get_pointer_to_function(made.function)), made


@pytest.mark.parametrize("lanes", [0, 1])
def test_loops_and_conditions_are_those_of_python(lanes):
    source = """
def f(a):
    n, limit = a[0], a[1]
    for i in range(n):
        for j in range(i, limit):
            if i == j:
                put(a, 2 + i * limit + j, 7 * a[0] - j)
"""
    function, _ = compiled(source, lanes)
    for n, limit in ((3, 4), (4, 3), (0, 2), (-1, 2), (2, 7), (1, 8)):
        numbers = np.arange(20)
        numbers[:2] = n, limit
        wanted = numbers.copy()
        scope = {"put": lambda a, at, value: a.__setitem__(at, value)}
        exec(source, scope)
        scope["f"](wanted)
        function(numbers.ctypes.data)
        np.testing.assert_array_equal(numbers, wanted)


@pytest.mark.parametrize(
    "line",
    [
        "while n: n = 0", "n += 1", "n = a[0] / 2", "n = a[0] ** 2", "n = not a[0]", "return 1",
        "for i in range(0, 9, 2): put(a, i, i)", "n = one + 1", "n = 'text'",
    ],
)  # fmt: skip
def test_source_beyond_the_language_is_refused(line):
    with pytest.raises(TypeError, match="cannot translate"):
        compiled(f"def f(a):\n    one = a.dtype.type(1.0)\n    {line}\n")


def test_a_variable_of_another_block_is_unknown():
    with pytest.raises(KeyError, match="x"):
        compiled("def f(a):\n    if a[0] == 1:\n        x = a[1]\n    put(a, 2, x)\n")
