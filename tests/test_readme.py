"""What the documents say is true: their Python runs, their commands, paths and links exist."""

import configparser
import importlib.util
import io
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from tfchain import NeuralSearchChain

ROOT = Path(__file__).resolve().parent.parent
AT_THE_TOP = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")
PAGES = tuple(sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
DOCUMENTS = (*AT_THE_TOP, *PAGES)
PRINTED_LINES = {
    "README.md": 4,
    "docs/augmentation.md": 2,
    "docs/classification.md": 2,
    "docs/cleaning.md": 1,
    "docs/data-report.md": 3,
    "docs/filters.md": 1,
    "docs/models.md": 3,
    "docs/passages.md": 1,
    "docs/preparing-data.md": 3,
    "docs/training.md": 1,
}  # the pages whose Python runs as it is
WITHOUT_THE_CHAIN = "docs/without-the-chain.md"
BLOCK = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)

pytestmark = pytest.mark.skipif(
    not (ROOT / "Makefile").is_file(), reason="needs the whole repository, which is not here"
)


def read_blocks(document: str, language: str, note: str | None = "") -> list[str]:
    """The fenced blocks of a language; `note` is what stands behind its name, None for whatever stands there."""
    found = BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))
    return [text for _, name, behind, text in found if name == language and note in (None, behind.strip())]


def read_commands(document: str) -> Iterator[str]:
    """The lines of shell blocks, comments left out."""
    for block in read_blocks(document, "sh", None):
        for line in block.splitlines():
            command = " ".join(shlex.split(line, comments=True))
            if command:
                yield command


def run_blocks(blocks: list[str], namespace: dict[str, Any]) -> list[str]:
    """Runs blocks one after the other in one namespace; gives the lines that they printed."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        for block in blocks:
            exec(compile(block, "<document>", "exec"), namespace)
    return printed.getvalue().splitlines()


@pytest.fixture
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with no cache of earlier runs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_anchors(document: Path) -> set[str]:
    """What links to a document's headings are called, as GitHub does."""
    headings = HEADING.findall(document.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("document", PRINTED_LINES)
def test_a_documents_python_runs_and_prints_what_its_comments_say(document: str, empty_place: Path) -> None:
    from tests.tiny_model import save_tiny_model

    save_tiny_model(empty_place / "bert-base-chinese", seed=2)
    blocks = read_blocks(document, "python")

    printed = run_blocks(blocks, {})

    assert printed == PRINTED.findall("\n".join(blocks))
    assert len(printed) == PRINTED_LINES[document]
    if document == "README.md":
        assert (empty_place / ".demo/notes/chain.json").is_file()


def test_all_python_that_is_not_marked_is_run() -> None:
    assert {document for document in DOCUMENTS if read_blocks(document, "python")} == {
        *PRINTED_LINES,
        WITHOUT_THE_CHAIN,
    }


def test_python_that_is_not_run_compiles() -> None:
    compiled = 0
    for document in DOCUMENTS:
        marked = read_blocks(document, "python", "no-server") + read_blocks(document, "python", "no-run")
        assert len(marked) + len(read_blocks(document, "python")) == len(read_blocks(document, "python", None)), (
            document
        )
        for block in marked:
            compile(block, document, "exec")
            compiled += 1
    assert compiled >= 5


@pytest.mark.usefixtures("forks")
def test_the_chain_can_be_written_without_the_chain(thin_model_path: Path, empty_place: Path) -> None:
    (empty_place / "path/to").mkdir(parents=True)
    (empty_place / "path/to/model").symlink_to(thin_model_path)
    names: dict[str, Any] = {}

    run_blocks(read_blocks(WITHOUT_THE_CHAIN, "python"), names)

    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    chain.add(["the cat sleeps", "stocks fell on monday"])
    expected = chain.search("what does the cat do").hits
    assert len(expected) == 2
    for way in ("found", "served"):
        hits = names[way].hits
        assert [hit.id for hit in hits] == [hit.id for hit in expected]
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in expected], abs=1e-5)


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for document in DOCUMENTS:
        commands = [*read_commands(document), *SPAN.findall((ROOT / document).read_text(encoding="utf-8"))]
        named = {word for line in commands if line.startswith("make ") for word in line.split()[1:] if word.islower()}
        assert named or document not in AT_THE_TOP, document
        assert named <= targets, document


def test_subcommands_and_options_that_are_named_exist() -> None:
    from tfchain.cli import commands

    found = [line.split() for document in DOCUMENTS for line in read_commands(document)]
    lines = [words for words in found if "/tfchain" in words[0]]
    assert len(lines) >= 12
    for _, name, *words in lines:
        assert name in commands.commands, name
        options = {option for parameter in commands.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, name
    for document in DOCUMENTS:
        for span in SPAN.findall((ROOT / document).read_text(encoding="utf-8")):
            if re.match(r"tfchain [^-]", span):
                assert span.split()[1] in commands.commands, span


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md"])
def test_links_lead_somewhere(document: str) -> None:
    for link, anchor in LINK.findall((ROOT / document).read_text(encoding="utf-8")):
        target = (ROOT / document).parent / link if link else ROOT / document
        assert target.exists(), link
        assert not anchor or anchor in read_anchors(target), f"{link}#{anchor}"


@pytest.mark.parametrize("folder", ["docs", "docs/decisions"])
def test_every_page_is_in_its_folders_list(folder: str) -> None:
    linked = {link for link, _ in LINK.findall((ROOT / folder / "README.md").read_text(encoding="utf-8"))}
    assert {path.name for path in (ROOT / folder).glob("*.md")} - {"README.md"} <= linked


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_the_first_documents_stay_short(document: str) -> None:
    assert len((ROOT / document).read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md"])
def test_paths_tests_and_modules_that_are_named_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for span in SPAN.findall(text):
        if re.fullmatch(r"(tfchain|tests|docs|benchmarks)/[\w/.]+", span) and span != "benchmarks/RESULTS.md":
            assert (ROOT / span).exists(), span
        if re.fullmatch(r"test_\w+[a-z]", span):
            assert any(f"def {span}(" in path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
        if re.fullmatch(r"tfchain(\.[a-z]\w*){2,}", span):
            module, _, name = span.rpartition(".")
            assert importlib.util.find_spec(module) is not None, span
            __import__(module)
            assert hasattr(sys.modules[module], name) or importlib.util.find_spec(span), span


def test_every_dependency_has_its_reason() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    needed = setup["options"]["install_requires"].split("\n")
    needed += (ROOT / "requirements-dev.in").read_text(encoding="utf-8").split("\n")
    names = {re.split(r"[<>=~! ]", line)[0] for line in needed if line and not line.startswith("#")}
    chapter = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8").split("\n## ")[0]

    assert set(re.findall(r"^\| (\w[\w-]*) \|", chapter, re.MULTILINE)) - {"package"} == names
