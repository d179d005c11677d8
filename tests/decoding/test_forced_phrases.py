"""`force_words_ids`, `force_words` and `glossary` of a call."""

from __future__ import annotations

import pytest
from small_models import (
    COMPILES,
    attention,
    covered,
    make_model,
    recurrent,
    source_mapping,
    variant,
)

import keras_s2s as s2s
from keras_s2s.decoding.requests.forced_phrases import Terms
from keras_s2s.samplers import Beam, ConstrainedBeam

PAIRS = [("ein Hund", "a dog"), ("eine Katze", "a cat"), ("der Hund schläft", "the dog sleeps")]
SOURCES = ["ein Hund", "eine Katze", "der Hund"]
RECURRENT = {
    "encoder": recurrent("gru"),
    "decoder": recurrent("gru", **attention("dot", "current")),
    "bridge": {"type": "copy"},
}
#: Subword kinds, whose ids of a word depend on where it stands, characters, and words.
KINDS = {
    "character": {},
    "byte_level_bpe": {"vocab_size": 300},
    "sentencepiece_unigram": {"vocab_size": 300},
    "word": {},
}


@pytest.fixture(scope="module", params=covered(list(KINDS), ["byte_level_bpe"]))
def model(request):
    text = s2s.text.Preprocessor.train(PAIRS, request.param, joint=True, **KINDS[request.param])
    sizes = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}
    return s2s.Seq2SeqLM.from_preset(
        "transformer_tiny",
        load_weights=False,
        preprocessor=text,
        architecture={"shared": sizes},
    )


@pytest.fixture(scope="module")
def ids_model():
    return make_model(variant(RECURRENT))


def test_texts_occur_in_results(model):
    options = {"max_length": 30, "num_beams": 2}
    for text in model.generate(SOURCES, force_words=["dog", ["cat", "sleeps"]], **options):
        assert "dog" in text and ("cat" in text or "sleeps" in text)
    # For one source, whatever stands beside it.
    alone = model.generate(SOURCES, **options, sampler="beam")
    texts = model.generate(SOURCES, force_words={1: ["the"]}, batch_size=2, **options)
    assert "the" in texts[1] and [texts[0], texts[2]] == [alone[0], alone[2]]
    assert model.generate(SOURCES[1], force_words=["the"], **options) == texts[1]


def test_a_vocabulary_without_a_space_writes_texts():
    text = s2s.text.Preprocessor.train([("1 May", "05-01"), ("2 June", "06-02")], "character")
    sizes = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}
    model = s2s.Seq2SeqLM.from_preset(
        "transformer_tiny",
        load_weights=False,
        preprocessor=text,
        architecture={"shared": sizes, "share_embeddings": False},
    )
    assert "20" in model.generate("1 May", force_words=["20"], max_length=8)
    with pytest.raises(ValueError, match="cannot write '9'"):
        model.generate("1 May", force_words=["9"])


def test_a_glossary_acts_where_a_source_has_its_terms(model, tmp_path):
    options = {"max_length": 30, "num_beams": 2}
    glossary = {"Hund": ["sleeps", "cat"], "Hun": "the", "Katze": "the"}
    texts = model.generate(SOURCES, glossary=glossary, **options)
    for text in (texts[0], texts[2]):
        assert "sleeps" in text or "cat" in text
    assert "the" in texts[1]
    file = tmp_path / "terms.tsv"
    file.write_text("Hund\tsleeps\nHund\tcat\nHun\tthe\nKatze\tthe\n", encoding="utf-8")
    assert model.generate(SOURCES, glossary=file, **options) == texts
    plain = model.generate(SOURCES, sampler="beam", **options)
    assert model.generate(SOURCES, glossary={"Maus": "mouse"}, **options) == plain


