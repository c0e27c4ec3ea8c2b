"""Instruments scikit-learn for a recording: estimator methods, row indexing and folds report to the recorder."""

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any

from forgeline.engine.recorder import ASKS, FITS, Recorder

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
