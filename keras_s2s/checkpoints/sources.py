"""Opens what `from_preset` is given: finds out its kind, and reads configuration, tokenizers and
weights.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_s2s import catalog
from keras_s2s.checkpoints import preset_folder
from keras_s2s.checkpoints.ctranslate2.model_file import FILE_NAME
from keras_s2s.checkpoints.ctranslate2.reader import is_ctranslate2_folder, read_ctranslate2_folder
from keras_s2s.checkpoints.ctranslate2.vocabulary import TokenizerChoice
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.marian_bin_file import is_marian_bin
from keras_s2s.checkpoints.huggingface.hub import fetch_folder
from keras_s2s.checkpoints.huggingface.reader import HuggingFaceFolder, is_huggingface_folder
from keras_s2s.checkpoints.kerashub.reader import KerasHubFolder
from keras_s2s.checkpoints.kerashub.serialized import is_kerashub_folder, is_kerashub_object
from keras_s2s.checkpoints.load_report import LoadReport
from keras_s2s.checkpoints.marian.model_files import is_marian_model
from keras_s2s.checkpoints.marian.reader import MarianModel
from keras_s2s.checkpoints.model_source import Source, check_source
from keras_s2s.checkpoints.torch_rnn.description import is_torch_rnn_folder
from keras_s2s.checkpoints.torch_rnn.reader import TorchRNNFolder
from keras_s2s.checkpoints.warm_start import is_encoder_decoder_folder, open_encoder_decoder
from keras_s2s.config import PointerConfig, PresetConfig, merge, read_config
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers
from keras_s2s.text.pretrained.missing_files import missing_tokenizer

HUB = "hf://"


class Architecture(Source):
    """A preset of the zoo without trained weights."""

    adopts = True

    def __init__(self, name: str, config: PresetConfig) -> None:
        self.name = name
        self.config = config

    def load(self, variables: Sequence[Any], *, strict: bool) -> LoadReport | None:
        warnings.warn(
            f"{self.name} is an architecture without trained weights; every weight starts at "
            "random. Pass load_weights=False if that is intended.",
            stacklevel=4,
        )
        return None


class PresetFolder(Source):
    """A folder that `save_to_preset` wrote."""

    def __init__(self, path: Path, *, with_text: bool) -> None:
        self.name = str(path)
        self.path = path
        self.config = preset_folder.load_config(path)
        if with_text:
            self.preprocessor = preset_folder.load_preprocessor(path, self.config)

    def check(self, *, strict: bool) -> None:
        preset_folder.check_sizes(self.path, self.config)

    def load(self, variables: Sequence[Any], *, strict: bool) -> LoadReport | None:
        dtypes = preset_folder.load_weights(self.path, variables)
        adapters = self.config.adapters
        if not adapters:
            return None
        self.notes = [
            *self.notes,
            "all weights but the LoRA adapters are frozen; model.unfreeze() trains them",
        ]
        tensors = {
            "files": (preset_folder.WEIGHTS_FILE,),
            "loaded": tuple(variable.path for variable in variables),
            "dtypes": dtypes,
            "adapters": tuple(f"{path} (rank {each.rank})" for path, each in adapters.items()),
        }
        return self.report(family_in(self.config), variables, tensors)


class HuggingFace(Source):
    """A Hugging Face folder."""

    def __init__(self, name: str, path: Path, *, with_weights: bool, with_text: bool) -> None:
        self.name = name
        self.folder = HuggingFaceFolder(path, with_weights=with_weights)
        self.config = self.folder.preset
        self.notes = list(self.folder.notes)
        if with_text:
            try:
                self._read_text()
            except BaseException:
                self.close()
                raise

    def _read_text(self) -> None:
        """Reads the folder's tokenizers, and the ids that they put around a text."""
        architecture = self.config.architecture
        tokenizers = load_pretrained_tokenizers(
            self.folder.path,
            self.folder.config.get("model_type"),
            config_class=self.folder.config.get("tokenizer_class"),
            source_size=architecture.source_vocab_size,
            target_size=architecture.target_vocab_size,
        )
        if tokenizers is None:
            config = self.folder.config
            missing = missing_tokenizer(
                self.folder.path, config.get("model_type"), config.get("tokenizer_class")
            )
            self.notes = [*self.notes, *missing]
            return
        source, target = tokenizers.source, tokenizers.target
        self.notes = list(dict.fromkeys([*self.notes, *source.notes, *target.notes]))
        ids = {
            "source": {"bos": tokenizers.bos, "eos": tokenizers.eos, "unk": source.unk_id},
            "target": {"bos": tokenizers.bos, "unk": target.unk_id},
            "languages": tokenizers.languages and tokenizers.languages.model_dump(),
        }
        data = merge(self.config.model_dump(), {"special_ids": ids})
        self.config = read_config(PresetConfig, data, origin=self.folder.config_path)
        self.preprocessor = tokenizers.preprocessor(self.config.special_ids)

    def check(self, *, strict: bool) -> None:
        self.folder.check(strict=strict)

    def load(self, variables: Sequence[Any], *, strict: bool) -> LoadReport | None:
        tensors = self.folder.load(variables, strict=strict)
        return self.report(self.folder.family, variables, tensors)

    def close(self) -> None:
        self.folder.close()


