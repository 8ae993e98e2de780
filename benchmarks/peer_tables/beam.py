"""Beam search from a decoder with additive attention: encoder, search and the best sequences of a batch of sources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import nn

from .comparison import PYTORCH, Comparison, differences

if PYTORCH:
    import torch
    from torch.nn.functional import embedding, linear, log_softmax

WIDTH, VOCABULARY, EMBEDDED = 10, 70, 64
SIZE, TINY = (50, 50, 64, 256), (5, 4, 3, 8)  # steps, positions, sources, units
BEGIN = 0
TOLERANCE = 1e-4


def beam(comparison: Comparison) -> None:
    """Without an end symbol, so that all sources take all steps; the encoder is in the times of both."""
    steps, positions, sources, units = size = TINY if comparison.quick else SIZE
    ways = ["ours", *(["PyTorch"] if PYTORCH else [])]
    columns = [*ways, *(["PyTorch over ours"] if PYTORCH else [])]
    title = f"Beam search of width {WIDTH}: LSTM with additive attention, float32, {VOCABULARY} symbols, milliseconds"
    comparison.table("beam", title, ["T, S, sources, H"], columns)
    model = made(units)
    params = model.init(rng=0)
    source = np.random.default_rng(0).integers(0, VOCABULARY, (positions, sources))
    runs: dict[str, Callable[[], dict[str, np.ndarray]]] = {"ours": ours(model, params, source, steps)}
    if PYTORCH:
        runs["PyTorch"] = pytorch(params, source, steps)
    errors = differences("beam", {way: run() for way, run in runs.items()}, TOLERANCE)
    times = comparison.medians(runs)
    ratios = [times["PyTorch"] / times["ours"]] if PYTORCH else []
    comparison.row([", ".join(map(str, size))], [*times.values(), *ratios])
    comparison.agreement(errors, TOLERANCE)


def made(units: int, classes: int = VOCABULARY, end: int | None = None) -> nn.EncoderDecoder:
    """An LSTM that reads, and an LSTM with additive attention that writes."""
    encoder = nn.chain(nn.embedding(classes, EMBEDDED), nn.recurrent(rd.cells.lstm(), units))
    decoder = nn.recurrent(rd.cells.attention(rd.cells.lstm()), units)
    return nn.encoder_decoder(encoder, decoder, classes=classes, begin=BEGIN, end=end)


def ours(
    model: nn.EncoderDecoder, params: dict[str, Any], source: np.ndarray, steps: int
) -> Callable[[], dict[str, np.ndarray]]:
    """The scores of all hypotheses that are kept."""
    return lambda: {"scores": model.decode(params, source, length=steps, width=WIDTH, n_best=WIDTH).scores}


def pytorch(params: dict[str, Any], source: np.ndarray, steps: int) -> Callable[[], dict[str, np.ndarray]]:
    """The same by `Search`."""
    search, given = Search(params), torch.tensor(source)
    return lambda: {"scores": search(given, steps, WIDTH, WIDTH).scores.numpy()}


class Found(NamedTuple):
    """Scores (B, n_best), sequences (B, n_best, T) with their end symbols, and their lengths (B, n_best)."""

    scores: Any
    sequences: Any
    lengths: Any


class Kept(NamedTuple):
    """The open hypotheses of the sources that are still searched, K of each."""

    source: Any  # (A,)
    total: Any  # (A, K) log-probabilities
    symbols: Any  # (A, K, t)
    h: Any  # (A, K, H)
    c: Any
    keys: Any  # (A, S, H)
    values: Any


class Search:
    """All hypotheses of all sources in one batch of PyTorch's operations, in inference mode.

    The memory of a source is broadcast over its hypotheses. The scores of the attention are added and squashed in one
    array. Sources whose search is over leave the batch.
    """

    def __init__(self, params: dict[str, Any]) -> None:
        leaves = {path: torch.tensor(a) for path, a in rd.training.tree.named_leaves(params)}
        self.dtype = leaves["readout/W"].dtype
        p = {path.removeprefix("decoder/"): a for path, a in leaves.items() if path.startswith("decoder/")}
        units = len(p["v"])
        self.units, self.v = units, p["v"]
        self.query = p["U_query"], p["b"][4 * units :].contiguous()
        self.cell = torch.nn.LSTMCell(p["W"].shape[1] + units, units, dtype=self.dtype)
        self.table, self.read_table = leaves["embedding/table"], leaves["encoder/0/table"]
        self.reader = torch.nn.LSTM(self.read_table.shape[1], units, dtype=self.dtype)
        self.key = leaves["memory/keys/W"]
        self.start, self.readout = ((leaves[f"{n}/W"], leaves[f"{n}/b"]) for n in ("start", "readout"))
        with torch.no_grad():
            self.cell.weight_ih[...] = torch.cat([p["W"], p["U"][:, units:]], 1)
            self.cell.weight_hh[...] = p["U"][:, :units]
            self.cell.bias_ih[...] = p["b"][: 4 * units]
            self.cell.bias_hh[...] = 0
            for name, own in (("weight_ih", "W"), ("weight_hh", "U"), ("bias_ih", "b")):
                getattr(self.reader, f"{name}_l0")[...] = leaves[f"encoder/1/{own}"]
            self.reader.bias_hh_l0[...] = 0

    def __call__(
        self,
        source: Any,
        length: int,
        width: int,
        n_best: int,
        stop: int | None = None,
        length_penalty: float = 0.0,
    ) -> Found:
        """The most probable targets of sources (S, B); `length_penalty`, of at least 0, as in `rd.nn.beam_search`."""
        with torch.inference_mode():
            return self._search(source, length, width, n_best, stop, length_penalty)

    def _search(
        self, source: Any, length: int, width: int, n_best: int, stop: int | None, penalty: float
    ) -> Found:
        kept, last = self._begun(source)
        best = Best(source.shape[1], n_best, length, self.dtype)
        for t in range(1, length + 1):
            found, kept = self._step(kept, last)
            alive, classes = len(found), found.shape[2]
            candidates = (kept.total[:, :, None] + found).view(alive, -1)
            count = min(width if stop is None else 2 * width, candidates.shape[1])
            values, places = candidates.topk(count)
            parent, last = places // classes, places % classes
            symbols = kept.symbols.gather(1, parent[:, :, None].expand(-1, -1, t - 1))
            symbols = torch.cat([symbols, last[:, :, None]], 2)
            if stop is not None:
                ends = last == stop
                among_best = ends & (torch.arange(count) < width)
                scores = torch.where(among_best, values / t**penalty, -torch.inf)[:, :width]
                best.add(kept.source, scores, symbols[:, :width])
                # Those that have not ended come first, by falling log-probability; of those that have none stays open.
                order = ends.to(torch.uint8).argsort(dim=1, stable=True)[:, :width]
                values = torch.where(ends, -torch.inf, values).gather(1, order)
                parent, last = parent.gather(1, order), last.gather(1, order)
                symbols = symbols.gather(1, order[:, :, None].expand(-1, -1, t))
            rows = (torch.arange(alive)[:, None] * kept.h.shape[1] + parent).view(-1)
            h, c = (
                a.view(-1, self.units).index_select(0, rows).view(alive, -1, self.units)
                for a in (kept.h, kept.c)
            )
            kept = kept._replace(total=values, symbols=symbols, h=h, c=c)
            if stop is not None:
                reach = values.amax(1) / (length if penalty > 0 else t + 1) ** penalty
                going = torch.nonzero(reach > best.scores[kept.source, -1]).view(-1)
                if len(going) < alive and t < length:
                    kept = Kept(*(a.index_select(0, going) for a in kept))
                    last = last.index_select(0, going)
                if not len(going):
                    break
        if stop is None:
            best.add(kept.source, kept.total / length**penalty, kept.symbols)
        return Found(best.scores, best.symbols, best.lengths)

    def _begun(self, source: Any) -> tuple[Kept, Any]:
        """One hypothesis of each source, and what it reads first."""
        sources = source.shape[1]
        read, (h, c) = self.reader(embedding(source, self.read_table))
        started = linear(torch.cat([h[0], c[0]], 1), *self.start)[:, None]
        values = read.transpose(0, 1).contiguous()
        kept = Kept(
            torch.arange(sources),
            torch.zeros(sources, 1, dtype=self.dtype),
            torch.empty(sources, 1, 0, dtype=torch.int64),
            started[..., : self.units],
            started[..., self.units : 2 * self.units],
            linear(values, self.key),
            values,
        )
        return kept, torch.full((sources, 1), BEGIN)

    def _step(self, kept: Kept, last: Any) -> tuple[Any, Kept]:
        """Log-probabilities (A, K, V) after the last symbols (A, K), and the states after."""
        alive, n, units = kept.h.shape
        query = linear(kept.h, *self.query)
        scores = (kept.keys[:, None] + query[:, :, None]).tanh_() @ self.v
        context = torch.bmm(scores.softmax(2), kept.values)
        x = torch.cat([embedding(last, self.table), context], 2).view(alive * n, -1)
        h, c = self.cell(x, (kept.h.reshape(-1, units), kept.c.reshape(-1, units)))
        found = log_softmax(linear(h, *self.readout), 1).view(alive, n, -1)
        return found, kept._replace(h=h.view(alive, n, units), c=c.view(alive, n, units))


class Best:
    """The best sequences of each source so far."""

    def __init__(self, sources: int, size: int, length: int, dtype: Any) -> None:
        self.scores = torch.full((sources, size), -torch.inf, dtype=dtype)
        self.symbols = torch.zeros(sources, size, length, dtype=torch.int64)
        self.lengths = torch.zeros(sources, size, dtype=torch.int64)

    def add(self, source: Any, scores: Any, symbols: Any) -> None:
        """Take in hypotheses (A, K) of some sources (A,), whose symbols are (A, K, t)."""
        size, t = self.scores.shape[1], symbols.shape[2]
        if not (scores > self.scores[source, -1:]).any():
            return
        all_scores = torch.cat([self.scores[source], scores], 1)
        more = torch.zeros(*symbols.shape[:2], self.symbols.shape[2], dtype=torch.int64)
        more[:, :, :t] = symbols
        lengths = torch.cat([self.lengths[source], torch.full(symbols.shape[:2], t)], 1)
        both = torch.cat([self.symbols[source], more], 1)
        order = all_scores.argsort(dim=1, descending=True, stable=True)[:, :size]
        self.scores[source] = all_scores.gather(1, order)
        self.lengths[source] = lengths.gather(1, order)
        self.symbols[source] = both.gather(1, order[:, :, None].expand(-1, -1, both.shape[2]))
