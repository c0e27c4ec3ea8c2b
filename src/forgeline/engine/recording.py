"""Writes the fit ledger of scikit-learn code: which rows each estimator saw, whoever called it.

While a recording is on, the fit, transform, predict and score methods of every loaded estimator class are wrapped,
and so is scikit-learn's own row indexing, by which it splits. Rows are known by the identity of arrays that came
out of these, else by a hash of their content, else by a pandas index or the target beside them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from forgeline.engine.fingerprint import count
from forgeline.engine.instrumentation import Patch
from forgeline.engine.ledger import Ledger
from forgeline.engine.recorder import Recorder
from forgeline.errors import BadInput


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
