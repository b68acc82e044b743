"""Markdown's headings are titles, whatever a line holds."""

import time

import pytest

from tfchain.data.documents.text_files import first_heading


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("# Title", "Title"),
        ("   ###### \tTitle \t", "Title"),
        ("## Title ##  ", "Title"),
        ("## Title\t#", "Title"),
        ("## Title#", "Title#"),
        ("# C# and F#", "C# and F#"),
        ("# a # b ###", "a # b"),
        ("#Title", ""),
        ("    # four spaces are code", ""),
        ("####### seven", ""),
        ("## ##", ""),
        ("#  ", ""),
    ],
)
def test_a_heading_is_what_stands_between_its_signs(line: str, title: str) -> None:
    assert first_heading(line) == title
    assert first_heading(f"text\n~~~\n# code\n~~~\n{line}\n# Later") == (title or "Later")


@pytest.mark.parametrize("middle", [" " * 200_000, " #" * 100_000, "#" * 200_000, "\t" * 200_000])
def test_a_heading_with_many_spaces_takes_no_quadratic_time(middle: str) -> None:
    start = time.perf_counter()
    assert first_heading(f"# a{middle}b") == f"a{middle}b"
    assert time.perf_counter() - start < 5  # a few milliseconds; a pattern that backtracks takes minutes
