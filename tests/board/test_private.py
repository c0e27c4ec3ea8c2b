from types import SimpleNamespace

from forgeline.board import private
from forgeline.board.text import record_lines
from forgeline.records import Finding, Fix, personal_columns

SECRET = "ada@example.org"
FOUND = [
    Finding(code="privacy.identifier", severity="warn", says="mail holds e-mail addresses", columns=["mail"]),
    Finding(
        code="quality.spelling",
        severity="warn",
        says=f"mail writes {SECRET!r} also as 'ADA'",
        columns=["mail"],
        fix=Fix(do="map", columns=["mail"], values={SECRET: "ADA"}),
    ),
    Finding(code="quality.missing", severity="note", says="mail is missing in 3 rows", columns=["mail"]),
    Finding(code="quality.spelling", severity="note", says="city writes 'a' also as 'A'", columns=["city"]),
]


def test_a_sentence_that_quotes_a_personal_cell_is_withheld_and_others_are_not():
    kept = [private.finding(each, {"mail"}) for each in FOUND]
    assert [after == before for before, after in zip(FOUND, kept)] == [True, False, True, True]
    assert SECRET not in str(kept)
    assert kept[1].columns == ["mail"]


def test_a_record_of_another_stage_is_left_alone():
    record = SimpleNamespace(findings=FOUND)
    assert private.withheld(record) is record


def test_the_terminal_shows_none(assessed):
    assert SECRET in str(assessed(FOUND))
    assert SECRET not in "\n".join(record_lines(assessed(FOUND)))


def test_a_few_personal_cells_withhold_no_other_sentence():
    few = Finding(code="privacy.identifier", severity="note", says="city holds cards in 1 cell", columns=["city"])
    person = Finding(
        code="privacy.identifier", severity="note", says="names", columns=["name"], fix=Fix(do="drop", columns=["name"])
    )
    assert personal_columns([*FOUND, few, person]) == {"mail", "name"}
