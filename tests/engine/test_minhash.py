from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from forgeline.engine import minhash
from forgeline.engine.seeds import Seed


def sets(texts, width=5):
    return [{text[at : at + width] for at in range(max(1, len(text) - width + 1))} for text in texts]


def test_shingles_are_equal_exactly_where_the_signs_are():
    texts = ["abcdefg", "xabcdef", "ab", "ab\n", "größer", ""]
    hash_G, start_T = minhash.shingles(texts)
    found = [set(hash_G[start:end].tolist()) for start, end in pairwise(start_T)]
    assert [len(one) for one in found] == [3, 3, 1, 1, 2, 1]
    assert len(found[0] & found[1]) == 2  # abcde and bcdef
    assert not found[2] & found[3]


def test_overlap_by_hand():
    texts = ["abcdefgh", "abcdefgX", "12345678"]  # four shingles each; the first two share three of five
    hash_G, start_T = minhash.shingles(texts)
    assert minhash.jaccard(hash_G, start_T, np.array([[0, 1], [0, 2]])) == pytest.approx([3 / 5, 0])


def test_signatures_agree_as_often_as_sets_overlap():
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("abcdefghij"), 6)) for _ in range(300)]
    one, other = " ".join(words[:200]), " ".join(words[50:250])
    left, right = sets([one, other])
    least_TK = minhash.signatures(*minhash.shingles([one, other]), hashes=2_000, seed=Seed(1))
    truth = len(left & right) / len(left | right)
    assert (least_TK[0] == least_TK[1]).mean() == pytest.approx(truth, abs=0.04)


def test_near_finds_what_all_pairs_would():
    draw = np.random.default_rng(2)
    words = ["".join(draw.choice(list("abcdefghijklmnop"), 5)) for _ in range(400)]
    texts = [" ".join(draw.choice(words, 12)) for _ in range(300)]
    texts += [text[:30] + text[36:] for text in texts[:40]]
    known = sets(texts)
    truth = {
        (one, other)
        for one in range(len(texts))
        for other in range(one + 1, len(texts))
        if len(known[one] & known[other]) >= 0.7 * len(known[one] | known[other])
    }
    pairs, overlap = minhash.near(texts, least=0.7, seed=Seed(0))
    assert truth == {tuple(pair) for pair in pairs.tolist()}
    assert len(truth) >= 30
    assert overlap.min() >= 0.7


def test_crowds_of_equal_texts_are_paired_without_all_their_pairs():
    pairs, overlap = minhash.near(["the same old story"] * 500 + ["another one of them"], least=0.8, seed=Seed(0))
    assert set(pairs[:, 1].tolist()) == set(range(1, 500))
    assert len(pairs) < 5_000
    assert (overlap == 1).all()


def test_few_texts():
    for texts in ([], ["one"], ["one", "other"]):
        assert len(minhash.near(texts, least=0.8, seed=Seed(0))[0]) == 0


def test_folding():
    assert minhash.folded(pl.Series(["  Café,  AU lait! ", "é—b", "..."])) == ["café au lait", "é b", ""]
