"""The contracts of every encoder-decoder model, as functions that raise AssertionError.

Each takes a `Probe` (a model, move by move) or a model. The suite runs them over every model;
`test_faults.py` plants faults and shows that they are found.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from small_models import Probe, model_inputs, source_mapping, to_numpy

from keras_s2s.config import ConditionalConfig, StackConfig
from keras_s2s.data import Batches
from keras_s2s.layers.state import Memory
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers import Beam, Greedy, Plan

SOURCES = [[5, 9, 6, 4, 3], [7, 3], [8, 4, 4, 11, 6, 10, 3]]
HISTORIES = [[2, 5, 13, 7, 7, 4], [2, 9, 10], [2, 6, 11, 4, 12, 8]]
SOURCE_LENGTH, TARGET_LENGTH = 8, 6  # S and T of every batch here: padded, and one shape.
BEAMS = 2


def tolerance(reference: np.ndarray) -> float:
    return max(1e-5, 1e-5 * float(np.abs(reference).max()))


def assert_equal_logits(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert found.shape == expected.shape, f"{what}: {found.shape} and {expected.shape}"
    assert np.isfinite(found).all() and np.isfinite(expected).all(), f"{what}: not finite"
    worst = float(np.abs(found - expected).max())
    assert worst <= tolerance(expected), f"{what}: logits differ by {worst}"


def batch(model: Seq2SeqLM, sources: Any = SOURCES, histories: Any = HISTORIES) -> dict[str, Any]:
    return model_inputs(
        sources,
        histories,
        model.special_ids,
        source_length=SOURCE_LENGTH,
        target_length=TARGET_LENGTH,
    )


def attends(model: Seq2SeqLM) -> bool:
    """Whether the decoder reads the encoder's outputs by attention."""
    decoder = model.preset.architecture.decoder
    return isinstance(decoder, StackConfig | ConditionalConfig) or decoder.attention is not None


# --------------------------------------------------------------------------------------
# One forward pass
# --------------------------------------------------------------------------------------


def check_step_by_step(probe: Probe) -> None:
    """Teacher-forced logits and attention equal those of single steps, beams side by side."""
    inputs = batch(probe.model)
    mask = inputs["decoder_padding_mask"]
    expected, expected_attention = probe.logits_and_attention(inputs)
    assert (expected_attention is not None) == attends(probe.model)
    state = probe.start(probe.encode(inputs), 4, BEAMS)
    assert_state_shapes(probe, state)
    for t in range(TARGET_LENGTH):
        if t == 4:
            state = probe.network.grow(state, 8)
        tokens = np.repeat(inputs["decoder_token_ids"][:, t], BEAMS)
        logits, state, attention = probe.step(tokens, state, t)
        real = np.repeat(mask[:, t], BEAMS)
        wanted = np.repeat(expected[:, t], BEAMS, axis=0)
        assert_equal_logits(logits[real], wanted[real], f"step {t}")
        assert logits.dtype == np.float32
        if expected_attention is None:
            assert attention is None
            continue
        wanted = np.repeat(expected_attention[:, t], BEAMS, axis=0)
        np.testing.assert_allclose(attention[real], wanted[real], atol=2e-6, err_msg=f"step {t}")
        np.testing.assert_allclose(attention.sum(-1), 1.0, rtol=1e-5, atol=1e-5)
        padding = np.repeat(~inputs["encoder_padding_mask"], BEAMS, axis=0)
        assert not attention[padding].any(), "attention on padding"
    assert_state_shapes(probe, state)


