"""Provenance of arrays: whose rows of the table one holds, and through which fitted steps they went."""

import weakref
from typing import Any

import numpy as np

from forgeline.engine.fingerprint import (
    UNKNOWN,
    Known,
    View,
    as_view,
    cells,
    count,
    matched,
    mixed,
    sample,
    unique_index,
)


class Provenance:
    """Every array met while a workflow runs, and whose rows it holds.

    Arrays are known by identity, else by a pandas index, by a hash of their content, or by the target beside them.
    """

    def __init__(self, x: Any, y: Any) -> None:
        self.rows = count(x)
        self.names = [str(name) for name in getattr(x, "columns", [])]
        self.index = unique_index(x)
        self.cell_ND = cells(x)
        self.known: dict[int, tuple[Any, Known]] = {}
        self.views: list[View] = []
        self.prepared: list[tuple[np.ndarray, frozenset[int]]] = []
        """Row ids and steps of every array that a fitted step put out."""
        self.chose: set[int] = set()
        """Entries of the steps, called by the user's code, that chose columns by the target."""
        ids_N = np.arange(self.rows)
        self.keep(x, Known(ids_N), view=True)
        if y is not None:
            self.keep(y, Known(ids_N))

    def keep(self, array: Any, known: Known, view: bool = False) -> None:
        """Remember whose rows an array holds."""
        known.sample = sample(array)
        try:
            self.known[id(array)] = weakref.ref(array), known
        except TypeError:
            self.known[id(array)] = (lambda: array), known
        cell_ND = cells(array) if view else None
        if cell_ND is not None and len(cell_ND) == len(known.ids_N):
            self.views.append(as_view(cell_ND, known))

    def rows_of(self, x: Any, y: Any = None) -> Known:
        """Whose rows an array holds, as well as can be told."""
        found = self.same(x)
        if found is None:
            found = self.by_index(x) or self.by_content(x) or self.beside(x, y) or self.by_length(x)
            self.keep(x, found)
        return found

    def same(self, array: Any) -> Known | None:
        """An array met before; one that was changed in place went through the steps that put out its rows."""
        ref, found = self.known.get(id(array), (None, None))
        if found is None or ref is None or ref() is not array or count(array) != len(found.ids_N):
            return None
        if sample(array) != found.sample:
            found = Known(found.ids_N, found.uses | self.steps_of(found.ids_N))
            self.keep(array, found, view=True)
        return found

    def by_index(self, x: Any) -> Known | None:
        """A pandas frame by its index, unless the index may have been made anew."""
        index = getattr(x, "index", None)
        if self.index is None or index is None or not hasattr(index, "get_indexer"):
            return None
        at_N = np.asarray(self.index.get_indexer(index))
        fresh = len(at_N) < self.rows and np.array_equal(at_N, np.arange(len(at_N)))
        if fresh or not len(at_N) or (at_N < 0).any():
            return None
        return Known(at_N, self.steps(x, at_N))

    def steps(self, x: Any, ids_N: np.ndarray) -> frozenset[int]:
        """The steps that content of known rows went through: none if it is the table's."""
        found = self.by_content(x)
        return found.uses if found else self.steps_of(ids_N)

    def by_content(self, x: Any, least: float = 0.95) -> Known | None:
        """An array whose rows are those of one met before, or of some columns of the table."""
        cell_ND = cells(x)
        if cell_ND is None or not len(cell_ND):
            return None
        hash_N = mixed(cell_ND, np.arange(cell_ND.shape[1]))
        for view in reversed(self.views):
            if view.width == cell_ND.shape[1]:
                ids_N, met_N = view.find(hash_N)
                if met_N.mean() >= least:
                    return Known(ids_N, view.uses)
        return self.by_columns(x, cell_ND, least)

    def by_columns(self, x: Any, cell_ND: np.ndarray, least: float) -> Known | None:
        """Some columns of the table: steps that chose columns may have chosen these."""
        if self.cell_ND is None or cell_ND.shape[1] > self.cell_ND.shape[1]:
            return None
        chose = frozenset(self.chose)
        if len(cell_ND) == self.rows and {one.tobytes() for one in cell_ND.T} <= {
            one.tobytes() for one in self.cell_ND.T
        }:
            return Known(np.arange(self.rows), chose)
        own, theirs = matched(cell_ND, self.cell_ND, [str(name) for name in getattr(x, "columns", [])], self.names)
        if not own:
            return None
        view = as_view(self.cell_ND[:, theirs], Known(np.arange(self.rows)), theirs)
        ids_N, met_N = view.find(mixed(cell_ND[:, own], theirs))
        if met_N.mean() < least:
            return None
        return Known(ids_N, chose)

    def beside(self, x: Any, y: Any) -> Known | None:
        """Rows by the target given with them."""
        found = self.same(y) if y is not None else None
        if found is None and y is not None:
            found = self.by_index(y)
        if found is None or len(found.ids_N) != count(x):
            return None
        return Known(found.ids_N, self.steps_of(found.ids_N))

    def by_length(self, x: Any) -> Known:
        """As many rows as the table has are taken for its rows; any others are unknown."""
        rows = count(x)
        if rows != self.rows:
            return Known(np.full(rows, UNKNOWN))
        ids_N = np.arange(rows)
        return Known(ids_N, self.steps_of(ids_N))

    def steps_of(self, ids_N: np.ndarray, least: float = 0.9) -> frozenset[int]:
        """The steps that put out just these rows: an array made of their answers went through all of them."""
        found: frozenset[int] = frozenset()
        for other_N, uses in self.prepared:
            if len(other_N) == len(ids_N):
                both = (other_N >= 0) & (ids_N >= 0)
                if both.any() and (other_N[both] == ids_N[both]).mean() >= least:
                    found |= uses
        return found
