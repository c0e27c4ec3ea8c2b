"""What this machine has: versions, cores, memory, disk, and whether a worker can be started and killed."""

from __future__ import annotations

import re
import shutil
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from forgeline.engine.store import Store

LEAST_DISK_BYTES = 10**9
LEAST_MEMORY_BYTES = 10**9


def examine(store: Store) -> dict[str, Any]:
    """`{"ok", "checks": [{"name", "ok", "says"}]}`."""
    checks = [python(), *packages(), *deep(), memory(), disk(store), worker()]
    return {"ok": all(check["ok"] for check in checks), "checks": checks}


def check(name: str, ok: bool, says: str) -> dict[str, Any]:
    """One line of the answer."""
    return {"name": name, "ok": ok, "says": says}


def python() -> dict[str, Any]:
    """The interpreter."""
    return check("python", sys.version_info >= (3, 11), sys.version.split()[0])


def needed() -> list[str]:
    """Names of the runtime dependencies, as the installed package declares them."""
    declared = [each for each in metadata.requires("forgeline") or [] if "extra ==" not in each]
    return sorted(re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in declared)


def packages() -> list[dict[str, Any]]:
    """Each runtime dependency."""
    found = []
    for name in needed():
        try:
            found.append(check(name, True, metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append(check(name, False, f"pip install {name}"))
    return found


def deep() -> list[dict[str, Any]]:
    """Torch, where it is installed, and whether what is beside it works with it."""
    if find_spec("torch") is None:
        return []
    from forgeline.engine.compatible import complaint

    wrong = complaint()
    return [check("torch", not wrong, ". ".join(wrong) if wrong else metadata.version("torch"))]


def memory() -> dict[str, Any]:
    """What a run could use."""
    import psutil

    free = psutil.virtual_memory().available
    return check("memory", free > LEAST_MEMORY_BYTES, f"{free / 1e9:.1f} GB free, {psutil.cpu_count()} cores")


def disk(store: Store) -> dict[str, Any]:
    """Where runs are written."""
    store.open()
    free = shutil.disk_usage(store.root).free
    return check("disk", free > LEAST_DISK_BYTES, f"{free / 1e9:.1f} GB free at {store.root}")


def worker() -> dict[str, Any]:
    """Whether a worker starts and answers."""
    from forgeline.engine.workers import Job, Workers
    from forgeline.workspace import PRELOAD

    workers = Workers(1, LEAST_MEMORY_BYTES, PRELOAD)
    outcome = next(iter(workers.run([Job("hello", "platform:python_version", {})], lambda: 30.0)))
    return check("worker", not outcome.lost, outcome.lost or f"answered in {outcome.seconds:.2f} s")
