"""Which texts of a record a filter judges."""

from collections.abc import Sequence

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.steps.record import Record, texts_of


def judged_texts(record: Record, columns: Sequence[str] = ()) -> list[str]:
    """Returns the texts of a record that a filter judges.

    Args:
        record: Of a document, its text; its title alone if it has no text.
        columns: Columns of a row. Default: all its texts. Columns that a row lacks are not judged.
    """
    if isinstance(record, Document):
        return [record.text if record.text.strip() else record.title]
    if not columns:
        return list(texts_of(record).values())
    return [value for value in map(record.get, columns) if isinstance(value, str)]


def check_columns(columns: Sequence[str]) -> None:
    """Raises an InputError if `columns` is not a list of names."""
    if isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
        raise InputError(
            f"`columns` must be a list of names. Received: columns={columns!r}. Use ['positive'] to judge documents of "
            "pairs alone.",
            argument="columns",
        )
