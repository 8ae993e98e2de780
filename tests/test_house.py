"""Rules of the source tree that no linter can express."""

from __future__ import annotations

import ast
import importlib.util
import logging.config
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = Path(importlib.util.find_spec("recurrent_dynamics").origin).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))


def imported_names(tree: ast.AST) -> set[str]:
    """Return every dotted name that a module's absolute import statements reach for."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return {str(path.relative_to(PACKAGE)): ast.parse(path.read_text("utf-8")) for path in SOURCES}


def test_numba_cuda_is_imported_by_one_module_of_engine_cuda(trees):
    importers = [
        name
        for name, tree in trees.items()
        if any(f"{imported}.".startswith("numba.cuda.") for imported in imported_names(tree))
    ]
    assert len(importers) <= 1
    assert all(name.startswith("engine/cuda") for name in importers)


def test_each_room_imports_only_from_the_rooms_below_it(monkeypatch):
    # It would switch off the loggers that other tests look at.
    monkeypatch.setattr(logging.config, "dictConfig", lambda config: None)
    reports = pytest.importorskip("importlinter.cli", reason="import-linter is not installed")
    assert reports.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_errors_of_arguments_are_made_by_one_rule(trees):
    """In the rooms above `kernels`, whatever says "must" says it as an ArgumentError or an ArgumentTypeError."""
    for name, tree in [(n, t) for n, t in trees.items() if not n.startswith("kernels/")]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                kind, text = ast.unparse(node.exc.func), ast.unparse(node.exc.args[0])
                assert kind not in {"ValueError", "TypeError"} or " must " not in text, (
                    f"{name}:{node.lineno}"
                )


def test_nothing_is_pickled(trees):
    for name, tree in trees.items():
        roots = {imported.split(".")[0] for imported in imported_names(tree)}
        assert not roots & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}, name
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr == "load" and getattr(node.func.value, "id", "") in {"np", "numpy"}:
                allowed = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
                assert allowed.get("allow_pickle") is False, f"{name}:{node.lineno}"


def test_no_framework_is_imported(trees):
    frameworks = {"torch", "tensorflow", "keras", "jax", "flax"}
    for name, tree in trees.items():
        assert not {imported.split(".")[0] for imported in imported_names(tree)} & frameworks, name


def test_import_loads_no_heavy_library():
    heavy = ["sympy", "scipy", "matplotlib", "tqdm", "torch", "numba.cuda", "cupy"]
    program = f"import sys, recurrent_dynamics; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_package_is_typed():
    assert (PACKAGE / "py.typed").exists()
