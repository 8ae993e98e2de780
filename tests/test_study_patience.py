"""What somebody sees who waits for a study, and the processor time that compilation beside a training takes."""

import os
import subprocess
import sys
import threading

import pytest

from recurrent_dynamics.study import ahead
from recurrent_dynamics.study.patience import said


def test_what_lasts_is_said_again():
    lines, third = [], threading.Event()

    def say(line):
        lines.append(line)
        if len(lines) == 3:
            third.set()

    with said(say, "drawing", every=0.001):
        assert third.wait(60)
    assert lines[0] == "drawing"
    assert lines[1].startswith("drawing: ")
    assert lines[1].endswith(" s")


def test_what_is_short_is_said_once():
    lines = []
    with said(lines.append, "drawing", every=60):
        pass
    assert lines == ["drawing"]


def test_an_error_ends_the_lines():
    lines, before = [], threading.active_count()
    with pytest.raises(KeyError), said(lines.append, "drawing", every=60):
        raise KeyError("report")
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="schedulers of Linux")
def test_compilation_beside_a_training_takes_what_others_leave():
    code = "import os; from recurrent_dynamics.engine.cpu.ahead import stand_back; stand_back()"
    code += "; print(os.sched_getscheduler(0))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(found) == os.SCHED_IDLE


@pytest.fixture
def beside(monkeypatch):
    """Processes in place of those that compile the analyses; `seconds[0]` says how long the next one takes."""
    seconds, started = [600], []

    def start(code):
        started.append(subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds[0]})"]))
        return started[-1]

    monkeypatch.setattr(ahead, "start", start)
    monkeypatch.setattr(ahead.ahead, "is_missing", lambda wanted: True)
    monkeypatch.setattr(ahead, "INTERPRETED", False)
    return seconds, started


def test_the_processes_beside_end_with_the_analyses(beside):
    lines = []
    with ahead.analyses_beside("elman", lines.append) as training_has_ended:
        assert lines == []
        training_has_ended()
        assert lines == [ahead.STILL]
        assert [process.poll() for process in beside[1]] == [None, None]
    assert all(process.returncode for process in beside[1])


def test_the_process_beside_ends_with_an_error(beside):
    with pytest.raises(KeyError), ahead.analyses_beside("elman"):
        raise KeyError("update")
    assert beside[1][0].returncode


def test_analyses_wait_for_some_seconds_only(beside, monkeypatch):
    monkeypatch.setattr(ahead, "PATIENCE", 0.01)
    with ahead.analyses_beside("elman") as training_has_ended:
        training_has_ended()
        assert all(process.wait(60) for process in beside[1])


def test_nothing_is_said_of_what_is_compiled(beside):
    beside[0][0] = 0
    lines = []
    with ahead.analyses_beside("elman", lines.append) as training_has_ended:
        beside[1][0].wait(60)
        training_has_ended()
    assert lines == []
    assert len(beside[1]) == 1


# Writes which kernels a study reads or compiles after those of the training.
KERNELS_OF_A_STUDY = """
import sys
from recurrent_dynamics import cells, cli
from recurrent_dynamics.engine.cpu import ahead
from recurrent_dynamics.kernels import machine_code
from recurrent_dynamics.study import ahead as of_study
ahead.compile_ahead([cells.lstm()], [*of_study.TRAINING, *of_study.ANALYSES], 1)
loaded, load = [], machine_code.KernelCache.load_overload

def load_overload(cache, signature, context):
    loaded.append(cache._function.__name__)
    return load(cache, signature, context)

machine_code.KernelCache.load_overload = load_overload
of_training = []
update = of_study.try_update

def try_update(*arguments):
    update(*arguments)
    of_training.extend(loaded)
    loaded.clear()

sys.modules["recurrent_dynamics.study.train"].try_update = try_update
assert cli.main(sys.argv[1:]) == 0
print(*of_training, "|", *loaded)
"""


def test_a_study_compiles_nothing_else(tmp_path, clean_environment):
    text = tmp_path / "text.txt"
    text.write_text("def spam(eggs):\n    return eggs + 1\n" * 60)
    sizes = ["--hidden", "48", "--batch", "4", "--truncation", "12", "--updates", "2"]
    command = ["study", str(text), *sizes, "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", KERNELS_OF_A_STUDY, *command],
        env=clean_environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    training, _, rest = done.stdout.splitlines()[-1].partition("|")
    assert {"_cross_entropy", "_squares", "_advance"} <= set(training.split())
    assert set(rest.split()) <= {"_log_softmax"}  # which takes a quarter of a second
