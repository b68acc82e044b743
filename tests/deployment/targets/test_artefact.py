"""A target's folder: written whole, never over a user's files, and the same again with `force`."""

from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.targets.artefact import Artefact, list_written, write_artefacts

FILES = (Artefact("compose.yaml", "services: {}\n"), Artefact("bin/start", b"#!/bin/sh\n", executable=True))


def test_files_and_copied_folders_are_written_with_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "model" / "1").mkdir(parents=True)
    (tmp_path / "model" / "1" / "saved_model.pb").write_bytes(b"graph")
    out = write_artefacts(tmp_path / "out", "docker", (*FILES, Artefact("models/docs", tmp_path / "model")))

    assert (out / "compose.yaml").read_text() == "services: {}\n"
    assert (out / "bin" / "start").stat().st_mode & 0o777 == 0o755
    assert (out / "models" / "docs" / "1" / "saved_model.pb").read_bytes() == b"graph"
    assert list_written(out) == {
        *("compose.yaml", "bin/start", "models/docs/1/saved_model.pb", "tfchain-target.json"),
    }


def test_nothing_is_written_over_without_force(tmp_path: Path) -> None:
    out = write_artefacts(tmp_path / "out", "docker", FILES)

    with pytest.raises(InputError, match=r"holds the files of a target already.*--force"):
        write_artefacts(out, "docker", FILES)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(InputError, match=r"which holds notes.txt and no tfchain-target.json"):
            write_artefacts(tmp_path / "mine", "docker", FILES, force=force)
    with pytest.raises(InputError, match="which is a file"):
        write_artefacts(tmp_path / "mine" / "notes.txt", "docker", FILES, force=True)


def test_force_replaces_its_own_files_and_keeps_the_users(tmp_path: Path) -> None:
    out = write_artefacts(tmp_path / "out", "docker", FILES)
    (out / "secrets").mkdir()
    (out / "secrets" / "keys.txt").write_text("mine")
    (out / "compose.yaml").write_text("changed")
    write_artefacts(out, "docker", (Artefact("compose.yaml", "new\n"),), force=True)

    assert (out / "compose.yaml").read_text() == "new\n"
    assert (out / "secrets" / "keys.txt").read_text() == "mine"
    assert not (out / "bin").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(InputError, match=r"keys.txt is your own file"):
        write_artefacts(out, "docker", (Artefact("secrets/keys.txt", "ours"),), force=True)


def test_what_cannot_be_written_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    out = write_artefacts(tmp_path / "out", "docker", FILES)
    with pytest.raises(FileNotFoundError):
        write_artefacts(out, "docker", (Artefact("a", tmp_path / "nothing"),), force=True)

    assert (out / "compose.yaml").read_text() == "services: {}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../out", "a/../../b"])
def test_an_artefact_lies_in_the_folder(path: str) -> None:
    with pytest.raises(ValueError, match="must lie in the target's folder"):
        Artefact(path, "")
