"""Networks with the tokenizer of another family, as some published checkpoints have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parity.random_checkpoints import BART_LIKE, T5_LIKE, randomise
from text.hugging_face_folders import sentencepiece_model, write_folder
from text.huggingface_tokenizer_cases import (
    barthez,
    byte_level_t5,
    codet5,
    generic,
    indic_bart,
)

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.huggingface.family import family_of, family_tables
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers

transformers = pytest.importorskip("transformers")

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "안녕하세요, 두 젊은 남자",
    "def maximum(a, b): return max([a, b])",
    "<2ko> The young man",
]


def madlad(folder: Path) -> Path:
    """A T5 whose ids begin `<unk> <s> </s>`, and whose sources begin with a language."""
    content = sentencepiece_model(special=("<unk>", "<s>", "</s>"), symbols=("<2de>", "<2ko>"))
    config = {"extra_ids": 0, "pad_token": "<s>", "tokenizer_class": "T5Tokenizer"}
    return write_folder(folder, "t5", {"spiece.model": content, "tokenizer_config.json": config})


#: What writes a folder with tokenizer files; its model type is in its config.json.
CASES: dict[str, Callable[[Path], Path]] = {
    "codet5": codet5,
    "pko_t5": byte_level_t5,
    "barthez": barthez,
    "kobart": generic,
    "indic_bart": indic_bart,
    "madlad400": madlad,
}
LANGUAGES = {"indic_bart": {"src_lang": "en", "tgt_lang": "hi"}}
#: Random weights repeat themselves, whatever the source is.
RULES = {"no_repeat_ngram_size": 1}
#: What stands around a text where transformers 5 does not write what a model was trained with: it
#: forgets that of BARThez without a tokenizer.json, and IndicBART's page writes it by hand.
AROUND = {"barthez": "<s>{}</s>", "indic_bart": "{} </s> <2en>"}


def texts_of(name: str) -> list[str]:
    """The sources of a case; without characters that are not in the vocabulary where transformers
    5 writes EOS for them (see the last test).
    """
    return [text for text in TEXTS if name != "madlad400" or not text.startswith("안")]


def tokenizer_of(folder: Path) -> Any:
    """transformers' tokenizer; the pipeline as it is where its version 5 fails on the class."""
    try:
        return transformers.AutoTokenizer.from_pretrained(folder)
    except TypeError:
        return transformers.PreTrainedTokenizerFast.from_pretrained(folder)


def make(name: str, folder: Path) -> tuple[Any, Any, Path]:
    """A random model around a tokenizer: transformers' model and tokenizer, and their folder."""
    transformers.logging.set_verbosity_error()
    CASES[name](folder)
    tokenizer = tokenizer_of(folder)
    model_type = transformers.AutoConfig.from_pretrained(folder).model_type
    tables = family_tables(family_of(model_type))
    sizes = dict(T5_LIKE if "d_kv" in tables.config else BART_LIKE)["shallow"]
    eos = tokenizer.convert_tokens_to_ids("</s>")
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": eos}
    ids["decoder_start_token_id"] = eos if model_type == "mbart" else tokenizer.pad_token_id
    if name == "madlad400":
        ids["decoder_start_token_id"] = 0
    config = transformers.AutoConfig.for_model(
        model_type, **{**sizes, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 150}
    )
    model = getattr(transformers, tables.model_class)(config).eval()
    randomise(model, tables)
    model.generation_config.max_length = 12
    model.save_pretrained(folder)
    return model, tokenizer, folder


def theirs(model: Any, tokenizer: Any, name: str, num_beams: int) -> list[str]:
    import torch

    options: dict[str, Any] = {"num_beams": num_beams, **RULES}
    if name in LANGUAGES:
        tag = f"<2{LANGUAGES[name]['tgt_lang']}>"
        options["decoder_start_token_id"] = tokenizer.convert_tokens_to_ids(tag)
    texts = [AROUND.get(name, "{}").format(text) for text in texts_of(name)]
    inputs = tokenizer(
        texts, return_tensors="pt", padding=True, add_special_tokens=name not in AROUND
    )
    with torch.no_grad():
        ids = model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], **options
        )
    return tokenizer.batch_decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("name", CASES)
def test_greedy_and_beam_search(name, tmp_path):
    model, tokenizer, folder = make(name, tmp_path / "folder")
    ours = Seq2SeqLM.from_preset(folder, verbose=False)
    options: dict[str, Any] = {**LANGUAGES.get(name, {}), **RULES}
    for num_beams in (1, 4):
        found = ours.generate(texts_of(name), num_beams=num_beams, **options)
        assert found == theirs(model, tokenizer, name, num_beams)
        assert len(set(found)) > 1
    ours.save_to_preset(tmp_path / "own")
    again = Seq2SeqLM.from_preset(tmp_path / "own")
    assert again.generate(texts_of(name), num_beams=4, **options) == found


def test_languages_of_tags(tmp_path):
    folder = indic_bart(tmp_path)
    found = load_pretrained_tokenizers(folder, "mbart")
    assert found is not None and found.languages is not None
    assert list(found.languages.codes) == ["as", "bn", "en", "gu", "hi", "ta"]
    assert (found.languages.source, found.languages.target) == ("suffix", "decoder_start")
    assert (found.bos, found.eos) == (None, found.source.token_to_id("</s>"))


def test_unknown_characters_are_unknown_wherever_the_piece_stands(tmp_path):
    """As SentencePiece has it; transformers 5 writes EOS for them where EOS has id 2."""
    import sentencepiece

    content = sentencepiece_model(special=("<unk>", "<s>", "</s>"), unknown=True)
    folder = write_folder(
        tmp_path,
        "t5",
        {"spiece.model": content, "tokenizer_config.json": {"extra_ids": 0, "pad_token": "<s>"}},
    )
    found = load_pretrained_tokenizers(folder, "t5")
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    text = "The fox \u1234 jumps"
    assert processor.unk_id() in processor.encode(text)
    assert found is not None and found.source.encode(text) == processor.encode(text)
