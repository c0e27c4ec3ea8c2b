import numpy as np

from forgeline.engine.seeds import Seed
from forgeline.kinds import Shape, TrainRows
from forgeline.parts.families import lightgbm


def fit(x_NF, y_N, shape, **changes):
    setting = lightgbm.space(shape).points[0] | changes
    rows = TrainRows(x_NF.astype(np.float32), y_N, None, shape)
    return lightgbm.build(shape, setting, Seed(0)).fit(rows)


def test_the_trees_read_add_up_to_the_scores():
    draw = np.random.default_rng(0)
    x_NF = draw.normal(size=(300, 3)).astype(np.float32)
    y_N = np.digitize(x_NF[:, 0] * x_NF[:, 1], [-0.3, 0.3])
    fitted = fit(x_NF, y_N, Shape(300, 3, "multiclass", 3), trees=5)
    forest = lightgbm.read(fitted.booster.model_to_string(), 3)
    assert [tree.target for tree in forest] == [0, 1, 2] * 5
    np.testing.assert_allclose(scores(forest, x_NF), fitted.booster.predict(x_NF, raw_score=True), atol=1e-12)


def scores(forest, x_NF):
    """Scores of a forest, walked row by row."""
    found = np.zeros((len(x_NF), 3))
    for tree in forest:
        for row, x_F in enumerate(x_NF.astype(np.float64)):
            node = 0
            while tree.feature_M[node] >= 0:
                left = x_F[tree.feature_M[node]] <= tree.threshold_M[node]
                node = tree.left_M[node] if left else tree.right_M[node]
            found[row, tree.target] += tree.value_MK[node, 0]
    return found


def test_a_tree_without_a_split_is_one_leaf():
    y_N = np.repeat([0, 1], [30, 10])
    fitted = fit(np.zeros((40, 1)), y_N, Shape(40, 1, "binary", 2))
    (tree,) = lightgbm.read(fitted.booster.model_to_string(), 1)[:1]
    assert tree.feature_M.tolist() == [-1]
    np.testing.assert_allclose(fitted.predict(np.zeros((2, 1), np.float32)), [[0.75, 0.25]] * 2, atol=1e-6)


def test_many_classes_take_fewer_and_faster_steps():
    two, ten = (lightgbm.space(Shape(1_000, 20, "multiclass", outputs)).points[0] for outputs in (2, 10))
    assert two == lightgbm.DEFAULT
    assert ten["trees"] < two["trees"] / 2
    assert two["rate"] < ten["rate"] <= 0.2


def test_a_brief_setting_keeps_to_its_work():
    shape = Shape(20_000, 20, "binary", 2)
    whole = lightgbm.DEFAULT | {"trees": 2000}
    brief = lightgbm.brief(shape, whole, lightgbm.cost(shape, whole).work / 10)
    assert brief == whole | {"trees": 200}
    assert lightgbm.brief(shape, whole, 1e9) == whole
    least = lightgbm.brief(shape, whole, 1e-9)
    assert (least["trees"], least["rate"]) == (20, 0.3)


def test_flags_cost_next_to_nothing():
    setting = lightgbm.space(Shape(30_000, 10, "binary", 2)).points[0]
    dense, mixed, unknown = (
        lightgbm.cost(Shape(30_000, 100, "binary", 2, flags), setting).work for flags in (0, 90, None)
    )
    narrow = lightgbm.cost(Shape(30_000, 10, "binary", 2, 0), setting).work
    assert narrow < mixed < 2 * narrow
    assert mixed < unknown < dense
