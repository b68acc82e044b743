"""`tfchain index`: what is added, replaced and skipped, and what a second model or another setting does."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import DOCUMENTS, Run
from tests.data.extraction.make_files import looping_pdf, make_docx, make_pdf
from tests.tiny_model import save_tiny_model
from tfchain.models.bundled import find_bundled_model
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.index_folder import load_index_folder

COUNTS = ("added", "replaced", "skipped", "documents")


def index(run: Run, *arguments: object) -> dict[str, int]:
    result = run("index", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    values = json.loads(result.stdout)
    return {name: values[name] for name in COUNTS}


def test_the_same_documents_again_are_skipped(run: Run, index_path: Path, documents_path: Path) -> None:
    before = (index_path / "chain.json").read_bytes()

    assert index(run, documents_path, "--out", index_path) == {"added": 0, "replaced": 0, "skipped": 3, "documents": 3}
    assert (index_path / "chain.json").read_bytes() == before  # nothing was saved, as nothing is new


def test_a_changed_document_is_replaced_and_a_new_one_added(run: Run, index_path: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.jsonl"
    changed.write_text(DOCUMENTS.replace("cat sleeps", "cat runs") + '{"id": "new", "text": "a new one"}\n')

    assert index(run, changed, "--out", index_path) == {"added": 1, "replaced": 1, "skipped": 2, "documents": 4}
    assert load_index_folder(index_path).index.get("cat").text == "the cat runs"


def test_each_batch_is_a_commit_of_its_own(
    run: Run, tiny_model_path: Path, documents_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "index"

    index(run, documents_path, "--model", tiny_model_path, "--out", out, "--commit-every", 2)

    manifest = json.loads((out / "chain.json").read_text())
    assert len(manifest["segments"]) == 2


def test_the_first_batch_is_as_large_as_learning_bits_takes(
    run: Run, tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfchain.models.indexes.binary_codebook.ROWS_IN_BLOCK", 70)
    monkeypatch.setattr("tfchain.models.indexes.binary_codebook.MOST_VECTORS_A_BIT", 4)
    model, source, out = tmp_path / "model", tmp_path / "d.jsonl", tmp_path / "index"
    model.mkdir()
    TextEncoder.from_pretrained(tiny_model_path).with_vector_storage(VectorStorage("binary")).save(model)
    words = ("cat", "dog", "stock", "monday", "who", "what", "does", "do", "run", "a")
    source.write_text("".join(f'{{"text": "{one} {other}"}}\n' for one in words for other in words))

    index(run, source, "--model", model, "--out", out, "--commit-every", 20)

    assert len(list(out.glob("codebook-*"))) == 1
    sizes = [len((one / "documents.jsonl").read_text().splitlines()) for one in sorted(out.glob("segment-*"))]
    assert sizes == [70, 20, 10]


def test_what_was_committed_before_an_error_is_skipped_afterwards(
    run: Run, tiny_model_path: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "d.jsonl", tmp_path / "index"
    source.write_text(DOCUMENTS + "{broken\n")

    result = run("index", source, "--model", tiny_model_path, "--out", out, "--commit-every", 2)

    assert result.exit_code == 1
    assert f"{source}:4: " in result.stderr
    assert "holds 2 documents now" in result.stderr
    source.write_text(DOCUMENTS)
    assert index(run, source, "--out", out) == {"added": 1, "replaced": 0, "skipped": 2, "documents": 3}


def test_documents_without_an_id_are_known_by_their_content(run: Run, tiny_model_path: Path, tmp_path: Path) -> None:
    one, two, out = tmp_path / "one.jsonl", tmp_path / "two.jsonl", tmp_path / "index"
    one.write_text('{"text": "the cat"}\n{"text": "the dog"}\n')
    two.write_text('{"text": "a cat"}\n{"text": "the dog"}\n')

    index(run, one, "--model", tiny_model_path, "--out", out)
    again = index(run, one, "--out", out)
    other = index(run, two, "--out", out)

    assert again == {"added": 0, "replaced": 0, "skipped": 2, "documents": 2}
    assert other == {"added": 1, "replaced": 0, "skipped": 1, "documents": 3}
    texts = {document.id: document.text for document in load_index_folder(out).index}
    assert texts == {"0": "the cat", "1": "the dog", "2": "a cat"}


def test_several_sources_go_into_one_index(
    run: Run, tiny_model_path: Path, documents_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "who.md").write_text("# Who\n\nwho runs")

    counts = index(run, documents_path, folder, "--model", tiny_model_path, "--out", tmp_path / "index")

    assert counts["added"] == 4


def test_long_documents_are_cut_into_passages_or_cut_off(
    run: Run, saved_index: Path, tiny_model_path: Path, documents_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "index"

    index(run, documents_path, "--model", tiny_model_path, "--out", out, "--passages", "truncate")

    assert load_index_folder(out).index.vectors.counts.tolist() == [1, 1, 1]
    counts = load_index_folder(saved_index).index.vectors.counts.tolist()
    assert counts[:2] == [1, 1]
    assert counts[2] > 1


def test_another_model_is_an_error_that_leaves_the_index_alone(run: Run, index_path: Path, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "other", seed=2)
    source = tmp_path / "d.jsonl"
    source.write_text('{"id": "new", "text": "a new one"}\n')
    before = (index_path / "chain.json").read_bytes()

    result = run("index", source, "--model", tmp_path / "other", "--out", index_path)

    assert result.exit_code == 1
    assert result.stderr.startswith("error: Expected the model and the settings that made")
    assert "--reindex" in result.stderr
    assert (index_path / "chain.json").read_bytes() == before


def test_reindex_encodes_what_is_there_with_another_model(
    run: Run, index_path: Path, documents_path: Path, tmp_path: Path
) -> None:
    save_tiny_model(tmp_path / "other", seed=2)
    before = load_index_folder(index_path)

    counts = index(run, documents_path, "--model", tmp_path / "other", "--out", index_path, "--reindex")

    after = load_index_folder(index_path)
    assert counts == {"added": 0, "replaced": 0, "skipped": 3, "documents": 3}
    assert after.index.fingerprint != before.index.fingerprint
    assert list(after.index) == list(before.index)
    assert run("search", index_path, "who runs").exit_code == 0


def test_another_passage_mode_needs_reindex(run: Run, index_path: Path, documents_path: Path) -> None:
    refused = run("index", documents_path, "--out", index_path, "--passages", "truncate")
    assert refused.exit_code == 1
    assert "--passages truncate, there split" in refused.stderr

    index(run, documents_path, "--out", index_path, "--passages", "truncate", "--reindex")
    assert load_index_folder(index_path).index.vectors.counts.tolist() == [1, 1, 1]


def test_a_new_index_without_a_model_takes_the_small_one(run: Run, documents_path: Path, tmp_path: Path) -> None:
    index(run, documents_path, "--out", tmp_path / "new")

    loaded = load_index_folder(tmp_path / "new")
    assert loaded.index.fingerprint == TextEncoder.from_pretrained(find_bundled_model()).fingerprint


def test_a_folder_of_mixed_files_is_indexed_and_broken_ones_are_counted(
    run: Run, thin_model_path: Path, tmp_path: Path
) -> None:
    folder, broken = tmp_path / "mixed", tmp_path / "broken.jsonl"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(make_pdf("the cat sleeps"))
    (folder / "b.docx").write_bytes(make_docx())
    (folder / "c.txt").write_text("the dog barks")
    (folder / "d.pdf").write_bytes(looping_pdf())
    (folder / "e.txt").write_text("")
    arguments = ("index", "--json", folder, "--model", thin_model_path, "--out", tmp_path / "out")
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert "d.pdf: not a whole PDF" in refused.stderr
    result = run(*arguments, "--max-broken", 1, "--broken-file", broken)
    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout)
    assert {name: values[name] for name in ("added", "empty", "broken", "documents")} == {
        "added": 3,
        "empty": 1,
        "broken": 1,
        "documents": 3,
    }
    assert json.loads(broken.read_text())["place"] == str(folder / "d.pdf")
    strict = run(*arguments, "--max-broken", 1, "--empty", "error")
    assert strict.exit_code == 1
    assert "A document must have a text or a title" in strict.stderr


def test_patterns_and_urls_are_documents_of_the_command(run: Run, thin_model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the cat sleeps")
    (tmp_path / "b.md").write_text("the dog barks")
    docs = (tmp_path / "*.md", f"file://{tmp_path}/a.txt")
    counts = index(run, *docs, "--model", thin_model_path, "--out", tmp_path / "i")
    assert (counts["added"], counts["documents"]) == (2, 2)
