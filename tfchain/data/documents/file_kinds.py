"""Which files documents are read from, and which of those that lie together."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tfchain.data.documents.msmarco import is_collection
from tfchain.data.extraction.extracted import ENDINGS as EXTRACTED_ENDINGS
from tfchain.data.files.compression import split_compression
from tfchain.data.files.kinds import TEXT_ENDINGS, archive_kind
from tfchain.data.files.records import READERS

CORPUS_NAME = "corpus.jsonl"
RECORD_ENDINGS = (*READERS, ".json")
DOCUMENT_ENDINGS = (*TEXT_ENDINGS, *EXTRACTED_ENDINGS)
READ_FROM = (
    f"{', '.join(DOCUMENT_ENDINGS)}, {', '.join(RECORD_ENDINGS)} (each also .gz, .zst, .bz2 or .xz), .zip, or .tar "
    "(also compressed)"
)


@dataclass
class Choice:
    """The files that are read of those that lie in a folder or an archive.

    Args:
        names: Their paths.
        others: How many are left out because documents are not read from files of their kind. Default: 0.
    """

    names: list[str] = field(default_factory=list)
    others: int = 0


def ending_of(name: str) -> str:
    """Returns the ending of a name in lower case, without that of a compression."""
    return PurePosixPath(split_compression(name)[0]).suffix


def is_document(name: str) -> bool:
    """Returns whether a file is one document, or an archive."""
    return ending_of(name) in DOCUMENT_ENDINGS or archive_kind(name) is not None


def is_records(name: str) -> bool:
    """Returns whether a file holds records, each a document."""
    ending, compression = ending_of(name), split_compression(name)[1]
    return ending in RECORD_ENDINGS and not (ending == ".parquet" and compression)


def is_corpus(name: str) -> bool:
    """Returns whether a file is the corpus of a BEIR folder, or MS MARCO's collection."""
    bare = PurePosixPath(split_compression(name)[0]).name
    return bare == CORPUS_NAME or is_collection(bare)


def choose_files(names: Iterable[str], *, corpus_anywhere: bool = False) -> Choice:
    """Chooses which files of a folder or an archive are read: a corpus alone, else documents, else records.

    Tables beside documents are left out, as a folder of documents often has some that are none; a folder that holds
    nothing else is a corpus in parts.

    Args:
        names: The paths below the folder.
        corpus_anywhere: Whether a corpus may lie in a folder in it, as in BEIR's archives. Default: False.
    """
    names = list(names)
    for is_wanted in (lambda name: is_corpus(name) and (corpus_anywhere or "/" not in name), is_document, is_records):
        chosen = [name for name in names if is_wanted(name)]
        if chosen:
            return Choice(chosen, len(names) - len(chosen))
    return Choice([], len(names))
