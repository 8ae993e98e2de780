"""What `benchmarks/peers.py` keeps in a file, and how it holds libraries to AVX2."""

import pathlib
from importlib import import_module

import pytest

BENCHMARKS = pathlib.Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def peer_tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("peer_tables.comparison"), import_module("peer_tables.instructions")


def test_a_file_keeps_the_tables_of_the_same_machine_and_libraries(peer_tables):
    comparison, _ = peer_tables
    here, there = (("environment", "", "processor", name) for name in ("here", "there"))
    old, ctc = ("ragged", "", "ours", "1.0"), ("ctc", "", "ours", "2.0")
    now = [here, ("ragged", "", "ours", "3.0")]
    assert comparison.other_tables([here, old, ctc], now) == [ctc]
    assert comparison.other_tables([there, old, ctc], now) == []


def test_avx2_is_what_is_left_of_this_processor(peer_tables):
    _, instructions = peer_tables
    features = instructions.without_avx512()["NUMBA_CPU_FEATURES"].split(",")
    assert features
    assert not [name for name in features if name.startswith("+avx512")]