class KerasHub(Source):
    """A folder that `save_to_preset` of KerasHub wrote, or one of its models.

    Args:
        name: in messages.
        path: the folder.
        with_weights: False leaves the weights alone.
        with_text: False leaves the tokenizer alone.
        temporary: a folder to remove at the end.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        with_weights: bool,
        with_text: bool,
        temporary: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        self.name = name
        self._temporary = temporary
        self.folder = KerasHubFolder(path, with_weights=with_weights, with_text=with_text)
        self.config = self.folder.preset
        self.preprocessor = self.folder.preprocessor
        self.notes = list(self.folder.notes)

    @classmethod
    def from_object(cls, model: Any, *, with_weights: bool, with_text: bool) -> KerasHub:
        """Opens a backbone or a task of KerasHub, through a folder that it writes."""
        temporary = tempfile.TemporaryDirectory(prefix="keras_hub_")
        try:
            model.save_to_preset(temporary.name)
            return cls(
                f"keras_hub.{type(model).__name__}",
                Path(temporary.name),
                with_weights=with_weights,
                with_text=with_text,
                temporary=temporary,
            )
        except BaseException:
            temporary.cleanup()
            raise

    def check(self, *, strict: bool) -> None:
        self.folder.check(strict=strict)

    def load(self, variables: Sequence[Any], *, strict: bool) -> LoadReport | None:
        tensors = self.folder.load(variables, strict=strict)
        return self.report(self.folder.family, variables, tensors)

    def close(self) -> None:
        self.folder.close()
        if self._temporary is not None:
            self._temporary.cleanup()


class CTranslate2(Source):
    """A CTranslate2 folder."""

    def __init__(
        self, path: Path, *, tokenizer: TokenizerChoice, decoder_start_token: str | None
    ) -> None:
        self.name = str(path)
        self.model = read_ctranslate2_folder(path, tokenizer, decoder_start_token)
        self.config = self.model.config
        self.preprocessor = self.model.preprocessor

    def load(self, variables: Sequence[Any], *, strict: bool) -> LoadReport | None:
        tensors = self.model.weights.assign(variables)
        self.notes = [*self.notes, "dropout is no part of such a folder: all rates are 0"]
        return self.report(family_in(self.config), variables, tensors)


class TorchRNN(Source):
    """A folder with the state dict of a recurrent model from PyTorch."""

    def __init__(self, path: Path, *, with_text: bool) -> None:
        self.name = str(path)
        self.folder = TorchRNNFolder(path)
        self.config = self.folder.preset
        self.notes = list(self.folder.notes)
        if with_text:
            try:
                self.preprocessor = preset_folder.load_preprocessor(path, self.config)
            except BaseException:
                self.close()
                raise

    def check(self, *, strict: bool) -> None:
        self.folder.check(strict=strict)

    def load(self, variables: Sequence[Any], *, strict: bool) -> LoadReport | None:
        tensors = self.folder.load(variables, strict=strict)
        return self.report(family_in(self.config), variables, tensors)

    def close(self) -> None:
        self.folder.close()


class Marian(Source):
    """A model in Marian's own files."""

    def __init__(self, path: Path, *, with_text: bool) -> None:
        self.name = str(path)
        self.model = MarianModel(path, with_text=with_text)
        self.config = self.model.preset
        self.preprocessor = self.model.preprocessor
        self.shortlist = self.model.shortlist
        self.notes = list(self.model.notes)

    def check(self, *, strict: bool) -> None:
        self.model.check()

    def load(self, variables: Sequence[Any], *, strict: bool) -> LoadReport | None:
        tensors = self.model.load(variables, strict=strict)
        return self.report(self.model.family, variables, tensors)

    def close(self) -> None:
        self.model.close()


