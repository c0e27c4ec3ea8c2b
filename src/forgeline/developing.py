"""Pictures as arrays of one size: decoded once, in workers, by the code that a release decodes them with.

Rests on the workspace. Shapes: U distinct pictures, H rows, W columns, C colours.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forgeline.engine import album, pictures, snapshots
from forgeline.engine.workers import Job
from forgeline.errors import BadInput, BudgetSpent

if TYPE_CHECKING:
    import polars as pl

    from forgeline.workspace import Workspace

MOST_SIDE = 64
"""Pixels of a side, at most: what is larger is made smaller."""
MOST_BYTES = 2 * 2**30
"""Of the pictures of all rows together."""
SIZED = 1_000
"""Pictures whose sizes are looked at."""
TOGETHER = 5_000
"""Pictures that a worker decodes at once."""


def develop(series: pl.Series, snapshot: str, work: Workspace) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of a column of a snapshot, all of one size: which of them each row shows, int32 [N], -1 where it
    has none or one that cannot be read; and each distinct one, uint8 [U, H, W, C].

    Errors: BadInput where none of them can be read.
    """
    names = album.names_in(series)
    if not pictures.has_pillow() and not all(name.endswith((".pgm", ".ppm")) for name in names):
        raise BadInput(f"{series.name} holds pictures that Pillow reads", remedy=f"Install it: {pictures.REMEDY}")
    shape = common_shape(names, len(series), snapshot, work)
    ask = {"height": shape[0], "width": shape[1], "channels": shape[2], "missing": []}
    parts = [names[at : at + TOGETHER] for at in range(0, len(names), TOGETHER)]
    shared = {"snapshots": str(work.snapshots), "snapshot": snapshot, "ask": ask}
    call = "forgeline.developing:decode"
    jobs = [Job(f"pictures {place + 1}", call, {**shared, "names": part}) for place, part in enumerate(parts)]
    outcomes = list(work.workers.run(jobs, lambda: work.clock.remaining))
    if any(outcome.lost == "time" for outcome in outcomes):
        raise BudgetSpent(f"the time ended before {len(names):,} pictures were decoded. Give more than it had.")
    done = {outcome.job.name: outcome.answer() for outcome in outcomes}
    pixels = np.concatenate([done[job.name][0] for job in jobs]) if jobs else np.zeros((0, *shape), np.uint8)
    good = np.concatenate([done[job.name][1] for job in jobs]) if jobs else np.zeros(0, bool)
    if not good.any():
        what = f"none of the {len(names):,} pictures in {series.name} can be read"
        raise BadInput(what, remedy="Open one of them in a viewer, or leave the column out with drop.")
    place_of = {name: place if fine else -1 for place, (name, fine) in enumerate(zip(names, good.tolist()))}
    shown = [-1 if cell is None else place_of[cell.decode()] for cell in series.to_list()]
    return np.array(shown, np.int32), pixels


def decode(
    *, snapshots: str, snapshot: str, names: Sequence[str], ask: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """In a worker: pictures in the size asked for, uint8 [U, H, W, C], and which could be read; others are black."""
    from forgeline.serving.reader import picture

    files = album.load(Path(snapshots) / snapshot / album.FILE, names)
    pixels = np.zeros((len(names), ask["height"], ask["width"], ask["channels"]), np.uint8)
    good = np.zeros(len(names), bool)
    for place, name in enumerate(names):
        found = picture(files.get(name, b""), ask, None)
        if found is not None:
            pixels[place], good[place] = found, True
    return pixels, good


def common_shape(names: Sequence[str], rows: int, snapshot: str, work: Workspace) -> tuple[int, int, int]:
    """(height, width, colours) that all pictures are brought to: their own where they have one and it is small.

    Else squares of the size that most have, or what they all are the shape of, so that no side is longer than
    MOST_SIDE and all fit into MOST_BYTES.
    """
    some = [names[place] for place in np.linspace(0, len(names) - 1, min(SIZED, len(names))).astype(int)]
    files = snapshots.pictures(work.snapshots, snapshot, some)
    found = [each for each in (measured(files[name]) for name in some) if each is not None]
    if not found:
        return 8, 8, 1
    sides = np.array([each[:2] for each in found], float)
    channels = max(each[2] for each in found)
    alike = bool((sides == sides[0]).all())
    height, width = sides[0] if alike else np.full(2, np.sqrt(np.median(sides[:, 0]) * np.median(sides[:, 1])))
    room = np.sqrt(MOST_BYTES / (rows * height * width * channels))
    scale = min(1.0, MOST_SIDE / max(height, width), room)
    if alike and scale == 1.0:
        return int(height), int(width), channels
    return fourfold(height * scale), fourfold(width * scale), channels


def fourfold(side: float) -> int:
    """The nearest multiple of four, 8 at least."""
    return max(8, 4 * round(side / 4))


def measured(content: bytes) -> tuple[int, int, int] | None:
    """(height, width, colours) of a picture; None where it cannot be read."""
    from forgeline.serving.reader import netpbm

    plain = netpbm(content)
    if plain is not None:
        height, width, channels = plain.shape
        return int(height), int(width), int(channels)
    try:
        from PIL import Image

        with Image.open(io.BytesIO(content), formats=pictures.FORMATS) as image:
            return image.height, image.width, 1 if image.mode in ("1", "L", "I", "I;16", "F") else 3
    # Whatever a decoder raises that is given broken bytes.
    except Exception:
        return None
