"""What each stage decided, in a sentence."""

from forgeline.board.figures import count, cut, interval_text, value_text
from forgeline.records import (
    Assessment,
    Compression,
    Evaluation,
    Plan,
    Record,
    Refinement,
    Release,
    Snapshot,
    Training,
)


def sentence(record: Record) -> str:
    """What the stage decided, from its facts."""
    match record:
        case Snapshot():
            return snapshot(record)
        case Assessment():
            return assess(record)
        case Refinement():
            return refine(record)
        case Plan():
            return plan(record)
        case Training():
            return train(record)
        case Compression():
            return compress(record)
        case Evaluation():
            return evaluate(record)
        case Release():
            return release(record)
    return ""


def snapshot(record: Snapshot) -> str:
    """How much was frozen, and what kind of target it has."""
    facts = record.facts
    names = cut([source.name for source in facts.sources], most=3) or "a frame"
    test = f", {count(facts.test_rows, 'row')} of a test file beside them" if facts.test_rows else ""
    frozen = f"{count(facts.rows, 'row')} and {count(len(facts.columns), 'column')} are frozen{test} ({names})"
    task = f"; {facts.target} makes it {facts.task}" if facts.task else "; no target is named"
    left = f"; {count(facts.left_out, 'row')} without a target left out" if facts.left_out else ""
    return f"{frozen}{task}{left}."


def assess(record: Assessment) -> str:
    """What was sealed, and how many findings there are."""
    facts = record.facts
    tally = {kind: sum(f.severity == kind for f in record.findings) for kind in ("block", "warn", "note")}
    found = ", ".join(f"{many:,} {kind}" for kind, many in tally.items() if many)
    sealed = f"{count(facts.test_rows, 'row')} sealed for the test, {facts.train_rows:,} left to train on"
    return f"{sealed}; " + (f"{count(len(record.findings), 'finding')} ({found})." if found else "no findings.")


def refine(record: Refinement) -> str:
    """How many columns became how many features."""
    facts = record.facts
    gone = f", {count(len(facts.dropped), 'column')} left out" if facts.dropped else ""
    kept = "kept" if facts.filter_kept else "not kept"
    became = f"{count(len(facts.inputs), 'column')} became {count(facts.features, 'feature')}{gone}"
    return f"{became}; the filter is {kept}."


def plan(record: Plan) -> str:
    """How many candidates fit, and what they are compared by."""
    facts = record.facts
    fit = sum(candidate.fits for candidate in facts.candidates)
    return f"{fit} of {count(len(facts.candidates), 'candidate')} fit the budget; compared by {facts.metric}."


def train(record: Training) -> str:
    """Who made it into the ensemble."""
    facts = record.facts
    members = cut([member.candidate for member in facts.members], most=4)
    late = f"; {cut(facts.unfinished, most=4)} not finished" if facts.unfinished else ""
    calibrated = f"calibration: {facts.calibration.method}"
    return f"{count(len(facts.tried), 'candidate')} tried; the ensemble is {members}; {calibrated}{late}."


def compress(record: Compression) -> str:
    """What was dropped, and why."""
    facts = record.facts
    kept = count(len(facts.kept), "member")
    return f"{kept} kept, {len(facts.dropped)} dropped: {facts.why.rstrip('.')}."


def evaluate(record: Evaluation) -> str:
    """How good it is on rows it never saw."""
    facts = record.facts
    for prefix in ("test", "cv"):
        number = record.numbers.get(f"{prefix}.{facts.metric}")
        if number and number.value is not None:
            shown = f"{value_text(number)} {interval_text(number)}".rstrip()
            rows = f" on {count(facts.test_rows, 'sealed row')}" if prefix == "test" else ", in cross-validation"
            return f"{prefix}.{facts.metric} is {shown}{rows}."
    return f"{facts.metric} could not be measured."


def release(record: Release) -> str:
    """What can be deployed."""
    facts = record.facts
    return f"{facts.name} holds {count(len(facts.files), 'file')}; digest {facts.digest[:12]}."
