"""What a query log says, in numbers: traffic, queries, answers, clicks, latencies."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfchain.monitoring.log.log_reader import LogReader
from tfchain.monitoring.log.ubi import LoggedEvent, LoggedQuery
from tfchain.monitoring.pairs.impressions import CLICKS, THUMBS_DOWN, THUMBS_UP
from tfchain.monitoring.scrape.rates import Rates

MOST_PLACES = 20
_STEPS = (60, 300, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600)  # seconds of a bucket
_MOST_BUCKETS = 60
_MOST_TEXTS = 200_000  # different queries that are counted one by one


@dataclass
class QueryStatistics:
    """What became of a query, asked again and again.

    Args:
        text: The query, as it was asked first.
        asked: How often.
        empty: How often nothing was found.
        clicked: How often something was clicked.
        disliked: How often the answer, or a hit, got a thumb down.
        best_score: The sum of the best hits' scores.
        scored: How often there was a best hit.
        shown_by: How often each application got hits for it.
    """

    text: str
    asked: int = 0
    empty: int = 0
    clicked: int = 0
    disliked: int = 0
    best_score: float = 0.0
    scored: int = 0
    shown_by: Counter[str] = field(default_factory=Counter)

    @property
    def mean_score(self) -> float:
        """The mean score of the best hit; NaN if nothing was ever found."""
        return self.best_score / self.scored if self.scored else math.nan


@dataclass(frozen=True)
class Bucket:
    """A stretch of time.

    Args:
        start: Its start, in seconds since 1970.
        queries: The number of queries.
        p50_ms: The latency that half of them stay below; NaN without queries.
        p99_ms: The same of 99 of 100.
    """

    start: float
    queries: int
    p50_ms: float
    p99_ms: float


@dataclass
class Traffic:
    """The numbers of a report.

    Args:
        queries: The number of queries.
        events: The number of events.
        clients: The number of clients that gave themselves a name.
        start: The time of the first query, in seconds since 1970; NaN without queries.
        end: The time of the last one.
        bucket_seconds: The length of a bucket.
        buckets: Traffic and latency over time.
        models: The number of queries by model, version and task.
        actions: The number of events by action.
        statistics: What became of each query, by its text in lower case.
        shown: How often something was shown at each place, from the first.
        clicked: How often it was clicked there.
        latencies: All latencies in milliseconds.
        tokens: The number of tokens of each query that was counted.
        unknown_share: The share of unknown tokens; NaN if they were not counted.
        best_scores: The score of each best hit.
        telling: The applications that send events.
        asked_with_feedback: The number of queries of these.
        clicked_queries: The number of queries with a click.
        broken: The number of records that could not be read.
        servers: What readings of servers' metrics said, with their times.
    """

    queries: int = 0
    events: int = 0
    clients: int = 0
    start: float = math.nan
    end: float = math.nan
    bucket_seconds: float = 3600.0
    buckets: Sequence[Bucket] = ()
    models: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    statistics: dict[str, QueryStatistics] = field(default_factory=dict)
    shown: list[int] = field(default_factory=lambda: [0] * MOST_PLACES)
    clicked: list[int] = field(default_factory=lambda: [0] * MOST_PLACES)
    latencies: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    unknown_share: float = math.nan
    best_scores: list[float] = field(default_factory=list)
    telling: set[str] = field(default_factory=set)
    asked_with_feedback: int = 0
    clicked_queries: int = 0
    broken: int = 0
    servers: list[tuple[float, Rates]] = field(default_factory=list)

    def top_queries(self, number: int) -> list[QueryStatistics]:
        """Returns the queries that were asked most often."""
        return sorted(self.statistics.values(), key=lambda one: (-one.asked, one.text))[:number]

    def unanswered_queries(self, number: int) -> list[tuple[QueryStatistics, int, str]]:
        """Returns the queries without a good answer, those with most trouble first, how often and why.

        Nothing was found, or users said no, or nobody clicked although a user's application would have told.
        """
        found = []
        for one in self.statistics.values():
            trouble, reason = self._find_trouble(one)
            if trouble:
                found.append((one, trouble, reason))
        found.sort(key=lambda entry: (-entry[1], entry[0].text))
        return found[:number]

    def _find_trouble(self, one: QueryStatistics) -> tuple[int, str]:
        if one.empty:
            return one.empty, "nothing found"
        if one.disliked:
            return one.disliked, "thumbs down"
        shown = sum(one.shown_by[name] for name in self.telling)
        if self.clicked_queries and not one.clicked and shown >= 3:
            return shown, "never clicked"
        return 0, ""


def measure_traffic(reader: LogReader, *, clicks: Collection[str] = CLICKS) -> Traffic:
    """Reads a log once, and counts.

    Args:
        reader: The log.
        clicks: The actions that count as clicks. Default: those of `impressions.CLICKS`.
    """
    traffic = Traffic()
    events: dict[str, list[LoggedEvent]] = defaultdict(list)
    for event in reader.events():
        traffic.events += 1
        traffic.actions[event.action] += 1
        events[event.query_id].append(event)
    times, clients, unknown = [], set(), 0
    applications: Counter[str] = Counter()
    for query in reader.queries():
        own = events.get(query.query_id, ())
        applications[query.application] += 1
        if own:
            traffic.telling.add(query.application)
        times.append(query.time)
        traffic.latencies.append(query.latency_ms)
        traffic.models[query.model, query.version, query.task] += 1
        if query.client_id:
            clients.add(query.client_id)
        if query.num_tokens is not None:
            traffic.tokens.append(query.num_tokens)
            unknown += query.num_unknown_tokens or 0
        _count_query(traffic, query, own, clicks)
    traffic.queries, traffic.clients = len(times), len(clients)
    traffic.asked_with_feedback = sum(applications[name] for name in traffic.telling)
    traffic.unknown_share = unknown / sum(traffic.tokens) if traffic.tokens else math.nan
    traffic.broken = reader.num_broken
    if times:
        traffic.start, traffic.end = min(times), max(times)
        traffic.bucket_seconds, traffic.buckets = _make_buckets(times, traffic.latencies)
    return traffic


def find_quantiles(values: Iterable[float], shares: Sequence[float]) -> list[float]:
    """Returns the values below which shares of some values lie; NaN for no values. NaN among them does not count."""
    kept = np.array([value for value in values if value == value], np.float64)
    return [math.nan] * len(shares) if not kept.size else np.quantile(kept, shares).tolist()


def _count_query(traffic: Traffic, query: LoggedQuery, events: Sequence[LoggedEvent], clicks: Collection[str]) -> None:
    places = {hit_id: place for place, hit_id in reversed(list(enumerate(query.hit_ids[:MOST_PLACES])))}
    clicked = set()
    for event in events:
        if event.action in clicks:
            clicked.add(places.get(event.object_id, event.position - 1))
    for place in range(len(query.hit_ids[:MOST_PLACES])):
        traffic.shown[place] += 1
        traffic.clicked[place] += place in clicked
    traffic.clicked_queries += bool(clicked)
    if query.scores:
        traffic.best_scores.append(query.scores[0])
    key = " ".join(query.text.lower().split())
    one = traffic.statistics.get(key)
    if one is None:
        if len(traffic.statistics) >= _MOST_TEXTS:
            return
        one = traffic.statistics[key] = QueryStatistics(query.text)
    one.asked += 1
    if query.hit_ids:
        one.shown_by[query.application] += 1
    one.clicked += bool(clicked)
    actions = {event.action for event in events}
    one.disliked += THUMBS_DOWN in actions and THUMBS_UP not in actions
    one.empty += query.task in ("search", "") and not query.hit_ids
    if query.scores:
        one.best_score += query.scores[0]
        one.scored += 1


def _make_buckets(times: Sequence[float], latencies: Sequence[float]) -> tuple[float, list[Bucket]]:
    """Returns the length of the buckets, at most sixty of them, and each with its numbers."""
    first, last = min(times), max(times)
    step = next((step for step in _STEPS if (last - first) / step < _MOST_BUCKETS), None)
    step = step or math.ceil((last - first) / _MOST_BUCKETS / _STEPS[-1]) * _STEPS[-1]
    origin = math.floor(first / step) * step
    found: dict[int, list[float]] = defaultdict(list)
    for moment, latency in zip(times, latencies, strict=True):
        found[int((moment - origin) // step)].append(latency)
    buckets = []
    for number in range(max(found) + 1):
        inside = found.get(number, [])
        middle, high = find_quantiles(inside, (0.5, 0.99))
        buckets.append(Bucket(origin + number * step, len(inside), middle, high))
    return float(step), buckets
