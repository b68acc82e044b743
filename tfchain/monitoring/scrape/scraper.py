"""Fetches a server's page of metrics, within a time limit that holds for the whole page."""

import contextlib
import http.client
import socket
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from tfchain.core.errors import InputError, ServerError
from tfchain.monitoring.scrape.exposition import Metrics, parse_metrics

STOCK_PATH = "/monitoring/prometheus/metrics"  # TensorFlow Serving's, in its documentation's example
OWN_PATH = "/metrics"  # which the embedded server always has
MOST_BYTES = 64 * 2**20
_PIECE = 2**16


@dataclass(frozen=True)
class Scraper:
    """Reads the metrics of a server, such as a stock TensorFlow Serving with `--monitoring_config_file`.

    Args:
        url: The page's address; without a path, TensorFlow Serving's is asked, and the embedded server's if a server
            does not have that.
        timeout_seconds: The time limit of a page. Default: 5.
        api_key: The key that the server asks for; empty for none.

    Raises:
        InputError: if the address is not one of HTTP, or the time limit is not above 0.
    """

    url: str
    timeout_seconds: float = 5.0
    api_key: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                f"`url` must be the address of a page of metrics. Received: {self.url!r}. "
                f"Write for instance http://localhost:8501{STOCK_PATH}."
            )
        if not self.timeout_seconds > 0:
            raise InputError(f"`timeout_seconds` must be above 0. Received: {self.timeout_seconds}.")

    @property
    def page(self) -> str:
        """The address that is asked first, with its path."""
        return self._pages[0]

    @property
    def _pages(self) -> list[str]:
        parts = urlsplit(self.url)
        if parts.path.strip("/"):
            return [self.url]
        return [f"{parts.scheme}://{parts.netloc}{path}" for path in (STOCK_PATH, OWN_PATH)]

    def scrape(self) -> Metrics:
        """Reads the metrics of this moment.

        Raises:
            ServerError: if the server cannot be reached, does not answer in time, or answers with an error.
            InputError: if what it answers is not a page of metrics.
        """
        deadline = time.monotonic() + self.timeout_seconds
        status, text = 0, ""
        for page in self._pages:
            status, text = self._fetch(page, deadline)
            if status != http.client.NOT_FOUND:
                break
        if status != http.client.OK:
            hint = " Start TensorFlow Serving with --monitoring_config_file." if status == http.client.NOT_FOUND else ""
            raise ServerError(f"{page} answered with status {status}.{hint}")
        return parse_metrics(text)

    def _fetch(self, page: str, deadline: float) -> tuple[int, str]:
        """Returns the status of an answer, and its text."""
        try:
            return self._request(page, deadline)
        except TimeoutError as error:
            raise ServerError(
                f"{page} did not answer within {self.timeout_seconds:g} s. Is the server overloaded, or is this "
                "the address of something else? Try a longer --timeout."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise ServerError(f"{page} cannot be read: {reason}. Is the server running, and the port right?") from error

    def _request(self, page: str, deadline: float) -> tuple[int, str]:
        parts = urlsplit(page)
        make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = make(parts.hostname or "", parts.port, timeout=self.timeout_seconds)
        headers = {"Accept": "text/plain"} | ({"Authorization": f"Bearer {self.api_key}"} if self.api_key else {})
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        guard = None
        try:
            connection.connect()
            guard = threading.Timer(deadline - time.monotonic(), _cut_off, [connection.sock])
            guard.start()
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            content = self._read(response)
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() >= deadline:
                raise TimeoutError from error
            raise
        finally:
            if guard is not None:
                guard.cancel()
            connection.close()
        if time.monotonic() >= deadline:
            raise TimeoutError
        return response.status, content.decode("utf-8", "replace")

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        pieces, size = [], 0
        while piece := response.read1(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BYTES:
                raise ServerError(f"{self.page} sends more than {MOST_BYTES // 2**20} MB. This is no page of metrics.")
        return b"".join(pieces)


def _cut_off(opened: socket.socket) -> None:
    """Ends a connection whose time is up, also one that sends a byte now and then."""
    with contextlib.suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
