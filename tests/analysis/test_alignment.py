"""Word alignments are made of the attention to the tokens of each word."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.analysis.alignment import word_alignment

PAIRS = [("ab cd ef", "xy z"), ("the dog", "der Hund")]


READS_TEXT = SimpleNamespace(frontend=SimpleNamespace(reads_text=True))


class Looker:
    """A model whose attention is given."""

    network = READS_TEXT

    def __init__(self, text, attention) -> None:
        self.preprocessor = text
        self.attention = attention

    def score(self, sources, targets, tgt_lang, return_attention):
        assert tgt_lang is None and return_attention
        return None, [self.attention(len(targets[0]), len(sources[0]))]

    def generate(self, sources, return_output, output_attentions):
        assert return_output and output_attentions
        source = self.preprocessor.encode_source(sources)[0]
        ids = self.preprocessor.encode_target(["z xy"])[0]
        return SimpleNamespace(
            token_ids=np.asarray([ids]),
            lengths=np.asarray([len(ids)]),
            attentions=np.asarray([self.attention(len(ids), len(source))]),
        )


@pytest.mark.parametrize("kind", ["character", "word", "byte", "byte_level_bpe"])
def test_a_words_attention_is_the_sum_over_its_tokens(kind: str) -> None:
    options = {"vocab_size": 300} if kind == "byte_level_bpe" else {}
    text = s2s.text.Preprocessor.train(PAIRS, kind, **options)

    def crossed(rows: int, columns: int) -> np.ndarray:
        """The first half of the target looks at the end of the source, the other at its start."""
        weights = np.zeros((rows, columns))
        weights[: (rows - 1) // 2, (columns - 1) // 2 : columns - 1] = 1
        weights[(rows - 1) // 2 :, : (columns - 1) // 2] = 1
        return weights

    found = word_alignment(Looker(text, crossed), "ab cd", "xy zz" if kind != "word" else "xy z")
    assert found.source == ["ab", "cd"]
    assert found.links == [(1, 0), (0, 1)]
    assert str(found) == "1-0 0-1"


def test_the_models_own_answer_is_aligned() -> None:
    text = s2s.text.Preprocessor.train(PAIRS, "word")
    found = word_alignment(Looker(text, lambda t, s: np.eye(t, s)), "ab cd ef")
    assert found.target == ["z", "xy"]
    assert found.links == [(0, 0), (1, 1)]


def test_of_several_answers_the_first_is_aligned() -> None:
    class Several(Looker):
        def generate(self, sources, return_output, output_attentions, num_return_sequences):
            source = self.preprocessor.encode_source(sources)[0]
            rows = self.preprocessor.encode_target(["z xy", "xy"])
            ids = np.zeros((1, num_return_sequences, max(map(len, rows))), int)
            for place, row in enumerate(rows):
                ids[0, place, : len(row)] = row
            best = self.attention(ids.shape[-1], len(source))
            return SimpleNamespace(
                token_ids=ids,
                lengths=np.asarray([list(map(len, rows))]),
                attentions=np.stack([best, np.zeros_like(best)])[None],
            )

    text = s2s.text.Preprocessor.train(PAIRS, "word")
    model = Several(text, lambda t, s: np.eye(t, s))
    found = word_alignment(model, "ab cd ef", num_return_sequences=2)
    assert found.target == ["z", "xy"]


def test_without_a_preprocessor_there_are_no_words() -> None:
    with pytest.raises(ValueError, match="no preprocessor"):
        word_alignment(SimpleNamespace(preprocessor=None, network=READS_TEXT), "x")


def test_texts_beyond_the_positions_are_refused_or_cut() -> None:
    text = s2s.text.Preprocessor.train(PAIRS, "character")
    block = {"type": "transformer", "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 8}
    block |= {"num_layers": 1, "embedding": {"positions": "learned", "max_positions": 6}}
    architecture = {"encoder": block, "decoder": block}
    model = s2s.Seq2SeqLM.from_architecture(architecture, preprocessor=text)
    for source, target, side in (("ab cd ef", "xy", "source"), ("ab", "xy z xy z", "target")):
        with pytest.raises(ValueError, match=f"{side} 0 has .* ids, but the model has positions"):
            word_alignment(model, source, target)
        found = word_alignment(model, source, target, overlong="truncate")
        cut = found.source if side == "source" else found.target
        assert cut == (["ab", "cd"] if side == "source" else ["xy", "z"])
