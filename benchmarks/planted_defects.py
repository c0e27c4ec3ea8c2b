"""Plants defects in real tables and counts what `forgeline assess` finds: recall and precision of each kind.

    python benchmarks/planted_defects.py [--data FOLDER] [--tables 16] [--seeds 5] [--strengths weak,medium,strong]
                                         [--kinds quality.missing,…] [--quick] [--verbose] [--as-is]

Written before the checks, from the list of codes alone; it shares no code and no constant with them and talks to
forgeline through `fl.assess` and the record only. The tables (`<name>/train.csv.gz`, `task.json`) are those of --data,
else of $DATA, else of ../shared/data/tabular beside the checkout; they are taken in the order of a hash of their names,
from those of 1,000 rows and five columns or more, and cut to 4,000 rows and 40 columns drawn by the seed.

**What is planted.** Six kinds a table and seed, balanced over all of them, at most one of those that need the target
for themselves. Kinds never share a column; those that change whole rows (or pairs of rows) never share a row with any
other kind. Kinds that change cells of a column take rows nothing else has touched while there are any: six times 20 %
do not fit in a table; new columns (leaks, identifiers, structure, bias), small levels and cut texts have cells in other
kinds' rows. Where a table has no column of the needed sort (and in a third of the cases), the kind brings one: a
category of towns, a date, free text, heights; such a column stands in the clean table too. Weak, medium and strong are
1, 5 and 20 % of the rows; leaks are columns whose noise is set by bisection so that a LightGBM's cross-validated ROC
AUC rises by .02, .05 or .15 on that table (not planted where there is no room; within a quarter of it, most within a
tenth). label.error goes only where that AUC is .9 or more. For kinds where neither has a meaning:
  quality.constant, quality.identifier, bias.undeclared   the same at every strength
  structure.group, structure.time       share of the target's variance that the entity or the date explains: 1, 5, 20 %
  bias.disparate_impact                 1, 5, 20 % of the rows are moved to the other group; only planted if the ratio
                                        of base rates then lies below .72
  bias.representation                   share of rows of the smallest of three groups: 10, 5, 2 %
  bias.proxy                            rows whose column gives the attribute away: 75, 90, 99 %
  quality.rare_slice                    1, 5, 20 % of the rows lie in levels of 5–9 rows of one outcome
The outcome is the rarer label (binary), the commonest class (multiclass) or a target above the median (regression).

**What counts.** A kind judged by column is found when a finding with one of its codes names one of its columns. A kind
judged by rows is also counted row by row, with the finding's Parquet file; a pair counts when one of its two rows is
named. `label.error` counts as found when its new rows hold half of the planted ones and at least half of them were
planted; its row figures are printed but do not decide, for no method finds flips where classes overlap.
Every table is assessed before planting as well, with the columns that kinds brought. A finding is false for the kind of
its code if it is not what was planted, nor a direct consequence of it (listed with each kind as `also`: −999 is far out
as well as a marker), and the same code and column, or row, is not reported on the clean table. A planted column that is
reported for the kind before planting is left out of the count. False findings count in every run, whether or not the
kind was planted in it. Targets: at medium strength recall and precision ≥ .95 for every kind, by rows where it is
judged by rows, else by column. A run that fails counts as finding nothing and is printed.

--as-is plants nothing: every table as it is, every blocking finding with what it says.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[1]
TARGET = "target_y"
LEVELS = ("weak", "medium", "strong")
SHARE = {"weak": 0.01, "medium": 0.05, "strong": 0.20}
GAIN = {"weak": 0.02, "medium": 0.05, "strong": 0.15}
MOST_ROWS, MOST_COLUMNS, LEAST_ROWS, LEAST_COLUMNS, A_TABLE = 4000, 40, 1000, 5, 6
LEAST_RATE = 0.95
QUICK_TABLES = 2


# ---------------------------------------------------------------- tables


@dataclass(frozen=True)
class Facts:
    """What decides which kinds a table can carry."""

    name: str
    task: str
    rows: int
    base_auc: float
    jitters: int
    """Columns fine enough for a copy that differs by almost nothing."""


@dataclass
class Sheet:
    """A table that defects are planted in, with the columns and rows that are taken."""

    frame: pl.DataFrame
    task: str
    z_N: np.ndarray
    base_auc: float
    sentences: list[str]
    real: list[str]
    used: set[str] = field(default_factory=set)
    whole_rows: set[int] = field(default_factory=set)
    cell_rows: set[int] = field(default_factory=set)
    protected: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.frame.height

    @property
    def signal(self) -> np.ndarray:
        """The target as a standardised number: its value, or the outcome."""
        y = self.frame[TARGET].cast(pl.Float64).to_numpy() if self.task == "regression" else self.z_N.astype(float)
        return (y - y.mean()) / (y.std() or 1.0)

    def copy(self) -> "Sheet":
        taken = {"used": set(self.used), "protected": list(self.protected)}
        return Sheet(self.frame, self.task, self.z_N, self.base_auc, self.sentences, self.real, **taken)

    def add(self, rng: np.random.Generator, names: list[str], values: Any) -> str:
        """Put a column somewhere in the table, under the first free of the shuffled names."""
        free = [name for name in rng.permutation(names).tolist() if name not in self.frame.columns]
        name = free[0] if free else f"{names[0]}_{self.frame.width}"
        place = int(
            rng.integers(0, self.frame.width)
        )  # a clone below: polars inserts in place, and copies share the frame
        self.frame = self.frame.clone().insert_column(place, pl.Series(name, values, strict=False))
        self.used.add(name)
        return name

    def replace(self, name: str, values: Any) -> None:
        self.frame = self.frame.with_columns(pl.Series(name, values, strict=False))

    def set_cells(self, name: str, rows: np.ndarray, cells: list[Any]) -> None:
        """Other values in some rows; a text in a column of numbers makes it a column of texts."""
        if any(isinstance(cell, str) for cell in cells) and self.frame[name].dtype != pl.String:
            self.replace(name, self.frame[name].cast(pl.String))
        values = self.frame[name].to_list()
        for row, cell in zip(rows.tolist(), cells):
            values[row] = cell
        self.replace(name, values)

    def take(self, rng: np.random.Generator, count: int, whole: bool) -> np.ndarray:
        """Rows for one kind: untouched ones; for cells, if those run out, rows whose other cells were touched."""
        order = rng.permutation(self.rows)
        free = [row for row in order.tolist() if row not in self.whole_rows and row not in self.cell_rows]
        if not whole:
            free += [row for row in order.tolist() if row in self.cell_rows]
        rows = free[:count]
        (self.whole_rows if whole else self.cell_rows).update(rows)
        return np.array(sorted(rows), int)

    def pick(self, rng: np.random.Generator, fits: Callable[[pl.Series], bool]) -> str | None:
        """A real column nothing has touched, half of the time at most; else the kind brings its own."""
        if rng.random() < 0.35:
            return None
        for name in rng.permutation(self.real).tolist():
            if name not in self.used and self.frame[name].null_count() < 0.1 * self.rows and fits(self.frame[name]):
                self.used.add(name)
                return str(name)
        return None


@dataclass(frozen=True)
class Planted:
    """What went into a table: the columns, and the rows as units any row of which counts."""

    columns: list[str]
    units: list[tuple[int, ...]]


@dataclass(frozen=True)
class Kind:
    """One kind of defect."""

    name: str
    hits: frozenset[str]
    also: frozenset[str]
    by: str
    takes: str
    """Rows it needs: `none`, `cells` (of its column), `whole`, `pairs`."""
    prepare: Callable[[Sheet, np.random.Generator], dict[str, Any] | None]
    plant: Callable[[Sheet, dict[str, Any], str, np.ndarray, np.random.Generator], Planted | None]
    needs: Callable[[Facts], bool]
    bars: frozenset[str]
    """Marks that no two kinds of one table share."""


KINDS: dict[str, Kind] = {}


def kind(
    name: str,
    *,
    hits: str = "",
    also: str = "",
    by: str = "columns",
    takes: str = "none",
    prepare: Callable[..., dict[str, Any] | None] = lambda sheet, rng: {},
    needs: Callable[[Facts], bool] = lambda facts: True,
    bars: str = "",
) -> Callable[[Any], Any]:
    """Enter a planter under the code it stands for."""

    def enter(plant: Any) -> Any:
        codes = frozenset({name, *hits.split()})
        bar = frozenset(bars.split())
        KINDS[name] = Kind(name, codes, frozenset(also.split()), by, takes, prepare, plant, needs, bar)
        return plant

    return enter


def cut(folder: Path, seed: int) -> pl.DataFrame:
    """The table, at most MOST_ROWS of its rows in their order and MOST_COLUMNS of its columns."""
    frame = pl.read_csv(folder / "train.csv.gz", infer_schema_length=None)
    frame = frame.filter(pl.col(TARGET).is_not_null())
    rng = generator(folder.name, seed, "cut")
    rows = np.sort(rng.permutation(frame.height)[:MOST_ROWS])
    names = [name for name in frame.columns if name != TARGET]
    kept = set(rng.permutation(names)[:MOST_COLUMNS].tolist())
    return frame[rows].select([name for name in names if name in kept] + [TARGET])


def outcome(frame: pl.DataFrame, task: str) -> np.ndarray:
    """The yes or no that leaks give away."""
    if task == "regression":
        y = frame[TARGET].cast(pl.Float64).to_numpy()
        return y > np.median(y)
    texts = frame[TARGET].cast(pl.String).to_list()
    counts = Counter(texts).most_common()
    label = counts[-1][0] if task == "binary" else counts[0][0]
    return np.array([text == label for text in texts])


def sheet_of(folder: Path, seed: int) -> Sheet:
    frame = cut(folder, seed)
    task = json.loads((folder / "task.json").read_text())["task"]
    z_N = outcome(frame, task)
    real = [name for name in frame.columns if name != TARGET]
    return Sheet(frame, task, z_N, auc_of(frame, z_N), sentences(folder.parent.parent), real)


def facts_of(folder: Path) -> Facts:
    sheet = sheet_of(folder, 0)
    return Facts(folder.name, sheet.task, sheet.rows, sheet.base_auc, len(fine(sheet)))


def sentences(data: Path) -> list[str]:
    """Real sentences where there are any at hand, else ones drawn from a few hundred made-up words."""
    files = sorted((data / "text" / "sst2").glob("*.tsv")) if (data / "text" / "sst2").is_dir() else []
    lines = [line.split("\t")[0].strip() for file in files for line in file.read_text().splitlines()]
    lines = sorted({line for line in lines if len(line) > 30})
    if len(lines) >= 2 * MOST_ROWS:
        return lines
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("aeioulnrstkmd"), rng.integers(2, 10))) for _ in range(800)]
    return [" ".join(rng.choice(words, rng.integers(8, 25))) for _ in range(2 * MOST_ROWS)]


def generator(*key: Any) -> np.random.Generator:
    return np.random.default_rng(int(hashlib.sha256(repr(key).encode()).hexdigest()[:16], 16))


# ---------------------------------------------------------------- how much a column gives away


def auc_of(frame: pl.DataFrame, z_N: np.ndarray) -> float:
    """Three-fold ROC AUC of a small LightGBM for the outcome."""
    from lightgbm import LGBMClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    x_NF = np.column_stack([codes(frame[name]) for name in frame.columns if name != TARGET])
    scores = np.zeros(len(z_N))
    for fit, rest in StratifiedKFold(3, shuffle=True, random_state=0).split(x_NF, z_N):
        model = LGBMClassifier(n_estimators=60, num_leaves=15, n_jobs=1, verbose=-1, random_state=0, deterministic=True)
        model.fit(x_NF[fit], z_N[fit])
        scores[rest] = model.booster_.predict(x_NF[rest])
    return float(roc_auc_score(z_N, scores))


def codes(series: pl.Series) -> np.ndarray:
    if series.dtype.is_numeric():
        return series.cast(pl.Float64).to_numpy()
    texts = series.cast(pl.String)
    return texts.rank("dense").cast(pl.Float64).to_numpy()


def calibrated(sheet: Sheet, clean: dict[str, Any], gain: float) -> list[Any] | None:
    """Values of the leak whose gain is within a tenth of the wanted one (a quarter after eight trials), else None."""
    make, tried = clean["make"], clean.setdefault("tried", {})
    if sheet.base_auc + gain > 0.995:
        return None
    low = max((t for t, got in tried.items() if got <= gain), default=0.0)
    high = min((t for t, got in tried.items() if got > gain and t > low), default=1.0)
    for _ in range(8):
        best = min(tried, key=lambda t: abs(tried[t] - gain), default=None)
        if best is not None and abs(tried[best] - gain) <= 0.1 * gain:
            break
        t = (low + high) / 2
        tried[t] = (
            auc_of(clean["frame"].with_columns(pl.Series("·", make(t), strict=False)), sheet.z_N) - sheet.base_auc
        )
        low, high = (t, high) if tried[t] <= gain else (low, t)
    best = min(tried, key=lambda t: abs(tried[t] - gain))
    return make(best) if abs(tried[best] - gain) <= 0.25 * gain else None


# ---------------------------------------------------------------- columns that kinds bring

TOWNS = [
    "Leeds",
    "York",
    "Hull",
    "Bath",
    "Derby",
    "Exeter",
    "Lincoln",
    "Norwich",
    "Oxford",
    "Preston",
    "Durham",
    "Carlisle",
]
NEUTRAL = [f"{stem}{number}" for stem in ("f", "attr", "x", "item", "col") for number in range(11, 40, 7)]


def numeric(series: pl.Series, least: int = 20) -> bool:
    return series.dtype.is_numeric() and series.n_unique() >= least


def a_number(sheet: Sheet, rng: np.random.Generator) -> dict[str, Any]:
    name = sheet.pick(rng, numeric)
    values = np.round(rng.normal(172, 9, sheet.rows), 1)
    return {"column": name or sheet.add(rng, ["height", "length_cm", "level", *NEUTRAL], values)}


def a_full_column(sheet: Sheet, rng: np.random.Generator) -> dict[str, Any] | None:
    name = sheet.pick(rng, lambda series: series.null_count() == 0 and series.n_unique() > 1)
    return {"column": name} if name else a_number(sheet, rng)


def a_category(sheet: Sheet, rng: np.random.Generator) -> dict[str, Any]:
    def fits(series: pl.Series) -> bool:
        levels = series.drop_nulls().unique().to_list() if series.dtype == pl.String else []
        return 3 <= len(levels) <= 30 and all(wordy(level) for level in levels)

    name = sheet.pick(rng, fits)
    return {"column": name or sheet.add(rng, ["town", "office", "branch", *NEUTRAL], towns(sheet, rng).tolist())}


def wordy(level: str) -> bool:
    """Long enough, and of letters enough, for a slip of the hand to be one."""
    return level.isascii() and sum(map(str.isalpha, level)) >= 4 and not any(map(str.isdigit, level))


def towns(sheet: Sheet, rng: np.random.Generator) -> np.ndarray:
    weights = rng.dirichlet(np.full(len(TOWNS), 6.0))
    return rng.choice(TOWNS, sheet.rows, p=weights)


def a_date(sheet: Sheet, rng: np.random.Generator) -> dict[str, Any]:
    days = rng.integers(0, 900, sheet.rows)
    return {"column": sheet.add(rng, ["joined", "visit_date", "opened_on", "recorded"], dates(days))}


def dates(days: np.ndarray) -> list[str]:
    return np.datetime_as_string(np.datetime64("2020-03-01") + days.astype("timedelta64[D]")).tolist()


def a_text(sheet: Sheet, rng: np.random.Generator) -> dict[str, Any]:
    """Two sentences a row, no sentence twice; a few with accents that belong there."""
    chosen = rng.permutation(len(sheet.sentences))
    pairs = zip(chosen[: sheet.rows], chosen[sheet.rows : 2 * sheet.rows])
    texts = [f"{sheet.sentences[one]}. {sheet.sentences[two]}" for one, two in pairs]
    texts = [f"{text} at the café" if rng.random() < 0.02 else text for text in texts]
    return {"column": sheet.add(rng, ["comment", "notes", "feedback", "message"], texts)}


def text_or_contact(sheet: Sheet, rng: np.random.Generator) -> dict[str, Any]:
    if rng.random() < 0.6:
        return {**a_text(sheet, rng), "within": True}
    values = rng.choice(["by post", "at the desk", "none"], sheet.rows).tolist()
    return {"column": sheet.add(rng, ["contact", "reference", "details"], values), "within": False}


def cells(sheet: Sheet, column: str, rows: np.ndarray, values: list[Any]) -> Planted:
    """Write the cells; the planting they make."""
    sheet.set_cells(column, rows, values)
    return Planted([column], [(int(row),) for row in rows])


def filled(sheet: Sheet, column: str, rows: np.ndarray) -> np.ndarray:
    """Those rows that hold a value in the column."""
    return rows[sheet.frame[column].is_not_null().to_numpy()[rows]]


# ---------------------------------------------------------------- quality


@kind("quality.missing", takes="cells", prepare=a_full_column)
def missing(sheet, clean, level, rows, rng):
    return cells(sheet, clean["column"], rows, [None] * len(rows))


def number_or_category(sheet: Sheet, rng: np.random.Generator) -> dict[str, Any]:
    return (a_number if rng.random() < 0.5 else a_category)(sheet, rng)


@kind("quality.hidden_missing", also="quality.outlier quality.scale", takes="cells", prepare=number_or_category)
def hidden_missing(sheet, clean, level, rows, rng):
    column = clean["column"]
    rows = filled(sheet, column, rows)
    series = sheet.frame[column]
    if series.dtype.is_numeric():
        low, high = float(series.min()), float(series.max())
        options = [
            mark for mark in (-999, -9999, 9999, 99999, -99) if mark < low - (high - low) * 0.1 or mark > high * 1.5 + 1
        ]
        mark = int(rng.choice(options[:3])) if options else -99999
    else:
        mark = str(rng.choice(["unknown", "not given", "Unspecified", "missing", "n.a."]))
    return cells(sheet, column, rows, [mark] * len(rows))


@kind("quality.constant")
def constant(sheet, clean, level, rows, rng):
    value = rng.choice([1, 0, "EU", "v2", "active"]).item()
    return Planted([sheet.add(rng, NEUTRAL, [value] * sheet.rows)], [])


@kind("quality.identifier", bars="unique")
def identifier(sheet, clean, level, rows, rng):
    order = rng.permutation(sheet.rows)
    styles = [
        [f"{number:08x}" for number in rng.choice(2**32, sheet.rows, replace=False)],
        (order + 100_000).tolist(),
        [f"C-{number:06d}" for number in order],
    ]
    return Planted([sheet.add(rng, ["record", "ref", "key", *NEUTRAL], styles[int(rng.integers(0, 3))])], [])


@kind(
    "quality.duplicate",
    hits="leak.duplicate",
    also="leak.near_duplicate",
    by="rows",
    takes="pairs",
    bars="unique pairs",
)
def duplicate(sheet, clean, level, rows, rng):
    return copied(sheet, rows, rng)


def copied(sheet: Sheet, rows: np.ndarray, rng: np.random.Generator) -> Planted:
    """Every second row becomes the one before it, whole."""
    rows = rng.permutation(rows)
    half = len(rows) // 2
    first, second = rows[:half], rows[half : 2 * half]
    source = np.arange(sheet.rows)
    source[second] = first
    sheet.frame = sheet.frame[source]
    sheet.z_N = sheet.z_N[source]
    return Planted([], [(int(one), int(two)) for one, two in zip(first, second)])


@kind("quality.mixed_type", takes="cells", prepare=a_number)
def mixed_type(sheet, clean, level, rows, rng):
    column = clean["column"]
    rows = filled(sheet, column, rows)
    values = sheet.frame[column].cast(pl.String).to_list()
    style = rng.choice(["{} kg", "about {}", "n/a?", "{} (est.)", "see file"], 2, replace=False)
    return cells(sheet, column, rows, [str(rng.choice(style)).format(values[row]) for row in rows])


@kind("quality.spelling", also="quality.rare_slice", takes="cells", prepare=a_category)
def spelling(sheet, clean, level, rows, rng):
    column = clean["column"]
    rows = filled(sheet, column, rows)
    values = sheet.frame[column].to_list()
    return cells(sheet, column, rows, [misspelt(values[row], rng) for row in rows])


def misspelt(word: str, rng: np.random.Generator) -> str:
    """Other case, blanks around it, or one slip of the hand."""
    at = int(rng.integers(1, len(word) - 1))
    slips = [
        word.upper() if word != word.upper() else word.lower(),
        word.lower() if word != word.lower() else word.capitalize(),
        f"{word} ",
        f" {word}",
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1 :],
    ]
    return str(rng.choice(slips))


@kind("quality.outlier", also="quality.scale", by="rows", takes="whole", prepare=a_number)
def outlier(sheet, clean, level, rows, rng):
    column = clean["column"]
    rows = filled(sheet, column, rows)
    series = sheet.frame[column]
    low, high = float(series.min()), float(series.max())
    distance = rng.uniform(3, 9, len(rows)) * (high - low)
    both = rng.random() < 0.5
    far = [high + d if not both or rng.random() < 0.5 else low - d for d in distance]
    return cells(sheet, column, rows, [round(v) if series.dtype.is_integer() else round(v, 4) for v in far])


def a_tight_number(sheet: Sheet, rng: np.random.Generator) -> dict[str, Any]:
    """A column of positive numbers, and a unit's factor that carries its values clear of the others."""
    factors = {name: unit_factor(sheet.frame[name], rng) for name in sheet.real if name not in sheet.used}
    name = sheet.pick(rng, lambda series: factors.get(series.name) is not None)
    if name:
        return {"column": name, "factor": factors[name]}
    values = np.round(rng.normal(172, 9, sheet.rows), 1)
    factor = float(rng.choice([1 / 2.54, 0.01, 10.0]))
    return {"column": sheet.add(rng, ["height", "stature", *NEUTRAL], values), "factor": factor}


