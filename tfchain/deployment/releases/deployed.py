"""Promotion and rollback of a running deployment of the embedded server: changed, then waited for."""

import time
from pathlib import Path
from typing import Any, Protocol

from tfchain.core.errors import InputError, ServerError, TfchainError
from tfchain.deployment.release_state import ReleaseState, find_live
from tfchain.deployment.releases.switch import promote, rollback

_POLL_SECONDS = 0.1
_SETTLED = 3  # answers in a row, so that the last one of a canary is not taken for the live version's


class RunningDeployment(Protocol):
    """What is needed of a deployment."""

    model_name: str
    base_path: Path | None

    def client(self, *, timeout_seconds: float = ...) -> Any:
        """Returns a client."""


def promote_deployed(
    deployment: RunningDeployment, version: int | None, *, needs_blessing: bool, timeout_seconds: float
) -> ReleaseState:
    """Makes a version live, and waits until the server answers with it; see `Deployment.promote`."""
    base_path = _find_base_path(deployment)
    state = promote(base_path, version, needs_blessing=needs_blessing)
    _wait_for_live(deployment, base_path, timeout_seconds)
    return state


def roll_back_deployed(deployment: RunningDeployment, version: int | None, *, timeout_seconds: float) -> ReleaseState:
    """Goes back, and waits until the server answers with the version; see `Deployment.rollback`."""
    base_path = _find_base_path(deployment)
    state = rollback(base_path, version)
    _wait_for_live(deployment, base_path, timeout_seconds)
    return state


def _find_base_path(deployment: RunningDeployment) -> Path:
    if deployment.base_path is None:
        raise InputError(
            "A deployment of several models has no single base path to release in. Received: "
            f"{deployment!r}. Use `promote` and `rollback` of `tfchain.deployment.releases.switch` on the base path."
        )
    return deployment.base_path


def _wait_for_live(deployment: RunningDeployment, base_path: Path, timeout_seconds: float) -> None:
    """Waits until requests without a version reach the live one."""
    live, deadline, in_a_row = find_live(base_path), time.monotonic() + timeout_seconds, 0
    with deployment.client(timeout_seconds=10.0) as client:
        while True:
            try:
                answered = client.metadata(deployment.model_name, protocol="rest")["model_spec"]["version"]
                in_a_row = in_a_row + 1 if int(answered) == live else 0
            except TfchainError as error:
                answered, in_a_row = str(error), 0
            if in_a_row >= _SETTLED:
                return
            if time.monotonic() > deadline:
                raise ServerError(
                    f"The server did not answer with version {live} in {timeout_seconds:g} s (last: {answered}). "
                    "It is live in releases.json all the same. See the server's log."
                )
            time.sleep(_POLL_SECONDS)
