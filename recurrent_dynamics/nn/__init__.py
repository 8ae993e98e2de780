"""Layers around the recurrence: embedding, deep stacks, readout, losses, sampling, forecasts, CTC."""

from .batch import Batch
from .ctc import ctc_hvp, ctc_loss
from .ctc_search import CtcAlignment, CtcLabels, ctc_align, ctc_decode
from .embedding import embed, embedding_gradient
from .forecasting import forecast
from .losses import cross_entropy, mean_squared_error
from .model import Model
from .results import ModelGradients, ModelRun
from .sampling import generate
from .saved import SavedModel, load, save
from .second_order import loss_hvp

__all__ = [
    "Batch",
    "CtcAlignment",
    "CtcLabels",
    "Model",
    "ModelGradients",
    "ModelRun",
    "SavedModel",
    "cross_entropy",
    "ctc_align",
    "ctc_decode",
    "ctc_hvp",
    "ctc_loss",
    "embed",
    "embedding_gradient",
    "forecast",
    "generate",
    "load",
    "loss_hvp",
    "mean_squared_error",
    "save",
]
