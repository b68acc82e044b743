"""The command line."""

import subprocess
import sys

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.server.flags import FLAGS, check_supported, parse_flags, usage
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
    check_supported(parse_flags(["--enable_batching=false", "--num_load_threads=9"]))
    with pytest.raises(InputError, match="--enable_batching is not supported by the embedded server yet"):
        check_supported(parse_flags(["--enable_batching"]))


def test_the_flags_of_limits_are_the_endpoints_limits() -> None:
    assert _to_options(parse_flags([])).limits == RequestLimits(100 * 2**20, 2048, 512)
    flags = parse_flags(["--max_body_bytes=10", "--max_client_batch_size=2", "--max_concurrent_requests=3"])
    assert _to_options(flags).limits == RequestLimits(10, 2, 3)
    with pytest.raises(InputError, match="`max_batch_size` must be 1 or more. Received: max_batch_size=0."):
        _to_options(parse_flags(["--max_client_batch_size=0"]))


def test_the_flags_of_tflite_say_how_versions_are_loaded() -> None:
    assert not _to_options(parse_flags([])).load.prefers_tflite
    flags = parse_flags(["--prefer_tflite_model", "--num_tflite_pools=3"])
    check_supported(flags)
    load = _to_options(flags).load
    assert (load.prefers_tflite, load.tflite_interpreters) == (True, 3)


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


def test_the_usage_has_every_flag() -> None:
    text = usage("program")
    assert all(f"--{flag.name}=" in text for flag in FLAGS)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--port=0", "--model_base_path=/x"], "At least one of server_options.grpc_port or"),
        ([], "Both server_options.model_base_path and server_options.model_config_file are empty!"),
        (["--model_base_path=/x", "--use_alts_credentials"], "--use_alts_credentials is not supported"),
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
