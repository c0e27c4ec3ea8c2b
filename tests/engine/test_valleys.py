import numpy as np

from forgeline.engine.valleys import sides, valleys


def test_an_exponential_tail_has_no_valley():
    z_V = np.sort(np.random.default_rng(1).exponential(size=2000))
    assert valleys(z_V, np.ones(2000, int)) == []


def test_the_bulk_ends_at_the_last_value_before_an_empty_stretch():
    draw = np.random.default_rng(2)
    z_V = np.sort(np.append(draw.exponential(size=2000), draw.uniform(20, 30, 60)))
    assert valleys(z_V, np.ones(2060, int)) == [1999]
    below_V = -z_V[::-1]
    (far_V,) = sides(below_V, np.ones(2060, int), False, np.zeros(2060, bool))
    assert far_V.tolist() == [True] * 60 + [False] * 2000
