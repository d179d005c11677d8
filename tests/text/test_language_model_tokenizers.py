"""Tokenizers of encoders and decoders that are pre-trained alone, against transformers' own."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hugging_face_folders import (
    Loaded,
)
from language_model_tokenizer_cases import (
    CASES,
    bert_folder,
)
from small_models import slow_where_compiled

from keras_s2s.text import load_tokenizer
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers

pytest.importorskip("transformers")

COUNT = 10_000


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
    bare = name.startswith(("gpt2", "bert_generation")) and name != "gpt2_with_bos"
    assert bool(before) == (not bare)
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
