"""Blocks and sections of Markdown and HTML."""

import time

import pytest

from tfchain.data.documents.structure import find_blocks, find_sections, walk_sections

MARKDOWN = """---
title: x
---
# One #

Words of
a paragraph.
- first
  goes on

- second

      code of it
## Two words
```py
# no heading
| no | table |
```
| a | b |
| - | :-: |
| 1 | 2 |

a | b
--- | ---
1 | 2

Title
=====
~~~
never closed

# inside
"""


def test_blocks_of_markdown() -> None:
    blocks = [(block.kind, block.level, MARKDOWN[block.start : block.end]) for block in find_blocks(MARKDOWN)]
    assert blocks == [
        ("code", 0, "---\ntitle: x\n---"),
        ("heading", 1, "# One #"),
        ("paragraph", 0, "Words of\na paragraph."),
        ("list", 0, "- first\n  goes on\n\n- second\n\n      code of it"),
        ("heading", 2, "## Two words"),
        ("code", 0, "```py\n# no heading\n| no | table |\n```"),
        ("table", 0, "| a | b |\n| - | :-: |\n| 1 | 2 |"),
        ("table", 0, "a | b\n--- | ---\n1 | 2"),
        ("heading", 1, "Title\n====="),
        ("code", 0, "~~~\nnever closed\n\n# inside"),
    ]
    assert [block.text for block in find_blocks(MARKDOWN) if block.kind == "heading"] == ["One", "Two words", "Title"]


def test_what_only_looks_like_a_heading_is_none() -> None:
    assert [block.kind for block in find_blocks("#hash\n\n    # indented\n\n####### seven\n\n- a\n---\n")] == [
        "paragraph",
        "code",
        "paragraph",
        "list",
    ]


def test_blocks_of_html() -> None:
    html = (
        "<html><body><h1>One &amp; <b>only</b></h1><p>Words.</p>free words<ul><li>a<ul><li>b</li></ul></li></ul>"
        "<div><h2 class='x'>Two</h2><table><tr><td>1</td></tr></table><pre># code</pre></div></body></html>"
    )
    assert [(block.kind, block.level, html[block.start : block.end]) for block in find_blocks(html)] == [
        ("heading", 1, "<h1>One &amp; <b>only</b></h1>"),
        ("paragraph", 0, "<p>Words.</p>"),
        ("paragraph", 0, "free words"),
        ("list", 0, "<ul><li>a<ul><li>b</li></ul></li></ul>"),
        ("heading", 2, "<h2 class='x'>Two</h2>"),
        ("table", 0, "<table><tr><td>1</td></tr></table>"),
        ("code", 0, "<pre># code</pre>"),
    ]
    assert find_blocks(html)[0].text == "One & only"


def test_sections_nest_by_level_and_end_where_the_next_begins() -> None:
    text = "Before.\n\n## A\n\na\n\n#### Deep\n\nd\n\n## B\n\nb\n\n# Top\n\nt"
    sections = [
        (section.path, text[section.start : section.end].strip()) for section in walk_sections(find_sections(text))
    ]
    assert sections == [
        ((), text),
        (("A",), "## A\n\na\n\n#### Deep\n\nd"),
        (("A", "Deep"), "#### Deep\n\nd"),
        (("B",), "## B\n\nb"),
        (("Top",), "# Top\n\nt"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("# " + " " * 100_000 + "b", "| " * 50_000, "- - " * 30_000, "<h1>" * 30_000, "<p>" * 30_000, "> " * 50_000),
        *("a\n" * 50_000, "```\n" * 30_000, "\n" * 100_000, "- a\n\n" * 30_000, "<table>" * 30_000, "# a\n" * 30_000),
    ],
)
def test_no_text_takes_quadratic_time(text: str) -> None:
    start = time.perf_counter()
    find_sections(text)
    assert time.perf_counter() - start < 3
