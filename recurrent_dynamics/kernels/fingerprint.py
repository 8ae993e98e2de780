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

# Modules of this folder that no compiled code depends on: an edit of one recompiles nothing.
COMPILE_NOTHING = ("archive", "blas", "disk", "entries", "files", "locks", "memory", "progress", "tuning")


@lru_cache(maxsize=64)
def of_files(paths: tuple[pathlib.Path, ...]) -> str:
    """The hash of some files; a folder stands for all Python files in it."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:20]


def kernel_files() -> tuple[pathlib.Path, ...]:
    """The files of this folder that compiled code depends on."""
    folder = PACKAGE / "kernels"
    compiled = [file for file in sorted(folder.glob("*.py")) if file.stem not in COMPILE_NOTHING]
    return (*compiled, folder / "qr")


@lru_cache(maxsize=1)
def build() -> str:
    """The hash of what all compiled code depends on: the kernels, the compilers and the processor."""
    compilers = f"{numba.__version__} {llvmlite.__version__} {np.__version__} {version('sympy')}"
    text = f"{FORMAT} {compilers} {CHECKED} {description()} {of_files(kernel_files())}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def of_module(file: str, depends: Iterable[str] = ()) -> str:
    """The hash of the source of a compiled function: its file, or all files of the CPU engine if it is one of them."""
    path, engine = pathlib.Path(file), PACKAGE / "engine" / "cpu"
    return of_files((engine if path.parent == engine else path, *map(pathlib.Path, depends)))
