"""What users saw and did: each query of a log with its hits, the places that were clicked, and the thumbs."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tfchain.monitoring.log.log_reader import LogReader
from tfchain.monitoring.log.ubi import LoggedEvent, LoggedQuery

CLICKS = ("click", "click_through", "watch", "add_to_cart", "purchase")
THUMBS_UP, THUMBS_DOWN = "thumbs_up", "thumbs_down"
RANDOMIZED = "randomized"  # the query attribute of answers whose hits were shuffled


@dataclass(frozen=True)
class Impression:
    """A query with the hits that a user saw.

    Args:
        query: The query's text, with its letters in lower case and its spaces single.
        hit_ids: The documents, in the order in which they were shown.
        clicks: The places that were clicked, from 0.
        likes: The documents that got a thumb up.
        dislikes: The documents that got a thumb down.
        is_randomized: Whether the documents were shown in random order.
        text: The query as it was asked first.
    """

    query: str
    hit_ids: tuple[str, ...]
    clicks: frozenset[int] = frozenset()
    likes: frozenset[str] = frozenset()
    dislikes: frozenset[str] = frozenset()
    is_randomized: bool = False
    text: str = ""


def read_impressions(
    reader: LogReader, *, clicks: Collection[str] = CLICKS, applications: Collection[str] | None = None
) -> list[Impression]:
    """Joins the queries of a log with their events.

    A program that asks and never sends events would look like a user who never clicks. So only the queries of
    applications count that sent events.

    Args:
        reader: The log.
        clicks: The actions that count as clicks. Default: `CLICKS`.
        applications: The applications whose queries count. Default: those with events.
    """
    queries = {query.query_id: query for query in reader.queries() if query.query_id and query.hit_ids}
    events: dict[str, list[LoggedEvent]] = {}
    for event in reader.events():
        if event.query_id in queries:
            events.setdefault(event.query_id, []).append(event)
    if applications is None:
        applications = {queries[query_id].application for query_id in events}
    return [
        _join(query, events.get(query_id, ()), clicks)
        for query_id, query in queries.items()
        if query.application in applications
    ]


def _join(query: LoggedQuery, events: Iterable[LoggedEvent], clicks: Collection[str]) -> Impression:
    places = {hit_id: place for place, hit_id in reversed(list(enumerate(query.hit_ids)))}
    clicked: set[int] = set()
    likes: set[str] = set()
    dislikes: set[str] = set()
    for event in events:
        place = places.get(event.object_id)
        if place is None and not event.object_id and 0 < event.position <= len(query.hit_ids):
            place = event.position - 1
        if place is None:
            continue
        hit_id = query.hit_ids[place]
        if event.action in clicks:
            clicked.add(place)
        elif event.action == THUMBS_UP:  # the last word counts
            likes.add(hit_id)
            dislikes.discard(hit_id)
        elif event.action == THUMBS_DOWN:
            dislikes.add(hit_id)
            likes.discard(hit_id)
    return Impression(
        query=" ".join(query.text.lower().split()),
        hit_ids=query.hit_ids,
        clicks=frozenset(clicked),
        likes=frozenset(likes),
        dislikes=frozenset(dislikes),
        is_randomized=query.attributes.get(RANDOMIZED) is True,
        text=query.text,
    )
