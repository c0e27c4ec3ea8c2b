"""Immutable tables on disk, one folder for each logical content: data.parquet and manifest.json, pictures.parquet
where cells name pictures."""

import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from forgeline.engine import album, tables
from forgeline.engine.rows import MOST_HELD, Held, OnDisk, RowSource, fresh
from forgeline.errors import BadInput

DATA = "data.parquet"
MANIFEST = "manifest.json"


def put(folder: Path, table: RowSource, manifest: dict[str, Any], pictures: Mapping[str, bytes] | None = None) -> str:
    """Store settled rows, and the pictures that they name, under their logical digest, unless they are there; the
    digest.

    The folder appears whole or not at all, and its files are read-only.
    """
    digest = tables.digest(table)
    place = folder / digest
    if place.exists():
        return digest
    new = fresh(folder)
    try:
        write(table, new / DATA)
        text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
        (new / MANIFEST).write_text(text + "\n", encoding="utf-8")
        if pictures:
            album.save(pictures, new / album.FILE)
        for file in sorted(new.iterdir()):
            file.chmod(0o444)
            flush(file)
        new.chmod(0o755)
        flush(new)
        publish(new, place)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    flush(folder)
    return digest


def write(table: RowSource, file: Path) -> None:
    """All rows as one Parquet file."""
    if isinstance(table, OnDisk):
        table.scan.sink_parquet(file, compression="zstd")
    else:
        table.frame.rechunk().write_parquet(file, compression="zstd")


def publish(new: Path, place: Path) -> None:
    """Rename into place; whoever else was faster stored the same rows."""
    try:
        new.rename(place)
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
        found = tables.digest(Held(frame))
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


class Stored(OnDisk):
    """A snapshot's rows on disk."""

    def __init__(self, folder: Path, digest: str, *, rows_each: int = 500_000) -> None:
        """Errors: BadInput when absent or corrupted."""
        file = there(folder, digest) / DATA
        try:
            super().__init__([file], rows_each=rows_each)
            found = tables.digest(self)
        except (pl.exceptions.PolarsError, OSError, KeyError):
            found = ""
        whole(None, file.parent, found == digest)


def rows(folder: Path, digest: str) -> RowSource:
    """The rows stored under a digest, checked against it; more than MOST_HELD stay on disk. Errors: BadInput."""
    large = OnDisk([there(folder, digest) / DATA]).rows > MOST_HELD
    return Stored(folder, digest) if large else Held(get(folder, digest))


def pictures(folder: Path, digest: str, names: Collection[str]) -> dict[str, bytes]:
    """Pictures of a snapshot by name, checked. Errors: BadInput when one is absent or corrupted."""
    place = folder / digest
    found = album.load(place / album.FILE, names)
    whole(None, place, len(found) == len(set(names)))
    return found


def size_bytes(folder: Path, digest: str) -> int:
    """Bytes on disk of the rows stored under a digest."""
    return (folder / digest / DATA).stat().st_size


def manifest(folder: Path, digest: str) -> dict[str, Any]:
    """What was written beside a stored frame: schema, rows, sources, licence."""
    stored: dict[str, Any] = json.loads((folder / digest / MANIFEST).read_text(encoding="utf-8"))
    return stored
