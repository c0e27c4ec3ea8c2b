"""Writes a commented forgeline.toml from what an assessment found: every line says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgeline import records
from forgeline.engine.protected import by_name
from forgeline.engine.store import write_atomic
from forgeline.stages.plan import DEFAULT_METRIC

if TYPE_CHECKING:
    from forgeline.session import Run

NAMED = "fixes of blocking findings must be named; look before you keep this"
SAFE = "cast, map and missing; nothing is dropped"
GUESSED_PROTECTED = {"sex", "race", "religion", "disability", "nationality"}
"""Protected attributes whose columns are suggested, never assumed; of others `bias.undeclared` tells."""


def write(path: Path, run: Run) -> None:
    """Write the spec that the run's assessment suggests."""
    done = run.records
    snapshot: Any = done[0]
    assessment: Any = done[1]
    write_atomic(path, "\n".join(lines(run, snapshot, assessment)).encode())


def lines(run: Run, snapshot: records.Snapshot, assessment: records.Assessment) -> list[str]:
    """The file, line by line."""
    facts, ask = snapshot.facts, run.ask
    names = [column.name for column in facts.columns]
    protected = ask.assess.protected or [name for name in names if by_name(name) in GUESSED_PROTECTED]
    positive = (
        [f"positive = {json.dumps(facts.positive)}  # its probability is reported"] if facts.task == "binary" else []
    )
    blocking = [each for each in assessment.findings if each.severity == "block"]
    codes = list(dict.fromkeys(each.code for each in blocking if each.fix))
    apply = json.dumps(["safe", *codes]) if codes else '"safe"'
    split = (
        [f"file = {json.dumps(near(ask.split.file))}  # your own test file"]
        if ask.split.file
        else [f"share = {ask.split.share}  # {assessment.facts.split_how}"]
    )
    prefix = "test" if assessment.facts.test_digest else "cv"
    gate = {
        "binary": f'# "{prefix}.roc_auc" = "low >= 0.80"',
        "multiclass": f'# "{prefix}.accuracy" = "low >= 0.80"',
    }
    return [
        f"# Written by `forgeline init` from run {run.name}. Every key: docs/spec.md",
        "",
        "[snapshot]",
        f"source = {json.dumps(near(ask.snapshot.source))}  # {facts.rows} rows, {len(facts.columns)} columns",
        f"target = {json.dumps(facts.target)}  # {facts.task}: {facts.task_why}",
        *positive,
        "",
        "[split]",
        *split,
        "",
        "[assess]",
        f"protected = {json.dumps(protected)}  # groups whose rates are compared",
        *(f"# found: {each.severity} {each.code}: {one_line(each.says)}" for each in assessment.findings[:20]),
        "",
        "[refine]",
        f"apply = {apply}  # {NAMED if codes else SAFE}",
        "",
        "[plan]",
        f'metric = "{DEFAULT_METRIC[str(facts.task)]}"  # what models are selected by',
        "",
        "[budget]",
        'work = 100  # about a minute on two cores; or time = "60s"',
        "",
        "[gates]",
        "# A release is only made when these hold. Set yours once you have seen a first report:",
        gate.get(str(facts.task), f'# "{prefix}.r2" = "low >= 0.50"'),
        "",
    ]


def near(source: str) -> str:
    """A path inside the current folder, where the spec will lie, relative to it: both can be moved together."""
    path, here = Path(source), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else source


def one_line(text: str) -> str:
    """Text that fits behind a comment sign."""
    return " ".join(text.split())[:160]