def check_several_steps(probe: Probe) -> None:
    """Teacher-forced logits equal those of several steps at once, each row from a step of its own,
    after wrong ids too.
    """
    inputs = batch(probe.model)
    ids, mask = inputs["decoder_token_ids"], inputs["decoder_padding_mask"]
    expected, _ = probe.logits_and_attention(inputs)
    state = probe.start(probe.encode(inputs), TARGET_LENGTH, 1)
    rng = np.random.default_rng(5)
    count, compared = 3, 0
    starts = np.zeros(len(SOURCES), "int32")
    for right in ([3, 1, 2], [2, 3, 2], [1, 1, 2], [0, 1, 0]):  # of the ids that a row is fed
        if starts.max() + count > TARGET_LENGTH:
            state = probe.network.grow(state, TARGET_LENGTH + count)
        tokens = rng.integers(4, ids.max(), (len(SOURCES), count))
        for row, (start, good) in enumerate(zip(starts, right, strict=True)):
            tokens[row, :good] = ids[row, start : start + good]
        logits, state = probe.step_several(tokens, state, starts)
        for row, (start, good) in enumerate(zip(starts, right, strict=True)):
            real = mask[row, start : start + good]
            wanted = expected[row, start : start + good][real]
            found = logits[row, :good][real]
            compared += len(found)
            if len(found):
                assert_equal_logits(found, wanted, f"row {row}, steps from {start} on")
        starts = starts + np.asarray(right, "int32")
    assert compared == mask.sum()


def assert_state_shapes(probe: Probe, state: Any) -> None:
    """The source part has a row for each source, the beam part one for each beam."""
    sources = len(SOURCES)
    shapes = [tuple(leaf.shape) for leaf in keras.tree.flatten(state.source)]
    assert shapes and all(shape[0] == sources for shape in shapes), f"source part: {shapes}"
    shapes = [tuple(leaf.shape) for leaf in keras.tree.flatten(state.beam)]
    assert shapes and all(shape[0] == sources * BEAMS for shape in shapes), f"beam part: {shapes}"


def check_reorder(probe: Probe) -> None:
    """Random parents, selected rows, growth and joining: a state continues the right histories."""
    rng = np.random.default_rng(7)
    rows = len(SOURCES) * BEAMS
    vocabulary = probe.model.preset.architecture.target_vocab_size
    start = probe.model.special_ids.target.decoder_start
    sources = list(SOURCES)
    histories = [[start] for _ in range(rows)]
    state = probe.start(probe.encode(batch(probe.model)), 4, BEAMS)
    for t in range(TARGET_LENGTH):
        if t == 4:
            state = probe.network.grow(state, 8)
        logits, state, _ = probe.step([row[-1] for row in histories], state, t)
        if t in (2, 3, TARGET_LENGTH - 1):
            for beam in range(BEAMS):
                inputs = batch(probe.model, sources, histories[beam::BEAMS])
                expected, _ = probe.logits_and_attention(inputs)
                assert_equal_logits(logits[beam::BEAMS], expected[:, t], f"step {t}, beam {beam}")
        if t == TARGET_LENGTH - 1:
            break
        if t == 2:  # The middle source has left; the last one comes twice.
            kept = np.asarray([2, 0, 2], "int32")
            state = probe.network.select_rows(state, kept)
            sources = [sources[i] for i in kept]
            histories = [histories[i * BEAMS + k] for i in kept for k in range(BEAMS)]
        if t == 3:  # The first source went its own way, and comes back behind the others.
            parts = [np.asarray(part, "int32") for part in ([1, 2], [0])]
            state = probe.network.join([probe.network.select_rows(state, part) for part in parts])
            sources = sources[1:] + sources[:1]
            histories = histories[BEAMS:] + histories[:BEAMS]
        # Within each source; at some steps both beams continue the same one, or they swap.
        within = {0: [0, 1], 1: [1, 1], 3: [1, 0]}.get(t)
        parents = np.asarray(
            [
                b * BEAMS + (rng.integers(BEAMS) if within is None else within[k])
                for b in range(len(sources))
                for k in range(BEAMS)
            ],
            "int32",
        )
        state = probe.network.reorder(state, parents)
        histories = [histories[p] + [int(rng.integers(4, vocabulary))] for p in parents]
        assert_state_shapes(probe, state)


# --------------------------------------------------------------------------------------
# Padding, causality, the source
# --------------------------------------------------------------------------------------


