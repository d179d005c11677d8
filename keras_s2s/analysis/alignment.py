"""Word alignment: links each target word to the source word that it attends to most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_s2s.text.languages import Language
from keras_s2s.text.truncation import Overlong, check_overlong

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM
    from keras_s2s.text.preprocessor import Preprocessor


class Alignment(NamedTuple):
    """The words of a sentence pair and the links between them.

    Attributes:
        source, target: the words, split at spaces.
        links: `(source position, target position)`, one for each target word, in target order.
    """

    source: list[str]
    target: list[str]
    links: list[tuple[int, int]]

    def __str__(self) -> str:
        """Returns the links in the usual Pharaoh format: `0-0 2-1 1-2`."""
        return " ".join(f"{source}-{target}" for source, target in self.links)


def word_alignment(
    model: Seq2SeqLM,
    source: str,
    target: str | None = None,
    *,
    src_lang: str | None = None,
    tgt_lang: str | None = None,
    **generation_options: Any,
) -> Alignment:
    """Links each target word to the source word that it attends to most.

    A word's attention is the sum over its tokens, in the decoder's top layer, averaged over its
    heads. This is a good alignment for recurrent decoders, which attend to the source word that
    they translate next [Bahdanau 2015, 5.2.1], and a rough one for deep Transformers.

    Args:
        model: a `Seq2SeqLM` with attention and a preprocessor.
        source: a source text.
        target: a target text; None takes what the model generates, the first text where the
            options ask for several.
        src_lang, tgt_lang: languages of a multilingual model; by default the model's own.
        **generation_options: to `generate`, where `target` is None; `overlong` in any case.

    Raises:
        ValueError: the model has no attention or no preprocessor, or a text is too long.

    Example:
        >>> str(word_alignment(model, "der schwarze Hund", "the black dog"))
        '...1-1 2-2'
    """
    source_ids, target_ids, attention = attended_ids(
        model, source, target, src_lang=src_lang, tgt_lang=tgt_lang, **generation_options
    )
    text = model.preprocessor
    assert text is not None
    source_words, source_places = words_of_ids(source_ids, text.decode_source)
    target_words, target_places = words_of_ids(target_ids, text.decode_target)
    links = []
    for place in range(len(target_words)):
        rows = attention[np.asarray(target_places) == place].sum(axis=0)
        weights = [
            rows[np.asarray(source_places) == word].sum() for word in range(len(source_words))
        ]
        if weights:
            links.append((int(np.argmax(weights)), place))
    return Alignment(source_words, target_words, links)


def attended_ids(
    model: Seq2SeqLM,
    source: str,
    target: str | None = None,
    *,
    src_lang: str | None = None,
    tgt_lang: str | None = None,
    overlong: Overlong = "error",
    **generation_options: Any,
) -> tuple[list[int], list[int], np.ndarray]:
    """Returns source ids (S), target ids (T) and the attention between them, float32 `[T, S]`.

    Args:
        model, source, target, src_lang, tgt_lang, generation_options: as in `word_alignment`.
        overlong: as in `Seq2SeqLM.generate`, of both texts.
    """
    text = _required(model)
    check_overlong(overlong)
    cuts = overlong == "truncate"
    if target is None:
        source_ids = text.encode_source(
            [source],
            src_lang,
            tgt_lang,
            max_length=model.network.max_source_length if cuts else None,
            overlong=overlong,
        )[0]
        # `generate` itself returns the attention of what it generated.
        told: dict[str, Any] = {
            "src_lang": src_lang,
            "tgt_lang": tgt_lang,
            "overlong": overlong if cuts else None,
        }
        told = {name: value for name, value in told.items() if value is not None}
        output = model.generate(
            [source], return_output=True, output_attentions=True, **told, **generation_options
        )
        # Of several hypotheses the first, which is the best one.
        first = (0,) * output.lengths.ndim
        length = int(output.lengths[first])
        target_ids = output.token_ids[first][:length].tolist()
        return source_ids, target_ids, output.attentions[first][:length, : len(source_ids)]
    return attention_of_texts(
        model, [source], [target], src_lang=src_lang, tgt_lang=tgt_lang, overlong=overlong
    )[0]


def attention_of_texts(
    model: Seq2SeqLM,
    sources: Sequence[str],
    targets: Sequence[str | Sequence[int]],
    *,
    src_lang: Language = None,
    tgt_lang: Language = None,
    overlong: Overlong = "error",
    **scoring_options: Any,
) -> list[tuple[list[int], list[int], np.ndarray]]:
    """Returns for each pair source ids (S), target ids (T) and the attention `[T, S]`.

    Args:
        model: a `Seq2SeqLM` with attention and a preprocessor.
        sources: the texts.
        targets: texts, or ids as `generate` returns them.
        src_lang, tgt_lang: of all texts, or of each; by default the model's own.
        overlong: as in `Seq2SeqLM.generate`, of both texts.
        **scoring_options: to `Seq2SeqLM.score`: `batch_size`.

    Raises:
        NoAttentionError: the decoder has no attention.
        ValueError: the model has no preprocessor, or a text is too long.
    """
    text = _required(model)
    check_overlong(overlong)
    cuts = overlong == "truncate"
    source_rows = text.encode_source(
        list(sources),
        src_lang,
        tgt_lang,
        max_length=model.network.max_source_length if cuts else None,
        overlong=overlong,
    )
    target_rows = [list(target) for target in targets if not isinstance(target, str)]
    texts = [i for i, target in enumerate(targets) if isinstance(target, str)]
    encoded = text.encode_target(
        [str(targets[i]) for i in texts],
        tgt_lang if tgt_lang is None or isinstance(tgt_lang, str) else [tgt_lang[i] for i in texts],
        max_length=model.network.max_target_length if cuts else None,
        overlong=overlong,
    )
    for i, row in zip(texts, encoded, strict=True):
        target_rows.insert(i, row)
    # Ids have their languages in them, except one that the decoder starts with.
    languages = text.special_ids.languages
    started = languages is not None and languages.target == "decoder_start"
    _, attention = model.score(
        source_rows,
        target_rows,
        tgt_lang=tgt_lang if started else None,
        return_attention=True,
        **scoring_options,
    )
    return list(zip(source_rows, target_rows, attention, strict=True))


def token_spans(
    ids: Sequence[int], decode: Callable[[list[list[int]]], list[str]]
) -> tuple[str, list[tuple[int, int]]]:
    """Returns the text of some ids, and the characters of it that each id adds, `(start, end)`.

    Args:
        ids: a source or target, special ids included; these add nothing.
        decode: of the preprocessor, for its side.

    Example:
        >>> ids = tokenizer.encode_batch(["he"])[0]
        >>> token_spans(ids, lambda rows: [tokenizer.decode(row) for row in rows])
        ('he', [(0, 1), (1, 2)])
    """
    return prefix_spans(decode([list(ids[: end + 1]) for end in range(len(ids))]))


def prefix_spans(prefixes: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Returns a text and its spans as `token_spans` does, from the texts of its first ids.

    Args:
        prefixes: the text of the first id, of the first two, and so on.

    Example:
        >>> prefix_spans(["h", "he"])
        ('he', [(0, 1), (1, 2)])
    """
    text = prefixes[-1] if prefixes else ""
    spans, before = [], 0
    for prefix in prefixes:
        # A token that is half of a character writes another one until the other half follows.
        agreed = _common_length(prefix, text)
        after = max(before, agreed)
        spans.append((before, after))
        before = after
    return text, spans


