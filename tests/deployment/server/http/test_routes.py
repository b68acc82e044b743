"""The table of endpoints, in front of an API that answers everything."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.http.limits import RequestLimits
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import ANY_METHOD, Request, Router
from tfchain.deployment.server.metrics.registry import Counter
from tfchain.deployment.server.servables.deadline import Deadline
from tfchain.deployment.server.status import Code, StatusError


def fall_back(method: str, target: str, headers: Mapping[str, str], body: bytes, _: Deadline | None) -> Answer:
    return Answer(200, (), f"fallback {method} {target} ".encode() + body)


def echo(request: Request) -> Answer:
    text = f"{request.method} {request.path} {request.query} {request.headers.get('x')} ".encode()
    return Answer(201, (), text + request.body)


@pytest.fixture
def router() -> Router:
    made = Router(fall_back)
    made.add("GET", "/a", echo)
    made.add("POST", "/v1/b", echo)
    made.add(ANY_METHOD, "/c", echo)
    return made


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/a?b=c", b"GET /a b=c 1 body"),
        ("HEAD", "/a", b"HEAD /a  1 body"),
        ("POST", "/v1/b", b"POST /v1/b  1 body"),
        ("DELETE", "/c", b"DELETE /c  1 body"),
        ("GET", "/v1/b", b"fallback GET /v1/b body"),
        ("GET", "/A", b"fallback GET /A body"),
        ("GET", "/a/", b"fallback GET /a/ body"),
        ("GET", "/d?e", b"fallback GET /d?e body"),
    ],
)
def test_a_request_goes_to_its_handler_or_to_the_fallback(
    router: Router, method: str, target: str, body: bytes
) -> None:
    assert router.answer(method, target, {"x": "1"}, b"body").body == body


def test_another_method_is_405_with_those_that_are_allowed(router: Router) -> None:
    router.add("POST", "/a", echo)
    answer = router.answer("DELETE", "/a", {}, b"")
    assert (answer.status, dict(answer.headers)["Allow"]) == (405, "GET, POST")
    assert answer.body == b'{\n    "error": "/a takes GET, POST. Received: DELETE."\n}'


def test_an_error_of_a_handler_is_an_error_answer(router: Router) -> None:
    def fail(_: Request) -> Answer:
        raise StatusError(Code.RESOURCE_EXHAUSTED, 'a "full" queue')

    def break_down(_: Request) -> Answer:
        raise KeyError("a bug")

    router.add("GET", "/fail", fail)
    router.add("GET", "/bug", break_down)
    assert router.answer("GET", "/fail", {}, b"").status == 429
    assert router.answer("GET", "/fail", {}, b"").body == b'{\n    "error": "a \\"full\\" queue"\n}'
    assert router.answer("GET", "/bug", {}, b"").status == 500


def test_keys_are_asked_for_before_anything_else_but_not_of_public_endpoints(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("key")
    refused = Counter("refused", "", ("protocol",))
    router = Router(fall_back, keys=ApiKeys(tmp_path / "keys"), refused=refused)
    router.add("GET", "/a", echo)
    router.add("GET", "/public", echo, is_public=True)
    for method, target in (("GET", "/a"), ("POST", "/public"), ("GET", "/v1/models/m"), ("GET", "/nope")):
        answer = router.answer(method, target, {}, b"")
        assert (answer.status, dict(answer.headers)["WWW-Authenticate"]) == (401, "Bearer")
        assert router.answer(method, target, {"authorization": "Bearer key"}, b"").status != 401
    assert router.answer("GET", "/public", {}, b"").status == 201
    assert router.answer("OPTIONS", "/v1/models/m", {}, b"").status == 200
    assert refused.labels("REST").value == 4


@pytest.fixture
def keys(tmp_path: Path) -> ApiKeys:
    (tmp_path / "keys").write_text("right\n")
    return ApiKeys(tmp_path / "keys")


def test_a_page_for_any_method_needs_its_key_for_options_too(keys: ApiKeys) -> None:
    router = Router(fall_back, keys=keys)
    router.add(ANY_METHOD, "/metrics", echo)
    assert router.answer("OPTIONS", "/metrics", {}, b"").status == 401
    assert router.answer("OPTIONS", "/metrics", {"authorization": "Bearer right"}, b"").status == 201
    assert router.answer("OPTIONS", "/v1/models", {}, b"").body.startswith(b"fallback OPTIONS")


def test_a_key_is_checked_before_a_body_is_read(keys: ApiKeys) -> None:
    refused = Counter("refused", "", ("protocol",))
    router = Router(fall_back, keys=keys, refused=refused, cors_headers=(("X-Cors", "*"),))
    router.add("GET", "/live", echo, is_public=True)
    for target in ("/v1/models/m:predict", "/other"):
        answer = router.check_head("POST", target, {})
        assert answer is not None
        assert (answer.status, dict(answer.headers)["X-Cors"]) == (401, "*")
        assert router.check_head("POST", target, {"authorization": "Bearer right"}) is None
    assert router.check_head("GET", "/live", {}) is None
    assert refused.labels("REST").value == 2
    assert Router(fall_back).check_head("POST", "/other", {}) is None


def test_other_sites_can_read_that_a_body_is_too_large_or_a_request_too_many() -> None:
    limits = RequestLimits(max_body_bytes=3, max_concurrent_requests=1)
    router = Router(fall_back, limits=limits, cors_headers=(("X-Cors", "*"),))
    router.add("POST", "/a", echo)
    too_large = router.check_size("POST", "/a", 4)
    assert router.enter("POST", "/a") is None
    too_many = router.enter("POST", "/a")
    assert too_large is not None
    assert too_many is not None
    assert [answer.status for answer in (too_large, too_many)] == [413, 429]
    assert all(dict(answer.headers)["X-Cors"] == "*" for answer in (too_large, too_many))


def test_only_what_is_light_passes_the_requests_that_wait() -> None:
    router = Router(fall_back)
    router.add("GET", "/live", echo, is_light=True)
    router.add("GET", "/a", echo)
    assert router.is_light("GET", "/live?x")
    assert not router.is_light("GET", "/a")
    assert not router.is_light("POST", "/live")
    assert not router.is_light("GET", "/v1/models/m")
