"""Tokenizer folders of encoder-decoder models, as public checkpoints have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from hugging_face_folders import (
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

from keras_s2s.text.pretrained.language_codes import M2M_100, NLLB

T5_ORDER = ("<pad>", "</s>", "<unk>")
SENTINELS = [f"<extra_id_{i}>" for i in range(100)]

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


CODET5_SENTINELS = [f"<extra_id_{i}>" for i in reversed(range(100))]


@case
def codet5(folder: Path) -> Path:
    """A T5 with the tokenizer of RoBERTa, whose ids begin `<pad> <s> </s> <unk>`."""
    vocab, merges = byte_level_files()
    first = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]
    tokens = [*first, *(token for token in json.loads(vocab) if token not in first)]
    names = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>"}
    named = {f"{name}_token": added(token, normalized=True) for name, token in names.items()}
    named["cls_token"] = added("<s>", normalized=True)
    named["mask_token"] = added("<mask>", lstrip=True, normalized=True)
    files = {
        "vocab.json": {token: i for i, token in enumerate(tokens)},
        "merges.txt": merges,
        "added_tokens.json": {t: len(tokens) + i for i, t in enumerate(CODET5_SENTINELS)},
        "special_tokens_map.json": {**named, "additional_special_tokens": CODET5_SENTINELS},
        "tokenizer_config.json": {
            **{key: {"__type": "AddedToken", **value} for key, value in named.items()},
            "add_prefix_space": False,
            "errors": "replace",
            "trim_offsets": True,
            "model_max_length": 512,
            "tokenizer_class": "RobertaTokenizer",
        },
    }
    return write_folder(folder, "t5", files)


def byte_level_t5(folder: Path) -> Path:
    """A T5 with byte-pair merges in its `tokenizer.json`, as pko-T5 has them.

    No case like the others: transformers 5 cannot read it by the class that the folder names.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    vocab, merges = byte_level_files()
    first, old = ["<pad>", "</s>", "<unk>"], ["<s>", "<mask>"]
    tokens = [*first, *(t for t in json.loads(vocab) if t not in [*first, *old])]
    pairs = [tuple(line.split(" ")) for line in merges.decode().split("\n")[1:-1]]
    model = models.BPE({token: i for i, token in enumerate(tokens)}, pairs, unk_token="<unk>")
    pipeline = Tokenizer(model)
    pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    pipeline.decoder = decoders.ByteLevel()
    pipeline.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    pipeline.add_special_tokens([*first, *SENTINELS])
    config = {
        **{"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"},
        "extra_ids": 100,
        "additional_special_tokens": SENTINELS,
        "tokenizer_class": "T5TokenizerFast",
    }
    files = {"tokenizer.json": pipeline.to_str().encode(), "tokenizer_config.json": config}
    return write_folder(folder, "t5", files)


@case
def barthez(folder: Path) -> Path:
    """A model of SentencePiece with fairseq's ids of its own."""
    model = sentencepiece_model(special=("<s>", "<pad>", "</s>", "<unk>"), unknown=True)
    config = {"tokenizer_class": "BarthezTokenizer", "model_max_length": 1024}
    files = {"sentencepiece.bpe.model": model, "tokenizer_config.json": config}
    return write_folder(folder, "mbart", files)


INDIC_TAGS = [f"<2{code}>" for code in ("as", "bn", "en", "gu", "hi", "ta")]


@case
def indic_bart(folder: Path) -> Path:
    """An mBART with the tokenizer of ALBERT, and languages as tags."""
    model = sentencepiece_model(special=("<pad>", "<unk>"), control=("[CLS]", "[SEP]"))
    listed = ["<s>", "</s>", *INDIC_TAGS]
    config = {
        "do_lower_case": False,
        "keep_accents": True,
        "remove_space": True,
        "additional_special_tokens": listed,
        "tokenizer_class": "AlbertTokenizer",
    }
    size = len(pieces(model))
    files = {
        "spiece.model": model,
        "added_tokens.json": {
            "[MASK]": size,
            **{t: size + 1 + i for i, t in enumerate(listed)},
        },
        "tokenizer_config.json": config,
    }
    return write_folder(folder, "mbart", files)


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