def check_padding_invariance(probe: Probe) -> None:
    """A sentence alone and unpadded has the logits it has in a padded batch."""
    together, _ = probe.logits_and_attention(batch(probe.model))
    for row in (0,) if keras.backend.backend() == "jax" else range(len(SOURCES)):
        alone = probe.logits(
            model_inputs([SOURCES[row]], [HISTORIES[row]], probe.model.special_ids)
        )[0]
        assert_equal_logits(together[row, : len(alone)], alone, f"row {row} alone")


def check_neighbours(probe: Probe) -> None:
    """A row does not change with the other rows of its batch, nor with what padding holds."""
    inputs = batch(probe.model)
    expected, _ = probe.logits_and_attention(inputs)
    others = batch(
        probe.model, [SOURCES[0], SOURCES[2], SOURCES[1]], [HISTORIES[0], HISTORIES[2], [2]]
    )
    assert_equal_logits(probe.logits_and_attention(others)[0][0], expected[0], "other neighbours")
    dirty = {
        **inputs,
        "encoder_token_ids": np.where(
            inputs["encoder_padding_mask"], inputs["encoder_token_ids"], 9
        ).astype("int32"),
        "decoder_token_ids": np.where(
            inputs["decoder_padding_mask"], inputs["decoder_token_ids"], 9
        ).astype("int32"),
    }
    real = inputs["decoder_padding_mask"]
    found, _ = probe.logits_and_attention(dirty)
    assert_equal_logits(found[real], expected[real], "other ids under the padding mask")


def check_causality(probe: Probe) -> None:
    """Later decoder inputs leave earlier logits alone, and change those from there on."""
    inputs = batch(probe.model)
    expected, _ = probe.logits_and_attention(inputs)
    for position in (1, 3, 5):
        ids = inputs["decoder_token_ids"].copy()
        ids[:, position:] = (ids[:, position:] + 5) % 12 + 3
        found, _ = probe.logits_and_attention({**inputs, "decoder_token_ids": ids})
        assert_equal_logits(
            found[:, :position], expected[:, :position], f"inputs changed from {position} on"
        )
        changed = np.abs(found[[0, 2], position] - expected[[0, 2], position]).max(-1)
        assert (changed > 1e-4).all(), f"logits at {position} do not see the input there"


def check_source_matters(probe: Probe) -> None:
    """Another source gives other logits at every position."""
    inputs = batch(probe.model)
    expected, _ = probe.logits_and_attention(inputs)
    for position in (0, 1):
        ids = inputs["encoder_token_ids"].copy()
        ids[:, position] = ids[:, position] + 3
        found, _ = probe.logits_and_attention({**inputs, "encoder_token_ids": ids})
        changed = np.abs(found - expected).max(-1)[inputs["decoder_padding_mask"]]
        assert (changed > 1e-6).all(), f"source id {position} does not reach the logits"


def check_attention_attached(probe: Probe) -> None:
    """The encoder's outputs themselves reach the logits, beside any state that is handed over."""
    inputs = batch(probe.model)
    memory = probe.encode(inputs)
    real = inputs["encoder_padding_mask"]
    tokens = np.repeat(inputs["decoder_token_ids"][:, 0], BEAMS)

    def first_logits(values: np.ndarray) -> np.ndarray:
        changed = Memory(ops.convert_to_tensor(values), memory.mask, memory.final_state)
        return probe.step(tokens, probe.start(changed, 4, BEAMS), 0)[0]

    values = to_numpy(memory.values)
    noise = np.random.default_rng(3).normal(size=values.shape).astype("float32")
    expected = first_logits(values)
    found = first_logits(np.where(real[..., None], values + noise, values))
    changed = np.abs(found - expected).max(-1)
    assert (changed > 1e-3).all(), f"the encoder's outputs do not reach the logits: {changed}"
    found = first_logits(np.where(real[..., None], values, values + noise))
    assert_equal_logits(found, expected, "encoder outputs at padding changed")


# --------------------------------------------------------------------------------------
# Generation
# --------------------------------------------------------------------------------------


