"""Runs a recipe: reads data, trains a model, keeps the best epoch and measures it."""

from __future__ import annotations

import json
import logging
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import keras
import numpy as np
import yaml

from keras_s2s.config import (
    GENERATION_MONITORS,
    ConfigError,
    DataConfig,
    ObjectiveConfig,
    RecipeConfig,
    SpecialIds,
)
from keras_s2s.data.batches import Batches
from keras_s2s.data.dates.splits import make_dates
from keras_s2s.data.lines import read_lines
from keras_s2s.data.model_limits import ModelLimits
from keras_s2s.data.objectives.objective import Objective
from keras_s2s.data.objectives.sentence_permutation import SentencePermutation
from keras_s2s.data.objectives.span_corruption import SpanCorruption
from keras_s2s.data.objectives.text_infilling import TextInfilling
from keras_s2s.data.pairs import read_pairs
from keras_s2s.layers.contracts import SOURCE_MASK
from keras_s2s.recipes.compiling import compile_by
from keras_s2s.recipes.interruption import Position, what_is_kept
from keras_s2s.recipes.run_folder import (
    ATTENTION_FILE,
    CURVE_FILE,
    RESULTS_FILE,
    RunFolder,
)
from keras_s2s.recipes.summary import print_summary
from keras_s2s.recipes.warm_start import warm_started
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text_metrics.corpus_metrics import check_metrics, corpus_metrics, first_hypotheses
from keras_s2s.text_metrics.target_language import target_language
from keras_s2s.training.callbacks import GenerationMetrics, ProgressBar, SaveBest, TimeLimit

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM

logger = logging.getLogger(__name__)

Pairs = list[tuple[str, str]]
#: A split: pairs, or texts where the recipe has an objective.
Examples = Pairs | list[str]


