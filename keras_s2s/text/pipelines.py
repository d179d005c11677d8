"""Pipelines of the `tokenizers` library from the files of a Hugging Face folder.

Each tokenizer class of transformers 5 builds its pipeline from a vocabulary, whether that comes
from `tokenizer.json` or from an older file, and takes only the vocabulary, the normalisation rules
and the template from `tokenizer.json`; `generic` takes that file as it is.  The functions below
follow them, since a model's ids are what its home library made of the same files.

All of them return a pipeline together with the special tokens that are still to be added.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_s2s.config import ConfigError
from keras_s2s.text.language_codes import MBART, MBART50, NLLB
from keras_s2s.text.sentencepiece_proto import SentencePieceProto, read_sentencepiece
from keras_s2s.text.tokenizer_files import (
    FAIRSEQ_MODEL,
    MERGES,
    NAMED,
    T5_MODEL,
    TOKENIZER_JSON,
    VOCAB,
    WORDPIECE_VOCAB,
    Added,
    Declared,
    TokenizerFiles,
    TokenName,
)

SPACE = "▁"

Scored = list[tuple[str, float]]


@dataclass
class Draft:
    """A pipeline before its special tokens are added.

    Attributes:
        pipeline: a `tokenizers.Tokenizer`.
        named: `eos_token` and its like, with the defaults of the class filled in.
        extra: further special tokens.
        finish: sets the template of special tokens around a text, once all have ids.
    """

    pipeline: Any
    named: dict[str, TokenName]
    extra: Sequence[TokenName] = ()
    finish: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class Built:
    """A finished pipeline.

    Attributes:
        pipeline: a `tokenizers.Tokenizer`.
        named: special tokens by name, as text.
    """

    pipeline: Any
    named: Mapping[str, str]


def build_pipeline(class_name: str, files: TokenizerFiles) -> Built:
    """The pipeline that the transformers class `class_name` would build from `files`.

    Raises:
        FileNotFoundError: a file is missing.
        ConfigError: a file cannot be read, or the class is not one of `BUILDERS`.
    """
    declared = files.declared()
    try:
        draft = BUILDERS[class_name](files, declared)
        _add_tokens(draft, declared)
        if draft.finish is not None:
            draft.finish(draft.pipeline)
    except (ConfigError, FileNotFoundError):
        raise
    except Exception as error:  # the library raises bare Exception
        raise ConfigError(
            f"{files.source}: no {class_name} can be made of its tokenizer files ({error})"
        ) from None
    pipeline = draft.pipeline
    pipeline.no_padding()
    pipeline.no_truncation()
    pipeline.encode_special_tokens = bool(declared.options.get("split_special_tokens", False))
    return Built(pipeline, {key: str(token) for key, token in draft.named.items()})


# --------------------------------------------------------------------------------------
# Classes
# --------------------------------------------------------------------------------------


def _t5(files: TokenizerFiles, declared: Declared) -> Draft:
    """T5, mT5, UMT5: sentinels `<extra_id_0>` ... from the last id downwards."""
    from tokenizers import Tokenizer, models

    named = _named(declared, eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    count = declared.options.get("extra_ids", 100)
    sentinels = [f"<extra_id_{i}>" for i in range(count)]
    if TOKENIZER_JSON in files:
        vocab, charsmap = _json_scores(files), _json_charsmap(files)
        additional = declared.additional
    else:
        proto = _proto(files, T5_MODEL, "T5Tokenizer")
        vocab = proto.pieces + [(token, 0.0) for token in reversed(sentinels)]
        charsmap = proto.charsmap
        additional = _spm_added(proto)
    if additional is None:
        additional = list(sentinels)
    elif not any("<extra_id_" in str(token) for token in additional):
        additional = [*additional, *sentinels]
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=2, byte_fallback=False))
    if charsmap:
        pipeline.normalizer = _precompiled(charsmap)
    _split_at_white_space(pipeline)
    extra = declared.extra if declared.extra is not None else additional
    return Draft(pipeline, named, extra, _template([], ["</s>"]))


def _pegasus(files: TokenizerFiles, declared: Declared) -> Draft:
    """Pegasus: `<pad> </s> <mask_1> <mask_2> <unk_2> ... <unk_102>` before the pieces."""
    from tokenizers import Regex, Tokenizer, models, normalizers

    named = _named(
        declared,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask_2>",
    )
    sentence_mask = declared.options.get("mask_token_sent", "<mask_1>")
    offset = declared.options.get("offset", 103)
    unused = [f"<unk_{i}>" for i in range(2, offset)]
    if TOKENIZER_JSON in files:
        vocab, charsmap = _json_scores(files), _json_charsmap(files)
    else:
        proto = _proto(files, T5_MODEL, "PegasusTokenizer")
        vocab = _pegasus_vocabulary(proto, named, sentence_mask, unused)
        charsmap = proto.charsmap
    given = declared.additional if TOKENIZER_JSON in files else None
    first = [sentence_mask] if sentence_mask is not None else []
    additional = unused if given is not None and sentence_mask in given else [*first, *unused]

    unknown = str(named["unk_token"])
    position = next((i for i, (piece, _) in enumerate(vocab) if i and piece == unknown), None)
    if position is None:
        raise ConfigError(f"{files.source}: the vocabulary has no {unknown}")
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=position))
    one_space = normalizers.Replace(Regex(r" {2,}"), " ")
    before = _precompiled(charsmap) if charsmap else normalizers.Replace(Regex(r"\n"), " ")
    pipeline.normalizer = normalizers.Sequence([before, one_space])
    _metaspace(pipeline)
    extra = declared.extra if declared.extra is not None else additional
    return Draft(pipeline, named, extra, _template([], [str(named["eos_token"])]))


def _pegasus_vocabulary(
    proto: SentencePieceProto,
    named: Mapping[str, TokenName],
    sentence_mask: str | None,
    unused: Sequence[str],
) -> Scored:
    """The order of the published models: the mask of sentences, then that of words.

    transformers 5.23 leaves one of them out where `special_tokens_map.json` names the other, as
    google/pegasus-xsum's does: each of its ids is then one too low for the model's embeddings.
    """
    vocab: Scored = [(str(named["pad_token"]), 0.0), (str(named["eos_token"]), 0.0)]
    if sentence_mask is not None:
        vocab.append((sentence_mask, 0.0))
    vocab.append((str(named["mask_token"]), 0.0))
    vocab += [(token, -100.0) for token in unused]
    return vocab + proto.pieces[2:]


def _mbart(files: TokenizerFiles, declared: Declared) -> Draft:
    """mBART-25: fairseq's ids, language codes behind the pieces."""
    from tokenizers import Tokenizer, models

    named = _fairseq_named(declared, Added("<mask>", lstrip=True))
    if TOKENIZER_JSON in files:
        vocab, given = _json_scores(files), declared.additional
    else:
        proto = _proto(files, FAIRSEQ_MODEL, "MBartTokenizer")
        vocab = _fairseq_scores(proto.pieces, named, MBART, first="bos_token")
        given = _spm_added(proto)
    additional = [*MBART, *(token for token in given or () if token not in MBART)]
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    _split_at_white_space(pipeline)
    return Draft(pipeline, named, declared.extra if declared.extra is not None else additional)


