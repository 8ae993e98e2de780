"""What the loss curves and the flow of gradients of a network say together, in words and with the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import boolean, instance, number, texts
from ...results import Result
from .measures import Measure, Trial, as_flows, by_layer, level, series
from .remedies import TRUNCATION, remedies
from .sentences import Sentences
from .thresholds import (
    EXPLODING_ABOVE,
    GAP_ABOVE,
    RISES_ABOVE,
    SPIKES_ABOVE,
    STUCK_ABOVE,
    UNLEARNT_ABOVE,
    VANISHING_BELOW,
)
from .words import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Diagnosis(Result):
    """What is wrong with a network that was trained, or that nothing is, or that the numbers do not say.

    `print` shows all of it.

    Attributes
    ----------
    verdict
        "vanishing", "exploding", "saturated", "overfitting", "healthy" or "unsure".
    cause
        Of "vanishing": "gates" or "matrix", what carries the state and should keep it. Of "exploding": "Jacobian" or
        "learning rate". Of "overfitting": "long-range memory" or "short range". None otherwise.
    sentences
        The findings in words.
    measures
        The numbers they rest on, each with its threshold.
    remedies
        What to try, most telling first.
    rule
        The thresholds of the flow of gradients in words.
    relative_norm
        Norm of the gradient of a single loss `truncation` steps back, relative to the one where it enters; NaN where
        no flow was given, as for `rate`.
    rate
        Its growth per step, such that so many steps at this rate make `relative_norm`.
    reach
        The first lag at which less than 1 % of the gradient is left, in the layer of `relative_norm`; None if there
        is more at every lag measured, or if no flow was given.
    typical_norm
        `relative_norm` in the median window; NaN where the windows are not known.
    """

    verdict: str
    cause: str | None
    sentences: tuple[str, ...]
    measures: tuple[Measure, ...]
    remedies: tuple[str, ...]
    rule: str
    relative_norm: float
    rate: float
    reach: int | None
    data: dict[str, Any] = field(default_factory=dict, repr=False)
    typical_norm: float = float("nan")

    _shown = ("verdict", "cause", "relative_norm", "rate", "reach", "sentences", "measures", "remedies")

    def __str__(self) -> str:
        head = self.verdict + (f" ({self.cause})" if self.cause else "")
        parts = [head, "=" * len(head), *self.sentences]
        if self.measures:
            parts += ["", "Numbers (! speaks for trouble):", *map(str, self.measures)]
        if self.remedies:
            parts += ["", "What to try:", *(f"- {remedy}" for remedy in self.remedies)]
        return "\n".join(parts)

    def plot(self, axes: Sequence[Axes] | None = None) -> np.ndarray:
        """Draw what it rests on; see `recurrent_dynamics.plot.diagnosis`."""
        from ...plot import diagnosis

        return diagnosis(self, axes=axes)


def diagnose(
    flows: Any = None,
    truncation: int | None = None,
    gradient_norms: Any = None,
    *,
    clipped_norms: Any = None,
    losses: Any = None,
    validation_losses: Any = None,
    baseline: float | None = None,
    states: Any = None,
    gates: Any = None,
    loss_by_step: Any = None,
    validation_by_step: Any = None,
    trial: Trial | None = None,
    gated: bool | None = None,
    layers: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> Diagnosis:
    """Read the numbers of a training as an expert would; `recurrent_dynamics.diagnose` takes them off a model.

    Everything is an array and everything may be missing, so that it serves networks that were trained elsewhere: what
    is missing is not judged. Where the numbers contradict each other, or say that something is wrong and not what,
    the verdict is "unsure".

    Parameters
    ----------
    flows
        `gradient_flow` of a window's last loss alone, one for each layer; or the norms of these gradients by lag,
        (K + 1,) or (layers, K + 1). Of several layers the one counts whose gradient is largest at the end of a
        training window: what one layer carries back the network can learn from.
    truncation
        The steps of a training window; by default as far as `flows` go.
    gradient_norms, clipped_norms
        Global norm of the gradient before and after clipping at every update.
    losses, validation_losses
        In the course of training, in one unit.
    baseline
        The best loss without memory, in the same unit.
    states
        Saturation of the state's slots, a list for each layer; or their activations, (T, B, H) by name.
    gates
        The same of gates, for the figure alone: one that is always open may be what memory is made of, and one that
        shuts a unit off shows in the state.
    loss_by_step, validation_by_step : array_like (T,)
        Mean loss at each step of a window, of data that was trained on and of data that was not. NaN where there is
        no loss.
    trial
        What some updates did to the loss of one batch.
    gated
        Whether a direct path carries the state from step to step, for the choice of remedies.
    layers
        What sentences call the layers of `flows` and `states`, such as "the decoder"; "layer 1", "layer 2", ... by
        default.
    notes
        Sentences that are added to those of the numbers.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came; if nothing at all is given.

    Examples
    --------
    >>> import numpy as np
    >>> found = diagnose(flows=0.5 ** np.arange(30), losses=np.full(100, 0.17), baseline=1 / 6)
    >>> print(found)
    vanishing (matrix)
    ==================
    The network did not learn what needs memory: its loss ended at 1.02 times that of a network without any.
    The gradients vanish: 29 steps back through time the gradient of a single loss has 1.9e-09 times the size it starts
    with (a factor of 0.5000 a step on average), too little to learn from.
    The gradient falls below 1 % of the size it starts with 7 steps back: about so far gradients teach the network what
    the past is good for; training windows of 29 steps do not limit it.
    ...
    """
    if trial is not None:
        instance("trial", trial, Trial)
    reading = _Verdict(
        as_flows(flows) if flows is not None else [],
        truncation,
        series("losses", losses),
        series("validation_losses", validation_losses, finite=True),
        None if baseline is None else number("baseline", baseline, above=0),
        by_layer("states", states),
        by_layer("gates", gates),
        series("gradient_norms", gradient_norms, norms=True),
        series("clipped_norms", clipped_norms, norms=True),
        series("loss_by_step", loss_by_step),
        series("validation_by_step", validation_by_step),
        trial,
        None if gated is None else boolean("gated", gated),
        None if layers is None else texts("layers", layers),
        texts("notes", notes),
    )
    return reading.diagnosis()


class _Verdict(Sentences):
    """What the readings say together, in words."""

    def diagnosis(self) -> Diagnosis:
        verdict, cause, sentences = self._verdict()
        if self.flows:
            sentences = [*sentences, *self._typically(), self._how_far()]
        sentences = [*sentences, *self.notes]
        advice = list(
            remedies(verdict, cause, clipped=self.clipped_norms is not None and self.share_clipped > 0)
        )
        if (
            self.flows
            and (self.reach is None or self.reach >= self.truncation)
            and verdict == "unsure"
            and self.unlearnt
        ):
            advice.append(TRUNCATION)
        rule = (
            f"Exploding: more than {EXPLODING_ABOVE:g} times the size it starts with at any lag and a training that "
            f"suffers, or a gradient norm above {SPIKES_ABOVE:g} times its median in the second half of training. "
            f"Vanishing: less than {VANISHING_BELOW:g} of it at the end of a training window, in the mean of windows. "
            f"Saturated: more than {percent(STUCK_ABOVE)} of the units of a state of a layer stuck. Overfitting: a "
            f"held-out loss that turned and is above {GAP_ABOVE:g} times that of training. Healthy: nothing of these."
        )
        data = {name: getattr(self, name) for name in (
            "flows", "truncation", "losses", "validation", "baseline", "norms", "clipped_norms", "by_step",
            "validation_by_step", "states", "gates", "named",
        )}  # fmt: skip
        return Diagnosis(
            verdict, cause, tuple(sentences), tuple(self.measures), tuple(advice), rule, self.relative, self.rate,
            self.reach, data, self.typical,
        )  # fmt: skip

    def _verdict(self) -> tuple[str, str | None, list[str]]:
        suffers = (
            self.rises
            or self.spikes
            or self.overshoots
            or (self.grows and (self.mostly_clipped or self.unlearnt))
        )
        untrained = self.losses is None and self.norms is None and self.trial is None
        if suffers or (self.grows and untrained):
            return self._explosion()
        if self.is_stuck:
            return "saturated", None, [self._units_in_words(), *([self._fading()] if self.fades else [])]
        if self.overfits:
            return self._overfitting()
        if self.fades and not (self.baseline is not None and self.losses is not None and not self.unlearnt):
            words = [self._unlearnt_in_words()] if self.unlearnt else []
            return "vanishing", "gates" if self.gated else "matrix", [*words, self._fading()]
        if self.fades:
            if self.ended > UNLEARNT_ABOVE / 2:
                text = (
                    f"The network learnt a part of the task (its loss is {self.ended:.2f} times that without memory) "
                    "though its gradients vanish: whether they hold it up, these numbers do not say."
                )
                return "unsure", None, [text, self._fading()]
            return "healthy", None, [
                f"The task is learnt: the loss is {self.ended:.2g} times that of a network without memory, though the "
                f"gradients fade: {self._size()}."
            ]  # fmt: skip
        if self.unlearnt:
            text = "Gradients reach back, no unit is stuck, nothing explodes: what is missing, the numbers do not say."
            if self.losses is not None and self._still_falling():
                text = "Gradients reach back and the loss is still falling: train longer before anything is judged."
            return "unsure", None, [self._unlearnt_in_words(), text]
        return "healthy", None, [self._healthy_in_words()]

    def _still_falling(self) -> bool:
        assert self.losses is not None
        tenth = max(1, len(self.losses) // 10)
        return level(self.losses) < 0.95 * float(np.median(self.losses[-4 * tenth : -3 * tenth or None]))

    def _explosion(self) -> tuple[str, str | None, list[str]]:
        words = []
        if self.rises and self.losses is not None:
            usual = np.isfinite(self.losses) & (self.losses <= RISES_ABOVE * self.losses[0])
            high = np.flatnonzero(~usual)
            words.append(
                f"The loss exploded: update {high[0] + 1} saw more than {RISES_ABOVE:g} times the first one."
            )
        elif self.spikes:
            words.append(
                f"The gradient exploded in training: at update {self.spike_at + 1} its norm was {self.spike:.0f} times "
                "its median."
            )
        elif self.overshoots and self.trial is not None:
            words.append(
                f"{self.trial.updates} updates on one batch at the rate {self.trial.rate:g} raise its loss by a factor "
                f"of {self.trial.as_it_is:.2g}."
            )
        if self.mostly_clipped and self.clipped_norms is not None and self.norms is not None:
            held = "" if self.rises else ", which holds training together"
            words.append(
                f"Before clipping: {percent(self.share_clipped)} of the gradients were cut, the largest from "
                f"{np.nanmax(self.norms):.2g} to {np.nanmax(self.clipped_norms):.2g}{held}."
            )
        if self.grows:
            words.append(
                f"On its way back the gradient of one loss grows to {self.peak:.2g} times the size it starts with, "
                f"in {self._name(self.peak_layer)}; it passes {EXPLODING_ABOVE:g} times {self.first_above} steps back."
            )
        elif self.flows:
            words.append(
                f"Jacobians are innocent: no gradient grows above {self.peak:.2g} times its size on its way back."
            )
        if self.grows and self.outruns:
            words.append(
                "Yet the learning rate alone would do it too, with recurrent matrices that let no gradient grow: which "
                "of the two was first, these numbers do not say. Lower the rate and look again."
            )
            return "unsure", None, words
        if self.grows:
            return "exploding", "Jacobian", words
        if not self.flows:
            words.append(
                "Whether by the Jacobian or by the learning rate, only the flow of gradients could say."
            )
            return "unsure", None, words
        if self.rises or self.overshoots:
            if self.trial is not None and self.trial.slower <= RISES_ABOVE:
                words.append(
                    f"At a tenth of the rate, the same updates change the loss by a factor of {self.trial.slower:.2g}."
                )
            return "exploding", "learning rate", words
        words.append(
            "The gradient that was measured now does not grow: measure at the parameters from before the spike."
        )
        return "unsure", None, words

    def _overfitting(self) -> tuple[str, str, list[str]]:
        words = [
            f"The network overfits: the held-out loss is {self.gap:.2g} times that of training, and it has turned "
            "upwards."
        ]
        far = not self.flows or self.reach is None or self.reach >= self.truncation // 2
        if self.widens and far:
            words.append(
                "It does so by memory: the gap grows along the window, by "
                f"{percent(self.widening)} of the held-out loss, and gradients reach back far enough to learn by heart."
            )
            return "overfitting", "long-range memory", words
        if np.isnan(self.widening):
            words.append("Whether by memory over long ranges, losses by step would say.")
        else:
            words.append("Not by long memory: the gap is there from the first steps of a window on.")
        return "overfitting", "short range", words
