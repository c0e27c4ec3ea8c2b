"""Whether the deep-learning packages of this machine go together: what is broken is named before it is needed."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from importlib import metadata
from importlib.util import find_spec

OLDEST_TORCH = (2, 9)
ASKED_SECONDS = 60


@cache
def complaint() -> tuple[str, str] | None:
    """(what is wrong, what to do), or None.

    A torchvision of another build than torch cannot be imported, and libraries that only look whether it is there
    (transformers) fail with it. So where there is one it is imported, in a process of its own.
    """
    found = metadata.version("torch")
    if tuple(int(part) for part in found.split("+")[0].split(".")[:2]) < OLDEST_TORCH:
        return f"torch {found} is too old", "Install a newer one with: pip install -U 'forgeline[deep]'"
    error = error_of_import("torchvision") if find_spec("torchvision") else ""
    if not error:
        return None
    what = f"torchvision does not work with torch {found} ({error}), and libraries that find it fail with it"
    return (
        what,
        "forgeline does not need it: pip uninstall torchvision. Or install the build that was made for this torch.",
    )


def error_of_import(package: str) -> str:
    """The last line that importing a package says in a process of its own; empty where it can be imported."""
    command = [sys.executable, "-c", f"import {package}"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=ASKED_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"not imported within {ASKED_SECONDS} s"
    if tried.returncode == 0:
        return ""
    return (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1]
