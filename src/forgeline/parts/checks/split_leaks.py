"""Splits that tear apart what belongs together: rows of one entity on both sides, or later rows beside earlier ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from forgeline.engine import giveaway
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.group", "leak.time")

if TYPE_CHECKING:
    import polars as pl

    from forgeline.engine.probe import Probe
    from forgeline.engine.structure import Structure

round = 1
needs = ("target",)


@dataclass(frozen=True)
class Gap:
    """What a random split would claim, and what holds for other entities or later rows."""

    random: float
    honest: float
    inflation: float
    error: float
    """Standard error of the inflation, were there none."""
    spread: float = 0.0
    """Its standard error over stretches of time, which may differ beyond that."""

    def numbers(self, share: float = 1.0) -> dict[str, float]:
        """For a finding; `share` of the rows to be judged is flattered."""
        reach = 2 * max(self.error, self.spread)
        low, high = self.inflation - reach, self.inflation + reach
        scaled = {"inflation": self.inflation, "low": low, "high": high}
        return {name: share * number for name, number in scaled.items()} | {
            "random": self.random,
            "honest": self.honest,
        }


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_sure: float = 0.8,
    least_inflation: float = 0.01,
    least_shared: float = 0.05,
    most_rows: int = 6_000,
    folds: int = 5,
    cuts: int = 3,
) -> Iterator[Finding]:
    """`leak.group` and `leak.time`: by how much a random split flatters, since the rows have structure.

    A note where the split in force goes by the structure, or by the other one of two. It blocks where the split does
    not, the structure is at least `least_sure`, and the inflation is `least_inflation` or more and beyond twice
    its standard error; it warns where that is not sure, or cannot be measured, and leaves a note where it is less.
    Where a test file was given, at least `least_shared` of its rows must be of entities, or of moments, that the
    training rows have. Of structure that is less sure, or only shows in the target, which no split follows unasked,
    it warns where the inflation is as large and sure as that.
    """
    found, probe = table.structure, table.probe
    if found is None or probe is None or len(probe.y_P) < 100:
        return
    seen = [
        ("leak.group", found.group or table.group, found.group_sure, table.group),
        ("leak.time", found.time or table.time, found.time_sure, table.time),
    ]
    for code, column, sure, split in seen:
        if not column or column not in probe.names:
            continue
        gap, share = gap_of(probe, code, column, most_rows, folds, cuts), shared(table, code, column)
        followed = split == column if table.test is None else share < least_shared
        followed = followed or (table.test is None and bool(table.group or table.time))
        if followed and gap is not None:
            yield noted(code, column, gap, split == column, table.test is not None)
        elif not followed and (sure >= least_sure or table.test is not None):
            yield torn(code, column, gap, share, table, weight(gap, share, least_inflation))
        elif not followed and weight(gap, share, least_inflation) == "block":
            yield torn(code, column, gap, share, table, "warn")
    asked = {column for _, column, _, _ in seen}
    for code, column in shown(table, probe, found):
        if column in asked or column not in probe.names or (table.test is None and (table.group or table.time)):
            continue
        gap, share = gap_of(probe, code, column, most_rows, folds, cuts), shared(table, code, column)
        if share >= least_shared and weight(gap, share, least_inflation) == "block":
            yield torn(code, column, gap, share, table, "warn")


def weight(gap: Gap | None, share: float, least_inflation: float) -> Literal["block", "warn", "note"]:
    """Whether it is large and sure, large or unknown, or small."""
    if gap is None:
        return "warn"
    if gap.inflation * share < least_inflation:
        return "note"
    return "block" if gap.inflation > 2 * gap.error else "warn"


def shown(table: View, probe: Probe, found: Structure) -> list[tuple[str, str]]:
    """The strongest entity and the strongest time that only show in the target, each with its code."""
    from forgeline.engine import alike

    shows = alike.shows(table.train_cells, probe, found)
    return [("leak.group", one.name) for one in shows.groups[:1]] + [("leak.time", one.name) for one in shows.times[:1]]


def gap_of(probe: Probe, code: str, column: str, most_rows: int, folds: int, cuts: int) -> Gap | None:
    """Scores of quick models on the same number of rows, with a random split and with an honest one."""
    from forgeline.engine.time_order import moments

    draw = probe.seed.child("split leaks", code, column).generator()
    if code == "leak.group":
        code_P = probe.cells.codes(column).astype(np.int64)
        rows_S = entities_drawn(code_P, most_rows, draw)
        return grouped(probe, column, rows_S, code_P[rows_S], folds, draw)
    moment_P = moments(probe.cells, column)
    known = np.flatnonzero(~np.isnan(moment_P))
    rows_S = np.sort(draw.permutation(known)[:most_rows])
    return timed(probe, rows_S[np.argsort(moment_P[rows_S], kind="stable")], moment_P, cuts, draw)


def entities_drawn(code_P: np.ndarray, most_rows: int, draw: np.random.Generator) -> np.ndarray:
    """Rows of whole entities, until there are enough of them; a row without an entity is one by itself."""
    code_P = np.where(code_P < 0, code_P.max(initial=0) + 1 + np.arange(len(code_P)), code_P)
    order_E = draw.permutation(int(code_P.max(initial=0)) + 1)
    rank_P = order_E[code_P]
    by_rank = np.argsort(rank_P, kind="stable")
    if len(by_rank) <= most_rows:
        return np.sort(by_rank)
    whole = np.flatnonzero(rank_P < rank_P[by_rank[most_rows]])
    return whole if len(whole) else np.sort(by_rank[:most_rows])


def grouped(
    probe: Probe,
    column: str,
    rows_S: np.ndarray,
    code_S: np.ndarray,
    folds: int,
    draw: np.random.Generator,
    *,
    deals: int = 2,
) -> Gap | None:
    """Random folds beside folds of whole entities.

    The name of an entity that was not seen in training is no level of a model: its place among all names, which
    goes by how many rows it has, must not be told either.
    """
    entity_S = np.where(code_S < 0, code_S.max(initial=0) + 1 + np.arange(len(code_S)), code_S)
    names, place_S = np.unique(entity_S, return_inverse=True)
    if len(names) < 8:
        return None
    folds = min(folds, len(names) // 2)
    known = [name for name in probe.names if name != column or not probe.is_category(name)]
    gaps = []
    for _ in range(deals):  # what holds for large entities hangs on which of them are held out together
        deal_E = draw.permutation(len(names))
        honest_SK = probe.crossed(known, rows_S, deal_E[place_S] % folds).p_SK
        random_SK = probe.crossed(probe.names, rows_S, draw.permutation(len(rows_S)) % folds).p_SK
        gaps.append(paired(probe, rows_S, random_SK, honest_SK, deal_E[place_S] // folds))
    both = [one for one in gaps if one is not None]
    if len(both) < deals:
        return None
    random, honest, error = (float(np.mean([getattr(one, at) for one in both])) for at in ("random", "honest", "error"))
    return Gap(random, honest, random - honest, error)


def paired(
    probe: Probe, rows_S: np.ndarray, random_SK: np.ndarray, honest_SK: np.ndarray, deal_S: np.ndarray, blocks: int = 20
) -> Gap | None:
    """Both answers about the same rows; the error by leaving out a block of entities at a time (jackknife)."""
    y_S = probe.y_P[rows_S]
    random, honest = probe.score(random_SK, y_S), probe.score(honest_SK, y_S)
    without = []
    for block in range(blocks):
        kept = deal_S % blocks != block
        if kept.any() and not kept.all():
            without.append(probe.score(random_SK[kept], y_S[kept]) - probe.score(honest_SK[kept], y_S[kept]))
    count = len(without)
    if count < 2 or not np.isfinite([random, honest, *without]).all():
        return None
    error = ((count - 1) * np.var(without)) ** 0.5
    return Gap(random, honest, random - honest, float(error))


def timed(probe: Probe, rows_S: np.ndarray, moment_P: np.ndarray, cuts: int, draw: np.random.Generator) -> Gap | None:
    """Models of the rows before a moment, asked about the rows after it, beside as many rows drawn at random.

    The cuts leave the last fifths of the rows to be judged, each time the next fifth; more of them where that has
    one class only.
    """
    pairs = []
    for cut in range(max(1, 5 - cuts), 5):
        first, last = stretch(probe, rows_S, moment_P, cut)
        if first >= last or first < 50 or last - first < 20:
            continue
        mixed = draw.permutation(rows_S[:last])
        pair = held(probe, mixed[:first], mixed[first:]), held(probe, rows_S[:first], rows_S[first:last])
        pairs += [pair] if np.isfinite(pair).all() else []
    if len(pairs) < 2:
        return None
    random, honest, random_error, honest_error = (
        np.array([score for score, _ in side] if part == 0 else [error for _, error in side])
        for part in (0, 1)
        for side in zip(*pairs, strict=True)
    )
    # Were the rows in no order, scores would differ by the luck of the rows alone.
    error = float(np.sqrt((random_error**2 + honest_error**2).sum()) / len(pairs))
    spread = float((random - honest).std(ddof=1) / np.sqrt(len(pairs)))
    claimed, true = float(random.mean()), float(honest.mean())
    return Gap(claimed, true, claimed - true, error, spread)


def stretch(
    probe: Probe, rows_S: np.ndarray, moment_P: np.ndarray, cut: int, *, least_rows: int = 10
) -> tuple[int, int]:
    """Where a fifth of the rows in time begins, and where it ends, or a later one, once two classes are in it."""
    moment_S = moment_P[rows_S]
    ends = [int(np.searchsorted(moment_S, moment_S[len(rows_S) * at // 5 - 1], "right")) for at in range(cut, 6)]
    for last in ends[1:]:
        if probe.task == "regression":
            break
        rows_K = np.bincount(probe.y_P[rows_S[ends[0] : last]])
        if (rows_K >= least_rows).sum() > 1:
            break
    return ends[0], last


def held(probe: Probe, train: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    """The score of one model on rows it has not seen, and its standard error."""
    if probe.task != "regression" and len(np.unique(probe.y_P[train])) < 2:
        return float("nan"), float("nan")
    model = probe.fit(probe.names, probe.matrix(probe.names, train), probe.y_P[train])
    p_NK, y_N = model.predict(probe.matrix(probe.names, test)), probe.y_P[test]
    if probe.task == "regression":
        error = float(probe.losses(p_NK, y_N).std() * probe.y_P.var() / (y_N.var() or 1.0) / len(y_N) ** 0.5)
    else:
        error = float(np.sqrt((giveaway.influence(p_NK, y_N)[1] ** 2).sum()))
    return probe.score(p_NK, y_N), error


def shared(table: View, code: str, column: str) -> float:
    """Share of a test file's rows that are of training entities, or of moments the training rows reach.

    1 without a test file: a split that ignores the structure mixes all.
    """
    from forgeline.engine.cells import Cells
    from forgeline.engine.time_order import moments

    if table.test is None:
        return 1.0
    if code == "leak.group":
        seen = table.train[column].drop_nulls().unique().implode()
        return float(table.test[column].is_in(seen).fill_null(False).mean() or 0.0)  # type: ignore[arg-type]  # a share
    both = table.train.select(column).vstack(table.test.select(column))
    moment_N = moments(Cells(both), column)
    train_N, test_N = moment_N[: table.train.height], moment_N[table.train.height :]
    if np.isnan(train_N).all() or not len(test_N):
        return 0.0
    return float((test_N < np.nanmax(train_N)).mean())


def torn(
    code: str, column: str, gap: Gap | None, share: float, table: View, severity: Literal["block", "warn", "note"]
) -> Finding:
    """The split in force, or the test file, tears the structure apart."""
    what = "entities" if code == "leak.group" else "moments"
    if table.test is None:
        where = f"the split ignores {column}"
    elif code == "leak.group":
        where = f"{share:.0%} of the test file's rows are of {what} of {column} that the training rows have"
    else:
        where = f"{share:.0%} of the test file's rows are from before the last training row by {column}"
    fix = Fix(do="split", columns=[column], says=f'[split] by = "{column}"')
    return Finding(
        code=code,
        severity=severity,
        says=f"{where}: {flattered(code, gap, share, table)}",
        columns=[column],
        numbers=gap.numbers(share) if gap else {},
        fix=fix,
    )


def flattered(code: str, gap: Gap | None, share: float, table: View) -> str:
    """By how much the score is too good, and how that is known."""
    if gap is None:
        rows = "other entities" if code == "leak.group" else "later rows"
        return f"the score may be flattered; by how much cannot be measured, for too few {rows} are of each class"
    metric = "R²" if table.task == "regression" else "AUC"
    low, high = (gap.numbers(share)[name] for name in ("low", "high"))
    flat = (
        "hardly flattered"
        if gap.inflation * share < 0.001
        else f"flattered by about {gap.inflation * share:.3f} {metric}"
    )
    return f"the score is {flat} [{low:.3f}, {high:.3f}] ({compared(code, gap)})"


def noted(code: str, column: str, gap: Gap, followed: bool, file: bool) -> Finding:
    """What a random split would have shown."""
    way = f"the split follows {column}" if followed else f"the split takes care of what {column} tells apart"
    way = f"the rows of the test file decide, and hardly any shares what {column} tells apart" if file else way
    says = f"{way}: {compared(code, gap)}"
    return Finding(code=code, severity="note", says=says, columns=[column], numbers=gap.numbers())


def compared(code: str, gap: Gap) -> str:
    """Both scores side by side."""
    on = "entities it has not seen" if code == "leak.group" else "later rows"
    return f"a quick model has {gap.random:.3f} with a random split, {gap.honest:.3f} on {on}"
