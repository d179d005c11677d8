"""What is written is compared with the model before it is put in its place."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from small_models import slow_where_compiled
from test_saved_model import CORPUS, RECURRENT, TRANSFORMER, Case, make_model

from keras_s2s import Seq2SeqLM
from keras_s2s.export import ExportError
from keras_s2s.export.saved_model import certificate, second_process, verification
from keras_s2s.export.saved_model.certificate import Verification, write_certificate
from keras_s2s.export.saved_model.required_ops import required_ops
from keras_s2s.samplers import Greedy

BACKEND = keras.backend.backend()
in_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="runs under TensorFlow")
CASE = Case(RECURRENT, "character", {"num_beams": 3, "num_return_sequences": 2}, [], 4, 2.0)


def read(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "assets.extra" / "certificate.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    model = make_model(CASE)
    samples = [text for text in CORPUS if len(text) < 60][:4]
    directory = model.export(
        tmp_path_factory.mktemp("certified") / "model", samples=samples, **CASE.options
    )
    return model, directory, samples


def test_the_certificate(exported: Any) -> None:
    _, directory, samples = exported
    found = read(directory)
    compared = found["comparison"]
    assert compared["sources"] == samples
    assert compared["hypotheses"] == compared["equal"] == 2 * len(samples)
    assert compared["ties"] == 0 and compared["largest_difference"] < compared["tolerance"]
    assert found["versions"]["backend"] == BACKEND
    assert {"keras_s2s", "keras", "tensorflow", "python"} <= set(found["versions"])
    files = {path for path in directory.rglob("*") if path.is_file()}
    assert len(files) >= 6
    assert set(found["sha256"]) == {
        path.relative_to(directory).as_posix() for path in files if path.name != "certificate.json"
    }
    for name, digest in found["sha256"].items():
        assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == digest
    described = json.loads((directory / "assets.extra" / "keras_s2s.json").read_text("utf-8"))
    ops = described["required_ops"]
    assert {"While", "MatMul"} <= set(ops["tensorflow"])
    assert ops["tensorflow_text"] == ["NormalizeUTF8"]


def spoilt(what: str) -> Any:
    """Answers of a model with one result that is another."""

    def answers(output: Any) -> Any:
        scores, texts, ids = output.scores.copy(), list(output.texts), output.token_ids.copy()
        if what == "score":
            scores[1] += 0.1
        elif what == "text":
            texts[1] = [texts[1][0], texts[1][1] + "x"]
        else:
            ids[1, 0, 0] += 1
            scores[1] += 0.1
        return dataclasses.replace(output, scores=scores, texts=texts, token_ids=ids)

    return answers


@pytest.fixture(scope="module")
def own_answer(exported: Any) -> Any:
    """What the fresh process answers, which is started once for all that compare with it."""
    model, directory, samples = exported
    answers: list[Any] = []

    def recorded(*given: Any) -> Any:
        answer = run(*given)
        answers.append(copy.deepcopy(answer))
        return answer

    with pytest.MonkeyPatch.context() as patch:
        run = certificate._run
        patch.setattr(certificate, "_run", recorded)
        asked = Verification(
            samples,
            lambda sources, seeds: model.generate(
                sources, max_length=9, return_output=True, **CASE.options
            ),
            False,
            "float32",
            9,
        )
        write_certificate(directory, asked, needs_text=True)
    return answers[0]


@slow_where_compiled
@pytest.mark.parametrize("what", ["score", "text", "ids"])
def test_another_result_is_an_error(
    exported: Any, own_answer: Any, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, directory, samples = exported
    before = read(directory)
    monkeypatch.setattr(certificate, "_run", lambda *given: copy.deepcopy(own_answer))

    def answers(sources: Any, seeds: Any) -> Any:
        found = model.generate(sources, max_length=9, return_output=True, **CASE.options)
        return spoilt(what)(found)

    asked = Verification(samples, answers, False, "float32", 9)
    with pytest.raises(ExportError, match="answers other than the model") as error:
        write_certificate(directory, asked, needs_text=True)
    assert repr(samples[1]) in str(error.value)
    assert read(directory) == before


@in_tensorflow
def test_samples_are_made_of_the_vocabulary_and_nothing_is_left_where_they_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(Case(RECURRENT, None))
    directory = model.export(tmp_path / "ids", sampler="top_k", top_k=5, max_length=12)
    compared = read(directory)["comparison"]
    assert compared["sources"] == compared["hypotheses"] == compared["equal"] >= 5
    monkeypatch.setattr(verification, "MAX_LENGTH", 4)
    real = certificate._run

    def other(*arguments: Any) -> Any:
        answer = real(*arguments)
        answer["calls"][0]["token_ids"][2][0][0] += 1
        answer["calls"][0]["scores"][2][0] += 1
        return answer

    monkeypatch.setattr(certificate, "_run", other)
    with pytest.raises(ExportError, match="for the sample row 2"):
        model.export(tmp_path / "other", max_length=12)
    model.export(tmp_path / "unverified", max_length=4, verify=False)
    assert read(tmp_path / "unverified")["comparison"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ids", "unverified"]


@in_tensorflow
def test_texts_are_left_out(tmp_path: Path) -> None:
    import tensorflow as tf

    model = make_model(Case(TRANSFORMER, "character"))
    path = model.export(tmp_path / "ids", text=False, max_length=6, truncate=True)
    assert read(path)["comparison"]["equal"] >= 5
    signatures = tf.saved_model.load(str(path)).signatures
    assert "encoder_token_ids" in signatures["serving_default"].structured_input_signature[1]
    assert not required_ops(path).tensorflow_text
    assert "tensorflow_text" not in (path / "README.md").read_text("utf-8")


class CallsPython(Greedy):
    def choose(self, scores: Any, index: Any, sources: Any) -> Any:
        import tensorflow as tf

        best = super().choose(scores, index, sources)
        same = tf.numpy_function(lambda ids: ids, [best], tf.int32)
        return tf.ensure_shape(same, best.shape)


@in_tensorflow
def test_ops_that_no_server_has_are_refused(tmp_path: Path) -> None:
    model = make_model(Case(RECURRENT, None))
    with pytest.raises(ExportError, match=r"the graph needs PyFunc, which a stock TensorFlow"):
        model.export(tmp_path / "python", sampler=CallsPython(), max_length=4)
    assert list(tmp_path.iterdir()) == []


def test_samples_that_are_none(tmp_path: Path) -> None:
    model = make_model(CASE)
    for wrong in ("text", []):
        with pytest.raises(ValueError, match="must be a list of texts"):
            model.export(tmp_path / "a", samples=wrong)
    ids = make_model(Case(RECURRENT, None))
    with pytest.raises(ValueError, match="for an export that reads texts"):
        ids.export(tmp_path / "a", samples=["a"])
    assert list(tmp_path.iterdir()) == []


def test_samples_fit_the_model() -> None:
    model = make_model(Case(TRANSFORMER, "character"))
    parts = model._parts
    texts = verification.sample_sources(parts, as_text=True)
    assert len(texts) >= 4 and len({len(text) for text in texts}) > 2
    assert model.generate(texts, max_length=3)
    padded = verification.sample_sources(parts, as_text=False)
    assert np.sort(padded["encoder_padding_mask"].sum(axis=1)).tolist() == sorted(
        set(padded["encoder_padding_mask"].sum(axis=1).tolist())
    )


@in_tensorflow
def test_a_graph_for_the_cpu_is_traced_where_there_is_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    asked = []

    def elsewhere(directory: Path, *_: Any) -> None:
        asked.append(directory)
        (directory / "assets.extra").mkdir()

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["GPU:0"])
    monkeypatch.setattr(second_process, "export_in_second_process", elsewhere)
    make_model(Case(RECURRENT, None)).export(tmp_path / "a", max_length=4, verify=False)
    assert len(asked) == 1


@in_tensorflow
def test_half_precision(tmp_path: Path) -> None:
    make_model(Case(TRANSFORMER, "character")).save_to_preset(tmp_path / "model")
    model = Seq2SeqLM.from_preset(tmp_path / "model", dtype="bfloat16", verbose=False)
    compared = read(model.export(tmp_path / "half", max_length=9))["comparison"]
    assert compared["equal"] + compared["ties"] == compared["hypotheses"] >= 4
    assert compared["tolerance"] == 5e-2


@in_tensorflow
def test_xla_compiles_a_search_for_few_shapes(tmp_path: Path) -> None:
    import tensorflow as tf

    model = make_model(Case(TRANSFORMER, "character", {}, [], 5, 4.0))
    path = model.export(tmp_path / "xla", xla=True, num_beams=2, max_length=9, samples=["a b"])
    assert read(path)["comparison"]["equal"] == 1
    function = tf.saved_model.load(str(path)).signatures["serving_default"]
    texts = [text for text in CORPUS if len(text) < 30]
    for some in (texts[:3], texts[:1], []):
        found = function(text=tf.constant(some, tf.string))
        expected = model.generate(some, num_beams=2, max_length=9, return_output=True)
        assert [text.decode() for text in found["text"].numpy()] == expected.texts
        np.testing.assert_array_equal(found["lengths"], expected.lengths)
        np.testing.assert_allclose(found["scores"], expected.scores, rtol=1e-4, atol=1e-4)
    found = function(text=tf.constant(["b" * 99, texts[0]]))
    assert b"but the model has positions for" in found["error"].numpy()[0]
    assert found["text"].numpy()[1].decode() == model.generate(texts[0], num_beams=2, max_length=9)
