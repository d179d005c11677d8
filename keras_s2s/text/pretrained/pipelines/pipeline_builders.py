"""Builds pipelines of the `tokenizers` library from the files of a Hugging Face folder.

Each tokenizer class of transformers 5 builds its pipeline from a vocabulary, whether that comes
from `tokenizer.json` or from an older file, and takes only the vocabulary, the normalisation rules
and the template from `tokenizer.json`; `generic` takes that file as it is.  The functions below
follow them, since a model was trained on the ids that they give.

All of them return a pipeline together with the special tokens that are still to be added.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_s2s.config import ConfigError
from keras_s2s.text.pretrained.language_codes import MBART, MBART50, NLLB
from keras_s2s.text.pretrained.pipelines.language_model_pipelines import (
    albert,
    bert,
    camembert,
    gpt2,
    xlm_roberta,
)
from keras_s2s.text.pretrained.pipelines.pipeline_parts import (
    Draft,
    Scored,
    add_tokens,
    fairseq_named,
    fairseq_scores,
    make_template,
    merges_of,
    metaspace,
    named_tokens,
    ordered_tokens,
    precompiled,
    read_merges,
    read_proto,
    split_at_white_space,
    spm_added,
)
from keras_s2s.text.pretrained.sentencepiece_model import SentencePieceProto
from keras_s2s.text.pretrained.tokenizer_files import (
    FAIRSEQ_MODEL,
    MERGES,
    T5_MODEL,
    TOKENIZER_JSON,
    VOCAB,
    Added,
    Declared,
    TokenizerFiles,
    TokenName,
)
from keras_s2s.text.pretrained.tokenizer_json import (
    json_charsmap,
    json_merges,
    json_scores,
    read_json,
)


@dataclass(frozen=True)
class Built:
    """A finished pipeline and its special tokens.

    Attributes:
        pipeline: a `tokenizers.Tokenizer`.
        named: special tokens by name, as text.
    """

    pipeline: Any
    named: Mapping[str, str]


def build_pipeline(class_name: str, files: TokenizerFiles) -> Built:
    """Builds the pipeline that transformers' class `class_name` builds from `files`.

    Raises:
        FileNotFoundError: a file is missing.
        ConfigError: a file cannot be read, or the class is not one of `BUILDERS`.
    """
    declared = files.declared()
    try:
        draft = BUILDERS[class_name](files, declared)
        add_tokens(draft, declared)
        if draft.finish is not None:
            draft.finish(draft.pipeline)
    except (ConfigError, FileNotFoundError):
        raise
    except Exception as error:  # the library raises bare Exception
        raise ConfigError(
            f"{files.origin}: no {class_name} can be made of its tokenizer files ({error})"
        ) from None
    pipeline = draft.pipeline
    pipeline.no_padding()
    pipeline.no_truncation()
    pipeline.encode_special_tokens = bool(declared.options.get("split_special_tokens", False))
    return Built(pipeline, {key: str(token) for key, token in draft.named.items()})


def _t5(files: TokenizerFiles, declared: Declared) -> Draft:
    """Builds the pipeline of T5, mT5, UMT5: sentinels `<extra_id_0>` ... from the last id
    downwards.
    """
    from tokenizers import Tokenizer, models

    named = named_tokens(declared, eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    count = declared.options.get("extra_ids", 100)
    sentinels = [f"<extra_id_{i}>" for i in range(count)]
    if TOKENIZER_JSON in files:
        vocab, charsmap = json_scores(files), json_charsmap(files)
        additional = declared.additional
    else:
        proto = read_proto(files, T5_MODEL, "T5Tokenizer")
        vocab = proto.pieces + [(token, 0.0) for token in reversed(sentinels)]
        charsmap = proto.charsmap
        additional = spm_added(proto)
    if additional is None:
        additional = list(sentinels)
    elif not any("<extra_id_" in str(token) for token in additional):
        additional = [*additional, *sentinels]
    # transformers 5 takes 2, which is EOS where a vocabulary begins `<unk> <s> </s>` (MADLAD-400).
    unknown = str(named["unk_token"])
    position = next((i for i, (piece, _) in enumerate(vocab) if piece == unknown), 2)
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=position, byte_fallback=False))
    if charsmap:
        pipeline.normalizer = precompiled(charsmap)
    split_at_white_space(pipeline)
    extra = declared.extra if declared.extra is not None else additional
    return Draft(pipeline, named, extra, make_template([], ["</s>"]))


def _pegasus(files: TokenizerFiles, declared: Declared) -> Draft:
    """Builds the pipeline of Pegasus: `<pad> </s> <mask_1> <mask_2> <unk_2> ... <unk_102>` before
    the pieces.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers

    named = named_tokens(
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
        vocab, charsmap = json_scores(files), json_charsmap(files)
    else:
        proto = read_proto(files, T5_MODEL, "PegasusTokenizer")
        vocab = _pegasus_vocabulary(proto, named, sentence_mask, unused)
        charsmap = proto.charsmap
    given = declared.additional if TOKENIZER_JSON in files else None
    first = [sentence_mask] if sentence_mask is not None else []
    additional = unused if given is not None and sentence_mask in given else [*first, *unused]

    unknown = str(named["unk_token"])
    position = next((i for i, (piece, _) in enumerate(vocab) if i and piece == unknown), None)
    if position is None:
        raise ConfigError(f"{files.origin}: the vocabulary has no {unknown}")
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=position))
    one_space = normalizers.Replace(Regex(r" {2,}"), " ")
    before = precompiled(charsmap) if charsmap else normalizers.Replace(Regex(r"\n"), " ")
    pipeline.normalizer = normalizers.Sequence([before, one_space])
    metaspace(pipeline)
    extra = declared.extra if declared.extra is not None else additional
    return Draft(pipeline, named, extra, make_template([], [str(named["eos_token"])]))


