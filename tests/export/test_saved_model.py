"""An exported model, run by TensorFlow's C API alone, answers what `generate` answers."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from small_models import attention, randomise, recurrent, source_mapping, transformer, variant
from unicode_texts import AWKWARD, CORPUS

from keras_s2s.decoding.seeds import row_seeds
from keras_s2s.export import FORMATS, ExportError, saved_model, second_process
from keras_s2s.export.in_graph_tokenizers import IN_GRAPH_TOKENIZERS
from keras_s2s.export.score_signatures import score_signatures
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers import Greedy
from keras_s2s.samplers.random_numbers import uniform
from keras_s2s.text import Preprocessor

BACKEND = keras.backend.backend()
MAX_LENGTH = 14
LIMIT = 40  # positions of the transformer's encoder

RECURRENT = {
    "encoder": recurrent("gru"),
    "decoder": recurrent("gru", **attention("additive", "previous")),
    "bridge": {"type": "dense"},
}
TRANSFORMER = {
    "shared": transformer(num_layers=1),
    "encoder": {"embedding": {"positions": "learned", "max_positions": LIMIT}},
    "decoder": {"embedding": {"positions": "sinusoidal"}},
}

T5_LIKE = {
    "shared": transformer(
        head_dim=5,
        norm_order="pre",
        norm="rms",
        use_bias=False,
        scale_attention=False,
        relative_positions={"num_buckets": 8, "max_distance": 10},
        embedding={"positions": "none", "scale": False},
    ),
    "output": {"tie_embeddings": True, "scale": True},
}

SHORT = [
    "Two men",
    "",
    "두 젊은 남자",
    "e\u0301te\u0301",
    "👨\u200d👩\u200d👧 never seen",
    "هذه جملة",
    "2024년 8월",
    "control \x07 \x00",
    "Spielhaus",
    "a",
]
LONG = [text for text in [*CORPUS, *AWKWARD] if LIMIT < len(text) < 500] + ["long " * 60]


@dataclass(frozen=True)
class Case:
    """One exported model: how it is built, and what it is asked."""

    architecture: dict[str, Any]
    tokenizer: str | None
    options: dict[str, Any] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    # Of the weights, and a bias towards EOS, under which texts and lengths differ.
    seed: int = 5
    ending: float = 4.0


CASES = {
    "recurrent character greedy": Case(RECURRENT, "character", {}, SHORT + LONG, 4, 2.0),
    "recurrent sentencepiece beam": Case(
        RECURRENT, "sentencepiece_unigram", {"num_beams": 3}, SHORT + LONG, 4, 2.0
    ),
    "transformer character n-best": Case(
        TRANSFORMER,
        "character",
        {"num_beams": 3, "num_return_sequences": 2, "min_length": 4, "early_stopping": True},
        SHORT,
    ),
    "transformer sentencepiece greedy": Case(
        TRANSFORMER, "sentencepiece_bpe", {"forced_eos_token_id": 3}, SHORT
    ),
    "t5 character beam": Case(T5_LIKE, "character", {"num_beams": 3}, SHORT, 4, 1.0),
    "transformer ids drawn": Case(TRANSFORMER, None, {"sampler": "top_k", "top_k": 5}),
}
# A second process rebuilds the model under TensorFlow: the same code as above from there on.
if BACKEND != "tensorflow":
    CASES = {"recurrent sentencepiece beam": CASES["recurrent sentencepiece beam"]}

ID_ROWS = [[5, 9, 3], [4, 3], [15, 14, 13, 12, 11, 10, 9, 3], [7] * 20]
SEEDS = [11, 5, -3, 11]


def make_model(case: Case) -> Seq2SeqLM:
    """A model with random weights, sharp enough that its answers differ from text to text."""
    config = variant(case.architecture)
    if case.tokenizer is None:
        model = Seq2SeqLM(config)
    else:
        pairs = [(text, text[::-1]) for text in CORPUS]
        sizes = {"vocab_size": 420} if case.tokenizer.startswith("sentencepiece") else {}
        text = Preprocessor.train(pairs, case.tokenizer, **sizes)
        model = Seq2SeqLM.from_architecture(config.architecture.model_dump(), preprocessor=text)
    randomise(model, seed=case.seed, scale=2.5)
    (bias,) = [v for v in model.variables if v.path.endswith("logits/bias")]
    value = keras.ops.convert_to_numpy(bias.value).copy()
    value[model.special_ids.target.eos] += case.ending
    bias.assign(value)
    return model


def batches_of(texts: list[str]) -> list[list[str]]:
    """The same texts in batches of several sizes, one of them empty."""
    return [texts, texts[:1], texts[3:6], texts[-2:], []]


def run_c_api(models: list[dict[str, Any]]) -> dict[str, Any]:
    program = Path(__file__).with_name("c_api.py")
    done = subprocess.run(
        [sys.executable, str(program)],
        input=json.dumps({"models": models}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def ids_call(mapping: dict[str, np.ndarray], seeds: list[int] | None = None) -> dict[str, Any]:
    inputs = {name: value.tolist() for name, value in mapping.items()}
    if seeds is not None:
        inputs["seeds"] = row_seeds(seeds, len(seeds)).tolist()
    return {"signature": "ids", "inputs": inputs}


def text_call(texts: list[str]) -> dict[str, Any]:
    return {"signature": "serving_default", "inputs": {"text": texts}}


def targets_of(case: Case) -> list[Any]:
    """A target for each source, other than what the model generates."""
    return case.texts[::-1] if case.tokenizer else [[*row[:-1], 7, 3] for row in ID_ROWS[::-1]]


def score_call(model: Seq2SeqLM, case: Case) -> dict[str, Any]:
    targets = targets_of(case)
    if case.tokenizer is not None:
        return {"signature": "score", "inputs": {"source": case.texts, "target": targets}}
    rows = source_mapping(targets)
    call = ids_call(source_mapping(ID_ROWS))
    call["inputs"] |= {
        "target_ids": rows["encoder_token_ids"].tolist(),
        "target_padding_mask": rows["encoder_padding_mask"].tolist(),
    }
    return {**call, "signature": "score_ids"}


@dataclass
class Exported:
    model: Seq2SeqLM
    directory: Path
    ops: dict[str, int]
    calls: list[dict[str, Any]]
    scored: dict[str, Any]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> dict[str, Any]:
    """Every case exported, and asked everything by one process of the C API."""
    base = tmp_path_factory.mktemp("exported")
    models, requests = {}, []
    for name, case in CASES.items():
        model = make_model(case)
        directory = model.export(
            base / name.replace(" ", "_"), max_length=MAX_LENGTH, version=1, **case.options
        )
        if case.tokenizer is None:
            mapping = source_mapping(ID_ROWS)
            mask, ids = mapping["encoder_padding_mask"], mapping["encoder_token_ids"]
            hole, empty, far = mask.copy(), mask.copy(), ids.copy()
            hole[0, 1], empty[1], far[2, 0] = False, False, 16
            long = np.full((2, LIMIT + 1), 5, "int32")
            third = {key: value[2:3] for key, value in mapping.items()}
            calls = [
                ids_call(mapping, SEEDS),
                {**ids_call(mapping, SEEDS), "signature": "serving_default"},
                ids_call(third, SEEDS[2:3]),
                ids_call({**mapping, "encoder_padding_mask": hole}, SEEDS),
                ids_call({**mapping, "encoder_padding_mask": empty}, SEEDS),
                ids_call({**mapping, "encoder_token_ids": far}, SEEDS),
                ids_call({**mapping, "encoder_padding_mask": mask[:, :-1]}, SEEDS),
                ids_call({"encoder_token_ids": long, "encoder_padding_mask": long > 0}, SEEDS[:2]),
            ]
        else:
            calls = [text_call(texts) for texts in batches_of(case.texts)]
            rows = model.preprocessor.encode_source(case.texts[:4])
            calls.append(ids_call(source_mapping(rows, model.special_ids.source.pad)))
            if case.architecture is TRANSFORMER:
                calls.append(text_call(["a", "b" * (LIMIT + 5)]))
        models[name] = (model, directory)
        requests.append({"directory": str(directory), "calls": [*calls, score_call(model, case)]})
    answer = run_c_api(requests)
    answer["models"] = {
        name: Exported(*models[name], found["ops"], found["calls"][:-1], found["calls"][-1])
        for name, found in zip(CASES, answer["models"], strict=True)
    }
    return answer


TEXT_CASES = [name for name, case in CASES.items() if case.texts]


@pytest.mark.parametrize("name", TEXT_CASES)
def test_answers_are_those_of_generate(exported, name):
    case, found = CASES[name], exported["models"][name]
    expected = found.model.generate(
        case.texts, max_length=MAX_LENGTH, return_output=True, **case.options
    )
    flat = np.ravel(np.array(expected.texts, object))
    assert len(set(flat)) > len(flat) // 3, "the model answers too much alike to prove anything"
    assert len(set(np.ravel(expected.lengths))) > 1

    wanted = dict(zip(case.texts, expected.texts, strict=True))
    for texts, call in zip(batches_of(case.texts), found.calls, strict=False):
        outputs = call["outputs"]
        assert set(outputs) == {"text", "token_ids", "lengths", "scores"}
        assert outputs["text"] == [wanted[text] for text in texts]
        assert len(outputs["token_ids"]) == len(outputs["scores"]) == len(texts)
    everything = found.calls[0]["outputs"]
    assert everything["token_ids"] == expected.token_ids.tolist()
    assert everything["lengths"] == expected.lengths.tolist()
    np.testing.assert_allclose(everything["scores"], expected.scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TEXT_CASES)
def test_ids_give_what_their_text_gives(exported, name):
    calls = exported["models"][name].calls
    by_text, by_ids = calls[0]["outputs"], calls[5]["outputs"]
    assert set(by_ids) == {"token_ids", "lengths", "scores"}
    assert by_ids["lengths"] == by_text["lengths"][:4]
    longest = np.max(by_ids["lengths"])
    ids = np.array(by_text["token_ids"])[:4, ..., :longest]
    assert by_ids["token_ids"] == ids.tolist()


def test_scores_are_those_of_score(exported):
    for name, found in exported["models"].items():
        case = CASES[name]
        sums, each = found.model.score(
            case.texts if case.tokenizer else ID_ROWS,
            targets_of(case),
            return_token_log_probs=True,
        )
        outputs = found.scored["outputs"]
        assert set(outputs) == {"log_probs", "token_log_probs", "target_lengths"}
        np.testing.assert_allclose(outputs["log_probs"], sums, rtol=1e-5, atol=1e-4)
        assert len(set(np.round(sums, 2))) > len(sums) // 2
        assert outputs["target_lengths"] == [len(row) for row in each]
        for row, found_row in zip(each, outputs["token_log_probs"], strict=True):
            np.testing.assert_allclose(found_row[: len(row)], row, rtol=1e-4, atol=1e-4)
            assert not any(found_row[len(row) :])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="runs under the TensorFlow backend")
def test_a_model_without_a_tokenizer_takes_ids_and_seeds_decide_what_is_drawn(exported):
    case, found = CASES["transformer ids drawn"], exported["models"]["transformer ids drawn"]

    def generate(seed):
        return found.model.generate(
            source_mapping(ID_ROWS), max_length=MAX_LENGTH, seed=seed, **case.options
        ).tolist()

    expected = generate(SEEDS)
    assert len({tuple(row) for row in expected}) > 1
    assert generate(1) != expected
    for call in found.calls[:2]:
        assert call["outputs"]["token_ids"] == expected
    alone = found.calls[2]["outputs"]
    assert alone["token_ids"] == [expected[2][: alone["lengths"][0]]]


class CoinToss(Greedy):
    """A sampler of a user's own: one of the two likeliest ids, by a draw."""

    draws = True

    def choose(self, scores, index, sources):
        _, ids = keras.ops.top_k(scores, 2)
        heads = keras.ops.cast(uniform(sources.seeds, index) < 0.5, "int32")
        return keras.ops.take_along_axis(ids, heads[:, None], axis=-1)[:, 0]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="runs under the TensorFlow backend")
