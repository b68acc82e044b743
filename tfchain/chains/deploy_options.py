"""The keyword arguments of `deploy`: those of a server on this machine, and those of a target's files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Required, TypedDict

if TYPE_CHECKING:
    from tfchain.deployment.engine import ServerEngine


class ServerOptions(TypedDict, total=False):
    """What `deploy` takes for a server on this machine; `Chain.deploy` documents each."""

    host: str
    port: int
    rest_port: int
    prefer_tflite_model: bool
    engine: ServerEngine | None
    timeout_seconds: float
    flags: Mapping[str, str | int | float | bool] | None
    canary: float | None


class TargetOptions(TypedDict, total=False):
    """What `deploy` takes with a `target`; `Chain.deploy` documents each."""

    out: Required[str | Path]
    target_options: Mapping[str, Any] | None
    force: bool


SERVER_DEFAULTS: Mapping[str, Any] = {
    "host": "127.0.0.1",
    "port": 0,
    "rest_port": 0,
    "prefer_tflite_model": False,
    "engine": None,
    "timeout_seconds": 120.0,
    "flags": None,
    "canary": None,
}
TARGET_DEFAULTS: Mapping[str, Any] = {"out": None, "target_options": None, "force": False}


def split_options(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the values for a server on this machine and those for a target, with their defaults.

    Raises:
        TypeError: if a name is unknown, as Python raises it for any function.
    """
    for name in given:
        if name not in SERVER_DEFAULTS and name not in TARGET_DEFAULTS:
            known = ", ".join([*SERVER_DEFAULTS, *TARGET_DEFAULTS])
            raise TypeError(f"deploy() got an unexpected keyword argument {name!r}. It takes {known}.")
    server, target = (
        {name: given.get(name, value) for name, value in each.items()} for each in (SERVER_DEFAULTS, TARGET_DEFAULTS)
    )
    return server, target
