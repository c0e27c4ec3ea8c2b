"""The fit ledger: which rows each step of a workflow saw, and the rules that judge by it whether a score can be true.

An entry says step, verb and the digest of the row ids it saw; the ids themselves are kept once per digest, as
packed bits, so that overlap can be judged from the file alone. Codes and effects follow Kapoor & Narayanan,
"Leakage and the reproducibility crisis in machine-learning-based science", Patterns 2023.
"""

import base64
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
import numpy as np

from forgeline.errors import BadInput

Verb = Literal["fit", "select", "split", "score", "predict"]
"""`select` is a fit of features that saw the target; `fit` any other, models included."""

PUBLISHED = {"leak.preprocessing": 0.002, "leak.selection": 0.018, "leak.test_reuse": 0.04, "leak.no_test_set": 0.1}
"""What such a leak adds to AUC at the median, where it could not be measured here."""
FOLDS = "cross-validation"
"""`inside` of what a cross-validation of scikit-learn fits and scores."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a workflow did to rows."""

    step: str
    verb: Verb
    rows: int
    digest: str
    """Of the sorted ids of the rows it saw; a key of `Ledger.sets`."""
    saw_target: bool = False
    inside: str = ""
    """The estimator or cross-validation that called it; empty when the user's code did."""
    uses: list[int] = []
    """Entries of the fitted steps through which its rows went before."""
    model: int | None = None
    """score, predict: the entry that fitted the model; null when it was fitted before."""
    setting: str = ""
    """fit: digest of the estimator's parameters and the number of columns."""
    baseline: bool = False
    """fit: a dummy, which nobody chooses."""
    test_overlap: float | None = None
    """fit, select: share of the scored rows it saw, the largest; score, predict: share its own model was fitted on."""


class Inflation(msgspec.Struct, frozen=True, kw_only=True):
    """By how much a leak raises the score, with the interval over splits."""

    value: float
    low: float | None = None
    high: float | None = None
    metric: str = ""
    how: Literal["measured", "published"] = "published"


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What a workflow did, in order."""

    rows: int
    """Rows of the table; ids are 0-based."""
    entries: list[Entry]
    sets: dict[str, str]
    """Digest → ids as packed bits, compressed, in base64."""
    inflation: dict[str, Inflation] = {}
    """Code → effect, where it was measured."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One leak."""

    code: str
    says: str
    steps: list[str]
    severity: Literal["block", "warn", "note"]
    numbers: dict[str, float]


def of_table(ledger: Ledger, rows: int, where: str) -> Ledger:
    """The ledger, once it holds steps and is of a table of so many rows. Errors: BadInput."""
    remedy = "Write it anew from the rows of the data, in the same order: fl.ledger(pipeline, X, y)."
    if not ledger.entries:
        raise BadInput("the ledger holds no step", where=where, remedy=remedy)
    if ledger.rows != rows:
        says = f"the ledger was written for {ledger.rows:,} rows, and the data has {rows:,}"
        raise BadInput(says, where=where, remedy=remedy)
    return ledger


# ---------------------------------------------------------------- sets of rows


def digest(ids: np.ndarray) -> str:
    """SHA-256 of sorted distinct ids, shortened to 128 bits, in hex."""
    return hashlib.sha256(np.ascontiguousarray(ids, dtype="<i8").tobytes()).hexdigest()[:32]


def pack(ids: np.ndarray, rows: int) -> str:
    """Ids as text: packed bits, compressed, in base64."""
    mask_N = np.zeros(rows, bool)
    mask_N[ids] = True
    return base64.b64encode(zlib.compress(np.packbits(mask_N).tobytes(), 6)).decode()


def unpack(text: str, rows: int) -> np.ndarray:
    """The mask [rows] that `pack` was given."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return np.unpackbits(bits, count=rows).astype(bool)


class Masks:
    """The sets of a ledger as masks, each unpacked once."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.known: dict[str, np.ndarray] = {}

    def __getitem__(self, entry: Entry) -> np.ndarray:
        if entry.digest not in self.known:
            self.known[entry.digest] = unpack(self.ledger.sets[entry.digest], self.ledger.rows)
        return self.known[entry.digest]

    def share(self, entry: Entry, seen: Entry) -> float:
        """Share of the entry's rows that another saw; 0 when its rows are not known."""
        count = self[entry].sum()
        return float((self[entry] & self[seen]).sum() / count) if count else 0.0


# ---------------------------------------------------------------- rules


class Scored(msgspec.Struct, frozen=True):
    """A score of a model whose fit was seen."""

    at: int
    entry: Entry
    model: Entry
    overlap: float
    """Share of the scored rows that the model was fitted on."""

    @property
    def uses(self) -> list[int]:
        """Every fitted step that the scored or the fitted rows went through."""
        return sorted({*self.entry.uses, *self.model.uses})


def why_not(ledger: Ledger | None) -> str:
    """Why nothing can be judged; empty when it can."""
    if ledger is None:
        return "no fit ledger: fl.ledger(pipeline, X, y) and fl.recording(X, y) write one"
    if not any(scores(ledger, Masks(ledger))):
        return "the fit ledger holds no score of a model whose fit it saw"
    return ""