def unit_factor(series: pl.Series, rng: np.random.Generator) -> float | None:
    if not numeric(series) or float(series.min() or 0) <= 0:
        return None
    spread = float(series.quantile(0.995)) / float(series.quantile(0.005))
    fits = [factor for factor in (2.2046, 2.54, 10, 60, 100, 1000) if factor > 1.2 * spread]
    return float(rng.choice(fits)) if fits else None


@kind("quality.scale", also="quality.outlier", takes="cells", prepare=a_tight_number)
def scale(sheet, clean, level, rows, rng):
    column, factor = clean["column"], clean["factor"]
    rows = filled(sheet, column, rows)
    values = sheet.frame[column].cast(pl.Float64).to_list()
    sheet.replace(column, values)
    return cells(sheet, column, rows, [round(values[row] * factor, 6) for row in rows])


@kind("quality.rare_slice", prepare=a_category, takes="none")
def rare_slice(sheet, clean, level, rows, rng):
    """Small levels of one outcome each; real columns keep their other levels."""
    column, wanted, taken = clean["column"], SHARE[level] * sheet.rows, []
    fresh = [f"{stem}{end}" for stem in ("Ald", "Bram", "Cors", "Dun", "Elm", "Farn", "Gris") for end in SUFFIXES]
    pools = {side: rng.permutation(np.flatnonzero(sheet.z_N == side)).tolist() for side in (False, True)}
    names = rng.permutation(fresh).tolist()
    while sum(map(len, taken)) < wanted and names:
        pool = pools[bool(rng.random() < 0.5)] or pools[True] or pools[False]
        size = int(rng.integers(5, 10))
        batch = [pool.pop() for _ in range(min(size, len(pool)))]
        batch = [row for row in batch if row not in sheet.whole_rows]
        if batch:
            taken.append(batch)
            sheet.set_cells(column, np.array(batch), [names.pop()] * len(batch))
    return Planted([column], [(row,) for batch in taken for row in batch])


