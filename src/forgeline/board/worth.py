"""What the data is worth, as the page and the terminal tell it: score, remediation queue, leaks and bias."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from forgeline.board.figures import count
from forgeline.records import Assessment, Decided, Finding, Fix, Number, Remedy, Table

PARTS = {
    "completeness": "cells that are filled",
    "consistency": "cells and rows that agree with each other",
    "label_fidelity": "labels that are right",
}
"""What the score's three companions are shares of."""
FOUR_FIFTHS = 0.8
"""Below this ratio of base rates US practice speaks of disparate impact (29 CFR 1607.4 D)."""
BY_DEFAULT = "applied by default"
LEAKS = {
    "leak.target_copy": ("target_copy", "the target in other words"),
    "leak.proxy": ("proxy", "one column that knows too much"),
    "leak.identifier": ("leaking_identifier", "identifiers that tell the target"),
    "leak.missingness": ("missingness", "gaps that tell the target"),
    "leak.after_outcome": ("after_outcome", "columns filled in after the outcome"),
    "leak.duplicate": ("copies_across", "equal rows on both sides of the split"),
    "leak.near_duplicate": ("near_duplicate", "almost equal rows on both sides of the split"),
    "leak.time": ("split_leaks", "later rows that help to predict earlier ones"),
    "leak.group": ("split_leaks", "one entity on both sides of the split"),
    "leak.sampling": ("sampling", "test rows drawn unlike the training rows"),
    "leak.no_test_set": ("fit_ledger", "scores on rows the model was fitted on"),
    "leak.preprocessing": ("fit_ledger", "preparation fitted on test rows"),
    "leak.selection": ("fit_ledger", "features chosen by test rows"),
    "leak.test_reuse": ("fit_ledger", "test rows asked again and again"),
}
"""Kind of leak → the check that looks for it, and what it is in plain words."""


# ---------------------------------------------------------------- the score


def meaning(record: Assessment) -> str:
    """What the quality score says, in a sentence."""
    score = record.numbers.get("quality.score")
    if score is None or score.value is None:
        return "No score: " + (score.why if score else "the record holds none") + "."
    if not record.facts.queue:
        return "Nothing was found that could be mended to make a model better."
    lost = 1 - score.value
    if lost < 0.0005:
        if any(remedy.gain > 0 and remedy.code.startswith("leak.") for remedy in record.facts.queue):
            return "Nothing that is certain costs a model any of its skill; the suspected leaks in the queue may."
        return "Nothing in the queue is expected to cost a model any of its skill."
    sure = ""
    if score.low is not None and score.high is not None:
        sure = f" (between {percent(1 - score.high)} and {percent(1 - score.low)})"
    gives = f"Mending everything in the queue is expected to give back {percent(lost)}"
    return f"{gives} of the skill of the mended model{sure}."


def parts(record: Assessment) -> list[tuple[str, str, Number]]:
    """The shares that stand beside the score: name, what it is a share of, number."""
    found = [(name, says, record.numbers.get(f"quality.{name}")) for name, says in PARTS.items()]
    return [(f"quality.{name}", says, number) for name, says, number in found if number]


def percent(part: float) -> str:
    """A share for reading.

    >>> percent(0.1234), percent(0.0002), percent(0)
    ('12.3 %', '< 0.1 %', '0 %')
    """
    if 0 < part < 0.0005:
        return "< 0.1 %"
    text = f"{part * 100:.1f}"
    return f"{text.removesuffix('.0')} %"


# ---------------------------------------------------------------- the queue


def skill(record: Assessment) -> float | None:
    """Loss that the mended model takes off the constant predictor's; None where score and gain do not tell it."""
    score, gain = (record.numbers.get(f"quality.{name}") for name in ("score", "gain"))
    if score is None or gain is None or score.value is None or gain.value is None:
        return None
    return gain.value / (1 - score.value) if 0 < score.value < 1 and gain.value > 0 else None


def gain_text(gain: float, of: float | None) -> str:
    """A gain as a share of the skill, or as loss where the skill is not known.

    >>> gain_text(0.02, 0.4), gain_text(0.02, None), gain_text(0.00001, None), gain_text(0, None)
    ('5 %', '0.0200', '< 0.0001', '0')
    """
    if of:
        return percent(gain / of)
    return "0" if not gain else "< 0.0001" if 0 < gain < 0.00005 else f"{gain:.4f}"


