"""What the commands print: JSON for programs, tables for people."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from tfchain.core.types import Hit, SearchResult

SNIPPET_LENGTH = 160


def print_json(value: Mapping[str, Any]) -> None:
    """Prints one JSON object on one line."""
    click.echo(json.dumps(value, ensure_ascii=False))


def print_hits(result: SearchResult) -> None:
    """Prints a question and a table of the hits."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, title=Text(to_line(result["text"]), style="bold"), title_justify="left")
    table.add_column("#", justify="right", style="dim")
    table.add_column("score", justify="right")
    table.add_column("document", overflow="fold", max_width=40, style="cyan")
    table.add_column("title and text")
    for rank, hit in enumerate(result.hits, 1):
        table.add_row(str(rank), f"{hit.score:.4f}", Text(to_line(hit.id)), Text(to_snippet(hit)))
    Console(highlight=False).print(table)


def print_values(values: Mapping[str, Any]) -> None:
    """Prints names and values in two columns; None values are left out."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in values.items():
        if value is not None:
            table.add_row(name.replace("_", " "), Text(to_words(value)))
    Console(highlight=False).print(table)


def to_words(value: Any) -> str:
    """Formats a plain value for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {to_words(inner)}" for name, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(to_words, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def to_snippet(hit: Hit) -> str:
    """The beginning of a document, its title first, on one line."""
    line = to_line(f"{hit.title} — {hit.text}" if hit.title and hit.text else hit.title or hit.text)
    return line if len(line) <= SNIPPET_LENGTH else line[: SNIPPET_LENGTH - 1].rstrip() + "…"


def to_line(text: str) -> str:
    """A text on one line, without characters that could control a terminal."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Shows on a terminal what the user is waiting for, while the block runs."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{what} …"):
        yield
