import json
import os

import pytest

from forgeline import watching
from forgeline.errors import BadInput
from forgeline.watching import Watch, spark


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def monotonic(self):
        return self.now

    def time(self):
        return 1e9 + self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(watching, "time", clock)
    return clock


@pytest.fixture
def tell(tmp_path, clock):
    def tell(name, step, loss, held=None):
        (tmp_path / name).mkdir(exist_ok=True)
        file = tmp_path / name / "progress.json"
        told = {"step": step, "steps": 2000, "loss": loss, "held_loss": held, "steps_per_second": 123.45}
        file.write_text(json.dumps(told))
        os.utime(file, (clock.time(), clock.time()))

    return tell


def watch(folder, left=60.0):
    said, drawn = [], []
    return Watch(folder, said.append, lambda: drawn.append(1), lambda: left), said, drawn


def test_says_where_a_unit_is_once_a_second(tmp_path, clock, tell):
    look, said, _ = watch(tmp_path)
    for second, loss in enumerate((4.0, 3.0, 2.0, 1.0)):
        tell("tabm-1 fold 1", 500 * (second + 1), loss, held=0.5)
        clock.now += 1.0
        look()
        look()
    assert len(said) == 4
    assert said[-1] == "tabm-1 fold 1 2,000/2,000 loss █▅▃▁ 1, held 0.5, 123 steps/s"


def test_what_was_said_before_is_no_news(tmp_path, clock, tell):
    look, said, _ = watch(tmp_path)
    tell("tabm-1 fold 1", 10, 2.0)
    for _ in range(4):
        clock.now += 1.0
        look()
    assert {line.split()[5] for line in said} == {"▁"}


def test_units_take_turns(tmp_path, clock, tell):
    look, said, _ = watch(tmp_path)
    for _ in range(4):
        clock.now += 1.0
        for name in ("tabm-1 fold 1", "tabm-1 fold 2"):
            tell(name, 10, 1.0)
        look()
    assert sorted(line.split()[2] for line in said) == ["1", "1", "2", "2"]


def test_the_report_is_drawn_every_ten_seconds_while_there_is_news(tmp_path, clock, tell):
    look, said, drawn = watch(tmp_path)
    for second in range(25):
        clock.now += 1.0
        if second < 15:
            tell("tabm-1 fold 1", second, 1.0)
        look()
    assert len(drawn) == 2
    assert 15 <= len(said) <= 20  # what was told last is shown some seconds longer


def test_a_report_that_takes_long_is_drawn_less_often(tmp_path, clock, tell):
    drawn = []

    def draw():
        drawn.append(clock.now)
        clock.now += 2.0

    look = Watch(tmp_path, lambda text: None, draw, lambda: 60.0)
    for _ in range(150):
        clock.now += 1.0
        tell("tabm-1 fold 1", 1, 1.0)
        look()
    assert len(drawn) == 2
    assert drawn[1] - drawn[0] >= 100


def test_no_report_is_begun_when_there_is_hardly_time_left(tmp_path, clock, tell):
    look, said, drawn = watch(tmp_path, left=3.0)
    for _ in range(30):
        clock.now += 1.0
        tell("tabm-1 fold 1", 1, 1.0)
        look()
    assert len(said) == 30
    assert drawn == []


def test_a_report_that_cannot_be_drawn_stops_nothing(tmp_path, clock, tell):
    def draw():
        raise BadInput("not a record", where="03-refine.json")

    look = Watch(tmp_path, lambda text: None, draw, lambda: 60.0)
    clock.now += 1.0
    tell("tabm-1 fold 1", 1, 1.0)
    look()
    assert look.draws_at > clock.now


def test_nothing_is_said_where_nothing_is_trained_in_steps(tmp_path, clock, tell):
    look, said, drawn = watch(tmp_path / "nowhere")
    clock.now += 60.0
    look()
    assert said == drawn == []
    look, said, drawn = watch(tmp_path)
    tell("tabm-1 fold 1", 1, None)
    look()
    assert said == drawn == []


def test_a_flat_line_of_losses_is_flat():
    assert spark([2.0, 2.0]) == "▁▁"
    assert len(spark([float(each) for each in range(50)])) == 10
