"""Where a run is made: the user's code version, the installed packages, the hardware."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import psutil


class Code(NamedTuple):
    """Git's commit of a folder, whether its tracked files differ from it, and how; `why` when unknown."""

    commit: str | None
    dirty: bool
    diff: bytes
    why: str


def code(folder: Path) -> Code:
    """The code version of a folder, as git knows it."""
    try:
        commit = git(folder, "rev-parse", "--verify", "HEAD").decode().strip()
        diff = git(folder, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--binary", "--", ".")
    except FileNotFoundError:
        return Code(None, False, b"", "git is not installed")
    except subprocess.TimeoutExpired:
        return Code(None, False, b"", "git did not answer in time")
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().partition("\n")[0]
        return Code(None, False, b"", f"git: {reason.removeprefix('fatal: ')}")
    return Code(commit, bool(diff), diff, "")


def git(folder: Path, *arguments: str) -> bytes:
    """What a git command prints, run in a folder without taking its locks."""
    plain = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=plain,
        capture_output=True,
        check=True,
        timeout=20,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout


def packages() -> dict[str, str]:
    """Installed distributions and their versions, by name."""
    found = {each.metadata["Name"]: each.version for each in metadata.distributions()}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def hardware() -> dict[str, str | int | None]:
    """Platform, processor count, memory in bytes, Python."""
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
    }
