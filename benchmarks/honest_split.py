"""Sets whose entities or order in time nobody declared: does the split that forgeline finds tell the truth?

    python benchmarks/honest_split.py [--data ../shared/data] [--seeds 3] [--quick]

The truth of each set is kept apart first: a fifth of the entities (half of generated ones), or the last fifth of the
time. forgeline sees the rest, undeclared: `engine.structure` finds what it finds and `engine.split` cuts by it.
Validation is the mean over five folds of whole entities, or over three later windows (a fifth each, from 60, 70 and
80 % of the rows on, asked of a model of what came before); the random split's is the mean over five folds by the hash
of the features, as without structure. LightGBM with its defaults, one thread. A model of all that is seen is asked
about the truth. Score: ROC AUC for classes (macro); for values 1 − squared error ÷ variance of all that is seen, so
that windows are compared on one scale, and 0 where that is below 0: worse than a constant is no skill at all
(`raw_ratio` leaves it below 0). Target: the mean over sets of |validation − truth| is at most half of the random
split's; the ratio is given with a bootstrap over sets. `sealed` is the same for one sealed fifth, as assess cuts it.
Each seed draws other entities, other generated sets, or another stretch of time.
Real sets need the shared data folder; without it only the generated ones are run.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from forgeline.engine import columns, split, structure, time_order
from forgeline.engine.cells import Cells
from forgeline.engine.probe import macro_auc

TARGET = "target_y"
SHARE = 0.2
FOLLOW = 0.8
"""How sure structure must be before the split follows it, as in assess."""
Made = tuple[pl.DataFrame, str, str]
"""Rows, `group` or `time`, and the column that holds the truth."""


def main() -> None:
    """Prints a line a set and seed, the ratio, and the JSON line."""
    warnings.filterwarnings("ignore")
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--quick", action="store_true", help="generated sets and one seed")
    options = asked.parse_args()
    began, seeds = time.perf_counter(), 1 if options.quick else options.seeds
    real = {} if options.quick else {name: at for name, at in REAL.items() if (options.data / at[0]).exists()}
    lines = []
    print(f"{'set':<24}{'seed':>5}  {'found':<26}{'truth':>8}{'found split':>13}{'random split':>14}")
    for name in [*GENERATED, *real]:
        for seed in range(seeds):
            made = GENERATED[name](seed) if name in GENERATED else real[name][1](options.data / real[name][0], seed)
            lines.append({"set": name, "seed": seed} | judged(*made, seed, 0.5 if name in GENERATED else SHARE))
            show(lines[-1])
    figures = ratio(lines)
    print(f"\nmean |validation − truth|: found split {figures['found']:.4f}, random split {figures['random']:.4f}")
    seconds = time.perf_counter() - began
    print(
        f"ratio {figures['ratio']:.3f}, 95 % [{figures['low']:.3f}, {figures['high']:.3f}] over sets; "
        f"sets whose own ratio is at most .5: {figures['sets_halved']} of {figures['sets']}\n"
        f"with scores below 0 as they are {figures['raw_ratio']:.3f}; one sealed fifth {figures['sealed_ratio']:.3f}; "
        f"structure missed in {figures['missed']} of {len(lines)}; {seconds:.0f} s"
    )
    print(json.dumps(figures | {"lines": lines, "target": 0.5, "holds": figures["ratio"] <= 0.5}))


def show(line: dict) -> None:
    """One set and seed."""
    print(
        f"{line['set']:<24}{line['seed']:>5}  {line['found'] or '-':<26}{line['truth']:>8.3f}"
        f"{line['validation']:>8.3f} {line['gap']:>+.3f}{line['random']:>8.3f} {line['random_gap']:>+.3f}",
        flush=True,
    )


def ratio(lines: list[dict]) -> dict:
    """Mean absolute gaps over sets, their ratio and its spread."""
    names = sorted({line["set"] for line in lines})
    gap_SK = np.array(
        [
            np.mean([[abs(line["gap"]), abs(line["random_gap"])] for line in lines if line["set"] == name], axis=0)
            for name in names
        ]
    )
    found, random = gap_SK.mean(axis=0)
    drawn = np.random.default_rng(0).integers(0, len(names), (2000, len(names)))
    means_DK = gap_SK[drawn].mean(axis=1)
    low, high = np.quantile(means_DK[:, 0] / means_DK[:, 1], [0.025, 0.975])
    figures = {"found": found, "random": random, "ratio": found / random, "low": low, "high": high}
    whole = {
        "sets": len(names),
        "sets_halved": int((gap_SK[:, 0] <= 0.5 * gap_SK[:, 1]).sum()),
        "sealed_ratio": float(abs_mean(lines, "sealed_gap") / abs_mean(lines, "sealed_random_gap")),
        "raw_ratio": float(abs_mean(lines, "raw_gap") / abs_mean(lines, "raw_random_gap")),
        "missed": sum(not line["found"] for line in lines),
    }
    return {name: float(number) for name, number in figures.items()} | whole


def abs_mean(lines: list[dict], name: str) -> float:
    """Mean size of a gap."""
    return float(np.mean([abs(line[name]) for line in lines]))


# ---------------------------------------------------------------- what is measured


def judged(frame: pl.DataFrame, kind: str, column: str, seed: int, share: float) -> dict:
    """The truth, and what each split says of it."""
    frame, _ = columns.settle(frame.drop_nulls(TARGET), {}, {})
    truth_N = unseen(frame, kind, column, seed, share)
    seen, kept = frame.filter(pl.Series(~truth_N)), frame.filter(pl.Series(truth_N))
    features = [name for name in frame.columns if name != TARGET]
    found = structure.find(seen.select(features), Cells(seen.select(features)))
    by = found.by if max(found.group_sure, found.time_sure) >= FOLLOW else ""
    truth = score(seen, kept, features, seen)
    is_time = bool(by) and by == found.time
    validation = np.mean([score(*pair, features, seen) for pair in cuts(seen, features, by, is_time)])
    random = np.mean([score(*pair, features, seen) for pair in cuts(seen, features, "", False)])
    floors = [max(0.0, float(one)) for one in (truth, validation, random)]
    sealed = [score(*sealed_by(seen, features, *way), features, seen) for way in ((by, is_time), ("", False))]
    return {
        "found": by,
        "sure": found.time_sure if is_time else found.group_sure,
        "truth": floors[0],
        "validation": floors[1],
        "gap": floors[1] - floors[0],
        "random": floors[2],
        "random_gap": floors[2] - floors[0],
        "raw_gap": float(validation - truth),
        "raw_random_gap": float(random - truth),
        "sealed_gap": max(sealed[0], 0.0) - floors[0],
        "sealed_random_gap": max(sealed[1], 0.0) - floors[0],
    }


def cuts(
    seen: pl.DataFrame, features: list[str], by: str, is_time: bool, folds: int = 5
) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """Rows to learn from and rows to be asked, for each fold or window."""
    if is_time:
        moment_N = time_order.moments(Cells(seen), by)
        edge = {at: np.nanquantile(moment_N, at / 100) for at in (60, 70, 80, 90, 100)}
        return [
            (
                seen.filter(pl.Series(moment_N <= edge[at])),
                seen.filter(pl.Series((moment_N > edge[at]) & (moment_N <= edge[at + 20]))),
            )
            for at in (60, 70, 80)
        ]
    stratum_N = seen[TARGET].rank("dense").to_numpy()
    stratum_N = split.strata(stratum_N) if len(np.unique(stratum_N)) > 10 else stratum_N.astype(np.int64)
    fold_N = split.folds(split.unit_keys(seen, features, by), stratum_N, folds)
    return [(seen.filter(pl.Series(fold_N != at)), seen.filter(pl.Series(fold_N == at))) for at in range(folds)]


def sealed_by(seen: pl.DataFrame, features: list[str], by: str, is_time: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and sealed rows, as assess cuts them."""
    if is_time:
        side_N = split.last(pl.Series(time_order.moments(Cells(seen), by)).fill_nan(None), SHARE)
    else:
        side_N = split.holdout(seen, features, SHARE, by)
    return seen.filter(pl.Series(side_N == 0)), seen.filter(pl.Series(side_N == 1))


