"""An exported model, run by TensorFlow's C API alone, answers what `generate` answers."""

from __future__ import annotations

import dataclasses
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
from keras_s2s.export import FORMATS, ExportError
from keras_s2s.export.in_graph.languages import InGraphLanguages
from keras_s2s.export.in_graph.registry import IN_GRAPH_TOKENIZERS
from keras_s2s.export.saved_model import artefact as saved_model
from keras_s2s.export.saved_model import second_process
from keras_s2s.export.saved_model.graph_model import NO_SCORE, GraphModel
from keras_s2s.export.saved_model.score_signatures import score_signatures
from keras_s2s.export.saved_model.second_process_request import ExportRequest
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers import Greedy, Plan
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
    # Options of the export alone.
    export: dict[str, Any] = field(default_factory=dict)

    @property
    def overlong(self) -> str:
        return "truncate" if self.export.get("truncate") else "error"


CASES = {
    "recurrent character greedy": Case(RECURRENT, "character", {}, SHORT + LONG, 4, 2.0),
    "recurrent sentencepiece beam": Case(
        *(RECURRENT, "sentencepiece_unigram"),
        {"num_beams": 3, "stop_strings": ["G", "+س", "2"], "coverage_penalty": 0.02},
        *(SHORT + LONG, 4, 2.0),
    ),
    "transformer character n-best": Case(
        TRANSFORMER,
        "character",
        {"num_beams": 3, "num_return_sequences": 2, "min_length": 4, "early_stopping": True},
        SHORT,
    ),
    "transformer sentencepiece greedy": Case(
        *(TRANSFORMER, "sentencepiece_bpe", {"forced_eos_token_id": 3}, SHORT + LONG),
        export={"truncate": True},
    ),
    "t5 character beam": Case(
        *(T5_LIKE, "character", {"num_beams": 3, "num_return_sequences": 2}, SHORT, 4, 1.0),
        export={"cross_attention": True},
    ),
    "transformer ids drawn": Case(
        TRANSFORMER, None, {"sampler": "top_k", "top_k": 5, "eos_token_id": [3, 9, 12]}
    ),
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


def ids_call(
    mapping: dict[str, np.ndarray], seeds: list[int] | None = None, signature: str = "ids"
) -> dict[str, Any]:
    inputs = {name: value.tolist() for name, value in mapping.items()}
    if seeds is not None:
        inputs["seeds"] = row_seeds(seeds, len(seeds)).tolist()
    return {"signature": signature, "inputs": inputs}


def text_call(texts: list[str], signature: str = "generate", **inputs: Any) -> dict[str, Any]:
    return {"signature": signature, "inputs": {"text": texts, **inputs}}


#: Of each source of a case, in a call of its own; 0 is the limit of the export.
LIMITS = [0, 3, 9, 6, 12, 4, 14, 2, 8, 5]


def targets_of(case: Case) -> list[Any]:
    """A target for each source, other than what the model generates."""
    return case.texts[::-1] if case.tokenizer else [[*row[:-1], 7, 3] for row in ID_ROWS[::-1]]


def score_call(model: Seq2SeqLM, case: Case, *, none: bool = False) -> dict[str, Any]:
    targets = targets_of(case)
    if case.tokenizer is not None or none:
        sources, targets = ([], []) if none else (case.texts, targets)
        return {"signature": "score", "inputs": {"source": sources, "target": targets}}
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
    nothing_scored: dict[str, Any]
    scored: dict[str, Any]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> dict[str, Any]:
    """Every case exported, and asked everything by one process of the C API."""
    base = tmp_path_factory.mktemp("exported")
    models, requests = {}, []
    for name, case in CASES.items():
        model = make_model(case)
        directory = model.export(
            base / name.replace(" ", "_"),
            max_length=MAX_LENGTH,
            version=1,
            verify=False,
            **case.options,
            **case.export,
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
                ids_call(mapping, SEEDS, "serving_default"),
                ids_call(third, SEEDS[2:3]),
                ids_call({**mapping, "encoder_padding_mask": hole}, SEEDS),
                ids_call({**mapping, "encoder_padding_mask": empty}, SEEDS),
                ids_call({**mapping, "encoder_token_ids": far}, SEEDS),
                ids_call({"encoder_token_ids": long, "encoder_padding_mask": long > 0}, SEEDS[:2]),
                ids_call({**mapping, "encoder_padding_mask": mask[:, :-1]}, SEEDS),
            ]
        else:
            calls = [text_call(texts) for texts in batches_of(case.texts)]
            rows = source_mapping(
                model.preprocessor.encode_source(case.texts[:4]), model.special_ids.source.pad
            )
            calls += [
                ids_call(rows, signature="generate_ids"),
                ids_call(rows),
                text_call(case.texts, "serving_default"),
                text_call(case.texts[: len(LIMITS)], max_length=LIMITS),
                text_call(case.texts[:2], max_length=[MAX_LENGTH + 1, MAX_LENGTH]),
            ]
            if case.architecture is TRANSFORMER and not case.export:
                calls.append(text_call(["a", "b" * (LIMIT + 5)]))
        models[name] = (model, directory)
        calls += [score_call(model, case, none=True), score_call(model, case)]
        requests.append({"directory": str(directory), "calls": calls})
    answer = run_c_api(requests)
    answer["models"] = {
        name: Exported(*models[name], found["ops"], found["calls"][:-2], *found["calls"][-2:])
        for name, found in zip(CASES, answer["models"], strict=True)
    }
    return answer


TEXT_CASES = [name for name, case in CASES.items() if case.texts]


@pytest.mark.parametrize("name", TEXT_CASES)
def test_answers_are_those_of_generate(exported, name):
    case, found = CASES[name], exported["models"][name]
    attends = case.export.get("cross_attention", False)
    expected = found.model.generate(
        *(case.texts, None, MAX_LENGTH, True),
        overlong=case.overlong,
        output_attentions=attends,
        **case.options,
    )
    if "num_return_sequences" not in case.options:
        expected = with_hypotheses(expected)
    flat = np.ravel(np.array(expected.texts, object))
    assert len(set(flat)) > len(flat) // 3, "the model answers too much alike to prove anything"
    assert len(set(np.ravel(expected.lengths))) > 1

    wanted = dict(zip(case.texts, expected.texts, strict=True))
    for texts, call in zip(batches_of(case.texts), found.calls, strict=False):
        outputs = call["outputs"]
        more = {"cross_attention", "source_ids"} if attends else set()
        assert set(outputs) == {"text", "token_ids", "lengths", "scores", "error"} | more
        assert outputs["text"] == [wanted[text] for text in texts]
        assert outputs["error"] == [""] * len(texts)
        assert len(outputs["token_ids"]) == len(outputs["scores"]) == len(texts)
    everything = found.calls[0]["outputs"]
    assert everything["token_ids"] == expected.token_ids.tolist()
    assert everything["lengths"] == expected.lengths.tolist()
    np.testing.assert_allclose(everything["scores"], expected.scores, rtol=1e-4, atol=1e-4)
    if attends:
        attention = np.array(everything["cross_attention"])
        np.testing.assert_allclose(attention, expected.attentions, atol=1e-4)
        assert attention.sum() == pytest.approx(np.sum(expected.lengths), rel=1e-4)
        assert (
            everything["source_ids"][0][:3]
            == found.model.preprocessor.encode_source(case.texts[:1])[0][:3]
        )


def with_hypotheses(output: Any) -> Any:
    """The same output with an axis of one hypothesis."""
    arrays = ("token_ids", "lengths", "scores")
    return dataclasses.replace(
        output,
        texts=[[text] for text in output.texts],
        **{name: getattr(output, name)[:, None] for name in arrays},
    )


@pytest.mark.parametrize("name", TEXT_CASES)
def test_ids_give_what_their_text_gives(exported, name):
    calls = exported["models"][name].calls
    by_text, by_ids, best = (calls[i]["outputs"] for i in (0, 5, 6))
    assert (
        set(by_ids) - {"cross_attention", "source_ids"}
        == {*best}
        == {*("token_ids", "lengths", "scores", "error")}
    )
    assert by_ids["lengths"] == by_text["lengths"][:4]
    longest = np.max(by_ids["lengths"])
    ids = np.array(by_text["token_ids"])[:4, ..., :longest]
    assert by_ids["token_ids"] == ids.tolist()
    assert best["lengths"] == [each[0] for each in by_ids["lengths"]]
    assert best["token_ids"] == ids[:, 0, : max(best["lengths"])].tolist()


@pytest.mark.parametrize("name", TEXT_CASES)
def test_the_default_signature_gives_the_best_text(exported, name):
    calls = exported["models"][name].calls
    everything, best = calls[0]["outputs"], calls[7]["outputs"]
    assert set(best) == {"text", "token_ids", "lengths", "scores", "error"}
    for key in ("text", "scores", "lengths"):
        assert best[key] == [each[0] for each in everything[key]]


@pytest.mark.parametrize("name", TEXT_CASES)
def test_each_source_has_its_limit(exported, name):
    case, found = CASES[name], exported["models"][name]
    limited, beyond = (found.calls[i]["outputs"] for i in (8, 9))
    least = case.options.get("min_length", 2)
    for i, (text, limit) in enumerate(zip(case.texts, LIMITS, strict=False)):
        if 0 < limit < least:
            assert limited["error"][i] == (
                f"max_length is {limit}, expected {least} to {MAX_LENGTH}, for which the model was "
                "exported, or 0"
            )
            assert set(limited["text"][i]) == {""} and set(limited["lengths"][i]) == {0}
            assert set(limited["scores"][i]) == {NO_SCORE}
            continue
        expected = found.model.generate(
            [text], max_length=limit or MAX_LENGTH, overlong=case.overlong, **case.options
        )[0]
        assert limited["text"][i] == ([expected] if isinstance(expected, str) else expected)
        assert limited["error"][i] == ""
    assert f"max_length is {MAX_LENGTH + 1}" in beyond["error"][0]
    assert beyond["error"][1] == "" and beyond["text"][1] == found.calls[0]["outputs"]["text"][1]


def test_scores_are_those_of_score(exported):
    for name, found in exported["models"].items():
        case = CASES[name]
        sums, each = found.model.score(
            case.texts if case.tokenizer else ID_ROWS,
            targets_of(case),
            return_token_log_probs=True,
            overlong=case.overlong,
        )
        outputs = found.scored["outputs"]
        assert set(outputs) == {"log_probs", "token_log_probs", "target_lengths", "error"}
        assert outputs["error"] == [""] * len(sums)
        if case.tokenizer:
            assert found.nothing_scored["outputs"]["log_probs"] == []
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
    # The lines of the README run as they are.
    lines = (path / "README.md").read_text(encoding="utf-8").split("```python")[1].split("```")[0]
    assert "seeds" in lines
    exec(lines.replace("FOLDER", str(path)), {})


@pytest.mark.skipif(BACKEND != "tensorflow", reason="runs under the TensorFlow backend")
def test_bad_sources_are_refused_as_generate_refuses_them(exported):
    calls = exported["models"]["transformer ids drawn"].calls
    reasons = [
        (0, "the row is not padded at its end only"),
        (1, "the source is empty"),
        (2, "must lie between 0 and 15"),
    ]
    good = calls[0]["outputs"]
    for call, (bad, reason) in zip(calls[3:6], reasons, strict=True):
        outputs = call["outputs"]
        assert reason in outputs["error"][bad]
        assert outputs["lengths"][bad] == 0 and outputs["scores"][bad] == NO_SCORE
        # The others have what they have without it.
        for i in {*range(len(ID_ROWS))} - {bad}:
            length = good["lengths"][i]
            assert outputs["error"][i] == "" and outputs["lengths"][i] == length
            assert outputs["token_ids"][i][:length] == good["token_ids"][i][:length]
    too_long = f"has {LIMIT + 1} ids, but the model has positions for {LIMIT}"
    assert all(too_long in error for error in calls[6]["outputs"]["error"])
    assert len(calls) == 8 and "must share one shape" in calls[7]["error"]
    text = exported["models"]["transformer character n-best"].calls[-1]["outputs"]
    assert f"but the model has positions for {LIMIT}" in text["error"][1]
    assert text["error"][0] == "" and len(text["text"][0]) == 2 and text["text"][1] == ["", ""]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="runs under the TensorFlow backend")
