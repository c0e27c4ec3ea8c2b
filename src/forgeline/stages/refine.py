"""refine: mend what was found, then impute, encode and filter; everything fitted sees training rows only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from forgeline import developing, mending, models, partition, pretrained, recipes, records, review, spec
from forgeline.engine import arrays as tables
from forgeline.engine import encode, split, words
from forgeline.errors import BadInput, choices
from forgeline.recipes import Material, Verdict
from forgeline.records import Finding, Input, Kind, Number, Step, Table

if TYPE_CHECKING:
    import polars as pl

    from forgeline.engine.encode import Recipe
    from forgeline.workspace import Workspace

FOLDS = ((100_000, 5), (400_000, 3))
"""Folds up to this many training rows; 2 beyond."""
SEEN_FOLDS = ((5_000, 3), (10**12, 2))
"""Where networks see raw columns, which takes long: of many rows half are enough for each, and both train at once."""


@dataclass
class Sheet:
    """The training rows on their way, and what was done to them."""

    frame: pl.DataFrame
    ids: np.ndarray
    """Snapshot row of each training row."""
    target: str = ""
    dropped: dict[str, str] = field(default_factory=dict)
    markers: dict[str, list[str]] = field(default_factory=dict)
    spellings: dict[str, dict[str, str]] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def did(
        self, verb: str, columns: Sequence[str], says: str, rows: str = "none", ids: np.ndarray | None = None
    ) -> None:
        """Note a step and the rows it saw."""
        count = 0 if ids is None else len(ids)
        digest = "" if ids is None else hashlib.sha256(ids.astype(np.int64).tobytes()).hexdigest()
        self.steps.append(
            Step(verb=verb, columns=list(columns), says=says, rows=rows, row_count=count, row_digest=digest)
        )


def refine(
    ask: spec.Refine, snapshot: records.Snapshot, assessment: records.Assessment, work: Workspace
) -> records.Refinement:
    """The training rows as arrays, their folds, and a fitted recipe for each fold and for all rows.

    Errors: BadInput when a fix is named that this stage cannot apply, or no column is left.
    """
    facts = snapshot.facts
    encoder = pretrained.find(ask.encoder, work.base) if ask.encoder else None
    sealed = work.array(assessment.facts.split)
    ids = np.flatnonzero(sealed == 0)
    frame = work.frame(facts.digest)
    sheet = Sheet(frame[ids], ids, facts.target, kinds={column.name: column.kind for column in facts.columns})
    leave_out(sheet, ask, snapshot, assessment)
    apply_fixes(sheet, ask, assessment, work)
    blank = [one.name for one in facts.columns if one.kind == "image" and sheet.frame[one.name].drop_nulls().is_empty()]
    sheet.dropped |= dict.fromkeys(blank, "no row has a picture")
    y_N, weight_N = models.target_of(sheet.frame, snapshot), models.weights_of(sheet.frame, snapshot)
    inputs = [
        column for column in facts.columns if column.name in sheet.frame.columns and column.name not in sheet.dropped
    ]
    shown = {
        each.name: developing.develop(sheet.frame[each.name], facts.digest, work)
        for each in inputs
        if each.kind == "image"
    }
    arrays = tables.from_frame(sheet.frame, [(each.name, sheet.kinds[each.name]) for each in inputs], shown)
    arrays = replace(arrays, texts=words.lengths(arrays))
    read = pretrained.read(encoder, arrays, work) if encoder and arrays.texts else None
    if encoder and not arrays.texts:
        says = f"no column holds free text (many texts of four words and more), so {ask.encoder} reads nothing"
        sheet.findings.append(Finding(code="spec.encoder_unused", severity="warn", says=says))
    if read:
        arrays = replace(arrays, tokens=read.tokens, embedded=read.embedded)
    names = [each.name for each in inputs]
    fold_N = folds_of(sheet.frame, y_N, names, snapshot, assessment, long=bool(shown or read))
    table = [work.put(data, name) for name, data in tables.save(arrays).items()]
    table += [work.put_array(y_N, "target.npy"), work.put_array(sheet.ids, "ids.npy")]
    table += [] if weight_N is None else [work.put_array(weight_N, "weight.npy")]
    table += read.files if read else []
    assert facts.task is not None
    material = Material(arrays, y_N, fold_N, facts.task, table, work)
    chosen, filter_, pairs = fit_recipes(sheet, material)
    return record(sheet, material, chosen, filter_, pairs, snapshot, read.facts if read else None)


# ---------------------------------------------------------------- what is mended


def leave_out(sheet: Sheet, ask: spec.Refine, snapshot: records.Snapshot, assessment: records.Assessment) -> None:
    """Columns that are no features, whatever is in them."""
    facts = snapshot.facts
    reasons = (
        {facts.target: "the target"} | {facts.weight: "the weight"} | dict.fromkeys(facts.keep, "kept beside the rows")
    )
    if not ask.use_protected:
        reasons |= dict.fromkeys(assessment.facts.protected, "protected, and use_protected is false")
    sheet.dropped |= {name: why for name, why in reasons.items() if name}


def apply_fixes(sheet: Sheet, ask: spec.Refine, assessment: records.Assessment, work: Workspace) -> None:
    """Apply the fixes that [refine] apply and the review allow; a blocking finding's only when it is named.

    Rows that the review decides on by themselves are left to what it says of them.
    """
    named = {ask.apply} if isinstance(ask.apply, str) else set(ask.apply)
    by_row = mending.rows_of(work.get(ref)) if (ref := assessment.facts.review) else review.by_row([])
    decided = {(each.code, *each.columns): each.decision for each in assessment.facts.decided}
    for finding in assessment.findings:
        fix, word = finding.fix, decided.get((finding.code, *finding.columns))
        if fix is None or word == "keep":
            continue
        by_name = finding.code in named or word == "apply"
        if by_name and not fix.by_line:
            raise BadInput(
                f"the fix of {finding.code} ({fix.do}) is not one that refine can apply",
                where="[refine] apply",
                remedy="Leave the code out.",
            )
        if by_name or ("safe" in named and fix.safe and finding.severity != "block"):
            apply_fix(sheet, finding, review.of_finding(by_row, finding), work)
    if ref:
        apply_rows(sheet, by_row, ref.name)
    found = {finding.code for finding in assessment.findings}
    for code in sorted(named - found - {"safe", "none"}):
        says = f"[refine] apply names {code}, which was not found here. {choices(code, found)}".strip()
        sheet.findings.append(Finding(code="spec.apply_unused", severity="warn", says=says))


def apply_fix(sheet: Sheet, finding: Finding, alone: np.ndarray, work: Workspace) -> None:
    """One fix, in place, noted as a step; rows and cells of the rows `alone` are not touched."""
    import polars as pl

    fix = finding.fix
    assert fix is not None
    here = [name for name in fix.columns if name in sheet.frame.columns]
    if fix.do == "drop":
        sheet.dropped |= dict.fromkeys(here, f"{finding.code}: {finding.says}")
    elif fix.do == "cast" and fix.to:
        sheet.kinds |= dict.fromkeys(here, fix.to)
    elif fix.do == "missing":
        for name in here:
            sheet.markers[name] = [*sheet.markers.get(name, []), *fix.markers]
    elif fix.do == "map":
        for name in here:
            sheet.spellings[name] = sheet.spellings.get(name, {}) | fix.values
    elif fix.do in ("drop_rows", "relabel") and finding.rows and finding.rows.ref:
        named = mending.rows_of(work.get(finding.rows.ref))
        mend_rows(sheet, fix.do, named.filter(~pl.col("row").is_in(alone)))
    sheet.frame = mending.mended_but(sheet.frame, fix, np.isin(sheet.ids, alone))
    but = f"; {len(alone)} rows as the review says" if len(alone) else ""
    sheet.did(fix.do, here, f"{finding.code}: {fix.says or finding.says}{but}")


def mend_rows(sheet: Sheet, do: str, named: pl.DataFrame) -> None:
    """Leave rows out, or give them the label suggested; a row whose label nobody knows better is left out."""
    import polars as pl

    if do == "relabel" and "value" in named.columns and sheet.target:
        better = named.filter(pl.col("value").is_not_null() & (pl.col("value") != ""))
        rows, values = better["row"].to_numpy(), better["value"].to_list()
        labels = mending.relabelled(sheet.frame[sheet.target], sheet.ids, rows, values)
        sheet.frame = sheet.frame.with_columns(labels.alias(sheet.target))
        named = named.filter(~pl.col("row").is_in(rows))
    sheet.frame, sheet.ids = mending.without_rows(sheet.frame, sheet.ids, named["row"].to_numpy())


def apply_rows(sheet: Sheet, decided: pl.DataFrame, name: str) -> None:
    """What a review says of single rows: a label, no row, or no value in the finding's columns."""
    import json

    import polars as pl

    changed = decided.filter(pl.col("do") != "keep")
    for (do, columns), some_rows in changed.group_by("do", "columns", maintain_order=True):
        here = [each for each in json.loads(str(columns)) if each in sheet.frame.columns and each != sheet.target]
        if do == "missing":
            gone = pl.Series(np.isin(sheet.ids, some_rows["row"].to_numpy()))
            sheet.frame = sheet.frame.with_columns(sheet.frame[each].set(gone, None) for each in here)
        else:
            mend_rows(sheet, str(do), some_rows)
        sheet.did(str(do), here, f"{some_rows.height} rows, as {name} says")


