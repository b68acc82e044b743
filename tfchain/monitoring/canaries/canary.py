"""Canary queries: texts with known answers, and the file that keeps them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.atomic import write_file
from tfchain.core.errors import InputError

CANARIES_FILE = "assets.extra/canaries.jsonl"  # in a version's folder
FIELDS = ("text", "ids", "scores", "candidates", "vector", "plain_vector")


@dataclass(frozen=True, eq=False)
class CanaryQuery:
    """A question with its known answer.

    Args:
        text: The question.
        ids: What must be in the answer: ids of documents, a label, a translation or a reader's answer; of a reranker's
            candidates, the positions of the best (`"0"` is the first). Best first. Default: nothing is expected, only
            vectors are compared.
        scores: The scores of `ids`, in the same order; empty if they are not compared. Default: empty.
        vector: The text's vector as a query, float32 `(dim,)`; None if it is not compared. Default: None.
        plain_vector: Its vector with the model's default prompt; tells a wrong prompt for queries from a wrong model.
            Default: None.
        candidates: For rerankers, the documents to put in order; for readers, the texts to read. Default: none.

    Raises:
        InputError: if a value is not what it should be.
    """

    text: str
    ids: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    vector: np.ndarray | None = None
    plain_vector: np.ndarray | None = None
    candidates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise InputError(f"A canary's `text` must be a text that is not empty. Received: text={self.text!r:.80}.")
        for name in ("ids", "candidates"):
            values = getattr(self, name)
            if isinstance(values, str) or not all(isinstance(value, str) for value in values):
                raise InputError(f"A canary's `{name}` must be a list of strings. Received: {name}={values!r:.80}.")
        if self.scores and len(self.scores) != len(self.ids):
            raise InputError(
                f"A canary must have a score for each of its ids, or none. Received: {len(self.ids)} ids and "
                f"{len(self.scores)} scores."
            )
        for name in ("vector", "plain_vector"):
            vector = getattr(self, name)
            if vector is not None and (np.ndim(vector) != 1 or not np.isfinite(vector).all()):
                raise InputError(
                    f"A canary's `{name}` must be a list of finite numbers. "
                    f"Received: an array of the shape {np.shape(vector)}."
                )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, without those that are empty."""
        values: dict[str, Any] = {"text": self.text}
        values |= {name: list(getattr(self, name)) for name in ("ids", "scores", "candidates") if getattr(self, name)}
        for name in ("vector", "plain_vector"):
            vector = getattr(self, name)
            if vector is not None:  # nine digits are all that float32 has
                values[name] = [float(f"{number:.9g}") for number in vector.tolist()]
        return values


def read_canaries(path: Path | str) -> list[CanaryQuery]:
    """Reads canaries from a file of JSON lines.

    Args:
        path: The file, or a version's folder. A line needs `text`, and mostly has `ids`; `record_canaries` adds the
            rest.

    Raises:
        InputError: if there is no file, no canary, or a line that cannot be read; the message has its number.
    """
    file = find_canaries(path)
    if not file.is_file():
        raise InputError(
            f"There are no canary queries at {file}. "
            'Name a file of lines such as {"text": "a question", "ids": ["the document that answers it"]}, or make one '
            "with `tfchain monitor reference VERSION --queries FILE`."
        )
    canaries = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            canaries.append(_parse(json.loads(line)))
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{file}, line {number}: a canary cannot be read: {error}") from error
    if not canaries:
        raise InputError(f"{file} has no canary queries. Write at least one line.")
    return canaries


def write_canaries(path: Path | str, canaries: Sequence[CanaryQuery]) -> Path:
    """Writes canaries to a file, in one step.

    Args:
        path: The file, or a version's folder, in which it becomes `assets.extra/canaries.jsonl`.
        canaries: The canaries.

    Returns:
        The file.
    """
    lines = (json.dumps(canary.to_dict(), ensure_ascii=False) + "\n" for canary in canaries)
    return write_file(find_canaries(path), "".join(lines))


def find_canaries(path: Path | str) -> Path:
    """Returns the file of canaries, given that file or a version's folder."""
    path = Path(path)
    return path / CANARIES_FILE if path.is_dir() else path


def _parse(values: Any) -> CanaryQuery:
    if not isinstance(values, dict) or "text" not in values:
        raise InputError(f"A canary must be an object with `text`. Received: {values!r:.80}.")
    unknown = sorted(set(values) - set(FIELDS))
    if unknown:
        raise InputError(f"A canary has {', '.join(FIELDS)}. Received: {', '.join(map(repr, unknown))} as well.")
    for name in ("ids", "scores", "candidates", "vector", "plain_vector"):
        if name in values and not isinstance(values[name], list):
            raise InputError(f"A canary's `{name}` must be a list. Received: {name}={values[name]!r:.80}.")
    return CanaryQuery(
        values["text"],
        tuple(values.get("ids", ())),
        tuple(float(score) for score in values.get("scores", ())),
        _to_vector(values.get("vector")),
        _to_vector(values.get("plain_vector")),
        tuple(values.get("candidates", ())),
    )


def _to_vector(numbers: list[float] | None) -> np.ndarray | None:
    return None if numbers is None else np.array(numbers, np.float32)
