"""plan: who competes, in which order, at what predicted price; what fits the budget, and why."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from forgeline import catalog, experience, kinds, models, networks, portfolio, records, sketching, spec
from forgeline.contest import GROWTH, at, at_share, expected
from forgeline.engine import compatible
from forgeline.errors import BadInput
from forgeline.networks import STRAIGHT
from forgeline.records import Candidate, Number, Table

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

FEATURES = 20
"""Features of a typical table that the portfolio was learned on."""
LEAST_ROWS = 10_000
"""Rows below which no sample is taken."""
DEFAULT_METRIC = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}


def plan(
    ask: spec.Plan,
    train: spec.Train,
    budget: spec.Budget,
    snapshot: records.Snapshot,
    assessment: records.Assessment,
    refinement: records.Refinement,
    work: Workspace,
) -> records.Plan:
    """The candidates in the order of the portfolio, each with its predicted cost. Errors: BadInput."""
    task = snapshot.facts.task
    assert task is not None
    metric = metric_for(ask.metric, task)
    shape = models.shape_of(snapshot, refinement, models.quantile_of(metric))
    folds = refinement.facts.fold_count
    learned = portfolio.read(work.base / ask.portfolio if ask.portfolio else None)
    priced = candidates(train, shape, learned)
    lent = borrow(ask, train, budget, snapshot, refinement, metric, work)
    priced = with_borrowed(priced, lent, shape)
    if not priced:
        raise BadInput("no family can learn this task", where="[train] families", known=catalog.names("families"))
    allowed = allowance(budget, work)
    cores = work.workers.count if budget.units is None else None
    asked = asked_for(train)
    found = networks.evidence(priced, shape, snapshot, refinement, work)
    facts = snapshot.facts
    tested = facts.test_rows or facts.rows - facts.left_out - refinement.facts.rows
    answered = 2 * tested + models.again(refinement)
    most = work.workers.memory_bytes
    draft, _ = networks.ordered(priced, asked, shape, folds, allowed, cores, found, rows=answered, memory=most)
    looks = sketching.look(
        draft, {name for name, given in asked.items() if given}, shape, refinement, budget.units, work
    )
    allowed = max(0.0, allowed - looks.seconds * work.workers.count)
    priced, decision = networks.ordered(priced, asked, shape, folds, allowed, cores, found, looks.paces, answered, most)
    priced = opened(sampled(priced, shape, folds, allowed, work.workers.memory_bytes), shape, folds, allowed)
    judged = judge(priced, folds, budget, work)
    encoder = refinement.facts.encoder
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
            borrowed={each.name: each.run for each in lent},
            paces=looks.paces,
        ),
        numbers={
            "plan.candidates": Number(value=len(judged), unit="candidates"),
            "plan.fitting": Number(value=len(fitting), unit="candidates"),
            "plan.work": Number(value=sum(each.cost.work for each in fitting) * folds, unit="work units"),
            "plan.memory": Number(value=work.workers.memory_bytes, unit="bytes a worker", measured=True),
        },
        tables=[
            table(judged, folds),
            *([networks.table(decision, found, encoder, judged)] if encoder and decision.way else []),
            *sketching.tables(judged, looks, shape, folds, allowed, budget.units is None, work.seed),
            *([borrowed_table(lent)] if lent else []),
        ],
    )


# ---------------------------------------------------------------- what earlier runs have learned


class Loan(msgspec.Struct, frozen=True):
    """A setting that an earlier run of the store found good on a similar table."""

    name: str
    family: str
    setting: dict[str, Any]
    run: str
    distance: float
    done: float = 1.0


def borrow(
    ask: spec.Plan,
    train: spec.Train,
    budget: spec.Budget,
    snapshot: records.Snapshot,
    refinement: records.Refinement,
    metric: str,
    work: Workspace,
) -> list[Loan]:
    """Settings of similar tables, under a time budget; the work log keeps them, and a replay follows it."""
    done = work.decided("borrowed", stage="plan")
    if done:
        return [msgspec.convert(each, Loan) for each in done["loans"]]
    if ask.experience == "off" or budget.units is not None:
        return []
    competing = [name for name, options in families(train) if not options]
    features = experience.features_of(refinement)
    near = experience.similar(work.store.root, str(snapshot.facts.task), metric, features)
    found = [each for each in experience.borrowed(near) if each.tried.family in competing]
    loans = [
        Loan(
            *(f"borrowed-{place}", each.tried.family, each.tried.setting, each.run),
            *(round(each.distance, 3), each.tried.done),
        )
        for place, each in enumerate(found, 1)
    ]
    work.note("borrowed", stage="plan", loans=loans)
    return loans


def with_borrowed(priced: list[Candidate], lent: list[Loan], shape: kinds.Shape) -> list[Candidate]:
    """The candidates with what was borrowed right after the first; a setting that was to come anyway comes once.

    What a family has learned to vary since a lesson was kept is at its default.
    """
    found = []
    for each in lent:
        for default in catalog.load("families", each.family).space(shape).points[:1]:
            setting = default | each.setting
            twin = next((one for one in priced if (one.family, one.setting) == (each.family, setting)), None)
            done = twin.done if twin else each.done
            cost = expected(each.family, setting, shape, done)
            found.append(
                Candidate(name=each.name, family=each.family, setting=setting, cost=cost, fits=True, why="", done=done)
            )
    known = [(each.family, each.setting) for each in found]
    rest = [each for each in priced if (each.family, each.setting) not in known]
    return [*rest[:1], *found, *rest[1:]]


def borrowed_table(lent: list[Loan]) -> Table:
    """What was borrowed, and from whom."""
    rows: list[list[str | float | int | bool | None]] = [
        [
            each.name,
            each.family,
            ", ".join(f"{key} {value}" for key, value in each.setting.items()),
            each.run,
            each.distance,
        ]
        for each in lent
    ]
    note = "what had weight on similar tables; a distance of 1 is ten times the rows, or twice the classes"
    return Table(
        title="Borrowed from earlier runs",
        columns=["candidate", "family", "setting", "run", "distance"],
        rows=rows,
        note=note,
    )


# ---------------------------------------------------------------- who competes


def metric_for(asked: str, task: kinds.Task) -> str:
    """The metric asked for, or the task's default. Errors: BadInput with the metrics that suit the task."""
    name = asked or DEFAULT_METRIC[task]
    suiting = [each for each in catalog.names("metrics") if task in catalog.load("metrics", each).tasks]
    if name.partition("@")[0] not in suiting:
        raise BadInput(f"metric {name} does not score a {task} task", where="[plan] metric", asked=name, known=suiting)
    return name


