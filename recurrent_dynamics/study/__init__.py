"""The main job: train a character model on a text, take it apart, and report what it is like inside."""

from .ahead import analyses_beside
from .constant_input import Held
from .corpus import Corpus, load_corpus
from .measure import Layer, Measurements, measure
from .model_file import CharacterModel, load_model, save_model
from .origin import Origin
from .phase_portraits import Portrait, portraits
from .pipeline import history_beside, prepare_folder, study
from .report import write_report
from .resume import Plan, plan
from .settings import Settings
from .train import Trained, train

__all__ = [
    "CharacterModel",
    "Corpus",
    "Held",
    "Layer",
    "Measurements",
    "Origin",
    "Plan",
    "Portrait",
    "Settings",
    "Trained",
    "analyses_beside",
    "history_beside",
    "load_corpus",
    "load_model",
    "measure",
    "plan",
    "portraits",
    "prepare_folder",
    "save_model",
    "study",
    "train",
    "write_report",
]
