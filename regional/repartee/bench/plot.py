"""A benchmark's figures as an SVG: lines over two axes, and a limit across them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from repartee.errors import VoiceError

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 48, 56
INK, GRID, LIMIT = "#1f2933", "#d9e2ec", "#c0392b"
COLOURS = ("#2b6cb0", "#b7791f", "#2f855a", "#7b341e", "#6b46c1")
TICKS = 6


@dataclass(frozen=True, slots=True)
class PlotLine:
    """A line's points, from left to right; ``crossed`` are those where something went wrong."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: str = COLOURS[0]
    dashed: bool = False
    dots: bool = True
    crossed: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn. The axes go from ``x_from`` and ``y_from`` to ``x_most`` and ``y_most`` (0: as far as the points
    do); what lies beyond is drawn at the edge.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[PlotLine]
    x_from: float = 0.0
    x_most: float = 0.0
    y_from: float = 0.0
    y_most: float = 0.0
    limit: float | None = None
    limit_label: str = ""
    limit_is_upright: bool = False
    """The limit is one of the x axis."""


def plot(chart: Chart) -> str:
    """The whole picture as SVG text."""
    area = _Area(chart)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="26" font-size="15" font-weight="bold">{escape(chart.title)}</text>',
        *_grid(chart, area),
        *_limit(chart, area),
    ]
    for number, line in enumerate(chart.lines):
        parts += _line(line, area)
        parts += _legend(line, number)
    return "\n".join([*parts, "</svg>", ""])


def write_plot(drawn: Chart, path: Path) -> None:
    """Write a chart as SVG. Raises VoiceError when that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(plot(drawn), encoding="utf-8")
    except OSError as error:
        raise VoiceError(f"The plot cannot be written to {path}: {error.strerror}.") from None


class _Area:
    """Where a value is on the picture."""

    def __init__(self, chart: Chart) -> None:
        points = [point for line in chart.lines for point in (*line.points, *line.crossed)]
        self.x_from, self.y_from = chart.x_from, chart.y_from
        self.x_step = tick(max([chart.x_most, *(x for x, _ in points)], default=1.0) - self.x_from)
        self.x_most = chart.x_most or self._end(self.x_from, self.x_step, [x for x, _ in points])
        self.y_step = tick((chart.y_most or max((y for _, y in points), default=1.0)) - self.y_from)
        self.y_most = chart.y_most or self._end(self.y_from, self.y_step, [y for _, y in points])

    @staticmethod
    def _end(start: float, step: float, values: Sequence[float]) -> float:
        most = max(values, default=start)
        return start + step * max(math.ceil((most - start) / step - 1e-9), 1)

    def x(self, value: float) -> float:
        share = (min(max(value, self.x_from), self.x_most) - self.x_from) / (self.x_most - self.x_from)
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    def y(self, value: float) -> float:
        share = (min(max(value, self.y_from), self.y_most) - self.y_from) / (self.y_most - self.y_from)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def tick(span: float) -> float:
    """The distance of grid lines: 1, 2 or 5 times a power of ten, for about six of them."""
    wanted = max(span, 1e-9) / TICKS
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= wanted * (1 - 1e-9))


def _grid(chart: Chart, area: _Area) -> list[str]:
    parts = []
    for number in range(round((area.x_most - area.x_from) / area.x_step) + 1):
        value = area.x_from + number * area.x_step
        x = area.x(value)
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="{GRID}"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{round(value, 6):g}</text>'
        )
    for number in range(round((area.y_most - area.y_from) / area.y_step) + 1):
        value = area.y_from + number * area.y_step
        y = area.y(value)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{round(value, 6):g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">{escape(chart.x_label)}</text>')
    parts.append(f'<text x="{LEFT - 40}" y="{TOP - 8}">{escape(chart.y_label)}</text>')
    return parts


def _limit(chart: Chart, area: _Area) -> list[str]:
    if chart.limit is None:
        return []
    label = escape(chart.limit_label)
    if chart.limit_is_upright:
        x = area.x(chart.limit)
        return [
            f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="{LIMIT}"/>',
            f'<text x="{x + 4:.1f}" y="{TOP + 12}" fill="{LIMIT}">{label}</text>',
        ]
    y = area.y(chart.limit)
    return [
        f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{LIMIT}"/>',
        f'<text x="{WIDTH - RIGHT - 4}" y="{y - 5:.1f}" text-anchor="end" fill="{LIMIT}">{label}</text>',
    ]


def _line(line: PlotLine, area: _Area) -> list[str]:
    dash = ' stroke-dasharray="6 4"' if line.dashed else ""
    drawn = " ".join(f"{area.x(x):.1f},{area.y(y):.1f}" for x, y in line.points)
    parts = [f'<polyline points="{drawn}" fill="none" stroke="{line.colour}" stroke-width="2"{dash}/>']
    if line.dots:
        parts += [
            f'<circle cx="{area.x(x):.1f}" cy="{area.y(y):.1f}" r="3" fill="{line.colour}"/>'
            for x, y in line.points
        ]
    for x, y in line.crossed:
        at_x, at_y = area.x(x), area.y(y)
        parts.append(
            f'<path d="M{at_x - 5:.1f} {at_y - 5:.1f}l10 10m0 -10l-10 10" stroke="{line.colour}" '
            'stroke-width="2"/>'
        )
    return parts


def _legend(line: PlotLine, number: int) -> list[str]:
    y = TOP + 16 + 18 * number
    dash = ' stroke-dasharray="6 4"' if line.dashed else ""
    return [
        f'<line x1="{LEFT + 12}" y1="{y - 4}" x2="{LEFT + 40}" y2="{y - 4}" stroke="{line.colour}" '
        f'stroke-width="2"{dash}/>',
        f'<text x="{LEFT + 46}" y="{y}">{escape(line.label)}</text>',
    ]
