"""Download public data sets: checked, written beside and renamed, resumed if possible."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from sentei.data._files import guarded
from sentei.data.catalog import CATALOG, Archive, Member
from sentei.errors import DataError

__all__ = ["Progress", "download"]

Progress = Callable[[str, int, int | None], None]
"""Called as progress(file name, bytes so far, bytes in all or None)."""

_OP = "download"
_CHUNK = 1 << 18
_TIMEOUT = 30.0


class _RefusedError(Exception):
    """What a mirror sent is not the file; the reason is the message."""


def download(
    name: str, data_dir: str | os.PathLike[str], progress: Progress | None = None
) -> tuple[Path, ...]:
    """Fetch a public data set into `data_dir`, where `load` finds it.

    MNIST and CIFAR-10 are checked by the SHA-256 of each decompressed file; Fashion-MNIST,
    CIFAR-100 and STL-10 by the published SHA-256 of the archive and the sizes of the files in it
    (no checksum of the files was at hand). Files that are there and pass are kept; an interrupted
    download goes on where it stopped, or starts again.

    Args:
        name: "mnist", "fashion-mnist", "cifar10", "cifar100" or "stl10".
        data_dir: made if missing. Needs room for the archive and the files at once.
        progress: called now and then as progress(file name, bytes so far, bytes in all or None).

    Returns:
        The paths of the files of the data set.

    Raises:
        DataError: unknown name, no connection, a file that fails its check, a folder that cannot
            be written.
    """
    if name not in CATALOG:
        raise DataError(f"{_OP}: name must be one of {', '.join(CATALOG)}, got {name!r}")
    root = Path(data_dir)
    paths: list[Path] = []
    for archive in CATALOG[name]:
        targets = [root / member.target for member in archive.members]
        if not all(map(_passes, targets, archive.members, [archive] * len(targets))):
            with guarded(_OP, root, "writable"):
                for target in targets:
                    target.parent.mkdir(parents=True, exist_ok=True)
            _fetch(archive, root, progress or (lambda *_: None))
        paths += targets
    return tuple(paths)


def _fetch(archive: Archive, root: Path, progress: Progress) -> None:
    """Try the mirrors one after the other until the files of the archive are in place."""
    from urllib.parse import urlsplit  # slow to import, and wanted on this path only

    name = urlsplit(archive.urls[0]).path.rsplit("/", 1)[-1]
    part = (root / archive.members[0].target).parent / f"{name}.part"
    reasons = []
    for url in archive.urls:
        host = urlsplit(url).hostname or url
        try:
            with guarded(_OP, part, "writable"):
                _receive(url, part, archive, name, progress)
                _check_archive(part, archive)
                if archive.is_tar:
                    _unpack(part, root, archive)
                    part.unlink()
                else:
                    _check_gzip(part, archive.members[0])
                    os.replace(part, root / archive.members[0].target)
            return
        except _RefusedError as refused:
            # wrong bytes are no base to resume from; a broken connection (_LostError) keeps them
            if not isinstance(refused, _LostError):
                part.unlink(missing_ok=True)
            reasons.append(f"{host}: {refused}")
    raise DataError(
        f"{_OP}: {name} must be fetched from the network (or its files put into {root}), got "
        + "; ".join(reasons)
    )


class _LostError(_RefusedError):
    """The connection failed: what has arrived is worth keeping."""


def _receive(url: str, part: Path, archive: Archive, name: str, progress: Progress) -> None:
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    done = part.stat().st_size if part.exists() else 0
    if archive.size is not None and done == archive.size:
        return
    headers = {"User-Agent": "sentei", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as reply:
            resumed = done > 0 and getattr(reply, "status", None) == 206
            done = done if resumed else 0
            left = reply.headers.get("Content-Length", "")
            total = archive.size or (done + int(left) if left.isdigit() else None)
            with part.open("ab" if resumed else "wb") as out:
                _copy(reply, out, done, total, archive.limit, lambda n: progress(name, n, total))
    except HTTPError as error:
        if error.code == 416:  # what we hold is longer than the file: start afresh next time
            part.unlink(missing_ok=True)
        raise _LostError(f"HTTP {error.code} {error.reason}") from None
    except URLError as error:
        raise _LostError(f"no connection ({error.reason})") from None
    except (HTTPException, ConnectionError, TimeoutError) as error:
        raise _LostError(f"connection lost ({type(error).__name__})") from None


def _copy(
    reply: Any,
    out: IO[bytes],
    done: int,
    total: int | None,
    limit: int,
    report: Callable[[int], None],
) -> None:
    report(done)
    while chunk := reply.read(_CHUNK):
        done += len(chunk)
        if done > limit:
            raise _RefusedError(f"sent more than {limit} bytes")
        out.write(chunk)
        report(done)
    out.flush()
    os.fsync(out.fileno())
    if total is not None and done < total:
        raise _LostError(f"connection closed after {done} of {total} bytes")


def _check_archive(part: Path, archive: Archive) -> None:
    import hashlib

    size = part.stat().st_size
    if archive.size is not None and size != archive.size:
        raise _RefusedError(f"sent {size} bytes, expected {archive.size}")
    if archive.sha256 is not None:
        with part.open("rb") as stream:
            got = hashlib.file_digest(stream, "sha256").hexdigest()
        if got != archive.sha256:
            raise _RefusedError(f"the archive has SHA-256 {got}, expected {archive.sha256}")


def _check_stream(stream: Any, member: Member, out: IO[bytes] | None = None) -> None:
    """Read exactly the promised size from the stream, hash it, and copy it to `out`."""
    import hashlib

    digest, done = hashlib.sha256(), 0
    while done <= member.size:
        chunk = stream.read(min(_CHUNK, member.size + 1 - done))
        if not chunk:
            break
        digest.update(chunk)
        if out is not None:
            out.write(chunk)
        done += len(chunk)
    if done != member.size:
        got = "more" if done > member.size else str(done)
        raise _RefusedError(f"{member.target} holds {got} bytes, expected {member.size}")
    if member.sha256 is not None and digest.hexdigest() != member.sha256:
        raise _RefusedError(
            f"{member.target} has SHA-256 {digest.hexdigest()}, expected {member.sha256}"
        )


def _check_gzip(path: Path, member: Member) -> None:
    import gzip
    import zlib

    try:
        with gzip.open(path) as stream:
            _check_stream(stream, member)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _RefusedError(f"{member.target} is no whole gzip file ({error})") from None


def _unpack(part: Path, root: Path, archive: Archive) -> None:
    """Copy the wanted members, each to a fixed place; names in the tar choose nothing."""
    import tarfile
    import zlib

    wanted = {member.inside: member for member in archive.members}
    try:
        with tarfile.open(part, "r|gz") as tar:
            for entry in tar:
                member = wanted.pop(entry.name.removeprefix("./"), None)
                stream = tar.extractfile(entry) if member and entry.isreg() else None
                if member is None or stream is None:
                    continue
                target = root / member.target
                beside = target.with_name(f"{target.name}.part")
                try:
                    with beside.open("wb") as out:
                        _check_stream(stream, member, out)
                        out.flush()
                        os.fsync(out.fileno())
                    os.replace(beside, target)
                finally:
                    beside.unlink(missing_ok=True)
                if not wanted:
                    return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _RefusedError(f"{part.name} is no whole tar.gz file ({error})") from None
    raise _RefusedError(f"{part.name} holds no {', '.join(sorted(wanted))}")


def _passes(path: Path, member: Member, archive: Archive) -> bool:
    """Tell whether the file is there and right already."""
    if not path.is_file():
        return False
    try:
        if archive.is_tar:
            with path.open("rb") as stream:
                _check_stream(stream, member)
        else:
            _check_archive(path, archive)
            _check_gzip(path, member)
    except (_RefusedError, OSError):
        return False
    return True
