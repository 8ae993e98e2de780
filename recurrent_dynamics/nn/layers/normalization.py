"""Normalization between layers: over the sequences and steps of a batch, or over the units of each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError, integer, number
from ...engine.run import within_lengths
from ..streaming import Memory, Streamed, pointwise
from .base import Back, Layer, Tree, Value
from .context import Inputs
from .pointwise import named, sized


def batch_norm(size: int | None = None, momentum: float = 0.1, eps: float = 1e-5) -> Layer:
    """Each unit with mean 0 and variance 1 over the valid steps of a batch, then a gain and an offset for each.

    In training, where `Context.rng` is given, the statistics are those of the batch; padding beyond the lengths does
    not count. In evaluation they are the running ones, ``(1 - momentum) running + momentum batch`` (Ioffe and Szegedy
    2015). All steps share them: it is for between layers, where the distribution hardly depends on the step.

    Parameters
    ----------
    size : int, optional
        N, the number of units; without it that of the layer before in a chain.
    momentum : float
        In (0, 1]: the share of a new batch in the running statistics.
    eps : float
        Added to the variance.

    Returns
    -------
    Layer
        Its parameters are ``{"gain": (N,), "offset": (N,), "mean": (N,), "variance": (N,)}``. The last two are the
        running statistics: `Layer.statistics` names them, no optimizer changes them, `Pull.statistics` has those after
        a call of training, and `recurrent_dynamics.training.fit` puts them into the parameters. So files and
        checkpoints hold them.

    Raises
    ------
    ValueError
        In training when a batch has less than two valid steps.

    Notes
    -----
    The running variance is that of a sample, n / (n - 1) times that of the batch, as in PyTorch. In evaluation the way
    back has derivatives by the running statistics too, which `recurrent_dynamics.training.minimize` would follow.

    References
    ----------
    Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
    ICML 2015.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> layer = rd.nn.chain(rd.nn.dense(2, 3), batch_norm())
    >>> params = layer.init(rng=0, dtype="float64")
    >>> x = np.random.default_rng(0).standard_normal((5, 4, 2))
    >>> y, pull = layer(params, x, rd.nn.Context(rng=0))
    >>> y.std(axis=(0, 1)).round(3)
    array([1., 1., 1.])
    >>> pull.statistics["1"]["variance"].shape
    (3,)
    """
    share = number("momentum", momentum, above=0, at_most=1)
    return BatchNorm(share, number("eps", eps, above=0), _width(size))


def layer_norm(size: int | None = None, eps: float = 1e-5) -> Layer:
    """The units of each step with mean 0 and variance 1, then a gain and an offset for each (Ba et al. 2016).

    It knows no batch and no other step, and does the same in training and evaluation. Within a cell it is
    `recurrent_dynamics.cells.Cell.with_normalization`.

    Parameters
    ----------
    size : int, optional
        N, the number of units; without it that of the layer before in a chain.
    eps : float
        Added to the variance.

    Returns
    -------
    Layer
        Its parameters are ``{"gain": (N,), "offset": (N,)}``.

    References
    ----------
    Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450, 2016.

    Examples
    --------
    >>> layer = layer_norm(2)
    >>> y, pull = layer({"gain": np.ones(2), "offset": np.zeros(2)}, np.array([[[1.0, 3.0]]]))
    >>> y.round(3)
    array([[[-1.,  1.]]])
    """
    return LayerNorm(number("eps", eps, above=0), _width(size))


def _width(size: int | None) -> int | None:
    return None if size is None else integer("size", size, at_least=1)


class _Scaled(Layer):
    """A layer with a gain and an offset, as wide as its input."""

    def __init__(self, size: int | None) -> None:
        self.input_size = self.output_size = size

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        assert self.input_size is not None
        return {"gain": (self.input_size,), "offset": (self.input_size,)}

    def draw(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Tree:
        ones = ("gain", "variance")
        return {k: np.full(s or (), float(k in ones), dtype) for k, s in self.shapes.items()}


class BatchNorm(_Scaled):
    """What `batch_norm` returns."""

    statistics = ("mean", "variance")

    def __init__(self, momentum: float, eps: float, size: int | None = None) -> None:
        super().__init__(size)
        self.momentum, self.eps = momentum, eps

    def __repr__(self) -> str:
        return f"batch_norm(momentum={self.momentum:g}, eps={self.eps:g})"

    def with_input(self, size: int) -> Layer:
        sized(self, size)
        return BatchNorm(self.momentum, self.eps, size)

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        return super().shapes | dict.fromkeys(self.statistics, (self.input_size or 0,))

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        gain, offset, mean, variance = self._arrays(params)
        within = (
            None
            if inputs.lengths is None or not inputs.lengths.size
            else within_lengths(len(x), inputs.lengths)
        )
        rows = x.reshape(-1, x.shape[-1]) if within is None else x[within]
        found: dict[str, NDArray[Any]] = {}
        trains = inputs.rng is not None
        if trains:
            n, dtype = len(rows), x.dtype
            if n < 2:
                raise ArgumentError("x", "have two valid steps at least, or there is no variance", n)
            m = rows.mean(axis=0, dtype=np.float64)
            v = np.square(rows - m).mean(axis=0, dtype=np.float64)
            found["mean"] = ((1 - self.momentum) * mean + self.momentum * m).astype(dtype)
            found["variance"] = ((1 - self.momentum) * variance + self.momentum * v * (n / (n - 1))).astype(
                dtype
            )
            mean, variance = m.astype(dtype), v.astype(dtype)
        inverse = 1 / np.sqrt(variance + x.dtype.type(self.eps))
        z = (rows - mean) * inverse

        def back(d_y: NDArray[Any], d_final: Any) -> Back:
            d_rows = d_y.reshape(rows.shape) if within is None else d_y[within]
            d_z = d_rows * gain
            d_params = {"gain": _sum(d_rows * z), "offset": _sum(d_rows)}
            if trains:
                nothing = np.zeros_like(gain)
                d_params |= {"mean": nothing, "variance": nothing.copy()}
                d = inverse * (d_z - _mean(d_z) - z * _mean(d_z * z))
            else:
                d = inverse * d_z
                d_params |= {"mean": -_sum(d), "variance": -0.5 * inverse * inverse * _sum(d_z * z)}
            return Back(d_params, _spread(d, within, x), {}, {})

        return Value(_spread(z * gain + offset, within, x), {}, back, statistics=found)

    def _arrays(self, params: Mapping[str, Any]) -> list[NDArray[Any]]:
        arrays = named(params, **self.shapes)
        if (arrays[3] < 0).any():
            raise ArgumentError("params['variance']", "be at least 0", arrays[3].min())
        return arrays

    def streamed(self, params: Mapping[str, Any], memory: Memory | None = None) -> Streamed:
        gain, offset, mean, variance = self._arrays(params)
        inverse, gain, offset, mean = (
            1 / np.sqrt(variance + variance.dtype.type(self.eps)),
            *map(np.array, (gain, offset, mean)),
        )
        return pointwise(lambda x: (x - mean) * inverse * gain + offset)


class LayerNorm(_Scaled):
    """What `layer_norm` returns."""

    def __init__(self, eps: float, size: int | None = None) -> None:
        super().__init__(size)
        self.eps = eps

    def __repr__(self) -> str:
        return f"layer_norm(eps={self.eps:g})"

    def with_input(self, size: int) -> Layer:
        sized(self, size)
        return LayerNorm(self.eps, size)

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        gain, offset = named(params, **self.shapes)
        z, inverse = self._normalized(x)

        def back(d_y: NDArray[Any], d_final: Any) -> Back:
            d_z = d_y * gain
            means = (a.mean(axis=-1, keepdims=True) for a in (d_z, d_z * z))
            d_params = {"gain": _sum(d_y * z), "offset": _sum(d_y)}
            mean, along = means
            return Back(d_params, inverse * (d_z - mean - z * along), {}, {})

        return Value(z * gain + offset, {}, back)

    def _normalized(self, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        inverse = 1 / np.sqrt(variance + x.dtype.type(self.eps))
        return centred * inverse, inverse

    def streamed(self, params: Mapping[str, Any], memory: Memory | None = None) -> Streamed:
        gain, offset = (np.array(a) for a in named(params, **self.shapes))
        return pointwise(lambda x: self._normalized(x)[0] * gain + offset)


def _sum(a: NDArray[Any]) -> NDArray[Any]:
    """Over all but the units, in float64."""
    total: NDArray[Any] = a.sum(axis=tuple(range(a.ndim - 1)), dtype=np.float64).astype(a.dtype)
    return total


def _mean(a: NDArray[Any]) -> NDArray[Any]:
    return _sum(a) / a.dtype.type(len(a))


def _spread(rows: NDArray[Any], within: NDArray[Any] | None, like: NDArray[Any]) -> NDArray[Any]:
    """Rows of valid steps as (T, B, N), 0 elsewhere."""
    if within is None:
        return rows.reshape(like.shape)
    out = np.zeros_like(like)
    out[within] = rows
    return out
