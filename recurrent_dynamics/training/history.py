"""What happened in training, update by update."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError
from ..nn.files import write_atomically
from ..results import Tabular

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRAINING = ("update", "epoch", "loss", "grad_norm", "clipped_norm", "update_norm", "learning_rate", "seconds")
VALIDATION = ("update", "epoch", "loss", "seconds")


@dataclass
class Table(Tabular):
    """Rows of numbers under named columns; it iterates over the names, as a data frame does.

    Examples
    --------
    >>> table = Table(("update", "loss"))
    >>> table.append(update=1, loss=0.5)
    >>> table["loss"]
    array([0.5])
    """

    columns: tuple[str, ...]
    rows: list[tuple[float, ...]] = field(default_factory=list)

    def _columns(self) -> Mapping[str, Any]:
        return {column: self[column] for column in self.columns}

    def _described(self) -> Iterator[tuple[str, Any]]:
        return iter(self._columns().items())

    def append(self, **values: float) -> None:
        """Add a row; every column is given."""
        if values.keys() != set(self.columns):
            raise ArgumentError("values", f"be those of {', '.join(self.columns)}", ", ".join(values))
        self.rows.append(tuple([float(values[c]) for c in self.columns]))

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        if column not in self.columns:
            raise KeyError(f"column must be one of {', '.join(self.columns)}; came {column!r}")
        return self.array()[:, self.columns.index(column)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.rows)

    def array(self) -> NDArray[np.float64]:
        """All rows, (rows, columns)."""
        return np.array(self.rows, np.float64).reshape(len(self.rows), len(self.columns))

    def cut(self, update: int) -> None:
        """Drop the rows of later updates."""
        self.rows = [row for row in self.rows if row[0] <= update]


@dataclass
class History(Tabular):
    """Columns over the updates of a training run.

    ``history["loss"]`` is a column of the updates: update (how many were done), epoch (likewise, with its fraction),
    loss (of the batch, before the update; in nats for the cross-entropy), grad_norm and clipped_norm (norm of the
    gradient before and after clipping), update_norm (length of the step in the weights), learning_rate, seconds
    (since the start). ``history.validation["loss"]`` is a column of the validations: update, epoch, loss, seconds,
    and the metrics of the training by their names.
    """

    training: Table = field(default_factory=lambda: Table(TRAINING))
    validation: Table = field(default_factory=lambda: Table(VALIDATION))

    def _columns(self) -> Mapping[str, Any]:
        return self.training._columns()

    def _described(self) -> Iterator[tuple[str, Any]]:
        for column in ("loss", "grad_norm", "update_norm", "learning_rate"):
            yield column, self[column]
        yield "validation loss", self.validation["loss"]
        yield "updates", len(self)
        if len(self):
            yield "last loss", float(self["loss"][-1])
            yield "seconds", float(self["seconds"][-1])

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        return self.training[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self.training)

    def __len__(self) -> int:
        return len(self.training)

    @classmethod
    def with_metrics(cls, names: Iterable[str]) -> History:
        """An empty one with a column of the validations for each metric."""
        return cls(validation=Table((*VALIDATION, *names)))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics."""
        return self.validation.columns[len(VALIDATION) :]

    def cut(self, update: int) -> None:
        """Drop what belongs to later updates."""
        self.training.cut(update)
        self.validation.cut(update)

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write both tables into one file, atomically; the first column says "training" or "validation"."""
        columns = (*TRAINING, *self.metrics)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("kind", *columns))
        for kind, table in (("training", self.training), ("validation", self.validation)):
            for row in table.rows:
                values = dict(zip(table.columns, row, strict=True))
                writer.writerow((kind, *(_number(c, values[c]) if c in values else "" for c in columns)))
        write_atomically(path, lambda file: file.write(text.getvalue().encode()))

    @classmethod
    def read_csv(cls, path: str | os.PathLike[str]) -> History:
        """Read what `write_csv` wrote, to the last digit.

        Raises
        ------
        ValueError
            When the file is not such a table; the message names the line.
        """
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            known = ["kind", *TRAINING]
            if header[: len(known)] != known:
                raise ArgumentError(
                    str(path),
                    f"be a history with the columns {', '.join(known)}",
                    ", ".join(header) or "none",
                )
            history = cls.with_metrics(header[len(known) :])
            tables = {"training": history.training, "validation": history.validation}
            for fields in reader:
                try:
                    table = tables[fields[0]]
                    values: dict[str, Any] = dict(zip(header, fields, strict=True))
                    table.append(**{c: float(values[c]) for c in table.columns})
                except (ValueError, KeyError, IndexError):
                    raise ArgumentError(
                        f"line {reader.line_num} of {path}", "be a row of a history", fields
                    ) from None
        return history

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the loss over the updates, or another column; see `recurrent_dynamics.plot.history`."""
        from ..plot import history

        return history(self, ax=ax, **options)


def _number(column: str, value: float) -> str:
    return str(int(value)) if column == "update" else repr(value)
