import numpy as np
import polars as pl
import pytest

from forgeline.engine import identities
from forgeline.parts.checks import personal
from forgeline.testing import view

ROWS = 400
DRAW = np.random.default_rng(4)


def found(**columns):
    table, target = view(pl.DataFrame(columns))
    return list(personal.check(table, target))


def luhn_digit(stem):
    return next(str(last) for last in range(10) if identities.luhn(stem + str(last)))


def number(length, first="", draw=DRAW):
    return first + "".join(map(str, draw.integers(0, 10, length - len(first))))


def proved(shape, length, first="", last="0123456789"):
    """A number with a check digit that fits."""
    proof = next(one.proof for one in identities.SHAPES if one.name == shape)
    while True:
        stem = number(length - 1, first)
        for end in last:
            if proof([stem + end])[0]:
                return stem + end


def cards():
    stems = [number(15, first) for first in ("4", "51", "6011") for _ in range(ROWS // 3 + 1)]
    return [stem + luhn_digit(stem) for stem in stems][:ROWS]


DIRTY = {
    "e-mail": [f"someone{at}@example.org" for at in range(ROWS)],
    "card": [" ".join((one[:4], one[4:8], one[8:12], one[12:])) for one in cards()],
    "card ": [int(one) for one in cards()],
    "phone": [f"+49 151 {number(8)}" for _ in range(ROWS)],
    "phone ": [f"({number(3, '5')}) 555-{number(4)}" for _ in range(ROWS)],
    "phone number": [int(number(10, "5")) for _ in range(ROWS)],
    "social security": [f"{number(3, '4')}-{number(2, '3')}-{number(4, '2')}" for _ in range(ROWS)],
    "national insurance": [f"AB {number(6)} C" for _ in range(ROWS)],
    "German tax": [proved("German tax numbers", 11, "3") for _ in range(ROWS)],
    "Polish national": [proved("Polish national numbers", 11, "8501") for _ in range(ROWS)],
    "Dutch national": [int(proved("Dutch national numbers", 9, "1")) for _ in range(ROWS)],
    "Indian national": [proved("Indian national numbers", 12, "4") for _ in range(ROWS)],
    "Spanish national": [proved("Spanish national numbers", 9, "4", "TRWAGMYFPDXBNJZSQVHLCKE") for _ in range(ROWS)],
    "IP": [f"192.168.{at % 256}.{at // 2}" for at in range(ROWS)],
}


@pytest.mark.parametrize("kind", DIRTY)
def test_personal_data_is_found_and_never_shown(kind):
    for name in (kind if "number" in kind else "field",):
        (one,) = found(**{name: DIRTY[kind], "other": list(range(ROWS))})
        assert (one.code, one.severity, one.columns) == ("privacy.identifier", "warn", [name])
        assert kind.strip().split()[0].lower() in one.says.lower()
        assert one.numbers["share"] == 1
        assert not any(str(value) in f"{one}" for value in DIRTY[kind])


def test_a_few_among_other_texts():
    text = [f"nothing to tell {at % 7}" for at in range(ROWS)]
    text[10:16] = [f"write to some.body{at}@example.com please" for at in range(6)]
    (one,) = found(note=text)
    assert one.numbers["rows"] == one.rows.count == 6
    text[10:30] = DIRTY["phone"][:20]
    assert "phone numbers in 5.0%" in found(note=text)[0].says


def spanish_number(at):
    return f"{at}{'TRWAGMYFPDXBNJZSQVHLCKE'[at % 23]}"


MIX = (
    lambda at: f"{200 + at % 400}-{10 + at % 80}-{1000 + at}",
    lambda at: f"AB {10 + at % 80} {10 + at % 7} {at % 90:02d} C",
    lambda at: spanish_number(10_000_000 + 7919 * at),
    lambda at: f"X{1_000_000 + at}{'TRWAGMYFPDXBNJZSQVHLCKE'[(1_000_000 + at) % 23]}",
)
TEXTS = ("left at door no 12 on 3 May 2021", "order 48213, 19.99 paid", "ref A-113 of 2020-11-03", "@someone", "Leeds")


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("form", ["{}", "{text} {}", "{}, {text}", "his number ({}). {text}"])
def test_kinds_are_told_together_and_within_texts(share, form):
    text = [TEXTS[at % len(TEXTS)] for at in range(1000)]
    rows = np.arange(3, 1000, round(1 / share))
    secrets = {row: MIX[at % len(MIX)](at) for at, row in enumerate(rows)}
    for row, secret in secrets.items():
        text[row] = form.format(secret, text=text[row])
    table, target = view(pl.DataFrame({"note": text}))
    (one,) = personal.check(table, target)
    assert table.keep_rows.kept[-1][0].tolist() == rows.tolist()
    assert one.numbers["rows"] == len(rows)
    assert f"in {len(rows) / 10:.1f}% of its values" in one.says
    assert not any(secret in f"{one}" for secret in secrets.values())


def test_numbers_of_one_length_speak_for_their_own_kind():
    of = [("Polish national numbers", "8501"), ("German tax numbers", "3"), ("Brazilian tax numbers", "2")]
    text = [f"nothing {at % 7}" for at in range(ROWS)]
    for at, row in enumerate(range(5, ROWS, 8)):
        text[row] = "no. " + proved(of[at % 3][0], 11, of[at % 3][1])
    (one,) = found(note=text)
    assert one.numbers["rows"] == 50
    assert all(kind in one.says for kind, _ in of)


def test_numbers_in_texts_that_are_none():
    at_N = np.arange(ROWS)
    draw = np.random.default_rng(8)
    assert not found(
        order=[f"order {one} came" for one in draw.integers(10**8, 10**9, ROWS)],
        eleven=[f"parcel {one}, left" for one in draw.integers(10**10, 10**11, ROWS)],
        batch=[f"lot {one}{chr(65 + one % 26)} sent" for one in draw.integers(10**7, 10**8, ROWS)],
        part=[f"{one:06d}-{1000 + one % 8999} in stock" for one in draw.integers(0, 10**6, ROWS)],
        long=[f"track {one}" for one in draw.integers(10**15, 10**16, ROWS)],
        when=[f"seen 2024-{1 + at % 12:02d}-{1 + at % 28:02d} 10:{at % 60:02d}" for at in at_N],
        sizes=[f"{at}.5 by {at + 100} by {at * 1000} mm" for at in at_N],
        money=[f"paid {at},{at % 999:03d},000.00 for {at % 12}" for at in at_N],
    )


def test_names_of_people_are_a_note():
    names = [f"{chr(65 + at % 26)}ara Miller{'abcdefghij'[at % 10]}" for at in range(ROWS)]
    assert [(one.severity, one.columns) for one in found(full_name=names, other=names)] == [("note", ["full_name"])]


def test_ordinary_columns():
    at_N = np.arange(ROWS)
    assert (
        found(
            key=at_N + 100_000_000,
            random_key=DRAW.integers(10**8, 10**9, ROWS),
            long_key=DRAW.integers(4 * 10**15, 5 * 10**15, ROWS),
            eleven=DRAW.integers(10**10, 10**11, ROWS),
            twelve=[str(one) for one in DRAW.integers(10**11, 10**12, ROWS)],
            price=DRAW.normal(size=ROWS) * 1e9,
            zip=[f"{one:05d}-{one % 9999:04d}" for one in DRAW.integers(0, 99_999, ROWS)],
            milliseconds=1_600_000_000_000 + at_N * 977,
            stamp=[f"2024-{1 + at % 12:02d}-{1 + at % 28:02d} 10:{at % 60:02d}" for at in at_N],
            day=[f"{1 + at % 28:02d}.{1 + at % 12:02d}.2024" for at in at_N],
            version=[f"1.{at % 9}.{at % 7}.{at % 11}" for at in at_N],
            place=[f"{at / 7:.6f},{-at / 9:.6f}" for at in at_N],
            ticket=[f"A/5 {at * 37}" for at in at_N],
            code=[f"{chr(65 + at % 26)}{chr(65 + at % 7)}{at:06d}{chr(65 + at % 23)}" for at in at_N],
            handle=[f"@user{at}" for at in at_N],
            interval=[f"({at}, {at + 5000}]" for at in at_N],
            ratio=[f"{at}-{at + 11}" for at in at_N],
        )
        == []
    )


def test_check_digits_by_published_examples():
    assert identities.luhn("79927398713")
    assert identities.iban("DE89370400440532013000")
    assert not identities.iban("DE89370400440532013001")
    assert identities.german("86095742719")
    assert identities.spanish("12345678Z")
    assert identities.french("255081416802538")
    assert identities.verhoeff("2363")
    assert identities.brazilian("11144477735")
    assert identities.card("378282246310005")
    assert identities.swedish("8112189876")
    assert identities.finnish("131052308T")
    assert identities.belgian("85073003328")
    assert identities.irish("1234567T")
    assert identities.irish("1234567FA")
    assert identities.singaporean("S1234567D")
    assert identities.singaporean("G1234567X")
    assert identities.norwegian("11077941012")
    assert not identities.norwegian("11077941013")
    proofs = {shape.name: shape.proof for shape in identities.SHAPES}
    assert proofs["Danish national numbers"](["0707614285"])[0]
    assert proofs["Australian tax numbers"](["123456782"])[0]


SECRETS = {
    "e-mail addresses": "bob@x.org",
    "phone numbers": "+49 151 23456789",
    "card numbers": "4111 1111 1111 1111",
    "IBANs": "GB82 WEST 1234 5698 7654 32",
    "US social security numbers": "212-45-6789",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_few_cells_are_a_note_with_their_rows(kind):
    text = [f"level {at % 5}" for at in range(2000)]
    text[7] = text[99] = SECRETS[kind]
    table, target = view(pl.DataFrame({"note": text, "few": ["a", SECRETS[kind], *["a"] * 1998]}))
    one, other = personal.check(table, target)
    assert (one.severity, one.columns, one.rows.count, one.fix) == ("note", ["note"], 2, None)
    assert kind in one.says
    assert "in 2 cells of 2,000" in one.says
    assert table.keep_rows.kept[0][0].tolist() == [7, 99]
    assert "in 1 cell of 2,000" in other.says
    assert SECRETS[kind] not in f"{one}{other}"


@pytest.mark.parametrize("kind", [int, float])
def test_a_card_among_numbers_is_a_note(kind):
    values = [kind(at) for at in range(ROWS)]
    values[5] = kind(4111111111111111)
    table, target = view(pl.DataFrame({"amount": values}))
    (one,) = personal.check(table, target)
    assert (one.severity, one.rows.count) == ("note", 1)
    assert "card numbers" in one.says
    assert table.keep_rows.kept[-1][0].tolist() == [5]


def test_large_numbers_that_are_none():
    assert not found(
        amount=[at * 1_234_567 for at in range(ROWS)],
        share=[at / 7 * 1e9 for at in range(ROWS)],
        infinite=[float("inf"), float("nan"), *[1.0] * (ROWS - 2)],
        empty=pl.Series([None] * ROWS, dtype=pl.Float64),
    )


SHOWN = [
    "Leeds",
    "it's",
    "2024-05-03",
    "12.50",
    "order 48213",
    "1.2.3",
    "",
    "@you",
    "A/5 21171",
    -999,
    3.5,
    10**7,
    True,
]


@pytest.mark.parametrize("cell", SHOWN)
def test_ordinary_cells_are_quoted(cell):
    assert identities.shown(cell) == repr(cell)


def test_a_personal_cell_is_never_quoted():
    for kind, secret in SECRETS.items():
        said = identities.shown(f"call {secret}, please")
        assert identities.shown(secret) == said
        assert said.split(" ", 1)[1] + ("es" if kind.endswith("sses") else "s") == kind
    assert identities.shown(4111111111111111.0) == "a card number"
    assert identities.shown("86095742719") == "what may be a German tax number"
    assert identities.shown(86095742719) == "86095742719"
    assert identities.shown(5551234567, "phone") == "a phone number"
    assert identities.shown("192.168.1.1") == "an IP address"
