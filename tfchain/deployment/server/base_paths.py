"""Finds base paths without a version to serve, for which a stock server would wait without end."""

from tfchain.core.errors import InputError
from tfchain.deployment.repository import list_versions
from tfchain.deployment.server.config import ModelConfig
from tfchain.deployment.server.policies import LatestOf
from tfchain.deployment.server.status import invalid_argument, not_found


def check_has_version(model: ModelConfig) -> None:
    """Raises if a model that a running server is asked to load has no version to serve.

    Raises:
        StatusError: in the words in which a stock server logs it.
    """
    try:
        versions = list_versions(model.base_path)
    except InputError as error:
        is_gone = isinstance(error.__cause__, FileNotFoundError)
        reason = f"NOT_FOUND: {model.base_path} not found" if is_gone else error
        raise invalid_argument(
            f"Could not find base path {model.base_path} for servable {model.name} with error {reason}"
        ) from error
    if not model.policy(model.name, versions):
        raise not_found(
            f"Unable to find a numerical version path for servable {model.name} at: {model.base_path}"
            + (f" (its version policy, {model.policy}, chooses none of {sorted(versions)})" if versions else "")
        )


def find_problem(model: ModelConfig) -> str:
    """Describes, for whoever starts a server, why a model has no version to serve; empty if it has one."""
    try:
        versions = list_versions(model.base_path)
    except InputError as error:
        return str(error)
    if model.policy(model.name, versions):
        return ""
    if isinstance(model.policy, LatestOf) or not versions:
        wanted = f" of the source {model.policy.source!r}" if isinstance(model.policy, LatestOf) else ""
        return (
            f"A base path must hold a version folder (`1`, `2`, …){wanted}. Received: {model.base_path}, which has "
            "none. Export a version into it first."
        )
    return (
        f"A version policy must choose a version of the base path. Received: {model.policy}, and the versions "
        f"{sorted(versions)} in {model.base_path}. Change the policy, or export such a version."
    )
