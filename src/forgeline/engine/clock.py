"""Time: how much of the budget is used, and what a stage took."""

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

RAPL = Path("/sys/class/powercap")


class Clock:
    """Wall clock since the process started, against an optional limit in seconds.

    `used` is what an interrupted run had spent before; it counts too.
    """

    def __init__(self, limit: float | None, *, started: float | None = None, used: float = 0.0) -> None:
        self.limit = limit
        self.started = (time.time() if started is None else started) - used

    @property
    def elapsed(self) -> float:
        """Seconds used."""
        return time.time() - self.started

    @property
    def remaining(self) -> float:
        """Seconds left; infinite without a limit, never below 0."""
        return float("inf") if self.limit is None else max(0.0, self.limit - self.elapsed)


def process_start() -> float:
    """When this process was started, in seconds since 1970: what `--time` counts from."""
    import psutil

    return float(psutil.Process().create_time())


class Stopwatch:
    """Seconds, CPU seconds (own and ended children's), peak memory and joules since it was made."""

    def __init__(self) -> None:
        self.wall = time.perf_counter()
        self.cpu = cpu_seconds()
        self.energy = joules()
        forget_peak()

    def read(self) -> tuple[float, float, int, float | None]:
        """(seconds, cpu_seconds, peak_bytes of this process, joules or None when unmeasured)."""
        energy = joules()
        used = None if energy is None or self.energy is None else energy - self.energy
        return time.perf_counter() - self.wall, cpu_seconds() - self.cpu, peak_bytes(), used


def cpu_seconds() -> float:
    """CPU seconds of this process and of its ended children."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


def forget_peak() -> None:
    """Let the largest resident size be counted from now on (Linux); elsewhere it stays that of the whole process."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Largest resident size of this process since `forget_peak`, or of all its life."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(size) if sys.platform == "darwin" else int(size) * 1024


def joules() -> float | None:
    """Energy counter of the CPU packages (Linux RAPL); None where it cannot be read."""
    try:
        zones = [int((zone / "energy_uj").read_text()) for zone in RAPL.glob("intel-rapl:?")]
    except (OSError, ValueError):
        return None
    return sum(zones) / 1e6 if zones else None
