"""Rows a CPU-second of assess: the checks without a fit, and all of it, from 10^4 to 10^7 rows of 15 columns.

python benchmarks/assess_speed.py --data ../shared/data/raw/adult/adult.data.gz    about ten minutes
python benchmarks/assess_speed.py --data … --quick                                 two sizes, two repeats, no rivals

Sizes above Adult's 32,561 rows are generated. Each measurement is a process of its own with one thread for BLAS;
its imports are timed apart and left out. The rivals (fg-data-profiling, deepchecks) are installed into an
environment of their own under --rivals FOLDER, where they install, and run on Adult beside ours, turn by turn.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMES = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"),
)
NUMBERS = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
ADULT_ROWS = 32_561
SIZES = (10_000, ADULT_ROWS, 100_000, 1_000_000, 10_000_000)
TARGETS = {"unfitted": 150_000.0, "full at 32,561": 8_000.0, "full at 1,000,000": 50_000.0, "gigabytes at 10^7": 2.0}
RIVALS = {
    "fg-data-profiling": ["fg-data-profiling"],
    "deepchecks": ["deepchecks", "scikit-learn<1.6", "category-encoders<2.7", "pandas<2.3", "numpy<2"],
}
"""What each is installed with; deepchecks 0.19 does not import beside newer versions of what it uses."""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--data", type=Path, required=False, help="adult.data.gz as UCI publishes it")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    arguments.add_argument("--rivals", type=Path, help="folder of the rivals' environment; left out: no rivals")
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--measure", nargs=3, metavar=("WHAT", "FILE", "ROWS"), help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.measure:
        return measure(*asked.measure)
    if asked.data is None or not asked.data.exists():
        print("give --data PATH/adult.data.gz (UCI Adult as published)", file=sys.stderr)
        return 2
    sizes, repeats = ([10_000, ADULT_ROWS], 2) if asked.quick else (sorted(asked.sizes), asked.repeats)
    with tempfile.TemporaryDirectory() as folder:
        files = {rows: write(asked.data, rows, Path(folder)) for rows in sizes}
        figures = ours(files, repeats)
        rivals = beside(asked.rivals, files, repeats) if asked.rivals and not asked.quick else {}
    return told(figures, rivals)


# ---------------------------------------------------------------- data


def write(data: Path, rows: int, folder: Path) -> Path:
    """Adult itself, or rows drawn from it in blocks with noise on its numbers, as one Parquet file."""
    import numpy as np
    import polars as pl

    adult = pl.read_csv(data, has_header=False, new_columns=list(NAMES), null_values=[" ?", "?"])
    adult = adult.with_columns(pl.all().cast(pl.String).str.strip_chars()).drop_nulls("income")
    adult = adult.with_columns(pl.col(NUMBERS).cast(pl.Int64))
    file = folder / f"adult-{rows}.parquet"
    if rows <= adult.height:
        adult.head(rows).write_parquet(file)
        return file
    draw, parts = np.random.default_rng(rows), []
    block = 1_000_000
    for start in range(0, rows, block):
        part = adult[draw.integers(0, adult.height, min(block, rows - start))]
        jitter = [pl.col(name) + pl.Series(draw.integers(0, 3, part.height)) for name in ("age", "hours_per_week")]
        jitter += [pl.col("fnlwgt") + pl.Series(draw.integers(0, 5000, part.height))]
        parts.append(folder / f"part-{rows}-{start}.parquet")
        part.with_columns(jitter).write_parquet(parts[-1])
    pl.scan_parquet(parts).sink_parquet(file)
    for part in parts:
        part.unlink()
    return file


# ---------------------------------------------------------------- ours, in a process of its own


def measure(what: str, file: str, rows: str) -> int:
    """One measurement; prints CPU-seconds and the imports' CPU-seconds as JSON."""
    import resource

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    began = used()
    work = {"unfitted": unfitted, "full": full, "whole": whole}[what](file)
    imports = used() - began
    start = used()
    next(work)
    took = used() - start
    print(json.dumps({"cpu_seconds": took, "import_seconds": imports, "rows": int(rows)}))
    return 0


