"""Text and sequence tasks, cut into batches."""

from . import tasks, text
from .tasks import AddingProblem, CopyingMemory, FlipFlop
from .text import Streams, Vocabulary, read_text, split, standard_library

__all__ = [
    "AddingProblem",
    "CopyingMemory",
    "FlipFlop",
    "Streams",
    "Vocabulary",
    "read_text",
    "split",
    "standard_library",
    "tasks",
    "text",
]
