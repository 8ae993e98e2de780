"""What verbs on a device refuse, and what they take: memory, TF32, streams."""

from __future__ import annotations

import cell_checks
import numpy as np
import pytest
from device_cases import SMALL, case
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import cells
from recurrent_dynamics.engine.cuda import blas, launches, memory_budget, verbs


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(verbs, "current_device", lambda: SMALL)


def test_too_little_memory_is_refused_before_anything_is_allocated(monkeypatch, rng):
    c = case(cells.elman(), rng)
    run = c.run()
    monkeypatch.setattr(memory_budget, "free", lambda: 500 + memory_budget.SLACK)
    monkeypatch.setattr(verbs, "state_arrays", lambda *a: pytest.fail("allocated"))
    for work, verb in (
        ("the run", c.run),
        ("its gradients", lambda: rd.backward(run, run.output)),
        ("its tangent", lambda: rd.jvp(run, d_x=c.x)),
        ("its Jacobians", lambda: rd.jacobian(run)),
    ):
        words = (
            rf"{work} of T = 4, B = 3, N = 3, H = 4 in float64 needs .* MB .*, 0\.0005 MB are free on a small"
        )
        with pytest.raises(MemoryError, match=words):
            verb()


def test_tf32_reaches_every_product(monkeypatch, rng):
    asked = []

    def product(A, B, out, add=False, tf32=False):
        asked.append(tf32)
        blas.product(A, B, out, add)

    for module in (launches, verbs.large_products, verbs.dense_jacobian.__globals__):
        if isinstance(module, dict):
            monkeypatch.setitem(module, "product", product)
        else:
            monkeypatch.setattr(module, "product", product)
    c = case(cells.gru_reset_before(), rng, steps=2).astype("float32")
    for tf32 in (True, False):
        run = c.run(tf32=tf32)
        rd.backward(run, run.output)
        rd.jvp(run, d_x=c.x)
        rd.jacobian(run)
        assert set(asked) == {tf32}
        asked.clear()


def test_options_that_cannot_be_honoured_are_refused(rng):
    c = case(cells.elman(), rng)
    with refused("tf32", "float64", "float32"):
        c.run(tf32=True)
    run = c.run()
    for verb in (
        lambda: c.run(stream="fast"),
        lambda: rd.backward(run, run.output, stream="fast"),
        lambda: rd.jvp(run, d_x=c.x, stream="fast"),
        lambda: rd.jacobian(run, stream="fast"),
    ):
        with refused(wrong_type("stream", "__cuda_stream__", "str")):
            verb()


class Queue:
    def __cuda_stream__(self):
        return 0, 1


def test_every_verb_takes_a_stream_and_enters_it(monkeypatch, rng):
    c, entered = case(cells.elman(), rng), []
    whole = verbs.active

    def active(index, stream, after):
        entered.append(type(stream).__name__)
        return whole(index, stream, after)

    monkeypatch.setattr(verbs, "active", active)
    run = c.run(stream=Queue())
    d_output = np.ones((4, 3, 4))
    for verb in (
        lambda: rd.backward(run, d_output, stream=Queue()),
        lambda: rd.jvp(run, d_x=c.x, stream=Queue()),
        lambda: rd.jacobian(run, stream=Queue()),
    ):
        assert entered[0] == "Queue"
        entered.clear()
        verb()
    assert entered[0] == "Queue"
    assert (run.device, run.gpu) == ("cuda", 0)
    cell_checks.close("output", run.output, c.reference(c.point)["h"], 1e-12)


def test_class_indices(rng):
    cell = cells.gru()
    params = cell.init(3, 4, rng=rng, dtype="float64")
    indices = rng.integers(0, 3, (4, 2))
    run, host = (rd.forward(cell, params, indices, device=device) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(run.output, host.output, atol=1e-12)
    np.testing.assert_array_equal(run.x, indices)
    grads, wanted = (rd.backward(r, np.ones_like(host.output)) for r in (run, host))
    assert grads.x is None
    for name, value in wanted.params.items():
        np.testing.assert_allclose(grads.params[name], value, atol=1e-12)
    with refused("d_x", ("None", "class indices")):
        rd.jvp(run, d_x=np.zeros((4, 2, 3)))
