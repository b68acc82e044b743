"""The names of a log's files: their order is that of their numbers, whatever the clock said when they were begun."""

import contextlib
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from tfchain.core.errors import InputError

QUERIES, EVENTS, SERVERS = "queries", "events", "servers"
KINDS = (QUERIES, EVENTS, SERVERS)
OPEN = ".open.jsonl"  # a file that a process is still writing
OPEN_HERE: set[Path] = set()  # the files that this process is writing, as absolute paths
_NAME = re.compile(
    r"(?P<kind>queries|events|servers)-(?P<number>\d{8,})-(?P<host>[\w.]+)-(?P<pid>\d+)(?P<ending>\.open\.jsonl|\.jsonl|\.parquet)"
)


@dataclass(frozen=True)
class LogFile:
    """A file of a log.

    Args:
        path: The file.
        kind: `queries`, `events` or `servers`.
        number: Its place among the log's files: of two files, the one with the larger number was begun later.
        owner: The machine and process that wrote it.
        is_open: Whether its process may still be writing.
        size: Its size in bytes.
        modified: When it was last written, by the file system, in seconds since 1970.
    """

    path: Path
    kind: str
    number: int
    owner: str
    is_open: bool
    size: int
    modified: float


def list_files(folder: Path | str, kind: str | None = None) -> list[LogFile]:
    """Returns a log's files, in the order in which they were begun; others in its folder are not looked at.

    Args:
        folder: The log's folder; it need not exist.
        kind: `queries`, `events` or `servers`. Default: all.
    """
    found = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            match = _NAME.fullmatch(entry.name)
            if match is None or kind not in (None, match["kind"]):
                continue
            with contextlib.suppress(FileNotFoundError):  # another process may delete it first
                status = entry.stat()
                owner = f"{match['host']}-{match['pid']}"
                is_open = match["ending"] == OPEN
                number = int(match["number"])
                file = (Path(entry.path), match["kind"], number, owner, is_open, status.st_size, status.st_mtime)
                found.append(LogFile(*file))
    return sorted(found, key=lambda file: (file.number, file.path.name))


def check_log(folder: Path | str) -> Path:
    """Returns a log's folder as a path.

    Raises:
        InputError: if it is not a folder, or has no file of a log.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"The query log must be a folder, the --query_log_dir of a server. Received: {folder}, which is none. "
            "A server makes it when it logs its first query."
        )
    if not list_files(folder):
        raise InputError(
            f"{folder} has no files of a query log. A server that is asked writes them with --query_log_dir={folder}."
        )
    return folder


def new_name(folder: Path, kind: str) -> Path:
    """Returns the path of a file to begin, with the next number."""
    number = max((file.number for file in list_files(folder)), default=0) + 1
    return folder / f"{kind}-{number:08}-{this_owner()}{OPEN}"


def this_owner() -> str:
    """Returns how this machine and process sign their files."""
    host = re.sub(r"[^\w.]", "_", socket.gethostname(), flags=re.ASCII) or "host"
    return f"{host}-{os.getpid()}"


def is_abandoned(file: LogFile) -> bool:
    """Returns whether an open file's process, on this machine, has ended without closing it.

    A process may have the number of an earlier one, as in a container that was started anew.
    """
    host, _, pid = file.owner.rpartition("-")
    if not file.is_open or host != this_owner().rpartition("-")[0]:
        return False
    if file.owner == this_owner():
        return file.path.absolute() not in OPEN_HERE
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
