"""What a composed layer is told of its sequences besides the input, and the same as the parts of a layer hand it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import ArgumentError, ArgumentTypeError, boolean, generator
from ...engine import check
from ...results import Result

State = dict[str, NDArray[Any]]
States = dict[str, State]  # by the path of a recurrent layer, such as "1/forward"; "" for that layer alone


@dataclass(frozen=True)
class Context(Result):
    """What is said of the sequences besides the input of a layer.

    Parameters
    ----------
    lengths : array_like of int (B,), optional
        Valid steps of each sequence. Beyond them the input is not read and the output is 0.
    reset : array_like of bool (T, B), optional
        Where a new sequence begins: the state returns to the initial one before that step. In the direction from the
        end, where the step before is reached.
    signals : dict of ndarray, optional
        What cells read besides the input, by name: (T, B), or (T, B, H) where every layer that reads it has H units.
    rng : int or Generator, optional
        Draws the dropout. None for evaluation: there is no dropout.
    initial : dict, optional
        The state before the first step of each recurrent layer, nested as the parameters, such as
        ``{"forward": {"h": ...}, "backward": {"h": ...}}``; 0 where it is absent.
    memory : dict of ndarray (S, B, width), optional
        What cells with attention read, by name, positions first; see `recurrent_dynamics.forward`.
    memory_lengths : array_like of int (B,), optional
        Valid positions of each memory.
    copy_params : bool
        Whether later changes of the parameters do not reach what was computed, see `recurrent_dynamics.forward`.
    tape : bool
        Whether to keep what the way back needs; without, it takes less time and memory.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> layer = rd.nn.recurrent(rd.cells.gru(), 4, input_size=2)
    >>> params, x = layer.init(rng=0), np.ones((3, 2, 2), "float32")
    >>> y, _ = layer(params, x, rd.nn.Context(lengths=[3, 1], initial={"h": np.ones((2, 4), "float32")}))
    >>> (y[:, 1] == 0).all(axis=1)
    array([False,  True,  True])
    """

    lengths: ArrayLike | None = None
    reset: ArrayLike | None = None
    signals: Mapping[str, NDArray[Any]] | None = None
    rng: int | np.random.Generator | None = None
    initial: Mapping[str, Any] | None = None
    copy_params: bool = True
    tape: bool = True
    memory: Mapping[str, NDArray[Any]] | None = None
    memory_lengths: ArrayLike | None = None


@dataclass(frozen=True)
class Inputs:
    """A context that was looked at."""

    lengths: NDArray[Any] | None
    reset: NDArray[Any] | None
    signals: dict[str, NDArray[Any]]
    rng: np.random.Generator | None
    initial: States
    copy_params: bool
    tape: bool
    memory: dict[str, NDArray[Any]] = field(default_factory=dict)
    memory_lengths: ArrayLike | None = None

    def below(self, key: str) -> Inputs:
        """That of a part, by the key of its parameters."""
        return replace(self, initial=below(self.initial, key)) if self.initial else self


def looked_at(
    context: Context,
    steps: int,
    batch: int,
    paths: tuple[str, ...],
    signals: tuple[str, ...],
    memory: tuple[str, ...],
) -> Inputs:
    """The context of T steps and B sequences, for recurrent layers at the paths, which read signals and a memory."""
    read = check.mapping("memory", context.memory, memory)
    if missing := [name for name in memory if name not in read]:
        raise ArgumentError("memory", f"have {', '.join(memory)}", ", ".join(read) or f"no {missing[0]}")
    if context.memory_lengths is not None and not memory:
        raise ArgumentError("memory_lengths", "be None for layers that read no memory", "lengths")
    ends = None if context.lengths is None else check.lengths(context.lengths, steps, batch)
    reset = None
    if context.reset is not None:
        no_ends = np.empty(0, np.int64)
        reset = check.resets(context.reset, steps, batch, no_ends if ends is None else ends).reshape(
            steps, batch
        )
    return Inputs(
        ends,
        reset,
        check.mapping("signals", context.signals, signals),
        None if context.rng is None else generator("rng", context.rng),
        by_path("initial", context.initial, paths),
        boolean("copy_params", context.copy_params),
        boolean("tape", context.tape),
        read,
        context.memory_lengths,
    )


def by_path(name: str, nested: Any, paths: tuple[str, ...]) -> States:
    """States by the paths of their layers, from a dict nested as the parameters; None and absent ones are left out."""
    found: States = {}

    def walk(value: Any, path: str) -> None:
        if value is None:
            return
        if not isinstance(value, Mapping):
            raise ArgumentTypeError(_inside(name, path), "be a dict", type(value).__name__)
        if path in paths:
            found[path] = dict(value)
            return
        known = dict.fromkeys(
            p.removeprefix(f"{path}/" if path else "").partition("/")[0]
            for p in paths
            if not path or p.startswith(f"{path}/")
        )
        for key, inner in value.items():
            if key not in known:
                raise ArgumentError(
                    _inside(name, path),
                    f"have no keys but {', '.join(known)}" if known else "be empty: no layer has a state",
                    repr(key),
                )
            walk(inner, f"{path}/{key}" if path else key)

    walk(nested, "")
    return found


def nested(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is found by path, nested as the parameters."""
    if "" in found:
        return dict(found[""])
    tree: dict[str, Any] = {}
    for path, value in found.items():
        *parents, key = path.split("/")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = dict(value)
    return tree


def below(found: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What stands at paths that begin with a key, by the rest of the path."""
    return {path.partition("/")[2]: value for path, value in found.items() if path.partition("/")[0] == key}


def above(found: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The inverse of `below`."""
    return {f"{key}/{path}" if path else key: value for path, value in found.items()}


def _inside(name: str, path: str) -> str:
    return name + "".join(f"[{key!r}]" for key in path.split("/") if key)
