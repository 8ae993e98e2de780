"""Train a character model of Python, in a quarter of an hour: ``python docs/make_code_model.py FOLDER``.

The folder keeps checkpoints, from which the same command goes on after a stop, and the trained model. Writes
``docs/_static/data/code_model.npz``, the same with shorter weights, which ``rd.study.load_model`` reads too. The text
are the files directly in the folder of Python's standard library: those whose names begin before "t" are trained on,
those from "u" on say which weights are kept. Files with "t" take no part: units are looked for, and judged, on them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import string
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # before Numba is imported

import numpy as np

import recurrent_dynamics as rd

COMMAND = "python docs/make_code_model.py FOLDER"
MODEL = Path(__file__).parent / "_static" / "data" / "code_model.npz"
STEP = np.float32(1 / 64)  # between weights that are kept
SETTINGS = rd.study.Settings(
    hidden=160, layers=1, embedding=16, truncation=256, batch=16, updates=26_000, lr=5e-3, clip=5.0, seed=0
)


def source(wanted: Callable[[str], bool]) -> str:
    """The text of the standard library's files whose names are wanted."""
    found = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return "".join(rd.data.read_text(p, shortest=1) for p in found if p.stat().st_size and wanted(p.name))


def corpus() -> rd.study.Corpus:
    """Training and validation; a letter that is not ASCII becomes a question mark."""
    # _sysconfigdata is about the machine that Python was built on.
    training = source(lambda name: name < "t" and not name.startswith("_sysconfigdata"))
    validation = source(lambda name: name >= "u")
    vocabulary = rd.data.Vocabulary(sorted("\t\n\f" + string.printable[:95]), unknown="?")
    digest = hashlib.sha256((training + validation).encode()).hexdigest()
    return rd.study.Corpus(
        None, vocabulary, vocabulary.encode(training), vocabulary.encode(validation), digest
    )


def rounded(tree: dict[str, Any]) -> dict[str, Any]:
    """Weights in multiples of `STEP`, of which few are different: Git, which compresses, takes a third of the room."""
    return {
        name: rounded(leaf) if isinstance(leaf, dict) else np.round(leaf / STEP) * STEP
        for name, leaf in tree.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the checkpoints; made if it is not there")
    parser.add_argument(
        "--seed", type=int, default=SETTINGS.seed, help="of the initial weights (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=MODEL, help="the file to write (default: the one of the gallery)"
    )
    options = parser.parse_args()
    folder, settings, text = options.folder, replace(SETTINGS, seed=options.seed), corpus()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model.npz").exists():
        rd.study.train(settings, text, folder, resume=(folder / "checkpoint.npz").exists())
    trained = rd.study.load_model(folder / "model.npz")
    if trained.settings != settings:
        parser.error(f"{folder} must hold a training with the settings {settings}; came {trained.settings}")
    facts = trained.facts | {"python": platform.python_version(), "digest": text.digest, "command": COMMAND}
    rd.study.save_model(options.out, replace(trained, params=rounded(dict(trained.params)), facts=facts))
    print(f"{facts}; {options.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
