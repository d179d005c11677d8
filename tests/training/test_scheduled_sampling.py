"""Scheduled sampling: what the decoder reads in training, against loops written out plainly."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from small_models import (
    COMPILES,
    Probe,
    attention,
    covered,
    make_model,
    model_inputs,
    recurrent,
    shrunken_preset,
    slow_where_compiled,
    to_numpy,
    variant,
    with_special_ids,
    without_dropout,
)

from keras_s2s import ConfigError, Seq2SeqLM, data
from keras_s2s.config import PresetConfig
from keras_s2s.training import (
    ConstantShare,
    ExponentialDecay,
    InverseSigmoidDecay,
    LinearDecay,
    ScheduledSampling,
)
from keras_s2s.training.mixed_inputs import draw_numbers

BACKEND = keras.backend.backend()

BAHDANAU = variant(
    {
        "encoder": recurrent("gru", bidirectional=True, embedding={"dim": 5}),
        "decoder": recurrent("gru", embedding={"dim": 6}, **attention("additive", "previous")),
        "bridge": {"type": "dense"},
    }
)
SOURCES = [[5, 9, 6, 4, 3], [8, 7, 3], [10, 3]]
TARGETS = [[7, 8, 13, 6, 3], [4, 15, 3], [9, 9, 14, 3]]


def batch(model: Seq2SeqLM, length: int = 6, targets: Any = TARGETS) -> tuple[Any, Any, Any]:
    """Inputs, labels and weights; targets are raw."""
    ids = model.special_ids
    starts = [[ids.target.decoder_start, *target[:-1]] for target in targets]
    inputs = model_inputs(SOURCES, starts, ids, source_length=6, target_length=length)
    labels = np.full((len(targets), length), ids.target.pad, "int32")
    for row, target in zip(labels, targets, strict=True):
        row[: len(target)] = target
    return inputs, labels, inputs["decoder_padding_mask"].astype("float32")


def one_step(model: Seq2SeqLM, given: tuple[Any, Any, Any], **options: Any) -> Any:
    """Loss and gradients of one step, from what plain gradient descent made of the weights."""
    before = {w.path: to_numpy(w.value).copy() for w in model.trainable_weights}
    model.compile(keras.optimizers.SGD(1.0), **options)
    model.optimizer.build(model.trainable_variables)
    # Keras' own, without checks: other inputs than the true ones are given on purpose here.
    loss = keras.Model.train_on_batch(model, *given, return_dict=True)["loss"]
    gradients = {path: value - to_numpy(of(model, path)) for path, value in before.items()}
    return float(loss), gradients


def of(model: Seq2SeqLM, path: str) -> Any:
    return next(w.value for w in model.weights if w.path == path)


def numbers(
    sampling: ScheduledSampling, inputs: Any, step: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The coins and the numbers of choices that a step draws."""
    ids, mask = (
        ops.convert_to_tensor(inputs[f"decoder_{name}"]) for name in ("token_ids", "padding_mask")
    )
    coins, drawn = draw_numbers(ids, mask, sampling.seed, step)
    return to_numpy(coins), to_numpy(drawn)


def assert_same_step(found: Any, expected: Any, tolerance: float = 1e-5) -> None:
    (loss, gradients), (expected_loss, expected_gradients) = found, expected
    np.testing.assert_allclose(loss, expected_loss, rtol=tolerance)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected_gradients[path], atol=tolerance, err_msg=path)


# --------------------------------------------------------------------------------------
# Against equations in PyTorch, with its own gradients
# --------------------------------------------------------------------------------------


