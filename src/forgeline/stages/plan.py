"""plan: who competes, in which order, at what predicted price; what fits the budget, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forgeline import catalog, kinds, records, spec
from forgeline.errors import BadInput
from forgeline.records import Candidate, Number, Table

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

DEFAULT_METRIC = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}
MOST_CANDIDATES = 12


def plan(
    ask: spec.Plan,
    train: spec.Train,
    budget: spec.Budget,
    snapshot: records.Snapshot,
    assessment: records.Assessment,
    refinement: records.Refinement,
    work: Workspace,
) -> records.Plan:
    """At most twelve candidates, cheap defaults first, each with its predicted cost. Errors: BadInput."""
    task = snapshot.facts.task
    assert task is not None
    metric = metric_for(ask.metric, task)
    shape = shape_of(snapshot, refinement)
    folds = refinement.facts.fold_count
    priced = candidates(train, shape, work)
    if not priced:
        raise BadInput("no family can learn this task", where="[train] families", known=catalog.names("families"))
    judged = judge(priced, folds, budget, work)
    higher = bool(catalog.load("metrics", metric).higher_is_better)
    fitting = [each for each in judged if each.fits]
    return records.Plan(
        facts=records.PlanFacts(
            metric=metric,
            higher_is_better=higher,
            candidates=judged,
            work_limit=budget.units,
            seconds_limit=budget.seconds,
            memory_limit=budget.memory_bytes,
        ),
        numbers={
            "plan.candidates": Number(value=len(judged), unit="candidates"),
            "plan.fitting": Number(value=len(fitting), unit="candidates"),
            "plan.work": Number(value=sum(each.cost.work for each in fitting) * folds, unit="work units"),
            "plan.memory": Number(value=work.workers.memory_bytes, unit="bytes a worker", measured=True),
        },
        tables=[table(judged, folds)],
    )


def metric_for(asked: str, task: kinds.Task) -> str:
    """The metric asked for, or the task's default. Errors: BadInput with the metrics that suit the task."""
    name = asked or DEFAULT_METRIC[task]
    suiting = [each for each in catalog.names("metrics") if task in catalog.load("metrics", each).tasks]
    if name not in suiting:
        raise BadInput(f"metric {name} does not score a {task} task", where="[plan] metric", asked=name, known=suiting)
    return name


def shape_of(snapshot: records.Snapshot, refinement: records.Refinement) -> kinds.Shape:
    """What a family is told: rows of one fold's training part, encoded features, outputs."""
    facts = refinement.facts
    task = snapshot.facts.task
    assert task is not None
    rows = facts.rows - facts.rows // facts.fold_count
    return kinds.Shape(rows, facts.features, task, len(facts.classes) or 1, facts.flags)


def candidates(train: spec.Train, shape: kinds.Shape, work: Workspace) -> list[Candidate]:
    """The families' points, in order: next is always the family that would then have spent least work in all."""
    waiting = {name: points_of(name, options, shape) for name, options in families(train)}
    spent = dict.fromkeys(waiting, 0.0)
    ordered: list[Candidate] = []
    while any(waiting.values()) and len(ordered) < MOST_CANDIDATES:
        name = min(
            (each for each in waiting if waiting[each]),
            key=lambda each: spent[each] + waiting[each][0].cost.work,
        )
        ordered.append(waiting[name].pop(0))
        spent[name] += ordered[-1].cost.work
    return ordered


def points_of(name: str, options: dict[str, Any], shape: kinds.Shape) -> list[Candidate]:
    """A family's settings with their prices: those of its own space, or the one that was asked for.

    None when its space is empty: it cannot learn this task.
    """
    module = catalog.load("families", name)
    space = list(module.space(shape).points)
    if not space:
        return []
    default = space[0]
    part = {"use": name, **options}
    given = {key: catalog.option(part, key, default, "[train] families") for key in options}
    points = [default | given] if given else space
    return [
        Candidate(
            name=f"{name}-{place + 1}",
            family=name,
            setting=setting,
            cost=module.cost(shape, setting),
            fits=True,
            why="",
        )
        for place, setting in enumerate(points)
    ]


def families(train: spec.Train) -> list[tuple[str, dict[str, Any]]]:
    """(family, setting or nothing for its own space) of every family that may compete."""
    if train.families == "auto":
        return [(name, {}) for name in catalog.names("families")]
    found: list[tuple[str, dict[str, Any]]] = []
    if not train.families:
        raise BadInput("no family is named", where="[train] families", remedy='Write families = "auto".')
    for each in train.families:
        part = {"use": each} if isinstance(each, str) else each
        if "use" not in part:
            raise BadInput("a family is named by `use`", where="[train] families", known=catalog.names("families"))
        catalog.load("families", part["use"], "[train] families")
        found.append((part["use"], {key: value for key, value in part.items() if key != "use"}))
    return found


def judge(priced: list[Candidate], folds: int, budget: spec.Budget, work: Workspace) -> list[Candidate]:
    """Which candidates fit memory and, in order, what is left of the work; the first affordable one always may."""
    limit = budget.units
    memory = budget.memory_bytes // work.workers.count if budget.memory_bytes else work.workers.memory_bytes
    judged: list[Candidate] = []
    spent = 0.0
    for each in priced:
        need = each.cost.work * folds
        if each.cost.memory_bytes > memory:
            judged.append(decided(each, False, f"needs {each.cost.memory_bytes / 1e9:.2f} GB of {memory / 1e9:.2f} GB"))
        elif limit is None:
            judged.append(decided(each, True, "as far as the clock allows, in this order"))
        elif spent + need <= limit:
            spent += need
            judged.append(decided(each, True, f"{need:.2f} work units, {limit - spent:.2f} left after it"))
        else:
            judged.append(decided(each, False, f"needs {need:.2f} work units, {limit - spent:.2f} are left"))
    return judged


def decided(candidate: Candidate, fits: bool, why: str) -> Candidate:
    """The candidate with its verdict."""
    return Candidate(
        name=candidate.name,
        family=candidate.family,
        setting=candidate.setting,
        cost=candidate.cost,
        fits=fits,
        why=why,
    )


def table(judged: list[Candidate], folds: int) -> Table:
    """The candidates as people read them."""
    rows: list[list[str | float | int | bool | None]] = [
        [
            each.name,
            ", ".join(f"{key} {value}" for key, value in each.setting.items()),
            each.cost.work * folds,
            each.cost.seconds * folds,
            each.cost.memory_bytes,
            each.cost.size_bytes * folds,
            each.cost.flops_per_row * folds,
            each.fits,
            each.why,
        ]
        for each in judged
    ]
    columns = [
        *("candidate", "setting", "work units", "core seconds", "memory bytes", "model bytes", "FLOPs per row"),
        *("fits", "why"),
    ]
    return Table(title="Candidates", columns=columns, rows=rows, note=f"predicted, for all {folds} folds together")
