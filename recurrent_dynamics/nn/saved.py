"""Models in files, without pickle: what they are as JSON, their parameters as arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cells import Cell
from ..cells.constraint import Choice
from ..checks import ArgumentTypeError, instance, is_finite
from ..results import Result
from ..trees import TreeCell
from . import trees_described
from .ctc_objective import CtcObjective
from .described import describe, rebuild
from .encoder_decoder import EncoderDecoder
from .encoder_decoder import described as pairs_described
from .files import FileError, Header, read_described, write_described
from .layers import Objective
from .layers import described as layers_described
from .leaves import check_tree, named_leaves, nest
from .model import Model
from .trees import TreeModel
from .two_readings import TwoReadings

FORMAT = 1
KIND = "network"
OF_CTC = ("frames", "blank", "zero_infinity")
OF_READINGS = ("pool", "start", "summary")
Kept = Model | Objective | CtcObjective | EncoderDecoder | TwoReadings | TreeModel


@dataclass(frozen=True, repr=False)
class SavedModel(Result):
    """What `load` returns.

    Attributes
    ----------
    model : Model, Objective, CtcObjective, EncoderDecoder, TwoReadings or TreeModel
    params : nested dict of arrays
    extra : dict
        What was given to `save`.
    """

    model: Kept
    params: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)


def save(
    path: str | os.PathLike[str],
    model: Kept,
    params: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a model and its parameters as one .npz, whole or not at all, without pickle.

    A cell of the library is kept as the name of its function with its arguments. Of another cell only the fingerprint
    of its equations is kept; `load` takes such a cell as an argument.

    Parameters
    ----------
    path : path-like
    model : Model, Objective, CtcObjective, EncoderDecoder, TwoReadings or TreeModel
    params : nested dict of arrays
        As `model.init` nests them.
    extra : mapping, optional
        What JSON can hold: a vocabulary, settings, the scale of the inputs.

    Raises
    ------
    OSError
        When it cannot be written; an older file under the path then still stands.
    ValueError, TypeError
        When the parameters are not those of the model: which, and how.

    Examples
    --------
    >>> import tempfile
    >>> import recurrent_dynamics as rd
    >>> model = rd.nn.Model(rd.cells.elman("relu"), 4, input_size=2, output_size=1, loss="mean_squared_error")
    >>> params = model.init(rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rd.nn.save(f"{folder}/model.npz", model, params, extra={"scale": 2.5})
    ...     saved = rd.nn.load(f"{folder}/model.npz")
    >>> saved.model, saved.extra
    (Model(2 inputs -> elman 4 -> 1, mean_squared_error), {'scale': 2.5})
    >>> bool((saved.params["readout"]["W"] == params["readout"]["W"]).all())
    True
    """
    if not isinstance(model, Kept):
        expected = "be a Model, an Objective, a CtcObjective, an EncoderDecoder, TwoReadings or a TreeModel"
        raise ArgumentTypeError("model", expected, type(model).__name__)
    check_tree(params)
    arrays = dict(named_leaves(params))
    try:
        check_parameters(model, {name: Header(a.shape, a.dtype) for name, a in arrays.items()})
        check_finite(arrays)
    except FileError as error:
        raise ValueError(str(error)) from None
    if extra is not None:
        instance("extra", extra, Mapping)
    kept = dict(extra or {})
    try:
        json.dumps(kept)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentTypeError("extra", "be what JSON can hold", error) from None
    write_described(path, KIND, FORMAT, {**_described(model), "extra": kept}, arrays)


def load(
    path: str | os.PathLike[str],
    cells: Cell | TreeCell | Sequence[Cell | None] | None = None,
    parametrize: Choice | Sequence[Choice | None] | None = None,
) -> SavedModel:
    """Read what `save` wrote.

    Shapes and dtypes are looked at before an array is read, so that a file cannot ask for more memory than it is large.

    Parameters
    ----------
    path : path-like
    cells : Cell, TreeCell or sequence of (Cell or None), optional
        The cells of the layers, where they are not of the library, or the one of a `TreeModel`. Their equations must be
        those that were saved.
    parametrize : Parametrization, dict, or sequence of them, optional
        As for `Model`, where it is not of the library.

    Returns
    -------
    SavedModel

    Raises
    ------
    FileNotFoundError
        When there is none.
    OSError
        When it cannot be opened.
    ValueError
        When the file is not such a model or a damaged one, names a cell that must be given, or a cell that is given
        has other equations.
    """

    def check(headers: dict[str, Header], described: dict[str, Any]) -> None:
        check_parameters(_again(described, cells, parametrize), headers)

    def assemble(arrays: dict[str, NDArray[Any]], described: dict[str, Any]) -> SavedModel:
        check_finite(arrays)
        return SavedModel(_again(described, cells, parametrize), nest(arrays), described["extra"])

    return read_described(path, KIND, FORMAT, check, assemble)


