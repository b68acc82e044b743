"""`POST /v1/feedback`: what users did with answers, as events of User Behavior Insights 1.3."""

import json
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tfchain.core.observation import Feedback
from tfchain.deployment.server.http.openapi import ApiDocument, Schema, array, operation, record, ref
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router
from tfchain.deployment.server.observing.answered import LONGEST_ID
from tfchain.deployment.server.observing.watch import Watch
from tfchain.deployment.server.text.body import Body
from tfchain.deployment.server.text.errors import JSON, FieldError, TooMuchError, write_json, write_openai_error

MOST_EVENTS = 100
LONGEST_OBJECT, LONGEST_MESSAGE = 256, 1024  # characters, as in UBI's schemas
_TEXTS = ("query_id", "client_id", "session_id", "user_id", "application", "message_type")
_KNOWN = (*_TEXTS, "action_name", "timestamp", "message", "event_attributes")
_TEXT: Schema = {"type": "string", "maxLength": LONGEST_ID}
_EVENT = record(
    {"action_name": {**_TEXT, "description": "click, thumbs_up, thumbs_down, or a word of the application's own."}},
    {
        **dict.fromkeys(_TEXTS, _TEXT),
        "query_id": {**_TEXT, "description": "The answer's `query_id`."},
        "timestamp": {"type": "string", "format": "date-time", "description": "Default: when the server takes it."},
        "message": {"type": "string", "maxLength": LONGEST_MESSAGE},
        "event_attributes": {
            "type": "object",
            "description": "`object.object_id` is the document, `position.ordinal` its place in the answer, from 1.",
        },
    },
)
_SCHEMAS = {
    "FeedbackEvent": _EVENT,
    "FeedbackAnswer": record({"taken": {"type": "integer", "minimum": 0, "description": "Events that were taken."}}),
}


def add_feedback(router: Router, watch: Watch, document: ApiDocument) -> None:
    """Adds `POST /v1/feedback`, and describes it.

    Args:
        router: The table to add to.
        watch: Takes the events.
        document: The OpenAPI document.
    """

    def feedback(request: Request) -> Answer:
        events = read_events(request.body)
        return Answer(200, JSON, write_json({"taken": watch.put_feedback(events)}))

    router.add("POST", "/v1/feedback", feedback, errors=write_openai_error)
    event = ref("FeedbackEvent")
    described = operation(
        "feedback",
        "What users did with answers: clicks, thumbs, purchases; an event or a list of them.",
        tag="Search",
        body={"anyOf": [event, array(event, maxItems=MOST_EVENTS)]},
        answer=ref("FeedbackAnswer"),
        error="OpenAIError",
        errors={400: "A field is wrong.", 413: "The body is too large."},
    )
    document.add({"/v1/feedback": {"post": described}}, _SCHEMAS)


def read_events(body: bytes) -> list[Feedback]:
    """Reads an event, or a list of them.

    Raises:
        FieldError: if a field is wrong.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FieldError(f"The body must be JSON. {error}.", None) from None
    events = values if isinstance(values, list) else [values]
    if len(events) > MOST_EVENTS:
        raise TooMuchError(f"A request may have at most {MOST_EVENTS} events. Received: {len(events)}.", None)
    return [_read_event(event, f"[{row}]." if isinstance(values, list) else "") for row, event in enumerate(events)]


def _read_event(value: Any, place: str) -> Feedback:
    if not isinstance(value, dict):
        raise FieldError("An event must be a JSON object with an `action_name`.", place.rstrip(".") or None)
    unknown = sorted(set(value) - set(_KNOWN))
    if unknown:
        known = ", ".join(f"`{name}`" for name in _KNOWN)
        raise FieldError(f"An event has an unknown field. Received: {unknown[0]!r:.100}. Known: {known}.", unknown[0])
    body = Body(value, place)
    attributes = dict(_object(body, "event_attributes"))
    found, position = _part(body, attributes, "object"), _part(body, attributes, "position")
    object_id, ordinal = found.pop("object_id", ""), position.pop("ordinal", 0)
    if isinstance(object_id, int) and not isinstance(object_id, bool):
        object_id = str(object_id)
    if not isinstance(object_id, str) or len(object_id) > LONGEST_OBJECT:
        raise body.error(
            "event_attributes", f"`object.object_id` must be a text of at most {LONGEST_OBJECT} characters."
        )
    if isinstance(ordinal, bool) or not isinstance(ordinal, int) or ordinal < 0:
        raise body.error("event_attributes", "`position.ordinal` must be a whole number, from 1 for the first hit.")
    rest = {**attributes, **({"object": found} if found else {}), **({"position": position} if position else {})}
    texts = {name: _text(body, name, LONGEST_ID) for name in _TEXTS}
    return Feedback(
        time=_read_time(body),
        action=_text(body, "action_name", LONGEST_ID, is_required=True),
        object_id=object_id,
        position=ordinal,
        message=_text(body, "message", LONGEST_MESSAGE),
        attributes=rest,
        **texts,
    )


def _text(body: Body, name: str, longest: int, *, is_required: bool = False) -> str:
    text = body.text(name, is_required=is_required, may_be_empty=not is_required) or ""
    if len(text) > longest:
        raise body.error(name, f"`{name}` must have at most {longest} characters. Received: {len(text)}.")
    return text


def _object(body: Body, name: str) -> Mapping[str, Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise body.error(name, f"`{name}` must be an object.")
    return value or {}


def _part(body: Body, attributes: dict[str, Any], name: str) -> dict[str, Any]:
    """Takes an object out of the event's attributes."""
    value = attributes.pop(name, None)
    if value is not None and not isinstance(value, dict):
        raise body.error("event_attributes", f"`event_attributes.{name}` must be an object.")
    return dict(value or {})


def _read_time(body: Body) -> float:
    """Returns the event's time; now if it does not say."""
    text = body.text("timestamp")
    if text is None:
        return time.time()
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < 2**33:  # NaN is not, either
        raise body.error(
            "timestamp", "`timestamp` must be like 2026-11-29T20:20:39Z, as ISO 8601 has it. Received another form."
        )
    return seconds
