"""Makes results follow a regular expression, a JSON schema or a grammar, and checks their texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_s2s.decoding.model_parts import ModelParts
from keras_s2s.options.generation import OPTIONS
from keras_s2s.samplers.grammar import FollowsGrammar
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processors import LogitsProcessor
from keras_s2s.text.grammar_tokens import GrammarTokens, compiled_grammar
from keras_s2s.text.preprocessor import Preprocessor

#: Options that say which texts results may be.
GRAMMARS = ("regex", "json_schema", "grammar")


def asked_grammar(options: Mapping[str, Any]) -> str | None:
    """Returns which of `GRAMMARS` a call has; None where it has none.

    Args:
        options: those of the call.

    Raises:
        ValueError: it has several.
    """
    asked = [name for name in GRAMMARS if options.get(name) is not None]
    if len(asked) > 1:
        raise ValueError(f"{' and '.join(asked)} both say what results are; pass one of them")
    return asked[0] if asked else None


def grammar_rule(
    parts: ModelParts, options: Mapping[str, Any], ends: Sequence[int]
) -> tuple[LogitsProcessor, ...]:
    """Returns the rule that results follow a grammar; () where a call asks for none.

    Args:
        parts: of the model.
        options: those of the call.
        ends: ids that end a result.

    Raises:
        ValueError: the option's value is no grammar, or the model has no preprocessor.
        ImportError: llguidance is not installed.
    """
    name = asked_grammar(options)
    if name is None:
        return ()
    value = OPTIONS[name].check(options[name])
    tokenizer = parts.require_text_output(f"{name} is about text").target
    vocabulary = parts.preset.architecture.target_vocab_size
    try:
        acceptor = GrammarTokens(compiled_grammar(name, value), tokenizer, vocabulary, ends)
    except ValueError as error:
        raise ValueError(f"{name}={options[name]!r}: {error}") from None
    return (FollowsGrammar(acceptor.digest, acceptor),)


def refuse_with_shortlist(options: Mapping[str, Any]) -> None:
    """Raises an error for a call with a shortlist that asks for a grammar, too."""
    if name := asked_grammar(options):
        raise ValueError(
            f"{name} and shortlist exclude each other: a shortlist has the ids that translations "
            f"of the source may need, and {name} may need any others; leave {name} out, or pass "
            "shortlist=False"
        )


def check_texts(
    plan: Plan,
    preprocessor: Preprocessor,
    rows: Iterable[tuple[int, Sequence[int], int, int]],
) -> None:
    """Checks that the texts of results are what the plan's grammar allows.

    The grammar is kept to by what each id writes after a word. Some tokenizers then change spaces
    by rules of their own, by what stands around them (`tidy_spaces`).

    Args:
        plan: of the results.
        preprocessor: ids -> text.
        rows: for each result the number of its source, its ids, how many of them are its prefix,
            and the most that there could be. Results that were cut are not checked.

    Raises:
        ValueError: a text is none of the grammar.
    """
    rules = [rule for rule in plan.processors if isinstance(rule, FollowsGrammar)]
    if not rules:
        return
    ended = [
        (place, list(ids), prefix)
        for place, ids, prefix, limit in rows
        if prefix < len(ids) < limit and ids[-1] in plan.ends
    ]
    whole = preprocessor.decode_target([ids[:-1] for _, ids, _ in ended])
    before = preprocessor.decode_target([ids[:prefix] for _, ids, prefix in ended])
    for (place, _, _), text, begin in zip(ended, whole, before, strict=True):
        own = text.removeprefix(begin)
        if not all(rule.acceptor.matches(own) for rule in rules):
            raise ValueError(
                f"source {place}: the result {own!r} does not match what was asked for (regex, "
                "json_schema or grammar). Its ids do, but this model's tokenizer changes spaces "
                "around them (clean_up_tokenization_spaces in its tokenizer_config.json): set that "
                "to false, or ask for texts without spaces beside punctuation and apostrophes"
            )


def result_rows(
    places: Sequence[int], token_ids: np.ndarray, lengths: np.ndarray
) -> list[tuple[int, list[int]]]:
    """Returns the number of the source and the ids of each result: of `[B, T]` or `[B, N, T]`."""
    if token_ids.ndim == 2:
        token_ids, lengths = token_ids[:, None], lengths[:, None]
    return [
        (i, ids[:length].tolist())
        for i, several, counts in zip(places, token_ids, lengths, strict=True)
        for ids, length in zip(several, counts, strict=True)
    ]
