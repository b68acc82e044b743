"""The command line of `tfchain-model-server`: TensorFlow Serving's flags in its syntax, and a few of tfchain's own."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tfchain.core.errors import InputError

Value = str | int | float | bool
USED, HARMLESS, REFUSED = "used", "harmless", "refused"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Args:
        name: The name, without dashes.
        default: The default; its type is the flag's type.
        help: One line for the usage text.
        support: `used`; `harmless` (accepted without effect, because no answer depends on it); or `refused` (answers
            would differ from what the flag promises, so any value other than the default is an error).
        reason: Why a refused flag is refused, as a sentence for its error.
        set_by: What sets the flag where `deploy` or `tfchain serve` start the server: an argument of theirs, or they
            themselves. Empty if they take it as it is: in `flags`, and as an option.
    """

    name: str
    default: Value
    help: str
    support: str = USED
    reason: str = ""
    set_by: str = ""


@dataclass(slots=True)
class Flags:
    """A parsed command line.

    Args:
        values: The flags' values by name, including defaults.
        unknown: The arguments that are not flags.
    """

    values: dict[str, Value]
    unknown: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        """Returns a text flag's value."""
        return str(self.values[name])

    def number(self, name: str) -> int:
        """Returns the value of a whole-number flag."""
        return int(self.values[name])

    def seconds(self, name: str) -> float:
        """Returns the value of a number flag, in seconds."""
        return float(self.values[name])

    def is_on(self, name: str) -> bool:
        """Returns a switch's value."""
        return bool(self.values[name])