def _mbart50(files: TokenizerFiles, declared: Declared) -> Draft:
    """mBART-50: as mBART-25, with SentencePiece's own rules for text."""
    from tokenizers import Regex, Tokenizer, models, normalizers

    named = _fairseq_named(declared, Added("<mask>", lstrip=True), bos=False)
    if TOKENIZER_JSON in files:
        vocab, charsmap, given = _json_scores(files), _json_charsmap(files), declared.additional
        if not any(piece in MBART50 for piece, _ in vocab):
            vocab = _fairseq_scores(vocab, named, MBART50, first="cls_token")
    else:
        proto = _proto(files, FAIRSEQ_MODEL, "MBart50Tokenizer")
        vocab = _fairseq_scores(proto.pieces, named, MBART50, first="cls_token")
        charsmap, given = proto.charsmap, _spm_added(proto)
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    rules = [_precompiled(charsmap)] if charsmap else []
    rules.append(normalizers.Replace(Regex(r" {2,}"), " "))
    pipeline.normalizer = normalizers.Sequence(rules)
    _metaspace(pipeline)
    extra = declared.extra if declared.extra is not None else [*(given or ()), *MBART50]
    return Draft(pipeline, named, extra)


def _nllb(files: TokenizerFiles, declared: Declared) -> Draft:
    """NLLB: byte-pair merges with fairseq's ids."""
    from tokenizers import Regex, Tokenizer, models, normalizers

    named = _fairseq_named(declared, Added("<mask>", lstrip=True, normalized=True, special=True))
    if TOKENIZER_JSON in files:
        vocab, merges = _json_merges(files)
        charsmap = _json_charsmap(files)
        additional = declared.additional
    else:
        proto = _proto(files, FAIRSEQ_MODEL, "NllbTokenizer")
        pieces = [piece for piece, _ in proto.pieces]
        special = [named[key] for key in ("bos_token", "pad_token", "eos_token", "unk_token")]
        # transformers 5 forgets the languages of a folder that does not list them; here they
        # have their published places: behind the pieces, the mask last.
        languages = [] if declared.extra is not None else [*NLLB, named["mask_token"]]
        vocab = {}
        for token in (*special, *pieces, *languages):
            vocab.setdefault(str(token), len(vocab))
        merges = _merges_of(pieces)
        charsmap, additional = proto.charsmap, None
    pipeline = Tokenizer(
        models.BPE(
            vocab=vocab,
            merges=merges,
            unk_token=str(named["unk_token"]),
            fuse_unk=True,
            byte_fallback=False,
        )
    )
    if charsmap:
        one_space = normalizers.Replace(Regex(r" {2,}"), " ")
        pipeline.normalizer = normalizers.Sequence([_precompiled(charsmap), one_space])
    _metaspace(pipeline)
    extra = declared.extra if declared.extra is not None else additional
    return Draft(pipeline, named, NLLB if extra is None else extra)


