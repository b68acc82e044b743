"""Plots of a data report as inline SVG: bars alone, with all text escaped."""

from collections.abc import Sequence
from html import escape

from tfchain.data.checks.lengths import TextLengths
from tfchain.data.checks.ranking import Ranks

WIDTH, HEIGHT = 360, 160
LEFT, BOTTOM, TOP = 44, 34, 22
ROW_HEIGHT = 18
LABEL_WIDTHS = (60, 164)
CHARACTER_WIDTH = 6.6
RANK_BORDERS = (1, 2, 4, 11, 31, 101, 301, 1001, 10_001)
MOST_ROWS = 20
SHOWN_LABEL = 24  # characters


def plot_lengths(lengths: TextLengths) -> str:
    """Draws a histogram of lengths; a line marks where the model stops reading."""
    counts, edges = lengths.histogram.counts, lengths.histogram.edges
    most = max(counts)
    inner, floor = WIDTH - LEFT - 10, HEIGHT - BOTTOM
    step = inner / len(counts)
    parts = [axis(floor, most, inner)]
    for place, count in enumerate(counts):
        height = (floor - TOP) * count / most
        if count:
            last = place == len(counts) - 1
            span = (
                f"{number(edges[place])} and more" if last else f"{number(edges[place])} to {number(edges[place + 1])}"
            )
            parts.append(
                f'<rect class="bar" x="{LEFT + place * step + 0.5:.1f}" y="{floor - height:.1f}" '
                f'width="{max(step - 1, 1):.1f}" height="{max(height, 1):.1f}">'
                f"<title>{span} {to_html_text(lengths.unit)}: {count:,}</title></rect>"
            )
    limit = lengths.max_length
    if limit is not None and edges[0] <= limit <= edges[-1]:
        x = LEFT + inner * (limit - edges[0]) / (edges[-1] - edges[0])
        anchor, shift = ("end", -4) if x > WIDTH / 2 else ("start", 4)
        parts.append(
            f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{floor}"/>'
            f'<text class="limit-text" x="{x + shift:.1f}" y="{TOP - 8}" text-anchor="{anchor}">'
            f"the model reads {limit:,}</text>"
        )
    for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        value = edges[0] + part * (edges[-1] - edges[0])
        more = "+" if part == 1 and lengths.histogram.quantiles["1.0"] > edges[-1] else ""
        parts.append(
            f'<text x="{LEFT + part * inner:.1f}" y="{floor + 14}" text-anchor="{anchor}">{number(value)}{more}</text>'
        )
    parts.append(
        f'<text x="{LEFT + inner / 2:.1f}" y="{floor + 29}" text-anchor="middle">{to_html_text(lengths.unit)}</text>'
    )
    return svg(HEIGHT, parts, f"Lengths of {lengths.role} in {lengths.set}")


def plot_counts(counts: dict[str, int], what: str) -> str:
    """Draws a bar for each name: of more than 20 the ten most frequent and the ten rarest."""
    rows = list(counts.items())
    if len(rows) > MOST_ROWS:
        half = MOST_ROWS // 2
        rows = [*rows[:half], (f"{len(rows) - MOST_ROWS:,} others", -1), *rows[-half:]]
    return plot_rows(rows, sum(counts.values()), what)


def plot_ranks(ranks: Ranks) -> str:
    """Draws how many positives rank first, second to third, fourth to tenth, and so on."""
    borders = [border for border in RANK_BORDERS if border <= ranks.num_documents]
    rows = []
    for start, end in zip(borders, [*borders[1:], ranks.num_documents + 1], strict=True):
        count = sum(start <= rank < end for rank in ranks.ranks)
        rows.append((f"rank {start:,}" if end - start == 1 else f"{start:,} to {end - 1:,}", count))
    return plot_rows(rows, len(ranks.ranks), f"Ranks of positives in {ranks.set} by {ranks.method}")


def plot_rows(rows: Sequence[tuple[str, int]], total: int, what: str) -> str:
    """Draws named bars below each other, each with its count and share; a count of -1 is a gap."""
    most = max((count for _, count in rows), default=1) or 1
    longest = max((min(len(name), SHOWN_LABEL) for name, _ in rows), default=0)
    left = min(max(longest * CHARACTER_WIDTH + 10, LABEL_WIDTHS[0]), LABEL_WIDTHS[1])
    inner = WIDTH - left - 92
    parts = []
    for place, (name, count) in enumerate(rows):
        y = place * ROW_HEIGHT + 4
        if count < 0:
            parts.append(f'<text x="{left - 6:.1f}" y="{y + 11}" text-anchor="end">… {to_html_text(name)} …</text>')
            continue
        shown = name if len(name) <= SHOWN_LABEL else name[: SHOWN_LABEL - 1] + "…"
        parts.append(
            f'<text x="{left - 6:.1f}" y="{y + 11}" text-anchor="end">{to_html_text(shown)}'
            f"<title>{to_html_text(name)}</title></text>"
            f'<rect class="bar" x="{left:.1f}" y="{y}" width="{max(inner * count / most, 1 if count else 0):.1f}" '
            f'height="{ROW_HEIGHT - 5}"/>'
            f'<text class="value" x="{left + inner * count / most + 5:.1f}" y="{y + 11}">{count:,} '
            f"({to_html_text(percent(count / max(total, 1)))})</text>"
        )
    return svg(len(rows) * ROW_HEIGHT + 8, parts, what)


def axis(floor: float, most: int, inner: float) -> str:
    """Draws the lower border, and the largest count at the left."""
    return (
        f'<line class="axis" x1="{LEFT}" x2="{LEFT + inner}" y1="{floor}" y2="{floor}"/>'
        f'<line class="grid" x1="{LEFT}" x2="{LEFT + inner}" y1="{TOP}" y2="{TOP}"/>'
        f'<text x="{LEFT - 5}" y="{TOP + 4}" text-anchor="end">{most:,}</text>'
        f'<text x="{LEFT - 5}" y="{floor + 1}" text-anchor="end">0</text>'
    )


def svg(height: float, parts: Sequence[str], what: str) -> str:
    """Puts shapes into one picture."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{to_html_text(what)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def to_html_text(text: str) -> str:
    """Escapes a text for HTML and SVG; characters that control a terminal, and are not allowed there, become �."""
    shown = text if text.isprintable() else "".join(c if c.isprintable() or c in "\n\t\u3000" else "�" for c in text)
    return escape(shown)


def percent(share: float) -> str:
    """Writes a share, in percent; a small one as below 0.1 %."""
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def number(value: float) -> str:
    """Writes a number of an axis."""
    return f"{value:,.0f}" if abs(value) >= 10 or value == round(value) else f"{value:.2f}"
