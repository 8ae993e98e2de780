"""The report of a study: what it says is what was measured, and it can be traced to what it was made of."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

from recurrent_dynamics import __version__, study
from recurrent_dynamics.data import Vocabulary
from recurrent_dynamics.dynamics.diagnosis.words import plus_minus
from recurrent_dynamics.study import findings, origin
from recurrent_dynamics.study.baselines import baselines
from recurrent_dynamics.training import History

SETTINGS = study.Settings(hidden=6, embedding=5, batch=4, truncation=5, updates=40)
FACTS = {
    "updates": 20, "planned_updates": 40, "epochs": 0.5, "seconds": 1.0, "validation_bits": 2.0,
    "stopped_by": "minutes",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report of an untrained model, and what it was made of."""
    folder = tmp_path_factory.mktemp("report")
    path = folder / "text.txt"
    path.write_text("".join(np.random.default_rng(0).choice(list("abc de\n"), 1500)), encoding="utf-8")
    corpus = study.load_corpus(path)
    bare = study.CharacterModel(SETTINGS, corpus.vocabulary, {}, corpus.source, FACTS)
    trained = replace(bare, params=bare.model.init(rng=1))
    study.save_model(folder / "model.npz", trained)
    found = study.measure(trained.model, trained.params, corpus.validation, window=10)
    given = study.Origin(["study", str(path), "--out", str(folder)], folder / "model.npz")
    diagnosis = study.write_report(folder / "report.html", trained, corpus, found, None, given)
    page = (folder / "report.html").read_text("utf-8")
    return SimpleNamespace(**locals())


def text_of(page):
    """What a reader sees outside of the figures."""
    page = re.sub(r"<svg.*?</svg>|<style.*?</style>", " ", page, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page)))


@pytest.mark.parametrize(
    ("refusal", "wrong"),
    [
        (wrong_type("path", "a path"), {"path": 3}),
        (wrong_type("trained", "CharacterModel"), {"trained": None}),
        (
            Refusal("trained", "facts", "seconds"),
            {"trained": study.CharacterModel(SETTINGS, Vocabulary("ab"), {})},
        ),
        (wrong_type("corpus", "Corpus"), {"corpus": "text"}),
        (wrong_type("history", "History"), {"history": {}}),
        (wrong_type("origin", "Origin"), {"origin": "study"}),
        (wrong_type("found", "Measurements"), {"found": None}),
        (wrong_type("say", "a function"), {"say": None}),
    ],
)
def test_wrong_arguments_are_named(refusal, wrong, made, tmp_path):
    given = {
        "path": tmp_path / "report.html",
        "trained": made.trained,
        "corpus": made.corpus,
        "history": None,
    }
    calls = {study.study: {"say": str}, study.write_report: {"found": made.found}}
    for call, own in calls.items():
        if not wrong.keys() <= given.keys() | own.keys() | {"origin"}:
            continue
        with refused(refusal):
            call(**given | own | wrong)
    assert not list(tmp_path.iterdir())


def test_a_report_without_history_stands_alone(made):
    # The flow of gradients, singular values, paths, fixed points: a panel for each of two; then exponents, time scales,
    # and a panel for each of seven gates and states.
    assert made.page.count("<svg") == 8 + 2 + 7
    assert "history.csv" in made.page
    for reference in ("src=", 'href="http', "<script", "@import", "url(http"):
        assert reference not in made.page


def test_a_report_holds_its_diagnosis_word_for_word(made):
    text = text_of(made.page)
    for sentence in made.diagnosis.sentences:
        assert sentence in text
    for measure in made.diagnosis.measures:
        assert measure.name in text


def test_a_report_says_what_it_was_made_of(made):
    text = text_of(made.page)
    assert f"recurrent_dynamics {__version__}" in text
    assert f"numpy {np.__version__}" in text
    assert re.search(r"Made ?20\d\d-\d\d-\d\d \d\d:\d\d UTC", text)
    assert hashlib.sha256(made.path.read_bytes()).hexdigest() in text
    assert hashlib.sha256((made.folder / "model.npz").read_bytes()).hexdigest() in text
    assert f"recurrent-dynamics study text.txt --out {made.folder.name}" in text
    assert re.search(r"Machine.*\d+ cores?,", text)
    assert str(made.folder) not in made.page  # no place of this machine


def test_the_settings_of_a_report_leave_nothing_open(made):
    shown = json.loads(unescape(re.search(r"<pre>(\{.*?\})</pre>", made.page, re.DOTALL).group(1)))
    assert None not in shown.values()
    assert set(SETTINGS.to_json()) <= set(shown)
    assert (shown["updates"], shown["epochs"], shown["minutes"]) == (40, 1.0, "no limit")
    assert (shown["updates done"], shown["stopped by"]) == (20, "minutes")
    older = replace(made.trained, settings=replace(SETTINGS, updates=None, epochs=3.0), facts={
        "updates": 20, "epochs": 0.5, "seconds": 1.0,
    })  # fmt: skip
    assert origin.resolved(older)["updates"] == 120


