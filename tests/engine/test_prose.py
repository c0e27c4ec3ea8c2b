import numpy as np
import polars as pl
import pytest

from forgeline.engine import prose
from forgeline.engine.cells import Cells

DRAW = np.random.default_rng(3)
NOUNS = np.array(["".join(DRAW.choice(list("abcdefghiklmnoprstu"), DRAW.integers(4, 10))) for _ in range(300)])


def sentence(draw, end="."):
    words = draw.choice(NOUNS, draw.integers(4, 14)).tolist()
    return " ".join([*words, "the", str(draw.choice(NOUNS[:60]))]).capitalize() + end


def free(values):
    return prose.is_free(Cells(pl.DataFrame({"text": values})).levels("text"))


def test_free_text():
    assert free([sentence(DRAW) for _ in range(200)])
    assert free(["这是一个关于数据质量的句子" + chr(0x4E00 + at) for at in range(200)])


@pytest.mark.parametrize(
    "values",
    [
        [f"{at} {at + 1} {at + 2} {at + 3} {at + 4}" for at in range(200)],
        [f"Street {at}" for at in range(200)],
        [f"an honest level that is long {at % 40}" for at in range(200)],
        [f"a code book with many levels {at % 60}" for at in range(3_000)],
        [sentence(DRAW) for _ in range(20)],
        list(range(200)),
    ],
)
def test_no_free_text(values):
    assert not free(values)


def test_endings_of_cut_texts_are_told_from_whole_ones():
    draw = np.random.default_rng(1)
    learnt = prose.endings([sentence(draw) for _ in range(500)])
    whole, others = [sentence(draw) for _ in range(100)], [sentence(draw) for _ in range(100)]
    assert np.median(learnt.ratio(whole)) < 0.1
    assert np.median(learnt.ratio([text[: len(text) // 2] for text in others])) > 10


def test_evenly():
    assert prose.evenly(0, 5).tolist() == []
    assert prose.evenly(3, 5).tolist() == [0, 1, 2]
    assert prose.evenly(9, 3).tolist() == [0, 4, 8]
