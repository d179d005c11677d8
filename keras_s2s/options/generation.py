"""The table of generation options.

`GenerationConfig`, the strategies' defaults and checks, the rules, `keras-s2s generate` and
`evaluate`, the docstring of `generate` and the table in `docs/generation.md` are made from it.
To add an option, add a line here, and the code that it configures: an argument of a strategy, or a
rule (a `LogitsProcessor`) that takes the value.
"""

from __future__ import annotations

from typing import Any

from keras_s2s.options.forced_kinds import (
    ForcedIds,
    ForcedTexts,
    Glossary,
    Pattern,
    Schema,
    ShortlistFile,
)
from keras_s2s.options.kinds import (
    Choice,
    EndIds,
    Function,
    Kind,
    Real,
    Rules,
    Seed,
    StartAndFactor,
    Switch,
    Text,
    Texts,
    TokenId,
    TokenIds,
    TokenLists,
    Whole,
)
from keras_s2s.options.option import GenerationOption
from keras_s2s.options.strategies import STRATEGIES, WITH_BEAMS, WITH_DRAWS, WITH_SEVERAL

#: Each beam is a row of every cache: more than any search uses, fewer than fill the memory.
_ROWS = Whole(1, 2**14)

#: Ids of a draft, or of what is looked for.
_DRAFTED = Whole(1, 2**10)


