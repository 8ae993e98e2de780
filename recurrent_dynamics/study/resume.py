"""Whether a command begins a training or goes on with the one in its folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..checks import ArgumentError, boolean, callable_, instance, one_of, pathlike
from ..data import Streams, Vocabulary
from ..training import Checkpoint, load_checkpoint
from .corpus import Corpus, load_corpus
from .pipeline import prepare_folder
from .settings import Settings, option_name
from .train import CHECKPOINT

LENGTH = ("updates", "epochs")


@dataclass(frozen=True)
class Plan:
    """What is trained: `resume` if it goes on from the checkpoint in the folder."""

    settings: Settings
    corpus: Corpus
    resume: bool


def plan(
    folder: Path,
    given: Mapping[str, Any],
    file: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> Plan:
    """Decide what a command trains, so that it can be given again after a kill at any moment.

    A training in the folder with the same settings and text goes on. With other ones it is refused, unless it is
    overwritten. With `resume` the settings that are not given are those of the training, and it may be made longer.

    Parameters
    ----------
    folder
        Of the training; prepared if it begins.
    given
        The settings that were given, by name.
    file
        The text; None for the source of Python's standard library, with `resume` for the text of the training.
    resume
        Go on only.
    overwrite
        Begin, and replace what is in the folder.
    say
        Takes a line for people.

    Raises
    ------
    OSError
        When a file cannot be read, or the folder cannot be written.
    ValueError, FileExistsError
        When the folder holds another training, or with `resume` none.
    """
    folder = pathlike("folder", folder)
    instance("given", given, Mapping)
    for name in given:
        one_of("given", name, tuple(f.name for f in fields(Settings)))
    if file is not None:
        pathlike("file", file)
    boolean("resume", resume)
    boolean("overwrite", overwrite)
    callable_("say", say, "of a text")
    if resume and overwrite:
        raise ValueError("--resume goes on with a training: --overwrite cannot be given with it")
    path = folder / CHECKPOINT
    if overwrite or not path.is_file():
        if resume and file is None and not set(given) - {"minutes"}:
            raise ValueError(f"{folder}: no unfinished training to resume there")
        settings, corpus = Settings(**given), load_corpus(file)
        corpus.check_size(settings.batch, settings.truncation)
        prepare_folder(folder, overwrite=overwrite)
        return Plan(settings, corpus, resume=False)
    kept = load_checkpoint(path)
    before, source, vocabulary, digest = _of_study(path, kept)
    wanted = dict(given) if resume else Settings(**given).to_json()
    for f in fields(Settings):
        if f.name in wanted and f.name != "minutes" and wanted[f.name] != getattr(before, f.name):
            if not (resume and f.name in LENGTH):
                raise ValueError(_difference(folder, f.name, getattr(before, f.name), wanted[f.name]))
    corpus = load_corpus(source if resume and file is None else file, vocabulary)
    if corpus.digest != digest:
        raise ValueError(
            f"{corpus.source or corpus.name} is not the text that the training in {folder} began with; "
            f"{_choices(resume)}"
        )
    settings = replace(before, minutes=given.get("minutes"))
    longer: dict[str, Any] = {name: given.get(name) for name in LENGTH}
    if resume and any(value is not None for value in longer.values()):
        settings = replace(settings, **longer)
    _say_where(folder, kept, before, settings, corpus, say)
    return Plan(settings, corpus, resume=True)


def _of_study(path: Path, kept: Checkpoint) -> tuple[Settings, str | None, Vocabulary, str]:
    """Settings, source, vocabulary and digest of the text of a training."""
    extra: dict[str, Any] = kept.extra
    try:
        vocabulary = Vocabulary.from_list(extra["vocabulary"])
        return Settings.from_json(extra["settings"]), extra["source"], vocabulary, str(extra["digest"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a checkpoint of a study") from error


def _say_where(
    folder: Path,
    kept: Checkpoint,
    before: Settings,
    now: Settings,
    corpus: Corpus,
    say: Callable[[str], None],
) -> None:
    per_epoch = Streams(corpus.training, now.batch, now.truncation).batches_per_epoch
    updates, planned = now.number_of_updates(per_epoch), before.number_of_updates(per_epoch)
    if updates < kept.update:
        name = "epochs" if now.epochs is not None else "updates"
        raise ArgumentError(
            option_name(name),
            f"be at least the {kept.update} updates that are done in {folder}",
            f"{getattr(now, name):g}",
        )
    if kept.update == updates:
        say(
            f"the {updates} updates in {folder} are done; --resume --updates N goes on to N, --overwrite begins anew"
        )
    else:
        say(f"going on with the training in {folder} after update {kept.update} of {updates}")
    if updates != planned and now.schedule == "cosine":
        say(
            f"the learning rate follows the cosine of {updates} updates from here on, before that of {planned}"
        )


def _difference(folder: Path, name: str, before: Any, wanted: Any) -> str:
    had, came = (
        f"the default of {option_name(name)}" if value is None else f"{option_name(name)} {value}"
        for value in (before, wanted)
    )
    longer = (
        f"make it longer by --resume {option_name(name)} N, " if name in LENGTH and wanted is not None else ""
    )
    return f"{folder} holds a training with {had}; came {came}: {longer}{_choices(False)}"


def _choices(resume: bool) -> str:
    go_on = "" if resume else "go on with it by --resume, "
    return f"{go_on}choose another folder by --out, or replace it by --overwrite"