FLAGS: tuple[Flag, ...] = (
    Flag("port", 8500, "TCP port of the gRPC API; 0 for none", set_by="grpc_port"),
    Flag("grpc_socket_path", "", "path of a UNIX socket for the gRPC API; empty for none"),
    Flag("rest_api_port", 0, "TCP port of the REST API; 0 for none", set_by="rest_port"),
    Flag("rest_api_num_threads", 0, "threads of the REST API; 0 for four times the number of CPUs"),
    Flag("rest_api_timeout_in_ms", 30000, "how long a REST request may wait and run, in milliseconds; 0 for no limit"),
    Flag("rest_api_enable_cors_support", False, "let pages of other sites read the REST API's answers"),
    Flag("model_name", "default", "name of the model", set_by="model_name"),
    Flag(
        "model_base_path",
        "",
        "folder of the model's version folders (required without a model config file)",
        set_by="base_path",
    ),
    Flag(
        "model_config_file",
        "",
        "file with several models, in place of model_name and model_base_path",
        set_by="config_file",
    ),
    Flag(
        "model_config_file_poll_wait_seconds",
        0,
        "wait between two reads of the model config file; 0 for one read",
        set_by="config_poll_seconds",
    ),
    Flag("file_system_poll_wait_seconds", 1, "wait between two looks at the base path; 0 for one look only"),
    Flag("enable_batching", False, "run the requests of different clients in batches"),
    Flag("batching_parameters_file", "", "file of BatchingParameters in protobuf's text format; empty for defaults"),
    Flag("enable_per_model_batching_parameters", False, "read batching_params.pbtxt in each version's folder instead"),
    Flag("allow_version_labels_for_unavailable_models", False, "let new labels point to versions that load later"),
    Flag("num_load_threads", 0, "versions that load at the same time; 0 for four"),
    Flag("num_unload_threads", 0, "versions that are unloaded at the same time; 0 for four"),
    Flag("max_num_load_retries", 5, "how many times a failed load is tried again"),
    Flag("load_retry_interval_micros", 60_000_000, "wait between two tries, in microseconds"),
    Flag("flush_filesystem_caches", True, "drop a version's files from the page cache once they are loaded"),
    Flag("tensorflow_session_parallelism", 0, "threads of a session, within ops and across them; 0 for auto"),
    Flag("tensorflow_intra_op_parallelism", 0, "threads within an op; 0 for auto"),
    Flag("tensorflow_inter_op_parallelism", 0, "threads across ops; 0 for auto"),
    Flag("tensorflow_session_config_file", "", "file of a session's ConfigProto in text format; other flags win"),
    Flag(
        "platform_config_file",
        "",
        "platforms",
        REFUSED,
        "It configures C++ source adapters, which pip's TensorFlow does not have. Tags, threads and warm-up have flags "
        "of their own.",
    ),
    Flag("per_process_gpu_memory_fraction", 0.0, "share of a GPU's memory that TensorFlow may take; 0 for all"),
    Flag("saved_model_tags", "serve", "tags of the graph to load, with commas between"),
    Flag(
        "ssl_config_file",
        "",
        "text proto with key and certificate for TLS of the gRPC API; empty for none",
        set_by="ports",
    ),
    Flag(
        "use_alts_credentials",
        False,
        "ALTS for the gRPC API",
        REFUSED,
        "ALTS needs the handshaker service of a Google Cloud machine, and cannot be tested elsewhere.",
    ),
    Flag("grpc_channel_arguments", "", "options of the gRPC server: name=value,name=value"),
    Flag("grpc_max_threads", 0, "threads of the gRPC API; 0 for four times the number of CPUs"),
    Flag("enable_model_warmup", True, "run a version's warm-up records before it serves"),
    Flag("num_request_iterations_for_warmup", 0, "how many times each warm-up record is run; 0 for once"),
    Flag("monitoring_config_file", "", "text proto that says where the REST API's port serves metrics", set_by="ports"),
    Flag("remove_unused_fields_from_bundle_metagraph", True, "forget the graph's description: always done", HARMLESS),
    Flag(
        "prefer_tflite_model",
        False,
        "run the encoder of a version that has a model.tflite by LiteRT",
        set_by="prefer_tflite_model",
    ),
    Flag("num_tflite_pools", 0, "TFLite interpreters, each for one request at a time; 0 for one a core, at most four"),
    Flag("num_tflite_interpreters_per_pool", 1, "TFLite interpreters in a pool", HARMLESS),
    Flag("enable_signature_method_name_check", False, "refuse requests whose signature has another method's name"),
    Flag("xla_cpu_compilation_enabled", False, "run XLA-compiled functions on the CPU"),
    Flag(
        "xla_gpu_compilation_enabled",
        False,
        "run XLA-compiled functions on the GPU",
        REFUSED,
        "The embedded server is made for the CPU, where --xla_cpu_compilation_enabled runs such functions.",
    ),
    Flag("enable_profiler", True, "profiler service: TensorFlow for Python has it only on another port", HARMLESS),
    Flag(
        "thread_pool_factory_config_file",
        "",
        "thread pools of sessions",
        REFUSED,
        "Only C++ can pass thread pools to a session.",
    ),
    Flag("mixed_precision", "", "bfloat16: oneDNN computes products in bfloat16, on CPUs that can"),
    Flag("skip_initialize_tpu", False, "leave TPUs alone", HARMLESS),
    Flag("enable_grpc_healthcheck_service", False, "serve grpc.health.v1.Health"),
    Flag("enable_serialization_as_tensor_content", False, "answer gRPC requests with raw bytes"),
    Flag("version", False, "print the version and exit", set_by="nothing: it ends the program"),
    Flag(
        "engine",
        "",
        "(tfchain's own) what answers: tensorflow, litert, native (int8 kernels, for versions that have files for "
        "them), auto (the first of native, litert, tensorflow that can); empty for tensorflow",
        set_by="engine",
    ),
    Flag("host", "0.0.0.0", "(tfchain's own) address to listen on", set_by="host"),
    Flag("choose_ports", False, "(tfchain's own) a port of 0 means one that the system chooses", set_by="deploy"),
    Flag(
        "workers",
        1,
        "(tfchain's own) processes that answer on the same ports, under a supervisor; 1 for this one alone",
        set_by="workers",
    ),
    Flag(
        "worker_fd",
        -1,
        "(tfchain's own) a worker's file descriptor for its supervisor, which passes it",
        set_by="the supervisor of workers",
    ),
    Flag(
        "worker_cores",
        0,
        "(tfchain's own) a worker's share of the cores, unless flags say how many threads compute; 0 for all cores",
        set_by="the supervisor of workers",
    ),
    Flag(
        "ready_fd",
        -1,
        "(tfchain's own) file descriptor to which the ports are written once the server is ready",
        set_by="deploy",
    ),
    Flag("parent_fd", -1, "(tfchain's own) file descriptor at whose end the server stops", set_by="deploy"),
    Flag(
        "parent_pid",
        0,
        "(tfchain's own) the process with whose end the server stops; 0 for its parent",
        set_by="deploy",
    ),
    Flag("follow_releases", True, "(tfchain's own) serve what releases.json of the base path says, if it is there"),
    Flag("rest_ssl_config_file", "", "(tfchain's own) like ssl_config_file, for the REST API", set_by="ports"),
    Flag("api_key_file", "", "(tfchain's own) file of keys, one a line; each request must carry one", set_by="ports"),
    Flag("text_batching", "auto", "(tfchain's own) auto: batch texts for tfchain's versions without the above; or off"),
    Flag("text_batching_tokens", 2048, "(tfchain's own) the most tokens in a batch of texts, padding included"),
    Flag(
        "search_page", True, "(tfchain's own) serve a page to search with at / of the REST API's port", set_by="ports"
    ),
    Flag("max_client_batch_size", 2048, "(tfchain's own) most texts in a request to the endpoints for texts"),
    Flag("max_request_rows", 65_536, "(tfchain's own) most instances, examples or strings in a request to a model"),
    Flag(
        "max_concurrent_requests",
        512,
        "(tfchain's own) most requests for models that run or wait; then 429, or RESOURCE_EXHAUSTED",
    ),
    Flag("max_connections", 1000, "(tfchain's own) most open connections of each port"),
    Flag("max_body_bytes", 100 * 2**20, "(tfchain's own) largest body of a REST request, unpacked; then 413"),
    Flag("max_json_depth", 128, "(tfchain's own) most levels of lists and objects in a JSON body; at most 500"),
    Flag(
        "otel_traces",
        False,
        "(tfchain's own) send OpenTelemetry traces, as OTEL_... environment variables say",
        set_by="ports",
    ),
    Flag(
        "text_metrics",
        False,
        "(tfchain's own) measure the texts that are answered: lengths, unknown tokens, scores; on with a query log",
    ),
    Flag("query_log_dir", "", "(tfchain's own) folder for a log of queries and feedback, masked; empty for none"),
    Flag("query_log_sample", 1.0, "(tfchain's own) share of the requests that is logged and measured, from 0 to 1"),
    Flag("query_log_format", "jsonl", "(tfchain's own) the log's files once they are full: jsonl or parquet"),
    Flag("query_log_max_mb", 1024, "(tfchain's own) largest size of all files of the log; the oldest go first"),
    Flag("query_log_max_days", 30.0, "(tfchain's own) age in days at which the log's files are deleted"),
    Flag(
        "query_log_kinds",
        "",
        "(tfchain's own) personal data that the log masks, with commas between; empty for all but names",
    ),
    Flag(
        "drift_monitoring",
        False,
        "(tfchain's own) watch queries for drift from the version's reference, if it has one: metrics and a warning",
    ),
    Flag(
        "drift_embeddings_per_second",
        10.0,
        "(tfchain's own) most queries a second of which vectors are made for that, where answers hold none",
    ),
    Flag(
        "version_source",
        "",
        "(tfchain's own) serve only the versions whose tfchain.json has this source",
        set_by="source",
    ),
)


