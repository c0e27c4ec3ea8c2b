"""What sees raw columns: who competes, in which order, as large and for as long as the budget bears; and whether texts
are read by a pretrained encoder, trained further or as it is, or from scratch, by evidence.

Rests on units. Shapes: H held rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from forgeline import catalog, kinds, models, records
from forgeline.contest import expected
from forgeline.engine.controller import PROBES
from forgeline.records import Candidate, Table
from forgeline.units import Bench

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

STRAIGHT = "linear"
"""The baseline, which is finished first."""
WORDS, HEAD, WHOLE, SCRATCH = "tfidf", "frozen", "finetuned", "transformer"
"""Families that read texts: by counting words, by a head on a pretrained encoder, by training that further, from
scratch."""
PART, ALONE, FROM_SCRATCH = 0.55, 0.75, 0.25
"""Of the budget that the first network may take; where a table has no columns but raw ones, and others have less to
say; and where it reads texts from scratch unasked, which words that are counted mostly do as well."""
FEWEST_ROWS = 1_000
"""With fewer no network reads texts from scratch unasked."""
PROBE = "how an encoder fits"
"""What a short time does without."""
PROBED_ROWS = 2_000
"""Rows that the heads which are compared learn from."""
PROBE_SHARE, PROBE_SECONDS = 0.5, 10.0
"""Of a time limit that may be gone once they are compared, and what that takes about."""
SURE = 2.0
"""Standard errors by which one must be better."""
FEWEST_EPOCHS = 0.5
"""Of the rows that an encoder must see to be trained further."""

Way = Literal["", "from scratch", "head only", "fine-tuned"]


@dataclass(frozen=True)
class Evidence:
    """How well the encoder's features fit the task, beside words that are counted."""

    words: float
    head: float
    """Mean loss on held rows: log loss, or squared error in units of variance."""
    error: float
    """Standard error of their difference, row by row."""
    rows: int
    """That were held out."""

    @property
    def fit(self) -> Literal["better", "alike", "worse"]:
        """The encoder's features beside words."""
        if abs(self.words - self.head) <= SURE * self.error:
            return "alike"
        return "better" if self.head < self.words else "worse"


@dataclass(frozen=True)
class Decision:
    """How texts are read, and why."""

    way: Way = ""
    """Empty where there are no texts, or no encoder to decide about."""
    why: str = ""
    otherwise: str = ""
    """What would change it."""


# ---------------------------------------------------------------- evidence


def evidence(
    priced: Sequence[Candidate],
    shape: kinds.Shape,
    snapshot: records.Snapshot,
    refinement: records.Refinement,
    work: Workspace,
) -> Evidence | None:
    """The loss of a linear head on the encoder's features and on words, learned from a sample of the rows without each
    of the folds that are probed, on these folds; None where there is nothing to compare, or no time for it."""
    rivals = [next((each for each in priced if each.family == family), None) for family in (WORDS, HEAD)]
    if None in rivals or not work.affords(PROBE, stage="plan", share=PROBE_SHARE, seconds=PROBE_SECONDS):
        return None
    data = models.data_of(snapshot, refinement, work)
    bench = Bench(refinement, {}, data, work, shape.quantile)
    share = min(1.0, PROBED_ROWS / shape.rows)
    asked = [(each, fold) for each in rivals if each for fold in range(PROBES)]
    jobs = [bench.job(each, fold, share, None) for each, fold in asked]
    found: dict[str, list[np.ndarray]] = {WORDS: [], HEAD: []}
    outcomes = list(work.workers.run(jobs, lambda: work.clock.remaining))
    if any(outcome.lost for outcome in outcomes):
        work.note("skip", stage="plan", what=PROBE)
        return None
    units = {outcome.job.name: outcome.value["unit"] for outcome in outcomes}
    for job, (each, fold) in zip(jobs, asked):
        digest = units[job.name]["predictions"]["digest"]
        p_HK = work.array(records.Ref(digest=digest, size_bytes=0, name=""))
        found[each.family].append(losses(p_HK, data.y_N[data.fold_N == fold], data.task))
    words_H, head_H = (np.concatenate(found[family]) for family in (WORDS, HEAD))
    error = float((words_H - head_H).std() / math.sqrt(len(words_H)))
    return Evidence(float(words_H.mean()), float(head_H.mean()), error, len(words_H))


