import numpy as np
import polars as pl
import pytest

from forgeline.engine import arrays, encode
from forgeline.engine.assemble import Entry, Fragment, assemble
from forgeline.engine.ensemble import Scaling, mean
from forgeline.engine.graph import Graph
from forgeline.models import open_session

DRAW = np.random.default_rng(8)
ROWS = 200
FRAME = pl.DataFrame(
    {
        "age": pl.Series(DRAW.normal(40, 9, ROWS)).set(pl.Series(DRAW.random(ROWS) < 0.2), None),
        "city": pl.Series(DRAW.choice(["Oslo", "Rome", "Lima"], ROWS)).set(pl.Series(DRAW.random(ROWS) < 0.1), None),
    }
)
INPUTS = [Entry("age", "in_0", "number"), Entry("city", "in_1", "category")]
TABLE = arrays.from_frame(FRAME, [("age", "number"), ("city", "category")])
FOLDS = [np.flatnonzero(np.arange(ROWS) % 2 == fold) for fold in (0, 1)]
RECIPES = [encode.fit(TABLE, rows_N) for rows_N in FOLDS]


def softmax(score_NK):
    power_NK = np.exp(score_NK - score_NK.max(axis=1, keepdims=True))
    return power_NK / power_NK.sum(axis=1, keepdims=True)


def linear(recipe, outputs, classes):
    """A fragment's bytes, and the same in numpy."""
    features = len(recipe.features)
    slope_FK = DRAW.normal(size=(features, outputs)).astype(np.float32) / 30
    graph = Graph()
    x = graph.input("x", "float", features)
    scores = graph.add("MatMul", x, graph.constant(slope_FK))
    scores = graph.add("Softmax", scores, axis=1) if classes else scores
    graph.output(scores, "scores", "float", outputs)

    def answer(x_NF):
        score_NK = x_NF.astype(np.float64) @ slope_FK
        return softmax(score_NK) if classes else score_NK

    return graph.model(), answer


def made(outputs, weights, scaling, *, units=((0.0, 1.0),) * 4):
    """The assembled graph's answers on the table, and numpy's."""
    classes = outputs > 1
    fragments, parts = [], []
    for place, (weight, (center, scale)) in enumerate(zip(weights, units, strict=False)):
        fold = place % 2
        model, answer = linear(RECIPES[fold], outputs, classes)
        fragments.append(Fragment(fold, weight, model, center, scale))
        parts.append(answer(encode.transform(RECIPES[fold], TABLE, np.arange(ROWS))) * scale + center)
    task = "classes" if classes else "regression"
    model = assemble(INPUTS, RECIPES, fragments, task=task, outputs=outputs, scaling=scaling)
    given = {
        "in_0": TABLE.numbers_NA,
        "in_1": np.array([*TABLE.levels[0], arrays.MISSING], object)[TABLE.codes_NC],
    }
    (answers,) = open_session(model).run(None, given)
    expected = mean(parts, weights)
    return answers, expected if scaling is None else scaling.apply(expected), model


@pytest.mark.parametrize(
    ("outputs", "scaling"),
    [
        (2, None),
        (2, Scaling(1.7, -0.4)),
        (2, Scaling(0.05, 3.0)),
        (4, None),
        (4, Scaling(0.6)),
        (4, Scaling(5.0)),
    ],
)
@pytest.mark.parametrize("weights", [(1.0,), (0.5, 0.5), (0.4, 0.3, 0.2, 0.1)])
def test_classes_equal_numpy(outputs, scaling, weights):
    answers, expected, _ = made(outputs, weights, scaling)
    assert answers.dtype == np.float32
    assert answers.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.abs(answers - expected).max() <= 1e-6


def test_values_get_their_own_unit_back():
    units = ((1e6, 2e4), (1.1e6, 3e4))
    answers, expected, _ = made(1, (0.25, 0.75), None, units=units)
    assert answers.dtype == np.float64
    assert np.abs(answers - expected).max() <= 1e-6 * expected.std()


def test_certain_answers_survive_calibration():
    graph = Graph()
    x = graph.input("x", "float", len(RECIPES[0].features))
    first = graph.add("Gather", x, graph.constant([0], np.int64), axis=1)
    sure = graph.add("Mul", graph.add("Concat", first, first, axis=1), graph.constant([[0.0, 0.0]]))
    graph.output(graph.add("Add", sure, graph.constant([[0.0, 1.0]])), "scores", "float", 2)
    scaling = Scaling(0.5, -1.0)
    fragment = Fragment(0, 1.0, graph.model())
    model = assemble(INPUTS, RECIPES, [fragment], task="classes", outputs=2, scaling=scaling)
    given = {"in_0": np.ones((2, 1), np.float32), "in_1": np.array([["Oslo"], ["Rome"]], object)}
    answers = open_session(model).run(None, given)[0]
    assert answers == pytest.approx(scaling.apply(np.array([[0.0, 1.0]] * 2)), abs=1e-6)


def test_the_same_parts_give_the_same_bytes():
    model, _ = linear(RECIPES[0], 2, True)
    twice = [
        assemble(INPUTS, RECIPES, [Fragment(0, 1.0, model)], task="classes", outputs=2, scaling=Scaling(2.0, 1.0))
        for _ in range(2)
    ]
    assert twice[0] == twice[1]


def test_a_recipe_that_no_fragment_uses_is_not_drawn():
    fragment = Fragment(1, 1.0, linear(RECIPES[1], 2, True)[0])
    alone = assemble(INPUTS, [RECIPES[0], RECIPES[1]], [fragment], task="classes", outputs=2, scaling=None)
    again = assemble(INPUTS, [RECIPES[1], RECIPES[1]], [fragment], task="classes", outputs=2, scaling=None)
    assert alone == again