def _pegasus_vocabulary(
    proto: SentencePieceProto,
    named: Mapping[str, TokenName],
    sentence_mask: str | None,
    unused: Sequence[str],
) -> Scored:
    """Returns the special tokens in the order of the published models.

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
    """Builds the pipeline of mBART-25: fairseq's ids, language codes after the pieces."""
    from tokenizers import Tokenizer, models

    named = fairseq_named(declared, Added("<mask>", lstrip=True))
    if TOKENIZER_JSON in files:
        vocab, given = json_scores(files), declared.additional
    else:
        proto = read_proto(files, FAIRSEQ_MODEL, "MBartTokenizer")
        vocab = fairseq_scores(proto.pieces, named, MBART, first="bos_token")
        given = spm_added(proto)
    additional = [*MBART, *(token for token in given or () if token not in MBART)]
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    split_at_white_space(pipeline)
    return Draft(pipeline, named, declared.extra if declared.extra is not None else additional)


def _mbart50(files: TokenizerFiles, declared: Declared) -> Draft:
    """Builds the pipeline of mBART-50: as mBART-25, with SentencePiece's own rules for text."""
    from tokenizers import Regex, Tokenizer, models, normalizers

    named = fairseq_named(declared, Added("<mask>", lstrip=True), bos=False)
    if TOKENIZER_JSON in files:
        vocab, charsmap, given = json_scores(files), json_charsmap(files), declared.additional
        if not any(piece in MBART50 for piece, _ in vocab):
            vocab = fairseq_scores(vocab, named, MBART50, first="cls_token")
    else:
        proto = read_proto(files, FAIRSEQ_MODEL, "MBart50Tokenizer")
        vocab = fairseq_scores(proto.pieces, named, MBART50, first="cls_token")
        charsmap, given = proto.charsmap, spm_added(proto)
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    rules = [precompiled(charsmap)] if charsmap else []
    rules.append(normalizers.Replace(Regex(r" {2,}"), " "))
    pipeline.normalizer = normalizers.Sequence(rules)
    metaspace(pipeline)
    extra = declared.extra if declared.extra is not None else [*(given or ()), *MBART50]
    return Draft(pipeline, named, extra)


