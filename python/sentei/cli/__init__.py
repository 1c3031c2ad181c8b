"""The command line: `sentei COMMAND`, one function of sentei.workflow behind each command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0: all is well. 1: a target or a proof failed, or training did. 2: bad usage or input. 130: Ctrl-C.

    Args:
        argv: words after `sentei`; None: those of the process.
    """
    from sentei.cli.guard import debugging, explain

    words = list(sys.argv[1:] if argv is None else argv)
    with debugging("--debug" in words):
        words = [w for w in words if w != "--debug"]
        try:
            from sentei.cli.app import app

            code = app(words, prog_name="sentei", standalone_mode=False)
        except BaseException as error:
            return explain(error)
    return code if isinstance(code, int) else 0
