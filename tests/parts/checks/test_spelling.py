import numpy as np
import polars as pl
import pytest

from forgeline import testing
from forgeline.parts.checks import spelling
from forgeline.testing import view


def found_in(levels: dict[str, int]) -> dict[str, str]:
    """What is joined in a column with so many rows of each level."""
    values = [level for level, rows in levels.items() for _ in range(rows)]
    found = list(spelling.check(*view(pl.DataFrame({"level": values}))))
    return found[0].fix.values if found else {}


@pytest.mark.parametrize(
    ("variant", "right"),
    [
        ("PRIVATE", "Private"),
        ("private", "Private"),
        ("self emp", "Self-emp"),
        ("Self  Emp", "Self-emp"),
        ("Málaga", "Malaga"),
        ("Prviate", "Private"),
        ("Privaate", "Private"),
        ("Privte", "Private"),
        ("Mlaaga", "Malaga"),
    ],
)
def test_variants_are_joined_to_the_commonest(variant, right):
    assert found_in({"Private": 400, "Self-emp": 300, "Malaga": 200, variant: 7}) == {variant: right}


def test_rows_of_all_variants_are_named():
    values = ["yes"] * 60 + ["no"] * 60
    for row, variant in ((3, "Yes"), (70, "NO"), (90, "No")):
        values[row] = variant
    table, _ = view(pl.DataFrame({"a": values, "b": ["x", "y"] * 60}))
    (found,) = spelling.check(table, None)
    assert (found.code, found.columns, found.rows.count) == ("quality.spelling", ["a"], 3)
    assert table.keep_rows.kept[-1][0].tolist() == [3, 70, 90]
    assert found.fix.values == {"Yes": "yes", "NO": "no", "No": "no"}


def typo(word: str, made: np.random.Generator) -> str:
    """One letter left out, doubled, changed, or swapped with the next."""
    at = int(made.integers(1, len(word) - 1))
    letter = "abcdefghijklmnopqrstuvwxyz"[made.integers(26)]
    edits = (word[:at], word[:at] + word[at], word[:at] + letter, word[:at] + word[at + 1 : at + 2] + word[at])
    rest = (word[at + 1 :], word[at:], word[at + 1 :], word[at + 2 :])
    kind = made.integers(4)
    return edits[kind] + rest[kind]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_many_different_errors_are_all_found(share):
    made = np.random.default_rng(3)
    right = ["Husband", "Own-child", "Unmarried", "Not-in-family", "Female", "Private"]
    values = [right[at] for at in made.integers(0, len(right), 4000)]
    dirty = made.choice(4000, int(share * 4000), replace=False).tolist()
    for row in dirty:
        values[row] = typo(values[row], made)
    dirty = {row for row in dirty if values[row] not in right}
    table, _ = view(pl.DataFrame({"level": values}))
    assert list(spelling.check(table, None))
    rows = set(table.keep_rows.kept[-1][0].tolist())
    assert rows <= dirty
    assert len(rows) >= 0.95 * len(dirty)


@pytest.mark.parametrize(
    "levels",
    [
        {"11th": 500, "12th": 20, "10th": 3},
        {"Male": 500, "Female": 500},
        {"Bachelors": 500, "Masters": 20},
        {"C1": 500, "C2": 10, "c3": 5},
        {"class a": 500, "class b": 40, "class c": 12, "class d": 3, "class e": 1},
        {"type II": 500, "type III": 20, "type I": 30},
        {"symptomatic": 500, "asymptomatic": 9, "typical": 300, "atypical": 4},
        {"INLAND": 5000, "ISLAND": 5, "NEAR BAY": 900},
        {"<=50K": 900, ">50K": 20},
        {"A": 500, "A-": 20, "A+": 5},
        {"light": 500, "night": 5, "day": 40},
        {"yes": 500, "yep": 5},
        {"a": 50, "A": 40, "b": 50, "B": 45},
        {"North region": 500, "South region": 9},
    ],
)
def test_honest_levels_stay(levels):
    assert found_in(levels) == {}


def test_names_that_are_close_by_nature_stay():
    names = ["Hampton", "Campton", "Compton", "Milton", "Hilton", "Wilton", "Halton", "Walton", "Dalton", "Malton"]
    levels = {name: 100 + 10 * at for at, name in enumerate(names)} | {"Hamton": 2, "Wiltin": 1, "Salton": 3}
    assert found_in(levels) == {}


def test_prose_and_identifiers_are_not_looked_at():
    made = np.random.default_rng(4)
    prose = [" ".join(made.choice(["red", "green", "blue", "Red"], 12)) for _ in range(200)]
    assert not list(spelling.check(*view(pl.DataFrame({"prose": prose}))))


def test_it_keeps_the_contract():
    testing.check_check(spelling)


def test_personal_levels_are_not_joined():
    levels = ["bob.miller@x.org"] * 300 + ["bob.miler@x.org"] * 3 + ["Bob.Miller@x.org"] * 4
    (found,) = spelling.check(*view(pl.DataFrame({"a": levels + ["Leeds"] * 200 + ["leeds"] * 3})))
    assert found.fix.values == {"leeds": "Leeds"}
    assert "@" not in f"{found}"
