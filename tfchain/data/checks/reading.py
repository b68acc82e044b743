"""Reads the sets to check: files, BEIR folders, SQuAD-like JSON and objects; keeps what other readers refuse."""

import gzip
import itertools
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.checks.material import CheckedSet, Judgment, Material
from tfchain.data.checks.row_reader import RowReader, listed, to_text
from tfchain.data.documents.beir import QUERY_NAMES, BeirDataset, find_corpus, is_beir_folder, read_qrels
from tfchain.data.documents.file_reader import FileReader
from tfchain.data.documents.items import read_items
from tfchain.data.files.lines import read_text
from tfchain.data.files.paths import to_path
from tfchain.data.files.place import Place
from tfchain.data.files.read_session import ReadSession
from tfchain.data.files.records import block_records, read_json_lines, record_ending
from tfchain.data.files.tables import is_frame, read_cells, read_frame, read_parquet
from tfchain.data.steps.record import ID_NAMES

SQUAD_ENDINGS = (".json", ".json.gz")


class MaterialReader:
    """Reads sets into one material, so that they share the pool of texts and a corpus that both judge.

    Args:
        material: Receives the sets.
    """

    def __init__(self, material: Material) -> None:
        self.material = material
        self._numbers: dict[str, int] | None = None  # of the corpus given, by document id
        self._corpora: dict[Any, dict[str, int]] = {}  # of BEIR folders and datasets, if none was given

    def read_corpus(self, source: Any) -> None:
        """Reads the documents that are searched.

        Args:
            source: What `read_documents` takes, or SQuAD-like JSON, whose passages are the documents.
        """
        if is_squad(source):
            checked = self._set("corpus")
            reader = RowReader(checked, self.material.pool)
            read_squad(to_path(source), reader)
            corpus = CheckedSet("corpus", num_rows=len(checked.documents))
            corpus.texts["documents"] = checked.documents
            self.material.sets["corpus"] = corpus
            self._numbers = dict(zip(corpus.documents.ids, corpus.documents.numbers, strict=True))
        else:
            self._numbers = self._read_documents(source)

    def read_set(self, name: str, source: Any, *, split: str) -> None:
        """Reads rows or judgments.

        Args:
            name: `train` or `evaluation`.
            source: See `data_report`.
            split: Which judgments of a BEIR folder, or which part of a Hugging Face `DatasetDict`.

        Raises:
            InputError: if the source is of another kind, missing or broken, or has no rows.
        """
        checked = self._set(name)
        reader = RowReader(checked, self.material.pool)
        for part in as_parts(source):
            self._read_part(name, part, reader, split)
        reader.finish()
        if not checked.num_rows:
            raise InputError(f"`{name}` must have at least one row. Received: none.", argument=name)

    def _read_part(self, name: str, source: Any, reader: RowReader, split: str) -> None:
        if isinstance(source, BeirDataset):
            qrels, queries, corpus = source.qrels, source.queries, source.corpus
            self._read_judged(reader.checked, qrels, queries, corpus)
        elif isinstance(source, str | os.PathLike) and is_beir_folder(to_path(source)):
            qrels, queries, corpus = read_beir_parts(to_path(source), split)
            self._read_judged(reader.checked, qrels, queries, corpus)
        elif is_squad(source):
            read_squad(to_path(source), reader)
        else:
            if isinstance(source, Mapping) and split in source:
                source = source[split]
            for place, row in read_plain_rows(source, name):
                reader.add(name_place(place), row)

    def _read_judged(
        self, checked: CheckedSet, qrels: Mapping[str, Mapping[str, int]], queries: Mapping[str, str], corpus: Any
    ) -> None:
        """Adds judged queries, and the documents that are judged relevant for them."""
        numbers = self._numbers
        if numbers is None and corpus is not None:
            key = str(corpus) if isinstance(corpus, str | os.PathLike) else id(corpus)
            if key not in self._corpora:
                self._corpora[key] = self._read_documents(corpus)
            numbers = self._corpora[key]
        added: set[str] = set()
        judged: set[str] = set()
        for query_id, grades in qrels.items():
            query = self.material.pool.add(queries.get(query_id, ""))
            checked.queries.add(query_id, query)
            for document_id, grade in grades.items():
                checked.num_rows += 1
                judged.add(document_id)
                number = (numbers or {}).get(document_id)
                if number is None:
                    continue
                if grade >= 1 and document_id not in added:
                    added.add(document_id)
                    checked.documents.add(document_id, number)
                checked.judgments.append(Judgment(query, number, grade >= 1, False, query_id))
        checked.num_judged += len(judged)
        if numbers is not None:
            checked.missing += sorted(judged - numbers.keys())

    def _read_documents(self, source: Any) -> dict[str, int]:
        """Adds documents to the corpus; returns their numbers in the pool by id."""
        checked = self._set("corpus")
        numbers: dict[str, int] = {}
        for count, (_, item) in enumerate(read_corpus_items(source)):
            id, text = document_of(item, str(count))
            number = self.material.pool.add(text)
            checked.documents.add(id, number)
            numbers[id] = number
            checked.num_rows += 1
        if not checked.num_rows:
            raise InputError("`corpus` must have at least one document. Received: none.", argument="corpus")
        return numbers

    def _set(self, name: str) -> CheckedSet:
        return self.material.sets.setdefault(name, CheckedSet(name))


