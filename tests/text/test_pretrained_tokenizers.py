"""Tokenizers from Hugging Face folders against transformers' own, read from the same folder."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hugging_face_folders import (
    Loaded,
    added,
    byte_level_files,
    fairseq_vocabulary,
    pieces,
    random_texts,
    saved_by_transformers,
    sentencepiece_model,
    word_bpe_files,
    write_folder,
)
from small_models import slow_where_compiled

from keras_s2s.config import ConfigError
from keras_s2s.text import load_tokenizer
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers
from keras_s2s.text.pretrained.language_codes import M2M_100, MBART, NLLB
from keras_s2s.text.registry import PRETRAINED_TOKENIZERS

transformers = pytest.importorskip("transformers")

# No test here has anything to do with the backend.
pytestmark = [pytest.mark.filterwarnings("ignore:.*sacremoses.*:UserWarning")]

T5_ORDER = ("<pad>", "</s>", "<unk>")
SENTINELS = [f"<extra_id_{i}>" for i in range(100)]
TEXTS = 10_000

#: Name of a case to what writes its folder.
CASES: dict[str, Callable[[Path], Path]] = {}


def case(function: Callable[[Path], Path]) -> Callable[[Path], Path]:
    CASES[function.__name__] = function
    return function


# --------------------------------------------------------------------------------------
# Folders as public checkpoints have them
# --------------------------------------------------------------------------------------


@case
def t5(folder: Path) -> Path:
    return write_folder(folder, "t5", {"spiece.model": sentencepiece_model(special=T5_ORDER)})


@case
def t5_listed(folder: Path) -> Path:
    names = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    config = {
        **names,
        "extra_ids": 100,
        "additional_special_tokens": SENTINELS,
        "clean_up_tokenization_spaces": True,
        "tokenizer_class": "T5Tokenizer",
    }
    files = {
        "spiece.model": sentencepiece_model(special=T5_ORDER, unknown=True),
        "tokenizer_config.json": config,
        "special_tokens_map.json": {**names, "additional_special_tokens": SENTINELS},
    }
    return write_folder(folder, "t5", files)


@case
def t5_added_tokens(folder: Path) -> Path:
    """As transformers 4 wrote it, with tokens that a person added."""
    model = sentencepiece_model(special=T5_ORDER)
    size = len(pieces(model))
    decoder = {
        "0": added("<pad>", special=True),
        "1": added("</s>", special=True),
        "2": added("<unk>", special=True),
        **{str(size + 99 - i): added(token, special=True) for i, token in enumerate(SENTINELS)},
        str(size + 100): added("<left>", lstrip=True),
        str(size + 101): added("<both>", lstrip=True, rstrip=True, normalized=True),
        str(size + 102): added("word", single_word=True, normalized=True),
    }
    config = {
        "added_tokens_decoder": decoder,
        "additional_special_tokens": SENTINELS,
        "tokenizer_class": "T5Tokenizer",
    }
    return write_folder(folder, "t5", {"spiece.model": model, "tokenizer_config.json": config})


@case
def mt5_without_sentinels(folder: Path) -> Path:
    config = {"extra_ids": 0, "additional_special_tokens": None, "tokenizer_class": "T5Tokenizer"}
    model = sentencepiece_model(special=T5_ORDER, unknown=True)
    return write_folder(folder, "mt5", {"spiece.model": model, "tokenizer_config.json": config})


@case
def umt5(folder: Path) -> Path:
    saved = saved_by_transformers(folder, t5(folder / "before"))
    return write_folder(saved, "umt5", {})


@case
def pegasus(folder: Path) -> Path:
    return write_folder(folder, "pegasus", {"spiece.model": sentencepiece_model(special=T5_ORDER)})


@case
def mbart(folder: Path) -> Path:
    files = {
        "sentencepiece.bpe.model": sentencepiece_model(unknown=True),
        "tokenizer_config.json": {"src_lang": "ro_RO"},
    }
    return write_folder(folder, "mbart", files)


@case
def mbart50(folder: Path) -> Path:
    config = {"tokenizer_class": "MBart50Tokenizer", "src_lang": "ko_KR", "tgt_lang": "de_DE"}
    files = {"sentencepiece.bpe.model": sentencepiece_model(), "tokenizer_config.json": config}
    return write_folder(folder, "mbart", files)


@case
def nllb(folder: Path) -> Path:
    """Languages listed in the configuration, as in facebook's folders; saved by transformers."""
    config = {
        "tokenizer_class": "NllbTokenizer",
        "src_lang": "eng_Latn",
        "tgt_lang": "kor_Hang",
        "additional_special_tokens": list(NLLB),
    }
    model = sentencepiece_model(kind="bpe")
    files = {"sentencepiece.bpe.model": model, "tokenizer_config.json": config}
    before = write_folder(folder / "before", "m2m_100", files)
    return saved_by_transformers(folder, before)


@case
def m2m_100(folder: Path) -> Path:
    model = sentencepiece_model()
    files = {
        "sentencepiece.bpe.model": model,
        "vocab.json": fairseq_vocabulary(model),
        "special_tokens_map.json": {
            "bos_token": "<s>",
            "additional_special_tokens": [f"__{code}__" for code in M2M_100["m2m100"]],
        },
        "tokenizer_config.json": {"tgt_lang": "ko"},
    }
    return write_folder(folder, "m2m_100", files)


@case
def m2m_100_bare(folder: Path) -> Path:
    model = sentencepiece_model(unknown=True)
    files = {
        "sentencepiece.bpe.model": model,
        "vocab.json": fairseq_vocabulary(model),
        "tokenizer_config.json": {"src_lang": "de", "tgt_lang": "en"},
    }
    return write_folder(folder, "m2m_100", files)


