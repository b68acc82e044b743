"""Compares a manifest with the fields and types of a published API, as `make_api_fields.py` wrote them down."""

import json
import re
from pathlib import Path
from typing import Any

TABLES = json.loads(Path(__file__).with_name("api_fields.json").read_text(encoding="utf-8"))
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i)?")  # as Kubernetes writes 500m, 32Gi
PYTHON_TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": object}


def check_manifest(value: Any, api: str) -> None:
    """Fails on an unknown field, a wrong type, a missing field, or a type that the tables leave out.

    Args:
        value: The manifest, plain values.
        api: `JobSet`, `TFJob` or `CustomJob`.
    """
    check_value(value, api, TABLES[api]["types"], api)


def check_value(value: Any, kind: str, types: dict[str, Any], place: str) -> None:
    if kind.startswith("["):
        assert isinstance(value, list), f"{place} must be a list"
        for number, item in enumerate(value):
            check_value(item, kind[1:-1], types, f"{place}[{number}]")
    elif kind.startswith("{"):
        assert isinstance(value, dict), f"{place} must be a mapping"
        for name, item in value.items():
            assert isinstance(name, str), f"{place} must have texts as keys"
            check_value(item, kind[1:-1], types, f"{place}.{name}")
    elif kind in PYTHON_TYPES:
        is_right = isinstance(value, PYTHON_TYPES[kind])
        if kind in ("integer", "number"):
            is_right = is_right and not isinstance(value, bool)
        assert is_right, f"{place} must be {kind}, and is {value!r}"
    elif kind == "int64":
        assert re.fullmatch(r"-?[0-9]+", str(value)), f"{place} must be a whole number or its digits, and is {value!r}"
    elif kind == "quantity":
        assert isinstance(value, str), f"{place} must be a text, and is {value!r}"
        assert QUANTITY.fullmatch(value), f"{place} must be a quantity, and is {value!r}"
    else:
        assert kind in types, f"{place} is a {kind}, which the tables leave out: add it to make_api_fields.py"
        check_fields(value, types[kind], types, place)


def check_fields(value: Any, fields: Any, types: dict[str, Any], place: str) -> None:
    if isinstance(fields, list):
        assert value in fields, f"{place} must be one of {fields}, and is {value!r}"
        return
    assert isinstance(value, dict), f"{place} must be a mapping, and is {value!r}"
    for name, item in value.items():
        assert name in fields, f"{place} has no field {name}"
        check_value(item, fields[name].removesuffix("!"), types, f"{place}.{name}")
    missing = [name for name, kind in fields.items() if kind.endswith("!") and name not in value]
    assert not missing, f"{place} lacks {missing}"
