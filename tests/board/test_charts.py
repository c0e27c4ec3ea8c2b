import re
from xml.etree import ElementTree

import pytest

from forgeline.board import charts
from forgeline.board.charts import Scale, scale, ticks
from forgeline.records import Curve, Histogram, Number


def parts(svg, name):
    return [element for element in ElementTree.fromstring(svg).iter() if element.tag == name]


def places(element):
    return [tuple(float(end) for end in pair.split(",")) for pair in element.get("points").split()]


def test_scale_maps_ends_to_ends_and_the_middle_to_the_middle():
    x = Scale(2, 4, 46, 348)
    assert (x(2), x(3), x(4)) == (46, 197, 348)


@pytest.mark.parametrize(
    ("values", "low", "high"), [([3, 3], 1.5, 4.5), ([0], -0.5, 0.5), ([], -0.5, 0.5), ([-2, 6], -2, 6)]
)
def test_scale_gives_room_to_a_value_alone(values, low, high):
    assert (scale(values, 0, 1).low, scale(values, 0, 1).high) == (low, high)


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0, 10, [0, 5, 10]),
        (0, 8211, [0, 2000, 4000, 6000, 8000]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (0.3, 0.31, [0.3, 0.305, 0.31]),
    ],
)
def test_ticks_are_round_and_few(low, high, found):
    assert ticks(low, high) == found


def test_curve_draws_line_band_and_reference_where_they_belong():
    # x 0…1 over 46…348, y 0…1 over 180…24: a half is at 197 and at 102.
    shape = Curve(title="c", x=[0, 0.5, 1], y=[0, 0.5, 1], low=[0, 0.25, 1], high=[0, 0.75, 1], against=[0, 0, 0])
    svg = charts.curve(shape)
    lines = {line.get("class"): places(line) for line in parts(svg, "polyline")}
    assert lines == {
        "line": [(46, 180), (197, 102), (348, 24)],
        "against": [(46, 180), (197, 180), (348, 180)],
    }
    band = places(parts(svg, "polygon")[0])
    assert band == [(46, 180), (197, 63), (348, 24), (348, 24), (197, 141), (46, 180)]


def test_histogram_columns_stand_on_zero_and_follow_their_edges():
    svg = charts.histogram(Histogram(title="h", counts=[10, 5], edges=[0, 1, 4]))
    boxes = [[float(box.get(key)) for key in ("x", "y", "width", "height")] for box in parts(svg, "rect")]
    # 302 wide for 4: the first column is 75.5 wide and the second 226.5, less the gap of 1.
    assert boxes == [[46, 24, 74.5, 156], [121.5, 102, 225.5, 78]]


def test_histogram_of_levels_is_cut_after_twelve():
    names = [f"level {index}" for index in range(15)]
    svg = charts.histogram(Histogram(title="h", counts=[2.0] * 15, levels=names))
    assert len(parts(svg, "rect")) == 12
    assert "and 3 more levels" in svg


def test_forest_places_dot_and_interval_and_leaves_nulls_out():
    rows = [
        ("this", Number(value=0.5, low=0.0, high=1.0)),
        ("none", Number(value=None, why="no test")),
        ("other", Number(value=0.75)),
    ]
    svg = charts.forest("f", rows)
    whisker = parts(svg, "line")[-1 - len(ticks(0, 1)) - 2]  # before the axis, its marks and the second row
    dots = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in parts(svg, "circle")]
    assert dots == [(180, 26), (265, 60)]  # 0…1 over 10…350, rows 34 apart
    assert (whisker.get("x1"), whisker.get("x2")) == ("10", "350")
    assert "none" not in svg


def test_forest_of_seconds_has_its_axis_in_milliseconds():
    svg = charts.forest("p99", [("a", Number(value=0.002, unit="s")), ("b", Number(value=0.004, unit="s"))])
    assert {"2 ms", "3 ms", "4 ms"} <= {element.text for element in parts(svg, "text")}


def test_stacked_parts_fill_the_bar_in_order():
    svg = charts.stacked("s", [("a", 1.0), ("b", 0.0), ("c", 3.0)])
    assert [(box.get("x"), box.get("width")) for box in parts(svg, "rect")] == [
        ("0", "250"),
        ("250", "0"),
        ("250", "750"),
    ]


@pytest.mark.parametrize(
    "svg",
    [
        charts.curve(Curve(title="<b>", x=[], y=[], x_label="<i>")),
        charts.curve(Curve(title="<b>", x=[1], y=[1], y_label="&")),
        charts.histogram(Histogram(title="<b>", counts=[0, 0], edges=[1, 1, 1])),
        charts.histogram(Histogram(title="<b>", counts=[1], levels=["<script>"])),
        charts.forest("<b>", [("<script>", Number(value=1.0, unit="<i>"))]),
        charts.stacked("<b>", [("<script>", 0.0)]),
    ],
)
def test_charts_are_well_formed_titled_and_escaped_even_without_data(svg):
    root = ElementTree.fromstring(svg)
    assert (root.get("role"), root[0].tag, root[0].text) == ("img", "title", "<b>")
    assert not re.search(r"nan|inf(?!inite)", svg.lower())
    assert {element.tag for element in root.iter()}.isdisjoint({"script", "b", "i"})


def test_a_gauge_draws_value_interval_and_mark_on_its_span():
    svg = charts.gauge("half", 1.0, (0.5, 3.0), span=(0.0, 2.0), mark=1.6)
    track, bar = parts(svg, "rect")
    assert (track.get("width"), bar.get("width")) == ("100", "50")
    whisker, mark = parts(svg, "line")
    assert (whisker.get("x1"), whisker.get("x2"), mark.get("x1")) == ("25", "100", "80")


def test_scores_beside_each_other_start_at_their_base_and_may_be_negative():
    first, second = parts(charts.beside("R²", [("random", 0.5), ("honest", -0.5)], base=0.0), "rect")
    assert float(first.get("width")) == pytest.approx(float(second.get("width")), abs=0.2)
    assert float(second.get("x")) < float(first.get("x"))
