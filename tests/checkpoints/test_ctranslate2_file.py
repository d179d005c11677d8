"""`model.bin` and the files beside it: every version of the format, and every way to be broken."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from checkpoints.ctranslate2_folders import SPECS, VOCABULARY, load, opennmt, write
from small_models import COMPILES

from keras_s2s.checkpoints.ctranslate2.model_file import CTranslate2File
from keras_s2s.checkpoints.ctranslate2.reader import is_ctranslate2_folder, read_ctranslate2_folder
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.config import merge
from keras_s2s.model import Seq2SeqLM
from keras_s2s.text import ByteTokenizer
from keras_s2s.text.pretrained.token_list import TokenListTokenizer

ctranslate2 = pytest.importorskip("ctranslate2")
if COMPILES:
    # Nothing here computes.
    pytestmark = pytest.mark.slow

TYPES = ["float32", "int8", "int16", "int32", "float16"]


def spec() -> Any:
    made = opennmt()()
    made.validate()
    return made


def pack(
    arrays: dict[str, np.ndarray],
    version: int = 6,
    name: str = "TransformerSpec",
    revision: int = 7,
    aliases: dict[str, str] | None = None,
) -> bytes:
    """A file of the format, written here by its description."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value.encode()) + 1) + value.encode() + b"\0"

    parts = [struct.pack("<I", version), text(name), struct.pack("<II", revision, len(arrays))]
    for key, array in arrays.items():
        parts += [text(key), struct.pack("<B", array.ndim)]
        parts += [struct.pack("<I", size) for size in array.shape]
        if version >= 4:
            parts.append(struct.pack("<BI", TYPES.index(array.dtype.name), array.nbytes))
        else:
            parts.append(struct.pack("<BI", array.itemsize, array.size))
        parts.append(array.tobytes())
    if version >= 3:
        aliases = aliases or {}
        parts.append(struct.pack("<I", len(aliases)))
        parts += [text(alias) + text(meant) for alias, meant in aliases.items()]
    return b"".join(parts)


def arrays_of(made: Any) -> dict[str, np.ndarray]:
    """A specification's variables, straight from its package."""
    return {
        name: np.asarray(value.numpy())
        for name, value in made.variables(ordered=True)
        if not isinstance(value, str)
    }


