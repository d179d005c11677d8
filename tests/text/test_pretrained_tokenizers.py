"""Tokenizers from Hugging Face folders against transformers' own, read from the same folder."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable

import pytest
from hugging_face_folders import (
    Loaded,
    byte_level_files,
    pieces,
    saved_by_transformers,
    sentencepiece_model,
    write_folder,
)
from huggingface_tokenizer_cases import CASES, T5_ORDER, m2m_100_bare, marian
from small_models import slow_where_compiled

from keras_s2s.config import ConfigError
from keras_s2s.text import load_tokenizer
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers
from keras_s2s.text.pretrained.language_codes import MBART, NLLB
from keras_s2s.text.registry import PRETRAINED_TOKENIZERS

transformers = pytest.importorskip("transformers")

# No test here has anything to do with the backend.
pytestmark = [pytest.mark.filterwarnings("ignore:.*sacremoses.*:UserWarning")]

TEXTS = 10_000


# --------------------------------------------------------------------------------------
# Against transformers
# --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> Callable[[str], Loaded]:
    """A case's folder, `NAME` as it is or `NAME saved` by transformers, read once."""
    made: dict[str, Loaded] = {}

    def load(name: str) -> Loaded:
        if name not in made:
            plain, _, again = name.partition(" ")
            folder = tmp_path_factory.mktemp(plain)
            before = CASES[plain](folder / "made")
            made[name] = Loaded(
                saved_by_transformers(folder / "saved", before) if again else before
            )
        return made[name]

    return load


@slow_where_compiled
@pytest.mark.parametrize("name", CASES)
def test_ids_are_those_of_transformers(loaded, name):
    pair = loaded(name)
    texts = pair.texts(TEXTS)
    expected = pair.theirs(texts, add_special_tokens=False).input_ids
    ids = pair.ours.source.encode_batch(texts)
    wrong = [i for i in range(TEXTS) if ids[i] != expected[i]]
    assert not wrong, (texts[wrong[0]], ids[wrong[0]], expected[wrong[0]])
    assert [pair.ours.source.encode(text) for text in texts[:50]] == expected[:50]


@slow_where_compiled
@pytest.mark.parametrize("name", [f"{name} saved" for name in CASES])
def test_ids_of_folders_saved_by_transformers(loaded, name):
    pair = loaded(name)
    texts = pair.texts(700)
    expected = pair.theirs(texts, add_special_tokens=False).input_ids
    assert pair.ours.source.encode_batch(texts) == expected


@slow_where_compiled
@pytest.mark.parametrize("name", ["marian", "marian_separate"])
def test_target_ids_are_those_of_transformers(loaded, name):
    pair = loaded(name)
    texts = pair.texts(2000)
    expected = pair.theirs(text_target=texts, add_special_tokens=False).input_ids
    assert pair.ours.target.encode_batch(texts) == expected
    assert expected != pair.theirs(texts, add_special_tokens=False).input_ids


@slow_where_compiled
@pytest.mark.parametrize("name", [name + again for name in CASES for again in ("", " saved")])
def test_texts_are_those_of_transformers(loaded, name):
    pair = loaded(name)
    rows = pair.theirs(text_target=pair.texts(400), add_special_tokens=False).input_ids
    rng = random.Random(3)
    size = min(len(pair.theirs), pair.ours.target.known)
    rows += [[rng.randrange(size) for _ in range(rng.randint(0, 12))] for _ in range(300)]
    expected = [pair.theirs.decode(row, skip_special_tokens=True) for row in rows]
    assert pair.ours.target.decode_batch(rows) == expected


@slow_where_compiled
@pytest.mark.parametrize("name", CASES)
def test_named_ids_and_sizes(loaded, name):
    pair = loaded(name)
    ours = pair.ours.source
    # IndicBART's `<s>` and `</s>` are special tokens beside those of ALBERT, which have the names.
    for key in ("pad", "unk", *(() if name == "indic_bart" else ("bos", "eos"))):
        assert getattr(ours, f"{key}_id") == getattr(pair.theirs, f"{key}_token_id"), key
    vocabulary = pair.theirs.get_vocab()
    assert ours.known >= max(vocabulary.values()) + 1
    for i in [0, 5, 50, len(pair.theirs) - 1]:
        assert ours.id_to_token(i) == pair.theirs.convert_ids_to_tokens(i)
    bigger = load_pretrained_tokenizers(pair.folder, pair.model_type, source_size=5000)
    assert bigger.source.vocabulary_size == 5000
    # Ids that only the model has mean nothing.
    if name not in ("m2m_100", "m2m_100_bare", "blenderbot_small"):
        assert bigger.source.decode([4999]) == ""
        assert bigger.source.decode([4999], skip_special_ids=False) == ""


