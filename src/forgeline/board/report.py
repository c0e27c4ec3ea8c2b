"""The page each run ends with: `report.html`, drawn from the run's records, its spec and the stage it was to end at."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from forgeline import records, spec
from forgeline.board import charts, figures, worth
from forgeline.board.private import withheld
from forgeline.board.sentences import sentence
from forgeline.errors import BadInput
from forgeline.records import Assessment, Finding, Fix, GateResult, Meter, Number, Record, Remedy, Table

MOST = 500
"""Rows of a table, findings or numbers on the page; the record holds the rest."""
FIRST = 12
"""Rows that are shown before a click."""
TILES = ("size.bytes", "latency.p99")
"""Numbers with stable names that stand beside the scores."""
FILE = {"digest", "size_bytes", "name"}
"""Fields of a reference to a file: evidence, not something to read."""
MOST_CHARTS = 60
RIVAL = re.compile(r"(?P<prefix>.+?)\.(?P<rival>baseline\.[^.]+|full)\.(?P<rest>.+)")


def report(run: Path) -> Path:
    """Write `<run>/report.html` from the records that exist; its path. Errors: BadInput on a broken record."""
    page = run / "report.html"
    part = page.with_suffix(".html.part")
    part.write_text(render(read(run)), encoding="utf-8")
    part.replace(page)
    return page


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class Run:
    """What a run folder holds: its spec and the records so far, in the order of the line."""

    folder: Path
    spec: spec.Spec
    spec_text: str
    records: dict[str, Record]
    until: str = "release"
    """The stage that the line was asked to stop at."""

    @cached_property
    def numbers(self) -> dict[str, Number]:
        """Every number of every record."""
        return {name: number for record in self.records.values() for name, number in record.numbers.items()}

    @cached_property
    def shown(self) -> dict[str, Record]:
        """The records as they are drawn: without values of personal columns."""
        return {stage: withheld(record) for stage, record in self.records.items()}

    @cached_property
    def gates(self) -> list[GateResult]:
        """Every gate, once, as it was judged last."""
        return list({gate.gate: gate for record in self.records.values() for gate in record.gates}.values())

    def again(self, options: str = "", verb: str = "run") -> tuple[str, str]:
        """Where to type what runs, or assesses, the same spec anew, with these options."""
        source = self.spec.snapshot.source
        if verb == "run" and not self.spec.snapshot.target:
            options = f"--target COLUMN {options}"
        if not (Path(source).is_absolute() or ":" in source):
            # Relative to the folder of the user's own spec, which the run does not record.
            return "in the folder of your forgeline.toml", f"forgeline {verb} {options}".rstrip()
        here, top = self.folder.resolve(), Path.cwd()
        folder = here.relative_to(top) if here.is_relative_to(top) else here
        return "here", f"forgeline {verb} {quote(str(folder / 'spec.toml'))} {options}".rstrip()

    def facts(self, stage: str) -> Any:
        """The stage's own facts, or None when it has no record yet."""
        return getattr(self.records.get(stage), "facts", None)


def read(folder: Path) -> Run:
    """The run in a folder. Errors: BadInput naming the file that is no record or no spec."""
    found = {}
    for stage in records.STAGES:
        file = folder / records.file_name(stage)
        if file.exists():
            found[stage] = decode(file)
    file = folder / "spec.toml"
    return Run(folder, spec.read(file), file.read_text(encoding="utf-8"), found, until(folder))


def until(folder: Path) -> str:
    """The stage that the line was asked to stop at, by the run's log; the last one when that does not say."""
    log = folder / "work.log"
    first = log.read_bytes().partition(b"\n")[0] if log.exists() else b""
    try:
        return str(json.loads(first).get("until", "release"))
    except ValueError:
        return "release"


def decode(file: Path) -> Record:
    """The record in a file. Errors: BadInput."""
    try:
        return records.decode(file.read_bytes())
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        raise BadInput(f"not a record ({error})", where=str(file), remedy="Run: forgeline resume RUN") from None


# ---------------------------------------------------------------- verdict


@dataclass(frozen=True)
class Verdict:
    """How the run ended, in a word and a sentence, and what to type next."""

    word: str
    says: str
    blockers: list[Finding]
    commands: list[tuple[str, str]]


