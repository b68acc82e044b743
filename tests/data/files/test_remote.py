"""Files behind URLs and patterns are found and read as those on disk are."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tfchain.core.errors import InputError, MissingPackageError
from tfchain.data.documents.reading import read_documents
from tfchain.data.files.listing import find_matches, find_named_files
from tfchain.data.files.remote import Url, find_remote_files, is_url, without_secrets
from tfchain.data.pairs.reading import read_pairs
from tfchain.data.preparation.prepare import prepare


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    """An object store in memory, at memory://bucket."""
    system = fsspec.filesystem("memory")
    system.mkdirs("/bucket/docs", exist_ok=True)
    for name, text in {"b.txt": "two", "a.md": "# One", "d.jsonl": '{"query": "q", "positive": "p"}'}.items():
        system.pipe(f"/bucket/docs/{name}", text.encode())
    yield system
    system.rm("/bucket", recursive=True)


def read(source: object) -> list[tuple[str, str]]:
    return [(document.id, document.text) for document in read_documents(source)]  # type: ignore[arg-type]


def test_a_url_of_a_file_a_folder_and_a_pattern_are_read(store: object) -> None:
    assert read("memory://bucket/docs/b.txt") == [("b.txt", "two")]
    assert read("memory://bucket/docs/*.[mt]*") == [("a.md", "# One"), ("b.txt", "two")]
    assert read([Url("memory://bucket/docs/b.txt"), "memory://bucket/docs/b.txt"])[1] == (
        "1",
        "memory://bucket/docs/b.txt",
    )
    found = find_remote_files("memory://bucket")
    assert [name for name, _ in found] == ["docs/a.md", "docs/b.txt", "docs/d.jsonl"]
    assert str(found[1][1]) == "memory://bucket/docs/b.txt"


def test_pairs_are_read_behind_urls(store: object) -> None:
    assert [list(column) for column in read_pairs("memory://bucket/docs/*.jsonl").columns] == [["q"], ["p"]]


def test_a_missing_file_is_named(store: object) -> None:
    with pytest.raises(InputError, match="No such file: memory://bucket/none.txt. Check the address"):
        read("memory://bucket/none.txt")
    with pytest.raises(InputError, match=r"Could not read odd://x: .*Expected a URL that fsspec knows"):
        read("odd://x")


@pytest.mark.parametrize(
    ("url", "package"), [("gs://b/x", "gcsfs"), ("s3://b/x", "s3fs"), ("https://a.example/x.txt", "aiohttp")]
)
def test_the_package_of_a_store_is_named(url: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for module in [name for name in sys.modules if name.startswith("fsspec.implementations.http")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(MissingPackageError, match=rf"needs the package {package}\. Install it with `pip install"):
        read(url)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("gs://b/x", True), ("https://a/b?c=d", True), ("a://b c", False), ("see http://a/b", False), ("C:/x", False)],
)
def test_what_is_a_url(text: str, is_one: bool) -> None:
    assert is_url(text) is is_one


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:word@host/a/b.csv?key=secret#top", "https://host/a/b.csv"),
        ("https://host?key=secret", "https://host"),
        ("s3://key:secret@bucket/docs/?.txt", "s3://bucket/docs/?.txt"),
        ("zip://a.txt::https://me:word@host/x.zip?key=secret", "zip://a.txt::https://host/x.zip"),
        ("simplecache::s3://key:secret@bucket/a.txt", "simplecache::s3://bucket/a.txt"),
        ("abfs://container@account.dfs.core.windows.net/a", "abfs://container@account.dfs.core.windows.net/a"),
    ],
)
def test_a_url_is_written_down_without_its_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_a_set_names_the_url_that_it_was_made_of_and_its_hash(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    url = "memory://bucket/docs/b.txt"
    first, again = (prepare(url, [], output=tmp_path / name) for name in ("first", "again"))
    (source,) = json.loads((first.path / "card.json").read_text())["sources"]
    assert (source["name"], source["records"], len(source["sha256"])) == (url, 1, 64)
    assert f"| {url} |" in (first.path / "README.md").read_text()
    assert again.fingerprint == first.fingerprint
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.txt").write_text("x")
    both = [
        prepare([Url(url), tmp_path / place / "x.txt"], [], output=tmp_path / place / "set")
        for place in ("here", "there")
    ]
    assert both[0].fingerprint == both[1].fingerprint
    assert json.loads((both[0].path / "card.json").read_text())["sources"][0]["name"] == f"{url}, x.txt"
    store.pipe("/bucket/docs/b.txt", b"three")
    assert prepare(url, [], output=tmp_path / "other").fingerprint != first.fingerprint


def test_a_pattern_names_files_below_where_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("docs/a/x.txt", "docs/b/y.txt", "docs/b/z.md", "docs/.git/h.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    assert [id for id, _ in read("docs/**/*.txt")] == ["a/x.txt", "b/y.txt"]
    assert [id for id, _ in read(Path("docs/b/*"))] == ["y.txt", "z.md"]
    assert [id for id, _ in read([tmp_path / "docs" / "?" / "*.md"])] == ["b/z.md"]
    with pytest.raises(InputError, match=r"No file matches docs/\*\.pdf\. Check the pattern"):
        read("docs/*.pdf")
    (tmp_path / "docs" / "[b].txt").write_text("brackets")
    assert read("docs/[b].txt") == [("[b].txt", "brackets")]
    assert find_named_files("docs") is None


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self.txt").symlink_to(tmp_path / "self.txt")
    assert [name for name, _ in find_matches(str(tmp_path / "**" / "*.txt"))] == ["a.txt"]
    assert read(tmp_path) == [("a.txt", "x")]
