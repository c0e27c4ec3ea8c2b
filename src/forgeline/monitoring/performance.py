"""Whether a release's score got worse on new rows whose target is known."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np

from forgeline import catalog
from forgeline.engine import stats
from forgeline.engine.seeds import Seed
from forgeline.monitoring.drift import Drift
from forgeline.records import Number, scored

LEAST_LABELS = 30
"""Fewer labelled rows are not scored."""


def performance(
    about: Mapping[str, Any], truth_N: np.ndarray, answers_NK: np.ndarray
) -> tuple[dict[str, Number], list[Drift]]:
    """Scores at release and on the new rows by the metric the release was selected by, and the test of the two.

    about: forgeline.json. Where there is nothing to test, `new.<metric>` says why and there is no test.
    """
    metric = about["metric"]
    name, old = released(about)
    new = score(metric, truth_N, answers_NK)
    numbers = {name: old, f"new.{metric}": new}
    if None in (old.low, old.high, new.low, new.high):
        return numbers, []
    return numbers, [worse(metric, old, new, catalog.load("metrics", metric).higher_is_better)]


def released(about: Mapping[str, Any]) -> tuple[str, Number]:
    """The release's own score: of the sealed test, else of cross-validation."""
    names = [f"{exam}.{about['metric']}" for exam in ("test", "cv")]
    found = {name: msgspec.convert(about["numbers"][name], Number) for name in names if name in about["numbers"]}
    given = [name for name in found if found[name].value is not None]
    return (given[0], found[given[0]]) if given else (names[0], Number(value=None, why="the release gives no score"))


def score(metric: str, truth_N: np.ndarray, answers_NK: np.ndarray) -> Number:
    """The metric on the new rows, with its bootstrap interval."""
    rows = len(truth_N)
    if rows < LEAST_LABELS:
        why = f"{rows} rows have a known target, and it takes {LEAST_LABELS}" if rows else "no row has a known target"
        return Number(value=None, n=rows, why=why)
    of = catalog.load("metrics", metric).score
    truth_N = truth_N if answers_NK.shape[1] == 1 else truth_N.astype(np.int64)
    seed = Seed(0).child("monitor", metric)
    return scored(of(truth_N, answers_NK, None), stats.bootstrap(of, truth_N, answers_NK, None, seed), rows)


def worse(metric: str, old: Number, new: Number, higher_is_better: bool) -> Drift:
    """One-sided test that a score got worse: both intervals as normal errors, independent of each other."""
    lost = (old.value - new.value) * (1 if higher_is_better else -1)  # type: ignore[operator]
    error = math.hypot(standard_error(old), standard_error(new))
    p = NormalDist().cdf(-lost / error) if error else float(lost <= 0)
    return Drift(column=metric, what="performance", p=p, size=lost, says=f"{interval(old)} → {interval(new)}")


def standard_error(number: Number) -> float:
    """The standard error that an interval stands for."""
    width: float = number.high - number.low  # type: ignore[operator]
    return width / 2 / stats.normal_quantile(number.level or 0.95)


def interval(number: Number) -> str:
    """`0.342 [0.331, 0.353]`."""
    return f"{number.value:.4g} [{number.low:.4g}, {number.high:.4g}]"
