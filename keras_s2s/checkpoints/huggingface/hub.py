"""Downloads checkpoints from the Hugging Face hub with huggingface_hub, or finds them in its
cache.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Any, TypeVar

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.weight_files import INDEX_SUFFIX, find_weights, read_index

HUB_PREFIX = "hf://"

# A folder of a model has one of them: Hugging Face's and CTranslate2's, or our own.
_CONFIGS = ("config.json", "preset.yaml")
# Configuration and tokenizers; all of them are small.
_TEXT_SUFFIXES = (".json", ".txt", ".model", ".spm", ".yaml")
# A log of training runs, which can be larger than the tokenizer.
_NOT_NEEDED = ("trainer_state.json",)
_OWN_TOKENIZER_FOLDER = "tokenizer/"
# Without an index beside it: CTranslate2.
_CTRANSLATE2_WEIGHTS = "model.bin"

_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+", re.ASCII)
_REVISION = re.compile(r"\w[\w./-]*", re.ASCII)

T = TypeVar("T")


def parse_source(source: str) -> tuple[str, str | None]:
    """Returns the name and revision in `hf://organisation/name` or
    `hf://organisation/name@revision`.

    Raises:
        CheckpointError: written in another way.

    Example:
        >>> parse_source("hf://Helsinki-NLP/opus-mt-en-de@main")
        ('Helsinki-NLP/opus-mt-en-de', 'main')
    """
    name, at, revision = source.removeprefix(HUB_PREFIX).partition("@")
    if (
        not source.startswith(HUB_PREFIX)
        or not _NAME.fullmatch(name)
        or (at and not _REVISION.fullmatch(revision))
        or ".." in source
    ):
        raise CheckpointError(
            f"{source!r} is not a name on the hub; write hf://ORGANISATION/NAME, or "
            "hf://ORGANISATION/NAME@REVISION with a branch, tag or commit"
        )
    return name, revision or None


def fetch_folder(source: str, *, with_weights: bool = True) -> Path:
    """Returns the folder of a model on the hub, after downloading what the cache lacks.

    Configuration, tokenizer files, and the weights in one format are downloaded: the format that
    `open_weights` would choose. Where the hub cannot be reached, the cache is used.

    Args:
        source: `hf://organisation/name`, or with `@revision` behind it.
        with_weights: False does not download the weights.

    Raises:
        CheckpointError: there is no such model, it may not be read, or it is not in the cache and
            the hub cannot be reached; the message says what to do.

    Example:
        folder = fetch_folder("hf://Helsinki-NLP/opus-mt-en-de")
    """
    name, revision = parse_source(source)
    try:
        import huggingface_hub
        from huggingface_hub import constants
    except ImportError:
        raise CheckpointError(
            f"{source}: huggingface_hub, which fetches models, is not installed; "
            "`pip install huggingface_hub`, or give a folder"
        ) from None

    def cached_folder() -> Path | None:
        return _from_cache(name, revision, with_weights=with_weights)

    if constants.HF_HUB_OFFLINE:
        cached = _explained(source, cached_folder)
        if cached is None:
            raise CheckpointError(
                f"{source}: not in the cache ({constants.HF_HUB_CACHE}), or not whole, and "
                "HF_HUB_OFFLINE forbids fetching it; unset that variable, or run once with it "
                "unset where there is a network, or give a folder"
            )
        return cached

    def listing() -> list[str]:
        info = huggingface_hub.HfApi().model_info(name, revision=revision)
        return [file.rfilename for file in info.siblings or []]

    try:
        files = _explained(source, listing)
    except CheckpointError as error:
        # The hub may be down, or the model may have been removed: the cache is still valid.
        cached = _explained(source, cached_folder)
        if cached is None:
            raise
        warnings.warn(f"{error}. Taking the copy in the cache, {cached}", stacklevel=2)
        return cached

    def download(files: Iterable[str]) -> Path:
        patterns = [escape(file) for file in files]
        return Path(
            _explained(
                source,
                lambda: huggingface_hub.snapshot_download(
                    name, revision=revision, allow_patterns=patterns
                ),
            )
        )

    # In two steps: the index tells which files there are, and small files fail early.
    folder = download(small_files(source, files))
    if with_weights:
        folder = download([*small_files(source, files), *_weight_files(source, folder, files)])
    return folder


# --------------------------------------------------------------------------------------
# Which files
# --------------------------------------------------------------------------------------


def small_files(source: str, files: Collection[str]) -> list[str]:
    """Returns the configuration and tokenizer files of a model, and the index of its weights.

    Raises:
        CheckpointError: there is no configuration.
    """
    if not any(config in files for config in _CONFIGS):
        raise CheckpointError(
            f"{source}: the hub has no config.json there, but "
            f"{', '.join(sorted(files)[:10]) or 'nothing'}; give the name of a model in "
            "Hugging Face's or CTranslate2's format"
        )
    chosen = find_weights(files)

    def is_needed(file: str) -> bool:
        if file.startswith(_OWN_TOKENIZER_FOLDER):
            return "preset.yaml" in files
        if file.endswith(INDEX_SUFFIX):
            return file == chosen
        return file.endswith(_TEXT_SUFFIXES) and "/" not in file and file not in _NOT_NEEDED

    return [file for file in sorted(files) if is_needed(file)]


def _weight_files(source: str, folder: Path, files: Collection[str]) -> list[str]:
    """Returns the files of one weight format, once the index lies in `folder`."""
    chosen = find_weights(files)
    if chosen is None and _CTRANSLATE2_WEIGHTS in files:
        return [_CTRANSLATE2_WEIGHTS]
    if chosen is None:
        raise CheckpointError(
            f"{source}: the hub has no weights there that can be read, only "
            f"{', '.join(sorted(files)[:10])}; look for another version of the model, with a "
            "model.safetensors"
        )
    if chosen.endswith(INDEX_SUFFIX):
        return sorted(set(read_index(folder / chosen).values()))
    return [chosen]


def _from_cache(name: str, revision: str | None, *, with_weights: bool) -> Path | None:
    """Returns the folder in the cache, if configuration and weights are in it."""
    import huggingface_hub
    from huggingface_hub import errors

    folder = None
    for config in _CONFIGS:
        with suppress(errors.LocalEntryNotFoundError):
            folder = Path(
                huggingface_hub.snapshot_download(
                    name, revision=revision, allow_patterns=[config], local_files_only=True
                )
            )
            if (folder / config).is_file():
                break
    else:
        return None
    assert folder is not None
    if not with_weights:
        return folder
    files = [path.name for path in folder.iterdir() if path.exists()]
    chosen = find_weights(files)
    if chosen is None:
        return folder if _CTRANSLATE2_WEIGHTS in files else None
    shards = read_index(folder / chosen).values() if chosen.endswith(INDEX_SUFFIX) else ()
    return folder if set(shards) <= set(files) else None


# --------------------------------------------------------------------------------------
# What went wrong
# --------------------------------------------------------------------------------------


def _explained(source: str, call: Callable[[], T]) -> T:
    """Calls a function of huggingface_hub, and explains its errors."""
    try:
        return call()
    except CheckpointError:
        raise
    # All errors: huggingface_hub changed its HTTP library twice, and raises the errors of each.
    except Exception as error:
        raise CheckpointError(f"{source}: {_explanation(source, error)}") from None


def _explanation(source: str, error: Exception) -> str:
    from huggingface_hub import constants, errors

    name, revision = parse_source(source)
    page = f"{constants.ENDPOINT}/{name}"
    log_in = "log in with `hf auth login`, or set HF_TOKEN"
    status = getattr(getattr(error, "response", None), "status_code", None)
    # From the narrow to the wide: some of these are subclasses of others.
    if isinstance(error, errors.GatedRepoError):
        return f"its owner lets only some people read it; ask for access at {page}, and {log_in}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"it has no revision {revision!r}; {page}/tree/main shows its branches and tags"
    if isinstance(error, errors.RepositoryNotFoundError):
        search = f"{constants.ENDPOINT}/models?search={name.rpartition('/')[2]}"
        return (
            "there is no such model on the hub, or it is private. Mind the spelling and the "
            f"organisation ({search}); for a private one {log_in}"
        )
    if isinstance(error, errors.HFValidationError):
        return f"not a name on the hub ({error})"
    if status in (401, 403):
        return f"the hub refuses to give it ({status}); {log_in}, or renew an expired token"
    if status == 429:
        return f"the hub takes no more requests from here for now; wait, or {log_in}"
    if isinstance(error, errors.HfHubHTTPError):
        return f"the hub answers with an error ({_short(error)}); try again later"
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return (
            f"cannot be written into the cache ({_short(error)}); make room there, or set "
            "HF_HOME to another folder"
        )
    return (
        f"the hub cannot be reached ({_short(error)}). Check the network and its proxy settings, "
        "or give a folder; a model that was fetched before is found in the cache"
    )


def _short(error: Any) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


__all__ = ["HUB_PREFIX", "fetch_folder", "parse_source", "small_files"]
