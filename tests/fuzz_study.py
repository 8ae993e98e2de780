"""The arguments that a case of the fuzzing begins with, for the study of a text."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import study
from recurrent_dynamics.data import Vocabulary


@lru_cache(maxsize=1)
def given_study() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary("abc")
    settings = study.Settings(cell="elman", hidden=3, layers=1, embedding=2, batch=2, truncation=3, updates=2)
    training, validation = rng.integers(0, 3, 200), rng.integers(0, 3, 40)
    model = study.CharacterModel(settings, vocabulary, {})
    trained = study.CharacterModel(settings, vocabulary, model.model.init(rng=0))
    rd.compile(rd.cells.elman(), class_indices=True, processes=1)
    return {
        "settings": settings, "trained": trained, "tokens": validation,
        "corpus": study.Corpus(None, vocabulary, training, validation, "0" * 64),
    }  # fmt: skip


def _entered(cell: Any, say: Any = None) -> None:
    with study.analyses_beside(cell, say):
        pass


ADAPTED: dict[str, Callable[..., Any]] = {"study.analyses_beside": _entered}
# The names of settings in errors are those of the command line.
ALSO_CALLED: dict[str, dict[str, tuple[str, ...]]] = {
    "study.plan": {"given": ("--hidden",), "resume": ("--resume",), "overwrite": ("--overwrite",)},
    "study.measure": {"model": ("params",)},
    "study.portraits": {"model": ("params",)},
}

G = given_study
STUDY: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "study.Origin": lambda _: {"arguments": ["study"], "model": Path("model.npz")},
    "study.analyses_beside": lambda _: {"cell": "elman", "say": str},
    "study.measure": lambda _: {"model": G()["trained"].model, "params": G()["trained"].params, "tokens": G()["tokens"],
                                "window": 3, "windows": 2},
    "study.plan": lambda _: {"folder": Path("folder"), "given": {"hidden": 3}, "file": Path("absent.txt"),
                             "resume": False, "overwrite": False, "say": str},
    "study.portraits": lambda _: {"model": G()["trained"].model, "params": G()["trained"].params,
                                  "tokens": G()["tokens"]},
    "study.save_model": lambda _: {"path": Path("characters.npz"), "trained": G()["trained"]},
    "study.train": lambda _: {"settings": G()["settings"], "corpus": G()["corpus"], "folder": Path(),
                              "resume": False, "progress": False, "say": str},
}  # fmt: skip
