"""assess: seal the test rows, then say what is wrong with the data and what it is worth.

Sealing comes first. Facts that need no fit may look at every row; whatever is fitted sees training rows only.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
import polars as pl
import polars.selectors as cs

from forgeline import mending, models, partition, records, remediation, review, spec
from forgeline.engine import groups, identities, profile, schema, snapshots, stats, structure, tables
from forgeline.engine import split as sealing
from forgeline.engine.cells import Cells
from forgeline.engine.ledger import Ledger, of_table
from forgeline.engine.probe import Probe, sample
from forgeline.engine.seeds import Seed
from forgeline.errors import BadInput
from forgeline.kinds import View, label_text, ordered
from forgeline.partition import Partition
from forgeline.records import Decided, Finding, Histogram, Number, Remedy, Rows, Table
from forgeline.remediation import NO_TIME, Queue
from forgeline.review import Decision

if TYPE_CHECKING:
    from forgeline.engine.groups import Impact, Summary
    from forgeline.workspace import Workspace

ODD = (
    *("quality.mixed_type", "quality.infinite", "quality.unparsable", "quality.spelling", "quality.outlier"),
    *("quality.scale", "quality.date", "quality.dependency"),
)
"""Findings of cells that do not fit their column: as many as `numbers` says in `cells`, else one for each row."""
HIDDEN = ("quality.hidden_missing",)
DOUBLED = ("quality.duplicate", "quality.contradiction")
Cell = str | float | int | bool | None
F = TypeVar("F")

SEVERITIES = ("block", "warn", "note")
MOST_ROWS = 1_000_000
"""Rows that checks read; of more a sample of so many, on which a share is known within ± 0.1 points (95 %)."""
MOST_COLUMNS = 200
"""Columns shown in the profile; all of them are in the snapshot's record."""
MOST_HISTOGRAMS = 12
UNDRAWN = ("date", "image")
"""Kinds of columns that no histogram is drawn of."""
DULL = ("quality.constant", "quality.identifier")
"""Findings whose columns are not drawn."""
NEEDS = {
    "target": "no target was named",
    "test": "no test file was given",
    "ledger": "no fit ledger was given (fl.ledger writes one)",
    "protected": "no protected attribute was named",
}
"""What a check may need besides the rows, and what is said when it is not there."""
ONLY_PICTURES = "all features are pictures, which the quick models do not read"
ACROSS = ("leak.duplicate", "leak.near_duplicate", "leak.group", "leak.time", "leak.sampling")
"""Leaks between training rows and a test file: they make a score on that file too good."""
ROUNDS = (0, 1, 2, 3)
"""Checks without a fit, then fitted ones, then those that read what the others found, last of all label errors."""
LOOK_SHARE = 0.25
"""Share of a time limit after which no fitted check begins, and no fix is tried any more."""


def assess(
    ask: spec.Assess, split: spec.Split, refine: spec.Refine, snapshot: records.Snapshot, work: Workspace
) -> records.Assessment:
    """The sealed split, every check's findings in the order of what mending them gains, and what the data is worth.

    Errors: BadInput when the split, a protected column, a check or a review names what is not there, or when
    nothing is left to learn from.
    """
    facts = snapshot.facts
    decisions = review.read(work.base / ask.review, ask.review) if ask.review else []
    looked = look(ask, split, facts, work)
    view, target, parted = looked.view, looked.target, looked.parted
    review.possible(decisions, parted.side_N, ask.review)
    review.check_labels(decisions, target, facts.classes, ask.review)
    names, not_applicable, found = run_checks(ask, view, target, work)
    found = sorted([*snapshot.findings, *(unscored(each, facts) for each in found)], key=rank)
    review.settled(decisions, found, ask.review)
    found += [*unused(ask, found), *review.unused(decisions, found, ask.review), *hurried(not_applicable)]
    no_queue = why_no_queue(view, work)
    queue = None if no_queue else tried(view, found, looked, work)
    found = with_gains(found, queue)
    signed = accepted(ask, found, decisions)
    told = groups_of(view, target)
    personal = records.personal_columns(found)
    return records.Assessment(
        facts=records.AssessmentFacts(
            split=work.put(npy(parted.side_N), "split.npy"),
            **partition.sides(parted, split, facts),
            **partition.sealed(parted, split, facts),
            protected=ask.protected,
            checks=names,
            rows_read=view.all.height,
            accepted=signed,
            queue=remedies(found, queue),
            decided=[decided(each) for each in decisions if each.row is None],
            review=work.put(parquet(review.by_row(decisions)), "review.parquet") if decisions else None,
            not_applicable=not_applicable,
            table_schema=work.put(msgspec.json.encode(schema.infer(view.train, cells=view.train_cells)), "schema.json"),
        ),
        numbers=score(queue, no_queue)
        | quality(view, found, not_applicable)
        | counts(refine, found, signed, decisions)
        | row_counts(parted, split, facts)
        | ratios(told),
        findings=found,
        tables=[columns_table(view, personal), *map(rates_table, told)],
        histograms=histograms(view, target, found, personal),
    )


