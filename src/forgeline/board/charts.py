"""Shapes as inline SVG: pure functions from numbers to text; colours come from the page's style sheet.

Drawn 360 wide, so that the lettering keeps its size on a narrow page. Text is escaped here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from forgeline.board.figures import BYTES, SECONDS, figure, quantity, value_text
from forgeline.records import Curve, Histogram, Number

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 348, 24, 180
"""The plot area inside the picture."""
ROW = 34
"""Height of a row of a forest."""
MOST_LEVELS = 12


@dataclass(frozen=True)
class Scale:
    """A straight map from values to pixels, rounded to a tenth."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[float]:
        """Round values inside the range."""
        return ticks(self.low, self.high)


def scale(values: Iterable[float], start: float, end: float) -> Scale:
    """The scale that spans the values; one value alone is given room on both sides."""
    known = list(values) or [0.0]
    low, high = min(known), max(known)
    room = 0.0 if high > low else abs(low) / 2 or 0.5
    return Scale(low - room, high + room, start, end)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` values a step of 1, 2 or 5 (times a power of ten) apart, inside [low, high].

    >>> ticks(0, 1), ticks(0.83, 0.95)
    ([0.0, 0.5, 1.0], [0.85, 0.9, 0.95])
    """
    power = 10.0 ** floor(log10((high - low) / most))
    for step in (power, power * 2, power * 5, power * 10):
        first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
        if last - first < most:
            break
    return [float(f"{index * step:.10g}") for index in range(first, last + 1)]


# ---------------------------------------------------------------- pieces


def picture(title: str, says: str, body: Iterable[str], height: float = HEIGHT) -> str:
    """The SVG element, with its title and description for readers who do not see it."""
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img">'
    return f"{head}<title>{escape(title)}</title><desc>{escape(says)}</desc>{''.join(body)}</svg>"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Lettering at a point; `anchor` is start, middle or end."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def bar(x: float, y: float, width: float, height: float, kind: str, says: str) -> str:
    """A filled rectangle that says what it is when pointed at."""
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect class="{kind}" {place}><title>{escape(says)}</title></rect>'


def points(x: Scale, y: Scale, xs: Iterable[float], ys: Iterable[float]) -> str:
    """`x,y x,y …` in pixels."""
    return " ".join(f"{x(a):g},{y(b):g}" for a, b in zip(xs, ys))


def axes(x: Scale, y: Scale, x_label: str, y_label: str) -> list[str]:
    """Grid lines and tick labels of both axes, and what the axes show."""
    across = [line(LEFT, y(tick), RIGHT, y(tick), "grid") for tick in y.ticks]
    beside = [text(LEFT - 6, y(tick) + 4, figure(tick), "tick", "end") for tick in y.ticks]
    return [*across, *beside, *axis(x, BOTTOM, x_label), text(4, 12, y_label, "label")]


def axis(x: Scale, top: float, label: str, unit: str = "") -> list[str]:
    """Tick labels under a plot that ends at `top`, and what the axis shows."""
    marks = [line(x(tick), top, x(tick), top + 4, "axis") for tick in x.ticks]
    below = [tick_text(x(tick), top + 17, quantity(tick, unit)) for tick in x.ticks]
    named = [text(x.end, top + 34, label, "label", "end")] if label else []
    return [line(x.start, top, x.end, top, "axis"), *marks, *below, *named]


def tick_text(x: float, y: float, words: str) -> str:
    """A tick's label under its mark, moved inwards where the picture would cut it."""
    half = 3.2 * len(words)
    return text(min(max(x, half), WIDTH - half), y, words, "tick", "middle")


def short(words: str, most: int) -> str:
    """The words, cut with an ellipsis when there are more than `most` letters."""
    return words if len(words) <= most else words[: most - 1] + "…"


# ---------------------------------------------------------------- charts


def curve(shape: Curve) -> str:
    """A line with its band and the dashed line it is compared with."""
    x = scale(shape.x, LEFT, RIGHT)
    y = scale([*shape.y, *shape.low, *shape.high, *shape.against], BOTTOM, TOP)
    body = axes(x, y, shape.x_label, shape.y_label)
    if shape.low and shape.high:
        edge = points(x, y, [*shape.x, *shape.x[::-1]], [*shape.high, *shape.low[::-1]])
        body.append(f'<polygon class="band" points="{edge}"/>')
    if shape.against:
        body.append(f'<polyline class="against" points="{points(x, y, shape.x, shape.against)}"/>')
    body.append(f'<polyline class="line" points="{points(x, y, shape.x, shape.y)}"/>')
    if len(shape.x) <= 30:
        body += [f'<circle class="dot" cx="{x(a):g}" cy="{y(b):g}" r="2.5"/>' for a, b in zip(shape.x, shape.y)]
    return picture(shape.title, f"{len(shape.x)} points. " + extent(shape), body, height_of(shape))


def height_of(shape: Curve | Histogram) -> float:
    """Less high when nothing stands under the ticks."""
    return HEIGHT if shape.x_label else HEIGHT - 16


def extent(shape: Curve) -> str:
    """Where a curve starts and ends, in words."""
    if not shape.x:
        return "Nothing to draw."
    ends = [f"{figure(shape.y[at])} at {figure(shape.x[at])}" for at in (0, -1)]
    return f"{shape.y_label or 'y'} goes from {ends[0]} to {ends[1]}."


def histogram(shape: Histogram) -> str:
    """Counts between edges as touching columns, or of named levels as bars."""
    return columns(shape) if shape.edges else levels(shape)


def columns(shape: Histogram) -> str:
    """Counts between edges."""
    x = scale(shape.edges, LEFT, RIGHT)
    y = scale([0, *shape.counts], BOTTOM, TOP)
    body = axes(x, y, shape.x_label, "rows")
    for count, left, right in zip(shape.counts, shape.edges, shape.edges[1:]):
        says = f"{figure(left)} to {figure(right)}: {figure(count)}"
        body.append(bar(x(left), y(count), max(0.5, x(right) - x(left) - 1), BOTTOM - y(count), "bar", says))
    ends = f"from {figure(shape.edges[0])} to {figure(shape.edges[-1])}"
    return picture(
        shape.title,
        f"{figure(sum(shape.counts))} rows in {len(shape.counts)} bins {ends}.",
        body,
        height_of(shape),
    )


def levels(shape: Histogram) -> str:
    """Counts of named levels, one row each; those past the twelfth are only counted."""
    shown = list(zip(shape.levels, shape.counts))[:MOST_LEVELS]
    x = scale([0, *shape.counts], 128, 290)
    body = []
    for at, (level, count) in enumerate(shown):
        top = 4 + 18 * at
        body += [
            text(120, top + 12, short(level, 16), "tick", "end"),
            bar(128, top + 2, max(0.5, x(count) - 128), 13, "bar", f"{level}: {figure(count)}"),
            text(x(count) + 6 if count else 134, top + 12, figure(count), "tick"),
        ]
    more = len(shape.levels) - len(shown)
    if more:
        body.append(text(128, 18 + 18 * len(shown), f"and {more:,} more levels", "tick"))
    says = f"{figure(sum(shape.counts))} rows in {len(shape.counts)} levels."
    return picture(shape.title, says, body, height=12 + 18 * (len(shown) + bool(more)))


def forest(title: str, rows: Sequence[tuple[str, Number]]) -> str:
    """Values as dots on one scale, their intervals as lines; the first row stands out, nulls are left out.

    A scale that holds 0 marks it, so that a difference can be told from none.
    """
    known = [(name, number) for name, number in rows if number.value is not None]
    ends = [end for _, n in known for end in (n.value, n.low, n.high) if end is not None]
    x = scale(ends, 10, 350)
    bottom = ROW * len(known) + 4
    body = [line(x(tick), 4, x(tick), bottom, "grid" if tick else "zero") for tick in x.ticks]
    for at, (name, number) in enumerate(known):
        body += interval(x, ROW * at + 16, name, number, "first" if at == 0 else "other")
    says = "; ".join(f"{name} {value_text(number)}" for name, number in known)
    units = {number.unit for _, number in known} & {*BYTES, *SECONDS}
    return picture(title, says, [*body, *axis(x, bottom, "", *units)], height=bottom + 24)


def interval(x: Scale, y: float, name: str, number: Number, kind: str) -> list[str]:
    """One row of a forest: name and value, and under them the interval with its dot."""
    label = [text(10, y, short(name, 40), "label"), text(350, y, value_text(number), "label", "end")]
    ends = [end for end in (number.low, number.value, number.high) if end is not None]
    whisker = line(x(min(ends)), y + 10, x(max(ends)), y + 10, "whisker")
    dots = [f'<circle class="dot" cx="{x(value):g}" cy="{y + 10:g}" r="4"/>' for value in ends if value == number.value]
    return [f'<g class="{kind}">', *label, whisker, *dots[:1], "</g>"]


def stacked(title: str, parts: Sequence[tuple[str, float]]) -> str:
    """Parts of a whole as one bar of full width; class `part0`, `part1` … gives each its shade."""
    x = scale([0, sum(value for _, value in parts)], 0, 1000)
    body, done = [], 0.0
    for at, (name, value) in enumerate(parts):
        width = round(x(done + value) - x(done), 1) if value else 0.0
        body.append(bar(x(done), 0, width, 20, f"part{at}", f"{name}: {figure(value)}"))
        done += value
    says = "; ".join(f"{name} {figure(value)}" for name, value in parts)
    head = '<svg class="stacked" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img">'
    return f"{head}<title>{escape(title)}</title><desc>{escape(says)}</desc>{''.join(body)}</svg>"


def gauge(
    says: str,
    value: float,
    ends: tuple[float, float] | None = None,
    *,
    span: tuple[float, float] = (0.0, 1.0),
    mark: float | None = None,
    kind: str = "",
) -> str:
    """A bar the height of a line of text, with the interval across it; `mark` is a value to be compared with."""
    low, high = span
    x = Scale(low, high if high > low else low + 1, 0, 100)
    body = [bar(0, 4, 100, 4, "track", says)]
    if value > low:
        body.append(bar(0, 3, min(100.0, x(value)), 6, "bar", says))
    if ends:
        first, last = (min(100.0, max(0.0, x(end))) for end in ends)
        body.append(line(first, 6, last, 6, "whisker"))
    if mark is not None:
        body.append(line(x(mark), 0, x(mark), 12, "mark"))
    head = f'<svg class="gauge {kind}" viewBox="0 0 100 12" preserveAspectRatio="none" role="img">'
    return f"{head}<title>{escape(says)}</title>{''.join(body)}</svg>"


def beside(title: str, rows: Sequence[tuple[str, float]], *, base: float, most: float = 1.0) -> str:
    """A few values as bars on one scale, from `base`, where nothing is known, to `most`; the first is drawn softly."""
    x = scale([base, most, *(value for _, value in rows)], 128, 300)
    bottom = 4 + 24 * len(rows)
    body = [line(x(base), 2, x(base), bottom, "zero")]
    for at, (name, value) in enumerate(rows):
        top, left, right = 4 + 24 * at, min(x(base), x(value)), max(x(base), x(value))
        shown = f"{value:.3f}"
        body += [
            text(120, top + 15, name, "tick", "end"),
            bar(left, top + 3, max(0.5, right - left), 16, "bar soft" if at == 0 else "bar", f"{name}: {shown}"),
            text(right + 6, top + 15, shown, "label"),
        ]
    says = "; ".join(f"{name} {value:.3f}" for name, value in rows)
    return picture(title, says, body, height=bottom + 2)
