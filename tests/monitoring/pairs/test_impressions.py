"""Queries and events of a log become what users saw and did."""

from pathlib import Path

from tests.monitoring.log_files import write_log
from tfchain.core.observation import Feedback, Observation
from tfchain.monitoring.log.log_reader import LogReader
from tfchain.monitoring.pairs.impressions import Impression, read_impressions

PAGE = {"application": "page"}
HITS = ("a", "b", "c")


def query(query_id: str, text: str, ids: tuple[str, ...] = HITS, **attributes: object) -> Observation:
    return Observation(10.0, "m", 1, "search", query_id, text, ids, attributes=attributes)


def test_events_are_joined_with_what_was_shown(tmp_path: Path) -> None:
    write_log(
        tmp_path,
        [
            query("1", "  Big  Cat", **PAGE),
            query("2", "big cat", randomized=True, **PAGE),
            query("3", "a program asks", application="batch"),
            query("4", "nothing is found", (), **PAGE),
            Feedback(11.0, "click", "1", "b", 2),
            Feedback(11.0, "purchase", "1", "", 3),  # known by its place
            Feedback(11.0, "click", "1", "elsewhere", 1),  # not among the hits
            Feedback(11.0, "click", "1", "", 9),
            Feedback(11.0, "thumbs_up", "2", "a"),
            Feedback(12.0, "thumbs_down", "2", "a"),  # thought better of it
            Feedback(12.0, "thumbs_up", "2", "c"),
            Feedback(12.0, "hover", "2", "c"),
            Feedback(12.0, "click", "unknown", "a"),
        ],
    )
    assert read_impressions(LogReader(tmp_path)) == [
        Impression("big cat", HITS, frozenset([1, 2]), text="  Big  Cat"),
        Impression("big cat", HITS, frozenset(), frozenset("c"), frozenset("a"), True, "big cat"),
    ]
    all_of_them = read_impressions(LogReader(tmp_path), clicks=["hover"], applications=["page", "batch"])
    assert [(one.query, one.clicks) for one in all_of_them] == [
        ("big cat", frozenset()),
        ("big cat", frozenset([2])),
        ("a program asks", frozenset()),
    ]
