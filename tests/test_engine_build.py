"""The compiled code itself: kept on disk under keys that say all it depends on, and trapping in a checked build."""

from __future__ import annotations

import ast
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell
from recurrent_dynamics.engine.cpu import rows
from recurrent_dynamics.equations import tanh
from recurrent_dynamics.kernels import entries, fingerprint, machine_code, processor, product

SCRIPT = pathlib.Path(__file__).with_name("engine_in_a_process.py")
CACHE = "RECURRENT_DYNAMICS_CACHE_DIR"
ROUNDS = int(os.environ.get("RECURRENT_DYNAMICS_RACE_ROUNDS", "100"))


def start(environment: dict[str, str], *task: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), *task]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What a process that went well wrote to its outputs."""
    output, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    return output, errors


def process(task: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), task], env=environment, capture_output=True, text=True, timeout=900
    )


def test_a_second_process_finds_compiled_code_on_disk(clean_environment):
    cell = rd.cells.elman()
    run = rd.forward(cell, cell.init(3, 5, dtype="float64"), np.ones((4, 2, 3)))
    rd.hvp(run, run.output)  # backward, tangent and second order
    rd.jacobian(run)
    second = process("compiled_before", clean_environment)
    assert second.returncode == 0, second.stderr


def row_key(
    monkeypatch: pytest.MonkeyPatch, cell: Cell, verb: str = "forward", dtype: str = "float64"
) -> str:
    """The key under which the kernel of a cell is asked for."""
    asked: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(machine_code, "address", lambda key, *rest: asked.append(key))
        rows._address(cell, verb, dtype)
    (key,) = asked
    return key


def test_cells_with_the_same_equations_have_the_same_kernels(monkeypatch):
    def update(drive):
        return {"h": tanh(drive.n)}

    def described(drive):
        """The same, in other words."""
        activation = drive.n
        return dict(h=tanh(activation))  # noqa: C408

    def another(drive):
        return {"h": tanh(tanh(drive.n))}

    key, same, other = (
        row_key(monkeypatch, Cell(name, state=("h",), drives=("n",), update=function))
        for name, function in (("a", update), ("b", described), ("a", another))
    )
    assert key == same != other
    of_lstm = {
        row_key(monkeypatch, rd.cells.lstm(), verb, dtype)
        for verb in ("forward", "adjoint")
        for dtype in ("float32", "float64")
    }
    assert len(of_lstm) == 4


def test_keys_change_with_the_source_that_they_depend_on(clean_environment, tmp_path):
    package = tmp_path / "recurrent_dynamics"
    shutil.copytree(fingerprint.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    changed = {
        "equations/latex.py": set(),
        "equations/record.py": set(),
        "engine/verbs.py": set(),
        "equations/derive.py": {"row"},
        "equations/nonlinearities.py": {"row"},
        "engine/cpu/time_loops.py": {"loop"},
        "engine/cpu/work_split.py": {"loop"},
        "engine/cpu/rows.py": {"row", "loop"},
        "kernels/product.py": {"build"},
        **{
            f"{folder}/{name}.py": set()
            for folder, modules in fingerprint.COMPILE_NOTHING.items()
            for name in modules
        },
        "kernels/qr/panels.py": {"build"},
    }
    there = {file for file in changed if (package / file).exists()}
    environment = clean_environment | {"PYTHONPATH": str(tmp_path)}
    output, _ = said(start(environment, "keys", str(package), *there))
    found = json.loads(output)
    before = found.pop("")
    assert {f: {kind for kind in before if k[kind] != before[kind]} for f, k in found.items()} == {
        f: changed[f] for f in there
    }


def test_modules_that_compile_nothing_import_no_compiler_and_no_kernels():
    folder, modules = fingerprint.PACKAGE / "kernels", fingerprint.COMPILE_NOTHING["kernels"]
    for name in modules:
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text("utf-8"))):
            if isinstance(node, ast.Import):
                assert not {alias.name.partition(".")[0] for alias in node.names} & {"numba", "llvmlite"}, (
                    name
                )
            elif isinstance(node, ast.ImportFrom) and node.level == 1:
                others = [node.module] if node.module else [alias.name for alias in node.names]
                assert set(others) <= set(modules), name
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert node.module.partition(".")[0] not in ("numba", "llvmlite"), name


def test_compiled_modules_of_the_engine_import_none_that_only_plans():
    plans = set(fingerprint.COMPILE_NOTHING["engine/cpu"])
    for file in (fingerprint.PACKAGE / "engine" / "cpu").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names}
                if file.stem in plans:
                    assert not names & {"njit", "kernel", "by_threads", "compiled_once", "overload"}, (
                        file.stem
                    )
                elif node.level == 1:
                    assert not plans & ({node.module} if node.module else names), file.stem


def test_all_that_derives_the_source_of_a_row_is_in_its_key():
    """The modules that a row function's source is derived by, and what these import."""
    folder = fingerprint.PACKAGE / "equations"
    needed, new = set(), {"derive", "source", "signatures", "schedule"}
    while new:
        name = new.pop()
        needed.add(name)
        tree = ast.parse((folder / f"{name}.py").read_text("utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
        new |= {node.module for node in imports if node.module} - needed
    assert needed == set(rows._DERIVATION)


def test_builds_differ_where_the_processor_or_the_compiler_does(clean_environment):
    narrower = "16" if processor.BYTES > 16 else "32"
    environments: list[dict[str, str]] = [
        {},
        {"NUMBA_CPU_NAME": "generic"},
        {"NUMBA_OPT": "1"},
        {processor.VECTOR_BYTES: narrower},
        {"RECURRENT_DYNAMICS_CHECK": "1"},
    ]
    same = {k: v for k, v in clean_environment.items() if not k.startswith(("NUMBA_CPU", "NUMBA_OPT"))}
    running = [start(same | changed, "build") for changed in environments]
    builds, widths = zip(*(json.loads(said(process)[0]) for process in running))
    assert len(set(builds)) == len(environments)
    assert builds[0] == fingerprint.build()
    assert widths == (processor.BYTES, 16, processor.BYTES, int(narrower), processor.BYTES)


@pytest.mark.full
def test_for_a_generic_processor_numbers_are_right(clean_environment, tmp_path):
    generic = {"NUMBA_CPU_NAME": "generic", CACHE: str(tmp_path)}
    output, errors = said(start(clean_environment | generic, "right", "all", "elman", "lstm"))
    assert json.loads(output)
    assert not errors


def files(folder: pathlib.Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file() and file.suffix == ".bin")


def compile_at_once(
    environment: dict[str, str], folder: pathlib.Path, verbs: str, cells: list[str]
) -> dict[str, str]:
    """The environment of processes that find what others compiled for some cells, all at once, from nothing."""
    environment = environment | {CACHE: str(folder)}
    running = [start(environment, "right", verbs, name) for name in cells]
    compiled = Counter(key for process in running for key in json.loads(said(process)[0]))
    assert set(compiled.values()) == {1}
    assert files(folder) == sorted(map(entries.file_name, compiled))
    return environment


@pytest.fixture(scope="module")
def elman_and_gru(tmp_path_factory):
    """The environment in which `forward` of both is compiled, each by another process."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_NUM_THREADS"}
    return compile_at_once(environment, tmp_path_factory.mktemp("cache"), "forward", ["elman", "gru"] * 2)


def test_processes_that_begin_at_once_compile_each_unit_once(elman_and_gru):
    assert len(files(pathlib.Path(elman_and_gru[CACHE]))) > 2


def test_code_of_several_processes_works_together_in_another(elman_and_gru):
    """Numba numbers functions by process: what two processes compiled may have the same names inside."""
    names = ["minimal_gated_unit", "leaky"]
    for process in [start(elman_and_gru, "row", name) for name in names]:
        said(process)
    for order in (["gru", "elman", *names], names[::-1]):
        assert json.loads(said(start(elman_and_gru, "right", "forward", *order))[0]) == []


def test_a_damaged_file_is_compiled_again(elman_and_gru, monkeypatch):
    folder = pathlib.Path(elman_and_gru[CACHE], fingerprint.build())
    key = row_key(monkeypatch, rd.cells.by_name("elman"))
    file = folder / entries.file_name(key)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    for compiled in ([key], []):
        assert json.loads(said(start(elman_and_gru, "right", "forward", "elman"))[0]) == compiled


def warnings_in(errors: str) -> int:
    """How many warnings there are, all of them that nothing is kept."""
    assert errors.count("RuntimeWarning: compiled code is not kept") == errors.count("Warning"), errors
    return errors.count("Warning")


def test_where_nothing_can_be_written_there_are_one_warning_and_right_numbers(elman_and_gru):
    before = files(pathlib.Path(elman_and_gru[CACHE]))
    running = start(elman_and_gru, "right_and_read_only", "forward", "elman", "lstm", "lstm_coupled")
    output, errors = said(running)
    assert len(json.loads(output)) == 2  # found and compiled side by side
    assert warnings_in(errors) == 1
    assert files(pathlib.Path(elman_and_gru[CACHE])) == before


@pytest.mark.full
def test_without_a_folder_there_are_one_warning_and_right_numbers(clean_environment, tmp_path):
    (tmp_path / "file").touch()
    environment = clean_environment | {CACHE: str(tmp_path / "file" / "cache")}
    output, errors = said(start(environment, "right", "forward", "elman"))
    assert len(json.loads(output)) > 2
    assert warnings_in(errors) == 1


@pytest.mark.exhaustive
def test_eight_processes_that_compile_two_cells_at_once_get_right_numbers(clean_environment, tmp_path):
    """Each kernel is compiled by one of them, again and again from an empty cache.

    RECURRENT_DYNAMICS_RACE_ROUNDS says how many times.
    """
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        compile_at_once(clean_environment, folder, "forward", ["elman", "gru"] * 4)
        shutil.rmtree(folder)


@pytest.mark.full
def test_many_processes_compile_each_unit_of_all_verbs_once(clean_environment, tmp_path):
    cells = ["lstm", "gru", "elman", "leaky"] * 2
    environment = compile_at_once(clean_environment, tmp_path, "all", cells)
    assert json.loads(said(start(environment, "right", "all", *cells[:4]))[0]) == []


@pytest.mark.parametrize("task", ["bad_index", "bad_row"])
def test_an_index_out_of_range_ends_a_checked_build(task, clean_environment, tmp_path):
    """By a signal, not by an exception: a compiled loop has nowhere to put one."""
    checked = {"RECURRENT_DYNAMICS_CHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    second = process(task, clean_environment | checked)
    assert second.stdout == "in range\n", second.stderr
    assert second.returncode < 0


@pytest.mark.full
def test_no_verb_leaves_its_arrays(clean_environment, tmp_path):
    checked = {"RECURRENT_DYNAMICS_CHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    second = process("derivatives", clean_environment | checked)
    assert second.returncode == 0, second.stderr


@pytest.mark.full
@pytest.mark.parametrize("width", [16, 32])
def test_products_are_right_with_narrower_vectors_than_the_host_has(width):
    tests = pathlib.Path(__file__).with_name("test_product.py")
    environment = os.environ | {"RECURRENT_DYNAMICS_VECTOR_BYTES": str(width)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert not done.returncode, done.stdout + done.stderr


def test_functions_of_others_may_have_the_names_of_private_ones():
    """The linker took the private copy of a product in a compiled kernel for the function of that name elsewhere."""
    from numba import njit

    from recurrent_dynamics.kernels.product import ONE, TILE_ROWS, ZERO, gemm, new_index, pack, packed_size

    cell = rd.cells.gru_reset_before()  # whose Jacobians take products
    run = rd.forward(cell, cell.init(3, 5, dtype="float64"), np.ones((4, 2, 3)))
    rd.jacobian(run)

    @njit(error_model="numpy")
    def multiply(a, b, c, n):
        packed = np.empty(packed_size(n, n, a), a.dtype)
        pack(b, 0, n, 1, n, n, packed, 0)
        gemm(n, n, n, a, 0, n, ONE(), packed, ZERO(), c, 0, n, new_index(n), TILE_ROWS, ZERO(), ONE())

    a, b, c = np.random.default_rng(0).standard_normal((3, 5, 5))
    wanted = c + a @ b
    multiply(a.reshape(-1), b.reshape(-1), c.reshape(-1), 5)
    np.testing.assert_allclose(c, wanted, rtol=1e-13)


def test_machine_code_shares_no_names_but_those_that_are_called():
    """Functions of two processes with one name would be mistaken for each other."""
    from recurrent_dynamics.kernels.inlining import OUTSIDE, RUNTIME

    def names(key, linkage):
        text = product.pack.compiler("adiiiiiadi")(key).library.get_llvm_str()
        return set(re.findall(rf'^define {linkage}[^@\n]*@"?([^"(]+)', text, re.M))

    def private(key):
        return names(key, "internal ")

    seen = [name for name in names("one", "(?!internal)") if not name.startswith((*OUTSIDE, RUNTIME))]
    assert seen == []
    assert not private("one") & private("another")
