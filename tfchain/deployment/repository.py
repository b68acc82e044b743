"""Version folders of a base path: list them, find the latest, name the next, read what its export noted."""

import json
import re
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError

DESCRIPTION = "assets.extra/tfchain.json"  # in a version's folder: what its exporter says of it
_INT64_MAX = 2**63 - 1
# What TensorFlow Serving reads as a version: blanks around, a sign and leading zeros are all fine.
_VERSION = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*")


def parse_version(name: str) -> int | None:
    """Reads a child's name as TensorFlow Serving does.

    Args:
        name: The name of a file or folder, such as `"3"` or `"003"`.

    Returns:
        The version's number, or None where the name is not a number of 64 bits.
    """
    match = _VERSION.fullmatch(name)
    if match is None:
        return None
    version = int(match[1])
    return version if -_INT64_MAX - 1 <= version <= _INT64_MAX else None


def list_versions(base_path: Path | str) -> dict[int, Path]:
    """Lists the versions below a base path; children whose name is not a number are passed over.

    Of two names for one number (`1` and `01`) the last in the order of names is taken.

    Args:
        base_path: The folder that holds one folder a version.

    Returns:
        `{version: path}`, in ascending order.

    Raises:
        InputError: if the base path cannot be listed.
    """
    base_path = Path(base_path)
    try:
        children = sorted(base_path.iterdir(), key=lambda child: child.name)
    except OSError as error:
        raise InputError(
            f"A base path must be a folder of version folders (`1`, `2`, …). Received: {base_path} "
            f"({error.strerror or error}). Give the folder that an export wrote its versions into."
        ) from error
    versions = {version: child for child in children if (version := parse_version(child.name)) is not None}
    return dict(sorted(versions.items()))


def read_source(version_path: Path) -> Any:
    """Reads who exported a version: the `source` of its description; None where it has none, or no description.

    Raises:
        OSError: if the description is there, but cannot be read.
    """
    try:
        description = json.loads((version_path / DESCRIPTION).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return description.get("source") if isinstance(description, dict) else None


def latest_version(base_path: Path | str) -> int | None:
    """Returns the highest version of a base path, or None where it has none.

    Raises:
        InputError: if the base path cannot be listed.
    """
    return max(list_versions(base_path), default=None)


def next_version(base_path: Path | str) -> int:
    """Returns the number that the next version takes: one above the highest; 1 where there is none, or no folder yet.

    Raises:
        InputError: if the base path is there, but cannot be listed.
    """
    if not Path(base_path).exists():
        return 1
    return max(latest_version(base_path) or 0, 0) + 1
