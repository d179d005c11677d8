"""The examples in docs/examples: bulk generation on Ray, TensorFlow Serving, containers."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from cli.small_folder import save_small_model
from small_models import COMPILES

from keras_s2s import Seq2SeqLM

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
SCRIPT = EXAMPLES / "generate_files.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_files", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bulk = load_script()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_small_model(tmp_path_factory.mktemp("bulk") / "small")


# --------------------------------------------------------------------------------------
# Bulk generation, without Ray
# --------------------------------------------------------------------------------------


def rows_of(path: Path) -> list[dict[str, Any]]:
    return list(bulk.read_lines({"path": str(path), "share": 0, "shares": 1}))


def lines_of(path: Path) -> list[str]:
    return [row["text"] for row in rows_of(path)]


def test_lines_end_at_line_breaks_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("a\u2028b\x0bc\r\n\n 가 \nend".encode())
    assert lines_of(path) == ["a\u2028b\x0bc", "", " 가 ", "end"]
    rows = rows_of(path)
    assert [row["number"] for row in rows] == [0, 1, 2, 3]
    assert {(row["path"], row["lines"]) for row in rows} == {(str(path), 4)}
    for content, expected in ((b"", []), (b"\n", [""]), (b"x", ["x"]), (b"x\n\n", ["x", ""])):
        path.write_bytes(content)
        assert lines_of(path) == expected
    path.write_bytes(b"\xff\xfea")
    with pytest.raises(ValueError, match=r"a\.txt: not a UTF-8"):
        lines_of(path)


def test_a_long_file_is_shared(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x\n")
    assert bulk.shares_of(path, 3) == [{"path": str(path), "share": 0, "shares": 1}]
    path.write_text("".join(f"{'x' * 5_000}{i}\n" for i in range(10)))
    assert len(bulk.shares_of(path, 3)) == 4 and len(bulk.shares_of(path, 1)) == 4
    path.write_text("".join(f"{'x' * 50_000}{i}\n" for i in range(10)))
    shares = [list(bulk.read_lines(share)) for share in bulk.shares_of(path, 2)]
    assert [len(rows) for rows in shares] == [2, 2, 1, 1, 1, 1, 1, 1]
    rows = sorted((row for rows in shares for row in rows), key=lambda row: row["number"])
    assert rows == rows_of(path)


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    """Lines of two files come in any order; a result with a line break stays one line."""
    results = bulk.Results(tmp_path)
    rows = [("in/b.txt", 2, 1, "B1"), ("in/a.txt", 3, 2, "A2"), ("in/a.txt", 3, 0, "A\n0\u2028x")]
    names = ("path", "lines", "number", "result")
    for row in rows:
        assert results.add(dict(zip(names, row, strict=True))) is None
    assert list(tmp_path.iterdir()) == []
    last = {"path": "in/a.txt", "lines": 3, "number": 1, "result": ""}
    assert results.add(last) == tmp_path / "a.txt"
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "A 0 x\n\nA2\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_files_that_are_done_are_left_out(tmp_path: Path) -> None:
    source, results = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    settings = {"model": "m", "options": {}}
    with pytest.raises(ValueError, match=r"no files \*\.txt"):
        bulk.remaining_files(source, results, settings)
    for name in ("b.txt", "a.txt", "c.md"):
        (source / name).write_text("x\n")
    assert bulk.remaining_files(source, results, settings) == [source / "a.txt", source / "b.txt"]
    (results / "a.txt").write_text("done\n")
    assert bulk.remaining_files(source, results, settings) == [source / "b.txt"]
    with pytest.raises(ValueError, match="num_beams"):
        bulk.remaining_files(source, results, {"model": "m", "options": {"num_beams": 4}})


def test_options() -> None:
    given = ["num_beams=4", "tgt_lang=deu_Latn", "length_penalty=0.5", "early_stopping=true"]
    assert dict(map(bulk.read_option, given)) == {
        "num_beams": 4,
        "tgt_lang": "deu_Latn",
        "length_penalty": 0.5,
        "early_stopping": True,
    }


def test_a_worker_generates_what_the_model_generates(folder: str) -> None:
    import numpy as np

    texts = ["ab c", "", "가나", " \t", "cba", "c"]
    worker = bulk.Generate(folder, 2, {"num_beams": 2})
    columns = {"number": np.arange(6), "text": np.array(texts, dtype=object)}
    found = worker(columns)
    assert set(found) == {"number", "result"}
    real = [text for text in texts if text.strip()]
    expected = Seq2SeqLM.from_preset(folder).generate(real, num_beams=2)
    results = found["result"].tolist()
    assert [results[i] for i in (0, 2, 4, 5)] == expected and results[1] == results[3] == ""
    assert len(set(expected)) > 2
    blank = worker({"text": np.array(["", " "], dtype=object)})
    assert blank["result"].tolist() == ["", ""]


# --------------------------------------------------------------------------------------
# Bulk generation, on a local cluster
# --------------------------------------------------------------------------------------

#: A cluster of this process alone, whatever the machine has; the script finds it.
ON_TWO_CORES = """
import ray, runpy, sys
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def on_ray(*words: str) -> subprocess.CompletedProcess[str]:
    root = SCRIPT.parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]).rstrip(":"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    }
    command = [sys.executable, "-c", ON_TWO_CORES, str(SCRIPT), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


@pytest.mark.slow
@pytest.mark.skipif(COMPILES, reason="once is enough")
def test_many_files_on_ray(folder: str, tmp_path: Path) -> None:
    """Two workers, files of very different sizes; stopped by a bad file, it goes on afterwards."""
    pytest.importorskip("ray", reason='bulk generation needs ray: pip install "keras_s2s[ray]"')
    source, results = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    contents = {
        "empty.txt": [],
        "one.txt": ["ab c"],
        "blank.txt": ["", "가나", ""],
        **{
            f"part-{i}.txt": [
                ("abc 가나"[(i + j) % 6 :] or "a")[: 1 + j % 5] for j in range(20 * i)
            ]
            for i in range(1, 6)
        },
    }
    for name, lines in contents.items():
        (source / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    words = [folder, str(source), str(results), "--workers", "2", "--batch-size", "4"]
    words += ["--option", "num_beams=2"]

    (source / "wrong.txt").write_bytes(b"\xff\xff\n")
    done = on_ray(*words)
    assert done.returncode != 0 and "wrong.txt: not a UTF-8 text file" in done.stderr
    assert not (results / "wrong.txt").exists()
    (source / "wrong.txt").unlink()

    # One that is there is left as it is.
    (results / "one.txt").write_text("made before\n", encoding="utf-8")
    done = on_ray(*words)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path.name for path in results.iterdir()} == {*contents, "settings.json"}
    assert (results / "one.txt").read_text(encoding="utf-8") == "made before\n"
    model = Seq2SeqLM.from_preset(folder)
    for name in contents.keys() - {"one.txt", "empty.txt"}:
        lines = contents[name]
        real = [line for line in lines if line.strip()]
        generated = iter(model.generate(real, num_beams=2))
        expected = ["" if not line.strip() else next(generated) for line in lines]
        found = (results / name).read_text(encoding="utf-8").split("\n")
        assert found == [*(" ".join(text.splitlines()) for text in expected), ""], name
    assert (results / "empty.txt").read_text() == ""

    again = on_ray(*words)
    assert again.returncode == 0 and again.stdout.strip() == ""
    other = on_ray(*words[:-1], "num_beams=3")
    assert other.returncode != 0 and "another folder" in other.stderr


# --------------------------------------------------------------------------------------
# TensorFlow Serving
# --------------------------------------------------------------------------------------

SERVING = EXAMPLES / "tensorflow_serving"


def compose(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# NOT BUILT HERE")
    return yaml.safe_load(text)


def test_the_configuration_of_models() -> None:
    """TensorFlow Serving's own definition reads it."""
    reason = "the definitions are in tensorflow-serving-api"
    module = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2", reason=reason)
    from google.protobuf import text_format

    text = (SERVING / "models.config").read_text(encoding="utf-8")
    (model,) = text_format.Parse(text, module.ModelServerConfig()).model_config_list.config
    assert (model.name, model.model_platform) == ("translator", "tensorflow")
    assert model.model_version_policy.latest.num_versions == 1
    mounted = [volume.split(":")[1] for volume in service()["volumes"]]
    assert str(Path(model.base_path).parent) in mounted


def batching_parameters() -> Any:
    """An empty BatchingParameters, with the fields of Serving's `session_bundle_config.proto`.

    No package of PyPI has it.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

    whole, listed = ".google.protobuf.Int64Value", None
    field = descriptor_pb2.FieldDescriptorProto
    fields = [
        ("max_batch_size", whole),
        ("batch_timeout_micros", whole),
        ("max_enqueued_batches", whole),
        ("num_batch_threads", whole),
        ("thread_pool_name", ".google.protobuf.StringValue"),
        ("allowed_batch_sizes", listed),
        ("pad_variable_length_inputs", bool),
    ]
    file = descriptor_pb2.FileDescriptorProto(
        name="batching_parameters.proto",
        package="tests",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    message = file.message_type.add(name="BatchingParameters")
    for number, (name, kind) in enumerate(fields, 1):
        added = message.field.add(name=name, number=number, label=field.LABEL_OPTIONAL)
        if kind is listed:
            added.type, added.label = field.TYPE_INT64, field.LABEL_REPEATED
        elif kind is bool:
            added.type = field.TYPE_BOOL
        else:
            added.type, added.type_name = field.TYPE_MESSAGE, kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tests.BatchingParameters"))()


def test_the_batching_parameters() -> None:
    pytest.importorskip("google.protobuf", reason="protobuf comes with tensorflow")
    from google.protobuf import text_format

    text = (SERVING / "batching_parameters.txt").read_text(encoding="utf-8")
    found = text_format.Parse(text, batching_parameters())
    assert found.max_batch_size.value == 32 and found.num_batch_threads.value == 1
    assert found.batch_timeout_micros.value == 5000 and found.max_enqueued_batches.value > 0
    # The server's padding repeats the first value of a tensor: True, where it is a mask.
    assert not found.pad_variable_length_inputs and not found.allowed_batch_sizes
    with pytest.raises(text_format.ParseError, match="max_batch"):
        text_format.Parse("max_batch { value: 3 }", batching_parameters())


def service() -> dict[str, Any]:
    (found,) = compose(SERVING / "compose.yaml")["services"].values()
    return found


def test_the_server_is_given_files_that_exist() -> None:
    found = service()
    mounted = {}
    for volume in found["volumes"]:
        here, there, mode = volume.split(":")
        assert mode == "ro"
        mounted[there] = here
    files = dict(word.removeprefix("--").split("=", 1) for word in found["command"])
    assert files.pop("enable_batching") == "true"
    assert set(files) == {"model_config_file", "batching_parameters_file"}
    for path in files.values():
        assert (SERVING / mounted[path]).is_file()


# --------------------------------------------------------------------------------------
# Containers of keras-s2s serve
# --------------------------------------------------------------------------------------

CONTAINER = EXAMPLES / "container"


def test_the_command_of_the_container_is_one_that_the_server_takes() -> None:
    import inspect

    from keras_s2s.cli.commands.serve import serve
    from keras_s2s.serving.models.loading import read_argument

    text = (CONTAINER / "Dockerfile").read_text(encoding="utf-8")
    assert text.startswith("# NOT BUILT HERE")
    words = {
        name: json.loads(value)
        for name, value in re.findall(r"^(ENTRYPOINT|CMD) (\[.*\])$", text, re.MULTILINE)
    }
    (found,) = compose(CONTAINER / "compose.yaml")["services"].values()
    assert found["command"] == words["CMD"]
    program, command, *options = words["ENTRYPOINT"] + words["CMD"]
    assert (program, command) == ("keras-s2s", "serve")
    known = inspect.signature(serve).parameters
    named = [word for word in options if word.startswith("--")]
    assert named == ["--host", "--port", "--stop-seconds"]
    assert all(name.removeprefix("--").replace("-", "_") in known for name in named)
    argument = read_argument(words["CMD"][0])
    assert argument.name == "translator"
    assert str(Path(argument.path).parent) in [v.split(":")[1] for v in found["volumes"]]
    assert float(found["stop_grace_period"].removesuffix("s")) > float(words["CMD"][-1])
    assert "STOPSIGNAL SIGTERM" in text and "USER nobody" in text


def test_the_container_installs_what_there_is() -> None:
    import tomllib

    root = EXAMPLES.parents[1]
    text = (CONTAINER / "Dockerfile").read_text(encoding="utf-8")
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r'"/source\[([\w,]+)\]"', text)
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert (root / "constraints.txt").is_file() and "-c /source/constraints.txt" in text
    (found,) = compose(CONTAINER / "compose.yaml")["services"].values()
    build = found["build"]
    assert (CONTAINER / build["context"]).resolve() == root
    assert root / build["dockerfile"] == CONTAINER / "Dockerfile"
    (built,) = re.findall(r"docker build -f (\S+)", text)
    assert root / built == CONTAINER / "Dockerfile"
    check = shlex.join(found["healthcheck"]["test"])
    (port,) = re.findall(r"127\.0\.0\.1:(\d+)/ready", check)
    assert found["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f'"--port", "{port}"' in text and f"EXPOSE {port}" in text
