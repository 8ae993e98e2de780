"""Diagnoses of encoders and decoders: which gradient is followed, which part counts, what is said of attention."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused, wrong_type
from seq2seq_models import RAGGED, models, pairs

import recurrent_dynamics as rd
from recurrent_dynamics import nn
from recurrent_dynamics.training.last_loss import pair_flows

MODELS = models()
SOURCE, TARGET, SIZE = 12, 20, 6


def an_encoder_decoder(gain_of_encoder=1.0, gain_of_decoder=1.0, **options):
    """Orthogonal recurrences times a gain, of units that are nearly linear, so that gradients go by its powers."""
    elman = nn.recurrent(rd.cells.linear(), 8)
    model = nn.encoder_decoder(nn.recurrent(rd.cells.linear(), 8, 2), elman, output_size=1, **options)
    params = model.init(rng=0, dtype="float64")
    for part, gain in (("encoder", gain_of_encoder), ("decoder", gain_of_decoder)):
        params[part]["U"] = gain * np.linalg.qr(params[part]["U"])[0]
    return model, params


def a_batch(rng, **lengths):
    return nn.Pairs(rng.standard_normal((SOURCE, SIZE, 2)), rng.standard_normal((TARGET, SIZE, 1)), **lengths)


def test_gradients_go_by_the_powers_of_each_recurrence(rng):
    model, params = an_encoder_decoder(0.9, 0.95)
    batch = a_batch(rng)
    found = pair_flows(model, model.run(params, batch), batch)
    assert found.paths == ["encoder"]  # 0.9 ^ 11 is less than 0.95 ^ 19
    np.testing.assert_allclose(found.flows[0].relative, 0.9 ** np.arange(SOURCE), rtol=1e-9)
    assert found.names == ["the encoder", "the decoder"]
    assert f"{0.95**19:.2g} times" in found.notes[0]
    other = pair_flows(*(lambda m, p: (m, m.run(p, batch), batch))(*an_encoder_decoder(0.99, 0.95)))
    assert other.paths == ["decoder"]
    np.testing.assert_allclose(other.flows[0].relative, 0.95 ** np.arange(TARGET), rtol=1e-9)


def test_the_part_that_carries_less_has_the_verdict(rng):
    batch = a_batch(rng)
    model, params = an_encoder_decoder(1.0, 0.5)
    found = rd.diagnose(model, batch, params=params)
    assert (found.verdict, found.reach) == ("vanishing", 7)  # 0.5 ^ 7 is below 1 %
    assert any(sentence.startswith("In the encoder") for sentence in found.sentences)
    model, params = an_encoder_decoder(0.5, 1.0)
    found = rd.diagnose(model, batch, params=params)
    assert (found.verdict, found.reach) == ("vanishing", 7)
    assert any(sentence.startswith("In the decoder") for sentence in found.sentences)
    model, params = an_encoder_decoder(1.0, 1.0)
    assert rd.diagnose(model, batch, params=params).verdict == "healthy"
    model, params = an_encoder_decoder(1.0, 1.5)
    found = rd.diagnose(model, batch, params=params)
    assert (found.verdict, found.cause) == ("exploding", "Jacobian")
    assert "in the decoder; it passes 10 times 6 steps back" in str(found)  # 1.5 ^ 6 is above 10
    model, params = an_encoder_decoder(1.5, 0.5)
    assert "in the encoder; it passes 10 times" in str(rd.diagnose(model, batch, params=params))


def test_lengths_end_where_each_sequence_ends(rng):
    lengths = {
        "source_lengths": np.array([12, 9, 11, 12, 10, 12]),
        "target_lengths": np.array([20, 15, 18, 20, 16, 17]),
    }
    model, params = an_encoder_decoder(0.9, 0.95)
    batch = a_batch(rng, **lengths)
    found = pair_flows(model, model.run(params, batch), batch)
    np.testing.assert_allclose(found.flows[0].relative, 0.9 ** np.arange(9), rtol=1e-9)


def test_a_source_of_one_step_leaves_the_encoder_to_the_others(rng):
    model, params = an_encoder_decoder(0.8, 0.95)
    batch = a_batch(rng, source_lengths=np.array([12, 1, 11, 12, 10, 12]))
    found = pair_flows(model, model.run(params, batch), batch)
    assert found.paths == ["encoder"]
    np.testing.assert_allclose(found.flows[0].relative, 0.8 ** np.arange(10), rtol=1e-9)


def test_a_wrong_validation_is_named(rng):
    model, params = an_encoder_decoder()
    with refused(wrong_type("validation", "Pairs")):
        rd.diagnose(model, a_batch(rng), params=params, validation=(1, 2))


def test_the_gradient_is_that_of_each_last_loss_alone(rng):
    """Against the derivative of the last symbols' losses by hand."""
    model = MODELS["attention"]
    params, batch = model.init(rng=1, dtype="float64"), pairs(model, rng)
    run = model.run(params, batch)
    (flow,) = pair_flows(model, run, batch).flows
    logits = run.output[-1]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    d = np.zeros_like(run.output)
    d[-1] = shares
    d[-1, np.arange(len(logits)), model.compared(batch).targets[-1]] -= 1
    (grads,) = model.backward(run, d).decoder.runs.values()
    states = np.concatenate(list(grads.states.values()), axis=-1)
    np.testing.assert_allclose(flow.norms, np.linalg.norm(states, axis=-1).mean(axis=1)[::-1], rtol=1e-10)


def test_attention_is_told_apart(rng):
    model = MODELS["attention after"]
    params, batch = model.init(rng=1, dtype="float64"), pairs(model, rng)
    found = pair_flows(model, model.run(params, batch), batch)
    assert all(path.startswith("decoder") for path in found.paths)
    assert len(found.flows) == 2
    assert found.names[:2] == ["layer decoder/0", "layer decoder/1"]
    assert any("pass the attention" in note for note in found.notes)
    shown = rd.diagnose(model, batch, params=params)
    assert "pass the attention" in str(shown)
    assert shown.plot() is not None


@pytest.mark.parametrize(
    "lengths", [{}, RAGGED | {"source_lengths": np.array([5, 2, 3, 4])}], ids=["whole", "ragged"]
)
@pytest.mark.parametrize("name", MODELS)
def test_every_encoder_decoder_is_diagnosed(name, lengths, rng):
    model = MODELS[name]
    params, batch = model.init(rng=2, dtype="float64"), pairs(model, rng, **lengths)
    if model.alphabet is None or model.alphabet.end is None:  # a target of length 0 has no loss
        batch = nn.Pairs(**vars(batch) | {"target_lengths": None})
    found = rd.diagnose(model, batch, params=params, validation=batch, optimizer="adam", learning_rate=1e-3)
    assert found.verdict in ("vanishing", "healthy", "unsure", "saturated", "exploding")
    assert found.sentences


def test_history_and_refusals(rng):
    model, params = an_encoder_decoder()
    batch = a_batch(rng)
    result = rd.training.fit(
        model, params, [batch], optimizer="adam", learning_rate=1e-3, updates=20, progress=False
    )
    assert rd.diagnose(model, batch, result.history, params=result.params).verdict
    with refused(wrong_type("batch", "Pairs")):
        rd.diagnose(model, (batch.source, batch.target), params=params)
    with refused("params", "'encoder'"):
        rd.diagnose(model, batch, params={"decoder": params["decoder"]})
    masked = nn.Pairs(batch.source, batch.target, None, np.array([0, 20, 20, 20, 20, 20]))
    with refused("batch", "a loss in every sequence"):
        rd.diagnose(model, masked, params=params)
