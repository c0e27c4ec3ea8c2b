"""What earlier runs of a store have learned about settings, for the next plan on a similar table.

Each run leaves a lesson: features of its data and the cross-validated results of what it tried, never rows and never
a test score. A plan under a time budget borrows the settings that did best on the most similar tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from forgeline import records
from forgeline.engine.store import WorkLog

FILE = "experience.log"
CLOSE = 1.5
"""Farther than this is not similar: the distance of two tables of equal kind, one ten times as long, is 1."""
BRIEF = "-brief"
"""How the name of a candidate ends whose steps the budget bounded: it says nothing to a run that has longer."""


class Tried(msgspec.Struct, frozen=True):
    """A setting, what it scored out of fold, and its weight in the ensemble."""

    family: str
    setting: dict[str, Any]
    score: float
    weight: float
    done: float = 1.0
    """Share of the setting's steps that it was expected to need."""


class Lesson(msgspec.Struct, frozen=True):
    """What one run leaves behind."""

    run: str
    snapshot: str
    task: str
    metric: str
    features: dict[str, float]
    tried: list[Tried]


def lesson(done: Sequence[records.Record]) -> Lesson | None:
    """What a run leaves behind, once it has trained."""
    found = {type(record): record for record in done}
    snapshot: Any = found.get(records.Snapshot)
    refinement: Any = found.get(records.Refinement)
    plan: Any = found.get(records.Plan)
    training: Any = found.get(records.Training)
    if training is None:
        return None
    known = {each.name: each for each in [*plan.facts.candidates, *training.facts.searched]}
    return Lesson(
        run=training.run,
        snapshot=snapshot.facts.digest,
        task=str(snapshot.facts.task),
        metric=training.facts.metric,
        features=features_of(refinement),
        tried=[
            Tried(each.family, one.setting, each.score, each.weight, one.done)
            for each in training.facts.tried
            if not (one := known[each.candidate]).name.partition("@")[0].endswith(BRIEF)
        ],
    )


def features_of(refinement: records.Refinement) -> dict[str, float]:
    """Numbers that tell tables apart, on scales where a difference of 1 is large."""
    refined = refinement.facts
    inputs = max(len(refined.inputs), 1)
    return {
        "rows": math.log10(max(refined.rows, 1)),
        "features": math.log10(max(refined.features, 1)),
        "classes": math.log2(max(len(refined.classes), 1)),
        "categories": sum(each.kind == "category" for each in refined.inputs) / inputs,
        "dates": sum(each.kind == "date" for each in refined.inputs) / inputs,
        "flags": refined.flags / max(refined.features, 1),
    }


def distance(one: dict[str, float], other: dict[str, float]) -> float:
    """How different two tables are."""
    return math.dist([one[name] for name in sorted(one)], [other.get(name, 0.0) for name in sorted(one)])


def remember(root: Path, found: Lesson) -> None:
    """Add a lesson to a store; a run that is resumed leaves one."""
    log = WorkLog(root / FILE)
    if not log.find("lesson", run=found.run):
        log.append({"do": "lesson", "run": found.run, "lesson": msgspec.to_builtins(found)})


def similar(
    root: Path, task: str, metric: str, features: dict[str, float], *, most: int = 3
) -> list[tuple[float, Lesson]]:
    """(distance, lesson) of the most similar tables with the same kind of task and metric, the nearest first."""
    lines = WorkLog(root / FILE).lines
    known = [msgspec.convert(line["lesson"], Lesson) for line in lines if line["do"] == "lesson"]
    fitting = [each for each in known if (each.task, each.metric) == (task, metric)]
    ranked = sorted(((distance(features, each.features), each) for each in fitting), key=lambda pair: pair[0])
    return [(away, each) for away, each in ranked if away <= CLOSE][:most]


class Good(NamedTuple):
    """A setting with weight on a similar table."""

    tried: Tried
    distance: float
    run: str


def borrowed(near: Sequence[tuple[float, Lesson]], *, most: int = 4) -> list[Good]:
    """What had weight on similar tables, the heaviest of the nearest first; no setting twice."""
    found: list[Good] = []
    for away, each in near:
        for tried in sorted(each.tried, key=lambda one: -one.weight):
            known = any((tried.family, tried.setting) == (one.tried.family, one.tried.setting) for one in found)
            if tried.weight > 0 and not known and len(found) < most:
                found.append(Good(tried, away, each.run))
    return found