SUFFIXES = [
    "ford",
    "ley",
    "ton",
    "bury",
    "wick",
    "ham",
    "dale",
    "stead",
    "field",
    "combe",
    "worth",
    "mere",
    "gate",
    "holt",
]


@kind(
    "quality.contradiction",
    also="label.error quality.duplicate leak.near_duplicate leak.duplicate",
    by="rows",
    takes="pairs",
    bars="target unique pairs",
)
def contradiction(sheet, clean, level, rows, rng):
    planted = copied(sheet, rows, rng)
    second = np.array([two for _, two in planted.units])
    relabel(sheet, second, rng)
    return Planted([TARGET], planted.units)


def relabel(sheet: Sheet, rows: np.ndarray, rng: np.random.Generator, least_sd: float = 1.0) -> None:
    """Another class, drawn as the classes are spread; a value `least_sd` to twice as many deviations further on.

    A target of few values (marks from 1 to 10) only gets values that it has, the farthest if none is that far.
    """
    values = sheet.frame[TARGET].to_list()
    there = np.array(values, object)
    few = len(set(values)) <= 30
    sd = float(np.std(np.array(values, float))) if sheet.task == "regression" else 0.0
    for row in rows.tolist():
        if few and sheet.task == "regression":
            far = [value for value in rng.choice(there, 200) if abs(value - values[row]) >= least_sd * sd]
            values[row] = far[0] if far else max(there, key=lambda value: abs(value - values[row]))
        elif sheet.task == "regression":
            moved = values[row] + float(rng.choice([-1, 1])) * rng.uniform(least_sd, 2 * least_sd) * sd
            values[row] = round(moved) if sheet.frame[TARGET].dtype.is_integer() else float(moved)
        else:
            others = [label for label in rng.choice(there, 400) if label != values[row]]
            values[row] = others[0] if others else next(label for label in there if label != values[row])
    sheet.replace(TARGET, values)


