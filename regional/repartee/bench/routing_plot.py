"""The routing simulation as an SVG: for each way of routing, the share of callers within a one-way time. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 44, 56
MOST_MS = 160.0
INK, GRID, BUDGET = "#1f2933", "#d9e2ec", "#c0392b"


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: ``points`` are (round trip ms, people) in order of the round trip."""

    label: str
    colour: str
    points: Sequence[tuple[float, int]]
    dashed: bool = False


def plot(curves: Sequence[Curve], budget_one_way_ms: float) -> str:
    """The whole picture as SVG text."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="15" font-weight="bold">Callers within a one-way network time</text>',
        *_grid(),
    ]
    x = _x(budget_one_way_ms)
    parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="{BUDGET}"/>')
    parts.append(
        f'<text x="{x + 4:.1f}" y="{TOP + 12}" fill="{BUDGET}">budget {budget_one_way_ms:.0f} ms</text>'
    )
    for number, curve in enumerate(curves):
        dash = ' stroke-dasharray="6 4"' if curve.dashed else ""
        line = f'fill="none" stroke="{curve.colour}" stroke-width="2"{dash}'
        parts.append(f'<polyline points="{_points(curve)}" {line}/>')
        y = HEIGHT - BOTTOM - 18 * (len(curves) - number)
        parts.append(f'<line x1="{WIDTH - 210}" y1="{y - 4}" x2="{WIDTH - 182}" y2="{y - 4}" {line}/>')
        parts.append(f'<text x="{WIDTH - 176}" y="{y}">{curve.label}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _x(one_way_ms: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(one_way_ms, MOST_MS) / MOST_MS


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def _grid() -> list[str]:
    parts = []
    for ms in range(0, int(MOST_MS) + 1, 20):
        x = _x(ms)
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="{GRID}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{ms}</text>')
    for percent in range(0, 101, 20):
        y = _y(percent / 100)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">one-way network time, ms</text>')
    return parts


def _points(curve: Curve) -> str:
    total, so_far = sum(people for _, people in curve.points), 0
    drawn = [f"{_x(0):.1f},{_y(0):.1f}"]
    last = -1.0
    for rtt_ms, people in curve.points:
        so_far += people
        x = _x(rtt_ms / 2)
        # One point a pixel: more can't be seen.
        if x - last >= 1.0 or so_far == total:
            drawn.append(f"{x:.1f},{_y(so_far / total):.1f}")
            last = x
    return " ".join(drawn)
