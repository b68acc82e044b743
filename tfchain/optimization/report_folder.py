"""The folder of a report: its values, its table and its picture."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tfchain.core.atomic import write_file, write_json
from tfchain.core.errors import InputError

FILE = "report.json"
Report = TypeVar("Report")


def save_report(path: str | Path, values: Mapping[str, Any], table: str, pictures: Mapping[str, bytes]) -> Path:
    """Writes `report.json`, `report.txt` and the pictures.

    Args:
        path: A folder; created if missing.
        values: Plain values for JSON.
        table: The report as text.
        pictures: File name → content.

    Returns:
        The folder.

    Raises:
        TfchainError: if it cannot be written.
    """
    path = Path(path)
    write_json(path / FILE, dict(values))
    write_file(path / "report.txt", table)
    for name, content in pictures.items():
        write_file(path / name, content)
    return path


def load_report(path: str | Path, make: Callable[[dict[str, Any]], Report]) -> Report:
    """Reads the `report.json` of a report's folder.

    Args:
        path: The folder.
        make: Makes the report from plain values.

    Raises:
        InputError: if the file is missing or damaged.
    """
    file = Path(path) / FILE
    try:
        return make(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is not a report: {type(error).__name__}: {error}. Write one with `save`.") from error
