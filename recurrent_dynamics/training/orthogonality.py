"""Matrices that stay orthogonal in training: on their manifold, projected, from a base that follows, or by a penalty.

On the manifold of matrices with orthonormal columns (Stiefel) the gradient is the part of dL/dU that is tangent,
G - U sym(U^T G), and a step ends with a retraction to the manifold (Absil et al. 2008). Parametrizations of
`recurrent_dynamics.parametrize` do without all of this: any optimizer moves their free parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, callable_, instance, integer, number, one_of
from ..kernels.blas import one_thread
from ..parametrize import orthogonality_penalty as penalty_of
from ..parametrize import polar, trivialization
from .optimizers import Optimizer, adam, sgd
from .tree import Select, Tree, check_real, named_leaves, nest

Array = NDArray[Any]
RETRACTIONS = ("qr", "polar")
START = 1e-3  # how far from orthonormal the columns may be at the start


def recurrent(path: str, array: Array) -> bool:
    """Whether a parameter is the recurrent matrix of a layer: its name is U."""
    return path == "U" or path.endswith("/U")


def riemannian_sgd(momentum: float = 0.0, only: Select = recurrent, retraction: str = "qr") -> Optimizer:
    """Gradient descent on the Stiefel manifold for some parameters, plain for the others.

    The momentum is carried along by projection on the tangent space of the new point.

    Parameters
    ----------
    momentum : float
        In [0, 1).
    only : callable
        ``only(path, array)`` says which matrices have orthonormal columns, with paths such as "layers/0/U"; those named
        U by default.
    retraction : {"qr", "polar"}
        What ends a step: the Q factor of U + step with a positive diagonal of R, or the nearest matrix of the manifold.

    Raises
    ------
    ValueError
        From `init`, when a chosen parameter has no orthonormal columns.

    Examples
    --------
    >>> optimizer = riemannian_sgd()
    >>> params = {"U": np.eye(2), "b": np.zeros(2)}
    >>> grads = {"U": np.array([[0.0, 1.0], [0.0, 0.0]]), "b": np.ones(2)}
    >>> updates, _ = optimizer.update(grads, optimizer.init(params), params, 0.1)
    >>> U = params["U"] + updates["U"]
    >>> bool(np.allclose(U.T @ U, np.eye(2))), updates["b"]
    (True, array([-0.1, -0.1]))
    """
    number("momentum", momentum, at_least=0, below=1)

    def start(U: Array) -> Tree:
        return {"velocity": np.zeros_like(U)} if momentum else {}

    def step(gradient: Array, state: Tree, rate: float) -> tuple[Array, Tree]:
        if not momentum:
            return -rate * gradient, {}
        velocity = momentum * state["velocity"] + gradient
        return -rate * velocity, {"velocity": velocity}

    return _riemannian(start, step, sgd(momentum), only, retraction)


def riemannian_adam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    only: Select = recurrent,
    retraction: str = "qr",
) -> Optimizer:
    """Adam on the Stiefel manifold for some parameters (Becigneul and Ganea 2019), plain Adam for the others.

    The average of squares is one number for each matrix, the mean over its entries, as the manifold has no entries of
    its own to scale; the average gradient is carried along by projection.

    Parameters
    ----------
    beta1, beta2, eps : float
        As in `adam`.
    only, retraction
        As in `riemannian_sgd`.
    """
    other = adam(beta1, beta2, eps)  # which looks at the numbers

    def start(U: Array) -> Tree:
        return {
            "count": np.zeros((), np.int64),
            "velocity": np.zeros_like(U),
            "square": np.zeros((), U.dtype),
        }

    def step(gradient: Array, state: Tree, rate: float) -> tuple[Array, Tree]:
        count, kind = int(state["count"]) + 1, gradient.dtype.type
        velocity = kind(beta1) * state["velocity"] + kind(1 - beta1) * gradient
        square = beta2 * float(state["square"]) + (1 - beta2) * float((gradient * gradient).mean())
        scale = np.sqrt(square / (1 - beta2**count)) + eps
        new = {"count": np.array(count), "velocity": velocity, "square": np.array(square, gradient.dtype)}
        return kind(-rate / (1 - beta1**count) / scale) * velocity, new

    return _riemannian(start, step, other, only, retraction)


def _riemannian(start: Any, step: Any, other: Optimizer, only: Select, retraction: str) -> Optimizer:
    """An optimizer that steps on the manifold for the chosen parameters and leaves the rest to another one."""
    one_of("retraction", retraction, RETRACTIONS)

    def init(params: Mapping[str, Any]) -> Tree:
        chosen, rest = _split(params, only)
        for path, U in chosen.items():
            _check(path, U)
        state: Tree = {
            "manifold": nest({f"{p}/{k}": v for p, U in chosen.items() for k, v in start(U).items()})
        }
        return state | {"rest": other.init(nest(rest))} if rest else state

    def update(
        grads: Mapping[str, Any], state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        chosen, rest = _split(params, only)
        flat = dict(named_leaves(grads))
        updates: dict[str, Array] = {}
        new: Tree = {}
        if rest:
            rest_grads = nest({path: flat[path] for path in rest})
            # A checkpoint keeps no empty dicts.
            moved, new["rest"] = other.update(rest_grads, state.get("rest", {}), nest(rest), learning_rate)
            updates |= dict(named_leaves(moved))
        kept = dict(named_leaves(state.get("manifold", {})))
        carried: dict[str, Array] = {}
        for path, U in chosen.items():
            own = {k.removeprefix(f"{path}/"): v for k, v in kept.items() if k.startswith(f"{path}/")}
            with one_thread(U.size):
                move, own = step(_tangent(U, flat[path]), own, learning_rate)
                arrived = _retracted(U + move.astype(U.dtype, copy=False), retraction)
                if "velocity" in own:
                    own["velocity"] = _tangent(arrived, own["velocity"]).astype(U.dtype, copy=False)
            updates[path] = arrived - U
            carried |= {f"{path}/{k}": v for k, v in own.items()}
        new["manifold"] = nest(carried)
        return nest({path: updates[path] for path, _ in named_leaves(params)}), new

    return Optimizer(init, update)


def projected(inner: Optimizer, only: Select = recurrent) -> Optimizer:
    """An optimizer after each of whose steps some matrices are replaced by the nearest with orthonormal columns.

    Parameters
    ----------
    inner : Optimizer
    only : callable
        As in `riemannian_sgd`.

    Examples
    --------
    >>> optimizer = projected(adam())
    >>> params = {"U": np.eye(2)}
    >>> updates, _ = optimizer.update({"U": np.ones((2, 2))}, optimizer.init(params), params, 0.1)
    >>> U = params["U"] + updates["U"]
    >>> bool(np.allclose(U.T @ U, np.eye(2)))
    True
    """
    instance("inner", inner, Optimizer)

    def init(params: Mapping[str, Any]) -> Tree:
        for path, U in _split(params, only)[0].items():
            _check(path, U)
        return inner.init(params)

    def update(
        grads: Mapping[str, Any], state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        steps, state = inner.update(grads, state, params, learning_rate)
        flat = dict(named_leaves(steps))
        for path, U in _split(params, only)[0].items():
            flat[path] = polar(U + flat[path])[0] - U
        return nest(flat), state

    return Optimizer(init, update)


def rebased(inner: Optimizer, every: int = 100) -> Optimizer:
    """An optimizer that moves the bases of `rd.parametrize.trivialization` along (Lezcano-Casado 2019).

    After every so many updates each base becomes B exp(A) and A becomes 0; U stays as it is. Between, bases do not
    move, whatever the inner optimizer does (weight decay). With every = 1 it is descent on the manifold along
    geodesics.

    Parameters
    ----------
    inner : Optimizer
    every : int
        At least 1.

    Raises
    ------
    ValueError
        From `init`, when the parameters hold no trivialization.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> params = {"U": rd.parametrize.trivialization.sample(2, dtype="float64")}
    >>> optimizer = rebased(sgd(), every=1)
    >>> grads = {"U": {"A": np.ones(1), "base": np.zeros((2, 2))}}
    >>> updates, _ = optimizer.update(grads, optimizer.init(params), params, 0.1)
    >>> after = rd.training.apply_updates(params, updates)
    >>> after["U"]["A"], rd.parametrize.trivialization.check(after["U"]["base"]) < 1e-15
    (array([0.]), True)
    """
    instance("inner", inner, Optimizer)
    integer("every", every, at_least=1)

    def init(params: Mapping[str, Any]) -> Tree:
        if not _trivialized(dict(named_leaves(params))):
            raise ArgumentError(
                "params",
                "hold free parameters of a trivialization, {'A', 'base'}",
                ", ".join((path for path, _ in named_leaves(params))),
            )
        return {"updates": np.zeros((), np.int64), "inner": inner.init(params)}

    def update(
        grads: Mapping[str, Any], state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        # A checkpoint keeps no empty dicts.
        steps, own = inner.update(grads, state.get("inner", {}), params, learning_rate)
        flat, values, count = dict(named_leaves(steps)), dict(named_leaves(params)), int(state["updates"]) + 1
        for path in _trivialized(values):
            A, base = f"{path}A", f"{path}base"
            if count % every:
                flat[base] = np.zeros_like(values[base])
            else:
                new = trivialization.rebase({"A": values[A] + flat[A], "base": values[base]})
                flat[A], flat[base] = -values[A], new["base"] - values[base]
        return nest(flat), {"updates": np.array(count), "inner": own}

    return Optimizer(init, update)


def orthogonality_penalty(
    params: Mapping[str, Any], strength: float, only: Select = recurrent
) -> tuple[float, Tree]:
    """``strength |U^T U - I|^2`` over some parameters and its gradient, for the `penalty` of `fit`.

    Parameters
    ----------
    params : nested dict of arrays
    strength : float
    only : callable
        As in `riemannian_sgd`.

    Returns
    -------
    penalty : float
    grads : nested dict
        Zero for parameters that are not chosen.

    Examples
    --------
    >>> orthogonality_penalty({"U": np.array([[2.0]]), "b": np.ones(1)}, 1.0)
    (9.0, {'U': array([[24.]]), 'b': array([0.])})
    """
    chosen, rest = _split(params, only)
    found = {path: penalty_of(U, strength) for path, U in chosen.items()}
    grads = {path: gradient for path, (_, gradient) in found.items()}
    grads |= {path: np.zeros_like(array) for path, array in rest.items()}
    return sum(value for value, _ in found.values()), nest(
        {path: grads[path] for path, _ in named_leaves(params)}
    )


def _split(params: Mapping[str, Any], only: Select) -> tuple[dict[str, Array], dict[str, Array]]:
    """The chosen leaves and the others."""
    callable_("only", only, "of a path and an array")
    flat = check_real("params", params)
    chosen = {path: array for path, array in flat.items() if only(path, array)}
    if not chosen:
        raise ArgumentError("only", f"choose at least one parameter of {', '.join(flat)}", "none")
    return chosen, {path: array for path, array in flat.items() if path not in chosen}


def _check(path: str, U: Array) -> None:
    if U.ndim != 2 or U.shape[0] < U.shape[1]:
        raise ArgumentError(path, "be a matrix with at least as many rows as columns", f"shape {U.shape}")
    error = float(np.abs(U.T @ U - np.eye(U.shape[1])).max())
    if not error < START:
        raise ArgumentError(
            path,
            "have orthonormal columns to start from (recurrent='orthogonal' draws such)",
            f"|U^T U - I| up to {error:.2g}",
        )


def _tangent(U: Array, G: Array) -> Array:
    """The part of a matrix that is tangent to the manifold at U."""
    inner = U.T @ G
    return G - U @ ((inner + inner.T) * U.dtype.type(0.5))


def _retracted(X: Array, retraction: str) -> Array:
    if retraction == "polar":
        return polar(X)[0]
    q, r = np.linalg.qr(X)
    return q * np.where(np.diag(r) < 0, -1, 1).astype(X.dtype)


def _trivialized(flat: Mapping[str, Array]) -> list[str]:
    """Where in a tree the free parameters of a trivialization stand: the paths before "A" and "base"."""
    ends = (path.removesuffix("base") for path in flat if path == "base" or path.endswith("/base"))
    return [path for path in ends if f"{path}A" in flat]
