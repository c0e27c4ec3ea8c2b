"""One minute on two cores: forgeline beside AutoGluon, FLAML, CatBoost and LightGBM, timed from outside.

    python benchmarks/minute.py --data FOLDER [--time 60s] [--only SYSTEM …] [--sets NAME …] [--quick]

One command a system, process start to predictions written, on each set's own train and test file, the test labels
withheld. Every system is told what is judged: log loss for classes, RMSE for numbers; ROC AUC of binary sets is
printed beside. Rivals run in environments that this script makes (`--environments`), and their scores are kept in
benchmarks/results/minute.json with versions and date: they run again only when a version changes. A failure counts as
the constant predictor. For forgeline the portfolio is one learned without the set's family (benchmarks/portfolio.py).
Run it alone on the machine.
"""

import argparse
import csv
import datetime
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "minute.json"
LEFT_OUT = HERE / "results" / "portfolio_left_out.json"
TARGET = "target_y"
RIVALS: dict[str, tuple[str, list[str], list[str]]] = {
    "autogluon best": ("autogluon", ["autogluon.tabular[all]==1.6.3", "torch==2.13.0"], ["best_quality", "SECONDS"]),
    "autogluon medium": (
        "autogluon",
        ["autogluon.tabular[all]==1.6.3", "torch==2.13.0"],
        ["medium_quality", "SECONDS"],
    ),
    "flaml": ("flaml", ["flaml[automl]==2.7.0", "catboost==1.2.10"], ["SECONDS"]),
    "catboost": ("catboost", ["catboost==1.2.10", "lightgbm==4.7.0", "pandas", "scikit-learn"], []),
    "lightgbm": ("lightgbm", ["catboost==1.2.10", "lightgbm==4.7.0", "pandas", "scikit-learn"], []),
}
"""System → (script, its environment, further words)."""
EVERYWHERE = ("forgeline", "catboost", "lightgbm")
"""Systems that run on every set; the others on VISIBLE of them."""
VISIBLE = 20
PATIENCE = 600.0
"""Seconds after which a system counts as failed."""
BARS = {"autogluon": 0.70, "flaml": 0.80, "catboost": 0.80}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--data", type=Path, required=True, help="folder with <set>/train.csv.gz, test.csv.gz, task.json"
    )
    options.add_argument("--time", default="60s")
    options.add_argument("--only", nargs="*", default=["forgeline", *RIVALS])
    options.add_argument("--sets", nargs="*", default=[])
    options.add_argument("--environments", type=Path, default=HERE / ".rivals")
    options.add_argument("--quick", action="store_true", help="forgeline alone on three small sets, ten seconds")
    asked = options.parse_args()
    if asked.quick:
        asked.only, asked.time, asked.sets = ["forgeline"], "10s", asked.sets or smallest(asked.data, 3)
    asked.data, asked.environments = asked.data.resolve(), asked.environments.resolve()
    sets = drawn(asked.data)
    kept = Kept(RESULTS, asked.time)
    for system in [each for each in RIVALS if each in asked.only]:
        for name in sets if system in EVERYWHERE else sets[:VISIBLE]:
            if (not asked.sets or name in asked.sets) and not kept.has(system, name):
                kept.put(system, name, rival(system, asked.data / name, asked.time, asked.environments))
                print(f"{system:<18}{name:<28}{told(kept.get(system, name))}", flush=True)
    if "forgeline" in asked.only:
        for name in sets:
            if not asked.sets or name in asked.sets:
                kept.put("forgeline", name, forgeline(asked.data / name, asked.time))
                print(f"{'forgeline':<18}{name:<28}{told(kept.get('forgeline', name))}", flush=True)
    report(kept, asked.data, [name for name in sets if not asked.sets or name in asked.sets], asked.time)


# ---------------------------------------------------------------- sets


def drawn(data: Path) -> list[str]:
    """All sets, in the order of the hash of their names: the first VISIBLE are those that every rival sees."""
    names = [path.parent.name for path in data.glob("*/task.json")]
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def smallest(data: Path, count: int) -> list[str]:
    """The sets with the smallest training files."""
    return sorted(drawn(data), key=lambda name: (data / name / "train.csv.gz").stat().st_size)[:count]


def task_of(folder: Path) -> str:
    return str(json.loads((folder / "task.json").read_text())["task"])


def withheld(folder: Path, place: Path) -> Path:
    """The test file without its target."""
    with gzip.open(folder / "test.csv.gz", "rt", newline="") as file:
        rows = list(csv.reader(file))
    gone = rows[0].index(TARGET)
    out = place / "test.csv.gz"
    with gzip.open(out, "wt", newline="", compresslevel=1) as file:
        csv.writer(file).writerows([row[:gone] + row[gone + 1 :] for row in rows])
    return out