@slow_where_compiled
@pytest.mark.parametrize("name", CASES)
def test_saved_and_read_again(loaded, name, tmp_path):
    pair = loaded(name)
    texts = pair.texts(100)
    for side in ("source", "target"):
        ours = getattr(pair.ours, side)
        assert PRETRAINED_TOKENIZERS[ours.kind] is type(ours)
        ours.save(tmp_path, side)
        for copy in (load_tokenizer(tmp_path, side), pickle.loads(pickle.dumps(ours))):
            assert type(copy) is type(ours)
            rows = ours.encode_batch(texts)
            assert copy.encode_batch(texts) == rows
            assert copy.decode_batch(rows) == ours.decode_batch(rows)
            assert copy.vocabulary_size == ours.vocabulary_size


# --------------------------------------------------------------------------------------
# Where transformers is not followed
# --------------------------------------------------------------------------------------


@slow_where_compiled
def test_pegasus_keeps_its_published_ids(tmp_path):
    """As google/pegasus-xsum: SentencePiece's ids are 103 higher, whatever the files name."""
    model = sentencepiece_model(special=T5_ORDER)
    names = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    more = ["<mask_1>", *(f"<unk_{i}>" for i in range(2, 103))]
    tokens = {**names, "mask_token": "<mask_2>", "additional_special_tokens": more}
    files = {"spiece.model": model, "special_tokens_map.json": tokens}
    found = load_pretrained_tokenizers(write_folder(tmp_path, "pegasus", files), "pegasus")
    own = pieces(model)
    assert [found.source.token_to_id(token) for token in own[2:]] == list(
        range(105, 103 + len(own))
    )
    assert [found.source.id_to_token(i) for i in range(5)] == [
        "<pad>",
        "</s>",
        "<mask_1>",
        "<mask_2>",
        "<unk_2>",
    ]


@slow_where_compiled
def test_nllb_without_a_list_of_languages_has_the_published_one(tmp_path):
    model = sentencepiece_model(kind="bpe")
    config = {"tokenizer_class": "NllbTokenizer"}
    files = {"sentencepiece.bpe.model": model, "tokenizer_config.json": config}
    found = load_pretrained_tokenizers(write_folder(tmp_path, "m2m_100", files), "m2m_100")
    behind = len(pieces(model)) + 1
    assert found.languages.codes == {code: behind + i for i, code in enumerate(NLLB)}
    assert found.source.token_to_id("<mask>") == behind + len(NLLB)


# --------------------------------------------------------------------------------------
# Folders that lack something
# --------------------------------------------------------------------------------------


def test_no_tokenizer_files(tmp_path):
    assert load_pretrained_tokenizers(write_folder(tmp_path, "bart", {}), "bart") is None
    assert load_pretrained_tokenizers(tmp_path, "byt5").class_name == "ByT5Tokenizer"


def test_a_missing_file_is_named(tmp_path):
    vocab, _ = byte_level_files()
    folder = write_folder(tmp_path / "bart", "bart", {"vocab.json": vocab})
    with pytest.raises(FileNotFoundError, match=r"merges\.txt is missing"):
        load_pretrained_tokenizers(folder, "bart")
    files = {"source.spm": sentencepiece_model(), "vocab.json": {"<unk>": 0}}
    folder = write_folder(tmp_path / "marian", "marian", files)
    with pytest.raises(FileNotFoundError, match=r"source\.spm|target\.spm"):
        load_pretrained_tokenizers(folder, "marian")