def _described(model: Kept) -> dict[str, Any]:
    if isinstance(model, Objective):
        return {"objective": layers_described.describe(model)}
    if isinstance(model, CtcObjective):
        options = {name: getattr(model, name) for name in OF_CTC}
        return {"ctc": {"layer": layers_described.layer_described(model.layer), "options": options}}
    if isinstance(model, EncoderDecoder):
        return {"encoder_decoder": pairs_described.describe(model)}
    if isinstance(model, TwoReadings):
        layers = [layers_described.layer_described(layer) for layer in (model.encoder, model.reader)]
        options = {name: getattr(model, name) for name in OF_READINGS}
        return {"two_readings": {"layers": layers, "options": options, "loss": model.loss_name}}
    if isinstance(model, TreeModel):
        return {"trees": trees_described.describe(model)}
    return {"model": describe(model)}


def _again(described: Mapping[str, Any], cells: Any, choices: Any) -> Kept:
    if "objective" in described:
        return layers_described.rebuild(described["objective"], cells, choices)
    if "ctc" in described:
        (layer,) = layers_described.layers_again([described["ctc"]["layer"]], cells, choices)
        return CtcObjective(layer, **described["ctc"]["options"])
    if "encoder_decoder" in described:
        return pairs_described.rebuild(described["encoder_decoder"], cells, choices)
    if "two_readings" in described:
        found = described["two_readings"]
        encoder, reader = layers_described.layers_again(found["layers"], cells, choices)
        return TwoReadings(encoder, reader, found["loss"], **found["options"])
    if "trees" in described:
        if choices is not None:
            raise FileError(f"parametrize must be None for a model of trees; came {type(choices).__name__}")
        return trees_described.rebuild(described["trees"], cells)
    return rebuild(described["model"], cells, choices)


def check_parameters(model: Kept, headers: Mapping[str, Header]) -> None:
    """Whether arrays are the parameters of a model by their names, shapes and dtypes; a `FileError` names one.

    Of a matrix that is made from free parameters, only that there are some: the shapes are its parametrization's.
    """
    expected = _shapes(model)
    found = dict(headers)
    for name, shape in expected.items():
        free = [key for key in found if key == name or key.startswith(f"{name}/")]
        if not free:
            raise FileError(f"params must hold {name!r}; came none of this name")
        for key in free:
            header = found.pop(key)
            if shape is not None and (key != name or header.shape != shape):
                raise FileError(f"params {key!r} must have shape {shape}; came {header.shape}")
    if found:
        raise FileError(f"params must hold those of the model alone; came {min(found)!r} too")
    dtypes = {name: header.dtype for name, header in headers.items()}
    for name, dtype in dtypes.items():
        if dtype not in (np.float32, np.float64):
            raise FileError(f"params {name!r} must be float32 or float64; came {dtype}")
    if len(set(dtypes.values())) > 1:
        first = next(iter(dtypes.items()))
        other = next((name, dtype) for name, dtype in dtypes.items() if dtype != first[1])
        raise FileError(
            f"params must have one dtype; came {first[1]} for {first[0]!r} and {other[1]} for {other[0]!r}"
        )


def check_finite(arrays: Mapping[str, NDArray[Any]]) -> None:
    """A `FileError` names the first entry that is NaN or infinite."""
    for name, a in arrays.items():
        if not is_finite(a):
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])
            raise FileError(f"params {name!r} must be finite; came {a[where]} at index {where}")


def _shapes(model: Kept) -> dict[str, tuple[int, ...] | None]:
    """By the path of each parameter, without drawing any; None where free parameters stand."""
    if isinstance(model, Objective | CtcObjective):
        return model.layer.shapes
    if isinstance(model, EncoderDecoder | TwoReadings):
        return model.shapes
    if isinstance(model, TreeModel):
        return trees_described.shapes(model)
    shapes: dict[str, tuple[int, ...] | None] = {}
    if model.vocabulary_size is not None:
        shapes["embedding/table"] = (model.vocabulary_size, model.input_size)
    for i, layer in enumerate(model.constraints):
        of_cell = layer.cell.layout(layer.input_size, layer.hidden_size).shapes
        free = {key.partition(".")[0] for key in layer.made_by}
        shapes |= {f"layers/{i}/{name}": None if name in free else s for name, s in of_cell.items()}
    shapes["readout/W"], shapes["readout/b"] = (model.output_size, model.readout_inputs), (model.output_size,)
    return shapes
