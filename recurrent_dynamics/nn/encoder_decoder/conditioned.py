"""A layer that goes on where an encoder ended: what it knows of the source, and the way back into the encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import ArgumentError, ArgumentTypeError, generator, instance, one_of
from ...engine import check
from ..layers import Context, Layer, LayerGradients, Pull
from ..layers.base import Tree
from ..layers.context import States, above, nested
from ..leaves import check_tree, named_leaves
from ..streaming import Memory
from ..trainable import Trainable
from .bridge import STARTS, SUMMARIES, Start, Started, Summary, added, summarized, summary_size, summed
from .memory import Made, memory_maps
from .pairs import Source, read_source

WAYS = ("all", "start", "attention")  # from a decoder into an encoder


@dataclass(frozen=True)
class Encoded:
    """What an encoder has read, and how the layer behind it begins."""

    summary: Summary
    started: Started
    pull: Pull
    memory: Made | None
    lengths: NDArray[Any] | None

    @property
    def read(self) -> Memory | None:
        """What is read with attention."""
        return None if self.memory is None else Memory(self.memory.arrays, self.lengths)


class IntoSource(NamedTuple):
    """Derivatives by the parameters of the source's side, of the encoder, and by the summary."""

    params: Tree
    encoder: LayerGradients
    summary: NDArray[Any] | None


class Conditioned(Trainable):
    """An encoder, and a layer behind it that begins where the encoder ended and may read its outputs with attention.

    Attributes
    ----------
    encoder : Layer
    start : {"dense", "tanh", "copy", "zero"}
    summary : {"states", "last", "mean"}
    """

    def __init__(self, encoder: Layer, start: str, summary: str | None) -> None:
        instance("encoder", encoder, Layer)
        encoder._closed()
        self.encoder, self.start = encoder, one_of("start", start, STARTS)
        has_states = bool(encoder.cells)
        if summary is None:
            summary = "states" if has_states else "last"
        self.summary = one_of("summary", summary, SUMMARIES)
        if self.summary == "states" and not has_states:
            raise ArgumentError("summary", "be 'last' or 'mean' for an encoder without states", "'states'")
        self.summary_size = summary_size(self.summary, encoder)

    def _behind(self, name: str, layer: Layer, knows: bool = False) -> None:
        """Take the layer that goes on; `knows` says that it is told of the source otherwise too."""
        self._bridge = Start(self.start, self.encoder, layer, self.summary_size)
        self.memory = memory_maps(self.encoder, layer, name)
        if self.start == "zero" and not knows and self.memory is None:
            raise ArgumentError(
                "start", f"not be 'zero', or the {name} knows nothing of the source", "'zero'"
            )

    @property
    def state_widths(self) -> dict[str, dict[str, int]]:
        return self._bridge.widths

    @property
    @abstractmethod
    def _layers(self) -> dict[str, Layer]:
        """The layers that have parameters, by the names of these."""

    @property
    def _of_source(self) -> dict[str, Layer]:
        """Those of the source's side."""
        layers = {"encoder": self.encoder} if self.encoder.has_params else {}
        if self._bridge.layer is not None:
            layers["start"] = self._bridge.layer
        if self.memory is not None and self.memory.maps is not None:
            layers["memory"] = self.memory.maps
        return layers

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        """The shape of each parameter by its path, such as "decoder/W"; None where free parameters stand."""
        found: dict[str, tuple[int, ...] | None] = {}
        for name, layer in self._layers.items():
            found |= above(layer.shapes, name)
        return found

    @property
    def statistics(self) -> tuple[str, ...]:
        return tuple(f"{name}/{path}" for name, layer in self._layers.items() for path in layer.statistics)

    def init(
        self, rng: int | np.random.Generator = 0, dtype: str | np.dtype[Any] = "float32"
    ) -> dict[str, Any]:
        """Draw parameters.

        Parameters
        ----------
        rng : int or Generator
        dtype : {"float32", "float64"}

        Returns
        -------
        dict
        """
        draws = generator("rng", rng)
        return {name: layer.init(draws, dtype) for name, layer in self._layers.items()}

    def _source(self, source: Any, lengths: ArrayLike | None) -> Source:
        return read_source(source, lengths, self.encoder)

    def _encoded(self, params: Mapping[str, Any], source: Source, **options: Any) -> Encoded:
        check_tree(params, tuple(self._layers))
        dtype = dtype_of(params)
        for name, a in named_leaves(params):
            if a.dtype != dtype:
                raise ArgumentTypeError(
                    f"params[{name!r}]", f"have dtype {dtype}, as the others have", a.dtype
                )
        if source.x.dtype.kind == "f":
            check.real("source", source.x, dtype)
        y, pull = self.encoder(params.get("encoder", {}), source.x, Context(source.lengths, **options))
        summary = summarized(self.summary, y, pull, source.lengths)
        if not np.isfinite(summary.value).all():
            for name, a in named_leaves(params):
                check.finite(f"params[{name!r}]", a)
        memory = None if self.memory is None else self.memory.made(params.get("memory", {}), y)
        started = self._bridge(params.get("start", {}), summary.value, pull)
        return Encoded(summary, started, pull, memory, source.lengths)

    def _context(
        self, encoded: Encoded, lengths: NDArray[Any] | None, key: str | None, **options: Any
    ) -> Context:
        """What the layer behind the encoder is told, or one that has it under a key."""
        states = encoded.started.states
        start = nested(states if key is None else above(states, key)) if states else None
        if encoded.memory is not None:
            options |= {"memory": encoded.memory.arrays, "memory_lengths": encoded.lengths}
        return Context(lengths, initial=start, **options)

    def _into_source(
        self,
        encoded: Encoded,
        d_states: States,
        d_memory: Mapping[str, NDArray[Any]],
        d_summary: NDArray[Any] | None = None,
        through: str = "all",
    ) -> IntoSource:
        """The way back from the initial states, the memory and the summary, or `through` some of them."""
        params: Tree = {}
        if through == "attention":
            d_states = {path: {slot: 0 * a for slot, a in slots.items()} for path, slots in d_states.items()}
            d_summary = None if d_summary is None else 0 * d_summary
        elif through == "start":
            d_memory = {name: 0 * a for name, a in d_memory.items()}
        d_start, d_more, d_final = encoded.started.back(d_states)
        if self._bridge.layer is not None:
            params["start"] = d_start
        d_summary, d_y = added(d_summary, d_more), None
        if d_summary is not None:
            d_y, of_summary = encoded.summary.back(d_summary)
            d_final = summed(d_final, of_summary)
        if encoded.memory is not None:
            d_maps, d_read = encoded.memory.back(d_memory)
            d_y = added(d_y, d_read)
            params["memory"] = d_maps
        d_penalty = 0.0 if through == "attention" else 1.0  # once in the sum of both ways
        encoder = encoded.pull.gradients(d_y, nested(d_final) if d_final else None, d_penalty=d_penalty)
        if self.encoder.has_params:
            params["encoder"] = encoder.params
        return IntoSource(params, encoder, d_summary)


def dtype_of(params: Mapping[str, Any]) -> np.dtype[Any]:
    """That of the first of the parameters."""
    return next(named_leaves(params))[1].dtype
