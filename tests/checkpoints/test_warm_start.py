"""Warm-started encoder-decoders: what is pretrained, what is new, what the report says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from checkpoints.half_folders import (
    START_AND_END,
    decoder_folder,
    encoder_folder,
    with_wordpiece,
)
from checkpoints.weight_writers import laid_out, recorded, write_h5, write_msgpack
from parity.random_pairs import (
    IDS,
    batch,
    make_pair,
    outputs_there,
    randomise,
    save_pair,
)
from small_models import covered, slow_where_compiled, to_numpy

from keras_s2s import CheckpointError, ConfigError, Seq2SeqLM, catalog

transformers = pytest.importorskip("transformers")


def theirs_with(model: Seq2SeqLM, encoder: Path, decoder: Path, folder: Path) -> Any:
    """transformers' own warm start of two folders, with our weights where they were drawn."""
    other = transformers.EncoderDecoderModel.from_encoder_decoder_pretrained(
        str(encoder), str(decoder)
    )
    model.export(folder, format="huggingface")
    again = transformers.EncoderDecoderModel.from_pretrained(folder).eval()
    mine, own = again.state_dict(), other.state_dict()
    for name, value in own.items():
        if "cross" not in name and "enc_to_dec" not in name and "pooler" not in name:
            np.testing.assert_array_equal(mine[name].numpy(), value.numpy(), err_msg=name)
    return again


@pytest.mark.parametrize(
    ("encoder", "decoder", "blocks"),
    covered([("bert", "gpt2", 3), ("roberta", "bert", 2)], [("roberta", "bert", 2)]),
)
def test_pretrained_and_new(tmp_path, encoder, decoder, blocks):
    one, other = encoder_folder(tmp_path, encoder), decoder_folder(tmp_path, decoder)
    model = Seq2SeqLM.from_encoder_decoder(one, other, special_ids=START_AND_END, verbose=False)
    report = str(model.load_report)
    assert f"{blocks} cross-attention blocks are new: fine-tune before use" in report
    assert all("cross_attention" in path or "memory" in path for path in model.load_report.fresh)
    assert ("projection from width 12 to 16 is new" in report) == (decoder == "bert")
    assert f"encoder: {encoder} from {one}" in report
    again = theirs_with(model, one, other, tmp_path / "exported")
    import torch

    ours, _ = batch()
    with torch.no_grad():
        expected = outputs_there(again, ours).logits.numpy()
    real = ours["decoder_padding_mask"]
    np.testing.assert_allclose(to_numpy(model(ours))[real], expected[real], rtol=0, atol=1e-4)


@pytest.mark.parametrize("decoder", covered(["bert", "gpt2"], ["gpt2"]))
def test_new_weights_are_drawn_as_in_transformers(tmp_path, decoder):
    """Mean, standard deviation and zero biases of each kind of weight, against theirs."""
    wide = (
        dict(hidden_size=96, num_attention_heads=2, initializer_range=0.07)
        if decoder == "bert"
        else dict(n_embd=96, n_head=2, initializer_range=0.07)
    )
    one, other = encoder_folder(tmp_path), decoder_folder(tmp_path, decoder, **wide)
    model = Seq2SeqLM.from_encoder_decoder(one, other, special_ids=START_AND_END, verbose=False)
    theirs = transformers.EncoderDecoderModel.from_encoder_decoder_pretrained(str(one), str(other))
    drawn = {name: value.numpy() for name, value in theirs.state_dict().items()}
    names = {
        "bert": ("crossattention.output.dense.weight", "crossattention.self.query.weight"),
        "gpt2": ("crossattention.c_proj.weight", "crossattention.q_attn.weight"),
    }[decoder]
    for layer, name in zip(("output", "query"), names, strict=True):
        mine = [
            to_numpy(v.value)
            for v in model.weights
            if v.path.endswith(f"cross_attention/{layer}/kernel")
        ]
        found = np.concatenate([value.ravel() for value in mine])
        expected = np.concatenate([value.ravel() for key, value in drawn.items() if name in key])
        # Of about 20,000 draws a standard deviation is known to half a percent.
        assert found.std() == pytest.approx(expected.std(), rel=0.03)
        assert abs(found.mean()) < 4 * found.std() / len(found) ** 0.5
    for variable in model.weights:
        if "cross_attention" in variable.path and variable.path.endswith(("bias", "beta")):
            assert not to_numpy(variable.value).any()
        if "cross_attention_norm/gamma" in variable.path:
            assert (to_numpy(variable.value) == 1).all()
    projection = next(v for v in model.weights if v.path == "memory_projection/kernel")
    expected = drawn["enc_to_dec_proj.weight"]
    assert to_numpy(projection.value).std() == pytest.approx(expected.std(), rel=0.1)
    assert not drawn["enc_to_dec_proj.bias"].any()


