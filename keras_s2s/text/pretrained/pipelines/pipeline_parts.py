"""Parts of `tokenizers` pipelines: special tokens, vocabularies, normalisers and pre-tokenizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_s2s.config import ConfigError
from keras_s2s.text.pretrained.sentencepiece_model import SentencePieceProto, read_sentencepiece
from keras_s2s.text.pretrained.tokenizer_files import (
    MERGES,
    NAMED,
    Added,
    Declared,
    TokenizerFiles,
    TokenName,
)

SPACE = "▁"


Scored = list[tuple[str, float]]


@dataclass
class Draft:
    """A pipeline whose special tokens are not added yet.

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


def named_tokens(declared: Declared, **defaults: TokenName) -> dict[str, TokenName]:
    """Returns the named tokens in their canonical order, then those of one model only."""
    every = {**defaults, **declared.named}
    return {key: every[key] for key in ordered_tokens(every)}


def ordered_tokens(named: Mapping[str, Any]) -> list[str]:
    first = [key for key in NAMED if key in named]
    return [*first, *(key for key in named if key not in NAMED)]


def fairseq_named(declared: Declared, mask: TokenName, *, bos: bool = True) -> dict[str, TokenName]:
    """Returns the special tokens of fairseq's models, with the mask's stripping."""
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
    named = named_tokens(declared, **defaults)
    given = named["mask_token"]
    if isinstance(mask, Added) and isinstance(given, str):
        named["mask_token"] = Added(
            given, lstrip=mask.lstrip, normalized=mask.normalized, special=mask.special
        )
    return named


def add_tokens(draft: Draft, declared: Declared) -> None:
    """Adds declared tokens by id, then named, then extra ones; tokens of the vocabulary keep their
    ids.
    """
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


def make_template(before: Sequence[str], after: Sequence[str]) -> Callable[[Any], None]:
    """Returns the post-processor that puts special tokens before and after a text."""

    def finish(pipeline: Any) -> None:
        from tokenizers import processors

        tokens = dict.fromkeys([*before, *after])
        pipeline.post_processor = processors.TemplateProcessing(
            single=[*before, "$A", *after],
            special_tokens=[(token, pipeline.token_to_id(token)) for token in tokens],
        )

    return finish


def read_proto(files: TokenizerFiles, name: str, class_name: str) -> SentencePieceProto:
    content = files.require(name, class_name)
    try:
        return read_sentencepiece(content)
    except ConfigError as error:
        raise ConfigError(f"{files.origin}/{name}: {error}") from None


def spm_added(proto: SentencePieceProto) -> list[TokenName]:
    """Returns the control pieces and user-defined pieces, which are found in text."""
    control = set(proto.control)
    both = control | set(proto.user_defined)
    return [
        Added(piece, normalized=False, special=piece in control)
        for piece, _ in proto.pieces
        if piece in both
    ]


def fairseq_scores(
    pieces: Scored, named: Mapping[str, TokenName], languages: Sequence[str], first: str
) -> Scored:
    """Returns a vocabulary with fairseq's ids: `<s> <pad> </s> <unk>`, pieces, languages, mask."""
    special = [named[key] for key in (first, "pad_token", "eos_token", "unk_token")]
    behind = [*languages, named["mask_token"]]
    return [
        *((str(token), 0.0) for token in special),
        *pieces[3:],
        *((str(token), 0.0) for token in behind),
    ]


def merges_of(pieces: Sequence[str]) -> list[tuple[str, str]]:
    """Returns the merges behind a list of pieces: each way to make one from two others."""
    known = set(pieces)
    return [
        (piece[:cut], piece[cut:])
        for piece in pieces
        for cut in range(1, len(piece))
        if piece[:cut] in known and piece[cut:] in known
    ]


def read_merges(content: bytes) -> list[tuple[str, str]]:
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


def precompiled(charsmap: bytes) -> Any:
    from tokenizers import normalizers

    return normalizers.Precompiled(charsmap)


def metaspace(pipeline: Any, *, prefix: bool = True) -> None:
    """Sets a pre-tokeniser that writes `▁` for each space and, with `prefix`, before the text, and
    its decoder.
    """
    from tokenizers import decoders, pre_tokenizers

    scheme = "always" if prefix else "never"
    settings: dict[str, Any] = {"replacement": SPACE, "prepend_scheme": scheme, "split": True}
    pipeline.pre_tokenizer = pre_tokenizers.Metaspace(**settings)
    pipeline.decoder = decoders.Metaspace(**settings)


def split_at_white_space(pipeline: Any, *, prefix: bool = True) -> None:
    """Sets the pre-tokeniser of `metaspace`, for words apart by any white space."""
    from tokenizers import pre_tokenizers

    metaspace(pipeline, prefix=prefix)
    pipeline.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pipeline.pre_tokenizer]
    )
