"""evaluate: the shipped graph on rows it never saw, beside baselines, by group, with an interval on every score."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from forgeline import bookkeeping, catalog, models, records, samples, spec
from forgeline.engine import groups, stats
from forgeline.engine.arrays import quantile_of
from forgeline.records import Curve, Histogram, Member, Number, Table, scored

if TYPE_CHECKING:
    import polars as pl

    from forgeline.engine.seeds import Seed
    from forgeline.workspace import Workspace

BINS = 10


@dataclass(frozen=True)
class Exam:
    """Rows with their truth, and what a model says about them."""

    name: str
    """`cv` or `test`."""
    y_N: np.ndarray
    p_NK: np.ndarray
    weight_N: np.ndarray | None
    frame: pl.DataFrame
    threshold: float
    rows_N: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """Their numbers in the snapshot, or in the test file."""

    def answers(self) -> np.ndarray:
        """Class index of each row; of two classes the positive one from the threshold on."""
        if self.p_NK.shape[1] == 2:
            return (self.p_NK[:, 1] >= self.threshold).astype(np.int64)
        return np.asarray(self.p_NK.argmax(axis=1))

    def shown(self, metric: Any, p_NK: np.ndarray) -> np.ndarray:
        """What a metric is given: probabilities; one of two classes' answers, those at the threshold."""
        if p_NK.shape[1] != 2 or not getattr(metric, "of_answers", False):
            return p_NK
        return np.eye(2)[(p_NK[:, 1] >= self.threshold).astype(np.int64)]


def evaluate(
    ask: spec.Evaluate,
    snapshot: records.Snapshot,
    assessment: records.Assessment,
    refinement: records.Refinement,
    plan: records.Plan,
    training: records.Training,
    compression: records.Compression,
    work: Workspace,
) -> records.Evaluation:
    """Cross-validation and, once, the sealed test, on the ONNX bytes that ship."""
    data = models.data_of(snapshot, refinement, work)
    seed = work.seed.child("evaluate")
    names = shown(data.task, plan.facts.metric)
    cv = cross_validation(ask, snapshot, refinement, compression, data, work)
    numbers = scores(cv, names, seed)
    rows_N = models.judged(compression.facts.kept, data)
    numbers |= baselines(cv, models_beside(training, data, rows_N, work), names, plan.facts.metric, seed)
    linear = linear_graph(training, refinement, work) if assessment.facts.test_digest else None
    test, beside, reads = sealed(ask, snapshot, assessment, refinement, training, compression, linear, data, work)
    metric = plan.facts.metric
    if test is None:
        why = assessment.facts.test_why or "the time budget ended before the test rows were answered"
        numbers |= {f"test.{name}": Number(value=None, why=why) for name in names}
    else:
        numbers |= scores(test, names, seed) | baselines(test, beside, names, metric, seed)
    if reads:
        numbers["test.reads"] = Number(value=reads, unit="reads", measured=True)
    numbers |= overfit(metric, cv, beside.get("train"), data, models.sample(rows_N, models.again(refinement)), rows_N)
    exam = test or cv
    kept = bookkeeping.ledger(snapshot, assessment, refinement, compression, work)
    fairness, fairness_tables = fair(exam, assessment, snapshot, seed)
    return records.Evaluation(
        facts=records.EvaluationFacts(
            metric=plan.facts.metric,
            test_digest=assessment.facts.test_digest if test else None,
            test_rows=0 if test is None else len(test.y_N),
            threshold=ask.threshold if data.task == "binary" else None,
            positive=snapshot.facts.positive,
            predictions=work.put_array(test.p_NK, "predictions.npy") if test else None,
            linear=linear,
            ledger=work.put(msgspec.json.encode(kept), "ledger.json"),
        ),
        findings=bookkeeping.findings(kept),
        numbers=numbers | fairness | calibration_error(exam),
        tables=[headline(numbers, names), *fairness_tables, *confusion(exam, refinement)],
        curves=[calibration_curve(exam)],
        histograms=[answers_histogram(exam)],
        samples=samples.look(
            samples.Asked(exam.name, exam.frame, exam.rows_N, exam.y_N, exam.p_NK, exam.answers()),
            *(snapshot, assessment, refinement, seed, work),
        ),
    )


# ---------------------------------------------------------------- exams


