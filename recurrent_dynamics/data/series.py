"""Windows of long series, and noise on the data of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checks import ArgumentError, ArgumentTypeError, instance, integer, number, reals
from ..engine import check
from ..nn.batch import Batch
from ..training import BatchSource
from .over_source import OverSource
from .padding import single_or_double, with_columns


class Windows:
    """Random windows of one long series, each from the zero state; a `BatchSource` without an end.

    Parameters
    ----------
    inputs : array_like (n, N) or (n,) of class indices
    targets : array_like (n, K) or (n,) of class indices
        Aligned with the inputs: for a forecast of one step give ``series[:-1]`` and ``series[1:]``.
    steps : int
        T, of each window.
    batch_size : int
    mask : array_like (n,) or (n, K), optional
        Weights of the targets, or of each of their K numbers, such as False where one is missing.
    seed : int
        Batch n is drawn from (seed, n), so that a resumed run sees the same ones.
    dtype : {"float32", "float64"}
        Of real numbers; the parameters must have it too.

    Examples
    --------
    >>> series = np.arange(100.0)[:, None]
    >>> batch = Windows(series[:-1], series[1:], steps=20, batch_size=4).batch(0)
    >>> batch.inputs.shape, bool((batch.targets == batch.inputs + 1).all())
    ((20, 4, 1), True)
    """

    batches_per_epoch = None
    carry_steps = None

    def __init__(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        steps: int,
        batch_size: int,
        mask: ArrayLike | None = None,
        seed: int = 0,
        dtype: str = "float32",
    ) -> None:
        self.inputs, self.targets = (
            single_or_double(check.array(name, a), dtype)
            for name, a in (("inputs", inputs), ("targets", targets))
        )
        self.mask = None if mask is None else check.array("mask", mask)
        if self.mask is not None and self.mask.dtype.kind not in "biuf":
            raise ArgumentTypeError("mask", "be booleans or real weights", self.mask.dtype)
        self.steps = integer("steps", steps, at_least=1)
        self.batch_size = integer("batch_size", batch_size, at_least=1)
        self.seed = integer("seed", seed, at_least=0)
        if self.inputs.ndim not in (1, 2) or len(self.inputs) < self.steps:
            raise ArgumentError(
                "inputs",
                f"have shape (n, N) or (n,) with n of at least {self.steps} steps",
                self.inputs.shape,
            )
        for name, a, kinds in (("targets", self.targets, (1, 2)), ("mask", self.mask, (1, 2))):
            if a is not None and (a.ndim not in kinds or len(a) != len(self.inputs)):
                raise ArgumentError(
                    name, f"have shape (n,) or (n, K) with n = {len(self.inputs)}, as inputs", a.shape
                )
        check.finite("inputs", with_columns("inputs", self.inputs))
        targets = with_columns("targets", self.targets)
        if targets.dtype.kind not in "biuf":
            raise ArgumentTypeError("targets", "be real numbers or class indices", targets.dtype)
        if self.mask is not None:
            if self.mask.ndim == 2 and self.mask.shape != targets.shape:
                raise ArgumentError(
                    "mask", f"have shape (n,) or that of the targets, {targets.shape}", self.mask.shape
                )
            targets = np.where(self.mask.reshape(len(targets), -1) != 0, targets, 0)
        check.finite("targets", targets)

    def __repr__(self) -> str:
        return f"Windows({len(self.inputs)} steps, in windows of {self.steps}, {self.batch_size} in a batch)"

    def batch(self, number: int) -> Batch:
        """The batch of update `number`."""
        rng = np.random.default_rng((self.seed, integer("number", number, at_least=0)))
        starts = rng.integers(0, len(self.inputs) - self.steps + 1, self.batch_size)
        places = starts + np.arange(self.steps)[:, None]
        return Batch(
            self.inputs[places], self.targets[places], None if self.mask is None else self.mask[places]
        )


class WithNoise(OverSource):
    """The batches of a source with normal noise on their inputs, or on signals of the cells, drawn anew every time.

    Noise on the inputs lets a network that reads its own predictions later see inputs that are a little off. Noise as
    a signal that a cell adds to its drives is the private noise of the units in models of neural circuits [1]_.

    Parameters
    ----------
    source : BatchSource or list of Batch
    inputs : float or array_like (N,)
        Standard deviation of the noise on real inputs, for each of them.
    signals : dict of (float, int), optional
        For each signal of that name the standard deviation and H, the number of units: an array (T, B, H).
    seed : int
        The noise of batch n is drawn from (seed, n), so that a resumed run sees the same.

    References
    ----------
    .. [1] Song, Yang and Wang, Training excitatory-inhibitory recurrent neural networks for cognitive tasks,
       PLoS Computational Biology 12 (2016).

    Examples
    --------
    >>> source = WithNoise([(np.zeros((5, 2, 1)), np.zeros((5, 2, 1)))], inputs=0.1, signals={"noise": (1.0, 8)})
    >>> batch = source.batch(0)
    >>> bool(0 < np.abs(batch.inputs).max() < 1), batch.signals["noise"].shape
    (True, (5, 2, 8))
    """

    def __init__(
        self,
        source: BatchSource | Sequence[Any],
        inputs: ArrayLike = 0.0,
        signals: Mapping[str, tuple[float, int]] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(source, seed)
        self.deviation = reals("inputs", inputs)
        if self.deviation.ndim > 1 or not np.isfinite(self.deviation).all() or (self.deviation < 0).any():
            raise ArgumentError(
                "inputs", "be finite standard deviations of at least 0, one or (N,)", repr(inputs)
            )
        if signals is not None:
            instance("signals", signals, Mapping)
            for name, pair in signals.items():
                if not isinstance(pair, list | tuple) or len(pair) != 2:
                    raise ArgumentTypeError(
                        f"signals[{name!r}]", "be a standard deviation and a number of units", f"{pair!r:.60}"
                    )
        self.signals = {
            name: (
                number(f"signals[{name!r}][0]", std, at_least=0),
                integer(f"signals[{name!r}][1]", h, at_least=1),
            )
            for name, (std, h) in (signals or {}).items()
        }

    def __repr__(self) -> str:
        added = [f"inputs={self.deviation.tolist()}"] if self.deviation.any() else []
        added += [f"{name}={std:g} of {h} units" for name, (std, h) in self.signals.items()]
        return f"WithNoise({self.source!r}, {', '.join(added) or 'none'})"

    def batch(self, number: int) -> Batch:
        """The batch of update `number`, with the noise of that update."""
        batch, rng = self.given(number)
        x = np.asarray(batch.inputs)
        if self.deviation.any():
            if x.dtype.kind != "f":
                raise ArgumentTypeError("inputs", "be 0 for a source of class indices", self.deviation)
            if self.deviation.ndim and len(self.deviation) != x.shape[-1]:
                raise ArgumentError(
                    "inputs", f"be one number or {x.shape[-1]}, one for each input", f"{len(self.deviation)}"
                )
            noise = rng.standard_normal(x.shape, np.float32) * self.deviation
            x = x + noise.astype(x.dtype)
        kind = x.dtype if x.dtype.kind == "f" else np.dtype("float32")
        drawn = {
            name: (rng.standard_normal((*x.shape[:2], h), np.float32) * std).astype(kind)
            for name, (std, h) in self.signals.items()
        }
        given = dict(batch.signals or {})
        if taken := given.keys() & drawn.keys():
            raise ArgumentError("signals", "have names that the source does not give", ", ".join(taken))
        return batch._replace(inputs=x, signals={**given, **drawn} or None)
