"""What the documentation page of transformers' EncoderDecoderModel does, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.half_folders import (
    START_AND_END,
    WORDS,
    decoder_folder,
    encoder_folder,
    with_wordpiece,
)
from parity.random_pairs import half_config, randomise
from small_models import slow_where_compiled, to_numpy

from keras_s2s import CheckpointError, ConfigError, Seq2SeqLM
from keras_s2s.data import Batches

transformers = pytest.importorskip("transformers")

TEXTS = ["the man sees a dog .", "a hund runs"]
SUMMARIES = ["ein hund läuft .", "ein man"]
CLS, SEP, PAD = 2, 3, 0


def bert(folder: Path, **changes: Any) -> Path:
    """BERT with its tokenizer, as it is published: language model and next sentence."""
    config = half_config(
        "bert",
        "encoder",
        **{"pad_token_id": PAD, "bos_token_id": None, "eos_token_id": None, **changes},
    )
    model = transformers.BertForPreTraining(config)
    randomise(model, 3, scale=0.3)
    model.save_pretrained(folder / "bert")
    return with_wordpiece(folder / "bert")


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory):
    return bert(tmp_path_factory.mktemp("page"))


def as_there(folder: Path, tokenizer: Any) -> Any:
    model = transformers.EncoderDecoderModel.from_pretrained(folder).eval()
    model.config.decoder_start_token_id = tokenizer.cls_token_id
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


@slow_where_compiled
def test_two_inputs_are_enough_for_a_loss(bert_folder, tmp_path):
    """`model(input_ids=..., labels=...)`: shift, start and masks are those of the page."""
    import torch
    from transformers.models.encoder_decoder.modeling_encoder_decoder import shift_tokens_right

    tokenizer = transformers.BertTokenizer.from_pretrained(bert_folder)
    labels_of = {"tokenizer": {"target": {"bos": CLS}}, "texts": None}
    for which, ids in labels_of.items():
        model = Seq2SeqLM.from_encoder_decoder(
            bert_folder, bert_folder, special_ids=ids, verbose=False
        )
        model.export(tmp_path / which, format="huggingface")
        other = as_there(tmp_path / which, tokenizer)
        for sources, targets in [(TEXTS[:1], SUMMARIES[:1]), (TEXTS, SUMMARIES)]:
            read = tokenizer(sources, return_tensors="pt", padding=True)
            labels = tokenizer(targets, return_tensors="pt", padding=True).input_ids
            labels = labels if which == "tokenizer" else labels[:, 1:]
            labels = torch.where(labels == PAD, -100, labels)
            with torch.no_grad():
                expected = other(**read, labels=labels).loss.item()
            pairs = list(zip(sources, targets, strict=True))
            batches = Batches(pairs, model.preprocessor, batch_size=2, shuffle=False)
            found = model.evaluate(batches, verbose=0, return_dict=True)["loss"]
            assert found == pytest.approx(expected, rel=2e-6)
            inputs, _, weights = batches[0]
            length = labels.shape[1]
            shifted = shift_tokens_right(labels, PAD, CLS).numpy()
            real = weights[:, :length] > 0
            given = inputs["decoder_token_ids"][:, :length]
            np.testing.assert_array_equal(given[real], shifted[real])


@slow_where_compiled
def test_saved_there_and_generated_here(bert_folder, tmp_path):
    """`save_pretrained`, `from_pretrained`, `generate`, `batch_decode`."""
    tokenizer = transformers.BertTokenizer.from_pretrained(bert_folder)
    other = transformers.EncoderDecoderModel.from_encoder_decoder_pretrained(
        str(bert_folder), str(bert_folder)
    )
    randomise(other, 5, scale=0.4)
    other.config.decoder_start_token_id, other.config.pad_token_id = CLS, PAD
    other.config.eos_token_id = SEP
    other.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    read = tokenizer(TEXTS, return_tensors="pt", padding=True)
    for options in ({}, {"num_beams": 3, "max_length": 9}):
        expected = other.eval().generate(
            **read, **options, decoder_start_token_id=CLS, eos_token_id=SEP
        )
        found = model.generate(TEXTS, **options)
        assert found == tokenizer.batch_decode(expected, skip_special_tokens=True)


@slow_where_compiled
def test_translation_with_the_tokenizer_of_bert_generation(tmp_path):
    """Nothing stands around a source, whatever ids the configuration has for its ends."""
    from hugging_face_folders import sentencepiece_model

    model = sentencepiece_model(size=600, special=("<pad>", "</s>", "<s>", "<unk>"))
    (tmp_path / "spiece.model").write_bytes(model)
    tokenizer = transformers.BertGenerationTokenizer(str(tmp_path / "spiece.model"))
    ids = dict(pad_token_id=0, bos_token_id=2, eos_token_id=1)
    size = {"vocab_size": len(tokenizer), **ids}
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(
        half_config("bert_generation", "encoder", **size),
        half_config("bert_generation", "decoder", **size),
        decoder_start_token_id=2,
        **ids,
    )
    other = transformers.EncoderDecoderModel(config).eval()
    randomise(other, 9, scale=0.4)
    other.save_pretrained(tmp_path)
    text = "Zwei Männer"
    read = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    for named in (False, True):
        if named:
            tokenizer.save_pretrained(tmp_path)
        found = Seq2SeqLM.from_preset(tmp_path, verbose=False)
        assert [list(row) for row in found.preprocessor.encode_source([text])] == read[
            "input_ids"
        ].tolist()
        target = found.special_ids.target
        assert (target.decoder_start, target.eos, target.pad, target.bos) == (2, 1, 0, None)
        expected = other.generate(
            **read, max_length=9, num_beams=2, **ids, decoder_start_token_id=2
        )
        assert found.generate([text], max_length=9, num_beams=2) == tokenizer.batch_decode(
            expected, skip_special_tokens=True
        )


SMALL = dict(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=20,
)


@slow_where_compiled
@pytest.mark.parametrize("given", ["configurations", "whole mappings", "mappings"])
def test_random_weights_from_configurations_in_memory(tmp_path, given):
    ids = dict(bos_token_id=1, eos_token_id=1)
    one = transformers.BertConfig(**SMALL)
    other = transformers.GPT2Config(vocab_size=30, n_embd=12, n_layer=2, n_head=2, **ids)
    halves = {
        "configurations": (one, other),
        "whole mappings": (one.to_dict(), other.to_dict()),
        "mappings": (
            {"model_type": "bert", **SMALL},
            dict(model_type="gpt2", vocab_size=30, n_embd=12, n_layer=2, n_head=2, **ids),
        ),
    }[given]
    model = Seq2SeqLM.from_encoder_decoder(
        *halves, load_weights=False, special_ids=START_AND_END, verbose=False
    )
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(one, other)
    theirs = transformers.EncoderDecoderModel(config)
    count = sum(p.numel() for n, p in theirs.named_parameters() if "pooler" not in n)
    assert model.count_params() == count
    assert not any("not used" in note for note in model.load_report.notes)
    model.export(tmp_path, format="huggingface")
    again = transformers.EncoderDecoderModel.from_pretrained(tmp_path)
    assert again.config.encoder.hidden_size == 16 and again.config.decoder.n_layer == 2


@slow_where_compiled
def test_changes_of_configurations(tmp_path):
    """`encoder_hidden_dropout_prob=0.0` there; the first layers where there are to be fewer."""
    one, other = encoder_folder(tmp_path), decoder_folder(tmp_path, "bert")
    model = Seq2SeqLM.from_encoder_decoder(
        one,
        other,
        special_ids=START_AND_END,
        encoder_config={"hidden_dropout_prob": 0.0, "num_hidden_layers": 2},
        decoder_config={"num_hidden_layers": 1},
        verbose=False,
    )
    theirs = transformers.EncoderDecoderModel.from_encoder_decoder_pretrained(
        str(one),
        str(other),
        encoder_hidden_dropout_prob=0.0,
        encoder_num_hidden_layers=2,
        decoder_num_hidden_layers=1,
    )
    assert model.preset.architecture.encoder.dropout == 0.0
    model.export(tmp_path / "out", format="huggingface")
    again = transformers.EncoderDecoderModel.from_pretrained(tmp_path / "out").state_dict()
    own = theirs.state_dict()
    assert {name for name in own if "pooler" not in name} <= set(again)
    for name, value in own.items():
        if not any(part in name for part in ("cross", "enc_to_dec", "pooler")):
            np.testing.assert_array_equal(again[name].numpy(), value.numpy(), err_msg=name)
    left = {name.split(".layer.")[1][0] for name in model.load_report.unused if ".layer." in name}
    assert left == {"1", "2"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder_config": {"hidden_dropout_prb": 0}}, "did you mean 'hidden_dropout_prob'"),
        ({"decoder_config": {"dropout_rate_x": 0}}, "decoder_config: gpt2 has no"),
        ({"encoder_config": 3}, "encoder_config: 3 is not a mapping"),
        ({"encoder_config": {"pooler_type": "x"}}, "pooler_type has no meaning for the encoder"),
    ],
)
def test_changes_that_would_change_nothing_are_refused(tmp_path, options, message):
    one, other = encoder_folder(tmp_path), decoder_folder(tmp_path)
    with pytest.raises(ConfigError, match=message):
        Seq2SeqLM.from_encoder_decoder(one, other, special_ids=START_AND_END, **options)


def test_objects_of_transformers(tmp_path):
    """A configuration has no weights; of a model the message is one line."""
    config = transformers.BertConfig(**SMALL)
    with pytest.raises(CheckpointError, match=r"encoder is a configuration, .*load_weights=False"):
        Seq2SeqLM.from_encoder_decoder(config, config)
    with pytest.raises(TypeError, match="save_pretrained") as error:
        Seq2SeqLM.from_encoder_decoder(transformers.BertModel(config), config)
    assert len(str(error.value)) < 300
    transformers.EncoderDecoderConfig.from_encoder_decoder_configs(config, config).save_pretrained(
        tmp_path
    )
    with pytest.raises(CheckpointError, match=r"write decoder_start_token_id into .*config\.json"):
        Seq2SeqLM.from_preset(tmp_path, load_weights=False)


# --------------------------------------------------------------------------------------
# Tokenizers
# --------------------------------------------------------------------------------------


@slow_where_compiled
def test_the_tokenizer_of_an_exported_folder_is_the_encoders(tmp_path):
    """AutoTokenizer makes one that knows no word where a folder has no files."""
    from documentation import supplies

    supplies.write_halves(tmp_path)
    one, other = tmp_path / "bert-base-uncased", tmp_path / "gpt2"
    model = Seq2SeqLM.from_encoder_decoder(one, other, verbose=False)
    model.export(tmp_path / "out", format="huggingface")
    for place, half in (("", one), ("encoder", one), ("decoder", other)):
        found = transformers.AutoTokenizer.from_pretrained(tmp_path / "out" / place)
        expected = transformers.AutoTokenizer.from_pretrained(half)
        assert found("ab a").input_ids == expected("ab a").input_ids, place
    again = Seq2SeqLM.from_preset(tmp_path / "out", verbose=False)
    assert [side.class_name for side in (again.preprocessor.source, again.preprocessor.target)] == [
        "BertTokenizer",
        "GPT2Tokenizer",
    ]


@slow_where_compiled
@pytest.mark.parametrize("resized", [True, False])
def test_tokens_that_were_added_to_a_tokenizer(tmp_path, resized):
    """Without a row in the model's table for it, a text that has the token is refused."""
    folder = bert(tmp_path, vocab_size=5 + len(WORDS))
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    if resized:
        model = transformers.BertForPreTraining.from_pretrained(folder)
        model.resize_token_embeddings(len(tokenizer))
        model.save_pretrained(folder)
    model = Seq2SeqLM.from_encoder_decoder(folder, folder, verbose=False)
    assert model.preset.architecture.source_vocab_size == len(tokenizer) - (not resized)
    plain, new = ["the man"], ["the man <new>"]
    assert [list(row) for row in model.preprocessor.encode_source(plain)] == tokenizer(
        plain
    ).input_ids
    model.generate(plain, max_length=4)
    if resized:
        found = [list(row) for row in model.preprocessor.encode_source(new)]
        assert found == tokenizer(new).input_ids
    else:
        with pytest.raises(ValueError, match=r"special token '<new>', whose id .* does not have"):
            model.generate(new)
    model.save_to_preset(tmp_path / "preset")
    again = Seq2SeqLM.from_preset(tmp_path / "preset")
    np.testing.assert_array_equal(again.score(plain, plain), model.score(plain, plain))


@slow_where_compiled
def test_a_pad_token_that_the_model_does_not_have(tmp_path):
    """GPT-2 with `tokenizer.pad_token = "[PAD]"`, and the model as it was: rows end in EOS."""
    from documentation import supplies

    supplies.write_halves(tmp_path)
    one, other = tmp_path / "bert-base-uncased", tmp_path / "gpt2"
    tokenizer = transformers.AutoTokenizer.from_pretrained(other)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(other)
    model = Seq2SeqLM.from_encoder_decoder(one, other, verbose=False)
    assert tokenizer.pad_token_id == model.preset.architecture.target_vocab_size
    assert model.special_ids.target.pad == tokenizer.eos_token_id
    assert any("rows are filled with id 1" in note for note in model.load_report.notes)
    model.fit(Batches([("a", "a"), ("ab", "aaa")], model.preprocessor, batch_size=2), verbose=0)
    assert np.isfinite(to_numpy(model.score(["a", "ab"], ["a", "aaa"]))).all()