def torch_bahdanau(model: Seq2SeqLM, given: Any, kept: Any, choice: str, drawn: Any) -> Any:
    """Loss and gradients of a GRU with additive attention that reads some of its own outputs.

    One row after the other, one step after the other, with the papers' equations.
    """
    import torch

    weights = {
        w.path: torch.tensor(to_numpy(w.value), dtype=torch.float64, requires_grad=True)
        for w in model.trainable_weights
    }

    def w(*places: str) -> Any:
        (found,) = [v for path, v in weights.items() if all(p in path.split("/") for p in places)]
        return found

    def gru(x: Any, h: Any, *places: str) -> Any:
        bias = w(*places, "bias")
        az, ar, an = (x @ w(*places, "kernel") + bias[0]).split(8)
        bz, br, bn = (h @ w(*places, "recurrent_kernel") + bias[1]).split(8)
        z = torch.sigmoid(az + bz)
        return z * h + (1 - z) * torch.tanh(an + torch.sigmoid(ar + br) * bn)

    def run(xs: Any, *places: str) -> Any:
        h = torch.zeros(8, dtype=torch.float64)
        states = []
        for x in xs:
            h = gru(x, h, *places)
            states.append(h)
        return states

    inputs, labels, _ = given
    losses, read = [], np.array(inputs["decoder_token_ids"])
    for row, length in enumerate(inputs["decoder_padding_mask"].sum(axis=1)):
        real = inputs["encoder_token_ids"][row][inputs["encoder_padding_mask"][row]]
        xs = w("source_table", "embeddings")[torch.tensor(real, dtype=torch.long)]
        forward = run(xs, "encoder", "forward_layer_0")
        backward = run(xs.flip(0), "encoder", "backward_layer_0")
        h = torch.cat([torch.stack(forward), torch.stack(backward).flip(0)], dim=1)
        last = torch.cat([forward[-1], backward[-1]])
        kernel, bias = (w("decoder", "layer_0_state_0", n) for n in ("kernel", "bias"))
        state = torch.tanh(last @ kernel + bias)
        chosen = None
        for t in range(length):
            if t and not kept[row, t]:
                read[row, t] = chosen
            y = w("target_table", "embeddings")[int(read[row, t])]
            energy = state @ w("attention", "query", "kernel") + h @ w("attention", "key", "kernel")
            energy = torch.tanh(energy + w("attention", "key", "bias"))
            c = torch.softmax((energy @ w("attention", "score", "kernel"))[:, 0], 0) @ h
            state = gru(torch.cat([y, c]), state, "decoder", "layer_0")
            out = torch.cat([state, c, y]) @ w("readout", "kernel") + w("readout", "bias")
            logits = torch.tanh(out) @ w("logits", "dense", "kernel") + w("logits", "bias")
            log_probs = torch.log_softmax(logits, 0)
            losses.append(-log_probs[int(labels[row, t])])
            if choice == "argmax":
                chosen = int(logits.argmax())
            elif t + 1 < length:
                shares = np.cumsum(torch.softmax(logits, 0).detach().numpy())
                chosen = int((shares <= drawn[row, t + 1]).sum())
    loss = torch.stack(losses).mean()
    loss.backward()
    return (float(loss.detach()), {path: v.grad.numpy() for path, v in weights.items()}), read


@pytest.mark.parametrize(
    ("share", "choice"),
    covered([(1.0, "argmax"), (0.0, "argmax"), (0.5, "argmax"), (0.5, "draw")], [(0.5, "draw")]),
)
def test_a_recurrent_decoder_against_a_loop_in_pytorch(share, choice):
    pytest.importorskip("torch")
    model = make_model(BAHDANAU, seed=6)
    given = batch(model)
    sampling = ScheduledSampling(share, choice=choice, seed=3)
    coins, drawn = numbers(sampling, given[0])
    expected, read = torch_bahdanau(model, given, coins < share, choice, drawn)
    differs = (read != given[0]["decoder_token_ids"]).sum()
    assert differs == 0 if share == 1.0 else differs >= 3
    assert_same_step(one_step(model, given, teacher_forcing=sampling), expected)


@slow_where_compiled
def test_no_teacher_forcing_is_the_free_running_loop():
    pytest.importorskip("torch")
    model = make_model(BAHDANAU, seed=6)
    given = batch(model)
    expected, _ = torch_bahdanau(model, given, np.zeros((3, 6), bool), "argmax", None)
    assert_same_step(one_step(model, given, teacher_forcing=False), expected)


