import datetime

import msgspec
import numpy as np
import onnxruntime
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgeline.engine import arithmetic, arrays, encode, words
from forgeline.engine.arithmetic import Pair
from forgeline.engine.arrays import MISSING, MISSING_DATE
from forgeline.engine.graph import Graph

FLOATS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1e-45, 3.4e38, 2.0**24 + 2])
TEXTS = st.sampled_from(["a", "b", "c", "é", "", "a b", "x\x00", None]) | st.text(max_size=3)
MICROS = st.none() | st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(encode.YEAR_1, encode.YEAR_9999)


def columns(frame):
    kinds = {pl.Float32: "number", pl.Float64: "number", pl.String: "category", pl.Int64: "date"}
    return arrays.from_frame(frame, [(name, kinds[type(dtype)]) for name, dtype in frame.schema.items()])


def all_rows(table):
    return np.arange(table.rows)


def onnx_features(recipe, table):
    """The features of the drawn recipe, asked the way a reader does."""
    graph, feed = Graph(), {}
    for index, name in enumerate(table.numbers):
        feed[graph.input(name, "float", 1)] = table.numbers_NA[:, [index]]
    for index, name in enumerate(table.categories):
        texts = np.array([*table.levels[index], MISSING], dtype=object)
        feed[graph.input(name, "string", 1)] = texts[table.codes_NC[:, [index]]]
    for index, name in enumerate(table.dates):
        feed[graph.input(name, "int64", 1)] = table.dates_ND[:, [index]]
    graph.output(encode.draw(recipe, graph, {name: name for name in feed}), "features", "float", len(recipe.features))
    session = onnxruntime.InferenceSession(graph.model(), providers=["CPUExecutionProvider"])
    return session.run(["features"], feed)[0]


def check_twins(recipe, table):
    """Both sides agree on every value; onnxruntime's Where may take the sign from a zero, no more."""
    here = encode.transform(recipe, table, all_rows(table))
    there = onnx_features(recipe, table)
    assert here.dtype == there.dtype == np.float32
    assert here.shape == there.shape == (table.rows, len(recipe.features))
    assert here.flags.c_contiguous
    assert np.isfinite(here).all()
    np.testing.assert_array_equal(here, there)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.tuples(FLOATS, FLOATS, TEXTS, TEXTS, MICROS, MICROS), min_size=2, max_size=30), st.data())
def test_numpy_and_onnx_agree_exactly(rows, data):
    schema = {"x": pl.Float64, "y": pl.Float64, "s": pl.String, "t": pl.String, "d": pl.Int64, "e": pl.Int64}
    table = columns(pl.DataFrame(rows, schema=schema, orient="row"))
    fitted = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1)))
    recipe = encode.fit(table, fitted, least_count=1, top=4, many=2)
    check_twins(recipe, table)
    numbers = [piece.column for piece in recipe.numbers]
    pairs = [Pair(op, left, right) for op in arithmetic.SIGNS for left in numbers for right in numbers]
    check_twins(msgspec.structs.replace(recipe, pairs=pairs), table)
    assert encode.decode(encode.encode(recipe)) == recipe


def test_infinite_input_is_missing_in_the_graph():
    table = columns(pl.DataFrame({"x": [1.0, 2.0, 4.0, None]}))
    recipe = encode.fit(table, all_rows(table))
    raw = np.array([[np.inf], [-np.inf], [np.nan], [3.4e38]], np.float32)
    graph = Graph()
    graph.output(encode.draw(recipe, graph, {"x": graph.input("x", "float", 1)}), "features", "float", 2)
    found = onnxruntime.InferenceSession(graph.model(), providers=["CPUExecutionProvider"]).run(None, {"x": raw})[0]
    np.testing.assert_array_equal(found, np.array([[2, 1], [2, 1], [2, 1], [3.4e38, 0]], np.float32))


def test_numbers_get_the_median_and_a_flag():
    table = columns(pl.DataFrame({"x": [1.0, 2.0, 4.0, None], "y": [1.0, 1.0, 1.0, 1.0], "z": [0.0, 1.0, 2.0, 3.0]}))
    recipe = encode.fit(table, all_rows(table))
    assert [feature.name for feature in recipe.features] == ["x", "z", "x is missing"]
    assert encode.transform(recipe, table, all_rows(table)).tolist() == [
        [1, 0, 0],
        [2, 1, 0],
        [4, 2, 0],
        [2, 3, 1],
    ]


def test_only_the_given_rows_are_seen():
    table = columns(pl.DataFrame({"x": [1.0, 3.0, 100.0, None], "s": ["a", "b", "c", "c"]}))
    recipe = encode.fit(table, np.array([0, 1]), least_count=1)
    assert recipe.numbers[0].median == 2.0
    assert not recipe.numbers[0].missing
    assert recipe.categories[0].levels == ["a", "b"]
    assert encode.transform(recipe, table, np.array([3, 2])).tolist() == [[2, 0], [100, 0]]


