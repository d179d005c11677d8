"""Tokenizers of Hugging Face folders that run in the `tokenizers` library."""

from __future__ import annotations

import functools
import json
import re
from typing import Any, Literal

from keras_s2s.config import ConfigError, SamplingConfig
from keras_s2s.text.bpe_dropout import BpeDropout
from keras_s2s.text.pretrained.base import PretrainedTokenizer, tidy_spaces
from keras_s2s.text.pretrained.pipelines.language_model_pipelines import unused_options
from keras_s2s.text.pretrained.pipelines.pipeline_builders import build_pipeline, template_of
from keras_s2s.text.pretrained.tokenizer_files import TokenizerFiles
from keras_s2s.text.stable_prefix import HALF, settled_spaces


class PipelineTokenizer(PretrainedTokenizer):
    """A tokenizer that runs a pipeline of the `tokenizers` library: T5, BART, mBART, NLLB and
    others.

    Args:
        files: the tokenizer files.
        class_name: one of `pipelines.BUILDERS`.
        size: ids of the model.

    Raises:
        FileNotFoundError: a file is missing.
        ConfigError: a file cannot be read.
    """

    kind = "huggingface_pipeline"

    def __init__(self, files: TokenizerFiles, class_name: str, size: int | None = None) -> None:
        super().__init__(files, class_name, size)
        built = build_pipeline(class_name, files)
        self.pipeline = built.pipeline
        self._named = built.named
        vocabulary = self.pipeline.get_vocab()
        special = self.pipeline.get_added_tokens_decoder()
        self._known = 1 + max(vocabulary.values(), default=-1)
        plain = set(vocabulary.values()).difference(special)
        self._plain_size = 1 + max(plain, default=-1)
        options = files.config()
        tidy = bool(options.get("clean_up_tokenization_spaces", False))
        # Made for WordPiece; byte-pair merges keep their own spaces.
        forced = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"
        if type(self.pipeline.model).__name__ == "BPE" and not options.get(forced, False):
            tidy = False
        #: Whether decoded texts lose the spaces before English punctuation.
        self.tidies = tidy
        self._special = {i for i, token in special.items() if token.special}
        self._decoders = _decoders(json.loads(self.pipeline.to_str())["decoder"])

    @property
    def known(self) -> int:
        """One more than the greatest id of the pipeline."""
        return self._known

    @property
    def plain_size(self) -> int:
        """One more than the greatest id that is not a special token's."""
        return self._plain_size

    @property
    def template(self) -> tuple[list[int], list[int]]:
        """Ids that the pipeline's template puts before and after a text."""
        return template_of(self.pipeline)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the files say and the pipeline does not do, since transformers 5 does not do it."""
        return tuple(unused_options(self.class_name, self.files))

    def named_token(self, name: str) -> str | None:
        """Returns the text of `eos_token` or another named token, or `None`."""
        return self._named.get(name)

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a vocabulary entry or special token, or `None`."""
        return self.pipeline.token_to_id(token)

    def _encode(self, text: str) -> list[int]:
        return self.pipeline.encode(text, add_special_tokens=False).ids

    def _encode_batch(self, texts: list[str]) -> list[list[int]]:
        encodings = self.pipeline.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    @property
    def sampling_method(self) -> Literal["dropout"] | None:
        """BPE dropout where the model is BPE."""
        return "dropout" if type(self.pipeline.model).__name__ == "BPE" else None

    def check_sampling(self, config: SamplingConfig) -> None:
        """Checks that segmentations can be drawn as a configuration says.

        Raises:
            ConfigError: not by this model.
        """
        model = type(self.pipeline.model).__name__
        if model == "Unigram":
            raise ConfigError(
                f"{config.method}: the {self.kind} tokenizer of class {self.class_name} runs its "
                "unigram model in the tokenizers library, whose draws cannot be seeded, so that "
                "no run could be repeated; leave it out"
            )
        super().check_sampling(config)

    @functools.cached_property
    def _sampler(self) -> BpeDropout:
        return BpeDropout(self.pipeline)

    def _sample_batch(self, texts: list[str], config: SamplingConfig, seed: int) -> list[list[int]]:
        assert config.dropout is not None
        return self._sampler.encode_batch(texts, config.dropout, seed)

    def _decode(self, ids: list[int]) -> str:
        text = self.pipeline.decode(ids, skip_special_tokens=True)
        return tidy_spaces(text) if self.tidies else text

    def _settled(self, ids: list[int]) -> str:
        if self._decoders is None:
            return ""
        if "ByteFallback" in self._decoders:
            # A run of bytes is a text, or else as many signs of half a character.
            ids = [i for i in ids if i not in self._special]
            while ids and _BYTE.fullmatch(self.pipeline.id_to_token(ids[-1]) or ""):
                ids.pop()
        text = self.pipeline.decode(ids, skip_special_tokens=True).rstrip(HALF)
        return settled_spaces(text, tidy_spaces) if self.tidies else text

    def _token(self, i: int) -> str:
        token = self.pipeline.id_to_token(i)
        # Models round their vocabularies up; such an id has no token.
        return f"<id {i}>" if token is None else token


_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


def _decoders(decoder: dict[str, Any] | None) -> set[str] | None:
    """Returns the parts of a decoder whose text only grows with more ids; None where it may not.

    Args:
        decoder: as `tokenizer.json` has it; None puts a space between any two tokens.
    """
    if decoder is None:
        return set()
    name = str(decoder.get("type"))
    if name == "Sequence":
        parts = [_decoders(part) for part in decoder.get("decoders", [])]
        known = [part for part in parts if part is not None]
        return set().union(*known) if len(known) == len(parts) else None
    grows = name in ("Metaspace", "ByteLevel", "WordPiece", "BPEDecoder", "Fuse", "ByteFallback")
    if name == "Replace":
        # More than a character might be completed by what follows.
        grows = len(str(decoder.get("pattern", {}).get("String", ""))) == 1
    elif name == "Strip":
        grows = not decoder.get("stop")
    return {name} if grows else None