def likely_plan(probe: Probe, steps: int = 7) -> Plan:
    """A plan whose EOS is an id that this model writes on its own, so that hypotheses end."""
    target = probe.model.special_ids.target
    state = probe.start(probe.encode(batch(probe.model)), 4, BEAMS)
    tokens = np.full((len(SOURCES) * BEAMS,), target.decoder_start, "int32")
    written = []
    for t in range(4):
        logits, state, _ = probe.step(tokens, state, t)
        tokens = logits.argmax(-1).astype("int32")
        written.append(int(tokens[0]))
    late = [token for token in written[1:] if token != written[0]]
    return Plan(target.decoder_start, (late or written)[-1], target.pad, steps)


def check_generation(
    probe: Probe, sampler: Any = None, plan: Plan | None = None, tolerance: float = 1e-5
) -> None:
    """Well-formed hypotheses, scored as the model scores them, whatever the batch."""
    model = probe.model
    sampler = sampler or Beam(3, length_penalty=0.7, num_return_sequences=3)
    plan = plan or likely_plan(probe)
    sources = [SOURCES[0], [*SOURCES[2], *SOURCES[2][:-1], 3]]
    output = model.generator.generate(sources, sampler, plan)
    ids = output.token_ids.reshape(-1, output.token_ids.shape[-1])
    lengths, scores = output.lengths.reshape(-1), output.scores.reshape(-1)
    token_log_probs = output.token_log_probs.reshape(ids.shape)
    check_well_formed(ids, lengths, plan)
    if plan.eos >= 0:
        ended = [int(row[n - 1]) == plan.eos for row, n in zip(ids, lengths, strict=True)]
        assert any(ended), "no hypothesis ended: nothing is shown"

    # The accumulated scores are those of the returned ids: no history was mixed up.
    n = sampler.num_return_sequences
    log_probs, _ = model.generator.score(
        [source for source in sources for _ in range(n)],
        [row[:size].tolist() for row, size in zip(ids, lengths, strict=True)],
    )
    sums = np.asarray([part.sum() for part in log_probs])
    norms = lengths ** getattr(sampler, "length_penalty", 0.0)
    np.testing.assert_allclose(scores, sums / norms, rtol=tolerance, atol=tolerance)
    for row, size, part in zip(token_log_probs, lengths, log_probs, strict=True):
        np.testing.assert_allclose(row[:size], part, rtol=tolerance, atol=tolerance)
        assert not row[size:].any()
    ranked = scores.reshape(len(sources), n)
    assert (np.diff(ranked, axis=1) <= 0).all(), "n-best list is not sorted"

    alone = model.generator.generate(sources[:1], sampler, plan)
    width = alone.token_ids.shape[-1]
    first = output.token_ids[0]
    np.testing.assert_array_equal(first[..., :width], alone.token_ids[0])
    assert (first[..., width:] == plan.pad).all()
    np.testing.assert_allclose(output.scores[0], alone.scores[0], rtol=tolerance, atol=tolerance)


def check_well_formed(ids: np.ndarray, lengths: np.ndarray, plan: Plan) -> None:
    """EOS at most once and last, then PAD alone; nothing longer than the limit."""
    for row, size in zip(ids, lengths, strict=True):
        assert 1 <= size <= plan.steps, f"length {size}"
        assert plan.eos not in row[: size - 1].tolist(), f"goes on after EOS: {row}"
        assert row[size - 1] == plan.eos or size == plan.steps, f"ends without a reason: {row}"
        assert (row[size:] == plan.pad).all(), f"not PAD after the end: {row}"


def check_greedy(probe: Probe) -> None:
    """Each greedy id is the likeliest one, and the end is the end."""
    plan = likely_plan(probe)
    output = probe.model.generator.generate(SOURCES, Greedy(), plan)
    check_well_formed(output.token_ids, output.lengths, plan)
    for source, ids, size in zip(SOURCES, output.token_ids, output.lengths, strict=True):
        history = [plan.decoder_start, *ids[: size - 1].tolist()]
        inputs = model_inputs([source], [history], probe.model.special_ids)
        logits = probe.logits(inputs)[0]
        assert logits.argmax(-1).tolist() == ids[:size].tolist()


# --------------------------------------------------------------------------------------
# Training
# --------------------------------------------------------------------------------------