def verdict(run: Run) -> Verdict:
    """Blocked by a gate, passed to the end or to where it was asked to stop, or unfinished."""
    for stage, record in run.shown.items():
        if any(not gate.holds for gate in record.gates):
            return blocked(run, stage, record)
    if len(run.records) == len(records.STAGES):
        return passed(run)
    return stopped(run) if run.until in run.records else unfinished(run)


def blocked(run: Run, stage: str, record: Record) -> Verdict:
    """Which gate stopped the line, the findings behind it, and the command that applies their fixes."""
    failing = [gate for gate in record.gates if not gate.holds]
    blocking = [finding for finding in record.findings if finding.severity == "block"]
    blockers = [each for each in blocking if not (accepted(run, each) or named(run, each))]
    gates = "; ".join(gate_text(gate) for gate in failing)
    codes = sorted({finding.code for finding in blockers if finding.fix and finding.fix.by_line})
    place, command = run.again(" ".join(f"--apply {quote(code)}" for code in codes))
    says = "To apply the fix and run the line again" if codes else "Mend it or change the condition in [gates]; then"
    commands = [(f"{says}, {place}:" if place != "here" else f"{says}:", command)]
    return Verdict("blocked", f"The line stopped after {stage}: {gates}.", blockers, commands)


def gate_text(gate: GateResult) -> str:
    """`findings.blocking == 0 does not hold (it is 1)`."""
    value = gate.why or "no value" if gate.value is None else f"it is {figures.figure(gate.value)}"
    return f"{gate.gate} does not hold ({value})"


def passed(run: Run) -> Verdict:
    """The line is complete and nothing stands against the release."""
    name = quote(run.folder.name)
    commands = [
        ("Predict a file:", f"forgeline predict {name} DATA -o predictions.csv"),
        ("Answer over HTTP:", f"forgeline serve {name}"),
        ("Prove that it can be made again:", f"forgeline verify {name}"),
    ]
    return Verdict("passed", f"All {len(records.STAGES)} stages are done and {held(run)}.", [], commands)


def held(run: Run) -> str:
    """That no gate stands against it."""
    return "every gate holds" if run.gates else "no gate was asked for"


def stopped(run: Run) -> Verdict:
    """The line came to the stage where it was asked to stop."""
    done = f"{len(run.records)} of {len(records.STAGES)} stages are done"
    where, command = run.again()
    says = f"The line was asked to stop at {run.until}: {done} and {held(run)}."
    return Verdict("passed", says, [], [(f"To run the whole line{placed(where)}:", command)])


def unfinished(run: Run) -> Verdict:
    """The line was interrupted."""
    done, total = len(run.records), len(records.STAGES)
    missing = next(stage for stage in records.STAGES if stage not in run.records)
    says = f"{done} of {total} stages are done; {missing} has no record yet."
    return Verdict("unfinished", says, [], [("Go on from here:", f"forgeline resume {quote(run.folder.name)}")])


def accepted(run: Run, finding: Finding) -> dict[str, Any] | None:
    """Who signed for a finding and why, or None."""
    for accept in getattr(run.facts("assess"), "accepted", []):
        columns = accept.get("columns") or finding.columns
        if accept.get("code") == finding.code and set(columns) == set(finding.columns):
            return dict(accept)
    return None


def named(run: Run, finding: Finding) -> bool:
    """Whether the spec asks for the fix of a finding by its code."""
    wanted = run.spec.refine.apply
    return finding.fix is not None and isinstance(wanted, list) and finding.code in wanted


def fix_state(run: Run, finding: Finding, fix: Fix) -> str:
    """Whether the fix of a finding is applied, and what to type if it is not."""
    told = worth.step(finding, run.spec.refine.apply, getattr(run.facts("assess"), "decided", []))
    if told.says == worth.BY_DEFAULT:
        return f"{told.says}: it loses no row and no column"
    if not fix.by_line and told.command:
        return "not applied: this is for a person to do"
    return f"not applied; to apply it: {told.command}" if told.command else told.says


