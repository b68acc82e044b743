"""Reads a file of queries or documents: a text a line, JSON lines, or a table."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError

COLUMNS = ("text", "query", "user_query")  # the last is that of User Behavior Insights
ENDINGS = (".txt", ".jsonl", ".csv", ".tsv")


def read_texts(path: Path) -> list[str]:
    """Reads the texts of a file.

    Args:
        path: The file: .txt, or .jsonl, .csv or .tsv with `text`, `query` or `user_query`; of documents also `title`.

    Raises:
        InputError: if it is of another kind, is not there, has no texts, or a line cannot be read.
    """
    if path.suffix not in ENDINGS or not path.is_file():
        what = "not there" if not path.exists() else "another kind of file"
        raise InputError(f"Expected a file of texts ({', '.join(ENDINGS)}). Received: {path}, which is {what}.")
    try:
        if path.suffix == ".txt":
            texts = path.read_text(encoding="utf-8-sig").splitlines()
        elif path.suffix == ".jsonl":
            texts = list(_read_json_lines(path))
        else:
            with open(path, encoding="utf-8-sig", newline="") as file:
                rows = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
                texts = [find_text(row, f"{path}, line {number}") for number, row in enumerate(rows, 2)]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8. Received: {error}. Convert it first.") from error
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise InputError(f"{path} has no texts. Give a file with at least one.")
    return texts


def find_text(row: Any, place: str) -> str:
    """Returns a row's text, its title before it.

    Raises:
        InputError: if it has none; the message names the place.
    """
    name = next((name for name in COLUMNS if isinstance(row, dict) and isinstance(row.get(name), str)), None)
    if name is None:
        raise InputError(f"{place}: expected `text`, `query` or `user_query`. Received: {row!r:.80}.")
    return f"{row.get('title') or ''} {row[name]}".strip()


def _read_json_lines(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if line.strip():
            try:
                yield find_text(json.loads(line), f"{path}, line {number}")
            except (json.JSONDecodeError, RecursionError) as error:
                raise InputError(f"{path}, line {number}: not JSON: {error}.") from error
