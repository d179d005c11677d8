"""Strings that end results: where transformers ends, with its tokenizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras import ops
from parity.test_huggingface_text import TEXTS, make
from small_models import slow_where_compiled
from text.test_pretrained_tokenizers import CASES

from keras_s2s import Seq2SeqLM
from keras_s2s.samplers.stop_strings import StopStrings
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers
from keras_s2s.text.token_bytes import token_bytes

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    known: dict[str, Any] = {}

    def get(name: str) -> tuple[Any, Any, Any]:
        if name not in known:
            model, tokenizer, folder = make(name, tmp_path_factory.mktemp(name))
            known[name] = model, tokenizer, Seq2SeqLM.from_preset(folder, verbose=False)
        return known[name]

    return get


def stops_of(texts: list[str]) -> list[str]:
    """Strings from the middle of texts: they begin and end within words."""
    found = set()
    for text in texts:
        parts = [text[at : at + 4] for at in range(len(text) // 4, len(text) - 4)]
        whole = [part for part in parts if "\ufffd" not in part and part.strip() == part]
        found.update(whole[:1])
    return sorted(found)


@slow_where_compiled
@pytest.mark.parametrize("name", ["t5", "marian"])
@pytest.mark.parametrize(
    "options", [{"num_beams": 1}, {"num_beams": 4, "num_return_sequences": 3}], ids=str
)
def test_results(made, name, options):
    import torch

    model, tokenizer, ours = made(name)
    free = ours.generate(TEXTS, num_beams=1, max_length=20)
    strings = stops_of(free)
    assert strings
    inputs = tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            stop_strings=strings,
            tokenizer=tokenizer,
            max_length=20,
            **options,
        ).numpy()[:, 1:]
    output = ours.generate(
        TEXTS, stop_strings=strings, max_length=20, return_output=True, batch_size=3, **options
    )
    found = output.token_ids.reshape(len(expected), -1)
    lengths = output.lengths.reshape(-1)
    for row, other, length in zip(found, expected, lengths, strict=True):
        np.testing.assert_array_equal(row[:length], other[:length])
        filled = {model.config.pad_token_id, model.config.eos_token_id}
        assert not set(other[length:].tolist()) - filled
    texts = np.array(output.texts).reshape(-1)
    stopped = [any(string in text for string in strings) for text in texts]
    assert any(stopped)
    assert min(lengths) < 19


def ids_and_criteria(name: str, folder: Any) -> tuple[Any, Any, list[int]]:
    place = CASES[name](folder)
    other = transformers.AutoTokenizer.from_pretrained(place)
    model_type = transformers.AutoConfig.from_pretrained(place).model_type
    tokenizer = load_pretrained_tokenizers(place, model_type).target
    usable = [i for i, each in enumerate(token_bytes(tokenizer)) if each is not None]
    special = {*other.all_special_ids, *other.added_tokens_decoder}
    return other, tokenizer, [i for i in usable if i not in special and i < len(other)]


@pytest.mark.parametrize("name", ["bart", "t5", "bert"])
def test_sequences_of_random_ids(tmp_path, name):
    """What completes a string among ids that no model has chosen, halves of characters included."""
    import torch

    other, tokenizer, usable = ids_and_criteria(name, tmp_path)
    rng = np.random.default_rng(3)
    size = 24
    rows = rng.choice(usable, (200, size))
    texts = tokenizer.decode_batch(rows)
    strings = sorted(
        {text[at : at + n] for text in texts[:6] for at, n in ((4, 2), (7, 3), (11, 5))}
    )
    strings = [string for string in strings if string.strip() and "\ufffd" not in string]
    stops = StopStrings.of(strings, token_bytes(tokenizer), tokenizer.vocabulary_size)
    criteria = transformers.StopStringCriteria(other, strings)
    assert len(strings) > 5
    ids = ops.convert_to_tensor(rows[:, None].astype("int32"))
    seen = 0
    for index in range(size):
        expected = criteria(torch.from_numpy(rows[:, : index + 1]), None).numpy()
        found = stops.completed(ids[:, :, index], ids, index)
        found = ops.convert_to_numpy(found)[:, 0]
        np.testing.assert_array_equal(found, expected, err_msg=f"{strings} at {index}")
        seen += int(expected.sum())
    assert seen > 20