def test_a_sampler_of_ones_own_that_draws_is_exported_with_seeds(tmp_path):
    import tensorflow as tf

    model = make_model(Case(RECURRENT, None))
    path = model.export(tmp_path / "own", sampler=CoinToss(), max_length=MAX_LENGTH)
    signature = tf.saved_model.load(str(path)).signatures["ids"]
    assert "seeds" in signature.structured_input_signature[1]
    mapping = source_mapping(ID_ROWS)
    drawn = {}
    for seeds in (SEEDS, [1, 2, 3, 4]):
        inputs = {name: tf.constant(value) for name, value in mapping.items()}
        found = signature(**inputs, seeds=tf.constant(row_seeds(seeds, len(seeds))))
        expected = model.generate(
            mapping, sampler=CoinToss(), max_length=MAX_LENGTH, seed=seeds, return_output=True
        )
        np.testing.assert_array_equal(found["token_ids"], expected.token_ids)
        drawn[tuple(seeds)] = expected.token_ids.tolist()
    assert len({str(ids) for ids in drawn.values()}) == 2
    assert "seeds" in (path / "README.md").read_text(encoding="utf-8")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="runs under the TensorFlow backend")
def test_bad_sources_are_refused_as_generate_refuses_them(exported):
    calls = exported["models"]["transformer ids drawn"].calls
    reasons = [
        "a row is not padded at its end only",
        "a source is empty",
        "must lie between 0 and 15",
        "must share one shape",
        f"the model has positions for {LIMIT} ids",
    ]
    assert len(calls) == 3 + len(reasons)
    for call, reason in zip(calls[3:], reasons, strict=True):
        assert reason in call["error"]
    text = exported["models"]["transformer sentencepiece greedy"].calls[-1]
    assert f"the model has positions for {LIMIT} ids" in text["error"]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="runs under the TensorFlow backend")
