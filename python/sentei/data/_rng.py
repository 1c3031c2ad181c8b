"""Random numbers that are pure functions of (seed, epoch, index).

Only raw Philox words and integer arithmetic are used: NumPy promises the stream of a bit
    generator, but not that of `Generator.permutation`, and a resumed run must meet the same bits
    under another NumPy.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentei.errors import DataError

__all__ = ["Keys", "below", "check_seed", "permutation", "raw_words", "sample_keys"]

Keys = NDArray[np.uint64]

_WORD = 1 << 64
_GOLDEN = 0x9E3779B97F4A7C15


def check_seed(op: str, seed: object) -> int:
    """Return `seed` as an int in [0, 2^64)."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < _WORD:
        raise DataError(f"{op}: seed must be an integer in [0, 2**64), got {seed!r}")
    return int(seed)


def raw_words(n: int, seed: int, epoch: int, stream: int) -> Keys:
    """Return n Philox words (uint64); streams and epochs never overlap."""
    bits = np.random.Philox(
        key=np.array([seed, stream], np.uint64), counter=np.array([0, 0, epoch, 0], np.uint64)
    )
    words: Any = bits.random_raw(n)
    return np.asarray(words, np.uint64)


def permutation(n: int, seed: int, epoch: int = 0, stream: int = 0) -> NDArray[np.int64]:
    """Return a permutation of 0 .. n-1 (int64), a pure function of its arguments."""
    return np.argsort(raw_words(n, seed, epoch, stream), kind="stable").astype(np.int64)


def _mix(x: Keys) -> Keys:
    """Apply the finaliser of SplitMix64 (Steele, Lea, Flood 2014) to every word."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def sample_keys(seed: int, epoch: int, position: int, indices: NDArray[np.int64]) -> Keys:
    """Return one key per sample: (seed, epoch, place of the transform, index) hashed to uint64."""
    base = raw_words(1, seed, epoch, 1000 + position)
    return _mix(base + (indices.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN))


def below(keys: Keys, n: int, draw: int = 0) -> NDArray[np.int64]:
    """Return integers in [0, n), one per key; `draw` numbers independent draws from the same key.

    The bias of the multiply-shift is below n / 2^32.
    """
    offset = np.uint64(((draw + 1) * _GOLDEN) % _WORD)
    high = _mix(keys + offset) >> np.uint64(32)
    return ((high * np.uint64(n)) >> np.uint64(32)).astype(np.int64)
