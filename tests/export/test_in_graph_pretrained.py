"""Tokenizers of Hugging Face folders in the graph give what the Python ones give."""

from __future__ import annotations

import json
import random

import huggingface_tokenizer_cases
import keras
import language_model_tokenizer_cases
import pytest
from hugging_face_folders import random_texts, sentencepiece_model
from unicode_texts import AWKWARD

from keras_s2s.config import SpecialIds
from keras_s2s.export import ExportError
from keras_s2s.export.in_graph.pipelines.pipeline_models import WordPiece
from keras_s2s.export.in_graph.preprocessor import InGraphPreprocessor
from keras_s2s.export.in_graph.registry import (
    IN_GRAPH_TOKENIZERS,
    check_tokenizer,
    in_graph_tokenizer,
)
from keras_s2s.export.in_graph.text_ops import valid_utf8
from keras_s2s.text import Preprocessor
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers
from keras_s2s.text.pretrained.pipelines.pipeline_tokenizer import PipelineTokenizer
from keras_s2s.text.pretrained.sentencepiece_file import SentencePieceFileTokenizer
from keras_s2s.text.pretrained.token_list import TokenListTokenizer
from keras_s2s.text.pretrained.tokenizer_files import TokenizerFiles
from keras_s2s.text.registry import PRETRAINED_TOKENIZERS

pytest.importorskip("transformers")

# The twins are TensorFlow's alone: under another backend they would run the very same code.
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="runs under the TensorFlow backend"
)

FOLDERS = {**huggingface_tokenizer_cases.CASES, **language_model_tokenizer_cases.CASES}
#: What runs by default; the others are slow.
QUICK = [
    *("bart_mapped", "gpt2_prefix", "bert_mapped", "t5_listed", "pegasus", "mbart", "nllb"),
    *("m2m_100", "plbart_multi", "marian_separate", "byt5", "blenderbot_small"),
    "bert_generation",
]
#: Folders with a token that is found between spaces only.
REFUSED = ["t5_added_tokens", "byt5_added"]
SPECIAL = [
    *("<s>", "</s>", "<pad>", "<unk>", "<mask>", "<mask_1>", "<extra_id_3>", "<unk_3>", "<new>"),
    *("[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]", "[EOS]", "__start__", "<|endoftext|>"),
    *("__en__", "en_XX", "eng_Latn", ">>fra<<", ">>deu<< ", ">>xx", "__java__", "word"),
    *("<left>", "<both>", "<le", "<s>NOTUSED", "``quoted''"),
]


def read(name, folder):
    made = FOLDERS[name](folder / name)
    model_type = json.loads((made / "config.json").read_text())["model_type"]
    found = load_pretrained_tokenizers(made, model_type)
    assert found is not None
    return found


def compare(tokenizer, count):
    import tensorflow as tf

    twin = in_graph_tokenizer(tokenizer)
    texts = [*random_texts(count, SPECIAL), *AWKWARD]
    expected = tokenizer.encode_batch(texts)
    found = tf.function(twin.encode, autograph=False)(tf.constant(texts))
    assert found.dtype == tf.int32
    for text, ids, right in zip(texts, found.to_list(), expected, strict=True):
        assert ids == right, text

    silent = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id}
    ordinary = [i for i in range(tokenizer.vocabulary_size) if i not in silent]
    rng = random.Random(5)
    rows = [[i for i in row if i not in silent] for row in expected]
    rows += [rng.choices(ordinary, k=rng.randint(0, 12)) for _ in range(count)]
    decoded = twin.decode(tf.ragged.constant(rows, tf.int32, ragged_rank=1)).numpy()
    for row, text, right in zip(rows, decoded, tokenizer.decode_batch(rows), strict=True):
        assert text.decode() == right, row


@pytest.mark.parametrize("name", QUICK)
def test_ids_and_texts_are_pythons(name, tmp_path):
    found = read(name, tmp_path)
    compare(found.source, 300)
    if found.target is not found.source:
        compare(found.target, 300)


def test_every_kind_has_a_twin_and_a_folder_here(tmp_path):
    assert set(PRETRAINED_TOKENIZERS) < set(IN_GRAPH_TOKENIZERS)
    kinds = {read(name, tmp_path).source.kind for name in QUICK}
    assert kinds == set(PRETRAINED_TOKENIZERS) - {"sentencepiece_file"}


