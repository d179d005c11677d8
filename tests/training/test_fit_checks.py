"""What `fit` and `evaluate` weigh, and what they refuse before any work."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from contracts import checks
from small_models import covered, make_model, shrunken_preset, slow_where_compiled, variant

from keras_s2s import Seq2SeqLM, data
from keras_s2s.data import DataError

BACKEND = keras.backend.backend()
VOCABULARY = 16


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    return make_model(shrunken_preset("gru_encoder_decoder"), seed=1)


@pytest.fixture
def given(model: Seq2SeqLM) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    x, y, weights = checks.copy_batches(model, batch_size=6)[0]
    return {name: array.copy() for name, array in x.items()}, y.copy(), weights.copy()


def evaluated(model: Seq2SeqLM, x: Any, y: Any, weights: Any = None) -> dict[str, float]:
    return model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)


def same(one: dict[str, float], other: dict[str, float]) -> None:
    for name, value in one.items():
        assert other[name] == pytest.approx(value, rel=1e-5), name


# --------------------------------------------------------------------------------------
# Weights
# --------------------------------------------------------------------------------------


def test_a_weight_of_a_row_multiplies_those_of_its_tokens(model, given) -> None:
    model.compile("sgd")
    x, y, weights = given
    rows = np.asarray([0.5, 2.0, 0.0, 1.0, 1.0, 3.0], "float32")
    expected = evaluated(model, x, y, weights * rows[:, None])
    same(expected, evaluated(model, x, y, rows))
    same(expected, evaluated(model, x, y, rows[:, None]))
    by_rows = [float(model.score([source], [target])[0]) for source, target in _rows(x, y)]
    lengths = x["decoder_padding_mask"].sum(1)
    assert expected["loss"] == pytest.approx(
        -(np.asarray(by_rows) * rows).sum() / (lengths * rows).sum(), rel=1e-5
    )
    before = model.get_weights()
    found = []
    for given_weights in (weights * rows[:, None], rows, rows[:, None]):
        model.set_weights(before)
        keras.utils.set_random_seed(1)
        model.compile(keras.optimizers.SGD(1.0))
        model.train_on_batch(x, y, sample_weight=given_weights)
        found.append(model.get_weights())
        if BACKEND != "torch":
            break  # compiled anew each time; the weights are joined in one place
    model.set_weights(before)
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, another, atol=1e-6)


def _rows(x: dict[str, np.ndarray], y: np.ndarray) -> list[tuple[list[int], list[int]]]:
    return [
        (
            x["encoder_token_ids"][row][x["encoder_padding_mask"][row]].tolist(),
            y[row][x["decoder_padding_mask"][row]].tolist(),
        )
        for row in range(len(y))
    ]


def test_weights_of_ones_do_not_count_padding(model, given) -> None:
    model.compile("sgd")
    x, y, _ = given
    same(evaluated(model, x, y), evaluated(model, x, y, np.ones(y.shape, "float32")))


def test_labels_of_minus_100_weigh_nothing(model, given) -> None:
    model.compile("sgd")
    x, y, weights = given
    weights[0, 1:] = 0.0
    expected = evaluated(model, x, y, weights)
    ignored = np.where(weights > 0, y, -100)
    same(expected, evaluated(model, x, ignored))
    same(expected, evaluated(model, x, ignored, np.ones(len(y), "float32")))
    logs = model.test_on_batch(x, ignored, return_dict=True)
    same(expected, {name: float(value) for name, value in logs.items()})


def test_labels_none_of_which_counts_are_refused_before_the_first_step(model, given) -> None:
    x, y, weights = given
    ignored, before = np.full_like(y, -100), model.get_weights()
    for labels, w in ((ignored, None), (y, np.zeros_like(weights)), (ignored, weights)):
        with pytest.raises(DataError, match="no label counts, so that the loss would be 0"):
            model.fit(x, labels, sample_weight=w, verbose=0)
    with pytest.raises(DataError, match="validation_data: no label counts"):
        model.fit(x, y, validation_data=(x, ignored), verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@slow_where_compiled
def test_labels_of_minus_100_train_as_weights_of_0_do(model, given) -> None:
    x, y, weights = given
    before = model.get_weights()
    found = []
    for labels, w in ((y, weights), (np.where(weights > 0, y, -100), None)):
        model.set_weights(before)
        keras.utils.set_random_seed(1)
        model.compile(keras.optimizers.SGD(1.0))
        model.fit(x, labels, sample_weight=w, shuffle=False, verbose=0)
        found.append(model.get_weights())
    model.set_weights(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


# --------------------------------------------------------------------------------------
# Refusals
# --------------------------------------------------------------------------------------


def spoilt(given: Any, name: str, change: Any) -> tuple[Any, Any, Any]:
    x, y, weights = given
    if name in x:
        return {**x, name: change(x[name])}, y, weights
    return (x, change(y), weights) if name == "y" else (x, y, change(weights))


def with_id(value: int) -> Any:
    def change(ids: np.ndarray) -> np.ndarray:
        ids = ids.copy()
        ids[1, 0] = value
        return ids

    return change


WRONG = {
    "source id too large": (
        "encoder_token_ids",
        with_id(VOCABULARY),
        r"encoder_token_ids: row 1 holds the id 16, but the vocabulary has ids 0 to 15",
    ),
    "source id negative": ("encoder_token_ids", with_id(-1), r"row 1 holds the id -1"),
    "decoder input": ("decoder_token_ids", with_id(99), r"decoder_token_ids: row 1 .* id 99"),
    "label": ("y", with_id(16), r"labels: row 1 holds the id 16.*-100 leaves a label out"),
    "label negative": ("y", with_id(-1), r"labels: row 1 holds the id -1"),
    "floats": ("encoder_token_ids", lambda a: a.astype("float32"), r"dtype float32; expected ids"),
    "mask shape": ("encoder_padding_mask", lambda a: a[:, :-1], r"expected the same"),
    "additive mask": (
        "encoder_padding_mask",
        lambda a: np.where(a, 0.0, -1e9),
        r"expected True \(1\) where",
    ),
    "labels shape": ("y", lambda a: a[:, :-1], r"labels have the shape"),
    "weights shape": ("weights", lambda a: a[:, :-1], r"\(6,\) or \(6, 1\), a weight for each row"),
    "weights nan": ("weights", lambda a: a * np.nan, r"numbers of 0 or more"),
    "weights negative": ("weights", lambda a: -a, r"numbers of 0 or more"),
}


@pytest.mark.parametrize("case", WRONG)
def test_arrays_that_cannot_be_meant_are_refused(model, given, case) -> None:
    name, change, message = WRONG[case]
    x, y, weights = spoilt(given, name, change)
    with pytest.raises(DataError, match=rf"^x: .*{message}"):
        model.fit(x, y, sample_weight=weights, verbose=0)
    with pytest.raises(DataError, match=rf"^x: .*{message}"):
        model.evaluate(x, y, sample_weight=weights, verbose=0)
    with pytest.raises(DataError, match=rf"^x: .*{message}"):
        model.train_on_batch(x, y, sample_weight=weights)
    with pytest.raises(DataError, match=rf"^validation_data: .*{message}"):
        model.fit(*given[:2], validation_data=(x, y, weights), verbose=0)


@pytest.mark.parametrize("kind", ["PyDataset", "generator", "DataLoader", "tf.data"])
def test_batches_of_other_libraries_are_checked_as_they_come(model, given, kind) -> None:
    batch = spoilt(given, "y", with_id(16))
    if kind == "generator":
        source: Any = (batch for _ in range(2))
    elif kind == "PyDataset":

        class OwnDataset(keras.utils.PyDataset):
            def __len__(self) -> int:
                return 2

            def __getitem__(self, index: int) -> Any:
                return batch

        source = OwnDataset()
    elif kind == "DataLoader":
        torch_data = pytest.importorskip("torch.utils.data")
        source = torch_data.DataLoader([batch], batch_size=None, collate_fn=lambda b: b)
    else:
        tf = pytest.importorskip("tensorflow")
        source = tf.data.Dataset.from_tensors(batch)
    with pytest.raises(Exception, match=r"x: .*labels: row 1 holds the id 16"):
        model.evaluate(source, verbose=0)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="its weights never leave their variables")
@pytest.mark.parametrize(
    ("method", "good"), covered([("fit", 0), ("fit", 1), ("evaluate", 1)], [("fit", 1)])
)
def test_an_error_in_the_data_leaves_the_weights(model, given, method, good) -> None:
    """Keras on JAX would leave a model without any."""

    def batches() -> Any:
        for _ in range(good):
            yield given
        raise RuntimeError("the disk is gone")

    model.compile(keras.optimizers.SGD(0.0))
    before = model.get_weights()
    with pytest.raises(Exception, match="the disk is gone"):
        getattr(model, method)(batches(), verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.isfinite(model.train_on_batch(*given)[0])


@pytest.mark.parametrize("kind", ["PyDataset", "DataLoader", "tf.data"])
def test_batches_of_other_libraries_are_taken(model, given, kind) -> None:
    model.compile("sgd")
    expected = evaluated(model, *given)
    if kind == "PyDataset":
        source: Any = checks.copy_batches(model, batch_size=6)

        class OwnDataset(keras.utils.PyDataset):
            def __len__(self) -> int:
                return 1

            def __getitem__(self, index: int) -> Any:
                return given

        source = OwnDataset()
    elif kind == "DataLoader":
        torch = pytest.importorskip("torch")
        tensors = keras.tree.map_structure(torch.from_numpy, given)
        source = torch.utils.data.DataLoader([tensors], batch_size=None, collate_fn=lambda b: b)
    else:
        tf = pytest.importorskip("tensorflow")
        source = tf.data.Dataset.from_tensors(given)
    same(expected, model.evaluate(source, verbose=0, return_dict=True))


@pytest.mark.parametrize("name", ["encoder_padding_mask", "decoder_padding_mask"])
def test_masks_left_out_are_asked_for(model, given, name) -> None:
    x, y, weights = given
    x = {key: array for key, array in x.items() if key != name}
    for call in (
        lambda: model.fit(x, y, verbose=0),
        lambda: model.evaluate(x, y, verbose=0),
        lambda: model.fit(((x, y, weights) for _ in range(1)), verbose=0),
        lambda: model.predict(x, verbose=0),
    ):
        with pytest.raises(ValueError, match=rf"the inputs lack {name} \(True where"):
            call()


def test_inputs_that_are_no_mapping_are_refused(model, given) -> None:
    x, y, _ = given
    with pytest.raises(DataError, match=r"expected a mapping with encoder_token_ids"):
        model.fit(list(x.values()), y, verbose=0)
    with pytest.raises(DataError, match="no labels"):
        model.fit(x, verbose=0)


def test_a_weight_of_classes_is_refused(model, given) -> None:
    x, y, _ = given
    for call in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match=r"class_weight .* sequence of ids.*sample_weight"):
            call(x, y, class_weight={1: 2.0})
    with pytest.raises(ValueError, match="class_weight"):
        model.fit(checks.copy_batches(model), class_weight={1: 2.0}, verbose=0)


def test_nothing_measured_is_an_error(model, given) -> None:
    x, y, weights = given
    with pytest.raises(ValueError, match="all tokens of these data have weight 0"):
        model.evaluate(x, y, sample_weight=0 * weights, verbose=0)


def test_predict_refuses_what_the_model_cannot_read(model, given) -> None:
    x, _, _ = given
    for name in ("encoder_token_ids", "decoder_token_ids"):
        for wrong in (VOCABULARY, -1):
            ids = x[name].copy()
            ids[0, 0] = wrong
            with pytest.raises(DataError, match=rf"{name}: row 0 holds the id {wrong}"):
                model.predict({**x, name: ids}, verbose=0)


def test_validation_data_that_are_empty_are_refused(model, given) -> None:
    x, y, _ = given
    for empty in ([], ()):
        with pytest.raises(ValueError, match=r"validation_data=.* is empty; pass data\.Batches"):
            model.fit(x, y, validation_data=empty, verbose=0)


def test_predict_of_texts_names_generate(model) -> None:
    for texts in ("a b", ["a b"], np.asarray(["a b"]), {"encoder_token_ids": ["a b"]}):
        with pytest.raises(ValueError, match=r"model\.generate\(texts\)"):
            model.predict(texts)
        with pytest.raises(ValueError, match=r"predict_on_batch\(\) .*model\.generate\(texts\)"):
            model.predict_on_batch(texts)
    for texts in ("a b", ["a b"], ("a b", "b a")):
        with pytest.raises(ValueError, match=r"model\(inputs\) .*model\.generate\(texts\)"):
            model(texts)


# --------------------------------------------------------------------------------------
# Lengths and vocabularies
# --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned_positions() -> Seq2SeqLM:
    embedding = {"positions": "learned", "max_positions": 8}
    side = {
        "type": "transformer",
        "hidden_dim": 8,
        "num_layers": 1,
        "num_heads": 2,
        "intermediate_dim": 12,
        "embedding": embedding,
    }
    return make_model(variant({"encoder": side, "decoder": side}))


@pytest.mark.parametrize("side", ["source", "target"])
def test_pairs_longer_than_learned_positions_are_refused_before_the_first_step(
    learned_positions, side
) -> None:
    model = learned_positions
    short, long = [4, 5, 3], [4, 5, 6, 7, 8, 9, 10, 11, 12, 3]
    pair = (long, short) if side == "source" else (short, long)
    pairs = [(short, short), pair, (short, short)]
    batches = data.Batches(pairs, special_ids=model.special_ids)
    sentence = (
        rf"{side} 1 \(counted from 0\) has 10 ids, but the model has positions for 8; .*"
        rf"max_{side}_length=8"
    )
    with pytest.raises(DataError, match=sentence):
        model.fit(batches, verbose=0)
    with pytest.raises(DataError, match=sentence):
        model.evaluate(batches, verbose=0)
    fine = data.Batches([(short, short)], special_ids=model.special_ids)
    with pytest.raises(DataError, match=f"validation_data: {sentence}"):
        model.fit(fine, validation_data=batches, verbose=0)
    x, y, weights = batches[0]
    with pytest.raises(DataError, match=r"10 positions a row.* positions for 8; shorten"):
        model.fit(x, y, sample_weight=weights, verbose=0)
    with pytest.raises(DataError, match=r"10 positions a row.* positions for 8; shorten"):
        model.predict(x, verbose=0)
    with pytest.raises(DataError, match=sentence):
        model.predict(batches, verbose=0)


def test_batches_of_another_vocabulary_are_refused(model) -> None:
    batches = data.Batches([([4, 40, 3], [5, 3])], special_ids=model.special_ids)
    with pytest.raises(DataError, match=r"a source holds the id 40, .* ids 0 to 15"):
        model.fit(batches, verbose=0)
    with pytest.raises(DataError, match=r"validation_data: a source holds the id 40"):
        model.fit(checks.copy_batches(model), validation_data=batches, verbose=0)