@kind("quality.date", also="quality.mixed_type quality.outlier quality.hidden_missing", takes="cells", prepare=a_date)
def date(sheet, clean, level, rows, rng):
    marks = rng.choice(
        ["1900-01-01", "2099-12-31", "2021-02-31", "9999-12-31", "2020-13-05", "1753-01-01"], 2, replace=False
    )
    return cells(sheet, clean["column"], rows, rng.choice(marks, len(rows)).tolist())


def code_and_name(sheet: Sheet, rng: np.random.Generator) -> dict[str, Any]:
    name = towns(sheet, rng)
    code = {town: int(number) for town, number in zip(TOWNS, rng.permutation(90)[: len(TOWNS)] + 10)}
    one = sheet.add(rng, ["area_code", "site_no", *NEUTRAL], [code[town] for town in name])
    two = sheet.add(rng, ["area", "site", *NEUTRAL], name.tolist())
    return {"columns": [one, two]}


@kind("quality.dependency", takes="cells", prepare=code_and_name)
def dependency(sheet, clean, level, rows, rng):
    values = sheet.frame[clean["columns"][1]].to_list()
    other = [str(rng.choice([town for town in TOWNS if town != values[row]])) for row in rows]
    planted = cells(sheet, clean["columns"][1], rows, other)
    return Planted(clean["columns"], planted.units)


# ---------------------------------------------------------------- labels and leaks


@kind(
    "label.error",
    also="quality.outlier quality.contradiction",
    by="rows",
    takes="whole",
    needs=lambda facts: facts.base_auc >= 0.9,
    bars="target",
)
def label_error(sheet, clean, level, rows, rng):
    relabel(sheet, rows, rng, least_sd=2.0)
    return Planted([TARGET], [(int(row),) for row in rows])


def room(facts: Facts) -> bool:
    return facts.rows >= 1500 and facts.base_auc <= 0.93


def leak(make: Callable[..., Callable[[float], list[Any]]]) -> Callable[..., dict[str, Any]]:
    """How a leak is prepared: its draws are made once, so that only the noise differs between strengths."""
    return lambda sheet, rng: {"make": make(sheet, rng), "frame": sheet.frame}


def give_away(sheet, clean, level, rng, names):
    values = calibrated(sheet, clean, GAIN[level])
    return None if values is None else Planted([sheet.add(rng, names, values)], [])


def mixture(sheet: Sheet, rng: np.random.Generator) -> Callable[[float], np.ndarray]:
    noise, y_N = rng.normal(size=sheet.rows), sheet.signal
    return lambda t: t * y_N + (1 - t) * noise


def a_copy(sheet: Sheet, rng: np.random.Generator) -> Callable[[float], list[Any]]:
    """The target under other names or in another unit, right in a share of the rows, drawn afresh in the others."""
    values = sheet.frame[TARGET].to_list()
    if sheet.task == "regression":
        values = [round(1.25 * value + 3, 6) for value in values]
    elif rng.random() < 0.5:
        names = {label: f"group {letter}" for label, letter in zip(sorted(set(values), key=str), "kqtzwxyabcdefghijlm")}
        values = [names[value] for value in values]
    u_N, other = rng.random(sheet.rows), rng.permutation(sheet.rows)
    return lambda t: [values[row] if u_N[row] < t else values[other[row]] for row in range(sheet.rows)]


def a_proxy(sheet: Sheet, rng: np.random.Generator) -> Callable[[float], list[Any]]:
    mixed = mixture(sheet, rng)
    return lambda t: np.round(50 + 10 * mixed(t), 3).tolist()


def an_identifier(sheet: Sheet, rng: np.random.Generator) -> Callable[[float], list[Any]]:
    """Numbers given in the order of the outcome, or a letter of the outcome before a random number."""
    mixed, steps = mixture(sheet, rng), rng.integers(0, 3, sheet.rows)
    if rng.random() < 0.5:
        return lambda t: (100_000 + 3 * np.argsort(np.argsort(mixed(t))) + steps).tolist()
    u_N, other, number = rng.random(sheet.rows), rng.random(sheet.rows) < 0.5, rng.permutation(sheet.rows) + 10_000
    z_N = sheet.z_N
    return lambda t: [f"{'BA'[int(z)]}{n}" for z, n in zip(np.where(u_N < t, z_N, other), number)]


def a_gap(sheet: Sheet, rng: np.random.Generator) -> Callable[[float], list[Any]]:
    """Values that say nothing, missing mostly where the outcome is (or is not) there."""
    values, u_N = np.round(rng.gamma(4, 20, sheet.rows), 2), rng.random(sheet.rows)
    side = sheet.z_N == bool(rng.random() < 0.5)
    return lambda t: [None if u < (t if s else 0.04) else v for v, u, s in zip(values.tolist(), u_N, side)]


