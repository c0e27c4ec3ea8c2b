"""Writes down what a workflow does to the rows of a table: an entry of the fit ledger for each call it is told of."""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from forgeline.engine import ledger as book
from forgeline.engine.estimators import OF_TARGET, answer, copy, heeds_target, label, learns, setting
from forgeline.engine.fingerprint import UNKNOWN, Known, count, width
from forgeline.engine.ledger import FOLDS, Entry, Ledger, Verb
from forgeline.engine.provenance import Provenance

FITS = ("fit", "fit_transform", "fit_predict", "fit_resample", "partial_fit")
ASKS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score")


@dataclass
class Draft:
    """An entry being written, with what only this process can hold."""

    step: str
    verb: Verb
    ids: np.ndarray
    rows: int
    saw_target: bool = False
    inside: str = ""
    uses: frozenset[int] = frozenset()
    model: int | None = None
    setting: str = ""
    estimator: Any = None
    """fit: an unfitted copy."""
    answers: Any = None
    """predict, score: (row ids, probabilities or values)."""
    whole: bool = False
    """fit: it was given every column of the table."""

    @property
    def estimator_is_dummy(self) -> bool:
        """Whether it is a baseline that nobody would choose."""
        return self.step.startswith("Dummy")


@dataclass
class Recorder:
    """What is known while a workflow runs; `ledger` once it is over."""

    x: Any
    y: Any
    seed: int = 0
    drafts: list[Draft] = field(default_factory=list)
    fitted: dict[int, tuple[Any, int]] = field(default_factory=dict)
    stack: list[Any] = field(default_factory=list)
    paused: bool = False
    _ledger: Ledger | None = None

    def __post_init__(self) -> None:
        self.rows = count(self.x)
        self.thread = threading.get_ident()
        self.provenance = Provenance(self.x, self.y)

    @property
    def ledger(self) -> Ledger:
        """The entries so far, with the effect of each leak measured where the steps can be run again."""
        if self._ledger is None:
            from forgeline.engine import rerun

            with self.pause():
                plain = self.write()
                self._ledger = rerun.measured(self, plain, seed=self.seed)
        return self._ledger

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Nothing is recorded inside."""
        before, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = before

    def call(self, estimator: Any, name: str, bound: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a method and note what it saw; what an estimator asks of itself is part of the first call."""
        if self.passes(estimator):
            return bound(*args, **kwargs)
        x = args[0] if args else next((kwargs[key] for key in ("X", "raw_documents") if key in kwargs), None)
        y = args[1] if len(args) > 1 else kwargs.get("y")
        if x is None or (not hasattr(x, "__len__") and not hasattr(x, "shape")):
            return bound(*args, **kwargs)
        known, began = self.provenance.rows_of(x, y), len(self.drafts)
        self.stack.append(estimator)
        try:
            result = bound(*args, **kwargs)
        finally:
            self.stack.pop()
        if name in FITS:
            self.note_fit(estimator, name, x, y, known, began)
        if name in ("fit_transform", "transform", "fit_resample"):
            self.note_output(estimator, known, result)
        if name in ASKS:
            self.note_answer(estimator, name, x, known)
        return result

    def passes(self, estimator: Any) -> bool:
        """Whether a call is none of the ledger's business."""
        return (
            self.paused
            or threading.get_ident() != self.thread
            or any(one is estimator for one in self.stack)
            or type(estimator).__name__ in OF_TARGET
        )

    @property
    def inside(self) -> str:
        """Who called: nobody, a cross-validation, or an estimator."""
        return "" if not self.stack else self.stack[-1] if self.stack[-1] is FOLDS else type(self.stack[-1]).__name__

    @property
    def by_user(self) -> bool:
        """Whether the user's own code, or a cross-validation it called, is at work."""
        return not self.stack or (len(self.stack) == 1 and self.stack[0] is FOLDS)

    def note_fit(self, estimator: Any, name: str, x: Any, y: Any, known: Known, began: int) -> None:
        """A fit: of features by the target (`select`), or any other."""
        children = self.drafts[began:]
        saw = name == "fit_resample" or (y is not None and heeds_target(estimator, children))
        selects = saw and hasattr(estimator, "transform") and name not in ("fit_resample",)
        earlier = self.fit_entry(estimator) if name == "partial_fit" else None
        ids = np.unique(known.ids_N[known.ids_N >= 0])
        if earlier is not None:
            ids = np.union1d(ids, self.drafts[earlier].ids)
        self.drafts.append(
            Draft(
                step=label(estimator, children),
                verb="select" if selects else "fit",
                ids=ids,
                rows=count(x),
                saw_target=saw,
                inside=self.inside if self.by_user else "nested in " + self.inside,
                uses=known.uses,
                setting=setting(estimator, x),
                estimator=copy(estimator) if self.by_user else None,
                whole=not known.uses and width(x) == width(self.x),
            )
        )
        at = len(self.drafts) - 1
        self.fitted[id(estimator)] = weakref.ref(estimator), at
        if selects and not self.stack:
            self.provenance.chose.add(at)

    def fit_entry(self, estimator: Any) -> int | None:
        """The latest fit of an estimator."""
        ref, at = self.fitted.get(id(estimator), (None, None))
        return at if ref is not None and ref() is estimator else None

    def note_output(self, estimator: Any, known: Known, result: Any) -> None:
        """What a step put out has the rows that it was given."""
        at = self.fit_entry(estimator)
        uses = known.uses | ({at} if at is not None and learns(estimator) else set())
        arrays = result[:1] if isinstance(result, tuple) else (result,)
        for array in arrays:
            if not hasattr(array, "shape"):
                continue
            ids_N = known.ids_N
            if count(array) != len(ids_N):
                found = self.provenance.by_content(array, least=0.05)
                ids_N = found.ids_N if found else np.full(count(array), UNKNOWN)
            self.provenance.keep(array, Known(ids_N, frozenset(uses)), view=self.by_user)
            if self.by_user:
                self.provenance.prepared.append((ids_N, frozenset(uses)))

    def note_answer(self, estimator: Any, name: str, x: Any, known: Known) -> None:
        """A score or prediction of a classifier or regressor that the user's code asked for."""
        from sklearn.base import is_classifier, is_regressor

        if not self.by_user or not (is_classifier(estimator) or is_regressor(estimator)):
            return
        at = self.fit_entry(estimator)
        answers = None
        if at is not None and not self.stack and not self.drafts[at].estimator_is_dummy:
            with self.pause():
                answers = known.ids_N, answer(estimator, x)
        self.drafts.append(
            Draft(
                step=type(estimator).__name__,
                verb="score" if name == "score" else "predict",
                ids=np.unique(known.ids_N[known.ids_N >= 0]),
                rows=count(x),
                inside=self.inside,
                uses=known.uses,
                model=at,
                answers=answers,
            )
        )

    def index_rows(self, original: Callable[..., Any], x: Any, indices: Any, kwargs: Any) -> Any:
        """scikit-learn takes rows or columns of an array: the result's rows are known."""
        result = original(x, indices, **kwargs)
        if self.paused or threading.get_ident() != self.thread or not hasattr(x, "shape") or result is x:
            return result
        known = self.provenance.rows_of(x)
        if kwargs.get("axis", 0) == 1:
            ids_N = known.ids_N
        else:
            at = np.asarray(indices) if not isinstance(indices, slice) else indices
            ids_N = known.ids_N[at]
        if hasattr(result, "shape") and len(np.atleast_1d(ids_N)) == count(result):
            self.provenance.keep(result, Known(ids_N, known.uses), view=not self.stack and width(result) > 1)
            if not self.stack and x is not self.y and kwargs.get("axis", 0) == 0 and len(getattr(x, "shape", ())) == 2:
                ids = np.unique(ids_N[ids_N >= 0])
                self.drafts.append(Draft("split", "split", ids, count(result), uses=known.uses))
        return result

    def folds(self, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """A fold of a cross-validation."""
        self.stack.append(FOLDS)
        try:
            return original(*args, **kwargs)
        finally:
            self.stack.pop()

    def write(self) -> Ledger:
        """The drafts as a ledger."""
        sets = {book.digest(draft.ids): draft.ids for draft in self.drafts}
        entries = [
            Entry(
                step=draft.step,
                verb=draft.verb,
                rows=draft.rows,
                digest=book.digest(draft.ids),
                saw_target=draft.saw_target,
                inside=draft.inside,
                uses=sorted(draft.uses),
                model=draft.model,
                setting=draft.setting,
                baseline=draft.estimator_is_dummy,
            )
            for draft in self.drafts
        ]
        packed = {key: book.pack(ids, self.rows) for key, ids in sets.items()}
        plain = Ledger(rows=self.rows, entries=entries, sets=packed)
        return with_overlap(plain)


def with_overlap(plain: Ledger) -> Ledger:
    """The ledger with the test overlap of every entry."""
    masks = book.Masks(plain)
    overlap: dict[int, float] = {}
    for one in book.scores(plain, masks):
        overlap[one.at] = one.overlap
        for at in {*one.uses, *([one.entry.model] if one.entry.model is not None else [])}:
            overlap[at] = max(overlap.get(at, 0.0), masks.share(one.entry, plain.entries[at]))
    entries = [msgspec.structs.replace(entry, test_overlap=overlap.get(at)) for at, entry in enumerate(plain.entries)]
    return msgspec.structs.replace(plain, entries=entries)
