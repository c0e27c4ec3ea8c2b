"""Charts with their captions."""

from collections.abc import Mapping

from markupsafe import Markup

from forgeline import history, records
from forgeline.board import charts, figures
from forgeline.board.figures import FIRST
from forgeline.board.numbers import compared
from forgeline.board.reading import Run
from forgeline.records import Number, Record

MOST_CHARTS = 60


def figure_of(title: str, chart: str, note: str = "") -> Markup:
    """A chart with its caption."""
    small = Markup("<small>{}</small>").format(note) if note else ""
    return Markup('<figure class="card"><figcaption>{}</figcaption>{}{}</figure>').format(title, Markup(chart), small)


def learning(run: Run) -> list[Markup]:
    """Curves of what was being trained in steps when the page was drawn."""
    return [curve_of(shape) for shape in history.going_on(run.folder / "checkpoints")]


def curve_of(shape: records.Curve) -> Markup:
    """A curve with its caption."""
    return figure_of(shape.title, charts.curve(shape), curve_note(shape))


def figures_of(record: Record) -> list[Markup]:
    """Every chart of a record: forests of its numbers, its curves, its histograms."""
    curves = [curve_of(shape) for shape in record.curves[:MOST_CHARTS]]
    histograms = [figure_of(shape.title, charts.histogram(shape)) for shape in record.histograms[:MOST_CHARTS]]
    return [*forests(record.numbers), *curves, *histograms]


def curve_note(shape: records.Curve) -> str:
    """What is drawn besides the line."""
    band = ["band: its interval"] if shape.low else []
    dashed = [f"dashed: {shape.against_label or 'what it is compared with'}"] if shape.against else []
    return "; ".join([*band, *dashed]).capitalize()


def forests(numbers: Mapping[str, Number]) -> list[Markup]:
    """One chart for each metric that several numbers of one family measure, the sealed test first.

    `fairness.sex.ratio` and `fairness.race.ratio` are one family, so are `cv.rmse` and `test.rmse`; a number
    brings its rivals along.
    """
    families: dict[tuple[str, str, str], list[tuple[str, Number]]] = {}
    for row in compared(numbers):
        if row.number.low is not None and row.number.high is not None:
            prefix, _, metric = row.name.rpartition(".")
            lines = families.setdefault((metric, row.number.unit, prefix.rpartition(".")[0]), [])
            lines += [(prefix, row.number)] + [(f"{prefix}.{rival}", other) for rival, other in row.rivals.items()]
    return [
        forest_of(f"{family}.{metric}" if family else metric, sorted(lines, key=test_first))
        for (metric, _, family), lines in families.items()
        if len(lines) > 1
    ]


def test_first(line: tuple[str, Number]) -> bool:
    """False, which sorts first, for a number of the sealed test."""
    return line[0].partition(".")[0] != "test"


def forest_of(title: str, lines: list[tuple[str, Number]]) -> Markup:
    """A forest with its caption, of the first twelve lines."""
    return figure_of(title, charts.forest(title, lines[:FIRST]), lines_note(lines))


def lines_note(rows: list[tuple[str, Number]]) -> str:
    """What the lines of a forest are."""
    levels = {number.level for _, number in rows if number.level}
    level = f"{figures.figure(levels.pop() * 100)} % " if len(levels) == 1 else ""
    more = f" The table has {len(rows) - FIRST:,} more." if len(rows) > FIRST else ""
    return f"Lines are {level}intervals.{more}"
