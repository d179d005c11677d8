"""Models written in Marian's format: identical tensors, and what Marian does not have."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from checkpoints.marian_files import SSRU, PlainMarian, forced, random_model, write_npz
from checkpoints.test_marian import MODELS, SOURCES, TARGETS
from small_models import VARIANTS, covered, make_model, shrunken_preset, slow_where_compiled

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.marian_bin_file import MarianBinFile
from keras_s2s.config import PresetConfig
from keras_s2s.model import Seq2SeqLM

SETTINGS = "special:model.yml"


def settings_in(array: np.ndarray) -> dict:
    return yaml.safe_load(array.tobytes().split(b"\0")[0])


@pytest.mark.parametrize("name", covered(list(MODELS), ["pre_norm", "ssru"]))
def test_tensors_and_settings_come_back_as_they_were(name, tmp_path):
    options = {key.replace("-", "_"): value for key, value in MODELS[name].items()}
    tensors, settings = random_model(**options)
    model = Seq2SeqLM.from_preset(write_npz(tmp_path / "m.npz", tensors, settings))
    folder = model.export(tmp_path / "out", format="marian")
    binary = MarianBinFile(folder / "model.bin")
    with np.load(folder / "model.npz", allow_pickle=False) as file:
        assert set(file.files) == {*tensors, SETTINGS} == set(binary.specs)
        assert settings_in(file[SETTINGS]) == settings
        for key, array in tensors.items():
            np.testing.assert_array_equal(file[key], array)
            np.testing.assert_array_equal(binary.read(key), array)
    binary.close()
    again = Seq2SeqLM.from_preset(folder)
    np.testing.assert_array_equal(again.score(SOURCES, TARGETS), model.score(SOURCES, TARGETS))


@slow_where_compiled
@pytest.mark.parametrize("name", ["ssru_student", "marian_like"])
def test_models_made_here_are_written_and_read(name, tmp_path):
    config = VARIANTS[name].model_dump()
    for side in ("encoder", "decoder"):
        config["architecture"][side]["embedding"]["sinusoids"] = "tensor2tensor"
        config["architecture"][side]["embedding"]["norm_epsilon"] = 1e-6
        config["architecture"][side]["activation"] = "gelu"
    model = make_model(PresetConfig.model_validate(config), seed=3)
    folder = model.export(tmp_path / "out", format="marian")
    with np.load(folder / "model.npz", allow_pickle=False) as file:
        tensors = {key: file[key] for key in file.files if key != SETTINGS}
        plain = PlainMarian(tensors, settings_in(file[SETTINGS]))
    targets = [[6, 11, 4, 12, 8], [9, 10], [5, 13, 7, 7]]
    sources = [[5, 9, 6, 4, 3], [7, 3], [8, 4, 4, 11, 6, 10, 3]]
    expected = [sum(forced(plain, *pair)) for pair in zip(sources, targets, strict=True)]
    np.testing.assert_allclose(model.score(sources, targets), expected, atol=2e-4)
    again = Seq2SeqLM.from_preset(folder / "model.bin")
    np.testing.assert_allclose(again.score(sources, targets), expected, atol=2e-4)


@slow_where_compiled
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gru_bahdanau", "encoder.type is recurrent"),
        ("bart_like", "one tensor Wpos for encoder and decoder"),
        ("t5_like_per_layer_gated", "is 'gelu_tanh'; Marian has relu, silu, gelu"),
        ("transformer_post_norm_final_norm_tied", "is 'gelu_tanh'; Marian has"),
        ("transformer_tiny", "encoder.embedding.sinusoids is 'interleaved', not 'tensor2tensor'"),
    ],
)
def test_what_marian_has_not_is_refused_by_its_key(name, message, tmp_path):
    config = VARIANTS[name] if name in VARIANTS else shrunken_preset(name)
    with pytest.raises(CheckpointError, match=message):
        make_model(config).export(tmp_path / "out", format="marian")
    assert not (tmp_path / "out").exists()


@slow_where_compiled
def test_an_output_that_lies_untransposed_is_written_so(tmp_path):
    """Marian's files from before 2019."""
    tensors, settings = random_model(tied_embeddings_all=False)
    tensors["decoder_ff_logit_out_W"] = tensors.pop("decoder_ff_logit_out_Wt").T.copy()
    model = Seq2SeqLM.from_preset(write_npz(tmp_path / "m.npz", tensors, settings))
    folder = model.export(tmp_path / "out", format="marian")
    with np.load(folder / "model.npz") as file:
        assert set(file.files) == {*tensors, SETTINGS}
        name = "decoder_ff_logit_out_W"
        np.testing.assert_array_equal(file[name], tensors[name])