def gain_ends(remedy: Remedy, of: float | None) -> str:
    """The interval of a gain, `0 % to 2 %`; empty where nothing is gained at either end."""
    ends = [gain_text(max(0.0, end), of) for end in (remedy.low, remedy.high)]
    return "" if ends[0] == ends[1] else " to ".join(ends)


def unit(of: float | None) -> str:
    """What gains are given in."""
    return "share of the skill" if of else "loss"


def most_gain(queue: Sequence[Remedy], of: float | None) -> float:
    """Where the scale of the queue's bars ends; gains that are next to nothing are drawn as little."""
    return max([0.01 * (of or 0.1), *(max(remedy.gain, remedy.high) for remedy in queue)])


@dataclass(frozen=True)
class Step:
    """What becomes of a finding: in words, and what to type to have it mended, if something is to be typed."""

    says: str
    command: str = ""


def step(finding: Finding, apply: str | Sequence[str] | None, decided: Sequence[Decided] = ()) -> Step:
    """What is done about a finding, given `[refine] apply` (None: unknown) and a review."""
    for each in decided:
        if (each.code, each.columns) == (finding.code, finding.columns):
            return Step(decision(each))
    fix = finding.fix
    if fix is None or not fix.by_line:
        return Step("for a person", "--export review.csv")
    done = applied(finding, fix, "safe" if apply is None else apply)
    return Step(done) if done else Step("", f"--apply {finding.code}")


def decision(each: Decided) -> str:
    """What a review decided, by whom and why."""
    word = "mended" if each.decision == "apply" else "left as it is"
    return f"decided: {word}" + (f", by {each.by}" if each.by else "") + (f": {each.reason}" if each.reason else "")


def applied(finding: Finding, fix: Fix, apply: str | Sequence[str]) -> str:
    """How a fix comes to be applied; empty when it is not."""
    if not isinstance(apply, str) and finding.code in apply:
        return "applied, as asked"
    return BY_DEFAULT if fix.safe and finding.severity != "block" and "safe" in apply else ""


# ---------------------------------------------------------------- leaks


def leaks(record: Assessment) -> list[Finding]:
    """What was found of leaks, in the order of the record."""
    return [each for each in record.findings if each.code.startswith("leak.")]


def structure(record: Assessment) -> list[Finding]:
    """What was found of entities and of order in time."""
    return [each for each in record.findings if each.code.startswith("structure.")]


def follows(record: Assessment) -> str:
    """Which structure the split follows; of a test file, that its rows decide."""
    facts = record.facts
    if test_file(record):
        folds = f"keeps the rows of each {facts.group} in one fold" if facts.group else ""
        folds = f"takes its folds in the order of {facts.time}" if facts.time else folds
        inside = f" Cross-validation of the training rows {folds}." if folds else ""
        return f"The rows of the test file decide what is tested, whatever structure there is.{inside}"
    if facts.group or facts.time:
        kept = [f"keeps the rows of each {facts.group} on one side"] if facts.group else []
        kept += [f"tests on the latest rows by {facts.time}"] if facts.time else []
        return f"It {' and '.join(kept)}."
    return "It follows no entities and no order in time."


def test_file(record: Assessment) -> str:
    """The test file that was given; empty when rows were set aside."""
    split = record.made.ask.get("split", {}) if record.made else {}
    return str(split.get("file", ""))


def side_by_side(record: Assessment) -> list[Finding]:
    """Leaks that come with the score of a random split and of an honest one."""
    return [each for each in leaks(record) if {"random", "honest"} <= each.numbers.keys()]


def score_unit(task: str | None) -> str:
    """What inflations are counted in."""
    return "R²" if task == "regression" else "AUC" if task else ""


def too_good(finding: Finding, unit: str) -> str:
    """By how much a score would look better than it is; empty where nobody estimated it."""
    by = finding.numbers.get("inflation")
    if by is None:
        return ""
    low, high = finding.numbers.get("low"), finding.numbers.get("high")
    sure = "" if low is None or high is None else f" (between {low:.3f} and {high:.3f})"
    what = "with a random split the score would look" if avoided(finding) else "the score would look"
    if by < 0.0005:
        return f"{what} no better than it is"
    amount = " ".join(filter(None, [f"{by:.3f}", unit]))
    return f"{what} {amount} better than it is{sure}"


