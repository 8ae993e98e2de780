"""The arguments that a case of the fuzzing begins with, for the rooms above: models, training, figures, data, files."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import fuzz_structures
import fuzz_study
import numpy as np
from result_examples import examples

import recurrent_dynamics as rd
from recurrent_dynamics import cells, dynamics, interop, nn, ode, parametrize, plot, study, training, trees
from recurrent_dynamics import data as datasets

STEPS, SIZE, CLASSES = 6, 2, 4
ROOMS = {
    "cells": cells, "data": datasets, "dynamics": dynamics, "interop": interop, "nn": nn, "ode": ode,
    "parametrize": parametrize, "plot": plot, "study": study, "training": training, "trees": trees,
}  # fmt: skip


@lru_cache(maxsize=1)
def given_models() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    cell = rd.cells.elman()
    x, real = rng.standard_normal((2, STEPS, SIZE, 2))
    words, classes = rng.integers(0, CLASSES, (2, STEPS, SIZE))
    model = nn.Model(cell, 3, input_size=2, output_size=2, loss="mean_squared_error")
    writer = nn.Model(cell, 3, vocabulary_size=CLASSES)
    layer = nn.chain(nn.recurrent(cell, 3, input_size=2), nn.dense(None, 2))
    objective = nn.Objective(layer, "mean_squared_error")
    params, letters, own = (m.init(rng=0, dtype="float64") for m in (model, writer, objective))
    run = model.forward(params, x)
    y, pull = layer(own, x)
    predictor = nn.ModelPredictor(writer, letters)
    text = "def f(x):\n    return [x, 'a b']\n" * 60
    vocabulary = datasets.Vocabulary(sorted(set(text)))
    streams = datasets.Streams(words.ravel(), 1, 3)
    settings = study.Settings(hidden=3, layers=1, embedding=2, batch=2, truncation=4, updates=2, cell="elman")
    small = study.CharacterModel(settings, vocabulary, {})
    from_torch = {"rnn.weight_ih_l0": np.ones((3, 2)), "rnn.weight_hh_l0": np.ones((3, 3)),
                  "rnn.bias_ih_l0": np.ones(3), "rnn.bias_hh_l0": np.ones(3), "out.weight": np.ones((2, 3)),
                  "out.bias": np.ones(2)}  # fmt: skip
    grads = model.loss_and_grad(params, (x, real))[1]
    return {
        "cell": cell, "x": x, "real": real, "words": words, "classes": classes, "model": model, "writer": writer,
        "layer": layer, "objective": objective, "params": params, "letters": letters, "own": own, "run": run, "y": y,
        "pull": pull, "predictor": predictor, "text": text, "vocabulary": vocabulary, "streams": streams,
        "settings": settings, "small": small, "state_dict": from_torch, "grads": grads,
        "logits": rng.standard_normal((STEPS, SIZE, CLASSES)), "labels": np.array([[1, 2], [3, 0]]),
        "lengths": np.array([6, 4]), "batch": nn.Batch(x, real), "optimizer": training.adam(),
        "noise": nn.Batch(x, real, np.ones((STEPS, SIZE))), "sequences": [x[:, 0], x[:4, 1]],
        "tokens": datasets.TokenVocabulary(["a", "b", "?", "_"], unknown="?", padding="_"), "elman": rd.cells.elman(),
        "run_of_cell": rd.forward(cell, params["layers"]["0"], x), "A": rng.standard_normal((3, 3)),
    }  # fmt: skip


# What a method belongs to.
INSTANCES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nn.Model": lambda g: g["model"],
    "nn.Objective": lambda g: g["objective"],
    "nn.Layer": lambda g: g["layer"],
    "nn.Pull": lambda g: g["pull"],
    "nn.Batch": lambda g: g["noise"],
    "nn.ModelPredictor": lambda g: g["predictor"],
    "engine.Stepper": lambda g: rd.stepper(g["cell"], g["params"]["layers"]["0"]),
    "dynamics.StepDerivatives": lambda g: dynamics.StepDerivatives(g["run_of_cell"]),
    "data.Vocabulary": lambda g: g["vocabulary"],
    "data.TokenVocabulary": lambda g: g["tokens"],
    "data.Streams": lambda g: g["streams"],
    "data.AddingProblem": lambda g: datasets.AddingProblem(8, 2),
    "data.WithNoise": lambda g: datasets.WithNoise([g["batch"]], 0.1),
    "training.History": lambda g: training.History(),
    "cells.Cell": lambda g: g["cell"],
    "parametrize.Cayley": lambda g: parametrize.cayley,
    "study.CharacterModel": lambda g: g["small"],
    "ode.Field": lambda g: ode.vector_field(rd.cells.elman()),
    **fuzz_structures.INSTANCES,
}

# Functions whose arguments have no names of their own, and what an error calls them instead.
ADAPTED: dict[str, Callable[..., Any]] = {
    "nn.chain": lambda first, second: nn.chain(first, second),
    "nn.concatenate": lambda first, second: nn.concatenate(first, second),
    "nn.Layer.__call__": lambda params, x, context: given_models()["layer"](params, x, context),
    "nn.Pull.__call__": lambda d_y, d_final: given_models()["pull"](d_y, d_final),
    "nn.Layer context": lambda **options: given_models()["layer"](
        given_models()["own"], given_models()["x"], nn.Context(**options)
    ),
    "engine.Stepper.__call__": lambda x, state: INSTANCES["engine.Stepper"](given_models())(x, state),
    "nn.Batch in a loss": lambda **fields: given_models()["model"].loss_and_grad(
        given_models()["params"], nn.Batch(**fields)
    ),
    "training.minimize": lambda params, method: training.minimize(
        lambda p: given_models()["model"].loss_and_grad(p, given_models()["batch"]), params, method, tol=1.0
    ),
    "training schedule": lambda rate: training.as_schedule(rate),
    "gradients.truncated_windows": lambda **given: list(rd.gradients.truncated_windows(**given)),
    # Without a number of updates a minute is a minute.
    "training.fit for minutes": lambda minutes: training.fit(
        given_models()["model"], given_models()["params"], [given_models()["batch"]],
        optimizer=given_models()["optimizer"], learning_rate=0.01, updates=1, minutes=minutes,
    ),
    **fuzz_structures.ADAPTED,
    **fuzz_study.ADAPTED,
}  # fmt: skip
# Where arguments belong together, or a function of the user's raises, an error may speak of another one.
ALSO_CALLED: dict[str, dict[str, tuple[str, ...]]] = {
    "nn.chain": {"first": ("layers", "input_size", "layer"), "second": ("layers", "input_size", "layer")},
    "nn.concatenate": {"first": ("layers", "input_size"), "second": ("layers", "input_size")},
    "training schedule": {"rate": ("learning_rate",)},
    "dynamics.continuation": {"begin": ("bounds",), "step": ("longest",)},
    "ode.implicit_forward": {"x": ("initial", "steps")},
    "ode.reversible_forward": {"x": ("initial", "steps")},
    "training.BatchList": {"batches": ("batch", "data")},
    "nn.bidirectional": {"forward": ("layers",), "backward": ("layers", "input_size")},
    "nn.Model.run": {"batch": ("inputs", "targets", "mask", "x")},
    "nn.Model.loss_and_grad": {"batch": ("inputs", "targets", "mask", "x")},
    "nn.Objective.loss_and_grad": {"batch": ("inputs", "targets", "mask", "x")},
    "nn.loss_hvp": {"batch": ("inputs", "targets", "mask", "x")},
    "training.fit": {
        "data": ("inputs", "targets", "mask", "batch"),
        "validation": ("inputs", "targets", "mask", "batch", "data"),
        "params": ("nested dicts",),
        # A function of another kind, called by the training.
        "callback": ("len",),
        "learning_rate": ("len",),
        "penalty": ("subscriptable",),
    },
    "data.PackedBatches": {"sequences": ("targets",)},
    "data.SequenceBatches": {"sequences": ("targets",), "per_step": ("targets",)},
    "data.WithNoise": {"source": ("data", "batch")},
    "engine.Stepper.__call__": {"state": ("x",)},
    "engine.Stepper.branch": {"state": ("x", "parents")},
    "interop.from_torch": {"state_dict": ("layer",)},
    "interop.model_from_torch": {"state_dict": ("layer", "params")},
    "data.read_text": {"path": ("odd",)},  # a file of this name, which another case wrote
    "study.load_corpus": {"path": ("odd",)},
    "study.load_model": {"path": ("odd",)},
    "nn.load": {"path": ("odd",)},
    "cells.ctrnn": {"activation": ("contract",)},
    "training.diagnose": {"batch": ("inputs",), "validation": ("inputs", "batch")},
    "training.evaluate": {"data": ("batch",)},
    "training.measure": {"data": ("batch",)},
    "training.l2_penalty": {"only": ("len",)},
    "training.minimize": {"params": ("tree",)},
    "training.write_atomically": {"write": ("len",)},
    "training.orthogonality_penalty": {"params": ("only",)},
    "nn.cross_entropy": {"logits": ("targets",)},
    "nn.ctc_loss": {
        "logits": ("targets", "lengths"),
        "targets": ("target_lengths",),
        "target_lengths": ("targets",),
    },
    "nn.ctc_hvp": {
        "logits": ("targets", "lengths"),
        "targets": ("target_lengths",),
        "target_lengths": ("targets",),
    },
    "nn.ctc_align": {
        "logits": ("targets", "lengths"),
        "targets": ("target_lengths",),
        "target_lengths": ("targets",),
    },
    "nn.ctc_decode": {"logits": ("lengths",)},
    "nn.forecast": {"warm_up": ("lengths", "inputs"), "feedback": ("len",)},
    "nn.residual": {"layer": ("layers",)},
    "plot.given_or_panels": {"given": ("axes",)},
    **fuzz_structures.ALSO_CALLED,
    **fuzz_study.ALSO_CALLED,
}


def _plots() -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    """Figures of results: the name of the first argument, an example of it, and the options."""
    e = dynamics
    table: dict[str, tuple[str, Callable[[], Any], dict[str, Any]]] = {
        "alignment": ("alignment", lambda: examples()[e.Alignment], {"sequence": 0, "source": None, "target": ["a"],
                                                                     "ax": None}),
        "attention_paths": ("paths", lambda: examples()[e.AttentionPaths], {"sequence": None, "ax": None}),
        "angles": ("vectors", lambda: examples()[e.CovariantVectors], {"i": 0, "j": None, "index": 0, "ax": None}),
        "by_depth": ("found", lambda: examples()[rd.trees.ByDepth], {"label": None, "index": 0, "ax": None}),
        "graph": ("graph", lambda: examples()[rd.trees.Forest], {"labels": list("abcde"), "values": np.arange(5.0),
                                                                 "ax": None}),
        "tree_states": ("run", lambda: examples()[rd.trees.TreeRun], {"slot": None, "ax": None}),
        "exposure": ("found", lambda: examples()[nn.ExposureBias], {"ax": None}),
        "loop_growth": ("found", lambda: examples()[nn.LoopGrowth], {"ax": None}),
        "branch": ("branch", lambda: examples()[e.Branch], {"slot": None, "unit": None, "index": 0, "ax": None}),
        "compared_time_scales": ("implied", lambda: examples()[e.TimeScales], {"measured": examples()[e.TimeScales],
                                                                             "longest": 1e4, "ax": None}),
        "ctc_alignment": ("alignment", lambda: examples()[nn.CtcAlignment], {"sequence": 0, "ax": None}),
        "decoded": ("found", lambda: examples()[nn.Decoded], {"source": 0, "label": None, "ax": None}),
        "diagnosis": ("found", lambda: examples()[e.Diagnosis], {"axes": None}),
        "direct_products": ("products", lambda: examples()[e.DirectProducts], {"floor": 1e-6, "ax": None}),
        "fixed_points": ("points", lambda: examples()[e.FixedPoints], {"portrait": None, "conditions": None,
                                                                       "trajectories": 20, "ax": None}),
        "flow_field": ("field", lambda: examples()[e.FlowField], {"trajectories": 12, "density": 1.0, "ax": None}),
        "gate": ("gate", lambda: examples()[e.Gate], {"label": None, "index": 0, "ax": None}),
        "gradient_flow": ("flow", lambda: examples()[e.GradientFlow], {"label": None, "index": 0, "truncation": None,
                                                                       "ax": None}),
        "gradient_growth": ("growth", lambda: examples()[e.GradientGrowth], {"index": 0, "ax": None}),
        "history": ("history", lambda: examples()[training.History], {"column": "loss", "unit": None, "label": None,
                                                                      "index": 0, "ax": None}),
        "kreiss_constant": ("kreiss", lambda: examples()[e.KreissConstant], {"index": 0, "ax": None}),
        "lag_gradients": ("parts", lambda: examples()[e.LagGradients], {"name": "U", "index": 0, "label": None,
                                                                       "ax": None}),
        "lyapunov": ("spectrum", lambda: examples()[e.LyapunovSpectrum], {"label": None, "index": 0, "ax": None}),
        "numerical_range": ("field", lambda: examples()[e.NumericalRange], {"kind": "map", "index": 0, "label": None,
                                                                           "ax": None}),
        "phase_portrait": ("portrait", lambda: examples()[e.PhasePortrait], {"plane": (0, 1), "most": None,
                                                                            "title": "condition", "ax": None}),
        "path_norms": ("paths", lambda: examples()[e.PathNorms], {"floor": 1e-12, "ax": None}),
        "pseudospectra": ("spectra", lambda: examples()[e.Pseudospectra], {"exponents": None, "ax": None}),
        "saturation": ("result", lambda: examples()[e.Saturation], {"label": None, "index": 0, "ax": None}),
        "singular_values": ("products", lambda: examples()[e.JacobianProducts], {"index": 0, "floor": 1e-12,
                                                                                "ax": None}),
        "time_scales": ("scales", lambda: examples()[e.TimeScales], {"labels": None, "longest": 1e4, "ax": None}),
        "tracking": ("found", lambda: examples()[e.Tracking], {"index": 0, "ax": None}),
        "transient_growth": ("growth", lambda: examples()[e.TransientGrowth], {"index": 0, "label": None, "ax": None}),
    }  # fmt: skip
    return {f"plot.{name}": lambda g, row=row: {row[0]: row[1](), **row[2]} for name, row in table.items()}


LINES = np.arange(1.0, 9.0)
CALLS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    # Layers and models.
    "nn.Model": lambda g: {"cells": g["cell"], "hidden_size": 3, "input_size": 2, "vocabulary_size": None,
                           "output_size": 2, "embedding_size": None, "dropout": 0.0, "loss": "cross_entropy",
                           "parametrize": None, "pool": None},
    "nn.Model.init": lambda g: {"rng": 0, "dtype": "float64"},
    "nn.Model.forward": lambda g: {"params": g["params"], "inputs": g["x"], "initial": None, "lengths": g["lengths"],
                                   "reset": None, "dropout_rng": None, "signals": None, "copy_params": True,
                                   "tape": True},
    "nn.Model.run": lambda g: {"params": g["params"], "batch": g["batch"], "initial": None},
    "nn.Model.backward": lambda g: {"run": g["run"], "d_output": g["run"].output, "d_final": None},
    "nn.Model.predict": lambda g: {"params": g["params"], "inputs": g["x"], "kind": "output", "lengths": g["lengths"],
                                   "initial": None, "reset": None, "signals": None},
    "nn.Model.loss_and_grad": lambda g: {"params": g["params"], "batch": g["batch"], "initial": None,
                                         "dropout_rng": None},
    "nn.Model.cell_params": lambda g: {"params": g["params"]},
    "nn.Batch in a loss": lambda g: {"inputs": g["x"], "targets": g["real"], "mask": np.ones((STEPS, SIZE)),
                                     "lengths": g["lengths"], "reset": np.zeros((STEPS, SIZE), bool), "signals": None},
    "nn.Objective": lambda g: {"layer": g["layer"], "loss": "mean_squared_error", "pool": None},
    "nn.Objective.init": lambda g: {"rng": 0, "dtype": "float64"},
    "nn.Objective.predict": lambda g: {"params": g["own"], "inputs": g["x"], "kind": "output", "lengths": g["lengths"],
                                       "initial": None, "reset": None, "signals": None},
    "nn.Objective.loss_and_grad": lambda g: {"params": g["own"], "batch": g["batch"], "initial": None,
                                             "dropout_rng": None},
    "nn.Layer.init": lambda g: {"rng": 0, "dtype": "float64"},
    "nn.Layer.__call__": lambda g: {"params": g["own"], "x": g["x"], "context": None},
    "nn.Layer context": lambda g: {"lengths": g["lengths"], "reset": np.zeros((STEPS, SIZE), bool), "signals": None,
                                   "rng": None, "initial": {"0": {"h": np.zeros((SIZE, 3))}}, "copy_params": True,
                                   "tape": True},
    "nn.Pull.__call__": lambda g: {"d_y": g["y"], "d_final": {"0": {"h": np.ones((SIZE, 3))}}},
    "nn.bidirectional": lambda g: {"forward": nn.recurrent(g["cell"], 3, 2), "backward": nn.recurrent(g["cell"], 3, 2)},
    "nn.chain": lambda g: {"first": nn.dense(2, 3), "second": nn.dense(None, 2)},
    "nn.concatenate": lambda g: {"first": nn.dense(2, 3), "second": nn.dense(2, 2)},
    "nn.dense": lambda g: {"inputs": 2, "outputs": 3, "bias": True},
    "nn.dropout": lambda g: {"rate": 0.1, "per_sequence": False},
    "nn.embedding": lambda g: {"classes": 4, "size": 3},
    "nn.recurrent": lambda g: {"cell": g["cell"], "hidden_size": 3, "input_size": 2, "parametrize": None},
    "nn.batch_norm": lambda g: {"size": 2, "momentum": 0.1, "eps": 1e-5},
    "nn.layer_norm": lambda g: {"size": 2, "eps": 1e-5},
    "nn.activation_penalty": lambda g: {"size": 1.0, "change": 1.0},
    "nn.residual": lambda g: {"layer": nn.dense(3, 3)},
    "nn.embed": lambda g: {"table": np.ones((CLASSES, 3)), "indices": g["words"]},
    "nn.embedding_gradient": lambda g: {"indices": g["words"], "d_rows": np.ones((STEPS, SIZE, 3)), "size": CLASSES},
    "nn.cross_entropy": lambda g: {"logits": g["logits"], "targets": g["words"], "mask": np.ones((STEPS, SIZE))},
    "nn.mean_squared_error": lambda g: {"output": g["x"], "targets": g["real"], "mask": np.ones((STEPS, SIZE))},
    "nn.ctc_loss": lambda g: {"logits": g["logits"], "targets": g["labels"], "lengths": g["lengths"],
                              "target_lengths": np.array([2, 1]), "blank": 0, "zero_infinity": False,
                              "log_probs": False, "weights": np.ones(SIZE)},
    "nn.ctc_hvp": lambda g: {"logits": g["logits"], "targets": g["labels"], "direction": g["logits"],
                             "lengths": g["lengths"], "target_lengths": np.array([2, 1]), "blank": 0,
                             "log_probs": False, "weights": np.ones(SIZE)},
    "nn.ctc_align": lambda g: {"logits": g["logits"], "targets": g["labels"], "lengths": g["lengths"],
                               "target_lengths": np.array([2, 1]), "blank": 0, "log_probs": False},
    "nn.ctc_decode": lambda g: {"logits": g["logits"], "lengths": g["lengths"], "width": 2, "n_best": 1, "blank": 0,
                                "log_probs": False},
    "nn.ModelPredictor": lambda g: {"model": g["writer"], "params": g["letters"], "initial": None},
    "nn.FunctionPredictor": lambda g: {"function": lambda s, i: (np.zeros((len(i), 2)), s), "vocabulary_size": 2,
                                       "state": {"n": np.zeros((1, 2))}},
    "nn.generate": lambda g: {"model": g["writer"], "params": g["letters"], "prime": g["words"], "length": 3,
                              "temperature": 1.0, "rng": 0, "top_k": 2, "top_p": 0.9, "stop": None},
    "nn.sample": lambda g: {"predictor": g["predictor"], "prime": g["words"], "length": 3, "temperature": 1.0,
                            "rng": 0, "top_k": None, "top_p": None, "stop": 0},
    "nn.beam_search": lambda g: {"predictor": g["predictor"], "prime": g["words"], "length": 3, "width": 2,
                                 "n_best": 1, "stop": 0, "length_penalty": 0.0, "minimum_length": 0},
    "nn.exact_search": lambda g: {"predictor": g["predictor"], "prime": g["words"], "length": 3, "stop": 0,
                                  "length_penalty": 0.0, "minimum_length": 0, "width": 2, "limit": 1000},
    "nn.forecast": lambda g: {"model": g["model"], "params": g["params"], "warm_up": g["x"], "steps": 3,
                              "feedback": None, "lengths": g["lengths"]},
    "nn.loss_hvp": lambda g: {"model": g["model"], "params": g["params"], "batch": g["batch"],
                              "direction": g["params"]},
    "nn.save": lambda g: {"path": Path("model.npz"), "model": g["model"], "params": g["params"],
                          "extra": {"scale": 2.0}},
    "nn.load": lambda g: {"path": Path("model.npz"), "cells": None, "parametrize": None},
    "engine.Stepper.__call__": lambda g: {"x": g["x"][0], "state": {"h": np.zeros((SIZE, 3))}},
    "engine.Stepper.branch": lambda g: {"x": g["x"][0], "state": {"h": np.zeros((SIZE, 3))}, "parents": None},
    "engine.Stepper.zeros": lambda g: {"batch_size": 2},
    "dynamics.StepDerivatives": lambda g: {"run": g["run_of_cell"]},
    "dynamics.StepDerivatives.matvec": lambda g: {"d_state": np.ones((STEPS, SIZE, 3)), "d_x": g["x"]},
    # Training.
    "training.fit": lambda g: {
        "model": g["model"], "params": g["params"], "data": [g["batch"]], "optimizer": g["optimizer"],
        "learning_rate": 0.01, "updates": 1, "epochs": None, "clip_norm": 1.0, "clip_value": None,
        "l2": 0.0, "penalty": None, "rng": 0, "validation": [g["batch"]], "validate_every": 1, "metrics": (),
        "shuffle": None, "early_stopping": None, "checkpoint": None, "checkpoint_every": None, "resume": False,
        "extra": None, "progress": False, "callback": None},
    "training.measure": lambda g: {"model": g["model"], "params": g["params"], "data": [g["batch"]], "metrics": ()},
    "training.evaluate": lambda g: {"model": g["model"], "params": g["params"], "data": [g["batch"]]},
    "training.diagnose": lambda g: {
        "model": g["model"], "batch": g["batch"], "history": None, "params": g["params"], "validation": None,
        "baseline": 1.0, "truncation": 4, "optimizer": "sgd", "learning_rate": 0.1},
    "training.minimize": lambda g: {"params": g["params"], "method": "L-BFGS-B"},
    "training schedule": lambda g: {"rate": 0.1},
    "training.fit for minutes": lambda g: {"minutes": None},
    "training.as_schedule": lambda g: {"learning_rate": 0.1},
    "training.constant": lambda g: {"rate": 0.1},
    "training.cosine": lambda g: {"rate": 0.1, "updates": 10, "final": 0.0},
    "training.exponential_decay": lambda g: {"rate": 0.1, "factor": 0.9, "updates_per_epoch": 3, "start_epoch": 0},
    "training.warmup": lambda g: {"schedule": 0.1, "updates": 10},
    "training.sgd": lambda g: {"momentum": 0.1, "nesterov": False},
    "training.adam": lambda g: {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "training.adamw": lambda g: {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01, "only": None},
    "training.rmsprop": lambda g: {"decay": 0.99, "eps": 1e-8, "momentum": 0.0},
    "training.riemannian_sgd": lambda g: {"momentum": 0.0, "retraction": "qr"},
    "training.riemannian_adam": lambda g: {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "retraction": "qr"},
    "training.projected": lambda g: {"inner": g["optimizer"]},
    "training.rebased": lambda g: {"inner": g["optimizer"], "every": 10},
    "training.EarlyStopping": lambda g: {"patience": 5, "min_delta": 0.0},
    "training.BatchList": lambda g: {"batches": [g["batch"]], "shuffle": 0},
    "training.apply_updates": lambda g: {"params": g["params"], "updates": g["grads"]},
    "training.clip_by_global_norm": lambda g: {"grads": g["grads"], "max_norm": 1.0},
    "training.clip_by_value": lambda g: {"grads": g["grads"], "limit": 1.0},
    "training.global_norm": lambda g: {"tree": g["grads"]},
    "training.clip_norm": lambda g: {"max_norm": 1.0},
    "training.clip_value": lambda g: {"limit": 1.0},
    "training.l2": lambda g: {"strength": 0.1, "only": None},
    "training.penalty": lambda g: {"function": lambda params: (0.0, params)},
    "training.weight_decay": lambda g: {"strength": 0.1, "only": None},
    "training.l2_penalty": lambda g: {"params": g["params"], "strength": 0.1, "only": None},
    "training.orthogonality_penalty": lambda g: {"params": g["params"], "strength": 0.1},
    "training.accuracy": lambda g: {"output": g["logits"], "targets": g["words"], "weights": np.ones((STEPS, SIZE))},
    "training.mean_absolute_error": lambda g: {"output": g["x"], "targets": g["real"],
                                               "weights": np.ones((STEPS, SIZE))},
    "training.load_checkpoint": lambda g: {"path": Path("checkpoint.npz")},
    "training.save_checkpoint": lambda g: {"path": Path("checkpoint.npz"),
                                           "checkpoint": examples()[training.Checkpoint]},
    "training.write_atomically": lambda g: {"path": Path("any.txt"), "write": lambda file: file.write(b"a")},
    # Weights from and to PyTorch.
    "interop.from_torch": lambda g: {"state_dict": g["state_dict"], "nonlinearity": None, "prefix": "rnn."},
    "interop.model_from_torch": lambda g: {"state_dict": g["state_dict"], "loss": "cross_entropy",
                                           "nonlinearity": None, "readout": None, "embedding": None},
    "interop.to_torch": lambda g: {"layers": (g["cell"], g["params"]["layers"]["0"]), "bias": True},
    # Data.
    "data.AddingProblem": lambda g: {"steps": 8, "batch_size": 2, "seed": 0, "dtype": "float64"},
    "data.AddingProblem.batch": lambda g: {"number": 1},
    "data.CopyingMemory": lambda g: {"delay": 8, "batch_size": 2, "seed": 0},
    "data.ContextDecision": lambda g: {"steps": 20, "batch_size": 2, "answer": 5, "strengths": (0.1, 0.2),
                                       "noise": 0.5, "seed": 0, "dtype": "float64"},
    "data.FlipFlop": lambda g: {"steps": 8, "batch_size": 2, "bits": 3, "probability": 0.1, "seed": 0,
                                "dtype": "float64"},
    "data.Buckets": lambda g: {"lengths": np.arange(1, 9), "batch_size": 3, "max_cells": None, "width": 1, "seed": 0},
    "data.PackedBatches": lambda g: {"sequences": g["sequences"], "targets": g["sequences"], "steps": 6,
                                     "batch_size": 2, "chosen": None, "seed": 0, "dtype": "float64"},
    "data.SequenceBatches": lambda g: {"sequences": g["sequences"], "targets": np.array([0, 1]), "batch_size": 2,
                                       "per_step": False, "chosen": None, "max_cells": None, "width": 1, "seed": 0,
                                       "dtype": "float64"},
    "data.Streams": lambda g: {"indices": np.arange(40), "batch_size": 2, "window": 4, "stride": 2, "partial": False},
    "data.Streams.batch": lambda g: {"number": 1},
    "data.Vocabulary": lambda g: {"characters": "abc?", "unknown": "?"},
    "data.Vocabulary.encode": lambda g: {"text": "def"},
    "data.Vocabulary.decode": lambda g: {"indices": np.arange(4)},
    "data.TokenVocabulary": lambda g: {"tokens": ["a", "b", "_", "?"], "padding": "_", "unknown": "?", "begin": None,
                                       "end": None},
    "data.Windows": lambda g: {"inputs": np.ones((20, 2)), "targets": np.ones((20, 2)), "steps": 5, "batch_size": 2,
                               "mask": np.ones(20), "seed": 0, "dtype": "float64"},
    "data.WithNoise": lambda g: {"source": [g["batch"]], "inputs": 0.1, "signals": {"noise": (0.1, 3)}, "seed": 0},
    "data.WithNoise.batch": lambda g: {"number": 0},
    "data.read_text": lambda g: {"path": Path("a.txt"), "shortest": 1},
    "data.patches": lambda g: {"images": np.ones((2, 8, 8)), "size": 2},
    "data.words": lambda g: {"text": "a b", "lower": True},
    # Parts of a cell, and what constrains its matrices.
    "cells.Drive": lambda g: {"name": "n", "operand": None, "input": True, "bias": True},
    "cells.Slot": lambda g: {"name": "h"},
    "cells.Unit": lambda g: {"name": "tau", "initial": 1.0, "low": 0.0, "high": 2.0},
    "cells.Structure": lambda g: {"kind": "dense", "heads": 1},
    "cells.Cell.init": lambda g: {"input_size": 2, "hidden_size": 3, "rng": 0, "dtype": "float64"},
    "cells.ctrnn": lambda g: {"dt": 0.1, "tau": 1.0, "learnt": False, "activation": "tanh", "noise": False},
    "cells.by_name": lambda g: {"name": "gru"},
    "parametrize.AlmostOrthogonal": lambda g: {"radius": 0.1},
    "parametrize.Antisymmetric": lambda g: {"damping": 0.0},
    "parametrize.Cayley": lambda g: {"negative": 0},
    "parametrize.Cayley.__call__": lambda g: {"free": np.arange(3.0)},
    "parametrize.EUNN": lambda g: {"layers": 2, "style": "neighbours"},
    "parametrize.Householder": lambda g: {"reflections": 2},
    "parametrize.Schur": lambda g: {"spread": 0.1},
    "parametrize.SpectralNorm": lambda g: {"bound": 1.0},
    "parametrize.SymmetricAntisymmetric": lambda g: {"share": 0.6, "damping": 0.1},
    "parametrize.UnitaryProduct": lambda g: {"seed": 0},
    "ode.Field.init": lambda g: {"input_size": 2, "hidden_size": 3, "rng": 0, "dtype": "float64"},
    # The character model.
    "study.Settings": lambda g: {"cell": "lstm", "hidden": 8, "layers": 1, "embedding": 4, "dropout": 0.0,
                                 "truncation": 5, "batch": 2, "updates": 2, "epochs": None, "minutes": None,
                                 "optimizer": "adam", "lr": 0.01, "schedule": "cosine", "warmup": 1},
    "study.load_corpus": lambda g: {"path": Path("corpus.txt"), "vocabulary": None},
    "study.load_model": lambda g: {"path": Path("model.npz")},
    "study.history_beside": lambda g: {"model": Path("model.npz")},
    "study.prepare_folder": lambda g: {"folder": Path("folder"), "overwrite": False},
    **fuzz_structures.STRUCTURES,
    **fuzz_study.STUDY,
    # Figures.
    **_plots(),
    "plot.attended_picture": lambda g: {"weights": np.full((2, 4), 0.25), "picture": np.ones((4, 4)),
                                        "words": ["a", "seven"], "axes": None},
    "plot.axes": lambda g: {"ax": None, "size": (5.0, 3.0)},
    "plot.clipping": lambda g: {"updates": LINES, "before": LINES, "after": LINES, "limit": 3.0, "ax": None},
    "plot.colour": lambda g: {"index": 0},
    "plot.coloured_text": lambda g: {"text": "ab", "values": np.array([0.1, -1.0]), "limit": None, "columns": 88,
                                     "title": None, "ax": None},
    "plot.given_or_panels": lambda g: {"given": None, "count": 1, "size": (5.0, 3.0)},
    "plot.held_inputs": lambda g: {"trajectories": np.ones((6, 2, 3)), "paths": [np.ones((4, 2, 3))], "points": [None],
                                   "labels": ["a"], "ax": None},
    "plot.learning_curve": lambda g: {"updates": LINES, "train": LINES, "validation_updates": LINES,
                                      "validation": LINES, "unit": "nats", "levels": None, "ax": None},
    "plot.norms": lambda g: {"arrays": {"h": np.ones((5, 2, 3))}, "what": "norm", "first": 1, "label": None,
                             "index": 0, "ax": None},
    "plot.panels": lambda g: {"columns": 1, "rows": 1, "size": (5.0, 3.0), "sharex": False, "sharey": False},
    "plot.smooth": lambda g: {"values": LINES, "window": 3},
    "plot.stability_region": lambda g: {"method": "rk4", "modes": None, "linear": 0.0, "limits": None, "label": None,
                                        "index": 0, "shade": True, "ax": None},
    "plot.states": lambda g: {"run": g["run_of_cell"], "slot": None, "sequence": 0, "ax": None},
    "plot.step_lengths": lambda g: {"updates": LINES, "steps": LINES, "ax": None},
    "plot.steps": lambda g: {"values": np.ones((6, 2)), "what": "value", "level": None, "label": None, "index": 0,
                             "ax": None},
    "plot.svg": lambda g: {"figure": plot.panels(1)[0]},
}  # fmt: skip

# The names under which a case is tried where `public` lists another one.
SAME = {"diagnose": "training.diagnose", "nn.EncoderDecoder": "nn.encoder_decoder"}
# Protocols, and what the library alone makes; what takes no argument; what draws for seconds, for which test_report has
# wrong arguments.
ELSEWHERE = {
    "nn.Batch", "nn.Context", "nn.Layer", "nn.Predictor", "nn.Pull", "nn.SourcePredictor", "study.Plan",
    "training.BatchSource", "training.Optimizer", "trees.TreeCell",
    "data.japanese_vowels", "nn.teacher_forcing", "plot.without_pyplot",
    "study.study", "study.write_report",
}  # fmt: skip