def unseen(frame: pl.DataFrame, kind: str, column: str, seed: int, share: float) -> np.ndarray:
    """The rows kept apart: of a share of the entities, or the last fifth in time; bool [N]."""
    if kind == "time":
        moment_N = time_order.moments(Cells(frame), column)
        return moment_N > np.quantile(moment_N, 1 - SHARE)
    names = frame[column].unique().sort()
    chosen = np.random.default_rng([seed, 77]).permutation(len(names))[: max(2, int(share * len(names)))]
    return frame[column].is_in(names[chosen].implode()).to_numpy()


def score(train: pl.DataFrame, test: pl.DataFrame, features: list[str], seen: pl.DataFrame) -> float:
    """ROC AUC (macro), or 1 − squared error ÷ variance of the seen, of LightGBM's defaults."""
    import lightgbm

    values = train[TARGET]
    classes = values.unique().sort()
    is_class = not values.dtype.is_numeric() or seen[TARGET].n_unique() <= 10
    x_NF, held_NF = matrix(train, train, features), matrix(train, test, features)
    shape = {"num_threads": 1, "verbose": -1, "seed": 0, "deterministic": True, "force_row_wise": True}
    if not is_class:
        model = lightgbm.train(
            shape | {"objective": "l2"}, lightgbm.Dataset(x_NF, values.to_numpy().astype(float)), 100
        )
        error_N = model.predict(held_NF) - test[TARGET].to_numpy()
        return float(1 - (error_N**2).mean() / seen[TARGET].to_numpy().var())
    code = {value: at for at, value in enumerate(classes)}
    y_N = np.array([code[value] for value in values])
    known = test[TARGET].is_in(classes.implode()).to_numpy()
    held_N = np.array([code.get(value, 0) for value in test[TARGET]])[known]
    shape |= {"objective": "binary"} if len(classes) == 2 else {"objective": "multiclass", "num_class": len(classes)}
    p = lightgbm.train(shape, lightgbm.Dataset(x_NF, y_N), 100).predict(held_NF[known])
    return macro_auc(np.column_stack([1 - p, p]) if len(classes) == 2 else p, held_N)


