"""Files: whole or not at all when written, and refused in one line when what is there cannot be read."""

from __future__ import annotations

import gc
import json
import os
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics import study, training
from recurrent_dynamics.data import Vocabulary


def write_checkpoint(path: Path) -> None:
    model = rd.nn.Model(rd.cells.elman(), hidden_size=3, vocabulary_size=4)
    optimizer, params = training.adam(), model.init()
    rng_state = dict(np.random.default_rng(0).bit_generator.state)
    checkpoint = training.Checkpoint(7, params, optimizer.init(params), rng_state, extra={"note": "kept"})
    training.save_checkpoint(path, checkpoint)


def write_model(path: Path) -> None:
    settings, vocabulary = study.Settings(hidden=3, embedding=2), Vocabulary("abc")
    bare = study.CharacterModel(settings, vocabulary, {})
    study.save_model(path, study.CharacterModel(settings, vocabulary, bare.model.init(rng=1)))


KINDS = {
    "checkpoint": (write_checkpoint, training.load_checkpoint),
    "model": (write_model, study.load_model),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path, kind):
    write, _ = KINDS[kind]
    write(tmp_path / "file.npz")
    return tmp_path / "file.npz"


@contextmanager
def no_file_left_open():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        gc.freeze()  # the objects of all tests before need not be looked at
        try:
            yield
        finally:
            gc.collect()
            gc.unfreeze()
            assert not [str(w.message) for w in caught if w.category is ResourceWarning]


def read(path, kind):
    """What the reader gives; a file that it leaves open fails the test."""
    with no_file_left_open():
        return KINDS[kind][1](path)


def refused(path, kind):
    with pytest.raises(ValueError, match=rf"file\.npz: not a {kind}, or a damaged one$"):
        read(path, kind)


