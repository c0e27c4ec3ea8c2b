"""What e-mail addresses, phone, card and national numbers look like, and the check digits that prove them.

Each `Shape` is a pattern for candidates and a proof. Digits that merely have the right length pass a proof as often
as chance lets them (one in ten for a check digit), so a column is judged by the share of its candidates that pass;
a single cell that is about to be quoted is not, and is masked whenever it passes.
Legend: C candidates, D digits, L levels.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from forgeline.engine.cells import Levels

Proof = Callable[[Sequence[str]], np.ndarray]
"""Candidates without blanks, dots and dashes → which of them are valid, bool [C]."""
BEFORE = r"(?:^|[\s,;:(\[<\"'=#/|*])"
AFTER = r"(?:$|[\s;:)\]>\"'|!?*]|[.,](?:\s|$))"
"""What may stand around a number in a text."""
EDGES = " \t\r\n,;:.()[]<>\"'=#/|*!?"
SEPARATORS = r"[\s.-]"


def embedded(pattern: str) -> str:
    """A pattern of a number between other words."""
    return f"{BEFORE}(?:{pattern}){AFTER}"


def bare(token: str) -> str:
    """A number as it stood in a text, without what is around it and its blanks, dots and dashes.

    >>> bare(" 123-45-6789,")
    '123456789'
    """
    return re.sub(SEPARATORS, "", token.strip(EDGES))


@dataclass(frozen=True)
class Shape:
    """One kind of personal data."""

    name: str
    pattern: str = ""
    """Of the candidates, in the syntax of Rust's regex; anchored where a cell must be nothing else."""
    proof: Proof | None = None
    squeezed: bool = True
    """Blanks, dots and dashes between the characters are left out before `pattern` is matched."""
    within: str = ""
    """Of candidates that stand between other words, as they are written: with their blanks, dots and dashes."""
    alone: int = 1
    """Fewest different values that are evidence; more than one where little but a length is asked of digits."""
    least_pass: float = 0.8
    """Share of candidates that must pass; typing errors are why it is not 1."""
    integers: bool = False
    """Whole numbers may be such: their proof is strong."""
    named: str = ""
    """Only under a column name like this."""

    @property
    def one(self) -> str:
        """One of them, in words; where chance alone may have made it, no more than that it may be.

        >>> SHAPES[0].one
        'an e-mail address'
        """
        single = self.name.removesuffix("es" if self.name.endswith("sses") else "s")
        article = "an" if single[0] in "AEIOe" else "a"
        return f"{'what may be ' if self.alone > 1 else ''}{article} {single}"


def digits(texts: Sequence[str]) -> np.ndarray:
    """Digits of texts of one length, int [C, D]."""
    return np.array([[int(one) for one in text] for text in texts], int).reshape(len(texts), -1)


def each(rule: Callable[[str], bool]) -> Proof:
    """A proof of one text as a proof of many."""
    return lambda texts: np.array([rule(text) for text in texts], bool)


def matches(pattern: str) -> Proof:
    """A proof by a narrower pattern."""
    narrow = re.compile(pattern)
    return each(lambda text: narrow.fullmatch(text) is not None)


def weighted(weights: Sequence[int], modulus: int, remainder: int = 0) -> Proof:
    """Digits times weights leave a remainder."""
    return lambda texts: digits(texts) @ np.asarray(weights) % modulus == remainder


def both(first: Proof, second: Proof) -> Proof:
    """Two proofs at once."""
    return lambda texts: first(texts) & second(texts)


# ---------------------------------------------------------------- check digits