def test_every_section_is_in_the_contents(made):
    anchors = re.findall(r"href='#([a-z-]+)'", made.page)
    assert anchors == re.findall(r"<section id='([a-z-]+)'", made.page)
    assert len(anchors) == 6


def test_a_report_is_made_for_narrow_screens_and_dark_ones(made):
    assert made.page.count("<table") == made.page.count("<div class='scroll'><table")
    assert ".scroll { overflow-x: auto; }" in made.page
    assert "color-scheme: light dark" in made.page
    assert "prefers-color-scheme: dark" in made.page
    widths = [float(w) for w in re.findall(r'<svg[^>]* width="([\d.]+)pt"', made.page)]
    assert len(widths) == made.page.count("<svg")
    assert max(widths) < 400  # one panel each: of two beside each other nobody reads the labels on a phone


def test_a_history_is_drawn_from_its_first_update_on(made, tmp_path):
    history = History()
    for n in range(1, 31):
        norm = {"grad_norm": 2.0, "clipped_norm": 1.0 if n == 1 else 2.0, "update_norm": 0.1}
        history.training.append(update=n, epoch=0, loss=3.0 / n, learning_rate=0.1, seconds=0.1 * n, **norm)
    study.write_report(tmp_path / "r.html", made.trained, made.corpus, made.found, history)
    text = text_of((tmp_path / "r.html").read_text("utf-8"))
    assert "3 % of the updates were clipped" in text
    assert f"only which 7 characters there are (log2 of their number, {np.log2(7):.2f} bits)" in text


def spectrum(value, error, steps=300):
    return SimpleNamespace(exponents=np.array([value]), standard_errors=np.array([error]), steps=steps)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (-0.02, 0.004, "−0.0200 ± 0.0040: small differences fade to 1/e in 50 steps (42 to 62 within one standard"),
        (0.1, 0.01, "0.100 ± 0.010: small differences grow e-fold in 10 steps (9.1 to 11 within one standard error)"),
        (-0.005, 0.003, "−0.0050 ± 0.0030, which cannot be told from 0: whether small differences grow or fade"),
        (0.0001, 0.003, "0.0001 ± 0.0030, which cannot be told from 0"),
        (-0.002, 0.0001, "to 526 within one standard error), a time longer than the 300 steps that were measured"),
        (-np.inf, 0.0, "a small difference is gone after one step"),
    ],
)  # fmt: skip
def test_a_sign_of_an_exponent_is_claimed_beyond_its_error_alone(value, error, words):
    assert words in findings.memory(spectrum(value, error))


def test_rates_of_gradients_stand_beside_exponents(made):
    words = findings.growth(made.found)
    flow = made.found.layers[1].flow
    logs = np.log(flow.per_window)
    late = (logs[9] - logs[4]) / 5
    number = plus_minus(late.mean(), late.std(ddof=1) / np.sqrt(len(late)))
    assert f"{number} in layer 2 from lag 4 to lag 9" in " ".join(words.split())
    assert "in layer 2 from lag 1 on" in " ".join(words.split())


def test_what_is_said_of_time_scales_was_measured(made):
    words = findings.time_scales(made.found)
    for index, layer in enumerate(made.found.layers):
        middle = np.sort(layer.time_scales[0].steps)[3]  # of 6 units, the upper one of the two in the middle
        assert f"Layer {index + 1}, c: median {middle:.2g} steps" in words
    assert "bracket" not in made.page


def test_baselines_are_those_of_the_text_they_are_measured_on(rng):
    # A chain of two states that stays with probability 0.9: an entropy of 0.469 bits, and 1 bit without its memory.
    tokens = np.cumsum(rng.random(40_000) > 0.9) % 2
    corpus = study.Corpus(None, Vocabulary("abcd"), tokens[:30_000], tokens[30_000:], "")
    found = baselines(corpus)
    entropy = -(0.9 * np.log2(0.9) + 0.1 * np.log2(0.1))
    assert found["uniform"] == 2
    assert found["unigram"] == pytest.approx(1, abs=0.01)
    assert found["bigram"] == pytest.approx(entropy, abs=0.02)
    assert entropy < found.get("LZMA", 0.7) < 1


def test_stuck_and_dead_units_of_the_table_are_those_of_the_verdict(made):
    text = text_of(made.page)
    for layer in made.found.layers:
        for units in (*layer.gates, *layer.states):
            assert units.stuck.sum() >= units.dead.sum()
    (measure,) = (m for m in made.diagnosis.measures if "stuck" in m.name)
    assert measure.value == max(u.stuck.mean() for layer in made.found.layers for u in layer.states)
    assert "its standard deviation is below 0.1 % of the distance" in text
    assert "for 90 % of the time or more" in text


def test_percents_and_minus_signs_are_written_one_way(made):
    text = text_of(made.page)
    assert not re.search(r"\d%", text)
    assert not re.search(r"[^\w.]-\d", re.sub(r"Made.*", "", text))
