"""The MPI world, or a world of one: the only file that calls mpi4py."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DeviceError, DTypeError, SenteiError, ShapeError

__all__ = ["Comm", "MpiError", "Pending", "Traffic", "comm", "launched_rank", "local_ranks"]

# (rank, size) in the environment of a process that an MPI launcher has started.
_LAUNCHERS = (
    ("PMI_RANK", "PMI_SIZE"),  # mpich, Intel MPI, srun --mpi=pmi2
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
)
_KINDS = ("float32", "float64", "int32", "int64", "uint8")
_PAUSE = 0.02  # seconds between two looks of a rank that waits without work


class MpiError(SenteiError, RuntimeError):
    """Ranks do not do the same, or MPI cannot be used."""


def local_ranks() -> int:
    """Ranks on this machine, as the launcher says it; all of them where it says nothing."""
    for name in ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE"):
        if os.environ.get(name, "").isdecimal():
            return max(1, int(os.environ[name]))
    launched = launched_rank()
    return launched[1] if launched else 1


def launched_rank() -> tuple[int, int] | None:
    """(rank, size) if a launcher of MPI has started this process; nothing is imported for it."""
    for rank, size in _LAUNCHERS:
        found = os.environ.get(rank, ""), os.environ.get(size, "")
        if all(f.isdecimal() for f in found) and int(found[1]) >= 1:
            return int(found[0]), int(found[1])
    return None


@dataclass
class Traffic:
    """What a rank has counted. bytes: handed to MPI; exchanges: calls; seconds: spent in them and
    waiting for others; waits: the part of it that ended a gradient exchange."""

    bytes: int = 0
    exchanges: int = 0
    seconds: float = 0.0
    waits: float = 0.0


@dataclass
class Pending:
    """A sum over all ranks under way, in the array's own memory until `Comm.wait`."""

    array: NDArray[Any]
    request: Any = None


