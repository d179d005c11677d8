"""Tokenizer folders of encoders and decoders that are pre-trained alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hugging_face_folders import (
    TEXTS,
    added,
    byte_level_files,
    random_texts,
    saved_by_transformers,
    sentencepiece_model,
    write_folder,
)

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
# SentencePiece's own ids
# --------------------------------------------------------------------------------------


@case
def bert_generation(folder: Path) -> Path:
    model = sentencepiece_model(size=600, special=("<pad>", "</s>", "<s>", "<unk>"))
    return write_folder(folder, "bert-generation", {"spiece.model": model})


@case
def bert_generation_bare(folder: Path) -> Path:
    """A model without PAD and separator, which get ids after its own."""
    files = {
        "spiece.model": sentencepiece_model(unknown=True),
        "tokenizer_config.json": {"tokenizer_class": "BertGenerationTokenizer"},
    }
    return write_folder(folder, "bert-generation", files)