def _table() -> tuple[GenerationOption, ...]:
    """Returns all options; rules in the order in which they are applied, which is transformers'."""

    def same(name: str, kind: Kind, meaning: str, default: Any = None, **more: Any) -> Any:
        return GenerationOption(name, kind, meaning, default, huggingface=name, **more)

    def own(name: str, kind: Kind, meaning: str, default: Any = None, **more: Any) -> Any:
        return GenerationOption(name, kind, meaning, default, **more)

    return (
        own(
            "sampler",
            Choice(tuple(STRATEGIES)),
            "the strategy; without it num_beams, do_sample and num_beam_groups choose",
            detail="A `samplers.Sampler` or a name: " + ", ".join(STRATEGIES) + ".",
        ),
        # Limits
        same(
            "max_length",
            Whole(2),
            "most ids of a result, the decoder start and a prefix counted",
            128,
        ),
        same(
            "max_new_tokens",
            Whole(1),
            "most ids of a result after the decoder start and its own prefix",
            configured=False,
        ),
        own(
            "max_length_ratio",
            Real("must be above 0", above=0),
            "most ids of a result after its prefix, as a multiple of those of its source; "
            "max_length is a limit all the same",
        ),
        same(
            "eos_token_id",
            EndIds(),
            "ids that end a result; by default EOS of the model's special ids",
            detail="They take its place: leave EOS out, and it ends no result. Texts are cut at it "
            "all the same.",
        ),
        same(
            "stop_strings",
            Texts(),
            "a result ends once its text has one of these",
            detail="They may lie across ids; what else the last id writes stays.",
        ),
        # Strategies
        same(
            "num_beams",
            _ROWS,
            "hypotheses kept by a beam search",
            1,
            strategies=WITH_BEAMS,
            chooses=True,
        ),
        same(
            "do_sample", Switch(), "draw ids instead of taking the likeliest", False, chooses=True
        ),
        same(
            "num_beam_groups",
            Whole(1),
            "groups of beams that differ from each other",
            1,
            strategies=("diverse_beam",),
            chooses=True,
        ),
        same(
            "diversity_penalty",
            Real("must be at least 0", least=0),
            "subtracted from an id's score for each beam of an earlier group that chose it at "
            "this step",
            1.0,
            strategies=("diverse_beam",),
            nullable=True,  # earlier presets say `null`
        ),
        same(
            "length_penalty",
            Real("must be a finite number"),
            "scores are divided by length to this power; above 0 favours longer results",
            1.0,
            strategies=WITH_BEAMS,
        ),
        own(
            "length_normalization",
            Choice(("power", "gnmt")),
            "what scores are divided by: length to the power of length_penalty, or "
            "((5 + length) / 6) to it, as in Wu et al. 2016",
            "power",
            strategies=WITH_BEAMS,
        ),
        own(
            "coverage_penalty",
            Real("must be at least 0; 0 is off", least=0),
            "scores of finished hypotheses lose this much for what they attend to too little: "
            "times the sum over the source of log(min(attention, 1)), as in Wu et al. 2016",
            0.0,
            strategies=WITH_BEAMS,
        ),
        same(
            "early_stopping",
            Switch(("never", "shrink")),
            "stop when num_beams hypotheses have ended (True), when no other is likely to be "
            "better (False), or when none can be ('never'); 'shrink' searches on with one beam "
            "less for each that has ended, as Marian does",
            False,
            strategies=WITH_BEAMS,
        ),
        same(
            "num_return_sequences",
            _ROWS,
            "results for each source, best first",
            1,
            strategies=WITH_SEVERAL,
        ),
        same(
            "temperature",
            Real("must be above 0; near 0 draws become greedy search", above=0),
            "scores are divided by it before a draw: below 1 favours likely ids more, above 1 less",
            1.0,
            strategies=WITH_DRAWS,
        ),
        same(
            "top_k",
            Whole(0),
            "draw from this many of the likeliest ids only, 0 draws from all; in contrastive "
            "search, the number of candidates",
            strategies=(*WITH_DRAWS, "contrastive"),
        ),
        same(
            "top_p",
            Real("must lie above 0 and be at most 1", above=0, most=1),
            "draw only from the likeliest ids whose probabilities add up to this",
            strategies=WITH_DRAWS,
        ),
        same(
            "min_p",
            Real("must lie between 0 and 1", least=0, most=1),
            "leave out ids whose probability is below this fraction of the likeliest id's",
            strategies=WITH_DRAWS,
        ),
        same(
            "typical_p",
            Real("must lie above 0 and be at most 1", above=0, most=1),
            "draw only from the most typical ids whose probabilities add up to this: those whose "
            "log-probability is nearest to its expectation",
            strategies=WITH_DRAWS,
        ),
        same(
            "epsilon_cutoff",
            Real("must be at least 0 and below 1; 0 is off", least=0, below=1),
            "leave out ids whose probability is below this",
            strategies=WITH_DRAWS,
        ),
        same(
            "eta_cutoff",
            Real("must be at least 0 and below 1; 0 is off", least=0, below=1),
            "leave out ids whose probability is below this, or, where the distribution is flat, "
            "below its square root times exp(-entropy)",
            strategies=WITH_DRAWS,
        ),
        same(
            "prompt_lookup_num_tokens",
            _DRAFTED,
            "most ids that are drafted from the source at a step; results are those of greedy "
            "search, sooner where they copy their source",
            strategies=("prompt_lookup",),
            chooses=True,
            configured=False,
        ),
        same(
            "max_matching_ngram_size",
            _DRAFTED,
            "most ids at the end of a result that are looked for in the source, for a draft",
            2,
            strategies=("prompt_lookup",),
            configured=False,
        ),
        own(
            "penalty_alpha",
            Real("must lie between 0 and 1", least=0, most=1),
            "weight of the similarity to earlier hidden vectors, against the probability of an id",
            0.6,
            strategies=("contrastive",),
        ),
        own(
            "seed",
            Seed(),
            "seed of the draws: one for the call, or one for each source; without it, each call "
            "gives other results",
            configured=False,
        ),
        # Rules
        same(
            "encoder_repetition_penalty",
            Real("must be above 0; 1.0 changes nothing", above=0),
            "above 1, ids of the source become likelier",
            1.0,
            rule="EncoderRepetitionPenalty",
        ),
        same(
            "repetition_penalty",
            Real("must be above 0; 1.0 changes nothing", above=0),
            "above 1, ids that the result already has become less likely",
            1.0,
            rule="RepetitionPenalty",
        ),
        same(
            "no_repeat_ngram_size",
            Whole(0),
            "no sequence of this many ids occurs twice in a result; 0 is off",
            0,
            rule="NoRepeatNgram",
        ),
        same(
            "encoder_no_repeat_ngram_size",
            Whole(0),
            "no sequence of this many ids of the source occurs in its result; 0 is off",
            0,
            rule="EncoderNoRepeatNgram",
        ),
        same(
            "bad_words_ids",
            TokenLists(),
            "sequences of ids that a result must not have",
            rule="BadWords",
        ),
        same(
            "min_length",
            Whole(0),
            "least ids of a result, the decoder start and a prefix counted",
            0,
            rule="MinLength",
        ),
        same(
            "min_new_tokens",
            Whole(0),
            "least ids of a result after its prefix; replaces min_length where both are given",
            0,
            rule="MinNewTokens",
        ),
        own(
            "min_length_ratio",
            Real("must be at least 0; 0 is off", least=0),
            "least ids of a result after its prefix, as a multiple of those of its source, EOS and "
            "other special ids counted",
            0.0,
            rule="MinLengthRatio",
        ),
        same(
            "prefix_allowed_tokens_fn",
            Function(),
            "called with the number of a source and its ids so far; returns the ids allowed next",
            rule="AllowedTokens",
            configured=False,
        ),
        same(
            "forced_bos_token_id",
            TokenId(),
            "the first id of each result; by default as the model's special ids say",
            rule="ForcedBos",
            configured=False,
        ),
        same(
            "forced_eos_token_id",
            TokenId(),
            "the last id of a result that reaches its maximum length; by default as the model's "
            "special ids say",
            rule="ForcedEos",
            configured=False,
        ),
        same(
            "exponential_decay_length_penalty",
            StartAndFactor(),
            "(start, factor): after `start` ids EOS becomes likelier by `factor` at each "
            "further one",
            rule="ExponentialDecayLengthPenalty",
        ),
        same("suppress_tokens", TokenIds(), "ids that no result has", rule="Suppress"),
        same(
            "begin_suppress_tokens",
            TokenIds(),
            "ids that no result begins with",
            rule="BeginSuppress",
        ),
        same(
            "renormalize_logits",
            Switch(),
            "probabilities are normalised again after the rules, so that they add up to 1",
            False,
            rule="Renormalize",
        ),
        GenerationOption(
            "decoder_prefix",
            Text(),
            "what each result begins with",
            configured=False,
            detail="A text for a text, or one for each source; for ids a list of ids for each. "
            "They may differ in length or be empty. A text goes on from its target language; ids "
            "are used as they are.",
            huggingface="decoder_input_ids",
        ),
        same(
            "force_words_ids",
            ForcedIds(),
            "sequences of ids that a result must have",
            forces=True,
            configured=False,
            detail="Each is a list of ids, or a list of such lists of which one must occur. A "
            "mapping from numbers of sources, from 0, has them for each.",
        ),
        own(
            "force_words",
            ForcedTexts(),
            "texts that a result must have",
            forces=True,
            configured=False,
            detail="Each is a text, or a list of texts of which one must occur. A mapping from "
            "numbers of sources, from 0, has them for each.",
        ),
        own(
            "glossary",
            Glossary(),
            "terms of sources and what results must have for them",
            forces=True,
            configured=False,
            detail="A file of pairs (TSV, CSV or JSON), a mapping, or pairs; of several targets of "
            "a term one must occur.",
        ),
        own(
            "shortlist",
            ShortlistFile(),
            "candidates for the ids of results, by the ids of their sources",
            configured=False,
            detail="A shortlist file of Marian or CTranslate2, or what `learn_shortlist` returned; "
            "True takes the one that lay beside a model of Marian. Log-probabilities and scores "
            "are over the candidates, those of `score` over all ids.",
        ),
        own(
            "regex",
            Pattern(),
            "a regular expression that results match, from beginning to end",
            configured=False,
            detail="It is for what follows a prefix. Needs the extra `grammar` (llguidance).",
        ),
        own(
            "json_schema",
            Schema(),
            "a JSON schema that results obey, which are written without blanks",
            configured=False,
            detail="As `regex`.",
        ),
        own(
            "grammar",
            Pattern(),
            "a grammar of results in llguidance's form of Lark",
            configured=False,
            detail="As `regex`.",
        ),
        GenerationOption(
            "processors",
            Rules(),
            "rules of your own, which are applied after the others",
            configured=False,
            huggingface="logits_processor",
        ),
    )


#: Every option by its name.
OPTIONS: dict[str, GenerationOption] = {option.name: option for option in _table()}


def checked(name: str, value: Any) -> Any:
    """Returns the value of an option in its usual type.

    Raises:
        ValueError: the option does not take it.

    Example:
        >>> checked("num_beams", 4)
        4
    """
    return OPTIONS[name].check(value)


class Defaults:
    """Defaults by their names, as attributes.

    Example:
        >>> Defaults().length_penalty
        1.0
    """

    def __getattr__(self, name: str) -> Any:
        if name not in OPTIONS:
            raise AttributeError(f"there is no generation option {name!r}")
        return OPTIONS[name].default


DEFAULTS = Defaults()
