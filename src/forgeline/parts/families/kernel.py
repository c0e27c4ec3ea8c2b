"""Ridge and logistic regression on a smooth kernel's features (Nyström); it keeps means of rows, never a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgeline.engine import link
from forgeline.engine.graph import Graph
from forgeline.engine.linear import fit, thinned
from forgeline.engine.search import Range
from forgeline.engine.seeds import Seed
from forgeline.engine.standard import Scaling, draw_squares, squares
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

MOST_ROWS = 50_000
"""More rows than this are thinned evenly."""
LEAST_MEMBERS = 5
"""Rows that a centre must be the mean of."""
PROCESS_BYTES = 200 * 2**20
"""A worker before any data: Python with numpy, onnx and scikit-learn loaded."""
REFITS = 1
"""One fit on all rows ships: it is as steady as the mean of its fold models, and knows more rows."""


def space(shape: Shape) -> Space:
    """How many centres, how far one reaches (in units of the mean squared distance), how strong the penalty is.

    It knows the mean alone.
    """
    if not shape.central:
        return Space(())
    centres = int(min(1000, max(20, shape.rows // 12)))
    points = [
        {"centres": centres, "reach": reach, "penalty": penalty}
        for reach, penalty in ((0.5, 0.03), (0.1, 0.003), (2.0, 0.3))
    ]
    return Space(tuple(points), {"reach": Range(0.03, 10.0), "penalty": Range(0.0001, 3.0)})


def cost(shape: Shape, setting: Setting) -> Cost:
    """Distances of all rows to all centres, their inverse root, and a linear fit on as many features as centres.

    Constants (units of 1e9 operations, about a second): scikit-learn 1.9 on one core of an AMD EPYC.
    """
    rows, centres = min(shape.rows, MOST_ROWS), setting["centres"]
    scores = link.scores(shape.task, shape.outputs)
    finding = 0.1 + 2e-10 * min(rows, 20 * 1024) * centres * shape.features
    passes = 2 if shape.task == "regression" else 60 * scores
    near = 3e-9 + 4e-11 * (shape.features + centres) + 6e-10 * passes
    work = finding + rows * centres * near + 1e-9 * centres**3
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=int(PROCESS_BYTES + rows * (12 * shape.features + 32 * centres) + 24 * centres**2),
        size_bytes=int(2000 + 8 * centres * (shape.features + scores)),
        flops_per_row=centres * (2.0 * shape.features + 2 * scores + 5),
    )


def build(shape: Shape, setting: Setting, seed: Seed) -> Kernel:
    """An untrained kernel machine."""
    return Kernel(shape, setting, seed)


@dataclass(frozen=True)
class Kernel:
    """A linear model on 1 / (1 + γ · squared distance) to centres: the rational quadratic kernel of power one."""

    shape: Shape
    setting: Setting
    seed: Seed

    def fit(self, rows: TrainRows) -> FittedKernel:
        """Fit on at most MOST_ROWS rows, evenly thinned."""
        from threadpoolctl import threadpool_limits

        chosen_N = thinned(len(rows.x_NF), MOST_ROWS)
        x_NF = rows.x_NF[chosen_N]
        weight_N = None if rows.weight_N is None else rows.weight_N[chosen_N]
        with threadpool_limits(1):
            scaling = Scaling.of(x_NF)
            z_NF = scaling.apply(x_NF)
            centre_MF = self.centres(z_NF)
            near_NM = closeness(z_NF, centre_MF, 1.0)
            gamma = 1 / max(self.setting["reach"] * float(np.mean(1 / near_NM - 1)), 1e-9)
            near_NM = closeness(z_NF, centre_MF, gamma)
            root_MM = inverse_root(closeness(centre_MF, centre_MF, gamma))
            feature_NM = near_NM @ root_MM
            slope_MS, start_S = fit(
                feature_NM, rows.y_N[chosen_N], weight_N, self.setting["penalty"], self.shape.task, self.shape.outputs
            )
        return FittedKernel(self.shape.task, scaling, centre_MF, gamma, root_MM @ slope_MS, start_S)

    def centres(self, z_NF: np.ndarray) -> np.ndarray:
        """float64 [M, F]: means of at least LEAST_MEMBERS rows each."""
        from sklearn.cluster import MiniBatchKMeans

        wanted = max(1, min(int(self.setting["centres"]), len(z_NF) // LEAST_MEMBERS))
        means = MiniBatchKMeans(
            wanted, init="random", batch_size=1024, max_iter=20, n_init=1, random_state=self.seed.integer
        ).fit(z_NF)
        counts_M = np.bincount(means.labels_, minlength=wanted)
        full_M = counts_M >= min(LEAST_MEMBERS, int(counts_M.max()))
        return np.asarray(means.cluster_centers_[full_M], np.float64)


def closeness(a_NF: np.ndarray, b_MF: np.ndarray, gamma: float) -> np.ndarray:
    """1 / (1 + γ · squared distance), [N, M]."""
    return np.asarray(1 / (1 + gamma * squares(a_NF, b_MF)))


def inverse_root(kernel_MM: np.ndarray, *, least: float = 1e-6) -> np.ndarray:
    """The inverse of the symmetric root, directions that hold next to nothing left out."""
    values_M, vectors_MM = np.linalg.eigh(kernel_MM)
    kept_M = values_M > least * values_M[-1]
    return np.asarray((vectors_MM[:, kept_M] / np.sqrt(values_M[kept_M])) @ vectors_MM[:, kept_M].T)


@dataclass(frozen=True)
class FittedKernel:
    """Centres and what closeness to each adds to the scores. Both sides calculate in float64."""

    task: str
    scaling: Scaling
    centre_MF: np.ndarray
    gamma: float
    slope_MS: np.ndarray
    start_S: np.ndarray

    def predict(self, x_NF: np.ndarray) -> np.ndarray:
        """float64 [N, outputs]."""
        near_NM = closeness(self.scaling.apply(x_NF), self.centre_MF, self.gamma)
        return link.predictions(near_NM @ self.slope_MS + self.start_S, self.task)

    def graph(self, graph: Graph, x: str) -> str:
        """Squared distances by one product, closeness, a second product, then the link."""
        away = draw_squares(graph, self.scaling.draw(graph, x), self.centre_MF)
        one = graph.constant(1.0, np.float64)
        grown = graph.add("Add", one, graph.add("Mul", away, graph.constant(self.gamma, np.float64)))
        near = graph.add("Div", one, grown)
        slopes, starts = graph.constant(self.slope_MS, np.float64), graph.constant(self.start_S, np.float64)
        return link.draw(graph, graph.cast(graph.add("Gemm", near, slopes, starts), "float"), self.task)