def _byte_level(files: TokenizerFiles, declared: Declared, *, blenderbot: bool = False) -> Draft:
    """BART and its like: byte-level byte-pair merges as in GPT-2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    class_name = "BlenderbotTokenizer" if blenderbot else "RobertaTokenizer"
    mask: TokenName = Added("<mask>", lstrip=True, normalized=False) if blenderbot else "<mask>"
    named = _fairseq_named(declared, mask)
    if TOKENIZER_JSON in files:
        vocab, merges = _json_merges(files)
    else:
        vocab = files.vocabulary(VOCAB, class_name)
        merges = _read_merges(files.require(MERGES, class_name))
    prefix_space = bool(declared.options.get("add_prefix_space", blenderbot))
    pipeline = Tokenizer(
        models.BPE(
            vocab=vocab,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix="",
            fuse_unk=False,
        )
    )
    pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    pipeline.decoder = decoders.ByteLevel()
    extra = declared.extra or declared.additional or ()
    if blenderbot:
        if TOKENIZER_JSON in files:
            pipeline.post_processor = _whole(files).post_processor
        return Draft(pipeline, named, extra)

    def finish(pipeline: Any) -> None:
        last, first = (str(named[key]) for key in ("sep_token", "cls_token"))
        pipeline.post_processor = processors.RobertaProcessing(
            (last, pipeline.token_to_id(last)),
            (first, pipeline.token_to_id(first)),
            bool(declared.options.get("trim_offsets", True)),
            prefix_space,
        )

    return Draft(pipeline, named, extra, finish)


def _bert(files: TokenizerFiles, declared: Declared) -> Draft:
    """BERT: WordPiece."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    named = _named(
        declared,
        unk_token="[UNK]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        mask_token="[MASK]",
    )
    if TOKENIZER_JSON in files:
        vocab = files.json(TOKENIZER_JSON).get("model", {}).get("vocab", {})
    else:
        text = files.require(WORDPIECE_VOCAB, "BertTokenizer").decode("utf-8")
        lines = text.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        vocab = {line.rstrip(): i for i, line in enumerate(lines)}
    options = declared.options
    pipeline = Tokenizer(models.WordPiece(vocab, unk_token=str(named["unk_token"])))
    pipeline.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(options.get("tokenize_chinese_chars", True)),
        strip_accents=options.get("strip_accents"),
        lowercase=bool(options.get("do_lower_case", True)),
    )
    pipeline.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pipeline.decoder = decoders.WordPiece(prefix="##")
    template = _template([str(named["cls_token"])], [str(named["sep_token"])])
    return Draft(pipeline, named, declared.extra or declared.additional or (), template)


def _generic(files: TokenizerFiles, declared: Declared) -> Draft:
    """A `tokenizer.json` as it is."""
    named = {key: declared.named[key] for key in _ordered(declared.named)}
    return Draft(_whole(files), named, declared.extra or declared.additional or ())


