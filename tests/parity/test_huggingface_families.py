"""Folders of every family in the zoo: logits, loss and answers of transformers, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity.random_checkpoints import all_cases, families, inputs_of, make, save
from safetensors.numpy import load_file
from small_models import covered, slow_where_compiled, to_numpy

from keras_s2s import Seq2SeqLM

transformers = pytest.importorskip("transformers")

CASES = all_cases()
#: On compiled backends: one of each kind of layer.
COVER = [("bart", "untied"), ("m2m_100", "deep"), ("marian", "separate"), ("t5", "gated")]
GENERATION = dict(
    num_beams=4,
    max_length=14,
    length_penalty=0.7,
    no_repeat_ngram_size=3,
    early_stopping=True,
    min_length=3,
)


def test_every_family_is_here():
    assert len(families()) >= 11
    assert {family for family, _ in CASES} == set(families())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    known: dict[Any, Any] = {}

    def get(family: str, case: str) -> tuple[Any, Path, Seq2SeqLM]:
        if (family, case) not in known:
            other = make(family, case)
            folder = tmp_path_factory.mktemp(f"{family}-{case}")
            # No trained model writes PAD into its answers; M2M-100 would count positions anew.
            save(other, folder, bad_words_ids=[[other.config.pad_token_id]], **GENERATION)
            known[family, case] = other, folder, Seq2SeqLM.from_preset(folder)
        return known[family, case]

    return get


def with_languages(ours: dict[str, np.ndarray], ids: dict[str, np.ndarray], config: Any) -> None:
    """Labels of these end, after EOS, in the language that their decoder inputs begin with."""
    lengths = ids["target_mask"].sum(axis=1)
    width = ids["labels"].shape[1] + 1
    language = config.vocab_size - 1
    labels = np.full((len(lengths), width), config.pad_token_id)
    for row, length in enumerate(lengths):
        labels[row, : length + 1] = [*ids["labels"][row, :length], language]
    begun = np.full((len(lengths), 1), language)
    ids["labels"] = labels
    ids["target_mask"] = np.arange(width)[None] <= lengths[:, None]
    ours["decoder_token_ids"] = np.concatenate([begun, labels[:, :-1]], axis=1).astype("int32")
    ours["decoder_padding_mask"] = ids["target_mask"]


def logits_of(other: Any, ours: dict[str, np.ndarray], double: bool = False) -> np.ndarray:
    import torch

    model = other.double() if double else other
    with torch.no_grad():
        logits = model(
            input_ids=torch.from_numpy(ours["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(ours["encoder_padding_mask"]).long(),
            decoder_input_ids=torch.from_numpy(ours["decoder_token_ids"]).long(),
            decoder_attention_mask=torch.from_numpy(ours["decoder_padding_mask"]).long(),
        ).logits.numpy()
    other.float()
    return logits


def assert_equal_logits(model: Seq2SeqLM, other: Any) -> None:
    """Within the larger of 1e-5, 1e-5 of the largest logit, and 4 times the reference's error.

    A backend may round more than the reference, TensorFlow in tanh on some processors. Then the
    same weights in float64 are held to that bound, and float32 to 3e-5 of the largest logit.
    """
    ours, _ = inputs_of(other)
    expected, exact = logits_of(other, ours), logits_of(other, ours, double=True)
    real = ours["decoder_padding_mask"]
    largest = np.abs(expected[real]).max()
    bound = max(1e-5, 1e-5 * largest, 4 * np.abs(expected - exact)[real].max())
    found = to_numpy(model(ours))
    if np.abs(found - expected)[real].max() > bound:
        double = Seq2SeqLM(model.preset, dtype="float64")
        for variable, value in zip(double.weights, model.weights, strict=True):
            variable.assign(value)
        np.testing.assert_allclose(to_numpy(double(ours))[real], exact[real], rtol=0, atol=bound)
        bound = 3e-5 * largest
    np.testing.assert_allclose(found[real], expected[real], rtol=0, atol=bound)


@pytest.mark.parametrize(("family", "case"), covered(CASES, COVER))
def test_logits(made, family, case):
    other, _, model = made(family, case)
    assert_equal_logits(model, other)


@pytest.mark.parametrize(("family", "case"), covered(CASES, COVER))
def test_loss_from_labels(made, family, case):
    """transformers shifts the labels itself, and leaves out those that are -100."""
    import torch

    other, _, model = made(family, case)
    ours, ids = inputs_of(other)
    if other.config.model_type in ("mbart", "plbart"):
        with_languages(ours, ids, other.config)
    with torch.no_grad():
        expected = other(
            input_ids=torch.from_numpy(ids["source"]),
            attention_mask=torch.from_numpy(ids["source_mask"]).long(),
            labels=torch.from_numpy(np.where(ids["target_mask"], ids["labels"], -100)),
        ).loss.item()
    found = model.evaluate(
        ours,
        ids["labels"],
        sample_weight=ids["target_mask"].astype("float32"),
        verbose=0,
        return_dict=True,
    )
    assert found["loss"] == pytest.approx(expected, rel=2e-5, abs=1e-5)


def until(ids: np.ndarray, eos: int) -> list[int]:
    """A row up to its EOS: where PAD is 0 transformers fills what follows with EOS."""
    row = ids.tolist()
    return row[: row.index(eos) + 1] if eos in row else row


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize(("family", "case"), covered(CASES, COVER))
def test_generation(made, family, case, num_beams):
    """With the folder's own defaults, and greedy."""
    import torch

    other, _, model = made(family, case)
    ours, _ = inputs_of(other)
    options = {} if num_beams == 4 else {"num_beams": 1}
    more = {} if num_beams == 4 else {"early_stopping": False, "length_penalty": 1.0}
    with torch.no_grad():
        expected = other.generate(
            input_ids=torch.from_numpy(ours["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(ours["encoder_padding_mask"]).long(),
            **options,
            **more,
        ).numpy()[:, 1:]
    found = model.generate(
        {name: ours[name] for name in ("encoder_token_ids", "encoder_padding_mask")}, **options
    )
    eos = model.special_ids.target.eos
    assert [until(row, eos) for row in found] == [until(row, eos) for row in expected]


@slow_where_compiled
@pytest.mark.parametrize("family", families())
def test_folder_that_says_nothing_of_generation(tmp_path, family):
    """transformers then makes 20 ids."""
    import torch

    other = make(family, "shallow", seed=3)
    save(other, tmp_path, bad_words_ids=[[other.config.pad_token_id], [other.config.eos_token_id]])
    ours, _ = inputs_of(other)
    with torch.no_grad():
        expected = other.generate(
            input_ids=torch.from_numpy(ours["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(ours["encoder_padding_mask"]).long(),
        ).numpy()[:, 1:]
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    found = model.generate(
        {name: ours[name] for name in ("encoder_token_ids", "encoder_padding_mask")}
    )
    assert found.shape == expected.shape == (4, 20)
    np.testing.assert_array_equal(found, expected)
    model.export(tmp_path / "back", format="huggingface")
    written = json.loads((tmp_path / "back" / "generation_config.json").read_text())
    assert "max_length" not in written or written["max_length"] is None


@slow_where_compiled
def test_ids_of_generation_differ_from_the_configuration(tmp_path):
    """Those of generation_config.json end and fill an answer; the report says so."""
    import torch

    other = make("bart", "shallow")
    save(other, tmp_path, eos_token_id=13, pad_token_id=4, max_length=15, num_beams=2)
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    assert any("eos is 13" in note for note in model.load_report.notes)
    ours, _ = inputs_of(other)
    with torch.no_grad():
        expected = other.generate(
            input_ids=torch.from_numpy(ours["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(ours["encoder_padding_mask"]).long(),
        ).numpy()[:, 1:]
    found = model.generate(
        {name: ours[name] for name in ("encoder_token_ids", "encoder_padding_mask")}
    )
    assert [until(row, 13) for row in found] == [until(row, 13) for row in expected]
    model.export(tmp_path / "back", format="huggingface")
    for name in ("config.json", "generation_config.json"):
        was, now = (
            json.loads((place / name).read_text()) for place in (tmp_path, tmp_path / "back")
        )
        assert {key: was[key] for key in was if key.endswith("_id")} == {
            key: now[key] for key in now if key.endswith("_id")
        }


@slow_where_compiled
def test_several_ids_end_a_result(tmp_path):
    """A list in generation_config.json is used, and written back."""
    import torch

    other = make("bart", "shallow")
    ends = [other.config.eos_token_id, 17, 7, 32]
    save(other, tmp_path, eos_token_id=ends, max_length=15, num_beams=2)
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    assert model.preset.generation.eos_token_id == ends
    assert not any("eos" in note for note in model.load_report.notes)
    ours, _ = inputs_of(other)
    with torch.no_grad():
        expected = other.generate(
            input_ids=torch.from_numpy(ours["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(ours["encoder_padding_mask"]).long(),
        ).numpy()[:, 1:]
    found = model.generate(
        {name: ours[name] for name in ("encoder_token_ids", "encoder_padding_mask")}
    )
    width = min(found.shape[1], expected.shape[1])
    np.testing.assert_array_equal(found[:, :width], expected[:, :width])
    assert np.isin(found, ends[1:]).any()
    model.export(tmp_path / "back", format="huggingface")
    written = json.loads((tmp_path / "back" / "generation_config.json").read_text())
    assert written["eos_token_id"] == ends
    alone = Seq2SeqLM.from_preset(tmp_path, verbose=False, generation={"eos_token_id": None})
    alone.export(tmp_path / "alone", format="huggingface")
    written = json.loads((tmp_path / "alone" / "generation_config.json").read_text())
    assert written["eos_token_id"] == ends[0]


@pytest.mark.parametrize(("family", "case"), covered(CASES, COVER))
def test_written_back(made, tmp_path, family, case):
    """The same tensors and configuration, which transformers loads to the same logits."""
    other, folder, model = made(family, case)
    model.export(tmp_path / "back", format="huggingface")
    before, after = (
        load_file(folder / "model.safetensors"),
        load_file(tmp_path / "back" / "model.safetensors"),
    )
    unused = set(model.load_report.unused)
    assert set(before) == set(after)
    assert unused <= {"model.shared.weight"}  # of an untied BART: nothing reads it
    for name, tensor in before.items():
        if name not in unused:
            np.testing.assert_array_equal(after[name], tensor)
    for name in ("config.json", "generation_config.json"):
        was, now = (json.loads((place / name).read_text()) for place in (folder, tmp_path / "back"))
        for key in ("transformers_version", "_from_model_config"):
            was.pop(key, None)
            now.pop(key, None)
        assert now == was
    again = type(other).from_pretrained(tmp_path / "back", attn_implementation="eager").eval()
    assert_equal_logits(model, again)


@slow_where_compiled
def test_written_after_training(made, tmp_path):
    other, _, model = made("t5", "gated")
    ours, ids = inputs_of(other)
    model.fit(ours, ids["labels"], sample_weight=ids["target_mask"].astype("float32"), verbose=0)
    model.export(tmp_path / "tuned", format="huggingface")
    again = type(other).from_pretrained(tmp_path / "tuned", attn_implementation="eager").eval()
    assert_equal_logits(model, again)
    assert_equal_logits(Seq2SeqLM.from_preset(tmp_path / "tuned"), again)