def candidates(train: spec.Train, shape: kinds.Shape, learned: portfolio.Portfolio) -> list[Candidate]:
    """The portfolio's points in their order; families that it does not know, or that are given a setting, among them.

    Next is always the list that would then have spent least work in all: the portfolio, or a family beside it.
    """
    asked = families(train)
    lists = [points_of(name, options, shape) for name, options in asked if options or not knows(learned, name)]
    lists.append(from_portfolio(learned, [name for name, options in asked if not options], shape))
    entered = {each.family for waiting in lists for each in waiting}
    if STRAIGHT not in entered and STRAIGHT in [name for name, _ in asked]:
        lists[-1] += points_of(STRAIGHT, {}, shape)[:1]  # what evaluate compares with
    spent = [0.0] * len(lists)
    ordered: list[Candidate] = []
    while any(lists):
        place = min(
            (place for place, waiting in enumerate(lists) if waiting),
            key=lambda place: spent[place] + lists[place][0].cost.work,
        )
        ordered.append(lists[place].pop(0))
        spent[place] += ordered[-1].cost.work
    return distinct(ordered)


def distinct(found: list[Candidate]) -> list[Candidate]:
    """The candidates, each by a name of its own: a family that is asked for twice has two of the same."""
    names = [each.name for each in found]
    times = [names[:place].count(name) + 1 for place, name in enumerate(names)]
    return [
        each if time == 1 else msgspec.structs.replace(each, name=f"{each.name}.{time}")
        for each, time in zip(found, times, strict=True)
    ]


