"""Chains, base paths and versions are told apart by the files in them."""

import json
from pathlib import Path

import pytest

from tfchain.cli.folders import check_is_base_path, check_is_chain, describe_version, is_base_path
from tfchain.cli.info import describe_path, to_short
from tfchain.core.errors import IndexFolderError, InputError


def make_version(path: Path, **description: object) -> Path:
    (path / "assets.extra").mkdir(parents=True)
    (path / "saved_model.pb").touch()
    if description:
        (path / "assets.extra" / "tfchain.json").write_text(json.dumps(description))
    return path


def test_a_base_path_has_at_least_one_version_whatever_else_lies_in_it(tmp_path: Path) -> None:
    assert not is_base_path(tmp_path)
    (tmp_path / "1").mkdir()  # an export that was stopped
    (tmp_path / "notes").mkdir()
    assert not is_base_path(tmp_path)
    with pytest.raises(InputError, match="Received: .*, which is without a version. Export one with"):
        check_is_base_path(tmp_path)
    make_version(tmp_path / "2")
    assert is_base_path(tmp_path)
    check_is_base_path(tmp_path)
    assert not is_base_path(tmp_path / "2" / "saved_model.pb")


def test_what_is_no_base_path_is_told_with_what_it_is(tmp_path: Path) -> None:
    version = make_version(tmp_path / "docs" / "1")
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "chain.json").touch()
    for path, what in (
        (version, f"one version. Give the folder around it: {tmp_path.resolve()}/docs"),
        (tmp_path / "index", "a saved chain. Export it first: `tfchain export "),
        (tmp_path / "gone", "not there"),
    ):
        with pytest.raises(InputError, match=f"Expected a base path, .* which is {what}"):
            check_is_base_path(path)


def test_what_is_no_chain_is_told_with_what_it_is(tmp_path: Path) -> None:
    version = make_version(tmp_path / "docs" / "1")
    for path, what in (
        (version, "is an exported version; it is served with `tfchain serve`"),
        (version.parent, "is a base path of versions; it is served with `tfchain serve`"),
        (tmp_path, "holds no chain.json"),
    ):
        with pytest.raises(
            IndexFolderError,
            match=f"Expected a folder that `tfchain index`, .* wrote. .* which {what}",
        ):
            check_is_chain(path)
    with pytest.raises(IndexFolderError, match="No such folder: .*gone. Make an index with"):
        check_is_chain(tmp_path / "gone")


def test_a_version_of_someone_else_has_path_and_number_alone(tmp_path: Path) -> None:
    assert describe_version(make_version(tmp_path / "3")) == {"version": "3", "path": str(tmp_path / "3")}
    own = make_version(tmp_path / "4", signatures=["embed"], documents=3)
    assert describe_version(own) == {
        "version": "4",
        "path": str(own),
        "signatures": ["embed"],
        "documents": 3,
    }
    (own / "assets.extra" / "tfchain.json").write_text("{")
    with pytest.raises(InputError, match=r"tfchain.json is not JSON: .*\. Export the version again"):
        describe_version(own)


def test_a_base_path_is_described_by_its_versions_and_not_by_what_a_stopped_export_left(tmp_path: Path) -> None:
    make_version(tmp_path / "10", signatures=["embed", "search"], documents=1234, oldest_server="2.8")
    make_version(tmp_path / "9")
    (tmp_path / "11").mkdir()
    values = describe_path(tmp_path)
    assert (values["kind"], [one["version"] for one in values["versions"]]) == ("base path", ["9", "10"])
    shown = to_short(values)
    assert shown["version 9"] == "not exported by tfchain"
    assert shown["version 10"] == "embed, search; documents 1234; oldest server 2.8"
    with pytest.raises(InputError, match="Expected an index or another saved chain, a base path or a version"):
        describe_path(tmp_path / "11")


def test_long_values_are_shortened_for_people() -> None:
    settings = {"passages": {"mode": "split", "overlap_tokens": None}, "hyperparameters": {"epochs": 1}}
    shown = to_short({"ops": ["A", "B"], "fingerprint": "f" * 64, "settings": settings, "prompts": {}})
    assert shown == {
        "passage mode": "split",
        "overlap tokens": "a tenth of the maximum length",
        "ops": "2, all in stock TensorFlow Serving",
        "fingerprint": "f" * 16,
    }
    settings["passages"]["overlap_tokens"] = 0
    assert to_short({"settings": settings})["overlap tokens"] == 0