def unscored(finding: Finding, facts: records.SnapshotFacts) -> Finding:
    """The finding, no longer blocking where it speaks of a test file without labels: no score comes of that file."""
    if finding.severity != "block" or finding.code not in ACROSS or facts.test_digest is None or facts.test_labelled:
        return finding
    says = f"{finding.says} The file has no labels, so no score is made of it and nothing is blocked."
    return msgspec.structs.replace(finding, severity="warn", says=says)


def groups_of(view: View, target: pl.Series | None) -> list[Summary]:
    """Rows and base rates of the groups of each protected attribute, and of each two at once; training rows."""
    outcomes = {} if target is None else groups.outcomes(target, view.positive, view.classes)
    return groups.summary(view.train_cells, view.protected, outcomes) if view.protected else []


def npy(array: np.ndarray) -> bytes:
    """The array as a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def parquet(frame: pl.DataFrame) -> bytes:
    """The frame as a Parquet file."""
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


# ---------------------------------------------------------------- checks and findings


@dataclass(frozen=True)
class Looked:
    """What is looked at."""

    view: View
    target: pl.Series | None
    """Of the view's training rows."""
    parted: Partition
    ids_N: np.ndarray
    """Snapshot row of each row of the view."""


def look(ask: spec.Assess, split: spec.Split, facts: records.SnapshotFacts, work: Workspace) -> Looked:
    """What checks may look at, the target's training rows, and the sealed split.

    Of more than MOST_ROWS rows an even, seeded sample is looked at; the split is of all rows.

    Errors: BadInput for a protected column that is no feature, and what `partition.part` refuses.
    """
    names = partition.features(facts)
    known = set(names)
    for name in ask.protected:
        if name not in known:
            raise BadInput(f"no feature column {name}", where="[assess] protected", asked=name, known=known)
    table = work.rows(facts.digest)
    ids_N = sample(table.rows, MOST_ROWS, Seed(0).child("assess"))
    looked = table.take(ids_N)
    every = looked.select(names)
    cells = Cells(every)
    found = found_structure(facts, looked, every, cells)
    parted = partition.part(split, facts, table, found)
    learns = pl.Series(parted.learns_N[ids_N])
    train = every if learns.all() else every.filter(learns)
    target = looked[facts.target].filter(learns) if facts.target else None
    outputs = given_outputs(ask.probabilities, facts, table.rows, work) if ask.probabilities else None
    view = View(
        all=every,
        train=train,
        train_ids=np.flatnonzero(learns.to_numpy()),
        columns={column.name: column for column in facts.columns if column.name in known},
        task=facts.task,
        target_name=facts.target,
        classes=facts.classes,
        positive=facts.positive,
        protected=ask.protected,
        keep_rows=lambda rows, scores, values=None: keep_rows(ids_N[rows], scores, values, work),
        cells=cells,
        train_cells=cells if train is every else Cells(train),
        probe=None
        if target is None or not readable(train).width
        else probe_of(readable(train), target, facts, units(looked.filter(learns), names, parted.group)),
        group=parted.group,
        time=parted.time,
        structure=found,
        schema=frozen(ask.schema, schema.Schema, work) if ask.schema else None,
        ledger=of_table(frozen(ask.ledger, Ledger, work), table.rows, ask.ledger) if ask.ledger else None,
        base=work.source_folder,
        test=work.frame(facts.test_digest).select(names) if facts.test_digest else None,
        pictures=partial(snapshots.pictures, work.snapshots, facts.digest),
        probabilities=outputs[ids_N][learns.to_numpy()] if outputs is not None else None,
    )
    return Looked(view, target, parted, ids_N)


