"""An encoder and a decoder from their layers."""

from __future__ import annotations

from ..layers import Layer
from .feeding import Feeding
from .objective import EncoderDecoder


def encoder_decoder(
    encoder: Layer,
    decoder: Layer,
    *,
    classes: int | None = None,
    output_size: int | None = None,
    begin: int | None = None,
    end: int | None = None,
    embedding_size: int | None = None,
    start: str = "dense",
    summary: str | None = None,
    every_step: bool = False,
    feeding: Feeding | None = None,
) -> EncoderDecoder:
    """A network that reads a source and then writes a target, symbol by symbol: sequence to sequence.

    The encoder reads the whole source. What it knows at the end, its summary, starts the decoder. The decoder reads
    the begin symbol first, and then at every step the symbol before; a readout gives the distribution of the next one
    (Cho et al. 2014, Sutskever et al. 2014). With an encoder that reads one vector of features it is one to many.

    Parameters
    ----------
    encoder : Layer
        Such as ``chain(embedding(V, E), bidirectional(...))``, or `dense` for a vector of features. Its width is known.
    decoder : Layer
        What stands between the symbol before and the readout: `recurrent` or a chain of layers, in one direction. The
        width of its input is open.
    classes : int, optional
        V, the number of the target's symbols, begin and end among them. Exactly one of `classes` and `output_size` is
        given.
    output_size : int, optional
        K, the width of real targets, whose loss is the mean squared error.
    begin : int, optional
        The symbol that the decoder reads first. Without it batches bring what is read first.
    end : int, optional
        The symbol that ends a target. Without it targets have no end of their own. `Pairs` holds targets without both
        symbols: they are added here.
    embedding_size : int, optional
        E, the width of the vectors of the symbols that the decoder reads; by default the smaller one of V and the width
        of the decoder's output.
    start : {"dense", "tanh", "copy", "zero"}
        How the decoder's initial states come about: by a linear map of the summary with a bias, by its tanh, as the
        final states of the encoder's layers one by one (of the same widths), or as 0.
    summary : {"states", "last", "mean"}, optional
        The final states of all recurrent layers of the encoder beside each other, or its output at the last valid step,
        or the mean of its outputs over the valid steps. By default the states where there are any, else "last".
    every_step : bool
        Whether the decoder also reads the summary at every step, beside the symbol.
    feeding : Feeding, optional
        What the decoder reads in training: `teacher_forcing` by default, `scheduled_sampling` or `free_running`.

    Returns
    -------
    EncoderDecoder
        `recurrent_dynamics.training` takes it as a model, with `Pairs` or dicts of their names for batches.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", EMNLP
    2014. Sutskever, Vinyals, Le, "Sequence to sequence learning with neural networks", NIPS 2014.

    Examples
    --------
    To turn sequences of the symbols 2 to 5:

    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> gru = rd.nn.recurrent(rd.cells.gru(), 24)
    >>> model = encoder_decoder(
    ...     rd.nn.chain(rd.nn.embedding(6, 8), rd.nn.bidirectional(gru, gru)), gru, classes=6, begin=0, end=1)
    >>> source = np.random.default_rng(0).integers(2, 6, (4, 200))
    >>> result = rd.training.fit(model, model.init(rng=0), [rd.nn.Pairs(source, source[::-1])], optimizer="adam",
    ...                          learning_rate=0.02, updates=150, progress=False)
    >>> found = model.decode(result.params, source[:, :3], length=6)
    >>> bool((found.sequences[:, :, 0] == source[::-1, :3]).all())
    True
    """
    return EncoderDecoder(
        encoder,
        decoder,
        classes,
        output_size,
        begin,
        end,
        embedding_size,
        start,
        summary,
        every_step,
        feeding,
    )