def test_ids_occur_in_results(ids_model):
    """As transformers' `force_words_ids`: phrases, or sets of them."""
    sources, asked = [[5, 3], [6, 7, 3]], [[5, 6, 5], [[7, 7], [9]]]
    output = ids_model.generate(
        source_mapping(sources),
        force_words_ids=asked,
        max_length=12,
        num_return_sequences=2,
        return_output=True,
    )
    for row in range(2):
        for rank in range(2):
            ids = output.token_ids[row, rank, : output.lengths[row, rank]].tolist()
            text = f",{','.join(map(str, ids))},"
            assert ",5,6,5," in text and (",7,7," in text or ",9," in text)
    best = zip(output.token_ids[:, 0].tolist(), output.lengths[:, 0], strict=True)
    found = ids_model.score(sources, [ids[:length] for ids, length in best])
    for row in range(2):
        assert found[row] == pytest.approx(output.token_log_probs[row, 0].sum(), rel=1e-4, abs=1e-4)


def test_nothing_to_obey_is_beam_search(ids_model):
    sources = source_mapping([[5, 3], [6, 7, 3]])
    expected = ids_model.generate(sources, Beam(3), max_length=9, return_output=True)
    found = ids_model.generate(sources, ConstrainedBeam(3), max_length=9, return_output=True)
    assert found.token_ids.tolist() == expected.token_ids.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"force_words_ids": [[3]]}, "EOS"),
        ({"force_words_ids": [5, [6]]}, r"force_words_ids\[0\]=5 must be a list"),
        ({"force_words_ids": [[5, [6]]]}, "beside lists of ids"),
        ({"force_words_ids": [[99]]}, "99 is no id"),
        ({"force_words_ids": {2: [[5]]}}, "source 2; there are 2 sources"),
        ({"force_words_ids": {"0": [[5]]}}, "the number of a source"),
        (
            {"force_words_ids": [[5, 6, 7, 8, 9]], "max_length": 5},
            "source 0 asks for a result with 5 ids",
        ),
        ({"force_words_ids": [[5]], "do_sample": True}, "do_sample"),
        ({"force_words_ids": [[5]], "sampler": "greedy"}, "greedy cannot look for it"),
        ({"force_words_ids": [[5]], "sampler": Beam(2)}, "Beam cannot look for it"),
        ({"glossary": {"Hund": "dog"}}, "the sources are none"),
        ({"glossary": {"Hund": ""}}, "not empty"),
        ({"force_words": "dog"}, "must be a list, also where there is only one"),
        ({"force_words": [""]}, "not empty"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(ids_model, options, message):
    with pytest.raises(ValueError, match=message):
        ids_model.generate(source_mapping([[5, 3], [6, 7, 3]]), **options)


def test_streams_documents_and_exports_say_so(model, tmp_path):
    streamed = "".join(model.stream("ein Hund", force_words=["dog"]))
    assert streamed == model.generate("ein Hund", force_words=["dog"])
    if not COMPILES:
        pytest.importorskip("sentencex")
    with pytest.raises(ValueError, match="pass a glossary"):
        s2s.generate_document(model, "ein Hund.", force_words=["dog"])
    with pytest.raises(s2s.export.ExportError, match="force_words"):
        model.export(tmp_path / "out", sampler="constrained_beam")


@pytest.mark.parametrize(
    ("terms", "source", "found"),
    [
        ({"Haus": "house"}, "Das Haus, im Hausflur.", ["house"]),
        ({"Haus": "house"}, "Hausflur, HAUS", []),
        ({"Haus": "a", "rotes Haus": "b", "Haus am See": "c"}, "ein rotes Haus am See", ["b"]),
        ({"C++": "d"}, "in C++ und C", ["d"]),
        ({"개": "dog"}, "개는 잔다", ["dog"]),
        ({"狗": "dog"}, "一只狗在睡觉", ["dog"]),
        ({"7": "seven"}, "17 und 7", ["seven"]),
        ({}, "Haus", []),
    ],
)
def test_terms_are_found_as_words(terms, source, found):
    assert Terms(list(terms.items())).of(source) == [(target,) for target in found]
