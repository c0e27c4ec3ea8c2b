"""Checkpoints that a kill cannot tear: copied in the hot path, written beside it, there only when whole.

Tensors lie in one safetensors file, everything else as JSON in its header; see `places` for how it becomes durable.
`latest` moves only after that. What does not match its digest is passed over, for the one before it. The weights
that were best so far have folders of their own, which stay while a checkpoint counts on them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgeline.engine.interval import Interval
from forgeline.engine.places import MANIFEST, STATE, Place
from forgeline.engine.store import write_atomic

if TYPE_CHECKING:
    import torch

Tensors = Mapping[str, "torch.Tensor"]

PIECE = 8 << 20
"""Bytes that are written and digested at once; between pieces a save that is out of date is given up."""
DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


@dataclass(frozen=True)
class Saved:
    """A whole checkpoint that was read."""

    name: str
    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]


class GivenUp(Exception):
    """A save that was overtaken by one that cannot wait."""


@dataclass
class Vault:
    """Saves and finds checkpoints. One thread of its own writes, in the order it was told.

    `keep` of them stay, two at least.
    """

    place: Place
    beside: Sequence[Path] = ()
    """Files that go along with each checkpoint to a place that may outlive this machine: the metrics."""
    keep: int = 2
    interval: Interval = field(default_factory=Interval)
    stalled: float = 0.0
    """Seconds that the loop has lost to saving."""
    failed: list[str] = field(default_factory=list)
    """Saves that came to nothing, and why: the disk is full, the store is away."""
    skipped: list[str] = field(default_factory=list)
    """Checkpoints that were found torn or changed."""

    def __post_init__(self) -> None:
        self.scribe = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self.writing: Future[None] | None = None
        self.errand: Future[Any] | None = None
        self.overtaken = False
        self.staging: dict[str, torch.Tensor] = {}
        self.last = time.perf_counter()

    # ------------------------------------------------ save

    @property
    def due(self) -> bool:
        """Whether it is time for the next one, and nothing is being written."""
        if time.perf_counter() - self.last < self.interval.seconds:
            return False
        return self.writing is None or self.writing.done()

    def save(self, tensors: Tensors, facts: dict[str, Any], before: Callable[[], dict[str, Any]]) -> None:
        """Copy now, write later. The writing thread calls `before` first; what it gives joins the facts."""
        began = time.perf_counter()
        self.settle()
        self.staging = copied(tensors, self.staging)
        self.last = time.perf_counter()
        self.stalled += self.last - began
        self.writing = self.scribe.submit(self.write, self.staging, facts, before, self.last - began)

    def save_now(self, tensors: Tensors, facts: dict[str, Any], before: Callable[[], dict[str, Any]]) -> None:
        """Wait until it is durable; one that is on its way is older, and given up. Errors: OSError."""
        self.overtaken = True
        self.settle()
        self.overtaken = False
        self.save(tensors, facts, before)
        if reason := self.settle():
            raise OSError(reason)

    def save_best(self, tensors: Tensors, facts: dict[str, Any]) -> str:
        """Write weights that are in host memory and stay as they are until `settle`; the name they will have."""
        began = time.perf_counter()
        self.settle()
        name = named("best", facts["step"])
        self.writing = self.scribe.submit(self.place.write, name, lambda: pieces(tensors, facts), {}, ())
        self.stalled += time.perf_counter() - began
        return name

    def later(self, call: Callable[[], Any]) -> None:
        """Have the writing thread do something small, in its turn. Errors: what the last such thing failed with."""
        if self.errand is not None and self.errand.done():
            self.errand.result()
        self.errand = self.scribe.submit(call)

    def settle(self) -> str:
        """Wait for what is being written; why it failed, or nothing."""
        writing, self.writing = self.writing, None
        error = None if writing is None else writing.exception()
        if error is None or isinstance(error, GivenUp):
            return ""
        if not isinstance(error, OSError):
            raise error
        self.failed.append(str(error))
        return self.failed[-1]

    def close(self) -> None:
        """Wait, and end the thread."""
        self.settle()
        self.scribe.shutdown()

    def write(
        self, tensors: Tensors, facts: dict[str, Any], before: Callable[[], dict[str, Any]], stall: float
    ) -> None:
        """In the writing thread: the checkpoint, `latest`, and away with what is older."""
        began = time.thread_time()
        facts = facts | before()
        name = named("step", facts["step"])
        self.place.write(name, lambda: self.patient(pieces(tensors, facts)), {"best": facts.get("best")}, self.beside)
        self.place.point("latest", name)
        self.prune(name)
        self.interval.learn(stall + time.thread_time() - began)

    def patient(self, parts: Iterator[memoryview]) -> Iterator[memoryview]:
        """The pieces, until a save that cannot wait comes. Errors: GivenUp."""
        for part in parts:
            if self.overtaken:
                raise GivenUp
            yield part

    def prune(self, newest: str) -> None:
        """Keep the newest, those before it, and the best weights that any of them counts on."""
        names = self.names("step")
        whole = [each for each in names if each not in self.skipped and each <= newest]
        kept = whole[: max(2, self.keep)]
        counted = {self.said(each).get("best") for each in kept}
        newest_best = self.names("best")[:1]
        spare = [each for each in self.names("best") if each not in counted and each not in newest_best]
        for each in [*(each for each in names if each not in kept), *spare]:
            self.place.remove(each)

    # ------------------------------------------------ find

    def names(self, kind: str) -> list[str]:
        """Checkpoints, or best weights: newest first."""
        return sorted((each for each in self.place.names() if each.startswith(f"{kind}-")), reverse=True)

    def newest(self, accept: Callable[[Saved], bool] = lambda saved: True) -> Saved | None:
        """The newest that is whole and accepted; others are passed over, and told of in `skipped`."""
        for name in self.names("step"):
            found = self.read(name)
            if found is not None and accept(found):
                return found
            self.skipped.append(name)
        return None

    def read(self, name: str) -> Saved | None:
        """A checkpoint, or None where it is torn, was changed or is not there."""
        try:
            data = self.place.read(name, STATE)
        except OSError:
            return None
        whole = hashlib.sha256(data).hexdigest() == self.said(name).get("sha256")
        return Saved(name, *decoded(data)) if whole else None

    def fetch(self, name: str, path: Path) -> None:
        """Bring back a file that went along with a checkpoint, where it did."""
        with suppress(OSError):
            write_atomic(path, self.place.read(name, path.name))

    def said(self, name: str) -> dict[str, Any]:
        """The manifest; empty where it is torn or not there."""
        try:
            found = json.loads(self.place.read(name, MANIFEST))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def reached(folder: Path) -> int:
    """The step of the newest checkpoint in a folder of this machine, as `latest` says; 0 without one."""
    pointer = folder / "latest"
    return int(pointer.read_text().split("-")[1]) if pointer.exists() else 0


def named(kind: str, step: int) -> str:
    """A name that sorts by step and is never used again."""
    return f"{kind}-{step:012d}-{secrets.token_hex(4)}"


# ---------------------------------------------------------------- bytes


def copied(tensors: Tensors, into: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies in host memory, in that of the last time where it fits: page-locked where there is a device."""
    import torch

    away = any(each.device.type != "cpu" for each in tensors.values())
    if forms(tensors) != forms(into):
        into = {name: torch.empty(each.shape, dtype=each.dtype, pin_memory=away) for name, each in tensors.items()}
    with torch.no_grad():
        for name, each in tensors.items():
            into[name].copy_(each, non_blocking=True)
    if away:
        torch.accelerator.synchronize()
    return into


