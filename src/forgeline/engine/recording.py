"""Writes the fit ledger of scikit-learn code: which rows each estimator saw, whoever called it.

While a recording is on, the fit, transform, predict and score methods of every loaded estimator class are wrapped,
and so is scikit-learn's own row indexing, by which it splits. Rows are known by the identity of arrays that came
out of these, else by a hash of their content, else by a pandas index or the target beside them.
"""

import functools
import hashlib
import importlib
import re
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from forgeline.engine import ledger as book
from forgeline.engine.ledger import FOLDS, Entry, Ledger, Verb
from forgeline.errors import BadInput

FITS = ("fit", "fit_transform", "fit_predict", "fit_resample", "partial_fit")
ASKS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score")
METHODS = (*FITS, *ASKS, "transform")
LOADED = (
    "calibration",
    "cluster",
    "compose",
    "cross_decomposition",
    "decomposition",
    "discriminant_analysis",
    "dummy",
    "ensemble",
    "feature_extraction.text",
    "feature_selection",
    "gaussian_process",
    "impute",
    "isotonic",
    "kernel_approximation",
    "kernel_ridge",
    "linear_model",
    "manifold",
    "mixture",
    "model_selection",
    "multiclass",
    "multioutput",
    "naive_bayes",
    "neighbors",
    "neural_network",
    "pipeline",
    "preprocessing",
    "random_projection",
    "semi_supervised",
    "svm",
    "tree",
)
"""Modules of scikit-learn that are loaded first, so that a workflow that imports from them is seen."""
OF_TARGET = {"LabelEncoder", "LabelBinarizer", "MultiLabelBinarizer"}
"""They rewrite labels, row by row."""
LEARN_NOTHING = {"PolynomialFeatures", "FunctionTransformer", "Normalizer", "Binarizer", "HashingVectorizer"}
BY_TARGET = re.compile(r"Target|WOE|LeaveOneOut|CatBoostEncoder|JamesStein|MEstimate|GLMM")
"""Encoders of other libraries that look at the target."""
MIXER = np.uint64(0x9E3779B97F4A7C15)
UNKNOWN = -1
"""Id of a row that cannot be told from others, or is in no table."""


@dataclass
class Known:
    """Rows of one array: the id of each, the fitted steps they went through, and a sample of the content."""

    ids_N: np.ndarray
    uses: frozenset[int] = frozenset()
    sample: bytes = b""


