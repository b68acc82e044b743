"""The contract of a target, the table of targets, and what writes a target's folder."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tfchain.core.errors import InputError
from tfchain.deployment.targets.artefact import Artefact, write_artefacts
from tfchain.deployment.targets.options import make_options

if TYPE_CHECKING:
    from tfchain.deployment.targets.served_version import ServedVersion

# A target's name → its class. A target is one file in this folder and one line here.
TARGETS: Mapping[str, str] = {
    "docker": "tfchain.deployment.targets.docker:DockerTarget",
    "systemd": "tfchain.deployment.targets.systemd:SystemdTarget",
    "kubernetes": "tfchain.deployment.targets.kubernetes.target:KubernetesTarget",
    "kserve": "tfchain.deployment.targets.kserve:KserveTarget",
    "vertex": "tfchain.deployment.targets.vertex.target:VertexTarget",
    "sagemaker": "tfchain.deployment.targets.sagemaker:SageMakerTarget",
    "cloudrun": "tfchain.deployment.targets.cloudrun:CloudRunTarget",
}


class Target(Protocol):
    """What can run a version: it says whether it can, and makes the files for it.

    `check` and `render` read the version and the options, and write nothing. An artefact never holds a secret: API keys
    and keys of TLS are named by path, by environment variable or by the platform's own secret objects.
    """

    name: str  # "docker"
    summary: str  # one line for the help
    options: type[Any]  # a frozen dataclass of plain values, each an `option(default, help)`; it checks itself

    def check(self, version: "ServedVersion", options: Any) -> None:
        """Raises an InputError if the target cannot run the version: what is in the way, and the way out."""

    def render(self, version: "ServedVersion", options: Any) -> tuple[Artefact, ...]:
        """Returns the files, for a version and options that `check` has passed."""

    def explain(self, version: "ServedVersion", options: Any) -> tuple[str, ...]:
        """Returns lines for the user: the commands that run the files, and what was left out and why."""


@dataclass(frozen=True)
class WrittenTarget:
    """What `write_target` wrote, or would write.

    Args:
        folder: The folder.
        artefacts: Its files.
        notes: The target's lines for the user.
    """

    folder: Path
    artefacts: tuple[Artefact, ...]
    notes: tuple[str, ...]


def load_target(name: str) -> Target:
    """Returns a target by its name.

    Raises:
        InputError: if there is none of this name.
    """
    if not isinstance(name, str) or name not in TARGETS:
        raise InputError(f"`target` must be one of {', '.join(TARGETS)}. Received: target={name!r}.", argument="target")
    module, _, class_name = TARGETS[name].partition(":")
    target: Target = getattr(importlib.import_module(module), class_name)()
    return target


def write_target(
    version: "ServedVersion",
    target: str,
    out: Path | str,
    *,
    options: Mapping[str, Any] | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> WrittenTarget:
    """Makes the files that run a version on a target, and writes them into a folder, all or none.

    Args:
        version: The version, from `read_version`.
        target: The target's name, such as `docker`.
        out: The folder to write.
        options: The target's options by name, as values or as text. Default: the target's defaults.
        force: Whether files that an earlier call wrote there may be replaced; other files stay. Default: False.
        dry_run: Whether nothing is written, and only the files are made. Default: False.

    Returns:
        The folder, its files, and what to do with them.

    Raises:
        InputError: if the target or an option is unknown, the target cannot run the version, or the folder holds files.
        TfchainError: if the folder cannot be written.

    Example:
        version = read_version("saved_models/docs/1")
        write_target(version, "docker", "build/docs", options={"server": "lean"})
    """
    made = load_target(target)
    chosen = make_options(target, made.options, options or {})
    made.check(version, chosen)
    artefacts = made.render(version, chosen)
    notes = made.explain(version, chosen)
    if not dry_run:
        write_artefacts(Path(out), target, artefacts, force=force)
    return WrittenTarget(Path(out), artefacts, notes)
