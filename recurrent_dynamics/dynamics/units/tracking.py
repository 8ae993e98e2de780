"""Units that track a signal: found by correlation on one part of a run, judged on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...checks import ArgumentError, ArgumentTypeError, number, numbers
from ...results import Tabular

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Tracking(Tabular):
    """How closely each unit follows each signal.

    Attributes
    ----------
    names
        Of the signals.
    correlation
        Pearson's, on the part where units are chosen: shape (signals, H); 0 where a unit or a signal is constant.
    unit
        The unit of the largest absolute correlation there, for each signal: shape (signals,).
    held_out
        Its correlation on the other part, shape (signals,): what is left of luck in choosing among H units.
    """

    names: tuple[str, ...]
    correlation: np.ndarray
    unit: np.ndarray
    held_out: np.ndarray

    def _columns(self) -> Mapping[str, Any]:
        return {
            "signal": np.array(self.names),
            "unit": self.unit,
            "correlation": self.correlation[np.arange(len(self.unit)), self.unit],
            "held_out": self.held_out,
        }

    def __str__(self) -> str:
        width = max(len(name) for name in self.names)
        lines = [f"{'signal':{width}s}  unit  chosen on  held out"]
        for k, name in enumerate(self.names):
            unit = self.unit[k]
            lines.append(
                f"{name:{width}s}  {unit:4d}  {self.correlation[k, unit]:9.2f}  {self.held_out[k]:8.2f}"
            )
        return "\n".join(lines)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the correlations of the best units; see `recurrent_dynamics.plot.tracking`."""
        from ...plot import tracking

        return tracking(self, ax=ax, **options)


def tracking(values: ArrayLike, signals: Mapping[str, ArrayLike], *, held_out: float = 0.5) -> Tracking:
    """The unit that tracks each signal best, and how well on steps that it was not chosen on [1]_.

    Parameters
    ----------
    values
        Activations of a state or gate, (T, H), or (T, B, H) with signals (T, B).
    signals
        Name -> (T,) or (T, B): what a unit might keep in mind, such as `recurrent_dynamics.data.text_signals`.
    held_out
        Share of the steps, the last ones, on which the chosen unit is judged.

    Returns
    -------
    Tracking

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    .. [1] Karpathy, Johnson and Fei-Fei, Visualizing and understanding recurrent networks, arXiv:1506.02078 (2015),
       found such units by eye.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> values, quoted = rng.standard_normal((1000, 5)), rng.integers(0, 2, 1000)
    >>> values[:, 3] -= 4 * quoted
    >>> found = tracking(values, {"quotes": quoted})
    >>> found.unit.tolist(), found.held_out.round(1).tolist()
    ([3], [-0.9])
    """
    values = numbers("values", values)
    if values.ndim not in (2, 3) or not values.size or not np.isfinite(values).all():
        raise ArgumentError("values", "be finite, of shape (T, H) or (T, B, H)", f"shape {values.shape}")
    number("held_out", held_out, above=0, below=1)
    if not isinstance(signals, Mapping):
        raise ArgumentTypeError("signals", "be a dict of arrays", type(signals).__name__)
    if not signals:
        raise ArgumentError("signals", "hold at least one", "none")
    steps, units = len(values), values.shape[-1]
    rows = []
    for name, signal in signals.items():
        row = numbers(f"signals[{name!r}]", signal)
        if row.shape != values.shape[:-1] or not np.isfinite(row).all():
            raise ArgumentError(
                f"signals[{name!r}]",
                f"be finite, of shape {values.shape[:-1]} for values of shape {values.shape}",
                f"shape {row.shape}",
            )
        rows.append(row)
    split = steps - round(steps * held_out)
    if not 2 <= split <= steps - 2:
        raise ArgumentError("values", "have steps enough for two parts", f"{steps} with held_out {held_out}")
    wanted = np.stack(rows, axis=1).reshape(steps, len(rows), -1)  # (T, signals, B)
    first, second = (
        _correlation(values[part].reshape(-1, units), np.moveaxis(wanted[part], 1, 2).reshape(-1, len(rows)))
        for part in (slice(None, split), slice(split, None))
    )
    best = np.abs(first).argmax(axis=1)
    return Tracking(tuple(signals), first, best, second[np.arange(len(best)), best])


def _correlation(values: np.ndarray, signals: np.ndarray) -> np.ndarray:
    """Pearson's correlation (signals, H) of columns; 0 for constant ones."""
    v, s = values - values.mean(axis=0), signals - signals.mean(axis=0)
    lengths = np.linalg.norm(s, axis=0)[:, None] * np.linalg.norm(v, axis=0)
    return np.divide(s.T @ v, lengths, out=np.zeros(lengths.shape), where=lengths > 0)
