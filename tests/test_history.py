import json

from forgeline import history
from forgeline.history import Line


def written(*found):
    return b"".join(json.dumps(line).encode() + b"\n" for line in found)


def test_a_line_that_is_still_being_written_is_left_out():
    data = written({"step": 1, "loss": 0.5, "rate": 0.1, "held_loss": None}, {"step": 2, "loss": None, "rate": 0.1})
    assert history.lines(data + b'{"step":3,"lo') == [Line(1, 0.5), Line(2, None)]
    assert history.lines(b"") == []


def test_looks_at_held_rows_are_drawn_beside_the_steps_before_them():
    losses = {1: 4.0, 2: 2.0, 3: 2.0, 4: 1.0, 5: 9.0}
    found = [Line(step, loss, {2: 3.5, 4: 3.0}.get(step)) for step, loss in losses.items()]
    drawn = history.curve("tabm-1 fold 1", found)
    assert (drawn.x, drawn.y, drawn.against) == ([2, 4], [3.5, 3.0], [3.0, 1.5])
    assert drawn.y_label == "loss on held rows"


def test_without_looks_the_loss_is_drawn_in_a_hundred_points_at_most():
    drawn = history.curve("refit", [Line(step, 1000.0 - step) for step in range(1, 251)])
    assert len(drawn.x) == 84
    assert (drawn.x[0], drawn.y[0]) == (3, 998.0)
    assert (drawn.x[-1], drawn.y[-1]) == (250, 750.0)
    assert drawn.against == []


def test_nothing_is_drawn_of_a_point_or_of_losses_that_are_not_finite():
    assert history.curve("one", [Line(1, 0.5)]) is None
    assert history.curve("none", [Line(step, None) for step in range(9)]) is None
    assert history.curve("nothing", []) is None


def test_units_in_progress_are_found_by_their_folders(tmp_path):
    for name in ("tabm-1 fold 1", "tabm-search-2 all rows 1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / history.METRICS).write_bytes(written({"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}))
    for name, data in (("new", b""), ("torn", b"{\n{\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / history.METRICS).write_bytes(data)
    assert [each.title for each in history.going_on(tmp_path)] == ["tabm-1 fold 1", "tabm-search-2 all rows 1"]
    assert list(history.going_on(tmp_path / "nowhere")) == []


def test_where_a_unit_is_may_not_be_there_or_be_torn(tmp_path):
    assert history.progress(tmp_path) == {}
    (tmp_path / history.PROGRESS).write_bytes(b"")
    assert history.progress(tmp_path) == {}
    (tmp_path / history.PROGRESS).write_bytes(b'{"step": 3}')
    assert history.progress(tmp_path) == {"step": 3}
