"""Killable worker processes from a forkserver that is up before any OpenMP thread."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from types import ModuleType
from typing import Any

from forgeline.errors import BudgetSpent

POLL_SECONDS = 0.05
GRACE_SECONDS = 20.0
"""For workers that are asked to go: those that train in steps save where they are, the others are gone at once."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Job:
    """A call in a worker: `module:function` with plain keyword arguments."""

    name: str
    call: str
    arguments: dict[str, Any]
    seconds: float = float("inf")
    """After so many it is killed, lost to `time`."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its value, or why there is none."""

    job: Job
    value: Any
    lost: str
    """Empty, or `time`, `memory`, or the text of the error."""
    seconds: float
    peak_bytes: int
    cpu_seconds: float
    exit_code: int | None = None
    """Of a process that was gone without a word, and not by our hand; negative: the signal that ended it."""

    def answer(self) -> Any:
        """The value. Errors: BudgetSpent over its memory, RuntimeError with what the worker said."""
        if self.lost == "memory":
            raise BudgetSpent(
                f"{self.job.name} went over a worker's memory ({self.peak_bytes / 1e6:.0f} MB). "
                "Give a larger [budget] memory, or fewer workers."
            )
        if self.lost:
            raise RuntimeError(f"{self.job.name}: {self.lost}")
        return self.value


