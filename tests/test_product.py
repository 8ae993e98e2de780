"""The matrix product of the engine against NumPy: every remainder of rows and columns, both dtypes, strides."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from recurrent_dynamics.kernels.barrier import share
from recurrent_dynamics.kernels.microkernel import TILE_ROWS
from recurrent_dynamics.kernels.product import (
    gemm,
    new_index,
    pack,
    pack_rows,
    packed_size,
    panel_width,
    total,
)

GUARD = 7.5  # around the arrays that are written


@njit(error_model="numpy")
def multiply(
    M, N, K, a, a_at, row_step, k_step, b, b_at, bk_step, n_step, c, c_at, ldc, start, index, workers
):
    packed = np.full(start + packed_size(K, N, a) + 1, a.dtype.type(GUARD))
    pack(b, b_at, bk_step, n_step, K, N, packed, start)
    for worker in range(workers):
        gemm(
            M, N, K, a, a_at, row_step, k_step, packed, start, c, c_at, ldc, index, TILE_ROWS, worker, workers
        )  # fmt: skip
    return packed[start + packed_size(K, N, a)] == GUARD


@njit(error_model="numpy")
def width(like):
    return panel_width(like)


@njit(error_model="numpy")
def starts(n, workers):
    return [share(n, workers, i) for i in range(workers + 1)]


@njit(error_model="numpy")
def sum_of(a, at, n):
    return total(a, at, n)


def rows_of(M):
    return np.concatenate([np.arange(TILE_ROWS), np.arange(M)])


def product(rng, M, N, K, dtype, a_transposed=False, b_transposed=False, pad=0, at=0, workers=1):
    """(what the engine leaves in C, what it should be), both with their surroundings."""
    real = lambda *shape: rng.standard_normal(shape).astype(dtype)
    a, b = (
        real(*((K, M + pad) if a_transposed else (M, K + pad))),
        real(*((N, K + pad) if b_transposed else (K, N + pad))),
    )
    A = a.T[:M] if a_transposed else a[:, :K]
    B = b.T[:K] if b_transposed else b[:, :N]
    flat = lambda m: np.concatenate([np.full(at, GUARD, dtype), m.ravel()])
    c = np.full((M + 2, N + pad + 1), GUARD, dtype)
    c[:M, :N] = real(M, N)
    wanted = c.astype("float64")
    wanted[:M, :N] += A.astype("float64") @ B
    came = flat(c)
    steps = [
        (1, a.shape[1]) if a_transposed else (a.shape[1], 1),
        (1, b.shape[1]) if b_transposed else (b.shape[1], 1),
    ]
    whole = multiply(
        M, N, K, flat(a), at, *steps[0], flat(b), at, *steps[1], came, at, c.shape[1], 3, rows_of(M), workers
    )
    assert whole, "written beyond the packed factor"
    return came[at:].reshape(c.shape), wanted


def agree(came, wanted, K):
    np.testing.assert_allclose(came, wanted, rtol=0, atol=16 * (K + 1) * np.finfo(came.dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_remainder_of_rows_and_columns_is_right_and_nothing_else_is_written(dtype, rng):
    w = width(np.zeros(1, dtype))
    for M in range(1, 3 * TILE_ROWS + 2):
        for N in sorted({1, 2, 3, w // 2, w - 1, w, w + 1, 2 * w - 1, 2 * w, 2 * w + 3}):
            for K in (1, 2, 5):
                agree(*product(rng, M, N, K, dtype), K)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("a_transposed", [False, True])
@pytest.mark.parametrize("b_transposed", [False, True])
def test_factors_may_be_transposed_padded_and_begin_anywhere(dtype, a_transposed, b_transposed, rng):
    for M, N, K in ((1, 1, 1), (TILE_ROWS, 40, 7), (TILE_ROWS + 3, 37, 33), (3 * TILE_ROWS + 1, 5, 200)):
        for pad, at in ((0, 0), (3, 0), (0, 5), (2, 9)):
            agree(*product(rng, M, N, K, dtype, a_transposed, b_transposed, pad, at), K)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_sum_adds_nothing(dtype, rng):
    came, wanted = product(rng, TILE_ROWS + 1, 9, 0, dtype)
    np.testing.assert_array_equal(came, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_of_the_columns_make_up_the_whole(dtype, rng):
    """Among them one or two rows of enough columns for several panels side by side."""
    w = width(np.zeros(1, dtype))
    for M in (1, 2, 3, TILE_ROWS + 1):
        for N in (1, w, 5 * w, 9 * w + 3):
            for workers in (1, 2, 3, 7):
                agree(*product(rng, M, N, 11, dtype, workers=workers), 11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_an_index_have_the_bits_of_all_rows_and_the_others_stay(dtype, rng):
    M, N, K = 2 * TILE_ROWS + 5, 21, 13
    a, b = rng.standard_normal((M, K)).astype(dtype), rng.standard_normal((K, N)).astype(dtype)

    def rows(index):
        c = np.zeros((M, N), dtype)
        index = np.concatenate([np.arange(TILE_ROWS), index]).astype(np.int64)
        multiply(
            len(index) - TILE_ROWS,
            N,
            K,
            a.ravel(),
            0,
            K,
            1,
            b.ravel(),
            0,
            N,
            1,
            c.reshape(-1),
            0,
            N,
            0,
            index,
            1,
        )
        return c

    every = rows(np.arange(M))
    for chosen in ([], [3], [1, 4, 5], list(range(0, M, 2)), list(range(M - 1, -1, -1))):
        c = rows(np.array(chosen, np.int64))
        others = np.setdiff1d(np.arange(M), chosen)
        assert c[chosen].tobytes() == every[chosen].tobytes()
        assert not c[others].any()


@njit(error_model="numpy")
def packed_both_ways(b, K, N):
    one, other = np.zeros(packed_size(K, N, b), b.dtype), np.zeros(packed_size(K, N, b), b.dtype)
    pack(b, 0, N, 1, K, N, one, 0)
    pack_rows(b, 0, N, new_index(K), TILE_ROWS, 0, K // 2, K, N, other, 0)
    pack_rows(b, 0, N, new_index(K), TILE_ROWS, K // 2, K, K, N, other, 0)
    return one, other


def test_rows_are_packed_as_a_matrix_is(rng):
    one, other = packed_both_ways(rng.standard_normal(7 * 45), 7, 45)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bits_of_a_row_do_not_depend_on_the_rows_around_it(dtype, rng):
    """What makes results the same for any number of threads."""
    K, N, M = 50, 21, 2 * TILE_ROWS + 3
    a, b = rng.standard_normal((M, K)).astype(dtype), rng.standard_normal((K, N)).astype(dtype)
    c = np.zeros((M, N), dtype)
    flat = c.reshape(-1)
    multiply(M, N, K, a.ravel(), 0, K, 1, b.ravel(), 0, N, 1, flat, 0, N, 0, rows_of(M), 1)
    for first in range(M):
        for rows in {1, 2, min(TILE_ROWS, M - first), M - first}:
            part = np.zeros(rows * N, dtype)
            if first + rows <= M:
                multiply(
                    rows,
                    N,
                    K,
                    a.ravel(),
                    first * K,
                    K,
                    1,
                    b.ravel(),
                    0,
                    N,
                    1,
                    part,
                    0,
                    N,
                    0,
                    rows_of(rows),
                    1,
                )
                assert part.tobytes() == c[first : first + rows].tobytes()


def test_shares_cover_all_rows_in_order_and_differ_by_one_at_most():
    for workers in (1, 2, 3, 7):
        for n in (0, 1, 2, 5, 17, 64, 1000, 1001):
            at = starts(n, workers)
            assert at[0] == 0
            assert at[-1] == n
            assert sorted(at) == at
            assert max(np.diff(at)) - min(np.diff(at)) <= 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sum_depends_on_its_entries_alone(dtype, rng):
    for n in (0, 1, 7, 64, 1003):
        a = rng.standard_normal(n).astype(dtype)
        came = sum_of(a, 0, n)
        assert abs(came - a.astype("float64").sum()) <= np.finfo(dtype).eps * n * 4
        for at in (1, 3, 8):
            shifted = np.concatenate([np.full(at, GUARD, dtype), a, np.full(5, GUARD, dtype)])
            assert sum_of(shifted, at, n) == came
