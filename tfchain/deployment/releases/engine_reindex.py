"""A new encoder's vectors in an external engine: a collection grows beside the live one, then the alias moves."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfchain.core.atomic import write_json
from tfchain.core.errors import FingerprintError, InputError, TfchainError
from tfchain.deployment.releases.throttle import Throttle

PROGRESS = "reindex.json"
Encode = Callable[[Sequence[str]], np.ndarray]


class VectorEngine(Protocol):
    """What is needed of a vector database. Each call raises a `TfchainError` if the engine fails."""

    def create(self, collection: str, dim: int) -> None:
        """Makes a collection of vectors of a width, unless it is there."""

    def upsert(self, collection: str, ids: Sequence[str], vectors: np.ndarray) -> None:
        """Writes vectors, float32 `(ids, dim)`; an id that is there is replaced."""

    def count(self, collection: str) -> int:
        """Returns the number of vectors in a collection."""

    def find_alias(self, alias: str) -> str | None:
        """Returns the collection that an alias points to; None if there is none."""

    def set_alias(self, alias: str, collection: str) -> None:
        """Points an alias to a collection in one step."""

    def drop(self, collection: str) -> None:
        """Removes a collection; one that is not there is no error."""


def name_collection(alias: str, fingerprint: str) -> str:
    """Returns the name of the collection that holds a model's vectors: no two models share one.

    A query encoded by a version asks the collection of that version's fingerprint, and so never another model's.
    """
    return f"{alias}-{fingerprint[:16]}"


def reindex_engine(
    engine: VectorEngine,
    alias: str,
    documents: Sequence[tuple[str, str]],
    encode: Encode,
    *,
    fingerprint: Callable[[], str],
    work_path: Path | str,
    batch_size: int = 256,
    throttle: Throttle | None = None,
) -> str:
    """Fills the collection of a new encoder beside the live one. Nothing that is live changes.

    A run that is stopped goes on where it was: finished batches are written down, and a batch that was being written is
    written again. Changed documents begin anew.

    Args:
        engine: The vector database.
        alias: The name that readers use.
        documents: Ids and texts, in an order that stays the same.
        encode: A function from texts to vectors, float32 `(texts, dim)`.
        fingerprint: Returns the encoder's fingerprint now, `model_fingerprint` of a text encoder, as versions keep it;
            it must not change meanwhile.
        work_path: A folder for the progress.
        batch_size: Documents in a step. Default: 256.
        throttle: Keeps the work to a share of the time. Default: no rest.

    Returns:
        The collection, complete, for `switch_alias`.

    Raises:
        FingerprintError: if the encoder changes meanwhile.
        InputError: if ids repeat, a vector has another width, or the encoder's collection is the live one.
        TfchainError: if the engine fails or lacks vectors at the end.
    """
    throttle = throttle or Throttle(1.0)
    ids = [id for id, _ in documents]
    if len(set(ids)) < len(ids):
        raise InputError(f"Documents must have each id once. Received: {len(ids) - len(set(ids))} repeated ids.")
    made_by = fingerprint()
    collection = name_collection(alias, made_by)
    file = Path(work_path) / PROGRESS
    plan = {"collection": collection, "documents": _hash(documents), "batch_size": batch_size}
    progress = _read_progress(file, plan)
    if progress == 0:
        if engine.find_alias(alias) == collection:
            raise InputError(
                f"A new index must be another collection than the live one. Received: the encoder {made_by[:12]}, "
                f"to whose collection {collection} {alias!r} points. "
                "To change documents of the live index, write them to it."
            )
        engine.drop(collection)  # what a former run of other documents left
    for start in _list_starts(progress, len(documents), batch_size):
        with throttle.piece():
            part = documents[start : start + batch_size]
            vectors = np.asarray(encode([text for _, text in part]), np.float32)
            if fingerprint() != made_by:
                raise FingerprintError(
                    f"The encoder changed while its vectors were made. Received: {fingerprint()[:12]} after "
                    f"{made_by[:12]}. The live collection is as it was. Start again with the encoder as it is."
                )
            if vectors.ndim != 2 or len(vectors) != len(part):
                raise InputError(f"`encode` must give a vector for each text. Received: the shape {vectors.shape}.")
            if start == 0:
                engine.create(collection, vectors.shape[1])
            engine.upsert(collection, [id for id, _ in part], vectors)
            write_json(file, {**plan, "done": start + len(part)})
    count = engine.count(collection)
    if count != len(documents):
        raise TfchainError(
            f"The engine must hold all vectors before the switch. Received: {count} of {len(documents)} in "
            f"{collection}. The live collection is as it was. Remove {file}, and start again."
        )
    return collection


def switch_alias(
    engine: VectorEngine,
    alias: str,
    collection: str,
    *,
    promote: Callable[[], object] = lambda: None,
    keeps_old: bool = True,
) -> str | None:
    """Switches encoder and vectors together: the version is promoted, then the alias follows.

    Versions ask the collection of their own fingerprint (`name_collection`), so that the promotion alone switches both
    for them; the alias is for other readers. If the promotion fails, the alias stays.

    Args:
        engine: The vector database.
        alias: The alias.
        collection: The complete collection.
        promote: Makes the new version live. Default: nothing.
        keeps_old: Whether the former collection stays, to go back to. Default: True.

    Returns:
        The collection that the alias pointed to before.
    """
    before = engine.find_alias(alias)
    promote()
    engine.set_alias(alias, collection)
    if before is not None and before != collection and not keeps_old:
        engine.drop(before)
    return before


def _list_starts(done: int, total: int, batch_size: int) -> Iterator[int]:
    yield from range(done, total, batch_size)


def _read_progress(file: Path, plan: dict[str, Any]) -> int:
    """Returns how many documents are done; 0 for other documents or another encoder."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return int(found["done"]) if all(found[name] == value for name, value in plan.items()) else 0
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0


def _hash(documents: Sequence[tuple[str, str]]) -> str:
    import hashlib

    digest = hashlib.sha256()
    for id, text in documents:
        digest.update(json.dumps([id, text]).encode())
    return digest.hexdigest()