def open_source(
    source: Any,
    *,
    with_weights: bool = True,
    with_text: bool = True,
    tokenizer: TokenizerChoice = None,
    decoder_start_token: str | None = None,
) -> Source:
    """Opens a model source, and reads everything but its weights.

    Args:
        source: a zoo entry's name; a folder that `save_to_preset` wrote, a Hugging Face folder,
            the name of one on the hub, `hf://organisation/name`; a CTranslate2 folder, a KerasHub
            folder, or a backbone or task of KerasHub itself; one with the state dict of a
            recurrent model from PyTorch and its `torch_rnn.yaml`; a model of Marian: `.npz`,
            `.bin`, `.decoder.yml`, or the folder of one.
        with_weights: False leaves the weights' files alone, which may then be missing.
        with_text: False leaves the tokenizers' files alone.
        tokenizer, decoder_start_token: of a CTranslate2 folder; see `read_ctranslate2_folder`.

    Raises:
        ConfigError: an unknown name, or a broken configuration.
        CheckpointError: a folder that cannot be read.
        ValueError: an option of another kind of folder.
    """
    own = {"tokenizer": tokenizer, "decoder_start_token": decoder_start_token}
    if is_kerashub_object(source):
        _refuse_ctranslate2_options(own, type(source).__name__)
        return KerasHub.from_object(source, with_weights=with_weights, with_text=with_text)
    check_source(source, "source")
    written, pointer = str(source), None
    if written.startswith(HUB):
        path, name = fetch_folder(written, with_weights=with_weights), written
    elif not _can_be_there(written):
        raise catalog.no_such_model(source)
    elif Path(source).is_dir():
        path, name = Path(source), written
    elif is_marian_model(Path(source)):
        _refuse_ctranslate2_options(own, written)
        return Marian(Path(source), with_text=with_text)
    elif not catalog.is_entry(source):
        raise catalog.no_such_model(source)
    elif not with_weights:
        _refuse_ctranslate2_options(own, written)
        return Architecture(written, catalog.load_preset(source))
    else:
        pointer = catalog.load_entry(source)
        if pointer.source is None:
            assert isinstance(pointer, PresetConfig)
            _refuse_ctranslate2_options(own, written)
            return Architecture(written, pointer)
        path, name = fetch_folder(pointer.source), f"{written} ({pointer.source})"
    found = _open_folder(path, name, with_weights, with_text, own)
    if pointer is not None:
        found.notes = [*found.notes, *disagreements(pointer, found.config)]
    return found


def _can_be_there(path: str) -> bool:
    """Returns whether the system can tell what a path is: it is not too long, nor kept secret."""
    try:
        Path(path).is_dir()
    except OSError:
        return False
    return True


def _open_folder(
    path: Path, name: str, with_weights: bool, with_text: bool, own: Mapping[str, Any]
) -> Source:
    """Opens a folder, whose kind its files tell."""
    is_ours = preset_folder.is_preset_folder(path)
    is_pair = not is_ours and is_encoder_decoder_folder(path)
    is_huggingface = not is_ours and is_huggingface_folder(path)
    is_kerashub = not is_ours and is_kerashub_folder(path)
    if not (is_ours or is_pair or is_huggingface) and is_ctranslate2_folder(path):
        if is_marian_bin(path / FILE_NAME):
            _refuse_ctranslate2_options(own, name)
            return Marian(path, with_text=with_text)
        return CTranslate2(path, **own)
    _refuse_ctranslate2_options(own, name)
    if is_ours:
        return PresetFolder(path, with_text=with_text)
    if is_kerashub:
        return KerasHub(name, path, with_weights=with_weights, with_text=with_text)
    if is_pair:
        return open_encoder_decoder(name, path, with_weights=with_weights, with_text=with_text)
    if is_huggingface:
        return HuggingFace(name, path, with_weights=with_weights, with_text=with_text)
    if is_torch_rnn_folder(path):
        return TorchRNN(path, with_text=with_text)
    if is_marian_model(path):
        return Marian(path, with_text=with_text)
    raise preset_folder.not_a_preset_folder(path)


def family_in(config: PresetConfig) -> str:
    """Returns the family of a configuration; the kind of its encoder where it has none."""
    return config.family or config.architecture.encoder.type


def _refuse_ctranslate2_options(own: Mapping[str, Any], name: str) -> None:
    for option, value in own.items():
        if value is not None:
            raise ValueError(f"{option}={value!r} is for CTranslate2 folders; {name} is none")


def disagreements(pointer: PresetConfig | PointerConfig, folder: PresetConfig) -> list[str]:
    """Returns where a zoo entry and the folder it points to differ; the folder wins.

    Only what the entry states is compared, not what it leaves to defaults.
    """
    notes: list[str] = []

    def compare(mine: Any, theirs: Any, path: str) -> None:
        if isinstance(mine, dict) and isinstance(theirs, dict):
            for key in mine:
                compare(mine[key], theirs.get(key), f"{path}.{key}")
        elif mine != theirs:
            notes.append(f"{path} is {theirs!r} in the folder, {mine!r} in the zoo")

    for part in ("architecture", "special_ids", "generation"):
        if (stated := getattr(pointer, part, None)) is not None:
            compare(stated.model_dump(exclude_unset=True), getattr(folder, part).model_dump(), part)
    return notes


__all__ = ["CheckpointError", "Source", "open_source"]
