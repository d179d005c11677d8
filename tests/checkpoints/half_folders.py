"""Folders of an encoder and of a decoder, each pretrained alone, made by transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parity.random_pairs import half_config, randomise

START_AND_END = {"target": {"decoder_start": 6, "eos": 5}}


def encoder_folder(folder: Path, family: str = "bert", **changes: Any) -> Path:
    import torch
    import transformers

    torch.manual_seed(1)
    model = transformers.AutoModel.from_config(half_config(family, "encoder", **changes))
    randomise(model, 1)
    model.save_pretrained(folder / f"{family}-encoder")
    return folder / f"{family}-encoder"


def decoder_folder(folder: Path, family: str = "gpt2", **changes: Any) -> Path:
    """A language model without cross-attention, as published ones are."""
    import torch
    import transformers

    torch.manual_seed(2)
    config = half_config(family, "decoder", **changes)
    config.is_decoder, config.add_cross_attention = family != "bert", False
    if family == "bert":
        model = transformers.BertForMaskedLM(config)
    else:
        model = transformers.AutoModelForCausalLM.from_config(config)
    randomise(model, 2)
    model.save_pretrained(folder / f"{family}-decoder")
    return folder / f"{family}-decoder"


WORDS = ["a", "dog", "runs", "the", "man", "sees", "ein", "hund", "läuft", "##s", "."]


def with_wordpiece(folder: Path) -> Path:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    return folder