def fix_text(fix: Fix) -> str:
    """What a fix does."""
    if fix.says and not fix.by_line:
        return fix.says
    values = [f"{old} → {new}" for old, new in fix.values.items()] + fix.markers
    what = f"{fix.do} {figures.cut(fix.columns)}".rstrip() + (f" to {fix.to}" if fix.to else "")
    return what + (f" ({figures.cut(values)})" if values else "") + (f", {fix.says}" if fix.says else "")


def by_severity(found: list[Finding]) -> list[Finding]:
    """The findings, blocking ones first, otherwise in the order they were made."""
    return sorted(found, key=lambda finding: ("block", "warn", "note").index(finding.severity))


# ---------------------------------------------------------------- what the data is worth


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


def placed(where: str) -> str:
    """Where to type it, unless it is here."""
    return "" if where == "here" else f", {where}"


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


# ---------------------------------------------------------------- numbers


@dataclass(frozen=True)
class Compared:
    """One number and the numbers it is compared with, by rival (`baseline.linear`, `full`)."""

    name: str
    number: Number
    rivals: dict[str, Number]


def compared(numbers: Mapping[str, Number]) -> list[Compared]:
    """The numbers, each with its rivals: `test.baseline.linear.rmse` stands beside `test.rmse`."""
    rows = {name: Compared(name, number, {}) for name, number in numbers.items()}
    for name, number in numbers.items():
        found = RIVAL.fullmatch(name)
        beside = rows.get(f"{found['prefix']}.{found['rest']}") if found else None
        if found and beside:
            beside.rivals[found["rival"]] = number
            del rows[name]
    return list(rows.values())


def rivals(rows: list[Compared]) -> list[str]:
    """Every rival that some number has, in the order they appear."""
    return list(dict.fromkeys(name for row in rows for name in row.rivals))


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


# ---------------------------------------------------------------- tables


@dataclass(frozen=True)
class Grid:
    """A table as it is drawn: cell texts, which columns hold numbers, and how many rows are left out."""

    title: str
    columns: list[tuple[str, bool]]
    rows: list[list[str]]
    more: int
    note: str = ""


def grid(table: Table) -> Grid:
    """The texts of a table's cells; numbers of a column have as many decimals each."""
    shown = table.rows[:MOST]
    drawn = [column_texts(name, [row[at] for row in shown]) for at, name in enumerate(table.columns)]
    heads = [(name, numeric) for name, (_, numeric) in zip(table.columns, drawn)]
    rows = [list(row) for row in zip(*(texts for texts, _ in drawn))]
    return Grid(table.title, heads, rows, len(table.rows) - len(rows), table.note)


def column_texts(name: str, cells: list[Any]) -> tuple[list[str], bool]:
    """The texts of a column, and whether it holds nothing but numbers; `bytes` in its name makes them sizes."""
    unit = "bytes" if re.split(r"[ _.]", name)[-1] == "bytes" else ""
    known = [cell for cell in cells if cell is not None]
    numeric = bool(known) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in known)
    if not numeric or unit:
        return [figures.cell_text(cell, unit) for cell in cells], numeric
    texts = iter(figures.aligned(known))
    return ["—" if cell is None else next(texts) for cell in cells], True


def fact_tables(record: Any) -> Iterator[Grid]:
    """Lists of things and name → text pairs among a record's facts, for a record that brings no tables."""
    if record.tables:
        return
    for name, value in msgspec.to_builtins(record.facts).items():
        title = name.replace("_", " ").capitalize()
        if isinstance(value, dict) and value and set(value) != FILE:
            pairs: list[list[Any]] = [[key, brief(each)] for key, each in value.items() if each]
            yield grid(Table(title=title, columns=["name", "value"], rows=pairs))
        elif isinstance(value, list) and value and isinstance(value[0], dict) and set(value[0]) != FILE:
            yield grid(listed(title, value))


def listed(title: str, items: list[dict[str, Any]]) -> Table:
    """A table of things that have the same fields; fields that are empty in each are left out."""
    names = [name for name in items[0] if any(item.get(name) not in (None, "", [], {}) for item in items)]
    return Table(title=title, columns=names, rows=[[brief(item.get(name)) for name in names] for item in items])