#: Tokenizer class of transformers to what builds its pipeline.
BUILDERS: dict[str, Callable[[TokenizerFiles, Declared], Draft]] = {
    "T5Tokenizer": _t5,
    "PegasusTokenizer": _pegasus,
    "MBartTokenizer": _mbart,
    "MBart50Tokenizer": _mbart50,
    "NllbTokenizer": _nllb,
    "RobertaTokenizer": _byte_level,
    "BlenderbotTokenizer": functools.partial(_byte_level, blenderbot=True),
    "BertTokenizer": _bert,
    "TokenizersBackend": _generic,
}


# --------------------------------------------------------------------------------------
# Special tokens
# --------------------------------------------------------------------------------------


def _named(declared: Declared, **defaults: TokenName) -> dict[str, TokenName]:
    """Named tokens in their canonical order, then those of one model only."""
    every = {**defaults, **declared.named}
    return {key: every[key] for key in _ordered(every)}


def _ordered(named: Mapping[str, Any]) -> list[str]:
    first = [key for key in NAMED if key in named]
    return [*first, *(key for key in named if key not in NAMED)]


def _fairseq_named(
    declared: Declared, mask: TokenName, *, bos: bool = True
) -> dict[str, TokenName]:
    """The names of fairseq's models; a mask that the files give as text keeps its stripping."""
    defaults: dict[str, TokenName] = {
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "mask_token": mask,
    }
    if bos:
        defaults["bos_token"] = "<s>"
    named = _named(declared, **defaults)
    given = named["mask_token"]
    if isinstance(mask, Added) and isinstance(given, str):
        named["mask_token"] = Added(
            given, lstrip=mask.lstrip, normalized=mask.normalized, special=mask.special
        )
    return named


def _add_tokens(draft: Draft, declared: Declared) -> None:
    """Add declared tokens by id, then named, then extra ones; those in the vocabulary keep ids."""
    from tokenizers import AddedToken

    tokens: list[TokenName] = [declared.added[i] for i in sorted(declared.added)]
    names = {str(token) for token in draft.named.values()}
    seen = {str(token) for token in tokens}
    for token in (*draft.named.values(), *draft.extra):
        if str(token) not in seen:
            tokens.append(token)
            seen.add(str(token))
    known = {token.content for token in draft.pipeline.get_added_tokens_decoder().values()}
    declared_texts = {token.content for token in declared.added.values()}
    ready = []
    for token in tokens:
        if str(token) in known and str(token) not in declared_texts:
            continue
        if isinstance(token, str):
            ready.append(AddedToken(token, special=True))
            continue
        special = token.special or token.content in names
        ready.append(
            AddedToken(
                token.content,
                lstrip=token.lstrip,
                rstrip=token.rstrip,
                single_word=token.single_word,
                normalized=not special if token.normalized is None else token.normalized,
                special=special,
            )
        )
    if ready:
        draft.pipeline.add_tokens(ready)


def _template(before: Sequence[str], after: Sequence[str]) -> Callable[[Any], None]:
    """What puts special tokens before and after a text."""

    def finish(pipeline: Any) -> None:
        from tokenizers import processors

        tokens = dict.fromkeys([*before, *after])
        pipeline.post_processor = processors.TemplateProcessing(
            single=[*before, "$A", *after],
            special_tokens=[(token, pipeline.token_to_id(token)) for token in tokens],
        )

    return finish


# --------------------------------------------------------------------------------------
# Vocabularies
# --------------------------------------------------------------------------------------


def _proto(files: TokenizerFiles, name: str, class_name: str) -> SentencePieceProto:
    content = files.require(name, class_name)
    try:
        return read_sentencepiece(content)
    except ConfigError as error:
        raise ConfigError(f"{files.source}/{name}: {error}") from None


def _spm_added(proto: SentencePieceProto) -> list[TokenName]:
    """Control pieces and user-defined ones, which are looked for in the text."""
    control = set(proto.control)
    both = control | set(proto.user_defined)
    return [
        Added(piece, normalized=False, special=piece in control)
        for piece, _ in proto.pieces
        if piece in both
    ]


def _fairseq_scores(
    pieces: Scored, named: Mapping[str, TokenName], languages: Sequence[str], first: str
) -> Scored:
    """`<s> <pad> </s> <unk>` for SentencePiece's own three, then pieces, languages, the mask."""
    special = [named[key] for key in (first, "pad_token", "eos_token", "unk_token")]
    behind = [*languages, named["mask_token"]]
    return [
        *((str(token), 0.0) for token in special),
        *pieces[3:],
        *((str(token), 0.0) for token in behind),
    ]