def _nllb(files: TokenizerFiles, declared: Declared) -> Draft:
    """Builds the pipeline of NLLB: byte-pair merges with fairseq's ids."""
    from tokenizers import Regex, Tokenizer, models, normalizers

    named = fairseq_named(declared, Added("<mask>", lstrip=True, normalized=True, special=True))
    if TOKENIZER_JSON in files:
        vocab, merges = json_merges(files)
        charsmap = json_charsmap(files)
        additional = declared.additional
    else:
        proto = read_proto(files, FAIRSEQ_MODEL, "NllbTokenizer")
        pieces = [piece for piece, _ in proto.pieces]
        special = [named[key] for key in ("bos_token", "pad_token", "eos_token", "unk_token")]
        # transformers 5 forgets the languages of a folder that does not list them; here they
        # have their published places: behind the pieces, the mask last.
        languages = [] if declared.extra is not None else [*NLLB, named["mask_token"]]
        vocab = {}
        for token in (*special, *pieces, *languages):
            vocab.setdefault(str(token), len(vocab))
        merges = merges_of(pieces)
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
        pipeline.normalizer = normalizers.Sequence([precompiled(charsmap), one_space])
    metaspace(pipeline)
    extra = declared.extra if declared.extra is not None else additional
    return Draft(pipeline, named, NLLB if extra is None else extra)


def _barthez(files: TokenizerFiles, declared: Declared) -> Draft:
    """Builds the pipeline of BARThez: a unigram model whose pieces have fairseq's ids already."""
    from tokenizers import Regex, Tokenizer, models, normalizers

    named = fairseq_named(declared, Added("<mask>", lstrip=True))
    if TOKENIZER_JSON in files:
        vocab, given = json_scores(files), declared.additional
    else:
        proto = read_proto(files, FAIRSEQ_MODEL, "BarthezTokenizer")
        vocab, given = proto.pieces, spm_added(proto)
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    pipeline.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
            normalizers.NFC(),
            normalizers.Strip(left=False, right=True),
        ]
    )
    metaspace(pipeline, prefix=bool(declared.options.get("add_prefix_space", True)))
    extra = declared.extra if declared.extra is not None else given or ()
    # Written where transformers 5 has forgotten it, too: without a tokenizer.json.
    around = make_template([str(named["cls_token"])], [str(named["sep_token"])])
    return Draft(pipeline, named, extra, around)


def _byte_level(files: TokenizerFiles, declared: Declared, *, blenderbot: bool = False) -> Draft:
    """Builds the pipeline of BART and similar models: byte-level byte-pair merges as in GPT-2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    class_name = "BlenderbotTokenizer" if blenderbot else "RobertaTokenizer"
    mask: TokenName = Added("<mask>", lstrip=True, normalized=False) if blenderbot else "<mask>"
    named = fairseq_named(declared, mask)
    if TOKENIZER_JSON in files:
        vocab, merges = json_merges(files)
    else:
        vocab = files.vocabulary(VOCAB, class_name)
        merges = read_merges(files.require(MERGES, class_name))
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
            pipeline.post_processor = read_json(files).post_processor
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


def _generic(files: TokenizerFiles, declared: Declared) -> Draft:
    """Builds the pipeline that a `tokenizer.json` describes."""
    named = {key: declared.named[key] for key in ordered_tokens(declared.named)}
    return Draft(read_json(files), named, declared.extra or declared.additional or ())


#: Tokenizer class of transformers to what builds its pipeline.
BUILDERS: dict[str, Callable[[TokenizerFiles, Declared], Draft]] = {
    "T5Tokenizer": _t5,
    "PegasusTokenizer": _pegasus,
    "MBartTokenizer": _mbart,
    "MBart50Tokenizer": _mbart50,
    "BarthezTokenizer": _barthez,
    "NllbTokenizer": _nllb,
    "RobertaTokenizer": _byte_level,
    "BlenderbotTokenizer": functools.partial(_byte_level, blenderbot=True),
    "BertTokenizer": bert,
    "XLMRobertaTokenizer": xlm_roberta,
    "CamembertTokenizer": camembert,
    "AlbertTokenizer": albert,
    "GPT2Tokenizer": gpt2,
    "TokenizersBackend": _generic,
}


def template_of(pipeline: Any) -> tuple[list[int], list[int]]:
    """Returns the ids that a pipeline's own template puts before and after a text."""
    for text in ("a", "1", "."):
        plain = pipeline.encode(text, add_special_tokens=False).ids
        full = pipeline.encode(text, add_special_tokens=True).ids
        for start in range(len(full) - len(plain) + 1):
            if plain and full[start : start + len(plain)] == plain:
                return full[:start], full[start + len(plain) :]
    return [], []