def an_aftermath(sheet: Sheet, rng: np.random.Generator) -> Callable[[float], list[Any]]:
    """Filled in once the outcome is known: an amount where it is there, else empty or 0."""
    values, u_N = np.round(rng.gamma(3, 40, sheet.rows) + 1, 2), rng.random(sheet.rows)
    empty, z_N = (None if rng.random() < 0.5 else 0.0), sheet.z_N
    return lambda t: [v if z and u < t else empty for v, u, z in zip(values.tolist(), u_N, z_N)]


@kind("leak.target_copy", hits="leak.proxy", also="quality.dependency", prepare=leak(a_copy), needs=room, bars="target")
def target_copy(sheet, clean, level, rows, rng):
    return give_away(sheet, clean, level, rng, ["result_code", "status", *NEUTRAL])


@kind("leak.proxy", hits="leak.target_copy leak.after_outcome", prepare=leak(a_proxy), needs=room, bars="target")
def proxy(sheet, clean, level, rows, rng):
    return give_away(sheet, clean, level, rng, ["index", "rating", *NEUTRAL])


@kind(
    "leak.identifier",
    also="leak.proxy quality.identifier structure.time",
    prepare=leak(an_identifier),
    needs=room,
    bars="target unique",
)
def leak_identifier(sheet, clean, level, rows, rng):
    return give_away(sheet, clean, level, rng, ["case_no", "ticket", "id", *NEUTRAL])


@kind(
    "leak.missingness",
    hits="leak.after_outcome",
    also="leak.proxy quality.missing",
    prepare=leak(a_gap),
    needs=room,
    bars="target",
)
def missingness(sheet, clean, level, rows, rng):
    return give_away(sheet, clean, level, rng, ["reading", "assay", *NEUTRAL])


@kind(
    "leak.after_outcome",
    hits="leak.missingness leak.proxy leak.target_copy",
    also="quality.missing quality.outlier quality.imbalance quality.hidden_missing",
    prepare=leak(an_aftermath),
    needs=room,
    bars="target",
)
def after_outcome(sheet, clean, level, rows, rng):
    return give_away(sheet, clean, level, rng, ["closing_fee", "settled", "refund", *NEUTRAL])


def fine(sheet: Sheet) -> list[str]:
    """Real columns of numbers in which a step of a five-hundredth of the spread is still a step."""

    def fits(series: pl.Series) -> bool:
        return numeric(series, 200) and (not series.dtype.is_integer() or float(series.std() or 0) > 50)

    return [name for name in sheet.real if fits(sheet.frame[name])]


@kind(
    "leak.near_duplicate",
    also="quality.duplicate leak.duplicate",
    by="rows",
    takes="pairs",
    needs=lambda facts: facts.jitters >= 2,
    bars="unique pairs",
)
def near_duplicate(sheet, clean, level, rows, rng):
    moved = [name for name in fine(sheet) if name not in sheet.used]
    if not moved:
        return None
    planted = copied(sheet, rows, rng)
    second = np.array([two for _, two in planted.units])
    for name in moved:
        series = sheet.frame[name]
        values, low, high = series.to_list(), series.min(), series.max()
        for row, step in zip(second.tolist(), rng.normal(0, 0.002 * float(series.std()), len(second))):
            if values[row] is None:
                continue
            step = int(np.sign(step)) if series.dtype.is_integer() else step
            if not low <= values[row] + step <= high:
                step = -step  # no amount of 0 becomes -1, which would be a marker
            values[row] = values[row] + step if series.dtype.is_integer() else float(f"{values[row] + step:.7g}")
        sheet.replace(name, values)
    return planted


# ---------------------------------------------------------------- structure


def ordered(sheet: Sheet, share: float, rng: np.random.Generator) -> np.ndarray:
    """Rows in an order that explains about that share of the target's variance."""
    return np.argsort(np.sqrt(share) * sheet.signal + np.sqrt(1 - share) * rng.normal(size=sheet.rows))


@kind(
    "structure.group",
    hits="leak.group",
    also="quality.dependency",
    bars="unique structure",
)
def group(sheet, clean, level, rows, rng):
    """Entities of three to ten rows, alike in the target, with an attribute of their own; names in no order."""
    sizes = rng.integers(3, 11, sheet.rows)
    entity = np.repeat(np.arange(sheet.rows), sizes)[: sheet.rows]
    entity_N = np.empty(sheet.rows, int)
    entity_N[ordered(sheet, SHARE[level], rng)] = entity
    label = rng.permutation(90_000)[: sheet.rows] + 10_000
    own = np.round(rng.normal(40, 12, sheet.rows), 1)
    form = str(rng.choice(["{}", "P{}"]))
    names = [form.format(label[one]) for one in entity_N]
    values: list[Any] = [int(name) for name in names] if form == "{}" else names
    one = sheet.add(rng, ["patient", "household", "customer_no", "machine", *NEUTRAL], values)
    two = sheet.add(rng, ["tenure", "capacity", *NEUTRAL], own[entity_N].tolist())
    return Planted([one, two], [])


@kind("structure.time", hits="leak.time", bars="structure")
def drift(sheet, clean, level, rows, rng):
    """Dates over three years along which the target moves; the rows stay where they are."""
    days = np.empty(sheet.rows, int)
    days[ordered(sheet, SHARE[level], rng)] = np.sort(rng.integers(0, 1100, sheet.rows))
    return Planted([sheet.add(rng, ["visited", "booked_on", "date", "sampled"], dates(days))], [])


# ---------------------------------------------------------------- bias


def an_attribute(shares: list[float], names: list[str], levels: list[str]) -> Callable[..., dict[str, Any]]:
    def prepare(sheet: Sheet, rng: np.random.Generator) -> dict[str, Any]:
        column = sheet.add(rng, names, rng.choice(levels, sheet.rows, p=shares).tolist())
        sheet.protected.append(column)
        return {"column": column, "levels": levels}

    return prepare


@kind(
    "bias.disparate_impact",
    also="bias.proxy bias.small_cell",
    prepare=an_attribute([0.8, 0.2], ["origin", "applicant_group", "age_band"], ["A", "B"]),
    needs=lambda facts: facts.task == "binary" and facts.rows >= 1500,
    bars="protected",
)
def disparate_impact(sheet, clean, level, rows, rng):
    values = np.array(sheet.frame[clean["column"]].to_list())
    inside = rng.permutation(np.flatnonzero((values == "B") & sheet.z_N))
    moved = inside[: min(round(SHARE[level] * sheet.rows), int(0.85 * len(inside)))]
    values[moved] = "A"
    rates = [sheet.z_N[values == level_name].mean() for level_name in "AB"]
    if len(inside) < 30 or rates[1] / rates[0] > 0.72:
        return None
    sheet.replace(clean["column"], values.tolist())
    return Planted([clean["column"]], [])


LEAST_SHARE = {"weak": 0.10, "medium": 0.05, "strong": 0.02}


@kind(
    "bias.representation",
    hits="bias.small_cell",
    also="quality.rare_slice quality.imbalance bias.disparate_impact",
    prepare=an_attribute([1 / 3, 1 / 3, 1 / 3], ["community", "region_group", "background"], ["north", "mid", "south"]),
    bars="protected",
)
def representation(sheet, clean, level, rows, rng):
    values = np.array(sheet.frame[clean["column"]].to_list())
    inside = rng.permutation(np.flatnonzero(values == "south"))
    moved = inside[round(LEAST_SHARE[level] * sheet.rows) :]
    values[moved] = rng.choice(["north", "mid"], len(moved))
    sheet.replace(clean["column"], values.tolist())
    return Planted([clean["column"]], [])


RIGHT = {"weak": 0.75, "medium": 0.90, "strong": 0.99}


