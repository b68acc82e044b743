"""The command line."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.server.batching.batching import BatchingOptions
from tfchain.deployment.server.batching.parameters import BatchingParameters
from tfchain.deployment.server.flags import FLAGS, USED, Flags, Value, check_supported, parse_flags, usage, write_flags
from tfchain.deployment.server.http.limits import RequestLimits
from tfchain.deployment.server.main import _to_options, main
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.ports import PortOptions


def test_the_defaults_are_stocks() -> None:
    flags = parse_flags([])
    assert (flags.number("port"), flags.number("rest_api_port"), flags.text("model_name")) == (8500, 0, "default")
    assert flags.number("rest_api_timeout_in_ms") == 30000
    assert flags.is_on("enable_model_warmup")


def test_values_come_after_an_equals_sign_or_a_space_and_switches_alone() -> None:
    flags = parse_flags(
        ["--port=1", "--rest_api_port", "2", "--rest_api_enable_cors_support", "--enable_model_warmup=false", "-host=h"]
    )
    assert (flags.number("port"), flags.number("rest_api_port"), flags.text("host")) == (1, 2, "h")
    assert flags.is_on("rest_api_enable_cors_support")
    assert not flags.is_on("enable_model_warmup")


def test_unknown_arguments_are_listed_and_ignored() -> None:
    flags = parse_flags(["--bogus=1", "word", "--port=3"])
    assert flags.unknown == ["--bogus=1", "word"]
    assert flags.number("port") == 3


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("--port=abc", r"--port must be a whole number\. Received: --port=abc"),
        ("--enable_model_warmup=maybe", "must be true or false"),
        ("--port", "must be a whole number"),
    ],
)
def test_a_wrong_value_is_named(argument: str, error: str) -> None:
    with pytest.raises(InputError, match=error):
        parse_flags([argument])


def test_a_flag_that_would_change_answers_is_refused_unless_it_has_its_default() -> None:
    check_supported(parse_flags(["--use_alts_credentials=false", "--num_load_threads=9"]))
    with pytest.raises(InputError, match="does not take the flag --use_alts_credentials"):
        check_supported(parse_flags(["--use_alts_credentials"]))


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("--platform_config_file=p", "It configures C++ source adapters, which pip's TensorFlow does not have."),
        ("--use_alts_credentials", "ALTS needs the handshaker service of a Google Cloud machine"),
        ("--thread_pool_factory_config_file=a", "Only C++ can pass thread pools to a session."),
        ("--xla_gpu_compilation_enabled", "--xla_cpu_compilation_enabled runs such functions."),
    ],
)
def test_a_flag_that_stays_refused_says_why(argument: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        check_supported(parse_flags([argument]))
    name = argument.partition("=")[0]
    assert str(caught.value).startswith(f"The embedded server does not take the flag {name}. Received: {name}=")
    assert reason in str(caught.value)
    line = next(line for line in usage("p").splitlines() if line.startswith(f"\t{name}="))
    assert line.endswith(" [refused]")


def test_the_flags_of_several_models_reach_the_server() -> None:
    assert _to_options(parse_flags(["--model_base_path=/b"])).base_path == Path("/b")
    flags = parse_flags(
        [
            *("--model_config_file=/c", "--model_config_file_poll_wait_seconds=3", "--num_load_threads=5"),
            *("--num_unload_threads=6", "--allow_version_labels_for_unavailable_models"),
        ]
    )
    check_supported(flags)
    options = _to_options(flags)
    assert (options.config_file, options.config_poll_seconds, options.base_path) == (Path("/c"), 3.0, None)
    assert (options.num_load_threads, options.num_unload_threads) == (5, 6)
    assert options.allow_unavailable_labels


def test_of_a_config_file_and_a_base_path_the_file_wins(caplog: pytest.LogCaptureFixture) -> None:
    options = _to_options(parse_flags(["--model_config_file=/c", "--model_base_path=/b", "--model_name=m"]))
    assert (options.config_file, options.base_path) == (Path("/c"), None)
    assert "--model_base_path is ignored: --model_config_file names the models." in caplog.text


def test_the_flags_of_limits_are_the_servers_limits() -> None:
    assert _to_options(parse_flags([])).limits == RequestLimits(100 * 2**20, 2048, 512, 1000, 65_536, 128)
    names = ("max_body_bytes", "max_client_batch_size", "max_concurrent_requests")
    flags = parse_flags([*(f"--{name}={number}" for number, name in enumerate(names, 1)), "--max_connections=4"])
    flags.values |= {"max_request_rows": 5, "max_json_depth": 6}
    assert _to_options(flags).limits == RequestLimits(1, 2, 3, 4, 5, 6)
    with pytest.raises(InputError, match="`max_batch_size` must be 1 or more. Received: max_batch_size=0."):
        _to_options(parse_flags(["--max_client_batch_size=0"]))


def test_every_flag_that_does_something_is_read() -> None:
    read: set[str] = set()

    class Watched(dict[str, Value]):
        def __getitem__(self, name: str) -> Value:
            read.add(name)
            return super().__getitem__(name)

    values = {flag.name: flag.default for flag in FLAGS}
    _to_options(Flags(Watched({**values, "enable_batching": True})))
    log = {"query_log_dir", "query_log_format", "query_log_max_mb", "query_log_max_days", "query_log_kinds"}
    drift = {"drift_monitoring", "drift_embeddings_per_second"}
    elsewhere = log | drift | {"version", "otel_traces", "workers", "worker_fd", "ready_fd", "parent_fd", "parent_pid"}
    assert {flag.name for flag in FLAGS if flag.support == USED} - read == elsewhere


def test_written_flags_are_read_again() -> None:
    values = {
        "max_connections": 5,
        "enable_batching": True,
        "model_name": "a b",
        "per_process_gpu_memory_fraction": 0.5,
    }
    read = parse_flags(write_flags(values))
    assert {name: read.values[name] for name in values} == values
    assert not read.unknown


def test_the_flags_of_tflite_say_how_versions_are_loaded() -> None:
    assert not _to_options(parse_flags([])).load.prefers_tflite
    flags = parse_flags(["--prefer_tflite_model", "--num_tflite_pools=3"])
    check_supported(flags)
    load = _to_options(flags).load
    assert (load.prefers_tflite, load.tflite_interpreters) == (True, 3)


def test_method_names_are_checked_where_the_flag_says_so() -> None:
    assert not _to_options(parse_flags([])).load.checks_method_names
    flags = parse_flags(["--enable_signature_method_name_check"])
    check_supported(flags)
    assert _to_options(flags).load.checks_method_names


def test_the_flags_of_ports_say_how_they_are_secured_and_watched() -> None:
    arguments = {
        "ssl_config_file": "a",
        "rest_ssl_config_file": "b",
        "api_key_file": "c",
        "monitoring_config_file": "d",
        "grpc_channel_arguments": "grpc.so_reuseaddr=1",
    }
    flags = parse_flags(
        [*(f"--{name}={value}" for name, value in arguments.items()), "--enable_grpc_healthcheck_service"]
    )
    check_supported(flags)
    assert _to_options(flags).ports == PortOptions("a", "b", "c", "d", (("grpc.so_reuseaddr", 1),), has_health=True)
    assert _to_options(parse_flags([])).ports == PortOptions()


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("--ssl_config_file=/a/b", "/a/b cannot be read: No such file"),
        ("--rest_ssl_config_file=/a/b", "/a/b cannot be read: No such file"),
        ("--monitoring_config_file=/a/b", "/a/b cannot be read: No such file"),
        ("--api_key_file=/a/b", "must be a file that can be read. Received: /a/b"),
        ("--grpc_channel_arguments=a", "--grpc_channel_arguments must be like"),
    ],
)
def test_a_wrong_file_is_named_before_anything_is_loaded(argument: str, error: str) -> None:
    with pytest.raises(InputError, match=error):
        ModelServer(_to_options(parse_flags(["--model_base_path=/x", argument]))).check()


def test_the_flags_of_batching_say_how_requests_are_batched(tmp_path: Path) -> None:
    assert _to_options(parse_flags([])).batching == BatchingOptions()
    assert _to_options(parse_flags(["--enable_batching"])).batching.parameters == BatchingParameters()
    file = tmp_path / "batching.pbtxt"
    file.write_text("max_batch_size { value: 16 }", encoding="utf-8")
    flags = parse_flags(
        ["--enable_batching", f"--batching_parameters_file={file}", "--enable_per_model_batching_parameters"]
    )
    check_supported(flags)
    assert _to_options(flags).batching == BatchingOptions(BatchingParameters(16), is_per_model=True)
    flags = parse_flags(["--text_batching=off", "--text_batching_tokens=512"])
    assert _to_options(flags).batching == BatchingOptions(text="off", max_tokens=512)
    with pytest.raises(InputError, match="No such file or directory"):
        _to_options(parse_flags(["--enable_batching", "--batching_parameters_file=/none/batching.pbtxt"]))
    with pytest.raises(InputError, match="--text_batching must be auto or off"):
        _to_options(parse_flags(["--text_batching=on"]))


def test_the_usage_has_every_flag() -> None:
    text = usage("program")
    assert all(f"--{flag.name}=" in text for flag in FLAGS)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--port=0", "--model_base_path=/x"], "At least one of server_options.grpc_port or"),
        ([], "Both server_options.model_base_path and server_options.model_config_file are empty!"),
        (["--model_base_path=/x", "--use_alts_credentials"], "does not take the flag --use_alts_credentials"),
        (
            ["--model_base_path=/x", "--query_log_dir=/q"],
            "--query_log_dir needs a program that has monitors. Received: --query_log_dir=/q. Start tfchain-model-",
        ),
        (["--model_base_path=/x", "--drift_monitoring"], "--drift_monitoring needs a program that has monitors."),
        (["--model_base_path=/x", "--workers=0"], "--workers must be at least 1. Received: --workers=0."),
        (
            ["--model_base_path=/x", "--workers=2", "--grpc_socket_path=/s"],
            "--grpc_socket_path needs --workers=1: gRPC takes no socket from outside",
        ),
        (["--model_config_file=/x", "--version_source=a"], "--version_source is for --model_base_path, and not for"),
        (
            ["--model_base_path=/x", "--batching_parameters_file=/y"],
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true.",
        ),
    ],
)
def test_start_errors_end_with_255(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 255
    assert error in capsys.readouterr().err


def test_the_version_is_printed_without_importing_tensorflow() -> None:
    code = (
        "import sys; from tfchain.deployment.server.main import _to_options, main; "
        "assert main(['--bogus', '--version']) == 0; assert 'tensorflow' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.startswith("unknown argument: --bogus\nusage: tfchain-model-server\n")
    assert "\nTensorFlow ModelServer: " in run.stdout
    assert "\nTensorFlow Library: " in run.stdout


PROGRAM_WITH_A_BUSY_THREAD = """
import sys, threading, time
from tfchain.deployment.server.main import run

