"""Releases on a running server: by its own file, by ModelService, and its canary's health."""

from collections import Counter
from pathlib import Path

import pytest

from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.deploy import deploy
from tfchain.deployment.release_state import read_state
from tfchain.deployment.releases.model_service import GrpcModelService
from tfchain.deployment.releases.server_health import read_server_health
from tfchain.deployment.releases.serving_config import ServedBase, reload_server
from tfchain.deployment.releases.switch import promote, start_canary


@pytest.mark.usefixtures("forks")
def test_a_running_server_follows_canary_promotion_rollback_and_a_reload(base_path: Path) -> None:
    promote(base_path, 2, needs_blessing=False)
    with deploy(base_path, model_name="lines") as server, server.client() as client:

        def ask(version: int | str | None = None) -> float:
            answer = client.predict({"x": [1.0]}, model="lines", version=version, protocol="rest")
            return float(answer["y"][0])

        assert ask() == 3.0  # 2 x + 1, though version 3 is higher
        start_canary(base_path, 3, percent=30, needs_blessing=False)
        server.rollback()
        assert read_state(base_path).canary is None
        start_canary(base_path, 3, percent=30, needs_blessing=False)
        with pytest.raises(ServerError, match="did not answer with version 2 in 0 s"):
            server.rollback(2, timeout_seconds=0)
        start_canary(base_path, 3, percent=30, needs_blessing=False)
        answers: Counter[float] = Counter()
        while answers[4.0] < 30:  # until the canary is loaded, the live version answers all
            answers[ask()] += 1
        assert answers[3.0] > answers[4.0]
        health = read_server_health(server.rest_url, "lines", live=2, canary=3)
        assert (health.canary.requests, health.canary.errors) == (30, 0)
        assert health.live.p95_ms is not None
        server.promote()
        assert {ask() for _ in range(5)} == {4.0}
        server.rollback()
        assert {ask() for _ in range(5)} == {3.0}

        with GrpcModelService(server.grpc_target) as service:
            promote(base_path, 1, needs_blessing=False)
            start_canary(base_path, 3, needs_blessing=False)
            reload_server(service, [ServedBase("lines", base_path)])
            assert service.list_available("lines") >= {1, 3}
            assert (ask("stable"), ask("canary")) == (3.0, 4.0)
            assert service.list_available("nobody") == frozenset()
            with pytest.raises(ServerError, match="did not take the configuration: INVALID_ARGUMENT"):
                reload_server(service, [ServedBase("lines", base_path, "relative/path")])


def test_a_deployment_of_several_models_has_no_base_path_to_release_in() -> None:
    class Several:
        model_name = "docs"
        base_path = None

    from tfchain.deployment.releases.deployed import roll_back_deployed

    with pytest.raises(InputError, match="A deployment of several models has no single base path to release in"):
        roll_back_deployed(Several(), None, timeout_seconds=1)  # type: ignore[arg-type]
