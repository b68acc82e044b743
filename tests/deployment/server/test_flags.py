"""The command line."""

import subprocess
import sys

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.server.flags import FLAGS, check_supported, parse_flags, usage
from tfchain.deployment.server.main import _to_options, main


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


def test_the_flags_of_tflite_say_how_versions_are_loaded() -> None:
    assert not _to_options(parse_flags([])).load.prefers_tflite
    flags = parse_flags(["--prefer_tflite_model", "--num_tflite_pools=3"])
    check_supported(flags)
    load = _to_options(flags).load
    assert (load.prefers_tflite, load.tflite_interpreters) == (True, 3)


def test_the_usage_has_every_flag() -> None:
    text = usage("program")
    assert all(f"--{flag.name}=" in text for flag in FLAGS)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--port=0", "--model_base_path=/x"], "At least one of server_options.grpc_port or"),
        ([], "Both server_options.model_base_path and server_options.model_config_file are empty!"),
        (["--model_base_path=/x", "--ssl_config_file=a"], "--ssl_config_file is not supported"),
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
    with pytest.raises(InputError, match="--thread_pool_factory_config_file is not supported"):
        check_supported(parse_flags(["--thread_pool_factory_config_file=a"]))


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
