"""DropConnect on the matrices of a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, generator, instance, number
from ..engine import check

Params = dict[str, Any]


def weight_drop(
    params: Mapping[str, Any], rates: Mapping[str, float], rng: int | np.random.Generator
) -> tuple[Params, Callable[[Mapping[str, Any]], Params]]:
    """Parameters with entries of some matrices set to 0 at random, and the way back (Merity et al. 2018).

    The other entries are divided by 1 - rate. The given parameters stay as they are; those that are not named are
    handed on. One draw holds for all steps and sequences of what is computed with it.

    Parameters
    ----------
    params : dict of ndarray
    rates : dict of float
        In [0, 1), the probability of a 0, by the name of the parameter.
    rng : int or Generator

    Returns
    -------
    dropped : dict of ndarray
    pull : callable
        From gradients by the dropped parameters to those by the given ones.

    Raises
    ------
    ValueError, TypeError
        When a name is not one of an array in `params`, or a rate is not in [0, 1).

    References
    ----------
    Merity, Keskar, Socher, "Regularizing and optimizing LSTM language models", ICLR 2018.

    Examples
    --------
    >>> dropped, pull = weight_drop({"U": np.ones((2, 3)), "b": np.ones(2)}, {"U": 0.5}, rng=1)
    >>> dropped["U"]
    array([[0., 2., 2.],
           [2., 0., 0.]])
    >>> bool((pull({"U": np.ones((2, 3)), "b": np.ones(2)})["U"] == dropped["U"]).all())
    True
    """
    instance("params", params, Mapping)
    source = generator("rng", rng)
    masks: dict[str, NDArray[Any]] = {}
    for name, rate in checked_rates(
        "rates", rates, tuple(k for k, v in params.items() if not isinstance(v, Mapping))
    ).items():
        a = check.real(f"params[{name!r}]", params[name])
        # Drawn in single precision for both dtypes, so that the same entries fall.
        masks[name] = (source.random(a.shape, dtype=np.float32) >= rate) * a.dtype.type(1 / (1 - rate))

    def pull(grads: Mapping[str, Any]) -> Params:
        return {name: g * masks[name] if name in masks else g for name, g in grads.items()}

    return {name: a * masks[name] if name in masks else a for name, a in params.items()}, pull


def checked_rates(argument: str, rates: Any, known: tuple[str, ...]) -> dict[str, float]:
    """Rates by the name of a parameter."""
    if not isinstance(rates, Mapping) or not set(rates) <= set(known):
        came = ", ".join(map(str, rates)) if isinstance(rates, Mapping) else repr(rates)
        raise ArgumentError(argument, f"be a dict with names of {', '.join(known) or 'none'}", came)
    return {name: number(f"{argument}[{name!r}]", rate, at_least=0, below=1) for name, rate in rates.items()}
