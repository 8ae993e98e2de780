"""Layers around the recurrence: embedding, deep stacks, readout, losses, sampling, forecasts."""

from .batch import Batch
from .embedding import embed, embedding_gradient
from .forecasting import forecast
from .losses import cross_entropy, mean_squared_error
from .model import Model
from .results import ModelGradients, ModelRun
from .sampling import generate

__all__ = [
    "Batch",
    "Model",
    "ModelGradients",
    "ModelRun",
    "cross_entropy",
    "embed",
    "embedding_gradient",
    "forecast",
    "generate",
    "mean_squared_error",
]
