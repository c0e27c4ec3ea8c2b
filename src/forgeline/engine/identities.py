"""What e-mail addresses, phone, card and national numbers look like, and the check digits that prove them.

Each `Shape` is a pattern for candidates and a proof. Digits that merely have the right length pass a proof as often
as chance lets them (one in ten for a check digit), so a column is judged by the share of its candidates that pass.
Legend: C candidates, D digits.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

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
