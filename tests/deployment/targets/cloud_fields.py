"""Compares a request with the fields and types of a cloud's published API, as `make_cloud_fields.py` wrote them."""

import json
from pathlib import Path
from typing import Any

from tests.jobs.api_checker import check_value

TABLES = json.loads(Path(__file__).with_name("cloud_fields.json").read_text(encoding="utf-8"))


def check_request(value: Any, api: str) -> None:
    """Fails on an unknown field, a wrong type or a missing field; `api` is such as `Model` or `CreateEndpoint`."""
    check_value(value, TABLES[api]["root"], TABLES[api]["types"], api)
