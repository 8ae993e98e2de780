"""Compiling ahead: what `rd.compile` promises, by whom it is compiled, and what is said meanwhile."""

from __future__ import annotations

import gc
import io
import logging
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.engine.compiling import VERBS
from recurrent_dynamics.engine.cpu import ahead, shares
from recurrent_dynamics.kernels import machine_code, processes, progress
from recurrent_dynamics.kernels.access import INTERPRETED
from recurrent_dynamics.kernels.disk import Disk
from recurrent_dynamics.kernels.product import provide_rows


def signatures():
    """The types for which each kernel of all cells has been compiled."""
    return {
        name: set(ahead._kernel(name, "float64")[0].signatures)
        for names in shares.KERNELS.values()
        for name in names
    }


@pytest.mark.parametrize("options", [{}, {"ragged": True}, {"reset": True}, {"classes": True}])
def test_after_compile_no_verb_compiles(rng, options):
    cell = rd.cells.elman()
    rd.compile(cell, VERBS, "float64", class_indices="classes" in options, processes=1)
    before = signatures()
    params = cell.init(3, 5, dtype="float64")
    x = rng.integers(0, 3, (4, 2)) if "classes" in options else rng.standard_normal((4, 2, 3))
    lengths = np.array([4, 2]) if "ragged" in options else None
    reset = rng.random((4, 2)) < 0.5 if "reset" in options else None
    run = rd.forward(cell, params, x, lengths=lengths, reset=reset)
    rd.backward(run, run.output)
    rd.jvp(run, d_params={"b": np.ones(5)})
    rd.hvp(run, run.output, {"b": np.ones(5)})
    rd.jacobian(run)
    step = rd.stepper(cell, params)
    step(x[0], step.zeros(2))
    assert signatures() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cell": "lstm"}, wrong_type("cell", "be a Cell")),
        ({"cell": [rd.cells.lstm, rd.cells.gru()]}, wrong_type("cell", "be a Cell")),
        ({"verbs": "fit"}, Refusal("verbs", "be of forward,", "'fit'")),
        ({"dtype": "int32"}, wrong_type("dtype", "be float32 or float64", "'int32'")),
        ({"dtype": "single precision"}, wrong_type("dtype", "be float32 or float64")),
        ({"class_indices": 1}, wrong_type("class_indices", "be True or False", "1")),
        ({"processes": 0}, Refusal("processes", "be an integer of at least 1", "0")),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with refused(words):
        rd.compile(**{"cell": rd.cells.elman(), "dtype": "float64"} | arguments)


def test_the_heaviest_are_shared_out_first_and_modules_stay_together():
    names = [
        "stage_products.pack_factors",
        "weight_gradients.gradients",
        "time_loops.adjoint",
        "time_loops.forward",
    ]
    packed, gradients, adjoint, forward = kernels = [(name, "float32") for name in names]
    assert shares.shares(kernels, 2) == [[adjoint, forward], [gradients, packed]]
    assert shares.shares([], 3) == []


def test_the_dtypes_of_a_module_are_shared_out():
    both = [("jacobian.jacobian", dtype) for dtype in ("float64", "float32")]
    assert shares.shares(both, 2) == [both[:1], both[1:]]


def test_each_kernel_is_wanted_once_and_in_the_order_of_the_verbs():
    wanted = shares.kernels_of([("dense", "float64"), ("drives", "float64"), ("dense", "float32")])
    assert wanted == [
        ("input_products.multiply_input", "float64"),
        ("stage_products.add_matrix_products", "float64"),
        ("input_products.multiply_input", "float32"),
    ]


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"  # nobody asked for its status yet


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for a process in /proc")
def test_the_helper_of_a_process_and_its_fork_end_with_it(tmp_path):
    told = tmp_path / "pids"
    helper = (
        "import os, time\nforked = os.fork()\nif forked:\n"
        f"    open({str(tmp_path / 'new')!r}, 'w').write(f'{{os.getpid()}} {{forked}}')\n"
        f"    os.rename({str(tmp_path / 'new')!r}, {str(told)!r})\ntime.sleep(600)"
    )
    process = processes.start(
        "import time\nfrom recurrent_dynamics.kernels import processes\n"
        f"process = processes.start({helper!r})\ntime.sleep(600)"
    )
    wait_for(told.exists, seconds=60)
    pids = [int(pid) for pid in told.read_text().split()]
    assert all(map(is_running, pids))
    process.kill()
    processes.finish(process)
    wait_for(lambda: not any(map(is_running, pids)), seconds=60)


