"""The arguments that a case of the fuzzing begins with, for trees, attention, encoder-decoders and other objectives."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import data as datasets
from recurrent_dynamics import dynamics, nn, training
from recurrent_dynamics.equations import tanh

NODES, STEPS, SIZE, CLASSES = 5, 4, 2, 5


@lru_cache(maxsize=1)
def given_structures() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    summed, tree = rd.trees.child_sum_lstm(), rd.trees.from_nested((((), ()), ()))
    tree_params = summed.init(2, 3, rng=0, dtype="float64")
    x = rng.standard_normal((NODES, 2))
    run = rd.trees.forward(summed, tree_params, tree, x)
    rd.trees.hvp(run, run.output, d_x=x)  # compiled here, which takes longer than a case may
    tree_model = nn.TreeModel(summed, 3, 2, input_size=2)
    attention = rd.cells.attention(rd.cells.gru(), values="3")
    reads = attention.init(2, 3, rng=0, dtype="float64")
    memory = {"keys": rng.standard_normal((STEPS, SIZE, 3)), "values": rng.standard_normal((STEPS, SIZE, 3))}
    inputs = rng.standard_normal((STEPS, SIZE, 2))
    read = rd.forward(attention, reads, inputs, memory=memory)
    gru = nn.recurrent(rd.cells.gru(), 3)
    encoder = nn.chain(nn.embedding(CLASSES, 2), gru)
    model = nn.encoder_decoder(encoder, gru, classes=CLASSES, begin=0, end=1)
    numbers = nn.encoder_decoder(nn.recurrent(rd.cells.gru(), 3, 2), gru, output_size=1)
    words = rng.integers(2, CLASSES, (2, STEPS, SIZE))
    params, of_numbers = (m.init(rng=0, dtype="float64") for m in (model, numbers))
    two = nn.TwoReadings(nn.embedding(CLASSES, 3), nn.chain(nn.embedding(CLASSES, 2), gru, nn.dense(None, 2)))
    ctc = nn.CtcObjective(nn.chain(nn.embedding(CLASSES, 2), gru, nn.dense(None, 4)))
    return {
        "tree": tree, "summed": summed, "tree_params": tree_params, "x": x, "tree_run": run,
        "tree_grads": rd.trees.backward(run, run.output), "d_nodes": rng.standard_normal((NODES, 3)),
        "tree_model": tree_model, "tree_model_params": tree_model.init(rng=0, dtype="float64"),
        "attention": attention, "reads": reads, "memory": memory, "inputs": inputs, "read": read,
        "d_read": rng.standard_normal(read.output.shape), "gru": gru, "encoder": encoder, "model": model,
        "numbers": numbers, "words": words, "params": params, "of_numbers": of_numbers, "ctc": ctc,
        "ctc_params": ctc.init(rng=0, dtype="float64"), "lengths": np.array([4, 2]),
        "pairs": nn.Pairs(words[0], words[1]), "labels": {"inputs": words[0], "targets": words[1][:2] - 1},
        "two": two, "two_params": two.init(rng=0, dtype="float64"),
        "pair": {"inputs": words[1], "source": words[0], "targets": np.array([0, 1])},
        "predictor": model.predictor(params, words[0]), "batch": nn.Batch(inputs, np.zeros((STEPS, SIZE), int)),
    }  # fmt: skip


def _of_tree(drive: Any) -> dict[str, Any]:
    return {"h": tanh(drive.n)}


def _given(name: str) -> Callable[[Any], Any]:
    """The instance of that name."""
    return lambda _: given_structures()[name]


# What a method belongs to.
INSTANCES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "trees.TreeCell": _given("summed"),
    "trees.Forest": _given("tree"),
    "nn.TreeModel": _given("tree_model"),
    "nn.EncoderDecoder": _given("model"),
    "nn.EncoderDecoder of numbers": _given("numbers"),
    "nn.CtcObjective": _given("ctc"),
    "nn.TwoReadings": _given("two"),
    "nn.TeacherRatio": lambda _: nn.TeacherRatio.linear(10),
    "data.Augmented": lambda _: datasets.Augmented([given_structures()["batch"]], datasets.crop(0.5)),
    "data.NamedBatches": lambda _: datasets.NamedBatches({"a": [[1, 2], [3]]}, batch_size=1),
}

# Functions whose arguments have no names of their own, and what an error calls them instead.
ADAPTED: dict[str, Callable[..., Any]] = {
    "trees.from_nested": lambda tree: rd.trees.from_nested(tree),
    "forward with attention": rd.forward,
    "stepper with attention": rd.stepper,
    "dynamics.alignment of attention": dynamics.alignment,
    "training.chain": lambda part: training.chain(part, training.adam()),
    "data.Augmented": lambda source, change, seed: datasets.Augmented(source, change, seed=seed),
    "nn.Pairs in a loss": lambda **fields: given_structures()["model"].loss_and_grad(
        given_structures()["params"], nn.Pairs(**fields)
    ),
    "nn.Pairs of numbers in a loss": lambda **fields: given_structures()["numbers"].loss_and_grad(
        given_structures()["of_numbers"], nn.Pairs(**fields)
    ),
    "nn.TeacherRatio.__call__": lambda update: nn.TeacherRatio.linear(10)(update),
}

# Where arguments belong together, an error may speak of another one.
ALSO_CALLED: dict[str, dict[str, tuple[str, ...]]] = {
    "trees.from_nested": {"tree": ("trees",)},
    "trees.forest": {"parents": ("positions",)},
    "trees.forward": {"params": ("x",)},
    "trees.n_ary": {"drives": ("bias",)},
    "nn.TreeModel.run": {"params": ("x",), "batch": ("inputs",)},
    "nn.TreeModel.loss_and_grad": {"params": ("x",), "batch": ("inputs",)},
    "nn.TreeModel.predict": {"params": ("x",)},
    "forward with attention": {"x": ("memory_of",)},
    "cells.attention": {"score": ("len",)},  # a function of another kind, called with keys and query
    "nn.EncoderDecoder.predictor": {"source": ("source_lengths",)},
    "nn.EncoderDecoder.decode": {"source": ("source_lengths",)},
    "nn.EncoderDecoder of numbers.free_run": {"source": ("source_lengths",)},
    "nn.Pairs in a loss": {"source": ("source_lengths",)},
    "nn.Pairs of numbers in a loss": {"source": ("source_lengths",)},
    "nn.loop_growth": {"source": ("source_lengths",)},
    "nn.TwoReadings.run": {"batch": ("inputs",)},
    "nn.TwoReadings.loss_and_grad": {"batch": ("inputs", "targets")},
    "nn.TwoReadings.predict": {"source": ("source_lengths",), "inputs": ("inputs_lengths",)},
    "nn.CtcObjective.run": {"batch": ("inputs",)},
    "nn.CtcObjective.loss_and_grad": {"batch": ("inputs", "targets")},
    "nn.CtcObjective.decode": {"inputs": ("lengths",)},
    "nn.weight_drop": {"params": ("rates",)},
    "training.error_rates": {"several": ("targets",)},
    "training.chain": {"part": ("parts", "optimizer")},
    "data.Augmented": {"source": ("data", "batch"), "change": ("changes",)},
    "nn.TeacherRatio": {
        "kind": ("updates", "k", "ratio", "base"),
        "value": ("updates", "k", "ratio", "base"),
    },
}

S = given_structures
STRUCTURES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    # Trees.
    "trees.forward": lambda _: {
        "cell": S()["summed"], "params": S()["tree_params"], "graph": S()["tree"], "x": S()["x"],
        "initial": {"h": np.zeros((1, 3)), "c": np.zeros((1, 3))}, "signals": None, "check_finite": True},
    "trees.backward": lambda _: {"run": S()["tree_run"], "d_output": S()["d_nodes"],
                                 "d_states": {"c": S()["d_nodes"]}},
    "trees.jvp": lambda _: {"run": S()["tree_run"], "d_params": dict(S()["tree_params"]), "d_x": S()["x"],
                            "d_initial": {"h": np.zeros((1, 3))}, "d_signals": None},
    "trees.hvp": lambda _: {"run": S()["tree_run"], "d_output": S()["d_nodes"], "d_params": dict(S()["tree_params"]),
                            "d_output_tangent": S()["d_nodes"], "d_x": S()["x"], "d_initial": None, "d_signals": None,
                            "d_states": {"c": S()["d_nodes"]}, "d_states_tangent": None},
    "trees.jacobian": lambda _: {"run": S()["tree_run"], "arcs": np.array([0, 1])},
    "trees.gradient_by_depth": lambda _: {"grads": S()["tree_grads"], "slot": None},
    "trees.jacobian_by_depth": lambda _: {"run": S()["tree_run"]},
    "trees.forest": lambda _: {"parents": np.array([-1, 0, 0, 2, 2]), "positions": np.array([0, 0, 1, 0, 1])},
    "trees.from_children": lambda _: {"children": [[1, 2], [], []]},
    "trees.from_nested": lambda _: {"tree": ((), ((), ()))},
    "trees.skip_connections": lambda _: {"steps": 6, "lags": (1, 3), "batch": 2},
    "trees.child_sum": lambda _: {"node": rd.cells.gru(), "arc": None, "name": "sum"},
    "trees.n_ary": lambda _: {"name": "two", "state": ("h",), "drives": ("n",), "update": _of_tree, "children": 2,
                              "recurrent": ("h",), "units": (), "signals": (), "bias": {"n": 0.1}},
    "trees.child_sum_lstm": lambda _: {"forget_bias": 0.0},
    "trees.n_ary_lstm": lambda _: {"children": 2, "forget_bias": 0.0},
    "trees.recursive": lambda _: {"children": 2, "activation": "tanh"},
    "trees.TreeCell.init": lambda _: {"input_size": 2, "hidden_size": 3, "rng": 0, "dtype": "float64"},
    "trees.Forest.children": lambda _: {"node": 0},
    "trees.Forest.of_tree": lambda _: {"tree": 0},
    "trees.Forest.part": lambda _: {"trees": np.array([0])},
    "nn.TreeModel": lambda _: {"cell": S()["summed"], "hidden_size": 3, "output_size": 2, "input_size": 2,
                               "vocabulary_size": None, "loss": "cross_entropy", "where": "roots"},
    "nn.TreeModel.init": lambda _: {"rng": 0, "dtype": "float64"},
    "nn.TreeModel.run": lambda _: {"params": S()["tree_model_params"], "batch": ((S()["tree"], S()["x"]), [1]),
                                   "initial": None, "dropout_rng": None},
    "nn.TreeModel.loss_and_grad": lambda _: {"params": S()["tree_model_params"],
                                             "batch": ((S()["tree"], S()["x"]), [1])},
    "nn.TreeModel.predict": lambda _: {"params": S()["tree_model_params"], "inputs": (S()["tree"], S()["x"]),
                                       "kind": "output", "signals": None},
    # Attention.
    "forward with attention": lambda _: {"cell": S()["attention"], "params": S()["reads"], "x": S()["inputs"],
                                         "memory": S()["memory"], "memory_lengths": S()["lengths"],
                                         "memory_of": np.array([0, 1])},
    "stepper with attention": lambda _: {"cell": S()["attention"], "params": S()["reads"], "memory": S()["memory"],
                                         "memory_lengths": S()["lengths"]},
    "cells.attention": lambda _: {"cell": rd.cells.gru(), "score": "additive", "keys": "3", "values": "3",
                                  "query": "before", "input_feeding": True, "location": 0, "coverage": False,
                                  "weights": "softmax", "alignment": False},
    "dynamics.alignment of attention": lambda _: {"run": S()["read"]},
    "dynamics.attention_paths": lambda _: {"run": S()["read"], "d_output": S()["d_read"]},
    # Encoder and decoder.
    "nn.encoder_decoder": lambda _: {
        "encoder": S()["encoder"], "decoder": S()["gru"], "classes": CLASSES, "output_size": None, "begin": 0, "end": 1,
        "embedding_size": 2, "start": "dense", "summary": "last", "every_step": False, "feeding": None},
    "nn.EncoderDecoder.init": lambda _: {"rng": 0, "dtype": "float64"},
    "nn.EncoderDecoder.run": lambda _: {"params": S()["params"], "batch": S()["pairs"], "initial": None,
                                        "dropout_rng": None},
    "nn.EncoderDecoder.loss_and_grad": lambda _: {"params": S()["params"], "batch": S()["pairs"]},
    "nn.EncoderDecoder.predictor": lambda _: {"params": S()["params"], "source": S()["words"][0],
                                              "source_lengths": S()["lengths"], "first": np.array([0, 2])},
    "nn.EncoderDecoder.decode": lambda _: {
        "params": S()["params"], "source": S()["words"][0], "source_lengths": S()["lengths"], "length": 3, "width": 2,
        "n_best": 1, "length_penalty": 0.0, "minimum_length": 0, "coverage_penalty": 0.0, "first": np.array([0, 2])},
    "nn.EncoderDecoder of numbers.free_run": lambda _: {
        "params": S()["of_numbers"], "source": S()["inputs"], "source_lengths": S()["lengths"], "steps": 3,
        "first": np.zeros((SIZE, 1))},
    "nn.Pairs in a loss": lambda _: {"source": S()["words"][0], "target": S()["words"][1],
                                     "source_lengths": S()["lengths"], "target_lengths": S()["lengths"],
                                     "first": np.array([0, 2])},
    "nn.Pairs of numbers in a loss": lambda _: {
        "source": S()["inputs"], "target": np.ones((3, SIZE, 1)), "source_lengths": S()["lengths"],
        "target_lengths": np.array([1, 3]), "first": np.zeros((SIZE, 1))},
    "nn.Feeding": lambda _: {"ratio": nn.TeacherRatio.constant(0.5), "draw": "sample"},
    "nn.TeacherRatio": lambda _: {"kind": "linear", "value": 10.0, "first": 1.0, "last": 0.0},
    "nn.TeacherRatio.__call__": lambda _: {"update": 3},
    "nn.scheduled_sampling": lambda _: {"ratio": 0.5, "draw": "sample"},
    "nn.free_running": lambda _: {"draw": "sample"},
    "nn.exposure_bias": lambda _: {
        "predictor": S()["predictor"], "target": S()["words"][1], "target_lengths": S()["lengths"], "prime": None,
        "stop": 1, "samples": 4, "rng": 0, "limit": 100},
    "nn.loop_growth": lambda _: {
        "model": S()["numbers"], "params": S()["of_numbers"], "source": S()["inputs"], "source_lengths": S()["lengths"],
        "steps": 3, "first": np.zeros((SIZE, 1))},
    "nn.TwoReadings": lambda _: {"encoder": nn.embedding(CLASSES, 3), "reader": S()["two"].reader,
                                 "loss": "cross_entropy", "pool": "last", "start": "dense", "summary": "last"},
    "nn.TwoReadings.init": lambda _: {"rng": 0, "dtype": "float64"},
    "nn.TwoReadings.run": lambda _: {"params": S()["two_params"], "batch": S()["pair"], "initial": None},
    "nn.TwoReadings.loss_and_grad": lambda _: {"params": S()["two_params"], "batch": S()["pair"]},
    "nn.TwoReadings.predict": lambda _: {
        "params": S()["two_params"], "source": S()["words"][0], "inputs": S()["words"][1], "kind": "class",
        "source_lengths": S()["lengths"], "inputs_lengths": S()["lengths"]},
    # Labels that are not aligned, noise on weights, and what changes data and gradients.
    "nn.CtcObjective": lambda _: {"layer": S()["ctc"].layer, "frames": 1, "blank": 0, "zero_infinity": False},
    "nn.CtcObjective.init": lambda _: {"rng": 0, "dtype": "float64"},
    "nn.CtcObjective.run": lambda _: {"params": S()["ctc_params"], "batch": S()["labels"], "initial": None},
    "nn.CtcObjective.loss_and_grad": lambda _: {"params": S()["ctc_params"], "batch": S()["labels"]},
    "nn.CtcObjective.decode": lambda _: {"params": S()["ctc_params"], "inputs": S()["words"][0],
                                         "lengths": S()["lengths"], "width": 2, "n_best": 1},
    "nn.weight_drop": lambda _: {"params": {"U": np.ones((3, 3)), "b": np.ones(3)}, "rates": {"U": 0.5}, "rng": 0},
    "training.Transformation": lambda _: {"update": lambda g, s, p, r: (g, s), "init": None, "of_step": False,
                                          "clips": False, "max_norm": None},
    "training.chain": lambda _: {"part": training.clip_norm(1.0)},
    "training.edit_distance": lambda _: {"found": np.array([1, 2, 3]), "target": np.array([1, 3])},
    "training.error_rates": lambda _: {"found": ["ab", "c"], "targets": ["a", "c"], "several": False},
    "data.Augmented": lambda _: {"source": [S()["batch"]], "change": datasets.crop(0.5), "seed": 0},
    "data.Augmented.batch": lambda _: {"number": 1},
    "data.NamedBatches": lambda _: {
        "sequences": {"a": [[1, 2], [3]]}, "values": {"b": np.array([0.5, 1.0])}, "batch_size": 1,
        "chosen": np.array([1, 0]), "max_cells": None, "width": 1, "seed": 0, "dtype": "float64"},
    "data.NamedBatches.batch": lambda _: {"number": 1},
    "data.scene_questions": lambda _: {"scenes": datasets.digit_scenes(np.ones((2, 4, 4)), [3, 7], 2), "rng": 0},
    "data.syntax_trees": lambda _: {"sources": {"one": "x = 1 + f(2)"}, "root": "module", "max_nodes": None},
    "data.standard_library": lambda _: {"size": 100},
    "data.aeon_series": lambda _: {"name": "GunPoint"},
    "data.digits": lambda _: {"dtype": "float64"},
    "data.monthly_series": lambda _: {"name": "elnino"},
    "data.pronunciations": lambda _: {"stress": False, "abbreviations": False},
}  # fmt: skip
