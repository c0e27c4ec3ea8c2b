"""assess: seal the test rows, then say what is wrong with the data and what it is worth.

Sealing comes first. Facts that need no fit may look at every row; whatever is fitted sees training rows only.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from forgeline import models, records, spec
from forgeline.engine import groups, profile, stats
from forgeline.engine import split as sealing
from forgeline.engine.cells import Cells
from forgeline.engine.probe import Probe
from forgeline.errors import BadInput
from forgeline.kinds import View
from forgeline.records import Finding, Histogram, Number, Rows, Table

if TYPE_CHECKING:
    from forgeline.engine.groups import Impact
    from forgeline.workspace import Workspace

ODD = ("quality.mixed_type", "quality.infinite", "quality.unparsable")
"""Findings that count `cells` which do not fit their column."""
Cell = str | float | int | bool | None

SEVERITIES = ("block", "warn", "note")
MOST_COLUMNS = 200
"""Columns shown in the profile; all of them are in the snapshot's record."""
MOST_HISTOGRAMS = 12
DULL = ("quality.constant", "quality.identifier")
"""Findings whose columns are not drawn."""
LEAST_TEST_ROWS = 2
ROUNDS = (0, 1, 2)
"""Checks without a fit, then fitted ones, then those that read what the others found."""


def assess(
    ask: spec.Assess, split: spec.Split, refine: spec.Refine, snapshot: records.Snapshot, work: Workspace
) -> records.Assessment:
    """The sealed split, every check's findings, and the numbers of the data's quality.

    Errors: BadInput when the split, a protected column or a check names what is not there, or when nothing is
    left to learn from.
    """
    facts = snapshot.facts
    frame = work.frame(facts.digest)
    side_N = seal(split, facts, frame)
    target = frame[facts.target].filter(side_N == sealing.TRAIN) if facts.target else None
    view = look(ask, facts, frame, side_N, target, work)
    names, found = run_checks(ask, view, target, work)
    found = [*snapshot.findings, *found]
    found = sorted([*found, *unused(ask, found)], key=rank)
    outcomes = {} if target is None else groups.outcomes(target, facts.positive, facts.classes)
    impacts = groups.impacts(view.train, ask.protected, outcomes) if outcomes else []
    return records.Assessment(
        facts=records.AssessmentFacts(
            split=work.put(npy(side_N), "split.npy"),
            **sides(split, facts, side_N),
            **sealed(split, facts, side_N),
            protected=ask.protected,
            checks=names,
            accepted=accepted(ask, found),
        ),
        numbers=quality(view, found) | counts(ask, refine, found) | row_counts(split, facts, side_N) | ratios(impacts),
        findings=found,
        tables=[columns_table(view), *(rates_table(impact) for impact in impacts)],
        histograms=histograms(view, target, found),
    )


# ---------------------------------------------------------------- the sealed split


def seal(split: spec.Split, facts: records.SnapshotFacts, frame: pl.DataFrame) -> np.ndarray:
    """Which rows learn (0), which are sealed (1) and which are left out for want of a target (2), uint8 [N].

    Errors: BadInput when `by` is no column, or the training rows have nothing to tell apart.
    """
    known = [column.name for column in facts.columns if column.name != facts.target]
    if split.by and split.by not in known:
        what = "the target cannot decide the split" if split.by == facts.target else f"no column {split.by}"
        raise BadInput(what, where="[split] by", asked=split.by, known=known)
    side_N = np.zeros(frame.height, np.uint8)
    if not split.file:
        side_N = sealing.holdout(frame, features(facts), split.share, split.by, kind_of(split.by, facts))
    if facts.target:
        side_N[frame[facts.target].is_null().to_numpy()] = sealing.LEFT_OUT
        check_training_rows(frame[facts.target].filter(side_N == sealing.TRAIN), split, facts)
    return side_N


def check_training_rows(target: pl.Series, split: spec.Split, facts: records.SnapshotFacts) -> None:
    """Raise BadInput where sealing leaves one class, or no row at all, to learn from."""
    if len(target) == 0 or (facts.classes and target.n_unique() == 1):
        left = f"only {target.name} = {target[0]}" if len(target) else "no row"
        raise BadInput(
            f"the split leaves {left} to learn from",
            where="[split]",
            remedy=f"Choose another column than {split.by} for `by`."
            if split.by
            else "Add rows, or set another share.",
        )


