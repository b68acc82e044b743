"""The fields of User Behavior Insights 1.3, for validating what the log writes.

Written from the published schemas of o19s/ubi, with one change: where these say `oneOf` for two forms that overlap (any
short text, and a UUID or a well-known word), this says `anyOf`, as no UUID and no `click` would be valid otherwise.
"""

from typing import Any

_WORD = {"type": "string", "maxLength": 100}
_TIME = {"type": "string", "format": "date-time"}
_ID = {"anyOf": [{"type": "string", "format": "uuid"}, _WORD]}
_OBJECT_ID = {"anyOf": [{"type": "string", "maxLength": 256}, {"type": "integer"}]}

QUERY_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["user_query"],
    "properties": {
        "application": _WORD,
        "query_id": _ID,
        "client_id": _WORD,
        "user_query": {"type": "string"},
        "query_attributes": {"type": "object"},
        "object_id_field": _WORD,
        "timestamp": _TIME,
        "query_response_id": {"type": "string"},
        "query_response_hit_ids": {"type": "array", "items": {"type": "string"}},
    },
}
QUERY_RESPONSE: dict[str, Any] = {"type": "object", "required": ["query_id"], "properties": {"query_id": _ID}}
EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["action_name", "timestamp"],
    "properties": {
        "application": _WORD,
        "action_name": _WORD,
        "query_id": _ID,
        "session_id": _WORD,
        "client_id": _WORD,
        "user_id": _WORD,
        "timestamp": _TIME,
        "message_type": _WORD,
        "message": {"type": "string", "maxLength": 1024},
        "event_attributes": {
            "type": "object",
            "required": ["position"],
            "properties": {
                "object": {
                    "type": "object",
                    "required": ["object_id"],
                    "properties": {
                        "object_id": _OBJECT_ID,
                        "object_id_type": _WORD,
                        "object_id_field": _WORD,
                        "internal_id": _OBJECT_ID,
                    },
                },
                "position": {
                    "type": "object",
                    "oneOf": [
                        {"properties": {"ordinal": {"type": "integer"}}, "required": ["ordinal"]},
                        {
                            "properties": {
                                "xy": {
                                    "type": "object",
                                    "required": ["x", "y"],
                                    "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
                                }
                            },
                            "required": ["xy"],
                        },
                    ],
                },
            },
        },
    },
}