@pytest.mark.parametrize("when", ["before the wait", "in the wait"])
def test_an_error_ends_the_other_processes(monkeypatch, when):
    started = []

    def sleeps(code):
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return started[-1]

    def fails():
        raise KeyboardInterrupt

    monkeypatch.setattr(shares, "start", sleeps)
    monkeypatch.setattr(ahead, "is_kept", lambda name, dtype: False)

    def interrupted(process):
        monkeypatch.setattr(processes, "finish", finish)
        fails()

    monkeypatch.setattr(shares, "FORKS", False)
    finish, meanwhile = processes.finish, fails
    if when == "in the wait":
        monkeypatch.setattr(processes, "finish", interrupted)
        meanwhile = None
    with pytest.raises(KeyboardInterrupt):
        ahead.compile_ahead([], [("dense", "float64"), ("forward", "float64")], 2, meanwhile)
    assert len(started) == 2
    assert all(process.returncode for process in started)


def test_the_analyses_are_compiled_after_the_training(monkeypatch):
    events, looks = [], iter([False, False, True])
    monkeypatch.setattr(ahead, "stand_back", lambda: events.append("stand back"))
    monkeypatch.setattr(ahead, "is_kept", lambda name, dtype: next(looks))
    monkeypatch.setattr(ahead.time, "sleep", lambda seconds: events.append("wait"))
    monkeypatch.setattr(ahead, "compile_ahead", lambda cells, wanted, processes: events.append(wanted))
    ahead.compile_beside("elman", [("qr", "float64")], after=[("dense", "float32")])
    assert events == ["stand back", "wait", "wait", [("qr", "float64")]]


@pytest.mark.parametrize("forks", [False, True])
def test_what_another_process_cannot_compile_is_compiled_here(monkeypatch, forks):
    started = []

    def fails(code):
        started.append(code)
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])

    monkeypatch.setattr(shares, "start", fails)
    monkeypatch.setattr(ahead, "is_kept", lambda name, dtype: False)
    monkeypatch.setattr(shares, "FORKS", forks)
    rd.compile(rd.cells.elman(), "forward", "float64", processes=2)
    assert len(started) == (1 if forks else 2)
    assert all("compile_shares" in code for code in started)
    assert ahead._kernel("time_loops.forward", "float64")[0].signatures


@pytest.mark.parametrize("program", [None, "", "no such python"])
def test_a_program_that_can_start_no_process_compiles_all_itself(monkeypatch, program):
    monkeypatch.setattr(sys, "executable", program)
    monkeypatch.setattr(ahead, "is_kept", lambda name, dtype: False)
    rd.compile(rd.cells.elman(), "forward", "float64", processes=2)
    assert ahead._kernel("time_loops.forward", "float64")[0].signatures


