"""Parallel texts: what a translation model is trained and evaluated on, read from lists, files and datasets."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.files.data_file import DataFile, to_file
from tfchain.data.files.datasets import is_hugging_face, is_tf_dataset, read_hugging_face, read_tf_dataset
from tfchain.data.files.lines import read_lines
from tfchain.data.files.place import Block, Place
from tfchain.data.files.read_session import ReadSession
from tfchain.data.files.records import read_json_lines, record_ending
from tfchain.data.files.tables import is_frame, read_cells, read_frame, read_parquet

TRANSLATION = "translation"  # the column of Hugging Face's parallel data: a dict from languages to texts
NAMES = (("source", "target"), ("src", "tgt"))
FORMS = (
    "a list or generator of (source, target) tuples or of dicts with `source` and `target`, the path of a .tsv, .csv, "
    ".jsonl or .parquet file, a Hugging Face Dataset, a data frame, or a tf.data.Dataset"
)


@dataclass(frozen=True)
class ParallelRows:
    """Texts with their translations.

    Args:
        sources: The texts to translate.
        references: One correct translation of each text, or several.
    """

    sources: Sequence[str]
    references: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.sources)

    def pairs(self) -> tuple[list[str], list[str]]:
        """Returns sources and targets to train on: a text with several translations comes once with each."""
        rows = [(text, target) for text, found in zip(self.sources, self.references, strict=True) for target in found]
        return [source for source, _ in rows], [target for _, target in rows]

    @classmethod
    def of_pairs(cls, sources: Sequence[str], targets: Sequence[str]) -> "ParallelRows":
        """Makes rows of one translation for each text."""
        return cls(list(sources), [(target,) for target in targets])


@dataclass(frozen=True)
class Languages:
    """The languages of a translation, as the data and the model name them.

    Args:
        source: The language of the texts, such as `en`. Default: not named.
        target: The language of the translations, such as `zh`. Default: not named.
    """

    source: str | None = None
    target: str | None = None


def read_parallel(source: Any, *, split: str = "train", languages: Languages | None = None) -> ParallelRows:
    """Reads texts with their translations.

    Args:
        source: One of:

            - a list or a generator of `(source, target)` tuples, where the target may be a list of several correct
              translations, or of dicts with `source` and `target` (or `src` and `tgt`, or the two languages).
            - the path of a `.tsv`, `.csv`, `.jsonl` (each also `.gz`) or `.parquet` file with these columns. A `.tsv`
              without a line of column names has the source in its first cell and the target in its second, as
              Tatoeba's has; further cells are ignored.
            - a Hugging Face `Dataset` or `DatasetDict` with these columns, or with `translation`, a dict from
              languages to texts.
            - a data frame, or a finite `tf.data.Dataset`, with these columns.
            - `ParallelRows`, which are returned as they are.
        split: The split of a `DatasetDict`. Default: `train`.
        languages: Names the columns of source and target where these are languages. Default: none.

    Raises:
        InputError: if there are no rows, a text is empty or not a string, or a column is missing; it names the row.
    """
    if isinstance(source, ParallelRows):
        return source
    languages = languages or Languages()
    texts: list[str] = []
    references: list[tuple[str, ...]] = []
    for place, text, target in _iterate(source, split, languages):
        texts.append(_check_text(text, "source", place))
        found = target if isinstance(target, list | tuple) else [target]
        if not found:
            raise InputError(f"{place}: expected a translation. Received: an empty list. Add one, or leave it out.")
        references.append(tuple(_check_text(item, "target", place) for item in found))
    if not texts:
        raise InputError(f"The dataset must have at least one row. Received: an empty {type(source).__name__}.")
    return ParallelRows(texts, references)


def _iterate(source: Any, split: str, languages: Languages) -> Iterator[tuple[Place, Any, Any]]:
    """Yields place, source and target of each row."""

    def choose(columns: list[str], place: Place) -> Sequence[str]:
        return _find_columns(columns, place, languages)

    if isinstance(source, str | os.PathLike):
        yield from _read_path(str(source), languages)
    elif is_tf_dataset(source):
        yield from _read_blocks(read_tf_dataset(source, choose, lambda width: NAMES[0], "dataset"), languages)
    elif is_hugging_face(source):
        yield from _read_blocks(read_hugging_face(source, split, choose, "dataset"), languages)
    elif is_frame(source):
        yield from _read_blocks(read_frame(source, choose, "dataset"), languages)
    elif isinstance(source, Mapping | bytes | set | frozenset | np.ndarray) or not isinstance(source, Iterable):
        raise InputError(f"`dataset` must be {FORMS}. Received: {type(source).__name__}.")
    else:
        for number, row in enumerate(source):
            place = Place("dataset[", number, "]")
            if isinstance(row, Mapping):
                yield place, *_take(row, place, languages)
            elif isinstance(row, tuple | list) and len(row) == 2:
                yield place, row[0], row[1]
            else:
                raise InputError(f"{place}: `dataset` must be {FORMS}. Received: {row!r:.60} of {type(row).__name__}.")


def _read_path(path: str, languages: Languages) -> Iterator[tuple[Place, Any, Any]]:
    def choose(columns: list[str], place: Place) -> Sequence[str]:
        return _find_columns(columns, place, languages)

    file = to_file(path)
    ending = record_ending(file)
    if ending == ".tsv" and not _has_column_names(file, languages):
        yield from _read_bare_lines(file)
    elif ending == ".parquet":
        yield from _read_blocks(read_parquet(file, choose), languages)
    elif ending in (".csv", ".tsv", ".jsonl"):
        for place, record in read_json_lines(file) if ending == ".jsonl" else read_cells(file, choose):
            yield place, *_take(record, place, languages)
    else:
        file.open(
            ReadSession().limits
        ).close()  # raises: for a missing file, say so rather than complain about its name
        raise InputError(
            f"Expected a file that ends in .tsv, .csv, .jsonl (each also .gz) or .parquet. Received: {file}."
        )


def _has_column_names(file: DataFile, languages: Languages) -> bool:
    """Returns whether the first line of a file of cells names the columns of source and target."""
    _, first = next(iter(read_lines(file, ReadSession())), (0, ""))
    cells = [cell.strip().strip('"') for cell in first.lstrip("\ufeff").split("\t")]
    return any(set(names) <= set(cells) for names in _named(languages))


def _read_bare_lines(file: DataFile) -> Iterator[tuple[Place, Any, Any]]:
    """Reads lines of source, tab, target; quotes are part of the texts."""
    for number, line in read_lines(file, ReadSession()):
        if not line.strip():
            continue
        place = Place(f"{file}:", number)
        cells = line.lstrip("\ufeff").rstrip("\r\n").split("\t")
        if len(cells) < 2:
            raise InputError(
                f"{place}: expected a text, a tab and its translation. Received: {line.strip()!r:.60}. Name the "
                "columns `source` and `target` in the first line, or leave the line out."
            )
        yield place, cells[0], cells[1]


def _read_blocks(blocks: Iterable[Block], languages: Languages) -> Iterator[tuple[Place, Any, Any]]:
    for block in blocks:
        for number, values in enumerate(zip(*block.columns, strict=True)):
            place = block.place(number)
            yield place, *_take(dict(zip(block.names, values, strict=True)), place, languages)


def _take(record: Mapping[str, Any], place: Place, languages: Languages) -> tuple[Any, Any]:
    """Returns source and target of a record."""
    names = _find_columns(list(record), place, languages)
    if len(names) == 2:
        return record[names[0]], record[names[1]]
    texts = record[TRANSLATION]
    if not isinstance(texts, Mapping):
        raise InputError(
            f"{place}: `translation` must be a dict from languages to texts. Received: {texts!r:.60} of type "
            f"{type(texts).__name__}."
        )
    if languages.source is None or languages.target is None:
        raise InputError(
            f"{place}: `translation` does not say which language is the source. Received: the languages "
            f"{', '.join(map(str, texts))}, source_language={languages.source!r}, "
            f"target_language={languages.target!r}. Name both."
        )
    missing = [name for name in (languages.source, languages.target) if name not in texts]
    if missing:
        raise InputError(
            f"{place}: `translation` must have a text in {missing[0]}. Received: {', '.join(map(str, texts))}."
        )
    return texts[languages.source], texts[languages.target]


def _find_columns(columns: Sequence[str], place: Place, languages: Languages) -> Sequence[str]:
    """Returns the columns of source and target, or the one column `translation`."""
    named = _named(languages)
    for names in named:
        if set(names) <= set(columns):
            return names
    if TRANSLATION in columns:
        return (TRANSLATION,)
    raise InputError(
        f"{place}: expected the columns {' or '.join(f'`{first}` and `{second}`' for first, second in named)}, or "
        f"`translation`. Received: {', '.join(map(str, columns))}. Rename the columns, or name the languages."
    )


def _named(languages: Languages) -> list[tuple[str, str]]:
    """Returns the pairs of columns that are looked for, in this order."""
    own = [(languages.source, languages.target)] if languages.source and languages.target else []
    return [*NAMES, *own]


def _check_text(value: Any, name: str, place: Place) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(
            f"{place}: `{name}` must be a text that is not empty. Received: {value!r:.60} of type "
            f"{type(value).__name__}. Add a text, or leave the row out."
        )
    return value