def test_pieces_of_a_word_may_hold_nul():
    """The op's own texts end at NUL, for which a character of private use stands there."""
    import tensorflow as tf
    from tokenizers import Tokenizer, models

    pieces = ["[UNK]", "a", "##a", "\0", "##\0", "b\0", "##b", "\ue000", "##\ue001"]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    library = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    twin = WordPiece(json.loads(library.to_str())["model"], byte_level=False)
    words = [
        "a\0",
        "\0a",
        "b\0a",
        "ab\0",
        "\0\0",
        "\ue000",
        "a\ue001",
        "\ue001",
        "a\ue002",
        "b",
        "aab",
    ]
    found = twin(tf.constant(words)).to_list()
    assert found == [library.encode(word).ids for word in words]


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_graph_has_is_named(name, tmp_path):
    message = r"the token 'word' of this \w+ tokenizer has single_word: true"
    with pytest.raises(ExportError, match=message):
        check_tokenizer(read(name, tmp_path).source)


@pytest.mark.parametrize(
    ("part", "settings", "message"),
    [
        ("normalizer", {"type": "ByteLevel"}, "the normalizer ByteLevel has no TensorFlow twin"),
        (
            "pre_tokenizer",
            {"type": "Split", "pattern": {"Regex": r"\s+(?!\S)"}, "behavior": "Isolated"}
            | {"invert": False},
            "may mean something else in RE2",
        ),
        (
            "decoder",
            {"type": "CTC", "pad_token": "p", "word_delimiter_token": "|"} | {"cleanup": True},
            "the decoder CTC has no TensorFlow twin",
        ),
    ],
)
def test_a_part_that_no_graph_has_is_named(part, settings, message, tmp_path):
    files = read("generic", tmp_path).source.files
    description = json.loads(files.contents["tokenizer.json"])
    description[part] = settings
    contents = {**files.contents, "tokenizer.json": json.dumps(description).encode()}
    tokenizer = PipelineTokenizer(TokenizerFiles(contents, "test"), "TokenizersBackend")
    with pytest.raises(ExportError, match=message):
        check_tokenizer(tokenizer)


@pytest.mark.parametrize("size", [None, 450])
def test_a_model_file_of_sentencepiece(size):
    model = sentencepiece_model(special=("<pad>", "</s>", "<unk>"))
    files = TokenizerFiles({"spiece.model": model}, "test")
    compare(SentencePieceFileTokenizer(files, "T5Tokenizer", size), 300)


@pytest.mark.parametrize("split", ["space", "character"])
def test_a_list_of_tokens(split):
    tokens = ["<unk>", "</s>", "<pad>", *dict.fromkeys("\u2581abcdeTwo한청년이\u00a0")]
    tokens += ["Two", "young", "men", "a"] if split == "space" else []
    special = {"unk": 0, "eos": 1, "pad": 2}
    compare(TokenListTokenizer(tokens, split, special), 300)


@pytest.mark.parametrize("name", ["byt5", "t5_listed", "nllb", "m2m_100", "plbart_multi", "bert"])
def test_special_ids_stand_around_sources_as_in_python(name, tmp_path):
    import tensorflow as tf

    found = read(name, tmp_path)
    source, (before, after) = found.source, found.source.template
    special = {"pad": source.pad_id, "unk": source.unk_id}
    codes = None if found.languages is None else found.languages.model_dump()
    ids = SpecialIds.model_validate(
        {
            "source": {
                **special,
                "bos": before[0] if before else None,
                "eos": after[0] if after else source.eos_id,
            },
            "target": {
                **special,
                "decoder_start": source.pad_id,
                "eos": after[0] if after else source.eos_id,
            },
            "languages": codes,
        }
    )
    python = Preprocessor(source, found.target, ids)
    graph = InGraphPreprocessor(python)
    texts = [*random_texts(200, SPECIAL), "ends with </s>", "</s>", "", " "]
    padded, mask = (part.numpy() for part in graph.encode_source(tf.constant(texts)))
    rows = [row[real].tolist() for row, real in zip(padded, mask, strict=True)]
    assert rows == python.encode_source(texts)
    size = found.target.vocabulary_size
    rng = random.Random(4)
    targets = [[rng.randrange(size) for _ in range(8)] for _ in range(300)]
    decoded = graph.decode_target(tf.constant(targets, tf.int32), tf.fill([300], 8)).numpy()
    # Rows of generated ids do not begin with the decoder start.
    expected = python.decode_target([[ids.target.decoder_start, *row] for row in targets])
    assert [text.decode() for text in decoded] == expected


def test_invalid_utf8_is_read_as_replacement_characters(tmp_path):
    import tensorflow as tf

    tokenizer = read("bart_mapped", tmp_path).source
    broken = [b"a\xffb", b"\xed\xa0\x80 Two", b"\xe2\x82", b"\xfe\xff"]
    texts = [text.decode(errors="replace") for text in broken]
    found = in_graph_tokenizer(tokenizer).encode(valid_utf8(tf.constant(broken)))
    assert found.to_list() == tokenizer.encode_batch(texts)
