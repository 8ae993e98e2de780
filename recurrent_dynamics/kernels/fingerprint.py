"""Fingerprints of everything that compiled code depends on. Code is compiled again when its fingerprint changes."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import version

import llvmlite
import numba
import numpy as np

from .access import CHECKED
from .processor import description

PACKAGE = pathlib.Path(__file__).parents[1]
FORMAT = "1"  # of the payloads of `machine_code`

# Modules of two folders that no compiled code depends on: an edit of one recompiles nothing.
COMPILE_NOTHING = {
    "kernels": (
        "archive", "blas", "disk", "entries", "files", "locks", "memory", "processes", "progress", "tuning",
    ),
    "engine/cpu": (
        "__init__", "ahead", "arguments", "backward_pass", "branches", "forward_pass", "groups", "independent_steps",
        "linear", "shares", "streaming", "tree_gradients", "tree_pass", "tree_second", "verbs", "windows",
    ),
}  # fmt: skip


@lru_cache(maxsize=64)
def of_files(paths: tuple[pathlib.Path, ...]) -> str:
    """The hash of some files; a folder stands for all Python files in it."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:20]


@lru_cache(maxsize=2)
def compiled_files(folder: str) -> tuple[pathlib.Path, ...]:
    """The files of one of the folders in `COMPILE_NOTHING` that compiled code depends on."""
    files = sorted((PACKAGE / folder).glob("*.py"))
    return tuple([file for file in files if file.stem not in COMPILE_NOTHING[folder]])


@lru_cache(maxsize=1)
def build() -> str:
    """The hash of what all compiled code depends on: the kernels, the compilers and the processor."""
    compilers = f"{numba.__version__} {llvmlite.__version__} {np.__version__} {version('sympy')}"
    kernels = (*compiled_files("kernels"), PACKAGE / "kernels" / "qr")
    text = f"{FORMAT} {compilers} {CHECKED} {description()} {of_files(kernels)}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def of_module(file: str, depends: Iterable[str] = ()) -> str:
    """The hash of the source of a compiled function: its file, or the compiled files of the CPU engine."""
    path = pathlib.Path(file)
    files = compiled_files("engine/cpu") if path.parent == PACKAGE / "engine" / "cpu" else (path,)
    return of_files((*files, *map(pathlib.Path, depends)))