def matrix(train: pl.DataFrame, frame: pl.DataFrame, features: list[str]) -> np.ndarray:
    """float64 [N, F]: numbers and days as they are, texts as the place of their level in training rows."""
    parts = []
    for name in features:
        values = frame[name]
        if values.dtype == pl.String:
            level = {value: at for at, value in enumerate(train[name].drop_nulls().unique().sort())}
            parts.append(np.array([level.get(value, np.nan) for value in values], float))
        else:
            parts.append(np.array(values.to_physical().cast(pl.Float64).fill_null(np.nan).to_numpy()))
    return np.column_stack(parts)


# ---------------------------------------------------------------- generated sets


def entities(
    seed: int, *, count: int, rows_each: int, effect: float, names: tuple[str, ...], dates: bool = False
) -> Made:
    """Entities with features of their own around which their rows vary, and an effect on the target of their own."""
    draw = np.random.default_rng([seed, count, rows_each])
    count *= 2  # half of them are the truth
    who_N = np.repeat(np.arange(count), np.maximum(1, draw.poisson(rows_each, count)))
    rows = len(who_N)
    own_E4, effect_E = draw.normal(size=(count, 4)), effect * draw.normal(size=count)
    x_N4 = own_E4[who_N] + draw.normal(size=(rows, 4)) * [0.1, 0.4, 1.0, 1.0]
    signal_N = x_N4[:, 2] + 0.7 * x_N4[:, 3] * x_N4[:, 1] + effect_E[who_N] + draw.normal(size=rows)
    code_E = draw.permutation(10 * count)[:count] + 1000
    frame = {names[0]: code_E[who_N]} | {name: x_N4[:, at] for at, name in enumerate(names[1:5])}
    frame |= {"kind": draw.choice(["a", "b", "c"], count)[who_N], "noise": draw.normal(size=rows)}
    if dates:
        first_E = draw.integers(0, 1000, count)
        day_N = first_E[who_N] + draw.integers(0, 60, rows)
        frame["visited"] = [datetime(2019, 1, 1) + timedelta(days=int(at)) for at in day_N]
    target = signal_N if seed % 2 else (signal_N > np.median(signal_N)).astype(int)
    made = pl.DataFrame(frame | {TARGET: target})
    return made[draw.permutation(rows)], "group", names[0]


def drifting(seed: int, *, rows: int, turn: float, name: str, number: bool, shuffled: bool) -> Made:
    """A series whose features follow one another and whose rule turns in time."""
    draw = np.random.default_rng([seed, rows, int(10 * turn)])
    walk_N4 = np.zeros((rows, 4))
    for at in range(1, rows):
        walk_N4[at] = 0.9 * walk_N4[at - 1] + draw.normal(size=4)
    level_N = np.cumsum(draw.normal(size=rows)) / rows**0.5
    angle_N = turn * np.arange(rows) / rows
    signal_N = np.cos(angle_N) * walk_N4[:, 0] + np.sin(angle_N) * walk_N4[:, 1] + 3 * level_N + draw.normal(size=rows)
    moments = (
        1_600_000_000 + 900 * np.arange(rows)
        if number
        else [datetime(2021, 5, 1) + timedelta(minutes=15) * at for at in range(rows)]
    )
    frame = pl.DataFrame({name: moments} | {f"x{at}": walk_N4[:, at] for at in range(4)} | {TARGET: signal_N})
    frame = frame[draw.permutation(rows)] if shuffled else frame
    return frame, "time", name


