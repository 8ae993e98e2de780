"""Optimizers, clipping, schedules, the loop, checkpoints on disk."""

from ..nn.files import write_atomically
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .clipping import clip_by_global_norm, clip_by_value, l2_penalty
from .diagnose import diagnose
from .early_stopping import EarlyStopping
from .edits import ErrorRates, edit_distance, error_rates
from .evaluate import evaluate, measure
from .history import History
from .loop import FitResult, fit
from .metrics import METRICS, accuracy, mean_absolute_error
from .minimize import minimize
from .optimizers import OPTIMIZERS, Optimizer, adam, adamw, apply_updates, rmsprop, sgd
from .orthogonality import orthogonality_penalty, projected, rebased, riemannian_adam, riemannian_sgd
from .schedules import Schedule, as_schedule, constant, cosine, exponential_decay, warmup
from .source import BatchList, BatchSource
from .transformations import Transformation, chain, clip_norm, clip_value, l2, penalty, weight_decay
from .tree import global_norm
from .update import DivergenceError

__all__ = [
    "METRICS",
    "OPTIMIZERS",
    "BatchList",
    "BatchSource",
    "Checkpoint",
    "DivergenceError",
    "EarlyStopping",
    "ErrorRates",
    "FitResult",
    "History",
    "Optimizer",
    "Schedule",
    "Transformation",
    "accuracy",
    "adam",
    "adamw",
    "apply_updates",
    "as_schedule",
    "chain",
    "clip_by_global_norm",
    "clip_by_value",
    "clip_norm",
    "clip_value",
    "constant",
    "cosine",
    "diagnose",
    "edit_distance",
    "error_rates",
    "evaluate",
    "exponential_decay",
    "fit",
    "global_norm",
    "l2",
    "l2_penalty",
    "load_checkpoint",
    "mean_absolute_error",
    "measure",
    "minimize",
    "orthogonality_penalty",
    "penalty",
    "projected",
    "rebased",
    "riemannian_adam",
    "riemannian_sgd",
    "rmsprop",
    "save_checkpoint",
    "sgd",
    "warmup",
    "weight_decay",
    "write_atomically",
]