# ------------------------------------------------------------------ versions


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_older_versions_of_the_format(version, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    arrays = arrays_of(spec())
    # As the package had it then: settings of both sides once, one table without a number.
    for setting in ("num_heads", "pre_norm", "activation"):
        arrays[setting] = arrays.pop(f"encoder/{setting}")
        del arrays[f"decoder/{setting}"]
    for name in ("encoder/embeddings_merge", "decoder/alignment_layer", "decoder/alignment_heads"):
        arrays[name.partition("/")[2]] = arrays.pop(name)
    arrays["encoder/embeddings/weight"] = arrays.pop("encoder/embeddings_0/weight")
    for side in ("encoder", "decoder"):
        flag = arrays.pop(f"{side}/scale_embeddings")
        arrays[f"{side}/embeddings/multiply_by_sqrt_depth"] = flag
    arrays |= {"with_source_bos": np.int8(1), "with_target_bos": np.int8(0)}
    arrays |= {"eos_token": np.frombuffer(b"t5", np.int8)}
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    (folder / "model.bin").write_bytes(pack(arrays, version, revision=3 if version < 4 else 4))
    source = ["<blank>", "<s>", "t5", *(f"s{i}" for i in range(VOCABULARY))]
    (folder / "source_vocabulary.txt").write_text("\n".join(source) + "\n", encoding="utf-8")
    target = [f"t{i}" for i in range(VOCABULARY - 2)] + ["\u2028"]
    (folder / "target_vocabulary.txt").write_text("\n".join(target) + "\n", encoding="utf-8")

    model = load(folder)
    ids = model.special_ids
    assert (ids.source.bos, ids.source.eos, ids.source.unk) == (1, None, VOCABULARY + 3)
    assert (ids.target.decoder_start, ids.target.eos, ids.target.unk) == (5, 5, VOCABULARY - 1)
    rows = [["s3", "s4"], ["s7", "s1", "s9", "s9"], ["s20"]]
    translator = ctranslate2.Translator(str(folder), compute_type="float32")
    expected = translator.score_batch(rows, [["t1", "\u2028"]] * 3)
    encoded = model.preprocessor.encode_source([" ".join(row) for row in rows])
    targets = model.preprocessor.encode_target(["t1 \u2028"] * 3)
    _, log_probs = model.score(encoded, targets, return_token_log_probs=True)
    for mine, theirs in zip(log_probs, expected, strict=True):
        np.testing.assert_allclose(mine, theirs.log_probs, atol=1e-4)


def test_a_small_integer_weight_without_a_scale_has_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    values = np.asarray([[500, -1000], [1, 0]], np.int16)
    path.write_bytes(pack({"a/weight": values}, version=3))
    with CTranslate2File(path) as file:
        np.testing.assert_allclose(file.array("a/weight"), values / 1000.0)


def test_types_scales_and_aliases(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    rows = np.asarray([[100, -50], [3, 4]], np.int8)
    arrays = {
        "a/weight": rows,
        "a/weight_scale": np.asarray([10, 4], np.float32),
        "b/weight": rows.astype(np.int16),
        "b/weight_scale": np.asarray(2, np.float32),
        "half": np.asarray([0.5, 3], np.float16),
        "count": np.asarray(7, np.int32),
        "empty": np.zeros((0, 4), np.float32),
    }
    path.write_bytes(pack(arrays, aliases={"c/weight": "a/weight"}))
    with CTranslate2File(path) as file:
        assert (file.version, file.spec, file.revision) == (6, "TransformerSpec", 7)
        for name in ("a/weight", "c/weight"):
            np.testing.assert_allclose(file.array(name), [[10, -5], [0.75, 1]])
        np.testing.assert_allclose(file.array("b/weight"), rows / 2)
        np.testing.assert_array_equal(file.array("half"), np.asarray([0.5, 3], np.float32))
        assert file.array("empty").shape == (0, 4)
        assert file.scalar("count") == 7 and file.scalar("no", 3) == 3
        with pytest.raises(
            CheckpointError, match=r"variable 'half' is \(2,\), expected one number"
        ):
            file.scalar("half")
        with pytest.raises(CheckpointError, match="variable 'nothing' is missing"):
            file.array("nothing")


def test_bfloat16(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    values = torch.tensor([[1.5, -2.25], [1e-20, 3e30]]).to(torch.bfloat16)
    content = pack({"a": values.view(torch.int16).numpy()})
    at = content.index(b"a\0") + 2 + 1 + 8
    assert content[at] == TYPES.index("int16")
    path = tmp_path / "model.bin"
    path.write_bytes(content[:at] + b"\5" + content[at + 1 :])
    with CTranslate2File(path) as file:
        np.testing.assert_array_equal(file.array("a"), values.float().numpy())


# ------------------------------------------------------------------ broken files


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(SPECS["opennmt"](), tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def refused(folder: Path, match: str) -> None:
    with pytest.raises(CheckpointError, match=match) as error:
        read_ctranslate2_folder(folder)
    assert str(folder) in str(error.value)


def test_a_file_cut_anywhere_is_refused(folder: Path) -> None:
    path = folder / "model.bin"
    content = path.read_bytes()
    cuts = [*range(60), *range(60, len(content), 997), len(content) - 1]
    for cut in cuts:
        path.write_bytes(content[:cut])
        refused(folder, rf"model\.bin, byte \d+: the file ends at byte {cut}, inside")
    path.write_bytes(content + b"\0")
    refused(folder, f"byte {len(content)}: 1 bytes follow the last entry")
    path.write_bytes(content)
    read_ctranslate2_folder(folder)


SMALL = {"first": np.zeros((2, 3), np.float32), "other": np.zeros(4, np.float32)}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: b"\x07" + c[1:], "version 7 is not one of 2 to 6"),
        (lambda c: b"\x01" + c[1:], "version 1 is not one of 2 to 6"),
        (lambda c: b"PK\x03\x04" + c[4:], "byte 0: version 67324752 is not"),
        (lambda c: c.replace(b"other", b"first"), "variable 'first' occurs twice"),
        (lambda c: c.replace(b"first\0", b"firstX"), "variable 0 does not end in a NUL"),
        (lambda c: c.replace(b"first", b"f\xff\xfest"), "name of variable 0 is not UTF-8"),
        (
            lambda c: c.replace(struct.pack("<BI", 0, 24), struct.pack("<BI", 9, 24)),
            "variable 'first' has the type 9",
        ),
        (
            lambda c: c.replace(struct.pack("<BI", 0, 24), struct.pack("<BI", 0, 20)),
            r"variable 'first': float32 \(2, 3\) takes 24 bytes, but it has 20",
        ),
        (
            lambda c: c.replace(struct.pack("<II", 2, 3), struct.pack("<II", 2**31, 2**31)),
            "takes 18446744073709551616 bytes",
        ),
    ],
)
def test_a_corrupt_file_is_refused(
    change: Callable[[bytes], bytes], match: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.bin"
    content = pack(SMALL)
    path.write_bytes(content)
    CTranslate2File(path).close()
    changed = change(content)
    assert changed != content
    path.write_bytes(changed)
    with pytest.raises(CheckpointError, match=match) as error:
        CTranslate2File(path)
    assert f"{path}, byte " in str(error.value)


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(pack({"a": SMALL["first"]}, aliases={"b": "c"}))
    with pytest.raises(CheckpointError, match="alias 'b' stands for 'c', which is no"):
        CTranslate2File(path)
    for scale, match in (
        (np.asarray([1, 0], np.float32), "a scale that is 0 or no number"),
        (np.asarray([1, np.nan], np.float32), "a scale that is 0 or no number"),
        (np.asarray([1, 2, 3], np.float32), "3 scales, expected 1 or the 2 rows"),
    ):
        weight = np.ones((2, 2), np.int8)
        path.write_bytes(pack({"a/weight": weight, "a/weight_scale": scale}))
        with CTranslate2File(path) as file, pytest.raises(CheckpointError, match=match):
            file.array("a/weight")


# ------------------------------------------------------------------ models that do not fit


def rewritten(folder: Path, change: Callable[[dict[str, np.ndarray]], Any], **options: Any) -> None:
    arrays = arrays_of(spec())
    change(arrays)
    (folder / "model.bin").write_bytes(pack(arrays, **options))


ROW = np.zeros((1, 8), np.float32)
FOREIGN = {
    "encoder/layer_0/self_attention/relative_position_keys": (ROW, "Shaw 2018"),
    "decoder/layer_0/self_attention/rotary_dim": (np.int32(4), "rotary positions"),
    "decoder/layer_0/self_attention/num_heads_kv": (np.int32(1), "shared between heads"),
    "decoder/project_in/weight": (ROW, "projections before and after"),
    "decoder/alibi": (np.int8(1), "ALiBi"),
    "decoder/final_logit_softcapping": (np.float32(30), "bounded logits"),
    "encoder/layer_1/post_attention_layer_norm/gamma": (ROW[0], "before and after each"),
    "encoder/layer_1/self_attention/q_norm/gamma": (ROW[0], "normalised queries"),
    "encoder/layer_1/something_new": (ROW, "unknown: encoder/layer_1/something_new at byte"),
    "encoder/embeddings_1/weight": (ROW, "source factors"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_the_layers_cannot_do_is_refused(folder: Path, name: str) -> None:
    value, match = FOREIGN[name]
    rewritten(folder, lambda arrays: arrays.update({name: np.asarray(value)}))
    refused(folder, match)


def change(name: str, value: Any) -> Callable[[dict[str, np.ndarray]], Any]:
    return lambda arrays: arrays.update({name: np.asarray(value)})


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (
            lambda a: a.pop("encoder/layer_1/ffn/linear_1/weight"),
            "missing: encoder/layer_1/ffn/linear_1/weight",
        ),
        (
            change("decoder/layer_0/attention/linear_1/weight", np.zeros((16, 7), np.float32)),
            r"linear_1/weight at byte \d+ is \(16, 7\), expected \(16, 8\)",
        ),
        (
            change("decoder/projection/weight", np.zeros((VOCABULARY, 8), np.int8)),
            "missing: decoder/projection/weight_scale",
        ),
        (change("encoder/activation", np.int8(5)), "number 5 is not one of"),
        (change("encoder/num_heads", np.int16(5)), "24 rows are not query, key and value of 5"),
        (change("decoder/scale_embeddings", np.float32(3)), "the scale is 3.0, expected 1 or 2.8"),
        (change("decoder/scale_outputs", np.float32(3)), "the scale is 3.0, expected 1 or 0.35"),
        (
            change("encoder/layer_0/self_attention/queries_scale", np.float32(1)),
            "layers differ in it",
        ),
        (
            lambda a: a.pop("decoder/layer_0/attention/linear_0/weight"),
            "the decoder does not read the source",
        ),
        (lambda a: a.pop("decoder/embeddings/weight"), "'decoder/embeddings/weight' is missing"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(folder: Path, edit: Any, match: str) -> None:
    rewritten(folder, edit)
    refused(folder, match)


def test_other_kinds_of_model_are_refused(folder: Path) -> None:
    rewritten(folder, lambda arrays: None, name="TransformerDecoderSpec")
    refused(folder, "it holds a TransformerDecoderSpec of revision 7; only encoder-decoders")
    rewritten(folder, lambda arrays: None, revision=8)
    refused(folder, "of revisions 2 to 7")
    assert is_ctranslate2_folder(folder) and not is_ctranslate2_folder(folder.parent)
    with pytest.raises(FileNotFoundError):
        read_ctranslate2_folder(folder.parent)


def test_vocabularies_that_do_not_fit_are_refused(folder: Path) -> None:
    path = folder / "source_vocabulary.json"
    tokens = json.loads(path.read_text(encoding="utf-8"))
    for content, match in (
        (json.dumps(tokens[:-2]), "source vocabulary has 26 tokens .*, but model.bin 27 source"),
        ("{", r"source_vocabulary\.json: not a JSON file"),
        ("[1]", r"source_vocabulary\.json: expected a JSON list of tokens"),
    ):
        path.write_text(content, encoding="utf-8")
        refused(folder, match)
    path.unlink()
    refused(folder, r"source_vocabulary\.json \(or \.txt\) is missing")
    (folder / "source_1_vocabulary.json").write_text("[]", encoding="utf-8")
    refused(folder, "source factors have no counterpart")


def test_settings_that_do_not_fit_are_refused(folder: Path) -> None:
    path = folder / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    for content, match in (
        ("[]", r"config\.json: expected a mapping"),
        ("nothing", r"config\.json: not a JSON file"),
        (json.dumps({**settings, "add_source_eos": "yes"}), "add_source_eos is 'yes'"),
        (json.dumps({**settings, "eos_token": None}), "eos_token is None"),
        (
            json.dumps({**settings, "decoder_start_token": "<2de>"}),
            "the decoder starts with '<2de>', which is not in the target",
        ),
        (
            json.dumps({**settings, "decoder_start_token": None}),
            "decoder_start_token is null",
        ),
    ):
        path.write_text(content, encoding="utf-8")
        refused(folder, match)
    # The caller gives what such a folder leaves open.
    model = load(folder, decoder_start_token="t9")
    assert model.special_ids.target.decoder_start == 9
    path.write_text(json.dumps({**settings, "layer_norm_epsilon": 1e-3}), encoding="utf-8")
    assert load(folder).preset.architecture.encoder.norm_epsilon == 1e-3


# ------------------------------------------------------------------ tokenizers


def test_tokenizers_by_name_and_by_object(folder: Path) -> None:
    _, spaces, _ = read_ctranslate2_folder(folder)
    assert spaces.encode_source(["s0  s1 </s>\n"]) == [[1, 3, 4, 2, 2]]
    assert spaces.decode_target([[1, 4, 5, 2]]) == ["t4 t5"]
    _, characters, _ = read_ctranslate2_folder(folder, "character")
    assert characters.encode_source(["s0"]) == [[1, 26, 26, 2]]
    # One's own must have the same ids.
    own = TokenListTokenizer(spaces.source.tokens[:9], "character", {"unk": 0})
    with pytest.raises(CheckpointError, match="id 0 is '<unk>' in the target vocabulary, but"):
        read_ctranslate2_folder(folder, own)
    _, mine, _ = read_ctranslate2_folder(folder, spaces)
    assert mine.encodes_like(spaces)
    with pytest.raises(CheckpointError, match="they belong to different models"):
        read_ctranslate2_folder(folder, ByteTokenizer())
    for wrong in ("word", 3):
        with pytest.raises(ValueError, match=f"tokenizer={wrong!r}: .* 'space', 'character'"):
            read_ctranslate2_folder(folder, wrong)


def test_marians_start_is_an_id_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder = write(SPECS["marian"](), tmp_path / "model")
    model = load(folder)
    ids, last = model.special_ids, VOCABULARY - 1
    assert (ids.target.decoder_start, ids.target.pad, ids.source.pad) == (last, last, last)
    assert model.preprocessor.target.id_to_token(last) == "<pad>"
    weights = {v.path: keras.ops.convert_to_numpy(v.value) for v in model.weights}
    assert not weights["token_table/embeddings"][last].any()
    assert weights["logits/bias"][last] == -100


def test_what_was_loaded_is_told(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder = write(SPECS["t5"](), tmp_path / "model", "int8")
    config, text, weights = read_ctranslate2_folder(folder)
    model = Seq2SeqLM(config, text)
    told = weights.assign(model.weights)
    assert told["files"] == ("model.bin",) and told["dtypes"] == ("float32", "int8")
    assert "encoder/layer_0/ffn/linear_0/weight" in told["loaded"]
    bias = "self_attention/relative_attention_bias"
    assert set(told["tied"]) == {
        "decoder/embeddings/weight = encoder/embeddings_0/weight",
        "decoder/projection/weight = encoder/embeddings_0/weight",
        f"encoder/layer_1/{bias} = encoder/layer_0/{bias}",
        f"decoder/layer_1/{bias} = decoder/layer_0/{bias}",
    }
    # Another model is refused before anything is assigned.
    narrow = merge(config.model_dump(), {"architecture": {"encoder": {"intermediate_dim": 3}}})
    other = Seq2SeqLM(narrow, text)
    before = [keras.ops.convert_to_numpy(v.value).copy() for v in other.weights]
    with pytest.raises(CheckpointError, match=r"inner/kernel: the file has \(12, 10\), the model"):
        weights.assign(other.weights)
    for old, variable in zip(before, other.weights, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(variable.value))


def test_the_public_door(tmp_path: Path) -> None:
    folder = write(SPECS["opennmt"](), tmp_path / "model")
    model = Seq2SeqLM.from_preset(folder, tokenizer="character", verbose=False)
    assert model.preprocessor.encode_source(["s0"]) == [[1, 26, 26, 2]]
    assert model.generation_config.renormalize_logits
    model.export(tmp_path / "int8", format="ctranslate2", quantization="int8")
    again = Seq2SeqLM.from_preset(tmp_path / "int8", verbose=False)
    assert again.preprocessor.encodes_like(model.preprocessor)
    assert again.preprocessor.encode_source(["s0"]) == [[1, 26, 26, 2]]
