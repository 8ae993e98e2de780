"""Layers that are composed: each is a value and its pull-back."""

from .around import residual
from .base import Layer
from .composition import chain, concatenate
from .context import Context
from .directions import bidirectional
from .normalization import batch_norm, layer_norm
from .objective import Objective, ObjectiveRun
from .penalty import activation_penalty
from .pointwise import dense, dropout, embedding
from .pull import LayerGradients, Pull
from .recurrence import recurrent

__all__ = [
    "Context",
    "Layer",
    "LayerGradients",
    "Objective",
    "ObjectiveRun",
    "Pull",
    "activation_penalty",
    "batch_norm",
    "bidirectional",
    "chain",
    "concatenate",
    "dense",
    "dropout",
    "embedding",
    "layer_norm",
    "recurrent",
    "residual",
]
