"""What `tfchain serve` says of where it listens, and the request that it offers; the server itself is not started."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.test_folders import make_version
from tfchain.cli.example_request import LONGEST, make_request
from tfchain.cli.serve import CURL_WITH_KEY, say_ready, serve_command
from tfchain.core.proof import Proof
from tfchain.deployment.proof_files import write_proofs
from tfchain.deployment.server.flags import FLAGS, USED
from tfchain.runtime.tf_protos import find_message

DEPLOYMENT: Any = SimpleNamespace(
    model_name="docs", pid=7, rest_url="http://127.0.0.1:8501", grpc_target="127.0.0.1:8500"
)


TEXT = ("text",)


def make_served_version(path: Path, **signatures: tuple[str, ...]) -> Path:
    """Makes a version with the inputs of its signatures, by the signature's name."""
    make_version(path)
    model = find_message("tensorflow.SavedModel")()
    graph = model.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    for name, inputs in signatures.items():
        for one in inputs:
            graph.signature_def[name].inputs[one].name = f"{name}_{one}:0"
    (path / "saved_model.pb").write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the server was started with; it ends at once, as after Ctrl-C."""
    given: dict[str, Any] = {}

    def deploy(**options: Any) -> None:
        given.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("tfchain.deployment.deploy.deploy", deploy)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # of this process
    return given


def test_the_model_has_the_folders_name_though_the_folder_is_given_by_a_dot(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    make_version(tmp_path / "docs" / "1")
    monkeypatch.chdir(tmp_path / "docs")
    result = run("serve", ".")
    assert (result.exit_code, result.stdout) == (0, "stopped\n")
    assert (given["model_name"], given["grpc_port"], given["rest_port"]) == ("docs", 8500, 8501)
    assert run("serve", ".", "--name", "mine", "--json").stdout == ""
    assert given["model_name"] == "mine"


def test_programs_are_told_the_model_the_process_and_both_addresses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say_ready(DEPLOYMENT, tmp_path, True)
    assert json.loads(capsys.readouterr().out) == {
        "model": "docs",
        "pid": 7,
        "rest_url": "http://127.0.0.1:8501",
        "grpc_target": "127.0.0.1:8500",
    }


def test_people_are_told_a_request_to_paste(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_served_version(tmp_path / "1", embed=TEXT, embed_ids=("token_ids", "padding_mask"))
    say_ready(DEPLOYMENT, tmp_path, False)
    shown = capsys.readouterr().out
    assert shown.startswith(f"serving docs from {tmp_path}; Ctrl-C stops it\n")
    assert "  REST  http://127.0.0.1:8501/v1/models/docs\n  gRPC  127.0.0.1:8500\n" in shown
    body = '{"signature_name": "embed", "instances": ["a text to encode"]}'
    assert shown.endswith(f"  curl -d '{body}' http://127.0.0.1:8501/v1/models/docs:predict\n")


def test_the_request_is_for_the_latest_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_served_version(tmp_path / "9", embed=TEXT)
    assert make_request(tmp_path) == {"signature_name": "embed", "instances": ["a text to encode"]}
    make_served_version(tmp_path / "10", embed=TEXT, serving_default=TEXT)
    assert make_request(tmp_path) == {"instances": ["how do I merge two sorted lists"]}
    make_version(tmp_path / "11")
    assert make_request(tmp_path) is None
    say_ready(DEPLOYMENT, tmp_path, False)
    assert capsys.readouterr().out.endswith("  curl http://127.0.0.1:8501/v1/models/docs/metadata\n")


def test_the_request_has_a_value_for_each_input(tmp_path: Path) -> None:
    make_served_version(tmp_path / "1", embed=TEXT, serving_default=("text", "text_pair"))
    pair = {"text": "what does the cat do", "text_pair": "The cat sleeps."}
    assert make_request(tmp_path) == {"instances": [pair]}
    make_served_version(tmp_path / "2", embed=TEXT, serving_default=("context", "question"))
    read = {"question": "what does the cat do", "context": "The cat sleeps."}
    assert make_request(tmp_path) == {"instances": [read]}


def test_other_inputs_are_asked_as_the_export_did(tmp_path: Path) -> None:
    version = make_served_version(tmp_path / "1", serving_default=("user", "history", "age"))
    assert make_request(tmp_path) is None  # it is not known what a user is called
    inputs = {
        "user": np.array([b"u1", b"u2"], object),
        "history": np.array([[b"i1", b""], [b"", b""]], object),
        "age": np.array([30, 40], np.int64),
    }
    write_proofs(version, [Proof("similar", {"item": np.array([b"i1"], object)}, {}), Proof("recommend", inputs, {})])
    assert make_request(tmp_path) == {"instances": [{"user": "u1", "history": ["i1", ""], "age": 30}]}

    version = make_served_version(tmp_path / "2", serving_default=("image",))
    write_proofs(version, [Proof("look", {"image": np.array([b"\xff\xd8"], object)}, {})])
    assert make_request(tmp_path) == {"instances": [{"b64": "/9g="}]}
    write_proofs(version, [Proof("look", {"image": np.array([b"\xff" * LONGEST], object)}, {})])
    assert make_request(tmp_path) is None  # nobody pastes a picture


def test_several_models_are_served_by_a_config_file(run: Run, tmp_path: Path, given: dict[str, Any]) -> None:
    assert run("serve", "--model-config-file", tmp_path / "f", "--model-config-poll-seconds", 5).exit_code == 0
    assert (given["config_file"], given["config_poll_seconds"]) == (tmp_path / "f", 5)
    assert "base_path" not in given


def test_a_base_path_and_a_config_file_exclude_each_other(run: Run, tmp_path: Path, given: dict[str, Any]) -> None:
    for arguments, error in (
        ([], "needs a BASE_PATH or a --model-config-file. Received: neither."),
        ([tmp_path, "--model-config-file", "f"], f"Received: both, {tmp_path} and f."),
        (["--model-config-file", "f", "--name", "m"], "--name belongs to a BASE_PATH. Received: --name m."),
        ([tmp_path, "--model-config-poll-seconds", 2], "--model-config-poll-seconds belongs to a --model-config-file."),
    ):
        result = run("serve", *arguments)
        assert result.exit_code == 1
        assert error in result.stderr
    assert given == {}


def test_of_several_models_each_address_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    deployment = SimpleNamespace(**{**vars(DEPLOYMENT), "model_names": ("docs", "the faq")})
    say_ready(deployment, None, False)  # type: ignore[arg-type]
    assert capsys.readouterr().out == (
        "serving docs, the faq; Ctrl-C stops it\n"
        "  REST  http://127.0.0.1:8501/v1/models/docs\n"
        "  REST  http://127.0.0.1:8501/v1/models/the%20faq\n"
        "  gRPC  127.0.0.1:8500\n"
    )
    say_ready(deployment, None, True)  # type: ignore[arg-type]
    assert json.loads(capsys.readouterr().out)["models"] == ["docs", "the faq"]


def test_people_are_told_that_a_request_carries_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_served_version(tmp_path / "1", embed=TEXT)
    say_ready(DEPLOYMENT, tmp_path, False, CURL_WITH_KEY)
    assert '\n  curl -H "Authorization: Bearer $KEY" -d \'{"signature_name"' in capsys.readouterr().out


def test_people_are_told_where_the_page_is_if_the_version_searches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_served_version(tmp_path / "1", embed=TEXT, search=TEXT, serving_default=TEXT)
    say_ready(DEPLOYMENT, tmp_path, False)
    assert "  gRPC  127.0.0.1:8500\n  page  http://127.0.0.1:8501/\n" in capsys.readouterr().out
    say_ready(DEPLOYMENT, tmp_path, False, has_page=False)
    assert "page" not in capsys.readouterr().out
    make_served_version(tmp_path / "2", embed=TEXT, serving_default=TEXT)
    say_ready(DEPLOYMENT, tmp_path, False)
    assert "page" not in capsys.readouterr().out


def test_the_page_can_be_left_out(run: Run, tmp_path: Path, given: dict[str, Any]) -> None:
    make_version(tmp_path / "docs" / "1")
    assert run("serve", tmp_path / "docs", "--no-search-page").exit_code == 0
    assert given["ports"].to_flags() == ["--search_page=false"]


def test_traces_are_sent_where_the_option_says_so(run: Run, tmp_path: Path, given: dict[str, Any]) -> None:
    make_version(tmp_path / "docs" / "1")
    assert run("serve", tmp_path / "docs", "--otel-traces").exit_code == 0
    assert given["ports"].to_flags() == ["--otel_traces"]


def test_the_files_of_the_ports_are_handed_on(run: Run, tmp_path: Path, given: dict[str, Any]) -> None:
    make_version(tmp_path / "docs" / "1")
    options = ("--tls-config", "tls", "--api-key-file", "keys", "--monitoring-config", "watch")
    assert run("serve", tmp_path / "docs", *options).exit_code == 0
    assert given["ports"].to_flags() == [
        f"--ssl_config_file={Path.cwd()}/tls",
        f"--rest_ssl_config_file={Path.cwd()}/tls",
        f"--api_key_file={Path.cwd()}/keys",
        f"--monitoring_config_file={Path.cwd()}/watch",
    ]


def test_every_flag_of_the_server_is_an_option_or_says_why_not() -> None:
    options = {option.name: option for option in serve_command.params}
    for flag in FLAGS:
        is_option = flag.name in options and len(options[flag.name].opts) == 1 and not flag.set_by
        assert is_option or flag.set_by or flag.support != USED, flag.name
    # What an argument of `deploy` sets has an option that is named for people.
    own = {
        "--port",
        "--rest-port",
        "--name",
        "--model-config-file",
        "--model-config-poll-seconds",
        "--engine",
        "--host",
    }
    own |= {
        "--workers",
        "--prefer-tflite-model",
        "--tls-config",
        "--api-key-file",
        "--monitoring-config",
        "--search-page",
    }
    assert own <= {name for option in serve_command.params for name in option.opts}


def test_the_flags_of_the_server_are_handed_on_if_they_are_given(
    run: Run, tmp_path: Path, given: dict[str, Any]
) -> None:
    make_version(tmp_path / "docs" / "1")
    assert run("serve", tmp_path / "docs").exit_code == 0
    assert given["flags"] == {}
    options = ("--max-connections", "7", "--enable-batching", "--no-enable-model-warmup", "--text-batching=off")
    assert run("serve", tmp_path / "docs", *options).exit_code == 0
    assert given["flags"] == {
        "max_connections": 7,
        "enable_batching": True,
        "enable_model_warmup": False,
        "text_batching": "off",
    }
    assert run("serve", tmp_path / "docs", "--max-connections", "many").exit_code == 2


def test_the_help_lists_the_servers_flags_with_the_defaults_of_this_command(run: Run) -> None:
    shown = " ".join(run("serve", "--help").stdout.split())
    own, _, flags = shown.partition("Flags of the server, as of `tfchain-model-server`: ")
    assert "--workers" in own
    assert "--max-connections INTEGER most open connections of each port. [default: 1000]" in flags
    assert "how many times a failed load is tried again. [default: 0]" in flags
    assert "tfchain's own" not in flags
    assert "BASE_PATH]" not in flags
