"""Layers around the recurrence: embedding, deep stacks, readout, losses, sampling, forecasts."""

from .batch import Batch
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
    "Model",
    "ModelGradients",
    "ModelRun",
    "SavedModel",
    "cross_entropy",
    "embed",
    "embedding_gradient",
    "forecast",
    "generate",
    "load",
    "loss_hvp",
    "mean_squared_error",
    "save",
]
