"""Serving for a task: writes a version, and checks the arguments of a deployment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.signatures import TFLITE_FILE
from tfchain.core.task import Task
from tfchain.deployment.arguments import check_address, check_model_name, check_ports, check_timeout
from tfchain.deployment.deployed_flags import to_arguments
from tfchain.deployment.engine import choose_engine
from tfchain.deployment.export import export
from tfchain.models.native_text_encoder import find_native_obstacle
from tfchain.models.text_encoder import TextEncoder
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
    if TFLITE_FILE in served.files:  # the last evaluation measured other vectors than the SavedModel holds
        described["report"] = {}
    if served.native is not None:
        described["native"] = sorted({proof.signature for proof in served.native.proofs})
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
        native=served.native,
    )


def check_deployment(name: str, serving: Mapping[str, Any], text_encoder: TextEncoder) -> None:
    """Checks the arguments of `deploy`, before anything is exported.

    Args:
        name: The model's name.
        serving: The other arguments of `tfchain.deployment.deploy.deploy`.
        text_encoder: The model.

    Raises:
        InputError: if an argument is out of range, or the engine cannot answer for this model on this machine.
        ServerError: if a port is in use.
    """
    host, port, rest_port = (serving[key] for key in ("host", "grpc_port", "rest_port"))
    check_model_name(name, argument="name")
    check_address(host, {"port": port, "rest_port": rest_port})
    check_timeout(serving["timeout_seconds"])
    to_arguments(serving["flags"])
    if choose_engine(serving["engine"], prefers_tflite=serving["prefer_tflite_model"]) == "native":
        obstacle = find_native_obstacle(text_encoder)
        if obstacle is not None:
            raise InputError(
                f"`engine` 'native' cannot serve this chain here: {obstacle}. Received: engine='native'. "
                "Use Quantize('int8') and a processor with AVX-512 VNNI, or engine='auto'."
            )
    check_ports(host, port, rest_port)
