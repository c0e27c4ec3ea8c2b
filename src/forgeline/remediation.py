"""What each finding costs the model, tried out: the remediation queue and what the quality score is made of.

A trial trains quick models on a sample of the training rows, out of fold, with one defect left in and all others
mended, and asks them about rows that no finding touches: what a deployed model meets. A leaking column tells
nothing once deployed, so its cells are shuffled there. What a fix gains is the loss the defect adds: log loss in
nats, or squared error in units of the target's variance. A trial is noisy, so it is drawn towards what is at
stake (the share of rows it touches × what their columns tell), the more the noisier it is; what is left within one
standard error of nothing counts as nothing.
Shapes: S rows of the sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from forgeline import mending
from forgeline.engine.probe import Probe, sample
from forgeline.engine.seeds import Seed
from forgeline.engine.stats import normal_quantile
from forgeline.engine.threads import side_by_side
from forgeline.kinds import View, label_text, ordered
from forgeline.records import Finding, Rows

LEAK, LABEL = "leak.", "label."
NO_TIME = "the time budget was too short"
"""Why a fix was not tried, a check did not judge, or a number is not known."""


@dataclass(frozen=True)
class Gain:
    """The loss that a fix is expected to take off, with its interval; `why` when it could not be tried."""

    value: float
    low: float
    high: float
    why: str = ""


@dataclass(frozen=True)
class Queue:
    """The findings that can be mended, the largest gain first, and what mending all of them is worth."""

    order: list[int]
    """Places among the findings."""
    gains: dict[int, Gain]
    whole: Gain
    """Of all fixes together."""
    skill: Gain
    """Loss of the constant predictor minus that of a model after fixing, on the same rows."""
    rows: int
    """Rows that the trials read."""


def queue(
    view: View,
    found: Sequence[Finding],
    read: Callable[[Rows], pl.DataFrame],
    *,
    most_rows: int = 4_000,
    may_try: Callable[[int], bool] = lambda number: True,
    most_trials: int = 12,
    doubt: float = 0.5,
) -> Queue:
    """The remediation queue. `read` gives the rows that a finding names; `doubt` is how sure a suspicion is.

    `may_try` says whether there is time for one more trial; after the first for which there is none no more are made.
    """
    assert view.probe is not None
    bench = Bench(view, view.probe, found, read, most_rows)
    stakes = {place: bench.stake(place) for place in bench.mendable}
    wanted = sorted(stakes, key=lambda place: (-stakes[place], place))[:most_trials]
    trials: dict[int, tuple[float, float]] = {}
    for number, place in enumerate(wanted):
        if not may_try(number):
            break
        trials[place] = bench.trial(place)
    gains = {}
    for place in bench.mendable:
        why = NO_TIME if place in wanted else "others have more at stake"
        sure = doubt if suspected(found[place]) else 1.0
        gains[place] = (
            drawn(trials[place], stakes[place], sure) if place in trials else untried(stakes[place], sure, why)
        )
    whole = joined(bench.whole(), [gains[at] for at in gains if suspected(found[at])])
    order = sorted(gains, key=lambda place: (-gains[place].value, -stakes[place], place))
    return Queue(order, gains, whole, bench.skill(), len(bench.rows_S))


def joined(whole: Gain, doubtful: Sequence[Gain]) -> Gain:
    """The gain of all certain fixes together, and what is expected of the doubtful ones besides."""
    low, high = (sum(getattr(one, end) for one in doubtful) for end in ("low", "high"))
    return Gain(whole.value + sum(one.value for one in doubtful), whole.low + low, whole.high + high)


def untried(stake: float, sure: float, why: str) -> Gain:
    """What a fix may gain that was not tried."""
    return Gain(sure * stake / 3, 0.0, sure * 2 * stake, f"not tried: {why}")


def drawn(trial: tuple[float, float], stake: float, sure: float, *, level: float = 0.95) -> Gain:
    """A measured gain (mean, standard error) drawn towards a third of the stake, times how sure the defect is."""
    prior, spread = stake / 3, max(stake, 1e-6)
    mean, error = trial
    weight = spread**2 / (spread**2 + error**2)
    value, error = weight * mean + (1 - weight) * prior, error * math.sqrt(weight)
    reach = normal_quantile(level) * error
    low, high = max(0.0, value - reach), max(0.0, value + reach)
    return Gain(sure * value if value > error else 0.0, sure * low, sure * high)


def suspected(finding: Finding) -> bool:
    """Whether a person has yet to confirm it: a leak that does not block, or labels that only a model doubts."""
    return (finding.code.startswith(LEAK) and finding.severity != "block") or finding.code.startswith(LABEL)


def leaking(finding: Finding) -> bool:
    """Whether the columns of a finding will tell nothing once the model is deployed."""
    return finding.code.startswith(LEAK) and finding.fix is not None and finding.fix.do == "drop"


def mendable(finding: Finding) -> bool:
    """Whether a fix of it can be tried on the table."""
    if finding.code.startswith(("bias.", "privacy.", "structure.", "spec.")):
        return False
    return finding.fix is not None and finding.fix.do not in ("split", "reweigh")


@dataclass
class Bench:
    """A sample of training rows on which fixes are tried."""

    view: View
    probe: Probe
    found: Sequence[Finding]
    read: Callable[[Rows], pl.DataFrame]
    most_rows: int
    kept: dict[tuple[frozenset[int], frozenset[int]], np.ndarray] = field(default_factory=dict)

    @cached_property
    def rows_S(self) -> np.ndarray:
        """Positions of the sample in the probe's pool."""
        picked = self.probe.rows_S
        return np.asarray(picked[sample(len(picked), self.most_rows, Seed(0).child("remediation"))])

    @cached_property
    def ids_S(self) -> np.ndarray:
        """Snapshot row of each row of the sample."""
        return np.asarray(self.view.train_ids[self.probe.rows_P[self.rows_S]])

    @cached_property
    def mendable(self) -> list[int]:
        """Places of the findings whose fix can be tried, of columns that are there."""
        names = {*self.probe.names, self.view.target_name}
        return [at for at, one in enumerate(self.found) if mendable(one) and set(one.columns) <= names]

    @cached_property
    def everything(self) -> frozenset[int]:
        """All of them."""
        return frozenset(self.mendable)

    @cached_property
    def certain(self) -> frozenset[int]:
        """Those that need no person's word: all but suspected leaks."""
        return frozenset(at for at in self.mendable if not suspected(self.found[at]))

    # ------------------------------------------------------------ rows that findings name

    @cached_property
    def touched(self) -> dict[int, np.ndarray]:
        """Finding → which rows of the sample it touches, bool [S]."""
        return {at: self.touched_by(self.found[at]) for at in self.mendable}

    def touched_by(self, finding: Finding) -> np.ndarray:
        """Rows it names, or whose cells its fix changes."""
        if finding.rows is not None and finding.rows.ref is not None:
            return np.isin(self.ids_S, self.named(finding)["row"].to_numpy())
        fix = finding.fix
        if fix is None or fix.do not in ("cast", "map", "missing"):
            return np.zeros(len(self.rows_S), bool)
        before = self.frame.select(name for name in fix.columns if name in self.frame.columns)
        changed_S = np.zeros(len(self.rows_S), bool)
        for series in mending.mended(before, fix):
            same = series.cast(pl.String).eq_missing(before[series.name].cast(pl.String))
            nulled = series.is_null() & before[series.name].is_not_null()
            changed_S |= (nulled if fix.do == "cast" else ~same).to_numpy()
        return changed_S

    def named(self, finding: Finding) -> pl.DataFrame:
        """The rows of a finding."""
        assert finding.rows is not None
        return self.read(finding.rows)

    def coded(self, label: str | None) -> float | int | None:
        """A suggested label as the models know it; None where there is none."""
        if label is None:
            return None
        return float(label) if self.probe.task == "regression" else self.classes.get(label)

    @cached_property
    def classes(self) -> dict[str, int]:
        """Label, as text → class index."""
        return {label_text(label): code for code, label in enumerate(ordered(self.view))}

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The sample as it is."""
        return self.probe.frame.select(self.probe.names)[self.rows_S]

    @cached_property
    def clean_S(self) -> np.ndarray:
        """Rows that no finding touches, on which models are judged; all of them where those are too few."""
        dirty_S = np.zeros(len(self.rows_S), bool)
        for at, touched_S in self.touched.items():
            if at in self.certain and not self.relabels(self.found[at]):
                dirty_S |= touched_S
        return ~dirty_S if (~dirty_S).sum() >= max(100, 0.3 * len(dirty_S)) else np.ones(len(dirty_S), bool)

    def relabels(self, finding: Finding) -> bool:
        """Whether it suggests labels."""
        relabel = finding.fix is not None and finding.fix.do == "relabel" and finding.rows is not None
        return relabel and "value" in self.named(finding).columns

    @cached_property
    def better(self) -> tuple[np.ndarray, np.ndarray]:
        """The label suggested for each row (NaN where none is), and how probable it is that it is the right one."""
        better_S, chance_S = np.full(len(self.rows_S), np.nan), np.zeros(len(self.rows_S))
        place = {int(row): at for at, row in enumerate(self.ids_S)}
        for at in self.mendable:
            if self.relabels(self.found[at]):
                for row, chance, value in self.named(self.found[at]).select("row", "score", "value").iter_rows():
                    label = self.coded(value)
                    if row in place and label is not None:
                        better_S[place[row]], chance_S[place[row]] = label, min(max(chance, 0.0), 1.0)
        return better_S, chance_S

    def judged(self, p_NK: np.ndarray, rows_S: np.ndarray) -> np.ndarray:
        """The loss of answers for some rows; of a doubted label what is expected of it and of the suggested one."""
        truth_N = self.probe.y_P[self.rows_S][rows_S]
        better_N, chance_N = (each_S[rows_S] for each_S in self.better)
        other_N = np.where(np.isnan(better_N), truth_N, better_N).astype(truth_N.dtype)
        given_N, suggested_N = (self.probe.losses(p_NK, label_N) for label_N in (truth_N, other_N))
        return np.asarray((1 - chance_N) * given_N + chance_N * suggested_N)

    def stake(self, place: int) -> float:
        """Share of rows it touches × what its columns tell by themselves; of a leak its inflation."""
        finding = self.found[place]
        constant = float(self.constant_losses(self.probe.y_P).mean())
        if leaking(finding):
            return constant * max(0.1, finding.numbers.get("inflation", 0.2) / (1 - self.probe.floor))
        share = float(self.touched[place].mean())
        if not any(name in self.probe.names for name in finding.columns):
            return constant * share / 2
        told = [max(0.0, self.told(name)) for name in finding.columns if name in self.probe.names]
        return constant * share * max(told, default=0.0)

    def constant_losses(self, y_N: np.ndarray) -> np.ndarray:
        """The loss of each row under the constant predictor."""
        return self.probe.losses(np.tile(self.probe.constant(y_N), (len(y_N), 1)), y_N)

    def told(self, name: str) -> float:
        """What a column tells by itself, 0 to 1."""
        score = self.probe.solo(name).score
        return (score - self.probe.floor) / (1 - self.probe.floor) if score == score else 0.0

    # ------------------------------------------------------------ trials

    def trial(self, place: int) -> tuple[float, float]:
        """(mean, standard error) of the loss that a finding adds while all others are mended."""
        exposed = frozenset({place} if leaking(self.found[place]) else ())
        return paired(self.losses(self.everything - {place}, exposed), self.losses(self.everything))

    def whole(self) -> Gain:
        """The gain of all certain fixes together, over none of them; suspected leaks are out of both."""
        if not self.certain:
            return Gain(0.0, 0.0, 0.0)
        leaks = frozenset(at for at in self.certain if leaking(self.found[at]))
        mean, error = paired(self.losses(self.everything - self.certain, leaks), self.losses(self.everything))
        reach = normal_quantile(0.95) * error
        return Gain(max(0.0, mean), max(0.0, mean - reach), max(0.0, mean + reach))

    def skill(self) -> Gain:
        """What the mended model takes off the constant predictor's loss."""
        mended_S = self.losses(self.everything)
        constant_NK = np.tile(self.probe.constant(self.probe.y_P), (int(self.clean_S.sum()), 1))
        mean, error = paired(self.judged(constant_NK, self.clean_S), mended_S)
        reach = normal_quantile(0.95) * error
        return Gain(mean, mean - reach, mean + reach)

    def losses(self, mended: frozenset[int], exposed: frozenset[int] = frozenset()) -> np.ndarray:
        """Out-of-fold loss of each clean row, of models trained with some findings mended.

        `exposed`: leaks that are left in, and tell nothing when the model is asked.
        """
        if (mended, exposed) not in self.kept:
            self.kept[mended, exposed] = self.asked(State(self, mended, exposed))
        return self.kept[mended, exposed]

    def asked(self, state: State, *, folds: int = 3, trees: int = 40) -> np.ndarray:
        """Models are trained on the rows of a state, and asked about the rows it meets."""
        both = Probe(
            pl.concat([state.train, state.met], how="vertical_relaxed"),
            np.tile(self.probe.y_P[self.rows_S], 2),
            self.probe.task,
            self.probe.outputs,
            most_rows=2 * self.most_rows,
        )
        columns = [name for name in both.names if name not in state.dropped]
        x_NF, count = both.matrix(columns), len(self.rows_S)
        fold_S = self.probe.fold_P[self.rows_S] % folds
        losses_S = np.zeros(count)

        def ask(fold: int) -> None:
            learn_S, held_S = (fold_S != fold) & state.learns_S, (fold_S == fold) & self.clean_S
            if not held_S.any():
                return
            p_NK = np.tile(self.probe.constant(state.y_S[learn_S]), (int(held_S.sum()), 1))
            if columns and learn_S.sum() >= 10 and len(np.unique(state.y_S[learn_S])) > 1:
                model = both.fit(columns, x_NF[:count][learn_S], state.y_S[learn_S], trees=trees)
                p_NK = model.predict(x_NF[count:][held_S])
            losses_S[held_S] = self.judged(p_NK, held_S)

        side_by_side(ask, range(folds))
        return np.asarray(losses_S[self.clean_S])


