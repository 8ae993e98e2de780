"""Search and sampling of sequences, over anything that predicts the next symbol."""

from .beam import beam_search
from .exact import exact_search
from .exposure import ExposureBias, exposure_bias
from .function_predictor import FunctionPredictor
from .model_predictor import ModelPredictor
from .predictor import Predictor
from .result import Decoded
from .sampling import sample

__all__ = [
    "Decoded",
    "ExposureBias",
    "FunctionPredictor",
    "ModelPredictor",
    "Predictor",
    "beam_search",
    "exact_search",
    "exposure_bias",
    "sample",
]
