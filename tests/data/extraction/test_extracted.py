"""Blocks are joined, and tables written."""

import pytest

from tfchain.core.errors import InputError
from tfchain.data.extraction.extracted import Extracted, TextBuilder, to_table
from tfchain.data.files.limits import ReadLimits


def test_blocks_are_joined_with_an_empty_line_and_pages_counted() -> None:
    builder = TextBuilder(ReadLimits())
    builder.begin_page()
    builder.add("a")
    builder.add(" \n")
    builder.add("b", "\n")
    builder.begin_page()
    builder.begin_page()
    builder.add("  c\n")
    assert builder.build(" A\ntitle ") == Extracted("a\nb\n\n  c", "A title", [0, 5, 5])


def test_a_last_page_without_text_begins_at_the_end() -> None:
    builder = TextBuilder(ReadLimits())
    builder.begin_page()
    builder.add("ab")
    builder.begin_page()
    assert builder.build().page_starts == [0, 2]


def test_limits_end_the_building() -> None:
    builder = TextBuilder(ReadLimits(characters=4, pages=1))
    builder.begin_page()
    builder.add("ab")
    with pytest.raises(InputError, match="more than 1 pages"):
        builder.begin_page()
    with pytest.raises(InputError, match="more than 4 characters"):
        builder.add("c")


def test_a_table_has_the_width_of_its_longest_row() -> None:
    assert to_table([["a"], [], ["b|", " c\nd "]]) == "| a |  |\n| --- | --- |\n| b\\| | c d |"
    assert to_table([[""], []]) == ""