def features(facts: records.SnapshotFacts) -> list[str]:
    """Columns a model may read: not the target, the weight or kept identifiers."""
    aside = {facts.target, facts.weight, *facts.keep}
    return [column.name for column in facts.columns if column.name not in aside]


def kind_of(name: str, facts: records.SnapshotFacts) -> str:
    """A column's kind; empty for no column."""
    return next((column.kind for column in facts.columns if column.name == name), "")


def sides(split: spec.Split, facts: records.SnapshotFacts, side_N: np.ndarray) -> dict[str, Any]:
    """How rows were sealed, by which column, and how many there are on each side."""
    by_time = kind_of(split.by, facts) == "date"
    return {
        "split_how": split_how(split, facts),
        "train_rows": int((side_N == sealing.TRAIN).sum()),
        "test_rows": facts.test_rows if split.file else int((side_N == sealing.TEST).sum()),
        "group": "" if by_time else split.by,
        "time": split.by if by_time else "",
    }


def split_how(split: spec.Split, facts: records.SnapshotFacts) -> str:
    """How rows were sealed, in a sentence."""
    if split.file:
        return f"the test is {split.file}; nothing is set aside"
    if kind_of(split.by, facts) == "date":
        return f"the last {split.share:.0%} of the rows by {split.by}"
    if split.by:
        return f"{split.share:.0%} of the groups of {split.by}, by a hash of their name"
    return f"{split.share:.0%} of the rows, by a hash of their features: equal rows stay together"


def sealed(split: spec.Split, facts: records.SnapshotFacts, side_N: np.ndarray) -> dict[str, Any]:
    """`test_digest`, the identity of the sealed rows, or `test_why` there is none."""
    if split.file:
        why = "" if facts.test_labelled else "the test file has no labels"
        return {"test_digest": facts.test_digest if facts.test_labelled else None, "test_why": why}
    if not facts.target:
        return {"test_digest": None, "test_why": "no target was named"}
    rows = np.flatnonzero(side_N == sealing.TEST)
    if len(rows) < LEAST_TEST_ROWS:
        return {
            "test_digest": None,
            "test_why": f"the split sealed {len(rows)} of {len(side_N):,} rows: too few",
        }
    identity = hashlib.sha256(facts.digest.encode() + rows.astype("<i8").tobytes())
    return {"test_digest": identity.hexdigest(), "test_why": ""}


