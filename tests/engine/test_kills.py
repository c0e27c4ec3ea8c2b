import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_instant_ends_in_the_same_bits():
    command = [sys.executable, str(KILLS), "--quick", "--seed", str(os.getpid())]  # other instants each time
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["kills"] >= 20
    assert figures["equal"] == figures["runs"]