def cross_validation(
    ask: spec.Evaluate,
    snapshot: records.Snapshot,
    refinement: records.Refinement,
    compression: records.Compression,
    data: models.Data,
    work: Workspace,
) -> Exam:
    """The out-of-fold predictions of the members that ship."""
    files = {ref.name: ref for ref in refinement.facts.table}
    rows_N = models.judged(compression.facts.kept, data)
    ids_N = work.array(files["ids.npy"])[rows_N]
    frame = work.frame(snapshot.facts.digest)[ids_N]
    weight_N = None if data.weight_N is None else data.weight_N[rows_N]
    p_NK = work.array(compression.facts.predictions)
    return Exam("cv", data.y_N[rows_N], p_NK, weight_N, frame, ask.threshold, ids_N)


def sealed(
    ask: spec.Evaluate,
    snapshot: records.Snapshot,
    assessment: records.Assessment,
    refinement: records.Refinement,
    training: records.Training,
    compression: records.Compression,
    linear: records.Ref | None,
    data: models.Data,
    work: Workspace,
) -> tuple[Exam | None, dict[str, np.ndarray], int]:
    """The test rows as the shipped graph answers them; the models beside it; how often these rows were read.

    `train` beside it are answers on a sample of the training rows, for the overfitting gap.
    """
    facts = compression.facts
    files = {ref.name: ref for ref in refinement.facts.table}
    asked_N = models.sample(models.judged(facts.kept, data), models.again(refinement))
    picked = work.array(files["ids.npy"])[asked_N]
    shipped = work.get(facts.model)
    ask_all = partial(models.ask_all, signature=facts.signature, work=work, tokenizer=files.get(models.TOKENIZER))
    seen = partial(ask_all, [models.Question("train", shipped, picked)], snapshot=snapshot.facts.digest)
    digest = assessment.facts.test_digest
    if digest is None:
        return None, seen(), 0
    key = hashlib.sha256(f"{compression.digest} {ask.threshold}".encode()).hexdigest()
    reads = work.store.count_read(digest, key)
    home, rows_N = test_rows(snapshot, assessment, work)
    questions = [models.Question("shipped", shipped, rows_N)]
    if linear:
        questions += [models.Question("baseline.linear", work.get(linear), rows_N)]
    if facts.full.digest != facts.model.digest:
        questions += [models.Question("full", work.get(facts.full), rows_N)]
    answers = ask_all(questions, snapshot=home)
    beside = seen()  # after the test rows, which are worth more where the time is short
    p_NK = answers.pop("shipped", None)
    if p_NK is None:
        return None, beside, reads
    frame = work.frame(home)[rows_N]
    y_N, weight_N = models.target_of(frame, snapshot), models.weights_of(frame, snapshot)
    beside |= {"full": p_NK} if facts.full.digest == facts.model.digest else {}
    beside |= answers | {"baseline.majority": majority(data, len(y_N), training.facts.metric)}
    return Exam("test", y_N, p_NK, weight_N, frame, ask.threshold, rows_N), beside, reads


def test_rows(snapshot: records.Snapshot, assessment: records.Assessment, work: Workspace) -> tuple[str, np.ndarray]:
    """(digest of the snapshot that holds the sealed rows, their numbers in it)."""
    facts = snapshot.facts
    if facts.test_digest:
        labelled = work.frame(facts.test_digest)[facts.target].is_not_null().to_numpy()
        return facts.test_digest, np.flatnonzero(labelled)
    return facts.digest, np.flatnonzero(work.array(assessment.facts.split) == 1)


def linear_baseline(training: records.Training) -> Member | None:
    """The first linear candidate that finished, alone."""
    import msgspec

    found = [member for member in training.facts.tried if member.family == "linear"]
    return msgspec.structs.replace(found[0], weight=1.0) if found else None


def linear_graph(training: records.Training, refinement: records.Refinement, work: Workspace) -> records.Ref | None:
    """The linear candidate as a model of its own."""
    linear = linear_baseline(training)
    if linear is None:
        return None
    return work.put(models.draw([linear], records.Calibration(method="none"), refinement, work), "linear.onnx")


def majority(data: models.Data, rows: int, metric: str) -> np.ndarray:
    """What a model without inputs would say: the training rows' class shares, their mean, or the metric's quantile."""
    quantile = models.quantile_of(metric)
    if data.task == "regression" and quantile is not None:
        return np.full((rows, 1), quantile_of(data.y_N, data.weight_N, quantile))
    if data.task == "regression":
        return np.full((rows, 1), np.average(data.y_N, weights=data.weight_N))
    shares = np.bincount(data.y_N, weights=data.weight_N, minlength=data.outputs)
    return np.tile(shares / shares.sum(), (rows, 1))


