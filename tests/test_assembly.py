"""The machine code of the engine: rows in full-width vectors without calls, tiles that stay in the registers.

The text that LLVM prints is cut into functions and loops. A row function has one loop after the other, and of each LLVM
makes one with full-width vectors, perhaps one with narrower ones, and a scalar one for the last units, all of the same
arithmetic: a scalar loop without such a twin was not vectorized.
"""

from __future__ import annotations

import math
import platform
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import njit, types

import recurrent_dynamics as rd
from recurrent_dynamics import cells
from recurrent_dynamics.cells import NAMED, Cell
from recurrent_dynamics.engine.cpu import microkernel, walks
from recurrent_dynamics.engine.cpu.rows import Equations, row_adjoint, row_forward
from recurrent_dynamics.equations.derive import Derivation
from recurrent_dynamics.equations.fission import parted
from recurrent_dynamics.equations.nonlinearities import sigmoid, tanh
from recurrent_dynamics.equations.signatures import OFFSETS, SIGNATURES
from recurrent_dynamics.equations.source import source
from recurrent_dynamics.equations.symbolic import symbolic_function
from recurrent_dynamics.kernels.access import CHECKED, INTERPRETED, OPTIONS, PARALLEL, get, put
from recurrent_dynamics.kernels.elementary import COMPILED
from recurrent_dynamics.kernels.microkernel import BYTES, HALF, ROWS, VECTORS, WIDE
from recurrent_dynamics.kernels.product import total

MACHINE = platform.machine()
X86 = MACHINE in {"x86_64", "AMD64"}
FEATURES = llvm.get_host_cpu_features()

pytestmark = [
    pytest.mark.skipif(not X86 and MACHINE not in {"aarch64", "arm64"}, reason="not x86-64 or AArch64"),
    pytest.mark.skipif(X86 and not FEATURES.get("fma"), reason="without it the engine calls the C library"),
    pytest.mark.skipif(INTERPRETED or CHECKED, reason="not compiled, or with a look at every index"),
]

SCALAR = 0  # as bytes of a vector
SCALABLE = 256  # the most that SVE allows: the text does not say what the host has
REGISTERS = {"x": 16, "y": 32, "z": 64}  # %xmm, %ymm, %zmm
KINDS = {"add": "sum", "sub": "sum", "subr": "sum", "mul": "product", "nmul": "product", "div": "quotient"}
KINDS |= {"divr": "quotient", "sqrt": "root"}  # any other: fused
ARITHMETIC = r"f(add|subr?|n?mul|divr?|sqrt|n?m(?:la|ls|ad|sb|add|sub))"
if X86:
    ARITHMETIC = r"v?(add|sub|mul|div|sqrt|fn?m(?:add|sub)\d*)([ps])[sd]"

LOCAL = re.compile(r"\.L|[Ll](BB|CPI|JTI|loh|tmp|func)|\.const|__(real|[xyz]mm)@")
BRANCH = re.compile(r"(j\w+|b|b\.\w+|bc\.\w+|cbn?z|tbn?z) (?:.*[ ,])?([^ ,]+)$")
LEAVE = re.compile(r"(jmpq?|b|br|retq?|ret|ud2|brk)( |$)")
CALL = r"^(callq?|blr?) "
VECTOR = r"%[xyz]mm" if X86 else r"\b[vqz]\d"
# AT&T syntax names the target last.
READERS = r"v?u?comis|cmp|test|bt|prefetch|push|call|jmp|i?mul\w? [^,]*$|i?div\w? "
STORE = rf"^(?!{READERS}).* [^ ]*\)( \{{.*)?$" if X86 else r"^(st|cas|swp)\w+ "
WHOLE = r"v?mov([ua]p|dq[ua]|nt)" if X86 else "st"
ALLOWED = {"NRT_incref", "NRT_decref", "NRT_MemInfo_call_dtor", "memcpy", "memmove", "memset"}
COPIES = re.compile(r"\b_?mem(cpy|move|set)\b")


