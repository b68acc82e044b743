"""The English texts for the small model: data sets, and the documentation of Python, packages and the system.

SciFact, MovieLens and SQuAD's questions are excluded. A text's hash decides its order and choice, so that an additional
file changes a few texts, not all of them.
"""

import ast
import csv
import gzip
import hashlib
import html
import itertools
import json
import random
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tfchain.data.documents.python_docs import read_python_docs

SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[A-Z0-9\"'(])")
PARAGRAPH = re.compile(r"\n\s*\n")
TAG = re.compile(r"<(script|style).*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
ROFF_FONT = re.compile(r"\\f(\[[^\]]*\]|\(..|.)|\\s[-+]?\d|\\[&|^/,%]|\\\*\(..")
ROFF_CHARACTERS = {"\\-": "-", "\\(aq": "'", "\\(em": " - ", "\\(en": "-", "\\(bu": "", "\\e": "\\", "\\(lq": '"',
                   "\\(rq": '"', "\\ ": " ", "\\(co": "", "\\~": " "}  # fmt: skip
WORD = re.compile(r"[A-Za-z]{2,}")
MOST_CHARACTERS = 1200  # about 256 tokens, the model's maximum length
FEWEST_WORDS, SENTENCE_WORDS = 3, 45
PACKAGE_FILE_BYTES = 1_000_000
MIXED_WORDS = 0.3  # the fraction of replaced words in a mixed text


def gather(shared_data: Path, *, num_texts: int, num_mixed: int, vocabulary: Iterable[str]) -> list[str]:
    """Returns all texts in training order.

    Args:
        shared_data: The folder of data sets.
        num_texts: The number of texts; documentation fills up what the data sets lack.
        num_mixed: The number of additional texts, mixed from these texts and the vocabulary's words, so that training
            also sees words that the texts lack.
        vocabulary: The tokenizer's words.
    """
    data = choose(read_data_sets(shared_data), num_texts)
    documentation = choose(read_documentation(), num_texts - len(data))
    texts = sorted({*data, *documentation}, key=hash_of)
    words = sorted(word for word in vocabulary if word.isascii() and WORD.fullmatch(word))
    return sorted({*texts, *mix(texts[:num_mixed], words)}, key=hash_of)


def hash_of(text: str) -> str:
    """Returns the hash that orders texts."""
    return hashlib.sha256(text.encode()).hexdigest()


def hash_of_all(texts: Iterable[str]) -> str:
    """Returns the hash of a list of texts."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def choose(texts: Iterable[str], most: int) -> list[str]:
    """Returns up to `most` distinct English-looking texts, chosen by hash."""
    distinct = {cleaned for text in texts if (cleaned := clean(text)) is not None}
    return sorted(distinct, key=hash_of)[: max(0, most)]


def clean(text: str) -> str | None:
    """Returns a text as a line of prose, or None if it is something else: code, tables, other scripts."""
    text = " ".join(text.split())[:MOST_CHARACTERS]
    words = text.split()
    letters = sum(character.isascii() and (character.isalpha() or character == " ") for character in text)
    if len(words) < FEWEST_WORDS or letters < 0.8 * len(text) or len(set(words)) < 0.4 * len(words):
        return None
    return text


def cut(paragraph: str) -> Iterator[str]:
    """Yields a paragraph's sentences, and also every fourth paragraph of several sentences as a whole."""
    sentences = SENTENCE.split(" ".join(paragraph.split()))
    for sentence in sentences:
        words = sentence.split()
        for start in range(0, len(words), SENTENCE_WORDS):
            yield " ".join(words[start : start + SENTENCE_WORDS])
    if len(sentences) > 1 and int(hash_of(paragraph)[:8], 16) % 4 == 0:
        yield paragraph


def mix(texts: Iterable[str], words: list[str]) -> Iterator[str]:
    """Yields texts with some words replaced by random words of the vocabulary."""
    for text in texts:
        chance = random.Random(hash_of(text))
        yield " ".join(
            chance.choice(words) if chance.random() < MIXED_WORDS else word for word in text.split()[:SENTENCE_WORDS]
        )


def read_data_sets(shared_data: Path) -> Iterator[str]:
    """Yields questions to a bank, entities, SQuAD's paragraphs, everyday sentences and emoji names."""
    for name in ("train", "test"):
        with (shared_data / "banking77" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            yield from (row["text"] for row in csv.DictReader(file))
        with gzip.open(shared_data / "tatoeba_en_zh" / f"{name}.tsv.gz", "rt", encoding="utf-8") as file:
            yield from (line.split("\t")[0] for line in file)
    for name in ("dbpedia_sub", "squad_dev"):
        with (shared_data / name / "corpus.jsonl").open(encoding="utf-8") as file:
            for line in file:
                document = json.loads(line)
                whole = f"{document.get('title', '')} {document['text']}".replace("@en", " ")
                yield whole
                yield from cut(document["text"].replace("@en", " "))
                yield document.get("title", "")
    with (shared_data / "noto_emoji" / "captions.csv").open(encoding="utf-8", newline="") as file:
        yield from (f"{row['name']} {row['keywords'].replace('|', ' ')}" for row in csv.DictReader(file))


def read_documentation() -> Iterator[str]:
    """Yields paragraphs and sentences from the documentation of Python, installed packages and the system."""
    for document in read_python_docs():
        for paragraph in PARAGRAPH.split(document.text):
            yield from cut(paragraph)
    for text in itertools.chain(read_packages(Path(sysconfig.get_path("purelib"))), read_system()):
        for paragraph in PARAGRAPH.split(text):
            yield from cut(paragraph)


def read_packages(folder: Path) -> Iterator[str]:
    """Yields the docstrings and descriptions of installed packages."""
    for path in sorted(folder.rglob("METADATA")):
        yield path.read_text(encoding="utf-8", errors="ignore")
    for path in sorted(folder.rglob("*.py")):
        if "tests" in path.parts or path.stat().st_size > PACKAGE_FILE_BYTES:
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""


def read_system() -> Iterator[str]:
    """Yields manual pages, and the plain text and HTML in the system's documentation folders."""
    for section in ("man1", "man3", "man5", "man7", "man8"):
        yield from read_folder(Path("/usr/share/man") / section, {"": strip_roff})
    yield from read_folder(Path("/usr/share/doc"), {".txt": str, ".md": str, ".rst": str, ".html": strip_html})
    yield from read_folder(Path("/usr/share/perl"), {".pod": strip_pod, ".pm": strip_pod})


def read_folder(folder: Path, strippers: dict[str, Callable[[str], str]]) -> Iterator[str]:
    """Yields the texts of a folder's files, including packed files, by file name extension."""
    for path in sorted(folder.rglob("*")):
        name = path.name.removesuffix(".gz")
        strip = strippers.get("") or strippers.get(Path(name).suffix)
        if strip is None or path.is_symlink() or not path.is_file() or path.stat().st_size > PACKAGE_FILE_BYTES:
            continue
        content = path.read_bytes()
        try:
            content = gzip.decompress(content) if path.suffix == ".gz" else content
        except (OSError, EOFError):
            continue
        yield strip(content.decode("utf-8", errors="ignore"))


def strip_html(text: str) -> str:
    """Returns the text of HTML, with a paragraph for each block."""
    text = re.sub(r"</?(p|div|li|h\d|td|pre|br)\b[^>]*>", "\n\n", text, flags=re.IGNORECASE)
    return html.unescape(TAG.sub("", text))


def strip_roff(text: str) -> str:
    """Returns the text of a manual page; a macro on its own line ends a paragraph."""
    lines = []
    for line in text.splitlines():
        if line.startswith((".\\", "'\\", ".ie", ".el", ".if", ".de", ".ds", ".nr", ".TH", ".tr", ".rm")):
            continue
        if line.startswith((".B ", ".I ", ".BR ", ".IR ", ".RB ", ".RI ", ".BI ", ".IB ")):
            line = line.split(" ", 1)[1].replace(" ,", ",").replace(" .", ".")
        elif line.startswith((".", "'")):
            line = ""
        for code, character in ROFF_CHARACTERS.items():
            line = line.replace(code, character)
        lines.append(ROFF_FONT.sub("", line))
    return "\n".join(lines)


def strip_pod(text: str) -> str:
    """Returns the paragraphs of Perl's plain old documentation, without commands and code."""
    kept, inside = [], False
    for paragraph in PARAGRAPH.split(text):
        if re.match(r"=\w", paragraph):
            inside = not paragraph.startswith("=cut")
        elif inside and not paragraph.startswith((" ", "\t")):
            kept.append(re.sub(r"[A-Z]<+ ?([^<>]*?) ?>+", r"\1", paragraph))
    return "\n\n".join(kept)
