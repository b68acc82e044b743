"""A subset of a corpus with every judged document, for repeated evaluations."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.beir import read_beir, read_qrels
from tfchain.data.files.paths import to_path


def subset_corpus(
    documents: Iterable[Document], judged: Mapping[str, Mapping[str, int]], size: int = 1000, *, seed: int = 0
) -> list[Document]:
    """Selects every judged document, and fills up to `size` with documents drawn at random.

    Documents are drawn by a hash of their id and the seed, so the order of the corpus does not matter, and a larger
    subset contains every smaller one. Ranking fewer documents is easier: compare only results on the same subset.

    Args:
        documents: The corpus.
        judged: Grades by document id, by query id.
        size: The number of documents; all of them if there are fewer. Default: 1000.
        seed: The seed of the draw, at least 0. Default: 0.

    Returns:
        The documents, in the order of the corpus.

    Raises:
        InputError: if `size` is below the number of judged documents.

    Example:
        >>> corpus = [Document(id=str(number), text="a text") for number in range(9)]
        >>> [document.id for document in subset_corpus(corpus, {"q": {"7": 1}}, 3)]
        ['3', '4', '7']
    """
    check_whole_number("size", size)
    check_whole_number("seed", seed, least=0)
    held = list(documents)
    needed = {id for grades in judged.values() for id in grades}
    others = sorted((document.id for document in held if document.id not in needed), key=lambda id: _draw(id, seed))
    found = len(held) - len(others)
    if size < found:
        raise InputError(
            f"`size` must be at least the number of judged documents, {found}. Received: size={size}. Raise it, or "
            "judge fewer."
        )
    chosen = needed.union(others[: size - found])
    return [document for document in held if document.id in chosen]


def read_subset(path: Path | str, size: int = 1000, *, seed: int = 0) -> list[Document]:
    """Reads a subset of a BEIR folder's documents that contains every document judged in any of its splits.

    Args:
        path: The folder, such as SciFact's.
        size: The number of documents. Default: 1000.
        seed: The seed of the draw. Default: 0.

    Raises:
        InputError: if it is not a BEIR folder, or as `subset_corpus` does.
    """
    path = to_path(path)
    files = sorted((path / "qrels").glob("*.tsv"))
    dataset = read_beir(path, split=files[0].stem if files else "test")  # or the error that says what is missing
    judged: dict[str, dict[str, int]] = {}
    for file in files:
        for query, grades in read_qrels(file).items():
            judged[query] = {**judged.get(query, {}), **grades}
    return subset_corpus(dataset.documents(), judged, size, seed=seed)


def _draw(id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{id}".encode()).digest()
