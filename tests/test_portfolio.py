import json

import pytest

from forgeline import catalog, portfolio
from forgeline.errors import BadInput
from forgeline.kinds import Shape


def test_the_shipped_portfolio_has_an_order_for_every_task_and_size():
    learned = portfolio.read(None)
    for task, outputs in (("binary", 2), ("multiclass", 7), ("regression", 1)):
        for rows in (20, 2_000, 200_000, 20_000_000):
            names = learned.order(Shape(rows, 10, task, outputs)).names
            assert len(names) >= 4
            assert len(set(names)) == len(names)


def test_the_shipped_points_are_settings_of_their_families():
    for point in portfolio.read(None).points.values():
        default = catalog.load("families", point.family).space(Shape(5_000, 10, "binary", 2)).points[0]
        assert point.setting.keys() <= default.keys()
        assert 0 < point.done <= 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not a portfolio"),
        ('{"about": "", "points": {}, "orders": [], "more": 1}', "unknown field `more`"),
        (
            json.dumps({"about": "", "points": {"linear-1": {"family": "linear"}}, "orders": [
                {"task": "classes", "most_rows": None, "names": ["linear-2"]}]}),
            r"an order names linear-2.*Did you mean linear-1\?",
        ),
    ],
)  # fmt: skip
def test_what_is_no_portfolio(tmp_path, text, says):
    path = tmp_path / "own.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=says):
        portfolio.read(path)


def test_a_portfolio_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        portfolio.read(tmp_path / "none.json")


@pytest.mark.parametrize("done", [0, 1.5])
def test_a_share_of_steps_is_a_share(done):
    text = json.dumps({"about": "", "points": {"a": {"family": "linear", "done": done}}, "orders": []})
    with pytest.raises(BadInput, match="point a has done ="):
        portfolio.decode(text.encode(), "own.json")
