"""The machine code of the engine: rows in full-width vectors without calls, tiles that stay in the registers.

The text that LLVM prints is cut into functions and loops. A row kernel has one loop after the other in its loop over
rows, and of each LLVM makes one with full-width vectors, perhaps one with narrower ones, and a scalar one for the last
units, all of the same arithmetic: a scalar loop without such a twin was not vectorized.

Rows, products and time loops are compiled apart, each as the engine compiles it, but never read from the disk.
"""

from __future__ import annotations

import math
import pathlib
import platform
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from cell_variants import of
from numba import config, njit, types

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell
from recurrent_dynamics.engine.cpu import rows, tangent_loops, time_loops, weight_gradients
from recurrent_dynamics.equations.derive import Derivation
from recurrent_dynamics.equations.nonlinearities import sigmoid, tanh
from recurrent_dynamics.equations.split_loops import split
from recurrent_dynamics.equations.symbolic import symbolic_function
from recurrent_dynamics.kernels import access, machine_code, microkernel, processor
from recurrent_dynamics.kernels.access import CALLED, CHECKED, ENTRY, INTERPRETED, OPTIONS, get, put
from recurrent_dynamics.kernels.elementary import COMPILED
from recurrent_dynamics.kernels.microkernel import BYTES, HALF_TILE, TILE_ROWS, VECTORS, WIDE
from recurrent_dynamics.kernels.product import multiply_rows, total

MACHINE = platform.machine()
X86 = MACHINE in {"x86_64", "AMD64"}
FEATURES = {name[1:] for name in processor.features().split(",") if name.startswith("+")}