# ---------------------------------------------------------------- folds


def fold_count(rows: int, y_N: np.ndarray, task: str | None, most: int = 5) -> int:
    """Folds that rows of this number, and the rarest class that has two rows, allow."""
    wanted = min(most, next((count for limit, count in FOLDS if rows <= limit), 2))
    if task == "regression":
        return min(wanted, rows)
    counts = np.bincount(y_N)
    common = counts[counts > 1]
    return max(2, min(wanted, int(common.min()))) if len(common) else 2


def folds_of(
    frame: pl.DataFrame,
    y_N: np.ndarray,
    columns: list[str],
    snapshot: records.Snapshot,
    assessment: records.Assessment,
    *,
    long: bool,
) -> np.ndarray:
    """uint8 fold of each row, two folds or more: by time, by group, else stratified with equal rows together.

    `long`: whether models will be networks that see pictures or texts.

    Errors: BadInput when there are too few rows to learn from.
    """
    facts = assessment.facts
    seen = len(y_N) if long else 0
    most = next(count for limit, count in SEEN_FOLDS if seen <= limit) if seen else FOLDS[0][1]
    count = fold_count(len(y_N), y_N, snapshot.facts.task, most)
    classes = len(np.unique(y_N))
    if len(y_N) < 4 or classes < 2:
        raise BadInput(
            f"{len(y_N)} training rows with {classes} different targets are too few to learn from",
            where=snapshot.facts.target,
            remedy="Add rows, or lower [split] share.",
        )
    if facts.time:
        moments = partition.moments_of(frame[facts.time])
        fold_N = split.blocks(moments.fill_null(moments.min()).to_numpy(), count)
        return several(fold_N, f"share one moment of {facts.time}")
    keys = split.unit_keys(frame, columns, facts.group)
    strata = (
        y_N
        if snapshot.facts.task != "regression"
        else np.searchsorted(np.quantile(y_N, np.linspace(0, 1, 11)[1:-1]), y_N)
    )
    return several(split.folds(keys, strata, count), f"share one {facts.group}" if facts.group else "are equal")


