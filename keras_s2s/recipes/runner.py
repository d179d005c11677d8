"""Runs a recipe: reads data, trains a model, keeps the best epoch and measures it.

`_Run.run` has the phases in their order. What a recipe may say is `config/recipe.py`; the callbacks
that save, log and stop are put together in `run_callbacks.py`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import keras
import yaml

from keras_s2s.catalog import load_recipe
from keras_s2s.config import RecipeConfig
from keras_s2s.recipes.checkpoints.identity import (
    check_same_run,
    data_fingerprint,
    environment_facts,
    recipe_facts,
    tokenizer_fingerprint,
)
from keras_s2s.recipes.checkpoints.resuming import find_checkpoint, fit_from, restore, started_with
from keras_s2s.recipes.compiling import compile_by, devices_of
from keras_s2s.recipes.data import load_splits
from keras_s2s.recipes.distillation import Lesson, distilled
from keras_s2s.recipes.interruption import how_to_go_on, what_is_kept
from keras_s2s.recipes.measuring import measure, measure_objective
from keras_s2s.recipes.processes import (
    FollowedFolder,
    check_agreement,
    follows,
    leader_first,
    quiet_where_it_follows,
    train_along,
)
from keras_s2s.recipes.progress import Progress, planned_epochs
from keras_s2s.recipes.records.pictures import can_draw, draw
from keras_s2s.recipes.records.provenance import piece, run_facts, versions
from keras_s2s.recipes.records.run_folder import RECIPE_FILE, RESULTS_FILE, RunFolder, is_complete
from keras_s2s.recipes.records.summary import print_summary
from keras_s2s.recipes.records.tensorboard import check_tensorboard
from keras_s2s.recipes.run_callbacks import RunCallbacks, run_callbacks
from keras_s2s.recipes.run_data import RunData, check_limits, make_batches
from keras_s2s.recipes.warm_start import in_languages, tuned, warm_started
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text_metrics.corpus_metrics import check_metrics
from keras_s2s.training.callbacks import SaveBest

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
            run = _Run(
                recipe,
                folder,
                make_model,
                warm_start,
                results,
                overwrite=overwrite,
                resume=resume,
            )
            return run.run()
    finally:
        folder.leave()


class _Run:
    """One run of a recipe; each method is a phase of it, in the order in which they come.

    Args:
        recipe, make_model, warm_start, results, overwrite: as of `run_recipe`.
        folder: of the run.
        resume: go on from the folder's latest checkpoint.
    """

    def __init__(
        self,
        recipe: RecipeConfig,
        folder: RunFolder,
        make_model: Callable[..., Any],
        warm_start: Callable[..., Any] | None,
        results: TextIO,
        *,
        overwrite: bool,
        resume: bool,
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.make_model = make_model
        self.warm_start = warm_start
        self.results = results
        self.overwrite = overwrite
        self.checkpoint = find_checkpoint(folder) if resume else None
        self.then = started_with(self.checkpoint)
        self.progress = Progress(self.then)
        self.has_plots = can_draw()
        #: What makes two runs the same one.
        self.same: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """Returns what `results.json` holds; see `run_recipe`."""
        recipe, progress = self.recipe, self.progress
        self._check_measures()
        self._set_up()
        splits, lesson = self._read()
        model, preprocessor = self._pretrained(splits["train"], lesson)
        self._check_same(
            data=data_fingerprint(splits), tokenizer=tokenizer_fingerprint(preprocessor)
        )
        data = make_batches(recipe, splits, preprocessor)
        if model is None:
            model = self._new_model(preprocessor)
        check_limits(recipe, model, data)
        epochs = planned_epochs(recipe.training, len(data.train))
        notes = self._compile(model, len(data.train), epochs)
        check_agreement(self.same, progress)
        if follows(recipe):
            train_along(model, data.train, progress, epochs, self.checkpoint)
            return {}
        callbacks = self._begin(model, data, epochs)
        self._train(model, data, epochs, callbacks)
        averaged = self._average(model, data, callbacks)
        seconds = progress.elapsed()
        model, metrics, samples = self._measure(data)
        report = {
            "recipe": recipe.description,
            "model": recipe.start,
            "parameters": model.count_params(),
            "training": notes,
            "backend": keras.backend.backend(),
            "versions": versions(),
            "best_epoch": (callbacks.keeper.best_epoch or 0) + 1,
            "epochs": len(progress.history["loss"]),
            **({"average": averaged} if averaged else {}),
            **({} if lesson is None else {"distillation": lesson.report}),
            "training_seconds": round(seconds, 1),
            "seconds": round(progress.elapsed(), 1),
            "test_pairs": len(splits["test"]),
            "metrics": metrics,
            "history": progress.history,
        }
        self._write(model, data, report, samples)
        return report

    # ------------------------------------------------------------------ before training

    def _check_measures(self) -> None:
        """Checks, before hours of training, that what the recipe asks for can be measured here."""
        recipe = self.recipe
        if not self.has_plots:
            logger.warning("no pictures will be drawn: pip install matplotlib (keras_s2s[plot])")
        check_metrics(recipe.metrics, bleu_tokenize=recipe.evaluation.bleu_tokenize)
        if recipe.training.tensorboard is not None:
            check_tensorboard(recipe.training.tensorboard)

    def _set_up(self) -> None:
        """Sets seed and precision; a run that goes on must have the same recipe and backend."""
        training = self.recipe.training
        keras.utils.set_random_seed(training.seed)
        if training.dtype is not None:
            keras.config.set_dtype_policy(training.dtype)
        self._check_same(recipe=recipe_facts(self.recipe), **environment_facts())

    def _check_same(self, **facts: Any) -> None:
        """Adds facts about this run, which those of the checkpoint must equal."""
        self.same |= facts
        if self.checkpoint is not None:
            check_same_run(self.then, self.same, self.folder.directory)

    def _read(self) -> tuple[dict[str, Any], Lesson | None]:
        """Returns the splits, and what a teacher has generated for them."""
        recipe = self.recipe
        splits = load_splits(recipe.data, recipe.training.seed)
        lesson: Lesson | None = None
        if recipe.distillation is not None:
            with leader_first(recipe):
                lesson = distilled(
                    recipe,
                    splits["train"],
                    self.folder.directory,
                    self.make_model,
                    overwrite=self.overwrite,
                )
            splits["train"] = lesson.pairs
        what = "pairs" if recipe.data.objective is None else "texts"
        sizes = (f"{name}: {len(split):,} {what}" for name, split in splits.items())
        logger.info("%s", ", ".join(sizes))
        return splits, lesson

    def _pretrained(self, train: Any, lesson: Lesson | None) -> tuple[Any, Preprocessor]:
        """Returns the model of a recipe that tunes one, else None; and the preprocessor, its own,
        that of the teacher, or one that is trained on the data.
        """
        recipe = self.recipe
        model = None
        if recipe.warm_start is not None:
            model = warm_started(recipe.warm_start, recipe, self.warm_start)
        elif recipe.is_tuned:
            model = tuned(recipe, self.make_model)
        if model is not None:
            in_languages(model, recipe.src_lang, recipe.tgt_lang)
            return model, model.preprocessor
        if lesson is not None and recipe.has_teacher_tokenizer:
            return None, lesson.preprocessor
        assert recipe.text is not None
        return None, Preprocessor.train(train, recipe.text)

    def _new_model(self, preprocessor: Preprocessor) -> Any:
        recipe = self.recipe
        return self.make_model(
            recipe.model,
            load_weights=False,
            preprocessor=preprocessor,
            architecture=recipe.architecture,
            generation=recipe.generation,
        )

    def _compile(self, model: Any, steps: int, epochs: int) -> list[str]:
        """Compiles the model, and returns remarks on how it is trained."""
        notes = compile_by(self.recipe.training, model, steps * epochs)
        logger.info(
            "%s: %s parameters, %d steps of %d epochs on %s",
            self.recipe.start,
            f"{model.count_params():,}",
            steps * epochs,
            epochs,
            keras.backend.backend(),
        )
        for note in notes:
            logger.info("%s", note)
        return notes

    # ------------------------------------------------------------------ training

    def _begin(self, model: Any, data: RunData, epochs: int) -> RunCallbacks:
        """Begins the run folder, or puts the state of the checkpoint back; returns the callbacks of
        the run.
        """
        keeper = SaveBest(self._save, self.recipe.training.monitor)
        restored: list[Any] = []
        if self.checkpoint is None:
            self.folder.begin()
        else:
            restored = restore(self.checkpoint, model, keeper, self.folder)
        pieces = [*self.then.get("pieces", []), piece(self.progress)]
        facts = run_facts(self.recipe.training.seed, pieces)
        self.folder.describe(_as_yaml(self.recipe), facts)
        return run_callbacks(
            self.recipe,
            model,
            self.folder,
            self.progress,
            keeper,
            restored=restored,
            validation=data.splits["validation"],
            generating=data.generating,
            then=self.then,
            facts={**self.same, "pieces": pieces},
            steps=len(data.train),
            epochs=epochs,
        )

    def _save(self, trained: Seq2SeqLM) -> None:
        self.folder.save(trained.save_to_preset, _as_yaml(self.recipe))

    def _train(self, model: Any, data: RunData, epochs: int, callbacks: RunCallbacks) -> None:
        """Trains to the end.

        Raises:
            KeyboardInterrupt: its message says what was kept.
        """
        keeper, progress, folder = callbacks.keeper, self.progress, self.folder
        try:
            if not self.then.get("is_finished"):
                fit_from(
                    model,
                    data.train,
                    progress,
                    epochs,
                    validation_data=data.validation,
                    verbose=0,
                    callbacks=callbacks.every,
                )
        except KeyboardInterrupt:
            message = what_is_kept(
                progress,
                len(data.train),
                folder.directory,
                best_epoch=keeper.best_epoch,
                has_earlier_model=folder.has_earlier_model,
            )
            written = callbacks.checkpointing.last
            if written is not None or self.checkpoint is not None:
                last = written or (progress.first_epoch, progress.first_step)
                message += f"; {how_to_go_on(*last)}"
            if keeper.best is None and progress.has_begun and not folder.has_earlier_model:
                self._save(model)
            raise KeyboardInterrupt(message) from None
        if keeper.best is None:
            monitor = self.recipe.training.monitor
            logger.warning("%s was never a number: the training diverged", monitor)
            self._save(model)

    # ------------------------------------------------------------------ after training

    def _average(self, model: Any, data: RunData, callbacks: RunCallbacks) -> dict[str, Any]:
        """Saves the mean of the last epochs where the recipe asks for it; returns what it is."""
        if callbacks.last_epochs is None:
            return {}
        epochs = callbacks.last_epochs.average(model, len(self.progress.history["loss"]))
        averaged: dict[str, Any] = {"epochs": epochs}
        if not epochs:
            logger.warning("there is no mean of epochs; the best epoch stays")
            return averaged
        measured = model.evaluate(data.validation, verbose=0, return_dict=True)
        averaged |= {f"val_{name}": float(value) for name, value in measured.items()}
        line = "the mean of epochs %s is saved: val_loss %.4g"
        logger.info(line, averaged["epochs"], averaged["val_loss"])
        self._save(model)
        return averaged

    def _measure(self, data: RunData) -> tuple[Any, dict[str, Any], Any]:
        """Returns the model as a user will load it, and its metrics and samples of the test split.

        Raises:
            KeyboardInterrupt: its message says how to measure the model later.
        """
        directory = self.folder.directory
        try:
            model = self.make_model(str(directory))
            if data.test is None:
                found = measure(model, data.splits["test"], self.recipe, **data.generating)
            else:
                found = measure_objective(model, data.test, self.recipe)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted while the model was measured; {directory} has it, without "
                f"{RESULTS_FILE} and pictures; pass --resume to measure it"
            ) from None
        return model, *found

    def _write(self, model: Any, data: RunData, report: dict[str, Any], samples: Any) -> None:
        """Shows samples, writes results and pictures, and shows a summary."""
        directory, results = self.folder.directory, self.results
        for source, target, hypothesis in samples:
            mark = "=" if hypothesis == target else "≠"
            print(f"{source}\n  -> {hypothesis}\n  {mark}  {target}", file=results)
        # Heatmaps are drawn for texts; an objective makes ids.
        of_texts = self.recipe.data.objective is None
        texts = [source for source, _, _ in samples] if of_texts else []
        pictures = []
        if self.has_plots:
            pictures = draw(model, report["history"], texts, directory, **data.generating)
        self.folder.write(RESULTS_FILE, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        self.folder.checkpoints.remove()
        print_summary(report, directory, pictures, texts[0] if texts else None, results)


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
