"""Training pairs in memory, from any source: each row is a query, its document and its hard negatives."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.documents.beir import BeirDataset
from tfchain.data.documents.judged import is_judged_folder, read_judged
from tfchain.data.files.place import Block
from tfchain.data.files.read_session import ReadSession
from tfchain.data.pairs.columns import ColumnReader, Rows
from tfchain.data.pairs.sources import read_blocks


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows to train on.

    Args:
        columns: The queries, their documents, then the negatives: `(columns) × n` texts. A single column holds texts
            without pairs.
        labels: float32 `(n, k)`; `None` if there are none. Default: `None`.
        relevant: For each row, the `text_key` of every document judged relevant for its query; `None` if there are no
            judgments. Default: `None`.
        symmetric: Whether the texts are neither queries nor documents (two sentences, or one text), so that they get no
            prompt. Default: False.
    """

    columns: tuple[Sequence[str], ...]
    labels: np.ndarray | None = None
    relevant: tuple[frozenset[int] | tuple[int, ...], ...] | None = None
    symmetric: bool = False

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def num_columns(self) -> int:
        """The number of texts in a row."""
        return len(self.columns)

    def keys(self) -> np.ndarray:
        """Returns the `text_key` of every text, int64 `(n, columns)`."""
        return np.stack([text_keys(column) for column in self.columns], axis=1)


def text_key(text: str) -> int:
    """Returns a number that identifies a text, the same on every machine: 63 bits of BLAKE2b, never 0.

    Ignores white space at both ends.
    """
    digest = blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1 or 1


def text_keys(texts: Iterable[str]) -> np.ndarray:
    """Returns the `text_key` of each text, int64 `(n,)`."""
    return np.fromiter((text_key(text) for text in texts), dtype=np.int64)


def read_pairs(
    dataset: Any, *, split: str = "train", max_broken: int = 0, broken_file: Path | str | None = None
) -> Pairs:
    """Reads training rows into memory.

    Args:
        dataset: One of these:

            - a list or a generator of `(query, document)` or `(query, document, negative, …)` tuples, of texts, or of
              dicts. A dict has a query (`query`, `anchor`, `question`), a document (`positive`, `document`, `answer`,
              `context`, `passage`, `text`) and optional negatives (`negatives` with a list or a text, `negative`,
              `negative_1`, …); or `sentence1` and `sentence2`; or only `text`; each with optional labels (`score`,
              `scores`, `label`, `labels` or `margin`: a number or a list of numbers). Other keys are ignored.
            - the path of a `.jsonl`, `.csv`, `.tsv`, `.parquet` or `.tfrecord` file with these columns, of a SQuAD-like
              `.json` file (question and context), or of MS MARCO's `triples….tsv`; all but `.parquet` also compressed
              (`.gz`, `.zst`, `.bz2`, `.xz`). Several of them: a `.zip` or `.tar` archive, a pattern (`part-*.jsonl`),
              a URL that fsspec reads (`gs://`, `s3://`, `http://`), or a folder of `.parquet` or `.tfrecord` files.
            - the path of a BEIR folder or one of MS MARCO, or a `BeirDataset`: a row for each query and each document
              of grade 1 and above.
            - a Hugging Face `Dataset`, or a `DatasetDict`.
            - a data frame (pandas, Polars, Arrow) with these columns.
            - a finite `tf.data.Dataset` of dicts or tuples of strings, not batched.
            - `Pairs`, which are returned unchanged.
        split: Which part of a BEIR folder or a `DatasetDict`. Default: `train`.
        max_broken: How many broken rows (a line that is not JSON, other columns than the first row's, an empty text, a
            label that is no number; a file that is damaged, as one) are left out, and counted in a warning, before one
            ends the reading; not of BEIR folders and those of MS MARCO. Default: 0, the first one does.
        broken_file: Where to write the broken rows, as lines of JSON with `place`, `reason` and `record`. Default: not
            kept.

    Returns:
        The rows, in order.

    Raises:
        InputError: if there are no rows, columns are missing, a text is not a string or is empty, labels are not
            finite numbers from -1e9 to 1e9, or rows differ in their columns or their number of negatives; with the
            row's place, and above a limit with their number.
    """
    if isinstance(dataset, Pairs):
        return dataset
    if isinstance(dataset, str | os.PathLike) and is_judged_folder(str(dataset)):
        dataset = read_judged(str(dataset), split=split)
    if isinstance(dataset, BeirDataset):
        return pair_judged(dataset)
    reader: ColumnReader | None = None
    columns: list[list[str]] = []
    labels: list[np.ndarray] = []
    session = ReadSession(max_broken, broken_file)
    session.start()
    try:
        for block in read_blocks(dataset, split=split, session=session):
            reader = reader or ColumnReader(block.names, block.place(0))
            for rows in read_sound_rows(reader, block, session):
                columns = columns or [[] for _ in rows.texts]
                for column, texts in zip(columns, rows.texts, strict=True):
                    column += texts
                if rows.labels is not None:
                    labels.append(rows.labels)
    finally:
        session.finish()
    session.check_found(bool(columns), "rows")
    if reader is None:
        received = str(dataset) if isinstance(dataset, str | os.PathLike) else f"an empty {type(dataset).__name__}"
        raise InputError(
            f"`dataset` must have at least one row. Received: {received}. Give it rows (a generator can be read only "
            "once: make a new one)."
        )
    return Pairs(tuple(columns), np.concatenate(labels) if labels else None, symmetric=reader.layout.symmetric)


def read_sound_rows(reader: ColumnReader, block: Block, session: ReadSession) -> Iterator[Rows]:
    """Reads a block's rows; those that are broken are rejected one by one.

    Raises:
        InputError: as `ReadSession.reject` does.
    """
    with contextlib.suppress(InputError):
        yield reader.read(block)
        return
    for number in range(len(block.columns[0])):
        place = block.place(number)
        columns = [column[number : number + 1] for column in block.columns]
        try:
            yield reader.read(Block(block.names, columns, [place].__getitem__))
        except InputError as error:
            session.reject(error, place, {name: column[0] for name, column in zip(block.names, columns, strict=True)})


def pair_judged(dataset: BeirDataset) -> Pairs:
    """Makes a row for each query and each document judged relevant for it.

    Raises:
        InputError: if no query has a relevant document in the corpus.
    """
    relevant_ids = {
        query: [id for id, grade in grades.items() if grade >= 1] for query, grades in dataset.qrels.items()
    }
    wanted = {id for ids in relevant_ids.values() for id in ids}
    texts = {document.id: document.full_text for document in dataset.documents() if document.id in wanted}
    keys = {id: text_key(text) for id, text in texts.items()}
    queries: list[str] = []
    documents: list[str] = []
    relevant: list[tuple[int, ...]] = []
    for query, ids in relevant_ids.items():
        found = [id for id in ids if id in texts]
        query_keys = tuple(keys[id] for id in found)  # one tuple, shared by the query's rows
        queries += [dataset.queries[query]] * len(found)
        documents += [texts[id] for id in found]
        relevant += [query_keys] * len(found)
    if not queries:
        raise InputError(
            "The dataset must judge a document of its corpus relevant (grade 1 or above). Received: "
            f"{len(relevant_ids)} judged queries, {len(wanted)} documents judged relevant, none of them "
            "in the corpus. Check that the judgments and the corpus belong together."
        )
    return Pairs((queries, documents), relevant=tuple(relevant))