def losses(p_HK: np.ndarray, y_H: np.ndarray, task: str, *, least: float = 1e-6) -> np.ndarray:
    """Of each row: log loss, or squared error in units of variance."""
    if task == "regression":
        return np.asarray((p_HK[:, 0] - y_H) ** 2 / (y_H.var() or 1.0))
    return np.asarray(-np.log(np.maximum(p_HK[np.arange(len(y_H)), y_H], least)))


def decide(found: Evidence | None, whole: Candidate | None, shape: kinds.Shape, memory: float = math.inf) -> Decision:
    """How texts are read; `whole`: the encoder trained further, for as long as the budget bears, where that competes;
    `memory`: bytes of a worker."""
    if shape.encoder is None:
        return Decision()
    if found and found.fit == "worse":
        why = f"words predict better than the encoder's features ({says(found)}): they do not fit this task"
        return Decision("from scratch", why, "an encoder whose features predict as well as words do")
    fits = f"the encoder's features predict {found.fit} to words ({says(found)})" if found else "its fit was not probed"
    fits = fits.replace("alike to", "as well as").replace("better to", "better than")
    if whole is None:
        why = f"{fits}, but finetuned is not among the families that compete here"
        return Decision("head only", why, "finetuned among [train] families, and the extra deep installed")
    if whole.cost.memory_bytes > memory:
        need = f"{whole.cost.memory_bytes / 1e9:.2f} GB"
        why = f"{fits}, but training all of it needs {need} of the {memory / 1e9:.2f} GB of a worker"
        return Decision("head only", why, f"{need} for a worker: a larger [budget] memory, or fewer workers")
    each = whole.cost.work / max(whole.setting["epochs"], 1e-9)
    if whole.setting["epochs"] < FEWEST_EPOCHS:
        why = f"{fits}, and the budget does not bear {FEWEST_EPOCHS:g} epochs of training all of it"
        return Decision("head only", why, f"about {each * FEWEST_EPOCHS:.0f} core seconds for a fold of it")
    why = f"{fits}, and the budget bears {whole.setting['epochs']:g} epochs of {shape.rows:,} rows"
    return Decision(
        *("fine-tuned", why),
        f"less than {each * FEWEST_EPOCHS:.0f} core seconds for a fold, or features that predict worse than words",
    )


def says(found: Evidence) -> str:
    """The evidence in figures."""
    return f"loss {found.head:.3f} beside {found.words:.3f} ± {SURE * found.error:.3f} on {found.rows:,} held rows"


# ---------------------------------------------------------------- order


