"""Loops over units in two: what they compute is the same, and where they may not be parted they are not."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from recurrent_dynamics.cells import NAMED
from recurrent_dynamics.equations.derive import Derivation, Loop, Write
from recurrent_dynamics.equations.fission import parted
from recurrent_dynamics.equations.nonlinearities import NONLINEARITIES, sigmoid, tanh
from recurrent_dynamics.equations.pattern import Variable
from recurrent_dynamics.equations.program import Program
from recurrent_dynamics.equations.symbolic import symbolic_function

PARTED = {"lstm", "lstm_peephole", "lstm_coupled", "lstm_projected", "gru", "mut1"}
a, b = sp.symbols("a b", real=True)
A, B, NEW = Variable("values", "a", "H"), Variable("values", "b", "H"), Variable("new", "h", "H")
S, T = symbolic_function(sigmoid), symbolic_function(tanh)


def run(loop, memory):
    """Compute a loop on arrays by place, as the row functions do: all reads first, then the writes in their order."""
    known = {s: memory[place] for s, place in loop.reads.items() if place in memory}
    functions = [{symbolic_function(n).__name__: n for n in NONLINEARITIES.values()}, "numpy"]

    def value(e):
        symbols = sorted(e.free_symbols, key=str)
        return sp.lambdify(symbols, e, functions)(*(known[s] for s in symbols))

    for symbol, e in loop.program.statements:
        known[symbol] = value(e)
    results = [value(e) for e in loop.program.results]
    for r, w in zip(results, loop.writes, strict=True):
        place = (w.array, w.variable)
        memory[place] = memory[place] + r if w.accumulate else r


@pytest.mark.parametrize("name", sorted(NAMED))
@pytest.mark.parametrize("verb", ["forward", "adjoint", "tangent", "second"])
def test_two_loops_leave_what_one_leaves(name, verb, rng):
    several = False
    for loop in Derivation(NAMED[name](), compact=True).loops(verb):
        parts = parted(loop)
        several = several or len(parts) > 1
        places = set(loop.reads.values()) | {(w.array, w.variable) for w in loop.writes}
        one = {place: 0.5 + rng.random(5) for place in places}
        two = dict(one)
        run(loop, one)
        for part in parts:
            run(part, two)
        for place, wanted in one.items():
            np.testing.assert_allclose(two[place], wanted, rtol=1e-14, atol=1e-14, err_msg=str(place))
    assert several == (verb == "forward" and name in PARTED)


def parts_of(expressions, writes):
    """In how many loops one comes that reads the values a and b."""
    reads = {a: ("E", A), b: ("E", B)}
    loop = Loop(1, "H", reads, Program.of(expressions), tuple(Write(*w) for w in writes))
    return len(parted(loop))


def test_loops_that_stay_whole():
    deep, over_a, over_b, new = T(S(a) * b), ("E", A, False), ("E", B, False), ("N", NEW, False)
    assert parts_of([S(a), deep], [over_a, new]) == 2
    assert parts_of([S(a), S(b), T(S(a) * S(b))], [over_a, over_b, new]) == 2
    # Nothing waits; the gate is not kept, or only in a sum; what is overwritten is needed.
    assert parts_of([S(a), S(a) * b], [over_a, new]) == 1
    assert parts_of([deep], [new]) == 1
    assert parts_of([S(a), deep], [("E", A, True), new]) == 1
    assert parts_of([S(a), deep + a], [over_a, new]) == 1
