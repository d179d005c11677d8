"""Tokenizers with a part of their tokens: texts are split as before, there and by the libraries."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hugging_face_folders import TEXTS, saved_by_transformers, sentencepiece_model
from huggingface_tokenizer_cases import CASES as WHOLE
from huggingface_tokenizer_cases import T5_ORDER, marian_separate
from language_model_tokenizer_cases import CASES as HALVES
from small_models import slow_where_compiled
from text_samples import CORPUS, KINDS, SAMPLES

from keras_s2s.config import ConfigError, SourceIds, SpecialIds, TargetIds, TokenizerConfig
from keras_s2s.text import Preprocessor, Tokenizer, train_tokenizer
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers
from keras_s2s.text.pretrained.sentencepiece_file import SentencePieceFileTokenizer
from keras_s2s.text.pretrained.sentencepiece_model import BYTES, FIXED32, VARINT
from keras_s2s.text.pretrained.token_list import TokenListTokenizer
from keras_s2s.text.pretrained.tokenizer_files import TokenizerFiles
from keras_s2s.text.registry import PRETRAINED_TOKENIZERS, TOKENIZERS
from keras_s2s.text.trimming.registry import TRIMMERS
from keras_s2s.text.trimming.selection import SIDES, Texts, ids_to_keep, vocabularies
from keras_s2s.text.trimming.sentencepiece_rewriting import _field
from keras_s2s.text.trimming.trimmed_text import Request, trimmed_text
from keras_s2s.text.trimming.trimmer import ModelFile, NewIds

CASES = {**WHOLE, **HALVES}
#: Kinds whose ids are bytes, or have no rule that they can be written by.
REFUSED = ("byt5", "byt5_added", "blenderbot_small")
#: Of the tokenizers of halves those that differ.
OF_HALVES = [
    *("bert_mapped", "bert_json_cased", "roberta_prefix", "gpt2_with_bos", "gpt2_json_with_bos"),
    *("xlm_roberta_mapped", "camembert", "camembert_json", "albert", "albert_json_cased"),
    *("bert_generation", "bert_generation_bare"),
]
FEW = [*TEXTS[:6], "e\u0301 日本 qqj"]


def special_ids(source: Tokenizer, target: Tokenizer) -> SpecialIds:
    """Special ids that any tokenizer has."""
    unknown = {"unk": source.unk_id}, {"unk": target.unk_id}
    return SpecialIds(
        source=SourceIds(pad=source.pad_id or 0, **unknown[0]),
        target=TargetIds(
            pad=target.pad_id or 0,
            decoder_start=target.pad_id or 0,
            eos=target.eos_id or 0,
            **unknown[1],
        ),
    )


def trimmed(
    source: Tokenizer,
    texts: Sequence[Any],
    target: Tokenizer | None = None,
    *,
    keep: Sequence[Any] = (),
    min_count: int = 1,
    rows: int | None = None,
) -> tuple[Tokenizer, Tokenizer, NewIds]:
    """Tokenizers with what texts need, and the new ids."""
    target = source if target is None else target
    ids = special_ids(source, target)
    preprocessor = Preprocessor(source, target, ids)
    sizes = {
        "source": rows or source.vocabulary_size,
        "target": rows or target.vocabulary_size,
    }
    required = {
        side: frozenset(i for _, i in getattr(ids, side) if i is not None) for side in SIDES
    }
    both = vocabularies(preprocessor, sizes, required, shared=False)
    asked = ids_to_keep(keep, {"source": source, "target": target})
    request = Request(both, sizes, ids, asked, min_count)
    (first, second), new_ids = trimmed_text(preprocessor, Texts.read(texts), request)
    return first, second, new_ids


def tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.id_to_token(i) for i in tokenizer.encode(text)]


def written(tokenizer: Any, folder: Path, before: Path) -> Path:
    """The files of a tokenizer in a folder with the `config.json` of another."""
    folder.mkdir()
    for name, content in tokenizer.files.contents.items():
        (folder / name).write_bytes(content)
    (folder / "config.json").write_bytes((before / "config.json").read_bytes())
    return folder


# --------------------------------------------------------------------------------------
# Hugging Face folders, read by transformers
# --------------------------------------------------------------------------------------


@slow_where_compiled
@pytest.mark.parametrize(
    ("name", "saved"),
    [(name, False) for name in (*WHOLE, *OF_HALVES) if name not in REFUSED]
    + [(name, True) for name in ("t5_added_tokens", "mbart", "nllb", "marian", "bart_mapped")],
)
@pytest.mark.filterwarnings("ignore:.*sacremoses.*:UserWarning")
def test_transformers_splits_texts_as_before(name, saved, tmp_path):
    transformers = pytest.importorskip("transformers")
    before = CASES[name](tmp_path / "made")
    if saved:
        before = saved_by_transformers(tmp_path / "saved", before)
    model_type = json.loads((before / "config.json").read_text())["model_type"]
    old = load_pretrained_tokenizers(before, model_type)
    whole = transformers.AutoTokenizer.from_pretrained(before)
    source, target, new_ids = trimmed(old.source, FEW, old.target)
    assert new_ids.sizes["source"] < old.source.vocabulary_size * 0.95

    folder = written(source, tmp_path / "trimmed", before)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    again = load_pretrained_tokenizers(folder, model_type)
    assert again.source.vocabulary_size == new_ids.sizes["source"]
    for text in FEW:
        for way, mine, other, renumbered in (
            ("text", source, again.source, new_ids.source),
            ("text_target", target, again.target, new_ids.target),
        ):
            expected = [
                renumbered[i] for i in whole(**{way: text}, add_special_tokens=False).input_ids
            ]
            assert theirs(**{way: text}, add_special_tokens=False).input_ids == expected
            assert mine.encode(text) == other.encode(text) == expected
            assert mine.decode(expected) == getattr(
                old, "source" if way == "text" else "target"
            ).decode(whole(**{way: text}, add_special_tokens=False).input_ids)
    # What it puts around a text is what it was. transformers decides otherwise for the last two
    # where there is a tokenizer.json, which folders of these models come without.
    assert [again.bos, again.eos] == [
        None if i is None else new_ids.source[i] for i in (old.bos, old.eos)
    ]
    if name not in ("m2m_100", "m2m_100_bare", "barthez", "indic_bart"):
        ids = [new_ids.source[i] for i in whole(FEW[0]).input_ids]
        assert theirs(FEW[0]).input_ids == ids


@slow_where_compiled
@pytest.mark.parametrize("name", ["t5", "mt5_without_sentinels", "xlm_roberta", "albert", "bart"])
def test_older_files_say_the_same(name, tmp_path):
    """The SentencePiece model, or `vocab.json` and `merges.txt`, without `tokenizer.json`."""
    before = CASES[name](tmp_path / "made")
    model_type = json.loads((before / "config.json").read_text())["model_type"]
    old = load_pretrained_tokenizers(before, model_type)
    source, _, new_ids = trimmed(old.source, FEW)
    folder = written(source, tmp_path / "trimmed", before)
    (folder / "tokenizer.json").unlink()
    again = load_pretrained_tokenizers(folder, model_type)
    assert [again.source.encode(text) for text in FEW] == [source.encode(text) for text in FEW]
    assert again.source.vocabulary_size == new_ids.sizes["source"]


@slow_where_compiled
def test_separate_vocabularies_keep_a_common_pad(tmp_path):
    """`config.json` has one PAD, so the new ids of both sides have to agree."""
    old = load_pretrained_tokenizers(marian_separate(tmp_path / "made"), "marian")
    pairs = [(text, text[:9]) for text in FEW]
    source, target, new_ids = trimmed(old.source, pairs, old.target)
    for (text, short), _ in zip(pairs, FEW, strict=True):
        assert tokens(source, text) == tokens(old.source, text)
        assert tokens(target, short) == tokens(old.target, short)
    common = set(new_ids.source) & {old.source.pad_id} & set(new_ids.target)
    assert all(new_ids.source[i] == new_ids.target[i] for i in common)


@slow_where_compiled
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trimmed_is_refused(name, tmp_path):
    before = CASES[name](tmp_path)
    model_type = json.loads((before / "config.json").read_text())["model_type"]
    old = load_pretrained_tokenizers(before, model_type)
    with pytest.raises(ConfigError, match=f"the vocabulary of a {old.source.kind} tokenizer can"):
        trimmed(old.source, FEW)


def test_every_kind_is_trimmed_or_refused():
    every = {*TOKENIZERS.values(), *PRETRAINED_TOKENIZERS.values(), TokenListTokenizer}
    refused = {kind.kind for kind in every - set(TRIMMERS)}
    assert refused == {"byte", "byt5", "blenderbot_small"}
    assert set(TRIMMERS) <= every


# --------------------------------------------------------------------------------------
# SentencePiece models
# --------------------------------------------------------------------------------------


def processor(content: bytes) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=content)


@slow_where_compiled
@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_sentencepiece_splits_texts_as_before(kind, unknown):
    content = sentencepiece_model(kind=kind, size=600, unknown=unknown, symbols=("XX",))
    whole = processor(content)
    file = ModelFile(content, lambda number, _: number)
    rng = random.Random(0)
    differ = 0
    for _ in range(25):
        texts = [*rng.sample(TEXTS, 5), "zzz XX é日本 qqjx"]
        used = {i for text in texts for i in whole.encode(text)} | file.always
        smaller = processor(file.written(dict.fromkeys(file.with_parts(used), 0)))
        assert smaller.get_piece_size() < whole.get_piece_size()
        for text in texts:
            assert smaller.encode(text, out_type=str) == whole.encode(text, out_type=str)
        # Without what merges make on the way, a BPE model cannot get there.
        without = processor(file.written(dict.fromkeys(used | file.characters(used), 0)))
        differ += any(
            without.encode(t, out_type=str) != whole.encode(t, out_type=str) for t in texts
        )
    assert (differ > 0) == (kind == "bpe")


@slow_where_compiled
def test_the_file_says_how_many_pieces_it_has():
    content = sentencepiece_model(special=T5_ORDER)
    file = ModelFile(content, lambda number, _: number)
    smaller = file.written(dict.fromkeys(file.always, 0))
    sentencepiece_model_pb2 = pytest.importorskip("sentencepiece.sentencepiece_model_pb2")
    proto = sentencepiece_model_pb2.ModelProto.FromString(smaller)
    assert proto.trainer_spec.vocab_size == len(proto.pieces) == len(file.always)
    ids = proto.trainer_spec.pad_id, proto.trainer_spec.eos_id, proto.trainer_spec.unk_id
    assert [proto.pieces[i].piece for i in ids] == ["<pad>", "</s>", "<unk>"]


def unigram_file(pieces: dict[str, float], *, user_defined: str | None = None) -> bytes:
    """A `.model` file whose text is used as it is."""
    parts = []
    for number, (text, score) in enumerate({"<unk>": 0.0, **pieces}.items()):
        kind = 2 if number == 0 else 4 if text == user_defined else 1
        piece = _field(1, BYTES, text.encode()) + _field(2, FIXED32, struct.pack("<f", score))
        parts.append(_field(1, BYTES, piece + _field(3, VARINT, kind)))
    trainer = _field(3, VARINT, 1) + _field(4, VARINT, len(parts)) + _field(40, VARINT, 0)
    plain = b"".join(_field(number, VARINT, 0) for number in (3, 4, 5))
    return b"".join([*parts, _field(2, BYTES, trainer), _field(3, BYTES, plain)])


def test_the_lowest_score_stays():
    """An unknown character scores ten below the lowest of all pieces, be they used or not."""
    scores = {"ab": -13, "cd": -13, "bcd": -1, "zz": -30, "c": -14, "d": -14, "b": -14}
    content = unigram_file(scores)
    whole, file = processor(content), ModelFile(content, lambda number, _: number)
    assert whole.encode("abcd", out_type=str) == ["ab", "cd"]
    used = set(whole.encode("abcd bcd bb"))
    smaller = processor(file.written(dict.fromkeys(file.with_parts(used | file.always), 0)))
    assert smaller.piece_to_id("zz") != smaller.unk_id()
    assert smaller.encode("abcd", out_type=str) == ["ab", "cd"]
    lost = processor(file.written(dict.fromkeys(used, 0)))
    assert lost.encode("abcd", out_type=str) == ["a", "bcd"]


def test_the_highest_score_stays():
    """A user-defined piece scores by the highest of all."""
    content = unigram_file({"XX": 0.0, "a": -1.0, "q": -0.5}, user_defined="XX")
    file = ModelFile(content, lambda number, _: number)
    kept = {file.pieces.texts[number] for number in file.always}
    assert kept == {"<unk>", "XX", "q", "a"}


@slow_where_compiled
def test_a_model_file_of_kerashub():
    content = sentencepiece_model(kind="bpe", size=400)
    files = TokenizerFiles({"spiece.model": content}, "a folder")
    old = SentencePieceFileTokenizer(files, "T5Tokenizer", 512)  # rounded up
    new, _, new_ids = trimmed(old, FEW)
    assert [tokens(new, text) for text in FEW] == [tokens(old, text) for text in FEW]
    # Ids without a token are gone.
    assert new.vocabulary_size == new_ids.sizes["source"] == new.processor.get_piece_size()


# --------------------------------------------------------------------------------------
# Kinds that are trained here, and lists
# --------------------------------------------------------------------------------------


@slow_where_compiled
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "byte"])
def test_trained_kinds(tokenizers, kind, tmp_path):
    old = tokenizers[kind]
    texts = CORPUS[:3]
    new, _, new_ids = trimmed(old, texts)
    assert type(new) is type(old)
    assert new.vocabulary_size == len(new_ids.source) < old.vocabulary_size
    for text in texts:
        assert tokens(new, text) == tokens(old, text)
        assert new.decode(new.encode(text)) == old.decode(old.encode(text))
    for name in ("pad_id", "unk_id", "bos_id", "eos_id"):
        assert getattr(new, name) == getattr(old, name)
    new.save(tmp_path, "source")
    again = type(new).load(tmp_path, "source")
    assert [again.encode(text) for text in SAMPLES[:8]] == [new.encode(t) for t in SAMPLES[:8]]


def test_a_list_of_tokens():
    names = {"unk": 1, "eos": 4}
    old = TokenListTokenizer(["a", "<unk>", "b", "c", "</s>", "d", "e"], "space", names)
    new, _, new_ids = trimmed(old, ["b d b", ("x", "d")], keep=["c"])
    assert new.tokens == ("a", "<unk>", "b", "c", "</s>", "d")
    assert tokens(new, "b d x") == ["b", "d", "<unk>"]
    assert new.eos_id == new_ids.source[4]


@slow_where_compiled
@pytest.mark.parametrize("kind", ["sentencepiece_unigram", "sentencepiece_bpe", "wordpiece"])
def test_sentinels_stay(kind):
    config = TokenizerConfig(kind=kind, vocab_size=600, sentinels=3, mask=True)
    old = train_tokenizer(CORPUS, config)
    new, _, _ = trimmed(old, CORPUS[:1])
    assert len(new.sentinel_ids) == 3 and new.mask_id is not None


# --------------------------------------------------------------------------------------
# What stays
# --------------------------------------------------------------------------------------


@slow_where_compiled
@pytest.mark.parametrize("name", ["t5_listed", "bart", "nllb"])
def test_rare_tokens_are_split_and_never_unknown(name, tmp_path):
    folder = CASES[name](tmp_path)
    model_type = json.loads((folder / "config.json").read_text())["model_type"]
    old = load_pretrained_tokenizers(folder, model_type).source
    texts = [*TEXTS, "The ladder climbs."]
    every, _, all_ids = trimmed(old, texts)
    new, _, new_ids = trimmed(old, texts, min_count=9)
    assert len(new_ids.source) < len(all_ids.source)
    for text in texts:
        before, after = old.encode(text), new.encode(text)
        assert after.count(new.unk_id) <= before.count(old.unk_id)
        if all(i in new_ids.source for i in before):
            assert tokens(new, text) == tokens(old, text)
    assert any(len(new.encode(text)) > len(every.encode(text)) for text in texts)


@slow_where_compiled
def test_other_texts_of_the_same_characters_have_no_unknown(tmp_path):
    old = load_pretrained_tokenizers(CASES["t5"](tmp_path), "t5").source
    new, _, _ = trimmed(old, ["a quick brown fox", "jumps over the lazy dog"])
    assert new.unk_id not in new.encode("zebra quoting how")


@slow_where_compiled
def test_tokens_and_ids_to_keep(tmp_path):
    old = load_pretrained_tokenizers(CASES["bart"](tmp_path), "bart").source
    token = old.id_to_token(395)
    without, _, _ = trimmed(old, ["a"])
    assert without.token_to_id(token) is None
    for keep in ([token], [395], {"source": [395]}):
        kept, _, new_ids = trimmed(old, ["a"], keep=keep)
        assert kept.token_to_id(token) == new_ids.source[395]
        assert kept.encode(old.decode([395])) == [new_ids.source[395]]


def test_what_is_no_token_to_keep():
    old = TokenListTokenizer(["<unk>", "a"], "space", {"unk": 0})
    both = {"source": old, "target": old}
    with pytest.raises(ConfigError, match="'q' is no token of the vocabulary"):
        ids_to_keep(["q"], both)
    with pytest.raises(ConfigError, match="unknown key 'sources'"):
        ids_to_keep({"sources": ["a"]}, both)
    with pytest.raises(TypeError, match=r"1\.5 is neither a token nor an id"):
        ids_to_keep([1.5], both)
    with pytest.raises(TypeError, match="keep is the text 'a'"):
        ids_to_keep("a", both)


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ("a text", TypeError, "texts is the text 'a text'; expected a list"),
        (["a", ("b",)], ValueError, "entry 1 is .* expected a text, or a source"),
        (["a", ("b", 3)], TypeError, "entry 1: text 1 is a int"),
        (["a", 3], ValueError, "entry 1 is '3'"),
    ],
)
def test_texts_that_are_none(texts, error, message):
    with pytest.raises(error, match=message):
        Texts.read(texts)
