"""Models in files: what is written is read again, for any cell; what is not meant is refused before it is read."""

from __future__ import annotations

import inspect
import io
import json
import re
import tracemalloc
import zipfile

import numpy as np
import pytest
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import nn
from recurrent_dynamics.equations import hard_tanh, sigmoid, tanh
from recurrent_dynamics.nn.described import OPTIONS
from recurrent_dynamics.nn.leaves import named_leaves


def own_cell(power=1.0):
    def update(drive, state, constant):
        z = sigmoid(drive.z)
        return {"h": z * state.h + (1 - z) * tanh(drive.n) * constant.power}

    return rd.cells.Cell(
        "my unit", state=("h",), drives=("z", "n"), update=update, constants={"power": power}
    )


def model_of(*cells, **options):
    return nn.Model(
        list(cells), 6, **({"vocabulary_size": 5} if "input_size" not in options else {}) | options
    )


MODELS = {
    **{name: lambda make=make: model_of(make()) for name, make in rd.cells.NAMED.items()},
    "deep": lambda: model_of(rd.cells.lstm(), rd.cells.elman("relu"), dropout=0.25),
    "real": lambda: model_of(rd.cells.ctrnn(dt=None), input_size=3, output_size=2, loss="mean_squared_error"),
    "pooled": lambda: model_of(rd.cells.gru(), input_size=3, output_size=2, pool="last"),
    "a function": lambda: model_of(rd.cells.elman(hard_tanh)),
    "normalized, in heads": lambda: model_of(
        rd.cells.gru().with_normalization().with_structure(rd.cells.heads(2))
    ),
    "constrained": lambda: model_of(rd.cells.gru(), parametrize={"U.n": rd.parametrize.Cayley(negative=1)}),
    "without its constraint": lambda: model_of(rd.cells.es2n(), parametrize={}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_read_as_it_was_written(tmp_path, name):
    model = MODELS[name]()
    params = model.init(rng=1, dtype="float64")
    nn.save(tmp_path / "model.npz", model, params, extra={"characters": "abc"})
    found = nn.load(tmp_path / "model.npz")
    assert repr(found.model) == repr(model)
    assert [c.fingerprint for c in found.model.cells] == [c.fingerprint for c in model.cells]
    assert [c.constants for c in found.model.cells] == [c.constants for c in model.cells]
    assert [c.made_by for c in found.model.constraints] == [c.made_by for c in model.constraints]
    assert (found.model.dropout, found.model.signals) == (model.dropout, model.signals)
    assert found.model.pool == model.pool
    assert found.extra == {"characters": "abc"}
    written, read = dict(named_leaves(params)), dict(named_leaves(found.params))
    assert list(written) == list(read)
    assert all((a == read[name]).all() and a.dtype == read[name].dtype for name, a in written.items())


def test_every_argument_of_a_model_is_described():
    arguments = set(inspect.signature(nn.Model).parameters)
    assert arguments == {"cells", "loss", "parametrize", *OPTIONS}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


def not_loaded(path, message, **options):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        nn.load(path, **options)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_cell_of_ones_own_is_given_to_the_loader(path):
    model = model_of(rd.cells.gru(), own_cell(2.0))
    nn.save(path, model, model.init())
    not_loaded(path, "layer 1 has a cell that is not of the library, 'my unit': give the loader cells=")
    found = nn.load(path, cells=[None, own_cell(2.0)])
    assert repr(found.model) == repr(model)
    not_loaded(
        path,
        "layer 0 must have the equations that were saved, those of 'gru'; came other ones",
        cells=own_cell(2.0),
    )
    not_loaded(
        path, "layer 1 must have the constants that were saved, {'power': 2.0}", cells=[None, own_cell(3.0)]
    )
    not_loaded(
        path, "cells must be one, or a sequence of one for each of 2 layers; came 1", cells=[own_cell()]
    )
    not_loaded(path, "came builtin_function_or_method", cells=print)


class Mine(rd.parametrize.Antisymmetric):
    """A parametrization that the library does not know."""


def test_a_parametrization_of_ones_own_is_given_to_the_loader(path):
    model = model_of(rd.cells.elman(), parametrize=Mine())
    nn.save(path, model, model.init())
    not_loaded(path, "layer 0 has a parametrization of its own: give the loader parametrize=")
    assert nn.load(path, parametrize=Mine()).model.constraints[0].made_by == {"U": Mine()}


def edited(path, describe=lambda described: None, arrays=lambda arrays: None):
    """Write the file anew after a change of its description and its arrays."""
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    described = json.loads(str(found.pop("network")))
    describe(described)
    arrays(found)
    np.savez(path, **found, network=np.array(json.dumps(described)))


@pytest.fixture
def saved(path):
    model = model_of(rd.cells.gru())
    nn.save(path, model, model.init())
    return path


W, U, b = (f"layers/0/{name}" for name in "WUb")


def of_type(name, kind):
    return lambda a: a.update({name: a[name].astype(kind)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_type(W, complex), f"{W!r} must be float32 or float64; came complex128"),
        (of_type(W, int), f"{W!r} must be float32 or float64; came int64"),
        (of_type(b, "f8"), f"one dtype; came float32 for 'embedding/table' and float64 for {b!r}"),
        (
            lambda a: a[U].__setitem__((2, 1), np.nan),
            f"params {U!r} must be finite; came nan at index (2, 1)",
        ),
        (lambda a: a.update({U: a[U].T}), f"params {U!r} must have shape (18, 6); came (6, 18)"),
        (lambda a: a.pop("readout/b"), "params must hold 'readout/b'; came none of this name"),
        (lambda a: a.update(more=np.zeros(3)), "params must hold those of the model alone; came 'more' too"),
        (lambda a: a.update({W: np.array(["a"])}), f"params {W!r} must have shape"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(saved, change, message):
    edited(saved, arrays=change)
    not_loaded(saved, message)


def set_in(*path_and_value):
    *path, key, value = path_and_value

    def change(described):
        inner = described
        for step in path:
            inner = inner[step]
        inner[key] = value

    return change


FUNCTION = [{"U": {"kind": "orthogonality_penalty", "options": {}}}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_in("model", "hidden_size", [30_000]), f"params {W!r} must have shape (90000, 5); came (18, 5)"),
        (
            set_in("model", "cells", 0, "factory", "eval"),
            "layer 0 must have a cell of the library; came 'eval'",
        ),
        (set_in("model", "cells", 0, "factory", "elman"), "layer 0 must have the equations that were saved"),
        (set_in("model", "cells", 0, "changes", {"update": 1}), "changes of a cell must be of name"),
        (set_in("model", "parametrize", FUNCTION), "a parametrization of the library"),
        (
            set_in("model", "loss", "hinge"),
            "loss must be one of cross_entropy, mean_squared_error; came 'hinge'",
        ),
        (set_in("model", "output_size", "3"), "output_size must be an integer of at least 1; came '3'"),
        (set_in("model", "cells", 5), "not a network, or a damaged one"),
        (set_in("format", 7), "must be a network of format 1; came format 7"),
        (set_in("format", "1"), "must be a network of format 1; came format '1'"),
        (set_in("format", True), "must be a network of format 1; came format True"),
    ],
)
def test_what_is_wrong_with_a_description_is_said(saved, change, message):
    edited(saved, describe=change)
    not_loaded(saved, message)


def npy_header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def with_array(path, name, shape, method=zipfile.ZIP_STORED, zeros=0):
    with zipfile.ZipFile(path, "a", method) as archive, archive.open(name, "w", force_zip64=True) as member:
        member.write(npy_header(shape))
        for _ in range(zeros // 2**20):
            member.write(bytes(2**20))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ({"shape": (10**12, 2)}, "of float32 and shape (1000000000000, 2) must fill 0 bytes; it does not"),
        (
            {"shape": (2**24,), "method": zipfile.ZIP_DEFLATED, "zeros": 2**26},
            "arrays must be stored as they are; 'more' came compressed",
        ),
        ({"shape": (2**24,), "zeros": 2**26}, "params must hold those of the model alone; came 'more' too"),
    ],
)
def test_no_memory_is_taken_for_what_is_not_meant(saved, array, message):
    with_array(saved, "more.npy", **array)
    tracemalloc.start()
    try:
        not_loaded(saved, message)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_what_cannot_be_saved_is_refused_before_anything_is_written(path):
    model = model_of(rd.cells.gru())
    params = model.init()
    with refused(wrong_type("model", "be a Model", "Cell")):
        nn.save(path, rd.cells.gru(), params)
    with pytest.raises(ValueError, match="params must hold 'embedding/table'; came none of this name"):
        nn.save(path, model, params["layers"])
    with refused(wrong_type("extra", "be what JSON can hold")):
        nn.save(path, model, params, extra={"a": np.ones(2)})
    params["readout"]["b"][1] = np.inf
    with pytest.raises(ValueError, match=r"params 'readout/b' must be finite; came inf at index \(1,\)"):
        nn.save(path, model, params)
    assert not path.exists()
