"""Vocabularies of tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import Refusal, refused, wrong_type

from recurrent_dynamics.data import TokenVocabulary, words

SPECIAL = {"padding": "<pad>", "unknown": "<unk>", "begin": "<s>", "end": "</s>"}
TOKENS = st.lists(st.text(min_size=1, max_size=4), max_size=12)


@settings(max_examples=100, deadline=None)
@given(
    sentences=st.lists(TOKENS, min_size=1, max_size=8),
    special=st.fixed_dictionaries({}, optional={name: st.just(token) for name, token in SPECIAL.items()}),
    minimum=st.integers(1, 3),
)
def test_what_is_known_comes_back_and_the_rest_is_unknown(sentences, special, minimum):
    special = {**special, "unknown": "<unk>"}
    vocabulary = TokenVocabulary.from_sequences(sentences, minimum=minimum, **special)
    flat = [token for sentence in sentences for token in sentence]
    assert set(vocabulary.tokens) == set(special.values()) | {t for t in flat if flat.count(t) >= minimum}
    for sentence in sentences:
        indices = vocabulary.encode(sentence, begin="begin" in special, end="end" in special)
        assert indices.dtype == np.int64
        assert len(indices) == len(sentence) + ("begin" in special) + ("end" in special)
        kept = [t if t in vocabulary else "<unk>" for t in sentence]
        assert vocabulary.decode(indices) == kept
        begin, end = [["<s>"], []]["begin" not in special], [["</s>"], []]["end" not in special]
        assert vocabulary.decode(indices, special=True) == begin + kept + end
    again = TokenVocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)


def test_counts_order_the_tokens_and_the_special_ones_come_first():
    counts = {"b": 3, "a": 3, "c": 9, "d": 1, "<s>": 7}
    vocabulary = TokenVocabulary.from_counts(counts, minimum=2, **SPECIAL)
    assert vocabulary.tokens == ("<pad>", "<unk>", "<s>", "</s>", "c", "a", "b")
    assert vocabulary.indices == {"padding": 0, "unknown": 1, "begin": 2, "end": 3}
    assert TokenVocabulary.from_counts(counts, most=2).tokens == ("c", "<s>")
    assert "a" in vocabulary
    assert "d" not in vocabulary


def test_decoding_ends_at_the_first_end_and_skips_padding():
    vocabulary = TokenVocabulary(["x", "y", *SPECIAL.values()], **SPECIAL)
    assert vocabulary.decode([4, 0, 3, 2, 1, 5, 0, 1]) == ["x", "<unk>", "y"]
    assert vocabulary.decode([]) == []


def test_a_file_keeps_it(tmp_path):
    vocabulary = TokenVocabulary(["é", "b", *SPECIAL.values()], **SPECIAL)
    vocabulary.save(tmp_path / "tokens.json")
    assert TokenVocabulary.load(tmp_path / "tokens.json") == vocabulary
    assert [p.name for p in tmp_path.iterdir()] == ["tokens.json"]
    for text in ('{"tokens": ["a"]}', "[]", "{", "\udcff"):
        (tmp_path / "other.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        with refused(str(tmp_path / "other.json"), "as TokenVocabulary"):
            TokenVocabulary.load(tmp_path / "other.json")
    with pytest.raises(FileNotFoundError):
        TokenVocabulary.load(tmp_path / "none.json")


PLAIN, FULL = TokenVocabulary(["a", "b"]), TokenVocabulary(["a", *SPECIAL.values()], **SPECIAL)


@pytest.mark.parametrize(
    ("refusal", "call"),
    [
        (Refusal("tokens", "hold at least one"), lambda: TokenVocabulary([])),
        (Refusal("tokens", came="'a' twice"), lambda: TokenVocabulary(["a", "b", "a"])),
        (Refusal("tokens", "at least one character"), lambda: TokenVocabulary(["a", ""])),
        (Refusal("end", "one of the tokens"), lambda: TokenVocabulary(["a"], end="b")),
        (Refusal("end", came="special already"), lambda: TokenVocabulary(["a"], begin="a", end="a")),
        (Refusal("tokens", came="'c' at position 1"), lambda: PLAIN.encode(["a", "c"])),
        (Refusal("tokens", came="'</s>' at position 1"), lambda: FULL.encode(["a", "</s>"])),
        (wrong_type("tokens", came="one text"), lambda: PLAIN.encode("ab")),
        (wrong_type("tokens", "be strings"), lambda: PLAIN.encode([1])),
        (wrong_type("tokens", "a list of tokens"), lambda: PLAIN.encode(None)),
        (Refusal("end", "has no such token"), lambda: PLAIN.encode(["a"], end=True)),
        (Refusal("indices", "lie in 0..1"), lambda: PLAIN.decode([0, 2])),
        (Refusal("indices", "integers"), lambda: PLAIN.decode([0.5])),
        (Refusal("counts['a']", "an integer"), lambda: TokenVocabulary.from_counts({"a": 0.5})),
        (wrong_type("sequences[1]", came="one text"), lambda: TokenVocabulary.from_sequences([["a"], "b"])),
        (
            Refusal("described", "have the keys"),
            lambda: TokenVocabulary.from_dict({"tokens": ["a"], "stop": "a"}),
        ),
        (Refusal("described", "a list of tokens"), lambda: TokenVocabulary.from_dict({"end": "a"})),
        (wrong_type("text", "be a str"), lambda: words(b"a")),
    ],
)
def test_wrong_arguments_are_named(refusal, call):
    with refused(refusal):
        call()


def test_words_and_marks_are_tokens():
    assert words("Don't stop-gap, said D.") == ["don't", "stop-gap", ",", "said", "d", "."]
    assert words("A b", lower=False) == ["A", "b"]