def parse_flags(arguments: Sequence[str]) -> Flags:
    """Reads `--name=value`, `--name value` and, for switches, `--name`; a single dash works too.

    Args:
        arguments: The command line, without the program's name.

    Returns:
        The flags; other arguments are listed in `unknown`.

    Raises:
        InputError: if a value does not fit its flag.
    """
    known = {flag.name: flag for flag in FLAGS}
    flags = Flags({flag.name: flag.default for flag in FLAGS})
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        name, equals, text = argument.lstrip("-").partition("=")
        flag = known.get(name) if argument.startswith("-") else None
        if flag is None:
            flags.unknown.append(argument)
            continue
        if not equals:
            if isinstance(flag.default, bool):
                text = "true"
            elif remaining and not remaining[0].startswith("--"):
                text = remaining.pop(0)
        flags.values[name] = _parse_value(flag, text)
    return flags


def check_supported(flags: Flags) -> None:
    """Raises an InputError for a flag that the embedded server would silently ignore."""
    for flag in FLAGS:
        if flag.support == REFUSED and flags.values[flag.name] != flag.default:
            received = f"Received: --{flag.name}={flags.values[flag.name]}."
            raise InputError(
                f"The embedded server does not take the flag --{flag.name}. {received} {flag.reason} "
                "Leave it out, or use a stock TensorFlow Serving."
            )


def write_flags(values: Mapping[str, Value]) -> list[str]:
    """Writes flags as a command line.

    Args:
        values: The values by name.

    Raises:
        InputError: if there is no flag of a name, or a value does not fit its flag.
    """
    known = {flag.name: flag for flag in FLAGS}
    written = []
    for name, value in values.items():
        if name not in known:
            alike = difflib.get_close_matches(str(name), known, 1)
            raise InputError(
                f"The server has no flag {name!r}. "
                + (f"Did you mean {alike[0]!r}?" if alike else "`tfchain-model-server --help` lists its flags.")
            )
        text = str(value).lower() if isinstance(value, bool) else str(value)
        _parse_value(known[name], text)
        written.append(f"--{name}={text}")
    return written


def usage(program: str) -> str:
    """Returns the usage text."""
    lines = [f"usage: {program}", "Flags:"]
    for flag in FLAGS:
        default = str(flag.default).lower() if isinstance(flag.default, bool) else repr(flag.default)
        note = {USED: "", HARMLESS: " [accepted, no effect]", REFUSED: " [refused]"}[flag.support]
        lines.append(f"\t--{flag.name}={default}\t{type(flag.default).__name__}\t{flag.help}{note}")
    return "\n".join(lines) + "\n"


def _parse_value(flag: Flag, text: str) -> Value:
    if isinstance(flag.default, bool):
        value = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
        if value is not None:
            return value
    elif isinstance(flag.default, str):
        return text
    else:
        try:
            return type(flag.default)(text)
        except ValueError:
            pass
    kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(flag.default)]
    raise InputError(f"The flag --{flag.name} must be {kind}. Received: --{flag.name}={text}.")