def luhn(text: str) -> bool:
    """Luhn's check digit (ISO/IEC 7812-1).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    value_D = digits([text])[0][::-1]
    twice_D = 2 * value_D[1::2]
    return int(value_D[::2].sum() + (twice_D - 9 * (twice_D > 9)).sum()) % 10 == 0


CARD = re.compile(
    r"4\d{12}(\d{3}){0,2}|5[1-5]\d{14}|2(22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|6(011\d\d|5\d{4}|4[4-9]\d{3})\d{10}|3(0[0-5]|[689]\d)\d{11}|35(2[89]|[3-8]\d)\d{12}"
)
"""Lengths and first digits of Visa, Mastercard, American Express, Discover, Diners and JCB."""


def card(text: str) -> bool:
    """A payment card number."""
    return CARD.fullmatch(text) is not None and luhn(text)


def iban(text: str) -> bool:
    """IBAN (ISO 13616): the number with its first four characters last leaves 1 by 97.

    >>> iban("GB82WEST12345698765432")
    True
    """
    moved = text[4:].upper() + text[:4].upper()
    return int("".join(str(int(one, 36)) for one in moved)) % 97 == 1


def french(text: str) -> bool:
    """NIR: sex, year, month, place and rank; the key is 97 less the remainder by 97."""
    number = text[:13].upper().replace("2A", "19").replace("2B", "18")
    return number.isdigit() and text[13:].isdigit() and 97 - int(number) % 97 == int(text[13:])


def german(text: str) -> bool:
    """Steuer-ID: ISO 7064, MOD 11,10, and one digit that comes twice or thrice.

    >>> german("86095742719")
    True
    """
    product = 10
    for one in text[:10]:
        total = (int(one) + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10 == int(text[10]) and len(set(text[:10])) in (8, 9)


def spanish(text: str) -> bool:
    """DNI and NIE: the letter is that of the number by 23."""
    number = text[:-1].upper().translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1].upper()


def born(text: str) -> bool:
    """PESEL's date of birth: the century is in the month."""
    return 1 <= int(text[2:4]) % 20 <= 12 and 1 <= int(text[4:6]) <= 31


def dated(day: int, month: int, *, most_day: int = 31) -> Proof:
    """A day and a month of birth stand at these places; some countries add to the day."""
    return each(lambda text: 1 <= int(text[month : month + 2]) <= 12 and 1 <= int(text[day : day + 2]) <= most_day)


def swedish(text: str) -> bool:
    """Personnummer: Luhn's digit of the last ten digits; 60 is added to the day of some."""
    number = re.sub(r"\D", "", text)[-10:]
    return luhn(number) and 1 <= int(number[2:4]) <= 12 and 1 <= int(number[4:6]) % 60 <= 31


def finnish(text: str) -> bool:
    """Henkilötunnus: the last character is that of the number by 31."""
    number = int(text[:6] + text[-4:-1])
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == text[-1].upper()


def belgian(text: str) -> bool:
    """Rijksregisternummer: 97 less the remainder by 97, after 2000 with a 2 before."""
    return int(text[9:]) in (97 - int(text[:9]) % 97, 97 - int("2" + text[:9]) % 97)


def norwegian(text: str) -> bool:
    """Fødselsnummer: two check digits by 11."""
    first, second = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
    return all(sum(int(one) * by for one, by in zip(text, weights)) % 11 == 0 for weights in (first, second))


def irish(text: str) -> bool:
    """PPS: the letter after seven digits is that of their weighted sum by 23."""
    total = sum(int(one) * weight for one, weight in zip(text[:7], range(8, 1, -1)))
    total += 9 * (ord(text[8].upper()) - 64) if len(text) == 9 and text[8].upper() != "W" else 0
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == text[7].upper()


def singaporean(text: str) -> bool:
    """NRIC: the last letter is that of the weighted sum by 11."""
    total = sum(int(one) * weight for one, weight in zip(text[1:8], (2, 7, 6, 5, 4, 3, 2))) + 4 * (text[0] in "TG")
    return ("JZIHGFEDCBA" if text[0] in "ST" else "XWUTRQPNMLK")[total % 11] == text[8]


def verhoeff(text: str) -> bool:
    """Verhoeff's check digit, by the dihedral group of ten elements.

    >>> verhoeff("2363"), verhoeff("2364")
    (True, False)
    """
    order = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    check = 0
    for place, one in enumerate(reversed(text)):
        digit = int(one)
        for _ in range(place % 8):
            digit = order[digit]
        check = dihedral(check, digit)
    return check == 0


