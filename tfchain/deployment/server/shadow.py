"""Shadow traffic: copies of requests to a new version, in a thread of its own, and what the answers differ in."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tfchain.deployment.release_state import ReleaseState
from tfchain.deployment.server.metrics.registry import Counter, Registry
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import StatusError
from tfchain.deployment.shadow_log import MOST_LINES, SHADOW_LOG, ShadowResult, append_result, compare_answers

logger = logging.getLogger(__name__)

MOST_WAITING = 64
TIMEOUT_MS = 30_000
_CLOSE_SECONDS = 5.0


class LentVersion(Protocol):
    """A version lent by the manager."""

    servable: Servable
    path: Path


Lend = Callable[[str, int], AbstractContextManager[LentVersion]]


@dataclass(frozen=True, slots=True)
class _Copy:
    """A request with the live version's answer."""

    name: str
    version: int
    signature: str
    inputs: Mapping[str, np.ndarray]
    answer: Mapping[str, np.ndarray]
    seconds: float


class ShadowCopies:
    """Copies a share of requests to the shadow of their model. The request itself never waits for it.

    At most 64 copies wait; more are dropped and counted.

    Args:
        lend: Lends a version of a model while a `with` block runs.
        registry: The server's metrics.
    """

    def __init__(self, lend: Lend, registry: Registry) -> None:
        self._lend = lend
        self._waiting: queue.Queue[_Copy | None] = queue.Queue(MOST_WAITING)
        self._is_closed = False
        self._num_lines: dict[Path, int] = {}
        self._offered: dict[str, int] = {}
        self._copies = registry.add(
            Counter(
                "tfchain_shadow_requests_total",
                "Requests copied to a shadow: compared, failed there, or dropped because it is too slow.",
                ("model", "version", "outcome"),
            )
        )
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Starts the thread that asks the shadow."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread after the copy that it works on; the others are dropped."""
        self._is_closed = True
        while True:
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                break
        self._waiting.put(None)
        self._thread.join(timeout=_CLOSE_SECONDS)

    def offer(
        self,
        name: str,
        state: ReleaseState,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        answer: Mapping[str, np.ndarray],
        seconds: float,
    ) -> None:
        """Takes up a request and its answer if it is one of the share to copy. Returns at once.

        Args:
            name: The model's name.
            state: Its releases.
            signature: The signature's name.
            inputs: The request's inputs.
            answer: The live version's outputs.
            seconds: The time of its run.
        """
        number = self._offered[name] = self._offered.get(name, 0) + 1  # a lost count of a race does not matter
        if state.shadow is None or int(number * state.shadow_percent / 100) == int(
            (number - 1) * state.shadow_percent / 100
        ):
            return
        if self._is_closed:  # the queue must keep room for what ends the thread
            return
        try:
            self._waiting.put_nowait(_Copy(name, state.shadow, signature, inputs, answer, seconds))
        except queue.Full:
            self._copies.labels(name, str(state.shadow), "dropped").add()

    def forget(self, name: str, version: int) -> None:
        """Removes the counts of a shadow that is unloaded."""
        for values, _ in self._copies.cells():
            if values[:2] == (name, str(version)):
                self._copies.remove(*values)

    def _run(self) -> None:
        while (copy := self._waiting.get()) is not None:
            try:
                self._compare(copy)
            except Exception:  # a copy must not end the thread
                logger.exception("a copy for version %d of %s failed", copy.version, copy.name)

    def _compare(self, copy: _Copy) -> None:
        try:
            with self._lend(copy.name, copy.version) as lease:
                result = self._ask(copy, lease.servable)
                self._write(lease.path.parent / SHADOW_LOG.format(version=copy.version), result)
        except StatusError:  # not loaded yet, or no longer
            self._copies.labels(copy.name, str(copy.version), "failed").add()
            return
        outcome = "failed" if result.error else "compared"
        self._copies.labels(copy.name, str(copy.version), outcome).add()

    def _ask(self, copy: _Copy, servable: Servable) -> ShadowResult:
        live_ms = copy.seconds * 1000
        signature = servable.signatures.get(copy.signature)
        if signature is None or set(signature.inputs) != set(copy.inputs):
            return ShadowResult(copy.signature, live_ms, error="FAILED_PRECONDITION")
        names = [name for name in copy.answer if name in signature.outputs]
        start = time.perf_counter()
        try:
            values = servable.run(signature, copy.inputs, names, TIMEOUT_MS)
        except StatusError as error:
            return ShadowResult(copy.signature, live_ms, error=error.code.name)
        shadow_ms = (time.perf_counter() - start) * 1000
        answer = dict(zip(names, values, strict=True))
        return compare_answers(copy.signature, copy.answer, answer, live_ms=live_ms, shadow_ms=shadow_ms)

    def _write(self, path: Path, result: ShadowResult) -> None:
        """Appends a result to the log, which stays bounded."""
        number = self._num_lines.get(path)
        if number is None:
            number = sum(1 for _ in path.open("rb")) if path.exists() else 0
        if number < MOST_LINES:
            append_result(path, result)
        self._num_lines[path] = number + 1
