import os
import subprocess
import sys
import time

import pytest

from forgeline.engine import clock
from forgeline.engine.clock import Clock, Stopwatch


def test_no_limit_never_ends():
    assert Clock(None).remaining == float("inf")


def test_seconds_spent_before_an_interruption_count():
    later = Clock(10.0, started=time.time() - 2, used=3.0)
    assert 5.0 <= later.elapsed < 6.0
    assert 4.0 < later.remaining <= 5.0


def test_nothing_remains_after_the_limit():
    assert Clock(10.0, started=time.time() - 20).remaining == 0.0


def test_the_process_began_before_now():
    child = [sys.executable, "-c", "from forgeline.engine.clock import *; print(process_start())"]
    before = time.time()
    started = float(subprocess.run(child, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert before - 1.1 <= started <= time.time()


def test_a_stopwatch_reads_wall_cpu_and_peak():
    watch = Stopwatch()
    held = bytearray(os.urandom(30_000_000))
    began = time.process_time()
    while time.process_time() - began < 0.1:
        pass
    seconds, cpu_seconds, peak, _ = watch.read()
    assert seconds >= cpu_seconds * 0.9 - 0.05
    assert cpu_seconds >= 0.09
    assert peak >= len(held)


def test_energy_is_the_sum_of_the_packages_or_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "RAPL", tmp_path)
    assert clock.joules() is None
    for zone, microjoules in (("intel-rapl:0", 1_500_000), ("intel-rapl:1", 2_000_000), ("intel-rapl:0:0", 9)):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "energy_uj").write_text(f"{microjoules}\n")
    assert clock.joules() == pytest.approx(3.5)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("?")
    assert clock.joules() is None
