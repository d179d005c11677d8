"""Each kind against the library or rule it stands on."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
import sentencepiece
import tokenizers as huggingface
from hypothesis import given, settings
from hypothesis import strategies as st
from text_samples import CORPUS, SAMPLES

from keras_s2s.config import ConfigError, TokenizerConfig
from keras_s2s.text import SentencePieceUnigramTokenizer, train_tokenizer
from keras_s2s.text.trained.byte_level_bpe import ByteLevelBPETokenizer, byte_characters
from keras_s2s.text.trained.vocabulary import Vocabulary
from keras_s2s.text.trained.word import join_words, split_words
from keras_s2s.text.trained.word_pattern import HAN, token_pattern
from keras_s2s.text.trained.wordpiece import detokenize

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


# Characters ---------------------------------------------------------------------------


def test_character_ids_are_code_points(tokenizers):
    tokenizer = tokenizers["character"]
    text = "두 Männer é"
    tokens = [tokenizer.id_to_token(i) for i in tokenizer.encode(text)]
    assert tokens == list(unicodedata.normalize("NFC", text))


def test_unknown_characters(tokenizers):
    tokenizer = tokenizers["character"]
    assert tokenizer.encode("aЖb")[1] == tokenizer.unk_id
    assert tokenizer.decode(tokenizer.encode("aЖb")) == "a⁇b"
    assert tokenizer.printable(tokenizer.encode(" ")[0]) == "▁"


# Bytes --------------------------------------------------------------------------------


@given(text=TEXT)
def test_bytes_are_utf8(tokenizers, text):
    tokenizer = tokenizers["byte"]
    assert bytes(i - tokenizer.offset for i in tokenizer.encode(text)) == text.encode()


@given(content=st.binary(max_size=20))
@pytest.mark.parametrize("kind", ["byte", "byte_level_bpe"])
def test_invalid_bytes_become_replacement_characters(tokenizers, kind, content):
    tokenizer = tokenizers[kind]
    if kind == "byte":
        ids = [byte + tokenizer.offset for byte in content]
    else:
        ids = [tokenizer.token_to_id(byte_characters()[byte]) for byte in content]
    assert tokenizer.decode(ids) == content.decode("utf-8", errors="replace")


def test_byte_names(tokenizers):
    tokenizer = tokenizers["byte"]
    (i,) = tokenizer.encode("A")
    assert tokenizer.id_to_token(i) == "<0x41>"
    assert tokenizer.printable(i) == "A"
    assert [tokenizer.printable(i) for i in tokenizer.encode("é")] == ["<0xC3>", "<0xA9>"]


# Words --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", ["Hello", "￭,", "world", "￭!"]),
        ("don't l’homme 'quoted'", ["don't", "l’homme", "'", "￭quoted", "￭'"]),
        ("3.14", ["3", "￭.", "￭14"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("سلام؟", ["سلام", "￭؟"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("한국어 문장.", ["한국어", "문장", "￭."]),
        ("我爱你2", ["我", "￭爱", "￭你", "￭2"]),
        ("👨\u200d👩\u200d👧 ok🇰🇷👍🏽", ["👨\u200d👩\u200d👧", "ok", "￭🇰🇷", "￭👍🏽"]),
        ("<pad></s>", ["<", "￭pad", "￭>", "￭<", "￭/", "￭s", "￭>"]),
        ("a￭b ￭ c", ["a", "￭￭", "￭b", "￭", "c"]),
        ("a ￭\u0301b", ["a", "￭", "￭\u0301b"]),
        ("a\u00a0b\u3000c\x1dd", ["a", "b", "c", "d"]),
    ],
)
def test_words(text, expected):
    assert split_words(text) == expected
    assert join_words(expected) == " ".join(text.split())


def test_every_letter_mark_and_number_belongs_to_words():
    pattern = re.compile(token_pattern())
    han = re.compile(f"[{HAN}]")
    characters = [
        c
        for c in map(chr, range(0x110000))
        if unicodedata.category(c)[0] in "LNM" and not han.match(c)
    ]
    assert len(characters) > 30_000
    assert not [hex(ord(c)) for c in characters if not pattern.fullmatch("a" + c)]


# SentencePiece ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sentencepiece_unigram", "sentencepiece_bpe"])
def test_sentencepiece_against_the_processor(tokenizers, kind):
    tokenizer = tokenizers[kind]
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model_bytes)
    for text in SAMPLES:
        ids = processor.encode(text)
        assert tokenizer.encode(text) == ids
        assert tokenizer.decode(ids) == processor.decode(ids)
        # What follows a sentence decodes to nothing in the model itself.
        framed = [tokenizer.bos_id, *ids, tokenizer.eos_id, tokenizer.pad_id]
        assert tokenizer.decode(framed) == processor.decode(framed)
    assert tokenizer.vocabulary_size == processor.get_piece_size()


@pytest.mark.parametrize("kind", ["sentencepiece_unigram", "sentencepiece_bpe"])
def test_sentencepiece_model_contains_the_normalization(kind):
    config = TokenizerConfig(kind=kind, lowercase=True)
    model = train_tokenizer(CORPUS, config).model_bytes
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert processor.decode(processor.encode("TWO \uff2den")) == "two men"


def test_sentencepiece_byte_fallback():
    for fallback in (True, False):
        config = TokenizerConfig(kind="sentencepiece_unigram", byte_fallback=fallback)
        tokenizer = train_tokenizer(CORPUS, config)
        ids = tokenizer.encode("Жук")
        assert (tokenizer.unk_id in ids) != fallback
        assert (tokenizer.decode(ids) == "Жук") == fallback


def test_sentencepiece_learns_from_long_texts():
    # The library's default leaves out texts of more than 4192 bytes.
    config = TokenizerConfig(kind="sentencepiece_bpe", byte_fallback=False)
    tokenizer = train_tokenizer(["abc def " * 2000], config)
    assert tokenizer.unk_id not in tokenizer.encode("abc def")


def test_sentencepiece_reports_reserved_characters(caplog):
    train_tokenizer([*CORPUS, "a\u2585b"], TokenizerConfig(kind="sentencepiece_unigram"))
    assert "1 of 31 texts hold U+2585" in caplog.text


def test_sentencepiece_reads_models_without_padding_and_bos(tmp_path):
    prefix = str(tmp_path / "model")
    (tmp_path / "corpus.txt").write_text("\n".join(CORPUS), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "corpus.txt"),
        model_prefix=prefix,
        vocab_size=150,
        hard_vocab_limit=False,
        bos_id=-1,
        eos_id=0,
        unk_id=1,
        minloglevel=4,
    )
    tokenizer = SentencePieceUnigramTokenizer((tmp_path / "model.model").read_bytes())
    assert (tokenizer.pad_id, tokenizer.bos_id) == (None, None)
    assert (tokenizer.eos_id, tokenizer.unk_id) == (0, 1)
    text = CORPUS[0]
    assert tokenizer.decode([*tokenizer.encode(text), tokenizer.eos_id]) == text


def test_not_a_sentencepiece_model(capfd):
    for content in (b"", b"not a model"):
        with pytest.raises(ConfigError, match="not a SentencePiece model"):
            SentencePieceUnigramTokenizer(content)
    assert capfd.readouterr().err == ""


# Hugging Face tokenizers --------------------------------------------------------------


@pytest.mark.parametrize("kind", ["wordpiece", "byte_level_bpe"])
def test_tokenizer_json_against_the_library(tokenizers, tmp_path, kind):
    tokenizer = tokenizers[kind]
    tokenizer.save(tmp_path, "source")
    oracle = huggingface.Tokenizer.from_file(str(tmp_path / "source.tokenizer.json"))
    for text in SAMPLES:
        assert tokenizer.encode(text) == oracle.encode(text).ids
    if kind == "byte_level_bpe":
        for text in SAMPLES:
            assert tokenizer.decode(tokenizer.encode(text)) == oracle.decode(tokenizer.encode(text))


def test_byte_characters_are_the_librarys():
    alphabet = huggingface.pre_tokenizers.ByteLevel.alphabet()
    assert set(byte_characters()) == set(alphabet)
    pre_tokenizer = huggingface.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for character in ("\0", " ", "\n", "A", "\x7f", "é", "한"):
        ((spelled, _),) = pre_tokenizer.pre_tokenize_str(character)
        assert spelled == "".join(byte_characters()[byte] for byte in character.encode())


def test_byte_level_pieces_are_readable(tokenizers):
    tokenizer = tokenizers["byte_level_bpe"]
    pieces = [tokenizer.printable(i) for i in tokenizer.encode("Two young men")]
    assert "".join(pieces) == "Two▁young▁men"
    assert any(p.startswith("<0x") for p in map(tokenizer.printable, tokenizer.encode("Ж")))


def test_wordpiece_takes_the_longest_piece():
    tokenizer = train_tokenizer(["lower lowest low newer new er est w"] * 9, _wordpiece(60))
    vocabulary = {tokenizer.id_to_token(i): i for i in range(tokenizer.vocabulary_size)}

    def longest_match(word: str) -> list[int]:
        ids, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = word[start:end] if start == 0 else "##" + word[start:end]
                if piece in vocabulary:
                    ids.append(vocabulary[piece])
                    start = end
                    break
            else:
                return [vocabulary["<unk>"]]
        return ids

    for word in ("lower", "newest", "lowerest", "zebra", "news", "owl"):
        assert tokenizer.encode(word) == longest_match(word)


def _wordpiece(size: int) -> TokenizerConfig:
    return TokenizerConfig(kind="wordpiece", vocab_size=size)


@pytest.mark.parametrize(
    "text",
    [
        "Well, it's 10:30 (3.5%).",
        "A T-shirt; a 1/2 cup! Why?",
        "2024-08-16",
        "我爱自然语言处理。你呢？",
        "두 남자가 있다.",
        "¿Qué tal? «Bien».",
    ],
)
def test_wordpiece_restores_spaces(text):
    tokenizer = train_tokenizer([text], _wordpiece(300))
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("text", ["می\u200cخواهم", "👨\u200d👩\u200d👧 ok"])
def test_wordpiece_keeps_joiners(text):
    tokenizer = train_tokenizer([text], _wordpiece(300))
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=100, deadline=None)
@given(text=TEXT)
def test_detokenization_only_removes_spaces(text):
    assert detokenize(text).replace(" ", "") == text.replace(" ", "")


def test_not_a_tokenizer_json():
    with pytest.raises(ConfigError, match=r"not a tokenizer\.json"):
        ByteLevelBPETokenizer(json.dumps({"model": 1}))


# Vocabulary ---------------------------------------------------------------------------


def test_vocabulary_refuses_what_is_ambiguous():
    for tokens in (["a", "b", "a"], ["</s>"]):
        with pytest.raises(ConfigError, match="more than once"):
            Vocabulary(tokens)
    with pytest.raises(ConfigError, match="JSON list"):
        Vocabulary.from_bytes(b'{"a": 1}')


@given(tokens=st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=10))
def test_vocabulary_bytes(tokens):
    tokens = [token for token in tokens if token not in ("<s>",) and token.isprintable()]
    assert Vocabulary.from_bytes(Vocabulary(tokens).to_bytes()).tokens[4:] == tuple(tokens)