def attribute_and_column(sheet: Sheet, rng: np.random.Generator) -> dict[str, Any]:
    clean = an_attribute([0.5, 0.5], ["heritage", "mother_tongue", "cohort"], ["one", "two"])(sheet, rng)
    number = rng.random() < 0.5
    values = np.round(rng.normal(20, 4, sheet.rows), 2) if number else rng.choice(TOWNS, sheet.rows)
    return {**clean, "number": number, "other": sheet.add(rng, ["district", "club", *NEUTRAL], values.tolist())}


@kind("bias.proxy", also="quality.dependency", prepare=attribute_and_column, bars="protected")
def bias_proxy(sheet, clean, level, rows, rng):
    one = np.array(sheet.frame[clean["column"]].to_list()) == "one"
    told = np.where(rng.random(sheet.rows) < RIGHT[level], one, ~one)
    if clean["number"]:
        values = np.round(rng.normal(np.where(told, 16, 24), 1.2), 2).tolist()
    else:
        halves = TOWNS[:6], TOWNS[6:]
        values = [str(rng.choice(halves[int(side)])) for side in told]
    sheet.replace(clean["other"], values)
    return Planted([clean["column"], clean["other"]], [])


UNDECLARED = {
    "gender": ["female", "male"],
    "ethnicity": ["Asian", "Black", "White", "Other"],
    "race": ["Asian", "Black", "White", "Other"],
    "religion": ["Christian", "Muslim", "Hindu", "none"],
    "disability": ["yes", "no"],
    "Sex": ["F", "M"],
    "marital_status": ["single", "married", "divorced"],
}


@kind("bias.undeclared")
def undeclared(sheet, clean, level, rows, rng):
    lower = {name.lower() for name in sheet.frame.columns}
    name = str(rng.choice([name for name in UNDECLARED if name.lower() not in lower]))
    return Planted([sheet.add(rng, [name], rng.choice(UNDECLARED[name], sheet.rows).tolist())], [])


# ---------------------------------------------------------------- personal data and text


def private(sheet, clean, rows, rng, make):
    """The secret alone, or within the sentence that stands there."""
    column = clean["column"]
    texts = sheet.frame[column].to_list()
    values = []
    for row in rows:
        secret = make(rng)
        words = texts[row].split(" ")
        at = int(rng.integers(0, len(words) + 1))
        values.append(" ".join([*words[:at], secret, *words[at:]]) if clean["within"] else secret)
    return cells(sheet, column, rows, values)


def digits(rng: np.random.Generator, count: int) -> str:
    return "".join(map(str, rng.integers(0, 10, count)))


def email(rng: np.random.Generator) -> str:
    first, last = rng.choice(["anna", "j.smith", "lee", "omar", "k_novak"]), rng.choice(TOWNS).lower()
    return f"{first}.{last}{rng.integers(1, 99)}@{rng.choice(['example.org', 'mail.co.uk', 'post.net'])}"


def phone(rng: np.random.Generator) -> str:
    forms = [
        f"+44 20 7{digits(rng, 3)} {digits(rng, 4)}",
        f"({rng.integers(200, 999)}) {rng.integers(200, 999)}-{digits(rng, 4)}",
        f"+49 30 {rng.integers(1000000, 9999999)}",
        f"{rng.integers(200, 999)}-{rng.integers(200, 999)}-{digits(rng, 4)}",
    ]
    return str(rng.choice(forms))


def card(rng: np.random.Generator) -> str:
    """Sixteen digits whose check digit is right."""
    body = str(rng.choice(["4", "51", "55"]))
    body += digits(rng, 15 - len(body))
    total = sum(sum(divmod(int(d) * 2, 10)) if place % 2 == 0 else int(d) for place, d in enumerate(body))
    number = body + str(-total % 10)
    return " ".join(number[at : at + 4] for at in range(0, 16, 4)) if rng.random() < 0.5 else number


def national(rng: np.random.Generator) -> str:
    """A US social security number, a British national insurance number or a Spanish DNI, in due form."""
    number = int(rng.integers(10_000_000, 99_999_999))
    forms = [
        f"{rng.integers(100, 665)}-{rng.integers(10, 99)}-{rng.integers(1000, 9999)}",
        " ".join([str(rng.choice(["AB", "CE", "JN", "PW"])), digits(rng, 2), digits(rng, 2), digits(rng, 2), "C"]),
        f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}",
    ]
    return str(rng.choice(forms))


def enter_private(name: str, make: Callable[[np.random.Generator], str]) -> None:
    settings = {"hits": "privacy.identifier", "also": "quality.rare_slice quality.mixed_type quality.identifier"}

    @kind(name, takes="cells", prepare=text_or_contact, **settings)
    def plant(sheet, clean, level, rows, rng):
        return private(sheet, clean, rows, rng, make)


for code, maker in {"email": email, "phone": phone, "card": card, "national_number": national}.items():
    enter_private(f"privacy.{code}", maker)


@kind("text.empty", also="quality.missing quality.hidden_missing", takes="cells", prepare=a_text)
def text_empty(sheet, clean, level, rows, rng):
    return cells(sheet, clean["column"], rows, rng.choice(["  ", "-", "...", "--", "."], len(rows)).tolist())


@kind("text.encoding", takes="cells", prepare=a_text)
def text_encoding(sheet, clean, level, rows, rng):
    texts = sheet.frame[clean["column"]].to_list()
    return cells(sheet, clean["column"], rows, [garbled(texts[row], rng) for row in rows])


def garbled(text: str, rng: np.random.Generator) -> str:
    """One to three letters as they look after UTF-8 was read as Latin-1, or lost."""
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(text)))
        text = text[:at] + str(rng.choice(["Ã©", "â€™", "\ufffd", "Ã¼", "Ã¶"])) + text[at + 1 :]
    return text


@kind("text.truncated")
def text_truncated(sheet, clean, level, rows, rng):
    """A field of fixed length: the longest texts end where it ends."""
    texts = sheet.frame[clean["column"]].to_list()
    length = int(np.quantile([len(text) for text in texts], 1 - SHARE[level]))
    cut_rows = [row for row, text in enumerate(texts) if len(text) > length]
    sheet.replace(clean["column"], [text[:length] for text in texts])
    return Planted([clean["column"]], [(row,) for row in cut_rows])


KINDS["text.truncated"] = Kind(**{**vars(KINDS["text.truncated"]), "prepare": a_text})


@kind("text.near_duplicate", also="leak.near_duplicate text.duplicate", takes="cells", prepare=a_text)
def text_near_duplicate(sheet, clean, level, rows, rng):
    """The rows hold the text of another row with one word left out or doubled."""
    texts = sheet.frame[clean["column"]].to_list()
    barred = set(rows.tolist()) | sheet.whole_rows
    free = [row for row in rng.permutation(sheet.rows).tolist() if row not in barred]
    pairs = list(zip(free, rows.tolist()))
    values = []
    for row, _ in pairs:
        words = texts[row].split(" ")
        at = int(rng.integers(0, len(words)))
        values.append(" ".join(words[:at] + ([words[at]] * 2 if rng.random() < 0.5 else []) + words[at + 1 :]))
    sheet.set_cells(clean["column"], np.array([row for _, row in pairs]), values)
    return Planted([clean["column"]], pairs)


# ---------------------------------------------------------------- asking forgeline


RELATES = ("quality.dependency", "bias.", "structure.group", "leak.group")
"""Codes whose findings name columns together: one planted column makes the finding true for its partner."""


@dataclass(frozen=True)
class Found:
    """One finding: its code, columns, sentence and rows."""

    code: str
    columns: tuple[str, ...]
    says: str
    severity: str
    rows: frozenset[int]


