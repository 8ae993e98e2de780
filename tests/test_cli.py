"""The command `recurrent-dynamics`: what it writes, what it refuses, and what survives an interrupt."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics import data, study, training
from recurrent_dynamics.cli import main
from recurrent_dynamics.training import History, loop

SMALL = ["--hidden", "6", "--embedding", "5", "--batch", "4", "--truncation", "5"]


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    lines = ["def spam(eggs):", "    return eggs + 1", "", "class Ham:", "    pass", ""]
    path.write_text("\n".join(lines * 30), encoding="utf-8")
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def run(*arguments):
    return main([str(a) for a in arguments])


def files(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def interrupt_at(monkeypatch, number):
    """Ctrl-C when update `number` fetches its batch."""
    fetch = data.Streams.batch

    def interrupted(streams, place):
        if place == number and streams.stride == 5:
            raise KeyboardInterrupt
        return fetch(streams, place)

    monkeypatch.setattr(data.Streams, "batch", interrupted)


class Checker(HTMLParser):
    """Notes every tag and whether the page reaches outside of itself."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.outside = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.outside += [
            v for k, v in attributes if k in ("src", "href", "xlink:href") and not v.startswith("#")
        ]


def test_a_study_writes_report_model_and_history(text, out, capsys):
    assert run("study", text, *SMALL, "--updates", 6, "--out", out) == 0
    assert files(out) == ["checkpoint.npz", "history.csv", "model.npz", "report.html"]
    output = capsys.readouterr()
    assert output.out.strip() == str(out / "report.html")
    checker = Checker()
    checker.feed((out / "report.html").read_text("utf-8"))
    assert checker.tags.count("svg") == 20
    assert checker.outside == []
    history = History.read_csv(out / "history.csv")
    assert history["update"].tolist() == [1, 2, 3, 4, 5, 6]
    assert (history["clipped_norm"] <= history["grad_norm"]).all()
    assert len(history.validation) == 6


def test_a_trained_model_is_sampled_and_studied_step_by_step(text, out, capsys):
    assert run("train", text, *SMALL, "--updates", 4, "--out", out) == 0
    assert files(out) == ["checkpoint.npz", "history.csv", "model.npz"]
    model = out / "model.npz"
    capsys.readouterr()
    assert run("sample", "--model", model, "--prime", "def ", "--length", 30, "--temperature", 0) == 0
    greedy = capsys.readouterr().out
    for option in (("--top-k", 1), ("--top-p", 1e-6)):  # the most likely character alone
        assert run("sample", "--model", model, "--prime", "def ", "--length", 30, *option) == 0
        assert capsys.readouterr().out == greedy
    assert greedy.startswith("def ")
    assert len(greedy) == 4 + 30 + 1
    assert run("study", "--model", model) == 0
    assert files(out) == ["checkpoint.npz", "history.csv", "model.npz", "report.html"]


def test_the_same_command_gives_the_same_model(text, out, tmp_path):
    for folder in (out, tmp_path / "again"):
        assert run("train", text, *SMALL, "--dropout", 0.2, "--updates", 5, "--out", folder) == 0
    first, again = (study.load_model(f / "model.npz") for f in (out, tmp_path / "again"))
    for name, array in first.params["layers"]["1"].items():
        np.testing.assert_array_equal(again.params["layers"]["1"][name], array)


def test_an_interrupted_training_goes_on_as_if_left_alone(text, out, tmp_path, monkeypatch, capsys):
    options = [text, *SMALL, "--dropout", 0.2, "--updates", 8]
    assert run("train", *options, "--out", tmp_path / "alone") == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        assert run("study", *options, "--out", out) == 130
    assert files(out) == ["checkpoint.npz", "history.csv", "model.npz"]
    message = capsys.readouterr().err
    assert f"recurrent-dynamics study --resume --out {out}" in message
    assert len(History.read_csv(out / "history.csv")) == 3
    assert run("study", "--resume", "--out", out) == 0
    assert files(out) == ["checkpoint.npz", "history.csv", "model.npz", "report.html"]
    alone, resumed = (study.load_model(f / "model.npz") for f in (tmp_path / "alone", out))
    for name, array in alone.params["layers"]["1"].items():
        np.testing.assert_array_equal(resumed.params["layers"]["1"][name], array)
    histories = [History.read_csv(f / "history.csv") for f in (tmp_path / "alone", out)]
    for column in ("loss", "grad_norm", "update_norm"):
        assert histories[0][column].tolist() == histories[1][column].tolist()


def test_a_time_limit_before_the_first_update_leaves_nothing(text, out, capsys):
    assert run("study", text, *SMALL, "--updates", 5, "--minutes", 1e-9, "--out", out) == 2
    assert "--minutes must be enough for the first update" in capsys.readouterr().err
    assert files(out) == []


