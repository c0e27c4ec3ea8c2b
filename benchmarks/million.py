"""A million generated rows × 20 columns through the whole line in two minutes and six gigabytes.

    python benchmarks/million.py [--rows 1000000] [--time 120s] [--gigabytes 6] [--quick]

The rows are generated from a seed, written as CSV, and given to a fresh process. Memory is the resident size of the
process and all its workers together, sampled ten times a second from outside (so pages they share count twice).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import psutil


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--time", default="120s")
    options.add_argument("--gigabytes", type=float, default=6.0, help="what process and workers may take together")
    options.add_argument("--quick", action="store_true", help="100,000 rows in 40 seconds")
    asked = options.parse_args()
    rows, budget = (100_000, "40s") if asked.quick else (asked.rows, asked.time)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(rows).write_csv(folder / "million.csv")
        run, seconds, peak, code = timed(folder, budget)
    print(f"{'stage':<10}{'seconds':>10}{'peak GB':>10}   (peak of one process)")
    for stage in run["stages"]:
        print(f"{stage['name']:<10}{stage['seconds']:>10.2f}{stage['peak_bytes'] / 1e9:>10.2f}")
    print(f"{'all':<10}{seconds:>10.2f}{peak / 1e9:>10.2f}   (process and workers together, from outside)")
    limit = float(budget.rstrip("s")) + 1
    holds = code == 0 and seconds <= limit and peak <= 1e9 * asked.gigabytes and run["release"] is not None
    figures = {"rows": rows, "seconds": seconds, "peak_bytes": peak, "exit": code, "stages": run["stages"]}
    scores = {
        key: value["value"]
        for key, value in run["numbers"].items()
        if key in ("test.roc_auc", "test.baseline.linear.roc_auc")
    }
    print(
        json.dumps(
            figures | {"scores": scores, "limits": {"seconds": limit, "bytes": 1e9 * asked.gigabytes}, "holds": holds}
        )
    )


def generate(rows: int) -> pl.DataFrame:
    """Fourteen numbers, six categories, some missing; a target with interactions and noise."""
    generator = np.random.default_rng(20)
    x = generator.normal(size=(rows, 14)).astype(np.float32)
    levels = generator.integers(0, [3, 5, 8, 12, 30, 100], size=(rows, 6))
    effect = [generator.normal(scale=0.5, size=width) for width in (3, 5, 8, 12, 30, 100)]
    score = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(2 * x[:, 3]) + 0.5 * (x[:, 4] > 0.5) * x[:, 5]
    score = score + sum(effect[j][levels[:, j]] for j in range(6))
    target = generator.random(rows) < 1 / (1 + np.exp(-score))
    columns = {f"number_{j}": x[:, j] for j in range(14)}
    columns |= {f"category_{j}": np.char.add("level ", levels[:, j].astype(str)) for j in range(6)}
    frame = pl.DataFrame(columns | {"target": np.where(target, "yes", "no")})
    holes = pl.Series(generator.random(rows) < 0.05)
    return frame.with_columns(pl.when(holes).then(None).otherwise(pl.col("number_0")).alias("number_0"))


def timed(folder: Path, budget: str) -> tuple[dict, float, int, int]:
    """(what the run printed, seconds, peak bytes of all its processes, exit code)."""
    command = [
        sys.executable,
        "-m",
        "forgeline",
        "run",
        "million.csv",
        "--target",
        "target",
        "--time",
        budget,
        "--json",
    ]
    began = time.perf_counter()
    with (folder / "out.json").open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out)
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.1)
    seconds = time.perf_counter() - began
    run = json.loads((folder / "out.json").read_text())
    for stage in run["stages"]:
        stage["peak_bytes"] = json.loads(Path(stage["record"]).read_text())["meter"]["peak_bytes"]
        del stage["record"]
    return run, seconds, peak, process.returncode


def resident(pid: int) -> int:
    """Bytes of a process and its descendants."""
    try:
        process = psutil.Process(pid)
        return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)])
    except psutil.Error:
        return 0


if __name__ == "__main__":
    main()
