import numpy as np
import polars as pl
import pytest

from forgeline.engine import minhash
from forgeline.parts.checks import text_near_duplicate
from forgeline.testing import view

DRAW = np.random.default_rng(5)
NOUNS = np.array(["".join(DRAW.choice(list("abcdefghiklmnoprstu"), DRAW.integers(3, 10))) for _ in range(900)])


def texts(rows=600, seed=1):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(NOUNS, draw.integers(8, 24))) for _ in range(rows)]


def found(values, **options):
    table, target = view(pl.DataFrame({"text": values}))
    return list(text_near_duplicate.check(table, target, **options)), table.keep_rows.kept


def without_a_word(text):
    words = text.split()
    return " ".join(words[:4] + words[5:])


def with_a_word_doubled(text):
    words = text.split()
    return " ".join(words[:4] + words[3:])


@pytest.mark.parametrize(
    "edit", [without_a_word, with_a_word_doubled, str.upper, lambda text: f"{text.replace(' ', '  ')} !"]
)
def test_texts_that_almost_repeat_another(edit):
    values = texts()
    for row in range(500, 530):
        values[row] = edit(values[row - 400])
    values[40] = edit(values[300])
    values[560] = values[505]
    (one,), (kept,) = found(values)
    assert (one.code, one.severity, one.columns) == ("text.near_duplicate", "warn", ["text"])
    assert kept[0].tolist() == [300, *range(500, 530), 560]
    assert kept[1].min() >= 0.5
    assert one.rows.count == 32


def test_texts_of_their_own_and_exact_copies():
    values = texts()
    assert found(values)[0] == []
    values[100:200] = values[:100]
    assert found(values)[0] == []


def test_forms_filled_again_and_again_are_no_defect():
    assert found([f"The parcel number {at * 7919} was handed over at the door today" for at in range(400)])[0] == []


def test_short_texts_do_not_count():
    values = texts()
    values[10:14] = ["yes it was good", "yes it was good!", "Yes it was good", "yes, it was good"]
    assert found(values)[0] == []


def test_long_columns_are_compared_by_a_sample():
    values = texts()
    values[300:600] = [text + " again" for text in values[:300]]
    (whole,), _ = found(values, most_share=0.6)
    (some,), _ = found(values, most_characters=sum(map(len, values)) * 9 // 10)
    assert whole.numbers["compared"] == 600
    assert 539 <= some.numbers["compared"] <= 540


def test_tables_without_texts_cost_nothing(monkeypatch):
    monkeypatch.setattr(minhash, "near", None)
    codes = [f"code of several words {at % 40}" for at in range(1_000)]
    table, target = view(pl.DataFrame({"code": codes, "number": range(1_000)}))
    assert list(text_near_duplicate.check(table, target)) == []
