"""What the log writes fits User Behavior Insights' schemas, and is read again."""

import json
import math
import re
from typing import Any

import jsonschema
import pytest

from tests.monitoring.ubi_schemas import EVENT, QUERY_REQUEST
from tfchain.core.observation import Feedback, Observation
from tfchain.monitoring.log.masking import Masker
from tfchain.monitoring.log.ubi import (
    LoggedEvent,
    read_event,
    read_query,
    read_time,
    to_event_record,
    to_line,
    to_query_record,
    write_time,
)

MASKER = Masker(lambda text: re.sub(r"\S+@\S+", "[EMAIL]", text), b"key")
OBSERVATION = Observation(
    time=86400.25,
    model="docs",
    version=3,
    task="search",
    query_id="f" * 32,
    text="mail ana@example.org 猫",
    ids=("d1", "ana@example.org"),
    scores=(0.75, 1 / 3),
    latency_ms=12.34567,
    num_tokens=5,
    num_unknown_tokens=0,
    client_id="ana@example.org",
    attributes={"top_k": 2, "application": "page", "by ana@example.org": ["ana@example.org", 3]},
)


def check(record: dict[str, Any], schema: dict[str, Any]) -> None:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(json.loads(to_line(record)))


def test_a_query_is_written_by_the_schema_masked_and_read_again() -> None:
    record = to_query_record(OBSERVATION, MASKER)
    check(record, QUERY_REQUEST)
    assert record["user_query"] == "mail [EMAIL] 猫"
    assert record["timestamp"] == "1970-01-02T00:00:00.250Z"
    assert record["query_response_hit_ids"] == ["d1", "ana@example.org"]  # the documents' own
    assert re.fullmatch("[0-9a-f]{32}", record["client_id"])
    attributes = record["query_attributes"]
    assert attributes == {
        "top_k": 2,
        "by [EMAIL]": ["[EMAIL]", 3],
        "model": "docs",
        "version": 3,
        "task": "search",
        "latency_ms": 12.346,
        "scores": [0.75, 0.333333],
        "num_tokens": 5,
        "num_unknown_tokens": 0,
    }
    query = read_query(record)
    assert (query.query_id, query.time, query.text, query.hit_ids) == (
        *("f" * 32, 86400.25),
        *("mail [EMAIL] 猫", ("d1", "ana@example.org")),
    )
    assert (query.model, query.version, query.task, query.latency_ms) == ("docs", 3, "search", 12.346)
    assert (query.scores, query.num_tokens, query.num_unknown_tokens) == ((0.75, 0.333333), 5, 0)
    assert (query.application, query.attributes) == ("page", {"top_k": 2, "by [EMAIL]": ["[EMAIL]", 3]})


FEEDBACK = Feedback(
    time=86400.0,
    action="click",
    query_id="q",
    object_id="d1",
    position=2,
    client_id="c",
    session_id="s",
    user_id="ana",
    application="page",
    message_type="CLICK",
    message="by ana@example.org",
    attributes={"dwell": 3, "object": {"object_id_type": "post"}, "position": "odd"},
)


def test_an_event_is_written_by_the_schema_masked_and_read_again() -> None:
    record = to_event_record(FEEDBACK, MASKER)
    check(record, EVENT)
    assert record["message"] == "by [EMAIL]"
    assert record["event_attributes"] == {
        "dwell": 3,
        "object": {"object_id_type": "post", "object_id": "d1"},
        "position": {"ordinal": 2},
    }
    assert "ana" not in json.dumps(record)
    found = read_event(record)
    assert (found.action, found.time, found.query_id, found.object_id, found.position) == ("click", 86400, "q", "d1", 2)


@pytest.mark.parametrize(
    ("feedback", "place"),
    [
        (Feedback(1.0, "thumbs_down", "q"), None),
        (Feedback(1.0, "click", "q", "ana@example.org", 4), {"position": {"ordinal": 4}}),
        (Feedback(1.0, "view", "q", "d"), {"position": {"ordinal": 0}, "object": {"object_id": "d"}}),
        (
            Feedback(1.0, "hover", attributes={"position": {"xy": {"x": 1, "y": 2}}}),
            {"position": {"xy": {"x": 1, "y": 2}}},
        ),
    ],
)
def test_the_place_of_an_event_is_what_is_known_of_it(feedback: Feedback, place: Any) -> None:
    record = to_event_record(feedback, MASKER)
    check(record, EVENT)
    assert record.get("event_attributes") == place


def test_a_phone_number_is_no_place() -> None:
    masker = Masker(lambda text: text.replace("13812345678", "[PHONE]"))
    record = to_event_record(Feedback(1.0, "click", "q", "d", 13812345678), masker)
    assert record["event_attributes"]["position"] == {"ordinal": 0}


def test_ids_that_are_personal_become_pseudonyms_that_still_join() -> None:
    query = to_query_record(Observation(0.0, "m", 1, "search", "ana@example.org", "t"), MASKER)
    event = to_event_record(Feedback(0.0, "click", "ana@example.org"), MASKER)
    assert query["query_id"] == event["query_id"]
    assert "ana" not in query["query_id"]


def test_logs_of_other_programs_are_read() -> None:
    query = read_query({"user_query": "cat", "timestamp": "2018-11-13T20:20:39+00:00", "query_response_hit_ids": ["1"]})
    assert (query.text, query.hit_ids, query.model, query.num_tokens) == ("cat", ("1",), "", None)
    assert math.isnan(query.latency_ms)
    event = read_event({"action_name": "click", "timestamp": "1970-01-01T00:00:01"})
    assert event == LoggedEvent("click", 1.0)
    with pytest.raises(ValueError, match="user_query is no str"):
        read_query({"user_query": 3, "timestamp": "1970-01-01"})
    with pytest.raises(ValueError, match="Invalid isoformat"):
        read_event({"action_name": "click"})


def test_times_are_read_as_they_are_written() -> None:
    assert read_time(write_time(1795983639.125)) == 1795983639.125
