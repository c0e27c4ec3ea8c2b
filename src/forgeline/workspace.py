"""What a stage is handed at run time: the engine's clock, seeds, store and workers bound to one run."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from forgeline import catalog as parts_catalog
from forgeline.engine.clock import Clock
from forgeline.engine.seeds import Seed
from forgeline.engine.store import Artefacts, Store, WorkLog
from forgeline.engine.workers import Workers
from forgeline.records import Ref

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from forgeline.engine.rows import RowSource

PRELOAD = (
    *("forgeline.fitting", "forgeline.recipes", "lightgbm", "onnxruntime", "scipy.optimize"),
    *("sklearn.cluster", "sklearn.ensemble", "sklearn.linear_model", "catboost"),
)
"""Imported once, by the forkserver, before the first worker is asked for."""
TORCH_AHEAD, TORCH_BYTES = "forgeline.engine.torch_ahead", 250 * 2**20
"""Imported, too, where a family needs torch; what it adds to the size of every worker (torch 2.13)."""


@dataclass
class Workspace:
    """One run's folder and the machinery bound to it."""

    folder: Path
    store: Store
    base: Path
    """What relative paths of the spec are relative to."""
    clock: Clock
    seed: Seed
    workers: Workers
    log: WorkLog
    replay: list[dict[str, Any]] = field(default_factory=list)
    """Another run's work log to follow instead of the clock (`verify`)."""
    quiet: bool = False
    mirror: str = ""
    """URL that each finished stage is copied to."""
    source: str = ""
    """The data's files, as the spec names them."""
    predict: bool = False
    """Whether the test file is predicted once more after the line, within the same time."""
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    draw: Callable[[], None] = lambda: None
    """Draws the report as far as the run is."""

    catalog = parts_catalog

    @property
    def run(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def snapshots(self) -> Path:
        """Where snapshots are kept."""
        return self.store.snapshots

    @property
    def artefacts(self) -> Artefacts:
        """The run's files by digest."""
        return Artefacts(self.folder / "artefacts")

    @property
    def checkpoints(self) -> Path:
        """Where units that train in steps keep their checkpoints, a folder each, until they are finished."""
        return self.folder / "checkpoints"

    @property
    def source_folder(self) -> Path | None:
        """The folder the data's files are in; None for a frame, or rows that were stored before."""
        if not self.source or self.source.startswith("snapshot:"):
            return None
        from forgeline.engine.tables import find

        return find(self.source, self.base)[0].parent

    def put(self, data: bytes, name: str = "") -> Ref:
        """Store an artefact of the run."""
        return Ref(digest=self.artefacts.put(data), size_bytes=len(data), name=name)

    def get(self, ref: Ref) -> bytes:
        """An artefact's bytes, checked. Errors: BadInput when it was changed or is gone."""
        return self.artefacts.get(ref.digest)

    def put_array(self, array: np.ndarray, name: str) -> Ref:
        """Store an array as .npy."""
        import io

        import numpy as np

        file = io.BytesIO()
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
        return self.put(file.getvalue(), name)

    def array(self, ref: Ref) -> np.ndarray:
        """An array, checked."""
        import io

        import numpy as np

        return np.asarray(np.load(io.BytesIO(self.get(ref)), allow_pickle=False))

    def frame(self, digest: str) -> pl.DataFrame:
        """The rows of a snapshot, checked against its digest once in this process."""
        if digest not in self.frames:
            from forgeline.engine import snapshots

            self.frames[digest] = snapshots.get(self.snapshots, digest)
        return self.frames[digest]

    def rows(self, digest: str) -> RowSource:
        """The rows of a snapshot, checked; of a large one a part is in memory at a time."""
        from forgeline.engine import snapshots
        from forgeline.engine.rows import Held

        if digest in self.frames:
            return Held(self.frames[digest])
        found = snapshots.rows(self.snapshots, digest)
        if isinstance(found, Held):
            self.frames[digest] = found.frame
        return found

    def decided(self, do: str, **fields: Any) -> dict[str, Any] | None:
        """What this run, or the one it replays, wrote into its work log."""
        own = self.log.find(do, **fields)
        if own:
            return own
        wanted = {"do": do, **fields}
        found = [line for line in self.replay if all(line.get(key) == value for key, value in wanted.items())]
        return found[-1] if found else None

    def affords(self, what: str, *, stage: str, share: float, seconds: float = 0.0) -> bool:
        """Whether a look may begin that a short time budget does without: once the `seconds` that it is expected to
        take are over, no more than `share` of the budget is gone.

        What may not goes into the work log, and a replay does without it, too.
        """
        if self.decided("skip", stage=stage, what=what):
            return False
        if self.clock.limit is None or self.clock.elapsed + seconds <= share * self.clock.limit:
            return True
        self.note("skip", stage=stage, what=what)
        return False

    def note(self, do: str, **fields: Any) -> dict[str, Any]:
        """Write a line into the work log, with the seconds used so far."""
        line = json.loads(msgspec.json.encode({"do": do, **fields, "elapsed": round(self.clock.elapsed, 3)}))
        self.log.append(line)
        return dict(line)

    def say(self, text: str) -> None:
        """A line for people, on stderr."""
        if not self.quiet:
            clear = "\r\033[K" if sys.stderr.isatty() else ""
            print(f"{clear}{text}", file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, title: str, total: int, share: Callable[[], float] | None = None) -> Iterator[Progress]:
        """A bar on a terminal; elsewhere a plain line now and then.

        `share` tells how much of the way is gone where the number of steps, a `total` of 0, is not known before.
        """
        bar = Progress(title, total, self, share)
        try:
            yield bar
        finally:
            bar.clear()


class Progress:
    """How far a long job is; redrawn in place on a terminal, a line every few seconds elsewhere."""

    def __init__(
        self,
        title: str,
        total: int,
        work: Workspace,
        share: Callable[[], float] | None = None,
        *,
        every_seconds: float = 10.0,
    ) -> None:
        self.title, self.total, self.work, self.every_seconds = title, total, work, every_seconds
        self.done = 0
        self.share = share or (lambda: self.done / max(self.total, 1))
        self.terminal = sys.stderr.isatty() and not work.quiet
        self.began = self.told = time.perf_counter()

    def step(self, says: str = "") -> None:
        """One more is done."""
        self.done += 1
        self.show(says)

    def show(self, says: str) -> None:
        """Say what is going on."""
        if self.terminal:
            self.draw(says)
        elif time.perf_counter() - self.told >= self.every_seconds:
            self.told = time.perf_counter()
            count = f"{self.done} of {self.total}" if self.total else f"{self.done} done"
            self.work.say(f"  {self.title}: {count} {says}".rstrip())

    def draw(self, says: str) -> None:
        """Redraw the bar, with the seconds left at this pace."""
        width = 16
        share = min(1.0, max(1e-3, self.share()))
        full = int(width * share)
        left = (time.perf_counter() - self.began) * (1 - share) / share
        left = min(left, self.work.clock.remaining)
        count = f"{self.done}/{self.total}" if self.total else str(self.done)
        bar = "━" * full + "╌" * (width - full)
        text = f"  {self.title} {bar} {count}  ~{left:.0f} s left  {says}"
        print(f"\r\033[K{text[: columns() - 1]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the bar."""
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def columns(*, otherwise: int = 110) -> int:
    """Of the terminal that stderr goes to."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or otherwise
    except OSError:
        return otherwise
