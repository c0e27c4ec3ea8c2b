"""Bags of words beside scikit-learn, and their nodes beside themselves."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from forgeline.engine import bag
from forgeline.engine.arrays import MISSING
from forgeline.engine.bag import Bag
from forgeline.engine.graph import Graph
from forgeline.models import open_session

TEXTS = ["The cat sat", "the cat ran, the dog", "a dog sat", "Größe zählt", "the cat sat again", ""]


def test_values_are_those_of_scikit_learn_where_no_word_comes_twice():
    """Its squares are of counts times rarity; ours count a word as often as it stands, which is the same for one."""
    texts = [text for text in TEXTS if text.count("the") < 2]
    found = bag.fit(texts, 1_000, least_texts=1)
    theirs = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"[^\W_]+").fit(texts)
    assert sorted(found.grams) == sorted(theirs.vocabulary_)
    order = [theirs.vocabulary_[gram] for gram in found.grams]
    assert np.allclose(found.counts(texts).toarray(), theirs.transform(texts).toarray()[:, order])


def test_a_hand_worked_text():
    """cat cat dog: values 2·2 and 3 over the root of 4 + 4 + 9."""
    found = Bag(["cat", "dog"], np.array([2.0, 3.0]))
    assert np.allclose(found.counts(["cat cat dog"]).toarray(), np.array([[4.0, 3.0]]) / np.sqrt(17))


def test_rare_words_are_left_out_and_the_commonest_kept():
    found = bag.fit(TEXTS, 3)
    assert found.grams == ["cat", "sat", "the"]
    assert "dog" in bag.fit(TEXTS, 100).grams
    assert "again" not in bag.fit(TEXTS, 100).grams


@pytest.mark.parametrize("most", [100, 3])
def test_the_nodes_say_what_the_bag_says_whatever_the_batch(most):
    found = bag.fit(TEXTS, most, least_texts=1)
    slope_GS = np.random.default_rng(0).normal(size=(found.size, 3))
    known = found.weighed(slope_GS)
    graph = Graph()
    graph.output(known.draw(graph, graph.input("text", "string", 1)), "y", "float", 3)
    session = open_session(graph.model())
    asked = [*TEXTS, "never seen words", MISSING, "cat dog cat " * 40]
    cells = np.array(asked, dtype=object)[:, None]
    whole = session.run(None, {"text": cells})[0]
    ours = known.scores(asked)
    assert np.abs(whole - ours).max() < 1e-6
    assert np.abs(found.counts(asked) @ slope_GS - ours).max() < 1e-3
    for batch in (1, 2, 5):
        parts = [session.run(None, {"text": cells[at : at + batch]})[0] for at in range(0, len(cells), batch)]
        assert np.array_equal(np.concatenate(parts), whole)


def test_texts_without_any_word():
    found = bag.fit(["", "!!"], 10)
    assert found.grams == []
    assert found.counts(["", "a"]).shape == (2, 0)