# --------------------------------------------------------------------------------------
# Against the training graph, called plainly
# --------------------------------------------------------------------------------------


def plain_mix(model: Seq2SeqLM, inputs: Any, kept: np.ndarray, method: str) -> np.ndarray:
    """Decoder inputs in which the likeliest ids stand where nothing is kept."""
    probe = Probe(model)
    ids = np.array(inputs["decoder_token_ids"])
    kept = kept | ~inputs["decoder_padding_mask"]
    logits = probe.logits(inputs)
    for t in range(1, ids.shape[1]):
        if method == "step_by_step":  # a whole pass for each step
            logits = probe.logits({**inputs, "decoder_token_ids": ids})
        ids[:, t] = np.where(kept[:, t], ids[:, t], logits[:, t - 1].argmax(-1))
    return ids


CASES = [
    ("transformer_tiny", "two_pass"),
    ("transformer_tiny", "step_by_step"),
    ("t5_tiny", "step_by_step"),
    ("lstm_luong_general", "step_by_step"),
    ("lstm_seq2seq", "step_by_step"),
    ("gru_encoder_decoder", "step_by_step"),
    ("gru_bahdanau", "two_pass"),
]


@pytest.mark.parametrize(("name", "method"), covered(CASES, CASES[:1]))
def test_every_decoder_against_plain_calls_of_the_training_graph(name, method):
    """Also the gradients: those of a step that is given the mixed inputs."""
    config = without_dropout(shrunken_preset(name))
    model, other = (make_model(config, seed=2, scale=2.0) for _ in range(2))
    x, y, w = batch(model)
    sampling = ScheduledSampling(0.4, method=method, seed=1)
    coins, _ = numbers(sampling, x)
    mixed = plain_mix(model, x, coins < 0.4, method)
    assert (mixed != x["decoder_token_ids"]).sum() >= 3
    expected = one_step(other, ({**x, "decoder_token_ids": mixed}, y, w))
    assert_same_step(one_step(model, (x, y, w), teacher_forcing=sampling), expected)


@slow_where_compiled
def test_the_methods_differ():
    model = make_model(without_dropout(shrunken_preset("transformer_tiny")), seed=2, scale=2.0)
    x, _, _ = batch(model)
    kept = np.zeros((3, 6), bool)
    two, steps = (plain_mix(model, x, kept, method) for method in ("two_pass", "step_by_step"))
    assert (two != steps).any()


@slow_where_compiled
def test_a_share_of_one_is_teacher_forcing():
    """By a schedule, so that the mixing is computed."""
    config = without_dropout(shrunken_preset("gru_bahdanau"))
    forced, sampled = (make_model(config, seed=2) for _ in range(2))
    always = ScheduledSampling(LinearDecay(10), choice="draw")
    expected = one_step(forced, batch(forced))
    assert_same_step(
        one_step(sampled, batch(sampled), teacher_forcing=always), expected, tolerance=1e-6
    )


# --------------------------------------------------------------------------------------
# What is never replaced, and what never matters
# --------------------------------------------------------------------------------------


def mixed(model: Seq2SeqLM, inputs: Any, sampling: ScheduledSampling, step: int = 0) -> np.ndarray:
    def function(inputs: Any) -> Any:
        return sampling.decoder_inputs(model.network, inputs, model.special_ids, step)

    return to_numpy(Probe(model).call("mixed", function, dict(inputs)))


def multilingual(config: PresetConfig, where: str) -> PresetConfig:
    languages = {"codes": {"en": 13, "de": 14}, "source": "none", "target": where}
    found = config.model_dump()
    found["special_ids"]["languages"] = languages
    return PresetConfig.model_validate(found)