@dataclass(frozen=True)
class Loop:
    """The instructions of one loop."""

    lines: tuple[str, ...]
    stack: str  # pattern of the registers that point to it

    @property
    def arithmetic(self) -> dict[int, Counter[str]]:
        """How many operations of each kind, by the bytes of their vectors."""
        found: dict[int, Counter[str]] = {}
        for width, kind in filter(None, map(operation, self.lines)):
            found.setdefault(width, Counter())[kind] += 1
        return found

    @property
    def stored(self) -> set[int]:
        """The bytes of the vectors that are stored, except on the stack."""
        lines = [line for line in self.matching(STORE) if not re.search(self.stack, line)]
        return {vector(line.partition(" ")[2]) for line in lines if re.match(WHOLE, line)}

    def matching(self, pattern: str) -> list[str]:
        return [line for line in self.lines if re.search(pattern, line)]

    @property
    def beyond_registers(self) -> list[str]:
        """Stores, calls, and values that did not fit the registers."""
        return self.matching(STORE) + self.matching(self.stack) + self.matching(CALL)


def functions(text: str) -> dict[str, list[str]]:
    """Labels and instructions of every function, without directives and comments."""
    found: dict[str, list[str]] = {}
    body: list[str] = []
    for line in text.splitlines():
        line = re.sub(r"(//|##|; ).*", "", line).rstrip()
        label = re.match(r'("[^"]*"|[^\s:"]+):$', line)
        if label and not LOCAL.match(label[1]):
            body = found.setdefault(label[1], [])
        elif label or re.match(r"\t[a-z]", line):
            line = " ".join(line.split())
            body.append(re.sub(r"^(\w+)\.(\d\w) (\{? ?v\d+)", r"\1 \3.\2", line))  # as Apple writes it
    return {name: body for name, body in found.items() if any(not line.endswith(":") for line in body)}


def flow(body: list[str]) -> tuple[list[list[str]], list[set[int]], list[set[int]]]:
    """The blocks of a function, of each the blocks that may come next, and those that may come sooner or later."""
    blocks: list[list[str]] = [[]]
    start: dict[str, int] = {}
    for line in body:
        if line.endswith(":"):
            blocks.append([])
            start[line[:-1]] = len(blocks) - 1
        else:
            blocks[-1].append(line)
            if BRANCH.match(line) or LEAVE.match(line):
                blocks.append([])
    following = []
    for i, block in enumerate(blocks):
        last = block[-1] if block else ""
        branch = BRANCH.match(last)
        following.append({start[branch[2]]} if branch and branch[2] in start else set())
        if i + 1 < len(blocks) and not LEAVE.match(last):
            following[i].add(i + 1)
    reached = []
    for direct in following:
        seen, new = set(direct), direct
        while new := set().union(*(following[i] for i in new)) - seen:
            seen |= new
        reached.append(seen)
    return blocks, following, reached


def loops(text: str, nested: bool = False) -> Iterator[Loop]:
    """Blocks that lead to each other; where loops are `nested`, only blocks that lead to themselves at once.

    The functions read here nest no loops, so that these are single ones; a walk does.
    """
    for body in functions(text).values():
        whole = "\n".join(body)
        stack = [r"%[re]sp\b|\bsp\b"] + [r"%rbp\b"] * ("movq %rsp, %rbp" in whole)
        stack += [r"\bx29\b"] * bool(re.search(r"(mov|add) x29, sp", whole))
        blocks, following, reached = flow(body)
        if nested:
            parts = {(i,) for i, direct in enumerate(following) if i in direct}
        else:
            parts = {tuple(sorted(j for j in seen if i in reached[j])) for i, seen in enumerate(reached)}
        for part in sorted(parts - {()}):
            yield Loop(tuple(line for i in part for line in blocks[i]), "|".join(stack))


def operation(line: str) -> tuple[int, str] | None:
    """(bytes, kind) of arithmetic; not of a minimum, as a comparison may become one in the vector loop only."""
    name, _, operands = line.partition(" ")
    if not (found := re.fullmatch(ARITHMETIC, name)):
        return None
    width = vector(operands) if not X86 or found[2] == "p" else SCALAR
    return width, KINDS.get(found[1], "fused")


