"""A trained character model in one file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import cells, nn
from ..checks import instance, pathlike
from ..data import Vocabulary
from ..nn.files import FileError, Header, has_member, read_described, write_described
from ..nn.leaves import named_leaves, nest
from ..nn.saved import check_finite, check_parameters
from ..results import Result
from ..training import Checkpoint, load_checkpoint
from .settings import Settings

FORMAT = 1


@dataclass(frozen=True)
class CharacterModel(Result):
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
        Of its training: "updates", "planned_updates", "epochs", "seconds", "validation_bits", "stopped_by", the
        SHA-256 of its "text", the "versions" of what it was made with.
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

    def sample(
        self,
        prime: str,
        length: int,
        temperature: float = 1.0,
        seed: int = 0,
        *,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> str:
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
        top_k, top_p
            As in `recurrent_dynamics.nn.sample`.

        Raises
        ------
        ValueError
            For a character that the model does not know.
        """
        start = self.vocabulary.encode(prime)
        drawn = nn.generate(
            self.model, self.params, start, length, temperature, seed, top_k=top_k, top_p=top_p
        )
        return self.vocabulary.decode(drawn)


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
    path = pathlike("path", path)
    instance("trained", trained, CharacterModel)
    description = {
        "settings": trained.settings.to_json(),
        "vocabulary": trained.vocabulary.to_list(),
        "source": trained.source,
        "facts": trained.facts,
    }
    write_described(path, "model", FORMAT, description, dict(named_leaves(trained.params)))


def load_model(path: str | os.PathLike[str]) -> CharacterModel:
    """Read a model; of an unfinished training the checkpoint can be read too.

    A checkpoint gives the parameters of its lowest validation loss, or the latest before the first validation.

    Raises
    ------
    FileNotFoundError
        When there is none.
    OSError
        When it cannot be opened.
    ValueError
        When the file is neither, a damaged one, or one of another format.
    """
    path = pathlike("path", path)
    if has_member(path, "checkpoint"):
        return of_checkpoint(path, load_checkpoint(path))
    try:
        return read_described(path, "model", FORMAT, _check, _assemble)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; `recurrent-dynamics train` makes one") from None


def of_checkpoint(path: str | os.PathLike[str], kept: Checkpoint) -> CharacterModel:
    """The model of a training that has not ended.

    Raises
    ------
    ValueError
        When the checkpoint is not of a study, or its arrays do not belong to its settings.
    """
    losses = kept.history.validation["loss"]
    described = {
        "settings": kept.extra.get("settings"),
        "vocabulary": kept.extra.get("vocabulary"),
        "source": kept.extra.get("source"),
        "facts": {
            "updates": kept.update,
            "epochs": kept.update / (kept.settings.get("batches_per_epoch") or 1),
            "validation_bits": float(losses.min() / np.log(2)) if len(losses) else None,
            "seconds": float(kept.history["seconds"][-1]) if len(kept.history) else 0.0,
            "stopped_by": "checkpoint",
        },
    }
    arrays = dict(named_leaves(kept.params if kept.best_params is None else kept.best_params))
    try:
        _check({name: Header(a.shape, a.dtype) for name, a in arrays.items()}, described)
        return _assemble(arrays, described)
    except FileError as error:
        raise ValueError(f"{path}: {error}") from None


def _check(headers: dict[str, Header], described: dict[str, Any]) -> None:
    """Before an array is read; `layers` is compared with what is there before so many are made."""
    described_settings, characters = described["settings"], described["vocabulary"]
    if not isinstance(described_settings, dict) or not isinstance(characters, list):
        raise FileError("it has no settings and vocabulary of a study")
    if not isinstance(described["source"], str | None):
        raise FileError(f"source must be a path or null; came {described['source']!r}")
    if not isinstance(described["facts"], dict):
        raise FileError(f"facts must be names with values; came {described['facts']!r}")
    try:
        settings, vocabulary = Settings.from_json(described_settings), Vocabulary.from_list(characters)
    except ValueError as error:
        raise FileError(f"settings: {error}") from None
    there = {name.split("/")[1] for name in headers if name.startswith("layers/")}
    if len(there) != settings.layers:
        raise FileError(f"settings: --layers is {settings.layers}; came the arrays of {len(there)} layers")
    check_parameters(build(settings, vocabulary), headers)


def _assemble(arrays: dict[str, NDArray[Any]], described: dict[str, Any]) -> CharacterModel:
    check_finite(arrays)
    return CharacterModel(
        Settings.from_json(described["settings"]),
        Vocabulary.from_list(described["vocabulary"]),
        nest(arrays),
        described["source"],
        described["facts"],
    )
