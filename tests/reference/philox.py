"""Philox 4x32-10 (Salmon et al. 2011) on arrays of counters, from its definition."""

from __future__ import annotations

import numpy as np

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def philox(counter, key):
    """counter: four arrays of words, key: two words; four arrays of random words."""
    c = [np.asarray(x, np.uint64) for x in counter]
    k = [int(x) for x in key]
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c[0]
        p1 = np.uint64(0xCD9E8D57) * c[2]
        c = [
            (p1 >> _32) ^ c[1] ^ np.uint64(k[0]),
            p1 & _LOW,
            (p0 >> _32) ^ c[3] ^ np.uint64(k[1]),
            p0 & _LOW,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def uniform(n, seed, stream, step):
    """The first n numbers in [0, 1) of a stream: lane i mod 4 of counter (i / 4, stream, step)."""
    index = np.arange((n + 3) // 4, dtype=np.uint64)
    counter = (index & _LOW, index >> _32, np.full_like(index, stream), np.full_like(index, step))
    seed = int(seed) % 2**64
    words = np.stack(philox(counter, (seed & 0xFFFFFFFF, seed >> 32)), axis=1).ravel()[:n]
    return (words >> np.uint64(8)).astype(np.float64) / 2**24


def dropout_mask(shape, seed, step, keep, stream):
    n = int(np.prod(shape))
    return (uniform(n, seed, stream, step % 2**32) < keep).astype(np.float64).reshape(shape)
