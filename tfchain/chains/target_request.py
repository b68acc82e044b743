"""What `deploy(target=…)` asks for: the files that run the chain's version somewhere else, checked before an export."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.chains.deploy_options import SERVER_DEFAULTS
from tfchain.core.checks import to_path
from tfchain.core.errors import InputError


@dataclass(frozen=True)
class TargetRequest:
    """A target and its folder.

    Args:
        target: The target's name, such as `docker`.
        out: The folder to write.
        options: The target's options by name.
        force: Whether the files of an earlier call may be replaced.
    """

    target: str
    out: Path
    options: Mapping[str, Any]
    force: bool

    def write(self, version: Path, model_name: str) -> Path:
        """Writes the target's folder for a version.

        Args:
            version: The version's folder.
            model_name: The name that requests use.

        Returns:
            The target's folder.

        Raises:
            InputError: if the target cannot run the version.
        """
        from tfchain.deployment.targets.served_version import read_version
        from tfchain.deployment.targets.target import write_target

        served = read_version(version, model_name=model_name)
        return write_target(served, self.target, self.out, options=self.options, force=self.force).folder


def request_target(
    target: str | None,
    server: Mapping[str, Any],
    *,
    out: Path | str | None,
    target_options: Mapping[str, Any] | None,
    force: bool,
) -> TargetRequest | None:
    """Checks the arguments of `deploy` for a target.

    Args:
        target: The target's name; None for a server on this machine.
        server: The values of `ServerOptions`.
        out: The folder to write.
        target_options: The target's options by name.
        force: Whether the files of an earlier call may be replaced.

    Returns:
        The request; None for a server on this machine.

    Raises:
        InputError: if an argument is missing, unknown or for the other kind, or the folder holds files.
    """
    from tfchain.deployment.targets.artefact import check_out
    from tfchain.deployment.targets.options import make_options
    from tfchain.deployment.targets.target import load_target

    if target is None:
        given = {"out": out, "target_options": target_options, "force": force or None}
        for name, value in given.items():
            if value is not None:
                raise InputError(f"`{name}` is for a target. Received: {name}={value!r} without `target`. Give both.")
        return None
    found = load_target(target)
    for name, default in SERVER_DEFAULTS.items():
        if server[name] != default:
            raise InputError(
                f"`{name}` is for a server on this machine. Received: {name}={server[name]!r} with target={target!r}. "
                "Use target_options, such as target_options={'rest_port': 8501}."
            )
    if out is None:
        raise InputError(f"`target` needs the folder to write. Received: target={target!r} without `out`. Give `out`.")
    path = to_path("out", out)
    make_options(target, found.options, target_options or {})
    check_out(path, force=force)
    return TargetRequest(target, path, dict(target_options or {}), force)
