"""Each format becomes Markdown, with headings, lists, tables and a title."""

import pytest

from tests.data.extraction.make_files import (
    HTML,
    looping_pdf,
    make_docx,
    make_epub,
    make_pdf,
    make_pptx,
    make_xlsx,
    replace_part,
)
from tfchain.core.errors import InputError
from tfchain.data.extraction.books import extract_epub
from tfchain.data.extraction.html import decode_html, extract_html
from tfchain.data.extraction.pdf import extract_pdf
from tfchain.data.extraction.sheets import extract_xlsx
from tfchain.data.extraction.slides import extract_pptx
from tfchain.data.extraction.word import extract_docx
from tfchain.data.files.limits import ReadLimits

LIMITS = ReadLimits()


def test_a_page_is_its_main_text_without_navigation() -> None:
    found = extract_html(HTML.encode(), LIMITS)
    assert found.title == "Cats"
    lines = [line.rstrip() for line in found.text.splitlines() if line.strip()]
    assert lines == [
        "# Cats",
        "Cats sleep for most of the day, and hunt at dawn & dusk. Nobody knows why they purr.",
        "## Food",
        *("- fish", "- mice", "  - field mice"),
        *("| Name | Age |", "|---|---|", "| Mia | 7 |"),
        *("```", "purr()", "sleep()", "```"),
    ]


def test_a_page_without_a_main_text_gives_all_of_it() -> None:
    assert extract_html(b"<p>tiny</p><p>page</p>", LIMITS).text == "tiny\n\npage"
    assert extract_html(b"", LIMITS).text == ""
    assert extract_html(b"<html><body></body></html>", LIMITS).text == ""


@pytest.mark.parametrize(
    ("page", "encoding", "text"),
    [
        ('<meta charset="gb2312"><p>北京</p>', "gb2312", "北京"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><p>Москва</p>', "cp1251", "Москва"),
        ("<p>déjà vu</p>", "utf-8-sig", "déjà vu"),
        ('<meta charset="latin-1"><p>déjà vu</p>', "utf-8", "déjà vu"),  # what it says is wrong
        ('<meta charset="no-such"><p>Le château est fermé, été comme hiver</p>', "cp1252", "château est fermé, été"),
        ("<p>北京</p>", "utf-16", "北京"),
    ],
)
def test_a_page_is_read_in_its_own_encoding(page: str, encoding: str, text: str) -> None:
    assert text in decode_html(page.encode(encoding))


def test_a_pdf_has_the_places_where_its_pages_begin() -> None:
    found = extract_pdf(make_pdf("first page", "", "third\npage", title="Paper"), LIMITS)
    assert found.title == "Paper"
    assert found.text == "first page\n\nthird\npage"
    assert found.page_starts == [0, 12, 12]  # the empty page begins where the third does


def test_a_word_cut_at_the_end_of_a_pdfs_line_is_whole() -> None:
    assert extract_pdf(make_pdf("a well-\nknown com-\nputer of A-\nB"), LIMITS).text == "a wellknown computer of A-\nB"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a whole PDF"),
        (b"%PDF-1.4 nothing more", "not a whole PDF"),
        (looping_pdf(), "not a whole PDF: Detected cyclic page references"),
    ],
)
def test_a_damaged_pdf_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        extract_pdf(data, LIMITS)


def test_a_pdf_with_a_password_is_refused_and_one_with_an_empty_password_is_read() -> None:
    import io

    from pypdf import PdfReader, PdfWriter

    for user_password, is_read in (("", True), ("secret", False)):
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(make_pdf("hidden text"))))
        writer.encrypt(user_password, owner_password="owner", algorithm="RC4-128")
        file = io.BytesIO()
        writer.write(file)
        if is_read:
            assert extract_pdf(file.getvalue(), LIMITS).text == "hidden text"
        else:
            with pytest.raises(InputError, match="needs a password. Expected a PDF that opens without"):
                extract_pdf(file.getvalue(), LIMITS)


def test_too_many_pages_are_refused() -> None:
    with pytest.raises(InputError, match="has 3 pages. Expected at most 2"):
        extract_pdf(make_pdf("a", "b", "c"), ReadLimits(pages=2))


