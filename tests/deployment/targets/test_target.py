"""The contract of targets: unknown names, dry runs, and what each target of the table keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.targets.small_versions import write_small_version
from tfchain.core.errors import InputError
from tfchain.deployment.targets import target as targets
from tfchain.deployment.targets.artefact import Artefact
from tfchain.deployment.targets.options import option
from tfchain.deployment.targets.served_version import ServedVersion, read_version
from tfchain.deployment.targets.target import load_target, write_target


@dataclass(frozen=True)
class ToyOptions:
    replicas: int = option(1, "copies")


class ToyTarget:
    name, summary, options = "toy", "For tests.", ToyOptions

    def check(self, version: ServedVersion, options: Any) -> None:
        if options.replicas > version.number:
            raise InputError("too many")

    def render(self, version: ServedVersion, options: Any) -> tuple[Artefact, ...]:
        return (Artefact("toy.txt", f"{version.model_name} {options.replicas}"),)

    def explain(self, version: ServedVersion, options: Any) -> tuple[str, ...]:
        return ("run it",)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    table = {"toy": f"{__name__}:ToyTarget"}
    monkeypatch.setattr(targets, "TARGETS", table)
    return table


def test_a_target_is_checked_made_and_written(toy: Mapping[str, str], tmp_path: Path) -> None:
    version = read_version(write_small_version(tmp_path / "docs" / "2"))
    written = write_target(version, "toy", tmp_path / "out", options={"replicas": "2"})

    assert (written.folder / "toy.txt").read_text() == "docs 2"
    assert written.notes == ("run it",)


def test_a_dry_run_and_a_refused_version_write_nothing(toy: Mapping[str, str], tmp_path: Path) -> None:
    version = read_version(write_small_version(tmp_path / "docs" / "2"))
    written = write_target(version, "toy", tmp_path / "out", dry_run=True)
    with pytest.raises(InputError, match="too many"):
        write_target(version, "toy", tmp_path / "out", options={"replicas": 3})

    assert [artefact.content for artefact in written.artefacts] == ["docs 1"]
    assert not (tmp_path / "out").exists()


def test_an_unknown_target_is_an_error_that_names_the_known(toy: Mapping[str, str]) -> None:
    with pytest.raises(InputError, match="`target` must be one of toy. Received: target='dokcer'"):
        load_target("dokcer")
