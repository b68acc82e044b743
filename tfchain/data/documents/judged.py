"""Folders of judged queries: BEIR's and MS MARCO's."""

from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.data.documents.beir import BeirDataset, is_beir_folder, read_beir
from tfchain.data.documents.msmarco import find_beside, find_collection, read_queries_tsv, read_trec_qrels
from tfchain.data.files.paths import to_path


def is_judged_folder(path: Path | str) -> bool:
    """Returns whether a path is a BEIR folder, or one of MS MARCO with a collection."""
    return is_beir_folder(path) or find_collection(to_path(path)) is not None


def read_judged(path: Path | str, *, split: str = "test") -> BeirDataset:
    """Reads the judged queries of a BEIR folder, or of one of MS MARCO.

    Args:
        path: The folder.
        split: Which judgements, as in the files' names: `test`, `train`, `dev`, `dev.small`, …. Default: `test`.

    Raises:
        InputError: as `read_beir` and `read_msmarco` do.
    """
    path = to_path(path)
    if not is_beir_folder(path) and find_collection(path) is not None:
        return read_msmarco(path, split=split)
    return read_beir(path, split=split)


def read_msmarco(path: Path | str, *, split: str = "dev") -> BeirDataset:
    """Reads a folder of MS MARCO: its collection, queries and judgements.

    Args:
        path: A folder with `collection.tsv`, `queries.<split>.tsv` and `qrels.<split>.tsv` (passages), or with
            `msmarco-docs.tsv`, `msmarco-doc<split>-queries.tsv` and `msmarco-doc<split>-qrels.tsv` (documents); each
            also gzipped. The collection is read later, by `documents()`.
        split: Which queries. Default: `dev`.

    Raises:
        InputError: if a file is missing or broken (with its line), or a judged query has no text.
    """
    path = to_path(path)
    collection = find_collection(path)
    queries_path = find_beside(path, f"queries.{split}.tsv", f"msmarco-doc{split}-queries.tsv")
    qrels_path = find_beside(path, f"qrels.{split}.tsv", f"msmarco-doc{split}-qrels.tsv")
    if collection is None or queries_path is None or qrels_path is None:
        there = sorted(found.name for found in path.glob("*.tsv*"))[:20]
        raise InputError(
            f"{path} lacks files of MS MARCO. Expected collection.tsv, queries.{split}.tsv and qrels.{split}.tsv, or "
            f"msmarco-docs.tsv, msmarco-doc{split}-queries.tsv and msmarco-doc{split}-qrels.tsv. Received: "
            f"{', '.join(there) or 'no .tsv file'}. Give another `split`, or fetch what is missing."
        )
    qrels = read_trec_qrels(qrels_path)
    queries = read_queries_tsv(queries_path)
    unknown = sorted(set(qrels) - set(queries))
    if unknown:
        raise InputError(
            f"{qrels_path}: {len(unknown)} of {len(qrels)} judged queries are not in {queries_path.name}, such as "
            f"{unknown[0]!r}. Add them, or remove their lines."
        )
    return BeirDataset({id: queries[id] for id in qrels}, dict(qrels), collection)
