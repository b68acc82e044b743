"""A data report as text for a terminal."""

import io
from typing import TYPE_CHECKING

from tfchain.data.checks.report_html import VERDICTS, count_of, place_of

if TYPE_CHECKING:
    from tfchain.data.checks.report import DataReport

STYLES = {"ok": "green", "look": "yellow", "stop": "bold red"}
SHOWN_EXAMPLES = 2
SHOWN_CHARACTERS = 120


def render_text(report: "DataReport", *, width: int, colour: bool) -> str:
    """Returns the report as text.

    Args:
        report: The report. Texts in it are shown without characters that could control a terminal.
        width: The columns to fill.
        colour: Whether to add escape codes.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=colour, color_system="standard" if colour else None, highlight=False
    )
    console.print(Text(f"{report.severity}: {VERDICTS[report.severity]}", style=STYLES[report.severity]))
    for name, counts in report.sets.items():
        console.print(Text(f"{name}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items())))
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("finding", ratio=1)
    table.add_column("count", justify="right", no_wrap=True)
    for finding in report.findings:
        if finding.severity == "ok":
            continue
        words = Text(f"{finding.title}, {place_of(finding)}")
        if finding.note:
            words.append(f"\n{to_line(finding.note)}", style="dim")
        for example in finding.examples[:SHOWN_EXAMPLES]:
            shown = " | ".join(shorten(to_line(text)) for text in example.texts)
            detail = f" ({to_line(example.detail)})" if example.detail else ""
            words.append(f"\n  {to_line(', '.join(example.ids))}{detail}{': ' if shown else ''}{shown}", style="dim")
        table.add_row(Text(finding.severity, style=STYLES[finding.severity]), words, count_of(finding))
    if table.row_count:
        console.print(table)
    quiet = sum(finding.severity == "ok" for finding in report.findings)
    console.print(Text(f"{quiet} checks found nothing that stands out.", style="green"))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def to_line(text: str) -> str:
    """Returns a text on one line, without characters that could control a terminal."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def shorten(text: str) -> str:
    """Returns a text cut to 120 characters."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