@dataclass(frozen=True)
class Usage:
    """Largest resident size of one worker, and the CPU seconds of all."""

    peak_bytes: int = 0
    cpu_seconds: float = 0.0

    def joined(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(max(self.peak_bytes, other.peak_bytes), self.cpu_seconds + other.cpu_seconds)

    def widened(self, later: Usage) -> Usage:
        """The same process, looked at again: neither figure falls."""
        return Usage(max(self.peak_bytes, later.peak_bytes), max(self.cpu_seconds, later.cpu_seconds))


class Workers:
    """Up to `count` processes at a time, one job each; whoever is late or too big is killed by us."""

    def __init__(self, count: int, memory_bytes: int, preload: tuple[str, ...] = (), *, shared_bytes: int = 0) -> None:
        self.count = count
        self.memory_bytes = memory_bytes
        self.preload = preload
        self.shared_bytes = shared_bytes
        """Of what is preloaded beside the usual: in every worker's size, but in memory once."""
        self.context = multiprocessing.get_context("forkserver")
        self.warm = False
        self.usage = Usage()

    def take_usage(self) -> Usage:
        """What workers have used since this was last asked."""
        usage, self.usage = self.usage, Usage()
        return usage

    def start(self) -> None:
        """Start the forkserver, which imports the heavy modules while this process goes on."""
        if not self.warm:
            self.context.set_forkserver_preload(list(self.preload))
            from multiprocessing import forkserver, resource_tracker

            resource_tracker.ensure_running()  # else the forkserver starts it, which would unblock these signals
            with environment(ONE_THREAD), deaf_to({signal.SIGINT, signal.SIGTERM}):
                forkserver.ensure_running()
            self.warm = True

    def run(self, jobs: Iterable[Job], remaining: Callable[[], float]) -> Iterator[Outcome]:
        """Outcomes as they come. When `remaining()` reaches 0 running jobs are killed and none is started."""
        waiting = deque(jobs)
        yield from self.feed(lambda: waiting.popleft() if waiting else None, remaining)
        for job in waiting:
            yield Outcome(job, None, "time", 0.0, 0, 0.0)

    def feed(
        self,
        give: Callable[[], Job | None],
        remaining: Callable[[], float],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Generator[Outcome, None, None]:
        """Outcomes of the jobs that `give` gives, asked whenever a worker is free; None: nothing for now.

        It ends when there is nothing to give while nothing runs. At `remaining() <= 0` running jobs are killed.
        `meanwhile` is called some times a second. Who stops asking for outcomes, or is interrupted, has the workers
        asked to go.
        """
        self.start()
        running: list[Running] = []
        try:
            while True:
                while len(running) < self.count and remaining() > 0 and (job := give()) is not None:
                    running.append(Running(self.context, job))
                if not running:
                    return
                meanwhile()
                wait = min(POLL_SECONDS, remaining())
                connection.wait([each.pipe for each in running], timeout=max(wait, 0.001))
                for each in list(running):
                    outcome = each.outcome(self.memory_bytes + self.shared_bytes, late=remaining() <= 0)
                    if outcome:
                        running.remove(each)
                        self.usage = self.usage.joined(Usage(outcome.peak_bytes, outcome.cpu_seconds))
                        yield outcome
        finally:
            dismiss(running)


def dismiss(running: Iterable[Running]) -> None:
    """Ask processes to go, and kill those that do not."""
    ends = time.monotonic() + GRACE_SECONDS
    try:
        for each in running:
            each.process.terminate()
        for each in running:
            each.process.join(max(0.0, ends - time.monotonic()))
    finally:
        for each in running:
            each.kill()


class Running:
    """One job in one process."""

    def __init__(self, context: Any, job: Job) -> None:
        self.job = job
        self.pipe, child = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(child, job.call, job.arguments), daemon=True)
        self.began = time.perf_counter()
        self.usage = Usage()
        self.exit_code: int | None = None
        with no_main_module():
            self.process.start()
        child.close()

    def outcome(self, memory_bytes: int, *, late: bool) -> Outcome | None:
        """What became of it, or None while it runs; kills it when it is late or over its memory."""
        self.usage = self.usage.widened(usage_of(self.process.pid))
        if self.pipe.poll():
            value, error, told = self.receive()
            self.usage = self.usage.widened(told)
            return self.end(value, error)
        if late or time.perf_counter() - self.began > self.job.seconds:
            return self.end(None, "time")
        if self.usage.peak_bytes > memory_bytes:
            return self.end(None, "memory")
        return None

    def receive(self) -> tuple[Any, str, Usage]:
        """(value, error, usage) the process sent; a process that died sent nothing."""
        try:
            value, error, told = self.pipe.recv()
        except EOFError:
            self.process.join(5)
            self.exit_code = self.process.exitcode
            return None, f"the worker died (exit code {self.exit_code})", Usage()
        return value, error, told

    def end(self, value: Any, lost: str) -> Outcome:
        """Make sure the process is gone."""
        self.kill()
        seconds = time.perf_counter() - self.began
        used = self.usage
        return Outcome(self.job, value, lost, seconds, used.peak_bytes, used.cpu_seconds, self.exit_code)

    def kill(self) -> None:
        """SIGKILL, not a request."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def work(pipe: Any, call: str, arguments: dict[str, Any]) -> None:
    """In the worker: leave when the parent is gone, make the call, send (value, error, what it used).

    The worker tells its own usage, because one that ends soon may never be looked at from outside. It hears SIGTERM,
    which the forkserver is deaf to: where a whole group of processes is asked to go, some still have to save.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=leave_with_parent, daemon=True).start()
    try:
        module, _, name = call.partition(":")
        answer = getattr(importlib.import_module(module), name)(**arguments), ""
    except Exception as error:  # every error of a job is told to the parent, with its type
        answer = None, f"{type(error).__name__}: {error}"
    pipe.send((*answer, usage_of(os.getpid())))
    pipe.close()


def leave_with_parent() -> None:
    """End this process as soon as the one that asked for it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def usage_of(pid: int | None) -> Usage:
    """What a process uses now; nothing when it is gone."""
    import psutil

    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return Usage(int(process.memory_info().rss), float(times.user + times.system))
    except psutil.Error:
        return Usage()


@contextmanager
def no_main_module() -> Iterator[None]:
    """Hide `__main__` while a process starts, so that a user's script needs no `if __name__` guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def deaf_to(signals: set[signal.Signals]) -> Iterator[None]:
    """Block signals for what is started meanwhile: Ctrl-C reaches the whole group, the parent answers it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