def truth(folder: Path, part: str) -> list[str]:
    """Targets of one part, as text."""
    with gzip.open(folder / f"{part}.csv.gz", "rt", newline="") as file:
        return [row[TARGET] for row in csv.DictReader(file)]


# ---------------------------------------------------------------- running


def forgeline(folder: Path, limit: str, kept: Path | None = None) -> dict[str, Any]:
    """One fresh run, as a user would type it; `kept`: where its predictions go, too."""
    command = [sys.executable, "-m", "forgeline", "run", str(folder / "train.csv.gz"), "--target", TARGET]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        command += ["--test", str(withheld(folder, place)), "--predict", str(place / "out.csv"), "--time", limit]
        command += ["--set", f"plan.portfolio={unseen(folder.name, place)}"] if LEFT_OUT.exists() else []
        found = timed(command, folder, place, dict(os.environ))
        if kept and not found["error"]:
            shutil.copy(place / "out.csv", kept)
        run = next((place / ".forgeline" / "runs").glob("*"), None) if (place / ".forgeline").exists() else None
        found["release"] = bool(run and (run / "release" / "SHA256SUMS").exists() and (run / "report.html").exists())
        if run and (run / "work.log").exists():
            lines = [json.loads(line) for line in (run / "work.log").read_text().splitlines()]
            found["usable"] = next((line["elapsed"] for line in lines if line["do"] == "usable"), None)
        if run:
            found |= shipped(run)
        return found | {"versions": versions(sys.executable, ["forgeline", "lightgbm", "catboost"])}


def shipped(run: Path) -> dict[str, Any]:
    """Size of the model, milliseconds of one row through onnxruntime, and what compressing it lost out of fold."""
    found = {"bytes": (run / "release" / "model.onnx").stat().st_size} if (run / "release").exists() else {}
    for path in run.glob("*-compress.json"):
        numbers = json.loads(path.read_text())["numbers"]
        found |= {"p50_ms": 1e3 * numbers["latency.p50"]["value"], "lost": numbers["compress.loss"]["value"]}
    return found


def unseen(name: str, place: Path) -> Path:
    """The shipped portfolio with the orders that were learned without the set's family."""
    found = json.loads((HERE.parent / "src" / "forgeline" / "portfolio.json").read_text())
    found["orders"] = json.loads(LEFT_OUT.read_text()).get(family(name), found["orders"])
    own = place / "portfolio.json"
    own.write_text(json.dumps(found))
    return own


def rival(system: str, folder: Path, limit: str, environments: Path) -> dict[str, Any]:
    """One run of a rival in its own environment."""
    script, requirements, words = RIVALS[system]
    python = environment(environments / script, requirements)
    seconds = limit.rstrip("s")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        command = [str(python), str(HERE / "rivals" / f"use_{script}.py"), str(folder / "train.csv.gz")]
        command += [str(withheld(folder, place)), TARGET, task_of(folder), str(place / "out.csv")]
        command += [seconds if word == "SECONDS" else word for word in words]
        return timed(command, folder, place, clean()) | {"versions": pinned(requirements)}


def clean() -> dict[str, str]:
    """The environment without what would change another's packages or threads."""
    gone = ("PYTHONPATH", "OMP_NUM_THREADS", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in gone}


def environment(folder: Path, requirements: list[str]) -> Path:
    """The Python of a virtual environment with these packages, made when it is not there."""
    python, stamp = folder / "bin" / "python", folder / "stamp"
    if not stamp.exists() or stamp.read_text() != "\n".join(requirements):
        print(f"installing {', '.join(requirements)}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
        stamp.write_text("\n".join(requirements))
    return python


def pinned(requirements: list[str]) -> dict[str, str]:
    return dict(each.split("==") for each in requirements if "==" in each)


def versions(python: str, names: list[str]) -> dict[str, str]:
    code = "import json, importlib.metadata as m; print(json.dumps({e.name: e.version for e in m.distributions()}))"
    known = json.loads(subprocess.run([python, "-c", code], check=True, capture_output=True).stdout)
    return {name: known[name] for name in names if name in known}


def timed(command: list[str], folder: Path, place: Path, environ: dict[str, str]) -> dict[str, Any]:
    """Scores and seconds of one command; a failure scores as the constant predictor."""
    began = time.perf_counter()
    error = ""
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=place, env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            code = process.wait(PATIENCE)
            error = "" if code == 0 else f"exit {code}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            error = f"longer than {PATIENCE:.0f} s"
    seconds = time.perf_counter() - began
    if not error:
        try:
            scores = score(folder, place / "out.csv")
        except (OSError, KeyError, ValueError, StopIteration) as fault:
            error = f"{type(fault).__name__}: {fault}"
    if error:
        error += " | " + (place / "log").read_text(errors="replace")[-300:].replace("\n", " ")
        scores = constant(folder)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"scores": scores, "seconds": round(seconds, 2), "error": error, "date": today}


