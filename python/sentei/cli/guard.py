"""From exceptions to one sentence and an exit code."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import typer

__all__ = ["debugging", "explain", "guarded"]

P = ParamSpec("P")
_debug = False


@contextmanager
def debugging(on: bool) -> Iterator[None]:
    """Show tracebacks inside the block."""
    global _debug  # noqa: PLW0603
    before, _debug = _debug, on
    try:
        yield
    finally:
        _debug = before


def guarded(command: Callable[P, int | None]) -> Callable[P, None]:
    """Make a command end in an exit code: its own number, or the one of its exception."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs) or 0
            sys.stdout.flush()
        except typer.Exit:
            raise
        except BaseException as error:
            code = explain(error)
        if code:
            raise typer.Exit(code)

    return run


def explain(error: BaseException) -> int:
    """Print one sentence on the error stream and return the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 2
    if _debug:
        import traceback

        traceback.print_exception(error)
    from sentei.workflow.parallel import follows

    if follows():  # what all ranks meet is told by rank 0
        return 0
    if isinstance(error, BrokenPipeError):
        # the reader of our output has left; nothing more may be written, at exit neither
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return _stopped(error)
    say(f"sentei: {_sentence(error)}")
    return _code(error)


def say(text: str) -> None:
    """Print a line on the error stream."""
    print(text, file=sys.stderr, flush=True)


def _stopped(error: BaseException) -> int:
    from sentei.workflow.session import InterruptedRunError

    if isinstance(error, InterruptedRunError):
        kept = f"checkpoint: {error.checkpoint}" if error.checkpoint else "no checkpoint yet"
        say(f"\nsentei: stopped; {kept}\nto go on: sentei resume {quoted(str(error.run_dir))}")
    else:
        say("\nsentei: stopped")
    return 130


def quoted(path: str) -> str:
    """A path as a shell takes it."""
    import shlex

    return shlex.quote(path)


def _sentence(error: BaseException) -> str:
    format_message = getattr(error, "format_message", None)  # errors of the option parser
    if callable(format_message):
        text = str(format_message()).rstrip(".")
        return f"{text[:1].lower()}{text[1:]} (see `sentei --help`)"
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"there must be a file {os.fspath(error.filename)!r}, got none"
    if isinstance(error, OSError) and error.strerror:
        where = f" ({os.fspath(error.filename)})" if error.filename is not None else ""
        return f"the system refused: {error.strerror}{where}"
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _code(error: BaseException) -> int:
    if isinstance(getattr(error, "exit_code", None), int):
        return int(getattr(error, "exit_code"))  # noqa: B009
    if isinstance(error, MemoryError):
        return 1
    names = {k.__name__ for k in type(error).__mro__}
    if names & {
        "NonFiniteError",
        "VerificationError",
        "TargetUnreachableError",
        "ExportMismatchError",
    }:
        return 1
    return 2 if names & {"SenteiError", "ValueError", "TypeError", "OSError"} else 1
