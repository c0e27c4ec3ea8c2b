import pytest

from forgeline.engine.schedules import constant, cosine, linear, warmed


@pytest.mark.parametrize("schedule", [constant, cosine, linear, warmed(cosine, 0.1), warmed(constant, 0.03)])
def test_is_a_share_of_the_highest_rate(schedule):
    rates = [schedule(step, 100) for step in range(100)]
    assert all(0 <= rate <= 1 for rate in rates)
    assert max(rates) == 1


def test_rises_then_falls():
    rates = [warmed(linear, 0.2)(step, 10) for step in range(10)]
    assert rates == pytest.approx([0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
