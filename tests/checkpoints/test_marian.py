"""Marian's own files against its arithmetic in plain NumPy, and against Marian where it is named.

`KERAS_S2S_DATA` names a folder with models that Marian trained, each with `NAME.answers.json`: what
it answers for some sources in three searches, eight sources in a batch.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from checkpoints.marian_files import (
    SSRU,
    PlainMarian,
    beam_search,
    forced,
    pack_bin,
    random_model,
    write_npz,
)
from small_models import covered, to_numpy

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.marian.reader import MarianModel
from keras_s2s.config import ConfigError
from keras_s2s.model import Seq2SeqLM
from keras_s2s.text.shortlists import write_shortlist
from keras_s2s.text.shortlists.shortlist import from_lists

SOURCES = [[5, 9, 6, 4, 0], [7, 0], [8, 4, 4, 11, 6, 10, 0]]
TARGETS = [[6, 11, 4, 12, 8, 0], [9, 10, 0], [5, 13, 7, 7, 0]]
EOS, UNK = 0, 1

MODELS = {
    "post_norm": {},
    "pre_norm": {
        "transformer_preprocess": "n",
        "transformer_postprocess": "da",
        "transformer_postprocess_emb": "n",
        "transformer_postprocess_top": "n",
        "transformer_ffn_activation": "relu",
        "tied_embeddings_all": False,
        "tied_embeddings": True,
    },
    "other_order": {
        "transformer_preprocess": "nd",
        "transformer_postprocess": "nda",
        "transformer_ffn_activation": "gelu",
        "transformer_decoder_dim_ffn": 10,
        "tied_embeddings_all": False,
        "tied_embeddings_src": True,
        "transformer_tied_layers": [2, 2],
    },
    "no_residual": {"transformer_postprocess": "dn", "output_omit_bias": True},
    "separate": {"tied_embeddings_all": False, "dim_vocabs": [15, 19], "positions": 24},
    "ssru": SSRU,
    "ssru_pre_norm": {
        **SSRU,
        "transformer_preprocess": "n",
        "transformer_postprocess": "da",
        "transformer_postprocess_top": "n",
        "transformer_rnn_projection": True,
    },
}
COVER = ["pre_norm", "other_order", "ssru"]


def made(tmp_path: Path, name: str) -> tuple[PlainMarian, Seq2SeqLM]:
    options = {key.replace("-", "_"): value for key, value in MODELS[name].items()}
    tensors, settings = random_model(seed=len(name), **options)
    path = write_npz(tmp_path / f"{name}.npz", tensors, settings)
    return PlainMarian(tensors, settings), Seq2SeqLM.from_preset(path)


@pytest.mark.parametrize("name", covered(list(MODELS), COVER))
def test_scores_are_those_of_marians_arithmetic(name, tmp_path):
    plain, model = made(tmp_path, name)
    found = model.score(SOURCES, TARGETS)
    expected = [sum(forced(plain, *pair)) for pair in zip(SOURCES, TARGETS, strict=True)]
    np.testing.assert_allclose(found, expected, atol=2e-4)


#: Without residuals a step hardly depends on the last id, so that hypotheses tie.
SEARCHED = [name for name in MODELS if name != "no_residual"]


@pytest.mark.parametrize("name", covered(SEARCHED, ["pre_norm", "ssru"]))
def test_searches_are_marians(name, tmp_path):
    plain, model = made(tmp_path, name)
    inputs = model.network.frontend.batch(SOURCES, pad=EOS)
    for beams, alpha in ((3, 1.0), (4, 0.6)):
        output = model.generate(
            inputs,
            num_beams=beams,
            num_return_sequences=beams,
            length_penalty=alpha,
            max_length=10,
            return_output=True,
        )
        for row, source in enumerate(SOURCES):
            best = beam_search(plain, source, beams, alpha, 9, EOS, UNK)
            for rank, (ids, total, score) in enumerate(best):
                length = int(output.lengths[row, rank])
                assert output.token_ids[row, rank, :length].tolist() == ids
                assert output.token_log_probs[row, rank].sum() == pytest.approx(total, abs=1e-3)
                assert output.scores[row, rank] == pytest.approx(score, abs=1e-3)


def test_defaults_are_those_of_the_decoder_configuration(tmp_path):
    tensors, settings = random_model()
    write_npz(tmp_path / "m.npz", tensors, settings)
    (tmp_path / "v.yml").write_text(
        yaml.safe_dump({"</s>": 0, "<unk>": 1, **{f"w{i}": i for i in range(2, 19)}})
    )
    (tmp_path / "m.npz.decoder.yml").write_text(
        yaml.safe_dump(
            {
                "relative-paths": False,
                "models": ["/elsewhere/m.npz"],
                "vocabs": ["/elsewhere/v.yml", "v.yml"],
                "beam-size": 5,
                "normalize": 0.7,
                "word-penalty": 0.1,
                "beam-threshold": 5,
            }
        )
    )
    for path in (tmp_path / "m.npz.decoder.yml", tmp_path / "m.npz", tmp_path):
        model = Seq2SeqLM.from_preset(path)
        generation = model.preset.generation
        assert (generation.num_beams, generation.length_penalty) == (5, 0.7)
        assert generation.early_stopping == "shrink" and generation.suppress_tokens == [UNK]
        assert model.preprocessor.joint
        assert model.preprocessor.encode_source(["w5 w9 never w4"]) == [[5, 9, 1, 4, 0]]
        notes = " ".join(model.load_report.notes)
        assert "word-penalty 0.1" in notes and "not used: beam-threshold" in notes
    target = model.preprocessor.special_ids.target
    assert (target.decoder_start, target.eos, target.pad) == (0, 0, 0)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("beam-size", "many", "beam-size: expected a whole number above 0, got 'many'"),
        ("beam-size", 0, "beam-size: expected a whole number above 0, got 0"),
        ("beam-size", True, "beam-size: expected a whole number above 0, got True"),
        ("normalize", "much", "normalize: expected a number, got 'much'"),
        ("word-penalty", float("nan"), "word-penalty: expected a number, got nan"),
    ],
)
def test_values_of_a_search_are_refused_by_file_and_key(key, value, message, tmp_path):
    write_npz(tmp_path / "m.npz", *random_model())
    config = tmp_path / "m.npz.decoder.yml"
    config.write_text(yaml.safe_dump({"models": ["m.npz"], key: value}))
    with pytest.raises(ConfigError) as caught:
        Seq2SeqLM.from_preset(tmp_path)
    assert str(caught.value) == f"{config}: {message}"


def test_vocabularies_that_are_smaller_or_have_a_token_twice_are_noted(tmp_path):
    write_npz(tmp_path / "m.npz", *random_model())
    (tmp_path / "m.npz.decoder.yml").write_text("models: [m.npz]\nshortlist: 5\n")
    words = [f"w{i}: {i}\n" for i in range(2, 19)]
    (tmp_path / "vocab.yml").write_text("</s>: 0\n<unk>: 1\n" + "".join(words))
    notes = MarianModel(tmp_path).notes
    assert not any("vocab.yml" in note for note in notes)
    (alone,) = [note for note in notes if "shortlist" in note]
    assert "m.npz.decoder.yml is not used: expected a list of a path and numbers, got 5" in alone
    (tmp_path / "vocab.yml").write_text("</s>: 0\n<unk>: 1\n" + "".join(words[:9]) + "w4: 3\n")
    found = MarianModel(tmp_path)
    notes = [note for note in found.notes if "vocab.yml" in note]
    assert len(notes) == 2  # both sides have the same
    assert "vocab.yml has 10 tokens, but the table of embeddings 19 rows" in notes[0]
    assert "second time, whose last id is taken: 'w4'" in notes[1]


def test_a_sentencepiece_model_of_fewer_pieces_is_noted(tmp_path):
    tensors, settings = random_model(dim_vocabs=[40, 40])
    write_npz(tmp_path / "m.npz", tensors, settings)
    sentencepiece = pytest.importorskip("sentencepiece")
    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["abc bca cab acb bac", "abba baab cabba"] * 20),
        model_writer=content,
        vocab_size=24,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (tmp_path / "vocab.spm").write_bytes(content.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=content.getvalue()).get_piece_size()
    (note,) = [note for note in MarianModel(tmp_path).notes if "vocab.spm" in note]
    assert f"vocab.spm has {pieces} tokens, but the table of embeddings 40 rows" in note


def test_the_folder_of_a_student_is_read_by_its_path(tmp_path):
    """As Firefox has them: an int8 model, a vocabulary and a shortlist, no configuration."""
    tensors, settings = random_model(**{k.replace("-", "_"): v for k, v in SSRU.items()})
    content, _ = pack_bin(tensors, settings, 0x4101, rows_of_table=True)
    (tmp_path / "model.ende.intgemm.alphas.bin").write_bytes(content)
    (tmp_path / "vocab.ende.yml").write_text(
        yaml.safe_dump({"</s>": 0, "<unk>": 1, **{f"w{i}": i for i in range(2, 19)}})
    )
    lexicon = tmp_path / "lex.50.50.ende.s2t.bin"
    lexicon.write_bytes(np.array([0xF11A48D5013417F5, 0, 19, 19], "<u8").tobytes())
    model = Seq2SeqLM.from_preset(tmp_path)
    assert model.preprocessor.encode_source(["w3 w4"]) == [[3, 4, 0]]
    assert any("shortlist cannot be read" in note for note in model.load_report.notes)
    assert isinstance(model.generate("w3 w4", max_length=6), str)
    with pytest.raises(ValueError, match="this one has none"):
        model.generate("w3 w4", shortlist=True)
    table = from_lists({3: [7], 4: [9]}, range(3), target_size=19, shared=True, first=3)
    write_shortlist(lexicon, table, model.preprocessor)
    model = Seq2SeqLM.from_preset(tmp_path)
    assert any("lex.50.50.ende.s2t.bin alone" in note for note in model.load_report.notes)
    output = model.generate("w3 w4", max_length=6, shortlist=True, return_output=True)
    assert output.candidates == [8]  # 0 to 2, 3 and 4 themselves, 7, 9, and 5: a multiple of 8
    assert set(output.token_ids[0]) <= {0, 1, 2, 3, 4, 5, 7, 9}
    same = model.generate("w3 w4", max_length=6, shortlist=lexicon, return_output=True)
    np.testing.assert_array_equal(same.token_ids, output.token_ids)
    # Where a decoder configuration names it, its numbers come after it.
    (tmp_path / "config.decoder.yml").write_text(
        "models: [model.ende.intgemm.alphas.bin]\nvocabs: [vocab.ende.yml, vocab.ende.yml]\n"
        "shortlist: [words.s2t, 2, 1, 0]\n"
    )
    (tmp_path / "words.s2t").write_text("w9 w3 0.6\nw8 w3 0.4\n")
    named = Seq2SeqLM.from_preset(tmp_path)
    assert named.shortlist.of(3).tolist() == [9] and named.shortlist.first == 2
    (tmp_path / "config.decoder.yml").unlink()
    (tmp_path / "other.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"several models of Marian .*other\.bin"):
        Seq2SeqLM.from_preset(tmp_path)


def test_the_first_vector_is_zeros_whatever_its_id(tmp_path):
    """EOS ends a target and starts the next: its own vector must not be read there."""
    plain, model = made(tmp_path, "post_norm")
    source, target = [5, 9, 6, 4], [6, 11, 4]
    table = next(v for v in model.variables if v.path == "token_table/embeddings")
    values = to_numpy(table).copy()
    values[EOS] = 7.0
    table.assign(values)
    plain.t["Wemb"][EOS] = 7.0  # read in the output projection alone
    found = model.score([source], [target])
    assert found[0] == pytest.approx(sum(forced(plain, source, target)), abs=2e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "multi-transformer"}, "describes no model that can be read .type: 'multi-trans"),
        ({"transformer_decoder_autoreg": "average-attention"}, "average-attention"),
        ({"transformer_ffn_depth": 3}, "transformer-ffn-depth is 3; expected 2"),
        ({"transformer_ffn_activation": "tanh"}, "transformer-ffn-activation is 'tanh'; expected"),
        ({"transformer_postprocess": "dhn"}, "transformer-postprocess is 'dhn'; expected steps"),
        ({"transformer_tied_layers": [1, 2, 1]}, "transformer-tied-layers"),
        ({"transformer_heads": 3}, "hidden_dim 8 is not a multiple of num_heads 3"),
        ({"dim_emb": "wide"}, "hidden_dim"),
        ({"ulr": True}, "ulr is True; expected False"),
    ],
)
def test_settings_that_no_layer_has_are_refused_by_name(changes, message, tmp_path):
    tensors, settings = random_model()
    settings |= {key.replace("_", "-"): value for key, value in changes.items()}
    path = write_npz(tmp_path / "m.npz", tensors, settings)
    with pytest.raises((CheckpointError, ConfigError), match=message) as caught:
        Seq2SeqLM.from_preset(path)
    assert "m.npz" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("decoder_l2_ffn_W1", None, "missing: decoder_l2_ffn_W1"),
        ("decoder_l3_ffn_W1", np.zeros((8, 12), "f4"), "unexpected: decoder_l3_ffn_W1"),
        ("encoder_l1_self_Wq", np.zeros((8, 9), "f4"), "wrong shape: encoder_l1_self_Wq"),
        ("encoder_l1_self_bq", np.full((1, 8), np.nan, "f4"), "not finite"),
        ("encoder_l1_self_Wq", np.zeros((8, 8), "i4"), "wrong type: encoder_l1_self_Wq"),
        ("Wemb", None, "the tensor Wemb is missing"),
        ("Wemb", np.zeros((19, 0), "f4"), "Wemb is .19, 0., expected two sizes above 0"),
        ("special:model.yml", None, "special:model.yml is missing"),
        ("special:model.yml", np.frombuffer(b"a: [", "i1"), "not valid YAML"),
        ("special:model.yml", np.frombuffer(b"- a", "i1"), "expected a mapping of keys"),
        ("special:model.yml", np.zeros(3, "f4"), "is no text"),
    ],
)
def test_tensors_that_do_not_fit_are_named(name, array, message, tmp_path):
    tensors, settings = random_model()
    path = write_npz(tmp_path / "m.npz", tensors, settings)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    arrays.pop(name, None)
    with path.open("wb") as file:
        np.savez(file, **arrays, **({} if array is None else {name: array}))
    with pytest.raises((CheckpointError, ConfigError), match=message):
        Seq2SeqLM.from_preset(path)


def test_arrays_that_are_larger_than_the_file_are_refused(tmp_path):
    tensors, settings = random_model()
    path = tmp_path / "m.npz"
    write_npz(path, tensors, settings)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    arrays["Wemb"] = np.zeros((200_000, 8), "f4")
    np.savez_compressed(path, **arrays)
    with pytest.raises(CheckpointError, match=r"Wemb .* has more bytes than the whole file"):
        Seq2SeqLM.from_preset(path)


def test_files_cut_off_or_changed_anywhere_are_refused_or_read(tmp_path):
    tensors, settings = random_model()
    path = write_npz(tmp_path / "m.npz", tensors, settings)
    content, draw, refused = path.read_bytes(), np.random.default_rng(0), 0
    with MarianModel(path) as intact:
        intact.check()
    for round_ in range(200):
        broken = bytearray(content)
        if round_ % 3 == 0:
            broken = broken[: draw.integers(len(broken))]
        else:
            for _ in range(draw.integers(1, 6)):
                # The directory of the archive stands at its end.
                first = len(broken) - 4000 if round_ % 3 == 1 else 0
                broken[draw.integers(first, len(broken))] = draw.integers(256)
        path.write_bytes(broken)
        try:
            with MarianModel(path) as model:
                model.check()
                for name in model.weights.specs:
                    model.weights.read(name)
        except (CheckpointError, ConfigError):
            refused += 1
    assert refused > 150


def test_pickles_are_refused(tmp_path):
    tensors, settings = random_model()
    path = tmp_path / "m.npz"
    write_npz(path, {**tensors, "extra": np.array([{}], object)}, settings)
    with pytest.raises(CheckpointError, match="extra is of the type object"):
        Seq2SeqLM.from_preset(path)


# --------------------------------------------------------------------------------------
# What Marian itself answers
# --------------------------------------------------------------------------------------

TRAINED = os.environ.get("KERAS_S2S_DATA")
SEARCHES = {
    "beam4": {"num_beams": 4, "length_penalty": 1.0, "num_return_sequences": 4},
    "beam6_norm0.6": {"num_beams": 6, "length_penalty": 0.6, "num_return_sequences": 6},
    "greedy": {"num_beams": 1},
}


def answered() -> list[tuple[str, str]]:
    """Each model of `KERAS_S2S_DATA` with its answers; `.bin` files are that of the same name."""
    pairs = []
    for answers in sorted(Path(TRAINED).glob("**/*.answers.json")) if TRAINED else []:
        name = answers.name.removesuffix(".answers.json")
        # What Marian answers with int8 files depends on how it rounds activations, too.
        models = [answers.with_name(f"{name}.npz"), *answers.parent.glob(f"{name}.float*.bin")]
        pairs += [(str(model), str(answers)) for model in models]
    return pairs


@pytest.mark.slow
@pytest.mark.skipif(not TRAINED, reason="KERAS_S2S_DATA names no folder")
@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(("model", "answers"), answered())
def test_marian_answers_the_same(model, answers, search):
    described = json.loads(Path(answers).read_text(encoding="utf-8"))
    seq2seq = Seq2SeqLM.from_preset(model)
    sources, count = described["sources"], 0
    lengths = [len(ids) for ids in seq2seq.preprocessor.encode_source(sources)]
    # Marian stops at three times the longest source of a batch.
    for start in range(0, len(sources), 8):
        output = seq2seq.generate(
            sources[start : start + 8],
            max_length=3 * max(lengths[start : start + 8]) + 1,
            return_output=True,
            **SEARCHES[search],
        )
        for row, texts in enumerate(output.texts):
            expected = described[search]["hypotheses"][start + row]
            found = [texts] if isinstance(texts, str) else texts
            sums = np.reshape(output.token_log_probs[row], (len(found), -1)).sum(-1)
            scores = np.reshape(output.scores[row], -1)
            assert [text.strip() for text in found] == [text for text, _, _ in expected]
            np.testing.assert_allclose(sums, [total for _, total, _ in expected], atol=1e-3)
            np.testing.assert_allclose(scores, [score for _, _, score in expected], atol=1e-3)
            count += len(found)
    assert count >= len(sources)
