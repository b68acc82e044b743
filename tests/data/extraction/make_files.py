"""Small files of each format that text is extracted from."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

HTML = """<html><head><title>Cats - The Site</title><meta charset="utf-8"></head><body>
<nav><a href="/">Home</a> <a href="/all">All pages</a></nav>
<main><h1>Cats</h1><p>Cats sleep for most of the day, and hunt at dawn &amp; dusk. Nobody knows why they purr.</p>
<h2>Food</h2><ul><li>fish</li><li>mice<ul><li>field mice</li></ul></li></ul>
<table><tr><th>Name</th><th>Age</th></tr><tr><td>Mia</td><td>7</td></tr></table>
<pre><code>purr()
sleep()
</code></pre></main><script>alert("no")</script><footer>Copyright, cookies and terms</footer></body></html>"""


def make_pdf(*pages: str, title: str | None = None) -> bytes:
    """A PDF with a line of text on each page; an empty text makes an empty page."""
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file, invariant=True)
    if title:
        canvas.setTitle(title)
    for page in pages:
        for number, line in enumerate(page.split("\n")):
            canvas.drawString(72, 720 - 20 * number, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def raw_pdf(*objects: bytes) -> bytes:
    """A PDF of the objects 1, 2, …, the first of which is its catalog."""
    data, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return (
        data
        + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
        + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (size, len(data))
    )


def looping_pdf() -> bytes:
    """A PDF whose tree of pages leads back to its root."""
    return raw_pdf(b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>")


def slow_pdf() -> bytes:
    """A PDF of 13 kB whose one page takes pypdf about a minute: 400,000 operators that compress to nothing."""
    content = zlib.compress(b"BT /F1 12 Tf (a) Tj ET\n" * 400_000, 9)
    font = b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    return raw_pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /Resources %s /Contents 4 0 R >>" % font,
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(content), content),
    )


def make_docx(title: str = "") -> bytes:
    """A Word document with a heading, a list, a table and Chinese."""
    import docx

    document = docx.Document()
    document.core_properties.title = title
    document.add_heading("Dogs", 0)
    document.add_paragraph("Dogs bark.")
    document.add_heading("Kinds", 2)
    for name in ("poodle", "beagle"):
        document.add_paragraph(name, style="List Bullet")
    table = document.add_table(2, 2)
    for cell, text in zip([cell for row in table.rows for cell in row.cells], ["Name", "Age", "Rex", "3"], strict=True):
        cell.text = text
    document.add_paragraph("狗很忠诚。")
    return saved(document)


def make_pptx() -> bytes:
    """A presentation of two slides, the first with a list, the second with a table and notes."""
    import pptx
    from pptx.util import Inches

    presentation = pptx.Presentation()
    first = presentation.slides.add_slide(presentation.slide_layouts[1])
    first.shapes.title.text = "Birds"
    frame = first.placeholders[1].text_frame
    frame.text = "They fly"
    frame.add_paragraph().text = "They sing"
    second = presentation.slides.add_slide(presentation.slide_layouts[5])
    second.shapes.title.text = "Sizes"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for number, text in enumerate(["Bird", "cm", "wren", "10"]):
        table.cell(number // 2, number % 2).text = text
    second.notes_slide.notes_text_frame.text = "Mention the eagle."
    return saved(presentation)


def make_xlsx(sheets: Mapping[str, Sequence[Sequence[Any]]], title: str = "") -> bytes:
    """A workbook of sheets."""
    import openpyxl

    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    workbook.properties.title = title
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    return saved(workbook)


def make_epub(chapters: Sequence[str], *, title: str = "A book", path: str = "text/{}.xhtml") -> bytes:
    """A book whose chapters are in the reverse of their names' order, as only the spine says."""
    names = [f"c{len(chapters) - number}" for number in range(len(chapters))]
    items = "".join(
        f'<item id="{name}" href="{path.format(name)}" media-type="application/xhtml+xml"/>' for name in names
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    head = '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">'
    parts = {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "OPS/book.opf": package}
    for name, chapter in zip(names, chapters, strict=True):
        parts[f"OPS/text/{name}.xhtml"] = f"{head}<head><title>x</title></head><body>{chapter}</body></html>"
    return make_zip(parts)


def make_zip(parts: Mapping[str, str | bytes]) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def replace_part(data: bytes, name: str, content: bytes) -> bytes:
    """A zip archive with one part replaced or added."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    return make_zip({**parts, name: content})


def saved(document: Any) -> bytes:
    """What a document's `save` writes."""
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()
