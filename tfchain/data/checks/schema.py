"""The schema of rows: what each column holds, kept in a YAML file that people can read and edit."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from tfchain.core.atomic import write_file
from tfchain.core.errors import InputError, first_line
from tfchain.data.files.lines import read_text
from tfchain.data.files.paths import to_path

ColumnType = Literal["text", "integer", "number", "boolean", "list", "dict"]
SCHEMA_VERSION = 1
HEAD = "# What rows must look like: written by tfchain, to be edited. Leave a line out to allow anything.\n"


@dataclass(frozen=True)
class Column:
    """What one column must hold.

    Args:
        type: `text`, `integer`, `number` (whole or not), `boolean`, `list` or `dict`. Default: anything.
        required: Whether every row must have a value that is not missing or empty. Default: False.
        unique: Whether no two rows may have the same value. Default: False.
        characters: The least and the most characters of a text. Default: any.
        tokens: The least and the most tokens of a text, if a `count_tokens` is at hand. Default: any.
        range: The least and the largest number. Default: any.
        values: The only values allowed. Default: any.
        languages: The only languages allowed of a text, if a `detect_language` is at hand. Default: any.

    Raises:
        InputError: if a value is not of this form.
    """

    type: ColumnType | None = None
    required: bool = False
    unique: bool = False
    characters: tuple[float, float] | None = None
    tokens: tuple[float, float] | None = None
    range: tuple[float, float] | None = None
    values: tuple[Any, ...] | None = None
    languages: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.type is not None and self.type not in get_args(ColumnType):
            raise InputError(f"`type` must be one of {', '.join(get_args(ColumnType))}. Received: {self.type!r}.")
        for name in ("required", "unique"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"`{name}` must be true or false. Received: {getattr(self, name)!r}.")
        for name in ("characters", "tokens", "range"):
            object.__setattr__(self, name, check_bounds(name, getattr(self, name)))
        for name in ("values", "languages"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, list | tuple) or not value):
                raise InputError(f"`{name}` must be a list of at least one value. Received: {value!r:.80}.")
            object.__setattr__(self, name, None if value is None else tuple(value))

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings that restrict something, as plain values."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value is not None and value is not False
        }


@dataclass(frozen=True)
class Schema:
    """What rows must look like.

    Args:
        columns: What each column must hold, by name.
        other_columns: Whether rows may have other columns: `allow` or `refuse`. Default: `refuse`.

    Raises:
        InputError: if `other_columns` is something else.
    """

    columns: Mapping[str, Column]
    other_columns: Literal["allow", "refuse"] = "refuse"

    def __post_init__(self) -> None:
        if self.other_columns not in ("allow", "refuse"):
            raise InputError(f"`other_columns` must be 'allow' or 'refuse'. Received: {self.other_columns!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Returns the schema as plain values."""
        return {
            "version": SCHEMA_VERSION,
            "other_columns": self.other_columns,
            "columns": {name: column.to_dict() for name, column in self.columns.items()},
        }

    @classmethod
    def from_dict(cls, value: Any, where: str = "the schema") -> "Schema":
        """Makes a schema of plain values.

        Args:
            value: What `to_dict` returned.
            where: Where it comes from, for errors.

        Raises:
            InputError: if it has another form, or a newer version wrote it.
        """
        if not isinstance(value, Mapping) or not isinstance(value.get("columns"), Mapping):
            raise InputError(f"{where} must have `columns`, a mapping by name. Received: {value!r:.80}.")
        if value.get("version") != SCHEMA_VERSION:
            raise InputError(
                f"{where} must have `version: {SCHEMA_VERSION}`. Received: {value.get('version')!r}. A newer tfchain "
                "may have written it: install that."
            )
        unknown = sorted(map(str, value.keys() - {"version", "other_columns", "columns"}))
        if unknown:
            raise InputError(f"{where}: unknown settings: {', '.join(unknown)}. Expected: other_columns, columns.")
        known = {field.name for field in fields(Column)}
        columns: dict[str, Column] = {}
        for name, settings in value["columns"].items():
            place = f"{where}, column {name!r}"
            settings = {} if settings is None else settings
            if not isinstance(settings, Mapping) or settings.keys() - known:
                raise InputError(
                    f"{place}: expected the settings {', '.join(sorted(known))}. Received: {settings!r:.80}."
                )
            try:
                columns[str(name)] = Column(**settings)
            except InputError as error:
                raise InputError(f"{place}: {error}") from error
        return cls(columns, value.get("other_columns", "refuse"))

    def write(self, path: Path | str) -> Path:
        """Writes the schema as YAML.

        Args:
            path: The file, such as `schema.yaml`; replaced if it exists.

        Returns:
            The path.
        """
        import yaml

        body = yaml.safe_dump(self.to_dict(), allow_unicode=True, sort_keys=False, default_flow_style=None, width=100)
        return write_file(to_path(path), HEAD + body)

    @classmethod
    def read(cls, path: Path | str) -> "Schema":
        """Reads a schema that `write` wrote, edited or not.

        Raises:
            InputError: if the file is missing, is not YAML, or is not a schema.
        """
        import yaml

        path = to_path(path)
        try:
            value = yaml.safe_load(read_text(path))
        except yaml.YAMLError as error:
            raise InputError(
                f"{path}: not YAML: {first_line(error)}. Correct it, or infer the schema again."
            ) from error
        return cls.from_dict(value, str(path))


def check_bounds(name: str, value: Any) -> tuple[float, float] | None:
    """Returns two bounds as a tuple; raises an InputError if they are not two numbers in order."""
    if value is None:
        return None
    sound = isinstance(value, list | tuple) and len(value) == 2 and all(is_number(bound) for bound in value)
    if not sound or value[0] > value[1]:
        raise InputError(f"`{name}` must be the least and the most, such as [1, 512]. Received: {value!r:.80}.")
    return value[0], value[1]


def is_number(value: Any) -> bool:
    """Returns whether a value is a number, and not a boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool)