def knows(learned: portfolio.Portfolio, family: str) -> bool:
    """Whether the portfolio has a setting of the family."""
    return any(point.family == family for point in learned.points.values())


def from_portfolio(learned: portfolio.Portfolio, families: list[str], shape: kinds.Shape) -> list[Candidate]:
    """The portfolio's points for data of this shape, of the families that may compete and can learn the task.

    The order was learned by gain for work, on tables of a `typical` shape. A point that is k times as dear here as
    there, beside the others, stands at k times its place, places being counted in work. Points that are not in the
    order come last, the cheapest first: where there is time for them, all else has been tried.
    """
    order, found, spent = learned.order(shape), [], [0.0]
    aside = [name for name in learned.points if name not in order.names]
    typical = replace(shape, rows=order.rows, features=FEATURES, flags=0, outputs=min(shape.outputs, 2))
    typical = replace(typical, task="binary" if typical.outputs == 2 else shape.task)
    for name in [*order.names, *aside]:
        point = learned.points[name]
        if point.family in families:
            for default in catalog.load("families", point.family).space(shape).points[:1]:
                for key in point.setting.keys() - default.keys():
                    what = f"point {name} sets {key}, which {point.family} has not"
                    raise BadInput(what, where="[plan] portfolio", asked=key, known=default)
                setting = default | point.setting
                found.append(candidate(name, point.family, setting, shape, point.done))
                spent.append(spent[-1] + candidate(name, point.family, setting, typical, point.done).cost.work)
    learned_C = np.array([each.name in order.names for each in found], bool)
    work_C = np.array([each.cost.work for each in found])
    place_C = np.where(learned_C, np.array(spent[1:]) * work_C / np.diff(spent), work_C)
    return [found[at] for at in np.lexsort([place_C, ~learned_C])]


def candidate(name: str, family: str, setting: kinds.Setting, shape: kinds.Shape, done: float = 1.0) -> Candidate:
    """A setting with its price; `done` is the share of its steps that will be needed."""
    cut = getattr(catalog.load("families", family), "cut", None)
    done = min(1.0, done / cut(shape, setting)) if cut else min(1.0, done)
    cost = expected(family, setting, shape, done)
    return Candidate(name=name, family=family, setting=setting, cost=cost, fits=True, why="", done=done)


def points_of(name: str, options: dict[str, Any], shape: kinds.Shape) -> list[Candidate]:
    """A family's own settings with their prices, or the one that was asked for.

    None when its space is empty: it cannot learn this task. Errors: BadInput for a value that makes no sense.
    """
    space = list(catalog.load("families", name).space(shape).points)
    if not space:
        return []
    part = {"use": name, **options}
    given = {key: catalog.option(part, key, space[0], "[train] families") for key in options}
    points = [space[0] | given] if given else space
    try:
        found = [candidate(f"{name}-{place + 1}", name, setting, shape) for place, setting in enumerate(points)]
    except (ArithmeticError, ValueError):
        told = ", ".join(f"{key} = {value}" for key, value in given.items())
        remedy = f"Its defaults are {space[0]}."
        raise BadInput(f"{name} cannot have {told}", where="[train] families", remedy=remedy) from None
    return found


def families(train: spec.Train) -> list[tuple[str, dict[str, Any]]]:
    """(family, setting or nothing for its own space) of every family that may compete."""
    if train.families == "auto":
        return [(name, {}) for name in catalog.names("families") if competes(name)]
    found: list[tuple[str, dict[str, Any]]] = []
    if not train.families:
        raise BadInput("no family is named", where="[train] families", remedy='Write families = "auto".')
    for each in train.families:
        part = {"use": each} if isinstance(each, str) else each
        if "use" not in part:
            raise BadInput("a family is named by `use`", where="[train] families", known=catalog.names("families"))
        catalog.load("families", part["use"], "[train] families")
        require(part["use"])
        found.append((part["use"], {key: value for key, value in part.items() if key != "use"}))
    return found


def asked_for(train: spec.Train) -> dict[str, bool]:
    """Families that are named, and whether with a setting, which then stays as it is."""
    return {} if train.families == "auto" else {name: bool(options) for name, options in families(train)}


