"""Checks of a user's arguments: each array is checked once; errors name the argument, the expected and the given."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import numpy as np

from ..cells.cell import Cell
from ..cells.mistaken import what_came
from ..checks import ArgumentError, ArgumentTypeError, is_finite, unmasked
from .run import Run, within_lengths

# True while a verb computes on a GPU. Only then may an argument be an array on a GPU.
ON_DEVICE: ContextVar[bool] = ContextVar("ON_DEVICE", default=False)
TIME_FIRST = ": arrays have time first, (T, B, N); is x batch first? x.swapaxes(0, 1) turns it"
NO_LENGTHS, NO_RESETS = np.empty(0, np.int64), np.empty(0, np.bool_)
DTYPES = (np.dtype("float32"), np.dtype("float64"))


def below(a: np.ndarray, count: int) -> bool:
    """Whether all integers lie in 0..count-1; read as unsigned, negative integers are larger than all positive ones."""
    if not a.size:
        return True
    if a.dtype.kind == "i":
        a, count = a.view(_unsigned(a.dtype)), min(count, 1 << (8 * a.itemsize - 1))
    return bool(a.max() < count)


@lru_cache(maxsize=16)
def _unsigned(dtype: np.dtype) -> np.dtype:
    """The unsigned integer type of the same size."""
    return np.dtype(dtype.str.replace("i", "u"))


def finite(name: str, a: np.ndarray) -> np.ndarray:
    """The array, or an error that says where it is not finite."""
    if not is_finite(a):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])
        raise ArgumentError(name, "be finite", f"{a[where]} at index {where}")
    return a


def is_on_device(a: Any) -> bool:
    """Whether an array lies in the memory of a GPU, by DLPack or by the CUDA array interface."""
    if isinstance(a, np.ndarray):
        return False
    if hasattr(a, "__dlpack_device__"):  # asked first: PyTorch answers it for tensors with gradients too
        return int(a.__dlpack_device__()[0]) in (2, 13)  # kDLCUDA, kDLCUDAManaged
    return hasattr(a, "__cuda_array_interface__")


def array(name: str, a: Any) -> np.ndarray:
    """Convert an argument to an array of any dtype. In a verb that computes on a GPU, an array on a GPU stays there."""
    if type(a) is np.ndarray:
        return a
    unmasked(name, a)
    if is_on_device(a):
        if not ON_DEVICE.get():
            raise ArgumentTypeError(
                name, "be copied to the host, where the computation is", "an array on a GPU"
            )
        return a
    unmasked(name, a)
    try:
        return np.asarray(a)
    except Exception as error:
        if isinstance(a, tuple | list) and all(hasattr(part, "shape") for part in a):
            shapes = ", ".join(dict.fromkeys(str(tuple(part.shape)) for part in a[:20]))
            came = (
                f"arrays of different shapes, {shapes}: rd.data.pad makes one array of sequences, and lengths"
            )
            raise ArgumentTypeError(name, "be one array", came) from None
        raise ArgumentTypeError(name, "be an array", f"{type(a).__name__}: {error}") from None


def real(name: str, a: Any, dtype: np.dtype | None = None) -> np.ndarray:
    """An array of floating-point numbers; of the dtype if given."""
    a = array(name, a)
    if dtype is None and a.dtype not in DTYPES:
        raise ArgumentTypeError(name, "have dtype float32 or float64", a.dtype)
    if dtype is not None and a.dtype != dtype:
        also = f", or make the parameters {a.dtype}, as init(..., dtype={a.dtype.name!r}) does"
        other = also if a.dtype in DTYPES else ""
        raise ArgumentTypeError(
            name,
            f"have dtype {dtype}, as the parameters have",
            f"{a.dtype} (dtypes are not mixed: convert it by np.asarray({name}, {dtype.name!r}){other})",
        )
    return a


def shape(name: str, a: np.ndarray, wanted: tuple[int, ...]) -> None:
    """Refuse an array of another shape."""
    if a.shape != wanted:
        raise ArgumentError(name, f"have shape {wanted}", a.shape)


def floating(
    name: str,
    a: Any,
    dtype: np.dtype | None = None,
    wanted: tuple[int, ...] | None = None,
    within: np.ndarray | None = None,
) -> np.ndarray:
    """A finite array of floating-point numbers; of the dtype and the shape `wanted` if given.

    Entries where `within` is false are set to 0 and not checked.
    """
    a = real(name, a, dtype)
    if wanted is not None:
        shape(name, a, wanted)
    return finite(name, a if within is None else np.where(within, a, a.dtype.type(0)))


def given_parameters(
    cell: Cell, params: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], np.dtype, int, int]:
    """(the parameters as arrays, finite or not, of one dtype, the dtype, input size, hidden size)."""
    a_cell(cell)
    if isinstance(params, Mapping) and any(isinstance(value, Mapping) for value in params.values()):
        raise ArgumentTypeError(
            "params",
            "be those of one cell",
            "those of a model: pass model.cell_params(params)[i] for layer i",
        )
    if not isinstance(params, Mapping):
        cell.sizes(params)  # raises the error
    arrays = {name: array(f"params[{name!r}]", value) for name, value in params.items()}
    n, h = _sizes(cell, tuple([(name, a.shape) for name, a in arrays.items()]))
    first = next(iter(arrays))
    dtype = real(f"params[{first!r}]", arrays[first]).dtype
    for name, a in arrays.items():
        if a.dtype != dtype:
            real(f"params[{name!r}]", a, dtype)  # raises the error
    return arrays, dtype, n, h


@lru_cache(maxsize=1024)
def _sizes(cell: Cell, shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> tuple[int, int]:
    """`Cell.sizes` for arrays of these shapes."""
    return cell.sizes({name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes})


def parameters(
    cell: Cell, params: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], np.dtype, int, int]:
    """(copies of the parameters, all finite, their dtype, input size, hidden size)."""
    arrays, dtype, n, h = given_parameters(cell, params)
    return {name: finite(f"params[{name!r}]", a).copy() for name, a in arrays.items()}, dtype, n, h


def a_cell(value: Any) -> Cell:
    """The argument, if it is a cell; otherwise an error that says what to pass instead."""
    if not isinstance(value, Cell):
        raise ArgumentTypeError("cell", "be a Cell", what_came(value))
    return value


def layer(cell: Any, params: Any) -> tuple[Any, Any]:
    """A cell with its parameters. A model of one recurrent layer gives the cell and the parameters of that layer."""
    if not isinstance(cell, Cell) and hasattr(cell, "cell_params") and len(cell.cells) == 1:
        return cell.cells[0], cell.cell_params(params)[0]
    return cell, params


def run(value: Any) -> Run:
    """The argument, if it is a `Run`; for a model's run the error names `model.backward`."""
    if not isinstance(value, Run):
        came = type(value).__name__
        if _layers(value):
            came += f", of a model: call model.backward with it, or pass the run of a layer, {_one_of(value)}"
        raise ArgumentTypeError("run", "be a Run, as forward returns", came)
    return value


