"""Reads collections of pictures with captions: lists, folders, tables, and zip files of both."""

import csv
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.documents.metadata import to_metadata
from tfchain.data.pictures.pixels import ENDINGS

NAME_COLUMNS = ("image", "file_name", "file", "path", "filename")
CAPTION_COLUMNS = ("caption", "captions", "text", "name", "title")
SPLIT_COLUMN = "split"
_KEYS = ("image", "caption", "id", "metadata")  # of a dict
MOST_BYTES = 100_000_000  # of one picture's file in a zip, by its directory
# RuntimeError: a password is needed, or the way of compression is unknown.
_ZIP_ERRORS = (OSError, RuntimeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class PictureItem:
    """A picture of a collection.

    Args:
        id: Its name.
        picture: Anything that `read_pixels` takes; or a function without arguments that returns the bytes.
        caption: What it shows; empty if there is none. Default: empty.
        metadata: Other values, such as the columns of its table. Default: none.
        place: What errors call it. Default: its name.
    """

    id: str
    picture: Any
    caption: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""

    def load(self) -> Any:
        """Returns the picture, read from its archive if it is in one."""
        return self.picture() if callable(self.picture) else self.picture


def read_pictures(
    images: Any,
    *,
    captions: Sequence[str] | str | None = None,
    ids: Sequence[str] | None = None,
    metadata: Sequence[Mapping[str, Any]] | None = None,
    split: str | None = None,
    first_number: int = 0,
) -> list[PictureItem]:
    """Reads a collection of pictures; the pictures themselves are read later.

    Args:
        images: A list of pictures (paths, bytes, arrays, `PIL.Image`) or of dicts with `image`, `caption`, `id` and
            `metadata`, whose other keys become metadata; one of these; a folder, whose pictures are taken in the order
            of their paths, with a `captions.csv` or `metadata.csv` if it has one; a zip file of pictures; or a table
            (.csv, .tsv, .jsonl) with a column of file names (`image`, `file_name`, `file` or `path`) beside it or in a
            zip file beside it.
        captions: The captions of a list; or, for a table, the column of captions. Default: `caption`, `text`, `name`
            or `title`, the first that the table has.
        ids: The ids of a list. Default: file names, else numbers.
        metadata: The metadata of a list. Default: none; the other columns of a table.
        split: The rows of a table whose column `split` has this value; all rows of a table without the column. Default:
            all.
        first_number: The number that becomes the id of the first picture without a name. Default: 0.

    Raises:
        InputError: if the collection cannot be read, numbers of captions, ids and pictures differ, or JSON cannot hold
            metadata.
    """
    if isinstance(images, str | Path):
        path, is_folder = _find_path(images)
        is_table = path.suffix.lower() in (".csv", ".tsv", ".jsonl")
        if is_table or is_folder or path.suffix.lower() == ".zip":
            column = _check_for_list(path, captions, ids, metadata)
            if is_table:
                return _read_table(path, column, split)
            return _read_folder(path, column, split) if is_folder else _read_zip(path, column, split)
        images = [images]
    return list(_read_list(images, captions, ids, metadata, first_number))


def _find_path(name: str | Path) -> tuple[Path, bool]:
    """Returns a path, and whether it is a folder; one that cannot be looked up is none."""
    try:
        path = Path(name).expanduser()
        return path, path.is_dir()
    except (OSError, RuntimeError):  # a name that is too long; `~` of an unknown user
        return Path(name), False


def _check_for_list(path: Path, captions: Any, ids: Any, metadata: Any) -> str | None:
    """Rejects arguments that are for lists alone, and returns the column of captions."""
    of_list = {"captions": None if isinstance(captions, str) else captions, "ids": ids, "metadata": metadata}
    for name, value in of_list.items():
        if value is not None:
            raise InputError(
                f"`{name}` of this kind are for a list of pictures. Received: some for {path}. Write them into a "
                "table, or give a list."
            )
    return captions


def _read_list(images: Any, captions: Any, ids: Any, metadata: Any, first_number: int) -> Iterator[PictureItem]:
    images = _to_list(images)
    columns = {
        name.removesuffix("s"): _check_column(name, values, len(images))
        for name, values in (("captions", captions), ("ids", ids), ("metadata", metadata))
        if values is not None
    }
    for row, image in enumerate(images):
        given = dict(image) if isinstance(image, Mapping) else {"image": image}
        place = f"images[{row}]"
        if "image" not in given:
            raise InputError(f"{place}: a dict must have `image`. Received: {', '.join(map(str, given))}.")
        picture = given["image"]
        given |= {name: values[row] for name, values in columns.items()}
        name = given.get("id")
        if name is None:
            name = Path(picture).name if isinstance(picture, str | Path) else first_number + row
        rest = {key: value for key, value in given.items() if key not in _KEYS}
        own = _to_metadata(given.get("metadata") or {}, place)
        caption = _check_caption(given.get("caption"), place)
        yield PictureItem(str(name), picture, caption, {**_to_metadata(rest, place), **own}, place)


def _to_list(images: Any) -> list[Any]:
    """Returns pictures as a list; an array of two or three axes is one picture."""
    is_one = isinstance(images, bytes | bytearray | memoryview | Mapping) or not isinstance(images, Iterable)
    return [images] if is_one or (isinstance(images, np.ndarray) and images.ndim in (2, 3)) else list(images)


def _check_column(name: str, values: Any, count: int) -> list[Any]:
    found = list(values) if isinstance(values, Iterable) and not isinstance(values, str | Mapping) else None
    if found is None or len(found) != count:
        raise InputError(
            f"`{name}` must be a list with one item for each picture. Received: "
            f"{f'a {type(values).__name__}' if found is None else len(found)} for {count} pictures."
        )
    return found


def _to_metadata(values: Any, place: str) -> dict[str, Any]:
    try:
        return to_metadata(values)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def _check_caption(caption: Any, place: str) -> str:
    if caption is None:
        return ""
    if not isinstance(caption, str):
        raise InputError(f"{place}: a caption must be a text. Received: {caption!r:.80}.")
    return caption


def _read_folder(path: Path, column: str | None, split: str | None) -> list[PictureItem]:
    for name in ("captions.csv", "metadata.csv", "metadata.jsonl"):
        if (path / name).is_file():
            return _read_table(path / name, column, split)
    for name, value in (("captions", column), ("split", split)):
        if value is not None:
            raise InputError(
                f"`{name}` needs a table of captions. Received: {name}={value!r} for {path}, which has none."
            )
    found = sorted(file for file in path.rglob("*") if _is_picture(file.name) and file.is_file())
    if not found:
        raise InputError(f"A folder must have pictures ({', '.join(ENDINGS)}). Received: {path}, which has none.")
    names = [file.relative_to(path).as_posix() for file in found]
    return [PictureItem(name, file, place=str(file)) for name, file in zip(names, found, strict=True)]


def _is_picture(name: str) -> bool:
    """Returns whether a file's name is that of a picture; macOS writes others, `._name`, beside them."""
    return Path(name).suffix.lower() in ENDINGS and not Path(name).name.startswith("._")


def _read_zip(path: Path, column: str | None, split: str | None) -> list[PictureItem]:
    archive = _Archive(path)
    for name, value in (("captions", column), ("split", split)):
        if value is not None:
            raise InputError(
                f"`{name}` needs a table of captions. Received: {name}={value!r} for {path}, which is a zip file. Put "
                "a table beside it."
            )
    found = sorted(name for name in archive.names if _is_picture(name))
    if not found:
        raise InputError(f"A zip file must have pictures ({', '.join(ENDINGS)}). Received: {path}, which has none.")
    return [PictureItem(name, archive.reader(name), place=f"{path.name}/{name}") for name in found]


def _read_table(path: Path, column: str | None, split: str | None) -> list[PictureItem]:
    rows = _read_rows(path)
    if not rows:
        raise InputError(f"A table of pictures must have rows. Received: {path}, which has none.")
    name_column = _choose_column(path, rows[0], NAME_COLUMNS, None)
    caption_column = _choose_column(path, rows[0], CAPTION_COLUMNS, column)
    if split is not None and SPLIT_COLUMN in rows[0]:
        rows = [row for row in rows if row.get(SPLIT_COLUMN) == split]
        if not rows:
            raise InputError(f"{path} has no rows whose `{SPLIT_COLUMN}` is {split!r}. Check the name.")
    archives = [_Archive(file) for file in sorted(path.parent.glob("*.zip"))]
    items = []
    for number, row in enumerate(rows):
        name = row.get(name_column)
        if not isinstance(name, str) or not name:
            raise InputError(f"{path}: row {number + 1} must name a file in `{name_column}`. Received: {name!r:.80}.")
        place = f"{path.name}: {name}"
        rest = {key: value for key, value in row.items() if key not in (name_column, caption_column)}
        picture = _find_picture(path.parent, name, archives)
        caption = _check_caption(row.get(caption_column), place)
        items.append(PictureItem(name, picture, caption, _to_metadata(rest, place), place))
    return items


def _find_picture(folder: Path, name: str, archives: Sequence["_Archive"]) -> Any:
    try:
        place = (folder / name).resolve()
        if place.is_relative_to(folder.resolve()) and place.is_file():
            return place
    except (OSError, ValueError, RuntimeError):  # a name that is too long or has a zero; links in a circle
        pass
    for archive in archives:
        if name in archive.names:
            return archive.reader(name)
    raise InputError(f"{folder} has no picture {name!r}, beside the table or in a zip file there.")


def _read_rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".jsonl":
            return [dict(json.loads(line)) for line in text.split("\n") if line.strip()]
        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table: {type(error).__name__}: {error}.") from error
    for number, row in enumerate(rows):
        if None in row:  # csv puts there what the header has no column for
            raise InputError(
                f"{path}: row {number + 1} has more cells than the header. Received: {row[None]!r:.80} beyond it. Put "
                f"captions with `{delimiter}` into double quotes."
            )
    return rows


def _choose_column(path: Path, row: Mapping[str, Any], names: Sequence[str], given: str | None) -> str:
    found = [name for name in ([given] if given is not None else names) if name in row]
    if not found:
        raise InputError(
            f"{path} must have a column {given!r}."
            if given is not None
            else f"{path} must have one of the columns {', '.join(names)}. Received: {', '.join(map(str, row))}."
        )
    return found[0]


class _Archive:
    """A zip file whose members are read one at a time, and never written anywhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self.names = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}
        except _ZIP_ERRORS as error:
            raise InputError(f"{path} cannot be read as a zip file: {error}.") from error

    def reader(self, name: str) -> Callable[[], bytes]:
        """Returns a function that reads a member."""

        def read() -> bytes:
            if self.names[name] > MOST_BYTES:
                raise InputError(
                    f"{self.path.name}/{name}: a picture's file must have at most {MOST_BYTES:,} bytes. "
                    f"Received: {self.names[name]:,}. It was not unpacked."
                )
            try:
                with zipfile.ZipFile(self.path) as archive, archive.open(name) as member:
                    return member.read(MOST_BYTES)
            except _ZIP_ERRORS as error:
                raise InputError(f"{self.path.name}/{name} cannot be unpacked: {error}.") from error

        return read