def several(fold_N: np.ndarray, alike: str) -> np.ndarray:
    """The folds, when there are at least two to learn from each other. Errors: BadInput saying what the rows share."""
    if fold_N.max() == 0:
        raise BadInput(
            f"all training rows {alike}, so no part of them can judge a model of the rest",
            where="[split]",
            remedy="Add rows or columns that differ, or split by another column.",
        )
    return fold_N


# ---------------------------------------------------------------- recipes


def fit_recipes(sheet: Sheet, material: Material) -> tuple[list[Recipe], Verdict, Verdict]:
    """A recipe for each fold's training rows, then one for all; what was decided of the filter and of pairs of numbers.

    Errors: BadInput when no column carries anything to learn from.
    """
    plain, filtered = recipes.fitted(material)
    for (name, rows_N), recipe in zip(material.views, plain, strict=True):
        sheet.did("impute and encode", recipe.columns, f"{len(recipe.features)} features", name, sheet.ids[rows_N])
    if not plain[-1].columns and not material.arrays.texts:
        raise BadInput(
            "no column varies, so there is nothing to learn from",
            remedy="Add columns that differ between rows.",
        )
    filter_ = recipes.judge_filter(material, plain, filtered)
    for (name, rows_N), recipe in zip(material.views, filter_.recipes, strict=True):
        gone = [column for column in plain[-1].columns if column not in recipe.columns]
        sheet.did("filter by mutual information", gone, filter_.why, name, sheet.ids[rows_N])
    used = {name for recipe in filter_.recipes for name in recipe.columns} | set(material.arrays.texts)
    for name in sorted(set(material.arrays.columns) - used):
        said_nothing = filter_.kept and name in plain[-1].columns
        sheet.dropped[name] = "no mutual information with the target" if said_nothing else "it does not vary enough"
    pairs = recipes.judge_pairs(material, filter_.recipes, filter_.losses_F)
    for (name, rows_N), recipe in zip(material.views, pairs.recipes, strict=True) if pairs.why else ():
        named = [pair.name for pair in recipe.pairs]
        sheet.did("sums, differences, products and ratios", named, pairs.why, name, sheet.ids[rows_N])
    return pairs.recipes, filter_, pairs


