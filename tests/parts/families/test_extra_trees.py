import numpy as np
import pytest

from forgeline.engine.seeds import Seed
from forgeline.kinds import Shape, TrainRows
from forgeline.parts.families import extra_trees


def fit(x_NF, y_N, shape):
    setting = extra_trees.space(shape).points[0] | {"trees": 10}
    return extra_trees.build(shape, setting, Seed(0)).fit(TrainRows(x_NF, y_N, None, shape))


def test_the_trees_hold_the_mean_of_the_forest():
    x_NF = np.zeros((40, 1), np.float32)
    fitted = fit(x_NF, np.repeat([0, 2], [30, 10]), Shape(40, 1, "multiclass", 3))
    assert fitted.predict(x_NF[:1]).tolist() == [[0.75, 0.0, 0.25]]
    forest = fitted.trees(0)
    assert len(forest) == 10
    np.testing.assert_allclose(sum(tree.value_MK[0] for tree in forest), [0.75, 0.0, 0.25])


@pytest.mark.parametrize(("rows", "outputs"), [(2_000, 2), (12_000, 1)])
def test_the_forest_stays_in_its_size(rows, outputs):
    draw = np.random.default_rng(0)
    x_NF = draw.normal(size=(rows, 4)).astype(np.float32)
    noise = draw.normal(size=rows)
    y_N = noise if outputs == 1 else (noise > 0).astype(np.int64)
    shape = Shape(rows, 4, "regression" if outputs == 1 else "binary", outputs)
    nodes = sum(len(tree.feature_M) for tree in fit(x_NF, y_N, shape).trees(0))
    assert 10 * nodes <= extra_trees.MOST_NODES


def test_more_rows_mean_larger_leaves_and_fewer_trees():
    small, large = (extra_trees.space(Shape(rows, 10, "binary", 2)).points[0] for rows in (1_000, 1_000_000))
    assert (small["trees"], small["least"]) == (100, 2)
    assert (large["trees"], large["least"]) == (30, 100)
