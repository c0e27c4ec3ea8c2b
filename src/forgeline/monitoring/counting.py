"""Reads new rows as the model reads them, and counts them in the bins of reference.json on the way."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from forgeline.engine.sketches import Sketch, count
from forgeline.monitoring.drift import Drift, compare
from forgeline.serving import files
from forgeline.serving.reader import Cells, Pictures, Reader, Tally, content, convert

UNSEEN = -1
"""Stands for a label that training never saw."""
DTYPES = {bool: "bool", int: "int64", float: "float64", str: "text"}
"""Type of the classes → how the token rule reads labels."""


class CountingReader(Reader):
    """A release's reader that remembers, of all rows it predicts, the counts, the answers and the truth.

    Truth and answers are kept of blocks that have a target column; everything else is counted and forgotten.
    """

    def __init__(self, release: Path) -> None:
        super().__init__(release)
        self.reference: dict[str, Any] = json.loads(content(release / "reference.json"))
        self.inputs_new: dict[str, Sketch] = {}
        self.predictions_new: dict[str, Sketch] = {}
        self.tally, self.rows = Tally(), 0
        self.truth = [np.empty(0)]
        self.answers = [np.empty((0, max(len(self.classes), 1)))]

    def count_files(self, data: Path) -> None:
        """Predict and count every row of a file or folder. Errors: BadRows."""
        target = self.signature["target"]
        for block in files.blocks(data, keep=[target]):
            asked = {name: cells for name, cells in block.items() if name != target}
            found = self.predict(asked, files.home(data))
            scores = found.values if found.probabilities is None else found.probabilities
            answers_NK = np.asarray(scores, dtype=np.float64).reshape(-1, self.answers[0].shape[1])
            self.tally.update(found.tally)
            self.rows += len(answers_NK)
            self.count_answers(answers_NK)
            if target in block:
                self.truth.append(self.read_target(block[target]))
                self.answers.append(answers_NK)

    def feed(self, ask: Mapping[str, Any], cells: Cells, tally: Tally, base: Path | None) -> np.ndarray | Pictures:
        """One input of the model, [N, 1], counted as it passes; pictures are not counted."""
        values_N1 = super().feed(ask, cells, tally, base)
        name = ask["name"]
        if isinstance(values_N1, Pictures):
            return values_N1
        counted = count(self.reference["columns"][name], values_N1[:, 0])
        self.inputs_new[name] = add(self.inputs_new.get(name), counted)
        return values_N1

    def count_answers(self, answers_NK: np.ndarray) -> None:
        """Count what the model answers, by the name `predict` gives it."""
        names = self.columns[1:] if self.classes else self.columns
        for name, bins in self.reference["predictions"].items():
            counted = count(bins, answers_NK[:, names.index(name)])
            self.predictions_new[name] = add(self.predictions_new.get(name), counted)

    def read_target(self, cells: Cells) -> np.ndarray:
        """float64: class index or value of each row; NaN where it is missing, UNSEEN for a new label."""
        missing = frozenset(self.signature["missing"])
        if not self.classes:
            values_N, _ = convert(cells, "number", "float64", missing, math.nan)
            return np.where(np.isfinite(values_N), values_N, math.nan)
        dtype = DTYPES[type(self.classes[0])]
        names, _ = convert(self.classes, "category", dtype, frozenset(), "")
        labels, _ = convert(cells, "category", dtype, missing, "")
        places = {"": math.nan} | {name: place for place, name in enumerate(names)}
        return np.array([places.get(label, UNSEEN) for label in labels], dtype=np.float64)

    def labelled(self) -> tuple[np.ndarray, np.ndarray]:
        """Truth [n] and answers [n, K] of the rows whose target is given and known."""
        truth_N, answers_NK = np.concatenate(self.truth), np.concatenate(self.answers)
        known_N = truth_N >= 0 if self.classes else np.isfinite(truth_N)
        return truth_N[known_N], answers_NK[known_N]

    def compared(self) -> list[Drift]:
        """The test of each input, of each prediction, and of the target where it is given."""
        inputs, predictions = self.reference["columns"], self.reference["predictions"]
        tests = [compare(name, "input", inputs[name], self.inputs_new[name]) for name in self.inputs_new]
        tests += [compare(name, "prediction", predictions[name], self.predictions_new[name]) for name in predictions]
        truth_N = np.concatenate(self.truth)
        truth_N, bins = truth_N[np.isfinite(truth_N)], self.reference["target"]
        if len(truth_N) == 0 or bins is None:
            return tests
        return [*tests, compare(self.signature["target"], "target", bins, self.count_target(bins, truth_N))]

    def count_target(self, bins: Sketch, truth_N: np.ndarray) -> Sketch:
        """The targets that are given, counted."""
        if not self.classes:
            return count(bins, truth_N)
        counts = np.bincount(truth_N.astype(np.int64) - UNSEEN, minlength=len(self.classes) + 1).tolist()
        return {"counts": counts[1:], "other": counts[0], "missing": 0}


def add(counted: Sketch | None, more: Sketch) -> Sketch:
    """The counts of two blocks of rows together."""
    if counted is None:
        return more
    sums = {key: counted[key] + more[key] for key in more if key != "counts"}
    return {"counts": [a + b for a, b in zip(counted["counts"], more["counts"], strict=True)], **sums}
