"""Whether this process has been asked to go: by SIGTERM, or by a machine that is about to be taken away.

A cloud tells a preemptible machine some seconds before it goes, by a signal (Kubernetes) or by an answer that has
to be asked for (a file, a metadata address). To ask and get no answer says nothing, and ends nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Notice:
    """`asked` is empty until somebody wants this process to go, then it says who."""

    asked: str = ""
    failed_polls: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def ask(self, reason: str) -> None:
        """Ask it to go; the first reason stays."""
        self.asked = self.asked or reason

    @contextmanager
    def signals(self, numbers: tuple[int, ...] = (signal.SIGTERM,)) -> Iterator[Notice]:
        """Listen to signals for a while; only the main thread may."""

        def heard(number: int, frame: Any) -> None:
            self.ask(signal.Signals(number).name)

        before = {number: signal.signal(number, heard) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def polling(self, gone: Callable[[], bool], *, every: float = 5.0) -> Iterator[Notice]:
        """Ask `gone` every so many seconds, in a thread; what it raises is counted and otherwise ignored."""
        self.ended.clear()
        thread = threading.Thread(target=self.poll, args=(gone, every), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            thread.join()

    def poll(self, gone: Callable[[], bool], every: float) -> None:
        """Until somebody asked, or nobody listens any more."""
        while not self.asked and not self.ended.is_set():
            try:
                if gone():
                    self.ask("preemption notice")
            except Exception:  # whatever a failed poll raises, it is not a notice
                self.failed_polls += 1
            self.ended.wait(every)
