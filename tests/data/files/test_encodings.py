"""Texts that are not UTF-8 are recognized, and damaged UTF-8 is not taken for something else."""

import pytest

from tfchain.core.errors import InputError
from tfchain.data.files.data_file import memory_file
from tfchain.data.files.encodings import find_encoding, recode
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.lines import read_any_text
from tfchain.data.files.read_session import ReadSession

TEXTS = {
    "cp1252": "Le « château » est fermé… l’été à côté de la forêt — c’est très beau. Größe, Straße, año.",
    "latin-1": "Die Straße führt über die Brücke nach Köln. Größere Schäden wurden nicht gemeldet.",
    "gb18030": "北京大学是中国最著名的大学之一，位于北京市海淀区。学校成立于一八九八年。",
    "big5": "臺北市是中華民國的首都，位於臺灣北部。國立臺灣大學位於此處。",
    "shift_jis": "東京は日本の首都であり、世界最大の都市の一つです。ひらがなとカタカナ。",
    "euc_kr": "서울특별시는 대한민국의 수도이자 최대 도시이다. 한강이 흐른다.",
    "cp1251": "Москва является столицей России, крупнейшим городом страны.",
    "iso8859-7": "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας και η μεγαλύτερη πόλη.",
    "cp1250": "Zażółć gęślą jaźń. Warszawa jest stolicą Polski i największym miastem.",
    "cp1254": "İstanbul Türkiye'nin en kalabalık şehridir, güneş doğdu.",
    "utf-16": "A text with a mark, 有标记",
    "utf-32": "A text with a mark, 有标记",
    "utf-16-le": "A text without a mark, as Windows writes it.",
    "utf-16-be": "A text without a mark, as Windows writes it.",
    "utf-8-sig": "A text with UTF-8's mark, été",
    "utf-8": "été 有",
}


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("times", [1, 300])
def test_a_text_is_read_in_its_encoding(encoding: str, times: int) -> None:
    session = ReadSession()
    text = TEXTS[encoding] * times
    assert read_any_text(memory_file("a.txt", text.encode(encoding)), session) == text
    assert bool(session._encodings) is not encoding.startswith("utf-8")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("café", "cp1252"),
        ("Größe", "cp1252"),
        ("niño español", "cp1252"),
        ("Привет, мир", "cp1251"),
        ("北京", "gb18030"),
        ("你好", "gb18030"),
        ("钥匙丢失者须支付新锁的费用。", "gb18030"),  # to charset-normalizer, Thai
        ("모든기다리고있습니다", "cp949"),
        ("Москва столица", "cp1251"),
        ("ค่าเช่าต้องชำระภายในวันที่สามของเดือน", "cp874"),
    ],
)
def test_a_few_letters_are_read_in_the_usual_encoding(text: str, encoding: str) -> None:
    assert find_encoding(text.encode(encoding)) == encoding


@pytest.mark.parametrize(
    "data",
    [
        "Zwei Fehler in gutem UTF-8: é, ü, 有".encode() + b"\xff\xfe",
        b"\xef\xbb\xbfwith a mark, and a broken byte \xe9",
        "ж".encode() * 20 + b"\xd0",
        "Москва является столицей России".encode() + b" \xff\xfe",
        "房租每月三号之前付清".encode() + b" \xff\xfe",
    ],
)
def test_damaged_utf8_is_not_read_as_something_else(data: bytes) -> None:
    assert find_encoding(data) == "utf_8"
    with pytest.raises(InputError, match=r"^a\.txt:1: not UTF-8: byte"):
        read_any_text(memory_file("a.txt", data), ReadSession())


def test_a_beginning_may_end_within_a_character() -> None:
    assert find_encoding("有".encode()[:2], is_cut=True) == "utf_8"
    assert find_encoding(b"caf\xe9") == "cp1252"


def test_what_is_no_text_is_refused() -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
    with pytest.raises(InputError, match=r"^a\.txt: not a text: in no encoding do its bytes look like one"):
        read_any_text(memory_file("a.txt", picture), ReadSession())


def test_a_text_that_is_too_large_is_refused_before_it_is_read_whole() -> None:
    with pytest.raises(InputError, match=r"a\.txt is larger than 10 bytes"):
        read_any_text(memory_file("a.txt", b"x" * 11), ReadSession(limits=ReadLimits(file_bytes=10)))


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_stream_is_recoded_whatever_is_read_at_once(size: int) -> None:
    import io

    text = "北京，東京\n" * 50_000
    with recode(io.BytesIO(text.encode("gb18030")), "gb18030", "a.csv") as file:
        parts = [file.read(size) for _ in range(3)] + [file.read()]
    assert b"".join(parts).decode() == text


def test_a_stream_that_is_not_what_it_looked_like_is_an_error() -> None:
    import io

    file = recode(io.BytesIO(b"\x81"), "gb18030", "a.csv")
    with file, pytest.raises(InputError, match="a.csv: not gb18030, which it looks like: incomplete"):
        file.read()
