"""The numbers of a training and of a network, each beside the threshold that it is compared with."""

from __future__ import annotations

import numpy as np

from ...checks import ArgumentError, integer
from ..gradient_flow.norms import GradientFlow
from ..units.saturation import Saturation
from .measures import Measure, Trial, level, rise, spike, stuck, widening

# Fixed on networks of 32 units and one seed; docs/diagnosis.rst shows how they do on others.
VANISHING_BELOW = 1e-3  # relative norm of the gradient at the end of a training window
EXPLODING_ABOVE = 10.0  # the same at any lag
SPIKES_ABOVE = 100.0  # largest gradient norm of the second half of training, over the median
RISES_ABOVE = 10.0  # largest loss over the first one, of a training or of a trial
CLIPPED_ABOVE = 0.5  # share of the updates that were clipped
STUCK_ABOVE = 0.5  # share of stuck units in a state of a layer
UNLEARNT_ABOVE = 0.8  # loss at the end of training over that of a network without memory
GAP_ABOVE = 1.5  # held-out loss over training loss at the end
TURNED_ABOVE = 1.05  # held-out loss at the end over its minimum
WIDENS_ABOVE = 0.1  # growth of the gap along the window over the held-out loss at its end
REACH_SHARE = 0.01  # the network learns back to the first lag where less of the gradient is left