# ---------------------------------------------------------------- the record


def record(
    sheet: Sheet,
    material: Material,
    chosen: list[Recipe],
    filter_: Verdict,
    pairs: Verdict,
    snapshot: records.Snapshot,
    encoder: records.Encoder | None,
) -> records.Refinement:
    """What refine gives."""
    facts = snapshot.facts
    last, work = chosen[-1], material.work
    used = {name for recipe in chosen for name in recipe.columns} | set(material.arrays.texts)
    dtypes = {column.name: column.dtype for column in facts.columns}
    shapes = {piece.column: [piece.height, piece.width, piece.channels] for piece in last.pictures}
    inputs = [
        Input(
            name=name,
            kind=sheet.kinds[name],
            dtype=dtypes[name],
            missing=sheet.markers.get(name, []),
            map=sheet.spellings.get(name, {}),
            shape=shapes.get(name, []),
        )
        for name in material.arrays.columns
        if name in used
    ]
    return records.Refinement(
        facts=records.RefinementFacts(
            inputs=inputs,
            classes=models.class_order(snapshot),
            table=material.table,
            folds=work.put_array(material.fold_N, "folds.npy"),
            fold_count=material.fold_count,
            recipes=[work.put(encode.encode(recipe), "recipe.json") for recipe in chosen],
            steps=sheet.steps,
            dropped=dict(sheet.dropped),
            filter_kept=filter_.kept,
            filter_why=filter_.why,
            features=len(last.features),
            flags=last.flags,
            rows=len(sheet.ids),
            plain=last.plain,
            texts=material.arrays.texts,
            tokens=dict(zip(material.arrays.texts, material.arrays.lengths)),
            encoder=encoder,
        ),
        numbers={
            "features": Number(value=len(last.features), unit="features"),
            "inputs": Number(value=len(inputs), unit="columns"),
            **filter_.numbers,
            **pairs.numbers,
        },
        findings=sheet.findings,
        tables=[steps_table(sheet.steps), dropped_table(sheet.dropped)],
    )


def steps_table(steps: list[Step]) -> Table:
    """Every step with the rows it saw."""
    rows: list[list[str | float | int | bool | None]] = [
        [step.verb, some(step.columns), step.rows, step.row_count, step.says] for step in steps
    ]
    return Table(title="Steps", columns=["step", "columns", "fitted on", "rows", "what"], rows=rows)


def dropped_table(dropped: dict[str, str]) -> Table:
    """Columns that are no inputs."""
    return Table(
        title="Columns left out", columns=["column", "why"], rows=[[name, why] for name, why in dropped.items()]
    )


def some(names: list[str], most: int = 8) -> str:
    """The first names, and how many more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
