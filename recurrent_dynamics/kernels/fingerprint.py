"""What compiled code depends on, as text: where one letter of it differs, the code is compiled again."""

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
FORMAT = "1"  # of what `machine_code` writes


@lru_cache(maxsize=64)
def of_files(paths: tuple[pathlib.Path, ...]) -> str:
    """The hash of some files, and of all Python files of a folder in the place of a folder."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:20]


@lru_cache(maxsize=1)
def build() -> str:
    """Of this folder, of what compiles it, and of the processor: the part that all compiled code has in common."""
    compilers = f"{numba.__version__} {llvmlite.__version__} {np.__version__} {version('sympy')}"
    own = of_files((PACKAGE / "kernels", PACKAGE / "kernels" / "qr"))
    text = f"{FORMAT} {compilers} {CHECKED} {description()} {own}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def of_module(file: str, depends: Iterable[str] = ()) -> str:
    """Of the source around a compiled function: its file, or all files of the engine if it stands there."""
    path, engine = pathlib.Path(file), PACKAGE / "engine" / "cpu"
    return of_files((engine if path.parent == engine else path, *map(pathlib.Path, depends)))
