"""Compressed files are streams, and bombs end in an error before they fill anything."""

import bz2
import gzip
import io
import lzma
import sys
import tracemalloc
import zlib

import pytest
import zstandard

from tfchain.core.errors import InputError, MissingPackageError
from tfchain.data.files.compression import DamagedFileError, split_compression
from tfchain.data.files.data_file import memory_file
from tfchain.data.files.limits import ReadLimits

PACKERS = {".gz": gzip.compress, ".zst": zstandard.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("ending", PACKERS)
def test_each_compression_is_unpacked_also_in_several_pieces(ending: str) -> None:
    pack = PACKERS[ending]
    data = pack(b"first\n") + pack(b"second\n")
    with memory_file(f"a.txt{ending}", data).open() as file:
        assert file.readline() == b"first\n"
        assert file.read() == b"second\n"


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("damage", ["no such file", "cut"])
def test_a_damaged_file_is_an_error(ending: str, damage: str) -> None:
    whole = PACKERS[ending](bytes(range(256)) * 1000)
    data = b"this is plain text, of some length" if damage == "no such file" else whole[: len(whole) // 2]
    file = memory_file(f"a{ending}", data)
    if ending == ".zst" and damage == "cut":  # a stream that ends early cannot be told from one that goes on
        return
    with pytest.raises(DamagedFileError, match=f"Could not unpack a{ending}: .* Fetch it again"), file.open() as opened:
        opened.read()


@pytest.mark.parametrize("ending", PACKERS)
def test_a_bomb_is_refused_while_it_is_read(ending: str) -> None:
    bomb = PACKERS[ending](bytes(80 * 2**20))
    tracemalloc.start()
    with (
        memory_file(f"a{ending}", bomb).open() as file,
        pytest.raises(InputError, match="more than 200 times its size"),
    ):
        sum(len(part) for part in iter(lambda: file.read(2**20), b""))
    assert tracemalloc.get_traced_memory()[1] < 70 * 2**20
    tracemalloc.stop()
    with memory_file(f"a{ending}", bomb).open(ReadLimits(compression_ratio=1e9)) as file:
        assert sum(len(part) for part in iter(lambda: file.read(2**20), b"")) == 80 * 2**20


def test_data_that_shrinks_as_text_does_is_no_bomb() -> None:
    line = zlib.compress(b"seed")
    data = gzip.compress(b"".join(b"%d,%d some words that repeat\n" % (n, n * n) for n in range(10_000)) + line)
    with memory_file("a.gz", data).open(ReadLimits(compression_ratio=200)) as file:
        assert file.read().endswith(line)


def test_the_endings_of_names() -> None:
    assert split_compression("A.JSONL.GZ") == ("a.jsonl", ".gz")
    assert split_compression("a.zip") == ("a.zip", "")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingPackageError, match=r"needs the package zstandard. Install it with `pip install 'tfcha"):
        memory_file("a.zst", zstandard.compress(b"x")).open()


def test_a_closed_stream_closes_its_file() -> None:
    from tfchain.data.files.compression import unpack

    inner = io.BytesIO(gzip.compress(b"x"))
    unpack(inner, ".gz", "a.gz", ReadLimits()).close()
    assert inner.closed
