"""What of a record is compared to find duplicates: its texts, or some columns of a row, and its label."""

from collections.abc import Sequence

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.steps.record import ID_NAMES, Record, texts_of

LABEL_NAMES = ("label", "labels", "score")


def compared_texts(record: Record, columns: Sequence[str] = ()) -> dict[str, str]:
    """Returns the texts of a record that are compared, by name.

    Args:
        record: A document, of which title and text are compared, or a row.
        columns: Columns of a row to compare. Default: all its texts. A document has only `title` and `text`.
    """
    texts = texts_of(record)
    if not columns:
        return texts
    if isinstance(record, Document):
        return {name: text for name, text in texts.items() if name in columns}
    return {name: str(record[name]) for name in columns if record.get(name) is not None}


def compared_label(record: Record, columns: Sequence[str] = ()) -> str:
    """Returns the label or score of a row, by which rows of equal texts differ; `""` for documents and given columns.

    So of two rows of one text with different labels both stay, and a check can report the contradiction.
    """
    if columns or isinstance(record, Document):
        return ""
    return repr([record[name] for name in LABEL_NAMES if record.get(name) is not None])


def check_columns(columns: Sequence[str]) -> None:
    """Raises an InputError if `columns` is not a sequence of names, or names ids, which never repeat."""
    if isinstance(columns, str) or not all(isinstance(name, str) and name not in ID_NAMES for name in columns):
        raise InputError(
            f"`columns` must be a list of names of columns that hold texts. Received: columns={columns!r}. "
            "Use ['query'] to compare queries alone.",
            argument="columns",
        )
