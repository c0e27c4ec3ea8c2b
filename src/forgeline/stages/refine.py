"""refine: mend what was found, then impute, encode and filter; everything fitted sees training rows only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forgeline import catalog, kinds, mending, models, partition, records, review, spec
from forgeline.engine import arithmetic, encode, ensemble, information, split
from forgeline.engine import arrays as tables
from forgeline.engine.seeds import Seed
from forgeline.engine.workers import Job
from forgeline.errors import BadInput, choices
from forgeline.records import Finding, Input, Kind, Number, Ref, Step, Table

if TYPE_CHECKING:
    import polars as pl

    from forgeline.engine.arrays import Arrays
    from forgeline.engine.encode import Recipe
    from forgeline.workspace import Workspace

FOLDS = ((100_000, 5), (400_000, 3))
"""Folds up to this many training rows; 2 beyond."""


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
    sealed = work.array(assessment.facts.split)
    ids = np.flatnonzero(sealed == 0)
    frame = work.frame(facts.digest)
    sheet = Sheet(frame[ids], ids, facts.target, kinds={column.name: column.kind for column in facts.columns})
    leave_out(sheet, ask, snapshot, assessment)
    apply_fixes(sheet, ask, assessment, work)
    y_N, weight_N = models.target_of(sheet.frame, snapshot), models.weights_of(sheet.frame, snapshot)
    inputs = [
        column for column in facts.columns if column.name in sheet.frame.columns and column.name not in sheet.dropped
    ]
    arrays = tables.from_frame(sheet.frame, [(each.name, sheet.kinds[each.name]) for each in inputs])
    fold_N = folds_of(sheet.frame, y_N, [each.name for each in inputs], snapshot, assessment)
    table = [work.put(data, name) for name, data in tables.save(arrays).items()]
    table += [work.put_array(y_N, "target.npy"), work.put_array(sheet.ids, "ids.npy")]
    table += [] if weight_N is None else [work.put_array(weight_N, "weight.npy")]
    recipes, decision = fit_recipes(sheet, arrays, y_N, fold_N, table, str(facts.task), work)
    return record(sheet, arrays, table, fold_N, recipes, decision, snapshot, work)


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


def fold_count(rows: int, y_N: np.ndarray, task: str | None) -> int:
    """Folds that rows of this number, and the rarest class that has two rows, allow."""
    wanted = next((count for most, count in FOLDS if rows <= most), 2)
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
) -> np.ndarray:
    """uint8 fold of each row, two folds or more: by time, by group, else stratified with equal rows together.

    Errors: BadInput when there are too few rows to learn from.
    """
    facts = assessment.facts
    count = fold_count(len(y_N), y_N, snapshot.facts.task)
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


# ---------------------------------------------------------------- recipes and the filter


@dataclass(frozen=True)
class Decision:
    """Whether the filter stays, and why."""

    kept: bool
    why: str
    numbers: dict[str, Number]
    losses_F: np.ndarray | None = None
    """Of the small model with what was decided, by fold, where it was asked."""


def fit_recipes(
    sheet: Sheet,
    arrays: Arrays,
    y_N: np.ndarray,
    fold_N: np.ndarray,
    table: list[Ref],
    task: str,
    work: Workspace,
) -> tuple[list[Recipe], Decision]:
    """A recipe for each fold's training rows, then one for all; with the filter where it does no harm.

    Errors: BadInput when no column carries anything to learn from.
    """
    everyone = np.arange(len(y_N))
    outputs = 1 if task == "regression" else int(y_N.max()) + 1
    views = [(f"train fold {fold}", np.flatnonzero(fold_N != fold)) for fold in range(fold_N.max() + 1)]
    views += [("train", everyone)]
    plain, filtered = [], []
    for name, rows_N in views:
        target_NY = encode.target_columns(y_N[rows_N], outputs)
        recipe = encode.fit(arrays, rows_N, None, target_NY)
        chosen = information.informative(arrays, rows_N, y_N[rows_N], task)
        plain.append(recipe)
        filtered.append(encode.fit(arrays, rows_N, chosen, target_NY) if chosen else recipe)
        sheet.did("impute and encode", recipe.columns, f"{len(recipe.features)} features", name, sheet.ids[rows_N])
    if not plain[-1].columns:
        raise BadInput(
            "no column varies, so there is nothing to learn from",
            remedy="Add columns that differ between rows.",
        )
    decision = judge_filter(plain, filtered, paths(table, work), fold_N, task, work)
    recipes = filtered if decision.kept else plain
    for (name, rows_N), recipe in zip(views, recipes, strict=True):
        gone = [column for column in plain[-1].columns if column not in recipe.columns]
        sheet.did("filter by mutual information", gone, decision.why, name, sheet.ids[rows_N])
    for name in sorted(set(arrays.columns) - {name for recipe in recipes for name in recipe.columns}):
        said_nothing = decision.kept and name in plain[-1].columns
        sheet.dropped[name] = "no mutual information with the target" if said_nothing else "it does not vary enough"
    pairs = judge_pairs(recipes, decision.losses_F, views, arrays, y_N, paths(table, work), fold_N, task, work)
    for (name, rows_N), recipe in zip(views, pairs.recipes, strict=True) if pairs.why else ():
        named = [pair.name for pair in recipe.pairs]
        sheet.did("sums, differences, products and ratios", named, pairs.why, name, sheet.ids[rows_N])
    return pairs.recipes, Decision(decision.kept, decision.why, decision.numbers | pairs.numbers)


@dataclass(frozen=True)
class Pairs:
    """The recipes with pairs of numbers where they help."""

    recipes: list[Recipe]
    why: str
    """Why they are kept or not; empty where the table is not one to ask about."""
    numbers: dict[str, Number]


def judge_pairs(
    recipes: list[Recipe],
    losses_F: np.ndarray | None,
    views: list[tuple[str, np.ndarray]],
    arrays: Arrays,
    y_N: np.ndarray,
    table: dict[str, str],
    fold_N: np.ndarray,
    task: str,
    work: Workspace,
) -> Pairs:
    """Keep pairs of numbers only if a small model's loss falls, by more than its standard error over the folds.

    `losses_F`: what that model loses without them, where it is known.
    """
    outputs = 1 if task == "regression" else int(y_N.max()) + 1
    numbers = [piece for piece in recipes[-1].numbers if piece.value]
    if outputs > arithmetic.MOST_CLASSES or len(y_N) < arithmetic.LEAST_ROWS or len(numbers) < 2:
        return Pairs(recipes, "", {})
    if not work.affords("pairs of numbers", stage="refine", share=FILTER_SHARE):
        return Pairs(recipes, "not asked: the time budget was too short", {})
    wider = []
    for (_, rows_N), recipe in zip(views, recipes, strict=True):
        target_NY = encode.target_columns(y_N[rows_N], outputs)
        assert target_NY is not None
        wider.append(encode.with_pairs(recipe, arrays, rows_N, target_NY, task))
    if not any(recipe.pairs for recipe in wider):
        return Pairs(recipes, "no pair of numbers tells what the columns do not", {})
    asked = [wider] if losses_F is not None else [recipes, wider]
    losses_RF = quick_losses_of(asked, table, fold_N, task, work)
    before_F, after_F = losses_RF[0] if losses_F is None else losses_F, losses_RF[-1]
    gain_F = before_F - after_F
    error = float(gain_F.std(ddof=1) / np.sqrt(len(gain_F))) if len(gain_F) > 1 else 0.0
    kept = bool(gain_F.mean() > max(error, LEAST_GAIN * before_F.mean()))
    before, after = float(before_F.mean()), float(after_F.mean())
    why = f"{'kept' if kept else 'not kept'}: the cross-validated loss of a small model goes from {before:.5f} to "
    why += f"{after:.5f}, with a standard error of {error:.5f}"
    return Pairs(wider if kept else recipes, why, {"pairs.loss_change": change(before, after, fold_N)})


def judge_filter(
    plain: list[Recipe],
    filtered: list[Recipe],
    table: dict[str, str],
    fold_N: np.ndarray,
    task: str,
    work: Workspace,
) -> Decision:
    """Keep the filter only if the cross-validated score of a small model does not fall without the columns."""
    if all(with_all.columns == fewer.columns for with_all, fewer in zip(plain, filtered, strict=True)):
        return Decision(False, "every column carries information about the target", {})
    if not work.affords("the filter", stage="refine", share=FILTER_SHARE):
        return Decision(False, "not kept: the time budget was too short to judge it", {})
    losses_RF = quick_losses_of([plain, filtered], table, fold_N, task, work)
    before, after = (float(each) for each in losses_RF.mean(axis=1))
    kept = after <= before
    says = "kept" if kept else "not kept"
    why = f"{says}: the cross-validated loss of a small model goes from {before:.5f} to {after:.5f}"
    return Decision(kept, why, {"filter.loss_change": change(before, after, fold_N)}, losses_RF[int(kept)])


def change(before: float, after: float, fold_N: np.ndarray) -> Number:
    """By how much a small model's loss changes, and on how many rows."""
    return Number(value=after - before, n=min(QUICK_ROWS, len(fold_N)))


