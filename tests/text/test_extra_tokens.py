"""Sentinels and the mask token in the vocabularies that are trained here."""

import pytest
from small_models import slow_where_compiled
from text_samples import CORPUS, KINDS

from keras_s2s.config import ConfigError, TokenizerConfig
from keras_s2s.text import load_tokenizer, train_tokenizer

SIZES = {"character": None, "word": None, "byte": None}
SPELLED = "<mask> <extra_id_0><extra_id_1> a<mask>"


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    size = SIZES.get(request.param, 500)
    config = TokenizerConfig(kind=request.param, vocab_size=size, sentinels=3, mask=True)
    return train_tokenizer(CORPUS, config)


def extra(tokenizer):
    return [*tokenizer.sentinel_ids, tokenizer.mask_id]


@slow_where_compiled
def test_they_have_ids_of_their_own(tokenizer):
    ids = extra(tokenizer)
    names = [tokenizer.id_to_token(i) for i in ids]
    assert names == ["<extra_id_0>", "<extra_id_1>", "<extra_id_2>", "<mask>"]
    assert [tokenizer.printable(i) for i in ids] == names
    assert len(set(ids)) == 4 and max(ids) < tokenizer.vocabulary_size
    special = {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    assert special == {0, 1, 2, 3}, "the special ids stay where they were"


@slow_where_compiled
def test_no_text_gives_them(tokenizer):
    for text in (SPELLED, *CORPUS):
        assert not set(tokenizer.encode(text)) & set(extra(tokenizer))


@slow_where_compiled
def test_decoding_leaves_them_out_unless_asked(tokenizer):
    text = CORPUS[0]
    ids = tokenizer.encode(text)
    first, mask = tokenizer.sentinel_ids[0], tokenizer.mask_id
    assert tokenizer.decode([first, *ids, mask]) == text
    assert tokenizer.decode([first, mask], skip_special_ids=False) == "<extra_id_0> <mask>"


@slow_where_compiled
def test_they_are_saved(tokenizer, tmp_path):
    tokenizer.save(tmp_path, "source")
    loaded = load_tokenizer(tmp_path, "source")
    assert extra(loaded) == extra(tokenizer)
    assert loaded.vocabulary_size == tokenizer.vocabulary_size
    assert loaded.encode(CORPUS[1]) == tokenizer.encode(CORPUS[1])
    assert loaded.decode([*extra(loaded), *loaded.encode(CORPUS[1])]) == CORPUS[1]


@slow_where_compiled
@pytest.mark.parametrize("kind", KINDS)
def test_without_them_nothing_changes(kind):
    size = SIZES.get(kind, 500)
    plain = train_tokenizer(CORPUS, TokenizerConfig(kind=kind, vocab_size=size))
    assert plain.sentinel_ids == () and plain.mask_id is None
    with_mask = train_tokenizer(CORPUS, TokenizerConfig(kind=kind, vocab_size=size, mask=True))
    if size is None:
        assert with_mask.vocabulary_size == plain.vocabulary_size + 1
    else:
        assert with_mask.vocabulary_size <= size, "they count"


@pytest.mark.parametrize("kind", ["character", "word", "byte_level_bpe"])
def test_a_vocabulary_too_small_for_them(kind):
    size = 300 if kind == "byte_level_bpe" else 50
    with pytest.raises(ConfigError, match=r"vocab_size \d+ (leaves nothing|does not hold)"):
        train_tokenizer(CORPUS, TokenizerConfig(kind=kind, vocab_size=size, sentinels=100))
