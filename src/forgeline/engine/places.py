"""Where checkpoints are kept: a folder of this machine, or an object store; either has one whole or not at all.

A checkpoint is a folder with `state.safetensors` and `manifest.json`, which has the digest of the other. Its name is
never used twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from forgeline.engine.store import flush_folder, write_atomic

STATE, MANIFEST = "state.safetensors", "manifest.json"

Pieces = Callable[[], Iterator[memoryview]]
"""The bytes of a state, a few megabytes at a time."""


class Place(Protocol):
    """Where checkpoints are kept."""

    def names(self) -> list[str]:
        """Whole checkpoints, in no order."""
        ...

    def read(self, name: str, file: str) -> bytes:
        """A file of a checkpoint. Errors: OSError."""
        ...

    def write(self, name: str, pieces: Pieces, facts: dict[str, Any], beside: Sequence[Path]) -> None:
        """A whole checkpoint; `facts` join the digest in its manifest.

        `beside` are files of this machine that it counts on: they go along to a place that may outlive the machine.
        """
        ...

    def remove(self, name: str) -> None:
        """Delete a checkpoint: it is no longer there before any part of it is gone."""
        ...

    def point(self, pointer: str, name: str) -> None:
        """Let a small file say which checkpoint is meant."""
        ...


@dataclass
class Folder:
    """A folder of this machine: drafts are flushed to disk and renamed."""

    path: Path

    def __post_init__(self) -> None:
        """What a killed process left half-written is of no use."""
        self.path.mkdir(parents=True, exist_ok=True)
        for draft in self.path.glob(".draft-*"):
            shutil.rmtree(draft, ignore_errors=True)

    def names(self) -> list[str]:
        """Folders that were renamed, so that all that is in them is on disk."""
        return [each.name for each in self.path.iterdir() if each.is_dir() and not each.name.startswith(".")]

    def read(self, name: str, file: str) -> bytes:
        """A file of a checkpoint."""
        return (self.path / name / file).read_bytes()

    def write(self, name: str, pieces: Pieces, facts: dict[str, Any], beside: Sequence[Path] = ()) -> None:
        """Draft, flush, rename, flush; what is beside it is on this machine anyway."""
        draft = self.path / f".draft-{name}"
        draft.mkdir()
        try:
            digest = hashlib.sha256()
            with (draft / STATE).open("wb", buffering=0) as file:
                for piece in pieces():
                    write_all(file.fileno(), piece)
                    digest.update(piece)
                os.fsync(file.fileno())
            write_atomic(draft / MANIFEST, manifest(digest.hexdigest(), facts))
            draft.rename(self.path / name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        flush_folder(self.path)

    def remove(self, name: str) -> None:
        """Out of sight in one step, then bit by bit."""
        gone = self.path / f".draft-{name}-{secrets.token_hex(4)}"
        (self.path / name).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def point(self, pointer: str, name: str) -> None:
        """Write and rename."""
        write_atomic(self.path / pointer, name.encode())


@dataclass
class Bucket:
    """What fsspec can reach: an object store cannot rename, but each of its puts is whole; so the manifest is last."""

    url: str

    def __post_init__(self) -> None:
        import fsspec

        self.system, self.root = fsspec.core.url_to_fs(self.url)

    def names(self) -> list[str]:
        """Checkpoints whose manifest is there."""
        self.system.invalidate_cache()
        if not self.system.exists(self.root):
            return []
        files = [str(each).split("/") for each in self.system.find(self.root)]
        return [each[-2] for each in files if each[-1] == MANIFEST]

    def read(self, name: str, file: str) -> bytes:
        """A file of a checkpoint."""
        return bytes(self.system.cat_file(f"{self.root}/{name}/{file}"))

    def write(self, name: str, pieces: Pieces, facts: dict[str, Any], beside: Sequence[Path] = ()) -> None:
        """The state and what is beside it, then the manifest."""
        digest = hashlib.sha256()
        self.system.makedirs(f"{self.root}/{name}", exist_ok=True)
        with self.system.open(f"{self.root}/{name}/{STATE}", "wb") as file:
            for piece in pieces():
                file.write(piece)
                digest.update(piece)
        for path in beside:
            self.system.put_file(str(path), f"{self.root}/{name}/{path.name}")
        self.system.pipe_file(f"{self.root}/{name}/{MANIFEST}", manifest(digest.hexdigest(), facts))

    def remove(self, name: str) -> None:
        """The manifest first."""
        self.system.rm_file(f"{self.root}/{name}/{MANIFEST}")
        self.system.rm(f"{self.root}/{name}", recursive=True)

    def point(self, pointer: str, name: str) -> None:
        """One put."""
        self.system.pipe_file(f"{self.root}/{pointer}", name.encode())


def place_of(where: Path | str) -> Place:
    """A folder, or for a URL what fsspec makes of it."""
    return Bucket(where) if isinstance(where, str) and "://" in where else Folder(Path(where))


def manifest(digest: str, facts: dict[str, Any]) -> bytes:
    """What a checkpoint says of itself."""
    return json.dumps({"sha256": digest, **facts}, sort_keys=True).encode()


def write_all(handle: int, piece: memoryview) -> None:
    """All bytes of a piece, however many each call takes."""
    while len(piece):
        piece = piece[os.write(handle, piece) :]