pytestmark = [
    pytest.mark.skipif(not X86 and MACHINE not in {"aarch64", "arm64"}, reason="not x86-64 or AArch64"),
    pytest.mark.skipif(X86 and "fma" not in FEATURES, reason="without it the engine calls the C library"),
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
DOUBLE = r"^(f(?!mov)\w+|[su]cvtf) .*(\bd\d|\.2d)"
if X86:
    DOUBLE = r"^v?((add|sub|mul|div|sqrt|fn?m(?:add|sub)\d*)[ps]d|cvt\w*[ps]d\w*) "
VECTOR = r"%[xyz]mm" if X86 else r"\b[vqz]\d"
# AT&T syntax names the target last.
READERS = r"v?u?comis|cmp|test|bt|prefetch|push|call|jmp|i?mul\w? [^,]*$|i?div\w? "
STORE = rf"^(?!{READERS}).* [^ ]*\)( \{{.*)?$" if X86 else r"^(st|cas|swp)\w+ "
WHOLE = r"v?mov([ua]p|dq[ua]|nt)" if X86 else "st"
ALLOWED = {"NRT_incref", "NRT_decref", "NRT_MemInfo_call_dtor", "memcpy", "memmove", "memset"}
WRAPPERS = re.compile(r"_*(cfunc\.|ZN7cpython)")  # take arguments from elsewhere, and say errors
COPIES = re.compile(r"\b_?mem(cpy|move|set)\b")


@dataclass(frozen=True)
class Loop:
    """The instructions of one loop."""

    function: str
    lines: tuple[str, ...]
    stack: str  # pattern of the registers that point to it
    around: int  # how many loops are around it

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
    def spilled(self) -> list[str]:
        """Vectors that did not fit the registers."""
        return [line for line in self.matching(self.stack) if re.search(VECTOR, line)]

    @property
    def beyond_registers(self) -> list[str]:
        """Stores, calls, and values that did not fit the registers."""
        return self.matching(STORE) + self.matching(self.stack) + self.matching(CALL)


def functions(text: str) -> dict[str, list[str]]:
    """Labels and instructions of every function except wrappers, without directives and comments."""
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
    return {
        name: body
        for name, body in found.items()
        if not WRAPPERS.match(name) and any(not line.endswith(":") for line in body)
    }


def flow(body: list[str]) -> tuple[list[list[str]], list[set[int]]]:
    """The blocks of a function, and of each the blocks that may come next."""
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
    return blocks, following


def circles(following: list[set[int]], among: frozenset[int]) -> set[frozenset[int]]:
    """Blocks that lead to each other by way of some blocks only."""
    reached = {}
    for i in among:
        seen = new = following[i] & among
        while new := set().union(*(following[j] for j in new)) & among - seen:
            seen = seen | new
        reached[i] = seen
    return {frozenset(j for j in seen if i in reached[j]) for i, seen in reached.items()} - {frozenset()}


def nests(
    following: list[set[int]], among: frozenset[int], around: int = 0
) -> Iterator[tuple[list[int], int]]:
    """(the blocks of a loop with no other one inside, how many are around it)."""
    for circle in sorted(circles(following, among), key=min):
        outside = set(range(len(following))) - circle
        entries = {i for i in circle if i == 0 or any(i in following[j] for j in outside)}
        inner = list(nests(following, circle - entries, around + 1))
        yield from inner or [(sorted(circle), around)]


def loops(text: str) -> Iterator[Loop]:
    """The loops of all functions that have no other loop inside."""
    for name, body in functions(text).items():
        whole = "\n".join(body)
        stack = [r"%[re]sp\b|\bsp\b"] + [r"%rbp\b"] * ("movq %rsp, %rbp" in whole)
        stack += [r"\bx29\b"] * bool(re.search(r"(mov|add) x29, sp", whole))
        blocks, following = flow(body)
        for part, around in nests(following, frozenset(range(len(blocks)))):
            yield Loop(name, tuple(line for i in part for line in blocks[i]), "|".join(stack), around)


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


def symbols(lines: Iterable[str]) -> set[str]:
    """What instructions refer to, without labels and constants. Names of private functions begin with digits."""
    if X86:
        named = r"(?<![%\w.$@\"])\$?(?:\"([^\"]+)\"|([A-Za-z_.][\w.$@]*|[0-9a-f]{20}\.\d+))(?=[,()*]|$)"
    else:
        before = r"(?:#:abs_g\d(?:_nc)?:|:got:|:got_lo12:|:lo12:|\bbl |\bb |adrp \w+, )"
        named = before + r"(?:\"([^\"]+)\"|([A-Za-z_.][\w.$]*|[0-9a-f]{20}\.\d+))"
    texts = [line.partition(" ")[2] if X86 else line for line in lines if not line.endswith(":")]
    found = {quoted or plain for text in texts for quoted, plain in re.findall(named, text)}
    return {symbol for symbol in found if not LOCAL.match(symbol)}


def foreign(text: str) -> set[str]:
    """What the functions refer to outside of the text, except memory management and copies."""
    own = functions(text)
    found = symbols(line for body in own.values() for line in body)
    return {s for s in found - set(own) if s.removeprefix("_") not in ALLOWED}


def doubles(text: str) -> list[str]:
    """Arithmetic on float64, and what converts to or from it."""
    return [line for body in functions(text).values() for line in body if re.search(DOUBLE, line)]


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
        found += [f"{loop.around} loops around one"] * (loop.around > 1)
        for at, counts in loop.arithmetic.items():
            like.setdefault(at, Counter())[in_lowest_terms(counts)] += 1
        if len(loop.arithmetic) > 1:
            found.append(f"vectors of several widths in a loop: {loop.arithmetic}")
        elif set(loop.arithmetic) <= {width} and not loop.matching(CALL):
            wide += width in loop.stored
            divisions += loop.arithmetic.get(width, Counter())["quotient"]
    for at in sorted(set(like) - {width}):
        # What is left over, and rows that overlap, may be two loops: LLVM unrolls some of them.
        if alone := set(like[at]) - set(like[width]):
            found.append(f"loops of {at} bytes without a twin of {width}: {alone}")
    copies = sum(bool(COPIES.search(line)) for body in functions(text).values() for line in body)
    if wide + copies < number:
        found.append(f"{wide} loops and {copies} copies of {width} bytes, not {number}")
    if divisions < quotients:
        found.append(f"{divisions} divisions of {width} bytes, not {quotients}")
    return found


REAL = {"float32": types.float32, "float64": types.float64}
PRODUCT = {
    dtype: f"iiip{r}iip{r}p{r}ip{r}ipiiii" for dtype, r in (("float32", "f"), ("float64", "d"))
}  # its types
VERBS = ("forward", "adjoint")


def assembly(function: Callable[..., Any], *arguments: types.Type) -> str:
    """What LLVM makes of a call with arguments of these types; never taken from the disk."""

    # Without Numba's own compiler nothing that has no name outside would be left.
    options = {name: value for name, value in CALLED.items() if name != "pipeline_class"}

    @njit(**options, no_cfunc_wrapper=True)
    def alone(arguments):
        return function(*arguments)

    signature = (types.BaseTuple.from_types(arguments),)
    alone.compile(signature)
    return alone.inspect_asm(signature)


def c_assembly(compile_: Callable[[str], machine_code.Compiled]) -> str:
    """Of what is called by its address."""
    return compile_("alone").library.get_asm_str()


@cache
def row_assembly(cell: Cell, verb: str, dtype: str) -> str:
    return c_assembly(rows.compiler(cell, verb, dtype))


@cache
def product_assembly(dtype: str) -> str:
    return c_assembly(multiply_rows.compiler(PRODUCT[dtype]))


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

    They are the widest that it compiles for, except on Intel's processors with AVX-512: there LLVM halves them.
    """
    array = types.float32[::1]
    chosen = max(max(loop.arithmetic, default=SCALAR) for loop in loops(assembly(plain, array, array)))
    if not X86:
        assert chosen in {16, SCALABLE}
    elif "avx512f" in FEATURES and not (config.CPU_NAME or llvm.get_host_cpu_name()).startswith("znver"):
        assert chosen in {32, 64}
    else:
        assert chosen == (64 if "avx512f" in FEATURES else 32 if "avx" in FEATURES else 16)
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
    # Of each of the two, one loop computes four vectors at a time, another one the rest.
    assert len(shortcomings(text, widest(), 5, 4 * 5 + 5 + 1)) == 2


def test_the_documentation_shows_how_to_look_at_a_row(capsys):
    page = pathlib.Path(__file__).parents[1].joinpath("docs", "engine.rst").read_text("utf-8")
    code = page[page.index("Looking at the machine code") :].partition(".. code-block:: python\n")[2]
    exec(textwrap.dedent(re.match(r"(\n|   .*\n)+", code)[0]), {})
    text = capsys.readouterr().out
    assert shortcomings(text, widest(), *wanted(CELLS["lstm"], "forward")) == []


@pytest.mark.full
def test_a_row_that_needs_too_many_comparisons_of_pointers_is_seen(monkeypatch):
    """What the marks of streams are for: without them this row is not vectorized at all."""
    cell = CELLS["lstm_normalized"]
    monkeypatch.setattr(access, "stream_marks", lambda streams: lambda instruction, module, own: None)
    text = c_assembly(rows.compiler(cell, "adjoint", "float32"))
    assert any("loops of 0 bytes without a twin" in fault for fault in shortcomings(text, widest(), 1))


CELLS = of("assembly")
QUICK = [("elman", "float32"), *[(name, dtype) for name in ("lstm", "gru") for dtype in REAL]]
OTHERS = [pytest.param(n, "float32", marks=pytest.mark.full) for n in CELLS if (n, "float32") not in QUICK]
DIVIDING = tuple(symbolic_function(f) for f in (sigmoid, tanh))


def wanted(cell: Cell, verb: str) -> tuple[int, int]:
    """The number of loops of a verb, and the divisions in them at least: one in each sigmoid and each tanh."""
    whole = Derivation(cell, store_activations=True).loops(verb)
    split_ones = [part for loop in whole for part in (split(loop) if verb == "forward" else [loop])]
    programs = [loop.program for loop in split_ones]
    expressions = [e for p in programs for e in (*dict(p.statements).values(), *p.results)]
    return len(programs), sum(len(e.atoms(*DIVIDING)) for e in expressions)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("name", "dtype"), QUICK + OTHERS)
def test_rows_are_vectors_without_calls(name, dtype, verb):
    cell = CELLS[name]
    text = row_assembly(cell, verb, dtype)
    assert shortcomings(text, widest(), *wanted(cell, verb)) == []
    assert bool(doubles(text)) == (dtype == "float64")
    if not cell.memory:
        assert not re.findall(r"vmovup[sd]\s.*%[er]sp.*", text)  # the stack is aligned to vectors
    own = functions(text)
    (kernel,) = {loop.function for loop in loops(text)}
    assert not symbols(own[kernel]) & set(own)  # the row is inside of the loop over rows


@pytest.mark.parametrize("dtype", REAL)
def test_sums_are_vectors(dtype):
    text = assembly(total, REAL[dtype][::1], types.int64, types.int64)
    assert shortcomings(text, widest(), 0) == []
    assert vectors(loops(text)) == {(("sum", 1),)}


TILES = {
    "tile_full": (TILE_ROWS, 1), "tile_half": (HALF_TILE, 1), "tile_pair": (2, 1), "tile_one": (1, 1),
    "tile_pair_wide": (2, WIDE), "tile_one_wide": (1, WIDE), "tile_tall": (TILE_ROWS + 1, 1),
    "tile_tallest": (TILE_ROWS + 2, 1),
}  # fmt: skip


def faults_of_a_tile(tile: Any, rows: int, panels: int, dtype: str) -> list[str]:
    """What its loop does beyond loads and a multiply-add for each accumulator.

    LLVM may make two of it, one that prefetches and one that does not, and each for whole and for narrow tiles. Of the
    integers of the tallest one, 15 pointers and steps, one may have to be read.
    """
    i = types.int64
    real, index = types.CPointer(REAL[dtype]), types.CPointer(i)
    text = assembly(tile, i, real, i, i, real, i, real, i, real, i, i, index, real, i)
    inner = list(loops(text))
    found = [f"refers to {symbol}" for symbol in foreign(text)] + [f"{len(inner)} loops"] * (
        len(inner) not in (1, 2, 4)
    )
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
    faults = faults_of_a_tile(microkernel.tile_pair, TILE_ROWS, 1, "float32")
    assert faults
    assert all(fault.startswith("arithmetic") for fault in faults)


@pytest.mark.parametrize("dtype", REAL)
def test_a_product_has_the_loops_of_its_tiles(dtype):
    text = product_assembly(dtype)
    assert foreign(text) == set()
    assert bool(doubles(text)) == (dtype == "float64")
    of_tiles = [loop for loop in loops(text) if loop.arithmetic]
    shapes = Counter(rows_ * VECTORS * panels for rows_, panels in TILES.values())
    assert all(
        set(loop.arithmetic) == {BYTES} and set(loop.arithmetic[BYTES]) == {"fused"} for loop in of_tiles
    )
    counted = Counter(loop.arithmetic[BYTES]["fused"] for loop in of_tiles)
    assert shapes <= counted <= shapes + shapes  # with prefetching and without
    # All vectors stay in registers. Of the integers of a whole product one may have to be read, of float64 four with
    # the schedule for Zen 4 and two with others, and in the tiles with pointers to more rows more of them.
    for loop in of_tiles:
        assert loop.matching(STORE) + loop.matching(CALL) + loop.spilled == []
        read = loop.matching(loop.stack)
        if loop.arithmetic[BYTES]["fused"] <= TILE_ROWS * VECTORS:
            assert len(read) <= 1 if dtype == "float32" else len(set(read)) <= 4


WALKS = ("forward", "adjoint", "tangent", "second")
UNHURRIED = [
    pytest.param(verb, dtype, marks=() if (verb, dtype) == ("adjoint", "float32") else pytest.mark.full)
    for verb in WALKS
    for dtype in REAL
]


@pytest.mark.parametrize(("verb", "dtype"), UNHURRIED)
def test_time_loops_add_in_vectors_and_leave_the_rest_to_rows_and_products(verb, dtype):
    text = loop_assembly(verb, dtype)
    product, loop, blocks = (
        f"{machine_code.SYMBOL}{name}:"
        for name in ("product.multiply_rows", "parallel.loop", "weight_gradients._add_blocks_of_thread")
    )
    called = {s.removeprefix("_") for s in foreign(text)} - {"sched_yield", "NRT_MemInfo_alloc_aligned"}
    gradients = {s for s in called if s.startswith(blocks)}
    assert len(gradients) == (verb == "adjoint")
    for symbol in gradients:  # an error of an allocation would not reach the caller
        own = c_assembly(weight_gradients._add_blocks_of_thread.compiler(symbol.removeprefix(blocks)))
        assert not any("NRT_MemInfo" in called for called in foreign(own))
    assert called - gradients == {product + PRODUCT[dtype], loop}
    assert bool(doubles(text)) == (dtype == "float64")
    inside = list(loops(text))
    assert vectors(inside) == {(("sum", 1),)}
    for name in {loop.function for loop in inside if loop.arithmetic}:
        own = [loop for loop in inside if loop.function == name]
        assert vectors(own) == {in_lowest_terms(n) for loop in own for n in loop.arithmetic.values()}, name
    for loop in inside:
        assert loop.spilled == []
        assert not (loop.arithmetic and loop.matching(CALL))


def loop_assembly(verb: str, dtype: str) -> str:
    """Of a time loop with the function of a thread, for the types that a run has."""
    cell = CELLS["lstm"]
    params = cell.init(4, 5, dtype=dtype)
    run = rd.forward(cell, params, np.ones((2, 3, 4), dtype))
    if verb == "adjoint":
        rd.backward(run, np.ones_like(run.output))
    elif verb == "tangent":
        rd.jvp(run, params)
    elif verb == "second":
        rd.hvp(run, np.ones_like(run.output), params)
    compiled = getattr(time_loops if verb in ("forward", "adjoint") else tangent_loops, verb)
    (signature,) = [s for s in compiled.signatures if REAL[dtype][::1] in s]
    loop = njit(**ENTRY)(compiled.py_func)
    loop.compile(signature)
    return loop.inspect_asm(signature)


def vectors(several: Iterable[Loop]) -> set[tuple[tuple[str, int], ...]]:
    """The arithmetic of those that work on full-width vectors and nothing else."""
    found = [loop.arithmetic for loop in several]
    return {in_lowest_terms(a[widest()]) for a in found if set(a) == {widest()}}
