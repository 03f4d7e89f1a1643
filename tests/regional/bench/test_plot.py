"""The benchmarks' plots: well-formed, in scale, and honest about what went wrong."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from repartee.bench.plot import BOTTOM, HEIGHT, LEFT, TOP, Chart, PlotLine, plot, tick, write_plot
from repartee.errors import VoiceError

SVG = "{http://www.w3.org/2000/svg}"


def drawn(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(plot(chart))


def points_of(picture: ElementTree.Element) -> list[tuple[float, float]]:
    line = picture.find(f"{SVG}polyline")
    assert line is not None
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.attrib["points"].split())]


def test_points_are_where_their_values_say() -> None:
    chart = Chart("a", "x", "y", [PlotLine("l", [(0, 400), (50, 550), (100, 700)])], y_from=400, y_most=700)
    (x0, y0), (x1, y1), (x2, y2) = points_of(drawn(chart))
    assert (x0, y0) == (LEFT, HEIGHT - BOTTOM)
    assert y2 == TOP
    assert x1 == pytest.approx((x0 + x2) / 2) and y1 == pytest.approx((y0 + y2) / 2)


def test_what_is_too_high_is_drawn_at_the_edge() -> None:
    chart = Chart("a", "x", "y", [PlotLine("l", [(1, 9000)])], y_from=400, y_most=700)
    assert points_of(drawn(chart))[0][1] == TOP


def test_words_cannot_break_the_picture() -> None:
    picture = drawn(Chart("a < b & c", "<x>", '"y"', [PlotLine("<l>", [(1, 1)])], limit=1, limit_label="<&>"))
    words = [text.text for text in picture.iter(f"{SVG}text")]
    assert {"a < b & c", "<x>", '"y"', "<l>", "<&>"} <= set(words)


def test_steps_that_went_wrong_are_crossed_out() -> None:
    assert (
        drawn(Chart("a", "x", "y", [PlotLine("l", [(1, 1)], crossed=[(1, 1)])])).find(f"{SVG}path")
        is not None
    )


def test_a_chart_of_nothing_is_a_chart() -> None:
    drawn(Chart("a", "x", "y", [PlotLine("l", [])]))


@pytest.mark.parametrize(("span", "wanted"), [(100, 20), (6, 1), (0.3, 0.05), (300, 50), (700, 200)])
def test_grid_lines_are_at_round_values(span: float, wanted: float) -> None:
    assert tick(span) == pytest.approx(wanted)


def test_a_plot_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VoiceError, match="The plot cannot be written to"):
        write_plot(Chart("a", "x", "y", []), tmp_path / "file" / "plot.svg")
