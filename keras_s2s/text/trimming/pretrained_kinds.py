"""Trims the tokenizers of Hugging Face and KerasHub folders: the files that they were read from."""

from __future__ import annotations

import abc
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from keras_s2s.text.pretrained.added_tokens import PythonTokenizer
from keras_s2s.text.pretrained.auto import make_tokenizer
from keras_s2s.text.pretrained.base import PretrainedTokenizer
from keras_s2s.text.pretrained.bert_generation import BertGenerationTokenizer
from keras_s2s.text.pretrained.m2m_100 import M2M100Tokenizer
from keras_s2s.text.pretrained.marian import MarianTokenizer
from keras_s2s.text.pretrained.pipelines.pipeline_tokenizer import PipelineTokenizer
from keras_s2s.text.pretrained.plbart import PLBartTokenizer
from keras_s2s.text.pretrained.sentencepiece_file import SentencePieceFileTokenizer
from keras_s2s.text.pretrained.tokenizer_files import (
    FAIRSEQ_MODEL,
    MARIAN_SOURCE,
    MARIAN_TARGET,
    MERGES,
    T5_MODEL,
    TARGET_VOCAB,
    TOKENIZER_JSON,
    VOCAB,
    WORDPIECE_VOCAB,
    TokenizerFiles,
)
from keras_s2s.text.trimming.huggingface_rewriting import declarations, renumbered_vocabulary
from keras_s2s.text.trimming.pipeline_rewriting import PipelinePieces
from keras_s2s.text.trimming.trimmer import ModelFile, NewIds, Side, Trimmer, special_ids

Pretrained = TypeVar("Pretrained", bound=PretrainedTokenizer)


class FilesTrimmer(Trimmer[Pretrained]):
    """Base class of trimmers that write the files of a tokenizer again."""

    @abc.abstractmethod
    def files(self, new_ids: NewIds) -> dict[str, bytes]:
        """Returns the files with the vocabulary; those that only declare special tokens left
        out.
        """

    @abc.abstractmethod
    def extra(self, new_ids: NewIds) -> list[str]:
        """Returns the special tokens that stay and have no name such as `eos_token`."""

    def contents(self, new_ids: NewIds) -> dict[str, bytes]:
        """Returns all files with new ids."""
        declared = declarations(
            self.tokenizer.files,
            self.declared_ids(new_ids),
            new_ids.gone,
            self.extra(new_ids),
            new_ids.source_language,
        )
        return {**self.files(new_ids), **declared}

    def declared_ids(self, new_ids: NewIds) -> Mapping[int, int]:
        """Returns the new ids of the special tokens that the files declare."""
        return self.renumbering(new_ids)

    def trimmed(self, new_ids: NewIds) -> Pretrained:
        old = self.tokenizer
        files = TokenizerFiles(self.contents(new_ids), old.files.origin)
        size = None if old.size is None else new_ids.sizes[self.side]
        made: Any = self._made(files, size)
        return made

    def _made(self, files: TokenizerFiles, size: int | None) -> PretrainedTokenizer:
        return make_tokenizer(files, self.tokenizer.class_name, size, self.side)


