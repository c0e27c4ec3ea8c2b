"""Batches for a training loop, any of them by its step: from rows in memory, or decoded ahead by threads.

A batch is a dict of tensors with the rows on axis 0. Which rows a step has follows from the order alone; so the
number of threads, and what was read before, change nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from forgeline.engine.order import Order

if TYPE_CHECKING:
    import torch

Batch = dict[str, "torch.Tensor"]


class Feed(Protocol):
    """Where batches come from."""

    waited: float
    """Seconds that the loop has waited for batches."""

    def take(self, step: int) -> Batch:
        """The batch of a step."""
        ...

    def rows(self, step: int) -> np.ndarray:
        """int64 [B]: the rows of a step."""
        ...


@dataclass
class Resident:
    """Rows that are in memory, on whatever device they are to be used: gathered for many steps at once."""

    tensors: Batch
    order: Order
    size: int
    """Rows of a batch."""
    most_bytes: int = 4 << 20
    """Of batches gathered at once."""
    waited: float = 0.0
    first: int = -1
    gathered: list[Batch] = field(default_factory=list)

    def take(self, step: int) -> Batch:
        """The batch of a step; asked for in order, most are there already."""
        at = step - self.first
        if not 0 <= at < len(self.gathered):
            began = time.perf_counter()
            self.gather(step)
            self.waited += time.perf_counter() - began
            at = 0
        return self.gathered[at]

    def gather(self, step: int) -> None:
        """Batches of `step` and those after it."""
        import torch

        row_bytes = sum(each[:1].numel() * each.element_size() for each in self.tensors.values())
        steps = max(1, self.most_bytes // max(1, self.size * row_bytes))
        rows = torch.from_numpy(self.order.take(step * self.size, steps * self.size))
        parts = {name: torch.split(each[rows.to(each.device)], self.size) for name, each in self.tensors.items()}
        self.first = step
        self.gathered = [dict(zip(parts, batch)) for batch in zip(*parts.values())]

    def rows(self, step: int) -> np.ndarray:
        """int64 [B]."""
        return self.order.batch(step, self.size)


@dataclass
class Decoded:
    """Rows that have to be read and decoded: threads do it some steps ahead of the loop.

    `decode` gets rows and gives a batch; it must not depend on what it was asked before. Decoders that let go of the
    interpreter (images, decompression, files) run beside the loop.
    """

    decode: Callable[[np.ndarray], Batch]
    order: Order
    size: int
    ahead: int = 8
    """Steps that are decoded before they are asked for."""
    threads: int = 2
    pinned: bool = False
    """Put batches in page-locked memory, from where a device copies without waiting."""
    waited: float = 0.0
    coming: dict[int, Future[Batch]] = field(default_factory=dict)
    pool: ThreadPoolExecutor | None = None

    @contextmanager
    def open(self) -> Iterator[Decoded]:
        """With its threads; what they have not begun is dropped at the end."""
        self.pool = ThreadPoolExecutor(self.threads, thread_name_prefix="decode")
        try:
            yield self
        finally:
            self.pool.shutdown(cancel_futures=True)
            self.pool, self.coming = None, {}

    def take(self, step: int) -> Batch:
        """The batch of a step. Errors: what the decoder raises."""
        if self.pool is None:
            raise RuntimeError("open the feed before batches are taken from it")
        for each in range(step, step + self.ahead + 1):
            if each not in self.coming:
                self.coming[each] = self.pool.submit(self.prepare, each)
        began = time.perf_counter()
        batch = self.coming.pop(step).result()
        self.waited += time.perf_counter() - began
        return batch

    def prepare(self, step: int) -> Batch:
        """In a thread."""
        batch = self.decode(self.rows(step))
        return {name: each.pin_memory() for name, each in batch.items()} if self.pinned else batch

    def rows(self, step: int) -> np.ndarray:
        """int64 [B]."""
        return self.order.batch(step, self.size)


class Cache:
    """Decoded rows of one shape, kept in a file that the system pages in and out; no more than a bound of bytes.

    Rows beyond the bound are decoded each time. Threads may fill the same row twice, with the same.
    """

    def __init__(self, path: Path, rows: int, shape: tuple[int, ...], dtype: str, *, most_bytes: int) -> None:
        row_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.kept = min(rows, most_bytes // max(1, row_bytes))
        self.values = np.lib.format.open_memmap(path, "w+", dtype, (max(1, self.kept), *shape))
        self.known = np.zeros(rows, bool)

    def take(self, rows: np.ndarray, decode: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Decoded rows [B, …]; `decode` is asked for those that are not kept."""
        known_B = self.known[rows]
        found = np.empty((len(rows), *self.values.shape[1:]), self.values.dtype)
        found[known_B] = self.values[rows[known_B]]
        if not known_B.all():
            fresh = rows[~known_B]
            found[~known_B] = decoded = decode(fresh)
            keep = fresh < self.kept
            self.values[fresh[keep]] = decoded[keep]
            self.known[fresh[keep]] = True
        return found


def moved(batch: Mapping[str, torch.Tensor], device: torch.device) -> Batch:
    """The batch on a device; from page-locked memory the copy runs beside what the device does."""
    return {name: each if each.device == device else each.to(device, non_blocking=True) for name, each in batch.items()}
