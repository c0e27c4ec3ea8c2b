"""Settings inside a family that are worth trying next, from those that were tried (Optuna's TPE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from forgeline.engine.seeds import Seed


class Range(NamedTuple):
    """Where a number of a setting may lie; `whole` numbers too are spread by their logarithm."""

    low: float
    high: float
    scale: Literal["log", "linear", "whole"] = "log"


def suggest(
    ranges: Mapping[str, Range], tried: Sequence[tuple[Mapping[str, Any], float]], count: int, seed: Seed
) -> list[dict[str, Any]]:
    """`count` settings, asked for together; `tried` are settings and their losses, those out of range moved in.

    Source: Bergstra et al., Algorithms for hyper-parameter optimization, NeurIPS 2011; as Optuna implements it.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: distribution(each) for name, each in ranges.items()}
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=5, seed=seed.integer))
    for setting, loss in tried:
        given = {name: within(setting[name], each) for name, each in ranges.items()}
        study.add_trial(optuna.trial.create_trial(params=given, distributions=distributions, value=loss))
    asked = [study.ask(distributions).params for _ in range(count)]
    return [{name: tidy(value) for name, value in each.items()} for each in asked]


def distribution(given: Range) -> Any:
    """The range in Optuna's words."""
    from optuna.distributions import FloatDistribution, IntDistribution

    if given.scale == "whole":
        return IntDistribution(int(given.low), int(given.high), log=given.low >= 1)
    return FloatDistribution(given.low, given.high, log=given.scale == "log")


def within(value: float, given: Range) -> float:
    """The value, or the end of the range that is nearest."""
    moved = min(max(value, given.low), given.high)
    return round(moved) if given.scale == "whole" else float(moved)


def tidy(value: float) -> float:
    """Three digits say enough, and read better."""
    return value if isinstance(value, int) else float(f"{value:.3g}")