def assess(source: Path, store: Path, target: str, protected: list[str]) -> list[Found]:
    import forgeline as fl

    asked = {"assess": {"protected": protected}} if protected else {}
    record = fl.assess(str(source), target=target, store=store, budget={"workers": 1}, **asked)
    artefacts = store / "runs" / record.run / "artefacts"
    found = []
    for each in record.findings:
        rows = pl.read_parquet(artefacts / each.rows.ref.digest)["row"].to_list() if each.rows and each.rows.ref else []
        found.append(Found(each.code, tuple(each.columns), each.says, each.severity, frozenset(rows)))
    return found


def assess_frame(frame: pl.DataFrame, protected: list[str]) -> list[Found]:
    with tempfile.TemporaryDirectory() as folder:
        frame.write_csv(Path(folder, "table.csv"))
        return assess(Path(folder, "table.csv"), Path(folder, "store"), TARGET, protected)


# ---------------------------------------------------------------- one table, one seed


def examine(job: tuple[Path, int, list[str], list[str]]) -> dict[str, Any]:
    """Plant in one table with one seed at each strength, and judge. Every figure is a count."""
    folder, seed, names, levels = job
    began = time.perf_counter()
    result: dict[str, Any] = {"table": folder.name, "seed": seed, "counts": [], "misses": [], "false": [], "errors": []}
    base = sheet_of(folder, seed)
    clean: dict[str, dict[str, Any]] = {}
    for name in names:
        prepared = KINDS[name].prepare(base, generator(folder.name, seed, name, "prepare"))
        if prepared is not None:
            clean[name] = prepared
    for prepared in clean.values():
        if "frame" in prepared:
            prepared["frame"] = base.frame
    if any("make" in prepared for prepared in clean.values()):
        base.base_auc = auc_of(base.frame, base.z_N)
    try:
        before = assess_frame(base.frame, base.protected)
    except Exception:
        result["errors"].append(f"clean: {traceback.format_exc(limit=-2)}")
        before = []
    for level in levels:
        sheet = base.copy()
        planted = plant_all(sheet, clean, level, folder.name, seed)
        try:
            after = assess_frame(sheet.frame, sheet.protected)
        except Exception:
            result["errors"].append(f"{level}: {traceback.format_exc(limit=-2)}")
            after = []
        judge(level, planted, before, after, result)
    result["seconds"] = time.perf_counter() - began
    return result


ORDER = {"whole": 0, "cells": 1, "none": 2, "pairs": 3}


def plant_all(sheet: Sheet, clean: dict[str, Any], level: str, table: str, seed: int) -> dict[str, Planted]:
    """Rows of their own are given out first; copies of rows are made last, so that they copy all that is there."""
    taken = {}
    for name in sorted(clean, key=lambda name: (KINDS[name].takes not in ("whole", "pairs"), name)):
        takes = KINDS[name].takes
        count = {"none": 0, "pairs": 2}.get(takes, 1) * round(SHARE[level] * sheet.rows)
        rng = generator(table, seed, name, "rows")
        taken[name] = sheet.take(rng, count, takes != "cells") if count else np.array([], int)
    planted = {}
    for name in sorted(clean, key=lambda name: (ORDER[KINDS[name].takes], name)):
        rng = generator(table, seed, name, "plant")
        made = KINDS[name].plant(sheet, clean[name], level, taken[name], rng)
        if made is not None:
            planted[name] = made
    return planted


# ---------------------------------------------------------------- judging


def judge(level: str, planted: dict[str, Planted], before: list[Found], after: list[Found], result: dict) -> None:
    """Add hits, misses and false findings of one run to the result."""
    known = {(one.code, column) for one in before for column in one.columns or ("",)}
    known_rows: dict[tuple[str, str], set[int]] = defaultdict(set)
    for one in before:
        for column in one.columns or ("",):
            known_rows[one.code, column] |= one.rows
    for name, made in planted.items():
        one_kind(level, name, made, known, known_rows, after, result)
    for one in after:
        for column in one.columns or ("",):
            if (one.code, column) in known or accepted(one, column, planted):
                continue
            new = len(one.rows - known_rows[one.code, column])
            result["counts"].append({"kind": owner(one.code), "level": level, "false": 1, "false_rows": new})
            result["false"].append(f"{level} {one.code} {column}: {one.says}")


def one_kind(level, name, made, known, known_rows, after, result) -> None:
    """Whether one planting was found, and which of its rows."""
    entry = KINDS[name]
    mine = [one for one in after if one.code in entry.hits and touches(one, made, entry)]
    if entry.by == "columns" and any((code, column) in known for code in entry.hits for column in made.columns):
        return
    before = {row for one in mine for column in one.columns or ("",) for row in known_rows[one.code, column]}
    rows = {row for one in mine for row in one.rows}
    ours = {row for unit in made.units for row in unit}
    caught = sum(any(row in rows for row in unit) for unit in made.units)
    extra = len(rows - ours - before)
    found = bool(mine)
    if name == "label.error":
        new = rows - (before - ours)
        found = caught >= len(made.units) / 2 and len(ours & rows) >= len(new) / 2 and bool(mine)
    elif entry.by == "rows":
        found = caught > 0
    count = {"kind": name, "level": level, "planted": 1, "found": int(found)}
    if entry.by == "rows" or rows:
        count |= {"rows": len(made.units), "rows_found": caught, "rows_said": len(rows & ours), "false_rows": extra}
    result["counts"].append(count)
    if not found:
        what = f"{caught} of {len(made.units)} rows, {extra} others" if made.units else "no finding"
        result["misses"].append(f"{level} {name} {made.columns}: {what}")


def touches(one: Found, made: Planted, entry: Kind) -> bool:
    """Whether a finding speaks of what was planted: of its columns, or of its rows where rows are what was planted."""
    if (entry.by == "rows" and entry.takes == "pairs") or not made.columns:
        return not one.columns or bool(set(one.columns) & set(made.columns)) or bool(one.rows)
    return bool(set(one.columns) & set(made.columns)) or (entry.name == "label.error" and not one.columns)


def accepted(one: Found, column: str, planted: dict[str, Planted]) -> bool:
    """Whether a finding, for one of its columns, is what was planted or a direct consequence of it."""
    for name, made in planted.items():
        entry = KINDS[name]
        if one.code not in entry.hits | entry.also:
            continue
        together = one.code.startswith(RELATES) and set(one.columns) & set(made.columns)
        if column in made.columns or together or (entry.by == "rows" and column in ("", TARGET)):
            return True
        if entry.takes == "pairs" and one.code in entry.hits:
            return True
    return False


def owner(code: str) -> str:
    """The kind a code is charged to: its own, else the first that takes it as a hit, else the code itself."""
    if code in KINDS:
        return code
    return next((name for name, entry in KINDS.items() if code in entry.hits), f"({code})")


# ---------------------------------------------------------------- the plan


def folder_of(asked: str | None) -> Path:
    return Path(asked or os.environ.get("DATA") or ROOT.parent / "shared" / "data" / "tabular")


def by_hash(data: Path) -> list[Path]:
    """Table folders in the order of a hash of their names."""
    folders = [path.parent for path in data.glob("*/train.csv.gz") if (path.parent / "task.json").exists()]
    return sorted(folders, key=lambda path: hashlib.sha256(path.name.encode()).hexdigest())


def large_enough(folder: Path) -> bool:
    told = json.loads((folder / "task.json").read_text())
    if "train" in told and "columns" in told:
        return bool(told["train"] >= LEAST_ROWS and told["columns"] >= LEAST_COLUMNS)
    frame = pl.read_csv(folder / "train.csv.gz", infer_schema_length=None)
    return frame.height >= LEAST_ROWS and frame.width > LEAST_COLUMNS