@slow_where_compiled
def test_random_weights_from_two_configurations(tmp_path):
    one, other = encoder_folder(tmp_path), decoder_folder(tmp_path)
    for folder in (one, other):
        (folder / "model.safetensors").unlink()
    model = Seq2SeqLM.from_encoder_decoder(
        one, other, load_weights=False, special_ids=START_AND_END, verbose=False
    )
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.AutoConfig.from_pretrained(one), transformers.AutoConfig.from_pretrained(other)
    )
    theirs = transformers.EncoderDecoderModel(config)
    poolers = sum(p.numel() for n, p in theirs.named_parameters() if "pooler" in n)
    assert model.count_params() == sum(p.numel() for p in theirs.parameters()) - poolers
    table = next(v for v in model.weights if v.path == "source_table/embeddings")
    assert to_numpy(table.value).std() == pytest.approx(0.02, rel=0.2)
    assert "random weights" in str(model.load_report)


@slow_where_compiled
def test_names_of_the_zoo_give_sizes():
    halves = catalog.list_halves()
    assert len(halves) >= 15
    for name in halves:
        half = catalog.load_half(name)
        theirs = transformers.AutoConfig.for_model(**half.config)
        assert theirs.vocab_size == half.config["vocab_size"]
        assert half.source.startswith("hf://")
    model = Seq2SeqLM.from_encoder_decoder(
        "electra_small_discriminator",
        "distilgpt2",
        load_weights=False,
        special_ids={"target": {"decoder_start": 50256}},
        verbose=False,
    )
    assert model.preset.architecture.encoder.embedding.dim == 128
    assert model.preset.architecture.memory_projection
    assert model.special_ids.target.eos == 50256


