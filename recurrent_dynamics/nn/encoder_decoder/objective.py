"""An encoder and a decoder: sequence to sequence, and one to many, as what training takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import ArgumentError, integer, one_of
from ...engine import check
from ...engine.run import within_lengths
from ..decoding import Decoded, beam_search
from ..layers import LayerGradients
from ..layers.context import State
from ..table import embed, scattered
from ..trainable import Losses, check_generator, no_initial
from .architecture import Architecture
from .bridge import in_order
from .conditioned import WAYS, Encoded, dtype_of
from .feeding import drawn
from .pairs import Forced, Pairs, as_pairs, first_symbols, forced_classes, forced_numbers
from .predictor import SourcePredictor
from .results import EncoderDecoderGradients, EncoderDecoderRun
from .steps import DecoderSteps, Rows


class EncoderDecoder(Architecture):
    """What `encoder_decoder` returns: a loss of pairs of sequences.

    Its parameters are ``{"encoder", "start", "memory", "embedding", "decoder", "readout"}``; without "start" where the
    states are copied or 0, without "memory" where no map of the encoder's outputs is read, and without "embedding" for
    real targets.

    Attributes
    ----------
    encoder, decoder : Layer
    feeding : Feeding
        What the decoder reads in training.
    alphabet : Alphabet or None
        The number of classes with the begin and the end symbol; None for real targets.
    state_widths : dict
        The width of each state of the decoder, by the path of its layer and its slot.

    See Also
    --------
    encoder_decoder : Makes it, and says what the arguments are.
    """

    def compared(self, batch: Any) -> Losses:
        """What the outputs are compared with: the target, and its end symbol."""
        pairs = as_pairs(batch)
        forced = self._forced(pairs, self._source(pairs.source, pairs.source_lengths).size, None)
        return Losses(forced.targets, forced.weights, forced.weight)

    def run(
        self,
        params: Mapping[str, Any],
        batch: Any,
        initial: Sequence[State] | None = None,
        dropout_rng: np.random.Generator | None = None,
        copy_params: bool = True,
        tape: bool = True,
    ) -> EncoderDecoderRun:
        """Compute the output for a batch of pairs.

        Parameters
        ----------
        params : dict
        batch : Pairs or dict of their names
        initial : None
            A source begins in the zero state: no state goes from batch to batch.
        dropout_rng : Generator, optional
            Draws the dropout, and in scheduled sampling the coins and the symbols. Without it, in evaluation, the
            decoder reads the target.
        copy_params, tape : bool
            As in `Context`.

        Returns
        -------
        EncoderDecoderRun
        """
        no_initial(initial)
        check_generator(dropout_rng)
        pairs = as_pairs(batch)
        options: dict[str, Any] = {"rng": dropout_rng, "copy_params": copy_params, "tape": tape}
        source = self._source(pairs.source, pairs.source_lengths)
        encoded = self._encoded(params, source, **options)
        forced = self._forced(pairs, source.size, dtype_of(params))
        fed, own = self._fed(params, forced, encoded, dropout_rng)
        context = self._context(encoded, forced.lengths, "0" if self.whole is None else "1", **options)
        if self.whole is not None:
            output, pull = self.whole(self._whole_params(params), fed, context)
        else:
            output, pull = self.rest(self._rest_params(params), self._read(params, fed, encoded), context)

        def back(d_output: NDArray[Any], through: str) -> EncoderDecoderGradients:
            return self._back(pull.gradients(d_output, d_penalty=1.0), fed, encoded, through)

        return EncoderDecoderRun(output, fed, own, encoded.summary.value, encoded.pull, pull, back)

    def backward(
        self, run: EncoderDecoderRun, d_output: NDArray[Any] | None, *, through: str = "all"
    ) -> EncoderDecoderGradients:
        """Go back from the derivative of a loss by `EncoderDecoderRun.output`; 0 where it is None.

        The gradient takes what the decoder read for given; it does not go through the choice of its own symbols.

        Parameters
        ----------
        run : EncoderDecoderRun
        d_output : ndarray (T, B, V) or None
        through : {"all", "start", "attention"}
            The ways from the decoder into the encoder that are taken: by what the decoder knows of the source at its
            start and with `every_step`, by what it reads with attention, or both. The gradients by the source and by
            the parameters of its side add up to those of "all"; those of the decoder's side are the same in each.
        """
        one_of("through", through, WAYS)
        if through == "attention" and self.memory is None:
            raise ArgumentError(
                "through", "be 'all' or 'start' for a decoder without attention", repr(through)
            )
        return run._back(np.zeros_like(run.output) if d_output is None else d_output, through)

    def _forced(self, pairs: Pairs, size: int, dtype: np.dtype[Any] | None) -> Forced:
        if self.alphabet is not None:
            return forced_classes(pairs, self.alphabet, size)
        kind = np.asarray(pairs.target).dtype if dtype is None else dtype
        return forced_numbers(pairs, self.output_size, kind, size)

    def _whole_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"0": params["embedding"], "1": params["decoder"], "2": params["readout"]}

    def _rest_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"0": params["decoder"], "1": params["readout"]}

    def _read(self, params: Mapping[str, Any], fed: NDArray[Any], encoded: Encoded) -> NDArray[Any]:
        """The input (T, B, N) of the decoder."""
        x = fed if self.alphabet is None else embed(params["embedding"]["table"], fed)
        if not self.every_step:
            return x
        vector = encoded.summary.value
        return np.concatenate([x, np.broadcast_to(vector, (len(x), *vector.shape))], axis=2)

    def _fed(
        self, params: Mapping[str, Any], forced: Forced, encoded: Encoded, rng: np.random.Generator | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """What the decoder reads, and where that is its own output."""
        ratio = self.feeding.ratio(self.update)
        if rng is None or ratio == 1:
            return forced.fed, None
        steps, size = forced.fed.shape[:2]
        own = rng.random((steps, size)) >= ratio
        u = rng.random((steps, size))
        own[0] = False
        if forced.lengths is not None:
            own &= within_lengths(steps, forced.lengths)
        fed, step = forced.fed.copy(), self._steps(params, encoded)
        rows = self._rows(step, encoded, size)
        for t in range(1, int(np.flatnonzero(own.any(axis=1)).max(initial=0)) + 1):
            output, rows = step(rows, fed[t - 1])
            said = output if self.alphabet is None else drawn(output, self.feeding.draw, u[t])
            fed[t, own[t]] = said[own[t]]
        return fed, own

    def _back(
        self, decoder: LayerGradients, fed: NDArray[Any], encoded: Encoded, through: str
    ) -> EncoderDecoderGradients:
        whole = self.whole is not None
        names = (
            {"0": "embedding", "1": "decoder", "2": "readout"} if whole else {"0": "decoder", "1": "readout"}
        )
        params = {names[key]: grads for key, grads in decoder.params.items()}
        d_summary = None
        if self.every_step:
            assert decoder.x is not None
            d_summary = decoder.x[:, :, -self.summary_size :].sum(axis=0)
        if self.alphabet is not None and not whole:
            assert decoder.x is not None
            d_rows = decoder.x[:, :, : self.embedding_size]
            params["embedding"] = {"table": scattered(fed, d_rows, self.alphabet.classes)}
        d_states = in_order(decoder.initial["1" if whole else "0"], self.state_widths)
        source = self._into_source(encoded, d_states, decoder.memory, d_summary, through)
        params |= source.params
        ordered = {name: params[name] for name in self._layers}
        return EncoderDecoderGradients(ordered, source.encoder.x, source.summary, source.encoder, decoder)

    def predictor(
        self,
        params: Mapping[str, Any],
        source: NDArray[Any],
        source_lengths: ArrayLike | None = None,
        first: NDArray[Any] | None = None,
    ) -> SourcePredictor:
        """What predicts the next symbol of the target of each source, for `beam_search`, `exact_search` and `sample`.

        Parameters
        ----------
        params : dict
            Later changes of them do not count.
        source, source_lengths, first
            As in `Pairs`.

        Returns
        -------
        SourcePredictor
            Its `prime` holds what is read first.
        """
        if self.alphabet is None:
            raise ArgumentError("model", "have symbols for a target", repr(self))
        prime = first_symbols(first, self.alphabet, self._source(source, source_lengths).size)
        return SourcePredictor(
            self.alphabet.classes, prime[None], *self._begun(params, source, source_lengths)
        )

    def decode(
        self,
        params: Mapping[str, Any],
        source: NDArray[Any],
        source_lengths: ArrayLike | None = None,
        *,
        length: int,
        width: int = 10,
        n_best: int = 1,
        length_penalty: float = 0.0,
        minimum_length: int = 0,
        coverage_penalty: float = 0.0,
        first: NDArray[Any] | None = None,
    ) -> Decoded:
        """The most probable targets of each source, by beam search.

        Parameters
        ----------
        params : dict
        source, source_lengths, first
            As in `Pairs`.
        length, width, n_best, length_penalty, minimum_length, coverage_penalty
            As in `beam_search`. A width of 1 is the greedy choice.

        Returns
        -------
        Decoded
        """
        predictor = self.predictor(params, source, source_lengths, first)
        assert self.alphabet is not None
        return beam_search(
            predictor, predictor.prime, length, width, n_best=n_best, stop=self.alphabet.end,
            length_penalty=length_penalty, minimum_length=minimum_length, coverage_penalty=coverage_penalty,
        )  # fmt: skip

    def free_run(
        self,
        params: Mapping[str, Any],
        source: NDArray[Any],
        source_lengths: ArrayLike | None = None,
        *,
        steps: int,
        first: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Real targets as the decoder goes on by itself: each output is the next input.

        Parameters
        ----------
        params : dict
        source, source_lengths, first
            As in `Pairs`.
        steps : int
            The number T of steps.

        Returns
        -------
        ndarray (T, B, K)
        """
        if self.alphabet is not None:
            raise ArgumentError("model", "have real targets: decode or sample give symbols", repr(self))
        step, rows = self._begun(params, source, source_lengths)
        size, dtype = len(rows), dtype_of(params)
        shape = (size, self.output_size)
        x = np.zeros(shape, dtype) if first is None else check.floating("first", first, dtype, shape)
        output = np.empty((integer("steps", steps, at_least=1), *shape), dtype)
        for t in range(len(output)):
            output[t], rows = step(rows, output[t - 1] if t else x)
        return output

    def _begun(
        self, params: Mapping[str, Any], source: Any, lengths: ArrayLike | None
    ) -> tuple[DecoderSteps, Rows]:
        """The steps of the decoder, and what it knows of each source before the first, without a tape."""
        read = self._source(source, lengths)
        encoded = self._encoded(params, read, tape=False)
        steps = self._steps(params, encoded)
        return steps, self._rows(steps, encoded, read.size)

    def _steps(self, params: Mapping[str, Any], encoded: Encoded) -> DecoderSteps:
        """The decoder one step at a time."""
        if self.whole is not None:
            return DecoderSteps(self.whole, self._whole_params(params), None, encoded.read)
        table = None if self.alphabet is None else params["embedding"]["table"]
        return DecoderSteps(self.rest, self._rest_params(params), table, encoded.read)

    def _rows(self, steps: DecoderSteps, encoded: Encoded, size: int) -> Rows:
        """What the decoder knows before its first step, a row for each source."""
        return steps.begin(encoded.started.states, encoded.summary.value if self.every_step else None, size)
