"""What an export is verified with: sample sources, and the model's own results for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_s2s.decoding.model_parts import ModelParts
from keras_s2s.export.saved_model.certificate import Verification
from keras_s2s.export.saved_model.generate_signatures import least_length
from keras_s2s.layers.contracts import SOURCE_MASK
from keras_s2s.samplers.output import GenerationOutput
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.sampler import Sampler

COUNT = 6
#: Most ids of a sample that is made here.
LONGEST = 12
#: Most ids of a result that is compared, the decoder start counted, unless rules ask for more.
MAX_LENGTH = 64


def verification_of(
    parts: ModelParts,
    sampler: Sampler,
    plan: Plan,
    generate: Callable[..., GenerationOutput],
    *,
    samples: Sequence[str] | None = None,
    as_text: bool = True,
) -> Verification:
    """Makes the samples that an export is verified with, and the model's results for them.

    Args:
        parts: of the model.
        sampler, plan: of the export.
        generate: `model.generate`, with the options of the export but for its limits.
        samples: texts; None makes some.
        as_text: the export has the tokenizers.

    Raises:
        ValueError: samples that the model cannot read.
    """
    from_text = as_text and parts.network.frontend.reads_text
    if samples is not None:
        if not from_text or isinstance(samples, str) or not samples:
            raise ValueError(
                f"samples={samples!r} must be a list of texts, for an export that reads texts"
            )
        sources: Any = list(samples)
    else:
        sources = sample_sources(parts, as_text=from_text)
    least = max([0, *(least_length(rule) for rule in plan.processors)])
    # A model that does not know what a sample means may go on to the end.
    most = plan.steps + 1
    max_length = most if least > MAX_LENGTH else min(most, MAX_LENGTH)

    def answers(sources: Any, seeds: Sequence[int] | None) -> GenerationOutput:
        output = generate(sources, max_length=max_length, return_output=True, seed=seeds)
        return output if as_text else replace(output, texts=None)

    dtype = str(parts.network.encoder.compute_dtype)
    return Verification(sources, answers, sampler.draws, dtype, max_length)


def sample_sources(parts: ModelParts, *, as_text: bool, seed: int = 0) -> Any:
    """Returns sources of different lengths, made of the model's own vocabulary.

    Args:
        parts: of the model.
        as_text: texts, where the model reads texts; else the inputs of its frontend.
        seed: of the random numbers.

    Returns:
        a list of texts, or a mapping with padded inputs.
    """
    frontend = parts.network.frontend
    rng = np.random.default_rng(seed)
    longest = min(LONGEST, parts.network.max_source_length or LONGEST)
    lengths = np.unique(np.linspace(1, longest, COUNT).astype(int))
    if not frontend.reads_text:
        shape = frontend.input.shape
        rows = [rng.normal(size=(n, *shape)).astype("float32") for n in lengths]
        return _padded(rows, frontend.input.name, 0)
    size = parts.preset.architecture.source_vocab_size
    assert size is not None
    ids = [rng.integers(size, size=n).tolist() for n in lengths]
    if not as_text:
        rows = [np.asarray(row, "int32") for row in ids]
        return _padded(rows, frontend.input.name, parts.special_ids.source.pad)
    texts = [text[:200] for text in parts.require_preprocessor().decode_source(ids)]
    # Ids may stand for no text.
    return usable(parts, [*dict.fromkeys([*texts, "1, 2."])])


def usable(parts: ModelParts, texts: Sequence[str]) -> list[str]:
    """Returns the texts that the model can read: not empty, and not too long."""
    limit = parts.network.max_source_length
    rows = parts.require_preprocessor().encode_source(list(texts))
    return [
        text
        for text, row in zip(texts, rows, strict=True)
        if row and (limit is None or len(row) <= limit)
    ]


def _padded(rows: Sequence[np.ndarray], name: str, pad: float) -> dict[str, np.ndarray]:
    longest = max(map(len, rows))
    values = np.full((len(rows), longest, *rows[0].shape[1:]), pad, rows[0].dtype)
    mask = np.zeros((len(rows), longest), bool)
    for i, row in enumerate(rows):
        values[i, : len(row)], mask[i, : len(row)] = row, True
    return {name: values, SOURCE_MASK: mask}
