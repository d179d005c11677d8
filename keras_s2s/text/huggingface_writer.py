"""Writes tokenizers as the files of a Hugging Face folder, which transformers' AutoTokenizer reads.

A tokenizer that was read from such a folder is written as the files it was read from. Of the kinds
that this package trains, SentencePiece's become a `MarianTokenizer`, whose text goes through the
SentencePiece library itself; those with a pipeline, characters and bytes become a `tokenizer.json`.
transformers then gives the same ids, but for a text that begins like one of Marian's language codes
(`>>...<<`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_s2s.atomic_writing import write_atomically
from keras_s2s.config import ConfigError
from keras_s2s.text.languages import languages_of
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.pretrained.base import PretrainedTokenizer
from keras_s2s.text.pretrained.tokenizer_files import (
    ALL_FILES,
    MARIAN_SOURCE,
    MARIAN_TARGET,
    TARGET_VOCAB,
    TOKENIZER_CONFIG,
    TOKENIZER_JSON,
    VOCAB,
)
from keras_s2s.text.special_tokens import (
    BOS_TOKEN,
    EOS_TOKEN,
    PAD_TOKEN,
    SPECIAL_TOKENS,
    UNK_TOKEN,
)
from keras_s2s.text.tokenizer import Tokenizer
from keras_s2s.text.trained.base import TrainedTokenizer
from keras_s2s.text.trained.byte import ByteTokenizer
from keras_s2s.text.trained.byte_level_bpe import ByteLevelBPETokenizer, byte_characters
from keras_s2s.text.trained.character import CharacterTokenizer
from keras_s2s.text.trained.normalization import Normalizer, huggingface_normalizers
from keras_s2s.text.trained.sentencepiece import SentencePieceTokenizer
from keras_s2s.text.trained.tokenizers_library import HuggingFaceTokenizer
from keras_s2s.text.trained.wordpiece import WordPieceTokenizer


def write_pretrained_tokenizers(folder: str | Path, preprocessor: Preprocessor) -> list[Path]:
    """Writes a preprocessor's tokenizers into a Hugging Face folder.

    Tokenizer files that the folder has from before are replaced, since a mixture of two
    tokenizers would be read as one.

    Args:
        folder: where `config.json` is, or will be.
        preprocessor: the tokenizers, and the special ids around a source.

    Returns:
        The files written.

    Raises:
        ConfigError: the tokenizers have no such form; the message names the kind.

    Example:
        >>> model = Seq2SeqLM.from_preset("opus-mt-en-de/")
        >>> write_pretrained_tokenizers("exported", model.preprocessor)
        [...PosixPath('exported/source.spm'), ...]
    """
    contents = huggingface_files(preprocessor)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ALL_FILES:
        if name not in contents:
            (folder / name).unlink(missing_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def huggingface_files(preprocessor: Preprocessor) -> dict[str, bytes]:
    """Returns the files that `write_pretrained_tokenizers` writes: name to content.

    Raises:
        ConfigError: the tokenizers have no such form.
    """
    source, target = preprocessor.source, preprocessor.target
    if isinstance(source, PretrainedTokenizer) and isinstance(target, PretrainedTokenizer):
        if source.files.contents == target.files.contents:
            return _as_given(preprocessor, source)
    elif preprocessor.special_ids.languages is not None:
        raise ConfigError(
            f"special_ids.languages of a {source.kind} tokenizer has no form in a Hugging Face "
            "folder, where languages belong to the tokenizer classes of mBART, M2M-100, NLLB, "
            "PLBART and Marian; model.preprocessor = None writes the model for ids"
        )
    elif isinstance(source, SentencePieceTokenizer) and isinstance(target, SentencePieceTokenizer):
        return _as_marian(preprocessor, source, target)
    elif preprocessor.joint:
        return _as_pipeline(preprocessor, source)
    raise ConfigError(
        f"a {source.kind} tokenizer of the source and another ({target.kind}) of the target have "
        "no form in a Hugging Face folder, which holds one tokenizer for both sides, or two of "
        "SentencePiece; train with joint: true, or with a SentencePiece kind on both sides"
    )


def files_with_class(tokenizer: PretrainedTokenizer) -> dict[str, bytes]:
    """Returns the files that a tokenizer was read from, with the name of its class.

    Files that are not beside the `config.json` of their own model need it: AutoTokenizer knows the
    class of a model type.
    """
    contents = dict(tokenizer.files.contents)
    options = tokenizer.files.config()
    if options.get("tokenizer_class") is None:
        contents[TOKENIZER_CONFIG] = _json({**options, "tokenizer_class": tokenizer.class_name})
    return contents


def _as_given(preprocessor: Preprocessor, tokenizer: PretrainedTokenizer) -> dict[str, bytes]:
    """Returns the files that a tokenizer was read from, with the preprocessor's default
    languages.
    """
    contents = dict(tokenizer.files.contents)
    languages = preprocessor.special_ids.languages
    if languages is None or languages == languages_of(tokenizer):
        return contents
    options = tokenizer.files.config()
    for name, code in (
        ("src_lang", languages.default_source),
        ("tgt_lang", languages.default_target),
    ):
        if code is not None:
            options[name] = code
    contents[TOKENIZER_CONFIG] = _json(options)
    read = type(tokenizer)._restore(tokenizer._settings(), contents)
    if (found := languages_of(read)) != languages:
        names = ("default_source", "default_target", "source", "target", "codes")
        differ = next(
            name for name in names if getattr(found, name, None) != getattr(languages, name)
        )
        raise ConfigError(
            f"special_ids.languages.{differ} of the model has no place in the files of a "
            f"{tokenizer.class_name}, so it would be forgotten. Export a model without that "
            "default, and name the language at each call there"
        )
    return contents


def with_languages_in_files(preprocessor: Preprocessor) -> Preprocessor:
    """Returns the preprocessor with its default languages also in its tokenizers' files.

    Raises:
        ConfigError: those files have no place for them.
    """
    source, target = preprocessor.source, preprocessor.target
    if not isinstance(source, PretrainedTokenizer) or not isinstance(target, PretrainedTokenizer):
        return preprocessor
    sides = [
        type(side)._restore(side._settings(), _as_given(preprocessor, side))
        for side in ([source] if preprocessor.joint else [source, target])
    ]
    return Preprocessor(sides[0], sides[-1], preprocessor.special_ids)


def _as_marian(
    preprocessor: Preprocessor, source: SentencePieceTokenizer, target: SentencePieceTokenizer
) -> dict[str, bytes]:
    ids = preprocessor.special_ids.source
    if ids.eos is None or ids.bos is not None:
        raise ConfigError(
            f"a {source.kind} tokenizer goes into a Hugging Face folder as Marian's, which ends "
            f"every source in EOS, but special_ids.source has bos: {ids.bos} and eos: {ids.eos}; "
            "train with text.source_eos: true"
        )
    separate = source.model_bytes != target.model_bytes
    config = {
        "tokenizer_class": "MarianTokenizer",
        "separate_vocabs": separate,
        **_common_config(source),
    }
    del config["bos_token"]
    files = {
        MARIAN_SOURCE: source.model_bytes,
        MARIAN_TARGET: target.model_bytes,
        VOCAB: _json({source.id_to_token(i): i for i in range(source.vocabulary_size)}),
        TOKENIZER_CONFIG: _json(config),
    }
    if separate:
        files[TARGET_VOCAB] = _json(
            {target.id_to_token(i): i for i in range(target.vocabulary_size)}
        )
    return files


def _as_pipeline(preprocessor: Preprocessor, tokenizer: Tokenizer) -> dict[str, bytes]:
    make = _PIPELINES.get(type(tokenizer))
    if make is None:
        raise ConfigError(
            f"a {tokenizer.kind} tokenizer has no form in a Hugging Face folder: the tokenizers "
            f"library cannot split text as it does. Kinds that have one: {', '.join(_kinds())}. "
            "Without a preprocessor (model.preprocessor = None) the model is written for ids"
        )
    from tokenizers import processors

    pipeline = make(tokenizer)
    ids = preprocessor.special_ids.source
    before, after = ([] if i is None else [tokenizer.id_to_token(i)] for i in (ids.bos, ids.eos))
    pipeline.post_processor = processors.TemplateProcessing(
        single=[*before, "$A", *after],
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (*before, *after)],
    )
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **_common_config(tokenizer)}
    return {
        TOKENIZER_JSON: pipeline.to_str(pretty=True).encode(),
        TOKENIZER_CONFIG: _json(config),
    }


def _trained_pipeline(tokenizer: HuggingFaceTokenizer) -> Any:
    import tokenizers

    return tokenizers.Tokenizer.from_str(tokenizer.pipeline.to_str())


def _character_pipeline(tokenizer: CharacterTokenizer) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    pipeline = Tokenizer(models.WordLevel(dict(tokenizer.vocabulary.ids), unk_token=UNK_TOKEN))
    _normalize(pipeline, tokenizer.normalizer, tokenizer.kind)
    pipeline.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    pipeline.decoder = decoders.Fuse()
    return pipeline


def _byte_pipeline(tokenizer: ByteTokenizer) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocab = {token: i for i, token in enumerate(SPECIAL_TOKENS)}
    vocab |= {c: byte + tokenizer.offset for byte, c in enumerate(byte_characters())}
    vocab |= {token: 256 + tokenizer.offset + i for i, token in enumerate(tokenizer.extra)}
    pipeline = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    _normalize(pipeline, tokenizer.normalizer, tokenizer.kind)
    pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    pipeline.decoder = decoders.ByteLevel()
    return pipeline


_PIPELINES: dict[type[Tokenizer], Callable[[Any], Any]] = {
    WordPieceTokenizer: _trained_pipeline,
    ByteLevelBPETokenizer: _trained_pipeline,
    CharacterTokenizer: _character_pipeline,
    ByteTokenizer: _byte_pipeline,
}


def _kinds() -> list[str]:
    return [kind.kind for kind in _PIPELINES] + ["sentencepiece_unigram", "sentencepiece_bpe"]


def _normalize(pipeline: Any, normalizer: Normalizer, kind: str) -> None:
    from tokenizers import normalizers

    if normalizer.lowercase:
        raise ConfigError(
            f"lowercase: true of a {kind} tokenizer has no equal in a Hugging Face folder, whose "
            "library lowercases each character alone (a final sigma, for example, differs)"
        )
    steps = huggingface_normalizers(normalizer.form)
    if steps:
        pipeline.normalizer = normalizers.Sequence(steps)


def _common_config(tokenizer: Tokenizer) -> dict[str, Any]:
    extra = tokenizer.extra_ids if isinstance(tokenizer, TrainedTokenizer) else ()
    return {
        "extra_special_tokens": [tokenizer.id_to_token(i) for i in extra],
        "pad_token": PAD_TOKEN,
        "unk_token": UNK_TOKEN,
        "bos_token": BOS_TOKEN,
        "eos_token": EOS_TOKEN,
        # A text that spells a special token is text to this package.
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
    }


def _json(content: Any) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
