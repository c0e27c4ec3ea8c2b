import numpy as np
import pytest

from forgeline.engine import vocabulary
from forgeline.engine.arrays import MISSING
from forgeline.engine.graph import Graph
from forgeline.models import open_session

TEXTS = ["one two two", "two three", "two one", "four"]


def test_the_commonest_words_have_places():
    known = vocabulary.fit(TEXTS, 10, 16)
    assert known.words == ["two", "one"]
    assert known.tokens(["one two five", "", "Two!"]).tolist() == [[2, 4, 3, 1], [2, 0, 0, 0], [2, 3, 0, 0]]


def test_long_texts_are_cut():
    assert vocabulary.fit(TEXTS, 10, 3).tokens(["one one one one"]).tolist() == [[2, 4, 4]]


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_the_nodes_say_the_same_whatever_the_batch(batch):
    known = vocabulary.fit(TEXTS, 10, 4)
    graph = Graph()
    graph.output(known.draw(graph, graph.input("text", "string", 1)), "y", "int64", known.most)
    session = open_session(graph.model())
    asked = [*TEXTS, MISSING, "one " * 30, "", "nine"]
    cells = np.array(asked, dtype=object)[:, None]
    parts = [session.run(None, {"text": cells[at : at + batch]})[0] for at in range(0, len(cells), batch)]
    assert np.array_equal(np.concatenate(parts), known.tokens(asked))
