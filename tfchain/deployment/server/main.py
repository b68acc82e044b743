"""The program `tfchain-model-server`: reads the flags, silences TensorFlow's log, and serves until it is stopped."""

import contextlib
import dataclasses
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tfchain.core.errors import InputError, TfchainError
from tfchain.deployment.engine import choose_engine
from tfchain.deployment.server.flags import Flags, check_supported, parse_flags, usage
from tfchain.deployment.server.open_files import fit_connections
from tfchain.deployment.server.quiet import silence_tensorflow
from tfchain.deployment.server.servables.session_config import SessionOptions, make_session_config

if TYPE_CHECKING:
    from tfchain.core.native import NativeEngine
    from tfchain.deployment.server.batching.batching import BatchingOptions
    from tfchain.deployment.server.observing.options import MakeMonitor
    from tfchain.deployment.server.options import ServerOptions
    from tfchain.deployment.server.ports import PortOptions
    from tfchain.deployment.server.workers.worker import Worker

    MonitorFor = Callable[[Flags], MakeMonitor | None]

PROGRAM = "tfchain-model-server"
MODULE = "tfchain.deployment.server.main"
EXIT_ERROR = 255  # the exit code of a stock server's `return -1`


def main(
    arguments: Sequence[str] | None = None,
    *,
    native: "NativeEngine | None" = None,
    program: str = MODULE,
    monitor: "MonitorFor | None" = None,
) -> int:
    """Runs the server.

    Args:
        arguments: The command line without the program's name; None for `sys.argv`.
        native: The engine for `--engine=native`, which `tfchain.chains.model_server` hands in. Default: there is none.
        program: The module of the program, with which it starts its workers. Default: this one.
        monitor: Returns, from the flags, what makes the monitor of the server's answers; None for none. It raises for
            flags that are wrong. `tfchain.chains.model_server` hands it in. Default: nobody watches.

    Returns:
        The exit code: 0 after a signal to stop, 255 if the server could not start.
    """
    try:
        flags = parse_flags(sys.argv[1:] if arguments is None else arguments)
        for argument in flags.unknown:
            print(f"unknown argument: {argument}\n{usage(PROGRAM)}", end="", flush=True)
        if flags.is_on("version"):
            return _print_version()
        check_supported(flags)
        _check_required(flags)
        _to_threads(flags), _to_session(flags)  # raise for values that do not go together
        if flags.number("workers") > 1 and flags.number("worker_fd") < 0:
            _find_monitor(flags, monitor)  # raises here, and not in each worker
            return _supervise(flags, program)
        return _serve(flags, native, _find_monitor(flags, monitor))
    except (TfchainError, OSError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr, flush=True)
        return EXIT_ERROR


def run(program: Callable[[], int] = main) -> NoReturn:
    """Runs a program that is `main`, or calls it, and ends the process with its exit code."""
    end_process(program())


def end_process(code: int) -> NoReturn:
    """Ends the process at once, after what it has printed and logged is written.

    Everything is closed by then. Taking down Python's and TensorFlow's modules would keep a processor busy for a second
    or more, and a thread that is still in C++, at the end of a load or with a client that has gone, could abort the
    process meanwhile: Python ends such threads by unwinding frames that allow no exception.
    """
    flusher = threading.Thread(target=_flush, name="flush", daemon=True)
    flusher.start()
    flusher.join(1.0)  # who does not read what is printed must not keep the process
    os._exit(code)


def _flush() -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()


def _print_version() -> int:
    """Prints what a stock server prints, with tfchain's name in place of TensorFlow Serving's version."""
    from importlib.metadata import version

    print(f"TensorFlow ModelServer: tfchain {version('tfchain')}\nTensorFlow Library: {version('tensorflow')}")
    return 0


def _check_required(flags: Flags) -> None:
    has_grpc = flags.number("port") != 0 or flags.text("grpc_socket_path") or flags.is_on("choose_ports")
    _check_workers(flags)
    if not has_grpc:
        raise TfchainError("At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.")
    if flags.text("model_config_file"):
        if flags.text("version_source"):
            raise TfchainError("--version_source is for --model_base_path, and not for --model_config_file.")
    elif not flags.text("model_base_path"):
        raise TfchainError("Both server_options.model_base_path and server_options.model_config_file are empty!")
    if flags.text("batching_parameters_file") and not flags.is_on("enable_batching"):
        raise TfchainError(
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
        )


