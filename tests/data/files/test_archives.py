"""Archives are read as streams; what leads out of them, or unpacks without measure, is refused."""

import io
import tarfile
import zipfile
from collections.abc import Mapping

import pytest
import zstandard

from tfchain.core.errors import InputError
from tfchain.data.files.archives import list_archive, name_problem, read_archive
from tfchain.data.files.data_file import memory_file
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.read_session import ReadSession

FILES = {"b/two.txt": b"two", "a.txt": b"one", ".hidden/x.txt": b"no", "__MACOSX/y.txt": b"no"}


def make_zip(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def make_tar(files: Mapping[str, bytes | tarfile.TarInfo], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(data: bytes, name: str, session: ReadSession | None = None) -> dict[str, bytes]:
    found = {}
    for path, member in read_archive(memory_file(name, data), session or ReadSession()):
        with member.open() as file:
            found[path] = file.read()
    return found


ARCHIVES = {
    "a.zip": make_zip(FILES),
    "a.tar": make_tar(FILES),
    "a.tar.gz": make_tar(FILES, "w:gz"),
    "a.tgz": make_tar(FILES, "w:gz"),
    "a.tar.bz2": make_tar(FILES, "w:bz2"),
    "a.tar.xz": make_tar(FILES, "w:xz"),
    "a.tar.zst": zstandard.compress(make_tar(FILES)),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_files_of_an_archive_are_read_without_hidden_ones(name: str) -> None:
    found = read(ARCHIVES[name], name)
    assert found == {"a.txt": b"one", "b/two.txt": b"two"}
    assert list(found) == (["a.txt", "b/two.txt"] if name == "a.zip" else ["b/two.txt", "a.txt"])
    assert sorted(list_archive(memory_file(name, ARCHIVES[name]), ReadSession())) == ["a.txt", "b/two.txt"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../out.txt", "leads out of the archive"),
        ("a/../../out.txt", "leads out of the archive"),
        ("/etc/passwd", "leads out of the archive"),
        ("..\\..\\out.txt", "leads out of the archive"),
        ("C:\\out.txt", "leads out of the archive"),
        ("../.ssh/keys", "leads out of the archive"),
        ("a\0b.txt", "has no valid name"),
        ("a/..b.txt", None),
        ("a/b..txt", None),
    ],
)
def test_a_name_that_leads_out_is_a_broken_record(name: str, problem: str | None) -> None:
    assert name_problem(name) == problem
    if "\0" in name or problem is None:
        return
    for kind, data in {
        "a.zip": make_zip({name: b"x", "ok.txt": b"y"}),
        "a.tar": make_tar({name: b"x", "ok.txt": b"y"}),
    }.items():
        with pytest.raises(InputError, match="leads out of the archive. Expected ordinary files below"):
            read(data, kind)
        session = ReadSession(1)
        assert read(data, kind, session) == {"ok.txt": b"y"}
        assert session.broken == 1


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_broken_records(kind: bytes) -> None:
    data = make_tar({"l.txt": link("l.txt", "/etc/passwd", kind), "ok.txt": b"y"})
    with pytest.raises(InputError, match=r"a\.tar/l\.txt is a link or a device"):
        read(data, "a.tar")
    assert read(data, "a.tar", ReadSession(1)) == {"ok.txt": b"y"}


def test_a_link_in_a_zip_archive_is_a_broken_record() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("l.txt")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match=r"a\.zip/l\.txt is a link or a device"):
        read(file.getvalue(), "a.zip")


def test_an_encrypted_file_is_a_broken_record() -> None:
    data = bytearray(make_zip({"a.txt": b"secret"}))
    at = data.index(b"PK\x01\x02") + 8  # the flags in the list of files
    data[at] |= 1
    with pytest.raises(InputError, match=r"a\.zip/a\.txt is encrypted"):
        read(bytes(data), "a.zip")


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.tar.gz", "bomb.tar.xz", "bomb.tar.zst"])
def test_a_bomb_is_refused(name: str) -> None:
    content = {"a.txt": bytes(80 * 2**20)}
    data = make_zip(content) if name == "bomb.zip" else b""
    if name.endswith(("gz", "xz")):
        data = make_tar(content, f"w:{name[-2:]}")
    elif name.endswith("zst"):
        data = zstandard.compress(make_tar(content))
    with pytest.raises(InputError, match=f"{name} unpacks to more than 200 times its size"):
        read(data, name)


def test_a_zip_archive_whose_list_lies_about_its_sizes_is_damaged() -> None:
    data = make_zip({"a.txt": b"x" * 100_000})
    lied = data.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with pytest.raises(InputError, match=r"Could not unpack a\.zip/a\.txt: .*CRC"):
        read(lied, "a.zip")


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_numbers_and_sizes_are_limited(name: str) -> None:
    files = {f"{number}.txt": b"x" * 100 for number in range(5)}
    data = make_zip(files) if name == "a.zip" else make_tar(files)
    with pytest.raises(InputError, match=f"{name} holds more than 4 files"):
        read(data, name, ReadSession(limits=ReadLimits(archive_members=4)))
    with pytest.raises(InputError, match=f"{name} unpacks to (500 bytes. Expected at most 400|more than 400 bytes)"):
        read(data, name, ReadSession(limits=ReadLimits(archive_bytes=400)))


def test_archives_in_archives_are_read_to_a_depth() -> None:
    data = make_zip({"x.txt": b"deep"})
    for level in range(2):
        data = make_zip({f"in{level}.zip": data, f"{level}.txt": b"level"})
    assert read(data, "a.zip") == {"1.txt": b"level", "in1.zip/0.txt": b"level", "in1.zip/in0.zip/x.txt": b"deep"}
    session = ReadSession(1, limits=ReadLimits(archive_depth=2))
    assert set(read(data, "a.zip", session)) == {"1.txt", "in1.zip/0.txt"}
    assert "an archive in 2 others. Expected at most 2 levels" in str(session.first_error)


def test_an_archive_that_holds_itself_ends() -> None:
    data = make_tar({"x.txt": b"x"})
    for _ in range(50):
        data = make_tar({"in.tar": data})
    with pytest.raises(InputError, match="an archive in 3 others. Expected at most 3 levels"):
        read(data, "a.tar")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.zip", b"not", "Could not read a.zip as a zip archive"),
        ("a.tar", b"x" * 2000, "Could not read a.tar as a tar archive"),
        ("a.tar.gz", b"not", "Could not unpack a.tar.gz: Not a gzipped file"),
        ("a.tar", make_tar({"a.txt": b"x" * 3000})[:1500], "unexpected end of data"),
    ],
)
def test_a_damaged_archive_is_refused(name: str, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(data, name)


def test_a_tar_archive_of_many_files_takes_little_memory() -> None:
    import tracemalloc

    data = make_tar({f"folder/{number}.txt": b"x" for number in range(4_000)})
    tracemalloc.start()
    assert sum(1 for _ in read_archive(memory_file("a.tar", data), ReadSession())) == 4_000
    assert tracemalloc.get_traced_memory()[1] < 500_000
    tracemalloc.stop()