# ---------------------------------------------------------------- scores


def plain(label: str) -> str:
    """One text for a label, however a system writes it: True, 1 and 1.0."""
    text = label.strip().lower()
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def score(folder: Path, out: Path) -> dict[str, float]:
    """Scores of a predictions file."""
    p, y = answered(folder, out)
    return of_values(p, y) if task_of(folder) == "regression" else of_classes(p, y)


def answered(folder: Path, out: Path) -> tuple[np.ndarray, np.ndarray]:
    """(predictions, truth): values, or probabilities and the place of each row's class among them, -1 for none."""
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    texts = truth(folder, "test")
    if len(rows) != len(texts):
        raise ValueError(f"{len(rows)} predictions for {len(texts)} rows")
    if task_of(folder) == "regression":
        p, y = np.array([float(row["prediction"]) for row in rows]), np.array(texts, float)
    else:
        names = [name for name in rows[0] if name.startswith("probability_")]
        places = {plain(name.removeprefix("probability_")): index for index, name in enumerate(names)}
        p = np.array([[float(row[name]) for name in names] for row in rows])
        y = np.array([places.get(plain(text), -1) for text in texts])
    if not np.isfinite(p).all():
        raise ValueError("a prediction is no number")
    return p, y


def of_values(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    return {"rmse": float(np.sqrt(losses(p, y).mean()))}


def of_classes(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Log loss, accuracy, ROC AUC of two classes."""
    found = {"log_loss": float(losses(p, y).mean()), "accuracy": float((p.argmax(axis=1) == y).mean())}
    if p.shape[1] == 2:
        found["roc_auc"] = auc(y == 1, p[:, 1])
    return found


def losses(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared errors, or log losses; a class that a system never heard of has probability 1e-15."""
    if p.ndim == 1:
        return (p - y) ** 2
    p = np.clip(p, 1e-15, None)
    p = p / p.sum(axis=1, keepdims=True)
    return -np.log(np.where(y >= 0, p[np.arange(len(y)), y], 1e-15))


def auc(y: np.ndarray, p: np.ndarray) -> float:
    """ROC AUC by midranks."""
    from scipy.stats import rankdata

    rank, positives = rankdata(p), int(y.sum())
    return float((rank[y].sum() - positives * (positives + 1) / 2) / (positives * (len(y) - positives)))


def constant(folder: Path) -> dict[str, float]:
    """Scores of the training rows' mean, or class shares."""
    train, test = truth(folder, "train"), truth(folder, "test")
    if task_of(folder) == "regression":
        return of_values(np.full(len(test), np.mean(np.array(train, float))), np.array(test, float))
    classes = sorted(set(map(plain, train)))
    shares = np.array([sum(plain(each) == label for each in train) / len(train) for label in classes])
    y = np.array([classes.index(plain(each)) if plain(each) in classes else -1 for each in test])
    return of_classes(np.tile(shares, (len(test), 1)), y)


# ---------------------------------------------------------------- results


class Kept:
    """Results on disk: budget → system → set → what came of it."""

    def __init__(self, path: Path, limit: str) -> None:
        self.path, self.limit = path, limit
        self.all: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, system: str, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.all.get(self.limit, {}).get(system, {}).get(name)
        return found

    def has(self, system: str, name: str) -> bool:
        """Whether a rival's result is there, of the versions that are asked for."""
        found = self.get(system, name)
        return bool(found) and found["versions"] == pinned(RIVALS[system][1])

    def put(self, system: str, name: str, result: dict[str, Any]) -> None:
        self.all.setdefault(self.limit, {}).setdefault(system, {})[name] = result
        self.path.parent.mkdir(exist_ok=True)
        draft = self.path.with_suffix(".tmp")
        draft.write_text(json.dumps(self.all, indent=1, sort_keys=True) + "\n")
        draft.replace(self.path)


def told(result: dict[str, Any]) -> str:
    scores = "  ".join(f"{name} {value:.5f}" for name, value in result["scores"].items())
    return f"{result['seconds']:>7.1f} s  {scores}  {result['error'][:80]}"


def family(name: str) -> str:
    """Sets that share a source or a maker; a portfolio judged on one of them was learned without all of them."""
    groups = {
        "housing": ("california_housing", "california_housing_missing"),
        "thyroid": ("sick", "hypothyroid"),
        "ucireg": ("wine_quality", "ucireg_"),
        "ucid": ("ucid_",),
        "reg": ("reg_",),
    }
    return next((group for group, starts in groups.items() if name.startswith(starts)), name)


# ---------------------------------------------------------------- the report


def loss(result: dict[str, Any], view: str) -> float | None:
    """What is judged, smaller is better: log loss or RMSE; in the second view one less ROC AUC for binary sets."""
    scores = result["scores"]
    if view == "roc_auc" and "roc_auc" in scores:
        return 1 - float(scores["roc_auc"])
    return float(scores.get("log_loss", scores.get("rmse")))


def report(kept: Kept, data: Path, sets: list[str], limit: str) -> None:
    """Per-set table, ranks, win rates with intervals, overruns."""
    systems = [system for system in ("forgeline", *RIVALS) if any(kept.get(system, name) for name in sets)]
    print("\n" + f"{'set':<28}" + "".join(f"{name:>18}" for name in systems))
    for name in sets:
        cells = [kept.get(system, name) for system in systems]
        shown = [f"{loss(cell, 'log_loss'):.5g}{'*' if cell['error'] else ''}" if cell else "" for cell in cells]
        print(f"{name:<28}" + "".join(f"{each:>18}" for each in shown))
    figures: dict[str, Any] = {"budget": limit, "views": {}}
    for view in ("log_loss", "roc_auc"):
        figures["views"][view] = compared(kept, systems, sets, view)
    budget = float(limit.rstrip("s"))
    print(f"\n{'system':<18}{'sets':>6}{'failed':>8}{'late > 1 s':>12}{'worst s':>10}{'mean s':>10}")
    for system in systems:
        results = [each for name in sets if (each := kept.get(system, name))]
        seconds = [each["seconds"] for each in results]
        late = sum(each > budget + 1 for each in seconds)
        failed = sum(bool(each["error"]) for each in results)
        print(f"{system:<18}{len(results):>6}{failed:>8}{late:>12}{max(seconds):>10.1f}{np.mean(seconds):>10.1f}")
        if system == "forgeline":
            figures["release"] = released(results)
        figures.setdefault("times", {})[system] = {"failed": failed, "late": late, "worst": max(seconds)}
    ours = figures["views"]["log_loss"]
    best = min((name for name in ours["ranks"] if name.startswith("autogluon")), key=ours["ranks"].get, default="")
    rates = {
        "autogluon": ours["rates"].get(best),
        "flaml": ours["rates"].get("flaml"),
        "catboost": ours["rates"].get("catboost"),
    }
    figures["holds"] = (
        all(rate is not None and rate["rate"] >= BARS[name] for name, rate in rates.items())
        and min(ours["ranks"], key=ours["ranks"].get) == "forgeline"
        and figures["times"].get("forgeline", {"late": 1})["late"] == 0
    )
    print(json.dumps(figures))


def released(results: list[dict[str, Any]]) -> dict[str, Any]:
    """What ships: the largest model, the slowest answer, the latest usable model, and whether all are there."""
    most = {name: max((each.get(name) or 0.0 for each in results), default=0.0) for name in ("bytes", "p50_ms")}
    usable = sorted(each["usable"] for each in results if each.get("usable"))
    print(f"{'release':<18}largest {most['bytes'] / 1e6:.1f} MB, slowest p50 {most['p50_ms']:.2f} ms, usable {usable}")
    return most | {"usable": max(usable, default=None), "all": all(each.get("release") for each in results)}


def compared(kept: Kept, systems: list[str], sets: list[str], view: str) -> dict[str, Any]:
    """Mean ranks over the sets all systems saw; forgeline's win rates over each, with a bootstrap over sets."""
    common = [name for name in sets if all(kept.get(system, name) for system in systems)]
    ranks: dict[str, float] = {}
    if common:
        from scipy.stats import rankdata

        table = np.array([[loss(kept.get(system, name), view) for system in systems] for name in common])
        ranks = dict(zip(systems, np.mean([rankdata(row) for row in table], axis=0).round(3).tolist()))
    print(
        f"\njudged by {'log loss and RMSE' if view == 'log_loss' else 'ROC AUC (binary), log loss, RMSE'}: "
        f"mean ranks on {len(common)} sets: {ranks}"
    )
    rates: dict[str, Any] = {}
    for system in systems:
        if system == "forgeline" or "forgeline" not in systems:
            continue
        wins = []
        for name in sets:
            ours, theirs = kept.get("forgeline", name), kept.get(system, name)
            if ours and theirs:
                a, b = loss(ours, view), loss(theirs, view)
                wins.append(0.5 if np.isclose(a, b, rtol=1e-6, atol=1e-9) else float(a < b))
        if not wins:
            continue
        draws = np.random.default_rng(0).choice(wins, (2000, len(wins))).mean(axis=1)
        low, high = np.quantile(draws, [0.025, 0.975])
        rates[system] = {"rate": round(float(np.mean(wins)), 4), "low": low, "high": high, "sets": len(wins)}
        print(f"  wins over {system:<18}{np.mean(wins):>6.3f}  [{low:.2f}, {high:.2f}]  of {len(wins)} sets")
    return {"ranks": ranks, "rates": rates}


if __name__ == "__main__":
    main()
