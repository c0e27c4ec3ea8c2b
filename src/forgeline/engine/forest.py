"""Quick boosted forests (LightGBM) that data are judged with: one thread and fixed seeds, so the same trees each time.

Shapes: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

TREES = {"learning_rate": 0.1, "num_leaves": 15, "max_bin": 63, "lambda_l2": 1.0, "cat_smooth": 10.0}
STEADY = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1}


def objective(task: str, outputs: int) -> str:
    """What a model of a task makes small, in LightGBM's words."""
    return "l2" if task == "regression" else "multiclass" if outputs > 2 else "binary"


def grow(
    x_NF: np.ndarray,
    y_N: np.ndarray,
    *,
    aim: str,
    outputs: int = 1,
    trees: int = 60,
    weight_N: np.ndarray | None = None,
    native: Sequence[int] = (),
    seed: int = 0,
    **options: Any,
) -> Any:
    """A booster; of more than two classes it has fewer steps. `native`: features whose values are levels."""
    import lightgbm

    parameters: dict[str, Any] = TREES | STEADY | {"objective": aim, "seed": seed} | options
    if outputs > 2:
        parameters["num_class"] = outputs
        trees = max(20, int(trees * (2 / outputs) ** 0.5))
    data = lightgbm.Dataset(
        x_NF, y_N, weight=weight_N, categorical_feature=list(native), params=parameters, free_raw_data=True
    )
    return lightgbm.train(parameters, data, num_boost_round=trees)
