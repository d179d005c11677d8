"""Runs a recipe: reads data, trains a model, keeps the best epoch and measures it."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import keras
import yaml

from keras_s2s.catalog import load_recipe
from keras_s2s.config import GENERATION_MONITORS, RecipeConfig
from keras_s2s.data.batches import Batches
from keras_s2s.data.checks.model_limits import ModelLimits
from keras_s2s.data.examples.sampled_pairs import check_sampling
from keras_s2s.recipes.checkpoints.averaging import LastEpochs
from keras_s2s.recipes.checkpoints.checkpointing import Checkpointing
from keras_s2s.recipes.checkpoints.identity import (
    check_same_run,
    data_fingerprint,
    environment_facts,
    recipe_facts,
    tokenizer_fingerprint,
)
from keras_s2s.recipes.checkpoints.resuming import find_checkpoint, fit_from, restore, started_with
from keras_s2s.recipes.compiling import compile_by, devices_of
from keras_s2s.recipes.data import check_sources, load_splits, make_objective
from keras_s2s.recipes.distillation import Lesson, distilled
from keras_s2s.recipes.interruption import how_to_go_on, what_is_kept
from keras_s2s.recipes.measuring import measure, measure_objective
from keras_s2s.recipes.processes import (
    FollowedFolder,
    check_agreement,
    follows,
    leader_first,
    quiet_where_it_follows,
    together,
    train_along,
)
from keras_s2s.recipes.progress import Progress, planned_epochs
from keras_s2s.recipes.records.metrics_log import MetricsLog
from keras_s2s.recipes.records.pictures import can_draw, draw
from keras_s2s.recipes.records.provenance import piece, run_facts, versions
from keras_s2s.recipes.records.run_folder import RECIPE_FILE, RESULTS_FILE, RunFolder, is_complete
from keras_s2s.recipes.records.summary import print_summary
from keras_s2s.recipes.records.tensorboard import check_tensorboard, tensorboard_callbacks
from keras_s2s.recipes.warm_start import in_languages, tuned, warm_started
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text_metrics.corpus_metrics import check_metrics
from keras_s2s.training.callbacks import (
    GenerationMetrics,
    Patience,
    ProgressBar,
    SaveBest,
    TimeLimit,
)
from keras_s2s.training.optimizers.moving_average import AverageIn

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM

logger = logging.getLogger(__name__)


def run_recipe(
    recipe: RecipeConfig,
    directory: str | Path,
    *,
    make_model: Callable[..., Any],
    warm_start: Callable[..., Any] | None = None,
    results: TextIO | None = None,
    overwrite: bool = False,
    resume: bool = False,
) -> dict[str, Any]:
    """Trains a model by a recipe, keeps the best epoch (or a mean of epochs, as the recipe says),
    and measures it on the test split.

    Args:
        recipe: the recipe.
        directory: becomes a preset folder, with `recipe.yaml`, `run.json`, `metrics.jsonl`,
            `results.json` and, where matplotlib is installed, `learning_curve.png` and
            `attention.png` beside it.
        make_model: `Seq2SeqLM.from_preset`.
        warm_start: `Seq2SeqLM.from_encoder_decoder`, for recipes of an encoder and a decoder.
        results: where example texts and a summary are printed, as JSON unless this is a terminal;
            standard output by default.
        overwrite: replace a model that the folder holds already, or an unfinished run.
        resume: go on with the run in the folder from its latest checkpoint: it ends with the same
            weights and figures as one that was never stopped. A run without a checkpoint starts
            at the beginning; one that has ended is left as it is.

    Returns:
        what `results.json` holds: history, metrics, best epoch, seconds, versions. Of several
        processes on PyTorch the first one returns it, and all others nothing, `{}`.

    Raises:
        ConfigError: the folder holds a model or an unfinished run, and neither `overwrite` nor
            `resume` is set; to resume, a run that was started with another recipe, backend or
            precision, with other data or another tokenizer.
        CheckpointError: to resume, no checkpoint can be read.
        OSError: the folder cannot be written. It is looked at before anything is read.
        KeyboardInterrupt: its message says what was kept.
    """
    kind = FollowedFolder if follows(recipe) else RunFolder
    keep = recipe.training.checkpoints.keep
    folder = kind(Path(directory), overwrite=overwrite, resume=resume, keep=keep)
    results = results or sys.stdout
    if resume and is_complete(folder.directory):
        return {} if follows(recipe) else _completed(recipe, folder.directory, results)
    try:
        with quiet_where_it_follows(recipe), devices_of(recipe):
            return _run(recipe, folder, make_model, warm_start, results, overwrite, resume)
    finally:
        folder.leave()


def _run(
    recipe: RecipeConfig,
    folder: RunFolder,
    make_model: Callable[..., Any],
    warm_start: Callable[..., Any] | None,
    results: TextIO,
    overwrite: bool,
    resume: bool,
) -> dict[str, Any]:
    directory = folder.directory
    training = recipe.training
    checkpoint = find_checkpoint(folder) if resume else None
    then = started_with(checkpoint)
    progress = Progress(then)
    has_plots = can_draw()
    if not has_plots:
        logger.warning("no pictures will be drawn: pip install matplotlib (keras_s2s[plot])")

    # Before hours of training: metrics that cannot be measured here are an error.
    check_metrics(recipe.metrics, bleu_tokenize=recipe.evaluation.bleu_tokenize)
    if training.tensorboard is not None:
        check_tensorboard(training.tensorboard)

    keras.utils.set_random_seed(training.seed)
    if training.dtype is not None:
        keras.config.set_dtype_policy(training.dtype)
    same: dict[str, Any] = {"recipe": recipe_facts(recipe), **environment_facts()}
    if checkpoint is not None:
        check_same_run(then, same, directory)  # before much is read

    splits = load_splits(recipe.data, training.seed)
    lesson: Lesson | None = None
    if recipe.distillation is not None:
        with leader_first(recipe):
            lesson = distilled(recipe, splits["train"], directory, make_model, overwrite=overwrite)
        splits["train"] = lesson.pairs
    train, validation = splits["train"], splits["validation"]
    what = "pairs" if recipe.data.objective is None else "texts"
    logger.info("%s", ", ".join(f"{name}: {len(split):,} {what}" for name, split in splits.items()))
    model = None
    if recipe.warm_start is not None:
        model = warm_started(recipe.warm_start, recipe, warm_start)
    elif recipe.is_tuned:
        model = tuned(recipe, make_model)
    if model is not None:
        in_languages(model, recipe.src_lang, recipe.tgt_lang)
        preprocessor = model.preprocessor
    elif lesson is not None and recipe.has_teacher_tokenizer:
        preprocessor = lesson.preprocessor
    else:
        assert recipe.text is not None
        preprocessor = Preprocessor.train(train, recipe.text)
    same |= {"data": data_fingerprint(splits), "tokenizer": tokenizer_fingerprint(preprocessor)}
    if checkpoint is not None:
        check_same_run(then, same, directory)
    options: dict[str, Any] = {
        "objective": make_objective(recipe.data.objective),
        "seed": training.seed,
        "batch_size": training.batch_size,
        "batch_unit": training.batch_unit,
        "max_source_length": recipe.data.max_source_length,
        "max_target_length": recipe.data.max_target_length,
        "overlong": recipe.data.overlong,
        "row_multiple": training.data_parallel,
    }
    if training.subword_sampling is not None:
        where = "training.subword_sampling"
        check_sampling(training.subword_sampling, preprocessor, where=where)
    batches = Batches(
        train,
        preprocessor,
        num_buckets=training.num_buckets,
        subword_sampling=training.subword_sampling,
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
            check_sources(splits[name], preprocessor, limits, f"data.{name}")

    epochs = planned_epochs(training, len(batches))
    total_steps = len(batches) * epochs
    notes = compile_by(training, model, total_steps)
    logger.info(
        "%s: %s parameters, %d steps of %d epochs on %s",
        recipe.start,
        f"{model.count_params():,}",
        total_steps,
        epochs,
        keras.backend.backend(),
    )
    for note in notes:
        logger.info("%s", note)

    check_agreement(same, progress)
    if follows(recipe):
        train_along(model, batches, progress, epochs, checkpoint)
        return {}

    def save(trained: Seq2SeqLM) -> None:
        folder.save(trained.save_to_preset, _as_yaml(recipe))

    keeper = SaveBest(save, training.monitor)
    callbacks: list[Any] = []
    if checkpoint is None:
        folder.begin()
    else:
        callbacks += restore(checkpoint, model, keeper, folder)
    pieces = [*then.get("pieces", []), piece(progress)]
    folder.describe(_as_yaml(recipe), run_facts(training.seed, pieces))
    moving = None if training.ema is None else AverageIn()
    if moving is not None:
        callbacks.append(moving)  # for all that follows, up to `moving.out`
    measured: GenerationMetrics | None = None
    if training.monitor in GENERATION_MONITORS:
        metric = GENERATION_MONITORS[training.monitor]
        bleu_tokenize = recipe.evaluation.bleu_tokenize if metric == "bleu" else None
        measured = GenerationMetrics(
            validation,
            [metric],
            tgt_lang=recipe.evaluation.tgt_lang,
            bleu_tokenize=bleu_tokenize,
            **generating,
        )
        callbacks.append(measured)
    board: list[Any] = []
    if training.tensorboard is not None:
        shown, board = tensorboard_callbacks(
            training.tensorboard, model, validation, directory, **generating
        )
        callbacks += shown
    bar = ProgressBar(
        epochs,
        first_epoch=progress.first_epoch,
        first_step=progress.first_step,
        seconds=progress.training_seconds,
    )
    callbacks.append(keeper)
    last_epochs = None
    if training.average is not None:
        directory_of_epochs = folder.checkpoints.directory / "epochs"
        last_epochs = LastEpochs(directory_of_epochs, training.average.last_checkpoints)
        callbacks.append(last_epochs)
    if moving is not None:
        callbacks.append(moving.out)
    log = MetricsLog(
        folder,
        progress,
        every=training.log_steps,
        steps=len(batches),
        size=then.get("metrics_size", 0),
        waiting=then.get("metrics_waiting"),
        signatures=lambda: {} if measured is None else measured.logged_signatures,
    )
    callbacks += [progress, log, bar, *board]
    if training.patience is not None:
        callbacks.append(Patience(keeper, training.patience))
    if training.max_minutes is not None:
        started = time.monotonic() - progress.training_seconds
        callbacks.append(TimeLimit(training.max_minutes, started))
    checkpointing = Checkpointing(
        folder.checkpoints,
        training.checkpoints,
        progress,
        lambda: {
            **same,
            "versions": versions(),
            "best": keeper.best,
            "best_epoch": keeper.best_epoch,
            "has_earlier_model": folder.has_earlier_model,
            "pieces": pieces,
            **log.facts(),
        },
        steps=len(batches),
        epochs=epochs,
    )
    callbacks += [checkpointing, *together()]
    try:
        if not then.get("is_finished"):
            fit_from(
                model,
                batches,
                progress,
                epochs,
                validation_data=checks,
                verbose=0,
                callbacks=callbacks,
            )
    except KeyboardInterrupt:
        message = what_is_kept(
            progress,
            len(batches),
            directory,
            best_epoch=keeper.best_epoch,
            has_earlier_model=folder.has_earlier_model,
        )
        if checkpointing.last is not None or checkpoint is not None:
            last = checkpointing.last or (progress.first_epoch, progress.first_step)
            message += f"; {how_to_go_on(*last)}"
        if keeper.best is None and progress.has_begun and not folder.has_earlier_model:
            save(model)
        raise KeyboardInterrupt(message) from None
    if keeper.best is None:
        logger.warning("%s was never a number: the training diverged", training.monitor)
        save(model)
    history = progress.history
    averaged: dict[str, Any] = {}
    if last_epochs is not None:
        averaged["epochs"] = last_epochs.average(model, len(history["loss"]))
        if averaged["epochs"]:
            measured = model.evaluate(checks, verbose=0, return_dict=True)
            averaged |= {f"val_{name}": float(value) for name, value in measured.items()}
            line = "the mean of epochs %s is saved: val_loss %.4g"
            logger.info(line, averaged["epochs"], averaged["val_loss"])
            save(model)
        else:
            logger.warning("there is no mean of epochs; the best epoch stays")
    training_seconds = progress.elapsed()
    try:
        model = make_model(str(directory))  # as a user will load it
        if tests is None:
            metrics, samples = measure(model, splits["test"], recipe, **generating)
        else:
            metrics, samples = measure_objective(model, tests, recipe)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted while the model was measured; {directory} has it, without "
            f"{RESULTS_FILE} and pictures; pass --resume to measure it"
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
        **({"average": averaged} if averaged else {}),
        **({} if lesson is None else {"distillation": lesson.report}),
        "training_seconds": round(training_seconds, 1),
        "seconds": round(progress.elapsed(), 1),
        "test_pairs": len(splits["test"]),
        "metrics": metrics,
        "history": history,
    }
    for source, target, hypothesis in samples:
        mark = "=" if hypothesis == target else "≠"
        print(f"{source}\n  -> {hypothesis}\n  {mark}  {target}", file=results)
    texts = [source for source, _, _ in samples] if recipe.data.objective is None else []
    # Heatmaps are drawn for texts; an objective makes ids.
    pictures = draw(model, history, texts, directory, **generating) if has_plots else []
    folder.write(RESULTS_FILE, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    folder.checkpoints.remove()
    print_summary(report, directory, pictures, texts[0] if texts else None, results)
    return report


def _completed(recipe: RecipeConfig, directory: Path, results: TextIO) -> dict[str, Any]:
    """Returns the results of a run that has ended, after a look at its recipe."""
    then = load_recipe(directory / RECIPE_FILE)
    check_same_run({"recipe": recipe_facts(then)}, {"recipe": recipe_facts(recipe)}, directory)
    report: dict[str, Any] = json.loads((directory / RESULTS_FILE).read_text(encoding="utf-8"))
    logger.info("%s is complete: there is nothing left to do", directory)
    print_summary(report, directory, [], None, results)
    return report


def _as_yaml(recipe: RecipeConfig) -> str:
    data = recipe.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
