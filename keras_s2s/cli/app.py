"""The `keras-s2s` program: its commands, and its exit codes.

Exit codes: 0 done, 1 could not be done, 2 not understood, 130 interrupted.  Results go to
standard output, everything else to standard error.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from keras_s2s.cli.commands import zoo
from keras_s2s.cli.commands.convert import convert
from keras_s2s.cli.commands.evaluate import evaluate
from keras_s2s.cli.commands.export import export
from keras_s2s.cli.commands.generate import generate
from keras_s2s.cli.commands.serve import serve
from keras_s2s.cli.commands.shortlist import shortlist
from keras_s2s.cli.commands.train import train
from keras_s2s.cli.interrupts import kept_interrupts
from keras_s2s.cli.messages import hide_messages
from keras_s2s.cli.quiet import quiet_backends
from keras_s2s.cli.utf8 import utf8_output

FAILED, INTERRUPTED = 1, 130

# What bad input raises; its message is written for the user.  Anything else is a defect.
EXPECTED = (ValueError, OSError, ImportError)

app = typer.Typer(
    name="keras-s2s",
    no_args_is_help=True,
    add_completion=False,
    # Plain help: in markup, a reference such as [Bahdanau 2015] would disappear.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(train)
app.command()(generate)
app.command()(evaluate)
app.command()(convert)
app.command()(export)
app.command()(serve)
app.command()(shortlist)
app.add_typer(zoo.app, name="zoo")


def _print_version(wanted: bool) -> None:
    if wanted:
        from keras_s2s.version import __version__

        print(f"keras-s2s {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Show the stack trace of an error, and all messages of the backend."
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Encoder-decoder models on Keras 3: train, generate, evaluate, convert, export, serve."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line, and returns its exit code.

    Args:
        arguments: the words after the program's name; `None` takes the process's own.
            `--debug` may stand anywhere before a `--`.

    Example:
        >>> main(["zoo", "show", "no_such_preset"])
        1
    """
    try:
        with utf8_output():
            return _run(list(sys.argv[1:] if arguments is None else arguments))
    finally:
        hide_messages()


def _run(words: list[str]) -> int:
    options = words[: words.index("--")] if "--" in words else words
    debug = "--debug" in options
    rest = [word for word in options if word != "--debug"] + words[len(options) :]
    code = 0
    try:
        with quiet_backends(not debug), kept_interrupts():
            app(args=rest, prog_name="keras-s2s")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if code == INTERRUPTED:
            _say(_interruption(stop))
            return code
    except KeyboardInterrupt as stop:
        _say(_interruption(stop))
        return INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        else:
            _say(f"error: {_explain(error)}")
        return FAILED
    return code if _flush() else FAILED


def _interruption(stop: BaseException) -> str:
    """Returns the message of a command that was interrupted, which Typer turns into an exit."""
    link: BaseException | None = stop
    while link is not None and not isinstance(link, KeyboardInterrupt):
        link = link.__cause__ or link.__context__
    return str(link or "") or "interrupted"


def _flush() -> bool:
    """Flushes standard output; returns `False` where its reader, e.g. `head`, has closed it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, EXPECTED) and str(error):
        return str(error)
    return (
        f"unexpected {type(error).__name__}: {error}\n"
        "This looks like a defect in keras-s2s; --debug shows where it happened."
    )


def _say(message: str) -> None:
    print(f"keras-s2s: {message}", file=sys.stderr)
