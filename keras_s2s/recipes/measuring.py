"""Measures a trained model on the test split of its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_s2s.config import RecipeConfig
from keras_s2s.data.batches import Batches
from keras_s2s.decoding.requests.planning import end_ids
from keras_s2s.layers.contracts import SOURCE_MASK
from keras_s2s.recipes.data import Pairs
from keras_s2s.recipes.exposure import exposure_metrics
from keras_s2s.recipes.mixture import pairs_by_task
from keras_s2s.text_metrics.corpus_metrics import corpus_metrics, first_hypotheses
from keras_s2s.text_metrics.target_language import target_language

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM


def measure(
    model: Seq2SeqLM, pairs: Pairs, recipe: RecipeConfig, **generation_options: Any
) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """Returns metrics on `pairs`, and examples `(source, target, generated text)` from all over
    them.

    Those of several tasks are measured apart: `NAME_bleu`, ...
    """
    sources = [source for source, _ in pairs]
    targets = [target for _, target in pairs]
    hypotheses = first_hypotheses(model.generate(sources, batch_size=64, **generation_options))
    tasks = recipe.data.tasks or {}
    places = pairs_by_task(pairs, tasks) if tasks else {"": list(range(len(pairs)))}
    metrics: dict[str, Any] = {}
    for name, own in places.items():
        wanted = tasks[name].metrics if name in tasks else None
        wanted = recipe.evaluation.metrics if wanted is None else wanted
        values = corpus_metrics(
            [hypotheses[i] for i in own],
            [targets[i] for i in own],
            wanted,
            tgt_lang=recipe.evaluation.tgt_lang or target_language(model.preprocessor),
            bleu_tokenize=recipe.evaluation.bleu_tokenize if "bleu" in wanted else None,
        )
        metrics |= {f"{name}_{key}" if name else key: value for key, value in values.items()}
    metrics |= exposure_metrics(model, pairs, recipe)
    count = min(recipe.evaluation.samples, len(pairs))
    chosen = np.linspace(0, max(0, len(pairs) - 1), count).astype(int)
    return metrics, [(sources[i], targets[i], hypotheses[i]) for i in chosen]


def measure_objective(
    model: Seq2SeqLM, batches: Batches, recipe: RecipeConfig
) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """Returns loss and accuracy on texts with an objective, and examples `(source, target,
    generated text)`.

    The examples show special tokens, since sentinels and masks are part of the task.
    """
    metrics = {
        name: float(value)
        for name, value in model.evaluate(batches, verbose=0, return_dict=True).items()
    }
    metrics |= exposure_metrics(model, batches, recipe)
    preprocessor, frontend = model.preprocessor, model.network.frontend
    assert preprocessor is not None
    ends = end_ids(model.preset, {})
    samples: list[tuple[str, str, str]] = []
    for x, labels, weights in batches:
        source_ids = frontend.token_ids(x)
        assert source_ids is not None  # an objective makes sources of texts
        real = np.flatnonzero(weights[:, 0] > 0)[: recipe.evaluation.samples - len(samples)]
        if not len(real):
            break
        inputs = {name: x[name][real] for name in frontend.specs}
        hypotheses = np.asarray(model.generate(inputs))
        hypotheses = hypotheses[:, 0] if hypotheses.ndim == 3 else hypotheses  # the first
        for row, hypothesis in zip(real, hypotheses, strict=True):
            source = source_ids[row][x[SOURCE_MASK][row]]
            target, found = labels[row][weights[row] > 0], _up_to_end(hypothesis, ends)
            shown = [
                preprocessor.target.decode(ids, skip_special_ids=False)
                for ids in (source, target, found)
            ]
            samples.append((shown[0], shown[1], shown[2]))
    return metrics, samples


def _up_to_end(ids: np.ndarray, ends: Sequence[int]) -> np.ndarray:
    """Returns generated ids with the one that ends them and without the padding after it."""
    places = np.flatnonzero(np.isin(ids, ends))
    return ids[: places[0] + 1] if len(places) else ids
