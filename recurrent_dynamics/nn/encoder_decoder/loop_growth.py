"""How fast a small difference grows when a decoder reads its own real outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import ArgumentError, instance, integer, numbers
from ...engine import check
from ...results import Result
from ..layers import Context
from ..layers.context import above, below, nested
from ..leaves import named_leaves, nest
from .bridge import joined, split
from .objective import EncoderDecoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LoopGrowth(Result):
    """What `loop_growth` found, for T steps and B sources.

    Attributes
    ----------
    closed : ndarray (T, B)
        The logarithm, in nats, of the largest factor by which a small difference in states and output has grown after
        each step, where the decoder reads its own outputs.
    open : ndarray (T, B)
        The same of the states where what is read does not change with them, along the same outputs.
    outputs : ndarray (T, B, K)
    jacobians : ndarray (T, B, S + K, S + K)
        Of each step of the closed loop, from states and output before to states and output after, in the order of
        `EncoderDecoder.state_widths`.
    """

    closed: Array
    open: Array
    outputs: Array
    jacobians: Array

    @property
    def rate(self) -> Array:
        """(B,) the mean growth of a step of the closed loop; for many steps its largest Lyapunov exponent."""
        return self.closed[-1] / len(self.closed)

    @property
    def open_rate(self) -> Array:
        """(B,) the same where what is read does not change with the states."""
        return self.open[-1] / len(self.open)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the growth over the steps; see `recurrent_dynamics.plot.loop_growth`."""
        from ...plot import loop_growth

        return loop_growth(self, ax=ax, **options)


def loop_growth(
    model: EncoderDecoder,
    params: Mapping[str, Any],
    source: NDArray[Any],
    source_lengths: ArrayLike | None = None,
    *,
    steps: int,
    first: NDArray[Any] | None = None,
) -> LoopGrowth:
    """How a small difference grows in a decoder of real targets, with its outputs fed back and without.

    A decoder that is stable as long as it is told the target may be unstable once it reads itself: the derivative by
    what is read comes to that by the states. The growth is that of the product of the exact Jacobians of the steps.

    Parameters
    ----------
    model : EncoderDecoder
        With real targets.
    params : dict
        The computation is in float64 for both dtypes.
    source, source_lengths, first
        As in `Pairs`.
    steps : int
        The number T of steps.

    Returns
    -------
    LoopGrowth

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = rd.nn.encoder_decoder(rd.nn.dense(2, 4), rd.nn.recurrent(rd.cells.elman(), 5), output_size=1)
    >>> found = loop_growth(model, model.init(rng=0), np.ones((3, 2), "float32"), steps=20)
    >>> found.closed.shape, found.jacobians.shape, bool((found.rate < 0).all())
    ((20, 3), (20, 3, 6, 6), True)
    """
    instance("model", model, EncoderDecoder)
    if model.alphabet is not None:
        raise ArgumentError("model", "have real targets; exposure_bias is for symbols", repr(model))
    steps = integer("steps", steps, at_least=1)
    wide = nest(
        {path: check.real(f"params[{path!r}]", a).astype(np.float64) for path, a in named_leaves(params)}
    )
    x = check.array("source", source)
    x = x.astype(np.float64) if x.dtype.kind == "f" else x
    loop = _Loop(model, wide, x, source_lengths)
    y = np.zeros((loop.size, model.output_size))
    if first is not None:
        y = check.floating("first", numbers("first", first), np.dtype(np.float64), y.shape)
    jacobians, outputs, states = [], [], loop.states
    for _ in range(steps):
        y, states, J = loop.step(y, states)
        jacobians.append(J)
        outputs.append(y)
    found, inner = np.stack(jacobians), loop.inner
    return LoopGrowth(_growth(found), _growth(found[:, :, :inner, :inner]), np.stack(outputs), found)


class _Loop:
    """Steps of the closed loop with their Jacobians, each by one way back of as many rows as there are numbers."""

    def __init__(
        self,
        model: EncoderDecoder,
        params: Mapping[str, Any],
        source: NDArray[Any],
        lengths: ArrayLike | None,
    ) -> None:
        read = model._source(source, lengths)
        encoded = model._encoded(params, read, tape=False)
        self.model, self.params, self.size = model, model._rest_params(params), read.size
        self.widths = model.state_widths
        self.inner = sum(width for slots in self.widths.values() for width in slots.values())
        self.states = np.zeros((self.size, self.inner))
        if encoded.started.states:
            self.states = self._joined(above(encoded.started.states, "0"))
        self.vector = encoded.summary.value if model.every_step else np.empty((self.size, 0))
        read_by_attention = encoded.read
        self.memory = None if read_by_attention is None else read_by_attention.arrays
        self.memory_lengths = None if read_by_attention is None else read_by_attention.lengths

    def step(self, y: Array, states: Array) -> tuple[Array, Array, Array]:
        """The output and the states after, and the Jacobian (B, D, D)."""
        outputs, total = y.shape[1], self.inner + y.shape[1]
        rows = np.repeat(np.arange(self.size), total)
        context = Context(
            initial=nested(above(split(states[rows], self.widths), "0")),
            memory=None if self.memory is None else {k: a[:, rows] for k, a in self.memory.items()},
            memory_lengths=None if self.memory_lengths is None else self.memory_lengths[rows],
        )
        x = np.concatenate([y, self.vector], axis=1)[rows]
        after, pull = self.model.rest(self.params, x[None], context)
        units = np.tile(np.eye(total), (self.size, 1))
        d_final = nested(above(split(units[:, : self.inner], self.widths), "0"))
        back = pull.gradients(np.ascontiguousarray(units[None, :, self.inner :]), d_final)
        assert back.x is not None
        d_states = self._joined({path: g.initial for path, g in back.runs.items()})
        J = np.concatenate([d_states, back.x[0, :, :outputs]], axis=1).reshape(self.size, total, total)
        final = self._joined({path: run.final for path, run in pull.runs.items()})
        return after[0, ::total], final[::total], J

    def _joined(self, states: Mapping[str, Mapping[str, Any]]) -> Array:
        """The states of the decoder beside each other, from those by path in the layer that has the readout too."""
        own = below(states, "0")
        return joined(
            {path: {slot: own[path][slot] for slot in slots} for path, slots in self.widths.items()}
        )


def _growth(jacobians: Array) -> Array:
    """(T, B) the logarithm of the norm of the product so far, which is scaled so that nothing overflows."""
    product = np.broadcast_to(np.eye(jacobians.shape[-1]), jacobians.shape[1:])
    total, found = np.zeros(jacobians.shape[1]), []
    for J in jacobians:
        product = J @ product
        norms = np.linalg.norm(product, 2, axis=(1, 2))
        scale = np.maximum(norms, np.finfo(float).tiny)
        product, total = product / scale[:, None, None], total + np.log(scale)
        found.append(total)
    return np.stack(found)
