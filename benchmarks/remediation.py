"""Does the remediation queue tell what mending gains? Predicted against true gain on planted sets.

python benchmarks/remediation.py            ten tables, two seeds
python benchmarks/remediation.py --quick    two tables, one seed

Each real table is cut in two: rows to learn from, into which defects are planted, and rows that stay clean and
that assess never sees. assess queues what it finds. The true gain of a fix: a LightGBM of its own defaults, over
several seeds, is trained on the rows mended up to this one fix, and on the wholly mended rows; the difference of
their losses on the clean rows is what the fix is worth. The first 30 % of the queue is judged the same way. A fix
mends as a person would: with the true cells and labels where the finding names a planted column or rows, else as
`fix.do` says. What a leaking column holds is shuffled in the clean rows, for nobody has it when it is needed.
Planted: in every set a hidden missing marker, another unit and outliers; in sets of even seeds a proxy of the target
and a column known after the outcome, in the others flipped labels (a leak tells the outcome, so beside it a flipped
label shows itself). The planter shares no code with the checks. Sets in which mending all gains no more than twice
its noise are left out and told.
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {"first_30_percent": 0.9, "spearman": 0.8}
CELLS = ("marker", "unit", "outliers")
SETS = (("leak", "after", *CELLS), ("labels", *CELLS))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "tabular")
    arguments.add_argument("--tables", type=int, default=10)
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--verbose", action="store_true")
    asked = arguments.parse_args()
    if not (asked.data / "index.json").exists():
        print(f"no tables in {asked.data}: give --data FOLDER with <name>/train.csv.gz", file=sys.stderr)
        return 2
    tables, seeds = (2, 1) if asked.quick else (asked.tables, asked.seeds)
    results = [
        one
        for name in chosen(asked.data, tables)
        for seed in range(seeds)
        if (one := judged(asked.data / name, seed, asked.verbose))
    ]
    return told(results)


def chosen(data: Path, count: int) -> list[str]:
    """Tables for classes with enough rows, in the order of a hash of their names."""
    names = []
    for file in data.glob("*/task.json"):
        task = json.loads(file.read_text())
        if task.get("task") == "binary":
            names.append(file.parent.name)
    names.sort(key=lambda name: hashlib.sha256(f"remediation {name}".encode()).hexdigest())
    wide = [name for name in names if fits(data / name)]
    return wide[:count]


def fits(folder: Path) -> bool:
    """Enough rows for two halves and enough numbers to spoil."""
    frame = pl.read_csv(folder / "train.csv.gz", infer_schema_length=None, n_rows=3000)
    numbers = [name for name in frame.columns if frame[name].dtype.is_numeric() and frame[name].n_unique() > 20]
    return frame.height >= 3000 and len(numbers) >= 4


# ---------------------------------------------------------------- planting


def spoiled(
    clean: pl.DataFrame, kinds: tuple[str, ...], draw: np.random.Generator
) -> tuple[pl.DataFrame, dict[str, np.ndarray], set[str]]:
    """(rows with defects, defect column or "" for labels → rows touched, leaking columns)."""
    frame, rows, touched, leaks = clean, clean.height, {}, set()
    levels = clean["target_y"].unique().sort()
    positive_N = (clean["target_y"] == levels[-1]).to_numpy()
    numbers = [n for n in clean.columns if n != "target_y" and clean[n].dtype.is_numeric() and clean[n].n_unique() > 20]
    spare = list(draw.permutation(numbers))
    for kind in kinds:
        share = float(draw.choice([0.03, 0.08, 0.2]))
        some = np.sort(draw.permutation(rows)[: int(share * rows)])
        if kind == "leak":
            noise = draw.normal(size=rows) * draw.uniform(0.5, 1.2)
            frame, leaks = frame.with_columns(pl.Series("settled", positive_N + noise)), leaks | {"settled"}
            touched["settled"] = np.arange(rows)
        elif kind == "after":
            known = positive_N & (draw.random(rows) < draw.uniform(0.2, 0.7))
            value = pl.Series("refund", draw.gamma(2, 50, rows)).set(pl.Series(~known), None)
            frame, leaks = frame.with_columns(value), leaks | {"refund"}
            touched["refund"] = np.arange(rows)
        elif kind == "labels":
            code_N = positive_N.astype(int)
            code_N[some] = 1 - code_N[some]
            frame = frame.with_columns(levels.gather(code_N).alias("target_y"))
            touched[""] = some
        elif spare:
            name = str(spare.pop())
            value_N = frame[name].cast(pl.Float64).to_numpy().copy()
            spread = float(np.nanstd(value_N)) or 1.0
            changed = {
                "marker": np.full(len(some), -999.0),
                "unit": value_N[some] * 1000,
                "outliers": np.nanmax(value_N) + spread * draw.uniform(8, 20, len(some)),
            }[kind]
            value_N[some] = changed
            frame = frame.with_columns(pl.Series(name, value_N).fill_nan(None))
            touched[name] = some
    return frame, touched, leaks


# ---------------------------------------------------------------- true gains


def encoded(frames: list[pl.DataFrame]) -> list[np.ndarray]:
    """Frames of the same columns as numbers, categories coded alike."""
    both = pl.concat(frames, how="vertical_relaxed")
    parts = []
    for series in both:
        if series.dtype.is_numeric():
            parts.append(series.cast(pl.Float64).to_numpy())
        else:
            parts.append(series.cast(pl.String).rank("dense").cast(pl.Float64).to_numpy())
    matrix = np.column_stack(parts)
    edges = np.cumsum([frame.height for frame in frames])[:-1]
    return np.split(matrix, edges)


def trained(
    train: pl.DataFrame, held: pl.DataFrame, columns: list[str], shuffled: set[str], *, seeds: int = 5
) -> np.ndarray:
    """Log loss of LightGBM's defaults for each seed and clean row, [seeds, N]."""
    import lightgbm

    levels = held["target_y"].cast(pl.String).unique().sort().to_list()
    y_N = (train["target_y"].cast(pl.String) == levels[-1]).to_numpy().astype(int)
    truth_N = (held["target_y"].cast(pl.String) == levels[-1]).to_numpy().astype(int)
    found = []
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        met = held.select(columns).with_columns(
            held[name].gather(draw.permutation(held.height)) for name in columns if name in shuffled
        )
        x_NF, met_NF = encoded([train.select(columns), met])
        model = lightgbm.LGBMClassifier(random_state=seed, verbose=-1, n_jobs=1, subsample=0.8, subsample_freq=1)
        p_N = np.clip(model.fit(x_NF, y_N).predict_proba(met_NF)[:, 1], 1e-6, 1 - 1e-6)
        found.append(-np.where(truth_N == 1, np.log(p_N), np.log(1 - p_N)))
    return np.array(found)


