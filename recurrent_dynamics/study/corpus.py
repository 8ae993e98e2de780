"""The text of a study: what is trained on, and the last part that is held out."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..checks import ArgumentError, instance, pathlike
from ..data import Vocabulary, read_text, split, standard_library
from ..results import Result

HELD_OUT = 0.05
STANDARD_LIBRARY = "the source of Python's standard library"


@dataclass(frozen=True)
class Corpus(Result):
    """A text as class indices.

    Attributes
    ----------
    source
        Path of the file, or None for the source of Python's standard library.
    vocabulary
        Of the model.
    training, validation
        Class indices, shapes (n,) and (m,).
    digest
        Of the whole text: a resumed run goes on with the same one.
    unknown
        How many characters were left out, because the model does not know them.
    """

    source: str | None
    vocabulary: Vocabulary
    training: np.ndarray
    validation: np.ndarray
    digest: str
    unknown: int = 0

    @property
    def name(self) -> str:
        """For people."""
        return STANDARD_LIBRARY if self.source is None else Path(self.source).name

    def check_size(self, batch: int, truncation: int) -> None:
        """Raise a ValueError if the text does not fill a single update or a window to study."""
        needed = max(round((batch * truncation + 2) / (1 - HELD_OUT)), round((2 * truncation + 2) / HELD_OUT))
        size = len(self.training) + len(self.validation)
        if size < needed:
            raise ArgumentError(
                f"{self.source or self.name}",
                f"hold at least {needed} characters for --batch {batch} and --truncation {truncation}",
                size,
            )


def load_corpus(path: str | os.PathLike[str] | None, vocabulary: Vocabulary | None = None) -> Corpus:
    """Read a text and split it.

    Parameters
    ----------
    path
        A UTF-8 file, or None for the source of Python's standard library.
    vocabulary
        Of a model that is there already: other characters are left out. Made from the text if None.

    Raises
    ------
    OSError, ValueError
        With one line: no such file, empty, binary, too short.
    """
    if vocabulary is not None:
        instance("vocabulary", vocabulary, Vocabulary)
    text = standard_library() if path is None else read_text(path)
    source = None if path is None else str(pathlike("path", path).resolve())
    unknown = 0
    if vocabulary is None:
        vocabulary = Vocabulary.from_text(text)
    else:
        known = set(vocabulary.characters)
        kept = "".join(c for c in text if c in known)
        unknown, text = len(text) - len(kept), kept
    if len(set(text)) < 2:
        raise ArgumentError(
            f"{source or STANDARD_LIBRARY}",
            "hold two different characters that the model knows",
            " and ".join(map(repr, set(text))) or "none",
        )
    training, validation = split(vocabulary.encode(text), HELD_OUT)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Corpus(source, vocabulary, training, validation, digest, unknown)
