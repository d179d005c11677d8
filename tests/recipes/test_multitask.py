"""Recipes of several tasks, told apart by prefixes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from documentation import supplies

from keras_s2s import ConfigError, Seq2SeqLM
from keras_s2s.catalog import load_recipe
from keras_s2s.config import FilesConfig, TaskConfig
from keras_s2s.recipes.data import load_splits
from keras_s2s.recipes.mixture import mixed
from keras_s2s.recipes.runner import run_recipe


def task(prefix: str, share: float | None) -> TaskConfig:
    files = FilesConfig(pairs="a.tsv")
    return TaskConfig(prefix=prefix, share=share, train=files, validation=files, test=files)


def pairs(name: str, count: int) -> list[tuple[str, str]]:
    return [(f"{name} {i}", str(i)) for i in range(count)]


@pytest.mark.parametrize(
    ("shares", "size", "expected"),
    [
        ((None, None), None, (10, 30)),
        ((1.0, 1.0), None, (20, 20)),
        ((3.0, 1.0), 100, (75, 25)),
        ((0.1, 0.9), 20, (2, 18)),
    ],
)
def test_a_mixture_has_the_shares(
    shares: tuple[float | None, float | None], size: int | None, expected: tuple[int, int]
) -> None:
    given = {"a": pairs("a", 10), "b": pairs("b", 30)}
    tasks = {name: task(name, share) for name, share in zip(given, shares, strict=True)}
    found = mixed(given, tasks, size, seed=1)
    names = Counter(source[0] for source, _ in found)
    assert (names["a"], names["b"]) == expected
    # Each pair as often as any other of its task, but for one time.
    for name, own in given.items():
        counts = Counter(source for source, _ in found if source[0] == name)
        times = [counts[source] for source, _ in own]
        assert max(times) - min(times) <= 1
    assert found == mixed(given, tasks, size, seed=1)
    if expected[0] % 10:
        assert found != mixed(given, tasks, size, seed=2)


def test_a_task_without_a_pair_is_refused() -> None:
    tasks = {"a": task("a", 0.01), "b": task("b", 0.99)}
    with pytest.raises(ConfigError, match=r"data\.tasks\.a\.share: 0\.01 of 1 is not one of 10"):
        mixed({"a": pairs("a", 5), "b": pairs("b", 5)}, tasks, None, seed=1)


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    supplies.write_texts(tmp_path)
    for name, count in (("train", 24), ("val", 4), ("test", 4)):
        found = supplies.sentences(count, seed=count)
        lines = [json.dumps({"document": f"{s} " * 5, "summary": s}) for s, _ in found]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    supplies.write_questions(tmp_path / "train-v1.1.json", 24)
    supplies.write_questions(tmp_path / "dev-v1.1.json", 8)
    return [
        f"data.dir={tmp_path}",
        "data.tasks.squad.validation.articles=[0, 4]",
        "data.tasks.squad.test.articles=[4, 8]",
    ]


def test_splits_of_several_tasks(settings: list[str]) -> None:
    recipe = load_recipe("multitask_t5", [*settings, "data.train_size=40", "data.test_size=3"])
    splits = load_splits(recipe.data, seed=1)
    assert recipe.data.tasks is not None
    prefixes = [each.prefix for each in recipe.data.tasks.values()]

    def counts(split: str) -> list[int]:
        return [sum(s.startswith(p) for s, _ in splits[split]) for p in prefixes]

    assert counts("train") == [16, 12, 12]
    assert counts("validation") == [16, 4, 4]
    assert counts("test") == [3, 3, 3]
    assert ("squad question: Who sleeps? context: A dog sleeps.", "A dog") in splits["test"]


@pytest.mark.slow
def test_a_model_learns_all_of_them_and_each_is_measured(
    settings: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    folder = supplies.write_checkpoint("t5", tmp_path / "t5")
    fast = ["training.optimizer.learning_rate=0.02", "training.epochs=40", "training.batch_size=8"]
    small = ["data.train_size=80", "generation={max_length: 16}", "evaluation.samples=1"]
    recipe = load_recipe("multitask_t5", [*settings, *fast, *small, f"model={folder}"])
    report = run_recipe(recipe, tmp_path / "run", make_model=Seq2SeqLM.from_preset)
    losses = report["history"]["val_loss"]
    assert min(losses) < losses[0] - 1
    metrics = report["metrics"]
    assert metrics["squad_squad_f1"] == 100
    assert {"translate_bleu", "translate_bleu_signature", "summarize_rouge1"} <= set(metrics)
    assert "translate_rouge1" not in metrics
    again = load_recipe(tmp_path / "run" / "recipe.yaml")
    assert again.data.tasks == recipe.data.tasks


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.train={pairs: a.tsv}", "either a task or train files, or tasks with files"),
        ("data.validation={pairs: a.tsv}", "data.validation: each of tasks has its own"),
        ("data.tasks.squad.share=null", "data.tasks: give each task a share, or none of them"),
        ("data.tasks.squad.prefix='summarize: a'", "data.tasks.squad.prefix: .* begins with that"),
        ("data.tasks.squad.train={lines: a.txt}", "lines are single texts"),
        ("data.tasks.squad.share=0", "share"),
    ],
)
def test_settings_that_do_not_go_together(setting: str, message: str) -> None:
    changes = [setting]
    if "lines" in setting:
        changes.append("data.tasks.squad.train.questions=null")
    with pytest.raises(ConfigError, match=message):
        load_recipe("multitask_t5", changes)
