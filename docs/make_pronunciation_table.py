"""Spelling to phonemes on the CMU dictionary: train an attention decoder, count errors for each width of the beam.

``python docs/make_pronunciation_table.py --minutes 18`` writes ``docs/_static/data/pronunciation.csv``. The words of
the test, a tenth, are in no other part. A word of several pronunciations is compared with the nearest one.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from pathlib import Path

import recurrent_dynamics as rd
from recurrent_dynamics import nn

WIDTHS = (1, 2, 3, 5, 10, 20)
OUT = Path(__file__).parent / "_static" / "data" / "pronunciation.csv"


def distance(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Insertions, deletions and substitutions from one sequence to the other."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def data():
    """Letters and phonemes as numbers, the parts, and their vocabularies."""
    words, phonemes = rd.data.pronunciations()
    letters = rd.data.TokenVocabulary.from_sequences(map(list, words))
    sounds = rd.data.TokenVocabulary.from_sequences(phonemes, begin="<begin>", end="<end>")
    items = {
        "source": [letters.encode(list(word)) for word in words],
        "target": [sounds.encode(spoken) for spoken in phonemes],
    }
    return words, items, rd.data.partition(len(words), (0.88, 0.02, 0.1), groups=words), letters, sounds


def network(letters: int, sounds: rd.data.TokenVocabulary, units: int, dropout: float) -> nn.EncoderDecoder:
    """A bidirectional LSTM over the letters, and an LSTM with additive attention."""
    lstm = nn.recurrent(rd.cells.lstm(), units // 2)
    cell = rd.cells.attention(rd.cells.lstm(), values=str(units), keys="128")
    encoder = nn.chain(nn.embedding(letters, 64), nn.bidirectional(lstm, lstm), nn.dropout(dropout))
    decoder = nn.chain(nn.recurrent(cell, units), nn.dropout(dropout))
    return nn.encoder_decoder(
        encoder, decoder, classes=len(sounds.tokens), begin=sounds.indices["begin"], end=sounds.indices["end"],
        embedding_size=64, start="tanh",
    )  # fmt: skip


def errors(model, params, items, chosen, words, width):
    """Phoneme and word error rate over the different words of a part, and the share of provably best targets."""
    spoken = defaultdict(list)
    for i in chosen:
        spoken[words[i]].append(tuple(items["target"][i].tolist()))
    different = sorted({words[i]: i for i in chosen}.values(), key=lambda i: len(items["source"][i]))
    wrong = total = wrong_words = certain = 0
    for k in range(0, len(different), 256):
        some = different[k : k + 256]
        batch = rd.data.collate({"source": [items["source"][i] for i in some]})
        found = model.decode(params, batch["source"], batch["source_lengths"], length=30, width=width)
        certain += int(found.exact.sum())
        for b, i in enumerate(some):
            said = tuple(found.sequence(b).tolist())
            count, nearest = min((distance(said, right), right) for right in spoken[words[i]])
            wrong, total, wrong_words = wrong + count, total + len(nearest), wrong_words + (count > 0)
    return wrong / total, wrong_words / len(different), certain / len(different)


def report(state, seconds):
    """One line for a hundred updates."""
    print(
        f"{state.update} updates, {seconds:.0f} s, loss {state.history['loss'][-100:].mean():.3f}", flush=True
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=18.0)
    arguments.add_argument("--units", type=int, default=256)
    arguments.add_argument("--dropout", type=float, default=0.2)
    arguments.add_argument("--updates", type=int, default=3600, help="over which the learning rate falls")
    arguments.add_argument("--out", type=Path, default=OUT)
    arguments.add_argument("--save", type=Path, help="where the network is kept, as nn.load reads it")
    given = arguments.parse_args()
    words, items, (training, validation, test), letters, sounds = data()
    model = network(len(letters.tokens), sounds, given.units, given.dropout)
    batches = rd.data.NamedBatches(items, chosen=training, max_cells=2400, seed=0)
    held_out = rd.data.NamedBatches(items, chosen=validation, batch_size=256)
    print(batches, flush=True)
    begun = time.perf_counter()
    result = rd.training.fit(
        model, model.init(rng=0), batches, optimizer="adam",
        learning_rate=rd.training.warmup(rd.training.cosine(2e-3, given.updates, 2e-5), 100), clip_norm=2.0,
        updates=given.updates, minutes=given.minutes, validation=held_out, validate_every=400,
        callback=lambda state: state.update % 100 or report(state, time.perf_counter() - begun),
    )  # fmt: skip
    minutes = (time.perf_counter() - begun) / 60
    print(f"{result.update} updates in {minutes:.1f} minutes", result.history.validation["loss"], flush=True)
    params = result.params if result.best_params is None else result.best_params
    if given.save:
        nn.save(given.save, model, params)
    rows: list[list[object]] = []
    for width in WIDTHS:
        begun = time.perf_counter()
        phoneme, word, certain = errors(model, params, items, test, words, width)
        rows.append(
            [width, f"{phoneme:.4f}", f"{word:.4f}", f"{certain:.3f}", f"{time.perf_counter() - begun:.0f}"]
        )
        print(rows[-1], flush=True)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        with given.out.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["width", "phoneme_error_rate", "word_error_rate", "provably_best", "seconds"])
            writer.writerows(rows)


if __name__ == "__main__":
    main()
