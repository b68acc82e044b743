"""`tfchain info`: describes a folder, or what is installed."""

import os
import platform
from pathlib import Path
from typing import Any

import click

from tfchain.cli.output import print_json, print_values
from tfchain.cli.process import output_options
from tfchain.core.errors import InputError

PACKAGES = (
    *("tfchain", "tensorflow", "keras", "tensorflow-text", "tensorflow-serving-api"),
    *("transformers", "tokenizers", "numpy", "grpcio", "protobuf"),
)

SETTINGS = ("hyperparameters", "passages")  # as an export records them; in an index "passages" is a number


@click.command("info", short_help="Describe a folder, or what is installed.")
@click.argument("path", metavar="[DIR|BASE_PATH|VERSION]", required=False, type=click.Path(path_type=Path))
@output_options
def info_command(path: Path | None, as_json: bool) -> None:
    """Describe a folder; without one, show the installed versions.

    The folder is an index (documents, passages, model, settings) or another saved chain (task, state, model, settings),
    a base path or one of its versions (signatures, fingerprint, ops, the oldest TensorFlow Serving that has them).
    TensorFlow is not started.

    \b
    Examples:
      tfchain info
      tfchain info index
      tfchain info saved_models/docs
    """
    values = describe_machine() if path is None else describe_path(path)
    if as_json:
        print_json(values)
    else:
        print_values(to_short(values))


def describe_machine() -> dict[str, Any]:
    """The versions of tfchain and its dependencies, the machine, and whether tfchain's own int8 kernels run on it."""
    from tfchain.models.native_library import find_obstacle

    obstacle = find_obstacle()
    return {
        **{name: find_version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "int8 kernels": "run here" if obstacle is None else f"do not run: {obstacle}",
    }


def find_version(package: str) -> str | None:
    """A package's version; None if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe_path(path: Path) -> dict[str, Any]:
    """Describes a folder of any of the three kinds.

    Raises:
        InputError: if it is none of them.
    """
    from tfchain.cli.folders import describe_chain, describe_version, is_base_path, is_chain, is_version
    from tfchain.deployment.repository import list_versions

    if is_chain(path):
        return describe_chain(path)
    if is_version(path):
        return {"kind": "version", **describe_version(path)}
    if is_base_path(path):
        versions = [describe_version(folder) for folder in list_versions(path).values() if is_version(folder)]
        return {"kind": "base path", "path": str(path), "versions": versions}
    raise InputError(
        "Expected an index or another saved chain, a base path or a version of one. "
        f"Received: {path}, which is {'none of them' if path.exists() else 'not there'}."
    )


def to_short(values: dict[str, Any]) -> dict[str, Any]:
    """Shortens the values for people: the number of ops, and one line for each version."""
    values = dict(values)
    settings = values.pop("settings", None) or {name: values.pop(name) for name in SETTINGS if name in values}
    if settings and "passages" in settings:
        overlap = settings["passages"]["overlap_tokens"]
        values["passage mode"] = settings["passages"]["mode"]
        values["overlap tokens"] = "a tenth of the maximum length" if overlap is None else overlap
    elif settings:
        values |= {name: value for name, value in settings.items() if name not in ("hyperparameters", "report")}
    if "ops" in values:
        values["ops"] = f"{len(values['ops'])}, all in stock TensorFlow Serving"
    if "fingerprint" in values:
        values["fingerprint"] = values["fingerprint"][:16]
    for described in values.pop("versions", []):
        noted = [
            f"{name.replace('_', ' ')} {described[name]}"
            for name in ("documents", "oldest_server", "tfchain")
            if name in described
        ]
        signatures = ", ".join(described.get("signatures", [])) or "not exported by tfchain"
        values[f"version {described['version']}"] = "; ".join([signatures, *noted])
    return {name: value for name, value in values.items() if value != {}}
