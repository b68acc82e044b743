"""MS MARCO's files: collections of passages or documents, which have no line of column names."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from tfchain.core.errors import InputError
from tfchain.data.files.compression import split_compression
from tfchain.data.files.data_file import DataFile, to_file
from tfchain.data.files.lines import read_lines
from tfchain.data.files.place import Place, Record
from tfchain.data.files.read_session import ReadSession

COLLECTION_NAMES = ("collection.tsv", "msmarco-docs.tsv")
FORM = "a passage's id and text, or a document's id, address, title and text, between tabs"
ENDINGS = ("", ".gz")


def is_collection(name: str) -> bool:
    """Returns whether a file's name is that of an MS MARCO collection: collection.tsv or msmarco-docs.tsv."""
    return PurePosixPath(split_compression(name)[0]).name in COLLECTION_NAMES


def find_collection(folder: Path) -> Path | None:
    """Returns the collection of an MS MARCO folder; `None` if it has none."""
    return find_beside(folder, *COLLECTION_NAMES)


def find_beside(folder: Path, *names: str) -> Path | None:
    """Returns the first file of these names in a folder, plain or gzipped; `None` if it has none."""
    paths = (folder / f"{name}{ending}" for name in names for ending in ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def read_collection(file: DataFile, session: ReadSession) -> Iterator[Record]:
    """Reads the passages or documents of a collection.

    Yields:
        The place and a dict of `id`, `text` and, of documents, `title` and `url`.

    Raises:
        InputError: if a line has another form.
    """
    for number, line in read_lines(file, session):
        place = Place(f"{file}:", number)
        try:
            record = to_record(line, place)
        except InputError as error:
            session.reject(error, place, line)
            continue
        yield place, record


def to_record(line: str, place: Place) -> dict[str, str]:
    """Returns the record of a collection's line."""
    cells = line.rstrip("\r\n").split("\t")
    if len(cells) == 2 and cells[0]:
        return {"id": cells[0], "text": cells[1]}
    if len(cells) == 4 and cells[0]:
        return {"id": cells[0], "url": cells[1], "title": cells[2], "text": cells[3]}
    raise InputError(f"{place}: expected {FORM}. Received: {len(cells)} cells, {line.strip()[:60]!r}.")


def read_queries_tsv(path: Path) -> dict[str, str]:
    """Reads queries: each line an id and a text.

    Raises:
        InputError: if a line has another form, or an id appears twice.
    """
    queries: dict[str, str] = {}
    for number, line in read_lines(to_file(path)):
        id, _, text = line.rstrip("\r\n").partition("\t")
        if not id or not text.strip():
            raise InputError(
                f"{path}:{number}: expected a query's id and text between tabs. Received: {line.strip()[:60]!r}."
            )
        if id in queries:
            raise InputError(f"{path}:{number}: the query id {id!r} appears twice. Keep one.")
        queries[id] = text
    return queries


def read_trec_qrels(path: Path) -> Mapping[str, dict[str, int]]:
    """Reads judgements in TREC's form: query id, a number that is ignored, document id, grade, between white space.

    Raises:
        InputError: if a line has another form.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(to_file(path)):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != 4 or not cells[3].removeprefix("-").isdecimal():
            raise InputError(
                f"{path}:{number}: expected a query id, 0, a document id and a whole number. Received: "
                f"{line.strip()[:60]!r}."
            )
        qrels.setdefault(cells[0], {})[cells[2]] = max(int(cells[3]), 0)  # spam has -2
    return qrels
