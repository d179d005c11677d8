"""Every path between the formats that a family can take, both ways, gives the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity.random_checkpoints import families, make, save
from parity.test_huggingface_families import assert_equal_logits
from parity.test_huggingface_text import make as make_with_text
from small_models import make_model, shrunken_preset, slow_where_compiled, to_numpy

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.export.errors import ExportError

transformers = pytest.importorskip("transformers")
pytest.importorskip("ctranslate2")

#: From a Hugging Face folder on; between them are all steps from one format to another.
PATHS = [
    ("own", "ctranslate2", "own", "huggingface", "own", "huggingface"),
    ("ctranslate2", "huggingface", "ctranslate2", "ctranslate2"),
]
#: What CTranslate2 has no words for.
NOT_THERE = {"blenderbot_small": "norm_place is before_positions"}
LIKE = [family for family in families() if family not in NOT_THERE]


def test_every_step_is_taken():
    steps = {step for path in PATHS for step in zip(("huggingface", *path[:-1]), path, strict=True)}
    formats = {"own", "ctranslate2", "huggingface"}
    assert {step for step in steps if step[0] != step[1]} == {
        (one, other) for one in formats for other in formats if one != other
    }
    assert len(LIKE) >= 10 and set(NOT_THERE) < set(families())


def taken(model: Seq2SeqLM, path: tuple[str, ...], folder: Path) -> tuple[Seq2SeqLM, Path]:
    """The model that comes out at the end of a path, and the last folder."""
    for number, step in enumerate(path):
        place = folder / str(number)
        if step == "own":
            model.save_to_preset(place)
        else:
            model.export(place, format=step)
        model = Seq2SeqLM.from_preset(place, verbose=False)
    return model, place


def logits_of(model: Seq2SeqLM) -> np.ndarray:
    ids, mask = np.arange(12).reshape(2, 6) + 6, np.ones((2, 6), "bool")
    inputs = {"encoder_token_ids": ids, "encoder_padding_mask": mask}
    return to_numpy(model({**inputs, "decoder_token_ids": ids, "decoder_padding_mask": mask}))


@slow_where_compiled
@pytest.mark.parametrize("case", ["shallow", pytest.param("untied", marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", LIKE)
def test_logits(tmp_path, family, case):
    other = make(family, case)
    first = Seq2SeqLM.from_preset(save(other, tmp_path / "first"), verbose=False)
    for number, path in enumerate(PATHS):
        last, folder = taken(first, path, tmp_path / str(number))
        np.testing.assert_array_equal(logits_of(last), logits_of(first))
        if path[-1] == "huggingface":
            there = transformers.AutoModelForSeq2SeqLM.from_pretrained(
                folder, attn_implementation="eager"
            )
            assert_equal_logits(first, there.eval())


@slow_where_compiled
@pytest.mark.parametrize("name", ["marian", "t5", "bart"])
def test_text(tmp_path, name):
    _, _, folder = make_with_text(name, tmp_path / "first")
    first = Seq2SeqLM.from_preset(folder, verbose=False)
    texts = ["The quick brown fox jumps over the lazy dog.", "Numbers 0 1 2 3"]
    options: dict[str, Any] = {"num_beams": 1, "max_length": 12, "min_new_tokens": 0}
    options |= {"renormalize_logits": False, "no_repeat_ngram_size": 0}
    for number, path in enumerate(PATHS):
        last, _ = taken(first, path, tmp_path / str(number))
        found, expected = (
            model.generate(texts, return_output=True, **options).token_ids
            for model in (last, first)
        )
        # The last may be a forced EOS, which is a matter of search, and no part of CTranslate2's.
        np.testing.assert_array_equal(found[:, :-1], expected[:, :-1])
        for key in ("pad", "eos", "decoder_start"):
            assert getattr(last.special_ids.target, key) == getattr(first.special_ids.target, key)


@slow_where_compiled
@pytest.mark.parametrize("family", NOT_THERE)
def test_what_ctranslate2_cannot_hold(tmp_path, family):
    model = Seq2SeqLM.from_preset(save(make(family, "shallow"), tmp_path / "first"), verbose=False)
    with pytest.raises(ExportError, match=NOT_THERE[family]):
        model.export(tmp_path / "there", format="ctranslate2")
    taken(model, ("own", "huggingface"), tmp_path)


@slow_where_compiled
@pytest.mark.parametrize("format", ["huggingface", "ctranslate2"])
def test_what_no_family_can_hold(tmp_path, format):
    """One sentence that says so, with what to do."""
    model = make_model(shrunken_preset("gru_bahdanau"))
    with pytest.raises((CheckpointError, ExportError)) as error:
        model.export(tmp_path / "there", format=format)
    message = str(error.value)
    assert "type is recurrent" in message and "Transformer" in message
    assert "tf_saved_model" in message and "\n" not in message and "validation" not in message
    assert not (tmp_path / "there").exists()


@slow_where_compiled
def test_widths_that_differ_are_named(tmp_path):
    model = Seq2SeqLM.from_preset(
        "transformer_tiny",
        load_weights=False,
        architecture={
            "encoder": {"hidden_dim": 64},
            "share_embeddings": False,
            "source_vocab_size": 50,
            "target_vocab_size": 60,
        },
    )
    with pytest.raises(CheckpointError) as error:
        model.export(tmp_path / "there", format="huggingface")
    assert "has this architecture; keep the model" in str(error.value)
    assert "validation error" not in str(error.value)