@pytest.mark.parametrize(
    ("targets", "mask", "reason"),
    [
        ([[5, 3]], [[True, True]], "as many targets as sources"),
        ([[5, 3], [0, 0]], [[True, True], [False, False]], "a target is empty"),
        ([[5, 3], [0, 3]], [[True, True], [False, True]], "not padded at its end only"),
        ([[5, 3], [16, 3]], [[True, True], [True, True]], "must lie between 0 and 15"),
        ([[5, 3], [6, 3]], [[True], [True]], "must share one shape"),
    ],
)
def test_bad_targets_are_refused_as_score_refuses_them(exported, targets, mask, reason):
    import tensorflow as tf

    path = exported["models"]["transformer ids drawn"].directory
    score = tf.saved_model.load(str(path)).signatures["score_ids"]
    sources = {k: tf.constant(v) for k, v in source_mapping(ID_ROWS[:2]).items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
        score(**sources, target_ids=tf.constant(targets), target_padding_mask=tf.constant(mask))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="runs under the TensorFlow backend")
def test_targets_beyond_the_positions_of_a_decoder_are_refused():
    import tensorflow as tf

    embedding = {"embedding": {"positions": "learned", "max_positions": 4}}
    model = make_model(Case({**TRANSFORMER, "decoder": embedding}, None))
    made = score_signatures(model.network, model.special_ids, None, lambda ids, mask: (ids, mask))
    sources = [tf.constant(value) for value in source_mapping(ID_ROWS[:1]).values()]

    def scored(length: int) -> Any:
        labels = tf.fill([1, length], 5)
        return made["score_ids"](*sources, labels, tf.ones_like(labels, tf.bool))

    assert scored(4)["target_lengths"] == [4]
    with pytest.raises(tf.errors.InvalidArgumentError, match="positions for 4 ids"):
        scored(5)


