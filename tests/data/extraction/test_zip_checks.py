"""Bombs and entities in files that are zip archives are refused before a library unpacks them."""

import pytest

from tests.data.extraction.make_files import make_docx, make_zip, replace_part
from tfchain.core.errors import InputError
from tfchain.data.extraction.word import extract_docx
from tfchain.data.extraction.zip_checks import open_checked
from tfchain.data.files.limits import ReadLimits

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;&lol;">]>
<w:document xmlns:w="x">&lol1;</w:document>"""
FILE_ENTITY = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><w:document xmlns:w="x">&x;</w:document>'


@pytest.mark.parametrize(
    "content", [LAUGHS, FILE_ENTITY, LAUGHS.replace(b'<?xml version="1.0"?>', b"").decode().encode("utf-16")]
)
def test_declared_entities_are_refused(content: bytes) -> None:
    data = replace_part(make_docx(), "word/document.xml", content)
    with pytest.raises(InputError, match="declares an XML entity in 'word/document.xml', which files of this kind"):
        extract_docx(data, ReadLimits())


def test_an_entity_at_the_border_of_two_chunks_is_found() -> None:
    for shift in range(8):
        content = b" " * (2**20 - shift) + b"<!ENTITY x 'y'>"
        with pytest.raises(InputError, match="declares an XML entity"):
            open_checked(make_zip({"a.xml": content}), ReadLimits())


def test_a_bomb_is_refused_by_its_ratio_and_by_its_size() -> None:
    bomb = make_zip({"word/media/image.bin": bytes(80 * 2**20)})
    assert len(bomb) < 100_000
    with pytest.raises(InputError, match="unpacks to 83,886,080 bytes, from .* and 200 times its size"):
        open_checked(bomb, ReadLimits())
    with pytest.raises(InputError, match="Expected at most 1,000,000"):
        open_checked(make_zip({"a.bin": bytes(1_000_001)}), ReadLimits(unpacked_bytes=1_000_000))
    open_checked(bomb, ReadLimits(compression_ratio=2000)).close()


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(InputError, match="holds 3 parts. Expected at most 2"):
        open_checked(make_zip({"a": "", "b": "", "c": ""}), ReadLimits(archive_members=2))