def stations(seed: int) -> Made:
    """Stations that stay, measured daily while the level moves."""
    draw = np.random.default_rng([seed, 5])
    day_N, at_N = np.repeat(np.arange(200), 25), np.tile(np.arange(25), 200)
    own, walk = draw.normal(size=(25, 3)), np.cumsum(draw.normal(size=(200, 3)), axis=0) * 0.4
    x = own[at_N] + walk[day_N] + 0.3 * draw.normal(size=(5000, 3))
    y = x[:, 0] + own[at_N, 1] + np.cumsum(draw.normal(size=200))[day_N] * 0.5 + draw.normal(size=5000)
    frame = {"date": [datetime(2022, 1, 1) + timedelta(days=int(at)) for at in day_N], "sensor_id": at_N + 500}
    return pl.DataFrame(frame | {f"x{at}": x[:, at] for at in range(3)} | {TARGET: y}), "time", "date"


PLAIN = ("c0", "c1", "c2", "c3", "c4")
GENERATED: dict[str, Callable[[int], Made]] = {
    "patients": lambda seed: entities(
        seed, count=300, rows_each=8, effect=1.5, names=("patient_id", "height", "weight", "pulse", "sugar")
    ),
    "customers": lambda seed: entities(
        seed, count=1500, rows_each=3, effect=2.0, names=("customer", "age", "income", "spent", "visits")
    ),
    "nameless entities": lambda seed: entities(seed, count=200, rows_each=15, effect=1.5, names=PLAIN),
    "few nameless entities": lambda seed: entities(seed, count=50, rows_each=60, effect=1.0, names=PLAIN),
    "patients with dates": lambda seed: entities(
        seed, count=400, rows_each=6, effect=1.5, names=("subject", "a", "b", "c", "d"), dates=True
    ),
    "series with dates": lambda seed: drifting(
        seed, rows=3000, turn=2.0, name="measured", number=False, shuffled=False
    ),
    "shuffled dates": lambda seed: drifting(seed, rows=3000, turn=2.0, name="logged_at", number=False, shuffled=True),
    "epoch seconds": lambda seed: drifting(seed, rows=4000, turn=1.5, name="ts", number=True, shuffled=True),
    "nameless counter": lambda seed: drifting(seed, rows=3000, turn=1.5, name="c0", number=True, shuffled=False),
    "stations": stations,
}


# ---------------------------------------------------------------- real sets


def read(path: Path) -> pl.DataFrame:
    """A compressed CSV file."""
    return pl.read_csv(path, infer_schema_length=None)


def part(frame: pl.DataFrame, seed: int, share: float = 0.7) -> pl.DataFrame:
    """A stretch of a series: each seed another."""
    rows = int(share * frame.height)
    return frame.slice(seed * (frame.height - rows) // 2, rows)


def parkinsons(path: Path, seed: int) -> Made:
    """Voices of 42 people; the first column is the person, scaled."""
    return read(path), "group", "c0"


def students(path: Path, seed: int) -> Made:
    """OULAD: some students take several courses."""
    return read(path), "group", "id_student"


def recordings(path: Path, seed: int) -> Made:
    """CTG: segments of one recording."""
    return read(path), "group", "FileName"


def electricity(path: Path, seed: int) -> Made:
    """elec2, with the half-hours counted from 0 to 1, as the published file's date does."""
    frame = part(read(path), seed).rename({"class": TARGET})
    return frame.with_columns((pl.int_range(pl.len()) / pl.len()).alias("date")), "time", "date"


def bike(path: Path, seed: int) -> Made:
    """Bikes rented by the hour."""
    return part(read(path), seed), "time", "dteday"


def air(path: Path, seed: int) -> Made:
    """Air quality by the hour."""
    return part(read(path), seed), "time", "Date"


def rates(path: Path, seed: int) -> Made:
    """Hotel rates by arrival."""
    frame = read(path).drop("rownames", "arrival_date_num")
    return part(frame.sort("arrival_date"), seed).sample(fraction=1.0, shuffle=True, seed=seed), "time", "arrival_date"


def bike_days(path: Path, seed: int) -> Made:
    """Bikes rented by the day, as published."""
    with zipfile.ZipFile(path) as archive:
        frame = pl.read_csv(archive.read("day.csv")).drop("instant", "casual", "registered").rename({"cnt": TARGET})
    return part(frame, seed, 0.8), "time", "dteday"


REAL: dict[str, tuple[str, Callable[[Path, int], Made]]] = {
    "parkinsons": ("tabular/ucid_parkinsons/train.csv.gz", parkinsons),
    "oulad": ("tabular/oulad/train.csv.gz", students),
    "ctg": ("tabular/ctg/train.csv.gz", recordings),
    "elec2": ("drift/elec2/elec.csv.gz", electricity),
    "bike by the hour": ("tabular/bike_sharing/train.csv.gz", bike),
    "bike by the day": ("raw/bike/Bike-Sharing-Dataset.zip", bike_days),
    "air quality": ("tabular/air_quality/train.csv.gz", air),
    "hotel rates": ("tabular/hotel_rates/train.csv.gz", rates),
}


if __name__ == "__main__":
    main()