def brief(value: Any) -> str | float | int | bool | None:
    """A fact as a cell: lists joined, digests by their first 12 digits."""
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return value[:12] + "…"
    return value if isinstance(value, str | int | float | None) else figures.cell_text(value)


# ---------------------------------------------------------------- cost


def meters(run: Run) -> dict[str, Meter]:
    """What each stage took."""
    return {stage: record.meter for stage, record in run.records.items() if record.meter}


def cost_table(run: Run) -> Grid:
    """What each stage took, and all of them together; what nothing measured is unknown."""
    each = meters(run)
    rows = [[stage, *cost_cells([meter])] for stage, meter in each.items()]
    together = [["together", *cost_cells(list(each.values()))]] if len(rows) > 1 else []
    heads = ["seconds", "cpu seconds", "peak memory", "energy", "cost"]
    return Grid("", [("stage", False), *((head, True) for head in heads)], rows + together, 0)


def cost_cells(taken: list[Meter]) -> list[str]:
    """Sums over some meters, and the highest of their peaks."""
    return [
        figures.duration(sum(meter.seconds for meter in taken)),
        figures.duration(sum(meter.cpu_seconds for meter in taken)),
        figures.size(max(meter.peak_bytes for meter in taken)),
        figures.value_text(Number(value=total([meter.joules for meter in taken]), unit="J")),
        figures.value_text(Number(value=total([meter.cost for meter in taken]))),
    ]


def total(values: list[float | None]) -> float | None:
    """The sum; unknown as soon as one of the values is."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def totals(run: Run) -> dict[str, Number]:
    """Energy, cost and carbon of all stages so far; what is unknown says why."""
    taken, grams_per_kwh = meters(run).values(), run.spec.budget.carbon_per_kwh
    joules, cost = total([meter.joules for meter in taken]), total([meter.cost for meter in taken])
    grams = None if joules is None or grams_per_kwh is None else joules / 3.6e6 * grams_per_kwh
    energy_why = recorded_why(run, "energy.total", "this machine gave no reading of its energy")
    carbon_why = energy_why if joules is None else "[budget] carbon_per_kwh is not set"
    return {
        "cost": Number(value=cost, why=recorded_why(run, "cost.total", "[budget] price_per_hour is not set")),
        "energy": Number(value=joules, unit="J", why=energy_why),
        "carbon": Number(value=grams, unit="gCO2e", why=recorded_why(run, "carbon.total", carbon_why)),
    }


def recorded_why(run: Run, name: str, otherwise: str) -> str:
    """Why a number is unknown, in the words of its record."""
    return (name in run.numbers and run.numbers[name].why) or otherwise


# ---------------------------------------------------------------- drawing


def figure_of(title: str, chart: str, note: str = "") -> Markup:
    """A chart with its caption."""
    small = Markup("<small>{}</small>").format(note) if note else ""
    return Markup('<figure class="card"><figcaption>{}</figcaption>{}{}</figure>').format(title, Markup(chart), small)


def figures_of(record: Record) -> list[Markup]:
    """Every chart of a record: forests of its numbers, its curves, its histograms."""
    curves = [figure_of(shape.title, charts.curve(shape), curve_note(shape)) for shape in record.curves]
    histograms = [figure_of(shape.title, charts.histogram(shape)) for shape in record.histograms[:MOST_CHARTS]]
    return [*forests(record.numbers), *curves, *histograms]


def curve_note(shape: records.Curve) -> str:
    """What is drawn besides the line."""
    band = ["band: its interval"] if shape.low else []
    dashed = ["dashed: what it is compared with"] if shape.against else []
    return "; ".join([*band, *dashed]).capitalize()


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
            meters,
        ),
        *(next_steps, places, rate_rows, score_unit, share_bar, structure_chart),
        *(fix_text, grid, headline, rivals, sentence, tiles, totals, verdict),
    )
    environment.globals.update(
        {each.__name__: each for each in drawing}, worth=worth, count=figures.count, FIRST=FIRST, MOST=MOST
    )
    parts = [(stage, meter.seconds) for stage, meter in meters(run).items()]
    bar = Markup(charts.stacked("Seconds by stage", parts))
    return environment.get_template("report.html").render(run=run, stages=list(records.STAGES), time_bar=bar)
