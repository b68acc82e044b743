"""Clients that put a server under load: what they ask, what they count, and servers that do not answer."""

import socket
from http.server import ThreadingHTTPServer

import pytest

from tests.deployment.capacity.fake_server import url_of
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.capacity.load_clients import Endpoint, LoadClients
from tfchain.deployment.capacity.workload import make_workload

BODIES = make_workload(["a", "b", "c"]).make_bodies(1, count=3)


def test_clients_ask_again_until_the_time_is_up(fake_server: ThreadingHTTPServer) -> None:
    with LoadClients(Endpoint(url_of(fake_server)), 3, BODIES) as clients:
        answers = clients.ask_again(0.05)

    asked = fake_server.asked  # type: ignore[attr-defined]
    assert len(answers.latencies_ms) == len(asked) - 3 >= 9  # the first request of each connection is not counted
    assert {path for path, _ in asked} == {"/v1/models/docs:predict"}
    assert {body["instances"][0]["text"] for _, body in asked} == {"a", "b", "c"}
    assert answers.seconds >= 0.05
    assert answers.per_second == len(answers.latencies_ms) / answers.seconds
    assert 0 < answers.quantile(0.5) <= answers.quantile(0.99)
    assert answers.exchanged_bytes > len(answers.latencies_ms) * (len(BODIES[0]) + 100)


def test_requests_at_given_times_do_not_wait_for_answers(fake_server: ThreadingHTTPServer) -> None:
    with LoadClients(Endpoint(url_of(fake_server)), 4, BODIES) as clients:
        answers = clients.ask_at([0.0, 0.0, 0.01, 0.05])

    assert len(answers.latencies_ms) == 4
    assert answers.seconds >= 0.05


def test_pauses_before_questions_do_not_count(fake_server: ThreadingHTTPServer) -> None:
    with LoadClients(Endpoint(url_of(fake_server)), 1, BODIES) as clients:
        answers = clients.ask_after([0.02, 0.0, 0.03])

    assert len(answers.latencies_ms) == 3
    assert answers.seconds >= 0.05
    assert answers.latencies_ms.sum() <= 1000 * (answers.seconds - 0.05)


def test_the_time_a_request_waits_for_a_connection_counts(fake_server: ThreadingHTTPServer) -> None:
    with LoadClients(Endpoint(url_of(fake_server)), 1, BODIES) as clients:
        answers = clients.ask_at([0.0] * 50)

    assert answers.latencies_ms[-1] > answers.latencies_ms[0]
    assert answers.latencies_ms[-1] == pytest.approx(1000 * answers.seconds, rel=0.2)


def test_the_versions_own_path_and_headers_are_kept(fake_server: ThreadingHTTPServer) -> None:
    endpoint = Endpoint(f"{url_of(fake_server)}/versions/3", headers=(("Authorization", "Bearer key"),))
    assert b"\r\nAuthorization: Bearer key\r\n" in endpoint.write(b"{}")

    with LoadClients(endpoint, 1, BODIES):
        pass

    assert fake_server.asked[0][0] == "/v1/models/docs/versions/3:predict"  # type: ignore[attr-defined]


def test_an_error_of_the_server_is_told(fake_server: ThreadingHTTPServer) -> None:
    with pytest.raises(ServerError, match=r"HTTP/1.1 400 Bad Request.*no such thing"):
        LoadClients(Endpoint(url_of(fake_server)), 1, make_workload(["broken"]).make_bodies(1))


def test_a_server_that_does_not_answer_ends_in_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}/v1/models/m", timeout_seconds=0.05)
        with pytest.raises(ServerError, match="did not answer in time"):
            LoadClients(endpoint, 1, BODIES)


def test_a_server_that_is_not_there_ends_in_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ServerError, match="cannot be reached: Connection refused"):
        LoadClients(Endpoint(f"http://127.0.0.1:{port}/v1/models/m"), 1, BODIES)


@pytest.mark.parametrize("url", ["127.0.0.1:8501", "ftp://a/v1/models/m", "http://a:8501/", "http:///v1/models/m"])
def test_an_address_without_a_model_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="must be a model's REST address"):
        Endpoint(url)
