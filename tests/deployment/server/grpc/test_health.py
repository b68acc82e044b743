"""The health service, apart from a server."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from grpc_health.v1 import health_pb2

from tfchain.deployment.server.grpc.health import Health


def test_the_end_of_a_watch_does_not_wait_for_answers_that_are_being_sent() -> None:
    server: Any = SimpleNamespace(
        add_generic_rpc_handlers=lambda _: None, add_registered_method_handlers=lambda *_: None
    )
    servicer = Health(server)._servicer
    ends: list[Callable[[], None]] = []
    context = SimpleNamespace(add_callback=lambda end: ends.append(end) or True)
    servicer.Watch(health_pb2.HealthCheckRequest(), context, lambda _: None)
    assert len(ends) == 2  # the library's and ours

    def end_watch() -> None:  # as the one thread of gRPC does that also reports what has been sent
        for end in ends:
            end()

    with servicer._lock:  # held while a change is sent to the watchers
        thread = threading.Thread(target=end_watch, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
