"""The progress bar of training."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

import numpy as np


class ProgressBar:
    """Loss (in bits per symbol for the cross-entropy), gradient norm, symbols per second, time left.

    Parameters
    ----------
    total : int or None
        Updates at the end.
    done : int
        Updates at the start.
    minutes : float or None
        Time limit.
    in_bits : bool
        Whether losses come in nats and are shown in bits.
    shown : bool or None
        None shows it on a terminal only.
    """

    def __init__(
        self, total: int | None, done: int, minutes: float | None, in_bits: bool, shown: bool | None
    ) -> None:
        from tqdm import tqdm

        self.seconds = None if minutes is None else 60 * minutes
        self.in_bits = in_bits
        self.loss = self.speed = float("nan")
        disable = None if shown is None else not shown
        self.bar: Any = tqdm(
            total=total, initial=done, disable=disable, unit="update", file=sys.stderr, leave=True
        )

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def step(self, loss: float, norm: float, symbols: float, seconds: float, elapsed: float) -> None:
        """Move by one update that took so many seconds, so long after the start."""
        if self.bar.disable:
            return
        self.loss = _smoothed(self.loss, loss)
        self.speed = _smoothed(self.speed, symbols / max(seconds, 1e-9))
        shown = f"{self.loss / np.log(2):.3f} bits" if self.in_bits else f"loss {self.loss:.4g}"
        text = f"{shown}, |grad| {norm:.3g}, {self.speed:,.0f} symbols/s"
        if self.seconds is not None:
            text += f", at most {max(0.0, self.seconds - elapsed):.0f} s left"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update()


def _smoothed(average: float, value: float, share: float = 0.05) -> float:
    return value if np.isnan(average) else average + share * (value - average)
