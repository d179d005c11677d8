"""Marian's `.bin`: float and int8 files, headers that were broken by hand, and files cut off."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from checkpoints.marian_files import SSRU, pack_bin, random_model, write_npz

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.marian_bin_file import MarianBinFile, is_marian_bin
from keras_s2s.config import ConfigError
from keras_s2s.model import Seq2SeqLM

SSRU_OPTIONS = {key.replace("-", "_"): value for key, value in SSRU.items()}


def test_floats_are_those_of_the_npz(tmp_path):
    tensors, settings = random_model(**SSRU_OPTIONS)
    path = tmp_path / "m.bin"
    path.write_bytes(pack_bin(tensors, settings)[0])
    assert is_marian_bin(path)
    file = MarianBinFile(path)
    assert set(file.specs) == {*tensors, "special:model.yml"}
    for name, array in tensors.items():
        np.testing.assert_array_equal(file.read(name), array)
    file.close()
    twin = Seq2SeqLM.from_preset(write_npz(tmp_path / "m.npz", tensors, settings))
    model = Seq2SeqLM.from_preset(path)
    args = [[5, 9, 0]], [[4, 8, 0]]
    assert model.score(*args) == pytest.approx(twin.score(*args), abs=1e-6)


@pytest.mark.parametrize(("kind", "table"), [(0x10001, False), (0x4101, True), (0x4101, False)])
def test_int8_is_multiplied_back(kind, table, tmp_path):
    tensors, settings = random_model(**SSRU_OPTIONS)
    path = tmp_path / "m.bin"
    path.write_bytes(pack_bin(tensors, settings, kind, table)[0])
    file, quantised = MarianBinFile(path), 0
    for name, array in tensors.items():
        found = file.read(name)
        assert found.shape == array.shape and found.dtype == np.float32
        step = np.abs(array).max() / 127
        quantised += not np.array_equal(found, array)
        np.testing.assert_allclose(found, array, atol=0.51 * step)
    assert quantised >= 20
    file.close()
    Seq2SeqLM.from_preset(path)


def test_multipliers_of_activations_are_no_weights(tmp_path):
    tensors, settings = random_model()
    tensors["encoder_l1_self_Wq_QuantMultA"] = np.ones((1, 1), np.float32)
    path = tmp_path / "m.bin"
    path.write_bytes(pack_bin(tensors, settings, 0x4101)[0])
    report = Seq2SeqLM.from_preset(path).load_report
    assert report.unused == ("encoder_l1_self_Wq_QuantMultA",)


CHANGES = {
    "version": ("version", "<Q", 2, "begins with 2, expected 1"),
    "count": ("count", "<Q", 2**40, "tensors do not fit into the file"),
    "long name": ("headers", "<Q", 2**50, "the name of tensor 0"),
    "empty name": ("headers", "<Q", 0, "is no name of a tensor"),
    "unknown type": (("headers", 8), "<Q", 0x1801, "has the type 0x1801, which is not read"),
    "many axes": (("headers", 16), "<Q", 2**60, "axes"),
    "much data": (("headers", 24), "<Q", 2**62, "go beyond the file's"),
    "little data": (("headers", 24), "<Q", 4, "bytes of data, not"),
    "large axis": ("shapes", "<i", 2**30, "bytes of data, not"),
    "negative axis": ("shapes", "<i", -5, "has the shape"),
    "long padding": ("padding", "<Q", 2**63, "go beyond the file's"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_headers_that_lie_are_refused(change, tmp_path):
    place, form, value, message = CHANGES[change]
    content, places = pack_bin(*random_model())
    offset = places[place] if isinstance(place, str) else places[place[0]] + place[1]
    broken = bytearray(content)
    struct.pack_into(form, broken, offset, value)
    path = tmp_path / "m.bin"
    path.write_bytes(broken)
    with pytest.raises(CheckpointError, match=message) as caught:
        MarianBinFile(path)
    assert str(path) in str(caught.value)


def test_a_multiplier_of_zero_is_refused(tmp_path):
    tensors, settings = random_model()
    tensors["encoder_l1_ffn_W1"] = np.full((8, 12), np.inf, np.float32)
    path = tmp_path / "m.bin"
    with np.errstate(all="ignore"):
        path.write_bytes(pack_bin(tensors, settings, 0x10001)[0])
    with pytest.raises(CheckpointError, match=r"the multiplier of encoder_l1_ffn_W1 is 0\.0"):
        Seq2SeqLM.from_preset(path)


@pytest.mark.parametrize("kind", [None, 0x4101])
def test_files_cut_off_or_changed_anywhere_are_refused_or_load(kind, tmp_path):
    """No read past the end, no array larger than the file, and no other error than ours."""
    content, places = pack_bin(*random_model(**SSRU_OPTIONS), kind)
    draw, path, refused = np.random.default_rng(0), tmp_path / "m.bin", 0
    for round_ in range(300):
        broken = bytearray(content)
        if round_ % 3 == 0:
            broken = broken[: draw.integers(len(broken))]
        else:
            for _ in range(draw.integers(1, 4)):
                offset = int(draw.integers(places["data"]))
                broken[offset] = int(draw.integers(256))
        path.write_bytes(broken)
        try:
            file = MarianBinFile(path)
        except (CheckpointError, ConfigError):
            refused += 1
            continue
        for name, spec in file.specs.items():
            assert spec.nbytes <= 4 * len(broken)
            try:
                assert file.read(name).shape == spec.shape
            except CheckpointError:
                refused += 1
        file.close()
    assert refused > 100