class PipelineTrimmer(FilesTrimmer[PipelineTokenizer]):
    """Trims a pipeline of the `tokenizers` library.

    It is written as `tokenizer.json`, also where the folder had older files, which are written
    beside it: a class of transformers puts all languages that it knows of behind the pieces of a
    SentencePiece model, but not behind those of a `tokenizer.json`.
    """

    drops_languages = True

    def __init__(self, tokenizer: PipelineTokenizer, side: Side) -> None:
        super().__init__(tokenizer, side)
        data = json.loads(tokenizer.pipeline.to_str())
        if TOKENIZER_JSON in tokenizer.files:
            stored = tokenizer.files.json(TOKENIZER_JSON)
            data |= {key: stored.get(key) for key in ("truncation", "padding")}
        self.pieces = PipelinePieces(data, tokenizer.files.origin)

    @property
    def always(self) -> frozenset[int]:
        # The files beside the pipeline keep their bytes and user-defined pieces, which the pipeline
        # may not need; a class that reads the file alone numbers ids by its pieces.
        of_files = (model.always for model in self._model_files.values())
        return self.pieces.always.union(special_ids(self.tokenizer), *of_files)

    def with_parts(self, ids: Iterable[int]) -> set[int]:
        return self.pieces.with_parts(ids)

    def characters(self, ids: Iterable[int]) -> set[int]:
        return self.pieces.characters(ids)

    def extra(self, new_ids: NewIds) -> list[str]:
        named = {*self.tokenizer._named.values()}
        special = self.tokenizer._special
        return [
            token
            for i, token in self.pieces.added.items()
            if i in special and token not in named and token not in new_ids.gone
        ]

    @functools.cached_property
    def _model_files(self) -> dict[str, ModelFile]:
        """The SentencePiece models that the folder has, by the names of their files."""
        contents = self.tokenizer.files.contents
        return {
            name: ModelFile(contents[name], lambda _, text: self.pieces.ids.get(text))
            for name in (T5_MODEL, FAIRSEQ_MODEL)
            if name in contents
        }

    def files(self, new_ids: NewIds) -> dict[str, bytes]:
        mine = self.renumbering(new_ids)
        data = self.pieces.rewritten(mine)
        if isinstance(data.get("padding"), Mapping):
            data["padding"] = {**data["padding"], "pad_id": mine[data["padding"]["pad_id"]]}
        contents = {TOKENIZER_JSON: json.dumps(data, ensure_ascii=False).encode()}
        files, vocab = self.tokenizer.files, data["model"]["vocab"]
        contents |= {name: model.written(mine) for name, model in self._model_files.items()}
        if VOCAB in files:
            contents[VOCAB] = json.dumps(vocab, ensure_ascii=False).encode()
        if MERGES in files:
            merges = [" ".join(m) if isinstance(m, list) else m for m in data["model"]["merges"]]
            contents[MERGES] = "\n".join(["#version: 0.2", *merges, ""]).encode()
        if WORDPIECE_VOCAB in files:
            contents[WORDPIECE_VOCAB] = "\n".join([*vocab, ""]).encode()
        return contents


class PythonTrimmer(FilesTrimmer[Any]):
    """Base class of trimmers of tokenizers with SentencePiece models and ids of their own.

    Attributes:
        models: the SentencePiece models, by the names of their files.
    """

    models: dict[str, ModelFile]

    @property
    def always(self) -> frozenset[int]:
        tokenizer: PythonTokenizer = self.tokenizer
        kept = special_ids(tokenizer) | set(tokenizer.added.by_id) | set(tokenizer._special)
        return frozenset(kept.union(*(model.always for model in self.models.values())))

    def with_parts(self, ids: Iterable[int]) -> set[int]:
        found = set(ids)
        return found.union(*(model.with_parts(found) for model in self.models.values()))

    def characters(self, ids: Iterable[int]) -> set[int]:
        wanted = set(ids)
        return set().union(*(model.characters(wanted) for model in self.models.values()))

    def extra(self, new_ids: NewIds) -> list[str]:
        named = {*self.tokenizer.added.named.values()}
        special = self.tokenizer.added.special
        return [token for token in special if token not in named and token not in new_ids.gone]

    def files(self, new_ids: NewIds) -> dict[str, bytes]:
        mine = self.renumbering(new_ids)
        return {name: model.written(mine) for name, model in self.models.items()}


