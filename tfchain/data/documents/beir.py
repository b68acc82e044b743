"""BEIR folders: documents, queries, and judgements of which documents answer which query."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.metadata import check_string
from tfchain.data.documents.reading import DocumentSource, read_documents
from tfchain.data.files.lines import read_lines
from tfchain.data.files.paths import to_path
from tfchain.data.files.records import read_records
from tfchain.data.files.values import to_id, to_plain

logger = logging.getLogger(__name__)

CORPUS_NAMES = ("corpus.jsonl", "corpus.jsonl.gz", "corpus.jsonl.zst")
QUERY_NAMES = ("queries.jsonl", "queries.jsonl.gz", "queries.jsonl.zst")
LARGEST_GRADE = 1_000_000  # trec_eval allocates memory for every grade up to the largest; its own limit is 2**31


@dataclass(frozen=True)
class BeirDataset:
    """The data of an evaluation.

    Args:
        queries: Texts by query id, of judged queries only.
        qrels: Grades by document id, by query id: 0 is not relevant, 1 and above is.
        corpus: Where to read the documents from; `None` if they are already in an index. Default: `None`.
    """

    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    corpus: DocumentSource | None = None

    def documents(self) -> Iterator[Document]:
        """Reads the documents; at the end, a warning counts judged documents that are missing (as in a subset).

        Documents with neither title nor text are left out, with a warning: no search can find them, and if they are
        judged they still count in the ideal ranking.

        Raises:
            InputError: if the dataset has no corpus, or as `read_documents` does.
        """
        if self.corpus is None:
            raise InputError(
                "This dataset has only queries and qrels. Give `documents=` to `to_dataset` to read documents."
            )
        judged = {id for grades in self.qrels.values() for id in grades}
        missing = set(judged)
        for document in read_documents(self.corpus):
            missing.discard(document.id)
            yield document
        if missing:
            logger.warning(
                "%d of %d judged documents are not in the corpus (%s, …): no search can find them.",
                *(len(missing), len(judged), min(missing)),
            )


def is_beir_folder(path: Path | str) -> bool:
    """Returns whether a path is a folder with a `corpus.jsonl` or `corpus.jsonl.gz`."""
    return find_corpus(to_path(path)) is not None


def find_corpus(folder: Path) -> Path | None:
    """Returns the corpus file of a BEIR folder; `None` if the folder has none."""
    return next((folder / name for name in CORPUS_NAMES if (folder / name).is_file()), None)


def read_beir(path: Path | str, *, split: str = "test") -> BeirDataset:
    """Reads a BEIR folder: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`.

    Args:
        path: The folder. The documents are read later, by `documents()`.
        split: Which judgements: `"test"`, `"train"`, `"dev"`, or any other in the folder. Default: `"test"`.

    Returns:
        The judged queries, the judgements and the path of the corpus.

    Raises:
        InputError: if a file is missing or broken (with its line), or a judged query has no text.
    """
    path = to_path(path)
    corpus = find_corpus(path)
    queries_path = next((path / name for name in QUERY_NAMES if (path / name).is_file()), None)
    if corpus is None or queries_path is None:
        raise InputError(
            f"{path} is not a BEIR folder. Expected corpus.jsonl, queries.jsonl and qrels/{split}.tsv in it. "
            f"Missing: {'corpus.jsonl' if corpus is None else 'queries.jsonl'}."
        )
    qrels_path = path / "qrels" / f"{split}.tsv"
    if not qrels_path.is_file():
        splits = sorted(found.stem for found in (path / "qrels").glob("*.tsv"))
        raise InputError(f"{path} has no qrels/{split}.tsv. Received: split={split!r}. Available: {splits}.")
    qrels = read_qrels(qrels_path)
    queries = read_queries(queries_path, set(qrels))
    unknown = sorted(set(qrels) - set(queries))
    if unknown:
        raise InputError(
            f"{qrels_path}: {len(unknown)} of {len(qrels)} judged queries are not in {queries_path.name}, such as "
            f"{unknown[0]!r}. Add them, or remove their lines."
        )
    return BeirDataset({id: queries[id] for id in qrels}, qrels, corpus)


def to_dataset(
    *, queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]], documents: DocumentSource | None = None
) -> BeirDataset:
    """Makes a dataset from dicts, as `read_beir` makes it from a folder.

    Args:
        queries: Texts by query id; those without judgements are left out. Ids of queries and documents are strings or
            whole numbers; numbers become decimal text.
        qrels: Grades (whole numbers from 0) by document id, by query id.
        documents: Any source that `read_documents` takes; a generator can be read only once. Default: none.

    Returns:
        The dataset.

    Raises:
        InputError: if a query's text is not a string or is empty, a grade is not a whole number, or a judged query
            has no text.
    """
    texts_by_id = with_text_ids(queries, "queries")
    grades = {
        query: {id: check_grade(grade, f"qrels[{query!r}][{id!r}]") for id, grade in judged.items()}
        for query, judged in (
            (query, with_text_ids(judged, f"qrels[{query!r}]"))
            for query, judged in with_text_ids(qrels, "qrels").items()
        )
        if judged
    }
    if not grades:
        raise InputError("`qrels` must judge at least one query. Received: none.")
    unknown = [query for query in grades if query not in texts_by_id]
    if unknown:
        raise InputError(
            f"`qrels` names {len(unknown)} queries that `queries` lacks, such as {unknown[0]!r}. Add their texts."
        )
    texts = {query: check_query(texts_by_id[query], f"queries[{query!r}]") for query in grades}
    return BeirDataset(texts, grades, documents)


def with_text_ids(values: Mapping[Any, Any], name: str) -> dict[str, Any]:
    """Returns a dict with its ids as text.

    Raises:
        InputError: if it is not a dict, an id is not text, a whole number or a UUID, or two ids become the same text.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"`{name}` must be a dict by id. Received: {values!r:.60} of type {type(values).__name__}.")
    found: dict[str, Any] = {}
    for key, value in values.items():
        id = to_id(key, f"`{name}`: a key")
        if id is None or id in found:
            raise InputError(f"`{name}` must have each id once, and no empty id. Received: {key!r:.60}.")
        found[id] = value
    return found


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Reads judgements: tab-separated query id, document id and grade. The first line may name the columns.

    A grade is a whole number from 0, which may be written as `1.0`.

    Raises:
        InputError: if a line has another form, a document has two grades for a query, or there are no judgements; with
            the line's number where there is one.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        cells = [cell.strip() for cell in line.rstrip("\r\n").split("\t")]
        if cells == [""] or (number == 1 and to_number(cells[-1]) is None):
            continue
        value = to_number(cells[2]) if len(cells) == 3 and cells[0] and cells[1] else None
        if value is None:
            raise InputError(
                f"{path}:{number}: expected a query id, a document id and a whole number between tabs. "
                f"Received: {line.strip()[:80]!r}."
            )
        query, document, grade = cells[0], cells[1], check_grade(value, f"{path}:{number}")
        if qrels.setdefault(query, {}).setdefault(document, grade) != grade:
            raise InputError(
                f"{path}:{number}: document {document!r} has two grades for query {query!r}: "
                f"{qrels[query][document]} and {grade}. Keep one."
            )
    if not qrels:
        raise InputError(f"{path} holds no judgements. Expected at least one line below the column names.")
    return qrels


def read_queries(path: Path, wanted: set[str]) -> dict[str, str]:
    """Reads the texts of the wanted queries."""
    queries: dict[str, str] = {}
    for place, record in read_records(path):
        id = to_id(record.get("_id", record.get("id")), f"{place}: a query")
        if id is None or "text" not in record:
            raise InputError(f"{place}: a query must have `_id` and `text`. Received the keys: {', '.join(record)}.")
        if id not in wanted:
            continue
        if id in queries:
            raise InputError(f"{place}: the query id {id!r} appears twice. Keep one.")
        queries[id] = check_query(record["text"], str(place))
    return queries


def check_query(text: Any, place: str) -> str:
    """Returns a query; raises an InputError if it is not a text that can be encoded."""
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{place}: a query must be a text that is not empty. Received: {text!r:.60}.")
    return check_string(text, f"{place}: a query")


def check_grade(grade: Any, place: str) -> int:
    """Returns a grade as an int; raises an InputError if it is not a whole number from 0 to `LARGEST_GRADE`."""
    grade = to_plain(grade)
    if not isinstance(grade, int | float) or not float(grade).is_integer():
        raise InputError(
            f"{place}: a grade must be a whole number. Received: {grade!r:.60} of type {type(grade).__name__}."
        )
    if not 0 <= grade <= LARGEST_GRADE:
        raise InputError(
            f"{place}: a grade must be a whole number from 0 to {LARGEST_GRADE:,}. Received: {grade!r:.60}. Give "
            "documents that are not relevant the grade 0, and relevant ones 1, 2, …."
        )
    return int(grade)


def to_number(cell: str) -> float | None:
    """Returns the number in a cell; `None` if the cell is not a number."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None
