"""Matrices so large that the engine multiplies them: the same numbers, gradients and orthogonality as by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics.kernels import matrix_algebra
from recurrent_dynamics.kernels.submatrices import ADD, SET, SUBTRACT, block
from recurrent_dynamics.parametrize import Parametrization, matrix_products, skew
from recurrent_dynamics.parametrize.matrix_products import NUMPY_ROWS
from recurrent_dynamics.parametrize.resolvent import inverse

p = rd.parametrize
N = NUMPY_ROWS + 22  # beyond what NumPy does, and no multiple of a tile or block
EPS = {dtype: float(np.finfo(dtype).eps) for dtype in ("float32", "float64")}
FOURTH_ORDER = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
MADE: dict[str, Parametrization] = {
    "cayley": p.Cayley(negative=3),
    "exponential": p.exponential,
    "trivialization": p.trivialization,
    "householder": p.householder,
    "few reflections": p.Householder(reflections=N - 15),
    "almost_orthogonal": p.almost_orthogonal,
    "antisymmetric": p.Antisymmetric(damping=0.5),
    "schur": p.schur,
}


def leaves(free: Any) -> list[np.ndarray]:
    return list(free.values()) if isinstance(free, dict) else [free]


def like(free: Any, arrays: list[np.ndarray]) -> Any:
    return dict(zip(free, arrays, strict=True)) if isinstance(free, dict) else arrays[0]


@pytest.mark.parametrize("name", MADE)
def test_gradient_against_differences(name: str, rng: np.random.Generator) -> None:
    made = MADE[name]
    free = made.sample(N, rng, "float64")
    free = like(free, [a + 0.03 * rng.standard_normal(a.shape) for a in leaves(free)])
    U, pull = made(free)
    G = rng.standard_normal(U.shape)
    by = [rng.standard_normal(a.shape) for a in leaves(free)]
    if name == "trivialization":
        by[1][:] = 0  # the base is no parameter
    at = lambda q: made(like(free, [a + q * b for a, b in zip(leaves(free), by, strict=True)]))[0]
    wanted = sum(w * np.sum(G * at(i * 3e-4)) for i, w in FOURTH_ORDER.items()) / 3e-4
    came = [g * b for g, b in zip(leaves(pull(G)), by, strict=True)]
    assert abs(sum(float(c.sum()) for c in came) - wanted) < 1e-8 * np.sqrt(
        sum(float((c * c).sum()) for c in came)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["cayley", "householder", "exponential"])
def test_orthogonal_within_a_hundred_rounding_errors(name: str, dtype: str, rng: np.random.Generator) -> None:
    made = p.NAMED[name]
    for initial in made.initials:
        if (name, initial) == ("cayley", "haar"):
            continue  # whose numbers have no bound: see the inverse below
        free = made.sample(300, 0, dtype, initial)
        for a in (free, free + (0.05 * rng.standard_normal(free.shape)).astype(dtype)):
            assert made.check(made(a)[0]) < 100 * EPS[dtype], initial


@pytest.mark.full
@pytest.mark.parametrize("name", ["cayley", "householder"])
def test_orthogonal_after_a_thousand_updates(name: str, rng: np.random.Generator) -> None:
    made, target = p.NAMED[name], rng.standard_normal((N, N))
    params = {"U": made.sample(N, rng, "float64")}
    start = np.linalg.norm(made(params["U"])[0] - target)
    optimizer = rd.training.adam()
    state = optimizer.init(params)
    for _ in range(1000):
        U, pull = made(params["U"])
        updates, state = optimizer.update({"U": pull(U - target)}, state, params, 0.003)
        params = rd.training.apply_updates(params, updates)
    U, _ = made(params["U"])
    assert made.check(U) < 1e-12
    assert np.linalg.norm(U - target) < start - 1


def by_lapack(a: np.ndarray) -> np.ndarray:
    factor, invert = scipy.linalg.get_lapack_funcs(("getrf", "getri"), (a,))
    lu, pivots, _ = factor(a)
    return invert(lu, pivots)[0]


def deviation(M: np.ndarray) -> float:
    W = 2 * M.astype(np.float64) - np.eye(len(M))
    return float(np.abs(W.T @ W - np.eye(len(M))).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inverse_is_as_orthogonal_as_by_lapack(dtype: str, rng: np.random.Generator) -> None:
    """Within 100 rounding errors, or what exchanges of rows leave where the numbers are large."""
    vectors = {
        f"normal {size}": size * rng.standard_normal(N * (N - 1) // 2) for size in (1e-3, 0.1, 1.0, 1e3)
    }
    vectors |= {f"Haar {seed}": p.cayley.sample(N, seed, "float64", "haar") for seed in range(3)}
    first, second = rng.standard_normal((2, N))
    two = np.outer(first, second)[skew.above(N)] - np.outer(second, first)[skew.above(N)]
    vectors |= {f"rank two {size}": size / N * two + vectors["normal 0.001"] for size in (10, 1e3, 1e4)}
    eliminated = 0
    for name, v in vectors.items():
        A = skew.matrix(v.astype(dtype), 1.0)
        without_exchanges = A.copy()
        matrix_algebra.invert(without_exchanges)
        M = inverse(A.copy())
        eliminated += np.array_equal(M, without_exchanges)
        assert deviation(M) < max(100 * EPS[dtype], 2 * deviation(by_lapack(A))), name
        np.testing.assert_allclose(M @ A, np.eye(N), atol=1e4 * EPS[dtype] * max(1, np.abs(v).max()))
    assert 3 <= eliminated < len(vectors)  # both ways were taken


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 150)] * 3),
    how=st.sampled_from([SET, ADD, SUBTRACT]),
    turned=st.tuples(st.booleans(), st.booleans()),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_products_of_blocks(
    sizes: tuple[int, int, int], how: int, turned: tuple[bool, bool], dtype: str, seed: int
) -> None:
    (m, k, n), rng = sizes, np.random.default_rng(seed)
    draw = lambda rows, columns: rng.standard_normal((rows + 3, columns + 5)).astype(dtype)
    part = lambda a: block(a).part(slice(2, a.shape[0] - 1), slice(1, a.shape[1] - 4))
    a = part(draw(k, m)).T if turned[0] else part(draw(m, k))
    b = part(draw(n, k)).T if turned[1] else part(draw(k, n))
    whole = draw(m, n)
    before = whole.copy()
    matrix_algebra.multiply([(part(whole), a, b)], how)
    by_numpy = a.array().astype(np.float64) @ b.array()
    wanted = before.astype(np.float64)
    inner = wanted[2:-1, 1:-4]
    inner[...] = by_numpy if how == SET else inner + by_numpy if how == ADD else inner - by_numpy
    np.testing.assert_allclose(whole, wanted, atol=20 * k * EPS[dtype])
    changed = whole != before
    changed[2:-1, 1:-4] = False
    assert not changed.any()  # nothing beside the block
    again = before.copy()
    matrix_products.multiply(part(again), a, b, how)
    np.testing.assert_allclose(again, wanted, atol=20 * k * EPS[dtype])


@pytest.mark.parametrize("threads", [1, 3, 7])
def test_bitwise_the_same_on_any_number_of_threads(threads: int, tune: Any, set_threads: Any) -> None:
    def results() -> list[np.ndarray]:
        found: list[np.ndarray] = []
        for name in ("cayley", "householder", "exponential"):
            U, pull = p.NAMED[name](p.NAMED[name].sample(N, 0, "float64"))
            found += [U, pull(np.cos(np.arange(U.size, dtype=float)).reshape(U.shape))]
        return found

    wanted = results()
    tune(min_parallel_flops=0, min_parallel_matrix_flops=0)
    set_threads(threads)
    for a, b in zip(results(), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_layout_of_a_cotangent(rng: np.random.Generator) -> None:
    for name in ("cayley", "householder", "exponential"):
        _, pull = p.NAMED[name](p.NAMED[name].sample(N, 0, "float64"))
        G = rng.standard_normal((N, 2 * N))[:, ::2]
        wanted = pull(np.ascontiguousarray(G))
        np.testing.assert_array_equal(pull(G), wanted)
        np.testing.assert_array_equal(pull(np.asfortranarray(G)), wanted)


def test_a_singular_matrix_is_refused() -> None:
    with refused("free", "I + A is singular to working precision", "numbers up to 1e+30"):
        p.cayley(np.full(N * (N - 1) // 2, 1e30))