class Mending:
    """The spoiled rows with some of the queue's findings mended."""

    def __init__(self, clean, dirty, held, touched, leaks, remedies):
        self.clean, self.dirty, self.held = clean, dirty, held
        self.touched, self.leaks, self.remedies = touched, leaks, remedies
        self.kept: dict[frozenset[int], np.ndarray] = {}

    def loss(self, mended: frozenset[int]) -> float:
        """The loss on clean rows once these places of the queue are mended."""
        return float(self.losses(mended).mean())

    def gain(self, mended: frozenset[int], more: frozenset[int]) -> tuple[float, float]:
        """What it takes off the loss to mend `more` rather than `mended`, and its standard error."""
        gain_SN = self.losses(mended) - self.losses(more)
        seeds, rows = gain_SN.shape
        error = gain_SN.mean(axis=1).var(ddof=1) / seeds + gain_SN.mean(axis=0).var(ddof=1) / rows
        return float(gain_SN.mean()), float(error**0.5)

    def losses(self, mended: frozenset[int]) -> np.ndarray:
        """The same of each seed and row."""
        if mended not in self.kept:
            frame, gone = self.dirty, set()
            for at in mended:
                frame, more = self.mend(frame, self.remedies[at])
                gone |= more
            columns = [name for name in frame.columns if name != "target_y" and name not in gone]
            held = self.held.with_columns(
                pl.Series(name, self.dirty[name][: self.held.height]) for name in self.leaks if name in columns
            )
            self.kept[mended] = trained(frame, held, columns, self.leaks & set(columns))
        return self.kept[mended]

    def mend(self, frame: pl.DataFrame, remedy) -> tuple[pl.DataFrame, set[str]]:
        """One finding, as a person with the truth at hand would mend it."""
        columns = [name for name in remedy.columns if name in frame.columns and name != "target_y"]
        if remedy.code.startswith("leak.") and remedy.do == "drop":
            return frame, set(columns) & self.leaks  # a suspicion that the person finds unfounded changes nothing
        if remedy.code.startswith("label."):
            return frame.with_columns(self.clean["target_y"]), set()
        if columns and all(name in self.clean.columns for name in columns):
            return frame.with_columns(self.clean[name].cast(frame[name].dtype) for name in columns), set()
        return (frame, set(columns)) if remedy.do == "drop" else (frame, set())


