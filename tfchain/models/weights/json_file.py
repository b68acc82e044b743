"""The JSON files of a model folder."""

import json
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError


def read_json(path: Path, *, needed: bool = True) -> Any:
    """Reads a JSON file; returns `{}` if it is missing and not needed, and raises if it is missing or not JSON."""
    if not path.is_file():
        if not needed:
            return {}
        raise ModelFolderError(
            f"{path.parent} is not a model folder: it has no {path.name}. Use a folder written by save_pretrained of "
            "sentence-transformers or transformers."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFolderError(f"{path} is not JSON: {error}. Get the file again.") from error