@pytest.mark.parametrize(
    ("targets", "mask", "reason"),
    [
        ([[5, 3], [0, 0]], [[True, True], [False, False]], "the target is empty"),
        ([[5, 3], [0, 3]], [[True, True], [False, True]], "not padded at its end only"),
        ([[5, 3], [16, 3]], [[True, True], [True, True]], "must lie between 0 and 15"),
        ([[5, 3]], [[True, True]], "as many targets as sources"),
        ([[5, 3], [6, 3]], [[True], [True]], "must share one shape"),
    ],
)
def test_bad_targets_are_refused_as_score_refuses_them(exported, targets, mask, reason):
    import tensorflow as tf

    path = exported["models"]["transformer ids drawn"].directory
    score = tf.saved_model.load(str(path)).signatures["score_ids"]
    sources = {k: tf.constant(v) for k, v in source_mapping(ID_ROWS[:2]).items()}

    def scored(ids: Any, mask: Any) -> dict[str, Any]:
        found = score(**sources, target_ids=tf.constant(ids), target_padding_mask=tf.constant(mask))
        return {name: value.numpy().tolist() for name, value in found.items()}

    if reason in ("as many targets as sources", "must share one shape"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
            scored(targets, mask)
        return
    found = scored(targets, mask)
    assert reason in found["error"][1].decode()
    assert found["log_probs"][1] == NO_SCORE and found["target_lengths"] == [2, 0]
    assert not any(found["token_log_probs"][1])
    alone = scored([[5, 3], [5, 3]], [[True, True], [True, True]])
    assert found["error"][0] == b""
    assert found["log_probs"][0] == pytest.approx(alone["log_probs"][0], rel=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="runs under the TensorFlow backend")
def test_targets_beyond_the_positions_of_a_decoder_are_refused():
    import tensorflow as tf

    embedding = {"embedding": {"positions": "learned", "max_positions": 4}}
    model = make_model(Case({**TRANSFORMER, "decoder": embedding}, None))
    sources = [tf.constant(value) for value in source_mapping(ID_ROWS[:1]).values()]

    def scored(labels: list[int], truncate: bool = False) -> Any:
        request = ExportRequest(Greedy(), Plan(1, 3, 0, 4), truncate=truncate)
        languages = InGraphLanguages(model.special_ids)
        graph = GraphModel(model.network, model.special_ids, None, languages, request)
        ids = tf.constant([labels])
        return score_signatures(graph)["score_ids"](*sources, ids, tf.ones_like(ids, tf.bool))

    assert scored([5, 6, 7, 3])["target_lengths"] == [4]
    (error,) = scored([5, 6, 7, 8, 3])["error"].numpy()
    assert b"the target has 5 ids, but the model has positions for 4" in error
    # EOS stays where text is cut.
    cut = scored([5, 6, 7, 8, 3], truncate=True)
    assert cut["error"] == [b""] and cut["target_lengths"] == [4]
    np.testing.assert_allclose(cut["log_probs"], scored([5, 6, 7, 3])["log_probs"], rtol=1e-6)


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
    assert set(FORMATS) == {"tf_saved_model", "huggingface", "ctranslate2", "torch_rnn", "marian"}
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
