"""All of an HTML tree becomes Markdown, however it is nested."""

import time

import pytest
from lxml import html

from tfchain.data.extraction.html_markdown import to_markdown


@pytest.mark.parametrize(
    ("page", "blocks"),
    [
        ("<p>a  b\n c</p>tail", ["a b c", "tail"]),
        ("<p>a<br>b</p>", ["a\nb"]),
        ("<h3> A <em>b</em>\n</h3>", ["### A b"]),
        ("<div>x<div>y</div>z</div>", ["x", "y", "z"]),
        ("<ul><li>a<ul><li>b</li></ul>c</li><li>d</li></ul>", ["- a c\n  - b\n- d"]),
        ("<ol><li><p>a</p></li><li>b</li></ol>", ["1. a\n2. b"]),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", ["| a | b |\n| --- | --- |\n| c |  |"]),
        ("<pre>x\n  y</pre>", ["```\nx\n  y\n```"]),
        ("<blockquote><p>a</p><p>b</p></blockquote>", ["> a\n>\n> b"]),
        ("<p>use <code>f()</code></p>", ["use `f()`"]),
        ("<p>a</p><script>no</script><style>no</style><nav>no</nav><!-- no --><p>b</p>", ["a", "b"]),
        ("<span>a<div>b</div></span>", ["a", "b"]),
        ("<p></p><ul></ul><table></table>", []),
    ],
)
def test_blocks_are_markdown(page: str, blocks: list[str]) -> None:
    assert to_markdown(html.document_fromstring(f"<body>{page}</body>").find("body")) == blocks


@pytest.mark.parametrize("tag", ["div", "ul><li", "blockquote", "span", "table><tr><td"])
def test_deep_nesting_ends(tag: str) -> None:
    root = html.document_fromstring(f"<body>{f'<{tag}>' * 2000}deep</body>", parser=html.HTMLParser(huge_tree=True))
    start = time.perf_counter()
    blocks = to_markdown(root.find("body"))
    assert time.perf_counter() - start < 5
    assert len(blocks) <= 2
