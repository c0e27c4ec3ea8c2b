"""The part of the page that says what the data is worth: queue, leaks, bias."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from forgeline.board import charts, figures, worth
from forgeline.board.drawing import figure_of
from forgeline.board.figures import MOST
from forgeline.board.grids import grid
from forgeline.board.reading import Run, placed
from forgeline.board.verdicts import accepted
from forgeline.records import Assessment, Finding, Number, Remedy, Table


@dataclass(frozen=True)
class Place:
    """One line of the remediation queue, as it is drawn."""

    finding: Finding
    remedy: Remedy
    gain: str
    ends: str
    bar: Markup
    step: worth.Step


def places(run: Run) -> list[Place]:
    """The remediation queue, its bars on one scale."""
    record = run.shown["assess"]
    assert isinstance(record, Assessment)
    queue, of = record.facts.queue, worth.skill(record)
    scale = (0.0, worth.most_gain(queue, of))
    return [place(run, record.findings[remedy.finding], remedy, of, scale) for remedy in queue[:MOST]]


def place(run: Run, finding: Finding, remedy: Remedy, of: float | None, span: tuple[float, float]) -> Place:
    """One line of the queue."""
    gain, ends = worth.gain_text(remedy.gain, of), worth.gain_ends(remedy, of)
    drawn = charts.gauge(f"{gain} ({ends or gain})", remedy.gain, (remedy.low, remedy.high), span=span)
    step = worth.step(finding, run.spec.refine.apply, run.facts("assess").decided)
    signed = accepted(run, finding)
    if signed:
        step = worth.Step(f"accepted by {signed['by']}: {signed['reason']}")
    return Place(finding, remedy, gain, ends, Markup(drawn), step)


def next_steps(run: Run, queue: list[Place]) -> list[tuple[str, str]]:
    """What to type to have the first fix applied that waits for somebody, and to decide on all of them."""
    waits = list(dict.fromkeys(each.step.command for each in queue if each.step.command.startswith("--apply")))
    commands = []
    if waits:
        where, command = run.again(" ".join(waits[:1]))
        more = ", the first fix that waits for you" if len(waits) > 1 else ", the fix that waits for you"
        commands.append((f"Run the line with {waits[0]}{more}{placed(where)}:", command))
    where, command = run.again("--export review.csv", verb="assess")
    says = "Decide finding by finding and row by row in a table, then give it back with --review review.csv"
    return [*commands, (f"{says}{placed(where)}:", command)]


def share_bar(number: Number) -> Markup:
    """A share with its interval as a small bar; nothing where it is unknown."""
    if number.value is None:
        return Markup()
    ends = None if number.low is None or number.high is None else (number.low, number.high)
    return Markup(charts.gauge(figures.value_text(number), number.value, ends))


def score_unit(run: Run) -> str:
    """What the checks' quick models are scored in."""
    return worth.score_unit(getattr(run.facts("snapshot"), "task", None))


def structure_chart(run: Run, finding: Finding) -> Markup:
    """The score of a random split beside that of an honest one."""
    unit = score_unit(run)
    honest = "later rows" if finding.code == "leak.time" else "unseen groups"
    rows = [("random split", finding.numbers["random"]), (honest, finding.numbers["honest"])]
    title = f"{unit or 'Score'} of a quick model, by {figures.cut(finding.columns)}"
    chart = charts.beside(title, rows, base=0.5 if unit == "AUC" else 0.0)
    start = " Bars start at 0.5, where nothing is known." if unit == "AUC" else ""
    return figure_of(title, chart, structure_note(finding, file=bool(run.spec.split.file)) + start)


def structure_note(finding: Finding, *, file: bool = False) -> str:
    """Whether the split that is in force, or the test file, is the honest one."""
    decides = "The rows of the test file decide: it is" if file else "The split in force is"
    if worth.avoided(finding):
        return f"{decides} like the honest one."
    return f"{decides} like the random one{': its score would not hold' if finding.severity != 'note' else ''}."


@dataclass(frozen=True)
class Rate:
    """One group of a protected attribute, as it is drawn; `judged` is False where there are too few rows."""

    group: str
    cells: list[tuple[str, str, Markup]]
    """Column, text and bar of the others."""
    judged: bool
    under: bool
    """Below four fifths of the highest rate."""


def rate_rows(table: Table) -> list[Rate]:
    """The groups of a base-rate table with their bars."""
    found = []
    for row, texts in zip(table.rows, grid(table).rows):
        cell = dict(zip(table.columns, row))
        judged = bool(cell.get("judged", cell.get("base rate") is not None))
        ratio = cell.get("ratio to highest")
        under = isinstance(ratio, int | float) and ratio < worth.FOUR_FIFTHS
        told = [
            (name, text if judged or name != "base rate" else "not judged", rate_bar(name, cell, under))
            for name, text in list(zip(table.columns, texts))[1:]
            if name != "judged"
        ]
        found.append(Rate(texts[0], told, judged, under))
    return found


def rate_bar(name: str, cell: Mapping[str, Any], under: bool) -> Markup:
    """The bar of a base rate with its interval, or of a ratio beside the four-fifths line; nothing for other cells."""
    value = cell[name]
    if value is None or name not in ("base rate", "ratio to highest"):
        return Markup()
    if name == "base rate":
        ends = None if cell.get("low") is None or cell.get("high") is None else (cell["low"], cell["high"])
        return Markup(charts.gauge(f"{name} {figures.figure(value)}", value, ends))
    kind = "under" if under else ""
    says = f"{figures.figure(value)} of the highest rate; the line is at {worth.FOUR_FIFTHS:g}"
    return Markup(charts.gauge(says, value, mark=worth.FOUR_FIFTHS, kind=kind))
