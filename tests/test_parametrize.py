"""Parametrizations: exact gradients, sets, initializations, and the formulas of the papers written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.parametrize import NAMED, Parametrization, skew
from recurrent_dynamics.parametrize.expm import expm
from recurrent_dynamics.parametrize.pairs import from_pairs

p = rd.parametrize
N = 8
FOURTH_ORDER = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
CASES: dict[str, Parametrization] = {
    **NAMED,
    "cayley, reflecting": p.Cayley(negative=1),
    "few reflections": p.Householder(reflections=2),
    "givens, few layers": p.Givens(layers=3),
    "spectral norm, crossed": p.SpectralNorm(bound=0.3),
    "antisymmetric, damped": p.Antisymmetric(damping=0.5),
}
ORTHOGONAL = [
    "cayley", "cayley, reflecting", "exponential", "trivialization", "householder", "few reflections", "givens",
    "polar", "unitary_cayley", "unitary_product", "eunn",
]  # fmt: skip


def tree(function: Any, *frees: Any) -> Any:
    """A function of arrays on free parameters, array or dict."""
    if isinstance(frees[0], dict):
        return {k: function(*(f[k] for f in frees)) for k in frees[0]}
    return function(*frees)


def leaves(free: Any) -> list[np.ndarray]:
    return list(free.values()) if isinstance(free, dict) else [free]


def somewhere(made: Parametrization, rng: np.random.Generator, size: Any = N) -> Any:
    """Free parameters of no special kind."""
    return tree(lambda a: a + 0.3 * rng.standard_normal(a.shape), made.sample(size, rng, "float64"))


def slope(made: Parametrization, free: Any, by: Any, G: np.ndarray, step: float = 1e-3) -> float:
    """The derivative of <G, U> along a direction, by a central difference of fourth order."""
    at = lambda q: made(tree(lambda a, b: a + q * b, free, by))[0]
    return sum(w * np.sum(G * at(i * step)) for i, w in FOURTH_ORDER.items()) / step


def check_gradient(made: Parametrization, free: Any, rng: np.random.Generator) -> None:
    """Entry by entry, largest error over largest entry below 1e-8."""
    U, pull = made(free)
    G = rng.standard_normal(U.shape)
    came = pull(G)
    zero = tree(np.zeros_like, free)
    wanted = tree(np.zeros_like, free)
    for key in free if isinstance(free, dict) else [None]:
        if made == p.trivialization and key == "base":
            continue  # held fixed by definition
        target = wanted if key is None else wanted[key]
        for index in np.ndindex(target.shape):
            by = tree(np.copy, zero)
            (by if key is None else by[key])[index] = 1.0
            target[index] = slope(made, free, by, G)
    scale = max(np.abs(a).max() for a in leaves(wanted))
    for a, b in zip(leaves(came), leaves(wanted), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() < 1e-8 * scale


@pytest.mark.parametrize("name", CASES)
def test_gradient_against_differences(name: str, rng: np.random.Generator) -> None:
    check_gradient(CASES[name], somewhere(CASES[name], rng), rng)


@pytest.mark.parametrize("name", ["cayley", "exponential", "householder", "almost_orthogonal", "schur"])
def test_gradient_with_an_odd_size(name: str, rng: np.random.Generator) -> None:
    check_gradient(CASES[name], somewhere(CASES[name], rng, 5), rng)


@pytest.mark.parametrize("made", [p.Givens(style="butterfly"), p.EUNN(style="butterfly")])
def test_gradient_of_butterflies(made: Parametrization, rng: np.random.Generator) -> None:
    check_gradient(made, somewhere(made, rng, 8), rng)


@pytest.mark.parametrize(
    ("shape", "made"), [((6, 3), p.polar), ((3, 5), p.SpectralNorm(0.3)), ((5, 3), p.SpectralNorm(0.3))]
)
def test_gradient_of_matrices_that_are_not_square(shape: Any, made: Any, rng: np.random.Generator) -> None:
    check_gradient(made, somewhere(made, rng, shape), rng)


@settings(max_examples=40)
@given(
    name=st.sampled_from(list(CASES)),
    half=st.integers(1, 6),
    spread=st.sampled_from([0.01, 1.0, 3.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_gradient_along_a_direction_for_any_size(name: str, half: int, spread: float, seed: int) -> None:
    made, rng = CASES[name], np.random.default_rng(seed)
    if name == "unitary_product":
        spread = min(spread, 1.0)  # short vectors of its reflections turn fast
    free = tree(
        lambda a: a + spread * rng.standard_normal(a.shape),
        made.sample((4 if name == "eunn" else 2) * half, rng, "float64"),
    )
    U, pull = made(free)
    G, by = rng.standard_normal(U.shape), tree(lambda a: rng.standard_normal(a.shape), free)
    if made == p.trivialization:
        by["base"][:] = 0
    came = sum(np.sum(a * b) for a, b in zip(leaves(pull(G)), leaves(by), strict=True))
    longer, shorter = (slope(made, free, by, G, step) for step in (1e-3, 2e-4))
    size = sum(np.sum(np.abs(a * b)) for a, b in zip(leaves(pull(G)), leaves(by), strict=True))
    assert abs(came - shorter) <= 1e-8 * size + 1e-10 + 2 * abs(longer - shorter)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples_of_every_initialization_are_in_the_set(name: str, dtype: str) -> None:
    made = CASES[name]
    for initial in made.initials:
        free = made.sample(N, 0, dtype, initial)
        U, pull = made(free)
        grads = pull(np.ones_like(U))
        assert all(a.dtype == dtype for a in [U, *leaves(free), *leaves(grads)])
        assert made.check(U) <= 100 * np.finfo(dtype).eps
        again, other = made.sample(N, 0, dtype, initial), made.sample(N, 1, dtype, initial)
        assert all(np.array_equal(a, b) for a, b in zip(leaves(free), leaves(again), strict=True))
        if initial not in ("zero", "identity"):
            assert not all(np.array_equal(a, b) for a, b in zip(leaves(free), leaves(other), strict=True))


@pytest.mark.parametrize("name", [n for n in CASES if n != "symmetric_antisymmetric"])
def test_check_tells_others_apart(name: str, rng: np.random.Generator) -> None:
    assert CASES[name].check(3 * rng.standard_normal((N, N))) > 0.1


def test_what_came_later_changes_nothing(rng: np.random.Generator) -> None:
    for made in CASES.values():
        free = somewhere(made, rng)
        U, pull = made(free)
        G = rng.standard_normal(U.shape)
        kept, before = U.copy(), tree(np.copy, pull(G))
        for a in leaves(free):
            a[:] = 7
        U[:] = 7
        for a, b in zip(leaves(pull(G)), leaves(before), strict=True):
            assert np.array_equal(a, b), made
        assert not np.array_equal(kept, U)


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_orthogonal_to_rounding_after_many_updates(name: str, rng: np.random.Generator) -> None:
    """In float64, by Adam towards a matrix that no orthogonal one reaches."""
    made, target = CASES[name], rng.standard_normal((N, N))
    params = {"U": made.sample(N, rng, "float64")}
    start = params
    optimizer = rd.training.adam()
    if name == "trivialization":
        optimizer = rd.training.rebased(optimizer, every=10)
    state = optimizer.init(params)
    for _ in range(1000 if name == "trivialization" else 300):  # the errors of its bases multiply
        U, pull = made(params["U"])
        updates, state = optimizer.update({"U": pull(U - target)}, state, params, 0.01)
        params = rd.training.apply_updates(params, updates)
    U, _ = made(params["U"])
    assert made.check(U) < 1e-12
    assert np.linalg.norm(U - target) < np.linalg.norm(made(start["U"])[0] - target) - 0.1


class TestFormulas:
    """The papers, written out."""

    def test_cayley(self, rng: np.random.Generator) -> None:
        made = p.Cayley(negative=2)
        free = made.sample(N, rng, "float64", "henaff") + rng.standard_normal(N * (N - 1) // 2)
        A, D, eye = skew.matrix(free), np.diag([1.0] * 6 + [-1.0] * 2), np.eye(N)
        U, pull = made(free)
        np.testing.assert_allclose(U, np.linalg.solve(eye + A, (eye - A) @ D), atol=1e-13)
        G = rng.standard_normal((N, N))
        V = np.linalg.solve((eye + A).T, G @ (D + U.T))  # Helfrich et al. 2018, theorem 3.2
        np.testing.assert_allclose(pull(G), (V.T - V)[np.triu_indices(N, 1)], atol=1e-12)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_exponential_for_every_degree_and_scaling(self, dtype: str, rng: np.random.Generator) -> None:
        for norm in (0.0, 1e-8, 0.2, 0.9, 2.0, 5.0, 20.0, 300.0):
            A = skew.matrix(rng.standard_normal(N * (N - 1) // 2))
            A *= norm / np.linalg.norm(A, 2)
            G = rng.standard_normal((N, N))
            E, pull = expm(A.astype(dtype))
            tolerance = 30 * np.finfo(dtype).eps * max(1.0, norm)
            np.testing.assert_allclose(E, scipy.linalg.expm(A), atol=tolerance)
            assert np.abs(E.T @ E - np.eye(N)).max() < 30 * np.finfo(dtype).eps * max(1.0, norm**0.5)
            block = scipy.linalg.expm(np.block([[A.T, G], [np.zeros((N, N)), A.T]]))[:N, N:]
            wanted = scipy.linalg.expm_frechet(A.T, G, compute_expm=False)
            np.testing.assert_allclose(wanted, block, atol=1e-10 * max(1.0, norm))
            wanted = (wanted - wanted.T) / 2
            np.testing.assert_allclose(
                pull(G.astype(dtype)), wanted, atol=10 * tolerance * np.abs(wanted).max()
            )

    def test_cayley_of_a_large_matrix(self, rng: np.random.Generator) -> None:
        """Where the inverse is LAPACK's."""
        for made in (p.cayley, p.unitary_cayley):
            free = somewhere(made, rng, 160)
            U, pull = made(free)
            assert made.check(U) < 1e-12
            G, by = rng.standard_normal(U.shape), tree(lambda a: rng.standard_normal(a.shape), free)
            came = sum(np.sum(a * b) for a, b in zip(leaves(pull(G)), leaves(by), strict=True))
            assert came == pytest.approx(slope(made, free, by, G, 1e-4), rel=1e-6)

    def test_exponential_of_a_large_matrix(self, rng: np.random.Generator) -> None:
        """Where LAPACK solves with its factors."""
        A = skew.matrix(rng.standard_normal(90 * 89 // 2)) / 10
        G = rng.standard_normal((90, 90))
        E, pull = expm(A)
        np.testing.assert_allclose(E, scipy.linalg.expm(A), atol=1e-13)
        wanted = scipy.linalg.expm_frechet(A.T, G, compute_expm=False)
        np.testing.assert_allclose(pull(G), (wanted - wanted.T) / 2, atol=1e-11)

    def test_trivialization(self, rng: np.random.Generator) -> None:
        free = somewhere(p.trivialization, rng)
        U, _ = p.trivialization(free)
        np.testing.assert_allclose(U, free["base"] @ scipy.linalg.expm(skew.matrix(free["A"])), atol=1e-13)
        orthogonal = free | {"base": np.linalg.qr(free["base"])[0]}
        moved = p.trivialization.rebase(orthogonal)
        assert not moved["A"].any()
        np.testing.assert_allclose(p.trivialization(moved)[0], p.trivialization(orthogonal)[0], atol=1e-14)

    def test_householder(self, rng: np.random.Generator) -> None:
        free = rng.standard_normal((N, 4))
        product = np.eye(N)
        for v in np.tril(free).T:  # H_k leaves the first k - 1 coordinates alone (Mhammedi et al. 2017)
            product = product @ (np.eye(N) - 2 * np.outer(v, v) / (v @ v))
        U, pull = p.householder(free)
        np.testing.assert_allclose(U, product, atol=1e-14)
        came = pull(rng.standard_normal((N, N)))
        np.testing.assert_allclose((came * free).sum(0), 0, atol=1e-13)
        assert not np.triu(came, 1).any()

    def test_givens(self, rng: np.random.Generator) -> None:
        angles = rng.standard_normal((2, 2))
        product = np.eye(4)
        for pairs, row in zip([[(0, 1), (2, 3)], [(1, 2), (3, 0)]], angles, strict=True):
            for (i, j), a in zip(pairs, row, strict=True):
                R = np.eye(4)
                R[i, i] = R[j, j] = np.cos(a)
                R[j, i], R[i, j] = np.sin(a), -np.sin(a)
                product = R @ product
        np.testing.assert_allclose(p.givens(angles)[0], product, atol=1e-15)

    def test_eunn(self, rng: np.random.Generator) -> None:
        free = {k: rng.standard_normal((2, 2)) for k in ("theta", "phi")} | {"omega": rng.standard_normal(4)}
        product = np.eye(4, dtype=complex)
        for layer, pairs in enumerate([[(0, 1), (2, 3)], [(0, 2), (1, 3)]]):
            for k, (i, j) in enumerate(pairs):
                theta, phi = free["theta"][layer, k], free["phi"][layer, k]
                R = np.eye(4, dtype=complex)
                R[i, i], R[i, j] = np.exp(1j * phi) * np.cos(theta), -np.exp(1j * phi) * np.sin(theta)
                R[j, i], R[j, j] = np.sin(theta), np.cos(theta)
                product = R @ product
        product = np.diag(np.exp(1j * free["omega"])) @ product
        U, _ = p.EUNN(style="butterfly")(free)
        np.testing.assert_allclose(U[:4, :4] + 1j * U[4:, :4], product, atol=1e-15)

    def test_product_of_the_unitary_evolution_network(self, rng: np.random.Generator) -> None:
        n, made = 5, p.UnitaryProduct(seed=3)
        free = made.sample(2 * n, rng, "float64")
        D = [np.diag(np.exp(1j * t)) for t in free["theta"]]
        vectors = free["v"][:, 0] + 1j * free["v"][:, 1]
        R = [np.eye(n) - 2 * np.outer(v, v.conj()) / np.vdot(v, v) for v in vectors]
        F = scipy.linalg.dft(n, scale="sqrtn")
        P = np.eye(n)[np.random.default_rng(3).permutation(n)]
        wanted = D[2] @ R[1] @ F.conj().T @ D[1] @ P @ R[0] @ F @ D[0]
        U, _ = made(free)
        np.testing.assert_allclose(U[:n, :n] + 1j * U[n:, :n], wanted, atol=1e-14)

    def test_unitary_cayley(self, rng: np.random.Generator) -> None:
        n, free = 4, somewhere(p.unitary_cayley, rng)
        upper, lower = np.triu(free["A"], 1), np.tril(free["A"], -1)
        A = upper - upper.T + 1j * (lower + lower.T + np.diag(np.diag(free["A"])))
        np.testing.assert_array_equal(A, -A.conj().T)
        wanted = np.linalg.solve(np.eye(n) + A, np.eye(n) - A) @ np.diag(np.exp(1j * free["theta"]))
        U, _ = p.unitary_cayley(free)
        np.testing.assert_allclose(U[:n, :n] + 1j * U[n:, :n], wanted, atol=1e-14)

    def test_pairs_multiply_as_complex_numbers(self, rng: np.random.Generator) -> None:
        U, _ = p.unitary_cayley(p.unitary_cayley.sample(N, rng, "float64"))
        z = rng.standard_normal(4) + 1j * rng.standard_normal(4)
        wanted = (U[:4, :4] + 1j * U[4:, :4]) @ z
        np.testing.assert_allclose(
            U @ np.concatenate([z.real, z.imag]), np.concatenate([wanted.real, wanted.imag])
        )
        assert from_pairs(np.eye(2)) == 2

    def test_singular_values_of_almost_orthogonal(self, rng: np.random.Generator) -> None:
        made = p.AlmostOrthogonal(radius=0.2)
        free = somewhere(made, rng)
        wanted = 1 + 0.2 * (2 / (1 + np.exp(-free["singular"])) - 1)
        s = np.linalg.svd(made(free)[0], compute_uv=False)
        np.testing.assert_allclose(s, np.sort(wanted)[::-1], atol=1e-13)

    def test_eigenvalues_of_the_schur_form_do_not_see_the_triangle(self, rng: np.random.Generator) -> None:
        free = somewhere(p.schur, rng, 5)
        r = 1 + 0.1 * (2 / (1 + np.exp(-free["radii"])) - 1)
        wanted = np.concatenate(
            [r[:2] * np.exp(1j * free["angles"]), r[:2] * np.exp(-1j * free["angles"]), r[2:]]
        )
        for scale in (0.0, 1.0):
            came = np.linalg.eigvals(p.schur(free | {"triangle": scale * free["triangle"]})[0])
            assert np.abs(came[:, None] - wanted).min(0).max() < 1e-9
        U, _ = p.schur(free | {"triangle": np.zeros((5, 5))})
        np.testing.assert_allclose(U @ U.T, U.T @ U, atol=1e-14)

    def test_spectral_norm(self, rng: np.random.Generator) -> None:
        X = rng.standard_normal((4, 7))
        U, _ = p.spectral_norm(X)
        np.testing.assert_allclose(U, X / np.linalg.norm(X, 2), atol=1e-14)
        np.testing.assert_array_equal(p.SpectralNorm(bound=99.0)(X)[0], X)

    def test_polar(self, rng: np.random.Generator) -> None:
        X = rng.standard_normal((5, 3))
        np.testing.assert_allclose(p.polar(X)[0], scipy.linalg.polar(X)[0], atol=1e-14)

    def test_symmetric_part(self, rng: np.random.Generator) -> None:
        M = rng.standard_normal((N, N))
        wanted = 0.3 * (M + M.T) + 0.7 * (M - M.T) - 0.2 * np.eye(N)
        np.testing.assert_allclose(p.SymmetricAntisymmetric(0.7, 0.2)(M)[0], wanted, atol=1e-14)
        U, _ = p.Antisymmetric(damping=0.2)(rng.standard_normal(N * (N - 1) // 2))
        np.testing.assert_allclose(np.linalg.eigvals(U).real, -0.2, atol=1e-13)

    def test_penalty(self, rng: np.random.Generator) -> None:
        for shape in ((4, 3), (3, 4)):
            U, by = rng.standard_normal(shape), rng.standard_normal(shape)
            gram = U.T @ U - np.eye(3) if shape[0] > shape[1] else U @ U.T - np.eye(3)
            value, gradient = p.orthogonality_penalty(U, 0.5)
            assert value == pytest.approx(0.5 * np.linalg.norm(gram) ** 2)
            at = lambda q, U=U, by=by: p.orthogonality_penalty(U + q * by, 0.5)[0]
            wanted = sum(w * at(i * 1e-3) for i, w in FOURTH_ORDER.items()) / 1e-3
            assert np.sum(gradient * by) == pytest.approx(wanted, rel=1e-9)
        assert p.orthogonality_penalty(np.eye(3))[0] == 0


class TestInitializations:
    @pytest.mark.parametrize(
        "made", [p.cayley, p.Cayley(negative=1), p.exponential, p.householder, p.trivialization]
    )
    def test_haar(self, made: Parametrization) -> None:
        """The trace of a random orthogonal matrix has mean 0 and variance 1 (Diaconis and Shahshahani 1994)."""
        n, count = 4, 1500
        traces = [np.trace(made(made.sample(n, seed, "float64", "haar"))[0]) for seed in range(count)]
        assert abs(np.mean(traces)) < 0.1
        assert abs(np.var(traces) - 1) < 0.15

    def test_haar_of_unitary_matrices(self) -> None:
        """The trace has mean 0 and a squared modulus of mean 1."""
        n, count = 4, 1500
        drawn = [
            p.unitary_cayley(p.unitary_cayley.sample(2 * n, k, "float64", "haar"))[0] for k in range(count)
        ]
        traces = np.array([np.trace(U[:n, :n]) + 1j * np.trace(U[n:, :n]) for U in drawn])
        assert abs(traces.mean()) < 0.1
        assert abs((np.abs(traces) ** 2).mean() - 1) < 0.15
        # Without the phases too, which alone would make traces of mean 0: eigenvalues repel each other.
        free = p.unitary_cayley.sample(400, 0, "float64", "haar")
        U, _ = p.unitary_cayley(free | {"theta": np.zeros(200)})
        angles = np.sort(np.angle(np.linalg.eigvals(U[:200, :200] + 1j * U[200:, :200])))
        gaps = np.diff(angles) * 200 / (2 * np.pi)
        assert abs(gaps.mean() - 1) < 0.02
        assert (gaps < 0.2).mean() < 0.05  # 1 - e^-0.2 = 0.18 where they do not

    def test_haar_of_householder_fills_its_component(self) -> None:
        for n in (1, 2, 3, 4):
            U, _ = p.householder(p.householder.sample(n, 0, "float64"))
            assert np.linalg.det(U) == pytest.approx((-1.0) ** n)

    @pytest.mark.parametrize("name", ["henaff", "cayley_torus"])
    def test_planes(self, name: str) -> None:
        high = {"henaff": np.pi, "cayley_torus": np.pi / 2}[name]
        made = {"henaff": p.exponential, "cayley_torus": p.cayley}[name]
        U, _ = made(made.sample(200, 0, "float64", name))
        angles = np.abs(np.angle(np.linalg.eigvals(U)))
        assert angles.max() <= high
        assert angles.max() > 0.9 * high
        assert abs(angles.mean() - high / 2) < 0.1 * high
        draw = p.initialize.named(name, 200)(np.random.default_rng(0), 200, 200)
        np.testing.assert_allclose(
            np.sort(np.abs(np.angle(np.linalg.eigvals(draw)))), np.sort(angles), atol=1e-9
        )
        with pytest.raises(
            ValueError, match=r"U must be square for rotations of planes; came shape \(3, 4\)"
        ):
            p.initialize.named(name, 4)(np.random.default_rng(0), 3, 4)

    def test_of_the_parametrization(self) -> None:
        made = p.Cayley(initial="zero")
        assert not made.sample(4).any()
        assert made.sample(4, initial="henaff").any()

    def test_inverses(self, rng: np.random.Generator) -> None:
        for made in (p.cayley, p.Cayley(negative=3), p.exponential, p.Antisymmetric(0.3)):
            free = made.sample(N, rng, "float64", "henaff")
            np.testing.assert_allclose(made.invert(made(free)[0]), free, atol=1e-12)


def test_refusals() -> None:
    turn = np.diag([1.0, -1.0, -1.0])
    with refused("I + U D", ("be invertible,", "eigenvalue -1"), "one whose smallest"):
        p.cayley.invert(turn)
    assert np.isfinite(p.Cayley(negative=2).invert(turn)).all()
    with refused("U", "be orthogonal", ("one with", "up to 3")):
        p.cayley.invert(2 * np.eye(2))
    with refused("U", "determinant 1", ("one", "determinant -1")):
        p.exponential.invert(np.diag([1.0, -1.0]))
    with refused("U", "no eigenvalue -1, where the logarithm is not unique"):
        p.exponential.invert(-np.eye(2))
    with refused("free", ("n (n - 1) / 2 numbers,", "such as 3 for n = 3"), "4"):
        p.cayley(np.zeros(4))
    with refused(wrong_type("free", "hold real numbers")):
        p.cayley([[1.0, 2.0], [3.0]])
    with refused("free", "have 1 axis", "shape (2, 2)"):
        p.cayley(np.zeros((2, 2)))
    with refused(wrong_type("free", "have dtype float32 or float64", "int64")):
        p.cayley(np.zeros(3, int))
    with refused("free", "be finite", "nan at index (0,)"):
        p.cayley(np.array([np.nan]))
    with refused("negative", "be at most the size of U, 2", "3"):
        p.Cayley(negative=3)(np.zeros(1))
    with refused("free", "small enough for the inverse of I", "numbers up to 3e+38"):
        p.cayley(np.full(3, 3e38, "float32"))
    with refused("free", "give an A of norm below 1e4"):
        p.exponential(np.full(3, 1e6))
    with refused("free", "give an A of norm below 1e4"):
        p.exponential(np.full(3, 1e30, "float32"))
    with refused("free", "columns with a direction on and below", "length 0.0 at 0"):
        p.householder(np.zeros((3, 1)))
    with refused("free", "have 2 axes"):
        p.householder(np.ones(3))
    with refused("initial", "odd number of reflections", "3"):
        p.Householder(3).sample(4, initial="identity")
    with refused("reflections", "be at most the number of rows, 4", "5"):
        p.Householder(5).sample(4)
    with refused("free", "at most as many columns as rows", "shape (3, 4)"):
        p.householder(np.ones((3, 4)))
    above = np.triu(np.ones((3, 3)), 1)
    with refused("free", "a direction on and below the diagonal", "one of length 0.0 at 0"):
        p.householder(above)
    with refused("free", "be of full column rank"):
        p.polar(np.zeros((3, 2)))
    with refused("free", "at least as many rows as columns"):
        p.polar(np.zeros((2, 3)))
    with refused("U", "have an even number of rows", "5"):
        p.givens.sample(5)
    with refused("U", "two rows for each of an even number of complex units", "6"):
        p.eunn.sample(6)
    with refused("free", "power of two", "6"):
        p.Givens(style="butterfly").sample(6)
    with refused("style", "be one of neighbours, butterfly", "'braid'"):
        p.Givens(style="braid")
    with refused("free", "be a dict of theta, phi, omega", "theta"):
        p.eunn({"theta": np.zeros((1, 1))})
    with refused("free['v']", came="length 0"):
        p.unitary_product(p.unitary_product.sample(4) | {"v": np.zeros((2, 2, 2), "f4")})
    mixed = p.almost_orthogonal.sample(3) | {"singular": np.zeros(3)}
    with refused(wrong_type("free['singular']", "have dtype float32")):
        p.almost_orthogonal(mixed)
    with refused("radius", ("be", "below 1"), "1.5"):
        p.AlmostOrthogonal(radius=1.5)
    with refused("share", ("be", "of at least 0.5")):
        p.SymmetricAntisymmetric(share=0.2)
    with refused("initial", "be one of cayley_torus,", "'glorot'"):
        p.cayley.sample(4, initial="glorot")
    with refused("initial", "be one of cayley_torus,", "'glorot'"):
        p.Cayley(initial="glorot")
    with refused(wrong_type("dtype", "be float32 or float64", "int32")):
        p.cayley.sample(4, dtype="int32")
    with refused("size", "be at least 1", "0"):
        p.cayley.sample(0)
    U, pull = p.cayley(np.zeros(3))
    with refused("d_U", "have shape (3, 3), as U has", "(2, 2)"):
        pull(np.ones((2, 2)))
    with refused(wrong_type("d_U", "have dtype float64, as U has", "float32")):
        pull(U.astype("float32"))


@pytest.mark.parametrize("name", [n for n in NAMED if n not in ("polar", "spectral_norm")])
def test_a_matrix_that_is_not_square_is_refused(name: str) -> None:
    with refused("U", "be square", "shape (4, 6)"):
        NAMED[name].sample((4, 6))
    with refused("U", "be square", "shape (4, 6)"):
        NAMED[name].check(np.ones((4, 6)))


def test_names() -> None:
    assert all(getattr(p, name) is made for name, made in NAMED.items())
    assert set(NAMED) <= set(p.__all__)


def test_one_thread_of_linear_algebra_inside_and_as_many_as_before_outside(rng: np.random.Generator) -> None:
    from threadpoolctl import threadpool_info

    seen = []

    class Spy(p.Cayley):
        def _map(self, free: Any) -> Any:
            U, pull = super()._map(free)

            def spied(d_U: np.ndarray) -> Any:
                note()
                return pull(d_U)

            note()
            return U, spied

    def note() -> None:
        seen.append([pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"])

    note()
    made = Spy()
    U, pull = made(made.sample(160, rng))
    pull(U)
    note()
    before, during, back, after = seen
    assert before == after
    assert set(during) == set(back) == {1}
