"""Sequence to sequence: an encoder, a decoder that begins where it ended, and what is read in training."""

from .feeding import Feeding, TeacherRatio, free_running, scheduled_sampling, teacher_forcing
from .loop_growth import LoopGrowth, loop_growth
from .making import encoder_decoder
from .objective import EncoderDecoder
from .pairs import Pairs
from .predictor import SourcePredictor
from .results import EncoderDecoderGradients, EncoderDecoderRun

__all__ = [
    "EncoderDecoder",
    "EncoderDecoderGradients",
    "EncoderDecoderRun",
    "Feeding",
    "LoopGrowth",
    "Pairs",
    "SourcePredictor",
    "TeacherRatio",
    "encoder_decoder",
    "free_running",
    "loop_growth",
    "scheduled_sampling",
    "teacher_forcing",
]
