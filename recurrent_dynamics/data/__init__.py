"""Text, series, sequences of different lengths and sequence tasks, cut into batches."""

from . import tasks, text
from .augmentation import Augmented, crop, drop_tokens, time_warp
from .buckets import Buckets
from .loaders import (
    Digits,
    LabelledSeries,
    MonthlySeries,
    Pronunciations,
    aeon_series,
    digits,
    japanese_vowels,
    monthly_series,
    patches,
    pronunciations,
)
from .named import NamedBatches, collate
from .packing import PackedBatches
from .padding import pad
from .parts import partition
from .scenes import Questions, Scenes, digit_scenes, scene_questions
from .sequences import SequenceBatches
from .series import Windows, WithNoise
from .signals import text_signals
from .source import standard_library
from .syntax_trees import SyntaxTrees, syntax_trees
from .tasks import AddingProblem, ContextDecision, CopyingMemory, FlipFlop
from .text import Streams, Vocabulary, read_text, split
from .tokens import TokenVocabulary, words

__all__ = [
    "AddingProblem",
    "Augmented",
    "Buckets",
    "ContextDecision",
    "CopyingMemory",
    "Digits",
    "FlipFlop",
    "LabelledSeries",
    "NamedBatches",
    "MonthlySeries",
    "PackedBatches",
    "Pronunciations",
    "Questions",
    "Scenes",
    "SequenceBatches",
    "Streams",
    "SyntaxTrees",
    "TokenVocabulary",
    "Vocabulary",
    "Windows",
    "WithNoise",
    "aeon_series",
    "collate",
    "crop",
    "digit_scenes",
    "digits",
    "drop_tokens",
    "japanese_vowels",
    "monthly_series",
    "pad",
    "partition",
    "patches",
    "pronunciations",
    "read_text",
    "scene_questions",
    "split",
    "standard_library",
    "syntax_trees",
    "tasks",
    "text",
    "text_signals",
    "time_warp",
    "words",
]
