"""Text, series, sequences of different lengths and sequence tasks, cut into batches."""

from . import tasks, text
from .sequences import SequenceBatches, pad, partition
from .series import Windows, WithNoise
from .signals import text_signals
from .source import standard_library
from .tasks import AddingProblem, ContextDecision, CopyingMemory, FlipFlop
from .text import Streams, Vocabulary, read_text, split

__all__ = [
    "AddingProblem",
    "ContextDecision",
    "CopyingMemory",
    "FlipFlop",
    "SequenceBatches",
    "Streams",
    "Vocabulary",
    "Windows",
    "WithNoise",
    "pad",
    "partition",
    "read_text",
    "split",
    "standard_library",
    "tasks",
    "text",
    "text_signals",
]