def _merges_of(pieces: Sequence[str]) -> list[tuple[str, str]]:
    """Merges behind a list of pieces: each way to put one together from two others."""
    known = set(pieces)
    return [
        (piece[:cut], piece[cut:])
        for piece in pieces
        for cut in range(1, len(piece))
        if piece[:cut] in known and piece[cut:] in known
    ]


def _read_merges(content: bytes) -> list[tuple[str, str]]:
    merges = []
    for number, line in enumerate(content.decode("utf-8").split("\n")):
        line = line.rstrip("\r")
        if not line or line.startswith("#version"):
            continue
        parts = line.split(" ")
        if len(parts) != 2:
            raise ConfigError(f"{MERGES}, line {number + 1}: {line!r} is not two tokens")
        merges.append((parts[0], parts[1]))
    return merges


# --------------------------------------------------------------------------------------
# tokenizer.json
# --------------------------------------------------------------------------------------


def _whole(files: TokenizerFiles) -> Any:
    from tokenizers import Tokenizer

    content = files.require(TOKENIZER_JSON, "tokenizer")
    try:
        return Tokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # the library raises bare Exception
        raise ConfigError(f"{files.source}/{TOKENIZER_JSON}: {error}") from None


def _model(files: TokenizerFiles) -> dict[str, Any]:
    model = files.json(TOKENIZER_JSON).get("model")
    if not isinstance(model, dict) or "vocab" not in model:
        raise ConfigError(f"{files.source}/{TOKENIZER_JSON}: model.vocab is missing")
    return model


def _json_scores(files: TokenizerFiles) -> Scored:
    vocab = _model(files)["vocab"]
    if not isinstance(vocab, list):
        raise ConfigError(
            f"{files.source}/{TOKENIZER_JSON}: model.vocab is a {type(vocab).__name__}, expected "
            "the list of pieces and scores of a Unigram model"
        )
    return [(str(piece), float(score)) for piece, score in vocab]


def _json_merges(files: TokenizerFiles) -> tuple[dict[str, int], list[tuple[str, str]]]:
    model = _model(files)
    vocab = model["vocab"]
    if isinstance(vocab, list):
        vocab = {entry[0] if isinstance(entry, list) else entry: i for i, entry in enumerate(vocab)}
    merges = []
    for merge in model.get("merges", []):
        first, second = merge.split(" ") if isinstance(merge, str) else merge
        merges.append((first, second))
    return vocab, merges


def _json_charsmap(files: TokenizerFiles) -> bytes | None:
    normalizer = files.json(TOKENIZER_JSON).get("normalizer")
    if not normalizer:
        return None
    parts = normalizer["normalizers"] if normalizer.get("type") == "Sequence" else [normalizer]
    for part in parts:
        if part.get("type") == "Precompiled" and "precompiled_charsmap" in part:
            return base64.b64decode(part["precompiled_charsmap"])
    return None


# --------------------------------------------------------------------------------------
# Parts of pipelines
# --------------------------------------------------------------------------------------


def _precompiled(charsmap: bytes) -> Any:
    from tokenizers import normalizers

    return normalizers.Precompiled(charsmap)


def _metaspace(pipeline: Any) -> None:
    """`▁` for each space and before the text; the decoder undoes it."""
    from tokenizers import decoders, pre_tokenizers

    settings: dict[str, Any] = {"replacement": SPACE, "prepend_scheme": "always", "split": True}
    pipeline.pre_tokenizer = pre_tokenizers.Metaspace(**settings)
    pipeline.decoder = decoders.Metaspace(**settings)


def _split_at_white_space(pipeline: Any) -> None:
    """As `_metaspace`, but white space of any kind and length separates words."""
    from tokenizers import pre_tokenizers

    _metaspace(pipeline)
    pipeline.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pipeline.pre_tokenizer]
    )


def template_of(pipeline: Any) -> tuple[list[int], list[int]]:
    """Ids that a pipeline's own template puts before and after a text."""
    for text in ("a", "1", "."):
        plain = pipeline.encode(text, add_special_tokens=False).ids
        full = pipeline.encode(text, add_special_tokens=True).ids
        for start in range(len(full) - len(plain) + 1):
            if plain and full[start : start + len(plain)] == plain:
                return full[:start], full[start + len(plain) :]
    return [], []