def _check_workers(flags: Flags) -> None:
    workers = flags.number("workers")
    if workers < 1:
        raise TfchainError(f"--workers must be at least 1. Received: --workers={workers}.")
    if workers > 1 and flags.text("grpc_socket_path"):
        raise TfchainError(
            "--grpc_socket_path needs --workers=1: gRPC takes no socket from outside, and only one process can open a "
            f"path. Received: --workers={workers}. Use --port, or one worker."
        )
    if workers > 1 and flags.number("port") == 0 and not flags.is_on("choose_ports"):
        raise TfchainError(f"--workers={workers} needs a --port for gRPC. Received: --port=0.")


def _supervise(flags: Flags, program: str) -> int:
    """Runs the supervisor of several workers, which are processes of this program with `--worker_fd`."""
    from tfchain.deployment.server.workers.command import make_worker_command
    from tfchain.deployment.server.workers.sockets import SharedPorts
    from tfchain.deployment.server.workers.supervisor import Supervisor

    _watch_parent(flags.number("parent_fd"), flags.number("parent_pid"))
    _log_to_stderr()
    grpc_port, rest_port = _choose_ports(flags)
    parent_end, our_end = os.pipe()  # the workers end when ours is closed, which happens even after `kill -9`
    with SharedPorts(flags.text("host"), grpc_port or 0, rest_port) as ports, open(our_end, "wb"):
        supervisor = Supervisor(
            make_worker_command(program, flags, ports, parent_end),
            num_workers=flags.number("workers"),
            pass_fds=[parent_end, *([ports.rest_fd] if ports.rest_fd >= 0 else [])],
            settings={"rest_fd": ports.rest_fd},
            on_complete=lambda: _report_ready(flags.number("ready_fd"), ports.grpc_port, ports.rest_port),
            on_stop=ports.release,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: supervisor.stop())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as in the workers, which inherit that
        supervisor.run()
    return 0


def _find_monitor(flags: Flags, monitor: "MonitorFor | None") -> "MakeMonitor | None":
    if monitor is not None:
        return monitor(flags)
    for name in ("query_log_dir", "drift_monitoring"):
        if flags.values[name]:
            raise TfchainError(
                f"--{name} needs a program that has monitors. Received: --{name}={flags.values[name]}. "
                "Start tfchain-model-server."
            )
    return None


def _serve(flags: Flags, native: "NativeEngine | None", monitor: "MakeMonitor | None") -> int:
    if flags.number("worker_fd") < 0:
        return _serve_models(flags, native, monitor)
    from tfchain.deployment.server.workers.worker import Worker

    worker = Worker.connect(flags.number("worker_fd"))
    try:
        _serve_models(flags, native, monitor, worker)
    except (TfchainError, OSError) as error:
        worker.report_failure(str(error))  # the supervisor prints it, if all workers end like this
        return EXIT_ERROR
    worker.report_counts()
    end_process(0)


def _serve_models(
    flags: Flags, native: "NativeEngine | None", monitor: "MakeMonitor | None", worker: "Worker | None" = None
) -> int:
    stop, is_ready = threading.Event(), threading.Event()

    def end(*_: object) -> None:
        if not is_ready.is_set():
            os._exit(0)  # nothing is served yet, and a running load could delay a clean exit for minutes
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    _watch_parent(flags.number("parent_fd"), flags.number("parent_pid"))
    silence_tensorflow()
    _log_to_stderr("" if worker is None else f"[worker {worker.number}] ")
    from tfchain.deployment.server.model_server import ModelServer
    from tfchain.deployment.server.servables.engines import needs_tensorflow
    from tfchain.deployment.server.tensorflow_start import start_tensorflow
    from tfchain.runtime.tf_protos import load_serving_protos

    tracer = None
    if flags.is_on("otel_traces"):
        from tfchain.deployment.server.tracing import start_tracing

        tracer = start_tracing()
    options = _to_options(flags)
    limits = dataclasses.replace(options.limits, max_connections=fit_connections(options.limits.max_connections))
    observing = dataclasses.replace(options.observing, make_monitor=monitor)
    options = dataclasses.replace(options, native=native, tracer=tracer, limits=limits, observing=observing)
    is_lazy = not needs_tensorflow(options.load.engine)
    if is_lazy:
        load_serving_protos()
    with ModelServer(options, worker) as server:
        server.check()  # reports errors before the seconds that importing TensorFlow takes
        if not is_lazy or options.load.session.config_file:
            start_tensorflow()
            make_session_config(options.load.session)  # a wrong file is an error at start, not of each load
        server.start()
        is_ready.set()
        server.report_ready()
        _report_ready(flags.number("ready_fd"), server.grpc_port, server.rest_port)
        while not stop.wait(1.0):
            pass
    return 0