@dataclass
class Comm:
    """Ranks that call the same functions in the same order; a lone process is a world of one.

    Arrays must be contiguous and of a dtype that is known here: MPI itself would take the bytes of a
    float64 array for those of a float32 one. Sums are made in place by MPI's all-reduce, whose order
    depends on the number of ranks and the size only: the same run gives the same bits, on all ranks.
    """

    rank: int = 0
    size: int = 1
    library: str = "none"
    traffic: Traffic = field(default_factory=Traffic)
    mpi: Any = None
    raw: Any = None
    muted: bool = False  # inside a look at this rank's own numbers
    under_way: list[Any] = field(default_factory=list)

    # -- arrays --------------------------------------------------------------------------------
    def sum(self, array: NDArray[Any]) -> None:
        """Replace an array by its sum over the ranks: float32 or float64, writable, contiguous."""
        checked("sum", array)
        if self._counted(array.nbytes):
            self._timed(lambda: self.raw.Allreduce(self.mpi.IN_PLACE, array))

    def start_sum(self, array: NDArray[Any]) -> Pending:
        """Begin what `sum` does; the array is not to be touched before `wait`."""
        checked("start_sum", array)
        if not self._counted(array.nbytes):
            return Pending(array)
        made: list[Any] = []
        self._timed(lambda: made.append(self.raw.Iallreduce(self.mpi.IN_PLACE, array)))
        self.under_way.append(made[0])
        return Pending(array, made[0])

    def poke(self) -> None:
        """Let MPI move on with what is under way: it works inside its calls only."""
        if self.under_way and not self.muted:
            self.mpi.Request.Testall(self.under_way)

    def wait(self, pending: Pending) -> None:
        """End a sum."""
        if pending.request is None:
            return
        before = self.traffic.seconds
        self._timed(pending.request.Wait)
        self.traffic.waits += self.traffic.seconds - before
        self.under_way = [r for r in self.under_way if r is not pending.request]

    def broadcast(self, array: NDArray[Any]) -> None:
        """Give all ranks the array of rank 0."""
        checked("broadcast", array)
        if self._counted(array.nbytes):
            self._timed(lambda: self.raw.Bcast(array, root=0))

    def rows(self, array: NDArray[Any]) -> NDArray[Any]:
        """The rows of all ranks, one after the other; they may have different numbers of them."""
        checked("rows", array)
        if self.size == 1:
            return array
        shapes = self.gather((array.shape, array.dtype.str))
        if len({(s[1:], d) for s, d in shapes}) != 1:
            raise ShapeError(f"rows: ranks must hold rows of one shape and dtype, got {shapes}")
        whole = np.empty((sum(s[0] for s, _ in shapes), *array.shape[1:]), array.dtype)
        each = int(np.prod(array.shape[1:]))
        counts = [s[0] * each for s, _ in shapes]
        kind = self.mpi.Datatype.fromcode(array.dtype.char)
        self._counted(array.nbytes)
        self._timed(lambda: self.raw.Allgatherv(array, [whole, counts, None, kind]))
        return whole

    def same_parts(self, part: NDArray[Any], whole: NDArray[Any]) -> None:
        """Write parts of one size, (ranks, *part.shape), into `whole`."""
        checked("same_parts", part)
        checked("same_parts", whole)
        if whole.dtype != part.dtype or whole.size != part.size * self.size:
            raise ShapeError(
                f"same_parts: whole must hold {self.size} times {part.size} of {part.dtype}, "
                f"got {whole.size} of {whole.dtype}"
            )
        if self._counted(part.nbytes):
            self._timed(lambda: self.raw.Allgather(part, whole))
        else:
            whole.reshape(-1)[:] = part.reshape(-1)

    # -- words ---------------------------------------------------------------------------------
    def gather(self, thing: Any) -> list[Any]:
        """Small things of all ranks, by rank; they travel pickled, between ranks of one job only."""
        return [thing] if self.size == 1 else self._timed(lambda: self.raw.allgather(thing))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        if self.size == 1 or self.muted:
            return flag
        found = np.array([flag], np.float64)
        self.sum(found)
        return bool(found[0])

    def agree(self, number: int, what: str) -> None:
        """MpiError unless all ranks have the same number."""
        found = self.gather(number)
        if len(set(found)) > 1:
            raise MpiError(f"mpi: {what} must be the same on all ranks, got {found}")

    def barrier(self) -> None:
        """Wait for all ranks, asleep: for ranks that have nothing to do for a while."""
        if self.size == 1:
            return
        request = self.raw.Ibarrier()
        while not request.Test():
            time.sleep(_PAUSE)

    def abort(self, code: int) -> None:
        """End all ranks at once; a rank that left alone would keep the others waiting for ever."""
        sys.stdout.flush()
        sys.stderr.flush()
        if self.size > 1:
            self.raw.Abort(code)

    # -- inside --------------------------------------------------------------------------------
    def _counted(self, nbytes: int) -> bool:
        if self.size == 1 or self.muted:
            return False
        self.traffic.bytes += nbytes
        self.traffic.exchanges += 1
        return True

    def _timed(self, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        try:
            return call()
        finally:
            self.traffic.seconds += time.perf_counter() - start


def checked(call: str, array: NDArray[Any]) -> None:
    """DTypeError or ShapeError unless MPI can take the memory of this array as it is."""
    if not isinstance(array, np.ndarray) or array.dtype.name not in _KINDS:
        got = getattr(array, "dtype", type(array).__name__)
        raise DTypeError(f"{call}: array must be one of {', '.join(_KINDS)}, got {got}")
    if not array.flags.c_contiguous:
        raise ShapeError(f"{call}: array must be contiguous, got strides {array.strides}")
    if not array.dtype.isnative:
        raise DTypeError(f"{call}: array must have this machine's byte order, got {array.dtype}")


@functools.cache
def comm() -> Comm:
    """The world of MPI that this process was started in, or a world of one.

    MPI is loaded only under a launcher (mpiexec). `library` says which one was found.

    Raises:
        DeviceError: under a launcher, but mpi4py or its library is missing, or they are not of a kind.
    """
    launched = launched_rank()
    if launched is None:
        return Comm()
    try:
        from mpi4py import MPI
    except ImportError as e:
        raise DeviceError(
            f'mpi: mpi4py and an MPI library are needed, got {e}: pip install "sentei[mpi]"'
        ) from None
    raw = MPI.COMM_WORLD.Dup()  # what others do with the world does not meet ours
    if (raw.rank, raw.size) != launched:
        raise DeviceError(
            f"mpi: mpiexec must be that of the MPI library that mpi4py has loaded, but it started rank "
            f"{launched[0]} of {launched[1]} and the library says {raw.rank} of {raw.size}: "
            f"{library(MPI)}"
        )
    made = Comm(raw.rank, raw.size, library(MPI), mpi=MPI, raw=raw)
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        before(kind, error, trace)
        made.abort(1)  # at its end this process would wait for ranks that wait for it

    sys.excepthook = hook
    return made


def library(mpi: Any) -> str:
    """Name and version of the MPI library, in a line."""
    lines = str(mpi.Get_library_version()).replace("\x00", "").splitlines()
    return " ".join(lines[0].replace(":", " ").split()) if lines else "unknown"
