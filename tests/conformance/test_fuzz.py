"""Odd inputs of all kinds, a few of each; `python -m tools.fuzz_server` tries a hundred thousand."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tfchain.deployment.server.http.rest import RestApi
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tools.fuzz import rest, versions
from tools.fuzz.outcomes import Outcomes
from tools.fuzz_server import fuzz, fuzz_batched, fuzz_grpc, fuzz_rest, serve_models

FEW = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
NUMBERS = st.integers() | st.integers(-(10**400), 10**400) | st.floats()
LEAVES = st.none() | st.booleans() | NUMBERS | st.text() | st.builds(lambda text: {"b64": text}, st.text("aGk=é\0"))
VALUES = st.recursive(
    LEAVES, lambda value: st.lists(value, max_size=4) | st.dictionaries(st.text(), value, max_size=3), max_leaves=8
)
ROWS = st.lists(VALUES | st.dictionaries(st.sampled_from(["x", "a", "b", "text", "words"]), VALUES), max_size=4)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, rest.Models]]:
    with serve_models(tmp_path_factory.mktemp("fuzz")) as found:
        yield found


@pytest.mark.parametrize(("kind", "count"), [("http", 900), ("files", 300)])
def test_no_odd_input_is_a_fault(kind: str, count: int, tmp_path: Path) -> None:
    outcomes = Outcomes()
    fuzz(outcomes, {kind: count}, 20, tmp_path)
    assert not outcomes.faults, outcomes.report()
    assert outcomes.counts.total() == count
    assert len(outcomes.counts) > 1  # not all are refused


def test_no_odd_rest_request_is_a_fault(served: tuple[Any, rest.Models]) -> None:
    outcomes = Outcomes()
    fuzz_rest(outcomes, 500, 20, *served)
    assert not outcomes.faults, outcomes.report()
    assert {outcome for _, outcome in outcomes.counts} >= {"200", "400", "404"}


def test_no_odd_grpc_request_is_a_fault(served: tuple[Any, rest.Models]) -> None:
    outcomes = Outcomes()
    fuzz_grpc(outcomes, 500, 20, *served)
    assert not outcomes.faults, outcomes.report()
    assert {outcome for _, outcome in outcomes.counts} >= {"OK", "INVALID_ARGUMENT", "NOT_FOUND"}


def test_clients_that_share_batches_get_their_own_answers(tmp_path: Path) -> None:
    outcomes = Outcomes()
    with serve_models(tmp_path, is_batched=True) as (manager, _):
        fuzz_batched(outcomes, 400, 20, manager)
    assert not outcomes.faults, outcomes.report()
    assert outcomes.counts["batched", "200"] > 100


def test_damaged_versions_load_or_fail_with_an_error(tmp_path: Path) -> None:
    versions.write_version(tmp_path / "good")
    server = ModelServer(ServerOptions("m", tmp_path / "damaged"))
    found = [versions.load_damaged(number, tmp_path, lambda path: server._load("m", 1, path)) for number in range(25)]
    assert not [outcome for outcome in found if outcome.startswith("fault")]
    assert {"DATA_LOSS", "NOT_FOUND"} <= set(found)


@seed(1)
@FEW
@given(
    signature=st.sampled_from(
        ["serving_default", "shout", "pair", "two", "matrix", "int64", "uint8", "bool", "raw", "é"]
    ),
    key=st.sampled_from(["instances", "inputs"]),
    rows=ROWS | VALUES,
    more=st.dictionaries(st.text(), VALUES, max_size=2),
)
def test_any_predict_body_gets_an_answer(
    served: tuple[Any, rest.Models], signature: str, key: str, rows: Any, more: Any
) -> None:
    body = json.dumps({"signature_name": signature, key: rows, **more}).encode()
    rest.check_answer(RestApi(served[0]), ("POST", "/v1/models/hpt:predict", {}, body))


@seed(1)
@FEW
@given(
    verb=st.sampled_from(["classify", "regress"]),
    signature=st.sampled_from(["serving_default", "features", "regress", "wide", "slow", "unnamed"]),
    examples=st.lists(st.dictionaries(st.sampled_from(["x", "words", "ints", "é", ""]), VALUES), max_size=3) | VALUES,
    context=st.dictionaries(st.text(), VALUES, max_size=2) | VALUES,
)
def test_any_body_of_examples_gets_an_answer(
    served: tuple[Any, rest.Models], verb: str, signature: str, examples: Any, context: Any
) -> None:
    body = json.dumps({"signature_name": signature, "examples": examples, "context": context}).encode()
    rest.check_answer(RestApi(served[0], timeout_ms=500), ("POST", f"/v1/models/graph:{verb}", {}, body))


@seed(1)
@FEW
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS"]),
    parts=st.lists(st.sampled_from(["v1", "models", "hpt", "versions", "123", "labels", "%", "%ff", "", "metadata"])),
    end=st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=9) | st.just(":predict"),
)
def test_any_target_gets_an_answer(served: tuple[Any, rest.Models], method: str, parts: list[str], end: str) -> None:
    rest.check_answer(RestApi(served[0]), (method, f"/{'/'.join(parts)}{end}", {}, b'{"instances": [1]}'))


def test_many_digits_of_a_version_are_no_number(served: tuple[Any, rest.Models]) -> None:
    api = RestApi(served[0])
    for digits, error in (("9" * 6000, "Failed to convert version"), ("0" * 6000 + "7", "Could not find version 7")):
        answer = api.answer("GET", f"/v1/models/hpt/versions/{digits}", {}, b"")
        assert answer.status in (400, 404)
        assert error in answer.body.decode()


def test_the_engines_text_may_quote_bytes_that_are_no_text(served: tuple[Any, rest.Models]) -> None:
    body = b'{"signature_name": "column", "inputs": ["te\xa9xt"]}'
    answer = RestApi(served[0]).answer("POST", "/v1/models/graph:predict", {}, body)
    assert answer.status == 400
    assert b"Could not parse example input, value: 'te\xa9xt'" in answer.body


@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_more_lists_in_lists_than_a_tensor_has_dimensions_are_refused(
    served: tuple[Any, rest.Models], key: str
) -> None:
    api = RestApi(served[0])
    for levels, error in ((65, "A tensor must have at most 64 dimensions"), (900, "nested too deeply: at most 128")):
        body = f'{{"signature_name": "float32", "{key}": {"[" * levels}1{"]" * levels}}}'.encode()
        answer = api.answer("POST", "/v1/models/hpt:predict", {}, body)
        assert answer.status == 400
        assert error in answer.body.decode()