def models_beside(
    training: records.Training, data: models.Data, rows_N: np.ndarray, work: Workspace
) -> dict[str, np.ndarray]:
    """Out-of-fold predictions of the baselines and of the uncompressed ensemble."""
    linear = linear_baseline(training)
    beside = {
        "full": work.array(training.facts.predictions),
        "baseline.majority": majority(data, len(rows_N), training.facts.metric),
    }
    return beside | ({"baseline.linear": models.out_of_fold(linear, data, work, rows_N)} if linear else {})


# ---------------------------------------------------------------- scores


def shown(task: str, selected: str) -> list[str]:
    """Metrics of the task; of those with an option only the one that selected the model."""
    suiting = [name for name in catalog.names("metrics") if task in catalog.load("metrics", name).tasks]
    plain = [name for name in suiting if not catalog.options("metrics", name)]
    return plain if selected in plain else [*plain, selected]


def scores(exam: Exam, names: Sequence[str], seed: Seed) -> dict[str, Number]:
    """Every metric of the task, with its interval: `test.roc_auc`, …"""
    found = {}
    for name in names:
        metric = catalog.load("metrics", name)
        p_NK = exam.shown(metric, exam.p_NK)
        value = float(metric.score(exam.y_N, p_NK, exam.weight_N))
        own = seed.child(exam.name, name)
        interval = stats.bootstrap(metric.score, exam.y_N, p_NK, exam.weight_N, own)
        found[f"{exam.name}.{name}"] = scored(value, interval, len(exam.y_N))
    return found


def baselines(
    exam: Exam, beside: dict[str, np.ndarray], names: Sequence[str], metric_name: str, seed: Seed
) -> dict[str, Number]:
    """The models beside the shipped one; in the metric of selection its lead over each, with a paired interval."""
    found: dict[str, Number] = {}
    for other in ("full", "baseline.linear", "baseline.majority"):
        if other not in beside:
            why = "no such model, or the time budget ended first"
            found |= {f"{exam.name}.{other}.{name}": Number(value=None, why=why) for name in names}
            continue
        for name in names:
            metric = catalog.load("metrics", name)
            value = float(metric.score(exam.y_N, exam.shown(metric, beside[other]), exam.weight_N))
            found[f"{exam.name}.{other}.{name}"] = scored(value, None, len(exam.y_N))
        lead = f"{exam.name}.lead.{other.removeprefix('baseline.')}.{metric_name}"
        found[lead] = lead_over(exam, beside[other], metric_name, seed.child(exam.name, other))
    return found


def lead_over(exam: Exam, other_NK: np.ndarray, name: str, seed: Seed) -> Number:
    """How much better than another model on the same rows; positive is better, whatever the metric's direction."""
    metric = catalog.load("metrics", name)
    p_NK, other_NK = exam.shown(metric, exam.p_NK), exam.shown(metric, other_NK)
    lead, low, high = stats.paired_difference(metric.score, exam.y_N, p_NK, other_NK, exam.weight_N, seed)
    if metric.higher_is_better:
        return scored(lead, (low, high), len(exam.y_N))
    return scored(-lead, (-high, -low), len(exam.y_N))


def overfit(
    name: str, cv: Exam, seen_NK: np.ndarray | None, data: models.Data, picked: np.ndarray, rows_N: np.ndarray
) -> dict[str, Number]:
    """`gap.<metric>`: how much better the shipped model looks on rows it was trained on, those that were `picked` of
    the rows that were judged, than out of fold."""
    if seen_NK is None:
        return {f"gap.{name}": Number(value=None, why="the time budget ended first")}
    out_NK = cv.p_NK[np.searchsorted(rows_N, picked)]
    metric = catalog.load("metrics", name)
    sign = 1.0 if metric.higher_is_better else -1.0
    inside, outside = (models.score(metric, cv.shown(metric, p_NK), data, picked) for p_NK in (seen_NK, out_NK))
    return {
        f"seen.{name}": scored(inside, None, len(picked)),
        f"gap.{name}": scored(sign * (inside - outside), None, len(picked)),
    }


