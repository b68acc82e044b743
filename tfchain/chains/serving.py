"""Serving for a task: writes a version, and checks the arguments of a deployment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfchain.core.task import Task
from tfchain.deployment.arguments import check_address, check_model_name, check_ports, check_timeout
from tfchain.deployment.export import export
from tfchain.tasks.live_model import Current


def export_for(
    task: Task,
    current: Current,
    base_path: Path,
    *,
    signatures: str,
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    source: str,
    batch_size: int,
) -> Path:
    """Writes a task's next version.

    Args:
        task: The task.
        current: The model and its state.
        base_path: The folder of version folders.
        signatures: `text` or `ids`.
        options: The task's own arguments.
        settings: The chain's settings, with its last report.
        source: An id that distinguishes this chain's versions from those of others.
        batch_size: The most texts in one step.

    Returns:
        The version's folder.

    Raises:
        ExportError: if an op is not in stock TensorFlow Serving, or answers differ from Python's.
    """
    served = task.serve(
        current.text_encoder, current.state, signatures=signatures, batch_size=batch_size, options=options
    )
    max_length = current.text_encoder.tokenizer.max_length
    described = {"source": source, "task": task.name, "max_length": max_length, **settings, **served.description}
    if served.files:  # the last evaluation measured other vectors than the SavedModel holds
        described["report"] = {}
    graph = served.graph
    return export(
        base_path,
        graph.module,
        graph.signatures,
        proofs=graph.proofs,
        litert_proofs=graph.litert_proofs,
        halves=graph.halves,
        methods=graph.methods,
        description=described,
        files=served.files,
    )


def check_deployment(name: str, serving: Mapping[str, Any]) -> None:
    """Checks the arguments of `deploy`, before anything is exported.

    Args:
        name: The model's name.
        serving: `host`, `grpc_port`, `rest_port` and `timeout_seconds`.

    Raises:
        InputError: if an argument is out of range.
        ServerError: if a port is in use.
    """
    host, port, rest_port = (serving[key] for key in ("host", "grpc_port", "rest_port"))
    check_model_name(name, argument="name")
    check_address(host, {"port": port, "rest_port": rest_port})
    check_timeout(serving["timeout_seconds"])
    check_ports(host, port, rest_port)
