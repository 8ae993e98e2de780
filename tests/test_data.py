"""Vocabulary, streams, files, tasks."""

from __future__ import annotations

import json
import os
import re
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import Refusal, refused

from recurrent_dynamics.data import (
    AddingProblem,
    ContextDecision,
    CopyingMemory,
    FlipFlop,
    Streams,
    Vocabulary,
    read_text,
    source,
    split,
    standard_library,
)


@given(st.text(min_size=1))
def test_text_goes_to_indices_and_back(text):
    vocabulary = Vocabulary.from_text(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert list(vocabulary.characters) == sorted(set(text))
    assert Vocabulary.from_list(json.loads(json.dumps(vocabulary.to_list()))) == vocabulary


def test_unknown_characters():
    vocabulary = Vocabulary.from_text("abc")
    with refused("text", "characters in the vocabulary", "'x' at position 2"):
        vocabulary.encode("abxc")
    with refused("text", "in the vocabulary"):
        vocabulary.encode("a\U0001f600")
    lenient = Vocabulary.from_text("abc", unknown="?")
    assert lenient.decode(lenient.encode("abxc\U0001f600")) == "ab?c?"
    assert lenient != vocabulary


@pytest.mark.parametrize(
    ("characters", "unknown", "message"),
    [
        ("", None, Refusal("characters", "at least one", "none")),
        ("aa", None, Refusal("characters", "each once", "'a' twice")),
        (["ab"], None, Refusal("characters", came="'ab'")),
        ("ab", "c", Refusal("unknown")),
    ],
)
def test_errors_of_a_vocabulary(characters, unknown, message):
    with refused(message):
        Vocabulary(characters, unknown)


@given(st.integers(1, 5), st.integers(1, 7), st.integers(0, 6), st.integers(1, 80), st.booleans())
def test_streams_count_every_loss_once(batch_size, stride, more, extra, partial):
    window = stride + more
    indices = np.arange(batch_size * window + extra)
    streams = Streams(indices, batch_size, window, stride, partial=partial)
    seen, before = [], None
    for number in range(streams.batches_per_epoch):
        batch = streams.batch(number)
        np.testing.assert_array_equal(batch.targets, batch.inputs + 1)
        if before is not None:  # the state handed on belongs to the step before this window
            np.testing.assert_array_equal(batch.inputs[0], before.inputs[streams.carry_steps - 1] + 1)
        counted = np.ones(batch.inputs.shape, bool) if batch.mask is None else batch.mask
        seen.extend(batch.targets[counted])
        before = batch
    assert len(seen) == len(set(seen)) == streams.symbols_per_epoch
    length = (len(indices) - 1) // batch_size
    left_out = length * batch_size - len(seen)
    assert left_out == 0 if partial else left_out < stride * batch_size
    again = streams.batch(streams.batches_per_epoch)
    np.testing.assert_array_equal(again.inputs, streams.batch(0).inputs)


def test_a_short_text_still_validates():
    streams = Streams(np.arange(12), batch_size=2, window=50, partial=True)
    assert streams.batches_per_epoch == 1
    assert streams.batch(0).inputs.shape == (5, 2)
    with refused("indices", "at least 101 for 2 streams of 50 steps", "12"):
        Streams(np.arange(12), batch_size=2, window=50)
    with refused("stride", "4", "5"):
        Streams(np.arange(100), 2, 4, stride=5)


def test_the_last_part_is_held_out():
    training, validation = split(np.arange(1000), 0.05)
    assert len(training) == 950
    assert validation[0] == 950
    for fraction in (0.0, 1.0):
        with refused("fraction"):
            split(np.arange(10), fraction)
    with refused("indices", "0.1", "3"):
        split(np.arange(3), 0.1)


@pytest.mark.parametrize(
    ("content", "expected", "came"),
    [
        (b"", "UTF-8", "an empty file"),
        (b"\x89PNG\0\0" + 2000 * b"a", "UTF-8", "a binary file"),
        (2000 * b"a" + b"\xff", "UTF-8", "0xff as byte 2000"),
        (b"short", "1000", "5"),
    ],
)
def test_files_that_are_no_text(tmp_path, content, expected, came):
    path = tmp_path / "text"
    path.write_bytes(content)
    with refused(str(path), expected, came):
        read_text(path)


def test_paths_that_are_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_text(tmp_path / "missing")
    with pytest.raises(IsADirectoryError, match="must be a text file; came a folder"):
        read_text(tmp_path)
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        (tmp_path / "closed").write_text("a" * 2000)
        (tmp_path / "closed").chmod(0)
        with pytest.raises(PermissionError, match="no permission"):
            read_text(tmp_path / "closed")


def test_line_ends_and_byte_order_mark(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthr\xc3\xa9e\n")
    assert read_text(path, shortest=1) == "one\ntwo\nthrée\n"


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A folder with modules of a thousand characters each in the place of Python's own, and other files."""
    for name in (*source.MODULES, "abc", "_sysconfigdata_of_a_build"):
        lines = [f"def {name}_{i}():\n    return {i}\n" for i in range(100)]
        (tmp_path / f"{name}.py").write_text("".join(lines)[:1000])
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    return tmp_path


def test_the_standard_library_is_a_corpus(library):
    known = [name for name in source.MODULES if name in sys.stdlib_module_names]
    text = standard_library(size=3000)
    assert text == "".join((library / f"{name}.py").read_text() for name in known[:4])  # until more than 3000
    assert standard_library(size=8000).startswith(text)
    assert len(standard_library()) == 1000 * len(known)


@pytest.mark.full
def test_the_library_of_this_python_is_a_corpus():
    text = standard_library(size=100_000)
    assert 100_000 < len(text) < 400_000
    assert text.count("def ") > 100


@pytest.mark.full
def test_the_source_of_the_library_holds_nothing_of_the_machine():
    assert list(source.MODULES) == sorted(set(source.MODULES))
    text = standard_library()
    assert 1_000_000 < len(text) < 1_300_000
    assert text.isascii()  # no other letters, of a build in another language either
    for place in (sysconfig.get_path("stdlib"), sys.executable, str(Path.home())):
        assert place not in text
    assert "site-packages" not in text
    assert not re.search(r"/home/|/Users/|[A-Z]:\\Users", text)


def test_the_source_of_the_library_does_not_depend_on_the_system_or_on_what_else_lies_there(library):
    text = standard_library()
    assert "def abc_0" not in text
    assert "_sysconfigdata" not in text
    for name in source.MODULES:
        lines = (library / f"{name}.py").read_bytes()
        (library / f"{name}.py").write_bytes(lines.replace(b"\n", b"\r\n"))  # as on another system
    assert standard_library() == text
    (library / "weakref.py").unlink()
    with pytest.raises(FileNotFoundError, match=r"weakref\.py: no such file"):
        standard_library(2_000_000)


def test_copying_memory():
    task = CopyingMemory(delay=30, batch_size=5, seed=3)
    batch = task.batch(4)
    assert batch.inputs.shape == batch.targets.shape == (50, 5)
    assert (batch.inputs[:10] < 8).all()
    assert (batch.inputs[10:39] == 8).all()
    assert (batch.inputs[39] == 9).all()
    assert (batch.targets[:40] == 8).all()
    np.testing.assert_array_equal(batch.targets[40:], batch.inputs[:10])
    assert CopyingMemory(delay=1000, batch_size=1).baseline == pytest.approx(0.020387, abs=1e-6)


def test_adding_problem():
    task = AddingProblem(steps=50, batch_size=2000)
    batch = task.batch(0)
    marks = batch.inputs[:, :, 1]
    assert (marks[:25].sum(0) == 1).all()
    assert (marks[25:].sum(0) == 1).all()
    assert batch.inputs.dtype == batch.targets.dtype == np.float32
    assert np.mean((batch.targets[-1] - 1) ** 2) == pytest.approx(task.baseline, abs=0.015)
    assert batch.weight() == 2000


def test_flip_flop():
    batch = FlipFlop(steps=60, batch_size=20, bits=3, probability=0.2).batch(1)
    state = np.zeros((20, 3))
    for x, y in zip(batch.inputs, batch.targets):
        state = np.where(x != 0, x, state)
        np.testing.assert_array_equal(y, state)
    assert np.mean(batch.inputs[1:] != 0) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("task", [CopyingMemory(5, 2), AddingProblem(8, 2), FlipFlop(8, 2)])
def test_batches_of_a_task_depend_on_their_number_alone(task):
    first, again, second = task.batch(0), task.batch(0), task.batch(1)
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert (first.inputs != second.inputs).any()
    assert task.batches_per_epoch is None


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: CopyingMemory(0, 1), "delay"),
        (lambda: AddingProblem(1, 1), "steps"),
        (lambda: AddingProblem(5, 0), "batch_size"),
        (lambda: FlipFlop(5, 1, probability=0), "probability"),
        (lambda: FlipFlop(5, 1, bits=0), "bits"),
        (lambda: FlipFlop(5, 1, seed=-1), "seed"),
    ],
)
def test_errors_of_tasks(call, argument):
    with refused(argument, "be"):
        call()


def test_the_decision_is_that_of_the_channel_that_counts():
    task = ContextDecision(steps=40, batch_size=2000, answer=5, strengths=(0.3,), noise=0.2, seed=1)
    batch, drawn = task.batch(2), task.conditions(2)
    shown, everyone = batch.inputs[:35, :, :2].mean(axis=0), np.arange(2000)
    assert np.abs(shown - drawn["evidence"]).max() < 0.2  # 0.2 / sqrt(35), and more than five times that
    assert not batch.inputs[35:, :, :2].any()
    np.testing.assert_array_equal(batch.inputs[0, :, 2:].argmax(axis=1), drawn["context"])
    counts = drawn["evidence"][everyone, drawn["context"]]
    np.testing.assert_array_equal(batch.targets[-1, :, 0], np.sign(counts))
    assert batch.mask.sum(axis=0).tolist() == [5] * 2000
    ignored = drawn["evidence"][everyone, 1 - drawn["context"]]
    assert abs(np.corrcoef(counts, ignored)[0, 1]) < 0.1
    assert abs(drawn["context"].mean() - 0.5) < 0.05
    with refused("answer", "be an integer of at least 1 and below 40"):
        ContextDecision(steps=40, batch_size=2, answer=40)