def dihedral(a: int, b: int) -> int:
    """The product of two elements: rotations 0–4, reflections 5–9."""
    turn = (a % 5 + (b if a < 5 else -b)) % 5
    return turn + 5 * ((a >= 5) != (b >= 5))


def brazilian(text: str) -> bool:
    """CPF: two check digits by 11, and not one digit all through."""
    value = [int(one) for one in text]
    for length in (9, 10):
        total = sum(one * weight for one, weight in zip(value[:length], range(length + 1, 1, -1)))
        if total * 10 % 11 % 10 != value[length]:
            return False
    return len(set(value)) > 1


def address(text: str) -> bool:
    """An IPv4 address that is no version number: each part at most 255, and one of them large."""
    parts = [int(one) for one in text.split(".")]
    return max(parts) <= 255 and max(parts) >= 32 and parts[0] > 0


CODE_NAME = r"(?i)(^|[^a-z])(ssn|nin|nino|social|national|tax|passport|licen[cs]e|pid)([^a-z]|$)"
PHONE_NAME = (
    r"(?i)(^|[^a-z])(tele)?(phone|mobile|tel|fax|cell|msisdn)(s|no|nr|num|number)?([^a-z]|$)|[a-z](Phone|Mobile)"
)
AREA = r"(?:\(\d{2,4}\)|\d{2,4})"