@slow_where_compiled
@pytest.mark.parametrize("method", ["step_by_step", "two_pass"])
def test_start_and_forced_ids_are_kept(method):
    free = ScheduledSampling(0.0, method=method)
    targets = [[14, 8, 14, 6, 3], [13, 15, 3], [14, 9, 14, 3]]
    for config, kept in (
        (BAHDANAU, [False, False, False]),
        (multilingual(BAHDANAU, "forced_bos"), [True, True, True]),
        (with_special_ids(BAHDANAU, forced_bos=14), [True, False, True]),
    ):
        model = make_model(config, seed=5)
        x, _, _ = batch(model, targets=targets)
        found = mixed(model, x, free)
        true = x["decoder_token_ids"]
        np.testing.assert_array_equal(found[:, 0], true[:, 0])
        assert (found[:, 1] == true[:, 1]).tolist() == kept
        assert (found[:, 2] != true[:, 2]).any()


@slow_where_compiled
@pytest.mark.parametrize("method", ["step_by_step", "two_pass"])
def test_padding_and_other_rows_change_nothing(method):
    model = make_model(BAHDANAU, seed=6)
    sampling = ScheduledSampling(0.5, choice="draw", method=method, seed=4)
    x, _, _ = batch(model)
    wide, _, _ = batch(model, length=9)
    wide["decoder_token_ids"][~wide["decoder_padding_mask"]] = 11  # what stands there is not read
    expected = mixed(model, x, sampling)
    found = mixed(model, wide, sampling)
    mask = x["decoder_padding_mask"]
    np.testing.assert_array_equal(found[:, :6][mask], expected[mask])
    assert (found[~wide["decoder_padding_mask"]] == 11).all()
    fewer = {name: value[:2] for name, value in x.items()}
    np.testing.assert_array_equal(mixed(model, fewer, sampling), expected[:2])


def test_draws_are_seeded_and_alike_on_every_backend():
    model = make_model(BAHDANAU, seed=6)
    x, _, _ = batch(model)
    coins, drawn = numbers(ScheduledSampling(0.5, seed=7), x, step=3)
    np.testing.assert_array_equal(coins, numbers(ScheduledSampling(0.5, seed=7), x, step=3)[0])
    others = [numbers(ScheduledSampling(0.5, seed=s), x, step=t)[0] for s, t in ((8, 3), (7, 4))]
    assert all((coins != other).mean() > 0.9 for other in others)
    assert (coins != drawn).mean() > 0.9
    found = [float(coins[0, 1]), float(coins[2, 5]), float(drawn[1, 2])]
    np.testing.assert_array_equal(found, np.float32(EXPECTED_DRAWS))


EXPECTED_DRAWS = [0.40825843811035156, 0.36530572175979614, 0.5539131164550781]


@slow_where_compiled
def test_draws_are_even_and_independent():
    rows = 400
    ids = np.tile(np.arange(20, dtype="int32"), (rows, 1))
    mask = np.ones((rows, 20), bool)
    found = draw_numbers(ops.convert_to_tensor(ids), ops.convert_to_tensor(mask), 5, 0)
    coins, drawn = map(to_numpy, found)
    for values in (coins, drawn):
        assert values.min() >= 0 and values.max() < 1
        for cut in (0.1, 0.5, 0.9):
            assert abs((values < cut).mean() - cut) < 0.02
    pairs = [(coins[:, 1:], coins[:, :-1]), (coins[1:], coins[:-1]), (coins, drawn)]
    for one, other in pairs:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.04


# --------------------------------------------------------------------------------------
# Schedules
# --------------------------------------------------------------------------------------


def test_schedules_are_those_of_the_paper():
    steps = np.array([0, 1, 10, 100, 1000, 100_000])
    for schedule, expected in (
        (ConstantShare(0.25), np.full(6, 0.25)),
        (LinearDecay(200, start=0.9, end=0.1), np.maximum(0.1, 0.9 - 0.8 / 200 * steps)),
        (ExponentialDecay(0.99), 0.99**steps),
        (InverseSigmoidDecay(50.0), 50 / (50 + np.exp(np.minimum(steps / 50, 700)))),
    ):
        found = [float(schedule(ops.convert_to_tensor(int(step)))) for step in steps]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
        assert again.get_config() == schedule.get_config() and type(again) is type(schedule)