def test_on_an_empty_disk_other_processes_begin_before_the_compiler_is_loaded(tmp_path):
    program = (
        "import sys\nimport recurrent_dynamics as rd\nfrom recurrent_dynamics.engine.cpu import shares\n"
        "shares.start = lambda code: sys.exit('numba' in sys.modules)\n"
        "rd.compile(rd.cells.elman(), processes=2)\nsys.exit('none was started')"
    )
    environment = os.environ | {"RECURRENT_DYNAMICS_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_other_processes_begin_early_only_on_an_empty_disk(monkeypatch, tmp_path):
    disk, begun = Disk(tmp_path), []
    monkeypatch.setattr(shares, "default_disk", lambda: disk)
    monkeypatch.setattr(shares, "start", begun.append)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    assert shares.begin_early([("step", "float32")], 2) == []  # not worth a process
    assert shares.begin_early([("forward", "float32")], 1) == []
    shares.begin_early([("forward", "float32")], 2)
    assert begun
    disk.store("a kernel", "1f", b"code")
    assert shares.begin_early([("forward", "float32")], 2) is None
    disk.clear()
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert shares.begin_early([("forward", "float32")], 2) is None


def test_a_process_that_only_compiles_stores_what_it_compiles(monkeypatch, tmp_path):
    monkeypatch.setenv("RECURRENT_DYNAMICS_CACHE_DIR", str(tmp_path))
    shared = [[("classes._biases", "float64")], [("classes._gradients", "float64")]][
        : 2 if processes.FORKS else 1
    ]
    process = processes.start(
        f"{processes.ONLY_COMPILES}from {ahead.__name__} import compile_shares\ncompile_shares({shared!r})"
    )
    processes.finish(process)
    assert process.returncode == 0
    assert Disk(tmp_path).info().files == len(shared)


def test_the_product_that_is_compiled_first_is_that_of_the_loops(monkeypatch):
    rd.compile(rd.cells.elman(), "forward", "float64", processes=1)
    monkeypatch.setattr(
        machine_code, "address", lambda key, label, compiler: pytest.fail(f"compiles {label}")
    )
    provide_rows("float64")


def test_a_process_that_compiles_imports_what_its_caller_has_imported(monkeypatch, tmp_path):
    """Python would look into the folder first in which it has been started."""
    (tmp_path / "recurrent_dynamics.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    process = processes.start("import recurrent_dynamics")
    processes.finish(process)
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use cannot be deleted there")
def test_a_process_starts_where_the_current_folder_was_deleted(monkeypatch, tmp_path):
    folder, source = tmp_path / "deleted", os.path.dirname(os.path.dirname(rd.__file__))
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    monkeypatch.setattr(sys, "path", ["", *sys.path, source])
    process = processes.start("import recurrent_dynamics")
    processes.finish(process)
    assert process.returncode == 0


def test_python_looks_for_cycles_again_after_a_compilation():
    for wanted in (False, True):
        (gc.enable if wanted else gc.disable)()
        try:
            with progress.compiling("a product"), progress.compiling("a tile"):
                assert not gc.isenabled()
            assert gc.isenabled() == wanted
        finally:
            gc.enable()


def test_nothing_is_started_where_everything_is_on_disk(monkeypatch):
    rd.compile(rd.cells.elman(), "forward", "float64", processes=1)
    monkeypatch.setattr(shares, "start", lambda code: pytest.fail("started a process"))
    rd.compile(rd.cells.elman(), "forward", "float64", processes=4)


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
@pytest.mark.parametrize("shape", [(5, 2, 3), (5, 3), (40, 200, 3)])
def test_a_forward_pass_compiled_ahead_is_that_of_frozen_parameters_too(shape):
    cell = rd.cells.elman()
    rd.compile(cell, "forward", "float64", processes=1)
    wanted = shares.kernels_of([("forward", "float64"), ("prepared", "float64")])
    kernels = [ahead._kernel(*kernel)[0] for kernel in wanted]
    compiled = [len(kernel.signatures) for kernel in kernels]
    frozen = rd.freeze(cell, cell.init(3, 4, 0, dtype="float64"))
    rd.forward(cell, frozen, np.ones(shape), tape=False)
    assert [len(kernel.signatures) for kernel in kernels] == compiled


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def told_at_once(tune):
    tune(silent_compilation=0.0)
    return progress._Progress()


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_terminal_shows_one_line_that_goes_away(told_at_once, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    told_at_once.begin("a walk")
    wait_for(lambda: "compiling a walk, once" in sys.stderr.getvalue())
    told_at_once.end()
    assert sys.stderr.getvalue().endswith("\r")
    assert "\n" not in sys.stderr.getvalue()


def test_elsewhere_the_logger_gets_one_record(told_at_once, caplog):
    caplog.set_level(logging.INFO, "recurrent_dynamics")
    told_at_once.begin("a walk")
    told_at_once.begin("a product within it")
    wait_for(lambda: caplog.records)
    told_at_once.end()
    told_at_once.end()
    told_at_once.begin("another walk")
    told_at_once.end()
    assert [r.levelname for r in caplog.records] == ["INFO"]
    assert "later processes find it on disk" in caplog.text


def test_what_is_quick_is_not_told(tune, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "recurrent_dynamics")
    timers = []

    class Timer:
        """One that rings when the test says so."""

        def __init__(self, seconds, ring):
            self.seconds, self.ring, self.is_cancelled = seconds, ring, False
            timers.append(self)

        def start(self):
            pass

        def cancel(self):
            self.is_cancelled = True

    tune(silent_compilation=5.0)
    monkeypatch.setattr(progress.threading, "Timer", Timer)
    own = progress._Progress()
    own.begin("a trifle")
    own.end()
    assert timers[0].seconds == 5
    assert timers[0].is_cancelled
    timers[0].ring()  # too late to be cancelled
    assert not caplog.records
    own.begin("a walk")
    assert 0 <= timers[1].seconds <= 5  # what went before counts, where there was no pause
    timers[1].ring()
    own.end()
    assert len(caplog.records) == 1


@pytest.mark.full
def test_warmup_fills_a_cache_that_a_second_one_finds(clean_environment, tmp_path):
    command = [sys.executable, "-m", "recurrent_dynamics", "warmup", "--cell", "elman", "--verb", "forward"]
    environment = clean_environment | {"RECURRENT_DYNAMICS_CACHE_DIR": str(tmp_path)}

    def said():
        done = subprocess.run(
            [*command, "--dtype", "float64"], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert not said().startswith("0 entries")
    assert said().startswith("0 entries more")