class Readings:
    """What each number says by itself; `diagnosis.py` says what they say together."""

    def __init__(
        self,
        flows: list[GradientFlow],
        truncation: int | None,
        losses: np.ndarray | None,
        validation: np.ndarray | None,
        baseline: float | None,
        states: list[list[Saturation]],
        gates: list[list[Saturation]],
        norms: np.ndarray | None,
        clipped: np.ndarray | None,
        by_step: np.ndarray | None,
        validation_by_step: np.ndarray | None,
        trial: Trial | None,
        gated: bool | None,
        layers: list[str] | None = None,
        notes: list[str] | None = None,
    ) -> None:
        if not flows and losses is None and norms is None and not states and trial is None:
            raise ArgumentError(
                "flows, losses, gradient_norms, states or a trial", "be given", "none of them"
            )
        longest = min((len(f.lags) for f in flows), default=1) - 1
        if truncation is None:
            truncation = max(1, longest)
        self.truncation = integer("truncation", truncation, at_least=1)
        if clipped is not None and (norms is None or len(norms) != len(clipped)):
            raise ArgumentError(
                "clipped_norms", "be as many as gradient_norms", "others, or no gradient_norms"
            )
        if (by_step is None) != (validation_by_step is None) or (
            by_step is not None
            and validation_by_step is not None
            and by_step.shape != validation_by_step.shape
        ):
            raise ArgumentError(
                "loss_by_step and validation_by_step", "be given both, of one length", "others"
            )
        self.flows, self.trial, self.gated, self.baseline = flows, trial, gated, baseline
        self.losses, self.validation, self.norms, self.clipped_norms = losses, validation, norms, clipped
        self.by_step, self.validation_by_step = by_step, validation_by_step
        self.states, self.gates = states, gates
        self.named, self.notes = layers, notes or []
        count = max(len(flows), len(states))
        if layers is not None and len(layers) < count:
            raise ArgumentError("layers", f"be {count} names, one a layer", len(layers))
        self.measures: list[Measure] = []
        self.lag = min(self.truncation, longest)
        self._measure_flows()
        self._measure_training()
        self._measure_units()
        self._measure_fit()

    def _add(self, name: str, value: float, threshold: float, side: str = "above") -> bool:
        self.measures.append(Measure(name, float(value), threshold, side))
        return self.measures[-1].speaks

    def _measure_flows(self) -> None:
        self.relative = self.rate = self.typical = self.peak = float("nan")
        self.reach: int | None = None
        self.fades = self.grows = self.typically_fades = False
        self.layer = self.peak_layer = self.first_above = self.last = 0
        if not self.flows:
            return
        flows = self.flows
        self.layer = int(np.argmax([f.relative[self.lag] for f in flows]))
        best = flows[self.layer]
        self.relative, self.rate = float(best.relative[self.lag]), best.rate(self.lag)
        self.last = int(best.lags[-1])
        self.reach = best.reach(REACH_SHARE)
        self.peak_layer = int(np.argmax([f.relative.max() for f in flows]))
        growing = flows[self.peak_layer].relative
        self.peak = float(growing.max())
        self.first_above = int(np.argmax(growing > EXPLODING_ABOVE))
        name = f"gradient of a single loss {self.lag} steps back, relative"
        self.fades = self._add(name, self.relative, VANISHING_BELOW, "below")
        if best.windows > 1:
            self.typical = float(best.typical[self.lag])
            self.typically_fades = self._add(
                f"{name}, in the median window", self.typical, VANISHING_BELOW, "below"
            )
        self.grows = self._add("largest gradient at any lag, relative", self.peak, EXPLODING_ABOVE)

    def _measure_training(self) -> None:
        self.rises = self.spikes = self.mostly_clipped = self.overshoots = self.outruns = False
        self.spike, self.spike_at, self.rise, self.share_clipped = 0.0, 0, 1.0, 0.0
        if self.losses is not None:
            self.rise = rise(self.losses)
            self.rises = self._add("largest loss of the training over the first", self.rise, RISES_ABOVE)
        if self.norms is not None:
            self.spike, self.spike_at = spike(self.norms)
            self.spikes = self._add("largest late gradient norm over their median", self.spike, SPIKES_ABOVE)
        if self.clipped_norms is not None and self.norms is not None:
            self.share_clipped = float(np.mean(self.clipped_norms < self.norms * (1 - 1e-6)))
            self.mostly_clipped = self._add(
                "share of updates that were clipped", self.share_clipped, CLIPPED_ABOVE
            )
        if self.trial is not None:
            t, what = self.trial, f"loss of one batch within {self.trial.updates} updates on it"
            self.overshoots = self._add(f"{what}, at rate {t.rate:g}", t.as_it_is, RISES_ABOVE)
            self._add(f"{what}, at a tenth of it", t.slower, RISES_ABOVE)
            if t.contracted is not None:
                self.outruns = self._add(f"{what}, with U contracted", t.contracted, RISES_ABOVE)

    def _measure_units(self) -> None:
        self.stuck, self.stuck_in, self.stuck_layer = 0.0, "", 0
        self.is_stuck = False
        for index, layer in enumerate(self.states):
            share, name = stuck(layer)
            if share >= self.stuck:
                self.stuck, self.stuck_in, self.stuck_layer = share, name, index
        if self.states:
            self.is_stuck = self._add(
                "largest share of stuck units in a state of a layer", self.stuck, STUCK_ABOVE
            )

    def _measure_fit(self) -> None:
        self.unlearnt, self.overfits, self.widens = False, False, False
        self.ended, self.gap, self.widening = float("nan"), float("nan"), float("nan")
        if self.losses is None or self.rises:
            return
        end = level(self.losses)
        if self.baseline is not None:
            self.ended = end / self.baseline
            self.unlearnt = self._add("loss at the end over that without memory", self.ended, UNLEARNT_ABOVE)
        if self.validation is not None and end > 0:
            self.gap = float(self.validation[-1]) / end
            large = self._add("held-out loss over training loss at the end", self.gap, GAP_ABOVE)
            turned = self._add(
                "held-out loss at the end over its minimum",
                self.validation[-1] / self.validation.min(),
                TURNED_ABOVE,
            )
            self.overfits = large and turned
        if self.by_step is not None and self.validation_by_step is not None:
            self.widening = widening(self.by_step, self.validation_by_step)
            self.widens = self._add("growth of the gap along the window", self.widening, WIDENS_ABOVE)
