"""Immutable tables on disk, one folder for each logical content: data.parquet and manifest.json."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

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
    try:
        frame = pl.read_parquet(place / DATA)
        found = tables.digest(frame)
    except (pl.exceptions.PolarsError, OSError, KeyError):
        found = ""
    if found != digest:
        raise BadInput(
            "corrupted snapshot: what is stored is not what its digest says",
            where=str(place),
            remedy="Delete that folder and run again from the source.",
        )
    return frame


def manifest(folder: Path, digest: str) -> dict[str, Any]:
    """What was written beside a stored frame: schema, rows, sources, licence."""
    stored: dict[str, Any] = json.loads((folder / digest / MANIFEST).read_text(encoding="utf-8"))
    return stored