def quick_losses_of(
    several: list[list[Recipe]],
    table: dict[str, str],
    fold_N: np.ndarray,
    task: str,
    work: Workspace,
) -> np.ndarray:
    """Held-out loss of a small model of each of several recipes without each fold, on a sample [recipes, folds]."""
    picked = np.linspace(0, len(fold_N) - 1, min(QUICK_ROWS, len(fold_N))).astype(int)
    jobs = [
        Job(
            f"quick fold {fold + 1}",
            "forgeline.stages.refine:quick_losses",
            {
                "table": table,
                "recipes": [encode.encode(recipes[fold]) for recipes in several],
                "train_N": picked[fold_N[picked] != fold],
                "held_N": picked[fold_N[picked] == fold],
                "task": task,
                "seed": work.seed.child("refine", "filter"),
            },
        )
        for fold in range(fold_N.max() + 1)
    ]
    outcomes = work.workers.run(jobs, lambda: float("inf"))
    losses = {outcome.job.name: outcome.answer() for outcome in outcomes}
    return np.array([losses[job.name] for job in jobs]).T


def paths(table: list[Ref], work: Workspace) -> dict[str, str]:
    """Where workers find the arrays."""
    return {ref.name: str(work.artefacts.folder / ref.digest) for ref in table}


QUICK_ROWS = 20_000
"""Rows that small models are judged on."""
LEAST_GAIN = 0.001
"""Share of the loss that pairs of numbers must take off at least."""
FILTER_SHARE = 0.4
"""Share of a time limit after which the filter is not judged any more."""
QUICK = {
    **{"trees": 40, "rate": 0.1, "leaves": 15, "columns": 1.0, "rows": 1.0, "least": 20, "penalty": 0.0},
    "extra": False,
}
"""A small boosted forest: what columns are judged with."""