def paired(one_S: np.ndarray, other_S: np.ndarray) -> tuple[float, float]:
    """Mean difference and its standard error; losses of single rows are cut at their 99.9 % quantile."""
    difference_S = one_S - other_S
    reach = float(np.quantile(np.abs(difference_S), 0.999)) if len(difference_S) else 0.0
    cut_S = np.clip(difference_S, -reach, reach)
    return float(cut_S.mean()), float(cut_S.std() / max(len(cut_S), 1) ** 0.5)


class State:
    """The sample with some findings mended: as models are trained on it, and as they meet it once deployed."""

    def __init__(self, bench: Bench, mended: frozenset[int], exposed: frozenset[int]) -> None:
        self.bench = bench
        self.dropped: set[str] = set()
        self.train = self.met = bench.frame
        self.y_S = bench.probe.y_P[bench.rows_S].copy()
        self.learns_S = np.ones(len(self.y_S), bool)
        for at in bench.mendable:
            self.take(bench.found[at], bench.touched[at], at in mended)
        for name in {name for at in exposed for name in bench.found[at].columns}:
            self.met = self.met.with_columns(shuffled(self.met[name]))

    def take(self, finding: Finding, touched_S: np.ndarray, mended: bool) -> None:
        """One finding, mended or not."""
        fix = finding.fix
        if fix is not None and fix.do == "drop":
            self.dropped |= set(fix.columns) if mended else set()
        elif fix is not None and fix.do in ("cast", "map", "missing"):
            self.met = mending.mended(self.met, fix)
            if mended:
                self.train = mending.mended(self.train, fix)
            elif fix.do == "cast":
                self.met = self.met.with_columns(pl.col(fix.columns).cast(pl.String))
        elif mended:
            self.mend_rows(finding, touched_S)

    def mend_rows(self, finding: Finding, touched_S: np.ndarray) -> None:
        """Rows: their labels replaced, their cells made missing, or the rows left out of training."""
        cells = [name for name in finding.columns if name in self.train.columns]
        if self.bench.relabels(finding):
            self.relabel(touched_S)
        elif not cells:
            self.learns_S &= ~touched_S
        else:
            gone = pl.Series(touched_S)
            self.train = self.train.with_columns(self.train[name].set(gone, None) for name in cells)

    def relabel(self, touched_S: np.ndarray) -> None:
        """The touched rows take the labels suggested for them; where there is none they are not learned from."""
        better_S, _ = self.bench.better
        known_S = touched_S & ~np.isnan(better_S)
        self.y_S[known_S] = better_S[known_S].astype(self.y_S.dtype)
        self.learns_S &= ~touched_S | known_S


def shuffled(series: pl.Series) -> pl.Series:
    """The cells in another order: they tell nothing, and each is one that occurs."""
    return series.gather(Seed(0).child("shuffled").generator().permutation(len(series)))