@dataclass
class View:
    """An array's rows by the hash of their content."""

    hashes: np.ndarray
    ids: np.ndarray
    uses: frozenset[int]
    width: int

    def find(self, hash_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of rows, and which of them were met at all."""
        at = np.searchsorted(self.hashes, hash_N).clip(max=len(self.hashes) - 1)
        met = self.hashes[at] == hash_N
        return np.where(met, self.ids[at], UNKNOWN), met


@dataclass
class Draft:
    """An entry being written, with what only this process can hold."""

    step: str
    verb: Verb
    ids: np.ndarray
    rows: int
    width: int = 0
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
    rows: int = 0
    drafts: list[Draft] = field(default_factory=list)
    known: dict[int, tuple[Any, Known]] = field(default_factory=dict)
    views: list[View] = field(default_factory=list)
    fitted: dict[int, tuple[Any, int]] = field(default_factory=dict)
    prepared: list[tuple[np.ndarray, frozenset[int]]] = field(default_factory=list)
    """Row ids and steps of every array that a fitted step put out."""
    stack: list[Any] = field(default_factory=list)
    cell_ND: np.ndarray | None = None
    paused: bool = False
    _ledger: Ledger | None = None

    def __post_init__(self) -> None:
        self.rows = count(self.x)
        self.thread = threading.get_ident()
        self.names = [str(name) for name in getattr(self.x, "columns", [])]
        self.index = unique_index(self.x)
        self.cell_ND = cells(self.x)
        ids_N = np.arange(self.rows)
        self.keep(self.x, Known(ids_N), view=True)
        if self.y is not None:
            self.keep(self.y, Known(ids_N))

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

    # ------------------------------------------------------------ rows

    def keep(self, array: Any, known: Known, view: bool = False) -> None:
        """Remember whose rows an array holds."""
        known.sample = sample(array)
        try:
            self.known[id(array)] = weakref.ref(array), known
        except TypeError:
            self.known[id(array)] = (lambda: array), known
        cell_ND = cells(array) if view else None
        if cell_ND is not None and len(cell_ND) == len(known.ids_N):
            self.views.append(as_view(cell_ND, known))

    def rows_of(self, x: Any, y: Any = None) -> Known:
        """Whose rows an array holds, as well as can be told."""
        found = self.same(x)
        if found is None:
            found = self.by_index(x) or self.by_content(x) or self.beside(x, y) or self.by_length(x)
            self.keep(x, found)
        return found

    def same(self, array: Any) -> Known | None:
        """An array met before; one that was changed in place went through the steps that put out its rows."""
        ref, found = self.known.get(id(array), (None, None))
        if found is None or ref is None or ref() is not array or count(array) != len(found.ids_N):
            return None
        if sample(array) != found.sample:
            found = Known(found.ids_N, found.uses | self.steps_of(found.ids_N))
            self.keep(array, found, view=True)
        return found

    def by_index(self, x: Any) -> Known | None:
        """A pandas frame by its index, unless the index may have been made anew."""
        index = getattr(x, "index", None)
        if self.index is None or index is None or not hasattr(index, "get_indexer"):
            return None
        at_N = np.asarray(self.index.get_indexer(index))
        fresh = len(at_N) < self.rows and np.array_equal(at_N, np.arange(len(at_N)))
        if fresh or not len(at_N) or (at_N < 0).any():
            return None
        return Known(at_N, self.steps(x, at_N))

    def steps(self, x: Any, ids_N: np.ndarray) -> frozenset[int]:
        """The steps that content of known rows went through: none if it is the table's."""
        found = self.by_content(x)
        return found.uses if found else self.steps_of(ids_N)

    def by_content(self, x: Any, least: float = 0.95) -> Known | None:
        """An array whose rows are those of one met before, or of some columns of the table."""
        cell_ND = cells(x)
        if cell_ND is None or not len(cell_ND):
            return None
        hash_N = mixed(cell_ND, np.arange(cell_ND.shape[1]))
        for view in reversed(self.views):
            if view.width == cell_ND.shape[1]:
                ids_N, met_N = view.find(hash_N)
                if met_N.mean() >= least:
                    return Known(ids_N, view.uses)
        return self.by_columns(x, cell_ND, least)

    def by_columns(self, x: Any, cell_ND: np.ndarray, least: float) -> Known | None:
        """Some columns of the table: steps that chose columns may have chosen these."""
        if self.cell_ND is None or cell_ND.shape[1] > self.cell_ND.shape[1]:
            return None
        chose = frozenset(at for at, draft in enumerate(self.drafts) if draft.verb == "select" and not draft.inside)
        if len(cell_ND) == self.rows and {one.tobytes() for one in cell_ND.T} <= {
            one.tobytes() for one in self.cell_ND.T
        }:
            return Known(np.arange(self.rows), chose)
        own, theirs = matched(cell_ND, self.cell_ND, [str(name) for name in getattr(x, "columns", [])], self.names)
        if not own:
            return None
        view = as_view(self.cell_ND[:, theirs], Known(np.arange(self.rows)), theirs)
        ids_N, met_N = view.find(mixed(cell_ND[:, own], theirs))
        if met_N.mean() < least:
            return None
        return Known(ids_N, chose)

    def beside(self, x: Any, y: Any) -> Known | None:
        """Rows by the target given with them."""
        found = self.same(y) if y is not None else None
        if found is None and y is not None:
            found = self.by_index(y)
        if found is None or len(found.ids_N) != count(x):
            return None
        return Known(found.ids_N, self.steps_of(found.ids_N))

    def by_length(self, x: Any) -> Known:
        """As many rows as the table has are taken for its rows; any others are unknown."""
        rows = count(x)
        if rows != self.rows:
            return Known(np.full(rows, UNKNOWN))
        ids_N = np.arange(rows)
        return Known(ids_N, self.steps_of(ids_N))

    def steps_of(self, ids_N: np.ndarray, least: float = 0.9) -> frozenset[int]:
        """The steps that put out just these rows: an array made of their answers went through all of them."""
        found: frozenset[int] = frozenset()
        for other_N, uses in self.prepared:
            if len(other_N) == len(ids_N):
                both = (other_N >= 0) & (ids_N >= 0)
                if both.any() and (other_N[both] == ids_N[both]).mean() >= least:
                    found |= uses
        return found

    # ------------------------------------------------------------ calls

    def call(self, estimator: Any, name: str, bound: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a method and note what it saw; what an estimator asks of itself is part of the first call."""
        if self.passes(estimator):
            return bound(*args, **kwargs)
        x = args[0] if args else next((kwargs[key] for key in ("X", "raw_documents") if key in kwargs), None)
        y = args[1] if len(args) > 1 else kwargs.get("y")
        if x is None or (not hasattr(x, "__len__") and not hasattr(x, "shape")):
            return bound(*args, **kwargs)
        known, began = self.rows_of(x, y), len(self.drafts)
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
                width=width(x),
                saw_target=saw,
                inside=self.inside if self.by_user else "nested in " + self.inside,
                uses=known.uses,
                setting=setting(estimator, x),
                estimator=copy(estimator) if self.by_user else None,
                whole=not known.uses and width(x) == width(self.x),
            )
        )
        self.fitted[id(estimator)] = weakref.ref(estimator), len(self.drafts) - 1

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
                found = self.by_content(array, least=0.05)
                ids_N = found.ids_N if found else np.full(count(array), UNKNOWN)
            self.keep(array, Known(ids_N, frozenset(uses)), view=self.by_user)
            if self.by_user:
                self.prepared.append((ids_N, frozenset(uses)))

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
                width=width(x),
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
        known = self.rows_of(x)
        if kwargs.get("axis", 0) == 1:
            ids_N = known.ids_N
        else:
            at = np.asarray(indices) if not isinstance(indices, slice) else indices
            ids_N = known.ids_N[at]
        if hasattr(result, "shape") and len(np.atleast_1d(ids_N)) == count(result):
            self.keep(result, Known(ids_N, known.uses), view=not self.stack and width(result) > 1)
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
    import msgspec

    masks = book.Masks(plain)
    overlap: dict[int, float] = {}
    for one in book.scores(plain, masks):
        overlap[one.at] = one.overlap
        for at in {*one.uses, *([one.entry.model] if one.entry.model is not None else [])}:
            overlap[at] = max(overlap.get(at, 0.0), masks.share(one.entry, plain.entries[at]))
    entries = [msgspec.structs.replace(entry, test_overlap=overlap.get(at)) for at, entry in enumerate(plain.entries)]
    return msgspec.structs.replace(plain, entries=entries)


# ---------------------------------------------------------------- estimators


def heeds_target(estimator: Any, children: Sequence[Draft]) -> bool:
    """Whether a fit that was given a target uses it."""
    from sklearn.feature_selection import SelectorMixin, VarianceThreshold
    from sklearn.utils import get_tags

    if any(child.saw_target for child in children) or BY_TARGET.search(type(estimator).__name__):
        return True
    if isinstance(estimator, VarianceThreshold):
        return False
    return isinstance(estimator, SelectorMixin) or bool(get_tags(estimator).target_tags.required)


def learns(estimator: Any) -> bool:
    """Whether a step learns anything from the rows it is fitted on."""
    from sklearn.utils import get_tags

    return type(estimator).__name__ not in LEARN_NOTHING and bool(get_tags(estimator).requires_fit)


def label(estimator: Any, children: Sequence[Draft]) -> str:
    """The class's name; of a container its steps' too."""
    own = type(estimator).__name__
    steps = list(dict.fromkeys(child.step for child in children if child.verb in ("fit", "select")))
    return f"{own}({', '.join(steps)})" if steps and own in ("Pipeline", "ColumnTransformer", "FeatureUnion") else own


def setting(estimator: Any, x: Any) -> str:
    """Digest of what was chosen by hand: class, parameters, number of columns."""
    chosen = estimator.get_params() if hasattr(estimator, "get_params") else {}
    text = f"{type(estimator).__name__} {width(x)} {sorted((key, repr(value)) for key, value in chosen.items())}"
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", text).encode()).hexdigest()[:16]


def copy(estimator: Any) -> Any:
    """An unfitted copy, or None of what cannot be copied."""
    from sklearn.base import clone

    try:
        return clone(estimator)
    except (TypeError, RuntimeError):
        return None


def answer(estimator: Any, x: Any) -> Any:
    """The finest answer a model gives: probabilities, a decision, or values. The user's own call has warned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("predict_proba", "decision_function", "predict"):
            if hasattr(estimator, name):
                return np.asarray(getattr(estimator, name)(x))
    return None


# ---------------------------------------------------------------- arrays


def count(x: Any) -> int:
    """Rows of anything array-like."""
    shape = getattr(x, "shape", None)
    return int(shape[0]) if shape else len(x)


def width(x: Any) -> int:
    """Columns of anything array-like; 1 of a list of numbers or texts."""
    shape = getattr(x, "shape", None)
    return int(shape[1]) if shape is not None and len(shape) > 1 else 1


def unique_index(x: Any) -> Any:
    """A pandas index, if it names every row once."""
    index: Any = getattr(x, "index", None)
    return index if hasattr(index, "get_indexer") and index.is_unique else None


def cells(x: Any) -> np.ndarray | None:
    """A 64-bit code for each cell, equal for equal values whatever holds them; None of what has no cells."""
    if hasattr(x, "tocsr"):
        csr = x.tocsr()
        return bits(np.asarray(csr @ np.random.default_rng(0).normal(size=csr.shape[1])).astype(np.float32))[:, None]
    if hasattr(x, "iloc"):
        series = [x] if len(x.shape) == 1 else [x.iloc[:, at] for at in range(x.shape[1])]
        return stacked([np.asarray(values) for values in series], count(x))
    if isinstance(x, (pl.DataFrame, pl.Series)):
        return stacked([values.to_numpy() for values in (x if isinstance(x, pl.DataFrame) else [x])], len(x))
    array = np.asarray(x) if isinstance(x, (np.ndarray, list, tuple)) else None
    if array is None or array.ndim not in (1, 2):
        return None
    if array.dtype.kind in "fiub":
        return bits(array.astype(np.float32).reshape(len(array), -1))
    return stacked(list(array.reshape(len(array), -1).T), len(array))


def stacked(columns: list[np.ndarray], rows: int) -> np.ndarray:
    """The codes of columns, side by side."""
    return np.column_stack([column_cells(values) for values in columns]) if columns else np.empty((rows, 0), np.uint64)


def column_cells(values: np.ndarray) -> np.ndarray:
    """The codes of one column: of numbers by value, of all else by its text."""
    if values.dtype.kind in "fiub":
        return bits(values.astype(np.float32))
    try:
        return bits(values.astype(np.float32))
    except (TypeError, ValueError):
        text = pl.Series([str(value) for value in values], dtype=pl.String)
        return text.hash(seed=1).to_numpy()


def bits(value: np.ndarray) -> np.ndarray:
    """Single-precision numbers as their bits; zeros have one sign, and all NaN are one."""
    value = np.where(np.isnan(value), np.float32(np.nan), value + np.float32(0))
    return value.astype(np.float32).view(np.uint32).astype(np.uint64)


def mixed(cell_ND: np.ndarray, places: Sequence[int] | np.ndarray) -> np.ndarray:
    """One hash a row, uint64 [N]; `places` are the columns' places in their table."""
    hash_N = np.zeros(len(cell_ND), np.uint64)
    place_D = (np.asarray(places, np.uint64) + np.uint64(1)) * MIXER
    for column_N, place in zip(cell_ND.T, place_D):
        mix_N = (column_N + place) * np.uint64(0xBF58476D1CE4E5B9)
        mix_N = (mix_N ^ (mix_N >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
        hash_N += mix_N ^ (mix_N >> np.uint64(29))
    return hash_N


def as_view(cell_ND: np.ndarray, known: Known, places: Sequence[int] | None = None) -> View:
    """The rows of an array by hash; a row whose like is elsewhere too is unknown."""
    hash_N = mixed(cell_ND, range(cell_ND.shape[1]) if places is None else places)
    hashes, first, copies = np.unique(hash_N, return_index=True, return_counts=True)
    return View(hashes, np.where(copies == 1, known.ids_N[first], UNKNOWN), known.uses, cell_ND.shape[1])


def matched(
    cell_ND: np.ndarray, base_ND: np.ndarray, names: list[str], base_names: list[str], *, most_rows: int = 200
) -> tuple[list[int], list[int]]:
    """Columns of an array and the columns of the table they are: by name, else by their values where only one fits."""
    if names and set(names) <= set(base_names):
        return list(range(len(names))), [base_names.index(name) for name in names]
    some = cell_ND[:: max(1, len(cell_ND) // most_rows)]
    distinct = [np.unique(column_N) for column_N in base_ND.T]
    own, theirs = [], []
    for at, column_N in enumerate(some.T):
        fits = [place for place, values in enumerate(distinct) if np.isin(column_N, values).all()]
        if not fits:
            return [], []
        if len(fits) == 1:
            own.append(at)
            theirs.append(fits[0])
    return own, theirs


def sample(x: Any, most: int = 16) -> bytes:
    """The content of a few rows, by which a change in place is noticed."""
    rows = count(x)
    at = np.linspace(0, rows - 1, min(rows, most)).astype(int) if rows else np.zeros(0, int)
    if hasattr(x, "tocsr"):
        return b""
    some = x.iloc[at] if hasattr(x, "iloc") else x[at] if hasattr(x, "shape") else [x[place] for place in at]
    cell_ND = cells(some)
    return b"" if cell_ND is None else cell_ND.tobytes()


# ---------------------------------------------------------------- the patch


class Spied:
    """A method that is there only for some estimators (`available_if`), wrapped like the others."""

    def __init__(self, original: Any, name: str, recorder: Recorder) -> None:
        self.original, self.name, self.recorder = original, name, recorder

    def __get__(self, estimator: Any, owner: Any = None) -> Any:
        bound = self.original.__get__(estimator, owner)
        if estimator is None:
            return bound

        @functools.wraps(bound)
        def spied(*args: Any, **kwargs: Any) -> Any:
            return self.recorder.call(estimator, self.name, bound, args, kwargs)

        return spied


def spied_function(original: Callable[..., Any], name: str, recorder: Recorder) -> Callable[..., Any]:
    """A plain method, wrapped."""

    @functools.wraps(original)
    def spied(self: Any, *args: Any, **kwargs: Any) -> Any:
        return recorder.call(self, name, functools.partial(original, self), args, kwargs)

    return spied


class Patch:
    """Wraps every loaded estimator class and scikit-learn's row indexing; `undo` puts all back."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.undone: list[tuple[Any, str, Any]] = []
        self.seen: set[type] = set()
        for name in LOADED:
            importlib.import_module(f"sklearn.{name}")
        self.classes()
        self.functions()

    def put(self, place: Any, name: str, value: Any) -> None:
        """Replace an attribute for now."""
        self.undone.append((place, name, vars(place)[name]))
        setattr(place, name, value)

    def undo(self) -> None:
        """Put everything back."""
        for place, name, value in reversed(self.undone):
            setattr(place, name, value)

    def classes(self) -> None:
        """Wrap the methods of classes not wrapped yet."""
        from sklearn import base

        mixins = [base.TransformerMixin, base.ClassifierMixin, base.RegressorMixin, base.OutlierMixin]
        todo: list[type] = [base.BaseEstimator, *mixins]
        while todo:
            one = todo.pop()
            if one in self.seen:
                continue
            self.seen.add(one)
            todo.extend(type.__subclasses__(one))
            for name in METHODS:
                original = vars(one).get(name)
                if original is None or isinstance(original, (staticmethod, classmethod, property)):
                    continue
                plain = callable(original) and not hasattr(original, "check")
                wrapped = spied_function(original, name, self.recorder) if plain else None
                self.put(one, name, wrapped or Spied(original, name, self.recorder))

    def functions(self) -> None:
        """Wrap row indexing and the folds of cross-validation wherever scikit-learn has them by name."""
        from sklearn.utils import _indexing

        take = _indexing._safe_indexing

        @functools.wraps(take)
        def taken(X: Any, indices: Any, **kwargs: Any) -> Any:
            return self.recorder.index_rows(take, X, indices, kwargs)

        for name, module in list(sys.modules.items()):
            if name.startswith("sklearn") and vars(module).get("_safe_indexing") is take:
                self.put(module, "_safe_indexing", taken)
            for fold in ("_fit_and_score", "_fit_and_predict"):
                if name.startswith("sklearn") and fold in vars(module):
                    self.put(module, fold, self.fold(vars(module)[fold]))

    def fold(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """One fold of a cross-validation, marked as such."""

        @functools.wraps(original)
        def marked(*args: Any, **kwargs: Any) -> Any:
            return self.recorder.folds(original, args, kwargs)

        return marked


# ---------------------------------------------------------------- what users call


@contextmanager
def recording(X: Any, y: Any = None, *, seed: int = 0) -> Iterator[Recorder]:
    """Record what the code inside does to the rows of a table; its `ledger` afterwards.

    X, y: the table as the code has it first. Fits in other processes cannot be seen, so scikit-learn runs its
    parallel work here, one piece after the other. One recording at a time.

    Errors: BadInput when X has no rows, or y not as many.
    """
    import joblib  # scikit-learn brings it

    if not count(X):
        raise BadInput("the table has no rows", remedy="Give X with rows.")
    if y is not None and count(y) != count(X):
        raise BadInput(f"X has {count(X):,} rows and y has {count(y):,}", remedy="Give both with the same rows.")
    recorder = Recorder(X, y, seed)
    patch = Patch(recorder)
    try:
        with joblib.parallel_config(backend="sequential", n_jobs=1):
            yield recorder
    finally:
        patch.undo()


def ledger(
    pipeline: Any, X: Any, y: Any, *, test: float | Sequence[int] | None = None, cv: Any = None, seed: int = 0
) -> Ledger:
    """The fit ledger of a scikit-learn estimator, or of a function of (X, y) that does all a user does.

    An estimator is cloned and split here: `test` is a share or row numbers (0.25 when neither it nor `cv` is
    given), `cv` folds as scikit-learn takes them. Errors: BadInput.
    """
    if not hasattr(pipeline, "fit") and not callable(pipeline):
        raise BadInput(f"{type(pipeline).__name__} is neither an estimator nor a function of X and y")
    with recording(X, y, seed=seed) as recorder:
        if not hasattr(pipeline, "fit"):
            pipeline(X, y)
        elif cv is not None:
            from sklearn.model_selection import cross_validate

            cross_validate(pipeline, X, y, cv=cv)
        else:
            hold_out(pipeline, X, y, 0.25 if test is None else test, seed)
    return recorder.ledger


def hold_out(pipeline: Any, X: Any, y: Any, test: float | Sequence[int], seed: int) -> None:
    """Fit a clone on the training rows, score it once on the others."""
    from sklearn.base import clone, is_classifier
    from sklearn.model_selection import train_test_split
    from sklearn.utils import _indexing

    at_N = np.arange(count(X))
    if isinstance(test, float):
        labels = np.asarray(y) if is_classifier(pipeline) else None
        rare = labels is None or np.unique(labels, return_counts=True)[1].min() < 2
        train_ids, test_ids = train_test_split(
            at_N, test_size=test, random_state=seed, stratify=None if rare else labels
        )
    else:
        test_ids = np.asarray(test, int)
        train_ids = np.setdiff1d(at_N, test_ids)
    model = clone(pipeline).fit(_indexing._safe_indexing(X, train_ids), _indexing._safe_indexing(y, train_ids))
    model.predict(_indexing._safe_indexing(X, test_ids))