def of_layer(value: Any) -> Any:
    """The run for an analysis: of a model with one recurrent layer, that layer's run. Others are returned unchanged."""
    runs = _layers(value)
    if len(runs) == 1:
        return runs[0]
    if runs:
        raise ArgumentTypeError(
            "run",
            "be of one layer",
            f"{type(value).__name__} of {len(runs)} layers: pass {_one_of(value)}",
        )
    if hasattr(value, "cell_params"):
        made = "forward(params, inputs).runs[i] for layer i"
        if hasattr(value, "layer"):
            made = "run(params, (inputs, targets)).runs[i] for recurrent layer i"
        raise ArgumentTypeError(
            "run",
            "be a Run",
            f"{type(value).__name__}: pass a run of it, model.{made}",
        )
    return value


def not_a_run(name: str, value: Any, wanted: str) -> None:
    """Refuse a run where a function needs an array, and say which array of the run to pass."""
    value = of_layer(value)
    if isinstance(value, Run):
        raise ArgumentTypeError(name, "be an array", f"a Run: pass {wanted.format(slot=value.cell.state[0])}")


def layer_run(value: Any) -> Run:
    """`of_layer`, with an error for everything that is not a run then."""
    return run(of_layer(value))


def _layers(value: Any) -> list[Run]:
    """The runs of the recurrent layers in the result of a model or of a layer."""
    runs = getattr(value, "runs", None)
    found = list(runs.values()) if isinstance(runs, dict) else runs
    return found if isinstance(found, list) and all(isinstance(r, Run) for r in found) else []


def _one_of(value: Any) -> str:
    """The expression, as text, that selects one of several runs."""
    if isinstance(value.runs, dict):
        return f"run.runs[path], path among {', '.join(map(repr, value.runs))}"
    return f"run.runs[i], i from 0 to {len(value.runs) - 1}"


def steps(value: Any, count: int) -> np.ndarray:
    """Indices of the steps that a slice, indices, or one index select, in 0..count-1; all for None."""
    every = np.arange(count)
    try:
        chosen = every if value is None else every[value if isinstance(value, slice) else np.asarray(value)]
    except (IndexError, OverflowError, TypeError, ValueError) as error:
        raise ArgumentError("steps", f"select some of the {count} steps of the run", error) from None
    if chosen.ndim > 1 or not chosen.size:
        raise ArgumentError("steps", f"select some of the {count} steps of the run", repr(value))
    return chosen


def mapping(name: str, value: Any, known: tuple[str, ...]) -> dict[str, Any]:
    """A dict with known keys only."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(name, "be a dict of arrays", type(value).__name__)
    for key in value:
        if key not in known:
            raise ArgumentError(
                name, "have no keys" + (f" but {', '.join(known)}" if known else ""), repr(key)
            )
    return dict(value)


def lengths(value: Any, steps: int, batch: int, name: str = "lengths") -> np.ndarray:
    """(batch,) integers in [0, steps], or an empty array for none."""
    if value is None:
        return NO_LENGTHS
    a = array(name, value)
    if a.shape != (batch,) or a.dtype.kind not in "iu":
        raise ArgumentError(
            name,
            f"be {batch} integers, one a sequence",
            f"shape {a.shape}, dtype {a.dtype}{(TIME_FIRST if a.shape == (steps,) else '')}",
        )
    if a.size and (a.min() < 0 or a.max() > steps):
        raise ArgumentError(
            name, f"lie between 0 and {steps}, the number of steps", f"{a.min()} to {a.max()}"
        )
    return a.astype(np.int64)


def resets(value: Any, steps: int, batch: int, ends: np.ndarray) -> np.ndarray:
    """(steps * batch,) booleans, or an empty array for none; false beyond the ends, where states are held."""
    if value is None:
        return NO_RESETS
    a = array("reset", value)
    if a.shape != (steps, batch) or a.dtype != np.bool_:
        raise ArgumentError(
            "reset",
            f"be booleans of shape {(steps, batch)}",
            f"shape {a.shape}, dtype {a.dtype}{(TIME_FIRST if a.shape == (batch, steps) else '')}",
        )
    return (a & within_lengths(steps, ends) if ends.size else a.copy()).ravel()
