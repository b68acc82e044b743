"""What an export wrote beside a version: its description, and the tokenizers of its texts."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tfchain.core.signatures import QUERY_VOCABULARY_FILE, VOCABULARY_FILE
from tfchain.deployment.repository import DESCRIPTION

T = TypeVar("T", dict[str, Any], list[Any])
_UNKNOWN = ("[UNK]", "<unk>")  # WordPiece's and SentencePiece's, for versions that do not tell


@dataclass(frozen=True, slots=True)
class VersionTokenizer:
    """A tokenizer of a version, as its description tells of it.

    Args:
        values: What the description tells.
        file: The file of its vocabulary.
    """

    values: Mapping[str, Any]
    file: Path

    @property
    def vocabulary_size(self) -> int:
        """The number of token ids; 0 if the version does not tell."""
        return to_number(self.values.get("vocabulary_size"))

    @property
    def empty_text(self) -> list[int]:
        """The token ids of an empty text: the special tokens around each text."""
        return to_numbers(self.values.get("empty_text"))

    @property
    def special_ids(self) -> set[int]:
        """The ids of special tokens; those of an empty text for versions that do not tell."""
        return set(to_numbers(self.values.get("special_ids"))) or set(self.empty_text)

    @property
    def decoder(self) -> Mapping[str, Any] | None:
        """How tokens become text, as tokenizer.json has it; WordPiece's for versions that do not tell."""
        found = self.values.get("decoder", {"type": "WordPiece"})
        return found if isinstance(found, Mapping) else None

    @property
    def unknown_id(self) -> int | None:
        """The id of the unknown token; None if the version has none, or does not tell."""
        if "unknown_id" in self.values:
            found = self.values["unknown_id"]
            return found if isinstance(found, int) else None
        tokens = self.tokens
        return next((tokens.index(token) for token in _UNKNOWN if token in tokens), None)

    @property
    def tokens(self) -> list[str]:
        """The tokens by id; empty if the version has no vocabulary."""
        return _read_json(self.file, list)


def find_tokenizer(path: Path, purpose: str = "") -> VersionTokenizer:
    """Finds the tokenizer of the texts for a purpose: queries may have an encoder of their own, a Router's.

    Args:
        path: The version's folder.
        purpose: `query`, `document` or empty. Default: empty.
    """
    values = read_text_model(path)
    own = values.get("queries")
    if purpose == "query" and isinstance(own, dict):
        return VersionTokenizer(own, path / QUERY_VOCABULARY_FILE)
    return VersionTokenizer(values, path / VOCABULARY_FILE)


def read_description(path: Path) -> Mapping[str, Any]:
    """Reads what the export wrote of a version; empty if it wrote nothing."""
    return _read_json(path / DESCRIPTION, dict)


def read_text_model(path: Path) -> Mapping[str, Any]:
    """Reads what the description tells of the model of texts; empty if it tells nothing."""
    values = read_description(path).get("text_model", {})
    return values if isinstance(values, dict) else {}


def to_number(value: Any) -> int:
    """Returns a whole number of a description; 0 for anything else."""
    return value if isinstance(value, int) else 0


def to_numbers(value: Any) -> list[int]:
    """Returns the whole numbers of a list in a description; none of anything else."""
    return [number for number in value if isinstance(number, int)] if isinstance(value, list) else []


def _read_json(path: Path, kind: type[T]) -> T:
    """Reads a JSON file of a version; an empty value if it is missing, or of another kind."""
    try:
        value = _parse(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, RecursionError):
        return kind()
    return value if isinstance(value, kind) else kind()


@functools.lru_cache(maxsize=64)
def _parse(path: Path, _: int) -> Any:
    """Reads a file as it is at a time of change: a folder may be replaced while its model is served."""
    return json.loads(path.read_text(encoding="utf-8"))
