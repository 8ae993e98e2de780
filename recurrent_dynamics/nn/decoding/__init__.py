"""Search and sampling of sequences, over anything that predicts the next symbol."""

from .beam import beam_search
from .exact import exact_search
from .function_predictor import FunctionPredictor
from .model_predictor import ModelPredictor
from .predictor import Predictor
from .result import Decoded
from .sampling import sample

__all__ = [
    "Decoded",
    "FunctionPredictor",
    "ModelPredictor",
    "Predictor",
    "beam_search",
    "exact_search",
    "sample",
]
