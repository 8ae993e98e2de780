"""Other processes: forked, spawned, joblib's; cells, runs and models on their way there; several Python threads."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics.equations import sigmoid, tanh
from recurrent_dynamics.kernels import threads
from recurrent_dynamics.training.tree import named_leaves

WAIT = 120  # seconds after which a process that does not come back has failed
CAN_FORK = "fork" in multiprocessing.get_all_start_methods()


def own_update(drive, state):
    z = sigmoid(drive.z)
    return {"h": z * state.h + (1 - z) * tanh(drive.n)}


def own_cell():
    return rd.cells.Cell("my gated unit", state=("h",), drives=("z", "n"), update=own_update)


CELLS = {
    **rd.cells.NAMED,
    "with a function": lambda: rd.cells.elman(rd.equations.hard_tanh),
    "normalized, in heads": lambda: rd.cells.gru().with_normalization().with_structure(rd.cells.heads(2)),
    "discretized": lambda: rd.ode.discretize(rd.ode.vector_field(rd.cells.elman()), "rk4", dt=0.5),
    "one's own": own_cell,
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_pickled(name):
    cell = CELLS[name]()
    for found in (pickle.loads(pickle.dumps(cell)), copy.deepcopy(cell)):
        assert found.fingerprint == cell.fingerprint
        assert repr(found) == repr(cell)
        assert (found.constants, found.bias, found.parametrize) == (
            cell.constants,
            cell.bias,
            cell.parametrize,
        )


def test_a_cell_whose_equations_changed_is_refused(monkeypatch):
    written = pickle.dumps(own_cell())
    monkeypatch.setattr(sys.modules[__name__], "own_update", lambda drive: {"h": drive.z * tanh(drive.n)})
    with refused("cell 'my gated unit'", "have the equations that were pickled"):
        pickle.loads(written)


def test_a_field_and_a_nonlinearity_are_pickled():
    field = pickle.loads(pickle.dumps(rd.ode.vector_field(rd.cells.gru(), tau=2.0)))
    again = rd.ode.discretize(field, dt=2.0)
    assert (
        again.fingerprint
        == rd.ode.discretize(rd.ode.vector_field(rd.cells.gru(), tau=2.0), dt=2.0).fingerprint
    )
    assert pickle.loads(pickle.dumps(tanh)) is tanh


@pytest.fixture(scope="module")
def trained():
    model = rd.nn.Model([rd.cells.es2n(), rd.cells.lstm()], 8, vocabulary_size=5, dropout=0.5)
    params = model.init(rng=0)
    return model, params, np.random.default_rng(0).integers(0, 5, (12, 3))


def leaves(tree):
    return {name: array.tobytes() for name, array in named_leaves(tree)}


def test_a_model_and_its_run_are_pickled(trained):
    model, params, inputs = trained
    run = model.forward(params, inputs, dropout_rng=np.random.default_rng(0))
    gradients = model.backward(run, run.output)
    model2, run2, gradients2 = pickle.loads(pickle.dumps((model, run, gradients)))
    assert repr(model2) == repr(model)
    assert leaves(model2.backward(run2, run2.output).params) == leaves(gradients.params)
    assert leaves(gradients2.params) == leaves(gradients.params)
    layer = run2.runs[1]
    assert not layer.output.flags.writeable
    assert not layer.states["c"].flags.writeable
    np.testing.assert_array_equal(rd.jacobian(layer), rd.jacobian(run.runs[1]))


def test_a_run_without_a_tape_is_pickled(trained):
    model, params, inputs = trained
    run = model.forward(params, inputs, tape=False).runs[1]
    found = pickle.loads(pickle.dumps(run))
    np.testing.assert_array_equal(found.output, run.output)
    np.testing.assert_array_equal(found.final["c"], run.final["c"])
    with refused("run", came="computed with tape=False"):
        found.states  # noqa: B018


def gradient_of(task):
    model, params, inputs = task
    return leaves(model.loss_and_grad(params, (inputs, inputs))[1])


@pytest.mark.skipif(not CAN_FORK, reason="no fork on this system")
@pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning"
)  # other threads of the process, since Python 3.12
def test_a_forked_child_of_a_parent_that_used_the_threads_works(trained, set_threads, tune):
    tune(min_parallel_flops=0)  # several threads share even this work
    set_threads(2)
    expected = gradient_of(trained)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(gradient_of, [trained] * 4).get(WAIT) == [expected] * 4
        assert pool.apply_async(threads.num_threads).get(WAIT) == 1, "the threads are those of the parent"
    assert threads.num_threads() == 2, "the parent keeps its own"


@pytest.mark.skipif(not CAN_FORK, reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_another_thread_is_inside_the_pool_works(trained):
    expected = gradient_of(trained)
    with ThreadPoolExecutor(1) as other:
        other.submit(threads.POOL.__enter__).result(WAIT)
        try:
            with multiprocessing.get_context("fork").Pool(1) as pool:
                assert pool.apply_async(gradient_of, [trained]).get(WAIT) == expected
        finally:
            other.submit(threads.POOL.__exit__).result(WAIT)


FRESH = """
import multiprocessing
import recurrent_dynamics.kernels.threads as threads

def count(_):
    return threads.num_threads()

with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.map_async(count, [0]).get({wait}), count(0))
"""


@pytest.mark.skipif(not CAN_FORK, reason="no fork on this system")
def test_a_child_forked_before_the_threads_were_started_has_its_own(clean_environment):
    environment = clean_environment | {"NUMBA_NUM_THREADS": "3"}
    command = [sys.executable, "-c", FRESH.format(wait=WAIT)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * WAIT)
    assert done.stdout == "[3] 3\n", done.stderr


SPAWNED = """
import multiprocessing, sys
import numpy as np
import recurrent_dynamics as rd
from concurrent.futures import ProcessPoolExecutor

def loss(task):
    model, params, inputs = task
    return model.loss(params, (inputs, inputs))

if __name__ == "__main__":
    model = rd.nn.Model([rd.cells.es2n(), rd.cells.lstm()], 8, vocabulary_size=5)
    task = model, model.init(rng=0), np.random.default_rng(0).integers(0, 5, (12, 3))
    here = loss(task)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(loss, [task])) == [here]
    print("the same")
"""


def test_a_spawned_child_takes_a_model(tmp_path, clean_environment):
    script = tmp_path / "sweep.py"
    script.write_text(SPAWNED)
    done = subprocess.run(
        [sys.executable, script], env=clean_environment, capture_output=True, text=True, timeout=2 * WAIT
    )
    assert done.stdout == "the same\n", done.stderr


def test_joblib_takes_a_model(trained):
    joblib = pytest.importorskip("joblib")
    expected = gradient_of(trained)
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(gradient_of)(trained) for _ in range(2)) == [expected] * 2


def test_python_threads_share_a_model(trained):
    expected = gradient_of(trained)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(gradient_of, [trained] * 8)) == [expected] * 8
