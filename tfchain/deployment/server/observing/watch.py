"""The way from the threads that answer to the one that observes: a bounded queue, which drops what is too much."""

import contextlib
import logging
import queue
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from tfchain.core.observation import Feedback, Monitor
from tfchain.deployment.server.metrics.registry import Counter, Registry
from tfchain.deployment.server.observing.answered import MOST_TEXTS, Answered
from tfchain.deployment.server.observing.text_metrics import TextMetrics

logger = logging.getLogger(__name__)

CAPACITY = 10_000
_TOGETHER = 64  # requests whose tokens are counted in one run
_TICK_SECONDS = 1.0
_CLOSE_SECONDS = 10.0
_COMPLAINT_SECONDS = 60.0
Counts = Sequence[tuple[int, int | None] | None]  # of each text: its tokens, and the unknown ones among them
CountTokens = Callable[[str, int, str, Sequence[str | bytes]], Counts]  # of model, version, purpose, texts


class Watch:
    """Hands a monitor what the server answers, in a thread of its own; use it in a `with` block, or call `close`.

    Whoever answers asks `observes`, and then leaves what it answered with `put`, which takes a microsecond and never
    waits. If the monitor is slower than the server, what does not fit into the queue is dropped, and counted.

    Args:
        monitor: The monitor, which the thread closes; None for metrics alone.
        registry: The server's metrics.
        count_tokens: Counts texts' tokens, in the thread. Default: they are not counted.
        share: The share of the requests that is observed, from 0 to 1. Default: 1.
        capacity: The most texts and events that wait. Default: 10,000.
        choose: Returns a random number from 0 to 1. Default: `random.random`.
    """

    def __init__(
        self,
        monitor: Monitor | None,
        registry: Registry,
        *,
        count_tokens: CountTokens | None = None,
        share: float = 1.0,
        capacity: int = CAPACITY,
        choose: Callable[[], float] = random.random,
    ) -> None:
        self._monitor = monitor
        self._count_tokens = count_tokens
        self._share = share
        self._capacity = capacity
        self._choose = choose
        self._waiting: queue.SimpleQueue[Answered | Feedback | None] = queue.SimpleQueue()
        self._num_waiting = 0  # texts and events
        self._lock = threading.Lock()
        self._metrics = TextMetrics(registry)
        self._dropped = registry.add(
            Counter(
                "tfchain_observations_dropped_total",
                "Texts and events that nobody observed: the queue was full, or a request had too many texts.",
                ("reason",),
            )
        )
        self._errors = registry.add(
            Counter("tfchain_observer_errors_total", "Observations at which the observer failed.")
        )
        self._last_tick = time.monotonic()
        self._last_complaint = time.monotonic() - _COMPLAINT_SECONDS
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._thread.start()

    def observes(self) -> bool:
        """Returns whether the next request is to be observed."""
        return self._share >= 1 or self._choose() < self._share

    def put(self, answered: Answered) -> None:
        """Leaves a request's texts for the monitor."""
        extra = len(answered.texts) - MOST_TEXTS
        if extra > 0:
            self._dropped.labels("request").add(extra)
            answered.texts = answered.texts[:MOST_TEXTS]
        if self._has_room(len(answered.texts)):
            self._waiting.put(answered)

    def put_feedback(self, events: Sequence[Feedback]) -> int:
        """Leaves events for the monitor; returns how many of them were taken."""
        taken = [event for event in events if self._has_room(1)]
        for event in taken:
            self._waiting.put(event)
        return len(taken)

    def close(self) -> None:
        """Has the monitor take what waits, and close; waits at most ten seconds for it."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(_CLOSE_SECONDS)
            self._thread = None

    def _has_room(self, number: int) -> bool:
        """Counts texts in; returns False, and counts them as dropped, if the queue is full."""
        with self._lock:
            if self._num_waiting + number <= self._capacity:
                self._num_waiting += number
                return True
        self._dropped.labels("queue").add(number)
        return False

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = self._take_batch()
            is_open = None not in batch
            self._try(self._observe, [one for one in batch if isinstance(one, Answered)])
            for event in batch:
                if isinstance(event, Feedback):
                    self._try(self._take_feedback, event)
            if self._monitor is not None and time.monotonic() - self._last_tick >= _TICK_SECONDS:
                self._last_tick = time.monotonic()
                self._try(self._monitor.tick)
        if self._monitor is not None:
            self._try(self._monitor.close)

    def _take_batch(self) -> list[Answered | Feedback | None]:
        """Returns what waits, at most `_TOGETHER`; waits for the first of it at most until the next tick."""
        batch: list[Answered | Feedback | None] = []
        with contextlib.suppress(queue.Empty):
            batch.append(self._waiting.get(timeout=_TICK_SECONDS))
            while len(batch) < _TOGETHER and batch[-1] is not None:
                batch.append(self._waiting.get_nowait())
        with self._lock:
            self._num_waiting -= sum(len(one.texts) if isinstance(one, Answered) else one is not None for one in batch)
        return batch

    def _observe(self, batch: Sequence[Answered]) -> None:
        for answered, counts in zip(batch, self._count(batch), strict=True):
            for observation in answered.to_observations(counts):
                self._metrics.measure(observation)
                if self._monitor is not None:
                    self._try(self._monitor.observe, observation)

    def _take_feedback(self, event: Feedback) -> None:
        self._metrics.count_feedback(event)
        if self._monitor is not None:
            self._monitor.take_feedback(event)

    def _count(self, batch: Sequence[Answered]) -> list[Counts]:
        """Counts the tokens of several requests: those of a version and purpose in one run."""
        counts: list[Counts] = [[None] * len(answered.texts) for answered in batch]
        if self._count_tokens is None:
            return counts
        groups: dict[tuple[str, int, str], list[int]] = defaultdict(list)
        for place, answered in enumerate(batch):
            groups[answered.model, answered.version, answered.purpose].append(place)
        for (model, version, purpose), places in groups.items():
            texts = [text for place in places for text in batch[place].texts]
            found = iter(self._count_tokens(model, version, purpose, texts))
            for place in places:
                counts[place] = [next(found) for _ in batch[place].texts]
        return counts

    def _try(self, function: Callable[..., None], *arguments: Any) -> None:
        """Calls a part of the monitor; what it raises is counted, and logged at most once a minute."""
        try:
            function(*arguments)
        except Exception:
            self._errors.labels().add()
            if time.monotonic() - self._last_complaint >= _COMPLAINT_SECONDS:
                self._last_complaint = time.monotonic()
                logger.warning("The observer of the server's answers failed.", exc_info=True)