@case
def plbart_base(folder: Path) -> Path:
    files = {"sentencepiece.bpe.model": sentencepiece_model()}
    return write_folder(folder, "plbart", files)


@case
def plbart_multi(folder: Path) -> Path:
    files = {
        "sentencepiece.bpe.model": sentencepiece_model(unknown=True),
        "tokenizer_config.json": {
            "language_codes": "multi",
            "src_lang": "java",
            "tgt_lang": "__go__",
        },
    }
    return write_folder(folder, "plbart", files)


def marian_vocabulary(model: bytes, *last: str) -> dict[str, int]:
    tokens = ["</s>", "<unk>", *pieces(model)[3:], *last, "<pad>"]
    return {token: i for i, token in enumerate(tokens)}


@case
def marian(folder: Path) -> Path:
    source, target = sentencepiece_model(unknown=True), sentencepiece_model()
    files = {
        "source.spm": source,
        "target.spm": target,
        "vocab.json": marian_vocabulary(target, ">>fra<<", ">>deu<<"),
        "tokenizer_config.json": {"source_lang": "en", "target_lang": "ROMANCE"},
    }
    return write_folder(folder, "marian", files)


@case
def marian_separate(folder: Path) -> Path:
    source, target = sentencepiece_model(unknown=True), sentencepiece_model(size=200)
    files = {
        "source.spm": source,
        "target.spm": target,
        "vocab.json": marian_vocabulary(source),
        "target_vocab.json": marian_vocabulary(target),
        "tokenizer_config.json": {"separate_vocabs": True},
    }
    return write_folder(folder, "marian", files)


@case
def bart(folder: Path) -> Path:
    vocab, merges = byte_level_files()
    return write_folder(folder, "bart", {"vocab.json": vocab, "merges.txt": merges})


@case
def bart_mapped(folder: Path) -> Path:
    """Old maps: a mask that swallows spaces, and an added token."""
    vocab, merges = byte_level_files()
    mask = {**added("<mask>", lstrip=True, normalized=True)}
    files = {
        "vocab.json": vocab,
        "merges.txt": merges,
        "special_tokens_map.json": {"mask_token": mask, "bos_token": "<s>"},
        "added_tokens.json": {"<new>": len(json.loads(vocab))},
        "tokenizer_config.json": {
            "add_prefix_space": True,
            "tokenizer_class": "BartTokenizer",
            # Which byte-pair merges do without.
            "clean_up_tokenization_spaces": True,
        },
    }
    return write_folder(folder, "bart", files)


@case
def bart_old_json(folder: Path) -> Path:
    """A tokenizer.json of old versions, which has each merge as one string."""
    saved = saved_by_transformers(folder, bart_mapped(folder / "before"))
    pipeline = json.loads((saved / "tokenizer.json").read_text())
    merges = [" ".join(merge) for merge in pipeline["model"]["merges"]]
    pipeline["model"]["merges"] = merges
    assert merges
    return write_folder(saved, "bart", {"tokenizer.json": pipeline})


@case
def blenderbot(folder: Path) -> Path:
    vocab, merges = byte_level_files()
    return write_folder(folder, "blenderbot", {"vocab.json": vocab, "merges.txt": merges})


@case
def blenderbot_small(folder: Path) -> Path:
    vocab, merges = word_bpe_files()
    return write_folder(folder, "blenderbot-small", {"vocab.json": vocab, "merges.txt": merges})


@case
def byt5(folder: Path) -> Path:
    config = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 125}
    return write_folder(folder, "byt5", {"tokenizer_config.json": config})


@case
def byt5_added(folder: Path) -> Path:
    """Tokens that a person added, one of which begins like another."""
    strip = {"lstrip": True, "rstrip": True, "special": True}
    names = {str(i): added(token, **strip) for i, token in enumerate(["<pad>", "</s>", "<unk>"])}
    more = [added("<le"), added("<left>", lstrip=True), added("word", single_word=True)]
    decoder = names | {str(259 + i): token for i, token in enumerate(more)}
    config = {
        "tokenizer_class": "ByT5Tokenizer",
        "added_tokens_decoder": decoder,
        "extra_ids": 0,
        "clean_up_tokenization_spaces": True,
    }
    return write_folder(folder, "byt5", {"tokenizer_config.json": config})


@case
def generic(folder: Path) -> Path:
    """A pipeline of its own under PreTrainedTokenizerFast, as KoBART has it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    vocab, merges = byte_level_files()
    pairs = [tuple(line.split(" ")) for line in merges.decode().split("\n")[1:-1]]
    pipeline = Tokenizer(models.BPE(json.loads(vocab), pairs, unk_token="<unk>"))
    pipeline.normalizer = normalizers.NFKC()
    pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)
    pipeline.decoder = decoders.ByteLevel()
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "extra_special_tokens": ["<unused0>"],
    }
    files = {"tokenizer.json": pipeline.to_str().encode(), "tokenizer_config.json": config}
    return write_folder(folder, "bart", files)


@case
def bert(folder: Path) -> Path:
    words = sorted({c for text in random_texts(300, []) for c in text.lower() if not c.isspace()})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *(f"##{w}" for w in words)]
    files = {
        "vocab.txt": "\n".join([*tokens, ""]).encode(),
        "tokenizer_config.json": {
            "tokenizer_class": "BertTokenizer",
            "clean_up_tokenization_spaces": True,
        },
    }
    return write_folder(folder, "bert", files)


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
    for key in ("pad", "unk", "bos", "eos"):
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
