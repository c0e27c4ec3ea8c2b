"""Label fidelity: F1 of flagged rows and AUROC of row scores where the true labels are known.

Four CIFAR-10 noise settings (given and true labels, out-of-sample probabilities) with one fixed setting, beside
cleanlab and two trivial rules; and Adult with 10 % of its labels flipped, by the product's quick model (the precision
of the ranking at recall 0.75, and what is flagged; flips that agree with the features cannot be seen). Needs
`../shared/data`; cleanlab is installed into an environment of its own under the user's cache folder.

python benchmarks/labels.py            everything, 3 seeds of flips (two minutes after the first run)
python benchmarks/labels.py --quick    without cleanlab, 1 seed
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from forgeline.engine import labels
from forgeline.engine.probe import Probe, auc

DATA = Path(os.environ.get("FORGELINE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "forgeline-benchmarks" / "cleanlab"
TARGETS = {"f1": 0.86, "auroc": 0.91, "best_of_four": 3, "adult_precision": 0.65, "adult_recall": 0.75}
RECALL = 0.75
CLEANLAB = """
import sys
import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

if __name__ == "__main__":
    data, place = np.load(sys.argv[1]), sys.argv[2]
    p = np.clip(data["probabilities"].astype(float), 1e-4, None)
    p /= p.sum(axis=1, keepdims=True)
    given, found = data["given"].astype(int), {}
    for way in ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given"):
        found["flagged " + way] = find_label_issues(given, p, filter_by=way, n_jobs=1)
    for way in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        for adjust in (False, True):
            if adjust and way == "confidence_weighted_entropy":
                continue
            found[f"score {way}{' adjusted' if adjust else ''}"] = get_label_quality_scores(
                given, p, method=way, adjust_pred_probs=adjust
            )
    np.savez(place, **found)
