"""Queries and events as User Behavior Insights 1.3 has them (o19s/ubi): from observations to records, and back."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tfchain.core.observation import Feedback, Observation
from tfchain.monitoring.log.masking import Masker

LONGEST_TEXT = 4000  # characters of a query
_OWN = ("model", "version", "task", "latency_ms", "scores", "labels", "num_tokens", "num_unknown_tokens")


@dataclass(frozen=True)
class LoggedQuery:
    """A query of a log.

    Args:
        query_id: Its id.
        time: When it was asked, in seconds since 1970.
        text: The text, masked.
        hit_ids: The documents found, best first.
        scores: Their scores, or those of the labels.
        model: The model that answered; empty in logs of others.
        version: Its version; 0 in logs of others.
        task: The task; empty in logs of others.
        latency_ms: How long the answer took; NaN if it is not known.
        num_tokens: The text's tokens; None if they were not counted.
        num_unknown_tokens: The unknown ones among them; None if they were not counted.
        labels: The labels given, best first.
        client_id: The pseudonym of who asked.
        application: The application that asked.
        attributes: What else is known.
    """

    query_id: str
    time: float
    text: str
    hit_ids: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    model: str = ""
    version: int = 0
    task: str = ""
    latency_ms: float = math.nan
    num_tokens: int | None = None
    num_unknown_tokens: int | None = None
    labels: tuple[str, ...] = ()
    client_id: str = ""
    application: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoggedEvent:
    """An event of a log.

    Args:
        action: What happened, such as `click`.
        time: When, in seconds since 1970.
        query_id: The query that it belongs to; empty if it belongs to none.
        object_id: The document; empty if it is not known.
        position: The document's place in the answer, from 1; 0 if it is not known.
        client_id: The pseudonym of whose event it is.
        attributes: What else is known.
    """

    action: str
    time: float
    query_id: str = ""
    object_id: str = ""
    position: int = 0
    client_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


def to_query_record(observation: Observation, masker: Masker) -> dict[str, Any]:
    """Returns an observation as a query of UBI, masked; the ids of hits are the documents' own, and stay."""
    asked = masker.value(dict(observation.attributes))
    application = asked.pop("application", "")
    attributes = {
        **asked,
        "model": observation.model,
        "version": observation.version,
        "task": observation.task,
        "latency_ms": round(observation.latency_ms, 3),
        "scores": [float(f"{score:.6g}") for score in observation.scores],
        "labels": list(observation.labels),
        "num_tokens": observation.num_tokens,
        "num_unknown_tokens": observation.num_unknown_tokens,
    }
    record = {
        "query_id": masker.identifier(observation.query_id),
        "client_id": masker.person(observation.client_id),
        "application": application if isinstance(application, str) else "",
        "user_query": masker.text(observation.text)[:LONGEST_TEXT],
        "timestamp": write_time(observation.time),
        "query_response_hit_ids": list(observation.ids),
        "query_attributes": {name: value for name, value in attributes.items() if value not in (None, [])},
    }
    return {name: value for name, value in record.items() if value != "" or name == "user_query"}


def to_event_record(feedback: Feedback, masker: Masker) -> dict[str, Any]:
    """Returns feedback as an event of UBI, masked.

    A client's `object_id` that holds personal data is left out: place and query say which document it was.
    """
    object_id = feedback.object_id if masker.text(feedback.object_id) == feedback.object_id else ""
    attributes = masker.value(dict(feedback.attributes))
    for name in ("object", "position"):
        if not isinstance(attributes.get(name, {}), dict):
            attributes.pop(name)
    described = {**attributes.get("object", {}), **({"object_id": object_id} if object_id else {})}
    position = {**attributes.get("position", {})}
    place = masker.value(feedback.position)  # a phone number is no place
    place = place if isinstance(place, int) else 0
    if place or "xy" not in position:
        position["ordinal"] = place
    attributes |= {"position": position, **({"object": described} if object_id else {})}
    if not object_id:
        attributes.pop("object", None)
    record = {
        "action_name": masker.text(feedback.action),
        "query_id": masker.identifier(feedback.query_id),
        "client_id": masker.person(feedback.client_id),
        "session_id": masker.person(feedback.session_id),
        "user_id": masker.person(feedback.user_id),
        "application": masker.text(feedback.application),
        "timestamp": write_time(feedback.time),
        "message_type": masker.text(feedback.message_type),
        "message": masker.text(feedback.message),
    }
    has_place = bool(object_id or feedback.position or feedback.attributes)
    written = {name: value for name, value in record.items() if value != ""}
    return {**written, "event_attributes": attributes} if has_place else written


def read_query(record: Mapping[str, Any]) -> LoggedQuery:
    """Reads a query of UBI, ours or another program's.

    Raises:
        ValueError: if a field is not what the schema says.
    """
    attributes = dict(_of(record, "query_attributes", dict, {}))
    latency = attributes.get("latency_ms")
    return LoggedQuery(
        query_id=_of(record, "query_id", str, ""),
        time=read_time(_of(record, "timestamp", str, "")),
        text=_of(record, "user_query", str, ""),
        hit_ids=tuple(map(str, _of(record, "query_response_hit_ids", list, []))),
        scores=_floats(attributes.get("scores", [])),
        model=str(attributes.get("model", "")),
        version=_int(attributes.get("version")) or 0,
        task=str(attributes.get("task", "")),
        latency_ms=float(latency) if isinstance(latency, int | float) else math.nan,
        num_tokens=_int(attributes.get("num_tokens")),
        num_unknown_tokens=_int(attributes.get("num_unknown_tokens")),
        labels=tuple(map(str, attributes.get("labels", []))),
        client_id=_of(record, "client_id", str, ""),
        application=_of(record, "application", str, ""),
        attributes={name: value for name, value in attributes.items() if name not in _OWN},
    )


def read_event(record: Mapping[str, Any]) -> LoggedEvent:
    """Reads an event of UBI, ours or another program's.

    Raises:
        ValueError: if a field is not what the schema says.
    """
    attributes = dict(_of(record, "event_attributes", dict, {}))
    position = _of(attributes, "position", dict, {}).get("ordinal", 0)
    return LoggedEvent(
        action=_of(record, "action_name", str, ""),
        time=read_time(_of(record, "timestamp", str, "")),
        query_id=_of(record, "query_id", str, ""),
        object_id=str(_of(attributes, "object", dict, {}).get("object_id", "")),
        position=_int(position) or 0,
        client_id=_of(record, "client_id", str, ""),
        attributes=attributes,
    )


def write_time(seconds: float) -> str:
    """Writes a time as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_time(text: str) -> float:
    """Reads a time of ISO 8601, in UTC unless it says otherwise.

    Raises:
        ValueError: if it is none.
    """
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def to_line(record: Mapping[str, Any]) -> bytes:
    """Writes a record as a line of JSON."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _of(record: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = record.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise ValueError(f"{name} is no {kind.__name__}")
    return value


def _floats(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values if isinstance(value, int | float)) if isinstance(values, list) else ()


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
