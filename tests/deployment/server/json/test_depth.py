"""How deeply a body is nested."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfchain.deployment.server.json.depth import is_too_deep
from tfchain.deployment.server.json.parser import parse_json
from tfchain.deployment.server.status import StatusError


def depth_of(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    children = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, children), default=0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('[]{}"\\a\u1234')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('[{"\\')), inner, max_size=3),
    max_leaves=30,
)


@given(JSON, st.booleans())
def test_the_depth_is_that_of_the_parsed_value(value: Any, is_ascii: bool) -> None:
    body = json.dumps(value, ensure_ascii=is_ascii).encode()
    depth = depth_of(value)
    assert not is_too_deep(body, depth)
    assert not depth or is_too_deep(body, depth - 1)


@pytest.mark.parametrize(
    ("begin", "repeated", "is_deep"),
    [(b"", b"[", True), (b"", b'{"a":', True), (b'["', b"\\", False), (b'["', b"[", False), (b"", b"]", False)],
)
def test_what_is_no_json_is_looked_at_in_one_go(begin: bytes, repeated: bytes, is_deep: bool) -> None:
    assert is_too_deep(begin + repeated * 10**5, 100) is is_deep


def test_a_body_that_is_too_deep_is_named_in_the_parsers_words() -> None:
    assert parse_json(b"[[[]]]", 3) == [[[]]]
    with pytest.raises(StatusError) as caught:
        parse_json(b"[[[[]]]]", 3)
    assert caught.value.message == (
        "JSON Parse error: The document is nested too deeply: at most 3 levels of lists and objects."
    )