def test_the_graph_holds_ops_of_a_stock_server_only(exported):
    assert exported["imported"] == [], "Python's TensorFlow took part"
    stock, text = set(exported["stock_ops"]), set(exported["text_ops"])
    assert len(stock) > 1000 and len(text) > 10
    assert any(op.startswith("Xla") for op in stock), "the walk would not notice one"
    for name, found in exported["models"].items():
        ops = set(found.ops)
        assert sum(found.ops.values()) > 500 and {"While", "MatMul"} <= ops
        assert ops <= stock | text
        assert [op for op in ops if op.startswith("Xla") or "PyFunc" in op] == []
        if CASES[name].tokenizer and CASES[name].tokenizer.startswith("sentencepiece"):
            assert "SentencepieceTokenizeOp" in ops
        if CASES[name].tokenizer is None:
            assert not ops & text


def test_the_folder_is_what_a_server_expects(exported):
    for name, found in exported["models"].items():
        assert found.directory.name == "1"
        assert (found.directory / "saved_model.pb").is_file()
        # Nothing is left beside it.
        assert [path.name for path in found.directory.parent.iterdir()] == ["1"]
        path = found.directory / "assets.extra" / "keras_s2s.json"
        said = json.loads(path.read_text(encoding="utf-8"))
        assert said["max_length"] == MAX_LENGTH
        kinds = said["tokenizers"]
        assert (kinds and kinds["source"]) == CASES[name].tokenizer
        readme = (found.directory / "README.md").read_text(encoding="utf-8")
        # What the README says is needed, the graph needs.
        uses_text = bool(set(found.ops) & set(exported["text_ops"]))
        assert ("import tensorflow_text" in readme) == uses_text
        assert ("seeds=" in readme) == (CASES[name].options.get("sampler") == "top_k")
        beams = said["generation"]["sampler"]["settings"].get("num_beams", 1)
        assert beams == CASES[name].options.get("num_beams", 1)


