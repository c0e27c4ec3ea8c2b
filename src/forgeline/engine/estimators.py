"""What a scikit-learn estimator tells of itself: whether it heeds the target, what it learns, how it was set."""

import hashlib
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from forgeline.engine.fingerprint import width

if TYPE_CHECKING:
    from forgeline.engine.recorder import Draft

OF_TARGET = {"LabelEncoder", "LabelBinarizer", "MultiLabelBinarizer"}
"""They rewrite labels, row by row."""
LEARN_NOTHING = {"PolynomialFeatures", "FunctionTransformer", "Normalizer", "Binarizer", "HashingVectorizer"}
BY_TARGET = re.compile(r"Target|WOE|LeaveOneOut|CatBoostEncoder|JamesStein|MEstimate|GLMM")
"""Encoders of other libraries that look at the target."""


def heeds_target(estimator: Any, children: Sequence["Draft"]) -> bool:
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


def label(estimator: Any, children: Sequence["Draft"]) -> str:
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
