"""The load report of a warm start names what is pretrained, what is new and what is left over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from checkpoints.half_folders import START_AND_END
from parity.random_pairs import half_config, make_pair, randomise, save_pair
from safetensors import safe_open
from small_models import slow_where_compiled

from keras_s2s import CheckpointError, Seq2SeqLM
from keras_s2s.checkpoints.load_report import LoadReport

transformers = pytest.importorskip("transformers")

#: Of both sides, so that they can be tied.
SAME = dict(
    vocab_size=37,
    hidden_size=12,
    num_attention_heads=3,
    num_hidden_layers=2,
    intermediate_size=20,
    max_position_embeddings=33,
)
OPTIONS: dict[str, Any] = dict(special_ids=START_AND_END, verbose=False)

#: Classes that published BERTs were saved as: without a head, with one, and with two.
CLASSES = ["BertModel", "BertForMaskedLM", "BertForPreTraining"]


def bert(folder: Path, kind: str) -> Path:
    model = getattr(transformers, kind)(half_config("bert", "encoder", **SAME))
    randomise(model, len(kind))
    model.save_pretrained(folder / kind)
    return folder / kind


def names(folder: Path) -> set[str]:
    with safe_open(folder / "model.safetensors", "np") as file:
        return set(file.keys())


def left_aside(report: LoadReport) -> set[str]:
    """Tensors of a tied decoder that its encoder has, too; the report says so in words."""
    if not any("that the encoder has, too, are left aside" in note for note in report.notes):
        return set()
    prefixed = (name.partition(": ")[2].removeprefix("bert.") for name in report.loaded)
    return {f"decoder: {prefix}{name}" for name in prefixed for prefix in ("", "bert.")}


@slow_where_compiled
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("decoder", CLASSES)
@pytest.mark.parametrize("encoder", CLASSES)
def test_every_tensor_of_both_folders_is_accounted_for(tmp_path, encoder, decoder, tied):
    """The names in the files are the oracle: each was read, or is named as left over."""
    one, other = bert(tmp_path, encoder), bert(tmp_path, decoder)
    model = Seq2SeqLM.from_encoder_decoder(one, other, tie_encoder_decoder=tied, **OPTIONS)
    report = model.load_report
    there = {f"encoder: {name}" for name in names(one)}
    there |= {f"decoder: {name}" for name in names(other)}
    assert set(report.loaded) | set(report.unused) <= there
    assert not set(report.loaded) & set(report.unused)
    assert there - set(report.loaded) - set(report.unused) <= left_aside(report)
    poolers = {name for name in there if "pooler" in name}
    assert poolers <= set(report.unused)
    assert bool(poolers) == (encoder != "BertForMaskedLM" or decoder != "BertForMaskedLM")
    head_is_new = any("the output head is new" in note for note in report.notes)
    assert head_is_new == (decoder == "BertModel")
    weights = {v.path for v in model.weights}
    counts = [re.search(r"(\d+) of (\d+) weights", note) for note in report.notes]
    read, own = (sum(int(c[i]) for c in counts if c) for i in (1, 2))
    assert own == len(weights) and own - read == len(report.fresh)
    files = ["encoder: model.safetensors", "decoder: model.safetensors"]
    assert list(report.files) == files[: 1 if tied and decoder == "BertModel" else 2]


@slow_where_compiled
def test_a_tied_decoder_takes_no_head_of_the_encoders_folder(tmp_path):
    """As transformers', which reads a decoder from the decoder's folder alone."""
    one, other = bert(tmp_path, "BertForMaskedLM"), bert(tmp_path, "BertModel")
    model = Seq2SeqLM.from_encoder_decoder(one, other, tie_encoder_decoder=True, **OPTIONS)
    assert {path for path in model.load_report.fresh if path.startswith("logits/")}


def test_a_tied_encoder_takes_no_weight_of_the_decoders_folder(tmp_path):
    from safetensors.numpy import load_file, save_file

    one, other = bert(tmp_path, "BertForPreTraining"), bert(tmp_path, "BertForMaskedLM")
    tensors = load_file(one / "model.safetensors")
    del tensors["bert.encoder.layer.1.intermediate.dense.weight"]
    save_file(tensors, one / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing: encoder: .*intermediate\.dense\.weight"):
        Seq2SeqLM.from_encoder_decoder(one, other, tie_encoder_decoder=True, **OPTIONS)


@slow_where_compiled
def test_a_whole_folder_is_not_called_pretrained(tmp_path):
    """Nothing in it says whether it was trained."""
    model = Seq2SeqLM.from_preset(save_pair(make_pair("bert", "gpt2"), tmp_path), verbose=False)
    notes = model.load_report.notes
    assert sum("weights are in the folder" in note for note in notes) == 2
    assert not any("pretrained" in note for note in notes)


@slow_where_compiled
@pytest.mark.parametrize(("positions", "most"), [(12, 12), (19, 19), (20, None), (40, None)])
def test_fewer_positions_than_results_have_ids_are_named(tmp_path, positions, most):
    """The default is 20 ids, as in transformers, which reads beyond the table then."""
    pair = make_pair("bert", "gpt2", max_position_embeddings=positions)
    model = Seq2SeqLM.from_preset(save_pair(pair, tmp_path), verbose=False)
    found = [note for note in model.load_report.notes if "positions for" in note]
    assert [f"positions for {most} ids" in note for note in found] == [True] * bool(most)
    sources = model.network.frontend.batch([[7, 8, 5]])
    options = dict(min_length=(most or 20) - 2, bad_words_ids=[[5]])
    assert model.generate(sources, **options).shape[1] == (most or 20)
    with pytest.raises(ValueError, match=rf"the longest possible max_length is {positions + 1}"):
        model.generate(sources, max_length=positions + 2)
