"""The numbers of a report, worked out by hand."""

import math
from pathlib import Path

import pytest

from tests.monitoring.log_files import write_log
from tfchain.core.observation import Feedback, Observation
from tfchain.monitoring.log.log_reader import LogReader
from tfchain.monitoring.report.traffic import Traffic, find_quantiles, measure_traffic


def query(number: int, text: str, ids: tuple[str, ...], hour: float, **fields: object) -> Observation:
    scores = tuple(1.0 / (place + 1) for place in range(len(ids)))
    known = {"num_tokens": 4, "num_unknown_tokens": 1, "client_id": "ana" if number % 2 else "bob", **fields}
    attributes = {"application": "page"}
    return Observation(
        3600 * hour, "docs", 2, "search", f"q{number}", text, ids, scores, 10.0 * number, attributes=attributes, **known
    )


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    folder = tmp_path_factory.mktemp("log")
    write_log(
        folder,
        [
            query(1, "Cat", ("a", "b"), 0.1),
            query(2, "cat ", ("a", "b"), 0.2),
            query(3, "dog", ("c",), 0.3),
            query(4, "unicorn", (), 2.5),
            *(query(number, "never", ("d",), 2.6) for number in (5, 6, 7)),
            Feedback(9000.0, "click", "q1", "a", 1),
            Feedback(9000.0, "click", "q1", "b", 2),
            Feedback(9000.0, "click", "q2", "b", 2),
            Feedback(9000.0, "thumbs_down", "q3"),
            Feedback(9000.0, "open_page"),
        ],
    )
    return measure_traffic(LogReader(folder))


def test_queries_clients_and_events_are_counted(traffic: Traffic) -> None:
    assert (traffic.queries, traffic.events, traffic.clients, traffic.broken) == (7, 5, 2, 0)
    assert traffic.models == {("docs", 2, "search"): 7}
    assert traffic.actions == {"click": 3, "thumbs_down": 1, "open_page": 1}
    assert traffic.unknown_share == 0.25
    assert (traffic.clicked_queries, traffic.asked_with_feedback) == (2, 7)


def test_clicks_are_counted_by_place(traffic: Traffic) -> None:
    assert traffic.shown[:3] == [6, 2, 0]
    assert traffic.clicked[:3] == [1, 2, 0]


def test_traffic_over_time_has_buckets_and_gaps(traffic: Traffic) -> None:
    assert (traffic.start, traffic.end) == (360.0, 2.6 * 3600)
    assert traffic.bucket_seconds == 300
    assert [bucket.queries for bucket in traffic.buckets if bucket.queries] == [1, 1, 1, 1, 3]
    assert traffic.buckets[0].start == 300
    assert traffic.buckets[0].p50_ms == 10.0
    assert traffic.buckets[-1].p50_ms == 60.0
    assert math.isnan(traffic.buckets[1].p50_ms) or traffic.buckets[1].queries


def test_the_most_asked_queries_come_first_in_whatever_letters(traffic: Traffic) -> None:
    first, second = traffic.top_queries(2)
    assert (first.text, first.asked, first.clicked, first.mean_score) == ("never", 3, 0, 1.0)
    assert (second.text, second.asked, second.clicked) == ("Cat", 2, 2)


def test_queries_without_a_good_answer_say_why(traffic: Traffic) -> None:
    found = [(one.text, times, reason) for one, times, reason in traffic.unanswered_queries(10)]
    assert found == [("never", 3, "never clicked"), ("dog", 1, "thumbs down"), ("unicorn", 1, "nothing found")]


def test_an_empty_stretch_of_time_has_no_numbers(tmp_path: Path) -> None:
    write_log(tmp_path, [query(1, "cat", ("a",), 0.1)])
    empty = measure_traffic(LogReader(tmp_path, since=1e12))
    assert (empty.queries, empty.buckets, empty.top_queries(5), empty.unanswered_queries(5)) == (0, (), [], [])


def test_quantiles_leave_out_what_is_not_known() -> None:
    assert find_quantiles([1.0, math.nan, 3.0], [0.5]) == [2.0]
    assert math.isnan(find_quantiles([], [0.5])[0])


def test_a_program_that_never_clicks_is_no_judge_and_neither_is_an_answer_without_hits(tmp_path: Path) -> None:
    robot = {"attributes": {"application": "robot"}}
    asked = [Observation(1.0, "docs", 1, "search", f"r{number}", "by a robot", ("a",), **robot) for number in range(9)]
    labelled = [
        Observation(1.0, "mood", 1, "classification", f"l{number}", "a mood", labels=("good",), scores=(1.0,))
        for number in range(9)
    ]
    click = Feedback(2.0, "click", "q1", "a", 1)
    write_log(tmp_path, [*asked, *labelled, query(1, "cat", ("a",), 0.1), click])
    assert measure_traffic(LogReader(tmp_path)).unanswered_queries(10) == []
