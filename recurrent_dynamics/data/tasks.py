"""Synthetic sequence tasks with known baselines.

Each task is a `BatchSource`: batch n is drawn from a generator seeded with (seed, n), so that every batch is new, and a
resumed run sees the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..checks import ArgumentError, floating_dtype, integer, listed, number
from ..nn.batch import Batch


class _Task:
    """What the tasks share: every batch is new and starts from the zero state."""

    batches_per_epoch = None
    carry_steps = None

    def __init__(self, steps: int, batch_size: int, seed: int) -> None:
        self.steps = integer("steps", steps, at_least=1)
        self.batch_size = integer("batch_size", batch_size, at_least=1)
        self.seed = integer("seed", seed, at_least=0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.steps} steps, {self.batch_size} in a batch, seed {self.seed})"

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, integer("number", number, at_least=0)))


class CopyingMemory(_Task):
    """Copying memory (Hochreiter and Schmidhuber 1997, in the form of Arjovsky et al. 2016).

    Ten symbols of eight, a delay of `delay` - 1 blanks (class 8), a marker (class 9), ten blanks; the target is blank
    up to the marker, then the ten symbols. Length delay + 20. Without memory the best loss is 10 ln 8 / (delay + 20)
    nats: blanks are certain, each symbol is a guess among eight.

    Parameters
    ----------
    delay : int
    batch_size : int
    seed : int

    Examples
    --------
    >>> batch = CopyingMemory(delay=5, batch_size=3).batch(0)
    >>> batch.inputs.shape
    (25, 3)
    >>> bool((batch.inputs[:10] == batch.targets[-10:]).all())
    True
    """

    symbols, length, blank, marker = 8, 10, 8, 9
    vocabulary_size = 10
    output_size = 9  # the marker is never a target

    def __init__(self, delay: int, batch_size: int, seed: int = 0) -> None:
        self.delay = integer("delay", delay, at_least=1)
        super().__init__(self.delay + 2 * self.length, batch_size, seed)

    @property
    def baseline(self) -> float:
        """The best loss without memory, in nats."""
        return self.length * float(np.log(self.symbols)) / self.steps

    def batch(self, number: int) -> Batch:
        """The batch of update `number`: classes (T, B)."""
        drawn = self._rng(number).integers(0, self.symbols, (self.length, self.batch_size))
        inputs = np.full((self.steps, self.batch_size), self.blank)
        inputs[: self.length] = drawn
        inputs[self.steps - self.length - 1] = self.marker
        targets = np.full((self.steps, self.batch_size), self.blank)
        targets[-self.length :] = drawn
        return Batch(inputs, targets)


class AddingProblem(_Task):
    """The adding problem (Hochreiter and Schmidhuber 1997, in the form of Le et al. 2015).

    The first input is uniform in (0, 1), the second marks one step in each half with 1; the target, at the last step
    alone, is the sum of the two marked numbers. Predicting 1 always gives a mean squared error of 1/6.

    Parameters
    ----------
    steps : int
        At least 2.
    batch_size : int
    seed : int
    dtype : {"float32", "float64"}

    Examples
    --------
    >>> batch = AddingProblem(steps=6, batch_size=4, dtype="float64").batch(0)
    >>> numbers, marks = np.moveaxis(batch.inputs, 2, 0)
    >>> bool(np.allclose((numbers * marks).sum(0), batch.targets[-1, :, 0]))
    True
    """

    input_size, output_size = 2, 1
    baseline = 1 / 6

    def __init__(self, steps: int, batch_size: int, seed: int = 0, dtype: str = "float32") -> None:
        super().__init__(integer("steps", steps, at_least=2), batch_size, seed)
        self.dtype = floating_dtype("dtype", dtype)

    def batch(self, number: int) -> Batch:
        """The batch of update `number`: inputs (T, B, 2), targets (T, B, 1), a mask on the last step."""
        rng, steps, size = self._rng(number), self.steps, self.batch_size
        inputs = np.zeros((steps, size, 2), self.dtype)
        inputs[:, :, 0] = rng.random((steps, size))
        every = np.arange(size)
        first, second = rng.integers(0, steps // 2, size), rng.integers(steps // 2, steps, size)
        inputs[first, every, 1] = inputs[second, every, 1] = 1
        targets = np.zeros((steps, size, 1), self.dtype)
        targets[-1, :, 0] = inputs[first, every, 0] + inputs[second, every, 0]
        mask = np.zeros((steps, size), bool)
        mask[-1] = True
        return Batch(inputs, targets, mask)


class FlipFlop(_Task):
    """The n-bit flip-flop (Sussillo and Barak 2013; three bits there).

    Each channel receives a pulse of +1 or -1 with a probability at every step, and its target is the sign of the last
    pulse. Every channel has a pulse at the first step, so that all targets are defined. Predicting 0 always gives a
    mean squared error of 1. A trained network of three bits has eight stable fixed points, one for each memory.

    Parameters
    ----------
    steps : int
    batch_size : int
    bits : int
    probability : float
        Of a pulse, per channel and step, in (0, 1].
    seed : int
    dtype : {"float32", "float64"}

    Examples
    --------
    >>> batch = FlipFlop(steps=4, batch_size=1, bits=1, probability=0.5, seed=1).batch(0)
    >>> batch.inputs[:, 0, 0], batch.targets[:, 0, 0]
    (array([-1.,  0.,  1.,  0.], dtype=float32), array([-1., -1.,  1.,  1.], dtype=float32))
    """

    baseline = 1.0

    def __init__(
        self,
        steps: int,
        batch_size: int,
        bits: int = 3,
        probability: float = 0.1,
        seed: int = 0,
        dtype: str = "float32",
    ) -> None:
        super().__init__(steps, batch_size, seed)
        self.bits = integer("bits", bits, at_least=1)
        self.probability = number("probability", probability, above=0, at_most=1)
        self.dtype = floating_dtype("dtype", dtype)
        self.input_size = self.output_size = self.bits

    def batch(self, number: int) -> Batch:
        """The batch of update `number`: inputs and targets (T, B, bits)."""
        rng, shape = self._rng(number), (self.steps, self.batch_size, self.bits)
        pulse = rng.random(shape) < self.probability
        pulse[0] = True
        inputs = np.where(pulse, rng.choice((-1.0, 1.0), shape), 0.0)
        last = np.maximum.accumulate(np.where(pulse, np.arange(self.steps)[:, None, None], 0), axis=0)
        return Batch(inputs.astype(self.dtype), np.take_along_axis(inputs, last, axis=0).astype(self.dtype))


class ContextDecision(_Task):
    """Context-dependent integration of evidence (Mante et al. 2013).

    Two channels carry noisy evidence, two more say which of them counts. The target, over the last steps alone, is the
    sign of the mean of the channel that counts; the other one has to be ignored. Predicting 0 always gives a mean
    squared error of 1.

    Parameters
    ----------
    steps : int
        T; evidence comes at all but the last `answer` steps.
    batch_size : int
    answer : int
        Steps at the end, without evidence, at which the target counts.
    strengths : sequence of float
        Sizes of the mean of the evidence, above 0; drawn with either sign for both channels.
    noise : float
        Standard deviation of the evidence at a step.
    seed : int
    dtype : {"float32", "float64"}

    Examples
    --------
    >>> task = ContextDecision(steps=8, batch_size=5, answer=2)
    >>> batch, drawn = task.batch(0), task.conditions(0)
    >>> batch.inputs.shape, batch.targets.shape
    ((8, 5, 4), (8, 5, 1))
    >>> cued = drawn["evidence"][np.arange(5), drawn["context"]]
    >>> bool((np.sign(cued) == batch.targets[-1, :, 0]).all())
    True
    """

    input_size, output_size = 4, 1
    baseline = 1.0

    def __init__(
        self,
        steps: int,
        batch_size: int,
        answer: int = 10,
        strengths: Sequence[float] = (0.04, 0.1, 0.25),
        noise: float = 0.5,
        seed: int = 0,
        dtype: str = "float32",
    ) -> None:
        super().__init__(steps, batch_size, seed)
        self.answer = integer("answer", answer, at_least=1, below=self.steps)
        self.strengths = tuple(
            number("strengths", s, above=0) for s in listed("strengths", strengths, "of numbers")
        )
        if not self.strengths:
            raise ArgumentError("strengths", "hold at least one", "none")
        self.noise = number("noise", noise, at_least=0)
        self.dtype = floating_dtype("dtype", dtype)

    def conditions(self, number: int) -> dict[str, np.ndarray]:
        """What batch `number` is about: "evidence" (B, 2), the means; "context" (B,), the channel that counts."""
        return self._conditions(self._rng(number))

    def _conditions(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        shape = (self.batch_size, 2)
        evidence = rng.choice(self.strengths, shape) * rng.choice((-1.0, 1.0), shape)
        return {"evidence": evidence, "context": rng.integers(0, 2, self.batch_size)}

    def batch(self, number: int) -> Batch:
        """The batch of update `number`: inputs (T, B, 4), targets (T, B, 1), a mask on the last steps."""
        rng = self._rng(number)
        drawn = self._conditions(rng)
        inputs = np.zeros((self.steps, self.batch_size, 4), self.dtype)
        shown = self.steps - self.answer
        noise = self.noise * rng.standard_normal((shown, self.batch_size, 2))
        inputs[:shown, :, :2] = drawn["evidence"] + noise
        inputs[:, np.arange(self.batch_size), 2 + drawn["context"]] = 1
        cued = drawn["evidence"][np.arange(self.batch_size), drawn["context"]]
        targets = np.broadcast_to(np.sign(cued)[:, None], (self.steps, self.batch_size, 1)).astype(self.dtype)
        mask = np.zeros((self.steps, self.batch_size), bool)
        mask[shown:] = True
        return Batch(inputs, targets, mask)
