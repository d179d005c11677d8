"""Fetching from the hub: from a cache as huggingface_hub lays it out, and what its errors become.

No test here reaches a network: the hub is a few functions put in huggingface_hub's place.
"""

from __future__ import annotations

import builtins
import fnmatch
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from checkpoints.weight_writers import write_safetensors, write_shards
from small_models import COMPILES

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.hub import fetch_folder, parse_source

huggingface_hub = pytest.importorskip("huggingface_hub")

# No backend has a part in any of this.
pytestmark = [pytest.mark.slow] if COMPILES else []

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path


def fill(cache: Path, name: str = "org/model", revision: str = "main") -> Path:
    """A snapshot in the cache, with nothing in it yet."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / revision).write_text(COMMIT)
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True, exist_ok=True)
    return snapshot


def fill_whole(cache: Path) -> Path:
    snapshot = fill(cache)
    (snapshot / "config.json").write_text("{}")
    # As huggingface_hub has it: files are links to blobs.
    blob = write_safetensors(cache / "models--org--model" / "blob", {"a": np.ones(2)})
    (snapshot / "model.safetensors").symlink_to(blob)
    return snapshot


# --------------------------------------------------------------------------------------
# Names
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf://org/name", ("org/name", None)),
        ("hf://t5-small", ("t5-small", None)),
        ("hf://org/na.me_2@v1.0", ("org/na.me_2", "v1.0")),
        ("hf://org/name@refs/pr/3", ("org/name", "refs/pr/3")),
    ],
)
def test_names(source: str, expected: tuple[str, str | None]) -> None:
    assert parse_source(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        *("org/name", "hf://", "hf:///name", "hf://a/b/c", "hf://org/name@", "hf://org/na me"),
        *("hf://../name", "hf://org/..", "hf://org/name@../x", "hf://org/name@/x", "hf://[a]/b"),
    ],
)
def test_wrong_names(source: str, cache: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not a name on the hub; write hf://ORG"):
        fetch_folder(source)


def test_names_that_the_hub_does_not_allow(cache: Path) -> None:
    with pytest.raises(CheckpointError, match=r"hf://org/a--b: not a name on the hub"):
        fetch_folder("hf://org/a--b")


# --------------------------------------------------------------------------------------
# Offline
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_offline_and_in_the_cache(revision: str, cache: Path) -> None:
    snapshot = fill_whole(cache)
    assert fetch_folder(f"hf://org/model{revision}") == snapshot


def test_offline_and_not_in_the_cache(cache: Path) -> None:
    fill_whole(cache)
    for source in ("hf://org/other", "hf://org/model@v2"):
        with pytest.raises(CheckpointError, match=rf"{source}: not in the cache.*HF_HUB_OFFLINE"):
            fetch_folder(source)


def test_offline_with_part_of_it_in_the_cache(cache: Path) -> None:
    snapshot = fill(cache)
    (snapshot / "model.safetensors").symlink_to(cache / "no such blob")
    with pytest.raises(CheckpointError, match="not in the cache"):
        fetch_folder("hf://org/model")
    (snapshot / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"not in the cache.*or not whole"):
        fetch_folder("hf://org/model")
    assert fetch_folder("hf://org/model", with_weights=False) == snapshot

    (snapshot / "model.safetensors").unlink()
    write_shards(snapshot, [{"a": np.ones(2)}, {"b": np.ones(2)}])
    assert fetch_folder("hf://org/model") == snapshot
    (snapshot / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="not in the cache"):
        fetch_folder("hf://org/model")


def test_offline_with_other_kinds_of_folders(cache: Path) -> None:
    own = fill(cache, "org/own")
    (own / "preset.yaml").write_text("")
    write_safetensors(own / "model.safetensors", {"a": np.ones(2)})
    assert fetch_folder("hf://org/own") == own
    ctranslate2 = fill(cache, "org/ct2")
    for name in ("config.json", "model.bin", "shared_vocabulary.json"):
        (ctranslate2 / name).write_text("{}")
    assert fetch_folder("hf://org/ct2") == ctranslate2


# --------------------------------------------------------------------------------------
# Online
# --------------------------------------------------------------------------------------


@pytest.fixture
def hub(cache: Path, monkeypatch) -> Any:
    """A hub with one repository: `hub.files` are in it, `hub.fetched` were asked for."""
    state = SimpleNamespace(files={}, fetched=[], revisions=set(), error=None)

    def model_info(self: Any, repo_id: str, *, revision: str | None = None) -> Any:
        if state.error is not None:
            raise state.error
        state.revisions.add(revision)
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=n) for n in state.files])

    real = huggingface_hub.snapshot_download

    def snapshot_download(
        repo_id: str,
        *,
        revision: str | None = None,
        allow_patterns: list[str],
        local_files_only: bool = False,
    ) -> str:
        if local_files_only:
            return real(
                repo_id, revision=revision, allow_patterns=allow_patterns, local_files_only=True
            )
        state.revisions.add(revision)
        folder = fill(cache)
        for name, content in state.files.items():
            if any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns):
                state.fetched.append(name)
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(content)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return state


TEXT = ["config.json", "generation_config.json", "source.spm", "notes[1].txt", "vocab.json"]
SHARDS = {"w.1": "model-00001-of-00002.safetensors", "w.2": "model-00002-of-00002.safetensors"}
INDEX = json.dumps({"weight_map": SHARDS})


@pytest.mark.parametrize(
    ("weights", "others"),
    [
        (["model.safetensors"], ["pytorch_model.bin", "tf_model.h5", "rust_model.ot"]),
        (
            ["model.safetensors.index.json", *SHARDS.values()],
            ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin", "tf_model.h5"],
        ),
        (["tf_model.h5"], ["flax_model.msgpack", "model.safetensors.gguf"]),
        (["flax_model.msgpack"], ["onnx/model.onnx"]),
        (["model.bin"], ["model.onnx"]),
        (["model.safetensors"], ["model[1].safetensors", "modelX.safetensors"]),
    ],
)
def test_one_format_of_weights_is_fetched(weights, others, hub) -> None:
    wanted = [*TEXT, *weights]
    unwanted = [*others, "README.md", ".gitattributes", "onnx/config.json", "trainer_state.json"]
    hub.files = dict.fromkeys([*unwanted, *wanted], "{}")
    if "model.safetensors.index.json" in wanted:
        hub.files["model.safetensors.index.json"] = INDEX
    folder = fetch_folder("hf://org/model@v1")
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == set(wanted)
    # The large ones come last.
    assert set(hub.fetched[: len(TEXT)]).isdisjoint(n for n in weights if "index" not in n)
    assert hub.revisions == {"v1"}


def test_no_weights_where_none_are_asked_for(hub) -> None:
    hub.files = dict.fromkeys([*TEXT, "model.safetensors"], "{}")
    fetch_folder("hf://org/model", with_weights=False)
    assert sorted(hub.fetched) == sorted(TEXT)


def test_our_own_folders_have_their_tokenizers(hub) -> None:
    names = ["preset.yaml", "model.safetensors", "tokenizer/source.json", "tokenizer/source.bin"]
    hub.files = dict.fromkeys([*names, "runs/log.txt"], "{}")
    fetch_folder("hf://org/model")
    assert set(hub.fetched) == set(names)


def test_repositories_that_are_no_model(hub) -> None:
    hub.files = dict.fromkeys(["data.csv", "README.md"], "")
    with pytest.raises(CheckpointError, match=r"has no config\.json there, but README\.md, data"):
        fetch_folder("hf://org/model")
    hub.files = dict.fromkeys(["config.json", "model.gguf"], "{}")
    with pytest.raises(CheckpointError, match=r"no weights there that can be read.*model\.gguf"):
        fetch_folder("hf://org/model")


def http_error(kind: str, status: int) -> Exception:
    from huggingface_hub import errors

    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return getattr(errors, kind)("Server says no\nand more", response=response)


ERRORS = {
    "wrong name": (
        lambda: http_error("RepositoryNotFoundError", 401),
        r"no such model on the hub, or it is private.*models\?search=model.*hf auth login",
    ),
    "gated": (
        lambda: http_error("GatedRepoError", 403),
        r"ask for access at .*org/model.*HF_TOKEN",
    ),
    "revision": (
        lambda: http_error("RevisionNotFoundError", 404),
        r"it has no revision 'v9'; .*org/model/tree/main",
    ),
    "token": (lambda: http_error("HfHubHTTPError", 401), r"refuses to give it \(401\).*token"),
    "limit": (lambda: http_error("HfHubHTTPError", 429), r"no more requests.*wait"),
    "down": (lambda: http_error("HfHubHTTPError", 503), r"HfHubHTTPError: Server says no\).*later"),
    "no network": (
        lambda: ConnectionError("Name or service not known"),
        r"hub cannot be reached \(ConnectionError: Name or.*Check the network",
    ),
    "slow": (lambda: TimeoutError(), r"hub cannot be reached \(TimeoutError\)"),
    "disk": (
        lambda: OSError(28, "No space left on device", "/cache/x"),
        r"cannot be written into the cache .*No space left.*HF_HOME",
    ),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_say_what_to_do(kind: str, hub) -> None:
    make, message = ERRORS[kind]
    hub.error = make()
    with pytest.raises(CheckpointError, match=rf"^hf://org/model@v9: .*{message}") as error:
        fetch_folder("hf://org/model@v9")
    assert error.value.__cause__ is None


@pytest.mark.parametrize("kind", ["down", "no network", "gated"])
def test_the_cache_serves_where_the_hub_does_not(kind: str, hub, cache: Path) -> None:
    snapshot = fill_whole(cache)
    hub.error = ERRORS[kind][0]()
    with pytest.warns(UserWarning, match="Taking the copy in the cache"):
        assert fetch_folder("hf://org/model") == snapshot


def test_an_error_in_the_midst_of_a_download(hub, monkeypatch) -> None:
    def fails(*arguments: Any, **options: Any) -> str:
        raise ConnectionError("gone")

    hub.files = dict.fromkeys([*TEXT, "model.safetensors"], "{}")
    monkeypatch.setattr("huggingface_hub.snapshot_download", fails)
    with pytest.raises(CheckpointError, match=r"hf://org/model: the hub cannot be reached"):
        fetch_folder("hf://org/model")


def test_without_huggingface_hub(cache: Path, monkeypatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "huggingface_hub":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CheckpointError, match=r"hf://org/model: .*pip install huggingface_hub"):
        fetch_folder("hf://org/model")
