"""How the numbers of a diagnosis are said."""

from __future__ import annotations

import numpy as np

from ..units.saturation import STUCK_TIME
from .thresholds import REACH_SHARE, Readings
from .words import percent, plus_minus

FEW = 10  # windows, below which nothing is said of a tenth of them


class Sentences(Readings):
    """One sentence for each kind of number: all of them from the same readings, so that they agree."""

    def _name(self, layer: int) -> str:
        """How a layer is called."""
        return f"layer {layer + 1}" if self.named is None else self.named[layer]

    def _unlearnt_in_words(self) -> str:
        return (
            "The network did not learn what needs memory: its loss ended at "
            f"{self.ended:.2f} times that of a network without any."
        )

    def _units_in_words(self) -> str:
        return (
            f"{percent(self.stuck)} of the units of {self.stuck_in} in {self._name(self.stuck_layer)} are stuck: near "
            f"an end of their range {percent(STUCK_TIME)} of the time or more, which lets little gradient pass, or at "
            "one value whatever they read."
        )

    def _fading(self) -> str:
        return f"The gradients vanish: {self._size()}, too little to learn from."

    def _size(self) -> str:
        flow = self.flows[self.layer]
        where = f" in {self._name(self.layer)}, where most is left," if len(self.flows) > 1 else ""
        if not self.relative > 0:
            return (
                f"{self.lag} steps back through time{where} nothing is left of the gradient of a single loss"
            )
        error = flow.standard_error(self.lag)
        size = plus_minus(self.relative, error) if error > 0 else f"{self.relative:.2g}"
        factor = "" if np.isnan(self.rate) else f" (a factor of {self.rate:.4f} a step on average)"
        return (
            f"{self.lag} steps back through time{where} the gradient of a single loss has {size} times the size it "
            f"starts with{factor}"
        )

    def _typically(self) -> list[str]:
        """How far the mean is from a typical window."""
        flow = self.flows[self.layer]
        if flow.windows < FEW or not self.relative > 0:
            return []
        return [
            f"These are means over {flow.windows} windows: in the median one the gradient {self.lag} steps back has "
            f"{self.typical:.2g} times the size it starts with, and {percent(flow.carried(self.lag))} of the mean "
            "there comes from the tenth of the windows with the largest gradients."
        ]

    def _healthy_in_words(self) -> str:
        if not self.flows:
            return "Nothing in these numbers speaks of trouble; the flow of gradients is not among them."
        if self.grows:
            return (
                f"The gradients grow: {self._size()}. Training takes it well: nothing else speaks of trouble."
            )
        span = "a training window" if self.lag == self.truncation else f"the {self.lag} steps measured"
        if self.typically_fades:
            return (
                f"In their mean the gradients neither vanish nor explode within {span}, yet in a typical window they "
                f"vanish: {self._size()}."
            )
        return f"The gradients neither vanish nor explode within {span}: {self._size()}."

    def _how_far(self) -> str:
        share = percent(REACH_SHARE)
        if self.reach is None:
            return (
                f"More than {share} of the gradient is left at every lag measured, up to {self.last} steps: the "
                f"network itself sets no limit there, but training looks back {self.truncation} steps at most, the "
                "length of its windows."
            )
        again = np.flatnonzero(self.flows[self.layer].relative[self.reach :] >= REACH_SHARE)
        words = f"The gradient falls below {share} of the size it starts with {self.reach} steps back"
        if again.size:
            lags = "1 lag" if again.size == 1 else f"{again.size} lags"
            words += (
                f" and is above it once more at {lags} between there and {self.reach + int(again[-1])} steps"
            )
        if self.reach >= self.truncation:
            return (
                f"{words}: about so far the network could be taught by gradients; its training windows of "
                f"{self.truncation} steps cut the view shorter."
            )
        return (
            f"{words}: about so far gradients teach the network what the past is good for; training windows of "
            f"{self.truncation} steps do not limit it."
        )