def test_levels_by_count_then_text_and_the_rest_together():
    texts = ["b"] * 3 + ["c"] * 2 + ["a"] * 2 + ["rare", None]
    table = columns(pl.DataFrame({"s": [*texts, "unseen"]}))
    recipe = encode.fit(table, np.arange(9))
    assert recipe.categories[0].levels == ["b", "a", "c"]
    assert [feature.name for feature in recipe.features] == [
        "s = b",
        "s = a",
        "s = c",
        "s is another",
        "s is missing",
    ]
    found = encode.transform(recipe, table, np.array([0, 3, 5, 7, 8, 9]))
    assert found.argmax(axis=1).tolist() == [0, 2, 1, 3, 4, 3]
    assert (found.sum(axis=1) == 1).all()


def test_two_groups_need_one_feature_and_one_none():
    frame = pl.DataFrame({"two": ["n", "n", "y", "y", "n"], "one": ["k"] * 5, "half": ["k", None, "k", "k", "k"]})
    table = columns(frame)
    recipe = encode.fit(table, all_rows(table))
    assert [feature.name for feature in recipe.features] == ["two = y", "half is missing"]
    assert encode.transform(recipe, table, all_rows(table)).tolist() == [[0, 0], [0, 1], [1, 0], [1, 0], [0, 0]]


def test_many_levels_are_cut_and_get_their_log_count():
    texts = [f"level {index:02}" for index in range(12) for _ in range(index + 2)]
    table = columns(pl.DataFrame({"s": texts}))
    recipe = encode.fit(table, all_rows(table), top=11)
    assert recipe.categories[0].levels[0] == "level 11"
    assert "level 00" not in recipe.categories[0].levels
    assert recipe.features[-2:] == [
        encode.Feature("s is another", "s"),
        encode.Feature("log count of s", "s"),
    ]
    logs = encode.transform(recipe, table, all_rows(table))[:, -1]
    assert logs[-1] == np.float32(np.log1p(13))
    assert logs[0] == 0.0


@pytest.mark.parametrize("year", [1, 4, 100, 400, 1582, 1899, 1900, 1969, 1970, 2000, 2023, 2024, 9999])
def test_calendar_is_pythons(year):
    first = datetime.datetime(year, 1, 1, 23, 59, 59, 999_999)
    moments = [first + datetime.timedelta(days=day) for day in range(365)]
    epoch = datetime.datetime(1970, 1, 1)
    micros = np.array([(moment - epoch) // datetime.timedelta(microseconds=1) for moment in moments])
    found = np.stack(encode.calendar(micros), axis=1).tolist()
    assert found == [
        [(moment - epoch).days, moment.year, moment.month, moment.day, moment.weekday(), 23, 59] for moment in moments
    ]


def test_dates_give_the_fields_that_vary():
    day = 86_400_000_000
    table = columns(pl.DataFrame({"d": pl.Series([0, day, 31 * day, None], dtype=pl.Int64)}))
    recipe = encode.fit(table, all_rows(table))
    names = ["days of d", "month of d", "day of d", "weekday of d", "d is missing"]
    assert [feature.name for feature in recipe.features] == names
    expected = [[0, 1, 1, 3, 0], [1, 1, 2, 4, 0], [31, 2, 1, 6, 0], [1, 1, 2, 4, 1]]
    assert encode.transform(recipe, table, all_rows(table)).tolist() == expected


def test_nothing_to_learn_from_gives_one_constant_feature():
    table = columns(
        pl.DataFrame({"s": ["a", "a"], "x": [None, None], "d": [MISSING_DATE] * 2}, schema_overrides={"x": pl.Float64})
    )
    recipe = encode.fit(table, all_rows(table))
    assert recipe.features == [encode.Feature("constant", "")]
    check_twins(recipe, table)


def test_flags_are_the_features_of_0_and_1():
    table = columns(pl.DataFrame({"x": [1.0, 2.0, None], "s": ["a", "b", None]}))
    recipe = encode.fit(table, all_rows(table), least_count=1)
    assert len(recipe.features) == 5
    assert recipe.flags == 4


def test_only_named_columns_are_read():
    table = columns(pl.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]}))
    assert encode.fit(table, all_rows(table), ["y"]).columns == ["y"]


# ---------------------------------------------------------------- means of the target


def many_levels(rows=60, levels=12):
    """Rows of a category with many levels, each of which has a target of its own, and the target."""
    codes_N = np.arange(rows) % levels
    texts = [None if row == 7 else f"level {code}" for row, code in enumerate(codes_N)]
    table = columns(pl.DataFrame({"city": texts}))
    return table, codes_N.astype(float)[:, None]


