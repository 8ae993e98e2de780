"""Names for people: of cells, optimizers, characters, and durations."""

from __future__ import annotations

ABBREVIATIONS = {
    "cfc": "closed-form continuous-time network",
    "cornn": "coRNN",
    "ctrnn": "continuous-time RNN",
    "elman": "Elman network",
    "es2n": "ES²N",
    "gru": "GRU",
    "gru_ode": "GRU-ODE",
    "gru_reset_before": "GRU (reset before the product)",
    "indrnn": "IndRNN",
    "lem": "LEM",
    "leaky": "leaky network",
    "linear": "linear network",
    "lipschitz_rnn": "Lipschitz RNN",
    "lstm": "LSTM",
    "ltc": "liquid time-constant network",
    "min_gru": "minGRU",
    "min_lstm": "minLSTM",
    "modrelu_rnn": "modReLU RNN",
    "shplrnn": "shPLRNN",
    "unicornn": "UnICORNN",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "sgd": "SGD",
}
CHARACTERS = {
    " ": "space",
    "\n": "line feed",
    "\t": "tab",
    '"': "double quote",
    "'": "single quote",
    "`": "backquote",
    "\\": "backslash",
    ",": "comma",
    ".": "full stop",
    "-": "hyphen",
    "_": "underscore",
}


def in_words(name: str) -> str:
    """What people call a cell or an optimizer that an option names.

    Examples
    --------
    >>> in_words("lstm"), in_words("lstm_coupled"), in_words("antisymmetric_rnn"), in_words("mut3")
    ('LSTM', 'LSTM coupled', 'antisymmetric RNN', 'MUT3')
    """
    if name in ABBREVIATIONS:
        return ABBREVIATIONS[name]
    parts = [p.upper() if p in ("lstm", "gru", "rnn", "mut3") else p for p in name.split("_")]
    return " ".join(parts)


def character(text: str) -> str:
    """A character as a word where the sign alone is hard to read, else in quotes.

    Examples
    --------
    >>> character(" "), character("#")
    ('space', '“#”')
    """
    known = CHARACTERS.get(text)
    return known if known else f"“{text}”" if text.isprintable() else f"U+{ord(text):04X}"


def duration(seconds: float) -> str:
    """Seconds, or minutes where there are many."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
