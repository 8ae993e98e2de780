"""Everything that a training run needs to go on, in one file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..checks import instance
from ..nn.files import FileError, Header, read_described, write_described
from ..results import Result
from .history import History
from .tree import Tree, named_leaves, nest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint(Result):
    """A training run between two updates.

    Attributes
    ----------
    update : int
        How many updates were done: the position in the data.
    params, optimizer_state : nested dict of arrays
    rng_state : dict
        Of the generator that draws the dropout, as its bit generator gives it.
    carry : list of dict, optional
        The state of each layer that the next batch starts from.
    best_params : nested dict, optional
        The parameters of the lowest validation loss.
    history : History
    settings : dict
        What a resumed run must agree in.
    extra : dict
        Whatever the caller keeps with it (the vocabulary, the architecture), as JSON.
    """

    update: int
    params: Tree
    optimizer_state: Tree
    rng_state: dict[str, Any]
    carry: list[dict[str, Any]] | None = None
    best_params: Tree | None = None
    history: History = field(default_factory=History)
    settings: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the loss over the updates; see `recurrent_dynamics.plot.history`."""
        return self.history.plot(ax, **options)


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint as .npz, atomically, without pickle.

    Raises
    ------
    OSError
        When it cannot be written; an older checkpoint under the path then still stands.
    """
    instance("checkpoint", checkpoint, Checkpoint)
    carry = None if checkpoint.carry is None else {str(i): s for i, s in enumerate(checkpoint.carry)}
    trees = {
        "params": checkpoint.params,
        "optimizer": checkpoint.optimizer_state,
        "carry": carry,
        "best": checkpoint.best_params,
    }
    arrays = {
        f"{part}/{name}": array
        for part, tree in trees.items()
        if tree is not None
        for name, array in named_leaves(tree)
    }
    arrays["history/training"] = checkpoint.history.training.array()
    arrays["history/validation"] = checkpoint.history.validation.array()
    description = {
        "update": checkpoint.update,
        "rng_state": checkpoint.rng_state,
        "settings": checkpoint.settings,
        "extra": checkpoint.extra,
        "metrics": list(checkpoint.history.metrics),
        "parts": [part for part, tree in trees.items() if tree is not None],
    }
    write_described(path, "checkpoint", FORMAT, description, arrays)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    FileNotFoundError
        When there is none.
    OSError
        When it cannot be opened.
    ValueError
        When the file is not a checkpoint, a damaged one, or one of another format.
    """
    return read_described(path, "checkpoint", FORMAT, _check, _assemble)


def _check(headers: dict[str, Header], described: dict[str, Any]) -> None:
    known = {*described["parts"], "history"}
    for name, header in headers.items():
        if name.partition("/")[0] not in known:
            raise FileError(f"a checkpoint holds {', '.join(sorted(known))}; came {name!r} too")
        if header.dtype.kind not in "fi":
            raise FileError(f"array {name!r} must hold real numbers; came dtype {header.dtype}")


def _assemble(arrays: dict[str, NDArray[Any]], described: dict[str, Any]) -> Checkpoint:
    tree = nest(arrays)
    parts = {part: tree.get(part, {}) for part in described["parts"]}
    carry = parts.get("carry")
    history = History.with_metrics(described.get("metrics", ()))  # older files have none
    for table in (history.training, history.validation):
        name = "training" if table is history.training else "validation"
        table.rows = [tuple(row) for row in tree["history"][name].tolist()]
    return Checkpoint(
        update=described["update"],
        params=parts["params"],
        optimizer_state=parts["optimizer"],
        rng_state=described["rng_state"],
        carry=None if carry is None else [carry[str(i)] for i in range(len(carry))],
        best_params=parts.get("best"),
        history=history,
        settings=described["settings"],
        extra=described["extra"],
    )
