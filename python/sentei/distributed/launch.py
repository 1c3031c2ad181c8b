"""Start ranks of MPI and start them again when one dies: `python -m sentei.distributed.launch`.

    python -m sentei.distributed.launch -n 4 --retries 3 -- train --data mnist --run-dir runs/a

What follows `--` are words for `sentei`. MPI ends the whole job when a rank dies; the run then goes on
from its last checkpoint, on the ranks that are left.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]

_USAGE = (0, 2, 130)  # done; wrong words, which would be wrong again; Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run the launcher; returns the exit code of the last job."""
    given, words = _parsed(argv)
    launcher = shlex.split(given.mpiexec)
    found = shutil.which(launcher[0]) or _beside(launcher[0])
    if found is None:
        _say(f'{launcher[0]} must be installed, got none: pip install "sentei[mpi]"')
        return 2
    folder = _folder(words)
    if folder is None:
        folder = Path("runs") / f"train-mpi-{time.strftime('%Y%m%d-%H%M%S')}"
        words = [*words, "--run-dir", str(folder)]
    ranks, tries = given.ranks, 0
    while True:
        going_on = (folder / "run.json").is_file()
        now = ["resume", str(folder)] if going_on and (tries or words[0] == "resume") else words
        code = _job([found, *launcher[1:]], ranks, now, tries)
        if code in _USAGE:
            return code
        if tries == given.retries:
            _say(f"gave up after {tries} relaunches; the last job ended with code {code}")
            return code
        tries += 1
        ranks = ranks if given.keep else max(1, ranks - 1)
        _say(
            f"the job ended with code {code}; relaunch {tries} of {given.retries} on {ranks} ranks"
        )


def _parsed(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m sentei.distributed.launch",
        description="Run `sentei train` in ranks of MPI; go on from the checkpoint when one dies.",
    )
    parser.add_argument("-n", "--ranks", type=int, required=True, help="ranks to start with")
    parser.add_argument("--retries", type=int, default=3, help="relaunches at most (3)")
    parser.add_argument(
        "--keep", action="store_true", help="relaunch as many ranks as before; else one fewer"
    )
    parser.add_argument(
        "--mpiexec", default="mpiexec", help='the launcher with its own words ("mpiexec -f hosts")'
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, help="-- train ..., or -- resume DIR")
    given = parser.parse_args(argv)
    words = given.words[1:] if given.words[:1] == ["--"] else given.words
    if given.ranks < 1 or given.retries < 0:
        parser.error("-n must be at least 1 and --retries not negative")
    if not words or words[0] not in ("train", "resume"):
        parser.error(
            f"after -- there must be train or resume, got {' '.join(words[:1]) or 'nothing'}"
        )
    return given, words


def _folder(words: Sequence[str]) -> Path | None:
    """The run folder that the words name."""
    if words[0] == "resume":
        return next((Path(w) for w in words[1:] if not w.startswith("-")), None)
    for i, w in enumerate(words):
        if w == "--run-dir" and i + 1 < len(words):
            return Path(words[i + 1])
        if w.startswith("--run-dir="):
            return Path(w.partition("=")[2])
    return None


def _beside(name: str) -> str | None:
    """A launcher that was installed with this Python and is not on the path."""
    return shutil.which(str(Path(sys.executable).with_name(name)))


def _job(launcher: Sequence[str], ranks: int, words: Sequence[str], tries: int) -> int:
    command = [*launcher, "-n", str(ranks), sys.executable, "-m", "sentei", *words]
    job = subprocess.Popen(command, env={**os.environ, "SENTEI_RELAUNCHES": str(tries)})
    ended: list[int] = []

    def end(number: int, frame: object) -> None:  # a batch system ends us: the ranks go with us
        ended.append(number)
        job.terminate()

    before = {s: signal.signal(s, end) for s in (signal.SIGTERM, signal.SIGHUP)}
    try:
        code = _waited(job)
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
    if ended:
        raise SystemExit(128 + ended[0])
    return 128 - code if code < 0 else code


def _waited(job: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return job.wait()
        except KeyboardInterrupt:  # mpiexec has it too, and the ranks write their checkpoint
            continue


def _say(text: str) -> None:
    print(f"sentei: launch: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
