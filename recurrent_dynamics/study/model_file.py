"""A trained character model in one file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from .. import cells, nn
from ..data import Vocabulary
from ..training.files import read_described, write_described
from ..training.tree import named_leaves, nest
from .settings import Settings

FORMAT = 1


@dataclass(frozen=True)
class CharacterModel:
    """A model of text, with everything needed to use it.

    Attributes
    ----------
    settings
        How it was made.
    vocabulary
        The characters it reads and predicts.
    params
        Nested dict of arrays.
    source
        Path of the text it was trained on; None for the source of Python's standard library.
    facts
        Numbers of its training: "updates", "validation_bits", "minutes", "stopped_by".
    """

    settings: Settings
    vocabulary: Vocabulary
    params: Mapping[str, Any]
    source: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> nn.Model:
        """The architecture."""
        return build(self.settings, self.vocabulary)

    def sample(self, prime: str, length: int, temperature: float = 1.0, seed: int = 0) -> str:
        """Continue a text.

        Parameters
        ----------
        prime
            The text before, at least one character.
        length
            How many characters to draw.
        temperature
            Lower is safer, 0 always takes the likeliest character.
        seed
            Of the random draws.

        Raises
        ------
        ValueError
            For a character that the model does not know.
        """
        start = self.vocabulary.encode(prime)
        return self.vocabulary.decode(nn.generate(self.model, self.params, start, length, temperature, seed))


def build(settings: Settings, vocabulary: Vocabulary) -> nn.Model:
    """The model that settings and vocabulary describe."""
    cell = getattr(cells, settings.cell)()
    return nn.Model(
        [cell] * settings.layers,
        hidden_size=settings.hidden,
        vocabulary_size=len(vocabulary),
        embedding_size=settings.embedding,
        dropout=settings.dropout,
    )


def save_model(path: str | os.PathLike[str], trained: CharacterModel) -> None:
    """Write a model as .npz, whole or not at all; an OSError if it cannot be written."""
    description = {
        "settings": trained.settings.to_json(),
        "vocabulary": trained.vocabulary.to_list(),
        "source": trained.source,
        "facts": trained.facts,
    }
    write_described(path, "model", FORMAT, description, dict(named_leaves(trained.params)))


def load_model(path: str | os.PathLike[str]) -> CharacterModel:
    """Read a model.

    Raises
    ------
    FileNotFoundError
        When there is none.
    OSError
        When it cannot be opened.
    ValueError
        When the file is not a model, a damaged one, or one of another format.
    """
    try:
        return read_described(path, "model", FORMAT, _assemble)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; `recurrent-dynamics train` makes one") from None


def _assemble(arrays: dict[str, NDArray[Any]], described: dict[str, Any]) -> CharacterModel:
    trained = CharacterModel(
        Settings.from_json(described["settings"]),
        Vocabulary.from_list(described["vocabulary"]),
        nest(arrays),
        described["source"],
        described["facts"],
    )
    expected = {name: array.shape for name, array in named_leaves(trained.model.init(rng=0))}
    if expected != {name: array.shape for name, array in named_leaves(trained.params)}:
        raise ValueError("the arrays do not belong to the settings")
    return trained
