"""The titles of items, shown beside their ids."""

from collections.abc import Sequence

from tfchain.data.interactions.columns import SEPARATOR
from tfchain.data.interactions.tables import Table

TITLE_COLUMNS = ("title", "name")


def item_titles(items: Table) -> Sequence[str]:
    """Returns the title of each item: the column `title` or `name`, else the first text, else its id."""
    texts = [column for column, kind in items.kinds.items() if kind == "text"]
    column = next((name for name in (*TITLE_COLUMNS, *texts) if name in items.columns), None)
    if column is None:
        return list(items.ids)
    values = items.columns[column]
    if items.kinds.get(column) == "categories":  # one title with a `|` makes the column look like categories
        values = [SEPARATOR.join(value) or None for value in values]
    return [id if value is None else str(value) for id, value in zip(items.ids, values, strict=True)]