def test_means_of_a_level_are_drawn_to_the_mean_of_all():
    table, target_NY = many_levels()
    recipe = encode.fit(table, all_rows(table), None, target_NY)
    (piece,) = recipe.means
    place = piece.levels.index("level 3")
    assert piece.values[place][0] == pytest.approx((5 * 3 + 10 * target_NY.mean()) / 15)
    assert piece.values[-2][0] == pytest.approx(target_NY.mean())
    assert piece.values[-1][0] == pytest.approx((7 + 10 * target_NY.mean()) / 11)
    assert recipe.features[-1].name == "target mean 1 of city"


def test_no_row_is_told_its_own_target():
    """A level of one row says what an unseen one does when the row itself is trained on."""
    table, target_NY = many_levels(rows=12)
    recipe = encode.fit(table, all_rows(table), None, target_NY)
    training_N = encode.transform(recipe, table, all_rows(table), target_NY)[:, -1]
    asked_N = encode.transform(recipe, table, all_rows(table))[:, -1]
    assert np.corrcoef(asked_N, target_NY[:, 0])[0, 1] > 0.99
    assert np.corrcoef(training_N, target_NY[:, 0])[0, 1] < 0.0


def test_few_levels_or_no_target_make_no_means():
    table, target_NY = many_levels(levels=9)
    assert encode.fit(table, all_rows(table), None, target_NY).means == []
    assert encode.fit(many_levels()[0], all_rows(table)).means == []


def test_what_means_are_taken_of():
    assert encode.target_columns(np.array([0, 1, 1]), 2).tolist() == [[0], [1], [1]]
    assert encode.target_columns(np.array([0, 2]), 3).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert encode.target_columns(np.array([1.0, 3.0]), 1).tolist() == [[-1], [1]]
    assert encode.target_columns(np.array([0, 1]), 11) is None


def test_the_graph_looks_means_up():
    table, target_NY = many_levels()
    recipe = encode.fit(table, all_rows(table), None, np.column_stack([target_NY, -target_NY]))
    new = columns(pl.DataFrame({"city": ["level 3", None, "nowhere"]}))
    assert np.array_equal(onnx_features(recipe, new), encode.transform(recipe, new, np.arange(3)))


def comments(rows=300):
    """Comments of which those with a `good` that no `not` precedes are of class 1; other words are noise."""
    draw = np.random.default_rng(5)
    noise = ["the", "film", "was", "Été", "plot,", "and", "seen", "actors;", "again", "日本"]
    texts, class_N = [], np.zeros(rows, np.int64)
    for row in range(rows):
        said = [noise[place] for place in draw.integers(0, len(noise), draw.integers(4, 12))]
        tells = int(draw.integers(0, 3))
        said.insert(int(draw.integers(0, len(said))), ["dull", "GOOD!", "not good"][tells])
        texts.append(" ".join(said))
        class_N[row] = tells == 1
    return texts, class_N


def test_free_text_becomes_flags_of_telling_words():
    texts, class_N = comments()
    table = columns(pl.DataFrame({"said": [*texts, None, "", "…", "GOOD good good"]}))
    fitted = np.arange(300)
    recipe = encode.fit(table, fitted, target_NY=encode.target_columns(class_N, 2))
    (piece,) = recipe.words
    assert {"good", "not good", "dull"} <= set(piece.grams)
    assert recipe.means == []
    names = [feature.name for feature in recipe.features]
    x_NF = encode.transform(recipe, table, all_rows(table))
    good_N, count_N = x_NF[:, names.index("said has good")], x_NF[:, names.index("words of said")]
    assert good_N[:300].tolist() == [float("good" in text.lower()) for text in texts]
    assert (good_N[300:].tolist(), count_N[300:].tolist()) == ([0, 0, 0, 1], [0, 0, 1, 3])
    check_twins(recipe, table)


def test_words_are_told_apart_by_what_they_tell_of_the_target():
    texts, class_N = comments()
    table = columns(pl.DataFrame({"said": texts}))
    told = words.telling(table.codes_NC[:, 0], table.levels[0], encode.target_columns(class_N, 2), most=3)
    untold = words.telling(table.codes_NC[:, 0], table.levels[0], None, most=3)
    assert set(told) & {"good", "not good", "dull", "not"} == set(told)
    assert not set(untold) & {"good", "not good", "dull", "not"}


def test_two_dates_have_a_distance():
    minutes = [7, 90, 1440, -30]
    start = [0, -86_400_000_000, 1_700_000_000_000_000, -62_000_000_000_000_000]
    frame = pl.DataFrame({"start": start, "end": [a + b * 60_000_000 for a, b in zip(start, minutes)]})
    table = columns(frame)
    recipe = encode.fit(table, all_rows(table))
    names = [feature.name for feature in recipe.features]
    place = names.index("minutes from start to end")
    assert encode.transform(recipe, table, all_rows(table))[:, place].tolist() == minutes
    check_twins(recipe, table)
