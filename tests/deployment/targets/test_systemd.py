"""The target `systemd`: the unit by systemd's own checkers, what it may do, and the script that installs it."""

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.targets.measurements import make_measurement, measure_by_hand
from tests.deployment.targets.small_versions import write_small_version
from tfchain.core.errors import InputError
from tfchain.deployment.capacity.batch_settings import BatchSettings
from tfchain.deployment.capacity.measurement import write_measurement
from tfchain.deployment.targets import measured
from tfchain.deployment.targets.served_version import read_version
from tfchain.deployment.targets.target import WrittenTarget, write_target

MOST_EXPOSED = 2.0  # of systemd-analyze's ten; a unit without hardening has 9.6


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("needs systemd-analyze")
    return found


@pytest.fixture(autouse=True)
def quick_batching(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of eight; test_measured.py has the simulation that finds them."""
    monkeypatch.setattr(measured, "find_batching", lambda _: BatchSettings(8, 0, 1, 4, (1, 2, 4, 8), 100.0))


def write(folder: Path, **options: object) -> WrittenTarget:
    path = write_small_version(folder / "docs" / "3")
    measure_by_hand(path)
    return write_target(read_version(path), "systemd", folder / "out", options=options)


def read_unit(written: WrittenTarget) -> str:
    return (written.folder / "tfchain-docs.service").read_text()


def test_systemd_accepts_the_unit_and_finds_it_little_exposed(analyze: str, tmp_path: Path) -> None:
    written = write(tmp_path, program=sys.executable, api_keys="/etc/tfchain/keys.txt", tls="/etc/tfchain/tls.pbtxt")
    unit = written.folder / "tfchain-docs.service"
    verified = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    command = [analyze, "security", "--offline=true", "--no-pager", unit]
    exposure = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (verified.returncode, verified.stderr) == (0, "")
    match = re.search(r"Overall exposure level for \S+ ([0-9.]+)", exposure.stdout)
    if match is None:
        pytest.skip(f"this systemd-analyze has no offline security check: {exposure.stderr.strip()[:100]}")
    assert float(match[1]) < MOST_EXPOSED


def test_limits_come_from_the_measurement(tmp_path: Path) -> None:
    unit = read_unit(write(tmp_path))

    assert "\nMemoryMax=1344M\n" in unit  # 1.5 times the measured 900 MB, up to 64 MiB
    assert "\nTimeoutStartSec=60\n" in unit
    assert "--text_batching_tokens=240" in unit  # eight texts of 30 tokens
    assert "CPUQuota" not in unit
    assert "\nCPUQuota=200%\n" in read_unit(write(tmp_path / "two", cpus="2"))


def test_secrets_are_read_by_systemd_and_named_by_path(tmp_path: Path) -> None:
    unit = read_unit(write(tmp_path, api_keys="/etc/tfchain/keys.txt", tls="/etc/tfchain/tls.pbtxt"))

    assert "\nLoadCredential=api_keys:/etc/tfchain/keys.txt\n" in unit
    assert "--api_key_file=%d/api_keys" in unit
    assert "--ssl_config_file=%d/tls" in unit


def test_the_script_is_a_program_that_a_shell_reads(tmp_path: Path) -> None:
    script = write(tmp_path).folder / "install.sh"

    assert script.stat().st_mode & 0o111
    assert subprocess.run(["sh", "-n", script], timeout=30, check=False).returncode == 0


def test_a_versions_files_cannot_add_lines_to_the_unit(tmp_path: Path) -> None:
    evil = "abc\n[Service]\nExecStartPre=/bin/evil"
    path = write_small_version(tmp_path / "docs" / "3", description={"fingerprint": evil})
    write_measurement(path, dataclasses.replace(make_measurement(), processor=evil))
    unit = read_unit(write_target(read_version(path), "systemd", tmp_path / "out"))
    assert [line for line in unit.splitlines() if line.startswith("[")] == ["[Unit]", "[Service]", "[Install]"]
    assert "\nExecStartPre" not in unit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"program": "tfchain-model-server"}, "`program` must be an absolute path"),
        ({"api_keys": "/etc/keys\nExecStartPre=/bin/rm"}, "`api_keys` must be an absolute path"),
        ({"tls": "/etc/%i/tls"}, "`tls` must be an absolute path"),
        ({"engine": "native"}, "Received: engine=native"),
        ({"address": "127.0.0.1 --engine=native"}, "`address` must be an address or a host's name"),
    ],
)
def test_impossible_options_write_nothing(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write(tmp_path, **options)
    assert not (tmp_path / "out").exists()