def _log_to_stderr(prefix: str = "") -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=f"%(asctime)s {prefix}%(message)s")


def _to_options(flags: Flags) -> "ServerOptions":
    from tfchain.deployment.server.http.limits import RequestLimits
    from tfchain.deployment.server.observing.options import ObservingOptions
    from tfchain.deployment.server.options import ServerOptions
    from tfchain.deployment.server.servables.saved_model import LoadOptions

    grpc_port, rest_port = _choose_ports(flags)
    config_file, base_path = flags.text("model_config_file"), flags.text("model_base_path")
    if config_file and base_path:
        logging.getLogger(__name__).warning("--model_base_path is ignored: --model_config_file names the models.")
    intra_op_threads, inter_op_threads = _to_threads(flags)
    return ServerOptions(
        model_name=flags.text("model_name"),
        base_path=Path(base_path) if base_path and not config_file else None,
        host=flags.text("host"),
        grpc_port=grpc_port,
        rest_port=rest_port,
        grpc_socket_path=flags.text("grpc_socket_path"),
        rest_timeout_ms=flags.number("rest_api_timeout_in_ms"),
        has_cors=flags.is_on("rest_api_enable_cors_support"),
        has_search_page=flags.is_on("search_page"),
        rest_threads=flags.number("rest_api_num_threads"),
        grpc_threads=flags.number("grpc_max_threads"),
        as_content=flags.is_on("enable_serialization_as_tensor_content"),
        poll_seconds=flags.seconds("file_system_poll_wait_seconds"),
        max_load_retries=flags.number("max_num_load_retries"),
        load_retry_seconds=flags.number("load_retry_interval_micros") / 1e6,
        has_warmup=flags.is_on("enable_model_warmup"),
        warmup_iterations=flags.number("num_request_iterations_for_warmup") or 1,
        load=LoadOptions(
            tags=tuple(flags.text("saved_model_tags").split(",")),
            intra_op_threads=intra_op_threads,
            inter_op_threads=inter_op_threads,
            is_xla_enabled=flags.is_on("xla_cpu_compilation_enabled"),
            prefers_tflite=flags.is_on("prefer_tflite_model"),
            tflite_interpreters=flags.number("num_tflite_pools"),
            checks_method_names=flags.is_on("enable_signature_method_name_check"),
            session=_to_session(flags),
            engine=choose_engine(flags.text("engine"), prefers_tflite=flags.is_on("prefer_tflite_model")),
            num_cores=flags.number("worker_cores"),
        ),
        flushes_page_cache=flags.is_on("flush_filesystem_caches"),
        version_source=flags.text("version_source"),
        follows_releases=flags.is_on("follow_releases"),
        config_file=Path(config_file) if config_file else None,
        config_poll_seconds=flags.seconds("model_config_file_poll_wait_seconds"),
        allow_unavailable_labels=flags.is_on("allow_version_labels_for_unavailable_models"),
        num_load_threads=flags.number("num_load_threads"),
        num_unload_threads=flags.number("num_unload_threads"),
        ports=_to_port_options(flags),
        batching=_to_batching_options(flags),
        observing=ObservingOptions(measures_texts=flags.is_on("text_metrics"), share=flags.seconds("query_log_sample")),
        limits=RequestLimits(
            max_body_bytes=flags.number("max_body_bytes"),
            max_batch_size=flags.number("max_client_batch_size"),
            max_concurrent_requests=flags.number("max_concurrent_requests"),
            max_connections=flags.number("max_connections"),
            max_rows=flags.number("max_request_rows"),
            max_json_depth=flags.number("max_json_depth"),
        ),
    )


