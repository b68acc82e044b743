"""API keys: the keys in a file, which is read again when it changes, and the check of a request's bearer token."""

import hashlib
import hmac
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.deployment.server.status import Code, StatusError

logger = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


class ApiKeys:
    """The keys that requests may use; threads share it.

    The file has one key a line; empty lines, and lines that begin with `#`, are passed over. A change of the file takes
    effect with the next request. A file that cannot be read any more changes nothing, and is logged.

    Args:
        path: The file.

    Raises:
        InputError: if the file cannot be read, has no key, or has a key that no header can carry.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        try:
            self._stamp: _Stamp | None = _stamp(self._path)
            self._digests = _read_digests(self._path)
        except OSError as error:
            raise InputError(
                f"The file of API keys must be a file that can be read. Received: {path} ({error.strerror}). "
                "Write one key a line."
            ) from error
        if not self._digests:
            raise InputError(f"The file of API keys must have a key. Received: {path}, which has none. One key a line.")

    def check(self, authorization: str | None) -> None:
        """Raises if a request does not carry one of the keys.

        Args:
            authorization: The value of the request's `authorization` header; None without one.

        Raises:
            StatusError: UNAUTHENTICATED, with what is missing or wrong.
        """
        if not authorization:
            raise _unauthenticated("The request has no API key. Send the header `Authorization: Bearer KEY`.")
        scheme, _, key = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise _unauthenticated("The authorization must be a bearer token: `Authorization: Bearer KEY`.")
        digest = _digest(key.strip())
        is_known = False
        for known in self._current():
            is_known |= hmac.compare_digest(digest, known)  # the time tells nothing about which key it is like
        if not is_known:
            raise _unauthenticated("The API key is not valid.")

    def _current(self) -> Sequence[bytes]:
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._reload(stamp)
        except OSError:
            self._reload(None)
        return self._digests

    def _reload(self, stamp: _Stamp | None) -> None:
        """Reads the file again, unless another thread has done so; None for a file that is gone."""
        with self._lock:
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._digests = _read_digests(self._path)
            except (OSError, InputError) as error:
                logger.error("%s cannot be read, and its former API keys stay valid: %s", self._path, error)
                return
            logger.warning("%s has changed: %d API keys are valid now", self._path, len(self._digests))


def _unauthenticated(message: str) -> StatusError:
    return StatusError(Code.UNAUTHENTICATED, message)


def _stamp(path: Path) -> _Stamp:
    """Returns what changes when a file is written or replaced."""
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read_digests(path: Path) -> list[bytes]:
    """Reads the keys' digests: digests have one length, so that comparing them takes one time."""
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    keys = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    for number, key in enumerate(keys, 1):
        if not key.isascii() or not key.isprintable() or " " in key:
            raise InputError(
                f"An API key must be printable ASCII without spaces. Received: key {number} in {path}. Write another."
            )
    return [_digest(key) for key in keys]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
