import numpy as np
import polars as pl

from forgeline.engine import neighbours
from forgeline.engine.seeds import Seed

SEED = Seed(0).child("test")


def test_points_are_standard_deviations_and_another_category_is_one_away():
    frame = pl.DataFrame({"x": [0.0, 2.0, 4.0], "c": ["p", "q", "p"]})
    x_NE = neighbours.points(frame, seed=SEED).x_NE
    apart = neighbours.distance(x_NE, np.array([0, 0]), np.array([1, 2]))
    spread = np.std([0, 2, 4])
    assert np.allclose(apart, [np.hypot(2 / spread, 1), 4 / spread])


def test_grid_hashing_finds_the_neighbour_that_brute_force_finds():
    draw = np.random.default_rng(1)
    x_ND = draw.normal(size=(1500, 8))
    x_ND = np.append(x_ND, x_ND[:75] + 0.01 * draw.normal(size=(75, 8)), axis=0)
    colour_N = draw.choice(list("abcd"), 1500)
    frame = pl.DataFrame(x_ND).with_columns(colour=np.append(colour_N, colour_N[:75]))
    these = neighbours.points(frame, seed=SEED)
    near = neighbours.nearest(these, width=1.0, seed=SEED)
    copies = np.arange(1500, frame.height)
    square = ((these.x_NE[copies][:, None, :] - these.x_NE[None]) ** 2).sum(axis=2)
    square[np.arange(len(copies)), copies] = np.inf
    assert (near.partner_N[copies] == square.argmin(axis=1)).mean() >= 0.98


def test_the_usual_distance_is_that_of_the_fourth_neighbour():
    these = neighbours.points(pl.DataFrame(np.random.default_rng(1).normal(size=(1500, 3))), seed=SEED)
    some = np.arange(200)
    found = neighbours.usual_distance(these, some, np.arange(1500), seed=SEED)
    square = ((these.x_NE[some][:, None, :] - these.x_NE[None]) ** 2).sum(axis=2)
    square[some, some] = np.inf
    fourth = np.sqrt(np.partition(square, 3, axis=1)[:, 3])
    assert 0.95 <= np.median(found / fourth) <= 1.15