def test_an_interrupt_outside_the_training_is_quiet(text, out, monkeypatch, capsys):
    assert run("train", text, *SMALL, "--updates", 2, "--out", out) == 0

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "study", interrupted)
    assert run("study", "--model", out / "model.npz") == 130
    assert "Traceback" not in capsys.readouterr().err


def refused(capsys, *arguments):
    """The one line of an error."""
    assert run(*arguments) == 2
    output = capsys.readouterr()
    lines = output.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert output.out == ""
    return lines[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "must be UTF-8 text; came an empty file"),
        (b"\x00\x01" * 2000, "must be UTF-8 text; came a binary file"),
        (b"caf\xe9 " * 500, "must be UTF-8 text; came 0xe9 as byte 3"),
        (b"too short", "must hold at least 1000 characters; came 9"),
        (b"aaaa" * 500, "must hold two different characters that the model knows; came 'a'"),
        (b"ab" * 600, "at least 2634 characters for --batch 50 and --truncation 50; came 1200"),
    ],
)
def test_a_file_that_cannot_be_learnt_is_refused_before_anything_is_written(
    content, message, tmp_path, out, capsys
):
    path = tmp_path / "input.txt"
    if content is not None:
        path.write_bytes(content)
    line = refused(capsys, "study", path, "--out", out)
    assert message in line
    assert "input.txt" in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "--cell", "lstn"], "--cell must be one of"),
        (["study", "--hidden", "0"], "--hidden must be an integer of at least 1; came 0"),
        (["study", "--hidden", "many"], "argument --hidden: invalid int value: 'many'"),
        (["study", "--lr", "nan"], "--lr must be a finite number above 0; came nan"),
        (["study", "--updates", "3", "--epochs", "1"], "either --updates or --epochs must set"),
        (["study", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["flourish"], "invalid choice: 'flourish'"),
        (["sample", "--model", "nowhere.npz"], "no model there; `recurrent-dynamics train` makes one"),
        (["study", "--model", "nowhere.npz"], "no model there; `recurrent-dynamics train` makes one"),
        (["study", "--model", "nowhere.npz", "--hidden", "3"], "--hidden cannot be given"),
        (["train", "--resume", "--out", "nowhere"], "no unfinished training"),
        (["train", "--resume", "--minutes", "1"], "no unfinished training"),
        (["train", "--resume", "--overwrite"], "--overwrite cannot be given with it"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_refused(text, capsys):
    line = refused(capsys, "study", text, *SMALL, "--out", text / "below")
    assert str(text) in line


def test_an_earlier_training_is_not_replaced_unasked(text, out, capsys):
    options = [text, *SMALL, "--updates", 2, "--out", out]
    assert run("train", *options) == 0
    before = (out / "model.npz").read_bytes()
    capsys.readouterr()
    line = refused(capsys, "train", *options, "--seed", 1)
    assert f"{out} holds a training with --seed 0; came --seed 1: go on with it by --resume" in line
    line = refused(capsys, "train", *options, "--epochs", 3)
    assert "either --updates or --epochs" in line
    (out / "checkpoint.npz").rename(out / "elsewhere.npz")
    assert "holds a training already (model.npz)" in refused(capsys, "train", *options)
    assert (out / "model.npz").read_bytes() == before
    assert run("train", *options, "--seed", 1, "--overwrite") == 0
    assert (out / "model.npz").read_bytes() != before


class Killed(BaseException):
    """As a kill: nothing of the training's own comes after it."""


def killed(*_, **__):
    raise Killed


def kill_at(monkeypatch, number):
    fetch = data.Streams.batch

    def batch(streams, place):
        return killed() if place == number and streams.stride == 5 else fetch(streams, place)

    monkeypatch.setattr(data.Streams, "batch", batch)


def run_until_killed(monkeypatch, moment, *arguments):
    """Run a command with a checkpoint after every update, up to a moment."""
    with monkeypatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", 0)
        moment(patch)
        with pytest.raises(Killed):
            run(*arguments)


TRAIN = sys.modules["recurrent_dynamics.study.train"]  # under its name in `study` stands the function
MOMENTS = {
    "before the first checkpoint": lambda patch: patch.setattr(TRAIN, "compile_training", killed),
    "at the first update": lambda patch: kill_at(patch, 0),
    "between two checkpoints": lambda patch: kill_at(patch, 5),
    "before the model is written": lambda patch: patch.setattr(TRAIN, "save_model", killed),
    "before the report": lambda patch: patch.setattr(study.pipeline, "measure", killed),
}


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    text = folder / "text.txt"
    text.write_text("def spam(eggs):\n    return eggs + 1\n" * 60)
    options = [text, *SMALL, "--dropout", 0.2, "--updates", 8]
    assert run("train", *options, "--out", folder / "out") == 0
    return options, study.load_model(folder / "out" / "model.npz").params


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_the_same_command_goes_on_after_a_kill(left_alone, moment, resume, out, monkeypatch):
    options, expected = left_alone
    command = "study" if moment == "before the report" else "train"
    run_until_killed(monkeypatch, MOMENTS[moment], command, *options, *resume, "--out", out)
    with monkeypatch.context() as patch:
        done = 8 if moment.startswith("before the ") and "first" not in moment else 0
        kill_at(patch, done - 1)  # what is done is not done again
        assert run("train", *options, *resume, "--out", out) == 0
    found = study.load_model(out / "model.npz").params
    assert rd.ravel(found)[0].tolist() == rd.ravel(expected)[0].tolist()


def test_a_training_is_made_longer(text, out, capsys):
    options = [text, *SMALL, "--schedule", "constant", "--warmup", 0]
    assert run("train", *options, "--updates", 4, "--out", out) == 0
    assert "make it longer by --resume --updates N" in refused(
        capsys_emptied(capsys), "train", *options, "--updates", 6, "--out", out
    )
    assert "at least the 4 updates that are done" in refused(
        capsys, "train", "--resume", "--updates", 3, "--out", out
    )
    assert run("train", "--resume", "--updates", 7, "--out", out) == 0
    assert run("train", *options, "--updates", 7, "--out", out.with_name("whole")) == 0
    longer, whole = (study.load_model(folder / "model.npz") for folder in (out, out.with_name("whole")))
    assert longer.facts["updates"] == 7
    assert longer.settings == whole.settings
    ends = [training.load_checkpoint(f / "checkpoint.npz").params for f in (out, out.with_name("whole"))]
    assert rd.ravel(ends[0])[0].tolist() == rd.ravel(ends[1])[0].tolist()


def capsys_emptied(capsys):
    capsys.readouterr()
    return capsys


def test_a_training_that_has_not_ended_is_sampled(text, out, monkeypatch, capsys):
    moment = lambda patch: kill_at(patch, 3)
    run_until_killed(monkeypatch, moment, "train", text, *SMALL, "--updates", 8, "--out", out)
    assert files(out) == ["checkpoint.npz"]
    capsys.readouterr()
    assert run("sample", "--model", out / "model.npz", "--prime", "def ", "--length", 20) == 0
    output = capsys.readouterr()
    assert len(output.out) == 4 + 20 + 1
    assert f"sampling from {out / 'checkpoint.npz'}" in output.err
    model = study.load_model(out / "checkpoint.npz")
    assert model.facts["updates"] == 3
    kept = training.load_checkpoint(out / "checkpoint.npz")
    assert rd.ravel(model.params)[0].tolist() == rd.ravel(kept.best_params or kept.params)[0].tolist()


def test_another_text_does_not_resume_a_training(text, out, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2)
        assert run("train", text, *SMALL, "--updates", 4, "--out", out) == 130
    other = tmp_path / "other.txt"
    other.write_text(text.read_text()[::-1])
    capsys.readouterr()
    assert "is not the text" in refused(capsys, "train", other, "--resume", "--out", out)


def test_a_prime_of_unknown_characters_is_refused(text, out, capsys):
    assert run("train", text, *SMALL, "--updates", 1, "--out", out) == 0
    capsys.readouterr()
    assert "; came 'ß'" in refused(capsys, "sample", "--model", out / "model.npz", "--prime", "ß")
    assert "--length" in refused(capsys, "sample", "--model", out / "model.npz", "--length", 0)
    for option, value in {"--temperature": -1, "--top-k": 0, "--top-p": 1.5}.items():
        assert f"{option} must be" in refused(capsys, "sample", "--model", out / "model.npz", option, value)


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(text, out, capsys):
    assert run("train", text, *SMALL, "--updates", 1, "--out", out) == 0  # everything is compiled and loaded
    capsys.readouterr()
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        status = run("train", text, *SMALL, "--updates", 1, "--out", out, "--overwrite")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 2
    assert "cannot write" in capsys.readouterr().err.splitlines()[-1]
    assert files(out) == []


def test_help_names_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit) as ended:
        run("study", "--help")
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in "cell hidden layers truncation batch epochs minutes lr seed resume out".split():
        assert f"--{name} " in shown
    assert "(default: lstm)" in shown
    assert "(default: 128)" in shown


def test_the_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "recurrent_dynamics", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("recurrent-dynamics ")
