"""Faults planted one at a time: each is found by a check that every model runs through.

First the check passes, then the fault is planted and the same check must fail.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from contracts import checks
from keras import ops
from small_models import Probe, covered, make_model, shrunken_preset, slow_where_compiled

from keras_s2s.data import DataError
from keras_s2s.data import batches as batches_module
from keras_s2s.data.teacher_forcing import teacher_forcing
from keras_s2s.layers.recurrent.attention import Attention
from keras_s2s.layers.transformer import decoder as transformer_decoder
from keras_s2s.layers.transformer.multi_head_attention import MultiHeadAttention
from keras_s2s.network import Network
from keras_s2s.samplers import Beam, Greedy, Plan


def fresh(name: str) -> Probe:
    return Probe(make_model(shrunken_preset(name), seed=1))


def found(check: Callable[[Any], None], subject: Any) -> None:
    with pytest.raises(AssertionError):
        check(subject)


def test_causal_mask_off(monkeypatch):
    checks.check_causality(fresh("transformer_tiny"))

    def open_mask(length):
        return ops.ones((1, 1, length, length), dtype="bool")

    monkeypatch.setattr(transformer_decoder, "causal_mask", open_mask)
    found(checks.check_causality, fresh("transformer_tiny"))
    found(checks.check_step_by_step, fresh("transformer_tiny"))


@slow_where_compiled
def test_cross_attention_detached_in_a_transformer(monkeypatch):
    attend = MultiHeadAttention.attend

    def detached(self, *args, **kwargs):
        output, weights = attend(self, *args, **kwargs)
        return (ops.zeros_like(output) if self.name == "cross_attention" else output), weights

    monkeypatch.setattr(MultiHeadAttention, "attend", detached)
    found(checks.check_attention_attached, fresh("transformer_tiny"))
    found(checks.check_source_matters, fresh("transformer_tiny"))


@pytest.mark.parametrize("name", covered(["gru_bahdanau", "lstm_luong_general"], ["gru_bahdanau"]))
def test_attention_detached_from_a_recurrent_decoder(monkeypatch, name):
    call = Attention.call

    def detached(self, *args, **kwargs):
        context, weights = call(self, *args, **kwargs)
        return ops.zeros_like(context), weights

    monkeypatch.setattr(Attention, "call", detached)
    found(checks.check_attention_attached, fresh(name))


BEAM, GREEDY = Beam(3, length_penalty=0.7, num_return_sequences=3), Greedy()


@pytest.mark.parametrize("sampler", covered([BEAM, GREEDY], [BEAM]))
def test_expansion_past_eos(monkeypatch, sampler):
    probe = fresh("gru_bahdanau")
    checks.check_generation(probe, sampler)
    advance = type(sampler).advance

    def endless(self, search, logits, index, plan, sources):
        return advance(
            self, search, logits, index, dataclasses.replace(plan, eos=-1, ends=(-1,)), sources
        )

    monkeypatch.setattr(type(sampler), "advance", endless)
    probe.model._generator = None
    found(lambda probe: checks.check_generation(probe, sampler), probe)


@pytest.mark.parametrize("name", covered(["gru_bahdanau", "transformer_tiny"], ["gru_bahdanau"]))
def test_beam_reorder_left_out(monkeypatch, name):
    reorder = Network.reorder

    def forgetful(self, state, parents):
        rows = keras.tree.flatten(state.beam)[0].shape[0]
        return state if rows == parents.shape[0] else reorder(self, state, parents)

    monkeypatch.setattr(Network, "reorder", forgetful)
    found(checks.check_reorder, fresh(name))


@slow_where_compiled
def test_beam_search_without_reorder(monkeypatch):
    def check(probe: Probe) -> None:
        checks.check_generation(probe, plan=Plan(2, eos=-1, pad=0, steps=7))

    probe = fresh("gru_bahdanau")
    check(probe)
    advance = Beam.advance

    def forgetful(self, search, logits, index, plan, sources):
        step = advance(self, search, logits, index, plan, sources)
        return step._replace(parents=None)

    monkeypatch.setattr(Beam, "advance", forgetful)
    probe.model._generator = None
    found(check, probe)


@slow_where_compiled
def test_source_part_repeated_for_each_beam(monkeypatch):
    start = Probe.start

    def repeated(self, memory, capacity, beams):
        state = start(self, memory, capacity, beams)
        return state._replace(
            source=keras.tree.map_structure(
                lambda leaf: ops.repeat(leaf, beams, axis=0), state.source
            )
        )

    monkeypatch.setattr(Probe, "start", repeated)
    found(checks.check_step_by_step, fresh("lstm_luong_dot"))


def test_labels_shifted_twice(monkeypatch):
    model = fresh("gru_bahdanau").model
    checks.check_teacher_forcing_alignment(model)

    def twice(target_ids, decoder_start, pad, length):
        begun = [[decoder_start, *ids[:-1]] if len(ids) else ids for ids in target_ids]
        return teacher_forcing(begun, decoder_start, pad, length)

    monkeypatch.setattr(batches_module, "teacher_forcing", twice)
    with pytest.raises(DataError, match="shifted"):  # Refused where batches are made ...
        checks.check_teacher_forcing_alignment(model)
    monkeypatch.setattr(batches_module, "check_teacher_forcing", lambda *args: None)
    found(checks.check_teacher_forcing_alignment, model)  # ... and seen in what they hold.


def test_labels_not_shifted(monkeypatch):
    model = fresh("gru_bahdanau").model

    def unshifted(*args):
        _, labels, weights = teacher_forcing(*args)
        return labels, labels, weights

    monkeypatch.setattr(batches_module, "teacher_forcing", unshifted)
    with pytest.raises(DataError, match="not shifted"):
        checks.check_teacher_forcing_alignment(model)


def test_fit_refuses_arrays_shifted_twice():
    model = fresh("gru_bahdanau").model
    rng = np.random.default_rng(0)
    decoder_ids = rng.integers(4, 16, (8, 9)).astype("int32")
    decoder_ids[:, 0] = 2
    ones = np.ones((8, 7), bool)
    x = {
        "encoder_token_ids": decoder_ids[:, :7],
        "encoder_padding_mask": ones,
        "decoder_token_ids": decoder_ids[:, :7],
        "decoder_padding_mask": ones,
    }
    with pytest.raises(DataError, match="shifted twice"):
        model.fit(x, decoder_ids[:, 2:9], verbose=0)
    with pytest.raises(DataError, match="not shifted"):
        model.fit(x, decoder_ids[:, :7], verbose=0)


def test_loss_averaged_over_padding(monkeypatch):
    model = fresh("lstm_seq2seq").model
    checks.check_loss_ignores_padding(model)
    over_all = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    monkeypatch.setattr("keras_s2s.training.compiling.as_token_loss", lambda loss: over_all)
    found(checks.check_loss_ignores_padding, model)


@slow_where_compiled
def test_padding_mask_off(monkeypatch):
    from keras_s2s.layers.kernels import operations as kernels

    softmax = kernels.masked_softmax

    def unmasked(scores, mask):
        return softmax(scores, None)

    monkeypatch.setattr(kernels, "masked_softmax", unmasked)
    found(checks.check_padding_invariance, fresh("transformer_base"))
    found(checks.check_neighbours, fresh("transformer_base"))
