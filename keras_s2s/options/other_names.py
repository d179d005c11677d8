"""Names of options that transformers has and this package has not: what does the same here."""

from __future__ import annotations

_SPECIAL_IDS = (
    "special ids are those of the model: model.special_ids, and the argument special_ids of "
    "from_preset changes them"
)
_SOURCES = (
    "sources are the first argument: texts, or a mapping with encoder_token_ids and "
    "encoder_padding_mask"
)
_PREFIX = "what targets begin with is decoder_prefix"
_OUTPUT = "return_output=True returns texts, ids, scores and lengths"
_ASSISTED = (
    "there is no assisted (speculative) decoding by another model here; "
    "prompt_lookup_num_tokens drafts from the source"
)
_RUNS = "how decoding is cached and compiled is not an option here; leave it out"
_RULE = "no option does this; processors take a rule of your own (s2s.samplers.LogitsProcessor)"

#: The name in transformers: what does the same here, or why nothing does.
OTHER_NAMES: dict[str, str] = {
    **dict.fromkeys(
        [
            *("pad_token_id", "bos_token_id", "decoder_start_token_id"),
            *("pad_id", "bos_id"),
        ],
        _SPECIAL_IDS,
    ),
    "eos_id": "ids that end a result are eos_token_id",
    **dict.fromkeys(["inputs", "input_ids", "attention_mask", "inputs_embeds"], _SOURCES),
    **dict.fromkeys(["decoder_input_ids", "decoder_attention_mask"], _PREFIX),
    "encoder_outputs": "sources are encoded at each call; pass the sources",
    "labels": "log-probabilities of given targets are model.score(sources, targets)",
    "logits_processor": "rules of your own are processors=[...] (s2s.samplers.LogitsProcessor)",
    "sequence_bias": _RULE,
    "guidance_scale": _RULE,
    "watermarking_config": _RULE,
    "stopping_criteria": (
        "max_length, max_new_tokens, eos_token_id and stop_strings end a result, and processors "
        "can forbid all but EOS"
    ),
    "max_time": "time has no limit here; max_length and max_new_tokens limit the work",
    "streamer": "model.stream yields the text piece by piece",
    "generation_config": (
        "pass the options themselves as keywords; the model's own defaults are "
        "model.preset.generation"
    ),
    "return_dict_in_generate": _OUTPUT,
    "output_scores": _OUTPUT,
    "output_logits": "token_log_probs of return_output=True are the log-probabilities of the ids",
    "output_hidden_states": "hidden vectors are not returned; model.network computes them",
    "remove_invalid_values": "logits that are not finite are an error here; leave it out",
    "constraints": (
        "what results must have is force_words (texts), force_words_ids or glossary; "
        "decoder_prefix fixes what they begin with"
    ),
    "token_healing": "text is not healed at the end of a prefix here; leave it out",
    "top_h": "not built; top_p, min_p and typical_p cut the distribution in related ways",
    "dola_layers": "contrasting layers (DoLa) is not built",
    "custom_generate": "a strategy of your own is a subclass of Sampler: sampler=MyStrategy()",
    "negative_prompt_ids": "there is no guidance by a negative prompt here",
    "negative_prompt_attention_mask": "there is no guidance by a negative prompt here",
    **dict.fromkeys(
        [
            *("assistant_model", "is_assistant", "num_assistant_tokens", "use_mtp"),
            *("num_assistant_tokens_schedule", "assistant_confidence_threshold"),
            *("assistant_early_exit", "assistant_lookbehind", "target_lookbehind"),
            "assistant_ensemble_weight",
            *("speculation_type", "assistant_tokenizer", "tokenizer"),
        ],
        _ASSISTED,
    ),
    **dict.fromkeys(
        [
            *("use_cache", "cache_implementation", "cache_config", "max_cache_len"),
            *("compile_config", "disable_compile", "continuous_batching_config", "low_memory"),
            *("prefill_chunk_size", "synced_gpus", "return_legacy_cache", "past_key_values"),
        ],
        _RUNS,
    ),
}
