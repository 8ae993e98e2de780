"""The parts of a study: settings, text, model file, measurements."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import Refusal, refused

from recurrent_dynamics import study
from recurrent_dynamics.data import Vocabulary
from recurrent_dynamics.study.constant_input import repeated
from recurrent_dynamics.study.settings import cell_names

SMALL = {"hidden": 6, "embedding": 5, "batch": 4, "truncation": 5}


def write_text(path, length=1500, characters="abc de\n"):
    path.write_text("".join(np.random.default_rng(0).choice(list(characters), length)), encoding="utf-8")
    return path


@pytest.fixture
def corpus(tmp_path):
    return study.load_corpus(write_text(tmp_path / "text.txt"))


@pytest.fixture
def character_model(corpus):
    settings = study.Settings(**SMALL)
    bare = study.CharacterModel(settings, corpus.vocabulary, {}, corpus.source)
    return study.CharacterModel(
        settings,
        corpus.vocabulary,
        bare.model.init(rng=1),
        corpus.source,
        {"updates": 3, "epochs": 0.5, "seconds": 1.0, "validation_bits": 2.0},
    )


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "hidden": st.integers(1, 500),
            "lr": st.floats(1e-6, 1),
            "minutes": st.floats(0.1, 10),
            "cell": st.sampled_from(["lstm", "gru", "elman"]),
            "clip": st.floats(0, 10),
            "seed": st.integers(0, 2**31),
        },
    )
)
def test_settings_survive_json(values):
    settings = study.Settings(**values)
    assert study.Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"cell": "lstn"}, Refusal("--cell", came="'lstn'")),
        ({"hidden": 0}, Refusal("--hidden", "1", "0")),
        ({"hidden": 1.5}, Refusal("--hidden", "1", "1.5")),
        ({"lr": -1.0}, Refusal("--lr", "0", "-1")),
        ({"lr": float("nan")}, Refusal("--lr", "0", "nan")),
        ({"dropout": 1.0}, Refusal("--dropout", ("0", "1"), "1")),
        ({"dropout": 0.5, "layers": 1}, Refusal("--dropout", ("0", "1"), "0.5")),
        ({"updates": 5, "epochs": 1.0}, Refusal("either --updates or --epochs", came="both")),
        ({"lr_decay_after": -1}, Refusal("--lr-decay-after", "0", "-1")),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_name_of_its_option(values, refusal):
    with refused(refusal):
        study.Settings(**values)


def test_every_cell_that_is_offered_makes_a_model():
    assert {"lstm", "gru", "elman"} <= set(cell_names())
    for name in cell_names():
        settings = study.Settings(cell=name, **SMALL)
        assert study.CharacterModel(settings, Vocabulary("ab"), {}).model.cells


def test_the_length_of_a_training_is_counted_in_updates_or_epochs():
    assert study.Settings(updates=7).number_of_updates(100) == 7
    assert study.Settings(epochs=2.5).number_of_updates(100) == 250
    assert study.Settings(minutes=1.0).number_of_updates(100) == study.Settings().number_of_updates(5)


def test_schedules_begin_and_end_as_they_say():
    cosine = study.Settings(lr=0.1, warmup=10).make_schedule(200, 50)
    assert cosine(0) == pytest.approx(0.01, rel=1e-3)
    assert max(map(cosine, range(200))) == pytest.approx(0.1, rel=0.01)
    assert cosine(199) < 1e-4
    settings = study.Settings(schedule="exponential", lr=0.1, warmup=0, lr_decay=0.5, lr_decay_after=2)
    exponential = settings.make_schedule(200, 50)
    assert [exponential(n) for n in (0, 99, 100, 150)] == [0.1, 0.1, 0.05, 0.025]
    assert study.Settings(schedule="constant", warmup=0, lr=0.3).make_schedule(9, 3)(8) == 0.3


def test_a_text_is_split_in_order(corpus):
    assert len(corpus.validation) == 75
    assert len(corpus.training) == 1425
    again = study.load_corpus(corpus.source)
    assert again.digest == corpus.digest
    whole = corpus.vocabulary.decode(np.concatenate([corpus.training, corpus.validation]))
    with open(corpus.source, encoding="utf-8") as file:
        assert whole == file.read()


def test_characters_that_a_model_does_not_know_are_left_out(tmp_path):
    path = write_text(tmp_path / "text.txt", characters="abx")
    found = study.load_corpus(path, Vocabulary("ab"))
    assert found.unknown + len(found.training) + len(found.validation) == 1500
    assert found.training.max() == 1
    with refused(str(path), came="'a'"):
        study.load_corpus(path, Vocabulary("ay"))


def test_a_text_too_short_for_an_update_is_refused(corpus):
    corpus.check_size(4, 5)
    with refused(
        str(corpus.source),
        "at least 2634 characters for --batch 50 and --truncation 50",
        "1500",
    ):
        corpus.check_size(50, 50)


def test_a_model_file_gives_back_the_model(character_model, tmp_path):
    path = tmp_path / "model.npz"
    study.save_model(path, character_model)
    again = study.load_model(path)
    assert again.settings == character_model.settings
    assert again.vocabulary == character_model.vocabulary
    assert again.facts == character_model.facts
    np.testing.assert_array_equal(
        again.params["layers"]["1"]["U"], character_model.params["layers"]["1"]["U"]
    )
    assert again.sample("a", 20, 0.5) == character_model.sample("a", 20, 0.5)


def test_a_model_that_does_not_fit_on_the_disk_leaves_the_old_one(character_model, tmp_path):
    path = tmp_path / "model.npz"
    study.save_model(path, character_model)
    before = path.read_bytes()
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="cannot write"):
            study.save_model(path, character_model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.npz", "text.txt"]


def test_measurements_of_a_model_hold_every_layer(character_model, corpus):
    found = study.measure(character_model.model, character_model.params, corpus.validation, window=10)
    assert (found.window, found.windows, len(found.layers)) == (10, 3, 2)
    for layer in found.layers:
        assert layer.flow.lags.tolist() == list(range(10))
        assert layer.products.steps.tolist() == [1, 2, 4, 8]
        assert [path.slot for path in layer.paths] == ["c"]
        assert [scale.slot for scale in layer.time_scales] == ["c"]
        assert [gate.name for gate in layer.gates] == ["i", "f", "o", "g", "tanh(c)"]
        assert [state.name for state in layer.states] == ["h", "c"]
        assert (layer.paths[0].rest[0] == 0).all()  # one step of the cell state passes no matrix


def test_exponents_and_fixed_points_are_found_in_every_layer(character_model, corpus):
    found = study.measure(character_model.model, character_model.params, corpus.validation, window=10)
    for layer in found.layers:
        spectrum, held = layer.portrait.spectrum, layer.portrait.held
        assert spectrum.size == 12
        assert len(spectrum.exponents) == 12
        assert layer.portrait.trajectories.shape == (75, 1, 12)
        # An untrained network with small weights forgets: one point of rest under each input, and no exponent above 0.
        assert spectrum.exponents[0] < 0
        assert len(held) == 4
        for found_there in held:
            points = found_there.points
            assert (points.q < 1e-20).all()
            assert points.kind.tolist() == ["stable"]
            assert found_there.reached == 1
            assert found_there.pace[1] < 1e-3


def test_a_repeated_character_leads_all_layers_to_one_fixed_point_of_the_network(character_model, corpus):
    model, params = character_model.model, character_model.params
    by_layer = [portrait.held for portrait in study.portraits(model, params, corpus.validation)]
    for below, above in zip(*by_layer, strict=True):
        assert below.token == above.token
        state = [{s: v[:1].astype("float32") for s, v in h.points.states.items()} for h in (below, above)]
        run = model.forward(params, np.full((5, 1), below.token), initial=state)
        for layer, held in zip(run.runs, (below, above), strict=True):
            np.testing.assert_allclose(
                layer.tape.after[:, 0], np.tile(held.points.points[0], (5, 1)), atol=1e-5
            )


def test_the_characters_that_stand_longest_in_a_row_are_held():
    tokens = np.array([3, 1, 1, 1, 0, 0, 2, 2, 2, 0, 0, 1])
    assert repeated(tokens, 3) == [(1, 3), (2, 3), (0, 2)]
    assert repeated(tokens, 9)[-1] == (3, 1)


def test_a_layer_above_one_without_a_fixed_point_is_not_searched(character_model, corpus):
    """A first layer that turns without end has no constant output; the report says so."""
    model, params = character_model.model, character_model.params
    first = params["layers"]["0"] = {name: np.zeros_like(v) for name, v in params["layers"]["0"].items()}
    first["b"][:18] = 60.0  # gates open to rounding and g = 1: c grows by 1 a step
    below, above = (portrait.held[0] for portrait in study.portraits(model, params, corpus.validation[:40]))
    assert len(below.points) == 0
    assert above.points is None
    assert below.reached == above.reached == 0
    assert below.pace == pytest.approx((1, 1), rel=1e-3)


def test_a_text_too_short_for_exponents_has_fixed_points_all_the_same(character_model, corpus):
    model, params = character_model.model, character_model.params
    found = study.portraits(model, params, corpus.validation[:30])
    assert all(portrait.spectrum is None and len(portrait.held[0].points) == 1 for portrait in found)


def test_the_last_loss_alone_and_all_losses_agree_at_lag_zero(character_model, corpus):
    found = study.measure(character_model.model, character_model.params, corpus.validation, window=10)
    for layer in found.layers:
        assert layer.flow.norms[0] == pytest.approx(layer.flow_all.norms[0], rel=1e-6)
        assert layer.flow.norms[-1] < layer.flow_all.norms[-1]


def test_a_text_too_short_to_study_is_refused(character_model, corpus):
    with refused("tokens", "at least 101 characters for a window of 50 steps", "75"):
        study.measure(character_model.model, character_model.params, corpus.validation, window=50)
