"""Lines are read one at a time, however long, and a broken one does not end the file."""

import gzip
import tracemalloc
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.data.files.data_file import memory_file
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.lines import BadLineError, LineReader, read_lines
from tfchain.data.files.read_session import ReadSession
from tfchain.data.files.tables import read_cells

SMALL = ReadLimits(line_bytes=20)


def test_lines_end_at_line_feeds_only() -> None:
    data = "\ufeffa\u2028b\nc\r\nd".encode()
    assert list(read_lines(memory_file("a", data))) == [(1, "a\u2028b\n"), (2, "c\r\n"), (3, "d")]


def test_a_line_that_is_too_long_or_not_utf8_is_one_broken_record() -> None:
    data = b"good\n" + b"x" * 100 + b"\nbad \xff\nlast" + b"y" * 30
    session = ReadSession(3, limits=SMALL)
    assert list(read_lines(memory_file("a.jsonl", data), session)) == [(1, "good\n")]
    assert session.broken == 3
    with pytest.raises(InputError, match=r"^a\.jsonl:2: a line or row of 101 bytes. Expected at most 20"):
        list(read_lines(memory_file("a.jsonl", data), ReadSession(limits=SMALL)))


def test_memory_does_not_grow_with_a_line_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "')
        file.truncate(2**27)  # a sparse file: NULs that take no room on disk
        file.seek(0, 2)
        file.write(b'"}\n{"text": "after"}\n')
    session = ReadSession(1, limits=ReadLimits(line_bytes=2**20))
    tracemalloc.start()
    assert [number for number, _ in read_lines(path, session)] == [2]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * 2**20
    assert "a line or row of 134,217,731 bytes. Expected at most 1,048,576" in str(session.first_error)


def test_a_row_of_many_lines_is_bounded_as_a_line_is() -> None:
    data = b'text\n"' + b"line\n" * 50 + b'"\nafter\n'
    rows = read_cells(memory_file("a.csv", data), lambda names, _: names, ReadSession(100, limits=SMALL))
    with pytest.raises(InputError, match=r"a\.csv:5: a line or row of 21 bytes.* The rows after it are not read"):
        list(rows)


def test_a_row_of_several_lines_with_a_broken_byte_is_one_broken_record() -> None:
    session = ReadSession(1)
    data = b'text\n"one\nbro\xffken\nthree"\nafter\n'
    rows = [row["text"] for _, row in read_cells(memory_file("a.csv", data), lambda names, _: names, session)]
    assert rows == ["after"]
    assert "a.csv:3: not UTF-8" in str(session.first_error)


def test_the_reader_goes_on_after_a_bad_line() -> None:
    with LineReader(memory_file("a", b"\xff\nb\n"), ReadSession()) as lines:
        with pytest.raises(BadLineError, match="^a:1: not UTF-8"):
            next(lines)
        assert next(lines) == (2, "b\n")


def test_the_encoding_of_a_table_is_found_and_named(caplog: pytest.LogCaptureFixture) -> None:
    data = "编号,正文\n" + "一,北京大学是中国最著名的大学之一\n" * 3
    session = ReadSession()
    rows = [row for _, row in read_cells(memory_file("a.csv", data.encode("gb18030")), lambda names, _: names, session)]
    assert rows == [{"编号": "一", "正文": "北京大学是中国最著名的大学之一"}] * 3
    session.finish()
    assert "Read 1 file as gb18030, which is not UTF-8; the first is a.csv." in caplog.text


def test_a_table_with_a_few_odd_bytes_is_utf8_with_broken_rows() -> None:
    session = ReadSession(1)
    data = "text\nété\n".encode() + b"caf\xe9\nlast\n"
    rows = [row["text"] for _, row in read_cells(memory_file("a.csv", data), lambda names, _: names, session)]
    assert rows == ["été", "last"]
    assert "a.csv:3: not UTF-8: byte 0xe9" in str(session.first_error)


def test_lines_of_a_wrong_encoding_name_the_one_they_look_like() -> None:
    data = '{"text": "北京大学是中国最著名的大学之一，位于北京市"}\n'.encode("gb18030")
    with pytest.raises(InputError, match=r"iconv -f GB18030 -t UTF-8 OLD > NEW` \(it looks like gb18030\)"):
        list(read_lines(memory_file("a.jsonl", data)))


def test_a_damaged_file_says_how_far_it_could_be_read() -> None:
    data = gzip.compress(b"line\n" * 100_000, mtime=0)[:-20]
    lines = read_lines(memory_file("a.jsonl.gz", data))
    with pytest.raises(InputError, match=r"Could not unpack a\.jsonl\.gz after line [0-9]+: .*Expected a whole gzip"):
        list(lines)