def headline(numbers: dict[str, Number], names: Sequence[str]) -> Table:
    """Metrics down; shipped, uncompressed and baselines across, on both exams."""
    across = ["", "full.", "baseline.linear.", "baseline.majority."]
    heads = ["shipped", "uncompressed", "linear", "majority"]
    rows: list[list[str | float | int | bool | None]] = []
    for exam in ("cv", "test"):
        for name in names:
            cells = [numbers.get(f"{exam}.{other}{name}") for other in across]
            rows.append([exam, name, *(cell.value if cell else None for cell in cells)])
    return Table(title="Scores beside baselines", columns=["on", "metric", *heads], rows=rows)


# ---------------------------------------------------------------- groups


def fair(
    exam: Exam, assessment: records.Assessment, snapshot: records.Snapshot, seed: Seed
) -> tuple[dict[str, Number], list[Table]]:
    """Per protected attribute: a table by group, and the ratios between the groups."""
    numbers: dict[str, Number] = {}
    tables = []
    for attribute in assessment.facts.protected:
        if attribute not in exam.frame.columns:
            numbers[f"fairness.{attribute}.demographic_parity_ratio"] = Number(value=None, why="the test rows lack it")
            continue
        values = exam.frame[attribute]
        label_N = groups.label(values, groups.quartiles(values)).to_numpy()
        parts = {str(name): np.flatnonzero(label_N == name) for name in np.unique(label_N.astype(str))}
        large = {name: rows for name, rows in parts.items() if len(rows) >= groups.LEAST_ROWS}
        tables.append(group_table(attribute, parts, large, exam))
        for ratio, masks in rates(exam).items():
            numbers[f"fairness.{attribute}.{ratio}"] = spread(large, masks)
    return numbers, tables


def rates(exam: Exam) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Ratio name → (event, among) masks: selected among all; selected among positives and among negatives."""
    everyone = np.ones(len(exam.y_N), dtype=bool)
    if exam.p_NK.shape[1] == 2:
        chosen = exam.answers() == 1
        positive = exam.y_N == 1
        return {
            "demographic_parity_ratio": [(chosen, everyone)],
            "equalized_odds_ratio": [(chosen, positive), (chosen, ~positive)],
            "equal_opportunity_ratio": [(chosen, positive)],
        }
    if exam.p_NK.shape[1] > 2:
        return {"accuracy_ratio": [(exam.answers() == exam.y_N, everyone)]}
    above = exam.p_NK[:, 0] > np.median(exam.p_NK[:, 0])
    return {"demographic_parity_ratio": [(above, everyone)]}


def spread(large: dict[str, np.ndarray], masks: list[tuple[np.ndarray, np.ndarray]]) -> Number:
    """Lowest rate over highest, of the worst mask; groups with too few rows are not compared."""
    if len(large) < 2:
        return Number(value=None, why=f"fewer than two groups have {groups.LEAST_ROWS} rows")
    worst: tuple[float, float, float] | None = None
    for event, among in masks:
        counts = [(int((event & among)[rows].sum()), int(among[rows].sum())) for rows in large.values()]
        counts = sorted((each for each in counts if each[1]), key=lambda each: each[0] / each[1])
        if len(counts) > 1:
            found = stats.ratio_interval(*counts[0], *counts[-1])
            worst = found if worst is None or found[0] < worst[0] else worst
    if worst is None or worst[0] != worst[0]:
        return Number(value=None, why="no group has the outcome")
    rows = sum(len(rows) for rows in large.values())
    return scored(worst[0], worst[1:], rows)


def group_table(attribute: str, parts: dict[str, np.ndarray], large: dict[str, np.ndarray], exam: Exam) -> Table:
    """Rows, base rate, selection rate, errors by group; small groups are named but not judged."""
    rows: list[list[str | float | int | bool | None]] = []
    classes = exam.p_NK.shape[1]
    for name, here in parts.items():
        if name not in large:
            rows.append([name, len(here), *([None] * (4 if classes == 2 else 2))])
            continue
        y_N, p_NK = exam.y_N[here], exam.p_NK[here]
        if classes == 2:
            chosen = exam.answers()[here] == 1
            positive = y_N == 1
            cells = [
                positive.mean(),
                chosen.mean(),
                share(chosen & positive, positive),
                share(chosen & ~positive, ~positive),
            ]
        elif classes > 2:
            cells = [(exam.answers()[here] == y_N).mean(), float(np.max(p_NK, axis=1).mean())]
        else:
            cells = [p_NK[:, 0].mean() - y_N.mean(), float(np.sqrt(np.mean((p_NK[:, 0] - y_N) ** 2)))]
        rows.append([name, len(here), *(None if cell is None else float(cell) for cell in cells)])
    heads = {
        2: ["base rate", "selection rate", "true positive rate", "false positive rate"],
        1: ["bias", "rmse"],
    }
    columns = [attribute, "rows", *heads.get(classes, ["accuracy", "mean confidence"])]
    note = f"groups with fewer than {groups.LEAST_ROWS} rows are not judged"
    return Table(title=f"By {attribute} ({exam.name})", columns=columns, rows=rows, note=note)


def share(event: np.ndarray, among: np.ndarray) -> float | None:
    """Share of an event, or None when there is nothing it could happen to."""
    return float(event.sum() / among.sum()) if among.any() else None


# ---------------------------------------------------------------- calibration


def confidence(exam: Exam) -> tuple[np.ndarray, np.ndarray]:
    """(predicted, observed): positive probability and outcome; top probability and being right; or the values."""
    if exam.p_NK.shape[1] == 2:
        return exam.p_NK[:, 1], (exam.y_N == 1).astype(float)
    if exam.p_NK.shape[1] > 2:
        return exam.p_NK.max(axis=1), (exam.answers() == exam.y_N).astype(float)
    return exam.p_NK[:, 0], exam.y_N.astype(float)


def bins(exam: Exam) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(predicted, observed) of ten bins of equal size, by what was predicted."""
    predicted_N, observed_N = confidence(exam)
    order = np.argsort(predicted_N, kind="stable")
    for rows in np.array_split(order, min(BINS, len(order))):
        yield predicted_N[rows], observed_N[rows]


