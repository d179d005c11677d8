"""Builds the pipelines of encoders and decoders that are pre-trained alone: BERT, XLM-RoBERTa,
CamemBERT, ALBERT, GPT-2.

Like those of `pipeline_builders`, they follow the tokenizer classes of transformers 5: options of
`tokenizer_config.json` decide on casing, accents and the space before a text, also beside a
`tokenizer.json` that says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_s2s.text.pretrained.language_tags import BOS, EOS, language_tags
from keras_s2s.text.pretrained.pipelines.pipeline_parts import (
    Draft,
    fairseq_named,
    fairseq_scores,
    make_template,
    named_tokens,
    precompiled,
    read_merges,
    read_proto,
    split_at_white_space,
    spm_added,
)
from keras_s2s.text.pretrained.tokenizer_files import (
    FAIRSEQ_MODEL,
    MERGES,
    T5_MODEL,
    TOKENIZER_CONFIG,
    TOKENIZER_JSON,
    VOCAB,
    WORDPIECE_VOCAB,
    Added,
    Declared,
    TokenizerFiles,
)
from keras_s2s.text.pretrained.tokenizer_json import (
    json_charsmap,
    json_merges,
    json_pieces,
    json_scores,
    read_json,
)


def bert(files: TokenizerFiles, declared: Declared) -> Draft:
    """Builds the pipeline of BERT, DistilBERT and ELECTRA: WordPiece."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    named = named_tokens(
        declared,
        unk_token="[UNK]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        mask_token="[MASK]",
    )
    if TOKENIZER_JSON in files:
        vocab = json_pieces(files)
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
    template = make_template([str(named["cls_token"])], [str(named["sep_token"])])
    return Draft(pipeline, named, declared.extra or declared.additional or (), template)


def xlm_roberta(files: TokenizerFiles, declared: Declared) -> Draft:
    """Builds the pipeline of XLM-RoBERTa: a unigram model with fairseq's ids, the mask last."""
    from tokenizers import Tokenizer, models

    named = fairseq_named(declared, "<mask>")
    if TOKENIZER_JSON in files:
        vocab, charsmap = json_scores(files), json_charsmap(files)
        additional = declared.additional
    else:
        proto = read_proto(files, FAIRSEQ_MODEL, "XLMRobertaTokenizer")
        vocab = fairseq_scores(proto.pieces, named, (), first="bos_token")
        charsmap, additional = proto.charsmap, spm_added(proto)
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    if charsmap:
        pipeline.normalizer = precompiled(charsmap)
    split_at_white_space(pipeline, prefix=bool(declared.options.get("add_prefix_space", True)))
    extra = declared.extra if declared.extra is not None else additional or ()
    template = make_template([str(named["bos_token"])], [str(named["eos_token"])])
    return Draft(pipeline, named, extra, template)


def camembert(files: TokenizerFiles, declared: Declared) -> Draft:
    """Builds the pipeline of CamemBERT: as XLM-RoBERTa, behind five ids that fairseq's dictionary
    has of its own, of which `<s>NOTUSED`, `</s>NOTUSED` and `<unk>NOTUSED` are never given.
    """
    from tokenizers import Tokenizer, models

    unused = ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"]
    named = fairseq_named(declared, Added("<mask>", lstrip=True, special=True))
    unknown = str(named["unk_token"])
    if TOKENIZER_JSON in files:
        vocab, charsmap = json_scores(files), json_charsmap(files)
        additional = declared.additional if declared.additional is not None else list(unused)
    else:
        proto = read_proto(files, FAIRSEQ_MODEL, "CamembertTokenizer")
        vocab = [
            (unused[0], 0.0),
            (str(named["pad_token"]), 0.0),
            (unused[1], 0.0),
            (unknown, 0.0),
            (unused[2], -100.0),
            *proto.pieces[1:],
            (str(named["mask_token"]), 0.0),
        ]
        charsmap, additional = proto.charsmap, spm_added(proto)
    position = next((i for i, (piece, _) in enumerate(vocab) if piece == unknown), 0)
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=position, byte_fallback=False))
    if charsmap:
        pipeline.normalizer = precompiled(charsmap)
    split_at_white_space(pipeline, prefix=bool(declared.options.get("add_prefix_space", True)))
    extra = declared.extra if declared.extra is not None else additional
    template = make_template([str(named["bos_token"])], [str(named["eos_token"])])
    return Draft(pipeline, named, extra, template)