def _choose_ports(flags: Flags) -> tuple[int | None, int | None]:
    """Returns the gRPC port and the REST port; 0 lets the system choose, None is no port."""
    choose = flags.is_on("choose_ports")
    grpc_port, rest_port = flags.number("port"), flags.number("rest_api_port")
    if rest_port and rest_port == grpc_port:
        logging.getLogger(__name__).error(
            "--rest_api_port cannot be same as --port. Please use a different port for HTTP/REST API. "
            "Skipped exporting HTTP/REST API."
        )
    has_rest = choose or rest_port not in (0, grpc_port)
    return grpc_port if grpc_port or choose else None, rest_port if has_rest else None


def _to_port_options(flags: Flags) -> "PortOptions":
    from tfchain.deployment.server.grpc.options import parse_channel_arguments
    from tfchain.deployment.server.ports import PortOptions

    return PortOptions(
        ssl_config_file=flags.text("ssl_config_file"),
        rest_ssl_config_file=flags.text("rest_ssl_config_file"),
        api_key_file=flags.text("api_key_file"),
        monitoring_config_file=flags.text("monitoring_config_file"),
        grpc_arguments=parse_channel_arguments(flags.text("grpc_channel_arguments")),
        has_health=flags.is_on("enable_grpc_healthcheck_service"),
    )


def _to_batching_options(flags: Flags) -> "BatchingOptions":
    from tfchain.deployment.server.batching.batching import BatchingOptions
    from tfchain.deployment.server.batching.parameters import BatchingParameters, read_parameters

    parameters = None
    if flags.is_on("enable_batching"):
        file = flags.text("batching_parameters_file")
        parameters = read_parameters(file) if file else BatchingParameters()
    return BatchingOptions(
        parameters,
        is_per_model=flags.is_on("enable_per_model_batching_parameters"),
        text=flags.text("text_batching"),
        max_tokens=flags.number("text_batching_tokens"),
    )


def _to_threads(flags: Flags) -> tuple[int, int]:
    """Returns the session's threads within an op and across ops; the flags for one of them win over that for both."""
    both = flags.number("tensorflow_session_parallelism")
    within, across = flags.number("tensorflow_intra_op_parallelism"), flags.number("tensorflow_inter_op_parallelism")
    if within > 0 and across > 0 and both > 0:
        raise InputError(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all."
        )
    return (within, across) if within > 0 or across > 0 else (both, both)


def _to_session(flags: Flags) -> SessionOptions:
    return SessionOptions(
        config_file=flags.text("tensorflow_session_config_file"),
        gpu_memory_fraction=flags.seconds("per_process_gpu_memory_fraction"),
        mixed_precision=flags.text("mixed_precision"),
    )


def _report_ready(ready_fd: int, grpc_port: int | None, rest_port: int | None) -> None:
    """Reports the open ports to the process that started this one."""
    if ready_fd >= 0:
        with os.fdopen(ready_fd, "w") as pipe:
            json.dump({"grpc_port": grpc_port, "rest_port": rest_port}, pipe)


def _watch_parent(parent_fd: int, parent_pid: int) -> None:
    """Ends this process when the parent's end of a pipe closes, which happens even after `kill -9`.

    The parent's pid is watched too, because a process that the parent forked may keep the pipe open. The parent passes
    its pid, as it may have died before this process could ask for it.
    """
    if parent_fd < 0:
        return
    parent = parent_pid or os.getppid()

    def watch() -> None:
        import select

        while os.getppid() == parent:
            if select.select([parent_fd], [], [], 1.0)[0] and not os.read(parent_fd, 1):
                break
        os._exit(1)  # nobody is left to answer, and a running load could delay a clean exit for minutes

    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    run()