def npy(array: np.ndarray) -> bytes:
    """The array as a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


# ---------------------------------------------------------------- checks and findings


def look(
    ask: spec.Assess,
    facts: records.SnapshotFacts,
    frame: pl.DataFrame,
    side_N: np.ndarray,
    target: pl.Series | None,
    work: Workspace,
) -> View:
    """What checks may look at. Errors: BadInput for a protected column that is no feature."""
    names = features(facts)
    known = set(names)
    for name in ask.protected:
        if name not in known:
            raise BadInput(f"no feature column {name}", where="[assess] protected", asked=name, known=known)
    learns = side_N == sealing.TRAIN
    every = frame.select(names)
    train = every if learns.all() else every.filter(learns)
    cells = Cells(every)
    return View(
        all=every,
        train=train,
        train_ids=np.flatnonzero(learns),
        columns={column.name: column for column in facts.columns if column.name in known},
        task=facts.task,
        target_name=facts.target,
        classes=facts.classes,
        positive=facts.positive,
        protected=ask.protected,
        keep_rows=lambda rows, scores: keep_rows(rows, scores, work),
        cells=cells,
        train_cells=cells if train is every else Cells(train),
        probe=None if target is None else probe_of(train, target, facts),
        test=work.frame(facts.test_digest).select(names) if facts.test_digest else None,
    )


def probe_of(train: pl.DataFrame, target: pl.Series, facts: records.SnapshotFacts) -> Probe:
    """Quick models over the training rows, fitted when a check first asks."""
    return Probe(train, models.target_array(target, facts), str(facts.task), len(facts.classes) or 1)


def keep_rows(rows: Sequence[int] | np.ndarray, scores: Sequence[float] | np.ndarray, work: Workspace) -> Rows:
    """Row numbers of the snapshot and their scores, as a Parquet file of the run."""
    columns = {"row": np.asarray(rows, np.int64), "score": np.asarray(scores, np.float64)}
    file = io.BytesIO()
    pl.DataFrame(columns).write_parquet(file)
    return Rows(count=len(rows), ref=work.put(file.getvalue(), "rows.parquet"))


def run_checks(
    ask: spec.Assess, view: View, target: pl.Series | None, work: Workspace
) -> tuple[list[str], list[Finding]]:
    """Names of the checks that ran, and what they found, round by round.

    Errors: BadInput for an unknown check or option.
    """
    catalog = work.catalog
    options = {part.get("use"): catalog.check_options("checks", part, "[[assess.checks]]") for part in ask.checks}
    checks = {name: catalog.load("checks", name) for name in catalog.names("checks")}
    found: list[Finding] = []
    for number in ROUNDS:
        seen = replace(view, found=tuple(found))
        for name, check in checks.items():
            if getattr(check, "round", 0) == number:
                found += check.check(seen, target, **options.get(name, {}))
    return list(checks), found


def rank(finding: Finding) -> tuple[int, str, list[str]]:
    """Where a finding stands: blocking ones first, then by code and columns."""
    return SEVERITIES.index(finding.severity), finding.code, finding.columns


def covers(accept: spec.Accept, finding: Finding) -> bool:
    """Whether someone has signed for a finding: its code and, where columns are named, all of its columns."""
    return accept.code == finding.code and (not accept.columns or set(finding.columns) <= set(accept.columns))


def accepted(ask: spec.Assess, found: list[Finding]) -> list[dict[str, Any]]:
    """Who signed for which finding, and why."""
    return [
        {"code": finding.code, "columns": finding.columns, "by": accept.by, "reason": accept.reason}
        for finding in found
        for accept in ask.accept
        if covers(accept, finding)
    ]


def unused(ask: spec.Assess, found: list[Finding]) -> list[Finding]:
    """A note for each acceptance that nothing was found for."""
    return [
        Finding(
            code="spec.accept_unused",
            severity="note",
            says=f"[[assess.accept]] of {accept.code} by {accept.by}: nothing like it was found",
            columns=accept.columns,
        )
        for accept in ask.accept
        if not any(covers(accept, finding) for finding in found)
    ]


# ---------------------------------------------------------------- numbers


def quality(view: View, found: list[Finding]) -> dict[str, Number]:
    """Completeness and consistency, as shares of the cells of every row's features, with Wilson intervals.

    Completeness: cells that are not missing. Consistency: the share of rows that repeat no earlier one, times
    that of columns that vary, times that of cells that are finite and of their column's kind.
    """
    rows, columns = view.all.height, max(view.all.width, 1)
    cells = rows * columns
    missing = sum(view.all[name].null_count() for name in view.all.columns)
    repeats = sum(finding.rows.count for finding in found if finding.code == "quality.duplicate" and finding.rows)
    constant = sum(len(finding.columns) for finding in found if finding.code == "quality.constant")
    odd = sum(finding.numbers["cells"] for finding in found if finding.code in ODD)
    consistent = (1 - repeats / rows) * (1 - constant / columns) * max(0.0, 1 - odd / cells)
    return {
        "quality.completeness": share(cells - missing, cells),
        "quality.consistency": share(consistent * cells, cells),
    }


def row_counts(split: spec.Split, facts: records.SnapshotFacts, side_N: np.ndarray) -> dict[str, Number]:
    """`rows.train` and `rows.test`."""
    there = sides(split, facts, side_N)
    return {f"rows.{side}": Number(value=there[f"{side}_rows"], unit="rows") for side in ("train", "test")}


def share(part: float, cells: int) -> Number:
    """A share of cells with its interval."""
    low, high = stats.wilson(part, cells)
    return Number(value=part / cells, low=low, high=high, level=0.95, unit="share of cells", n=cells)


def counts(ask: spec.Assess, refine: spec.Refine, found: list[Finding]) -> dict[str, Number]:
    """Findings by severity; blocking ones that are accepted, or whose fix is asked for, do not count."""
    named = refine.apply if isinstance(refine.apply, list) else []
    open_blocks = [
        finding
        for finding in found
        if finding.severity == "block"
        and not any(covers(accept, finding) for accept in ask.accept)
        and not (finding.fix and finding.code in named)
    ]
    tally = {severity: sum(finding.severity == severity for finding in found) for severity in ("warn", "note")}
    return {
        "findings.blocking": Number(value=len(open_blocks), unit="findings"),
        "findings.warn": Number(value=tally["warn"], unit="findings"),
        "findings.note": Number(value=tally["note"], unit="findings"),
    }


def ratios(impacts: list[Impact]) -> dict[str, Number]:
    """`bias.<attribute>.disparate_impact`: lowest base rate over highest, training rows."""
    return {f"bias.{impact.attribute}.disparate_impact": ratio(impact) for impact in impacts}


def ratio(impact: Impact) -> Number:
    """The ratio with its interval, or why there is none."""
    rows = sum(group.rows for group in impact.groups)
    if np.isnan(impact.ratio):
        why = f"{len(impact.groups)} group(s) of {groups.LEAST_ROWS} training rows or more"
        return Number(value=None, n=rows, why=why if len(impact.groups) < 2 else f"no row has {impact.outcome}")
    return Number(value=impact.ratio, low=impact.low, high=impact.high, level=impact.level, unit="ratio", n=rows)


# ---------------------------------------------------------------- shapes


def columns_table(view: View) -> Table:
    """One line a column: what it holds."""
    rows: list[list[Cell]] = []
    for name in view.all.columns[:MOST_COLUMNS]:
        column = view.columns[name]
        missing = view.all[name].null_count() / view.all.height
        rows.append([name, column.kind, missing, column.distinct, *profile.summary(view.train[name])])
    hidden = view.all.width - len(rows)
    more = f" {hidden:,} more columns are not shown." if hidden else ""
    return Table(
        title="Columns",
        columns=["column", "kind", "missing", "distinct", "least", "median", "most", "commonest"],
        rows=rows,
        note=f"Missing and distinct: every row. The rest: training rows, finite values.{more}",
    )


def rates_table(impact: Impact) -> Table:
    """Base rate of each group of a protected attribute, lowest first."""
    top = impact.groups[-1].rate if impact.groups else 0.0
    rows: list[list[Cell]] = []
    for group in impact.groups:
        low, high = stats.wilson(group.positives, group.rows)
        to_top = group.rate / top if top else None
        rows.append([group.name, group.rows, group.rate, low, high, to_top])
    rows += [[group.name, group.rows, None, None, None, None] for group in impact.refused]
    return Table(
        title=f"{impact.attribute}: how often {impact.outcome}",
        columns=["group", "rows", "base rate", "low", "high", "ratio to highest"],
        rows=rows,
        note=f"Training rows; 95% intervals. Groups of fewer than {groups.LEAST_ROWS} rows are not compared.",
    )


def histograms(view: View, target: pl.Series | None, found: list[Finding]) -> list[Histogram]:
    """The target, then the first columns that say something, over training rows."""
    dull = {name for finding in found if finding.code in DULL for name in finding.columns}
    names = [name for name in view.train.columns if name not in dull and view.columns[name].kind != "date"]
    drawn = [histogram(view.train[name], name) for name in names[:MOST_HISTOGRAMS]]
    if target is not None:
        drawn.insert(0, histogram(target, f"Target: {target.name}", view.classes, of_classes=bool(view.classes)))
    return [one for one in drawn if one.counts]


def histogram(
    values: pl.Series, title: str, order: Sequence[profile.Label] = (), of_classes: bool = False
) -> Histogram:
    """Bars of a column: of equal bins for numbers, of levels for categories and classes."""
    if values.dtype.is_numeric() and not of_classes:
        edges, counts = profile.bars(values)
        return Histogram(title=title, counts=counts, edges=edges)
    levels, counts = profile.levels(values, order)
    return Histogram(title=title, counts=counts, levels=levels)
