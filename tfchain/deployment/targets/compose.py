"""The compose file of one server: the image, what it may do, what it may take, and where its secrets come from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tfchain.deployment.targets.dockerfiles import USER

SECRETS = {"api_keys": "./secrets/api_keys.txt", "tls": "./secrets/tls.pbtxt"}  # the user's own files, never written


@dataclass(frozen=True)
class ComposeParts:
    """What a compose file says of a server.

    Args:
        name: The project's and the service's name.
        image: The image that is built, with its tag.
        command: The server's command line.
        address: The address of this machine on which the ports are open.
        grpc_port: The gRPC port on this machine.
        rest_port: The REST port on this machine.
        memory_mib: The memory limit, in MiB.
        cpus: The cores that it may use; None for all.
        secrets: Names in `SECRETS`.
    """

    name: str
    image: str
    command: Sequence[str]
    address: str
    grpc_port: int
    rest_port: int
    memory_mib: int
    cpus: str | None = None
    secrets: Sequence[str] = field(default=())


def make_compose(parts: ComposeParts) -> dict[str, Any]:
    """Returns the compose file as plain values.

    Args:
        parts: What it says.
    """
    limits = {"memory": f"{parts.memory_mib}M"} | ({} if parts.cpus is None else {"cpus": parts.cpus})
    service: dict[str, Any] = {
        "build": {"context": "."},
        "image": parts.image,
        "command": list(parts.command),
        "user": USER,
        "read_only": True,
        "tmpfs": ["/tmp:size=64m,mode=1777,noexec,nosuid,nodev"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "init": True,
        "pids_limit": 1024,
        "restart": "unless-stopped",
        "stop_grace_period": "30s",  # requests in flight are answered first
        "ports": [
            f"{parts.address}:{parts.grpc_port}:8500",
            f"{parts.address}:{parts.rest_port}:8501",
        ],
        "deploy": {"resources": {"limits": limits}},
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
    }
    if parts.secrets:
        service["secrets"] = [{"source": name, "target": name} for name in parts.secrets]
    compose: dict[str, Any] = {"name": parts.name, "services": {parts.name: service}}
    if parts.secrets:
        compose["secrets"] = {name: {"file": SECRETS[name]} for name in parts.secrets}
    return compose
