"""Serving for a task: writes a version, and checks the arguments of a deployment."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfchain.core.checks import to_path
from tfchain.core.errors import InputError
from tfchain.core.model import Model
from tfchain.core.signatures import TFLITE_FILE
from tfchain.core.task import Task
from tfchain.deployment.arguments import check_address, check_base_path, check_model_name, check_ports, check_timeout
from tfchain.deployment.deployed_flags import to_arguments
from tfchain.deployment.engine import choose_engine
from tfchain.deployment.export import export
from tfchain.deployment.release_state import find_live, read_state
from tfchain.deployment.releases.switch import check_percent, promote, start_canary
from tfchain.models.native_text_encoder import find_native_obstacle
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.live_model import Current


def check_export(
    task: Task,
    state: Any,
    path: str | Path | None,
    name: str,
    reference: Any,
    default: Path,
    *,
    options: Mapping[str, Any],
    signatures: str = "text",
) -> tuple[Path, Callable[[Path], object] | None]:
    """Checks the arguments of `export`, before any costly work.

    Args:
        task: The task.
        state: The task's state.
        path: The base path; None for the model's folder in `default`.
        name: The model's name.
        reference: What the version's reference is made of; None for no reference.
        default: The folder of the models' base paths.
        options: The task's own arguments.
        signatures: `text` or `ids`. Default: `text`.

    Returns:
        The base path, and what adds the reference to the version; None without one.

    Raises:
        InputError: if an argument is out of range, or the reference cannot be made of what is given.
    """
    from tfchain.runtime.fork import check_tensorflow_runs

    if path is None:
        check_model_name(name, argument="name")
    base_path = check_base_path(default / name if path is None else to_path("path", path))
    task.check_serving(signatures=signatures, options=options)
    complete = None
    if reference is not None:
        from tfchain.chains.version_reference import make_completion

        complete = make_completion(task, reference, state=state, signatures=signatures)
    check_tensorflow_runs()
    return base_path, complete


def export_for(
    task: Task,
    current: Current,
    base_path: Path,
    *,
    options: Mapping[str, Any],
    signatures: str = "text",
    settings: Mapping[str, Any],
    source: str,
    batch_size: int,
    complete: Callable[[Path], object] | None = None,
) -> Path:
    """Writes a task's next version.

    Args:
        task: The task.
        current: The model and its state.
        base_path: The folder of version folders.
        options: The task's own arguments.
        signatures: `text` or `ids`. Default: `text`.
        settings: The chain's settings, with its last report.
        source: An id that distinguishes this chain's versions from those of others.
        batch_size: The most texts in one step.
        complete: Adds files to the finished version before it appears. Default: none are added.

    Returns:
        The version's folder.

    Raises:
        ExportError: if an op is not in stock TensorFlow Serving, or answers differ from Python's.
    """
    served = task.serve(current.model, current.state, signatures=signatures, batch_size=batch_size, options=options)
    described = {"source": source, "task": task.name, **settings, **served.description}
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
        complete=complete,
    )


def check_deployment(name: str, serving: Mapping[str, Any], model: Model) -> None:
    """Checks the arguments of `deploy`, before anything is exported.

    Args:
        name: The model's name.
        serving: The values of `ServerOptions`.
        model: The model.

    Raises:
        InputError: if an argument is out of range, or the engine cannot answer for this model on this machine.
        ServerError: if a port is in use.
    """
    host, port, rest_port = (serving[key] for key in ("host", "port", "rest_port"))
    check_model_name(name, argument="name")
    check_address(host, {"port": port, "rest_port": rest_port})
    check_timeout(serving["timeout_seconds"])
    to_arguments(serving["flags"])
    if choose_engine(serving["engine"], prefers_tflite=serving["prefer_tflite_model"]) == "native":
        obstacle: str | None = "its model has no kernels"
        advice = "Leave `engine` out."
        if isinstance(model, TextEncoder):
            obstacle = find_native_obstacle(model)
            advice = "Use Quantize('int8') and a processor with AVX-512 VNNI, or engine='auto'."
        if obstacle is not None:
            raise InputError(
                f"`engine` 'native' cannot serve this chain here: {obstacle}. Received: engine='native'. {advice}"
            )
    check_ports(host, port, rest_port)


def prepare_canary(base_path: Path, percent: float) -> None:
    """Checks, before anything is exported, that a canary can stand beside a live version, and keeps that one live.

    Args:
        base_path: The base path.
        percent: The canary's share of the requests.

    Raises:
        InputError: if the share is out of range, or the base path has no version yet.
    """
    check_percent("canary", percent)
    live = find_live(base_path) if base_path.is_dir() else None
    if live is None:
        raise InputError(
            f"`canary` needs a version that is live beside it. Received: canary={percent!r} for {base_path}, which has "
            "none. Deploy the first version without it."
        )
    if read_state(base_path).live is None:  # else a running server would take the new version for the live one
        promote(base_path, live, needs_blessing=False, reason="it was the highest version")


def begin_canary(version: Path, percent: float) -> None:
    """Makes an exported version the canary of its base path; what was live stays live."""
    start_canary(version.parent, int(version.name), percent=percent, needs_blessing=False)
