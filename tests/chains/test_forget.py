"""Tests of a request for deletion: afterwards, no file below a folder holds the document."""

import json
from pathlib import Path

import pytest

from tfchain.chains.forget import forget
from tfchain.chains.search import NeuralSearchChain
from tfchain.core.errors import IndexFolderError, InputError
from tfchain.data.streams.token_batches import token_batches

SECRET = "the cat of anna winter sleeps in berlin"


@pytest.fixture
def chain(tiny_model_path: Path) -> NeuralSearchChain:
    made = NeuralSearchChain.from_pretrained(tiny_model_path, engine="tensorflow")
    made.add([{"id": f"d{number}", "text": f"the cat {number} sleeps"} for number in range(5)])
    return made


def files_with(folder: Path, text: str) -> list[str]:
    """What `grep -rl` finds: the files below a folder that hold a text, hidden ones too."""
    return sorted(
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and text.encode() in file.read_bytes()
    )


def test_nothing_on_disk_holds_a_forgotten_document(chain: NeuralSearchChain, tmp_path: Path):
    chain.add([{"id": "anna-77", "text": SECRET, "title": "", "metadata": {"name": "Anna"}}])
    chain.save(tmp_path / "index")
    chain.remove("anna-77")
    chain.add([{"id": "later", "text": "stocks fell"}])
    chain.save(tmp_path / "index")
    chain.add([{"id": "anna-77", "text": SECRET + " again"}])  # a second state of it, in another segment
    chain.save(tmp_path / "index")
    rows = tmp_path / "data" / "train.jsonl"
    rows.parent.mkdir()
    rows.write_text(json.dumps({"query": "cat?", "positive": SECRET}) + '\n{"query": "a", "positive": "b"}\n')
    (tmp_path / "data" / "report.json").write_text(json.dumps({"examples": [{"id": "anna-77"}], "dropped": 1}))
    killed = tmp_path / "index" / "segment-000099"
    killed.mkdir()
    (killed / "documents.jsonl").write_text(SECRET)  # what a killed save left
    assert len(files_with(tmp_path, SECRET)) == 4

    receipt = chain.forget("anna-77", tmp_path / "data")
    receipt.write(tmp_path / "receipt.json")

    assert files_with(tmp_path, SECRET) == files_with(tmp_path, "anna-77") == []
    assert [(place["kind"], place["removed"]) for place in receipt.places] == [
        ("index", 2),
        ("records", 1),
        ("records", 1),
    ]
    assert (receipt.removed, receipt.remaining) == (4, [])
    assert "anna-77" not in chain.index
    assert rows.read_text() == '{"query": "a", "positive": "b"}\n'
    again = NeuralSearchChain.load(tmp_path / "index", engine="tensorflow")
    assert [document.id for document in again.index] == ["d0", "d1", "d2", "d3", "d4", "later"]
    assert [hit.id for hit in again.search("stocks fell", top_k=1).hits] == ["later"]


def test_a_chain_saves_on_after_it_has_forgotten(chain: NeuralSearchChain, tmp_path: Path):
    path = tmp_path / "index"
    chain.save(path)
    chain.add(["one more cat"])
    chain.remove("d4")
    chain.save(path)
    kept = (path / "segment-000002").stat().st_mtime_ns
    chain.forget("d1")
    assert (path / "segment-000002").stat().st_mtime_ns == kept  # it held nothing of d1, and is not rewritten
    chain.remove("d0")
    chain.add(["the last cat"])
    chain.save(path)
    again = NeuralSearchChain.load(path, engine="tensorflow")
    assert [document.text for document in again.index] == [
        "the cat 2 sleeps",
        "the cat 3 sleeps",
        "one more cat",
        "the last cat",
    ]
    for query in ("the cat 3 sleeps", "the last cat"):
        assert [hit.score for hit in again.search(query).hits] == pytest.approx(
            [hit.score for hit in chain.search(query).hits], abs=1e-6
        )


def test_a_segment_of_forgotten_documents_goes(chain: NeuralSearchChain, tmp_path: Path):
    chain.save(tmp_path / "index")
    chain.add([{"id": "new", "text": SECRET}])
    chain.save(tmp_path / "index")
    chain.forget([f"d{number}" for number in range(5)])
    assert [folder.name for folder in (tmp_path / "index").glob("segment-*")] == ["segment-000002"]
    assert [document.id for document in NeuralSearchChain.load(tmp_path / "index", engine="tensorflow").index] == [
        "new"
    ]


def test_versions_that_hold_a_document_are_named_then_deleted(chain: NeuralSearchChain, tmp_path: Path):
    chain.add([{"id": "the", "text": SECRET}])  # an id that is a word of the vocabulary, too
    first = chain.export(tmp_path / "versions")
    assert forget("the", tmp_path).remaining == [
        {"path": str(first), "advice": "Export a new version, then delete this one, or pass versions='delete'."}
    ]
    chain.forget("the")
    second = chain.export(tmp_path / "versions")
    receipt = forget("the", tmp_path, versions="delete")
    assert receipt.places == [{"path": str(first), "kind": "version", "removed": 1}]
    assert [folder.name for folder in second.parent.iterdir() if folder.is_dir()] == ["2"]
    assert files_with(tmp_path, SECRET) == []


def test_caches_of_token_ids_go(tmp_path: Path):
    tokenize = {"one": [11], "two": [22, 222]}
    arguments = {"batch_size": 1, "cache": tmp_path / "cache", "tokenizer_fingerprint": "t"}
    batches = token_batches(list(tokenize), lambda texts: [tokenize[text] for text in texts], **arguments)
    assert len(list(batches)) == 2
    (cache,) = (tmp_path / "cache").iterdir()
    receipt = forget("anna-77", tmp_path)
    assert receipt.places == [{"path": str(cache), "kind": "cache", "removed": 1}]
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_receipt_proves_without_saying(chain: NeuralSearchChain, tmp_path: Path):
    chain.save(tmp_path / "index")
    receipt = forget("d3", tmp_path)
    shown = receipt.to_dict()
    # printf d3 | sha256sum
    assert shown["id_hashes"] == ["f451a61749c611ba0fa0e16c61831db44f38c611dff25879cf271a24c81a88b6"]
    assert shown["places"] == [{"path": str(tmp_path / "index"), "kind": "index", "removed": 1}]
    assert shown["time"].endswith("+00:00")


def test_a_chain_in_memory_forgets_what_was_never_saved(chain: NeuralSearchChain):
    receipt = chain.forget(["d0", "unknown"])
    assert (receipt.removed, len(chain)) == (0, 4)


def test_an_index_that_another_process_wrote_is_refused(chain: NeuralSearchChain, tmp_path: Path):
    chain.save(tmp_path / "index")
    other = NeuralSearchChain.load(tmp_path / "index", engine="tensorflow")
    other.add(["another"])
    other.save(tmp_path / "index")
    with pytest.raises(IndexFolderError, match=r"was saved by another process"):
        chain.forget("d0")
    assert "d0" in chain.index


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"paths": "nowhere"}, "No such file or folder: nowhere. Nothing was removed. Check the path."),
        ({"paths": ".", "versions": "keep"}, "`versions` must be 'report' or 'delete'. Received: versions='keep'."),
    ],
)
def test_a_wrong_argument_is_refused(arguments: dict, message: str):
    with pytest.raises(InputError) as caught:
        forget("d0", **arguments)
    assert str(caught.value) == message