@slow_where_compiled
def test_positions_trained_apart_are_refused(tmp_path):
    tensors, settings = random_model(positions=9)
    model = Seq2SeqLM.from_preset(write_npz(tmp_path / "m.npz", tensors, settings))
    paths = {v.path: v for v in model.variables}
    table = paths["source_embedding/positions/embeddings"]
    assert model.load_report.tied == ("target_embedding/positions/embeddings = Wpos",)
    table.assign(table.value + 1.0)
    with pytest.raises(CheckpointError, match="one tensor Wpos for encoder and decoder"):
        model.export(tmp_path / "out", format="marian")


@slow_where_compiled
def test_vocabularies_are_written(tmp_path):
    tensors, settings = random_model(
        tied_embeddings_all=False,
        dim_vocabs=[6, 7],
        **{key.replace("-", "_"): value for key, value in SSRU.items()},
    )
    path = write_npz(tmp_path / "m.npz", tensors, settings)
    words = ['"', "no", "1.0", "~"]
    (tmp_path / "s.yml").write_text(
        yaml.safe_dump({"</s>": 0, "<unk>": 1, **dict(zip(words, range(2, 6), strict=True))})
    )
    # Nematus' names, a gap, and more tokens than embeddings.
    (tmp_path / "t.json").write_text('{"eos": 0, "UNK": 1, "é": 2, "b": 3, "c": 5, "d": 6, "e": 9}')
    (tmp_path / "m.npz.decoder.yml").write_text("models: [m.npz]\nvocabs: [s.yml, t.json]\n")
    model = Seq2SeqLM.from_preset(path)
    assert model.preprocessor.encode_source(['" no 1.0 ~ x']) == [[2, 3, 4, 5, 1, 0]]
    assert model.preprocessor.encode_target(["é b c d e"]) == [[2, 3, 5, 6, 1, 0]]
    folder = model.export(tmp_path / "out", format="marian")
    again = Seq2SeqLM.from_preset(folder)
    assert again.preprocessor.encode_source(['" no 1.0 ~ x']) == [[2, 3, 4, 5, 1, 0]]
    assert again.preprocessor.encode_target(["é b c d e"]) == [[2, 3, 5, 6, 1, 0]]