def imported() -> None:
    """Everything that assess imports on its way."""
    import lightgbm  # noqa: F401
    import scipy.optimize
    import scipy.stats  # noqa: F401

    from forgeline import catalog
    from forgeline.stages import assess  # noqa: F401

    for name in catalog.names("checks"):
        catalog.load("checks", name)


def prepared(file: str):
    """(spec, snapshot record, workspace) of a finished snapshot stage."""
    from forgeline import session, spec
    from forgeline.engine.store import Store

    folder = tempfile.mkdtemp()
    ask = spec.check({"snapshot": {"source": str(Path(file).resolve()), "target": "income"}})
    store = Store(Path(folder))
    run = session.start(ask, base=Path.cwd(), store=store, until="snapshot", started=session.now(), quiet=True)
    return ask, run, store


def full(file: str):
    """The whole assess stage on a snapshot that is there."""
    imported()
    ask, run, store = prepared(file)
    from forgeline import session
    from forgeline.engine.store import WorkLog
    from forgeline.stages.assess import assess

    work = session.workspace(
        run.folder, ask, store, WorkLog(run.folder / "work.log"), session.now(), quiet=True, replay=None
    )
    snapshot = run.records[0]
    work.rows(snapshot.facts.digest)  # of very many rows assess reads a part at a time, and checks them again
    return (assess(ask.assess, ask.split, ask.refine, snapshot, work) for _ in range(1))


def unfitted(file: str):
    """Every check of the first round, on a view that is there."""
    imported()
    import polars as pl

    from forgeline import catalog, testing

    frame = pl.read_parquet(file)
    table, target = testing.view(frame, target="income")
    checks = [catalog.load("checks", name) for name in catalog.names("checks")]
    first = [check for check in checks if getattr(check, "round", 0) == 0]
    return ([list(check.check(table, target)) for check in first] for _ in range(1))


def whole(file: str):
    """`forgeline assess FILE` from reading to record: for the peak."""
    imported()
    from forgeline import session, spec
    from forgeline.engine.store import Store

    ask = spec.check({"snapshot": {"source": str(Path(file).resolve()), "target": "income"}})
    store = Store(Path(tempfile.mkdtemp()))
    return (
        session.start(ask, base=Path.cwd(), store=store, until="assess", started=session.now(), quiet=True)
        for _ in range(1)
    )


def run_once(what: str, file: Path, rows: int) -> dict:
    """One measurement in a fresh process, with its peak as seen from outside."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--measure", what, str(file), str(rows)]
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryDirectory() as store:
        run = subprocess.Popen(command, stdout=said, env=os.environ | threads | {"TMPDIR": store})
        peak = 0
        while run.poll() is None:
            peak = max(peak, high_water(run.pid))
            time.sleep(0.02)
        if run.returncode:
            raise SystemExit(f"{what} at {rows:,} rows ended with exit code {run.returncode}")
        said.seek(0)
        return json.loads(said.read().splitlines()[-1]) | {"peak_bytes": peak}


def high_water(pid: int) -> int:
    """The most memory a process has held, in bytes: a stage sets the kernel's own mark back, so it is read often."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def ours(files: dict[int, Path], repeats: int) -> dict[str, dict]:
    """Rows a CPU-second with its spread, by what and size; the imports, and the peak at the largest size."""
    figures = {}
    for rows, file in files.items():
        for what in ("unfitted", "full"):
            if what == "unfitted" and rows > 1_000_000:
                continue
            count = repeats if rows <= 1_000_000 else 1
            found = [run_once(what, file, rows) for _ in range(count)]
            speeds = sorted(rows / each["cpu_seconds"] for each in found)
            figures[f"{what} at {rows:,}"] = {
                "rows_per_cpu_second": statistics.median(speeds),
                "low": speeds[0],
                "high": speeds[-1],
                "import_cpu_seconds": statistics.median(each["import_seconds"] for each in found),
                "peak_gigabytes": max(each["peak_bytes"] for each in found) / 1e9,
            }
            print(line(f"{what} at {rows:,}", figures[f"{what} at {rows:,}"]), flush=True)
    if max(files) >= 10_000_000:
        found = run_once("whole", files[max(files)], max(files))
        figures["whole at 10^7"] = {"peak_gigabytes": found["peak_bytes"] / 1e9, "cpu_seconds": found["cpu_seconds"]}
        print(
            f"whole command at 10^7: {found['peak_bytes'] / 1e9:.2f} GB, {found['cpu_seconds']:.0f} CPU-s", flush=True
        )
    return figures