def vector(operands: str) -> int:
    """The bytes of the widest vector of an operation, on AArch64 of the first operand."""
    if X86:
        return max((REGISTERS[r] for r in re.findall(r"%([xyz])mm", operands)), default=SCALAR)
    found = re.match(r"\{? ?(z\d|q\d|v\d+\.(2s|4s|2d))", operands)
    return (SCALABLE if found[1][0] == "z" else 8 if found[2] == "2s" else 16) if found else SCALAR


def foreign(text: str) -> set[str]:
    """What the functions refer to outside of the text, except memory management and copies."""
    if X86:
        named = r"(?<![%\w.$@])\$?([A-Za-z_.][\w.$@]*)(?=[,()*]|$)"
    else:
        named = r"(?:#:abs_g\d(?:_nc)?:|:got:|:got_lo12:|:lo12:|\bbl |\bb |adrp \w+, )([A-Za-z_.][\w.$]*)"
    own = functions(text)
    lines = [line for body in own.values() for line in body if not line.endswith(":")]
    symbols = {s for line in lines for s in re.findall(named, line.partition(" ")[2] if X86 else line)}
    return {s for s in symbols - set(own) if s.removeprefix("_") not in ALLOWED and not LOCAL.match(s)}


def in_lowest_terms(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    """What loops of one origin have in common, however many vectors each takes at once.

    Products only where there is nothing else: a scalar one is computed twice if its negative is needed too (AArch64).
    """
    told = {kind: n for kind, n in counts.items() if kind != "product"} or dict(counts)
    return tuple(sorted((kind, n // math.gcd(*told.values())) for kind, n in told.items()))


def shortcomings(text: str, width: int, number: int, quotients: int = 0) -> list[str]:
    """Why not all is done in vectors of a width in bytes, in so many loops with at least so many divisions."""
    found = [f"refers to {symbol}" for symbol in sorted(foreign(text))]
    like: dict[int, Counter[Any]] = {width: Counter()}
    wide = divisions = 0
    for loop in loops(text):
        found += [f"calls in a loop: {call}" for call in loop.matching(CALL)]
        for at, counts in loop.arithmetic.items():
            like.setdefault(at, Counter())[in_lowest_terms(counts)] += 1
        if len(loop.arithmetic) > 1:
            found.append(f"vectors of several widths in a loop: {loop.arithmetic}")
        elif set(loop.arithmetic) <= {width} and not loop.matching(CALL):
            wide += width in loop.stored
            divisions += loop.arithmetic.get(width, Counter())["quotient"]
    for at in sorted(set(like) - {width}):
        if alone := like[at] - like[width]:
            found.append(f"loops of {at} bytes without a twin of {width}: {dict(alone)}")
    copies = sum(bool(COPIES.search(line)) for body in functions(text).values() for line in body)
    if wide + copies < number:
        found.append(f"{wide} loops and {copies} copies of {width} bytes, not {number}")
    if divisions < quotients:
        found.append(f"{divisions} divisions of {width} bytes, not {quotients}")
    return found


REAL = {"float32": types.float32, "float64": types.float64}
ROW = {"forward": row_forward, "adjoint": row_adjoint}


def assembly(function: Callable[..., Any], *arguments: types.Type) -> str:
    """What LLVM makes of a call with arguments of these types; never taken from the disk."""

    @njit(**OPTIONS, no_cfunc_wrapper=True)
    def alone(arguments):
        return function(*arguments)

    signature = (types.BaseTuple.from_types(arguments),)
    alone.compile(signature)
    return alone.inspect_asm(signature)


def row_arguments(cell: Cell, verb: str, dtype: str) -> list[types.Type]:
    """As a walk calls it: `sizes` is an array whose entries the compiler cannot know."""
    offset, names = types.int64, SIGNATURES[verb].split(", ")
    of_row = [offset if name in OFFSETS.values() else REAL[dtype][::1] for name in names]
    return [Equations(cell)._numba_type_, types.int64, types.int64[::1], *of_row]


@cache
def row_assembly(cell: Cell, verb: str, dtype: str) -> str:
    return assembly(ROW[verb], *row_arguments(cell, verb, dtype))


compiled_tanh = COMPILED["tanh"]


@njit(**OPTIONS)
def plain(x, out):
    for j in range(out.size):
        put(out, j, compiled_tanh(get(x, j)))


@njit(**OPTIONS)
def dependent(x, out):
    s = x.dtype.type(0)
    for j in range(out.size):
        s = compiled_tanh(s + get(x, j))
        put(out, j, s)


@njit(**OPTIONS)
def calling(x, out):
    for j in range(out.size):
        put(out, j, math.lgamma(get(x, j)))


@cache
def widest() -> int:
    """The bytes of the vectors that LLVM chooses for the plainest loop.

    They are the widest that the host has, except on Intel's processors with AVX-512: there LLVM halves them.
    """
    array = types.float32[::1]
    chosen = max(max(loop.arithmetic, default=SCALAR) for loop in loops(assembly(plain, array, array)))
    if not X86:
        assert chosen in {16, SCALABLE}
    elif FEATURES.get("avx512f") and not llvm.get_host_cpu_name().startswith("znver"):
        assert chosen in {32, 64}
    else:
        assert chosen == (64 if FEATURES.get("avx512f") else 32 if FEATURES.get("avx") else 16)
    return chosen


def test_loops_that_are_not_vectorized_are_seen():
    array = types.float32[::1]
    judged = {f: shortcomings(assembly(f, array, array), widest(), 1) for f in (plain, dependent, calling)}
    assert judged[plain] == []
    assert any("without a twin" in fault for fault in judged[dependent])
    assert any("calls in a loop" in fault for fault in judged[calling])
    assert any(re.search("refers to _?lgamma", fault) for fault in judged[calling])


def test_a_row_of_narrower_vectors_or_with_parts_missing_is_seen():
    assert wanted(CELLS["lstm"], "forward") == (2, 5)
    text = row_assembly(CELLS["lstm"], "forward", "float32")
    assert any(f"loops of {widest()} bytes without" in f for f in shortcomings(text, 2 * widest(), 1))
    assert len(shortcomings(text, widest(), 3, 10)) == 2


@pytest.mark.full
def test_a_row_that_needs_too_many_comparisons_of_pointers_is_seen():
    """What the marks of streams are for: without them this row is not vectorized at all."""
    cell = CELLS["lstm_normalized"]
    bare: dict[str, Any] = dict(COMPILED)
    bare["get"] = njit(**OPTIONS)(lambda array, index, stream: get(array, index))
    bare["put"] = njit(**OPTIONS)(lambda array, index, value, stream: put(array, index, value))
    exec(source(Derivation(cell, compact=True), "adjoint").text, bare)
    text = assembly(njit(**OPTIONS)(bare["adjoint"]), *row_arguments(cell, "adjoint", "float32"))
    assert any("loops of 0 bytes without a twin" in fault for fault in shortcomings(text, widest(), 1))


CELLS: dict[str, Cell] = {
    **{name: make() for name, make in NAMED.items()},
    "leaky_learnt": cells.leaky(gate="learnt"),
    "leaky_input": cells.leaky(gate="input"),
    "lstm_normalized": cells.lstm().with_normalization(),
    "gru_normalized": cells.gru().with_normalization(),
}
QUICK = [("elman", "float32"), *[(name, dtype) for name in ("lstm", "gru") for dtype in REAL]]
OTHERS = [pytest.param(n, "float32", marks=pytest.mark.full) for n in CELLS if (n, "float32") not in QUICK]
DIVIDING = tuple(symbolic_function(f) for f in (sigmoid, tanh))


def wanted(cell: Cell, verb: str) -> tuple[int, int]:
    """The number of loops of a verb, and the divisions in them at least: one in each sigmoid and each tanh."""
    of_verb = [part for loop in Derivation(cell, compact=True).loops(verb) for part in parted(loop)]
    programs = [loop.program for loop in of_verb]
    expressions = [e for p in programs for e in (*dict(p.statements).values(), *p.results)]
    return len(of_verb), sum(len(e.atoms(*DIVIDING)) for e in expressions)


@pytest.mark.parametrize("verb", ROW)
@pytest.mark.parametrize(("name", "dtype"), QUICK + OTHERS)
def test_rows_are_vectors_without_calls(name, dtype, verb):
    cell = CELLS[name]
    assert shortcomings(row_assembly(cell, verb, dtype), widest(), *wanted(cell, verb)) == []


@pytest.mark.parametrize("dtype", REAL)
def test_sums_are_vectors(dtype):
    text = assembly(total, REAL[dtype][::1], types.int64, types.int64)
    assert shortcomings(text, widest(), 0) == []
    assert vectors(loops(text)) == {(("sum", 1),)}


TILES = {
    "tile_full": (ROWS, 1), "tile_half": (HALF, 1), "tile_pair": (2, 1), "tile_one": (1, 1),
    "tile_pair_wide": (2, WIDE), "tile_one_wide": (1, WIDE), "tile_tall": (ROWS + 1, 1), "tile_tallest": (ROWS + 2, 1),
}  # fmt: skip


def faults_of_a_tile(tile: Any, rows: int, panels: int, dtype: str) -> list[str]:
    """What its one loop does beyond loads and a multiply-add for each accumulator.

    Of the integers of the tallest one, 15 pointers and steps, one may have to be read.
    """
    i = types.int64
    real, index = types.CPointer(REAL[dtype]), types.CPointer(i)
    text = assembly(tile, real, i, i, real, i, real, i, real, i, i, index, real, i)
    inner = list(loops(text))
    found = [f"refers to {symbol}" for symbol in foreign(text)] + [f"{len(inner)} loops"] * (len(inner) != 1)
    for loop in inner:
        found += loop.matching(STORE) + loop.matching(CALL)
        read = loop.matching(loop.stack)
        found += [line for line in read if len(read) > 1 or re.search(VECTOR, line)]
        if loop.arithmetic != {BYTES: Counter(fused=rows * VECTORS * panels)}:
            found.append(f"arithmetic: {loop.arithmetic}")
    return found


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", TILES)
def test_tiles_stay_in_the_registers(name, dtype):
    assert faults_of_a_tile(getattr(microkernel, name), *TILES[name], dtype) == []


def test_a_tile_that_does_not_fit_or_has_another_shape_is_seen():
    judged = faults_of_a_tile(microkernel._tile(32), 32, 1, "float32")
    assert any(re.match(STORE, line) for line in judged)
    assert not any("arithmetic" in fault for fault in judged)
    (fault,) = faults_of_a_tile(microkernel.tile_pair, ROWS, 1, "float32")
    assert fault.startswith("arithmetic")


@pytest.mark.full
@pytest.mark.parametrize("verb", ["forward", "adjoint"])
def test_a_whole_walk_has_the_loops_of_its_parts(verb):
    cell, x = CELLS["lstm"], np.ones((2, 3, 4), np.float32)
    run = rd.forward(cell, cell.init(4, 5), x)
    rd.backward(run, np.ones_like(run.output))
    own, compiled = Equations(cell)._numba_type_, getattr(walks, verb)
    (signature,) = [s for s in compiled.signatures if s[0] == own and types.float32[::1] in s]
    walk = njit(**{**PARALLEL, "cache": False})(compiled.py_func)
    walk.compile(signature)
    inside = list(loops(walk.inspect_asm(signature), nested=True))
    assert set() < vectors(loops(row_assembly(cell, verb, "float32"))) <= vectors(inside)
    tile = {BYTES: Counter(fused=ROWS * VECTORS)}
    of_tiles = [loop for loop in inside if loop.arithmetic == tile]
    assert of_tiles
    # All vectors stay in registers; of the integers of a whole walk one may have to be read.
    for loop in of_tiles:
        assert loop.matching(STORE) + loop.matching(CALL) == []
        assert len(loop.matching(loop.stack)) <= 1
        assert not any(re.search(VECTOR, line) for line in loop.matching(loop.stack))


def vectors(several: Iterable[Loop]) -> set[tuple[tuple[str, int], ...]]:
    """The arithmetic of those that work on full-width vectors and nothing else."""
    found = [loop.arithmetic for loop in several]
    return {in_lowest_terms(a[widest()]) for a in found if set(a) == {widest()}}
