"""Text is extracted in a process that files cannot take down, and that files cannot use."""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.extraction.make_files import HTML, make_docx, make_pdf, slow_pdf
from tfchain.core.errors import InputError, MissingPackageError
from tfchain.data.extraction import extractor as extractor_module
from tfchain.data.extraction.extractor import Extractor
from tfchain.data.files.data_file import memory_file, to_file
from tfchain.data.files.limits import ReadLimits
from tfchain.runtime.child_process import make_python_command


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with Extractor() as made:
        yield made


def test_files_of_all_kinds_are_extracted_by_one_process(extractor: Extractor, tmp_path: Path) -> None:
    (tmp_path / "a.PDF").write_bytes(make_pdf("on paper", title="P"))
    assert extractor.extract(to_file(tmp_path / "a.PDF")).page_starts == [0]
    process = extractor._process
    assert extractor.extract(memory_file("a.docx", make_docx())).title == "Dogs"
    assert "hunt at dawn" in extractor.extract(memory_file("a.html", HTML.encode())).text
    assert extractor._process is process


def test_a_broken_file_is_an_error_with_its_name_and_the_process_goes_on(extractor: Extractor) -> None:
    with pytest.raises(InputError, match=r"^docs/a\.docx: not a zip archive"):
        extractor.extract(memory_file("docs/a.docx", b"no"))
    assert extractor.extract(memory_file("b.pdf", make_pdf("fine"))).text == "fine"


def test_a_file_that_takes_too_long_costs_its_process_and_the_next_file_gets_a_new_one() -> None:
    with Extractor(ReadLimits(seconds=2)) as made:
        start = time.monotonic()
        with pytest.raises(InputError, match=r"^slow\.pdf: no text after 2 seconds. .* its process was killed"):
            made.extract(memory_file("slow.pdf", slow_pdf()))
        assert time.monotonic() - start < 10
    with Extractor() as made:
        assert made.extract(memory_file("b.pdf", make_pdf("next"))).text == "next"


def test_a_file_that_is_too_large_is_not_sent(extractor: Extractor) -> None:
    with Extractor(ReadLimits(file_bytes=10)) as made:
        with pytest.raises(InputError, match=r"a\.pdf is larger than 10 bytes"):
            made.extract(memory_file("a.pdf", b"%PDF" * 5))
        assert made._process is None


# What a hostile file might make a library do, in the place of the extractor of .pdf files.
HOSTILE = """
import sys, json
import tfchain.data.extraction.worker as worker
import tfchain.data.extraction.pdf as pdf
from tfchain.data.extraction.extracted import Extracted
def extract_pdf(data, limits):
    before = sorted(sys.modules)
    {body}
pdf.extract_pdf = extract_pdf
worker.main()
"""


def hostile(body: str, limits: ReadLimits, monkeypatch: pytest.MonkeyPatch) -> Extractor:
    """An extractor whose process runs other code for .pdf files."""
    program = HOSTILE.replace("{body}", body)
    monkeypatch.setattr(extractor_module, "make_python_command", lambda *_: make_python_command("-c", program))
    return Extractor(limits)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x = bytearray(3 * 2**30)", "needs more than .* bytes of memory"),
        ("import os; os._exit(7)", r"the process that reads it ended \(code 7\)"),
        ("import os, signal; os.abort()", r"the process that reads it ended \(SIGABRT\)"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "PermissionError: an extractor may not do this"),
        ("import subprocess; subprocess.run(['true'])", "may not do this: subprocess.Popen"),
        ("import os; os.fork()", "may not do this: os.fork"),
        ("open('{path}', 'w')", "may not do this: open"),
        ("open('{path}', 'r+b')", "may not do this: open"),
        ("import os; os.open('{path}', os.O_CREAT | os.O_WRONLY)", "may not do this: open"),
        ("import os; os.remove('{path}')", "may not do this: os.remove"),
        ("f = lambda: f(); f()", "nested too deep"),
        ("raise ZeroDivisionError('odd')", "damaged: ZeroDivisionError: odd"),
        ("return Extracted('x' * 50_000_000)", "the process that reads it ended"),
    ],
)
def test_what_a_file_could_make_a_library_do_ends_in_an_error(
    body: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "victim.txt"
    path.write_text("safe")
    limits = ReadLimits(memory_bytes=2**30, characters=1000)
    made = hostile(body.replace("{path}", str(path)), limits, monkeypatch)
    with made, pytest.raises(InputError, match=rf"^a\.pdf: .*{message}"):
        made.extract(memory_file("a.pdf", b"%PDF"))
    assert path.read_text() == "safe"


def test_the_process_prints_nothing_into_its_answers_and_imports_no_tensorflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = "print('noise'); sys.stderr.write('noise'); return Extracted(','.join(before))"
    with hostile(body, ReadLimits(), monkeypatch) as made:
        modules = made.extract(memory_file("a.pdf", b"%PDF")).text.split(",")
    assert "json" in modules
    assert not {"tensorflow", "keras", "transformers", "numpy"} & set(modules)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "from tfchain.core.errors import MissingPackageError; raise MissingPackageError('needs pypdf')"
    made = hostile(body, ReadLimits(), monkeypatch)
    with made, pytest.raises(MissingPackageError, match=r"a\.pdf: needs pypdf"):
        made.extract(memory_file("a.pdf", b"%PDF"))


@pytest.mark.parametrize(
    ("module", "function", "package"),
    [
        ("pdf", "extract_pdf", "pypdf"),
        ("html", "extract_html", "trafilatura"),
        ("word", "extract_docx", "docx"),
        ("slides", "extract_pptx", "pptx"),
        ("sheets", "extract_xlsx", "openpyxl"),
        ("books", "extract_epub", "lxml"),
    ],
)
def test_each_door_says_what_to_install(
    module: str, function: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    extract = getattr(importlib.import_module(f"tfchain.data.extraction.{module}"), function)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=r"needs the package .* `pip install 'tfchain\[data\]'`"):
        extract(b"", ReadLimits())


def test_threads_share_an_extractor(extractor: Extractor) -> None:
    texts: dict[int, str] = {}

    def read(number: int) -> None:
        texts[number] = extractor.extract(memory_file("a.pdf", make_pdf(f"number {number}"))).text

    threads = [threading.Thread(target=read, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert texts == {number: f"number {number}" for number in range(6)}


def test_a_closed_extractor_has_no_process_and_starts_a_new_one_when_asked() -> None:
    made = Extractor()
    made.extract(memory_file("a.html", b"<p>x</p>"))
    process = made._process
    made.close()
    assert process is not None
    assert process.poll() == 0
    assert made.extract(memory_file("a.html", b"<p>x</p>")).text == "x"
    made.close()