SHAPES = (
    Shape("e-mail addresses", r"(?i)[a-z0-9._%+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,}", squeezed=False),
    Shape(
        "card numbers",
        r"^\d{13,19}$",
        each(card),
        integers=True,
        within=r"(?:\d{4}[ -]?){3}\d{4}|3[47]\d{2}[ -]?\d{6}[ -]?\d{5}|\d{13,19}",
    ),
    Shape(
        "IBANs",
        r"^(?i)[a-z]{2}\d{2}[a-z0-9]{11,30}$",
        each(iban),
        within=r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?",
    ),
    Shape(
        "phone numbers",
        r"(?:^|[\s:;,])(?:\+\d{1,3}[\s.-]?" + AREA + r"(?:[\s./-]?\d{2,4}){2,4}|(?:\+|00)[1-9]\d{8,13}"
        r"|(?:(?:\+|00)?1[-. ]?|001-)?(?:\([2-9]\d{2}\)\s?|[2-9]\d{2}[-. ])\d{3}[-. ]\d{4})"
        r"(?:\s?(?:x|ext\.?\s?)\d{1,6})?(?:$|[\s;,.])",
        squeezed=False,
    ),
    Shape("phone numbers", r"^[+(]?[\d(][\d\s()./x+-]{5,22}\d$", squeezed=False, named=PHONE_NAME),
    Shape("phone numbers", r"^\d{7,15}$", integers=True, named=PHONE_NAME),
    Shape("IP addresses", r"^\d{1,3}(?:\.\d{1,3}){3}$", each(address), squeezed=False),
    Shape("IP addresses", r"^(?i)(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$", squeezed=False),
    Shape("device addresses", r"^(?i)[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}$", squeezed=False),
    Shape(
        "US social security numbers",
        proof=matches(r"(?!000|666|9)\d{3}(?!00)\d{2}(?!0000)\d{4}"),
        least_pass=0.85,
        within=r"\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}",
    ),
    Shape("national numbers", r"^\d{9,12}$", integers=True, named=CODE_NAME),
    Shape(
        "UK national insurance numbers",
        r"^[A-Z]{2}\d{6}[A-Z]$",
        matches(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]"),
        least_pass=0.9,
        within=r"[A-Z]{2}[ -]?\d{2}[ -]?\d{2}[ -]?\d{2}[ -]?[A-Z]",
    ),
    Shape(
        "French social security numbers",
        r"^[1278]\d{4}(?:\d{2}|2[AB])\d{8}$",
        each(french),
        integers=True,
        within=r"[1278][ .]?\d{2}[ .]?\d{2}[ .]?(?:\d{2}|2[AB])[ .]?\d{3}[ .]?\d{3}[ .]?\d{2}",
    ),
    Shape(
        "German tax numbers",
        r"^[1-9]\d{10}$",
        each(german),
        integers=True,
        within=r"[1-9]\d ?\d{3} ?\d{3} ?\d{3}",
        alone=3,
    ),
    Shape(
        "Polish national numbers",
        r"^\d{11}$",
        both(weighted((1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10), each(born)),
        integers=True,
        within=r"\d{11}",
        alone=3,
    ),
    Shape(
        "Spanish national numbers",
        r"^(?i)[xyz\d]\d{7}[a-z]$",
        each(spanish),
        within=r"\d{8}-?[A-Za-z]|\d{8} [A-Z]|\d{2}\.\d{3}\.\d{3}[ -]?[A-Z]|[XYZxyz]-?\d{7}-?[A-Za-z]",
    ),
    Shape(
        "Italian tax codes",
        r"^(?i)[a-z]{6}\d{2}[abcdehlmprst]\d{2}[a-z]\d{3}[a-z]$",
        within=r"(?i)[a-z]{6}\d{2}[abcdehlmprst]\d{2}[a-z]\d{3}[a-z]",
    ),
    Shape(
        "Indian national numbers",
        r"^[2-9]\d{11}$",
        each(verhoeff),
        integers=True,
        within=r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}",
        alone=3,
    ),
    Shape(
        "Indian tax numbers",
        r"^[A-Z]{5}\d{4}[A-Z]$",
        matches(r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]"),
        least_pass=0.95,
        within=r"[A-Z]{5}\d{4}[A-Z]",
    ),
    Shape(
        "Dutch national numbers",
        r"^\d{9}$",
        weighted((9, 8, 7, 6, 5, 4, 3, 2, -1), 11),
        integers=True,
        within=r"\d{9}|\d{4}\.\d{2}\.\d{3}",
        alone=3,
    ),
    Shape(
        "Swiss social security numbers",
        r"^756\d{10}$",
        weighted((1, 3) * 6 + (1,), 10),
        integers=True,
        within=r"756\.?\d{4}\.?\d{4}\.?\d{2}",
    ),
    Shape(
        "Brazilian tax numbers",
        r"^\d{11}$",
        each(brazilian),
        integers=True,
        within=r"\d{3}\.\d{3}\.\d{3}-\d{2}|\d{11}",
    ),
    Shape("Canadian social insurance numbers", proof=each(luhn), within=r"[1-79]\d{2}[ -]\d{3}[ -]\d{3}"),
    Shape(
        "Chinese national numbers",
        r"^[1-8]\d{16}[\dXx]$",
        each(
            lambda text: (
                "10X98765432"[sum(int(one) * 2 ** (17 - at) for at, one in enumerate(text[:17])) % 11]
                == text[17].upper()
            )
        ),
        within=r"[1-8]\d{16}[\dXx]",
    ),
    Shape("Swedish national numbers", proof=each(swedish), within=r"(?:19|20)?\d{6}[-+]\d{4}"),
    Shape("Finnish national numbers", proof=each(finnish), within=r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]"),
    Shape(
        "Danish national numbers",
        proof=both(weighted((4, 3, 2, 7, 6, 5, 4, 3, 2, 1), 11), dated(0, 2)),
        within=r"\d{6}-\d{4}",
    ),
    Shape(
        "Norwegian national numbers",
        proof=both(each(norwegian), dated(0, 2, most_day=71)),
        within=r"\d{6} ?\d{5}",
    ),
    Shape("Belgian national numbers", proof=each(belgian), within=r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}"),
    Shape("Korean national numbers", proof=dated(4, 2), within=r"\d{6}-[1-8]\d{6}"),
    Shape("Mexican national numbers", within=r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d"),
    Shape("Irish national numbers", proof=each(irish), within=r"\d{7}[A-W][A-IW]?"),
    Shape("Singaporean national numbers", proof=each(singaporean), within=r"[STFG]\d{7}[A-Z]"),
    Shape("Australian tax numbers", proof=weighted((1, 4, 3, 7, 5, 8, 6, 9, 10), 11), within=r"\d{3} \d{3} \d{3}"),
)


def any_of(patterns: Sequence[str]) -> str:
    """A pattern that matches where one of these does."""
    return "|".join(f"(?:{pattern})" for pattern in patterns).replace(
        r"\d", "[0-9]"
    )  # of ASCII alone, ten times as fast


WRITTEN = any_of(
    [embedded(any_of([one.within for one in SHAPES if one.within]))]
    + [one.pattern for one in SHAPES if one.pattern and not one.squeezed]
)
"""Whatever is told by texts as they are written."""
SQUEEZED = any_of([one.pattern for one in SHAPES if one.pattern and one.squeezed])
"""Whatever is told by texts without blanks, dots and dashes."""
CANDIDATE = (
    r"@|(?s:[0-9].*[0-9].*[0-9].*[0-9])"
    r"|(?i:[0-9a-f]{1,4}:[0-9a-f]{1,4}:[0-9a-f]{1,4}:|[0-9a-f]{2}-[0-9a-f]{2}-[0-9a-f]{2}-)"
)
"""What may hold personal data at all: an @, four digits, or parts of an address."""
LEAST_NUMBER = 1_000_000
"""Whole numbers below have six digits or fewer, and no kind does."""


# ---------------------------------------------------------------- what may be shown


def shown(cell: object, column: str = "") -> str:
    """A cell as a sentence may quote it: text in quotes; of personal data what it is, never the value.

    >>> shown("Leeds"), shown("bob@x.org"), shown(4111111111111111), shown(12)
    ("'Leeds'", 'an e-mail address', 'a card number', '12')
    """
    return personal(cell, column) or repr(cell)


def personal(cell: object, column: str = "") -> str:
    """What personal data a cell holds, such as `a card number`; empty for none. `column`: its column's name."""
    return kinds([str(cell) if isinstance(cell, str) else whole(cell)], column, text=isinstance(cell, str))[0]


def whole(cell: object) -> str:
    """A number as it would be typed, so that its digits are seen; empty for what is no whole number."""
    if isinstance(cell, bool) or not isinstance(cell, int | float) or cell != cell or cell in (np.inf, -np.inf):
        return ""
    return str(int(cell)) if cell == int(cell) and cell >= LEAST_NUMBER else ""


def kinds(cells: Sequence[str], column: str = "", *, text: bool = True) -> list[str]:
    """What personal data each cell holds; numbers that are no text are such by a strong proof, or where a
    column is named for phones."""
    values = pl.Series(cells, dtype=pl.String)
    said = [""] * len(values)
    some = candidates(values)
    if not len(some):
        return said
    shapes = [
        one for one in shapes_of(column, text) if text or one.named == PHONE_NAME or (one.proof and one.alone == 1)
    ]
    for one in tried(shapes, values.gather(some), text, len(some)):
        for at in some[one.some[one.passed_S]]:
            said[at] = said[at] or one.shape.one
    return said


def shapes_of(column: str, text: bool) -> list[Shape]:
    """The kinds that a column of this name may hold."""
    return [one for one in SHAPES if (text or one.integers) and (not one.named or re.search(one.named, column))]


# ---------------------------------------------------------------- columns


def found(name: str, levels: Levels, text: bool, most_proved: int) -> dict[str, np.ndarray]:
    """Kind → which levels are of it, bool [L]; the commonest kind first, and of whole numbers no other."""
    values = levels.values if text else levels.values.cast(pl.String)
    some = candidates(values) if text else np.arange(len(values))
    hits: dict[str, np.ndarray] = {}
    if not len(some):
        return hits
    values = values.gather(some) if len(some) < len(values) else values
    for kind, hit_C in proved(tried(shapes_of(name, text), values, text, most_proved), len(values)):
        hit_L = hits.setdefault(kind, np.zeros(len(levels), bool))
        hit_L[some[hit_C]] = True
    ranked = sorted(hits, key=lambda kind: -levels.counts[hits[kind]].sum())
    return {kind: hits[kind] for kind in (ranked if text else ranked[:1])}


def candidates(values: pl.Series) -> np.ndarray:
    """Which texts look like anything personal at all, int [C]: cheap for the many that do not."""
    some = np.flatnonzero(values.str.contains(CANDIDATE).to_numpy())
    if not len(some):
        return some
    values = values.gather(some)
    told = values.str.contains(WRITTEN) | values.str.replace_all(SEPARATORS, "").str.contains(SQUEEZED)
    return np.asarray(some[told.to_numpy()])


@dataclass(frozen=True)
class Tried:
    """Which values look like one shape, and which of some of them pass its proof."""

    shape: Shape
    hit_C: np.ndarray
    some: np.ndarray
    """Those that were proved, int [S]."""
    passed_S: np.ndarray


def tried(shapes: Sequence[Shape], values: pl.Series, text: bool, most_proved: int) -> list[Tried]:
    """Candidates of each shape; C of them are given."""
    plain = values.str.replace_all(SEPARATORS, "") if text else values
    results = []
    for shape in shapes:
        cells = plain if shape.squeezed else values
        hit_C = cells.str.contains(shape.pattern).to_numpy() if shape.pattern else np.zeros(len(values), bool)
        whole_C = hit_C
        if text and shape.within:
            hit_C = hit_C | values.str.contains(embedded(shape.within)).to_numpy()
        some = np.flatnonzero(hit_C)
        if not len(some):
            continue
        some = some[np.linspace(0, len(some) - 1, min(len(some), most_proved)).astype(int)]
        passed_S: np.ndarray = np.ones(len(some), bool)
        if shape.proof is not None:
            passed_S[whole_C[some]] = valid(shape, [[one] for one in cells.gather(some[whole_C[some]])])
            passed_S[~whole_C[some]] = valid(shape, tokens(shape, values.gather(some[~whole_C[some]])))
        results.append(Tried(shape, hit_C, some, passed_S))
    return results


def tokens(shape: Shape, values: pl.Series) -> list[list[str]]:
    """The numbers in each text."""
    found = values.str.extract_all(embedded(shape.within)).to_list()
    return [[bare(one) for one in each] for each in found]


def valid(shape: Shape, tokens: list[list[str]]) -> np.ndarray:
    """Whether one of each value's numbers passes, bool [values]; numbers of one length are proved together."""
    passed: np.ndarray = np.zeros(len(tokens), bool)
    flat = [(at, token) for at, each in enumerate(tokens) for token in each]
    for length in {len(token) for _, token in flat}:
        alike = [(at, token) for at, token in flat if len(token) == length]
        if shape.proof is not None:
            good = shape.proof([token for _, token in alike])
            passed[[at for (at, _), one in zip(alike, good) if one]] = True
    return passed


def proved(tries: Sequence[Tried], count: int) -> Iterator[tuple[str, np.ndarray]]:
    """The kinds that are there with their values; a shape goes when too few of its candidates pass its proof.

    Candidates that pass the proof of another shape are that one's, and speak neither for nor against.
    """
    times_C: np.ndarray = np.zeros(count, int)
    for one in tries:
        if one.shape.proof is not None:
            times_C[one.some[one.passed_S]] += 1
    for one in tries:
        if one.shape.proof is None:
            yield one.shape.name, one.hit_C
            continue
        other_S = ~one.passed_S & (times_C[one.some] > 0)
        judged = len(one.some) - int(other_S.sum())
        passes = int(one.passed_S.sum())
        if passes >= one.shape.alone and passes >= one.shape.least_pass * judged:
            hit_C = one.hit_C.copy()
            hit_C[one.some[other_S]] = False
            yield one.shape.name, hit_C