def run_recipe(
    recipe: RecipeConfig,
    directory: str | Path,
    *,
    make_model: Callable[..., Any],
    warm_start: Callable[..., Any] | None = None,
    results: TextIO | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Trains a model by a recipe, keeps the best epoch, and measures it on the test split.

    Args:
        recipe: the recipe.
        directory: becomes a preset folder, with `recipe.yaml`, `results.json` and, where
            matplotlib is installed, `learning_curve.png` and `attention.png` beside it.
        make_model: `Seq2SeqLM.from_preset`.
        warm_start: `Seq2SeqLM.from_encoder_decoder`, for recipes of an encoder and a decoder.
        results: where example texts and a summary are printed, as JSON unless this is a terminal;
            standard output by default.
        overwrite: replace a model that the folder holds already.

    Returns:
        what `results.json` holds: history, metrics, best epoch, seconds, versions.

    Raises:
        ConfigError: the folder holds a model, and `overwrite` is not set.
        OSError: the folder cannot be written. Both are found before anything is read.
        KeyboardInterrupt: its message says what was kept.
    """
    folder = RunFolder(Path(directory), overwrite=overwrite)
    try:
        return _run(recipe, folder, make_model, warm_start, results or sys.stdout)
    finally:
        folder.leave()


def _run(
    recipe: RecipeConfig,
    folder: RunFolder,
    make_model: Callable[..., Any],
    warm_start: Callable[..., Any] | None,
    results: TextIO,
) -> dict[str, Any]:
    directory = folder.directory
    training = recipe.training
    started = time.monotonic()
    has_plots = _has_matplotlib()
    if not has_plots:
        logger.warning("no pictures will be drawn: pip install matplotlib (keras_s2s[plot])")

    # Before hours of training: metrics that cannot be measured here are an error.
    check_metrics(recipe.metrics, bleu_tokenize=recipe.evaluation.bleu_tokenize)

    keras.utils.set_random_seed(training.seed)
    if training.dtype is not None:
        keras.config.set_dtype_policy(training.dtype)

    splits = load_splits(recipe.data, training.seed)
    train, validation = splits["train"], splits["validation"]
    what = "pairs" if recipe.data.objective is None else "texts"
    logger.info("%s", ", ".join(f"{name}: {len(split):,} {what}" for name, split in splits.items()))
    model = None
    if recipe.warm_start is not None:
        model = warm_started(recipe.warm_start, recipe, warm_start)
        preprocessor = model.preprocessor
    else:
        assert recipe.text is not None
        preprocessor = Preprocessor.train(train, recipe.text)
    options: dict[str, Any] = {
        "objective": make_objective(recipe.data.objective),
        "seed": training.seed,
        "batch_size": training.batch_size,
        "batch_unit": training.batch_unit,
        "max_source_length": recipe.data.max_source_length,
        "max_target_length": recipe.data.max_target_length,
        "overlong": recipe.data.overlong,
    }
    batches = Batches(
        train,
        preprocessor,
        num_buckets=training.num_buckets,
        **options,
    )
    logger.info("%s", batches.describe())
    checks = Batches(
        validation,
        preprocessor,
        num_buckets=min(2, training.num_buckets),
        shuffle=False,
        **options,
    )

    if model is None:
        model = make_model(
            recipe.model,
            load_weights=False,
            preprocessor=preprocessor,
            architecture=recipe.architecture,
            generation=recipe.generation,
        )
    # Now, and not after hours of training.
    limits = ModelLimits.of(model.preset.architecture, model.network.frontend)
    batches.check_limits(limits, "data.train")
    checks.check_limits(limits, "data.validation")
    generating: dict[str, Any] = {}
    tests = None
    if recipe.data.objective is not None:
        tests = Batches(splits["test"], preprocessor, num_buckets=2, shuffle=False, **options)
        tests.check_limits(limits, "data.test")
    elif recipe.data.overlong == "truncate":
        generating["overlong"] = "truncate"
    else:
        read = ["test", *(["validation"] if training.monitor in GENERATION_MONITORS else [])]
        for name in read:
            _check_sources(splits[name], preprocessor, limits, f"data.{name}")

    total_steps = len(batches) * training.epochs
    notes = compile_by(training, model, total_steps)
    logger.info(
        "%s: %s parameters, %d steps of %d epochs on %s",
        recipe.start,
        f"{model.count_params():,}",
        total_steps,
        training.epochs,
        keras.backend.backend(),
    )
    for note in notes:
        logger.info("%s", note)

    def save(trained: Seq2SeqLM) -> None:
        folder.save(trained.save_to_preset, _as_yaml(recipe))

    keeper, position = SaveBest(save, training.monitor), Position()
    callbacks: list[Any] = [position]
    if training.monitor in GENERATION_MONITORS:
        metric = GENERATION_MONITORS[training.monitor]
        bleu_tokenize = recipe.evaluation.bleu_tokenize if metric == "bleu" else None
        callbacks.append(
            GenerationMetrics(
                validation,
                [metric],
                tgt_lang=recipe.evaluation.tgt_lang,
                bleu_tokenize=bleu_tokenize,
                **generating,
            )
        )
    callbacks += [keeper, ProgressBar()]
    if training.max_minutes is not None:
        callbacks.append(TimeLimit(training.max_minutes))
    try:
        fitted = model.fit(
            batches,
            epochs=training.epochs,
            validation_data=checks,
            verbose=0,
            callbacks=callbacks,
        )
    except KeyboardInterrupt:
        message = what_is_kept(
            position,
            len(batches),
            directory,
            best_epoch=keeper.best_epoch,
            has_earlier_model=folder.has_earlier_model,
        )
        if keeper.best is None and position.has_begun and not folder.has_earlier_model:
            save(model)
        raise KeyboardInterrupt(message) from None
    if keeper.best is None:
        logger.warning("%s was never a number: the training diverged", training.monitor)
        save(model)
    history = {name: [float(v) for v in values] for name, values in fitted.history.items()}
    trained = time.monotonic()
    try:
        model = make_model(str(directory))  # the best epoch, as a user will load it
        if tests is None:
            metrics, samples = measure(model, splits["test"], recipe, **generating)
        else:
            metrics, samples = measure_objective(model, tests, recipe)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted while the model was measured; {directory} has it, without "
            f"{RESULTS_FILE} and pictures"
        ) from None
    report = {
        "recipe": recipe.description,
        "model": recipe.start,
        "parameters": model.count_params(),
        "training": notes,
        "backend": keras.backend.backend(),
        "versions": versions(),
        "best_epoch": (keeper.best_epoch or 0) + 1,
        "epochs": len(history["loss"]),
        "training_seconds": round(trained - started, 1),
        "seconds": round(time.monotonic() - started, 1),
        "test_pairs": len(splits["test"]),
        "metrics": metrics,
        "history": history,
    }
    for source, target, hypothesis in samples:
        mark = "=" if hypothesis == target else "≠"
        print(f"{source}\n  -> {hypothesis}\n  {mark}  {target}", file=results)
    texts = [source for source, _, _ in samples] if recipe.data.objective is None else []
    # Heatmaps are drawn for texts; an objective makes ids.
    pictures = _draw(model, history, texts, directory) if has_plots else []
    folder.write(RESULTS_FILE, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    print_summary(report, directory, pictures, texts[0] if texts else None, results)
    return report


# --------------------------------------------------------------------------------------
# Data
# --------------------------------------------------------------------------------------


def load_splits(data: DataConfig, seed: int) -> dict[str, Any]:
    """Reads the training, validation and test pairs of a recipe, or its texts for an objective.

    Raises:
        ConfigError: files are named but no folder, or validation or test is missing.
        DataError: files that cannot be used.
    """
    sizes = {
        "train_size": data.train_size,
        "validation_size": data.validation_size,
        "test_size": data.test_size,
    }
    if data.task == "dates":
        given: dict[str, Any] = {name: size for name, size in sizes.items() if size is not None}
        dates = make_dates(seed=seed, **given)
        logger.info("%s", dates.report)
        return {"train": dates.train, "validation": dates.validation, "test": dates.test}
    if data.dir is None:
        raise ConfigError(
            "data.dir: no folder is named; say where the files are: --set data.dir=FOLDER"
        )
    folder = Path(data.dir)
    if not folder.is_dir():
        raise ConfigError(f"data.dir: {folder} is not a folder")
    named = {"train": data.train, "validation": data.validation, "test": data.test}
    splits: dict[str, Examples] = {}
    for name, files in named.items():
        if files is None:
            raise ConfigError(
                f"data.{name}: required, but missing; a recipe needs all three splits"
            )
    for name, files in named.items():
        assert files is not None
        size = sizes[f"{name}_size"]
        if files.lines is not None:
            splits[name] = list(read_lines(folder / files.lines))[:size]
            continue
        paths: dict[str, Any] = {key: folder / path for key, path in files.paths.items()}
        splits[name] = list(read_pairs(**paths, **files.reading))[:size]
    return splits


def _check_sources(
    pairs: Pairs, preprocessor: Preprocessor, limits: ModelLimits, where: str
) -> None:
    """Raises an error for sources that the model could not generate from after the training."""
    if limits.source_positions is None:
        return
    lengths = [len(row) for row in preprocessor.encode_source([source for source, _ in pairs])]
    remedy = (
        "Shorten them, choose data.overlong=truncate, or give the model more positions "
        "(architecture.shared.embedding.max_positions)"
    )
    limits.check_lengths("source", lengths, where, remedy)


def make_objective(config: ObjectiveConfig | None) -> list[Objective] | None:
    """Returns the objectives of a recipe in the order in which they are applied."""
    if config is None:
        return None
    rules: list[Objective] = []
    if config.sentence_permutation is not None:
        rules.append(SentencePermutation())
    if config.span_corruption is not None:
        rules.append(SpanCorruption(**config.span_corruption.model_dump()))
    if config.text_infilling is not None:
        rules.append(TextInfilling(**config.text_infilling.model_dump()))
    return rules


# --------------------------------------------------------------------------------------
# Results
# --------------------------------------------------------------------------------------


def measure(
    model: Seq2SeqLM, pairs: Pairs, recipe: RecipeConfig, **generation_options: Any
) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """Returns metrics on `pairs`, and examples `(source, target, generated text)` from all over
    them.
    """
    sources = [source for source, _ in pairs]
    targets = [target for _, target in pairs]
    hypotheses = first_hypotheses(model.generate(sources, batch_size=64, **generation_options))
    metrics = corpus_metrics(
        hypotheses,
        targets,
        recipe.evaluation.metrics,
        tgt_lang=recipe.evaluation.tgt_lang or target_language(model.preprocessor),
        bleu_tokenize=(
            recipe.evaluation.bleu_tokenize if "bleu" in recipe.evaluation.metrics else None
        ),
    )
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
    preprocessor, frontend = model.preprocessor, model.network.frontend
    assert preprocessor is not None
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
            target, found = labels[row][weights[row] > 0], _up_to_eos(hypothesis, model.special_ids)
            shown = [
                preprocessor.target.decode(ids, skip_special_ids=False)
                for ids in (source, target, found)
            ]
            samples.append((shown[0], shown[1], shown[2]))
    return metrics, samples


def _up_to_eos(ids: np.ndarray, special_ids: SpecialIds) -> np.ndarray:
    """Returns generated ids with their EOS and without the padding after it."""
    ends = np.flatnonzero(ids == special_ids.target.eos)
    return ids[: ends[0] + 1] if len(ends) else ids


def _draw(model: Seq2SeqLM, history: Any, texts: list[str], directory: Path) -> list[Path]:
    """Draws learning curves and attention pictures, and returns the files written."""
    from keras_s2s.analysis.plots import attention_figure, plot_learning_curve

    pictures = [directory / CURVE_FILE]
    plot_learning_curve(history, pictures[0])
    decoder = model.preset.architecture.decoder
    attends = decoder.type == "transformer" or getattr(decoder, "attention", None) is not None
    if texts and attends:
        pictures.append(directory / ATTENTION_FILE)
        attention_figure(model, texts, pictures[1])
    return pictures


def versions() -> dict[str, str]:
    """Returns the versions of the libraries that a result depends on."""
    names = ("keras", "tensorflow", "jax", "torch", "numpy", "sentencepiece", "sacrebleu", "babel")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _has_matplotlib() -> bool:
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def _as_yaml(recipe: RecipeConfig) -> str:
    data = recipe.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
