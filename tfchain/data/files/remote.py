"""Files behind URLs, read through fsspec: object stores (`gs://`, `s3://`), `http://`, `memory://`."""

import os
import re
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from tfchain.core.errors import InputError, MissingPackageError, first_line
from tfchain.data.files.data_file import DataFile

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
NAMED_BEFORE_AT = ("abfs", "abfss", "wasb", "wasbs", "github", "git")  # a container or a repository, and no user
MAGIC = re.compile(r"[*?\[]")
PACKAGES = {
    "gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "s3a": "s3fs", "http": "aiohttp", "https": "aiohttp",
    "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs", "hf": "huggingface_hub", "sftp": "paramiko",
}  # fmt: skip
BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Url(os.PathLike[str]):
    """A URL among other sources of a list, in which a string would be a text.

    Args:
        text: The URL.
    """

    text: str

    def __fspath__(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text


def is_url(text: str) -> bool:
    """Returns whether a text is a URL."""
    return URL.fullmatch(text) is not None


def without_secrets(url: str) -> str:
    """Returns a URL without user, password, query and fragment, which may hold keys.

    Of several joined by `::`, as fsspec has them (`zip://a.txt::https://host/b.zip`), each loses its own.
    """
    return "::".join(map(_clean, url.split("::")))


def _clean(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    if scheme in ("http", "https"):  # elsewhere a question mark is part of a pattern
        rest = rest.partition("#")[0].partition("?")[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host if scheme in NAMED_BEFORE_AT else host.rpartition('@')[2]}{slash}{path}"


def find_remote_files(url: str) -> list[tuple[str, DataFile]]:
    """Lists what a URL names: one file, the files below a folder, or those that match a pattern (`gs://b/*.jsonl`).

    Args:
        url: The URL. Its scheme says which file system of fsspec reads it.

    Returns:
        The files, sorted by path, each with its path below the folder (for one file, its name).

    Raises:
        InputError: if there is no such file, or the store cannot be reached.
        MissingPackageError: if the package for this store is not installed.
    """
    system, path = open_store(url)
    scheme = url.partition("://")[0]
    try:
        if MAGIC.search(path) and scheme not in ("http", "https"):
            found = [str(name) for name in system.glob(path)]
            root = path[: MAGIC.search(path).start()].rpartition("/")[0]  # type: ignore[union-attr]
        elif scheme not in ("http", "https") and system.isdir(path):
            found, root = [str(name) for name in system.find(path)], path
        else:
            found, root = [path], path.rstrip("/").rpartition("/")[0]
            if not system.exists(path):
                found = []
        files = [name for name in found if not system.isdir(name)] if len(found) > 1 else found
    except (OSError, ValueError, RuntimeError) as error:
        raise unreachable(url, error) from error
    if not files:
        raise InputError(f"No such file: {url}. Check the address, and that you may read it.")
    root = root.strip("/")
    listed = []
    for name in sorted(files):
        label = name if "://" in name else f"{scheme}://{name.lstrip('/')}"
        below = name.strip("/").removeprefix(root).strip("/")
        file = DataFile(label.partition("?")[0], opener(system, name, label))
        listed.append((below.partition("?")[0] or file.name, file))
    return listed


def opener(system: Any, path: str, label: str) -> Any:
    """Returns a function that opens a file of a store."""

    def open_file() -> BinaryIO:
        try:
            return cast(BinaryIO, system.open(path, "rb", block_size=BLOCK_BYTES))
        except (OSError, ValueError, RuntimeError) as error:
            raise unreachable(label, error) from error

    return open_file


def open_store(url: str) -> tuple[Any, str]:
    """Returns the file system of a URL, and the path in it."""
    from fsspec.core import url_to_fs

    scheme = url.partition("://")[0].lower()
    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        package = PACKAGES.get(scheme)
        advice = f"Install it with `pip install {package}`." if package else first_line(error)
        raise MissingPackageError(
            f"Reading {scheme}:// needs the package {package or 'of its store'}. {advice}"
        ) from error
    except ValueError as error:
        raise InputError(f"Could not read {url}: {first_line(error)}. Expected a URL that fsspec knows.") from error
    except OSError as error:
        raise unreachable(url, error) from error
    return system, str(path)


def unreachable(url: str, error: BaseException) -> InputError:
    """Makes the error for a store that cannot be read."""
    return InputError(f"Could not read {url}: {first_line(error)}. Check the address, and that you may read it.")