def program():
    threading.Thread(target=lambda: sys.stdout.write("x" * 2**21), daemon=True).start()  # more than a pipe holds
    time.sleep(0.5)
    print("stopped", file=sys.stderr, end="")
    return 3

"""


@pytest.mark.parametrize(("end", "code"), [("run(program)", 3), ("sys.exit(program())", -signal.SIGABRT)])
def test_a_thread_that_is_still_at_work_does_not_abort_the_end(end: str, code: int) -> None:
    """The second case is what Python does by itself, so that the first says something."""
    command = [sys.executable, "-c", PROGRAM_WITH_A_BUSY_THREAD + end]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered) as process:
        assert process.wait(60) == code
        assert process.stderr is not None
        assert process.stderr.read().startswith(b"stopped")


def test_the_flags_of_the_session_reach_its_options() -> None:
    flags = parse_flags(
        [
            "--tensorflow_session_config_file=/f",
            "--mixed_precision=bfloat16",
            "--per_process_gpu_memory_fraction=0.5",
            "--flush_filesystem_caches=false",
            "--remove_unused_fields_from_bundle_metagraph=false",
            "--enable_profiler=false",
        ]
    )
    check_supported(flags)
    options = _to_options(flags)
    session = options.load.session
    assert (session.config_file, session.mixed_precision, session.gpu_memory_fraction) == ("/f", "bfloat16", 0.5)
    assert not options.flushes_page_cache
    assert _to_options(parse_flags([])).flushes_page_cache


@pytest.mark.parametrize(
    ("arguments", "threads"),
    [
        ([], (0, 0)),
        (["--tensorflow_session_parallelism=4"], (4, 4)),
        (["--tensorflow_intra_op_parallelism=2"], (2, 0)),
        (["--tensorflow_session_parallelism=4", "--tensorflow_inter_op_parallelism=3"], (0, 3)),
    ],
)
def test_threads_within_and_across_ops(arguments: list[str], threads: tuple[int, int]) -> None:
    load = _to_options(parse_flags(arguments)).load
    assert (load.intra_op_threads, load.inter_op_threads) == threads


def test_a_start_error_of_the_sessions_flags_ends_with_255(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("session", "intra_op", "inter_op")
    arguments = ["--model_base_path=/x", *(f"--tensorflow_{name}_parallelism=2" for name in names)]
    assert main(arguments) == 255
    assert "Either configure server_options.tensorflow_session_parallelism or" in capsys.readouterr().err
    assert main(["--model_base_path=/x", "--mixed_precision=float16"]) == 255
    assert "`mixed_precision` must be 'bfloat16' or empty" in capsys.readouterr().err