def forms(tensors: Tensors) -> dict[str, Any]:
    """Shape and type of each."""
    return {name: (each.shape, each.dtype) for name, each in tensors.items()}


def pieces(tensors: Tensors, facts: dict[str, Any]) -> Iterator[memoryview]:
    """The bytes of a safetensors file, not copied."""
    yield memoryview(header(tensors, facts))
    for each in tensors.values():
        data = bytes_of(each)
        yield from (data[at : at + PIECE] for at in range(0, len(data), PIECE))


def header(tensors: Tensors, facts: dict[str, Any]) -> bytes:
    """The beginning of a safetensors file: its length, the facts, and where each tensor lies."""
    entries: dict[str, Any] = {"__metadata__": {"facts": json.dumps(facts, sort_keys=True)}}
    at = 0
    for name, each in tensors.items():
        ends = at + each.numel() * each.element_size()
        kind = DTYPES[str(each.dtype).removeprefix("torch.")]
        entries[name] = {"dtype": kind, "shape": list(each.shape), "data_offsets": [at, ends]}
        at = ends
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """The memory of a contiguous tensor in host memory."""
    import torch

    return tensor.reshape(-1).view(torch.uint8).numpy().data


def decoded(data: bytes) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(tensors, facts) of a file that `pieces` made."""
    from safetensors.torch import load

    length = struct.unpack("<Q", data[:8])[0]
    return load(data), json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["facts"])