def avoided(finding: Finding) -> bool:
    """Whether it says what a random split would have shown, and the split in force does not.

    A split or a test file that tears the structure apart comes with a fix, however little that flatters.
    """
    return finding.code in ("leak.group", "leak.time") and finding.severity == "note" and finding.fix is None


@dataclass(frozen=True)
class Looked:
    """One kind of leak: what it is, whether it was found, and why it could not be looked for."""

    code: str
    says: str
    found: int
    why: str = ""
    avoided: bool = False
    """The split, or the test file, takes care of it."""
    by: str = "the split"
    """What takes care of it."""

    @property
    def state(self) -> str:
        """In a few words."""
        if self.why:
            return "not applicable"
        return f"found: {self.found}" if self.found else f"avoided by {self.by}" if self.avoided else "not found"


def looked_for(record: Assessment) -> list[Looked]:
    """Every kind of leak that a check looked for, or could not look for."""
    facts, found = record.facts, leaks(record)
    tally = Counter(each.code for each in found if not avoided(each))
    spared = {each.code for each in found if avoided(each)}
    by = "the test file" if test_file(record) else "the split"
    kinds = [
        Looked(
            code, says, tally[code], facts.not_applicable.get(check, "") if not tally[code] else "", code in spared, by
        )
        for code, (check, says) in LEAKS.items()
        if tally[code] or check in facts.checks or check in facts.not_applicable
    ]
    more = [Looked(code, "", many) for code, many in tally.items() if code not in LEAKS]
    return kinds + more


def looked_says(kinds: Sequence[Looked]) -> str:
    """How many kinds of leak were looked for and found, in a sentence."""
    judged = [kind for kind in kinds if not kind.why]
    found = sum(kind.found > 0 for kind in judged)
    if not judged:
        return "No kind of leak could be looked for."
    told = "none was found" if not found else f"{found} {'was' if found == 1 else 'were'} found"
    spared, blind = sum(kind.avoided and not kind.found for kind in judged), len(kinds) - len(judged)
    says = f"{count(len(judged), 'kind')} of leak {'was' if len(judged) == 1 else 'were'} looked for; {told}."
    if spared:
        by_file = any(kind.by == "the test file" for kind in judged)
        avoids = "the rows of the test file decide, and avoid" if by_file else "the split in force avoids"
        says += f" {spared} would be there with a random split; {avoids} {'it' if spared == 1 else 'them'}."
    return says + (f" {blind} could not be judged." if blind else "")


def reasons(record: Assessment) -> dict[str, list[str]]:
    """Why checks could not judge → which."""
    found: dict[str, list[str]] = {}
    for check, why in record.facts.not_applicable.items():
        found.setdefault(why, []).append(check)
    return found


# ---------------------------------------------------------------- bias


def rates(record: Assessment) -> list[Table]:
    """Tables of base rates: those that are titled by a protected attribute, or several."""
    names = record.facts.protected
    return [each for each in record.tables if any(titled(each.title, name) for name in names)]


def titled(title: str, name: str) -> bool:
    """Whether a table's title starts with an attribute."""
    return title == name or title.startswith((f"{name}:", f"{name} ×"))


def other_tables(record: Assessment) -> list[Table]:
    """The tables that are no base rates."""
    shown = {id(each) for each in rates(record)}
    return [each for each in record.tables if id(each) not in shown]


def bias(record: Assessment) -> list[Finding]:
    """What was found of unequal treatment, warnings first."""
    found = [each for each in record.findings if each.code.startswith("bias.")]
    return sorted(found, key=lambda each: ("block", "warn", "note").index(each.severity))


def impact(record: Assessment, table: Table) -> tuple[str, Number] | None:
    """The disparate-impact ratio of a table's attribute, by its name."""
    for name, number in record.numbers.items():
        attribute = name.removeprefix("bias.").removesuffix(".disparate_impact")
        if name == f"bias.{attribute}.disparate_impact" and (table.title + ":").startswith(f"{attribute}:"):
            return name, number
    return None
