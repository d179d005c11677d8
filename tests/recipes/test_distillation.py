"""A student trains on what a teacher generates, in a run that may be interrupted at any time."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from recipes.test_resuming import Stopped, stop_after
from small_models import slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.catalog import load_recipe
from keras_s2s.config import ConfigError, RecipeConfig
from keras_s2s.data import DataError, read_pairs
from keras_s2s.recipes import distillation, runner
from recipes import small_runs

STUDENT = [
    "architecture={shared: {hidden_dim: 8, num_heads: 2, intermediate_dim: 8, dropout: 0.1}, "
    "encoder: {num_layers: 1}, decoder: {type: ssru, num_layers: 2}, share_embeddings: true}",
    "data.train_size=40",
    "data.validation_size=8",
    "data.test_size=4",
    "training.epochs=2",
    "training.batch_size=16",
    "training.num_buckets=1",
    "training.optimizer={name: adam, learning_rate: 0.01}",
    "training.checkpoints={steps: 2, minutes: null}",
    "evaluation.samples=1",
    "generation={max_length: 6}",
    "distillation.generation={num_beams: 2, max_length: 8}",
]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("teachers") / "teacher"
    small_runs.run(directory, "data.train_size=32", "training.epochs=1", "training.num_buckets=1")
    return directory


def recipe_of(teacher: Path, *changes: str) -> RecipeConfig:
    return load_recipe("distill_dates", [*STUDENT, f"distillation.teacher={teacher}", *changes])


def run(directory: Path, teacher: Path, *changes: str, **options: Any) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "can_draw", lambda: False)
        patch.setattr(distillation, "PIECE", 16)
        return runner.run_recipe(
            recipe_of(teacher, *changes),
            directory,
            make_model=Seq2SeqLM.from_preset,
            results=io.StringIO(),
            **options,
        )


@pytest.fixture(scope="module")
def undisturbed(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "undisturbed"
    run(directory, teacher)
    return directory


def interrupt_after(monkeypatch: Any, calls: int) -> None:
    """The teacher is interrupted in the n-th piece."""
    real, count = Seq2SeqLM.generate, 0

    def generate(self: Any, sources: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == calls:
            raise KeyboardInterrupt
        return real(self, sources, **options)

    monkeypatch.setattr(Seq2SeqLM, "generate", generate)


def files(directory: Path) -> dict[str, bytes]:
    names = ("distilled.jsonl", "model.safetensors", "preset.yaml", "recipe.yaml")
    return {name: (directory / name).read_bytes() for name in names}


def test_a_student_reads_what_the_teacher_generates(teacher: Path, undisturbed: Path) -> None:
    recipe = recipe_of(teacher)
    train = runner.load_splits(recipe.data, 0)["train"]
    sources = [source for source, _ in train]
    model = Seq2SeqLM.from_preset(teacher)
    expected = model.generate(sources, num_beams=2, max_length=8)
    lines = (undisturbed / "distilled.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"source": source, "target": target}
        for source, target in zip(sources, expected, strict=True)
    ]
    assert len(lines) == 40
    real = [pair for pair in zip(sources, expected, strict=True) if pair[1].strip()]
    assert real, "a teacher that says nothing tests nothing"
    assert list(read_pairs(pairs=undisturbed / "distilled.jsonl")) == real
    student = Seq2SeqLM.from_preset(undisturbed)
    decoder = student.preset.architecture.decoder
    assert (decoder.type, decoder.num_layers) == ("ssru", 2)
    assert student.preprocessor.source.encode("1999") == model.preprocessor.source.encode("1999")
    report = json.loads((undisturbed / "results.json").read_text())["distillation"]
    assert report == {
        "teacher": str(teacher),
        "parameters": model.count_params(),
        "sources": 40,
        "empty": 40 - len(real),
    }
    assert len({target for _, target in real} - {target for _, target in train}) > 0


@slow_where_compiled
def test_what_a_student_trains_on(teacher: Path, tmp_path: Path, monkeypatch) -> None:
    train = [("1999", "a"), ("2000", "b"), ("1999", "c")]
    answers = {"1999": "x", "2000": " "}
    asked: list[list[str]] = []

    def generate(self: Any, sources: list[str], **options: Any) -> list[str]:
        asked.append(sources)
        assert options == {"batch_size": 5, "num_beams": 2, "max_length": 8}
        return [answers[source] for source in sources]

    monkeypatch.setattr(Seq2SeqLM, "generate", generate)
    recipe = recipe_of(teacher, "distillation.batch_size=5")
    lesson = distillation.distilled(recipe, train, tmp_path, Seq2SeqLM.from_preset)
    assert lesson.pairs == [("1999", "x"), ("1999", "x")]
    assert asked == [["1999", "2000"]], "each source once"
    assert lesson.report["empty"] == 1
    recipe = recipe_of(teacher, "distillation.with_references=true")
    lesson = distillation.distilled(recipe, train, tmp_path, Seq2SeqLM.from_preset)
    assert lesson.pairs == [("1999", "x"), ("1999", "x"), *train]
    assert len(asked) == 1, "the file has them"


@slow_where_compiled
def test_an_interrupted_teacher_goes_on(
    teacher: Path, undisturbed: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    directory = tmp_path / "run"
    for number, done in enumerate((16, 32)):
        with monkeypatch.context() as patch:
            interrupt_after(patch, 2)
            with pytest.raises(KeyboardInterrupt, match=rf"\.part has {done} of 40 sources"):
                run(directory, teacher, resume=number > 0)
        assert {path.name for path in directory.iterdir()} == {"distilled.jsonl.part"}
        with (directory / "distilled.jsonl.part").open("ab") as file:
            file.write(b'{"source": "half a li')
    with monkeypatch.context() as patch:
        real = distillation.write_atomically

        def killed(path: Path, content: bytes) -> None:
            if path.name == "distilled.json":
                raise Stopped
            real(path, content)

        patch.setattr(distillation, "write_atomically", killed)
        with pytest.raises(Stopped):
            run(directory, teacher)
    caplog.set_level("INFO")
    run(directory, teacher)
    assert "goes on after 32 sources" in caplog.text
    assert files(directory) == files(undisturbed)
    assert not (directory / "distilled.jsonl.part").exists()


@slow_where_compiled
def test_an_interrupted_student_goes_on(
    teacher: Path, undisturbed: Path, tmp_path: Path, monkeypatch
) -> None:
    directory = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_after(patch, "on_train_batch_end", 4)
        with pytest.raises(Stopped):
            run(directory, teacher)
    with monkeypatch.context() as patch:
        patch.setattr(distillation, "_generate", None)  # nothing is generated again
        run(directory, teacher, resume=True)
    assert files(directory) == files(undisturbed)
    reports = [
        small_runs.without_times(json.loads((path / "results.json").read_text()))
        for path in (directory, undisturbed)
    ]
    assert reports[0] == reports[1]


@slow_where_compiled
def test_pairs_are_shared_and_those_of_another_teacher_are_not_taken(
    teacher: Path, tmp_path: Path, monkeypatch
) -> None:
    train = [(str(year), "a") for year in range(1990, 1994)]

    def taught(name: str, by: Path, *changes: str, overwrite: bool = False) -> Any:
        (tmp_path / name).mkdir(exist_ok=True)
        recipe, make = recipe_of(by, *changes), Seq2SeqLM.from_preset
        return distillation.distilled(recipe, train, tmp_path / name, make, overwrite=overwrite)

    shared = tmp_path / "pairs" / "all.jsonl"
    change = f"distillation.pairs={shared}"
    first = taught("first", teacher, change)
    facts = json.loads(shared.with_suffix(".json").read_text())
    assert facts["teacher"] == str(teacher) and facts["seconds"] >= 0
    with monkeypatch.context() as patch:
        patch.setattr(distillation, "_generate", None)
        assert taught("second", teacher, change).pairs == first.pairs
    assert not any((tmp_path / "second").iterdir())

    beams = "distillation.generation.num_beams=3"
    message = r"all\.jsonl holds .*: generation\.num_beams was 2, but is 3\. Name another"
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=message):
            taught("third", teacher, change, beams, overwrite=overwrite)
    # The pairs of the folder itself are replaced with all else that it holds.
    taught("third", teacher)
    with pytest.raises(ConfigError, match=r"num_beams was 2, but is 3"):
        taught("third", teacher, beams)
    taught("third", teacher, beams, overwrite=True)
    found = json.loads((tmp_path / "third" / "distilled.json").read_text())
    assert found["generation"]["num_beams"] == 3

    model = Seq2SeqLM.from_preset(teacher)
    model.set_weights([2 * weight for weight in model.get_weights()])
    model.save_to_preset(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"made otherwise: weights was '\w+', but is"):
        taught("fourth", tmp_path / "other", change)
    shared.write_bytes(shared.read_bytes().replace(b'"target": "', b'"target": "-', 1))
    with pytest.raises(ConfigError, match=r"made otherwise: pairs was"):
        taught("fourth", teacher, change)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("text.source.kind=character", r"distillation\.teacher_tokenizer: goes without text"),
        ("distillation.pairs=mine.txt", r"distillation\.pairs: .*name in \.jsonl"),
        ("distillation.generation.num_beam=3", r"num_beam: unknown key; did you mean .*num_beams"),
        ("src_lang=en", r"src_lang: is the teacher's here; set distillation\.src_lang"),
        (
            "data={train: {lines: a}, validation: {lines: a}, test: {lines: a}, "
            "objective: {sentence_permutation: {}}, task: null}",
            "distillation: is for pairs of texts",
        ),
    ],
)
def test_settings_that_do_not_go_together(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("distill_dates", [setting])


def test_a_teacher_without_positions_for_a_source(teacher: Path, tmp_path: Path) -> None:
    embedding = {"positions": "learned", "max_positions": 8}
    sizes = {"hidden_dim": 8, "num_heads": 2, "num_layers": 1, "intermediate_dim": 8}
    small = Seq2SeqLM.from_preset(
        "transformer_tiny",
        load_weights=False,
        preprocessor=Seq2SeqLM.from_preset(teacher).preprocessor,
        architecture={"shared": {**sizes, "embedding": embedding}},
    )
    small.save_to_preset(tmp_path / "short")
    train = [("1999", "a"), ("the 1st of May 1999", "b")]
    with pytest.raises(DataError, match=r"data\.train: source 1 .*positions for 8"):
        distillation.distilled(
            recipe_of(tmp_path / "short"), train, tmp_path / "run", Seq2SeqLM.from_preset
        )


def test_a_model_without_a_tokenizer_teaches_nothing(teacher: Path, tmp_path: Path) -> None:
    def without(source: str, **options: Any) -> Any:
        model = Seq2SeqLM.from_preset(source, **options)
        model._preprocessor = None
        return model

    with pytest.raises(ConfigError, match=r"distillation\.teacher: .* has no tokenizer"):
        distillation.distilled(recipe_of(teacher), [("1", "2")], tmp_path, without)