@slow_where_compiled
@pytest.mark.parametrize("name", ["post_norm", "separate"])
def test_ctranslate2_runs_what_marian_trained(name, tmp_path):
    """Its first vector is zeros, too, and its scores of given targets are Marian's."""
    ctranslate2 = pytest.importorskip("ctranslate2")
    options = {key.replace("-", "_"): value for key, value in MODELS[name].items()}
    tensors, settings = random_model(seed=4, **options)
    plain = PlainMarian(tensors, settings)
    model = Seq2SeqLM.from_preset(write_npz(tmp_path / "m.npz", tensors, settings))
    folder = model.export(tmp_path / "out", format="ctranslate2")
    translator = ctranslate2.Translator(str(folder), inter_threads=1, intra_threads=1)
    # It adds EOS itself, on both sides.
    tokens = [[[str(i) for i in row[:-1]] for row in rows] for rows in (SOURCES, TARGETS)]
    scores = translator.score_batch(*tokens)
    for found, *pair in zip(scores, SOURCES, TARGETS, strict=True):
        np.testing.assert_allclose(found.log_probs, forced(plain, *pair), atol=2e-4)
    best = translator.translate_batch(tokens[0], beam_size=1, max_decoding_length=9)
    inputs = model.network.frontend.batch(SOURCES, pad=0)
    greedy = {"num_beams": 1, "max_length": 10, "suppress_tokens": None, "return_output": True}
    output = model.generate(inputs, **greedy)
    for row, found in enumerate(best):
        ids = output.token_ids[row, : output.lengths[row]].tolist()
        assert [int(token) for token in found.hypotheses[0]] == [i for i in ids if i != 0]
    again = Seq2SeqLM.from_preset(folder)
    np.testing.assert_allclose(
        again.score(SOURCES, TARGETS), model.score(SOURCES, TARGETS), atol=1e-4
    )


@slow_where_compiled
@pytest.mark.parametrize(("name", "with_text"), [("separate", True), ("post_norm", False)])
def test_ctranslate2_folders_of_it_are_read_back(name, with_text, tmp_path):
    pytest.importorskip("ctranslate2")
    options = {key.replace("-", "_"): value for key, value in MODELS[name].items()}
    tensors, settings = random_model(**options)
    if with_text:
        for side, size in zip(("src", "trg"), settings["dim-vocabs"], strict=True):
            words = ["</s>", "<unk>", *(f"w{i}" for i in range(2, size))]
            (tmp_path / f"vocab.{side}.yml").write_text(
                yaml.safe_dump({word: i for i, word in enumerate(words)})
            )
        names = ["vocab.src.yml", "vocab.trg.yml"]
        (tmp_path / "m.npz.yml").write_text(yaml.safe_dump({"vocabs": names}))
    model = Seq2SeqLM.from_preset(write_npz(tmp_path / "m.npz", tensors, settings))
    assert (model.preprocessor is not None) == with_text
    again = Seq2SeqLM.from_preset(model.export(tmp_path / "out", format="ctranslate2"))
    assert again.special_ids.target.model_dump() == model.special_ids.target.model_dump()
    assert again.preset.architecture.target_vocab_size == settings["dim-vocabs"][1]
    sources, targets = SOURCES, TARGETS
    if with_text:  # a folder without tokenizers has tokens that are the ids in decimal
        sources = [" ".join(f"w{i}" for i in row if i > 1) for row in SOURCES]
        targets = [" ".join(f"w{i}" for i in row if i > 1) for row in TARGETS]
        plain = PlainMarian(tensors, settings)
        expected = [
            sum(forced(plain, [*(i for i in s if i > 1), 0], [*(i for i in t if i > 1), 0]))
            for s, t in zip(SOURCES, TARGETS, strict=True)
        ]
        np.testing.assert_allclose(again.score(sources, targets), expected, atol=2e-4)
    np.testing.assert_allclose(
        again.score(sources, targets), model.score(sources, targets), atol=1e-6
    )


@slow_where_compiled
@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("ssru", "ctranslate2", "architecture.decoder.type is ssru, but CTranslate2 runs Transf"),
        ("ssru", "huggingface", "architecture.decoder.type is ssru, but transformers has no enc"),
        ("pre_norm", "ctranslate2", "decoder.residual_keys is True"),
        ("post_norm", "huggingface", "norm_epsilon is 1e-06, there it is 1e-05"),
    ],
)
def test_what_other_engines_have_not_is_refused_by_its_key(name, format, message, tmp_path):
    options = {key.replace("-", "_"): value for key, value in MODELS[name].items()}
    model = Seq2SeqLM.from_preset(write_npz(tmp_path / "m.npz", *random_model(**options)))
    with pytest.raises(ValueError, match=message):
        model.export(tmp_path / "out", format=format)
    assert not (tmp_path / "out").exists()
