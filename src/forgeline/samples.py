"""Rows to look at: what a model says of some texts and pictures, and where it is most wrong.

Rests on records and the workspace. Shapes: N rows, K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forgeline import records
from forgeline.engine import album, encode, identities
from forgeline.records import Ref, Sample, Samples

if TYPE_CHECKING:
    import polars as pl

    from forgeline.engine.seeds import Seed
    from forgeline.workspace import Workspace

MOST = 12
"""Rows of each kind."""
LETTERS = 240
"""Of a text that is shown."""


@dataclass(frozen=True)
class Asked:
    """Rows that a model was asked about, and what it said."""

    name: str
    """`cv` or `test`."""
    frame: pl.DataFrame
    rows_N: np.ndarray
    """Their numbers in the snapshot, or in the test file."""
    y_N: np.ndarray
    p_NK: np.ndarray
    answer_N: np.ndarray
    """Class index of each; the value itself for values."""


def look(
    asked: Asked,
    snapshot: records.Snapshot,
    assessment: records.Assessment,
    refinement: records.Refinement,
    seed: Seed,
    work: Workspace,
) -> list[Samples]:
    """The worst errors, and rows drawn by lot; nothing where the model reads neither texts nor pictures."""
    facts = refinement.facts
    recipe = encode.decode(work.get(facts.recipes[-1]))
    private = records.personal_columns(assessment.findings)
    texts = [piece.column for piece in recipe.words if piece.column not in private]
    pictures = [each for each in facts.inputs if each.kind == "image"]
    if not (texts or pictures) or not len(asked.y_N):
        return []
    worst_N = worst(asked)[:MOST]
    lot_N = np.sort(seed.child("lot").generator().permutation(len(asked.y_N))[:MOST])
    homes = [digest for digest in (snapshot.facts.test_digest, snapshot.facts.digest) if digest]
    shown = Shown(asked, [str(label) for label in facts.classes], texts, pictures, homes, work)
    found = [
        Samples(title=f"Worst errors ({asked.name})", samples=[shown.sample(row) for row in worst_N.tolist()]),
        Samples(title=f"Drawn by lot ({asked.name})", samples=[shown.sample(row) for row in lot_N.tolist()]),
    ]
    return [each for each in found if each.samples]


def worst(asked: Asked) -> np.ndarray:
    """Places of the rows that are answered wrong, those whose truth was least expected first; of values the furthest
    off."""
    if asked.p_NK.shape[1] == 1:
        return np.argsort(-np.abs(asked.p_NK[:, 0] - asked.y_N), kind="stable")
    wrong_N = np.flatnonzero(asked.answer_N != asked.y_N)
    return np.asarray(wrong_N[np.argsort(asked.p_NK[wrong_N, asked.y_N[wrong_N]], kind="stable")])


@dataclass(frozen=True)
class Shown:
    """How rows are shown."""

    asked: Asked
    classes: Sequence[str]
    texts: Sequence[str]
    pictures: Sequence[records.Input]
    homes: Sequence[str]
    """Snapshots that hold the pictures."""
    work: Workspace

    def sample(self, row: int) -> Sample:
        """A row."""
        asked = self.asked
        truth, said, sure = f"{asked.y_N[row]:.6g}", f"{asked.p_NK[row, 0]:.6g}", None
        if self.classes:
            answer = int(asked.answer_N[row])
            truth, said, sure = self.classes[int(asked.y_N[row])], self.classes[answer], float(asked.p_NK[row, answer])
        cells = {name: asked.frame[name][row] for name in self.texts}
        seen = [self.picture(asked.frame[each.name][row], each) for each in self.pictures]
        return Sample(
            row=int(asked.rows_N[row]),
            truth=truth,
            said=said,
            sure=sure,
            texts={name: plain(cell, name) for name, cell in cells.items()},
            pictures=[each for each in seen if each],
        )

    def picture(self, cell: bytes | None, ask: records.Input) -> Ref | None:
        """A picture as the model sees it, as a PNG file of the run."""
        from forgeline.serving.reader import picture

        if cell is None:
            return None
        found = [album.load(self.work.snapshots / home / album.FILE, [cell.decode()]) for home in self.homes]
        content = next((each[cell.decode()] for each in found if each), b"")
        size = dict(zip(("height", "width", "channels"), ask.shape))
        pixels = picture(content, size, None)
        return None if pixels is None else self.work.put(album.png(pixels), "picture.png")


def plain(cell: str | None, name: str) -> str:
    """A text as it is shown: its beginning, or what it is where it is personal."""
    text = "" if cell is None else str(cell)
    kind = identities.personal(text, name)
    return f"({kind})" if kind else text if len(text) <= LETTERS else f"{text[:LETTERS]}…"