# ---------------------------------------------------------------- one table


def judged(folder: Path, seed: int, verbose: bool) -> dict | None:
    """Predicted and true gains of one planted table; None where nothing was queued."""
    import forgeline as fl

    draw = np.random.default_rng([seed, int(hashlib.sha256(folder.name.encode()).hexdigest()[:8], 16)])
    table = pl.read_csv(folder / "train.csv.gz", infer_schema_length=None)
    table = table[draw.permutation(table.height)[:8000]]
    cut = table.height // 2
    clean, held = table[:cut], table[cut : 2 * cut]
    dirty, touched, leaks = spoiled(clean, SETS[seed % len(SETS)], draw)
    with tempfile.TemporaryDirectory() as store:
        record = fl.assess(dirty, target="target_y", store=store)
    remedies = record.facts.queue
    if not remedies:
        return None
    bench = Mending(clean, dirty, held, touched, leaks, remedies)
    everything = frozenset(range(len(remedies)))
    measured = [bench.gain(everything - {at}, everything) for at in everything]
    true = [gain if abs(gain) > 2 * error else 0.0 for gain, error in measured]
    first = frozenset(range(max(1, round(0.3 * len(remedies)))))
    whole, noise = bench.gain(frozenset(), everything)
    if whole <= 2 * noise:
        says = f"gain of all {whole:>8.4f} ± {noise:.4f}: nothing to gain, left out"
        print(f"{folder.name:<28}{seed:>3}{len(remedies):>5} fixes, {says}", flush=True)
        return None
    share = (bench.loss(frozenset()) - bench.loss(first)) / whole
    alphabetical = sorted(everything, key=lambda at: (remedies[at].code, remedies[at].columns))
    listed = frozenset(alphabetical[: len(first)])
    by_listing = (bench.loss(frozenset()) - bench.loss(listed)) / whole
    result = {
        "table": folder.name,
        "seed": seed,
        "items": len(remedies),
        "whole": whole,
        "share": share,
        "listing": by_listing,
        "predicted": [remedy.gain for remedy in remedies],
        "true": true,
        "spearman": rank_correlation([remedy.gain for remedy in remedies], true),
        "as_measured": rank_correlation([remedy.gain for remedy in remedies], [gain for gain, _ in measured]),
    }
    print(
        f"{folder.name:<28}{seed:>3}{len(remedies):>5} fixes, gain of all {whole:>8.4f}, first 30 % {share:>6.2f}"
        f" (listing order {by_listing:>6.2f}), Spearman {result['spearman']:>5.2f}"
        f" (as measured {result['as_measured']:>5.2f})",
        flush=True,
    )
    if verbose:
        for remedy, (gain, error) in zip(remedies, measured, strict=True):
            says = f"{remedy.gain:>9.4f} predicted {gain:>9.4f} ± {error:.4f} true"
            print(f"    {remedy.code:<26}{remedy.columns!s:<34}{says}")
    return result


def rank_correlation(one: list[float], other: list[float]) -> float:
    """Spearman's; NaN for fewer than three pairs."""
    from scipy.stats import spearmanr

    if len(one) < 3 or len(set(one)) < 2 or len(set(other)) < 2:
        return float("nan")
    return float(spearmanr(one, other).statistic)


def told(results: list[dict]) -> int:
    """Means with their standard errors, and the last line."""
    figures = {}
    shown = {"first_30_percent": "share", "listing_order": "listing", "spearman": "spearman"}
    for name, key in (shown | {"spearman_as_measured": "as_measured"}).items():
        values = [each[key] for each in results if each[key] == each[key]]
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
        figures[name] = statistics.mean(values) if values else None
        print(f"{name:<20}{figures[name]:>8.3f} ± {error:.3f} over {len(values)} sets")
    predicted = [gain for each in results for gain in each["predicted"]]
    true = [gain for each in results for gain in each["true"]]
    figures["spearman_pooled"] = rank_correlation(predicted, true)
    print(f"{'spearman_pooled':<20}{figures['spearman_pooled']:>8.3f} over {len(true)} fixes")
    baselines = {"listing_order": figures.pop("listing_order")}
    holds = all(figures[name] is not None and figures[name] >= bound for name, bound in TARGETS.items())
    print(json.dumps({"figures": figures, "baselines": baselines, "targets": TARGETS, "holds": holds}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