def found_structure(
    facts: records.SnapshotFacts, frame: pl.DataFrame, every: pl.DataFrame, cells: Cells
) -> structure.Structure:
    """Entities and order among the features and the kept identifiers; neither the target nor pictures are looked at."""
    told = readable(every)
    if not facts.keep and told is every:
        return structure.find(every, cells)
    wide = frame.select(*told.columns, *facts.keep)
    return structure.find(wide, Cells(wide))


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame without columns of pictures, which quick models do not read; the same where there are none."""
    return frame.drop(cs.binary()) if pl.Binary in frame.dtypes else frame


def units(train: pl.DataFrame, names: list[str], group: str) -> np.ndarray | None:
    """A key of the group of each training row; None where rows stand for themselves."""
    return sealing.unit_keys(train, names, group) if group else None


def probe_of(train: pl.DataFrame, target: pl.Series, facts: records.SnapshotFacts, unit_N: np.ndarray | None) -> Probe:
    """Quick models over the training rows, fitted when a check first asks."""
    outputs = len(facts.classes) or 1
    return Probe(train, models.target_array(target, facts), str(facts.task), outputs, unit_N=unit_N)


def frozen(file: str, kind: type[F], work: Workspace) -> F:
    """A schema or ledger that was written before. Errors: BadInput."""
    try:
        return msgspec.json.decode(tables.file_bytes(work.base / file), type=kind)
    except msgspec.DecodeError as error:
        what = f"the file is no {kind.__name__.lower()} of forgeline ({error})"
        raise BadInput(what, where=file, remedy="Give one that forgeline wrote.") from None


def given_outputs(file: str, facts: records.SnapshotFacts, rows: int, work: Workspace) -> np.ndarray:
    """A user's own model's outputs for every row, float64 [N, classes] or [N, 1]. Errors: BadInput."""
    table = tables.read(tables.find(file, work.base), facts.missing).frame
    wanted = [label_text(label) for label in ordered(facts)] or ["prediction"]
    columns = [f"probability_{label}" if f"probability_{label}" in table.columns else label for label in wanted]
    for name in columns:
        if name not in table.columns:
            raise BadInput(f"no column {name}", where=file, asked=name, known=table.columns)
    if table.height != rows:
        says = f"{table.height:,} rows of outputs for {rows:,} rows of data"
        raise BadInput(says, where=file, remedy="Give one row of outputs for each row of the data, in the same order.")
    wide = table.select(pl.col(name).cast(pl.Float64, strict=False) for name in columns)
    for name in columns:
        finite = wide[name].is_finite().fill_null(False)
        if not finite.all():
            odd = (~finite).arg_max()
            where = f"{file}, row {odd} (counted from 0)"
            raise BadInput(f"{name} holds no number", where=where, remedy="Mend the cell.")
    outputs = np.asarray(wide.to_numpy())
    return probabilities(outputs, columns, file) if facts.classes else outputs


def probabilities(outputs_NK: np.ndarray, columns: list[str], file: str, *, most_off: float = 0.01) -> np.ndarray:
    """The outputs, once every row is of probabilities that sum to 1, give or take `most_off`. Errors: BadInput."""
    rounding = 1e-6  # what float32 may add
    outside_NK = (outputs_NK < -rounding) | (outputs_NK > 1 + rounding)
    sum_N = outputs_NK.sum(axis=1)
    odd_N = outside_NK.any(axis=1) | (np.abs(sum_N - 1) > most_off + rounding)
    if odd_N.any():
        row = int(odd_N.argmax())
        place = int(outside_NK[row].argmax())
        what = f"the probabilities sum to {sum_N[row]:.6g}, not to 1"
        if outside_NK[row].any():
            what = f"{columns[place]} is {outputs_NK[row, place]:.6g}, which is no probability"
        where = f"{file}, row {row} (counted from 0)"
        remedy = "Give probabilities from 0 to 1, one column a class, that sum to 1 in each row."
        raise BadInput(what, where=where, remedy=remedy)
    return np.asarray(np.clip(outputs_NK, 0.0, 1.0))


def keep_rows(
    rows: Sequence[int] | np.ndarray,
    scores: Sequence[float] | np.ndarray,
    values: Sequence[str] | None,
    work: Workspace,
) -> Rows:
    """Row numbers of the snapshot, their scores and suggested labels, as a Parquet file of the run."""
    columns = {"row": np.asarray(rows, np.int64), "score": np.asarray(scores, np.float64)}
    frame = pl.DataFrame(columns)
    if values is not None:
        frame = frame.with_columns(pl.Series("value", values, dtype=pl.String))
    return Rows(count=len(rows), ref=work.put(parquet(frame), "rows.parquet"))


def rows_of(rows: Rows, ids_N: np.ndarray, work: Workspace) -> pl.DataFrame:
    """The rows that a finding names, as places in the view."""
    assert rows.ref is not None
    named = mending.rows_of(work.get(rows.ref))
    return named.with_columns(row=pl.Series(np.searchsorted(ids_N, named["row"].to_numpy())))


def run_checks(
    ask: spec.Assess, view: View, target: pl.Series | None, work: Workspace
) -> tuple[list[str], dict[str, str], list[Finding]]:
    """Names of the checks that ran, why the others could not, and what was found, round by round.

    Under a short time budget the fitted checks that have not begun in time are left out. Errors: BadInput for an
    unknown check or option.
    """
    catalog = work.catalog
    options = {part.get("use"): catalog.check_options("checks", part, "[[assess.checks]]") for part in ask.checks}
    checks = {name: catalog.load("checks", name) for name in catalog.names("checks")}
    lacks = {name: lacking(check, view) for name, check in checks.items()}
    found: list[Finding] = []
    for number in ROUNDS:
        seen = replace(view, found=tuple(found))
        for name in (name for name, check in checks.items() if getattr(check, "round", 0) == number):
            if number > 0 and not lacks[name] and not work.affords(name, stage="assess", share=LOOK_SHARE):
                lacks[name] = NO_TIME
            if not lacks[name]:
                found += checks[name].check(seen, target, **options.get(name, {}))
    return [name for name in checks if not lacks[name]], {name: why for name, why in lacks.items() if why}, found


def lacking(check: Any, view: View) -> str:
    """Why a check cannot judge: the first thing it `needs` that is not there; empty when it can."""
    there = {
        "target": view.probe is not None,
        "test": view.test is not None,
        "ledger": view.ledger is not None,
        "protected": bool(view.protected),
    }
    lacks = next((need for need in getattr(check, "needs", ()) if not there[need]), "")
    return ONLY_PICTURES if lacks == "target" and view.target_name else NEEDS.get(lacks, "")


def hurried(not_applicable: dict[str, str]) -> list[Finding]:
    """A warning that names the checks that a time budget was too short for."""
    names = [name for name, why in not_applicable.items() if why == NO_TIME]
    says = f"{NO_TIME} for {len(names)} fitted checks: {', '.join(names)}. Nothing is known of what they look for"
    return [Finding(code="spec.time", severity="warn", says=says)] if names else []


def rank(finding: Finding) -> tuple[int, str, list[str]]:
    """Where a finding stands: blocking ones first, then by code and columns."""
    return SEVERITIES.index(finding.severity), finding.code, finding.columns


def covers(accept: spec.Accept, finding: Finding) -> bool:
    """Whether someone has signed for a finding: its code and, where columns are named, all of its columns."""
    return accept.code == finding.code and (not accept.columns or set(finding.columns) <= set(accept.columns))


def accepted(ask: spec.Assess, found: list[Finding], decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """Who signed for which finding, and why: in the spec, or in a review."""
    kept = {each.key: each for each in decisions if each.row is None and each.decision == "keep" and each.by}
    signed = [(one, accept.by, accept.reason) for one in found for accept in ask.accept if covers(accept, one)]
    signed += [(one, each.by, each.reason) for one in found if (each := kept.get(finding_key(one)))]
    return [{"code": one.code, "columns": one.columns, "by": by, "reason": reason} for one, by, reason in signed]


def finding_key(finding: Finding) -> tuple[str, tuple[str, ...]]:
    """What a decision names a finding by."""
    return finding.code, tuple(finding.columns)


def decided(decision: Decision) -> Decided:
    """A decision about a whole finding, for the record."""
    word: Any = decision.decision
    return Decided(code=decision.code, columns=decision.columns, decision=word, by=decision.by, reason=decision.reason)


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


def with_gains(found: list[Finding], queue: Queue | None) -> list[Finding]:
    """The findings with what mending each is expected to gain."""
    gains = queue.gains if queue else {}
    return [
        msgspec.structs.replace(one, numbers=one.numbers | {"gain": gains[at].value}) if at in gains else one
        for at, one in enumerate(found)
    ]


def remedies(found: list[Finding], queue: Queue | None) -> list[Remedy]:
    """The queue, for the record."""
    return [
        Remedy(
            finding=at,
            code=found[at].code,
            columns=found[at].columns,
            rows=rows.count if (rows := found[at].rows) else 0,
            do=fix.do if (fix := found[at].fix) else "",
            gain=queue.gains[at].value,
            low=queue.gains[at].low,
            high=queue.gains[at].high,
            why=queue.gains[at].why,
        )
        for at in (queue.order if queue else [])
        if queue
    ]


def why_no_queue(view: View, work: Workspace) -> str:
    """Why fixes are not tried; empty when they are."""
    if view.probe is None:
        return ONLY_PICTURES if view.target_name else "no target was named, so nothing can be gained or lost"
    return "" if work.affords("the remediation queue", stage="assess", share=LOOK_SHARE) else NO_TIME


def tried(view: View, found: list[Finding], looked: Looked, work: Workspace) -> Queue:
    """The remediation queue, of as many trials as a time budget allows."""
    return remediation.queue(
        view,
        found,
        lambda rows: rows_of(rows, looked.ids_N, work),
        may_try=lambda number: work.affords(f"trial {number + 1} of a fix", stage="assess", share=LOOK_SHARE),
    )


def score(queue: Queue | None, no_queue: str) -> dict[str, Number]:
    """`quality.score`: 1 − (gain of the whole queue) ÷ (skill over the constant predictor after fixing)."""
    if queue is None:
        return {"quality.score": Number(value=None, why=no_queue)}
    if queue.skill.low <= 0:
        why = "no quick model of these columns does measurably better than the constant predictor"
        why += ", so there is no skill to lose"
        return {"quality.score": Number(value=None, why=why)}
    whole, rows = queue.whole, queue.rows
    value, low, high = (
        min(1.0, max(0.0, 1 - gain / queue.skill.value)) for gain in (whole.value, whole.high, whole.low)
    )
    return {
        "quality.score": Number(value=value, low=low, high=high, level=0.95, unit="share of the skill", n=rows),
        "quality.gain": Number(value=whole.value, low=whole.low, high=whole.high, level=0.95, unit="loss", n=rows),
    }


def quality(view: View, found: list[Finding], not_applicable: dict[str, str]) -> dict[str, Number]:
    """Completeness, consistency and label fidelity, 0 to 1, with Wilson intervals.

    Completeness: features' cells that are not missing, hidden markers counted as missing. Consistency: the share of
    rows that repeat or contradict no other, times that of columns that vary, times that of cells that fit their
    column. Label fidelity: the share of labels that are right, as far as a model of the columns can tell.
    """
    rows, columns = view.all.height, max(view.all.width, 1)
    cells = rows * columns
    missing = sum(view.cells.missing(name) for name in view.cells.names) + cells_of(found, HIDDEN)
    repeats = sum(one.numbers.get("beyond_chance", one.rows.count) for one in found if one.code in DOUBLED and one.rows)
    constant = sum(len(one.columns) for one in found if one.code == "quality.constant")
    odd = cells_of(found, ODD)
    consistent = max(0.0, 1 - repeats / rows) * (1 - constant / columns) * max(0.0, 1 - odd / cells)
    return {
        "quality.completeness": share(max(0, cells - missing), cells),
        "quality.consistency": share(consistent * cells, cells),
        "quality.label_fidelity": fidelity(view, found, not_applicable.get("label_error", "")),
    }


def cells_of(found: list[Finding], codes: Sequence[str]) -> float:
    """How many cells the findings of some codes name."""
    return sum(
        one.numbers.get("cells", one.rows.count * max(1, len(one.columns)) if one.rows else 0)
        for one in found
        if one.code in codes
    )


def fidelity(view: View, found: list[Finding], unjudged: str) -> Number:
    """The share of labels that are right, by `label.error`; where it found nothing, none of those judged is wrong."""
    if view.probe is None or unjudged:
        return Number(value=None, why=unjudged or (ONLY_PICTURES if view.target_name else "no target was named"))
    wrong = next((one.numbers for one in found if one.code == "label.error" and "share" in one.numbers), None)
    judged = len(view.probe.rows_P)
    if wrong is None:
        return share(judged, judged, "share of labels")
    low, high = 1 - wrong.get("high", wrong["share"]), 1 - wrong.get("low", wrong["share"])
    return Number(value=1 - wrong["share"], low=low, high=high, level=0.95, unit="share of labels", n=judged)


def row_counts(parted: Partition, split: spec.Split, facts: records.SnapshotFacts) -> dict[str, Number]:
    """`rows.train` and `rows.test`."""
    there = partition.sides(parted, split, facts)
    return {f"rows.{side}": Number(value=there[f"{side}_rows"], unit="rows") for side in ("train", "test")}


def share(part: float, of: int, unit: str = "share of cells") -> Number:
    """A share with its interval."""
    low, high = stats.wilson(part, of)
    return Number(value=part / of, low=low, high=high, level=0.95, unit=unit, n=of)


def counts(
    refine: spec.Refine, found: list[Finding], signed: list[dict[str, Any]], decisions: Sequence[Decision]
) -> dict[str, Number]:
    """Findings by severity; blocking ones that are accepted, or whose fix is asked for, do not count."""
    named = refine.apply if isinstance(refine.apply, list) else []
    to_apply = review.by_finding(decisions, "apply")
    open_blocks = [
        finding
        for finding in found
        if finding.severity == "block"
        and not any((each["code"], each["columns"]) == (finding.code, finding.columns) for each in signed)
        and not (finding.fix and (finding.code in named or finding_key(finding) in to_apply))
    ]
    tally = {severity: sum(finding.severity == severity for finding in found) for severity in ("warn", "note")}
    return {
        "findings.blocking": Number(value=len(open_blocks), unit="findings"),
        "findings.warn": Number(value=tally["warn"], unit="findings"),
        "findings.note": Number(value=tally["note"], unit="findings"),
    }


def ratios(told: list[Summary]) -> dict[str, Number]:
    """`bias.<attribute>.disparate_impact` of single attributes: lowest base rate over highest, training rows."""
    impacts = [one.impact for one in told if one.impact and len(one.columns) == 1]
    return {f"bias.{impact.attribute}.disparate_impact": ratio(impact) for impact in impacts}


def ratio(impact: Impact) -> Number:
    """The ratio with its interval, or why there is none."""
    rows = sum(group.rows for group in impact.groups)
    if np.isnan(impact.ratio):
        why = f"{len(impact.groups)} group(s) of {groups.LEAST_ROWS} training rows or more"
        return Number(value=None, n=rows, why=why if len(impact.groups) < 2 else f"no row has {impact.outcome}")
    return Number(value=impact.ratio, low=impact.low, high=impact.high, level=impact.level, unit="ratio", n=rows)


# ---------------------------------------------------------------- shapes


def columns_table(view: View, personal: Collection[str]) -> Table:
    """One line a column: what it holds; of personal data no value is shown."""
    rows: list[list[Cell]] = []
    for name in view.all.columns[:MOST_COLUMNS]:
        column = view.columns[name]
        missing = view.cells.missing(name) / view.all.height
        shown = profile.Summary() if name in personal else masked(profile.summary(view.train[name]), name)
        rows.append([name, column.kind, missing, column.distinct, *shown])
    hidden = view.all.width - len(rows)
    more = f" {hidden:,} more columns are not shown." if hidden else ""
    return Table(
        title="Columns",
        columns=["column", "kind", "missing", "distinct", "least", "median", "most", "commonest"],
        rows=rows,
        note=f"Missing and distinct: every row. The rest: training rows, finite values.{more}",
    )


def masked(figures: profile.Summary, name: str) -> list[Cell]:
    """The figures of one column; of a value that is personal what it is."""
    ends: list[Cell] = [identities.personal(value, name) or value for value in figures[:3]]
    if figures.commonest is None:
        return [*ends, None]
    level, _, share = figures.commonest.rpartition(" (")
    return [*ends, f"{identities.personal(level, name) or level} ({share}"]


def rates_table(told: Summary) -> Table:
    """Rows and base rate of each group, the lowest first; groups too small to judge last, without figures."""
    rows: list[list[Cell]] = [
        [one.group, one.rows, one.rate, one.low, one.high, one.ratio, one.difference, not one.refused]
        for one in told.lines
    ]
    return Table(
        title=f"{told.attribute}: how often {told.outcome}" if told.outcome else f"{told.attribute}: rows",
        columns=["group", "rows", "base rate", "low", "high", "ratio to highest", "difference to highest", "judged"],
        rows=rows,
        note=f"Training rows; 95% intervals. Groups of fewer than {groups.LEAST_ROWS} rows are not judged.",
    )


def histograms(
    view: View, target: pl.Series | None, found: list[Finding], personal: Collection[str]
) -> list[Histogram]:
    """The target, then the first columns that say something and are not personal, over training rows."""
    dull = {name for finding in found if finding.code in DULL for name in finding.columns} | set(personal)
    names = [name for name in view.train.columns if name not in dull and view.columns[name].kind not in UNDRAWN]
    drawn = [histogram(view.train[name], name) for name in names[:MOST_HISTOGRAMS]]
    if target is not None:
        drawn.insert(0, histogram(target, f"Target: {target.name}", view.classes, of_classes=bool(view.classes)))
    return [one for one in drawn if one.counts]


def histogram(
    values: pl.Series, title: str, order: Sequence[profile.Label] = (), of_classes: bool = False
) -> Histogram:
    """Bars of a column: of equal bins for numbers, of levels for categories and classes."""
    if values.dtype.is_numeric() and not of_classes:
        edges, counts = profile.bars(not_personal(values))
        return Histogram(title=title, counts=counts, edges=edges)
    levels, counts = profile.levels(values, order)
    bars: dict[str, float] = {}
    for level, kind, count in zip(levels, identities.kinds(levels, values.name), counts, strict=True):
        shown = f"({kind})" if kind else level
        bars[shown] = bars.get(shown, 0.0) + count
    return Histogram(title=title, counts=[*bars.values()], levels=[*bars])


def not_personal(numbers: pl.Series, *, most_large: int = 500) -> pl.Series:
    """Numbers whose least and most may be shown; none where they are too many to tell which are personal."""
    finite = profile.finite(numbers)
    if not any(identities.personal(end, numbers.name) for end in (finite.min(), finite.max())):
        return numbers
    large = finite.filter(finite >= identities.LEAST_NUMBER).unique()
    if len(large) > most_large:
        return numbers.clear()
    kinds = identities.kinds([identities.whole(one) for one in large], numbers.name, text=False)
    return finite.filter(~finite.is_in(large.filter(list(map(bool, kinds))).implode()))