def arrays_of(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_a_whole_file_is_read(path, kind):
    found = read(path, kind)
    for name, array in training.tree.named_leaves(found.params):
        np.testing.assert_array_equal(array, arrays_of(path)[name if kind == "model" else f"params/{name}"])
    assert kind in arrays_of(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(path, kind, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, kind)


@pytest.mark.parametrize(
    "content", [b"not a zip", b"PK\x03\x04 and nothing more", b"\x93NUMPY\x01\x00", 5000 * b"a"]
)
def test_a_file_that_is_no_zip_is_refused(path, kind, content):
    path.write_bytes(content)
    refused(path, kind)


def test_an_array_alone_is_refused(path, kind):
    with path.open("wb") as file:
        np.save(file, np.ones(3))
    refused(path, kind)


def test_a_zip_without_the_description_is_refused(path, kind):
    arrays = arrays_of(path)
    del arrays[kind]
    np.savez(path, **arrays)
    refused(path, kind)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"format": 1}', "{}"])
def test_a_description_of_something_else_is_refused(path, kind, text):
    np.savez(path, **(arrays_of(path) | {kind: np.array(text)}))
    refused(path, kind)


def test_arrays_that_are_missing_or_pickled_are_refused(path, kind):
    arrays = arrays_of(path)
    np.savez(path, **{kind: arrays[kind]})
    missing = {
        "model": "--layers is 2; came the arrays of 0 layers",
        "checkpoint": "not a checkpoint, or a damaged",
    }
    with pytest.raises(ValueError, match=missing[kind]):
        read(path, kind)
    np.savez(path, **(arrays | {"more": np.array([{}], dtype=object)}), allow_pickle=True)
    with pytest.raises(ValueError, match=r"file\.npz: array 'more' must hold numbers; came dtype object"):
        read(path, kind)


def test_another_kind_of_file_is_refused(path, kind):
    other = next(k for k in KINDS if k != kind)
    KINDS[other][0](path)
    told = {
        "model": r"file\.npz: .* no settings and vocabulary of a study",  # a checkpoint of a study is read
        "checkpoint": r"file\.npz: must hold a checkpoint; came a model, which rd\.study\.load_model reads$",
    }
    with pytest.raises(ValueError, match=told[kind]):
        read(path, kind)


def changed(path, kind, description, arrays):
    found = arrays_of(path)
    described = json.loads(str(found.pop(kind)))
    for key, value in description.items():
        inner, *last = key.split(".")
        (described[inner] if last else described)[last[0] if last else inner] = value
    np.savez(path, **(found | arrays), **{kind: np.array(json.dumps(described))})


@pytest.mark.parametrize(
    ("description", "arrays", "message"),
    [
        ({"source": 5}, {}, "source must be a path or null; came 5"),
        ({"facts": []}, {}, r"facts must be names with values; came \[\]"),
        ({"settings.hidden": "many"}, {}, "settings: --hidden must be an integer of at least 1; came 'many'"),
        ({"settings.layers": 10**7}, {}, "settings: --layers is 10000000; came the arrays of 2 layers"),
        ({"settings.hidden": 30_000}, {}, r"'layers/0/W' must have shape \(120000, 2\); came \(12, 2\)"),
        ({"settings.speed": 1}, {}, "settings: values must be options of a study; came 'speed'"),
        ({"format": "1"}, {}, "file.npz must be a model of format 1; came format '1'"),
        (
            {},
            {"layers/1/b": np.zeros(12, complex)},
            "'layers/1/b' must be float32 or float64; came complex128",
        ),
        ({}, {"layers/1/b": np.zeros(12)}, "float64 for 'layers/1/b'"),
        (
            {},
            {"layers/1/b": np.full(12, np.nan, "f4")},
            r"'layers/1/b' must be finite; came nan at index \(0,\)",
        ),
        ({}, {"layers/2/b": np.zeros(12, "f4")}, "--layers is 2; came the arrays of 3 layers"),
    ],
)
def test_what_is_wrong_with_a_model_is_said(tmp_path, description, arrays, message):
    path = tmp_path / "file.npz"
    write_model(path)
    changed(path, "model", description, arrays)
    with pytest.raises(ValueError, match=message) as error:
        read(path, "model")
    assert str(path) in str(error.value)


def test_what_is_wrong_with_a_checkpoint_is_said(tmp_path):
    path = tmp_path / "file.npz"
    for arrays, message in (
        ({"more": np.zeros(3)}, "a checkpoint holds history, optimizer, params; came 'more' too"),
        ({"params/more": np.array(["a"])}, "array 'params/more' must hold real numbers; came dtype <U1"),
    ):
        write_checkpoint(path)
        changed(path, "checkpoint", {}, arrays)
        with pytest.raises(ValueError, match=message):
            read(path, "checkpoint")


def test_a_later_format_is_named(path, kind):
    arrays = arrays_of(path)
    described = json.loads(str(arrays[kind])) | {"format": 9}
    np.savez(path, **(arrays | {kind: np.array(json.dumps(described))}))
    with pytest.raises(ValueError, match=rf"file\.npz must be a {kind} of format 1; came format 9$"):
        read(path, kind)


def test_a_file_with_flipped_bits_is_read_as_it_was_or_refused(path, kind):
    content, whole = path.read_bytes(), arrays_of(path)
    rng = np.random.default_rng(0)
    refusals = 0
    with no_file_left_open():
        for place in rng.choice(len(content), 150, replace=False):
            damaged = bytearray(content)
            damaged[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            try:
                found = KINDS[kind][1](path)
            except ValueError:
                refusals += 1
            else:  # dates and the like have no checksum
                for name, array in training.tree.named_leaves(found.params):
                    name = name if kind == "model" else f"params/{name}"
                    np.testing.assert_array_equal(array, whole[name])
    assert refusals > 50


def test_no_file_and_a_folder_are_named(tmp_path, kind):
    for name in ("none.npz", "."):
        with pytest.raises(FileNotFoundError, match=f"no {kind} there"):
            read(tmp_path / name, kind)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    training.write_atomically(path, lambda file: file.write(b"old"))

    def full_disk(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="cannot write: No space left on device"):
        training.write_atomically(path, full_disk)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(FileNotFoundError, match="cannot write"):
        training.write_atomically(tmp_path / "missing" / "file", lambda file: None)
