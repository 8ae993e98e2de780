"""Where a report comes from: versions, machine, date, command, and hashes of what went into it."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..checks import instance, listed, pathlike
from .corpus import Corpus
from .model_file import CharacterModel
from .names import duration

PACKAGES = ("numpy", "numba", "matplotlib")


@dataclass(frozen=True)
class Origin:
    """What a report is asked to say of its making.

    Attributes
    ----------
    arguments
        Of the command line; None if there was none.
    model
        The file of the model; None if it is in no file.
    """

    arguments: Sequence[str] | None = None
    model: Path | None = None

    def __post_init__(self) -> None:
        if self.arguments is not None:
            for i, argument in enumerate(listed("arguments", self.arguments, "of texts")):
                instance(f"arguments[{i}]", argument, str)
        if self.model is not None:
            pathlike("model", self.model)


def rows(origin: Origin, trained: CharacterModel, corpus: Corpus) -> list[tuple[str, str]]:
    """Name and text of everything that a reader needs to make the report again."""
    characters = len(corpus.training) + len(corpus.validation)
    found = [
        ("Made", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("With", ", ".join(f"{name} {text}" for name, text in versions().items())),
    ]
    if origin.arguments is not None:
        found.append(("Command", command(origin.arguments)))
    found += [
        ("Seed", str(trained.settings.seed)),
        ("Machine", machine()),
        ("Text", f"{corpus.name}, {characters:,} characters, SHA-256 {corpus.digest}"),
    ]
    there = trained.facts.get("text")
    if there is not None and there != corpus.digest:
        found.append(("Text of the training", f"another one, SHA-256 {there}"))
    before = trained.facts.get("versions")
    if before is not None and before != versions():
        found.append(("Trained with", ", ".join(f"{name} {text}" for name, text in before.items())))
    if origin.model is not None and origin.model.is_file():
        digest = hashlib.sha256(origin.model.read_bytes()).hexdigest()
        found.append(("Model file", f"{origin.model.name}, SHA-256 {digest}"))
    return found


def versions() -> dict[str, str]:
    """Of Python and the packages that the numbers come from, as far as they are installed as such."""
    from .. import __version__

    found = {"recurrent_dynamics": __version__, "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """Processor, cores and system; no name of the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words = f"{_processor()}, {cores} core{'s' * (cores != 1)}"
    return f"{words}, {platform.system()} {platform.machine()}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except (OSError, UnicodeDecodeError):
        pass
    return platform.processor() or platform.machine()


def command(arguments: Sequence[str]) -> str:
    """The command line; of paths the last part alone, as the rest is nobody's business.

    Examples
    --------
    >>> command(["study", "/home/me/a novel.txt", "--out=/tmp/x", "--seed", "3"])
    "recurrent-dynamics study 'a novel.txt' --out=x --seed 3"
    """
    kept = []
    for argument in arguments:
        head, sign, tail = argument.partition("=") if argument.startswith("--") else ("", "", argument)
        last = tail.replace("\\", "/").rstrip("/").rpartition("/")[2]
        kept.append(head + sign + (last or tail))
    return shlex.join(["recurrent-dynamics", *kept])


def resolved(trained: CharacterModel) -> dict[str, Any]:
    """The settings with what they came to: none is left open.

    The length of a training stands in updates and in epochs, as it was planned; `Settings` has one of the two.
    """
    settings, facts = trained.settings.to_json(), trained.facts
    per_epoch = facts["updates"] / facts["epochs"] if facts.get("epochs") else None
    planned = facts.get("planned_updates")
    if planned is None:
        planned = trained.settings.number_of_updates(round(per_epoch or 1))
    settings["updates"] = planned
    settings["epochs"] = round(planned / per_epoch, 3) if per_epoch else "unknown"
    if settings["minutes"] is None:
        settings["minutes"] = "no limit"
    if not settings["clip"]:
        settings["clip"] = "none"
    done = {"updates done": facts["updates"], "stopped by": facts.get("stopped_by", "unknown")}
    return {**settings, **done, "time": duration(facts["seconds"])}
