import numpy as np

from forgeline.engine.seeds import Seed
from forgeline.kinds import Shape, TrainRows
from forgeline.parts.families import kernel

DRAW = np.random.default_rng(7)


def fit(x_NF, y_N, task="regression", outputs=1, **changes):
    shape = Shape(len(x_NF), x_NF.shape[1], task, outputs, 0)
    setting = kernel.space(shape).points[0] | changes
    return kernel.build(shape, setting, Seed(0)).fit(TrainRows(x_NF.astype(np.float32), y_N, None, shape))


def test_it_learns_a_smooth_surface_that_a_line_cannot():
    x_NF = DRAW.uniform(-2, 2, (800, 2))
    y_N = np.sin(2 * x_NF[:, 0]) * np.cos(x_NF[:, 1])
    fitted = fit(x_NF[:600], y_N[:600])
    assert np.mean((fitted.predict(x_NF[600:].astype(np.float32))[:, 0] - y_N[600:]) ** 2) < 0.02 * y_N.var()


def test_no_centre_is_a_row():
    x_NF = DRAW.normal(size=(60, 3))
    x_NF[0] = 50  # alone, so that a centre of its own would be this row
    fitted = fit(x_NF, DRAW.normal(size=60), centres=30)
    assert len(fitted.centre_MF) <= 12
    z_NF = fitted.scaling.apply(x_NF.astype(np.float32))
    distance_NM = np.abs(z_NF[:, None] - fitted.centre_MF).max(axis=2)
    assert distance_NM.min() > 1e-3


def test_the_inverse_root_undoes_the_kernel():
    z_NF = DRAW.normal(size=(20, 3))
    kernel_MM = kernel.closeness(z_NF, z_NF, 0.5)
    root_MM = kernel.inverse_root(kernel_MM)
    np.testing.assert_allclose(root_MM @ kernel_MM @ root_MM, np.eye(20), atol=1e-8)


def test_a_centre_is_as_close_as_one_to_itself():
    z_NF = DRAW.normal(size=(5, 3))
    near = kernel.closeness(z_NF, z_NF, 2.0)
    np.testing.assert_allclose(np.diag(near), 1, atol=1e-12)
    squared = ((z_NF[0] - z_NF[1]) ** 2).sum()
    assert np.isclose(near[0, 1], 1 / (1 + 2 * squared))
