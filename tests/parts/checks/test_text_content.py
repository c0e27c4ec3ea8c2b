import numpy as np
import polars as pl
import pytest

from forgeline.engine import prose
from forgeline.parts.checks import text_content
from forgeline.testing import view

DRAW = np.random.default_rng(8)
NOUNS = np.array(["".join(DRAW.choice(list("abcdefghiklmnoprstu"), DRAW.integers(4, 10))) for _ in range(400)])


def sentence(draw, end="."):
    words = draw.choice(NOUNS, draw.integers(4, 24)).tolist()
    return " ".join([*words, "the", str(draw.choice(NOUNS[:60]))]).capitalize() + end


def texts(rows=1_000, seed=1, end="."):
    draw = np.random.default_rng(seed)
    return [sentence(draw, end) for _ in range(rows)]


def found(values, name="comment"):
    table, target = view(pl.DataFrame({name: values}))
    return list(text_content.check(table, target)), table.keep_rows.kept


def cut(values, places):
    values = list(values)
    for row, length in places.items():
        values[row] = values[row][:length]
    return values


def test_whole_texts_are_left_alone():
    assert found(texts())[0] == []
    assert found(texts(end=""))[0] == []
    forms = [f"Your code is {at:06d} and is valid for ten minutes from now on" for at in range(1_000)]
    assert found([*forms, *texts(300)])[0] == []


def test_texts_that_say_nothing():
    values = texts()
    values[10:20] = ["-", "...", "--", ".", "??", "- -", "()", "_", "/", "***"]
    values[30:33] = ["👍", ":-)", ":) <3"]
    (one,), (kept,) = found(values)
    assert (one.code, one.severity, one.columns) == ("text.empty", "warn", ["comment"])
    assert kept[0].tolist() == list(range(10, 20))
    assert one.fix.do == "missing"
    assert "..." in one.fix.markers


def test_one_empty_text_is_a_note():
    (one,), _ = found([*texts(), "--"])
    assert one.severity == "note"


def test_signs_alone_are_levels_of_a_short_column():
    assert found(["+", "-", "--", "++"] * 100)[0] == []


GARBLED = [
    "CafÃ© au lait",
    "itâ€™s late",
    "SÃ£o Paulo",
    "lost \ufffd sign",
    "salt &amp; pepper",
    "that\x92s it",
    "ÐŸÑ€Ð¸Ð²ÐµÑ‚",
    "æ—¥æœ¬èªž",
    "10Â°",
]
CLEAN = [
    "Café",
    "NÃO",
    "PÂTÉ…",
    "it’s",
    "“CAFÉ”",
    "R&D",
    "AT&T; more",
    "Ærø",
    "Привет",
    "日本語",
    "Ελλάδα",
    "10°",
    "x & y;",
]


@pytest.mark.parametrize("text", GARBLED)
def test_wrong_encodings(text):
    (one,), (kept,) = found(["plain", "other", text, text, text], name="count")
    assert (one.code, one.severity, one.columns) == ("text.encoding", "warn", ["count"])
    assert kept[0].tolist() == [2, 3, 4]


def test_clean_letters_of_many_scripts():
    assert found(CLEAN)[0] == []


def test_a_few_garbled_texts_are_mended():
    (one,), _ = found(GARBLED)
    assert one.fix.do == "map"
    assert one.fix.values == {
        "CafÃ© au lait": "Café au lait",
        "itâ€™s late": "it’s late",
        "SÃ£o Paulo": "São Paulo",
        "salt &amp; pepper": "salt & pepper",
        "that\x92s it": "that’s it",
        "ÐŸÑ€Ð¸Ð²ÐµÑ‚": "Привет",
        "æ—¥æœ¬èªž": "日本語",
        "10Â°": "10°",
    }
    many = [f"{at} Ã©" for at in range(300)]
    assert found(many)[0][0].fix is None


@pytest.mark.parametrize("end", [".", ""])
@pytest.mark.parametrize("dots", ["", "..."])
def test_a_field_of_fixed_length(end, dots):
    whole = texts(2_000, end=end)
    length = int(np.quantile([len(text) for text in whole], 0.95))
    bad = {row for row, text in enumerate(whole) if len(text) > length}
    values = [text[: length - len(dots)] + dots if row in bad else text for row, text in enumerate(whole)]
    (one,), (kept,) = found(values)
    rows = set(kept[0].tolist())
    assert (one.code, one.severity, one.fix) == ("text.truncated", "warn", None)
    assert one.numbers["characters"] == length
    assert len(rows & bad) >= 0.95 * len(bad)
    assert len(rows & bad) >= 0.9 * len(rows)


def test_texts_cut_anywhere_where_all_others_have_an_end():
    whole = texts(2_000)
    places = {
        int(row): int(len(whole[row]) * share) for row, share in zip(range(0, 2_000, 20), DRAW.uniform(0.2, 0.8, 100))
    }
    (one,), (kept,) = found(cut(whole, places))
    assert one.code == "text.truncated"
    assert kept[0].tolist() == list(places)


def test_texts_without_an_end_that_are_whole():
    values = texts(2_000)
    for row in range(0, 2_000, 20):
        values[row] = values[row].rstrip(".")
    assert found(values)[0] == []


def test_tables_without_texts_cost_nothing(monkeypatch):
    monkeypatch.setattr(prose, "WORD", None)
    monkeypatch.setattr(prose, "endings", None)
    codes = [f"code of several words {at % 40}" for at in range(1_000)]
    table, target = view(pl.DataFrame({"code": codes, "number": range(1_000), "two": ["a", "b"] * 500}), target="two")
    assert list(text_content.check(table, target)) == []
