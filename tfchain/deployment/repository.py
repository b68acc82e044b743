"""Version folders of a base path: lists them, finds the latest, names the next, reads a version's source."""

import json
import re
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError

DESCRIPTION = "assets.extra/tfchain.json"  # in a version's folder: written by its export
_INT64_MAX = 2**63 - 1
_LONGEST_NAME = 255  # of a file
# What TensorFlow Serving accepts as a version: surrounding blanks, a sign and leading zeros are allowed.
_VERSION = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*")


def parse_version(name: str) -> int | None:
    """Reads a version number as TensorFlow Serving does.

    Args:
        name: The name of a file or folder, such as `"3"` or `"003"`.

    Returns:
        The version's number, or None if the name is not a 64-bit number.
    """
    match = _VERSION.fullmatch(name) if len(name) <= _LONGEST_NAME else None
    if match is None:
        return None
    version = int(match[1])
    return version if -_INT64_MAX - 1 <= version <= _INT64_MAX else None


def list_versions(base_path: Path | str) -> dict[int, Path]:
    """Lists the versions of a base path; ignores children whose name is not a number.

    If two names mean the same number (`1` and `01`), the last in the order of names wins.

    Args:
        base_path: The folder of version folders.

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
            f"({error.strerror or error}). Name the folder that an export wrote its versions to."
        ) from error
    versions = {version: child for child in children if (version := parse_version(child.name)) is not None}
    return dict(sorted(versions.items()))


def read_description(version_path: Path) -> dict[str, Any]:
    """Returns what tfchain's export wrote about a version; empty for versions of others, and for a damaged file."""
    try:
        return _parse_description(version_path)
    except OSError:
        return {}


def read_source(version_path: Path) -> Any:
    """Returns the `source` in a version's description, or None without one or without a description.

    Raises:
        OSError: if the description exists, but cannot be read.
    """
    try:
        return _parse_description(version_path).get("source")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _parse_description(version_path: Path) -> dict[str, Any]:
    try:
        description = json.loads((version_path / DESCRIPTION).read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return {}
    return description if isinstance(description, dict) else {}


def latest_version(base_path: Path | str) -> int | None:
    """Returns the highest version of a base path, or None if it has no versions.

    Raises:
        InputError: if the base path cannot be listed.
    """
    return max(list_versions(base_path), default=None)


def next_version(base_path: Path | str) -> int:
    """Returns the number of the next version: the highest plus one, or 1 without versions or without the folder.

    Raises:
        InputError: if the base path exists, but cannot be listed.
    """
    if not Path(base_path).exists():
        return 1
    return max(latest_version(base_path) or 0, 0) + 1
