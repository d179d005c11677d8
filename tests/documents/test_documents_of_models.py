"""Whole documents with real models: what is put back is what `generate` gives for each sentence."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import randomise

import keras_s2s as s2s
from keras_s2s.decoding.generator import NoAttentionError
from keras_s2s.documents.word_weights import attended_weights

TEXTS = [("The cat sat, or so. It ran & hid!", "xyz ab. c, d! &")]
DOCUMENT = "The cat sat.\r\n\r\n  It hid!  Cats ran, or so it sat.\n"
PAGE = "<p>The <b>cat</b> sat.<br>It <i>ran &amp; <u>hid</u></i>! A <code>cat</code> ran.</p>"


def small_model(decoder: dict | None = None, positions: int = 18) -> s2s.Seq2SeqLM:
    text = s2s.text.Preprocessor.train(TEXTS, "character")
    block = {"type": "transformer", "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 8}
    block |= {"num_layers": 1, "embedding": {"positions": "learned", "max_positions": positions}}
    architecture = {"encoder": block, "decoder": decoder or block}
    if decoder:
        architecture["bridge"] = {"type": "zero"}
    model = s2s.Seq2SeqLM.from_architecture(architecture, preprocessor=text)
    randomise(model, 3, scale=3.0)
    return model


@pytest.fixture(scope="module")
def model() -> s2s.Seq2SeqLM:
    return small_model()


def test_sentences_are_those_of_generate(model: s2s.Seq2SeqLM) -> None:
    options = {"max_length": 7, "min_length": 5}
    result = s2s.generate_document(model, DOCUMENT, **options)
    sources = ["The cat sat.", "It hid!", "Cats ran, or so it sat."]
    assert [sentence.source for sentence in result.sentences] == sources
    assert [sentence.was_split for sentence in result.sentences] == [False, False, True]
    assert result.sentences[2].parts == ("Cats ran,", "or so it sat.")
    parts = [*sources[:2], *result.sentences[2].parts]
    first, second, *third = (text.strip() for text in model.generate(parts, **options))
    expected = [first, second, " ".join(third)]
    assert all(expected)
    assert [" ".join(text.split()) for text in expected] == [
        " ".join(sentence.text.split()) for sentence in result.sentences
    ]
    assert result.text == f"{expected[0]}\r\n\r\n  {expected[1]}  {expected[2]}\n"
    assert all(sentence.unfinished for sentence in result.sentences)
    again = s2s.generate_document(model, DOCUMENT, batch_size=1, **options)
    assert again.text == result.text


def test_a_page_keeps_its_tags(model: s2s.Seq2SeqLM) -> None:
    result = s2s.generate_document(model, PAGE, format="html", max_length=9, min_length=6)
    for tag in ("<b>", "</b>", "<i>", "</i>", "<u>", "</u>", "<br>", "<code>cat</code>"):
        assert result.text.count(tag) == 1
    assert result.text.startswith("<p>") and result.text.endswith("</p>")


def test_words_attend_as_the_model_does(model: s2s.Seq2SeqLM) -> None:
    source, target = "The cat", "xyz ab"
    (weights,) = attended_weights(model, [source], [target])
    text = model.preprocessor
    ids = text.encode_source([source]), text.encode_target([target])
    _, (attention,) = model.score(*ids, return_attention=True)
    # A token for each character, and EOS.
    words = np.stack([attention[:3, :7].sum(0), attention[4:6, :7].sum(0)])
    words[:, 3] = 0  # the space
    assert weights.shape == (2, 7)
    np.testing.assert_allclose(weights, words / words.sum(1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_a_decoder_without_attention_keeps_tags_in_place() -> None:
    model = small_model(
        {"type": "recurrent", "cell": "gru", "hidden_dim": 8, "context": "initial_state"}
    )
    with pytest.raises(NoAttentionError, match="no attention to show"):
        model.score("It", "xyz", return_attention=True)
    assert attended_weights(model, ["It"], ["xyz"]) is None
    result = s2s.generate_document(model, PAGE, format="html", max_length=9, min_length=6)
    assert result.text.count("<b>") == result.text.count("</b>") == 1
