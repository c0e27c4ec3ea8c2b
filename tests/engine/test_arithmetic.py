import numpy as np
import polars as pl
import pytest

from forgeline.engine import arithmetic, arrays, encode
from forgeline.engine.arithmetic import Pair

DRAW = np.random.default_rng(3)
ROWS = 3_000


def numbers(columns=5, rows=ROWS):
    return DRAW.normal(size=(rows, columns)).astype(np.float32)


@pytest.mark.parametrize(
    ("op", "expected"),
    [("sum", [3, 1, 2]), ("difference", [-1, 1, 0]), ("product", [2, 0, 1]), ("ratio", [0.5, 0, 1])],
)
def test_operations(op, expected):
    found = arithmetic.value(op, np.array([1, 1, 1], np.float32), np.array([2, 0, 1], np.float32))
    assert found.dtype == np.float32
    assert found.tolist() == expected


def test_nothing_leaves_the_range_of_float32():
    large, small = np.array([3e38, -3e38], np.float32), np.array([1e-38, 1e-38], np.float32)
    for op in arithmetic.SIGNS:
        assert np.isfinite(arithmetic.value(op, large, large)).all()
        assert np.isfinite(arithmetic.value(op, large, small)).all()


def found(x_NA, target_NY, task="regression"):
    return arithmetic.telling([f"c{at}" for at in range(x_NA.shape[1])], x_NA, x_NA, target_NY, task)


@pytest.mark.parametrize("op", ["product", "ratio"])
def test_the_pair_that_the_target_follows_is_found(op):
    x_NA = numbers()
    x_NA[:, 1] = np.abs(x_NA[:, 1]) + 0.3
    y_N = arithmetic.value(op, x_NA[:, 0], x_NA[:, 1]) + 0.1 * DRAW.normal(size=ROWS)
    pairs = found(x_NA, y_N[:, None])
    assert {frozenset((pair.left, pair.right)) for pair in pairs} == {frozenset(("c0", "c1"))}


def test_of_classes_too():
    x_NA = numbers()
    label_N = np.digitize(x_NA[:, 2] - x_NA[:, 3], [-0.7, 0.7])
    assert Pair("difference", "c2", "c3") in found(x_NA, np.eye(3)[label_N], "multiclass")
    two = (x_NA[:, 2] > x_NA[:, 3]).astype(float)[:, None]
    assert Pair("difference", "c2", "c3") in found(x_NA, two, "binary")


def test_none_where_columns_tell_it_one_by_one_or_not_at_all():
    x_NA = numbers()
    assert found(x_NA, (x_NA[:, 0] + 0.5 * DRAW.normal(size=ROWS))[:, None]) == []
    assert found(x_NA, DRAW.normal(size=(ROWS, 1))) == []


def test_a_recipe_with_pairs_has_their_names_and_values():
    x_NA = numbers(3)
    table = arrays.from_frame(pl.DataFrame(x_NA, schema=["a", "b", "c"]), [(name, "number") for name in "abc"])
    rows_N = np.arange(ROWS)
    y_N = (x_NA[:, 0] * x_NA[:, 2]).astype(np.float64)
    recipe = encode.with_pairs(encode.fit(table, rows_N), table, rows_N, y_N[:, None], "regression")
    assert [feature.name for feature in recipe.features] == ["a", "b", "c", "a x c"]
    np.testing.assert_array_equal(encode.transform(recipe, table, rows_N)[:, 3], x_NA[:, 0] * x_NA[:, 2])