@slow_where_compiled
def test_halves_of_whole_models(tmp_path):
    """The encoder of a T5 reads as in T5; BART's decoder keeps its own cross-attention."""
    import torch

    t5 = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=41,
            d_model=12,
            d_kv=5,
            d_ff=20,
            num_layers=2,
            num_heads=3,
            feed_forward_proj="gated-gelu",
        )
    ).eval()
    randomise(t5, 3)
    t5.save_pretrained(tmp_path / "t5")
    bart = transformers.BartForConditionalGeneration(
        transformers.BartConfig(
            vocab_size=37,
            d_model=16,
            encoder_layers=1,
            decoder_layers=2,
            encoder_ffn_dim=8,
            decoder_ffn_dim=24,
            encoder_attention_heads=2,
            decoder_attention_heads=4,
            max_position_embeddings=40,
        )
    ).eval()
    randomise(bart, 4)
    bart.save_pretrained(tmp_path / "bart")
    model = Seq2SeqLM.from_encoder_decoder(tmp_path / "t5", tmp_path / "bart", verbose=False)
    ours, _ = batch()
    with torch.no_grad():
        expected = t5.encoder(
            input_ids=torch.from_numpy(ours["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(ours["encoder_padding_mask"]).long(),
        ).last_hidden_state.numpy()
    network = model.network
    memory = network.encoder(*network.frontend(ours))
    real = ours["encoder_padding_mask"]
    np.testing.assert_allclose(to_numpy(memory[0])[real], expected[real], rtol=0, atol=1e-4)
    assert set(model.load_report.fresh) == {"memory_projection/kernel", "memory_projection/bias"}
    projected = to_numpy(network.encode(ours).values)
    with torch.no_grad():
        hidden = bart.model.decoder(
            input_ids=torch.from_numpy(ours["decoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(ours["decoder_padding_mask"]).long(),
            encoder_hidden_states=torch.from_numpy(projected),
            encoder_attention_mask=torch.from_numpy(real).long(),
        ).last_hidden_state
        expected = (bart.lm_head(hidden) + bart.final_logits_bias).numpy()
    seen = ours["decoder_padding_mask"]
    np.testing.assert_allclose(to_numpy(model(ours))[seen], expected[seen], rtol=0, atol=2e-4)
    with pytest.raises(CheckpointError, match="whose encoder alone is not a model"):
        model.export(tmp_path / "exported", format="huggingface")
    model.save_to_preset(tmp_path / "preset")
    again = Seq2SeqLM.from_preset(tmp_path / "preset")
    np.testing.assert_array_equal(to_numpy(again(ours)), to_numpy(model(ours)))


# --------------------------------------------------------------------------------------
# Tied sides
# --------------------------------------------------------------------------------------


def tied_pair(tmp_path: Path, family: str = "bert") -> tuple[Seq2SeqLM, Any]:
    """A tied model, and a twin in transformers whose decoder holds copies of the encoder."""
    same = dict(
        vocab_size=37,
        hidden_size=12,
        num_attention_heads=3,
        num_hidden_layers=2,
        intermediate_size=20,
        max_position_embeddings=33,
        hidden_act="relu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-12,
    )
    one = encoder_folder(tmp_path, family, **same)
    model = Seq2SeqLM.from_encoder_decoder(
        one, one, tie_encoder_decoder=True, special_ids=START_AND_END, verbose=False
    )
    model.export(tmp_path / "twin", format="huggingface")
    return model, transformers.EncoderDecoderModel.from_pretrained(tmp_path / "twin").eval()


@slow_where_compiled
def test_tied_sides_share_weights_and_sum_gradients(tmp_path):
    """The oracle holds copies; its two gradients are summed by hand."""
    import torch
    from keras.optimizers import SGD

    model, twin = tied_pair(tmp_path)
    paths = [v.path for v in model.weights]
    assert not any(p.startswith("decoder/") and "self_attention" in p for p in paths)
    assert "the decoder has the encoder's weights" in str(model.load_report)
    ours, ids = batch()
    ours["encoder_token_ids"] = np.minimum(ours["encoder_token_ids"], 36)
    labels = np.where(ids["target_mask"], ids["labels"], -100)
    with torch.no_grad():
        expected = outputs_there(twin, ours).logits.numpy()
    real = ours["decoder_padding_mask"]
    np.testing.assert_allclose(to_numpy(model(ours))[real], expected[real], rtol=0, atol=1e-4)
    decoder = dict(twin.decoder.bert.named_parameters())
    pairs = [(p, decoder[name]) for name, p in twin.encoder.named_parameters() if name in decoder]
    assert len(pairs) > 20
    rate, losses = 0.02, []
    for _ in range(4):
        loss = outputs_there(twin, ours, labels).loss
        twin.zero_grad()
        loss.backward()
        with torch.no_grad():
            for a, b in pairs:
                zero = torch.zeros_like(a)
                total = (zero if a.grad is None else a.grad) + (zero if b.grad is None else b.grad)
                a.grad, b.grad = total.clone(), total.clone()
            for p in twin.parameters():
                if p.grad is not None:
                    p -= rate * p.grad
        losses.append(loss.item())
    model.compile(SGD(rate))
    history = model.fit(
        ours,
        ids["labels"],
        sample_weight=ids["target_mask"].astype("float32"),
        epochs=4,
        batch_size=len(labels),
        shuffle=False,
        verbose=0,
    )
    np.testing.assert_allclose(history.history["loss"], losses, rtol=2e-5, atol=2e-5)
    # Saved and loaded in both forms.
    after = to_numpy(model(ours))
    model.save_to_preset(tmp_path / "preset")
    again = Seq2SeqLM.from_preset(tmp_path / "preset")
    np.testing.assert_array_equal(to_numpy(again(ours)), after)
    model.export(tmp_path / "back", format="huggingface")
    back = Seq2SeqLM.from_preset(tmp_path / "back", verbose=False)
    assert back.preset.architecture.tie_encoder_decoder
    np.testing.assert_array_equal(to_numpy(back(ours)), after)
    sources = {k: ours[k] for k in ("encoder_token_ids", "encoder_padding_mask")}
    np.testing.assert_array_equal(
        back.generate(sources, num_beams=3, max_length=9),
        model.generate(sources, num_beams=3, max_length=9),
    )


def test_sides_that_differ_cannot_be_tied(tmp_path):
    one, other = encoder_folder(tmp_path), decoder_folder(tmp_path, "bert")
    with pytest.raises(ConfigError, match=r"tie_encoder_decoder.*hidden_dim"):
        Seq2SeqLM.from_encoder_decoder(
            one, other, tie_encoder_decoder=True, special_ids=START_AND_END
        )


# --------------------------------------------------------------------------------------
# Folders and errors
# --------------------------------------------------------------------------------------


@slow_where_compiled
def test_separate_folders_of_a_trained_pair(tmp_path):
    """Nothing is new but what neither folder can hold: the projection."""
    pair = make_pair("bert", "gpt2")
    pair.encoder.save_pretrained(tmp_path / "encoder")
    pair.decoder.save_pretrained(tmp_path / "decoder")
    save_pair(pair, tmp_path / "whole")
    whole = Seq2SeqLM.from_preset(tmp_path / "whole", verbose=False)
    for model in (
        Seq2SeqLM.from_preset(tmp_path, verbose=False),
        Seq2SeqLM.from_encoder_decoder(
            tmp_path / "encoder", tmp_path / "decoder", special_ids=START_AND_END, verbose=False
        ),
    ):
        ours, _ = batch()
        assert not model.load_report.fresh
        np.testing.assert_array_equal(to_numpy(model(ours)), to_numpy(whole(ours)))


def test_start_that_nobody_set(tmp_path):
    one, other = encoder_folder(tmp_path), decoder_folder(tmp_path, "bert", bos_token_id=None)
    with pytest.raises(CheckpointError, match=r"decoder_start_token_id.*special_ids="):
        Seq2SeqLM.from_encoder_decoder(one, other)


def test_wrong_halves(tmp_path):
    one, other = encoder_folder(tmp_path), decoder_folder(tmp_path)
    with pytest.raises(CheckpointError, match="gpt2 cannot be the encoder; families that can"):
        Seq2SeqLM.from_encoder_decoder(other, other)
    distil = encoder_folder(tmp_path, "distilbert")
    with pytest.raises(CheckpointError, match="distilbert cannot be the decoder"):
        Seq2SeqLM.from_encoder_decoder(one, distil)
    with pytest.raises(ConfigError, match="did you mean 'bert_base_uncased'"):
        Seq2SeqLM.from_encoder_decoder("bert_base_uncasd", other)
    with pytest.raises(CheckpointError, match=r"config\.json.*no such file"):
        Seq2SeqLM.from_encoder_decoder(tmp_path, other)
    with pytest.raises(CheckpointError, match="without trained weights"):
        Seq2SeqLM.from_encoder_decoder("transformer_base", other)


def test_missing_weights_are_an_error(tmp_path):
    """A half without some of its own weights is no half with new ones."""
    from safetensors.numpy import load_file, save_file

    one, other = encoder_folder(tmp_path), decoder_folder(tmp_path)
    tensors = load_file(one / "model.safetensors")
    del tensors["encoder.layer.1.intermediate.dense.weight"]
    save_file(tensors, one / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing: encoder: .*intermediate\.dense\.weight"):
        Seq2SeqLM.from_encoder_decoder(one, other, special_ids=START_AND_END)


def test_old_names_of_norms_and_head(tmp_path):
    """BERT's first checkpoints have gamma and beta, and the head's bias under another name."""
    from safetensors.numpy import load_file, save_file

    one, other = encoder_folder(tmp_path), decoder_folder(tmp_path, "bert")
    options = dict(special_ids=START_AND_END, verbose=False)
    before = Seq2SeqLM.from_encoder_decoder(one, other, **options)
    for folder in (one, other):
        tensors = load_file(folder / "model.safetensors")
        renamed = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta")
            .replace("cls.predictions.bias", "cls.predictions.decoder.bias"): value
            for name, value in tensors.items()
        }
        assert set(renamed) != set(tensors)
        save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    after = Seq2SeqLM.from_encoder_decoder(one, other, **options)
    drawn = [p for p in after.load_report.fresh]
    assert drawn == list(before.load_report.fresh)
    for a, b in zip(before.weights, after.weights, strict=True):
        if a.path not in drawn:
            np.testing.assert_array_equal(to_numpy(a.value), to_numpy(b.value), err_msg=a.path)


def test_keys_that_change_the_arithmetic_are_refused(tmp_path):
    one, other = encoder_folder(tmp_path), decoder_folder(tmp_path)
    for folder, key, value in (
        (other, "scale_attn_by_inverse_layer_idx", True),
        (one, "position_embedding_type", "relative_key"),
    ):
        written = (folder / "config.json").read_text()
        (folder / "config.json").write_text(json.dumps({**json.loads(written), key: value}))
        with pytest.raises(CheckpointError, match=f"{key} is {value!r}"):
            Seq2SeqLM.from_encoder_decoder(one, other, special_ids=START_AND_END)
        (folder / "config.json").write_text(written)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ({"targt": {"decoder_start": 1}}, "'targt' is no side of a model; did you mean 'target'"),
        ({"decoder_start": 3}, "3 is not a mapping"),
        ({"target": 3}, "3 is not a mapping"),
        ([1], "not a mapping"),
        ({"target": {"decoder_strat": 1}}, "decoder_start"),
    ],
)
def test_special_ids_of_a_wrong_kind(tmp_path, ids, message):
    one, other = encoder_folder(tmp_path), decoder_folder(tmp_path)
    with pytest.raises((ConfigError, CheckpointError), match=message):
        Seq2SeqLM.from_encoder_decoder(one, other, special_ids=ids)


@pytest.mark.parametrize("decoder", ["bert", "roberta", "bert_generation"])
def test_a_head_that_is_not_tied_has_its_own_bias(tmp_path, decoder):
    """transformers then adds the bias under the second name."""
    import torch

    other = make_pair("bert", decoder, tie_word_embeddings=False)
    save_pair(other, tmp_path / "there")
    model = Seq2SeqLM.from_preset(tmp_path / "there", verbose=False)
    ours, _ = batch()
    real = ours["decoder_padding_mask"]
    with torch.no_grad():
        expected = outputs_there(other, ours).logits.numpy()
    np.testing.assert_allclose(to_numpy(model(ours))[real], expected[real], rtol=0, atol=2e-4)
    model.export(tmp_path / "back", format="huggingface")
    again = transformers.EncoderDecoderModel.from_pretrained(tmp_path / "back").eval()
    with torch.no_grad():
        found = outputs_there(again, ours).logits.numpy()
    np.testing.assert_allclose(found[real], expected[real], rtol=0, atol=0)


def test_start_in_the_configuration_goes_before_bos_of_the_generation(tmp_path):
    other = make_pair("bert", "roberta")
    generation = other.generation_config
    generation.decoder_start_token_id, generation.eos_token_id = None, 7
    save_pair(other, tmp_path)
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    target = model.special_ids.target
    assert (target.decoder_start, target.eos) == (IDS["decoder_start_token_id"], 7)
    assert any("eos is 7 in generation_config.json" in note for note in model.load_report.notes)


@pytest.mark.parametrize("family", covered(["t5", "bart"], ["bart"]))
def test_both_halves_of_one_model_are_that_model(tmp_path, family):
    from parity.random_checkpoints import make, save

    folder = save(make(family, "deep" if family == "bart" else "gated"), tmp_path)
    whole = Seq2SeqLM.from_preset(folder, verbose=False)
    halves = Seq2SeqLM.from_encoder_decoder(folder, folder, verbose=False)
    assert not halves.load_report.fresh
    ours, _ = batch()
    for name in ("encoder_token_ids", "decoder_token_ids"):
        ours[name] = np.minimum(ours[name], 28)
    real = ours["decoder_padding_mask"]
    found, expected = to_numpy(halves(ours)), to_numpy(whole(ours))
    np.testing.assert_allclose(found[real], expected[real], rtol=0, atol=1e-5)


def test_notes_on_keys_that_matter(tmp_path):
    one = encoder_folder(tmp_path)
    other = decoder_folder(tmp_path)
    config = json.loads((other / "config.json").read_text())
    config["attention_sink"] = True
    (other / "config.json").write_text(json.dumps(config))
    model = Seq2SeqLM.from_encoder_decoder(one, other, special_ids=START_AND_END, verbose=False)
    assert any("attention_sink" in note for note in model.load_report.notes)
    assert IDS["eos_token_id"] == model.special_ids.target.eos


def legacy(name: str, kind: str) -> tuple[str, str, str]:
    """Group, name and layout that TFEncoderDecoderModel or FlaxEncoderDecoderModel wrote."""
    rows = {row.torch: row for row in recorded()["bert2gpt2"]}
    for part in ("key", "value"):
        if f".self.{part}." in name:
            group, theirs, layout = legacy(name.replace(f".self.{part}.", ".self.query."), kind)
            return group, theirs.replace("self/query/", f"self/{part}/"), layout
    row = rows[name]
    if kind == "tensorflow":
        return row.group, row.tensorflow, row.tensorflow_layout
    return row.group, row.flax, row.flax_layout


@slow_where_compiled
@pytest.mark.parametrize("kind", ["tensorflow", "flax"])
def test_files_of_the_classes_that_transformers_dropped(tmp_path, kind):
    sizes = dict(num_hidden_layers=1, max_position_embeddings=40, num_attention_heads=2)
    encoder = transformers.BertConfig(vocab_size=50, hidden_size=16, intermediate_size=24, **sizes)
    decoder = transformers.GPT2Config(
        vocab_size=50,
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_inner=64,
        n_positions=40,
        is_decoder=True,
        add_cross_attention=True,
        bos_token_id=4,
        eos_token_id=5,
    )
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    for key, value in IDS.items():
        setattr(config, key, value)
    model = transformers.EncoderDecoderModel(config).eval()
    randomise(model, 7)
    save_pair(model, tmp_path / "now")
    (tmp_path / "then").mkdir()
    for name in ("config.json", "generation_config.json"):
        (tmp_path / "then" / name).write_text((tmp_path / "now" / name).read_text())
    arrays = {
        name: value.numpy()
        for name, value in model.state_dict().items()
        if "pooler" not in name and name != "decoder.lm_head.weight"
    }
    found = {name: legacy(name, kind) for name in arrays}
    assert len(found) > 40
    if kind == "tensorflow":
        rows = [(g, n, laid_out(arrays[name], how)) for name, (g, n, how) in found.items()]
        write_h5(tmp_path / "then" / "tf_model.h5", rows)
    else:
        flat = {n: laid_out(arrays[name], how) for name, (_, n, how) in found.items()}
        write_msgpack(tmp_path / "then" / "flax_model.msgpack", flat)
    ours, _ = batch()
    now, then = (
        Seq2SeqLM.from_preset(tmp_path / folder, verbose=False) for folder in ("now", "then")
    )
    assert then.load_report.files[0].endswith((".h5", ".msgpack"))
    np.testing.assert_array_equal(to_numpy(then(ours)), to_numpy(now(ours)))


# --------------------------------------------------------------------------------------
# Texts
# --------------------------------------------------------------------------------------


@slow_where_compiled
def test_training_needs_texts_alone(tmp_path):
    """[CLS] starts and [SEP] ends, as the tokenizer says; the shift comes from the preset."""
    from keras_s2s.data import Batches

    one = with_wordpiece(encoder_folder(tmp_path, pad_token_id=0))
    other = with_wordpiece(decoder_folder(tmp_path, "bert", **NO_IDS))
    model = Seq2SeqLM.from_encoder_decoder(one, other, verbose=False)
    target = model.special_ids.target
    assert (target.decoder_start, target.eos, target.pad, target.bos) == (2, 3, 0, None)
    pairs = [("a dog runs .", "ein hund läuft ."), ("the man sees a dog", "ein hund")] * 4
    batches = Batches(pairs, model.preprocessor, batch_size=4, shuffle=False)
    inputs, labels, weights = batches[0]
    first = labels[0][weights[0] > 0].tolist()
    assert first[-1] == 3 and inputs["decoder_token_ids"][0, 0] == 2
    assert inputs["decoder_token_ids"][0, 1 : len(first)].tolist() == first[:-1]
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(batches, epochs=8, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    texts = model.generate(["a dog runs ."], max_length=6)
    model.save_to_preset(tmp_path / "preset")
    assert (
        Seq2SeqLM.from_preset(tmp_path / "preset").generate(["a dog runs ."], max_length=6) == texts
    )
    model.export(tmp_path / "exported", format="huggingface")
    back = Seq2SeqLM.from_preset(tmp_path / "exported", verbose=False)
    assert back.generate(["a dog runs ."], max_length=6) == texts
    # transformers' example takes the tokenizer's ids as labels, with [CLS] before them.
    labelled = Seq2SeqLM.from_encoder_decoder(
        one, other, special_ids={"target": {"bos": 2}}, verbose=False
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(other)
    wanted = tokenizer("ein hund läuft .").input_ids
    assert labelled.preprocessor.encode_target(["ein hund läuft ."])[0] == wanted


@slow_where_compiled
def test_two_tokenizers_and_labels_survive_the_export(tmp_path):
    from documentation import supplies

    supplies.write_halves(tmp_path)
    for decoder in ("gpt2", "bert-base-uncased"):
        model = Seq2SeqLM.from_encoder_decoder(
            tmp_path / "bert-base-uncased", tmp_path / decoder, verbose=False
        )
        folder = tmp_path / f"exported-{decoder}"
        model.export(folder, format="huggingface")
        again = Seq2SeqLM.from_preset(folder, verbose=False)
        assert (folder / "decoder").is_dir() == (decoder == "gpt2")
        assert again.special_ids == model.special_ids
        texts = ["a b", "ab a"], ["a", "aa"]
        np.testing.assert_array_equal(again.score(*texts), model.score(*texts))


#: A decoder whose configuration states no id, as BERT's does not.
NO_IDS = dict(pad_token_id=0, bos_token_id=None, eos_token_id=None)


@slow_where_compiled
@pytest.mark.parametrize(
    ("halves", "options", "error", "message"),
    [
        ((None, "gpt2"), {}, TypeError, "encoder is None, a NoneType; expected the name"),
        (("bert_base_uncased", 7), {"load_weights": False}, TypeError, "decoder is 7, a int"),
        (
            ("gru_bahdanau", "gpt2"),
            {"load_weights": False},
            CheckpointError,
            "encoder: the encoder of gru_bahdanau is recurrent",
        ),
        (
            ("bart_base", "bart_base"),
            {"load_weights": False, "preprocessor": "x"},
            TypeError,
            "preprocessor is 'x', a str; expected a Preprocessor",
        ),
    ],
)
def test_arguments_of_another_kind_are_named(halves, options, error, message):
    with pytest.raises(error, match=message):
        Seq2SeqLM.from_encoder_decoder(*halves, **options)


@slow_where_compiled
@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (None, {}, "source is None, a NoneType"),
        ("transformer_tiny", {"load_weights": False, "preprocessor": "x"}, "preprocessor is 'x'"),
    ],
)
def test_so_are_those_of_from_preset(source, options, message):
    with pytest.raises(TypeError, match=message):
        Seq2SeqLM.from_preset(source, **options)
