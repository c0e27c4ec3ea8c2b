import numpy as np
import pytest

from forgeline.engine import network
from forgeline.engine.network import Schedule
from forgeline.engine.seeds import Seed

DRAW = np.random.default_rng(5)
SMALL = Schedule(width=8, layers=2, epochs=5, batch=16, rate=0.01, decay=0.01, dropout=0.0, bins=4)


def test_a_number_is_a_score_and_steps_between_its_quantiles_and_a_flag_is_itself():
    x_NF = np.column_stack([np.arange(101), np.arange(101) % 2]).astype(np.float32)
    inputs = network.fit_inputs(x_NF, bins=4)
    z_ND = inputs.encode(x_NF) + inputs.mean_D
    assert z_ND.shape == (101, 6)
    assert z_ND[:, 5].tolist() == x_NF[:, 1].tolist()
    np.testing.assert_allclose(z_ND[50], [0, 1, 1, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(z_ND[60, 1:5], [1, 1, 10 / 25, 0], atol=1e-6)
    far = inputs.encode(np.array([[1e9, 7.0]], np.float32)) + inputs.mean_D
    np.testing.assert_allclose(far, [[4, 1, 1, 1, 1, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "y", "scores"),
    [
        (network.squared, DRAW.normal(size=30), 1),
        (network.log_odds, DRAW.integers(0, 2, 30), 1),
        (network.cross_entropy, DRAW.integers(0, 3, 30), 3),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_slopes_are_those_of_finite_differences(loss, y, scores, weighted, dropout):
    schedule = Schedule(width=6, layers=2, epochs=1, batch=30, rate=0.01, decay=0.0, dropout=dropout, bins=3)
    x_NF = DRAW.normal(size=(30, 2)).astype(np.float32)
    inputs = network.fit_inputs(x_NF, bins=3)
    z_ND = inputs.encode(x_NF).astype(np.float64)
    weight_N = DRAW.uniform(0.5, 2, 30) if weighted else None
    layers = network.first_layers(z_ND.shape[1], np.zeros(scores), schedule, Seed(1))
    layers = layers.like(layers.theta_P.astype(np.float64) + 0.1 * DRAW.normal(size=len(layers.theta_P)))
    keeps = network.dropped(np.random.default_rng(0), 30, schedule, dropout)
    slope = layers.like(np.zeros_like(layers.theta_P))

    def passed(theta_P):
        return network.forward_batch(layers.like(theta_P), network.Moments.of([6, 6]), z_ND, keeps)

    there = passed(layers.theta_P)
    network.backward(layers, slope, z_ND, there, loss(there.given[-1], y, weight_N)[1].astype(np.float64), keeps)
    for place in DRAW.choice(len(layers.theta_P), 60, replace=False):
        sides = []
        for step in (1e-5, -1e-5):
            moved_P = layers.theta_P.copy()
            moved_P[place] += step
            sides.append(loss(passed(moved_P).given[-1], y, weight_N)[0])
        assert slope.theta_P[place] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=2e-3, abs=2e-6)


def test_what_standardises_the_hidden_units_is_taken_into_the_weights():
    schedule = Schedule(width=6, layers=2, epochs=1, batch=30, rate=0.01, decay=0.0, dropout=0.0, bins=3)
    z_ND = DRAW.normal(size=(40, 4))
    layers = network.first_layers(4, np.zeros(3), schedule, Seed(1))
    layers = layers.like(layers.theta_P.astype(np.float64) + 0.3 * DRAW.normal(size=len(layers.theta_P)))
    moments = network.Moments.of([6, 6])
    batch = network.forward_batch(layers, moments, z_ND, None)
    plain = moments.taken_in(layers)
    assert len(plain.theta_P) == len(layers.theta_P) - 12
    np.testing.assert_allclose(network.forward(plain, z_ND), batch.given[-1], atol=1e-5)


def learn(rows=600, **more):
    x_NF = np.random.default_rng(1).normal(size=(rows, 3)).astype(np.float32)
    y_N = np.sin(2 * x_NF[:, 0]) + x_NF[:, 1] * x_NF[:, 2]
    schedule = Schedule(width=32, layers=2, epochs=60, batch=64, rate=0.005, decay=0.01, dropout=0.0, bins=8)
    return network.train(x_NF, y_N, None, np.zeros(1), network.squared, schedule, Seed(0), **more), x_NF, y_N


def test_it_learns_a_bend_and_a_product():
    trained, x_NF, y_N = learn()
    assert np.mean((trained.scores(x_NF)[:, 0] - y_N) ** 2) < 0.05 * y_N.var()


def test_steps_end_it_where_an_earlier_fold_was_best():
    x_NF = np.random.default_rng(2).normal(size=(300, 3)).astype(np.float32)
    held = (x_NF, np.sin(2 * x_NF[:, 0]) + x_NF[:, 1] * x_NF[:, 2] + np.random.default_rng(3).normal(size=300), None)
    chosen, *_ = learn(held=held)
    again, *_ = learn(steps=chosen.steps)
    assert 0 < chosen.steps <= network.total_steps(600, Schedule(32, 2, 60, 64, 0.005, 0.01, 0.0, 8))
    assert np.array_equal(chosen.layers.theta_P, again.layers.theta_P)


def test_the_rate_rises_and_then_falls_to_nothing():
    rates = [network.cosine(step, 100) for step in range(1, 101)]
    assert rates[0] == pytest.approx(1 / 3)
    assert max(rates) == rates[2] == 1
    assert rates[-1] == pytest.approx(0)


def test_dropout_keeps_the_mean():
    schedule = Schedule(width=200, layers=2, epochs=1, batch=64, rate=0.1, decay=0.0, dropout=0.25, bins=2)
    factors = network.dropped(np.random.default_rng(0), 64, schedule, 0.25)
    assert [each.shape for each in factors] == [(64, 200)] * 2
    assert np.mean(factors) == pytest.approx(1, abs=0.02)
    assert np.mean(factors[0] == 0) == pytest.approx(0.25, abs=0.02)
