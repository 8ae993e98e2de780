"""What a character of the held-out text costs those who know less than a network: to compare its loss with."""

from __future__ import annotations

import numpy as np

from .corpus import Corpus

KNOWN = 4_000_000  # characters of the training text, the last ones, that the compressor reads before


def baselines(corpus: Corpus) -> dict[str, float]:
    """Bits per character of the held-out text, by name.

    "uniform" knows the characters alone, "unigram" how frequent each is in the training text, "bigram" how frequent
    each is after each other one. One count of every character is added to the first, and one count in all,
    shared out like the unigram, to the second. "LZMA" is what the held-out text adds to the compressed training text;
    left out where Python was built without it.

    Examples
    --------
    >>> import numpy as np
    >>> from recurrent_dynamics.data import Vocabulary
    >>> text = np.tile([0, 1], 500)
    >>> found = baselines(Corpus(None, Vocabulary("ab"), text[:900], text[900:], ""))
    >>> [round(found[name], 2) for name in ("uniform", "unigram", "bigram")]
    [1.0, 1.0, 0.0]
    """
    size = len(corpus.vocabulary)
    known, held = corpus.training, corpus.validation
    single = np.bincount(known, minlength=size) + 1.0
    single /= single.sum()
    pairs = np.zeros((size, size))
    np.add.at(pairs, (known[:-1], known[1:]), 1.0)
    after = (pairs + single) / (pairs.sum(axis=1, keepdims=True) + 1)
    before = np.concatenate([known[-1:], held[:-1]])
    found = {
        "uniform": float(np.log2(size)),
        "unigram": float(-np.log2(single[held]).mean()),
        "bigram": float(-np.log2(after[before, held]).mean()),
    }
    compressed = _compressed(corpus)
    return found if compressed is None else {**found, "LZMA": compressed}


def _compressed(corpus: Corpus) -> float | None:
    try:
        import lzma
    except ImportError:
        return None
    decode = corpus.vocabulary.decode
    known = decode(corpus.training[-KNOWN:]).encode("utf-8", "surrogatepass")
    held = decode(corpus.validation).encode("utf-8", "surrogatepass")
    sizes = [len(lzma.compress(text, lzma.FORMAT_ALONE, preset=9)) for text in (known, known + held)]
    return 8 * (sizes[1] - sizes[0]) / len(corpus.validation)
