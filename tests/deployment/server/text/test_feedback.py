"""`POST /v1/feedback` takes events of User Behavior Insights, and says what is wrong with others."""

import json
import re
from typing import Any

import pytest

from tfchain.core.observation import Feedback
from tfchain.deployment.server.text.errors import FieldError
from tfchain.deployment.server.text.feedback import read_events

CLICK = {
    "action_name": "click",
    "query_id": "q1",
    "client_id": "browser",
    "session_id": "s",
    "user_id": "u",
    "application": "page",
    "message_type": "CLICK",
    "message": "a hit",
    "timestamp": "2026-11-29T20:20:39Z",
    "event_attributes": {
        "object": {"object_id": "doc-1", "object_id_type": "post"},
        "position": {"ordinal": 3},
        "dwell_seconds": 7,
    },
}


def test_an_event_is_read_with_all_that_it_says() -> None:
    (event,) = read_events(json.dumps(CLICK).encode())
    assert event == Feedback(
        time=1795983639.0,
        action="click",
        query_id="q1",
        object_id="doc-1",
        position=3,
        client_id="browser",
        session_id="s",
        user_id="u",
        application="page",
        message_type="CLICK",
        message="a hit",
        attributes={"dwell_seconds": 7, "object": {"object_id_type": "post"}},
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-02T00:00:00Z", 86400), ("1970-01-02T00:00:00", 86400), ("1970-01-02T01:00:00+01:00", 86400)],
)
def test_times_are_read_as_utc_unless_they_say_otherwise(text: str, seconds: float) -> None:
    (event,) = read_events(json.dumps({"action_name": "a", "timestamp": text}).encode())
    assert event.time == seconds


def test_a_list_of_events_and_an_id_that_is_a_number_are_taken() -> None:
    event = {"action_name": "thumbs_up", "event_attributes": {"object": {"object_id": 12}, "position": {"xy": {}}}}
    events = read_events(json.dumps([event, {"action_name": "view"}]).encode())
    assert [(one.action, one.object_id, one.position) for one in events] == [("thumbs_up", "12", 0), ("view", "", 0)]
    assert events[0].attributes == {"position": {"xy": {}}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "The body must be JSON."),
        ('"click"', "An event must be a JSON object"),
        ({}, "`action_name` is missing: it must be a string."),
        ([{"action_name": "a"}, {"action_name": 3}], "`[1].action_name` must be a string. Received: 3."),
        ({"action_name": "x" * 101}, "`action_name` must have at most 100 characters. Received: 101."),
        ({"action_name": "a", "query": "q"}, "An event has an unknown field. Received: 'query'. Known: `query_id`"),
        ({"action_name": "a", "timestamp": "yesterday"}, "`timestamp` must be like 2026-11-29T20:20:39Z"),
        ({"action_name": "a", "timestamp": "0001-01-01T00:00:00Z"}, "`timestamp` must be like"),
        ({"action_name": "a", "event_attributes": []}, "`event_attributes` must be an object."),
        ({"action_name": "a", "event_attributes": {"object": "d"}}, "`event_attributes.object` must be an object."),
        (
            {"action_name": "a", "event_attributes": {"object": {"object_id": "x" * 257}}},
            "`object.object_id` must be a text of at most 256 characters.",
        ),
        (
            {"action_name": "a", "event_attributes": {"position": {"ordinal": -1}}},
            "`position.ordinal` must be a whole number, from 1",
        ),
        ([{"action_name": "a"}] * 101, "A request may have at most 100 events. Received: 101."),
    ],
)
def test_what_is_wrong_is_named(body: Any, message: str) -> None:
    with pytest.raises(FieldError, match=re.escape(message)):
        read_events((body if isinstance(body, str) else json.dumps(body)).encode())