@slow_where_compiled
def test_a_schedule_may_begin_later_and_end_above_zero():
    for schedule in (
        LinearDecay(100, end=0.5, begin=30),
        ExponentialDecay(0.9, end=0.5, begin=30),
        InverseSigmoidDecay(20.0, end=0.5, begin=30),
    ):
        first = float(schedule(0))
        assert first > 0.9
        assert float(schedule(30)) == first > float(schedule(40))
        assert float(schedule(10_000)) == 0.5


@slow_where_compiled
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantShare(1.5), r"share=1.5 .* \[0, 1\]"),
        (lambda: LinearDecay(0), "steps=0 .* at least 1"),
        (lambda: LinearDecay(5, start=0.1, end=0.2), "end=0.2 .* start=0.1"),
        (lambda: ExponentialDecay(1.0), r"rate=1.0 .* \(0, 1\)"),
        (lambda: InverseSigmoidDecay(0.5), "k=0.5 .* at least 1"),
        (lambda: InverseSigmoidDecay(5.0, begin=-1), "begin=-1 .* at least 0"),
        (lambda: ScheduledSampling("linear"), "schedule='linear'.*LinearDecay"),
        (lambda: ScheduledSampling(0.5, choice="best"), "choice='best'.*argmax"),
        (lambda: ScheduledSampling(0.5, method="three"), "method='three'.*step_by_step"),
        (lambda: ScheduledSampling(0.5, seed=2**31), "seed=2147483648"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@slow_where_compiled
@pytest.mark.parametrize("wrong", ["scheduled", None, 1.5, [0.5]])
def test_what_compile_refuses(wrong):
    model = make_model(BAHDANAU)
    with pytest.raises(ValueError, match="teacher_forcing="):
        model.compile("sgd", teacher_forcing=wrong)


# --------------------------------------------------------------------------------------
# Training
# --------------------------------------------------------------------------------------


def pairs(count: int) -> list[tuple[list[int], list[int]]]:
    rng = np.random.default_rng(2)
    rows = [[*rng.integers(4, 16, n - 1).tolist(), 3] for n in rng.integers(3, 9, count)]
    return [(row, row) for row in rows]


def batches(model: Seq2SeqLM, count: int = 24, **options: Any) -> data.Batches:
    given = {"batch_size": 8, "num_buckets": 2, **options}
    return data.Batches(pairs(count), special_ids=model.special_ids, **given)


def test_the_schedule_follows_the_optimizer_without_another_trace(monkeypatch):
    """The last step of the schedule is reached in training, and nothing is traced for it."""
    model = make_model(BAHDANAU, seed=1)
    traces: list[Any] = []
    original = Seq2SeqLM.train_step

    def counted(self: Any, *given: Any) -> Any:
        traces.append(1)
        return original(self, *given)

    monkeypatch.setattr(Seq2SeqLM, "train_step", counted)
    steps: list[Any] = []

    class Recorded(LinearDecay):
        def __call__(self, step: Any) -> Any:
            steps.append(int(step) if BACKEND == "torch" else step)
            return super().__call__(step)

    model.compile("sgd", teacher_forcing=Recorded(4), label_smoothing=0.1)
    given = batches(model, num_buckets=1)
    model.fit(given, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 6
    if BACKEND == "torch":
        assert steps == [0, 1, 2, 3, 4, 5]
    else:
        assert len(traces) == 1 or (BACKEND == "tensorflow" and len(traces) <= 2)
        assert len(steps) == len(traces)


def test_the_step_is_that_of_the_optimizer():
    """At the first step all inputs are true, at the second none."""
    config = without_dropout(BAHDANAU)
    stepped = make_model(config, seed=6)
    given = batch(stepped)

    def loss_of(model: Seq2SeqLM) -> float:
        model.reset_metrics()
        return float(model.train_on_batch(*given, return_dict=True)["loss"])

    stepped.compile(keras.optimizers.SGD(0.0), teacher_forcing=LinearDecay(1))
    forced = float(stepped.test_on_batch(*given, return_dict=True)["loss"])
    losses = [loss_of(stepped), loss_of(stepped)]
    assert losses[0] == pytest.approx(forced, rel=1e-5)
    assert abs(losses[1] - losses[0]) > 1e-3
    if not COMPILES:
        free = make_model(config, seed=6)
        free.compile(keras.optimizers.SGD(0.0), teacher_forcing=False)
        assert losses[1] == pytest.approx(loss_of(free), rel=1e-5)


@slow_where_compiled
def test_two_runs_are_equal_and_validation_is_teacher_forced():
    runs = []
    for _ in range(2):
        model = make_model(BAHDANAU, seed=1)
        model.compile("adam", teacher_forcing=ScheduledSampling(0.3, choice="draw", seed=5))
        given = batches(model, 12, num_buckets=1)
        history = model.fit(given, validation_data=given, epochs=1, verbose=0).history
        runs.append({name: values[-1] for name, values in history.items()})
    assert runs[0] == runs[1]
    expected = runs[0]["val_loss"]
    model.compile("adam")  # teacher forcing
    assert model.evaluate(given, verbose=0, return_dict=True)["loss"] == pytest.approx(expected)
    logs = model.evaluate(given, verbose=0, return_dict=True)
    assert logs["token_accuracy"] == pytest.approx(runs[0]["val_token_accuracy"])


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ("mixed_bfloat16", "gru_bahdanau"),
        ("mixed_float16", "transformer_tiny"),
        pytest.param("mixed_float16", "gru_bahdanau", marks=pytest.mark.slow),
        pytest.param("mixed_bfloat16", "transformer_tiny", marks=pytest.mark.slow),
    ],
)
@slow_where_compiled
def test_mixed_precision(policy, name):
    model = Seq2SeqLM(shrunken_preset(name), dtype=policy)
    optimizer = keras.optimizers.Adam(0.02)
    model.compile(optimizer, teacher_forcing=ScheduledSampling(0.5, choice="draw"))
    losses = model.fit(batches(model, 8, num_buckets=1), epochs=4, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


@slow_where_compiled
def test_learning_rates_of_groups_and_accumulated_gradients():
    model = make_model(BAHDANAU, seed=1)
    schedule = LinearDecay(2)
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model.compile(optimizer, teacher_forcing=schedule)
    model.fit(batches(model, num_buckets=1), epochs=1, verbose=0)
    assert int(model.optimizer.iterations) == 1  # of three batches
    model.compile("sgd", teacher_forcing=schedule, learning_rates={"encoder": 0.1})
    model.fit(batches(model, num_buckets=1), epochs=1, verbose=0)
    assert int(model.optimizer.iterations) == 3


def test_it_is_saved_and_shown(tmp_path):
    model = make_model(BAHDANAU, seed=1)
    sampling = ScheduledSampling(InverseSigmoidDecay(40.0, end=0.1), choice="draw", seed=9)
    model.compile("adam", teacher_forcing=sampling)
    model.fit(batches(model, 8, num_buckets=1), epochs=1, verbose=0)
    (line,) = model.training_report()
    assert line == (
        "scheduled sampling: InverseSigmoidDecay(k=40.0, end=0.1), choice=draw, step_by_step, "
        "seed=9"
    )
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.training_report() == [line]
    saved = again.get_compile_config()["teacher_forcing"]
    assert keras.saving.deserialize_keras_object(saved) == sampling
    given = batch(model)
    found = [float(m.train_on_batch(*given, return_dict=True)["loss"]) for m in (again, model)]
    assert np.isfinite(found).all()
    again.compile("adam")
    assert again.training_report() == []
    assert "teacher_forcing" not in again.get_compile_config()


@slow_where_compiled
def test_what_compile_takes():
    model = make_model(BAHDANAU, seed=1)
    for given, expected in (
        (True, []),
        (1.0, []),
        (1, []),
        (False, ["no teacher forcing: the decoder reads its own outputs, choice=argmax"]),
        (0.0, ["no teacher forcing: the decoder reads its own outputs, choice=argmax"]),
    ):
        model.compile("sgd", teacher_forcing=given)
        assert model.training_report() == expected
    model.compile("sgd", teacher_forcing=ScheduledSampling(0.5, seed=2))
    assert model.training_report() == [
        "scheduled sampling: ConstantShare(share=0.5), choice=argmax, step_by_step, seed=2"
    ]
    tiny = make_model(shrunken_preset("transformer_tiny"))
    tiny.compile("sgd", teacher_forcing=ScheduledSampling(LinearDecay(5), seed=2))
    assert tiny.training_report()[0].endswith("two_pass, seed=2")
    tiny.compile("sgd", teacher_forcing=False)
    assert tiny.training_report() == [
        "no teacher forcing: the decoder reads its own outputs, choice=argmax"
    ]


# --------------------------------------------------------------------------------------
# Recipes
# --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_recipe_names_it_in_its_notes_and_measures_exposure_bias(tmp_path):
    from recipes.test_runner import run

    report, _ = run(
        tmp_path / "run",
        "evaluation.exposure_bias=true",
        "training.teacher_forcing.schedule=inverse_sigmoid",
        "training.teacher_forcing.k=4",
        "training.teacher_forcing.choice=draw",
    )
    assert report["training"] == [
        "scheduled sampling: InverseSigmoidDecay(k=4.0), choice=draw, step_by_step, seed=0"
    ]
    losses = (report["metrics"][f"loss_{way}"] for way in ("teacher_forced", "own_outputs"))
    assert 0 < next(losses) < next(losses)
    assert 0 < report["metrics"]["token_accuracy_own_outputs"] < 1


@slow_where_compiled
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"teacher_forcing": True}, []),
        ({"teacher_forcing": False}, ["no teacher forcing"]),
        ({"teacher_forcing": {"schedule": "constant", "share": 0.5}}, ["ConstantShare(share=0.5)"]),
        (
            {"teacher_forcing": {"schedule": "linear", "steps": 8, "end": 0.25, "begin": 2}},
            ["LinearDecay(steps=8, end=0.25, begin=2)"],
        ),
        (
            {"teacher_forcing": {"schedule": "linear"}},
            ["LinearDecay(steps=50)"],  # those of the run
        ),
        (
            {"teacher_forcing": {"schedule": "exponential", "rate": 0.5}},
            ["ExponentialDecay(rate=0.5)"],
        ),
    ],
)
def test_what_a_recipe_may_say(changes, expected):
    from keras_s2s.config import TrainingConfig
    from keras_s2s.recipes.compiling import compile_by

    training = TrainingConfig.model_validate({"epochs": 1, **changes})
    lines = compile_by(training, make_model(BAHDANAU), 50)
    assert len(lines) == len(expected)
    assert all(part in line for line, part in zip(lines, expected, strict=True))


@slow_where_compiled
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.teacher_forcing.schedule=sigmoid", "inverse_sigmoid"),
        ("training.teacher_forcing.schedule=exponential", "rate"),
        ("training.teacher_forcing.schedule=inverse_sigmoid", "k"),
        ("training.teacher_forcing.shedule=linear", "schedule"),
        ("training.teacher_forcing=maybe", "teacher_forcing"),
    ],
)
def test_what_a_recipe_may_not_say(change, message):
    from keras_s2s.catalog import load_recipe

    with pytest.raises(ConfigError, match=rf"training\.teacher_forcing(?s:.*){message}"):
        load_recipe("dates", [change])


@slow_where_compiled
def test_a_setting_of_another_schedule_is_refused():
    from keras_s2s.catalog import load_recipe

    changes = [f"training.teacher_forcing.{each}" for each in ("schedule=linear", "k=5")]
    with pytest.raises(ConfigError, match=r"teacher_forcing\.k: .*inverse_sigmoid"):
        load_recipe("dates", changes)