def _common_length(first: str, second: str) -> int:
    """Returns the number of characters with which both texts begin."""
    if second.startswith(first):
        return len(first)
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))


def _required(model: Seq2SeqLM) -> Preprocessor:
    frontend = model.network.frontend
    if not frontend.reads_text:
        raise ValueError(
            f"the sources of this model are feature vectors ({frontend.input.name}), which have no "
            "tokens to align; model.generate(..., return_output=True, output_attentions=True) and "
            "model.score(..., return_attention=True) return the attention itself"
        )
    if model.preprocessor is None:
        raise ValueError("the model has no preprocessor, so there are no tokens to align")
    return model.preprocessor


def words_of_ids(
    ids: Sequence[int], decode: Callable[[list[list[int]]], list[str]]
) -> tuple[list[str], list[int]]:
    """Returns the words of a text, and for each of its ids the word it belongs to; -1 for none.

    Args:
        ids: a source or target, special ids included.
        decode: of the preprocessor, for its side.

    Example:
        >>> ids = tokenizer.encode_batch(["he"])[0]
        >>> words_of_ids(ids, lambda rows: [tokenizer.decode(row) for row in rows])
        (['he'], [0, 0])
    """
    prefixes = decode([list(ids[: end + 1]) for end in range(len(ids))])
    places, before = [], ""
    for prefix in prefixes:
        # What adds nothing to the text but space (EOS, say) belongs to no word.
        written = prefix.rstrip()
        places.append(len(written.split()) - 1 if written != before else -1)
        before = written
    return (prefixes[-1].split() if prefixes else []), places
