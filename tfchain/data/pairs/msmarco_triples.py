"""MS MARCO's triples: a query, a passage that answers it, and one that does not; as texts, or as ids."""

import re
from collections.abc import Iterator
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.documents.msmarco import find_beside, find_collection, read_queries_tsv
from tfchain.data.documents.tsv_lookup import TsvLookup
from tfchain.data.files.data_file import DataFile
from tfchain.data.files.lines import read_lines
from tfchain.data.files.place import Place, Record
from tfchain.data.files.read_session import ReadSession

NAME = re.compile(r"(qidpid)?triples[^/]*\.tsv", re.IGNORECASE)
SPLIT = re.compile(r"\.(train|dev|eval)\b")


def is_triples(file: DataFile) -> bool:
    """Returns whether a file's name is that of MS MARCO's triples: triples….tsv or qidpidtriples….tsv."""
    return NAME.fullmatch(file.name.removesuffix(file.compression)) is not None


def read_triples(file: DataFile, session: ReadSession) -> Iterator[Record]:
    """Reads triples as rows of `query`, `positive` and `negative`.

    Triples of ids (`qidpidtriples….tsv`) take their texts from `queries.<split>.tsv` and the collection beside the file
    (`collection.tsv`, not compressed, or `msmarco-docs.tsv` with `msmarco-docs-lookup.tsv`); passages are read by their
    offsets, so that the collection need not fit into memory.

    Raises:
        InputError: if a line has another form, or what the ids refer to is missing.
    """
    if not file.name.lower().startswith("qidpid"):
        for place, cells in read_cells_of_three(file, session):
            yield place, dict(zip(("query", "positive", "negative"), cells, strict=True))
        return
    with open_collection(file) as passages:
        queries = find_queries(file)
        for place, (query, positive, negative) in read_cells_of_three(file, session):
            try:
                if query not in queries:
                    raise InputError(f"the query {query!r:.60} is not among the queries beside {file}.")
                row: dict[str, Any] = {
                    "query": queries[query],
                    "positive": passages.read(positive).full_text,
                    "negative": passages.read(negative).full_text,
                }
            except InputError as error:
                session.reject(InputError(f"{place}: {error}"), place, [query, positive, negative])
                continue
            yield place, row


def read_cells_of_three(file: DataFile, session: ReadSession) -> Iterator[tuple[Place, list[str]]]:
    """Yields the three cells of each line."""
    for number, line in read_lines(file, session):
        place = Place(f"{file}:", number)
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) == 3 and all(cells):
            yield place, cells
        else:
            message = f"{place}: expected a query and two passages between tabs. Received: {line.strip()[:60]!r}."
            session.reject(InputError(message), place, line)


def open_collection(file: DataFile) -> TsvLookup:
    """Opens the collection beside a file of ids."""
    found = find_collection(file.path.parent) if file.path is not None else None
    if found is None:
        raise InputError(
            f"{file} holds ids. Expected the passages beside it, on this machine's disk: collection.tsv, or "
            "msmarco-docs.tsv with msmarco-docs-lookup.tsv. Put them into its folder."
        )
    return TsvLookup(found, find_beside(found.parent, f"{found.name.split('.')[0]}-lookup.tsv"))


def find_queries(file: DataFile) -> dict[str, str]:
    """Reads the queries beside a file of ids."""
    split = SPLIT.search(file.name)
    assert file.path is not None
    name = f"queries.{split[1] if split else 'train'}.tsv"
    found = find_beside(file.path.parent, name)
    if found is None:
        raise InputError(f"{file} holds ids. Expected the queries beside it, in {name}. Put them into its folder.")
    return read_queries_tsv(found)