"""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="without cleanlab, one seed of flips")
    quick = arguments.parse_args().quick
    tables = {file.stem.removeprefix("cifar10_"): setting(file, quick) for file in sorted(DATA.glob("label/*.npz"))}
    rules = list(next(iter(tables.values())))
    print(f"{'rule':<45}" + "".join(f"{name:>22}" for name in tables) + f"{'mean':>10}")
    for rule in rules:
        values = [table[rule] for table in tables.values()]
        print(f"{rule:<45}" + "".join(f"{value:>22.3f}" for value in values) + f"{np.mean(values):>10.3f}")
    means = {rule: round(float(np.mean([table[rule] for table in tables.values()])), 4) for rule in rules}
    best = {of: wins(tables, of) for of in ("f1", "auroc")}
    adult = [flipped(seed) for seed in (0,) if quick] or [flipped(seed) for seed in range(3)]
    clean = flipped(None)
    figures = {
        "f1": means["f1 forgeline"],
        "auroc": means["auroc forgeline"],
        "best_f1_of_four": best["f1"],
        "best_auroc_of_four": best["auroc"],
        "cifar_cpu_seconds": means["seconds"],
        "adult_clean_flagged_share": round(clean["flagged"], 4),
    }
    figures |= {f"adult_{name}": round(float(np.mean([one[name] for one in adult])), 4) for name in adult[0]}
    for name, value in figures.items():
        print(f"{name:<36}{value:>10.4f}")
    parts = {
        "cifar": figures["f1"] >= TARGETS["f1"] and figures["auroc"] >= TARGETS["auroc"],
        "best_of_four": min(best.values()) >= TARGETS["best_of_four"],
        "adult": figures["adult_precision_at_recall"] >= TARGETS["adult_precision"],
    }
    for name, reached in parts.items():
        print(f"{name:<36}{'reached' if reached else 'not reached':>10}")
    holds = all(parts.values())
    baselines = {rule: value for rule, value in means.items() if "forgeline" not in rule and rule != "seconds"}
    print(json.dumps({"figures": figures, "baselines": baselines, "targets": TARGETS, "parts": parts, "holds": holds}))
    return 0 if holds else 1


def setting(file: Path, quick: bool) -> dict[str, float]:
    """F1 and AUROC of each rule on one noise setting, and the CPU-seconds of ours."""
    with np.load(file) as data:
        p_NK, given_N, true_N = data["probabilities"], data["given"].astype(np.int64), data["true"]
    wrong_N = given_N != true_N
    start = time.process_time()
    found = labels.class_scores(p_NK, given_N)
    seconds = time.process_time() - start
    flagged = {"forgeline": found.flagged_N, "argmax is not given": p_NK.argmax(axis=1) != given_N}
    scores = {"forgeline": found.fidelity_N, "self-confidence": p_NK[np.arange(len(given_N)), given_N]}
    if not quick:
        for name, value in cleanlab(file).items():
            kind, _, way = name.partition(" ")
            (flagged if kind == "flagged" else scores)[f"cleanlab {way}"] = value
    rows = {f"f1 {rule}": f1(one, wrong_N) for rule, one in flagged.items()}
    rows |= {f"auroc {rule}": auc(-np.asarray(one, np.float64), wrong_N) for rule, one in scores.items()}
    return rows | {"seconds": seconds}


def wins(tables: dict[str, dict[str, float]], of: str) -> int:
    """On how many settings ours is the best by F1 or AUROC, against the best of all others on each."""
    count = 0
    for table in tables.values():
        others = [value for rule, value in table.items() if rule.startswith(of) and not rule.endswith("forgeline")]
        count += table[f"{of} forgeline"] > max(others)
    return count


def f1(flagged_N: np.ndarray, wrong_N: np.ndarray) -> float:
    """Harmonic mean of precision and recall of flagged rows."""
    return float(2 * (flagged_N & wrong_N).sum() / max(flagged_N.sum() + wrong_N.sum(), 1))


def cleanlab(file: Path) -> dict[str, np.ndarray]:
    """Flagged rows and scores of each of cleanlab's ways."""
    if not (CACHE / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(CACHE)], check=True)
        subprocess.run([str(CACHE / "bin" / "pip"), "install", "--quiet", "cleanlab"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        script, place = Path(folder, "rate.py"), Path(folder, "found.npz")
        script.write_text(CLEANLAB)
        command = [str(CACHE / "bin" / "python"), str(script), str(file), str(place)]
        subprocess.run(command, check=True, capture_output=True)
        with np.load(place) as found:
            return dict(found)


def flipped(seed: int | None) -> dict[str, float]:
    """Adult's training rows, a tenth of the labels flipped unless seed is None: what is flagged, and the ranking."""
    frame = pl.read_csv(DATA / "tabular" / "adult" / "train.csv.gz")
    true_N = np.unique(frame["target_y"].to_numpy(), return_inverse=True)[1]
    given_N = true_N.copy()
    if seed is not None:
        rows = np.random.default_rng(seed).permutation(len(given_N))[: len(given_N) // 10]
        given_N[rows] = 1 - given_N[rows]
    wrong_N = given_N != true_N
    probe = Probe(frame.drop("target_y"), given_N, "binary", 2)
    p_NK = probe.out_of_fold().p_SK
    start = time.process_time()
    found = labels.class_scores(p_NK, given_N, noise="shared")
    seconds = time.process_time() - start
    hits_N = np.cumsum(wrong_N[np.argsort(found.fidelity_N, kind="stable")])
    needed = int(np.searchsorted(hits_N, RECALL * wrong_N.sum())) + 1
    caught = (found.flagged_N & wrong_N).sum()
    return {
        "precision_at_recall": float(hits_N[needed - 1] / needed),
        "flagged": float(found.flagged_N.mean()),
        "flagged_precision": float(caught / max(found.flagged_N.sum(), 1)),
        "flagged_recall": float(caught / max(wrong_N.sum(), 1)),
        "flagged_f1": f1(found.flagged_N, wrong_N),
        "error_share": found.error_share,
        "seconds": seconds,
    }


if __name__ == "__main__":
    sys.exit(main())