def judge(
    ledger: Ledger | None, *, least_overlap: float = 0.05, most_models: int = 2, least_effect: float = 0.005
) -> list[Verdict]:
    """The leaks a ledger shows; none without a ledger (`why_not` says why).

    least_overlap: share of the scored rows from which a fit is taken to have seen them. most_models: how many
    models one test set may judge. least_effect: added score from which preprocessing blocks.
    """
    if ledger is None:
        return []
    masks = Masks(ledger)
    found = list(scores(ledger, masks))
    if not found:
        return []
    honest = reported(found, least_overlap)
    if not honest:
        return [no_test_set(ledger, found)]
    verdicts = [
        through(ledger, masks, honest, "leak.selection", least_overlap, least_effect),
        through(ledger, masks, honest, "leak.preprocessing", least_overlap, least_effect),
        reuse(ledger, masks, honest, most_models, least_effect),
    ]
    return [verdict for verdict in verdicts if verdict]


def scores(ledger: Ledger, masks: Masks) -> Iterator[Scored]:
    """Scores and predictions that the user's code or a cross-validation of it made of models seen fitted."""
    for at, entry in enumerate(ledger.entries):
        if entry.verb in ("score", "predict") and entry.model is not None and entry.inside in ("", FOLDS):
            model = ledger.entries[entry.model]
            if masks[entry].any() and masks[model].any():
                yield Scored(at, entry, model, masks.share(entry, model))


def reported(found: list[Scored], least_overlap: float) -> list[Scored]:
    """The scores to be believed: on rows the model was not fitted on, by hand before by cross-validation."""
    honest = [one for one in found if one.overlap < least_overlap]
    return [one for one in honest if not one.entry.inside] or honest


def no_test_set(ledger: Ledger, found: list[Scored]) -> Verdict:
    """Every score is of rows that the model was fitted on."""
    overlap = min(one.overlap for one in found)
    steps = names(one.model.step for one in found)
    says = f"every score is of rows the model was fitted on ({', '.join(steps)}): no rows were kept apart to test"
    return verdict(ledger, "leak.no_test_set", says, steps, "block", {"scores": len(found), "overlap": overlap})


def through(
    ledger: Ledger, masks: Masks, honest: list[Scored], code: str, least_overlap: float, least_effect: float
) -> Verdict | None:
    """Steps that had seen the scored rows when they prepared them: selection saw the target too."""
    verb = "select" if code == "leak.selection" else "fit"
    seen = {
        at: max(masks.share(one.entry, ledger.entries[at]) for one in honest if at in one.uses)
        for at in sorted({at for one in honest for at in one.uses})
        if ledger.entries[at].verb == verb
    }
    leaking = {at: share for at, share in seen.items() if share >= least_overlap}
    if not leaking:
        return None
    steps = names(ledger.entries[at].step for at in leaking)
    share = max(leaking.values())
    target = ", and their target," if verb == "select" else ""
    says = f"{', '.join(steps)} saw {share:.0%} of the test rows{target} before they were scored"
    effect = ledger.inflation.get(code, Inflation(value=PUBLISHED[code])).value
    severity: Literal["block", "warn"] = "block" if verb == "select" or effect >= least_effect else "warn"
    return verdict(ledger, code, says, steps, severity, {"overlap": share, "fits": len(leaking)})


def reuse(ledger: Ledger, masks: Masks, honest: list[Scored], most_models: int, least_effect: float) -> Verdict | None:
    """One test set that judged many models, of which the best will be taken."""
    scored = max(by_rows(masks, honest), key=lambda group: len(contenders(group)))
    models = contenders(scored)
    if len(models) <= most_models:
        return None
    by_folds = bool(scored[0].entry.inside)
    effect = ledger.inflation.get("leak.test_reuse")
    blocks = not by_folds and (effect is None or effect.value >= least_effect)
    place = "the same folds" if by_folds else f"the same {scored[0].entry.rows:,} test rows"
    says = f"{len(models)} models were scored on {place}: the best of them owes part of its score to chance"
    steps = names(one.model.step for one in scored)
    numbers = {"models": float(len(models)), "rows": float(scored[0].entry.rows)}
    return verdict(ledger, "leak.test_reuse", says, steps, "block" if blocks else "warn", numbers)


def by_rows(masks: Masks, honest: list[Scored], same: float = 0.5) -> list[list[Scored]]:
    """Scores by test set: those that share half of their rows with a group's first."""
    groups: list[list[Scored]] = []
    for one in honest:
        for group in groups:
            if masks.share(one.entry, group[0].entry) >= same and masks.share(group[0].entry, one.entry) >= same:
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def contenders(group: Iterable[Scored]) -> set[tuple[str, str, tuple[int, ...]]]:
    """The different models among scores: setting, rows and preparation; baselines do not compete."""
    return {(one.model.setting, one.model.digest, tuple(one.model.uses)) for one in group if not one.model.baseline}


def verdict(
    ledger: Ledger,
    code: str,
    says: str,
    steps: list[str],
    severity: Literal["block", "warn", "note"],
    numbers: dict[str, float],
) -> Verdict:
    """A verdict with its effect, measured or published."""
    effect = ledger.inflation.get(code, Inflation(value=PUBLISHED[code]))
    unit = f" {effect.metric}" if effect.metric else ""
    known = {"inflation": effect.value, "measured": float(effect.how == "measured")}
    if effect.low is not None and effect.high is not None:
        known |= {"inflation_low": effect.low, "inflation_high": effect.high}
    source = "" if effect.how == "measured" else " in published work"
    says = f"{says}; such a leak adds about {effect.value:.3f}{unit}{source}"
    return Verdict(code=code, says=says, steps=steps, severity=severity, numbers={**numbers, **known})


def names(steps: Iterable[str]) -> list[str]:
    """Each name once, in order."""
    return list(dict.fromkeys(steps))