class MarianTrimmer(PythonTrimmer):
    """Trims the vocabulary of one side of an OPUS-MT model, or that of both."""

    drops_languages = True

    def __init__(self, tokenizer: MarianTokenizer, side: Side) -> None:
        super().__init__(tokenizer, side)
        files = tokenizer.files
        self.vocabularies = {
            name: files.vocabulary(name, tokenizer.class_name)
            for name in (VOCAB, TARGET_VOCAB)
            if name in files
        }
        separate = files.declared().options.get("separate_vocabs", False)
        # Both sides are written alike: they share all files.
        self._of_both = {
            name: _by_vocabulary(files.contents[name], self.vocabularies[used])
            for name, used in (
                (MARIAN_SOURCE, VOCAB),
                (MARIAN_TARGET, TARGET_VOCAB if separate else VOCAB),
            )
        }
        own = MARIAN_SOURCE if side == "source" else MARIAN_TARGET
        self.models = {own: self._of_both[own]}
        self._separate = bool(separate)

    def declared_ids(self, new_ids: NewIds) -> Mapping[int, int]:
        return new_ids.source  # transformers has one list of special tokens

    def files(self, new_ids: NewIds) -> dict[str, bytes]:
        contents = {
            name: renumbered_vocabulary(
                vocabulary, new_ids.source if name == VOCAB else new_ids.target
            )
            for name, vocabulary in self.vocabularies.items()
        }
        for name, model in self._of_both.items():
            of_target = self._separate and name == MARIAN_TARGET
            contents[name] = model.written(new_ids.target if of_target else new_ids.source)
        return contents


class M2M100Trimmer(PythonTrimmer):
    """Trims M2M-100's vocabulary; its class numbers all languages, so all of them stay."""

    def __init__(self, tokenizer: M2M100Tokenizer, side: Side) -> None:
        super().__init__(tokenizer, side)
        self.models = {FAIRSEQ_MODEL: _by_vocabulary(tokenizer.model_bytes, tokenizer.vocabulary)}

    @property
    def always(self) -> frozenset[int]:
        return super().always.union(self.tokenizer.languages.values())

    def files(self, new_ids: NewIds) -> dict[str, bytes]:
        vocabulary = renumbered_vocabulary(self.tokenizer.vocabulary, self.renumbering(new_ids))
        return {VOCAB: vocabulary, **super().files(new_ids)}


class PLBartTrimmer(PythonTrimmer):
    """Trims PLBART's pieces, whose ids are one higher than SentencePiece's; languages stay."""

    def __init__(self, tokenizer: PLBartTokenizer, side: Side) -> None:
        super().__init__(tokenizer, side)
        self.models = {
            FAIRSEQ_MODEL: ModelFile(
                tokenizer.model_bytes, lambda _, text: tokenizer.token_to_id(text)
            )
        }

    @property
    def always(self) -> frozenset[int]:
        return super().always.union(self.tokenizer._fixed.values())


class BertGenerationTrimmer(PythonTrimmer):
    """Trims BERT-generation's pieces, which are numbered as ids."""

    def __init__(self, tokenizer: BertGenerationTokenizer, side: Side) -> None:
        super().__init__(tokenizer, side)
        self.models = {T5_MODEL: ModelFile(tokenizer.model_bytes, lambda number, _: number)}


class SentencePieceFileTrimmer(FilesTrimmer[SentencePieceFileTokenizer]):
    """Trims a SentencePiece model file whose pieces are numbered as ids."""

    def __init__(self, tokenizer: SentencePieceFileTokenizer, side: Side) -> None:
        super().__init__(tokenizer, side)
        self.model = ModelFile(tokenizer.model_bytes, lambda number, _: number)

    @property
    def always(self) -> frozenset[int]:
        return frozenset(self.model.always)

    def with_parts(self, ids: Iterable[int]) -> set[int]:
        return self.model.with_parts(ids)

    def characters(self, ids: Iterable[int]) -> set[int]:
        return self.model.characters(ids)

    def extra(self, new_ids: NewIds) -> list[str]:
        return []

    def files(self, new_ids: NewIds) -> dict[str, bytes]:
        return {T5_MODEL: self.model.written(self.renumbering(new_ids))}

    def _made(self, files: TokenizerFiles, size: int | None) -> PretrainedTokenizer:
        return SentencePieceFileTokenizer(files, self.tokenizer.class_name, size)


def _by_vocabulary(content: bytes, vocabulary: Mapping[str, int]) -> ModelFile:
    """Returns a SentencePiece model whose pieces have the ids of a `vocab.json`."""
    return ModelFile(content, lambda _, text: vocabulary.get(text))
