"""The dashboard's files: the chart library as npm has it, colours that everybody can tell apart, nothing to build."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest

import repartee.app

ROOT = Path(__file__).parents[3]
DASHBOARD = Path(repartee.app.__file__).parent / "dashboard"
PAGE = Path(repartee.app.__file__).parent / "page"
VENDORED = {
    "uplot.js": "dist/uPlot.iife.min.js",
    "uplot.css": "dist/uPlot.min.css",
    "uplot-license.txt": "LICENSE",
}

LEAST_CONTRAST = 3.0
"""Of a line against its ground, as WCAG 2.2 wants it of graphics (1.4.11)."""

LEAST_DIFFERENCE = 15.0
"""CIE76 between two lines, which besides differ in width or dashes."""

SIGHTS = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
"""Machado, Oliveira and Fernandes (2009), at full severity."""

Colour = tuple[float, float, float]


@pytest.mark.parametrize("name", sorted(VENDORED))
def test_the_vendored_library_is_npms(name: str) -> None:
    package = ROOT / "node_modules" / "uplot"
    if not package.is_dir():
        pytest.skip("uPlot is not installed: npm ci")
    assert (DASHBOARD / name).read_bytes() == (package / VENDORED[name]).read_bytes()


def test_package_json_names_the_version_that_is_vendored() -> None:
    wanted = json.loads((ROOT / "package.json").read_text())["devDependencies"]["uplot"]
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]["node_modules/uplot"]
    assert locked["version"] == wanted
    assert f"v{wanted}" in (DASHBOARD / "uplot.js").read_text()[:300]


def test_everything_the_page_asks_for_is_there() -> None:
    """Without a build step: what is written is what is served."""
    served = {"/dashboard": DASHBOARD, "/page": PAGE}
    for file in [*DASHBOARD.glob("*.html"), *DASHBOARD.glob("*.js")]:
        if file.name == "uplot.js":
            continue
        for folder, name in re.findall(r'"(/dashboard|/page)/([\w.-]+)"', file.read_text()):
            assert (served[folder] / name).is_file(), f"{file.name}: {folder}/{name}"
        assert "http://" not in file.read_text() and "https://" not in file.read_text()


def palettes() -> dict[str, dict[str, str]]:
    """The colours of both schemes, by name."""
    found: dict[str, dict[str, str]] = {"light": {}, "dark": {}}
    for file in (PAGE / "base.css", DASHBOARD / "dashboard.css"):
        light, _, dark = file.read_text().partition("@media (prefers-color-scheme: dark)")
        dark = dark.partition("\n}\n")[0]
        for scheme, text in (("light", light), ("dark", dark)):
            found[scheme] |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text))
    return found


def linear(colour: str) -> Colour:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return tuple(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue))  # type: ignore[return-value]


def seen(colour: str, sight: str) -> Colour:
    """In linear RGB, as somebody with this sight has it."""
    rgb = linear(colour)
    return tuple(  # type: ignore[return-value]
        min(max(sum(weight * part for weight, part in zip(row, rgb, strict=True)), 0.0), 1.0)
        for row in SIGHTS[sight]
    )


def luminance(rgb: Colour) -> float:
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]


def contrast(one: Colour, other: Colour) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: Colour) -> Colour:
    red, green, blue = rgb
    xyz = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047,
        luminance(rgb),
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883,
    )
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("sight", sorted(SIGHTS))
def test_lines_can_be_told_apart_whatever_colours_one_sees(scheme: str, sight: str) -> None:
    colours = palettes()[scheme]
    lines = {name: seen(colours[name], sight) for name in ("line-p50", "line-p90", "line-p99", "budget")}
    for name, line in lines.items():
        assert contrast(line, seen(colours["surface"], sight)) >= LEAST_CONTRAST, name
        assert contrast(line, seen(colours["paper"], sight)) >= LEAST_CONTRAST, name
    for (one, first), (other, second) in combinations(lines.items(), 2):
        apart = sum((a - b) ** 2 for a, b in zip(lab(first), lab(second), strict=True)) ** 0.5
        assert apart >= LEAST_DIFFERENCE, (one, other, apart)


def test_no_line_and_no_verdict_is_told_by_colour_alone() -> None:
    charts = (DASHBOARD / "charts.js").read_text()
    widths = re.findall(r'name: "(p\d\d)", label: "\w+", width: ([\d.]+)(, dash)?', charts)
    assert len({(width, bool(dash)) for _, width, dash in widths}) == len(widths) == 3
    assert "setLineDash" in charts  # the budget
    lanes = (DASHBOARD / "lanes-view.js").read_text()
    assert "▲ over budget" in lanes and "✓ within" in lanes