def competes(name: str) -> bool:
    """Whether a family competes unasked: its package is there, its models keep no rows, it says nothing else."""
    module = catalog.load("families", name)
    named = getattr(module, "KEEPS_ROWS", False) or getattr(module, "NAMED_ONLY", False)
    return lacking(module) is None and not named


def lacking(module: Any) -> tuple[str, str] | None:
    """(package, extra) that a family needs and this machine lacks."""
    needs: tuple[str, str] | None = getattr(module, "REQUIRES", None)
    return needs if needs and find_spec(needs[0]) is None else None


def require(name: str) -> None:
    """Errors: BadInput with the extra to install."""
    module = catalog.load("families", name)
    missing = lacking(module)
    if missing:
        raise BadInput(
            f"family {name} needs the package {missing[0]}, which is not installed",
            where="[train] families",
            remedy=f"Install it with: pip install 'forgeline[{missing[1]}]'",
        )
    if catalog.requires(module, "torch") and (wrong := compatible.complaint()):
        raise BadInput(f"family {name}: {wrong[0]}", where="[train] families", remedy=wrong[1])


def allowance(budget: spec.Budget, work: Workspace) -> float:
    """What may be spent in all: work units, or seconds of one core, of which the work log keeps the first answer."""
    if budget.units is not None:
        return budget.units
    if done := work.decided("left", stage="plan"):
        return float(done["seconds"])
    left = work.clock.remaining * work.workers.count
    work.note("left", stage="plan", seconds=left)
    return left


def sampled(
    priced: list[Candidate], shape: kinds.Shape, folds: int, allowed: float, memory_bytes: int
) -> list[Candidate]:
    """The candidates on the share of the rows that the budget and a worker's memory bear; the promising get more later.

    All rows, unless the cheapest candidate that bends would then take more than half of what may be spent; then a
    quarter, a sixteenth, …, so many that it takes an eighth. What a worker cannot hold is halved until it can.
    """
    bending = [each for each in priced if each.family != STRAIGHT] or priced
    share, need = 1.0, folds * min(each.cost.work for each in bending)
    if need > allowed / 2:
        while need * share > allowed / 8 and share * shape.rows >= GROWTH * LEAST_ROWS:
            share /= GROWTH
    found = []
    for each in priced:
        own = each if share == 1 else at_share(each, shape, share)
        while own.cost.memory_bytes > memory_bytes and own.share * shape.rows >= 2 * LEAST_ROWS:
            own = at_share(own, shape, own.share / 2)
        found.append(own)
    return found


def opened(
    priced: list[Candidate], shape: kinds.Shape, folds: int, allowed: float, *, part: float = 0.25, enough: float = 3.0
) -> list[Candidate]:
    """The candidates, the first of which takes at most `part` of the budget whatever the data.

    What a setting takes is a prediction. Data that need more steps than most take many times that, and a short budget
    would end before there is a model that bends: so the steps of the first are bounded. Where the bound is `enough`
    times what is expected to be needed, the bounded setting stands in its place; else it goes before it.
    """
    first = next((each for each in priced if each.family != STRAIGHT), priced[0])
    if any(getattr(catalog.load("families", each.family), "SEES", ()) for each in priced):
        return priced
    brief = getattr(catalog.load("families", first.family), "brief", None)
    some, most = at(shape, first.share), part * allowed / folds
    if brief is None or first.cost.work / first.done <= most:
        return priced
    setting = brief(some, first.setting, most)
    whole = expected(first.family, setting, some, 1.0).work
    head = candidate(
        f"{first.name.partition('@')[0]}{experience.BRIEF}", first.family, setting, shape, first.cost.work / whole
    )
    rest = [each for each in priced if each is not first or whole < enough * first.cost.work]
    return [at_share(head, shape, first.share), *rest]


def judge(priced: list[Candidate], folds: int, budget: spec.Budget, work: Workspace) -> list[Candidate]:
    """Which candidates fit memory and, in order, what is left of the work; the first affordable one always may."""
    limit = budget.units
    memory = work.workers.memory_bytes
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
    return msgspec.structs.replace(candidate, fits=fits, why=why)


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
