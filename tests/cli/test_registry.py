"""`tfchain registry`: versions go into a folder or behind a URL, and come out again."""

import json
import uuid
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.deployment.releases.versions import make_version
from tfchain.deployment.releases.contents import hash_version

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TFCHAIN_REGISTRY_KEY", raising=False)


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return make_version(tmp_path / "docs", 3)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "release.key"
    file.write_text(f"{SECRET}\n")
    return file


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_version_goes_in_gets_a_stage_and_comes_out(run: Run, version: Path, tmp_path: Path, kind: str) -> None:
    place = str(tmp_path / "registry") if kind == "folder" else f"memory://registry-{uuid.uuid4().hex}"
    assert run("registry", "list", place).output == f"There are no versions in {place}.\n"
    card = tmp_path / "card.json"
    card.write_text('{"rows": 7}')

    pushed = run("registry", "push", place, version, "--lineage", f"data={card}", "--stage", "staging")

    contents = hash_version(version)[:12]
    assert pushed.output == f"docs version 3 is in {place}: {contents}, not signed\nstaging: 3\n"
    assert run("registry", "stage", place, "docs", "production", 3).output == "production: 3\nstaging: 3\n"
    lines = [" ".join(line.split()) for line in run("registry", "list", place).output.splitlines()]
    assert lines[0] == "model version stages contents signed registered"
    assert lines[1].startswith(f"docs 3 production, staging {contents} no 2")
    (found,) = json.loads(run("registry", "list", place, "docs", "--json").output)["models"]
    assert found["stages"] == {"production": 3, "staging": 3}
    assert found["versions"][0]["lineage"][0]["values"] == {"rows": 7}
    for name in ("production", "3"):
        assert run("registry", "fetch", place, "docs", name, "--to", tmp_path / "here").output == (
            f"{tmp_path / 'here' / '3'}\n"
        )
    assert hash_version(tmp_path / "here" / "3") == hash_version(version)


def test_the_secret_is_that_of_a_file_or_of_the_environment(
    run: Run, version: Path, tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "registry"
    assert run("registry", "push", place, version, "--key-file", key_file).output.endswith(", signed\n")
    monkeypatch.setenv("TFCHAIN_REGISTRY_KEY", SECRET)
    assert run("registry", "fetch", place, "docs", 3, "--to", tmp_path / "here").exit_code == 0
    assert run("registry", "stage", place, "docs", "production", 3, "--json").exit_code == 0
    monkeypatch.setenv("TFCHAIN_REGISTRY_KEY", SECRET[::-1])
    refused = run("registry", "fetch", place, "docs", 3, "--to", tmp_path / "there")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: The signature of docs version 3 in the registry is wrong")
    assert not (tmp_path / "there").exists()
    assert run("registry", "fetch", place, "docs", 3, "--to", tmp_path / "there", "--key-file", key_file).exit_code == 0
    for result in (refused, run("registry", "list", place, "--json")):
        assert SECRET not in result.output


def test_an_empty_secret_in_the_environment_does_not_push_without_a_signature(
    run: Run, version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFCHAIN_REGISTRY_KEY", "")
    result = run("registry", "push", tmp_path / "registry", version)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: `key` must hold a secret of at least 16 characters. Received: one with 0.")
    assert not (tmp_path / "registry").exists()


def test_what_is_wrong_is_one_line_and_writes_nothing(run: Run, version: Path, tmp_path: Path) -> None:
    place, here = tmp_path / "registry", tmp_path / "here"
    assert run("registry", "push", place, version).exit_code == 0
    new = make_version(tmp_path / "docs", 4)
    before = sorted(place.rglob("*"))
    for arguments, message in (
        (("push", place, version.parent), "A version must be a folder named by its number, with saved_model.pb."),
        (("push", place, new, "--name", "../docs"), "`name` must be a name without / or :, such as 'docs'."),
        (("push", place, new, "--lineage", "card.json"), "--lineage must be NAME=FILE, each name once"),
        (("push", place, new, "--lineage", "data=gone.json"), "`lineage` must name files or plain values. Received: d"),
        (("push", place, new, "--stage", "7"), "`stage` must be a name, such as 'production'. Received: stage='7'."),
        (
            ("push", place, new, "--key-file", tmp_path / "no.key"),
            "`key_file` must be a file that can be read. Received: ",
        ),
        (("push", "nowhere://x", new), "A registry must be a folder or a URL that fsspec knows. Received: nowhere://x"),
        (("list", place, "other"), f"The registry {place} must have the model. Received: 'other'. There are: docs."),
        (("fetch", place, "docs", 9, "--to", here), f"The registry {place} must have the version. Received: docs ver"),
        (("fetch", place, "docs", "live", "--to", here), "`version` must be a version or a stage of docs. Received: v"),
        (("fetch", place, "docs", "9" * 5000, "--to", here), "`version` must be a version or a stage of docs. Receiv"),
        (("stage", place, "docs", "production", 9), f"The registry {place} must have the version. Received: docs ver"),
        (("stage", place, "../docs", "production", 3), "`name` must be a name without / or :, such as 'docs'."),
        (("stage", place, "docs", "5", 3), "`stage` must be a name, such as 'production'. Received: stage='5'."),
    ):
        result = run("registry", *arguments)
        assert result.exit_code == 1, arguments
        assert result.stderr.startswith(f"error: {message}"), result.stderr
        assert result.stderr.count("\n") == 1
    assert sorted(place.rglob("*")) == before
    assert not here.exists()


def test_a_secret_is_never_an_argument(run: Run, version: Path, tmp_path: Path) -> None:
    result = run("registry", "push", tmp_path / "registry", version, "--key", SECRET)
    assert result.exit_code == 2
    assert not (tmp_path / "registry").exists()
