"""Files that survive a kill: atomic writes, artefacts by digest, locks, the log of work, the index over runs."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from forgeline.errors import BadInput, Busy

TABLE = "create table if not exists stages (key text, run text, stage text, primary key (key, run))"
"""The index has one table: which run has finished which stage under which key."""
SECOND = len("20261123-072318")
"""Characters of a run's name that say when it was begun."""


def write_atomic(path: Path, data: bytes) -> None:
    """Write under a temporary name, flush to disk, rename: the file is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


class Artefacts:
    """Files named by the SHA-256 of their bytes; checked when read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, data: bytes) -> str:
        """Store bytes; their digest. What is there already is not written again."""
        digest = sha256(data)
        if not (self.folder / digest).exists():
            write_atomic(self.folder / digest, data)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes. Errors: BadInput when the file is gone or was changed."""
        path = self.folder / digest
        if not path.exists():
            raise BadInput("artefact is gone", where=str(path), remedy="Run the line again.")
        data = path.read_bytes()
        if sha256(data) != digest:
            raise BadInput("artefact was changed", where=str(path), remedy="Delete the run and run the line again.")
        return data

    def holds(self, digest: str) -> bool:
        """Whether the artefact is there and unchanged."""
        path = self.folder / digest
        return path.exists() and sha256(path.read_bytes()) == digest

    def copy(self, digest: str, other: "Artefacts") -> None:
        """Take an artefact of another run: a hard link where the disk allows it, else a copy."""
        if self.holds(digest):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            os.link(other.folder / digest, self.folder / digest)
        except OSError:
            write_atomic(self.folder / digest, other.get(digest))


class WorkLog:
    """One JSON line for each finished unit and each measured choice; a torn last line is not read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = list(read_lines(path))

    def append(self, line: dict[str, Any]) -> None:
        """Add a line and flush it to disk."""
        self.lines.append(line)
        torn = self.path.exists() and self.path.read_bytes()[-1:] not in (b"", b"\n")
        with self.path.open("ab") as file:
            file.write((b"\n" if torn else b"") + json.dumps(line, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def find(self, do: str, **fields: Any) -> dict[str, Any] | None:
        """The last line of a kind with these fields."""
        wanted = {"do": do, **fields}
        found = [line for line in self.lines if all(line.get(key) == value for key, value in wanted.items())]
        return found[-1] if found else None

    @property
    def elapsed(self) -> float:
        """Seconds the run had used when the last line was written."""
        return max((float(line.get("elapsed", 0.0)) for line in self.lines), default=0.0)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Whole JSON lines of a log."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue


class Store:
    """`.forgeline`: snapshots, runs, the index over them and the count of test reads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs = root / "runs"
        self.snapshots = root / "snapshots"

    def open(self) -> None:
        """Create the folders. Errors: BadInput when the place cannot be written."""
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            self.snapshots.mkdir(parents=True, exist_ok=True)
            with (self.root / "lock").open("ab"):
                pass
        except OSError as error:
            raise BadInput(
                f"cannot write the store ({error.strerror})",
                where=str(self.root),
                remedy="Run in a folder you may write to.",
            ) from None

    @contextmanager
    def lock(self, *, alone: bool = False) -> Iterator[None]:
        """Hold the store: runs share it, `rm` and `gc` want it alone. Errors: Busy."""
        self.open()
        with (self.root / "lock").open("ab") as file:
            take(file, alone=alone, what=f"the store {self.root} is in use by a run")
            yield

    def run_ids(self) -> list[str]:
        """Runs by name, which begins with the second; those of one second by their spec's age: oldest first."""
        specs = {spec.parent.name: spec.stat().st_mtime_ns for spec in self.runs.glob("*/spec.toml")}
        return sorted(specs, key=lambda name: (name[:SECOND], specs[name], name))

    def find(self, name: str) -> Path:
        """The folder of a run: a path, an id, its unique beginning, or `latest`. Errors: BadInput."""
        if Path(name).joinpath("spec.toml").exists():
            return Path(name).resolve()
        known = self.run_ids()
        found = known[-1:] if name == "latest" else [run for run in known if run == name or run.startswith(name)]
        if len(found) != 1:
            what = f"no run {name}" if not found else f"{name} is the beginning of {len(found)} runs"
            raise BadInput(
                what,
                where=str(self.runs),
                asked=name if known else "",
                known=found or known,
                remedy="" if known else "There are no runs here yet: forgeline run DATA --target COLUMN",
            )
        return self.runs / found[0]

    def find_released(self, name: str) -> Path:
        """The run whose release is meant; `latest` is the newest that has one. Errors: BadInput."""
        if name == "latest":
            done = [run for run in self.run_ids() if (self.runs / run / "release").is_dir()]
            name = done[-1] if done else name
        folder = self.find(name)
        if not (folder / "release").is_dir():
            raise BadInput(f"run {folder.name} has no release", remedy=f"See: forgeline show {folder.name}")
        return folder

    def count_read(self, test_digest: str, key: str) -> int:
        """Note that a test set is opened; how many different evaluations have opened it in this store.

        The log outlives deleted runs: a forgotten run has still seen the test set.
        """
        log = WorkLog(self.root / "reads.log")
        if not log.find("read", test=test_digest, key=key):
            log.append({"do": "read", "test": test_digest, "key": key})
        return len({line["key"] for line in log.lines if line["test"] == test_digest})

    def remember(self, run: str, stage: str, key: str) -> None:
        """Add a finished stage to the index."""
        with self.index() as index:
            index.execute("insert or replace into stages values (?, ?, ?)", (key, run, stage))

    def lookup(self, key: str) -> list[str]:
        """Runs that have finished a stage with this key, newest first."""
        with self.index() as index:
            rows = index.execute("select run from stages where key = ? order by run desc", (key,)).fetchall()
        return [row[0] for row in rows if (self.runs / row[0]).exists()]

    @contextmanager
    def index(self) -> Iterator[sqlite3.Connection]:
        """The embedded database over runs; rebuilt from the records when it is missing or broken."""
        path = self.root / "index.sqlite"
        try:
            connection = self.connect(path)
        except sqlite3.OperationalError:
            raise  # not broken: busy, or the disk is full
        except sqlite3.DatabaseError:
            path.unlink()
            connection = self.connect(path)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def connect(self, path: Path) -> sqlite3.Connection:
        """The index, filled in one transaction when it is new. Errors: sqlite3.DatabaseError, broken."""
        connection = sqlite3.connect(path, timeout=30)
        try:
            with connection:
                if not connection.execute("select name from sqlite_master where name = 'stages'").fetchone():
                    connection.execute("begin immediate")
                    connection.execute(TABLE)
                    connection.executemany("insert or replace into stages values (?, ?, ?)", self.finished())
                connection.execute("select count(*) from stages").fetchone()
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def finished(self) -> Iterator[tuple[str, str, str]]:
        """(key, run, stage) of every record on disk."""
        for run in self.run_ids():
            for path in sorted((self.runs / run).glob("[0-9][0-9]-*.json")):
                try:
                    record = msgspec.json.decode(path.read_bytes())
                    made, stage = record["made"], record["stage"]
                except (ValueError, KeyError):
                    continue
                yield sha256(msgspec.json.encode(made, order="sorted")), run, stage

    def remove(self, run: Path) -> None:
        """Delete a run's folder."""
        shutil.rmtree(run)
        with self.index() as index:
            index.execute("delete from stages where run = ?", (run.name,))

    def collect(self) -> dict[str, Any]:
        """Delete snapshots no run names, artefacts no record names, and half-written files. Bytes freed."""
        texts = [path.read_text() for path in self.runs.glob("*/[0-9][0-9]-*.json")]
        texts += [path.read_text() for path in self.runs.glob("*/spec.toml")]
        texts += [path.read_text() for path in self.runs.glob("*/work.log")]
        named = set(re.findall(r"[0-9a-f]{64}", " ".join(texts)))
        kept = [*self.snapshots.glob("*"), *self.runs.glob("*/artefacts/*")]
        idle = [path for path in kept if path.name not in named]
        idle += [*self.root.rglob("*.tmp"), *self.root.glob("verify/*")]
        idle += [run for run in self.runs.glob("*") if run.is_dir() and not (run / "spec.toml").exists()]
        idle = list(dict.fromkeys(idle))
        freed = sum(size_bytes(path) for path in idle)
        for path in idle:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return {"bytes": freed, "removed": [str(path.relative_to(self.root)) for path in idle]}


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of everything in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def take(file: IO[bytes], *, alone: bool, what: str) -> None:
    """Lock an open file without waiting. Errors: Busy."""
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        raise Busy(what, remedy="Wait until it has ended, or stop it.") from None


@contextmanager
def hold_run(folder: Path) -> Iterator[None]:
    """Hold one run: two processes never work on the same. Errors: Busy."""
    with (folder / ".lock").open("ab") as file:
        take(file, alone=True, what=f"run {folder.name} is in use by another process")
        yield
