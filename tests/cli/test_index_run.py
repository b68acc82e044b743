"""The work of `tfchain index` with an index in memory: numbers, contents, and settings of an older index."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfchain import NeuralSearchChain
from tfchain.cli import index_run
from tfchain.cli.index import print_report
from tfchain.cli.index_run import IndexRun, Settings, check_same_settings, open_to_reindex, to_content
from tfchain.core.errors import FingerprintError, InputError
from tfchain.core.types import Document
from tfchain.tasks.search.document_index import DocumentIndex

ROUTER = Path(__file__).parents[1] / "parity" / "fixtures" / "router"


class Chain:
    """A chain without a model: every document has the same vector."""

    def __init__(self, *documents: Document) -> None:
        self.index = DocumentIndex(1, "f" * 64, "dot")
        self.saves: list[int] = []
        self.add(documents)

    def __len__(self) -> int:
        return len(self.index)

    def add(self, documents: Sequence[Document]) -> None:
        vectors = np.ones((len(documents), 1), "float32")
        self.index.add(documents, [1] * len(documents), vectors, fingerprint="f" * 64)

    def save(self, path: Path) -> None:
        self.saves.append(len(self.index))


def add(chain: Any, path: Path, *lines: dict[str, object], commit_every: int = 100) -> IndexRun:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = IndexRun(chain, path.parent / "index", commit_every=commit_every)
    run.add([path])
    return run


def texts(chain: Chain) -> dict[str, str]:
    return {document.id: document.text for document in chain.index}


def test_documents_without_an_id_get_free_numbers_and_none_twice(tmp_path: Path) -> None:
    chain = Chain(Document("0", "there"))
    run = add(chain, tmp_path / "d.jsonl", {"text": "one"}, {"text": "two"}, {"text": "three"})
    assert texts(chain) == {"0": "there", "1": "one", "2": "two", "3": "three"}
    assert (run.added, run.replaced, run.skipped) == (3, 0, 0)


def test_a_batch_is_saved_when_it_is_full_and_the_rest_at_the_end(tmp_path: Path) -> None:
    chain = Chain()
    add(chain, tmp_path / "d.jsonl", *({"id": name, "text": "x"} for name in "abcde"), commit_every=2)
    assert chain.saves == [2, 4, 5]
    chain.saves.clear()
    add(chain, tmp_path / "d.jsonl", {"id": "f", "text": "x"}, {"id": "g", "text": "x"}, commit_every=2)
    assert chain.saves == [7]


def test_documents_of_the_same_text_differ_by_title_and_metadata(tmp_path: Path) -> None:
    chain = Chain()
    lines = ({"text": "x"}, {"text": "x", "title": "t"}, {"text": "x", "n": 1}, {"text": "x", "n": 2}, {"text": "x"})
    run = add(chain, tmp_path / "d.jsonl", *lines)
    assert (run.added, run.skipped, len(chain)) == (4, 1, 4)
    assert to_content(Document("a", "x", metadata={"b": 1, "a": 2})) == to_content(
        Document("b", "x", metadata={"a": 2, "b": 1})
    )


def test_an_id_that_was_given_as_a_number_before_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The id '0' appears twice: a document without an id got this number before"):
        add(Chain(), tmp_path / "d.jsonl", {"text": "one"}, {"id": "0", "text": "two"})


def test_encoding_again_keeps_the_documents_and_the_numbers_that_were_given(tmp_path: Path) -> None:
    old, chain = Chain(Document("a", "x"), Document("7", "y")), Chain()
    old.index.remove(["7"])
    run = IndexRun(chain, tmp_path, commit_every=1)  # type: ignore[arg-type]
    run.encode_again(SimpleNamespace(index=old.index))  # type: ignore[arg-type]
    assert (texts(chain), chain.index.next_number, run.encoded_again, chain.saves) == ({"a": "x"}, 8, 1, [1])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Settings]]:
    """Models and settings of the chains that were made, instead of an index truncated with an overlap of 3."""
    made: list[tuple[Any, Settings]] = []
    saved = {"passages": {"mode": "truncate", "overlap_tokens": 3}, "hyperparameters": {"batch_size": 4}}
    loaded = SimpleNamespace(settings=saved, model_path="old model", index=SimpleNamespace(fingerprint="old"))

    def make(model: Any, settings: Settings) -> Any:
        made.append((model, settings))
        return SimpleNamespace(text_encoder=SimpleNamespace(fingerprint="new"))

    monkeypatch.setattr(index_run, "load_index_folder", lambda _: loaded)
    monkeypatch.setattr(index_run, "make_chain", make)
    return made


def test_what_is_not_given_for_a_reindex_stays_as_it_was(tmp_path: Path, asked: list[tuple[Any, Settings]]) -> None:
    open_to_reindex(tmp_path, Settings())
    open_to_reindex(tmp_path, Settings(model="m", passages="split", overlap_tokens=0, max_length=9, batch_size=2))
    assert asked == [
        ("old model", Settings(passages="truncate", overlap_tokens=3, batch_size=4)),
        ("m", Settings(model="m", passages="split", overlap_tokens=0, max_length=9, batch_size=2)),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(overlap_tokens=3), r"Received: --overlap-tokens 3, there the default\. Leave"),
        (Settings(passages="truncate"), r"Received: --passages truncate, there split\. Leave"),
        (Settings(max_length=9), r"Received: --max-length 9, there 24\. Leave"),
        (Settings(max_length=9, overlap_tokens=0), "--max-length 9, there 24; --overlap-tokens 0, there the default"),
    ],
)
def test_settings_that_differ_from_the_indexs_are_all_named(settings: Settings, message: str) -> None:
    chain: Any = Chain(Document("a", "x"))
    chain.text_encoder = SimpleNamespace(tokenizer=SimpleNamespace(max_length=24), model_fingerprint="f")
    chain.passages = SimpleNamespace(mode="split", overlap_tokens=None)
    check_same_settings(chain, Path("index"), Settings(max_length=24, passages="split"))
    with pytest.raises(FingerprintError, match=message + ".* --reindex to encode its 1 documents again|" + message):
        check_same_settings(chain, Path("index"), settings)


def test_another_encoder_for_queries_is_named_and_taken_without_encoding_again(tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(ROUTER, engine="tensorflow", passages="truncate")
    chain.add(["the quick brown fox", "stocks fell"]).save(tmp_path / "index")
    route = chain.text_encoder.query_route
    assert route is not None
    route.set_weights([weight + 0.1 for weight in route.own_encoder.get_weights()])
    (tmp_path / "model").mkdir()
    chain.text_encoder.save(tmp_path / "model")
    settings = Settings(model=str(tmp_path / "model"), engine="tensorflow")
    there = NeuralSearchChain.load(tmp_path / "index", engine="tensorflow")
    with pytest.raises(FingerprintError, match=f"model {chain.fingerprint[:12]}, there model {there.fingerprint[:12]}"):
        check_same_settings(there, tmp_path / "index", settings)
    opened = open_to_reindex(tmp_path / "index", settings)
    assert opened.to_encode is None
    again = NeuralSearchChain.load(tmp_path / "index", engine="tensorflow")
    assert opened.chain.fingerprint == again.fingerprint == chain.fingerprint
    assert len(again) == 2


def test_programs_are_told_all_that_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {"added": 1, "replaced": 2, "skipped": 3, "empty": 4, "broken": 5, "encoded_again": 0}
    run: Any = SimpleNamespace(chain=Chain(Document("a", "x")), **counts)
    print_report(Path("index"), run, 1.23456, True)
    assert json.loads(capsys.readouterr().out) == {
        "index": "index",
        "added": 1,
        "replaced": 2,
        "skipped": 3,
        "empty": 4,
        "broken": 5,
        "encoded_again": 0,
        "documents": 1,
        "passages": 1,
        "fingerprint": "f" * 64,
        "seconds": 1.235,
    }
