"""The beam search in PyTorch that ours is measured against: it finds what an exhaustive search finds, and ours."""

from __future__ import annotations

import itertools
import pathlib

import numpy as np
import pytest

from recurrent_dynamics import nn

torch = pytest.importorskip("torch")

BENCHMARKS = pathlib.Path(__file__).parent.parent / "benchmarks"
CLASSES, END, LENGTH = 5, 1, 4
SOURCES = np.random.default_rng(0).integers(0, CLASSES, (3, 4))


@pytest.fixture
def peer(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from peer_tables import beam

    return beam


def drawn(peer, seed, dtype="float64", end=END):
    """A model with its parameters, whose logits are far enough apart that no two targets are nearly as probable."""
    model = peer.made(4, CLASSES, end)
    params = model.init(rng=seed, dtype=dtype)
    for name in ("readout", "start"):
        params[name]["W"] *= np.array(8, dtype)
    return model, params


def sequence(found, b, k, end=END):
    """Without the end symbol."""
    symbols = found.sequences[b, k, : found.lengths[b, k]].tolist()
    return symbols[:-1] if symbols and symbols[-1] == end else symbols


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_with_room_for_all_it_finds_the_best_of_all_sequences(peer, seed, penalty):
    model, params = drawn(peer, seed)
    predictor = model.predictor(params, SOURCES)
    exact = nn.exact_search(predictor, predictor.prime, LENGTH, stop=END, length_penalty=penalty)
    assert exact.exact.all()
    found = peer.Search(params)(torch.tensor(SOURCES), LENGTH, CLASSES ** (LENGTH - 1), 1, END, penalty)
    np.testing.assert_allclose(found.scores.numpy(), exact.scores, rtol=1e-9)
    for b in range(SOURCES.shape[1]):
        assert sequence(found, b, 0) == exact.sequence(b).tolist()


def test_with_room_for_all_it_finds_all_sequences(peer):
    model, params = drawn(peer, 2, end=None)
    found = peer.Search(params)(torch.tensor(SOURCES[:, :1]), 3, CLASSES**3, CLASSES**3)
    words = [tuple(sequence(found, 0, k, None)) for k in range(CLASSES**3)]
    assert sorted(words) == list(itertools.product(range(CLASSES), repeat=3))
    np.testing.assert_allclose(np.exp(found.scores.numpy()).sum(), 1)
    ours = model.decode(params, SOURCES[:, :1], length=3, width=CLASSES**3, n_best=CLASSES**3)
    np.testing.assert_allclose(found.scores.numpy(), ours.scores, rtol=1e-9)


@pytest.mark.parametrize("width", [1, 2, 3, 7])
@pytest.mark.parametrize("end", [END, None])
def test_a_narrow_beam_finds_what_ours_finds(peer, width, end):
    model, params = drawn(peer, 3, end=end)
    for n_best in {1, width}:
        ours = model.decode(params, SOURCES, length=7, width=width, n_best=n_best)
        found = peer.Search(params)(torch.tensor(SOURCES), 7, width, n_best, end)
        counted = ours.ended if end is not None else np.ones(ours.scores.shape, bool)
        assert counted.any()
        np.testing.assert_array_equal(np.isfinite(found.scores.numpy()), counted)
        np.testing.assert_allclose(found.scores.numpy()[counted], ours.scores[counted], rtol=1e-9)
        for b, k in np.argwhere(counted):
            assert sequence(found, b, k, end) == ours.sequence(b, k).tolist()


def test_the_table(peer, monkeypatch, capsys):
    from peer_tables.comparison import Comparison

    peer.beam(Comparison(1, 0.01, ["lstm"], quick=True))
    assert "PyTorch and ours agree" in capsys.readouterr().out
