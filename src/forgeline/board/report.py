"""The page each run ends with: `report.html`, drawn from the run's records, its spec and the stage it was to end at."""

import datetime
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from forgeline import records
from forgeline.board import charts, figures, worth
from forgeline.board.assessed import next_steps, places, rate_rows, score_unit, share_bar, structure_chart
from forgeline.board.costs import cost_table, meters, totals
from forgeline.board.drawing import figures_of, forest_of, learning
from forgeline.board.figures import FIRST, MOST
from forgeline.board.grids import Grid, fact_tables, grid
from forgeline.board.numbers import Compared, compared, rivals
from forgeline.board.reading import Run, picture, read
from forgeline.board.sentences import sentence
from forgeline.board.verdicts import accepted, by_severity, fix_state, fix_text, verdict
from forgeline.records import Number

TILES = ("size.bytes", "latency.p99")
"""Numbers with stable names that stand beside the scores."""


def report(run: Path, *, running: bool = False) -> Path:
    """Write `<run>/report.html` from the records that exist; its path. Errors: BadInput on a broken record.

    While the run goes on the page loads itself again now and then.
    """
    page = run / "report.html"
    part = page.with_suffix(".html.part")
    drawn = f"{datetime.datetime.now(datetime.UTC):%H:%M:%S} UTC" if running else ""
    part.write_text(render(replace(read(run), running=drawn)), encoding="utf-8")
    part.replace(page)
    return page


@dataclass(frozen=True)
class Headline:
    """The score the model was selected by, the chart that compares it, and the other scores."""

    score: Compared
    chart: Markup
    others: list[Compared]


def headline(run: Run) -> Headline | None:
    """The first of `test.<metric>` and `cv.<metric>` that has a value; None before evaluate."""
    rows = compared(run.numbers)
    for prefix in ("test", "cv"):
        scores = [row for row in rows if row.name.startswith(f"{prefix}.") and row.rivals]
        chosen = [row for row in scores if row.name == f"{prefix}.{metric(run)}" and row.number.value is not None]
        if chosen:
            lines = [("this model", chosen[0].number), *chosen[0].rivals.items()]
            chart = forest_of(chosen[0].name, lines)
            return Headline(chosen[0], chart, [row for row in scores if row is not chosen[0]])
    return None


def metric(run: Run) -> str:
    """What the model is selected by; empty while the task is unknown."""
    task = getattr(run.facts("snapshot"), "task", None)
    default = {"regression": "rmse", None: ""}.get(task, "log_loss")
    return str(getattr(run.facts("plan"), "metric", run.spec.plan.metric or default))


def about(run: Run) -> list[tuple[str, str]]:
    """What the run is about, for the head of the page: data, task, target, metric, threshold, budget."""
    asked, frozen, judged = run.spec, run.facts("snapshot"), run.facts("evaluate")
    budget = f"{figures.figure(asked.budget.units)} work units" if asked.budget.units else asked.budget.time
    pairs = [
        ("data", ", ".join(source.name for source in frozen.sources[:3]) if frozen else asked.snapshot.source),
        ("rows", rows_text(frozen) if frozen else ""),
        ("target", frozen.target if frozen else asked.snapshot.target),
        ("task", frozen.task or "" if frozen else ""),
        ("positive class", positive(run)),
        ("metric", metric(run)),
        ("threshold", threshold(run, judged)),
        ("budget", budget),
        ("seed", str(asked.seed)),
    ]
    return [(name, value) for name, value in pairs if value]


def rows_text(frozen: records.SnapshotFacts) -> str:
    """How many rows, and how many of a test file."""
    test = f" and {frozen.test_rows:,} of a test file" if frozen.test_rows else ""
    return f"{frozen.rows:,}{test}"


def positive(run: Run) -> str:
    """The label whose probability is reported; empty when there is none."""
    frozen = run.facts("snapshot")
    label = frozen.positive if frozen else run.spec.snapshot.positive
    return "" if label is None else str(label)


def threshold(run: Run, judged: Any) -> str:
    """From which probability on the positive class is predicted; empty unless the task is binary."""
    if judged:
        return "" if judged.threshold is None else figures.figure(judged.threshold)
    binary = getattr(run.facts("snapshot"), "task", None) == "binary"
    return figures.figure(run.spec.evaluate.threshold) if binary else ""


def tiles(run: Run) -> dict[str, Number]:
    """Numbers that stand beside the scores: time, memory, size, latency, cost."""
    taken = meters(run).values()
    named = {name: run.numbers[name] for name in TILES if name in run.numbers}
    measured = {
        "time": Number(value=sum(meter.seconds for meter in taken), unit="s"),
        "peak memory": Number(value=max(meter.peak_bytes for meter in taken), unit="bytes"),
    }
    return {**measured, **named, "cost": totals(run)["cost"]}


def evidence(run: Run) -> Grid:
    """The digest of each record, and of its inputs."""
    rows = [
        [
            stage,
            record.digest,
            record.made.key if record.made else "—",
            record.made.forgeline if record.made else "—",
        ]
        for stage, record in run.records.items()
    ]
    heads = ["stage", "digest", "made from (key)", "forgeline"]
    return Grid("", [(head, False) for head in heads], rows, 0)


def render(run: Run) -> str:
    """The page as HTML; every text of the records is escaped."""
    environment = Environment(
        loader=PackageLoader("forgeline", "board"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=figures.figure,
        quantity=figures.quantity,
        size=figures.size,
        duration=figures.duration,
        value=figures.value_text,
        interval=figures.interval_text,
        cell=figures.cell_text,
        cut=figures.cut,
    )
    # The template calls these with what it has at hand: shapes go in, texts and grids come out.
    drawing = (
        *(
            about,
            accepted,
            by_severity,
            compared,
            cost_table,
            evidence,
            fact_tables,
            figures_of,
            fix_state,
            learning,
            meters,
        ),
        *(next_steps, places, rate_rows, score_unit, share_bar, structure_chart),
        *(fix_text, grid, headline, picture, rivals, sentence, tiles, totals, verdict),
    )
    environment.globals.update(
        {each.__name__: each for each in drawing}, worth=worth, count=figures.count, FIRST=FIRST, MOST=MOST
    )
    parts = [(stage, meter.seconds) for stage, meter in meters(run).items()]
    bar = Markup(charts.stacked("Seconds by stage", parts))
    return environment.get_template("report.html").render(run=run, stages=list(records.STAGES), time_bar=bar)
