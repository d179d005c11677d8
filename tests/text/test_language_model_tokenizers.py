"""Tokenizers of encoders and decoders that are pre-trained alone, against transformers' own."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hugging_face_folders import (
    TEXTS,
    Loaded,
    added,
    byte_level_files,
    random_texts,
    saved_by_transformers,
    sentencepiece_model,
    write_folder,
)
from small_models import slow_where_compiled

from keras_s2s.text import load_tokenizer
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers

pytest.importorskip("transformers")

COUNT = 10_000
CASES: dict[str, Callable[[Path], Path]] = {}


def case(function: Callable[[Path], Path]) -> Callable[[Path], Path]:
    CASES[function.__name__] = function
    return function


def json_alone(folder: Path, made: Path, *, config: dict[str, Any] | None = None) -> Path:
    """A folder with the `tokenizer.json` of another, and nothing of its other files."""
    saved = saved_by_transformers(folder / "saved", made)
    model_type = json.loads((made / "config.json").read_text())["model_type"]
    files: dict[str, Any] = {"tokenizer.json": (saved / "tokenizer.json").read_bytes()}
    if config is not None:
        files["tokenizer_config.json"] = config
    return write_folder(folder, model_type, files)


# --------------------------------------------------------------------------------------
# WordPiece
# --------------------------------------------------------------------------------------


def wordpiece_vocabulary() -> bytes:
    """A `vocab.txt` with words and their ends, in both cases, and most characters."""
    words = sorted({word for text in TEXTS for word in text.split()})
    words += sorted({word.lower() for word in words} - set(words))
    ends = sorted({word[cut:] for word in words for cut in (2, 3, 4) if len(word) > cut})
    characters = {c for text in random_texts(2000, []) for c in text if not c.isspace()}
    characters = sorted(characters | {c.lower() for c in characters if len(c.lower()) == 1})
    plain = [*characters[: len(characters) * 9 // 10], *words]
    tokens = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(plain)]
    tokens += [f"##{end}" for end in dict.fromkeys([*characters[::2], *ends])]
    return "\n".join([*tokens, ""]).encode()


def bert_folder(folder: Path, model_type: str = "bert", **config: Any) -> Path:
    files: dict[str, Any] = {"vocab.txt": wordpiece_vocabulary()}
    if config:
        files["tokenizer_config.json"] = config
    return write_folder(folder, model_type, files)


@case
def bert_bare(folder: Path) -> Path:
    return bert_folder(folder)


@case
def bert_cased(folder: Path) -> Path:
    return bert_folder(folder, do_lower_case=False, model_max_length=512)


@case
def bert_accents_kept(folder: Path) -> Path:
    return bert_folder(
        folder,
        do_lower_case=True,
        strip_accents=False,
        tokenize_chinese_chars=False,
        never_split=["man", "Zwei"],
        tokenizer_class="BertTokenizer",
        clean_up_tokenization_spaces=True,
    )


@case
def bert_cased_without_accents(folder: Path) -> Path:
    return bert_folder(folder, do_lower_case=False, strip_accents=True)


@case
def bert_mapped(folder: Path) -> Path:
    """Files of old versions, with tokens that a person added."""
    size = len(wordpiece_vocabulary().decode().splitlines())
    names = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
    files = {
        "vocab.txt": wordpiece_vocabulary(),
        "special_tokens_map.json": {f"{name}_token": token for name, token in names.items()},
        "added_tokens.json": {"<new>": size, "[EOS]": size + 1},
        "tokenizer_config.json": {
            "do_lower_case": False,
            "strip_accents": None,
            "additional_special_tokens": ["[EOS]"],
            "tokenizer_class": "BertTokenizer",
        },
    }
    return write_folder(folder, "bert", files)


@case
def bert_json_alone(folder: Path) -> Path:
    return json_alone(folder, bert_cased(folder / "made"))


@case
def bert_json_cased(folder: Path) -> Path:
    config = {"do_lower_case": False, "tokenizer_class": "BertTokenizerFast"}
    return json_alone(folder, bert_cased(folder / "made"), config=config)


@case
def bert_of_no_class(folder: Path) -> Path:
    """A pipeline of WordPiece under `PreTrainedTokenizerFast`, which stands as it is."""
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "cls_token": "[CLS]"}
    return json_alone(folder, bert_cased(folder / "made"), config=config)


@case
def distilbert(folder: Path) -> Path:
    config = {"do_lower_case": False, "tokenizer_class": "DistilBertTokenizer"}
    return bert_folder(folder, "distilbert", **config)


@case
def electra(folder: Path) -> Path:
    return bert_folder(folder, "electra", do_lower_case=True)


@case
def electra_json(folder: Path) -> Path:
    config = {"tokenizer_class": "ElectraTokenizer", "do_lower_case": True, "strip_accents": None}
    return json_alone(folder, electra(folder / "made"), config=config)


# --------------------------------------------------------------------------------------
# Byte-level byte-pair merges
# --------------------------------------------------------------------------------------


@case
def roberta(folder: Path) -> Path:
    vocab, merges = byte_level_files()
    return write_folder(folder, "roberta", {"vocab.json": vocab, "merges.txt": merges})


@case
def roberta_prefix(folder: Path) -> Path:
    """A space before the text, and a mask that swallows the space before it."""
    vocab, merges = byte_level_files()
    config = {
        "add_prefix_space": True,
        "mask_token": {"__type": "AddedToken", **added("<mask>", lstrip=True, normalized=True)},
        "tokenizer_class": "RobertaTokenizer",
    }
    files = {"vocab.json": vocab, "merges.txt": merges, "tokenizer_config.json": config}
    return write_folder(folder, "roberta", files)


@case
def roberta_json_alone(folder: Path) -> Path:
    return json_alone(folder, roberta_prefix(folder / "made"))


def gpt2_files() -> dict[str, Any]:
    vocab, merges = byte_level_files()
    tokens = [t for t in json.loads(vocab) if t not in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")]
    tokens.append("<|endoftext|>")
    return {"vocab.json": {t: i for i, t in enumerate(tokens)}, "merges.txt": merges}


@case
def gpt2(folder: Path) -> Path:
    return write_folder(folder, "gpt2", gpt2_files())


@case
def gpt2_prefix(folder: Path) -> Path:
    config = {"add_prefix_space": True, "pad_token": "<pad>", "tokenizer_class": "GPT2Tokenizer"}
    return write_folder(folder, "gpt2", {**gpt2_files(), "tokenizer_config.json": config})


@case
def gpt2_with_bos(folder: Path) -> Path:
    config = {"add_bos_token": True, "errors": "replace", "unk_token": "<|endoftext|>"}
    return write_folder(folder, "gpt2", {**gpt2_files(), "tokenizer_config.json": config})


@case
def gpt2_json_alone(folder: Path) -> Path:
    return json_alone(folder, gpt2(folder / "made"))


@case
def gpt2_json_with_bos(folder: Path) -> Path:
    """A folder that says `add_bos_token` beside a `tokenizer.json`, which alone counts."""
    config = {"add_bos_token": True, "add_prefix_space": True}
    return json_alone(folder, gpt2(folder / "made"), config=config)


# --------------------------------------------------------------------------------------
# SentencePiece
# --------------------------------------------------------------------------------------


@case
def xlm_roberta(folder: Path) -> Path:
    return write_folder(
        folder, "xlm-roberta", {"sentencepiece.bpe.model": sentencepiece_model(unknown=True)}
    )


@case
def xlm_roberta_mapped(folder: Path) -> Path:
    config = {
        "tokenizer_class": "XLMRobertaTokenizer",
        "add_prefix_space": False,
        "mask_token": {"__type": "AddedToken", **added("<mask>", lstrip=True, normalized=True)},
        "additional_special_tokens": ["<new>"],
    }
    model = sentencepiece_model(rule="nfkc_cf")
    files = {"sentencepiece.bpe.model": model, "tokenizer_config.json": config}
    return write_folder(folder, "xlm-roberta", files)


@case
def xlm_roberta_json_alone(folder: Path) -> Path:
    return json_alone(folder, xlm_roberta(folder / "made"))


@case
def camembert(folder: Path) -> Path:
    return write_folder(
        folder, "camembert", {"sentencepiece.bpe.model": sentencepiece_model(unknown=True)}
    )


@case
def camembert_listed(folder: Path) -> Path:
    config = {
        "tokenizer_class": "CamembertTokenizer",
        "additional_special_tokens": ["<s>NOTUSED", "</s>NOTUSED"],
        "add_prefix_space": False,
    }
    model = sentencepiece_model()
    files = {"sentencepiece.bpe.model": model, "tokenizer_config.json": config}
    return write_folder(folder, "camembert", files)


@case
def camembert_json_alone(folder: Path) -> Path:
    return json_alone(folder, camembert(folder / "made"))


@case
def camembert_json(folder: Path) -> Path:
    config = {"tokenizer_class": "CamembertTokenizerFast", "mask_token": "<mask>"}
    return json_alone(folder, camembert_listed(folder / "made"), config=config)


ALBERT_ORDER = ("<pad>", "<unk>")


@case
def albert(folder: Path) -> Path:
    model = sentencepiece_model(special=ALBERT_ORDER, control=("[CLS]", "[SEP]"), unknown=True)
    return write_folder(folder, "albert", {"spiece.model": model})


@case
def albert_cased(folder: Path) -> Path:
    config = {
        "tokenizer_class": "AlbertTokenizer",
        "do_lower_case": False,
        "keep_accents": True,
        "remove_space": True,
        "add_prefix_space": False,
        "mask_token": {"__type": "AddedToken", **added("[MASK]", lstrip=True)},
    }
    model = sentencepiece_model(
        special=ALBERT_ORDER, control=("[CLS]", "[SEP]"), symbols=("(", "[MASK]")
    )
    files = {"spiece.model": model, "tokenizer_config.json": config}
    return write_folder(folder, "albert", files)


@case
def albert_json_alone(folder: Path) -> Path:
    return json_alone(folder, albert(folder / "made"))


@case
def albert_json_cased(folder: Path) -> Path:
    config = {"do_lower_case": False, "keep_accents": False, "remove_space": False}
    return json_alone(folder, albert_cased(folder / "made"), config=config)


# --------------------------------------------------------------------------------------
# Against transformers
# --------------------------------------------------------------------------------------

EXTRA = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[cls]", "[EOS]", "<|endoftext|>"]
EXTRA += ["<s>NOTUSED", "</s>NOTUSED", "``quoted''", "[unused0]", "Ünïcödé", "ﬁn"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> Callable[[str], Loaded]:
    made: dict[str, Loaded] = {}

    def load(name: str) -> Loaded:
        if name not in made:
            made[name] = Loaded(CASES[name](tmp_path_factory.mktemp(name) / "folder"), EXTRA)
        return made[name]

    return load


@slow_where_compiled
@pytest.mark.parametrize("name", CASES)
def test_ids_are_those_of_transformers(loaded, name):
    pair = loaded(name)
    texts = pair.texts(COUNT)
    expected = pair.theirs(texts, add_special_tokens=False).input_ids
    ids = pair.ours.source.encode_batch(texts)
    wrong = [i for i in range(COUNT) if ids[i] != expected[i]]
    assert not wrong, (texts[wrong[0]], ids[wrong[0]], expected[wrong[0]])
    assert len({i for row in ids for i in row}) > 100


@slow_where_compiled
@pytest.mark.parametrize("name", CASES)
def test_special_ids_stand_where_transformers_puts_them(loaded, name):
    pair = loaded(name)
    texts = pair.texts(200)
    before, after = ([] if i is None else [i] for i in (pair.ours.bos, pair.ours.eos))
    ids = [before + row + after for row in pair.ours.source.encode_batch(texts)]
    assert ids == pair.theirs(texts).input_ids
    assert bool(before) == (not name.startswith("gpt2") or name == "gpt2_with_bos")
    for key in ("pad", "unk", "bos", "eos"):
        assert getattr(pair.ours.source, f"{key}_id") == getattr(pair.theirs, f"{key}_token_id")


@slow_where_compiled
@pytest.mark.parametrize("name", CASES)
def test_texts_are_those_of_transformers(loaded, name):
    pair = loaded(name)
    rows = pair.theirs(pair.texts(2000)).input_ids
    rng = random.Random(3)
    size = min(len(pair.theirs), pair.ours.source.known)
    rows += [[rng.randrange(size) for _ in range(rng.randint(0, 12))] for _ in range(COUNT - 2000)]
    expected = pair.theirs.batch_decode(rows, skip_special_tokens=True)
    assert pair.ours.source.decode_batch(rows) == expected


@slow_where_compiled
@pytest.mark.parametrize("name", ["bert_cased", "gpt2_prefix", "camembert", "albert_cased"])
def test_saved_and_read_again(loaded, name, tmp_path):
    pair = loaded(name)
    texts = pair.texts(100)
    pair.ours.source.save(tmp_path, "source")
    copy = load_tokenizer(tmp_path, "source")
    assert copy.encode_batch(texts) == pair.ours.source.encode_batch(texts)


def test_casing_differs_between_the_cases(loaded):
    """The options of the cases above matter to the texts that they are tried with."""
    texts = ["Zwei Männer", "我爱"]
    rows = [
        loaded(name).ours.source.encode_batch(texts)
        for name in ("bert_bare", "bert_cased", "bert_accents_kept", "bert_cased_without_accents")
    ]
    assert all(rows[i] != rows[j] for i in range(4) for j in range(i))


def test_files_alone_say_which_class_reads_them(tmp_path):
    """A folder whose model type and files name no class."""
    folder = bert_folder(tmp_path, "unheard-of")
    assert load_pretrained_tokenizers(folder, None).class_name == "BertTokenizer"


def test_options_without_effect_are_noted(loaded):
    notes = {name: loaded(name).ours.source.notes for name in CASES}
    assert "never_split: ['man', 'Zwei'] of" in notes["bert_accents_kept"][0]
    assert "remove_space: False of" in notes["albert_json_cased"][0]
    assert (
        "lowercase is False in tokenizer.json, but do_lower_case is True"
        in (notes["bert_json_alone"][0])
    )
    noted = {name for name, found in notes.items() if found}
    assert noted == {"bert_accents_kept", "albert_json_cased", "bert_json_alone"}