def line(name: str, figure: dict) -> str:
    """One row of the table."""
    return (
        f"{name:<24}{figure['rows_per_cpu_second']:>12,.0f} rows/CPU-s"
        f"  [{figure['low']:,.0f}, {figure['high']:,.0f}]   imports {figure['import_cpu_seconds']:.1f} CPU-s,"
        f" peak {figure['peak_gigabytes']:.2f} GB"
    )


# ---------------------------------------------------------------- rivals

SCRIPTS = {
    "fg-data-profiling": """
import pandas, resource
from data_profiling import ProfileReport
frame = pandas.read_parquet(FILE)
def used(): r = resource.getrusage(resource.RUSAGE_SELF); return r.ru_utime + r.ru_stime
start = used(); ProfileReport(frame, progress_bar=False).to_json(); print(used() - start)
""",
    "deepchecks": """
import pandas, resource
from deepchecks.tabular import Dataset
from deepchecks.tabular.suites import data_integrity
frame = pandas.read_parquet(FILE)
def used(): r = resource.getrusage(resource.RUSAGE_SELF); return r.ru_utime + r.ru_stime
start = used(); data_integrity().run(Dataset(frame, label="income", cat_features=[])); print(used() - start)
""",
}


def beside(folder: Path, files: dict[int, Path], repeats: int) -> dict[str, dict]:
    """CPU-seconds of the rivals on Adult over those of a full assessment, turn by turn; why where one does not run."""
    found = {}
    for name, packages in RIVALS.items():
        place = folder / name
        python = place / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
            pip = [python, "-m", "pip", "install", "--quiet", *packages, "pyarrow", "setuptools<81"]
            subprocess.run(pip, check=False, capture_output=True)
        script = SCRIPTS[name].replace("FILE", repr(str(files[ADULT_ROWS])))
        ratios = []
        for _ in range(repeats):
            done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
            if done.returncode:
                found[name] = {"why": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}
                break
            mine = run_once("full", files[ADULT_ROWS], ADULT_ROWS)["cpu_seconds"]
            ratios.append(float(done.stdout.split()[-1]) / mine)
        else:
            found[name] = {"times_ours": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
        print(f"{name:<24}{found[name]}", flush=True)
    return found


def told(figures: dict, rivals: dict) -> int:
    """The last line, and whether the targets hold."""
    reached = {
        "unfitted": figures.get(f"unfitted at {ADULT_ROWS:,}", {}).get("rows_per_cpu_second"),
        "full at 32,561": figures.get(f"full at {ADULT_ROWS:,}", {}).get("rows_per_cpu_second"),
        "full at 1,000,000": figures.get("full at 1,000,000", {}).get("rows_per_cpu_second"),
        "gigabytes at 10^7": figures.get("whole at 10^7", {}).get("peak_gigabytes"),
    }
    known = {name: value for name, value in reached.items() if value is not None}
    holds = all(
        (value <= TARGETS[name]) if "giga" in name else (value >= TARGETS[name]) for name, value in known.items()
    )
    print(json.dumps({"figures": figures, "reached": reached, "baselines": rivals, "targets": TARGETS, "holds": holds}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