def quick_losses(
    *,
    table: dict[str, str],
    recipes: list[bytes],
    train_N: np.ndarray,
    held_N: np.ndarray,
    task: kinds.Task,
    seed: Seed,
) -> list[float]:
    """In a worker: held-out loss of a small model for each recipe (log loss, or squared error in units of the
    variance)."""
    files = {name: Path(path) for name, path in table.items()}
    arrays = tables.load(files)
    y_N = np.load(files["target.npy"])
    outputs = 1 if task == "regression" else int(y_N.max()) + 1
    weight_N = np.load(files["weight.npy"]) if "weight.npy" in files else None
    train_weight, held_weight = (None if weight_N is None else weight_N[rows] for rows in (train_N, held_N))
    if task == "regression":
        y_N = (y_N - y_N[train_N].mean()) / (y_N[train_N].std() or 1.0)

    def loss(fitted: Recipe) -> float:
        target_NY = encode.target_columns(y_N[train_N], outputs) if fitted.means else None
        x_NF = encode.transform(fitted, arrays, train_N, target_NY)
        shape = kinds.Shape(len(train_N), x_NF.shape[1], task, outputs)
        model = catalog.load("families", "lightgbm").build(shape, QUICK, seed)
        p_NK = model.fit(kinds.TrainRows(x_NF, y_N[train_N], train_weight, shape)).predict(
            encode.transform(fitted, arrays, held_N)
        )
        if task == "regression":
            return float(np.average((p_NK[:, 0] - y_N[held_N]) ** 2, weights=held_weight))
        return ensemble.log_loss(p_NK, y_N[held_N], held_weight)

    return [loss(encode.decode(recipe)) for recipe in recipes]


# ---------------------------------------------------------------- the record


def record(
    sheet: Sheet,
    arrays: Arrays,
    table: list[Ref],
    fold_N: np.ndarray,
    recipes: list[Recipe],
    decision: Decision,
    snapshot: records.Snapshot,
    work: Workspace,
) -> records.Refinement:
    """What refine gives."""
    facts = snapshot.facts
    last = recipes[-1]
    used = {name for recipe in recipes for name in recipe.columns}
    dtypes = {column.name: column.dtype for column in facts.columns}
    inputs = [
        Input(
            name=name,
            kind=sheet.kinds[name],
            dtype=dtypes[name],
            missing=sheet.markers.get(name, []),
            map=sheet.spellings.get(name, {}),
        )
        for name in arrays.columns
        if name in used
    ]
    return records.Refinement(
        facts=records.RefinementFacts(
            inputs=inputs,
            classes=models.class_order(snapshot),
            table=table,
            folds=work.put_array(fold_N, "folds.npy"),
            fold_count=int(fold_N.max()) + 1,
            recipes=[work.put(encode.encode(recipe), "recipe.json") for recipe in recipes],
            steps=sheet.steps,
            dropped=dict(sheet.dropped),
            filter_kept=decision.kept,
            filter_why=decision.why,
            features=len(last.features),
            flags=last.flags,
            rows=len(sheet.ids),
        ),
        numbers={
            "features": Number(value=len(last.features), unit="features"),
            "inputs": Number(value=len(inputs), unit="columns"),
            **decision.numbers,
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
