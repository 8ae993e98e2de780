"""The tables of ``benchmarks/peers.py``, each a function of the module that is named here."""

CELLS = ["lstm", "gru", "elman"]
TABLES = {
    "recurrences": "recurrences",
    "float64": "recurrences",
    "normalized": "recurrences",
    "ragged": "recurrences",
    "inference": "inference",
    "streaming": "streaming",
    "jacobians": "jacobians",
    "peak": "peak",
    "character": "character",
    "memory": "memory",
    "ctc": "labelling",
    "attention": "attention",
    "beam": "beam",
    "trees": "trees",
    "bidirectional": "directions",
    "bidirectional_ragged": "directions",
}
