"""Layers around the recurrence, models of them: embedding, directions, readout, losses, CTC, decoding, forecasts."""

from .batch import Batch
from .ctc import ctc_hvp, ctc_loss
from .ctc_objective import CtcObjective
from .ctc_search import CtcAlignment, CtcLabels, ctc_align, ctc_decode
from .decoding import (
    Decoded,
    ExposureBias,
    FunctionPredictor,
    ModelPredictor,
    Predictor,
    beam_search,
    exact_search,
    exposure_bias,
    sample,
)
from .encoder_decoder import (
    EncoderDecoder,
    EncoderDecoderGradients,
    EncoderDecoderRun,
    Feeding,
    LoopGrowth,
    Pairs,
    SourcePredictor,
    TeacherRatio,
    encoder_decoder,
    free_running,
    loop_growth,
    scheduled_sampling,
    teacher_forcing,
)
from .forecasting import forecast
from .layers import (
    Context,
    Layer,
    LayerGradients,
    Objective,
    ObjectiveRun,
    Pull,
    activation_penalty,
    batch_norm,
    bidirectional,
    chain,
    concatenate,
    dense,
    dropout,
    embedding,
    layer_norm,
    recurrent,
    residual,
)
from .losses import cross_entropy, mean_squared_error
from .model import Model
from .results import ModelGradients, ModelRun
from .sampling import generate
from .saved import SavedModel, load, save
from .second_order import loss_hvp
from .table import embed, embedding_gradient
from .trees import TreeModel, TreeModelGradients, TreeModelRun
from .two_readings import TwoReadings, TwoReadingsGradients, TwoReadingsRun
from .weight_drop import weight_drop

__all__ = [
    "Batch",
    "CtcAlignment",
    "CtcLabels",
    "CtcObjective",
    "Context",
    "Layer",
    "LayerGradients",
    "Decoded",
    "EncoderDecoder",
    "EncoderDecoderGradients",
    "EncoderDecoderRun",
    "ExposureBias",
    "Feeding",
    "FunctionPredictor",
    "Model",
    "ModelGradients",
    "ModelPredictor",
    "ModelRun",
    "LoopGrowth",
    "Objective",
    "ObjectiveRun",
    "Pairs",
    "Pull",
    "SavedModel",
    "SourcePredictor",
    "TeacherRatio",
    "TreeModel",
    "TreeModelGradients",
    "TreeModelRun",
    "TwoReadings",
    "TwoReadingsGradients",
    "TwoReadingsRun",
    "activation_penalty",
    "batch_norm",
    "bidirectional",
    "chain",
    "concatenate",
    "Predictor",
    "beam_search",
    "cross_entropy",
    "ctc_align",
    "ctc_decode",
    "ctc_hvp",
    "ctc_loss",
    "dense",
    "dropout",
    "embed",
    "embedding",
    "embedding_gradient",
    "encoder_decoder",
    "exact_search",
    "exposure_bias",
    "forecast",
    "free_running",
    "generate",
    "layer_norm",
    "load",
    "loop_growth",
    "loss_hvp",
    "mean_squared_error",
    "recurrent",
    "residual",
    "sample",
    "save",
    "weight_drop",
    "scheduled_sampling",
    "teacher_forcing",
]
