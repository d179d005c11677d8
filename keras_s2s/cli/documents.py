"""`keras-s2s generate --document`: generates a whole document."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_s2s.atomic_writing import write_atomically

#: Format of a file, by the end of its name.
FORMATS = {".txt": "text", ".html": "html", ".htm": "html", ".srt": "srt", ".vtt": "vtt"}

DocumentOption = Annotated[
    str | None,
    typer.Option(
        help="A whole document: .txt, .html, .htm, .srt or .vtt; - is standard input. All but its "
        "sentences stays as it is."
    ),
]
DocumentFormatOption = Annotated[
    str | None,
    typer.Option(help="text, html, srt or vtt; by default what the name of the file says."),
]


def format_of_document(path: str, written: str | None) -> str:
    """Returns the format of a document.

    Args:
        path: as the user wrote it.
        written: value of `--document-format`, or None.

    Raises:
        ValueError: the format is unknown, or neither says what it is.

    Example:
        >>> format_of_document("page.HTM", None)
        'html'
    """
    expected = ", ".join(dict.fromkeys(FORMATS.values()))
    if written is not None:
        if written not in FORMATS.values():
            raise ValueError(f"--document-format {written}: expected one of {expected}")
        return written
    found = FORMATS.get(Path(path).suffix.lower())
    if found is None:
        raise ValueError(
            f"--document {path}: its name does not end in {', '.join(FORMATS)}; say what it is "
            f"with --document-format, one of {expected}"
        )
    return found


def read_document(path: str) -> str:
    """Returns the text of a document, with its line breaks as they are.

    Args:
        path: a UTF-8 file; "-" is standard input.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not UTF-8.
    """
    content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not valid UTF-8 (byte 0x{content[error.start]:02x} at position "
            f"{error.start + 1}); convert it first"
        ) from None


def write_document(text: str, path: Path | None) -> None:
    """Writes the text of a document, with its line breaks as they are.

    Args:
        text: the text.
        path: a file that appears under its name once it is complete; None is standard output.
    """
    if path is not None:
        write_atomically(path, text.encode("utf-8"))
        return
    output = getattr(sys.stdout, "buffer", None)
    if output is None:
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    output.write(text.encode("utf-8"))


def generate_from_document(
    network: Any, path: str, format: str, output: Path | None, options: Mapping[str, Any]
) -> None:
    """Generates a document and writes it.

    Args:
        network: a `Seq2SeqLM`.
        path: of the source; "-" is standard input.
        format: of both.
        output: file to write; None is standard output.
        options: of `generate_document`.
    """
    from keras_s2s.documents import generate_document

    result = generate_document(network, read_document(path), format, **options)  # type: ignore[arg-type]
    write_document(result.text, output)
