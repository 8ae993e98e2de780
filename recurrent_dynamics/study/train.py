"""Train a character model and keep what was learnt in a folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import ArgumentError, boolean, callable_, instance, pathlike
from ..data import Streams
from ..results import Result
from ..training import Checkpoint, History, fit
from .ahead import compile_training, try_update
from .corpus import Corpus
from .model_file import CharacterModel, build, save_model
from .origin import versions
from .settings import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODEL, HISTORY, CHECKPOINT, REPORT = "model.npz", "history.csv", "checkpoint.npz", "report.html"
VALIDATIONS = 10  # in the course of a training, at least
VALIDATION_STREAMS = 20  # few and long: a stream begins without knowing what came before


@dataclass(frozen=True)
class Trained(Result):
    """A trained model and how it came about."""

    character_model: CharacterModel
    history: History
    stopped_by: str

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the loss over the updates; see `recurrent_dynamics.plot.history`."""
        return self.history.plot(ax, **options)


def train(
    settings: Settings,
    corpus: Corpus,
    folder: Path,
    *,
    resume: bool = False,
    progress: bool | None = None,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
) -> Trained:
    """Train a model; write checkpoint.npz, from which it can go on, and at the end model.npz and history.csv.

    The model that is kept is the one of the lowest validation loss. After Ctrl-C, or after `settings.minutes`, what
    was learnt is kept all the same, and `resume=True` goes on: a run that is resumed gives the same numbers, bit for
    bit, as one left alone.

    Parameters
    ----------
    settings
        What is trained and how.
    corpus
        The text.
    folder
        An existing folder.
    resume
        Go on from the checkpoint in the folder, whose settings must be the same except for `minutes`, and for
        `updates` or `epochs`, which may be more than before.
    progress
        A progress bar on stderr; by default if that is a terminal. Without it every validation is said.
    say
        Takes a line for people.

    Returns
    -------
    Trained

    Raises
    ------
    OSError
        When a file cannot be written.
    ValueError
        When the text is too short.
    FileNotFoundError
        When there is nothing to resume.
    DivergenceError
        When the loss becomes infinite or NaN.
    """
    instance("settings", settings, Settings)
    instance("corpus", corpus, Corpus)
    folder = pathlike("folder", folder)
    boolean("resume", resume)
    if progress is not None:
        boolean("progress", progress)
    callable_("say", say, "of a text")
    corpus.check_size(settings.batch, settings.truncation)
    model = build(settings, corpus.vocabulary)
    data = Streams(corpus.training, settings.batch, settings.truncation)
    held_out = Streams(corpus.validation, VALIDATION_STREAMS, 10 * settings.truncation, partial=True)
    updates = settings.number_of_updates(data.batches_per_epoch)
    path = folder / CHECKPOINT
    say(
        f"training {settings.layers} x {settings.hidden} {settings.cell} on {corpus.name}: {updates} updates, "
        f"{updates / data.batches_per_epoch:.1f} epochs of {len(corpus.training):,} characters"
    )
    params, optimizer = model.init(rng=settings.seed), settings.make_optimizer()
    # Also for a training that has ended: the analyses need the same code.
    compile_training(settings.cell, say, lambda: try_update(optimizer, params))
    shown = sys.stderr.isatty() if progress is None else progress
    result = fit(
        model,
        params,
        data,
        optimizer=optimizer,
        learning_rate=settings.make_schedule(updates, data.batches_per_epoch),
        updates=updates,
        minutes=settings.minutes,
        clip_norm=settings.clip or None if settings.clip_by == "norm" else None,
        clip_value=settings.clip or None if settings.clip_by == "value" else None,
        rng=settings.seed,
        validation=held_out,
        validate_every=max(1, min(data.batches_per_epoch, updates // VALIDATIONS)),
        checkpoint=path,
        resume=resume,
        extra=_described(settings, corpus),
        progress=progress,
        callback=None if shown else lambda state: _say_validation(state, updates, say),
    )
    if not result.update:
        if result.interrupted:
            raise KeyboardInterrupt
        path.unlink(missing_ok=True)
        raise ArgumentError("--minutes", "be enough for the first update", f"{settings.minutes:g}")
    losses = result.history.validation["loss"]
    facts = {
        "updates": result.update,
        "epochs": result.update / data.batches_per_epoch,
        "seconds": float(result.history["seconds"][-1]) if len(result.history) else 0.0,
        "validation_bits": float(losses.min() / np.log(2)) if len(losses) else None,
        "stopped_by": result.stopped_by,
        "planned_updates": updates,
        "text": corpus.digest,
        "versions": versions(),
    }
    params = result.params if result.best_params is None else result.best_params
    character_model = CharacterModel(settings, corpus.vocabulary, params, corpus.source, facts)
    save_model(folder / MODEL, character_model)
    result.history.write_csv(folder / HISTORY)
    return Trained(character_model, result.history, result.stopped_by)


def _say_validation(state: Checkpoint, updates: int, say: Callable[[str], None]) -> None:
    validation = state.history.validation
    if len(validation) and validation["update"][-1] == state.update:
        bits, seconds = validation["loss"][-1] / np.log(2), validation["seconds"][-1]
        say(
            f"update {state.update} of {updates}: validation {bits:.3f} bits per character after {seconds:.0f} s"
        )


def _described(settings: Settings, corpus: Corpus) -> dict[str, Any]:
    return {
        "settings": settings.to_json(),
        "source": corpus.source,
        "vocabulary": corpus.vocabulary.to_list(),
        "digest": corpus.digest,
    }
