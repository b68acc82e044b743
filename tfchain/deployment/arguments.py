"""Checks the arguments of `deploy` and `export`, so that a mistake is found before any costly work."""

import math
import os
import socket
from pathlib import Path
from typing import Any

from tfchain.core.atomic import writing
from tfchain.core.errors import InputError, ServerError, TfchainError
from tfchain.core.texts import has_surrogate

HIGHEST_PORT = 65535
MOST_WORKERS = 1024


def check_model_name(name: Any, *, argument: str = "model_name") -> None:
    """Raises if requests cannot use a name for a model.

    Args:
        name: The name.
        argument: The argument's name, for the error. Default: `model_name`.

    Raises:
        InputError: if it is not a string, is empty, or contains `/`, `:` or a character that no command line can hold.
    """
    if not isinstance(name, str) or not name or set(name) & set("/:\0") or name in (".", "..") or has_surrogate(name):
        raise InputError(
            f"`{argument}` must be a name without / or :, such as 'docs'. Received: {argument}={name!r}. "
            "Requests contain it, as in /v1/models/docs:predict."
        )


def check_address(host: Any, ports: dict[str, Any]) -> None:
    """Raises if a host or port is invalid.

    Args:
        host: The address.
        ports: The two ports by argument name; 0 means any free port.

    Raises:
        InputError: if the host is not a string, a port is not a port number, or the two ports are equal.
    """
    if not isinstance(host, str) or not host or "\0" in host or has_surrogate(host):
        raise InputError(f"`host` must be an address, such as '127.0.0.1'. Received: host={host!r}.")
    for name, port in ports.items():
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= HIGHEST_PORT:
            raise InputError(
                f"`{name}` must be a whole number from 0 to {HIGHEST_PORT}. Received: {name}={port!r}. "
                "Use 0 for any free port."
            )
    chosen = [port for port in ports.values() if port]
    if len(set(chosen)) < len(chosen):
        names = " and ".join(f"`{name}`" for name in ports)
        raise InputError(f"{names} must differ. Received: {chosen[0]} for both. Use 0 for any free port.")


def check_timeout(timeout_seconds: Any) -> None:
    """Raises an InputError if the value is not a number of seconds above 0."""
    is_number = isinstance(timeout_seconds, int | float) and not isinstance(timeout_seconds, bool)
    if not is_number or not 0 < timeout_seconds < math.inf:
        raise InputError(
            f"`timeout_seconds` must be a number above 0. Received: timeout_seconds={timeout_seconds!r}. "
            "A start takes about ten seconds."
        )


def check_workers(workers: Any) -> None:
    """Raises an InputError if the value is not a number of processes."""
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MOST_WORKERS:
        raise InputError(
            f"`workers` must be a whole number from 1 to {MOST_WORKERS}. Received: workers={workers!r}. "
            "Each is a process with models of its own; start with one for every four cores."
        )


def check_ports(host: str, *ports: int) -> None:
    """Raises if a deployment's ports are in use, before anything is exported.

    Args:
        host: The address to listen on.
        ports: The ports; 0 is always free at an address of this machine.

    Raises:
        ServerError: if a port is in use, or the address is not this machine's.
    """
    for port in ports:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            with socket.create_server((host, port), family=family):
                pass
        except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise ServerError(
                f"The server cannot listen on {place}: {reason}. Nothing was exported. "
                "Choose another port, or 0 for any free port; or choose another address of this machine."
            ) from error


def check_base_path(path: Any) -> Path:
    """Raises if no version can be written to a base path.

    Args:
        path: A folder; it need not exist.

    Returns:
        The path.

    Raises:
        InputError: if it is not a path, or if it or a parent is a file.
        TfchainError: if the folder, or the existing folder to make it in, is not writable.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path) or "\0" in str(path):
        raise InputError(f"A base path must be a folder's path. Received: {path!r}. Name a folder, such as 'versions'.")
    path = Path(path)
    with writing(path):
        place = path.absolute()
        while not _exists(place):
            place = place.parent
        is_folder, is_writable = place.is_dir(), os.access(place, os.W_OK | os.X_OK)
    if not is_folder:
        raise InputError(
            f"A base path must be a folder, or a place for a new one. Received: {path}, where {place} is not a folder. "
            "Name another path."
        )
    if not is_writable:
        raise TfchainError(f"Could not write {path}: {place} does not allow it. Choose another place, and try again.")
    return path


def _exists(path: Path) -> bool:
    """Returns whether a path exists, even as a broken link; raises an OSError if no path can have this form."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
