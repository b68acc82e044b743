"""Reads interactions from files, data frames and lists, with the tables of users and items, and checks them."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from tfchain.core.errors import InputError
from tfchain.data.files.place import Place
from tfchain.data.interactions.columns import ColumnKind, clean, to_seconds
from tfchain.data.interactions.interactions import Interactions, make_interactions
from tfchain.data.interactions.tables import FILE_ENDINGS, Table, find_column, iterate_rows, read_id, read_table

Duplicates = Literal["error", "first", "last"]
USER_COLUMNS = ("user", "user_id", "userId", "id")
ITEM_COLUMNS = ("item", "item_id", "itemId", "movieId", "product_id", "id")
TIME_COLUMNS = ("timestamp", "time", "date")
# The files of a folder, by what they hold; MovieLens' names among them.
FILES = {
    "interactions": ("interactions", "ratings"),
    "users": ("users",),
    "items": ("items", "movies"),
}


@dataclass(frozen=True, kw_only=True)
class InteractionOptions:
    """How interactions are read.

    Args:
        user: The column of users in the table of interactions. Default: the first found of `user`, `user_id`, `userId`.
        item: That of items. Default: the first found of `item`, `item_id`, `itemId`, `movieId`, `product_id`.
        time: That of the time. Default: `timestamp`, `time` or `date` if there is one, else the rows' order counts.
        user_kinds: The kinds of columns of users whose values do not tell; see `columns.infer_kind`. Default: none.
        item_kinds: The same of items. Default: none.
        least_rating: Interactions with a smaller `rating` are left out, before duplicates are looked for. Default:
            None, all count.
        duplicates: What becomes of a user's second interaction with an item: `error`, or the `first` or the `last`
            counts. Default: `error`.

    Raises:
        InputError: if a value is unknown.
    """

    user: str | None = None
    item: str | None = None
    time: str | None = None
    user_kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    item_kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    least_rating: float | None = None
    duplicates: Duplicates = "error"

    def __post_init__(self) -> None:
        if self.duplicates not in get_args(Duplicates):
            raise InputError(
                f"`duplicates` must be one of {', '.join(get_args(Duplicates))}. "
                f"Received: duplicates={self.duplicates!r}."
            )
        least = self.least_rating
        if least is not None and (isinstance(least, bool) or not isinstance(least, int | float) or least != least):
            raise InputError(f"`least_rating` must be a number. Received: least_rating={least!r}. 3.5 is usual.")


def read_interactions(
    source: Any, users: Any = None, items: Any = None, *, options: InteractionOptions | None = None
) -> Interactions:
    """Reads interactions, with the tables of users and items if there are any.

    Args:
        source: A folder with `interactions` or `ratings`, and perhaps `users` and `items` or `movies`, each a `.csv`,
            `.tsv`, `.parquet` or `.jsonl` file (MovieLens' folders are such); a file; a data frame; a list of dicts; a
            dict of `interactions` and, as in the next arguments, `users` and `items`; or `Interactions` alone, which
            are returned as they are.
        users: The table of users: anything that `read_table` takes. Default: the folder's; without one, the users are
            those of the interactions.
        items: The same of items.
        options: Columns, kinds, and what becomes of duplicates. Default: `InteractionOptions()`.

    Raises:
        InputError: if there are no rows, a column is missing, an id or a time is missing or wrong, an interaction comes
            twice, or an id is not in its table; with the row.
    """
    if isinstance(source, Interactions):
        if users is not None or items is not None or options is not None:
            raise InputError(
                "`Interactions` have their users and items, and have been read. Received: `users`, `items` or "
                "`options` with them. Give these where the interactions are read."
            )
        return source
    options = options or InteractionOptions()
    if isinstance(source, Mapping) and "interactions" in source:
        unknown = sorted(set(source) - set(FILES))
        if unknown:
            raise InputError(f"The dict must have {', '.join(FILES)}. Received: {unknown[0]!r}. Leave it out.")
        users = source.get("users") if users is None else users
        items = source.get("items") if items is None else items
        source = source["interactions"]
    if isinstance(source, str | os.PathLike) and Path(source).is_dir():
        folder = Path(source)
        source = _find_file(folder, "interactions")
        if source is None:
            names = " or ".join(FILES["interactions"])
            raise InputError(f"{folder} must hold a file named {names} ({', '.join(FILE_ENDINGS)}). Received: none.")
        users = _find_file(folder, "users") if users is None else users
        items = _find_file(folder, "items") if items is None else items
    user_table = item_table = None
    if users is not None:
        user_table = read_table(users, name="users", id_columns=USER_COLUMNS, kinds=options.user_kinds)
    if items is not None:
        item_table = read_table(items, name="items", id_columns=ITEM_COLUMNS, kinds=options.item_kinds)
    for kinds, table, what in ((options.user_kinds, user_table, "user"), (options.item_kinds, item_table, "item")):
        if kinds and table is None:
            raise InputError(
                f"`{what}_kinds` need a table of {what}s. Received: {dict(kinds)!r:.100}, and no table. Give `{what}s`."
            )
    return _Reader(options, user_table, item_table).read(source)


class _Reader:
    """Reads one table of interactions."""

    def __init__(self, options: InteractionOptions, users: Table | None, items: Table | None) -> None:
        self.options = options
        self.tables = (users, items)
        self.places = tuple({} if table is None else {id: row for row, id in enumerate(table.ids)}
                            for table in self.tables)  # fmt: skip
        self.columns: tuple[str, str, str | None] | None = None

    def read(self, source: Any) -> Interactions:
        found: dict[tuple[int, int], float] = {}
        has_rows = False
        for place, record in iterate_rows(source, "interactions"):
            has_rows = True
            pair, moment = self._read_row(place, record)
            if pair is None:
                continue
            if pair in found and self.options.duplicates == "error":
                user, item = (list(ids)[number] for ids, number in zip(self.places, pair, strict=True))
                raise InputError(
                    f"{place}: a user must have each item once. Received: the user {user!r} and the item {item!r} "
                    "again. Leave the row out, or choose with duplicates='first' or 'last'."
                )
            if pair in found:
                earlier = found[pair] <= moment
                if earlier == (self.options.duplicates == "first"):
                    continue
                del found[pair]  # so that the order of the rows, too, is that of the one that counts
            found[pair] = moment
        if not found:
            why = f"none with a rating of at least {self.options.least_rating}" if has_rows else "none"
            raise InputError(f"`interactions` must have at least one row. Received: {why}.")
        users, items = (
            Table(list(ids)) if table is None else table for table, ids in zip(self.tables, self.places, strict=True)
        )
        has_times = self.columns is not None and self.columns[2] is not None
        return make_interactions(users, items, list(found), list(found.values()) if has_times else None)

    def _read_row(self, place: Place, record: Mapping[str, Any]) -> tuple[tuple[int, int] | None, float]:
        if self.columns is None:
            self.columns = self._choose_columns(list(record))
        user_column, item_column, time_column = self.columns
        least = self.options.least_rating
        if least is not None:
            rating = clean(record.get("rating"))
            try:
                number = float(rating)
                if math.isnan(number):
                    raise ValueError("not a number")
            except (TypeError, ValueError):
                raise InputError(
                    f"{place}: the column `rating` must hold a number. Received: {rating!r:.60}. Leave the row out."
                ) from None
            if number < least:
                return None, 0.0
        user = self._find(0, record.get(user_column), user_column, place)
        item = self._find(1, record.get(item_column), item_column, place)
        if time_column is None:
            return (user, item), 0.0
        value = clean(record.get(time_column))
        try:
            return (user, item), to_seconds(value)
        except (TypeError, ValueError):
            raise InputError(
                f"{place}: the column `{time_column}` must hold a time: seconds since 1970, a date, or ISO 8601 text. "
                f"Received: {'nothing' if value is None else repr(value)[:60]}. Mend the row, or leave it out."
            ) from None

    def _choose_columns(self, names: Sequence[str]) -> tuple[str, str, str | None]:
        options = self.options
        user = find_column([options.user] if options.user else USER_COLUMNS[:-1], names, "interactions")
        item = find_column([options.item] if options.item else ITEM_COLUMNS[:-1], names, "interactions")
        if options.least_rating is not None:
            find_column(["rating"], names, "interactions")
        if options.time is not None:
            return user, item, find_column([options.time], names, "interactions")
        return user, item, next((name for name in TIME_COLUMNS if name in names), None)

    def _find(self, which: int, value: Any, column: str, place: Place) -> int:
        id = read_id(value, column, place)
        known = self.places[which]
        if id not in known:
            if self.tables[which] is not None:
                name = ("users", "items")[which]
                raise InputError(
                    f"{place}: each id in the column `{column}` must be in the table of {name}. Received: {id!r}, "
                    f"which is not. Add it to the table, or leave the row out."
                )
            known[id] = len(known)
        return int(known[id])


def _find_file(folder: Path, what: str) -> Path | None:
    found = [folder / f"{name}{ending}" for name in FILES[what] for ending in FILE_ENDINGS]
    return next((path for path in found if path.is_file()), None)
