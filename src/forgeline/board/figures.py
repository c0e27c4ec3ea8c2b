"""Values as people read them: 4 significant digits, thousands separated, bytes as kB or MB, seconds as time."""

from collections.abc import Sequence
from math import floor, log10

from forgeline.records import Number

BYTES = ("bytes", "byte", "B")
SECONDS = ("seconds", "second", "s")
MOST = 500
"""Rows of a table, findings or numbers on the page; the record holds the rest."""
FIRST = 12
"""Rows that are shown before a click."""


def figure(value: float) -> str:
    """The value with 4 significant digits; digits before the point are never rounded away.

    >>> figure(48842), figure(0.92734), figure(0.99996), figure(12345.6), figure(0.5), figure(0.0000123)
    ('48,842', '0.9273', '1.0000', '12,346', '0.5', '1.230e-05')
    """
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if not 1e-4 <= abs(value) < 1e15:
        return f"{value:.3e}"
    text = f"{value:,.{decimals([value])}f}"
    bare = text.rstrip("0").rstrip(".")
    return bare if "." in text and float(bare.replace(",", "")) == value else text


def decimals(values: Sequence[float]) -> int:
    """How many decimals give the largest of the values 4 significant digits."""
    largest = max((abs(value) for value in values), default=0.0)
    return max(0, 3 - floor(log10(largest))) if largest else 0


def aligned(values: Sequence[float]) -> list[str]:
    """The values with as many decimals each, so that they line up in a column; 0 is 0, tiny ones stand out.

    >>> aligned([0.6, 0.25, 0]), aligned([0.92734, 0.9])
    (['0.60', '0.25', '0'], ['0.9273', '0.9000'])
    """
    own = [figure(value) for value in values]
    places = min(decimals(values), max((len(text.partition(".")[2]) for text in own), default=0))
    shown = [f"{value:,.{places}f}" for value in values]
    return [text if float(text.replace(",", "")) else alone for text, alone in zip(shown, own)]


def size(size_bytes: float) -> str:
    """Bytes in the largest decimal unit that leaves at least 1.

    >>> size(999), size(48_842), size(6e9)
    ('999 B', '48.84 kB', '6 GB')
    """
    for power, unit in enumerate(("B", "kB", "MB", "GB")):
        if abs(size_bytes) < 1000 ** (power + 1):
            return f"{figure(size_bytes / 1000**power)} {unit}"
    return f"{figure(size_bytes / 1e12)} TB"


def duration(seconds: float) -> str:
    """Seconds as time.

    >>> duration(0.0123), duration(48.3), duration(125), duration(3720)
    ('12.3 ms', '48.3 s', '2 min 5 s', '1 h 2 min')
    """
    if 0 < abs(seconds) < 1:
        return f"{figure(float(f'{seconds * 1000:.3g}'))} ms"
    if abs(seconds) < 59.95:
        return f"{figure(float(f'{seconds:.3g}'))} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def quantity(value: float, unit: str = "") -> str:
    """The value with its unit: `12.5 MB`, `2 min 5 s`, `0.9273`, `41.2 J`."""
    if unit in BYTES:
        return size(value)
    if unit in SECONDS:
        return duration(value)
    return f"{figure(value)} {unit}".rstrip()


def value_text(number: Number) -> str:
    """The value with its unit, as many decimals as its interval has; `unknown` when it is null."""
    if number.value is None:
        return "unknown"
    if number.low is None or number.high is None or number.unit in (*BYTES, *SECONDS):
        return quantity(number.value, number.unit)
    return f"{aligned([number.value, number.low, number.high])[0]} {number.unit}".rstrip()


def interval_text(number: Number) -> str:
    """The interval and its level, `[0.9241, 0.9302] 95 %`; empty without one."""
    if number.value is None or number.low is None or number.high is None:
        return ""
    ends = [number.low, number.high]
    if number.unit in (*BYTES, *SECONDS):
        low, high = (quantity(end, number.unit) for end in ends)
    else:
        low, high = aligned([number.value, *ends])[1:]
    return f"[{low}, {high}]" + (f" {figure(number.level * 100)} %" if number.level else "")


def cell_text(value: object, unit: str = "") -> str:
    """Any cell of a table: text as it is, numbers rounded, yes and no, lists joined; `—` for null."""
    match value:
        case None | "" | []:
            return "—"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return quantity(value, unit)
        case list():
            return cut([cell_text(item) for item in value])
        case dict():
            return cut([f"{key} = {cell_text(item)}" for key, item in value.items()]) or "—"
    return str(value)


def cut(items: Sequence[str], most: int = 12) -> str:
    """The items with commas between them, and how many more there are.

    >>> cut(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def count(many: int, noun: str) -> str:
    """`1 row`, `48,842 rows`."""
    return f"{many:,} {noun}" + ("" if many == 1 else "s")