def check_loss_ignores_padding(model: Seq2SeqLM) -> None:
    """The compiled loss is the mean over real tokens, however long the padding."""
    rng = np.random.default_rng(5)
    lengths, vocabulary = [4, 2, 3], model.preset.architecture.target_vocab_size
    model.compile(optimizer="sgd")
    losses = []
    logits = rng.normal(size=(3, 9, vocabulary)).astype("float32")
    labels = rng.integers(0, vocabulary, (3, 9)).astype("int32")
    for width in (4, 9):
        mask = np.arange(width)[None] < np.asarray(lengths)[:, None]
        x = {"decoder_padding_mask": ops.convert_to_tensor(mask)}
        loss = model.compute_loss(
            x,
            ops.convert_to_tensor(labels[:, :width]),
            ops.convert_to_tensor(logits[:, :width]),
        )
        losses.append(float(to_numpy(loss)))
    norm = np.log(np.exp(logits.astype("float64")).sum(-1))
    each = norm - np.take_along_axis(logits, labels[..., None], -1)[..., 0]
    expected = np.concatenate([row[:n] for row, n in zip(each, lengths, strict=True)]).mean()
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def copy_pairs(count: int = 96, seed: int = 0) -> list[tuple[list[int], list[int]]]:
    """Sources of ids 4..9 with EOS, and themselves as targets."""
    rng = np.random.default_rng(seed)
    rows = [[*rng.integers(4, 10, rng.integers(2, 5)).tolist(), 3] for _ in range(count)]
    return [(row, row) for row in rows]


def copy_batches(model: Seq2SeqLM, **options: Any) -> Batches:
    options = {"batch_size": 16, "num_buckets": 1, **options}
    return Batches(copy_pairs(), special_ids=model.special_ids, **options)


def check_teacher_forcing_alignment(model: Seq2SeqLM) -> None:
    """The decoder reads START and the target but its last id; labels are the target itself."""
    pairs = copy_pairs(12)
    batches = Batches(pairs, special_ids=model.special_ids, batch_size=4, shuffle=False)
    special, seen = model.special_ids, []
    for index in range(len(batches)):
        x, labels, weights = batches[index]
        for row in range(len(labels)):
            size = int(weights[row].sum())
            if not size:
                continue
            target = labels[row, :size].tolist()
            seen.append(target)
            start = special.target.decoder_start
            assert x["decoder_token_ids"][row, :size].tolist() == [start, *target[:-1]]
            assert x["decoder_padding_mask"][row].tolist() == (weights[row] > 0).tolist()
            assert target[-1] == special.target.eos
    assert sorted(seen) == sorted(target for _, target in pairs), "labels are not the targets"


def check_dropout(model: Seq2SeqLM, batches: Batches) -> None:
    """Training steps with the same weights drop anew each time; evaluation drops nothing."""
    rate = float(model.optimizer.learning_rate)
    model.optimizer.learning_rate = 0.0
    first, again = (model.evaluate(batches, verbose=0)[0] for _ in range(2))
    losses = model.fit(batches, epochs=4, verbose=0, shuffle=False).history["loss"]
    model.optimizer.learning_rate = rate
    assert first == again
    layers = model._flatten_layers()
    if any(isinstance(layer, keras.layers.Dropout) and layer.rate for layer in layers):
        assert len({first, *losses}) == 5, f"nothing is dropped, or always the same: {losses}"
    else:
        np.testing.assert_allclose(losses, first, rtol=1e-5)


def check_fit_learns(model: Seq2SeqLM, epochs: int = 3) -> None:
    """A few batches of a copy task lower the loss."""
    model.compile(optimizer=keras.optimizers.Adam(0.02))
    check_dropout(model, copy_batches(model, shuffle=False))
    history = model.fit(copy_batches(model), epochs=epochs, verbose=0, shuffle=False).history
    losses = history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.93 * losses[0], f"the loss does not fall: {losses}"


__all__ = [name for name in dir() if name.startswith("check_")] + [
    "SOURCES",
    "attends",
    "batch",
    "copy_batches",
    "copy_pairs",
    "likely_plan",
    "source_mapping",
]