def test_a_word_document_is_markdown() -> None:
    found = extract_docx(make_docx(), LIMITS)
    assert found.title == "Dogs"
    assert found.text == (
        "# Dogs\n\nDogs bark.\n\n## Kinds\n\n- poodle\n- beagle\n\n"
        "| Name | Age |\n| --- | --- |\n| Rex | 3 |\n\n狗很忠诚。"
    )
    assert extract_docx(make_docx(title="All about dogs"), LIMITS).title == "All about dogs"


def test_a_presentation_is_markdown_with_the_places_where_its_slides_begin() -> None:
    found = extract_pptx(make_pptx(), LIMITS)
    first = "## Birds\n\n- They fly\n- They sing\n\n"
    assert found.text == (f"{first}## Sizes\n\n| Bird | cm |\n| --- | --- |\n| wren | 10 |\n\nMention the eagle.")
    assert found.page_starts == [0, len(first)]
    assert found.title in ("Birds", "PowerPoint Presentation")  # the template's own properties


def test_a_workbook_is_a_table_for_each_sheet() -> None:
    rows = [["Name", "Weight|kg"], ["Mia", 4.5], [None, None], ["Rex\nthe dog", 30, "extra"]]
    data = make_xlsx({"Cats": rows, "Empty": [], "More": [["only"]]}, title="Pets")
    found = extract_xlsx(data, LIMITS)
    assert found.title == "Pets"
    assert found.text == (
        "## Cats\n\n| Name | Weight\\|kg |\n| --- | --- |\n| Mia | 4.5 |\n| Rex the dog | 30 | extra |\n\n"
        "## More\n\n| only |\n| --- |"
    )


def test_a_workbook_of_more_rows_than_a_block_is_one_table() -> None:
    text = extract_xlsx(make_xlsx({"S": [["n"], *([number] for number in range(1200))]}), LIMITS).text
    assert text == "## S\n\n| n |\n| --- |\n" + "\n".join(f"| {number} |" for number in range(1200))


def test_a_book_is_its_chapters_in_reading_order() -> None:
    data = make_epub(["<h1>One</h1><p>It was <i>dark</i>.<br/>Very.</p>", "<h1>Two</h1><ol><li>a</li><li>b</li></ol>"])
    found = extract_epub(data, LIMITS)
    assert found.title == "A book"
    assert found.text == "# One\n\nIt was dark.\nVery.\n\n# Two\n\n1. a\n2. b"


def test_a_book_cannot_refer_to_files_outside_it() -> None:
    with pytest.raises(InputError, match=r"not a whole book: it has no '\.\./\.\./\.\./etc/passwd'"):
        extract_epub(make_epub(["<p>x</p>"], path="../../../../etc/passwd"), LIMITS)
    with pytest.raises(InputError, match=r"it has no '/etc/passwd'"):
        extract_epub(make_epub(["<p>x</p>"], path="/etc/passwd"), LIMITS)


def test_a_book_without_a_package_is_refused() -> None:
    with pytest.raises(InputError, match="container.xml names no package"):
        extract_epub(replace_part(make_epub(["<p>x</p>"]), "META-INF/container.xml", b"<container/>"), LIMITS)


@pytest.mark.parametrize(
    ("extract", "data", "message"),
    [
        (extract_docx, make_xlsx({"S": [["x"]]}), "not a Word document"),
        (extract_pptx, make_xlsx({"S": [["x"]]}), "not a presentation"),
        (extract_xlsx, make_docx(), "not a workbook"),
        (extract_epub, make_docx(), "not a whole book"),
        (extract_docx, b"PK not", "not a zip archive"),
    ],
)
def test_a_file_of_another_kind_is_refused(extract: object, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        extract(data, LIMITS)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("extract", "data"),
    [
        (extract_html, HTML.encode()),
        (extract_pdf, make_pdf("a page of text")),
        (extract_docx, make_docx()),
        (extract_pptx, make_pptx()),
        (extract_xlsx, make_xlsx({"S": [["some words"]]})),
        (extract_epub, make_epub(["<p>some words</p>"])),
    ],
    ids=["html", "pdf", "docx", "pptx", "xlsx", "epub"],
)
def test_too_much_text_is_refused(extract: object, data: bytes) -> None:
    with pytest.raises(InputError, match="more than 5 characters of text. Expected fewer"):
        extract(data, ReadLimits(characters=5))  # type: ignore[operator]
