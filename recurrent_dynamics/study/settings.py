"""The options of a study: one dataclass, from which the command line takes its options, defaults and help."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .. import cells, training
from ..checks import HOLDS, ArgumentError, integer, number, one_of

SCHEDULES = ("cosine", "exponential", "constant")


def cell_names() -> tuple[str, ...]:
    """The cells that a study can train: those of the library that are complete without arguments or signals."""
    names = []
    for name, factory in sorted(cells.NAMED.items()):
        complete = all(p.default is not p.empty for p in inspect.signature(factory).parameters.values())
        if complete and not factory().signals:
            names.append(name)
    return tuple(names)


def option(default: Any, text: str, *, kind: type = float, **properties: Any) -> Any:
    """A field that is a command line option: its default, help, type, and for a number its lower bound."""
    return field(default=default, metadata={"help": text, "kind": kind, **properties})


@dataclass(frozen=True)
class Settings:
    """What is trained and how; every value is checked when an instance is made.

    Raises
    ------
    ValueError
        For a value out of its range or an unknown name; the message begins with the option.
    """

    cell: str = option("lstm", "recurrent cell", kind=str, choices=cell_names)
    hidden: int = option(128, "units of each layer", kind=int, at_least=1)
    layers: int = option(2, "layers on top of each other", kind=int, at_least=1)
    embedding: int = option(64, "width of the learnt vector of a character", kind=int, at_least=1)
    dropout: float = option(0.0, "share of activations dropped between layers", at_least=0, below=1)
    truncation: int = option(
        50,
        "steps of a training window: how far gradients go back; the state is carried on",
        kind=int,
        at_least=1,
    )
    batch: int = option(50, "windows trained on side by side", kind=int, at_least=1)
    updates: int | None = option(
        None, "length of the training in updates; 1500 unless --epochs is given", kind=int, at_least=1
    )
    epochs: float | None = option(
        None, "length of the training in passes over the text, instead of --updates", above=0
    )
    minutes: float | None = option(None, "stop the training after this time, wherever it is", above=0)
    optimizer: str = option("adam", "optimizer", kind=str, choices=tuple(training.OPTIMIZERS))
    lr: float = option(7e-3, "learning rate at its highest", above=0)
    schedule: str = option(
        "cosine", "learning rate over time: along a cosine to 0, exponential decay, or constant", kind=str,
        choices=SCHEDULES,
    )  # fmt: skip
    warmup: int = option(100, "updates over which the learning rate rises at the start", kind=int, at_least=0)
    lr_decay: float = option(0.97, "factor per epoch of the exponential schedule", above=0, at_most=1)
    lr_decay_after: int = option(
        10, "epochs before the exponential schedule begins to decay", kind=int, at_least=0
    )
    decay: float = option(0.95, "decay of the squared gradients of rmsprop", at_least=0, below=1)
    momentum: float = option(0.9, "momentum of sgd", at_least=0, below=1)
    clip: float = option(5.0, "limit of the gradient; 0 for none", at_least=0)
    clip_by: str = option(
        "norm", "what is limited: the global norm, or each value", kind=str, choices=("norm", "value")
    )
    seed: int = option(0, "seed of initial weights, dropout and sampling", kind=int, at_least=0)

    def __post_init__(self) -> None:
        for f in fields(self):
            _check(f.name, getattr(self, f.name), f.metadata, optional=f.default is None)
        if self.updates is not None and self.epochs is not None:
            raise ArgumentError("either --updates or --epochs", "set the length of the training", "both")
        if self.dropout and self.layers == 1:
            raise ArgumentError(
                "--dropout", "be 0 with --layers 1, since it acts between layers", f"{self.dropout:g}"
            )

    def to_json(self) -> dict[str, Any]:
        """As a dict that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """The inverse of `to_json`; a ValueError for names that are not options."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ArgumentError("values", "be options of a study", repr(sorted(unknown)[0]))
        return cls(**values)

    def number_of_updates(self, per_epoch: int) -> int:
        """The length of the training in updates, for so many updates an epoch."""
        if self.epochs is not None:
            return max(1, round(self.epochs * per_epoch))
        return 1500 if self.updates is None else self.updates

    def make_optimizer(self) -> training.Optimizer:
        """The optimizer with its options."""
        if self.optimizer == "rmsprop":
            return training.rmsprop(decay=self.decay)
        if self.optimizer == "sgd":
            return training.sgd(momentum=self.momentum)
        return training.OPTIMIZERS[self.optimizer]()

    def make_schedule(self, updates: int, per_epoch: int) -> training.Schedule:
        """The learning rate as a function of the update's number."""
        if self.schedule == "cosine":
            schedule = training.cosine(self.lr, updates)
        elif self.schedule == "exponential":
            schedule = training.exponential_decay(self.lr, self.lr_decay, per_epoch, self.lr_decay_after)
        else:
            schedule = training.constant(self.lr)
        return training.warmup(schedule, self.warmup) if self.warmup else schedule


def option_name(name: str) -> str:
    """The command line option of a field."""
    return "--" + name.replace("_", "-")


def _check(name: str, value: Any, properties: Mapping[str, Any], optional: bool) -> None:
    flag, kind = option_name(name), properties["kind"]
    if value is None and optional:
        return
    if kind is str:
        choices = properties["choices"]
        one_of(flag, value, choices() if callable(choices) else choices)
        return
    bounds: Any = {key: properties[key] for key in HOLDS if key in properties}
    (integer if kind is int else number)(flag, value, **bounds)