def albert(files: TokenizerFiles, declared: Declared) -> Draft:
    """Builds the pipeline of ALBERT: a unigram model of text without case and accents."""
    from tokenizers import Tokenizer, models, normalizers

    named = named_tokens(
        declared,
        bos_token="[CLS]",
        eos_token="[SEP]",
        unk_token="<unk>",
        sep_token="[SEP]",
        pad_token="<pad>",
        cls_token="[CLS]",
        mask_token="[MASK]",
    )
    if TOKENIZER_JSON in files:
        vocab, charsmap = json_scores(files), json_charsmap(files)
        additional = declared.additional
    else:
        proto = read_proto(files, T5_MODEL, "AlbertTokenizer")
        vocab, charsmap, additional = proto.pieces, proto.charsmap, spm_added(proto)
    options = declared.options
    pipeline = Tokenizer(models.Unigram(vocab, unk_id=1, byte_fallback=False))
    rules: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not options.get("keep_accents", False):
        rules += [normalizers.NFKD(), normalizers.StripAccents()]
    if options.get("do_lower_case", True):
        rules.append(normalizers.Lowercase())
    if charsmap:
        rules.append(precompiled(charsmap))
    pipeline.normalizer = normalizers.Sequence(rules)
    split_at_white_space(pipeline, prefix=bool(options.get("add_prefix_space", True)))
    extra = declared.extra if declared.extra is not None else additional or ()
    if language_tags(declared):
        # As the model was trained. transformers puts [CLS] and [SEP] around a text unless a call
        # says that it brings its own special tokens, as IndicBART's page does.
        named = {**named, "bos_token": BOS, "eos_token": EOS}
        return Draft(pipeline, named, extra, make_template([], [EOS]))
    first, last = str(named["cls_token"]), str(named["sep_token"])
    template = _own_template(files, declared, named, default=([first], [last]))
    return Draft(pipeline, named, extra, template)


def gpt2(files: TokenizerFiles, declared: Declared) -> Draft:
    """Builds the pipeline of GPT-2: byte-level byte-pair merges, and one token that begins and
    ends a text, which the tokenizer itself puts nowhere.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    end = "<|endoftext|>"
    named = named_tokens(declared, bos_token=end, eos_token=end, unk_token=end)
    if TOKENIZER_JSON in files:
        vocab, merges = json_merges(files)
    else:
        vocab = files.vocabulary(VOCAB, "GPT2Tokenizer")
        merges = read_merges(files.require(MERGES, "GPT2Tokenizer"))
    pipeline = Tokenizer(
        models.BPE(
            vocab=vocab,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix="",
            fuse_unk=False,
        )
    )
    prefix_space = bool(declared.options.get("add_prefix_space", False))
    pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    pipeline.decoder = decoders.ByteLevel()
    extra = declared.extra or declared.additional or ()
    return Draft(pipeline, named, extra, _own_template(files, declared, named, default=([], [])))


def _own_template(
    files: TokenizerFiles,
    declared: Declared,
    named: dict[str, Any],
    *,
    default: tuple[list[str], list[str]],
) -> Any:
    """Returns what sets the template of a class that takes over that of `tokenizer.json`.

    Without that file, `add_bos_token` and `add_eos_token` of the options stand for a template.
    """
    if TOKENIZER_JSON in files:
        stored = read_json(files).post_processor
        if stored is None:
            return make_template(*default)

        def finish(pipeline: Any) -> None:
            pipeline.post_processor = stored

        return finish
    sides = {side: declared.options.get(f"add_{side}_token") for side in ("bos", "eos")}
    if sides["bos"] is None and sides["eos"] is None:
        return make_template(*default)
    before, after = (
        [str(named[f"{side}_token"])] if given else [] for side, given in sides.items()
    )
    return make_template(before, after)


#: Options of the time before the tokenizers library: what has an effect there, by class.
_OF_OLD: dict[str, dict[str, tuple[Any, ...]]] = {
    "BertTokenizer": {"never_split": (None, []), "do_basic_tokenize": (None, True)},
    "AlbertTokenizer": {"remove_space": (None, True)},
}

#: Options of BERT, what they are by default, and their names in a `tokenizer.json`.
_BERT_RULES = {
    "do_lower_case": (True, "lowercase"),
    "strip_accents": (None, "strip_accents"),
    "tokenize_chinese_chars": (True, "handle_chinese_chars"),
}


def unused_options(class_name: str, files: TokenizerFiles) -> Iterator[str]:
    """Yields remarks on options without effect, here as in transformers 5.

    Args:
        class_name: the class that reads the files.
        files: the tokenizer files.
    """
    options = files.config()
    for name, harmless in _OF_OLD.get(class_name, {}).items():
        if (value := options.get(name)) not in harmless:
            yield f"{name}: {value!r} of {TOKENIZER_CONFIG} has no effect, as in transformers 5"
    if class_name != "BertTokenizer" or TOKENIZER_JSON not in files:
        return
    stored = files.json(TOKENIZER_JSON).get("normalizer")
    if not isinstance(stored, dict) or stored.get("type") != "BertNormalizer":
        return
    for name, (default, key) in _BERT_RULES.items():
        used = options.get(name, default)
        if key in stored and stored[key] != used:
            yield (
                f"{key} is {stored[key]!r} in {TOKENIZER_JSON}, but {name} is {used!r} in "
                f"{TOKENIZER_CONFIG} (or by default), which decides, as in transformers 5"
            )