def test_wrong_requests_leave_nothing_behind(tmp_path, monkeypatch):
    model = make_model(Case(RECURRENT, "character"))
    with pytest.raises(ExportError, match=r"format='onnx'.*supported formats: tf_saved_model"):
        model.export(tmp_path / "a", "onnx")
    assert set(FORMATS) == {"tf_saved_model", "huggingface", "ctranslate2", "torch_rnn"}
    with pytest.raises(ExportError, match="version=-1"):
        model.export(tmp_path / "a", version=-1)
    with pytest.raises(ValueError, match="length_penality"):
        model.export(tmp_path / "a", length_penality=1.0)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    for overwrite in (False, True):
        with pytest.raises(ExportError, match=r"no saved_model\.pb"):
            model.export(tmp_path / "work", overwrite=overwrite)
    words = Preprocessor.train([(text, text) for text in CORPUS], "word")
    other = Seq2SeqLM.from_architecture(model.preset.architecture.model_dump(), preprocessor=words)
    monkeypatch.delitem(IN_GRAPH_TOKENIZERS, "word")
    with pytest.raises(ExportError, match="a word tokenizer cannot be exported"):
        other.export(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["work"]
    assert (tmp_path / "work" / "thesis.txt").read_text() == "years"


def test_without_tensorflow_the_message_says_what_to_install(tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorflow" else find(name)
    )
    model = make_model(Case(RECURRENT, "character"))
    with pytest.raises(ImportError, match=r"keras-s2s\[tensorflow\]"):
        model.export(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    model = make_model(Case(RECURRENT, "character"))
    if BACKEND == "tensorflow":

        def fail(directory, **_):
            (directory / "saved_model.pb").write_text("half")
            raise OSError("disk full")

        monkeypatch.setattr(saved_model, "write_saved_model", fail)
        error, said = OSError, "disk full"
    else:
        broken = {**second_process._environment(), "KERAS_BACKEND": "no such backend"}
        monkeypatch.setattr(second_process, "_environment", lambda: broken)
        error, said = ExportError, "(?s)second process.*exit status 1.*no such backend"
    with pytest.raises(error, match=said):
        model.export(tmp_path / "a", max_length=4)
    assert list(tmp_path.iterdir()) == []
