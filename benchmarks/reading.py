"""How fast documents are read, by format.

    .venv/bin/python benchmarks/reading.py ../shared/data

Writes the first SQuAD paragraphs as files of each format into a temporary folder, reads them with `read_documents`, and
prints a table: documents, megabytes of text, documents and megabytes per second of processor time (of this process and
the extractor's, its start included), and the peak memory of Python objects in this process.
"""

import argparse
import gzip
import json
import platform
import resource
import sys
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow
import zstandard
from pyarrow import parquet

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.data.extraction.make_files import make_epub, make_xlsx, saved
from tfchain.data.documents.reading import read_documents

MANY, FEW = 10_000, 100
Documents = list[dict[str, str]]


def read_texts(data: Path, name: str = "squad_dev") -> Documents:
    """The paragraphs of SQuAD or CMRC 2018, over and over."""
    with open(data / name / "corpus.jsonl", encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    return [{**found[number % len(found)], "_id": str(number)} for number in range(MANY)]


def write_lines(documents: Documents) -> bytes:
    """The documents as JSON lines."""
    return "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents).encode()


def write_cells(documents: Documents) -> bytes:
    """The documents as comma-separated cells."""
    rows = [["id", "title", "text"], *([one["_id"], one.get("title", ""), one["text"]] for one in documents)]
    return "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows).encode()


def to_html(document: dict[str, str]) -> bytes:
    """A page with navigation around its text."""
    links = "".join(f'<li><a href="/{number}">Page {number}</a></li>' for number in range(30))
    return (
        f"<html><head><title>{document['title']}</title></head><body><nav><ul>{links}</ul></nav><main>"
        f"<h1>{document['title']}</h1><p>{document['text']}</p></main><footer>terms</footer></body></html>"
    ).encode()


def to_pdf(document: dict[str, str]) -> bytes:
    """A page of paper."""
    import io

    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file)
    words = document["text"].encode("latin-1", "replace").decode("latin-1").split()
    for line in range(0, len(words), 12):
        canvas.drawString(60, 780 - 14 * (line // 12), " ".join(words[line : line + 12]))
    canvas.save()
    return file.getvalue()


def to_docx(document: dict[str, str]) -> bytes:
    """A Word document."""
    import docx

    made = docx.Document()
    made.add_heading(document["title"], 1)
    made.add_paragraph(document["text"])
    return saved(made)


def to_pptx(document: dict[str, str]) -> bytes:
    """A slide."""
    import pptx

    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[1])
    slide.shapes.title.text = document["title"]
    slide.placeholders[1].text_frame.text = document["text"]
    return saved(made)


FILES: dict[str, Callable[[dict[str, str]], bytes]] = {
    "md": lambda one: f"# {one['title']}\n\n{one['text']}".encode(),
    "html": to_html,
    "pdf": to_pdf,
    "docx": to_docx,
    "pptx": to_pptx,
    "xlsx": lambda one: make_xlsx({"S": [["title", "text"], [one["title"], one["text"]]]}),
    "epub": lambda one: make_epub([f"<h1>{one['title'].replace('&', '+')}</h1><p>{one['text'].replace('&', '+')}</p>"]),
}


def sources(folder: Path, documents: Documents, chinese: Documents) -> Iterator[tuple[str, Path]]:
    """Writes the documents in each format, and yields its name and path."""
    lines, few = write_lines(documents), documents[:FEW]
    written = {
        "jsonl": lines,
        "jsonl.gz": gzip.compress(lines, 6),
        "jsonl.zst": zstandard.compress(lines),
        "csv": write_cells(documents),
        "csv, Chinese in GB18030": write_cells(chinese).decode().encode("gb18030"),
    }
    for name, data in written.items():
        path = folder / f"{name.replace(', ', '-')}.{name.partition(',')[0]}"
        path.write_bytes(data)
        yield name, path
    parquet.write_table(pyarrow.Table.from_pylist(documents), folder / "d.parquet")
    yield "parquet", folder / "d.parquet"
    with zipfile.ZipFile(folder / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for one in documents[: FEW * 20]:
            archive.writestr(f"{one['_id']}.txt", one["text"])
    yield "zip of txt", folder / "d.zip"
    for ending, make in FILES.items():
        (folder / ending).mkdir()
        for one in few:
            (folder / ending / f"{one['_id']}.{ending}").write_bytes(make(one))
        yield f"folder of {ending}", folder / ending


def processor_seconds() -> float:
    """The processor time of this process and of those that it has ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measure(path: Path) -> tuple[int, int, float, float]:
    """Documents, characters, processor seconds, and peak megabytes of Python objects."""
    start, count, size = processor_seconds(), 0, 0
    for document in read_documents(path):
        count += 1
        size += len(document.text)
    seconds = processor_seconds() - start
    tracemalloc.start()
    sum(1 for _ in islice(read_documents(path), 1000))
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return count, size, seconds, peak


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of data sets")
    data = parser.parse_args().data
    documents, chinese = read_texts(data), read_texts(data, "cmrc2018")
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        processor = next((line.partition(": ")[2].strip() for line in file if line.startswith("model name")), "")
    print(f"Python {platform.python_version()}, {processor}\n")
    print("| format | documents | MB of text | documents/s | MB/s | peak MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        for kind, path in sources(Path(name), documents, chinese):
            count, size, seconds, peak = measure(path)
            print(
                f"| {kind} | {count:,} | {size / 1e6:.2f} | {count / seconds:,.0f} | {size / 1e6 / seconds:.2f} | "
                f"{peak:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
