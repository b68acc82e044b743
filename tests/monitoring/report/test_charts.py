"""Charts as SVG: well-formed, of the right heights, with words for everything."""

import math
from xml.etree import ElementTree

import pytest

from tfchain.monitoring.report.charts import draw_bars, draw_histogram, draw_lines, write_number


def elements(svg: str, name: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(name))


def test_bars_are_as_high_as_their_values() -> None:
    bars = elements(draw_bars(["a", "<b>", "c"], [0, 5, 10], description='A "chart"'), "rect")
    assert [float(bar.get("height", "")) for bar in bars] == [0.0, 78.0, 156.0]
    assert [bar[0].text for bar in bars] == ["a: 0", "<b>: 5", "c: 10"]


def test_lines_have_gaps_where_nothing_is_known() -> None:
    svg = draw_lines(["1", "2", "3", "4"], [("x", [1, math.nan, 3, 4]), ("y", [2, 2, 2, 2])], description="Lines")
    assert [len(line.get("points", "").split()) for line in elements(svg, "polyline")] == [1, 2, 4]
    assert {"x", "y"} <= {text.text for text in elements(svg, "text")}
    assert ElementTree.fromstring(svg).get("aria-label") == "Lines"


def test_a_histogram_counts_whole_numbers_one_by_one_and_others_by_width() -> None:
    titles = [bar[0].text for bar in elements(draw_histogram([1, 1, 3], description="Whole"), "rect")]
    assert titles == ["1: 2", "2: 0", "3: 1"]
    bars = elements(draw_histogram([0.0, 0.1, 0.5, math.nan], description="Parts", num_bars=5), "rect")
    assert [bar[0].text.rpartition(": ")[2] for bar in bars if bar[0].text] == ["1", "1", "0", "0", "0", "1"]


def test_charts_of_nothing_are_drawn_too() -> None:
    for svg in (draw_bars([], [], description="none"), draw_histogram([], description="none")):
        assert elements(svg, "rect") == []


@pytest.mark.parametrize(
    ("value", "text"), [(1234567, "1,234,567"), (0.12345, "0.123"), (1234.5, "1,234"), (math.nan, "–"), (0, "0")]
)
def test_numbers_are_written_for_people(value: float, text: str) -> None:
    assert write_number(value) == text


def test_the_numbers_of_the_axis_have_room() -> None:
    svg = draw_lines(["1"], [("x", [9_000.0])], description="Latency", unit=" ms")
    ends = [text for text in elements(svg, "text") if text.get("text-anchor") == "end"]
    assert max(len(text.text or "") for text in ends) == len("10,000 ms")
    assert all(float(text.get("x", "")) >= 6.2 * len(text.text or "") for text in ends)