def calibration_curve(exam: Exam) -> Curve:
    """Observed against predicted, with Wilson intervals for shares and two standard errors for means."""
    x, y, low, high = [], [], [], []
    for predicted_B, observed_B in bins(exam):
        x.append(float(predicted_B.mean()))
        y.append(float(observed_B.mean()))
        reach = 2 * float(observed_B.std()) / len(observed_B) ** 0.5
        regression = exam.p_NK.shape[1] == 1
        ends = (y[-1] - reach, y[-1] + reach) if regression else stats.wilson(observed_B.sum(), len(observed_B))
        low.append(float(ends[0]))
        high.append(float(ends[1]))
    labels = ("predicted", "observed")
    return Curve(
        title=f"Calibration ({exam.name})",
        x=x,
        y=y,
        low=low,
        high=high,
        against=x,
        x_label=labels[0],
        y_label=labels[1],
    )


def calibration_error(exam: Exam) -> dict[str, Number]:
    """`test.calibration_error`: mean distance between predicted and observed over the bins; classes only."""
    if exam.p_NK.shape[1] == 1:
        return {}
    gaps = [(len(p_B), abs(float(p_B.mean() - seen_B.mean()))) for p_B, seen_B in bins(exam)]
    value = sum(rows * gap for rows, gap in gaps) / len(exam.y_N)
    return {f"{exam.name}.calibration_error": Number(value=value, n=len(exam.y_N))}


def confusion(exam: Exam, refinement: records.Refinement) -> list[Table]:
    """True class down, answer across, at the threshold."""
    classes = [str(label) for label in refinement.facts.classes]
    if not classes or len(classes) > 20:
        return []
    cells = np.bincount(exam.y_N * len(classes) + exam.answers(), minlength=len(classes) ** 2).reshape(len(classes), -1)
    rows: list[list[str | float | int | bool | None]] = [[name, *map(int, line)] for name, line in zip(classes, cells)]
    note = f"threshold {exam.threshold:g}" if len(classes) == 2 else ""
    return [Table(title=f"Confusion ({exam.name})", columns=["truth", *classes], rows=rows, note=note)]


def answers_histogram(exam: Exam) -> Histogram:
    """How the predictions are spread."""
    predicted_N, _ = confidence(exam)
    counts, edges = np.histogram(predicted_N, bins=20)
    label = "predicted value" if exam.p_NK.shape[1] == 1 else "predicted probability"
    return Histogram(
        title=f"Predictions ({exam.name})",
        counts=[float(c) for c in counts],
        edges=[float(e) for e in edges],
        x_label=label,
    )
