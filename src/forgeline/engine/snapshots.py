"""Immutable tables on disk, one folder for each logical content: data.parquet and manifest.json."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from forgeline.engine import tables
from forgeline.errors import BadInput

DATA = "data.parquet"
MANIFEST = "manifest.json"


def put(folder: Path, frame: pl.DataFrame, manifest: dict[str, Any]) -> str:
    """Store a settled frame under its logical digest, unless it is there; the digest.

    The folder appears whole or not at all, and its files are read-only.
    """
    digest = tables.digest(frame)
    place = folder / digest
    if place.exists():
        return digest
    folder.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        frame.rechunk().write_parquet(fresh / DATA, compression="zstd")
        text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
        (fresh / MANIFEST).write_text(text + "\n", encoding="utf-8")
        for file in (fresh / DATA, fresh / MANIFEST):
            file.chmod(0o444)
            flush(file)
        fresh.chmod(0o755)
        flush(fresh)
        publish(fresh, place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    flush(folder)
    return digest


def publish(fresh: Path, place: Path) -> None:
    """Rename into place; whoever else was faster stored the same rows."""
    try:
        fresh.rename(place)
    except OSError:
        if not place.exists():
            raise


def flush(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def get(folder: Path, digest: str) -> pl.DataFrame:
    """The frame stored under a digest, checked against it. Errors: BadInput when absent or corrupted."""
    place = there(folder, digest)
    frame = pl.DataFrame()
    try:
        frame = pl.read_parquet(place / DATA)
        found = tables.digest(frame)
    except (pl.exceptions.PolarsError, OSError, KeyError):
        found = ""
    return whole(frame, place, found == digest)


def there(folder: Path, digest: str) -> Path:
    """The folder of a snapshot. Errors: BadInput when it is absent."""
    place = folder / digest
    if not place.is_dir():
        known = [entry.name for entry in folder.glob("[!.]*")] if folder.is_dir() else []
        raise BadInput(
            "no such snapshot",
            where=f"snapshot:{digest}",
            asked=digest,
            known=known,
            remedy="Run again from the source.",
        )
    return place


T = TypeVar("T")


def whole(value: T, place: Path, unchanged: bool) -> T:
    """The value, when what is stored is what its digest says. Errors: BadInput."""
    if not unchanged:
        raise BadInput(
            "corrupted snapshot: what is stored is not what its digest says",
            where=str(place),
            remedy="Delete that folder and run again from the source.",
        )
    return value


class Held:
    """Rows in memory."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.rows, self.names = frame.height, frame.columns

    def column(self, name: str) -> pl.Series:
        """One column of every row."""
        return self.frame[name]

    def take(self, ids_N: np.ndarray) -> pl.DataFrame:
        """Some rows, in the order of `ids_N`, which is sorted."""
        return self.frame if len(ids_N) == self.rows else self.frame[ids_N]

    def parts(self) -> Iterator[pl.DataFrame]:
        """All rows, in order, a part at a time."""
        yield self.frame


class Stored:
    """Rows on disk: one column, or one part of the rows, is in memory at a time."""

    def __init__(self, folder: Path, digest: str, *, rows_each: int = 500_000) -> None:
        """Errors: BadInput when absent or corrupted."""
        self.file, self.rows_each = there(folder, digest) / DATA, rows_each
        try:
            schema = pl.read_parquet_schema(self.file)
            self.names = list(schema)
            self.rows = int(pl.scan_parquet(self.file).select(pl.len()).collect().item())
            found = tables.digest_of(schema, self.rows, (self.column(name) for name in self.names))
        except (pl.exceptions.PolarsError, OSError, KeyError):
            found = ""
        whole(None, self.file.parent, found == digest)

    def column(self, name: str) -> pl.Series:
        """One column of every row."""
        return pl.read_parquet(self.file, columns=[name]).to_series()

    def take(self, ids_N: np.ndarray) -> pl.DataFrame:
        """Some rows, in the order of `ids_N`, which is sorted."""
        return pl.DataFrame([self.column(name).gather(ids_N) for name in self.names])

    def parts(self) -> Iterator[pl.DataFrame]:
        """All rows, in order, a part at a time."""
        for start in range(0, self.rows, self.rows_each):
            yield pl.scan_parquet(self.file).slice(start, self.rows_each).collect()


def manifest(folder: Path, digest: str) -> dict[str, Any]:
    """What was written beside a stored frame: schema, rows, sources, licence."""
    stored: dict[str, Any] = json.loads((folder / digest / MANIFEST).read_text(encoding="utf-8"))
    return stored