def as_parts(source: Any) -> list[Any]:
    """Returns the sources of a list of paths, or the source itself as the only one."""
    if isinstance(source, list | tuple) and source and all(isinstance(part, os.PathLike) for part in source):
        return list(source)
    return [source]


def is_squad(source: Any) -> bool:
    """Returns whether a source is the path of a file of SQuAD-like JSON, by its name's ending."""
    return isinstance(source, str | os.PathLike) and os.fspath(source).lower().endswith(SQUAD_ENDINGS)


def read_squad(path: Path, reader: RowReader) -> None:
    """Reads SQuAD-like JSON: `{"data": [{"title": …, "paragraphs": [{"context": …, "qas": [...]}]}]}`.

    Raises:
        InputError: if the file is missing or is not such JSON.
    """
    for number, article in enumerate(read_articles(path)):
        title = to_text(article.get("title"))
        for count, paragraph in enumerate(listed(article.get("paragraphs"))):
            reader.add_squad(f"{path.name}: data[{number}].paragraphs[{count}]", paragraph, title)


def read_articles(path: Path) -> list[Mapping[str, Any]]:
    """Returns the articles of SQuAD-like JSON."""
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path, "rb") as file:
                value = json.loads(file.read())
        else:
            value = json.loads(read_text(path))
    except FileNotFoundError:
        raise InputError(f"No such file: {path}. Check the path.") from None
    except (ValueError, RecursionError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: broken JSON: {error}. Expected one JSON object.") from None
    articles = listed(value.get("data")) if isinstance(value, Mapping) else []
    if not any(listed(article.get("paragraphs")) for article in articles):
        raise InputError(
            f'{path}: expected SQuAD-like JSON: {{"data": [{{"paragraphs": [{{"context": …, "qas": […]}}]}}]}}. '
            f"Received: {shown_keys(value)}. Give rows as .jsonl, one JSON object per line."
        )
    return articles


def shown_keys(value: Any) -> str:
    """Returns the keys of a JSON object, or its type, for an error."""
    return f"the keys {', '.join(map(str, value))}"[:100] if isinstance(value, Mapping) else type(value).__name__


def read_beir_parts(path: Path, split: str) -> tuple[dict[str, dict[str, int]], dict[str, str], Path]:
    """Returns a BEIR folder's judgments, its judged queries and the path of its corpus; queries may be empty."""
    corpus = find_corpus(path)
    queries_path = next((path / name for name in QUERY_NAMES if (path / name).is_file()), None)
    qrels_path = path / "qrels" / f"{split}.tsv"
    if corpus is None or queries_path is None or not qrels_path.is_file():
        splits = sorted(found.stem for found in (path / "qrels").glob("*.tsv"))
        raise InputError(
            f"{path} must have queries.jsonl and qrels/{split}.tsv. Received: split={split!r}; available: {splits}."
        )
    qrels = read_qrels(qrels_path)
    queries: dict[str, str] = {}
    for _, record in read_json_lines(queries_path):
        id = str(record.get("_id", record.get("id")))
        if id in qrels:
            queries[id] = to_text(record.get("text"))
    return qrels, queries, corpus


def read_plain_rows(source: Any, name: str) -> Iterator[tuple[Place, Any]]:
    """Yields the rows of a file of records, a data frame or an iterable, with their places."""
    if isinstance(source, str | os.PathLike):
        yield from read_file_rows(to_path(source), name)
    elif is_frame(source) and not hasattr(source, "iter"):  # a Hugging Face dataset iterates over its rows
        for block in read_frame(source, lambda columns, place: columns, name):
            yield from block_records(block)
    elif isinstance(source, Iterable) and not isinstance(source, Mapping | bytes | bytearray | set | frozenset):
        for number, row in enumerate(source):
            yield Place(f"{name}[", number, "]"), row
    else:
        raise InputError(
            f"`{name}` must be a file of rows, a BEIR folder, SQuAD-like JSON, a data frame, or an iterable of rows. "
            f"Received: {type(source).__name__}.",
            argument=name,
        )


def name_place(place: Place) -> str:
    """Returns a row's place without the folders of its file: `train.csv:17`."""
    return str(place._replace(before=os.path.basename(place.before)))


def read_file_rows(path: Path, name: str) -> Iterator[tuple[Place, Any]]:
    """Yields the rows of a `.jsonl`, `.csv`, `.tsv` (each also `.gz`) or `.parquet` file, with all their columns."""
    ending = record_ending(path)
    if ending == ".parquet":
        for block in read_parquet(path, lambda columns, place: columns):
            yield from block_records(block)
    elif ending == ".jsonl":
        yield from read_json_lines(path)
    elif ending is not None:
        yield from read_cells(path, lambda columns, place: columns)
    else:
        raise InputError(
            f"`{name}` must be a file that ends in .jsonl, .csv, .tsv (each also .gz), .parquet or .json, or a BEIR "
            f"folder. Received: {path}, which {'ends in something else' if path.exists() else 'does not exist'}.",
            argument=name,
        )


def read_corpus_items(source: Any) -> Iterator[tuple[Place, Any]]:
    """Yields documents as a source holds them; empty ones too, where they are records of a file."""
    if isinstance(source, str | os.PathLike):
        path = to_path(source)
        path = find_corpus(path) or path
        if path.is_file() and record_ending(path) is not None:
            yield from read_file_rows(path, "corpus")
            return
    with FileReader(ReadSession()) as files:
        yield from read_items(source, files)


def document_of(item: Any, position: str) -> tuple[str, str]:
    """Returns the id and the text of a document as a source holds it; without an id, its position."""
    if isinstance(item, Document):
        return item.id, item.full_text
    if isinstance(item, Mapping):
        id = next((str(item[name]) for name in ID_NAMES if item.get(name) is not None), position)
        title, text = to_text(item.get("title")), to_text(item.get("text"))
        return id, f"{title} {text}".strip() if title else text
    return position, to_text(item)


def rows_of(source: Any, name: str, *, split: str) -> Iterator[Mapping[str, Any]]:
    """Yields rows as dicts, for what looks at their columns and not at their meaning, such as a schema.

    Args:
        source: A file of records, a BEIR folder's corpus, a data frame, or an iterable of dicts, `Document`s or texts.
        name: The argument's name, for errors.
        split: Which part of a Hugging Face `DatasetDict`.
    """
    if isinstance(source, str | os.PathLike) and is_beir_folder(to_path(source)):
        source = find_corpus(to_path(source))
    if isinstance(source, Mapping) and split in source:
        source = source[split]
    parts = itertools.chain.from_iterable(read_plain_rows(part, name) for part in as_parts(source))
    for _, row in parts:
        if isinstance(row, Document):
            yield {"id": row.id, "title": row.title, "text": row.text, "metadata": dict(row.metadata)}
        elif isinstance(row, Mapping):
            yield row
        elif isinstance(row, list | tuple):
            yield {f"column_{number}": value for number, value in enumerate(row)}
        else:
            yield {"text": row}