def assign(facts: list[Facts], seeds: int, asked: list[str]) -> dict[tuple[str, int], list[str]]:
    """Six kinds for each table and seed: those planted least so far, that the table can carry and that agree."""
    planted: Counter[str] = Counter()
    scarce = {name: sum(KINDS[name].needs(each) for each in facts) for name in asked}
    plan = {}
    for seed in range(seeds):
        for each in facts:
            rng = generator(each.name, seed, "assign")
            chosen: list[str] = []
            bars: set[str] = set()
            for name in sorted(rng.permutation(asked).tolist(), key=lambda name: (planted[name], scarce[name])):
                if len(chosen) < A_TABLE and KINDS[name].needs(each) and agree(KINDS[name].bars, bars):
                    chosen.append(name)
                    bars |= KINDS[name].bars
            planted.update(chosen)
            plan[each.name, seed] = chosen
    return plan


def agree(one: frozenset[str], others: set[str]) -> bool:
    """Columns unique to each row and pairs of rows do not go together; two unique columns do."""
    shared = (one & others) - {"unique"}
    clash = "unique" in one & others and ("pairs" in one or "pairs" in others)
    return not shared and not clash


# ---------------------------------------------------------------- figures


def tally(results: list[dict[str, Any]]) -> dict[str, dict[str, Counter[str]]]:
    sums: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for result in results:
        for count in result["counts"]:
            numbers = {key: value for key, value in count.items() if key not in ("kind", "level")}
            sums[count["kind"]][count["level"]].update(numbers)
    return sums


def ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def figures_of(c: Counter[str]) -> dict[str, Any]:
    return {
        "planted": c["planted"],
        "recall": ratio(c["found"], c["planted"]),
        "precision": ratio(c["found"], c["found"] + c["false"]),
        "rows_recall": ratio(c["rows_found"], c["rows"]),
        "rows_precision": ratio(c["rows_said"], c["rows_said"] + c["false_rows"]),
        "false": c["false"],
    }


def holds_for(name: str, f: dict[str, Any]) -> bool:
    by_rows = name in KINDS and KINDS[name].by == "rows" and name != "label.error"
    recall, precision = (f["rows_recall"], f["rows_precision"]) if by_rows else (f["recall"], f["precision"])
    return (recall or 0) >= LEAST_RATE and (precision or 0) >= LEAST_RATE


def show(figures: dict[str, dict[str, Any]], levels: list[str]) -> None:
    head = "".join(f"{level:>9}: {'n':>3}{'rec':>6}{'prec':>6}{'rows r':>8}{'p':>5}" for level in levels)
    print(f"{'kind':<25}{'by':<8}{head}{'≥ .95':>8}")
    for name, by_level in figures.items():
        line = f"{name:<25}{KINDS[name].by if name in KINDS else '':<8}"
        for level in levels:
            f = by_level.get(level)
            if f is None:
                line += f"{'–':>14}{'':>25}"
                continue
            said = [text(f[key]) for key in ("recall", "precision", "rows_recall", "rows_precision")]
            line += f"{f['planted']:>14}{said[0]:>6}{said[1]:>6}{said[2]:>8}{said[3]:>5}"
        medium = by_level.get("medium")
        judged = medium and (medium["planted"] or medium["false"])
        print(line + f"{('yes' if holds_for(name, medium) else 'no') if judged else '–':>8}")


def text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def report(results: list[dict[str, Any]], levels: list[str], asked: list[str], verbose: bool, seconds: float) -> bool:
    sums = tally(results)
    names = [name for name in KINDS if name in asked] + sorted(name for name in sums if name not in asked)
    figures = {name: {lv: figures_of(sums[name][lv]) for lv in levels if lv in sums[name]} for name in names}
    show(figures, levels)
    for result in results:
        for error in result["errors"]:
            print(f"failed run: {result['table']} seed {result['seed']} {error}")
    if verbose:
        for what in ("misses", "false"):
            print(f"\n{what}")
            for result in results:
                for line in result[what]:
                    print(f"  {result['table']} seed {result['seed']}: {line}")
    medium = {name: by.get("medium") for name, by in figures.items() if name in asked}
    judged = {name: f for name, f in medium.items() if f and f["planted"]}
    short = sorted(name for name, f in judged.items() if not holds_for(name, f))
    holds = not short and len(judged) >= 24 and not any(result["errors"] for result in results)
    tables = len({result["table"] for result in results})
    total = {"tables": tables, "runs": len(results), "kinds": len(judged), "seconds": round(seconds)}
    print(json.dumps({**total, "figures": figures, "target": LEAST_RATE, "short_of_it": short, "holds": holds}))
    return holds


def look(folder: Path) -> tuple[str, list[Found], str]:
    """Findings on one table as it is, or the error."""
    with tempfile.TemporaryDirectory() as store:
        try:
            return folder.name, assess(folder / "train.csv.gz", Path(store), TARGET, []), ""
        except Exception:
            return folder.name, [], traceback.format_exc(limit=-2)


def as_is(pool: ProcessPoolExecutor, folders: list[Path]) -> bool:
    blocking, warned, errors = [], Counter(), []
    for name, found, error in pool.map(look, folders):
        errors += [f"{name}: {error}"] if error else []
        blocks = [one for one in found if one.severity == "block"]
        print(f"{name:<30}{len(blocks):>3} blocking {len(found) - len(blocks):>4} others  {error}")
        for one in blocks:
            print(f"    {one.code} {', '.join(one.columns)}: {one.says}")
            blocking.append({"table": name, "code": one.code, "columns": list(one.columns), "says": one.says})
        warned.update({one.code for one in found})
    print("tables that report a code: " + ", ".join(f"{code} {count}" for code, count in warned.most_common()))
    holds = None if blocking else not errors  # whether a block is upheld, a person decides
    print(json.dumps({"tables": len(folders), "blocking": blocking, "errors": errors, "holds": holds}))
    return holds is not False


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--data", help="folder of tables; default $DATA, else ../shared/data/tabular")
    options.add_argument("--tables", type=int, help="how many, in the order of a hash; default 16, all with --as-is")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--strengths", default=",".join(LEVELS))
    options.add_argument("--kinds", default="", help="codes, comma between; default all")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--quick", action="store_true", help="two tables, one seed, medium strength")
    options.add_argument("--verbose", action="store_true", help="list misses and false findings")
    options.add_argument("--as-is", action="store_true", help="plant nothing; list what blocks")
    asked = options.parse_args()
    data = folder_of(asked.data)
    folders = by_hash(data)
    if not folders:
        print(f"no tables (<name>/train.csv.gz with task.json) in {data}: name a folder with --data")
        return 2
    os.environ["OMP_NUM_THREADS"] = os.environ["POLARS_MAX_THREADS"] = "1"
    began = time.perf_counter()
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        if asked.as_is:
            return 0 if as_is(pool, folders[: asked.tables]) else 1
        kinds = asked.kinds.split(",") if asked.kinds else list(KINDS)
        unknown = [name for name in kinds if name not in KINDS]
        if unknown:
            print(f"no kind {', '.join(unknown)}; known: {', '.join(KINDS)}")
            return 2
        levels = ["medium"] if asked.quick else [name for name in LEVELS if name in asked.strengths.split(",")]
        count = QUICK_TABLES if asked.quick else asked.tables or 16
        folders = [folder for folder in folders if large_enough(folder)][:count]
        facts = list(pool.map(facts_of, folders))
        plan = assign(facts, 1 if asked.quick else asked.seeds, kinds)
        places = {folder.name: folder for folder in folders}
        jobs = [(places[table], seed, chosen, levels) for (table, seed), chosen in plan.items()]
        results = list(pool.map(examine, jobs))
    return 0 if report(results, levels, kinds, asked.verbose, time.perf_counter() - began) else 1


if __name__ == "__main__":
    raise SystemExit(main())