@pytest.mark.parametrize(
    ("model_type", "files", "message"),
    [
        ("t5", {"spiece.model": b"not a model"}, r"spiece\.model: not a SentencePiece model"),
        ("plbart", {"sentencepiece.bpe.model": b"\xff"}, r"bpe\.model: not a SentencePiece"),
        ("bart", {"tokenizer.json": b"{"}, r"tokenizer\.json: not a JSON file"),
        ("bart", {"tokenizer.json": b"[]"}, r"expected a mapping"),
        ("bart", {"tokenizer.json": {"model": {}}}, r"model\.vocab is missing"),
        ("marian", {"vocab.json": {"a": 0}, "source.spm": b""}, "unknown token '<unk>' is missing"),
        ("marian", {"vocab.json": {"a": "b"}, "source.spm": b""}, "'a' has id 'b'"),
        ("t5", {"spiece.model": b"", "tokenizer_config.json": b"{,"}, "not a JSON file"),
        (
            "bart",
            {"vocab.txt": b"a\n", "tokenizer_config.json": {"tokenizer_class": "MyTokenizer"}},
            "'MyTokenizer' of model type 'bart', which cannot be read here",
        ),
    ],
)
def test_broken_files_are_named(tmp_path, model_type, files, message):
    folder = write_folder(tmp_path, model_type, files)
    with pytest.raises(ConfigError, match=message):
        load_pretrained_tokenizers(folder, model_type)


def test_more_tokens_than_the_model_has(tmp_path, caplog):
    model = sentencepiece_model(special=T5_ORDER)
    folder = write_folder(tmp_path, "t5", {"spiece.model": model})
    size = len(pieces(model))
    found = load_pretrained_tokenizers(folder, "t5", source_size=size)
    assert f"ids from {size} ('<extra_id_99>') on, which the model does not have" in caplog.text
    assert max(found.source.encode("Two men")) < size
    for encode in (found.source.encode, lambda text: found.source.encode_batch([text])):
        with pytest.raises(ValueError, match=r"'<extra_id_7>', whose id .* does not have"):
            encode("Two <extra_id_7> men")
    with pytest.raises(ConfigError, match=rf"ids up to {size - 1} .* vocabulary has {size - 1} "):
        load_pretrained_tokenizers(folder, "t5", source_size=size - 1)
    load_pretrained_tokenizers(folder, "t5", source_size=size + 100).source.encode("<extra_id_0>")


@slow_where_compiled
def test_languages_that_a_small_model_lacks(tmp_path):
    folder = m2m_100_bare(tmp_path)
    every = load_pretrained_tokenizers(folder, "m2m_100").languages.codes
    assert len(every) == 100
    some = load_pretrained_tokenizers(folder, "m2m_100", source_size=every["en"] + 1)
    assert list(some.languages.codes) == list(every)[: list(every).index("en") + 1]


def test_a_saved_tokenizer_that_was_changed(tmp_path):
    folder = write_folder(
        tmp_path / "hf", "mbart", {"sentencepiece.bpe.model": sentencepiece_model()}
    )
    tokenizer = load_pretrained_tokenizers(folder, "mbart").source
    assert tokenizer.token_to_id(MBART[0]) is not None
    tokenizer.save(tmp_path, "source")
    (tmp_path / "source.sentencepiece.bpe.model").write_bytes(b"other")
    with pytest.raises(ConfigError, match="sha256"):
        load_tokenizer(tmp_path, "source")


def test_marian_without_pad_says_so(tmp_path):
    folder = marian(tmp_path / "marian")
    assert load_pretrained_tokenizers(folder, "marian").source.notes == ()
    path = folder / "vocab.json"
    vocabulary = json.loads(path.read_text())
    last = vocabulary.pop("<pad>")
    path.write_text(json.dumps(vocabulary))
    tokenizers = load_pretrained_tokenizers(folder, "marian", source_size=last + 1)
    (note,) = tokenizers.source.notes
    assert note.startswith("vocab.json has no <pad>") and "pad_token_id of config.json" in note


@pytest.mark.parametrize(
    "changes", [{"size": [[1]]}, {"size": True}, {"size": 0}, {"size": "9"}, {"class": None}]
)
def test_saved_settings_that_cannot_be_are_named(tmp_path, changes):
    tokenizer = load_pretrained_tokenizers(marian(tmp_path / "marian"), "marian").source
    settings = {**tokenizer._settings(), **changes}
    with pytest.raises(ConfigError, match=f"settings: {next(iter(changes))} is"):
        type(tokenizer)._restore(settings, tokenizer._files())
