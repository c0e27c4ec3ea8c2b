"""The order in which rows are learned from: a function of (seed, epoch, place), so that a resumed run skips nothing.

Each epoch is a permutation of all rows that is never written down: a bijection of the places (a Feistel network on
the bits of a place, walked again where it leaves the range) gives the row at any place by itself. So the batch of
step 1,000,000 costs what that of step 0 does, whatever was read before and by how many workers.
Source: Mitchell et al., Bandwidth-optimal random shuffling for GPUs, ACM TOPC 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgeline.engine.seeds import Seed

ROUNDS = 12
"""Of the network; with fewer, places that differ in few bits stay near one another (Mitchell et al. take 24)."""
MULTIPLIER = np.uint64(0xD2B74407B1CE6E93)
"""Of the round function, as Philox has it (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011)."""


@dataclass(frozen=True)
class Order:
    """Rows of an endless line of epochs, each a permutation of all rows."""

    rows: int
    seed: Seed

    def take(self, first: int, count: int) -> np.ndarray:
        """int64 [count]: rows at the places first, first + 1, … counted from the start of epoch 0."""
        found, at = [], first
        while at < first + count:
            epoch, place = divmod(at, self.rows)
            ends = min(self.rows, place + first + count - at)
            found.append(permuted(np.arange(place, ends, dtype=np.uint64), self.rows, self.keys(epoch)))
            at += ends - place
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def batch(self, step: int, size: int) -> np.ndarray:
        """int64 [size]: rows of a step, when each takes so many."""
        return self.take(step * size, size)

    def keys(self, epoch: int) -> np.ndarray:
        """uint64 [ROUNDS]: the keys of an epoch's network."""
        return self.seed.child("order", epoch).generator().integers(0, 2**64, ROUNDS, dtype=np.uint64)


def permuted(place_N: np.ndarray, rows: int, keys: np.ndarray) -> np.ndarray:
    """int64 [N]: what stands at each place of one permutation of `rows`; places that leave the range walk on."""
    bits = max(2, (rows - 1).bit_length())
    at_N = network(place_N, bits, keys)
    while len(out := np.flatnonzero(at_N >= rows)):
        at_N[out] = network(at_N[out], bits, keys)
    return at_N.astype(np.int64)


def network(place_N: np.ndarray, bits: int, keys: np.ndarray) -> np.ndarray:
    """uint64 [N]: a bijection of the numbers of so many bits; halves of unequal size change sides each round."""
    left, right = np.uint64(bits // 2), np.uint64(bits - bits // 2)
    high_N, low_N = place_N >> right, place_N & mask(right)
    for key in keys:
        mixed_N = (low_N ^ key) * MULTIPLIER  # modulo 2^64, on purpose
        mixed_N ^= mixed_N >> np.uint64(32)
        high_N, low_N = low_N, (high_N ^ mixed_N) & mask(left)
        left, right = right, left
    return (high_N << right) | low_N


def mask(bits: np.uint64) -> np.uint64:
    """So many ones."""
    return (np.uint64(1) << bits) - np.uint64(1)