def ordered(
    priced: list[Candidate],
    asked: Mapping[str, bool],
    shape: kinds.Shape,
    folds: int,
    allowed: float,
    cores: int | None,
    found: Evidence | None,
    paces: Mapping[str, float] | None = None,
    rows: int = 0,
    memory: float = math.inf,
) -> tuple[list[Candidate], Decision]:
    """The candidates, those that see raw columns in front, and how texts are read.

    First the baseline and what is quick on raw columns; then the networks, each as large and for as many steps as the
    budget bears: the first may take a part of what the others leave, each one after it as much of what is left by
    then. Under a time budget, of `cores`, no fold may take longer than lets all folds end in time: two probes at once,
    then the others. Families that were `asked` for compete whatever the decision, and stay as they are where that is
    true of them: they were given a setting. `paces`: what a second by the price list was
    measured to take, of families that were looked at; `rows`: those that will be answered in the end, for which time is
    kept.
    """
    seeing = [each for each in priced if getattr(catalog.load("families", each.family), "SEES", ())]
    if not seeing:
        return priced, Decision()
    others = [each for each in priced if each not in seeing]
    straight = [each for each in others if each.family == STRAIGHT][:1]
    quick = [each for each in seeing if not hasattr(catalog.load("families", each.family), "brief")]
    first = [each for place, each in enumerate(quick) if each.family not in [one.family for one in quick[:place]]]
    bending = sorted(each.cost.work for each in others if each.family != STRAIGHT)[:1]
    spent = sum(each.cost.work for each in (*straight, *first)) + sum(bending)
    left = max(0.0, allowed - folds * spent)
    answered = models.SAFETY * rows / models.ANSWERING if cores else 0.0
    if cores:
        left -= cores * models.CLOSING + models.SAFETY * rows * (models.DECODING if shape.pictures else 0.0)
    waves = folds if cores in (None, 1) else 1 + math.ceil((folds - PROBES) / cores)
    part = ALONE if shape.plain == 0 else PART

    def stretched(each: Candidate) -> Candidate:
        nonlocal left
        once, pace = expected(each.family, each.setting, shape, 1.0), (paces or {}).get(each.family, 1.0)
        free = max(0.0, left - answered * folds * once.flops_per_row)
        most = min(free / folds, free / ((cores or 1) * waves))
        own = min(part, FROM_SCRATCH) if each.family == SCRATCH and SCRATCH not in asked else part
        setting = catalog.load("families", each.family).brief(shape, each.setting, own * most / pace)
        done = Candidate(
            name=each.name,
            family=each.family,
            setting=setting,
            cost=expected(each.family, setting, shape, 1.0),
            fits=True,
            why="",
        )
        left -= folds * done.cost.work * pace
        return done

    long = [each for each in seeing if each not in quick]
    named = [each for each in long if asked.get(each.family)]
    unasked = [each for each in long if not asked.get(each.family)]
    before = left
    whole = next((stretched(each) for each in unasked if each.family == WHOLE), None)
    decision = decide(found, whole, shape, memory)
    if decision.way and any(each.family == WHOLE for each in named):
        decision = Decision("fine-tuned", "it was asked for with a setting of its own", "another [train] families")
    left = before
    leading = {WHOLE, SCRATCH} - leaving(decision) - ({SCRATCH} if shape.rows < FEWEST_ROWS else set())
    leading |= asked.keys()
    chosen = [
        stretched(each)
        for place, each in enumerate(unasked)
        if each.family not in [one.family for one in unasked[:place]]
        and (each.family in leading or each.family not in (WHOLE, SCRATCH))
    ]
    rest = [each for each in (*quick, *others) if each not in first and each not in straight]
    return [*straight, *first, *named, *chosen, *rest], decision


def leaving(decision: Decision) -> set[str]:
    """Families that do not compete, as texts are read in another way."""
    return {"": {WHOLE}, "from scratch": {WHOLE}, "head only": {WHOLE}, "fine-tuned": {SCRATCH}}[decision.way]


def table(
    decision: Decision, found: Evidence | None, encoder: records.Encoder, candidates: Sequence[Candidate]
) -> Table:
    """How texts may be read, what each way takes, and which was taken."""
    ways = {
        WORDS: "from scratch, words",
        SCRATCH: "from scratch, a transformer",
        HEAD: "head only",
        WHOLE: "fine-tuned",
    }
    loss = {WORDS: found.words, HEAD: found.head} if found else {}
    rows: list[list[str | float | int | bool | None]] = []
    for family, way in ways.items():
        own = next((each for each in candidates if each.family == family), None)
        taken = way == decision.way or (decision.way == "from scratch" and way.startswith(decision.way))
        epochs = own.setting.get("epochs") if own else None
        rows.append([way, own.name if own else "", epochs, own.cost.seconds if own else None, loss.get(family), taken])
    columns = ["way", "candidate", "epochs", "core seconds of a fold", "probed loss", "taken"]
    encoded = (
        f"{encoder.name}, {encoder.parameters / 1e6:.1f} million parameters, licence {encoder.licence or 'unknown'}"
    )
    note = f"{decision.why}. What would change it: {decision.otherwise}. The encoder: {encoded}."
    return Table(title="Pretrained or from scratch", columns=columns, rows=rows, note=note)
