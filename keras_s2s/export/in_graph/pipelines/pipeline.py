"""Tokenizers that run a pipeline of the `tokenizers` library, in TensorFlow ops."""

from __future__ import annotations

import json
from typing import Any

from keras_s2s.export.in_graph.base import InGraphTokenizer
from keras_s2s.export.in_graph.pipelines.decoders import DECODERS, byte_level_bytes, decoder
from keras_s2s.export.in_graph.pipelines.normalizers import NORMALIZERS, normalizer
from keras_s2s.export.in_graph.pipelines.parts import Settings, check_part, flat
from keras_s2s.export.in_graph.pipelines.pipeline_models import MODEL_CLASSES, MODELS
from keras_s2s.export.in_graph.pipelines.pre_tokenizers import (
    PRE_TOKENIZERS,
    is_byte_level,
    pre_tokenizer,
)
from keras_s2s.export.in_graph.special_tokens import Found, SpecialTokens, check_single_word
from keras_s2s.export.in_graph.tables import Surfaces, without
from keras_s2s.export.in_graph.text_ops import merge_rows, tidy_spaces, valid_utf8
from keras_s2s.text.pretrained.pipelines.pipeline_tokenizer import PipelineTokenizer
from keras_s2s.text.special_tokens import UNKNOWN_SURFACE
from keras_s2s.text.trained.byte_level_bpe import ByteLevelBPETokenizer
from keras_s2s.text.trained.tokenizers_library import HuggingFaceTokenizer
from keras_s2s.text.trained.wordpiece import (
    CONTINUATION,
    WordPieceTokenizer,
    detokenization_rules,
)


class _Pipeline(InGraphTokenizer):
    """Encodes as a pipeline does: special tokens, normaliser, pre-tokenizer, model."""

    def __init__(self, tokenizer: HuggingFaceTokenizer | PipelineTokenizer) -> None:
        super().__init__(tokenizer)
        pipeline = _description(tokenizer)
        self._normalize = normalizer(pipeline["normalizer"])
        self._pre_tokenize = pre_tokenizer(pipeline["pre_tokenizer"])
        model = pipeline["model"]
        self._model = MODEL_CLASSES[model["type"]](
            model, byte_level=is_byte_level(pipeline["pre_tokenizer"])
        )
        added = pipeline["added_tokens"]
        if tokenizer.pipeline.encode_special_tokens:
            added = [token for token in added if not token["special"]]
        # Those of the second list are looked for in normalised text.
        self._raw = SpecialTokens([_found(t) for t in added if not t["normalized"]])
        self._normalized = SpecialTokens(
            [_found(t, tokenizer.pipeline.normalizer) for t in added if t["normalized"]]
        )
        self.resources = [
            *self._model.resources,
            *self._raw.resources,
            *self._normalized.resources,
        ]

    @staticmethod
    def check(tokenizer: HuggingFaceTokenizer | PipelineTokenizer) -> None:
        pipeline, kind = _description(tokenizer), tokenizer.kind
        for role, known in (
            ("normalizer", NORMALIZERS),
            ("pre_tokenizer", PRE_TOKENIZERS),
            ("model", MODELS),
            ("decoder", DECODERS),
        ):
            check_part(kind, role.replace("_", "-"), pipeline[role], known)
        for token in pipeline["added_tokens"]:
            check_single_word(kind, token["content"], token["single_word"])

    @staticmethod
    def needs_tensorflow_text(tokenizer: HuggingFaceTokenizer | PipelineTokenizer) -> bool:
        pipeline = _description(tokenizer)
        forms = ("NFC", "NFD", "NFKC", "NFKD")
        return pipeline["model"]["type"] in ("WordPiece", "Unigram") or any(
            part["type"] in forms for part in flat(pipeline["normalizer"])
        )

    def encode(self, texts: Any) -> Any:
        return self._raw.encode(texts, self._encode_raw)

    def _encode_raw(self, texts: Any, begins: Any) -> Any:
        return self._normalized.encode(self._normalize(texts), self._encode_normalized)

    def _encode_normalized(self, texts: Any, begins: Any) -> Any:
        words = self._pre_tokenize(texts)
        return merge_rows(words, self._model(words.flat_values))


def _description(tokenizer: Any) -> dict[str, Any]:
    return json.loads(tokenizer.pipeline.to_str())


def _found(token: Settings, normalizer: Any = None) -> Found:
    content = token["content"]
    if normalizer is not None:
        content = normalizer.normalize_str(content)
    return Found(content, token["id"], token["lstrip"], token["rstrip"])


class InGraphPipelineTokenizer(_Pipeline):
    """`PipelineTokenizer` in TensorFlow ops."""

    def __init__(self, tokenizer: PipelineTokenizer) -> None:
        super().__init__(tokenizer)
        pipeline = _description(tokenizer)
        special = {token["id"] for token in pipeline["added_tokens"] if token["special"]}
        tokens = [
            None if i in special else tokenizer.pipeline.id_to_token(i)
            for i in range(tokenizer.vocabulary_size)
        ]
        self._kept = [token is not None for token in tokens]
        self._decode = decoder(pipeline["decoder"], [token or "" for token in tokens])
        self._tidy = tokenizer.tidies

    def decode(self, ids: Any) -> Any:
        texts = self._decode(without(ids, self._kept))
        return tidy_spaces(texts) if self._tidy else texts


class InGraphByteLevelBPETokenizer(_Pipeline):
    """`ByteLevelBPETokenizer` in TensorFlow ops."""

    def __init__(self, tokenizer: ByteLevelBPETokenizer) -> None:
        super().__init__(tokenizer)
        tokens = map(tokenizer.id_to_token, range(tokenizer.vocabulary_size))
        surfaces = list(map(byte_level_bytes, tokens))
        if tokenizer.unk_id is not None:
            surfaces[tokenizer.unk_id] = UNKNOWN_SURFACE.encode()
        self._surfaces = Surfaces(surfaces)

    def decode(self, ids: Any) -> Any:
        return valid_utf8(self._surfaces.join(ids))


class InGraphWordPieceTokenizer(_Pipeline):
    """`WordPieceTokenizer` in TensorFlow ops."""

    def __init__(self, tokenizer: WordPieceTokenizer) -> None:
        super().__init__(tokenizer)
        tokens = list(map(tokenizer.id_to_token, range(tokenizer.vocabulary_size)))
        if tokenizer.unk_id is not None:
            tokens[tokenizer.unk_id] = UNKNOWN_SURFACE
        # A mark alone is the text "##".
        inside = [t.startswith(CONTINUATION) and t != CONTINUATION for t in tokens]
        bare = [
            t.removeprefix(CONTINUATION) if i else t for t, i in zip(tokens, inside, strict=True)
        ]
        rest = [t if i else f" {t}" for t, i in zip(bare, inside, strict=True)]
        self._surfaces = Surfaces(*([t.encode() for t in table] for table in (rest, bare)))

    def decode(self, ids: Any) -> Any:
        import tensorflow as tf

        texts = self._surfaces.join(ids)
        for pattern, replacement in detokenization_rules():
            texts = tf.strings.regex_replace(texts, pattern, replacement)
        return texts
