"""Starts the embedded server in its own process, and stops it."""

import atexit
import contextlib
import itertools
import json
import os
import select
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn

from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.arguments import check_address, check_timeout, check_workers
from tfchain.deployment.client.client import Client
from tfchain.deployment.deployed_flags import to_arguments
from tfchain.deployment.deployed_ports import DeployedPorts
from tfchain.deployment.engine import choose_engine
from tfchain.deployment.served_models import ServedModels
from tfchain.runtime.child_process import make_environment, make_python_command

SERVER = "tfchain.deployment.server.main"  # a server without a native engine
_ERROR_MARK = "tfchain-model-server: error: "
_running: "weakref.WeakSet[Deployment]" = weakref.WeakSet()


class Deployment:
    """A server started by `deploy`; use it in a `with` block, or call `stop`.

    It also stops when the interpreter exits, and when this process dies, even by `kill -9`.

    Args:
        process: The server's process.
        model_name: The model's name; the first one's if there are several.
        host: The address that it listens on.
        grpc_port: The gRPC port.
        rest_port: The REST port.
        pipe: A pipe; the server stops when it is closed.
        has_tls: Whether the ports use TLS. Default: False.
        client_type: The class of `client()`. Default: the client for any task.
        model_names: The names of all models. Default: `model_name` alone.
        base_path: The folder of the version folders of the only model. Default: none, several models are served.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        *,
        model_name: str,
        host: str,
        grpc_port: int,
        rest_port: int,
        pipe: int,
        has_tls: bool = False,
        client_type: type[Client] = Client,
        model_names: Sequence[str] = (),
        base_path: Path | None = None,
    ) -> None:
        self.model_name = model_name
        self.base_path = base_path
        self.model_names = tuple(model_names) or (model_name,)
        self.grpc_target = f"{_bracketed(host)}:{grpc_port}"
        self.rest_url = f"{'https' if has_tls else 'http'}://{_bracketed(host)}:{rest_port}"
        self._has_tls = has_tls
        self._process = process
        self._pipe: int | None = pipe
        self._client_type = client_type
        _running.add(self)

    def __enter__(self) -> "Deployment":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.is_running else "stopped"
        names = ", ".join(map(repr, self.model_names))
        return f"<Deployment of {names}, {state}: {self.rest_url}, gRPC {self.grpc_target}>"

    def __reduce__(self) -> NoReturn:
        raise InputError(
            "A Deployment owns its server's process, and cannot be pickled or copied. Received: "
            f"{self!r}. Pass on its `client()`, or its `grpc_target` and `rest_url`."
        )

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process.poll() is None

    def client(
        self,
        *,
        timeout_seconds: float = 30.0,
        ca_file: Path | str | None = None,
        cert_file: Path | str | None = None,
        key_file: Path | str | None = None,
        api_key: str | None = None,
    ) -> Client:
        """Returns a client for both protocols; close it, or use it in a `with` block.

        Args:
            timeout_seconds: The time limit of a call. Default: 30.
            ca_file: For a server with TLS, a PEM file of the certificates to trust.
            cert_file: For a server that verifies clients, a PEM file of the client's certificate.
            key_file: A PEM file of the certificate's private key.
            api_key: For a server with API keys, one of them.
        """
        return self._client_type(
            self.grpc_target,
            self.rest_url,
            timeout_seconds=timeout_seconds,
            tls=self._has_tls,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            api_key=api_key,
        )

    def promote(
        self, version: int | None = None, *, needs_blessing: bool = False, timeout_seconds: float = 60.0
    ) -> None:
        """Makes a version live, and waits until the server answers with it.

        Args:
            version: The version. Default: the canary.
            needs_blessing: Whether the release gate must have let it through. Default: False.
            timeout_seconds: The time limit of the wait. Default: 60.

        Raises:
            InputError: if there is no such version or no canary; nothing changes then.
            ServerError: if the server does not answer with it in time; it is promoted all the same.
        """
        from tfchain.deployment.releases.deployed import promote_deployed

        promote_deployed(self, version, needs_blessing=needs_blessing, timeout_seconds=timeout_seconds)

    def rollback(self, version: int | None = None, *, timeout_seconds: float = 60.0) -> None:
        """Takes the canary away, or makes the version live that was before, and waits until the server does so.

        Args:
            version: The version to go back to. Default: the live one if there is a canary, else the one before it.
            timeout_seconds: The time limit of the wait. Default: 60.

        Raises:
            InputError: if there is nothing to go back to; nothing changes then.
            ServerError: if the server does not answer with it in time.
        """
        from tfchain.deployment.releases.deployed import roll_back_deployed

        roll_back_deployed(self, version, timeout_seconds=timeout_seconds)

    def stop(self, timeout_seconds: float = 15.0) -> None:
        """Stops the server after the requests in flight, or kills it after the timeout. Repeated calls do nothing."""
        _stop(self._process, timeout_seconds)
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        _running.discard(self)


def deploy(
    base_path: Path | str | None = None,
    *,
    model_name: str | None = None,
    host: str = "127.0.0.1",
    grpc_port: int = 0,
    rest_port: int = 0,
    prefer_tflite_model: bool = False,
    engine: str | None = None,
    timeout_seconds: float = 120.0,
    log_path: Path | str | None = None,
    source: str | None = None,
    ports: DeployedPorts | None = None,
    client_type: type[Client] = Client,
    models: Mapping[str, Path | str] | None = None,
    config_file: Path | str | None = None,
    config_poll_seconds: int = 0,
    program: str = SERVER,
    workers: int = 1,
    flags: Mapping[str, str | int | float | bool] | None = None,
) -> Deployment:
    """Serves one model or several, and waits until the server answers.

    Pass a base path and a name for one model, `models` for several, or `config_file` for several with version policies
    and labels.

    The server loads new versions while it runs. It has its own session: Ctrl-C in the terminal, or Jupyter's stop
    button, interrupts this process and does not stop the server.

    Args:
        base_path: The folder of version folders.
        model_name: The name that requests use.
        host: The address to listen on. Default: `127.0.0.1`, reachable from this machine only.
        grpc_port: The gRPC port; 0 lets the system choose. Default: 0.
        rest_port: The REST port; 0 lets the system choose. Default: 0.
        prefer_tflite_model: Whether LiteRT runs the encoder of versions with `model.tflite`. Default: False.
        engine: What answers: `tensorflow`, `litert`, `native` or `auto`, as the server's `--engine`. Default:
            TensorFlow, or LiteRT with `prefer_tflite_model`.
        timeout_seconds: The time limit of the start. Default: 120.
        log_path: A file for the server's log. Default: None, no log.
        source: Serves only versions whose description, written by `export`, has this `source`. Default: None, all.
        ports: How the ports are secured and watched. Default: neither TLS nor API keys.
        client_type: The class of the deployment's `client()`. Default: the client for any task.
        models: Base paths by model name, in place of `base_path` and `model_name`. Default: None.
        config_file: A model config file of TensorFlow Serving, in place of `base_path` and `model_name`. Default: None.
        config_poll_seconds: The seconds between two reads of the config file; 0 reads it once. Default: 0.
        workers: The number of processes that answer on the ports, for a machine with many cores. Default: 1.
        program: The server's module. Default: one without a native engine, which `tfchain.chains.model_server` has.
        flags: Further flags of `tfchain-model-server` by name, such as `{"max_connections": 100}`. Default: none.

    Returns:
        The running server.

    Raises:
        InputError: if the names, the config file, the ports, the engine, `workers` or `flags` are not valid, or the log
            cannot be written.
        ServerError: if the server does not start: a port is in use, a base path is missing, or a version is broken.

    Example:
        with deploy("saved_models/docs", model_name="docs") as server, server.client() as client:
            client.predict({"text": ["how do I merge two sorted lists"]}, model="docs")

        deploy(models={"docs": "saved_models/docs", "intents": "saved_models/intents"})
    """
    served = ServedModels(base_path, model_name, models, config_file, config_poll_seconds, source)
    names = served.check()
    check_address(host, {"grpc_port": grpc_port, "rest_port": rest_port})
    check_timeout(timeout_seconds)
    check_workers(workers)
    ports = ports or DeployedPorts()
    choose_engine(engine, prefers_tflite=prefer_tflite_model)
    arguments = [*to_arguments(flags), *(["--prefer_tflite_model"] if prefer_tflite_model else [])]
    arguments += [f"--engine={engine}"] if engine else []
    arguments += [f"--host={host}", f"--port={grpc_port}", f"--rest_api_port={rest_port}", "--choose_ports"]
    arguments += [*ports.to_flags(), f"--workers={workers}"]
    process, pipe, numbers = _start(program, served, arguments, log_path, timeout_seconds)
    return Deployment(
        process,
        model_name=names[0],
        model_names=names,
        base_path=None if base_path is None else Path(base_path).resolve(),
        host=host,
        pipe=pipe,
        has_tls=ports.tls_config is not None,
        client_type=client_type,
        **numbers,
    )


def _start(
    program: str, served: ServedModels, flags: Sequence[str], log_path: Path | str | None, timeout_seconds: float
) -> "tuple[subprocess.Popen[bytes], int, dict[str, int]]":
    """Starts the server, and returns its process, the pipe at whose end it stops, and its ports once it answers."""
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(_open_log(log_path))
        models = stack.enter_context(served.flags())
        parent_end, pipe = os.pipe()
        stack.callback(os.close, parent_end)
        ready, ready_end = os.pipe()
        stack.callback(os.close, ready)
        with contextlib.closing(os.fdopen(ready_end, "wb")):  # then only the server's copy keeps it open
            process = _start_process(program, [*models, *flags], log, parent_end, ready_end)
        on_error = stack.enter_context(contextlib.ExitStack())
        on_error.callback(os.close, pipe)
        on_error.callback(_stop, process, 0.0)
        numbers = _wait_until_ready(process, ready, log, timeout_seconds)
        on_error.pop_all()
    return process, pipe, numbers


def _start_process(
    program: str, flags: Sequence[str], log: IO[bytes], parent_end: int, ready_end: int
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [
            *make_python_command("-m", program),
            *flags,
            *(f"--ready_fd={ready_end}", f"--parent_fd={parent_end}", f"--parent_pid={os.getpid()}"),
        ],
        env=make_environment(),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(parent_end, ready_end),
        start_new_session=True,  # Ctrl-C and Jupyter's stop button must not stop the server
    )


@contextlib.contextmanager
def _open_log(path: Path | str | None) -> Iterator[IO[bytes]]:
    """Opens the server's log file, or an unnamed temporary file if the user wants no log."""
    if path is None:
        with tempfile.TemporaryFile() as file:
            yield file
    else:
        try:
            file = open(path, "w+b")  # noqa: SIM115
        except OSError as error:
            raise InputError(
                f"`log_path` must be a file that can be written. Received: {path} ({error.strerror}). Name another."
            ) from error
        with file:
            yield file


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", ready: int, log: IO[bytes], timeout_seconds: float
) -> dict[str, int]:
    """Reads the ports that the server reports; if the server ends, the pipe ends without them."""
    deadline = time.monotonic() + timeout_seconds
    report = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([ready], [], [], left)[0]:
            raise ServerError(
                f"The server was not ready in {timeout_seconds} s. {_last_line(log)}"
                "Allow more time (`timeout_seconds`), or see its log (`log_path`)."
            )
        piece = os.read(ready, 4096)
        report += piece
        if not piece:
            break
    if not report:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5.0)
        raise ServerError(f"The server did not start (exit code {process.poll()}). {_last_line(log)}".rstrip())
    ports: dict[str, int] = json.loads(report)
    return ports


def _last_line(log: IO[bytes]) -> str:
    """Returns the last line of the server's log, or its last error if there is one, or where it crashed."""
    log.seek(0)
    lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(_ERROR_MARK)]
    told = errors or _find_crash(lines) or lines
    return f"Its last log line: {told[-1].removeprefix(_ERROR_MARK)} " if told else ""


def _find_crash(lines: Sequence[str]) -> list[str]:
    """Returns Python's word on a crash, with the innermost call of the thread; no line if there was none."""
    found = [line for line in lines if line.startswith("Fatal Python error: ")]
    calls = [call.strip() for line, call in itertools.pairwise(lines) if line.startswith("Current thread ")]
    return [f"{found[-1]}, {calls[-1]}" if calls else found[-1]] if found else []


def _stop(process: "subprocess.Popen[bytes]", timeout_seconds: float) -> None:
    if process.poll() is not None:
        return
    if timeout_seconds > 0:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_seconds)
            return
    process.kill()
    process.wait(10.0)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@atexit.register
def _stop_all() -> None:
    for deployment in list(_running):
        deployment.stop(timeout_seconds=5.0)
