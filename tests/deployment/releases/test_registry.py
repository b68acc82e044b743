import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deployment.releases.versions import make_version
from tfchain.core.errors import InputError, TfchainError
from tfchain.deployment.releases.contents import hash_version
from tfchain.deployment.releases.registry import Registry
from tfchain.deployment.releases.report import read_report
from tfchain.deployment.repository import list_versions


@pytest.fixture(params=["folder", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "registry") if request.param == "folder" else f"memory://registry-{uuid.uuid4().hex}"


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return make_version(tmp_path / "docs", 3)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "release.key"
    file.write_text("0123456789abcdef0123456789abcdef\n")
    return file


def test_a_version_comes_back_by_number_and_by_stage(place: str, version: Path, tmp_path: Path) -> None:
    registry = Registry(place)
    assert registry.models() == []
    manifest = registry.push(version)
    assert (manifest["name"], manifest["version"], manifest["contents"]) == ("docs", 3, hash_version(version))
    assert registry.push(version) == manifest
    assert (registry.models(), [found["version"] for found in registry.versions("docs")]) == (["docs"], [3])
    fetched = registry.fetch("docs", 3, to=tmp_path / "here")
    assert fetched == tmp_path / "here" / "3"
    assert hash_version(fetched) == hash_version(version)
    assert read_report(fetched) == read_report(version)  # what the gate said comes along
    registry.set_stage("docs", "production", 3)
    assert registry.stages("docs") == {"production": 3}
    assert registry.fetch("docs", "production", to=tmp_path / "here") == fetched


def test_a_number_is_never_used_twice(place: str, version: Path, tmp_path: Path) -> None:
    registry = Registry(place)
    registry.push(version)
    (version / "saved_model.pb").write_bytes(b"another graph")
    with pytest.raises(InputError, match="The registry has another version 3 of docs"):
        registry.push(version)
    with pytest.raises(InputError, match="is there, with other contents than version 3 of docs in the registry"):
        registry.fetch("docs", 3, to=version.parent)


def test_what_is_not_there_is_a_clear_error(place: str, version: Path, tmp_path: Path) -> None:
    registry = Registry(place)
    registry.push(version)
    with pytest.raises(InputError, match="Received: docs version 4. There are: 3. Push it first."):
        registry.fetch("docs", 4, to=tmp_path / "here")
    with pytest.raises(
        InputError, match="must be a version or a stage of docs. Received: version='live'. The stages: none"
    ):
        registry.fetch("docs", "live", to=tmp_path / "here")
    with pytest.raises(InputError, match="`stage` must be a name, such as 'production'. Received: stage='3'."):
        registry.set_stage("docs", "3", 3)
    with pytest.raises(InputError, match="A version must be a folder named by its number"):
        registry.push(version.parent)
    assert not (tmp_path / "here").exists()


def test_a_damaged_file_is_noticed_and_nothing_appears(version: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.push(version)
    (tmp_path / "registry" / "docs" / "3" / "variables" / "variables.index").write_bytes(b"rotten")
    with pytest.raises(TfchainError, match=r"variables/variables.index of docs version 3 in .* is damaged"):
        registry.fetch("docs", 3, to=tmp_path / "here")
    assert list((tmp_path / "here").iterdir()) == []


def test_a_manifest_cannot_write_outside_of_the_version(version: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.push(version)
    file = tmp_path / "registry" / "docs" / "3" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["files"]["../../evil"] = "0"
    file.write_text(json.dumps(manifest))
    with pytest.raises(TfchainError, match="names a file outside of it: '../../evil'"):
        registry.fetch("docs", 3, to=tmp_path / "here")
    with pytest.raises(InputError, match="`name` must be a name without / or :"):
        registry.fetch("../docs", 3, to=tmp_path / "here")


def test_a_signed_version_is_refused_when_anything_was_changed(version: Path, tmp_path: Path, key: Path) -> None:
    signed = Registry(tmp_path / "registry", key_file=key)
    signed.push(version)
    assert signed.fetch("docs", 3, to=tmp_path / "here")
    file = tmp_path / "registry" / "docs" / "3" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["lineage"] = [{"name": "data", "values": "cleaner than it was"}]
    file.write_text(json.dumps(manifest))
    with pytest.raises(TfchainError, match="The signature of docs version 3 in the registry is wrong"):
        signed.fetch("docs", 3, to=tmp_path / "there")
    del manifest["signature"]
    file.write_text(json.dumps(manifest))
    with pytest.raises(TfchainError, match="docs version 3 in the registry is not signed"):
        signed.set_stage("docs", "production", 3)
    key.write_text("short")
    with pytest.raises(InputError, match="must hold a secret of at least 16 characters. Received: .* with 5"):
        signed.fetch("docs", 3, to=tmp_path / "there")


def test_an_older_signed_version_in_another_ones_place_is_refused(version: Path, tmp_path: Path, key: Path) -> None:
    registry = Registry(tmp_path / "registry", key_file=key)
    registry.push(make_version(tmp_path / "docs", 2))
    registry.push(version)
    shutil.rmtree(tmp_path / "registry" / "docs" / "3")
    shutil.copytree(tmp_path / "registry" / "docs" / "2", tmp_path / "registry" / "docs" / "3")
    with pytest.raises(TfchainError, match="must be of docs version 3. Received: that of docs version 2"):
        registry.fetch("docs", 3, to=tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_key_that_cannot_be_read_is_a_clear_error(version: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`key_file` must be a file that can be read. Received: .*no.key"):
        Registry(tmp_path / "registry", key_file=tmp_path / "no.key").push(version)


def test_two_stages_that_are_set_at_once_are_both_kept(version: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.push(version)
    stages = [f"stage-{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda stage: registry.set_stage("docs", stage, 3), stages))
    assert registry.stages("docs") == dict.fromkeys(stages, 3)


def test_the_lineage_keeps_files_by_their_hash_in_order(place: str, version: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.json"
    card.write_text('{"rows": 7}')
    manifest = Registry(place).push(
        version, lineage={"data": card, "training": {"run": "41"}, "compression": {"recipe": "int8"}}
    )
    assert [step["name"] for step in manifest["lineage"]] == ["data", "training", "compression"]
    assert manifest["lineage"][0]["values"] == {"rows": 7}
    assert manifest["lineage"][0]["sha256"].startswith("f466e1e42100")  # sha256sum of the file
    with pytest.raises(InputError, match="`lineage` must name files or plain values. Received: data='no/card.json'"):
        Registry(place).push(make_version(tmp_path / "docs", 4), lineage={"data": "no/card.json"})


def test_an_unknown_scheme_is_a_clear_error(version: Path) -> None:
    with pytest.raises(InputError, match="must be a folder or a URL that fsspec knows. Received: nowhere://x"):
        Registry("nowhere://x").push(version)


KILLED = """
import os, signal, sys
from tfchain.deployment.releases import registry
from tfchain.deployment.releases.registry_store import FolderStore

class Dying(FolderStore):
    def write(self, *_): os.kill(os.getpid(), signal.SIGKILL)
    def download(self, path, target):
        super().download(path, target)
        if path.endswith("saved_model.pb"): os.kill(os.getpid(), signal.SIGKILL)

registry.open_store = lambda place: Dying(registry.Path(place))
what, place, path = sys.argv[1:]
found = registry.Registry(place)
found.push(path) if what == "push" else found.fetch("docs", 3, to=path)
"""


def test_a_killed_copy_leaves_no_version(version: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    for what, path in (("push", version), ("fetch", tmp_path / "here")):
        command = [sys.executable, "-c", KILLED, what, str(tmp_path / "registry"), str(path)]
        assert subprocess.run(command, env=os.environ, timeout=60).returncode == -signal.SIGKILL
        if what == "push":
            assert registry.versions("docs") == []
            registry.push(version)
    assert list_versions(tmp_path / "here") == {}
    assert registry.fetch("docs", 3, to=tmp_path / "here").name == "3"
