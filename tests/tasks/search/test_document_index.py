"""Documents with their vectors: adding, replacing, removing, and searching beside it."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest

from tfchain.core.errors import FingerprintError, InputError
from tfchain.core.types import Document
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.indexes.vector_rows import VectorRows
from tfchain.tasks.search.document_index import DocumentIndex


@pytest.fixture
def index() -> DocumentIndex:
    made = DocumentIndex(2, "model-a", "dot")
    documents = [Document("a", "first"), Document("b", "second"), Document("c", "third")]
    made.add(documents, [1, 2, 1], np.array([[1, 0], [0, 1], [0, 2], [1, 1]], "float32"), fingerprint="model-a")
    return made


def found(index: DocumentIndex, *query: float) -> list[tuple[str, float]]:
    (hits,) = index.search(np.array([query], "float32"), 10)
    return [(hit.id, hit.score) for hit in hits]


def test_a_replaced_document_answers_with_its_new_vectors(index: DocumentIndex) -> None:
    index.add([Document("b", "new")], [1], np.array([[5, 0]], "float32"), fingerprint="model-a")
    assert [one.id for one in index] == ["a", "c", "b"]
    assert found(index, 1, 0) == [("b", 5), ("a", 1), ("c", 1)]
    assert found(index, 0, 1) == [("c", 1), ("a", 0), ("b", 0)]


def test_a_removed_document_is_not_found(index: DocumentIndex) -> None:
    index.remove(["b"])
    assert "b" not in index
    assert found(index, 0, 1) == [("c", 1), ("a", 0)]


def test_removing_what_is_not_there_is_an_error_and_removes_nothing(index: DocumentIndex) -> None:
    with pytest.raises(InputError, match="'z', not among the 3 documents"):
        index.remove(["a", "z"])
    assert len(index) == 3


def test_an_id_that_is_asked_for_twice_is_removed_once(index: DocumentIndex) -> None:
    index.remove(["b", "a", "b"])
    assert [one.id for one in index] == ["c"]


def test_numbers_that_users_gave_are_not_given_to_documents_without_an_id(index: DocumentIndex) -> None:
    assert index.next_number == 3  # three documents had or may have had 0, 1 and 2
    for name, expected in (("7", 8), ("5", 9), ("x", 10), ("9" * 19, 11), ("9" * 18, 10**18)):
        index.add([Document(name, "x")], [1], np.array([[1, 1]], "float32"), fingerprint="model-a")
        assert index.next_number == expected


def test_vectors_of_another_model_are_refused(index: DocumentIndex) -> None:
    with pytest.raises(FingerprintError, match="Expected: model model-a. Received: model model-b"):
        index.add([Document("d", "x")], [1], np.array([[1, 1]], "float32"), fingerprint="model-b")
    assert len(index) == 3


def test_vectors_that_are_refused_replace_nothing(index: DocumentIndex) -> None:
    with pytest.raises(InputError, match="finite"):
        index.add([Document("b", "new")], [1], np.array([[np.nan, 0]], "float32"), fingerprint="model-a")
    assert index.get("b") == Document("b", "second")
    assert found(index, 0, 1)[0] == ("b", 2)


def test_an_id_twice_is_refused_and_changes_nothing(index: DocumentIndex) -> None:
    twice = [Document("d", "x"), Document("d", "y")]
    with pytest.raises(InputError, match="Ids must be unique. Received: 'd' twice"):
        index.add(twice, [1, 1], np.array([[1, 1], [2, 2]], "float32"), fingerprint="model-a")
    parts = [([document], [1], np.array([[1, 1]], "float32")) for document in twice]
    with pytest.raises(InputError, match="Received: 'd' twice"):
        index.add_parts(parts, fingerprint="model-a")
    assert found(index, 0, 1) == [("b", 2), ("c", 1), ("a", 0)]


def test_parts_before_one_that_is_refused_are_not_added_either(index: DocumentIndex) -> None:
    parts = [
        ([Document(name, "x")], [1], np.array([[value, 1]], "float32")) for name, value in (("d", 1), ("e", np.nan))
    ]
    with pytest.raises(InputError, match="finite"):
        index.add_parts(parts, fingerprint="model-a")
    assert [one.id for one in index] == ["a", "b", "c"]
    assert "d" not in index
    index.add([Document("f", "x")], [1], np.array([[9, 9]], "float32"), fingerprint="model-a")
    assert found(index, 0, 1)[0] == ("f", 9)


def test_a_snapshot_stays_as_it_was_and_its_own_changes_stay_its_own(index: DocumentIndex) -> None:
    found(index, 1, 0)
    before = index.snapshot()
    index.remove(["a"])
    index.add(
        [Document("b", "new"), Document("d", "more")],
        [1, 1],
        np.array([[5, 0], [0, 9]], "float32"),
        fingerprint="model-a",
    )
    assert found(before, 0, 1) == [("b", 2), ("c", 1), ("a", 0)]
    assert [one.text for one in before] == ["first", "second", "third"]
    assert ("a" in before, "d" in before, before.get("b")) == (True, False, Document("b", "second"))
    assert ("a" in index, "d" in index, index.get("b")) == (False, True, Document("b", "new"))
    before.remove(["c"])
    before.add([Document("e", "own")], [1], np.array([[0, 7]], "float32"), fingerprint="model-a")
    assert found(before, 0, 1) == [("e", 7), ("b", 2), ("a", 0)]
    assert found(index, 0, 1) == [("d", 9), ("c", 1), ("b", 0)]
    index.add([Document("f", "last")], [1], np.array([[0, 3]], "float32"), fingerprint="model-a")
    assert found(index, 0, 1) == [("d", 9), ("f", 3), ("c", 1), ("b", 0)]


def test_removing_after_a_search_is_seen_by_the_next_search_of_every_storage() -> None:
    """What a search has looked up and kept must not outlive the documents."""
    for storage in (VectorStorage(), VectorStorage("int8"), VectorStorage("binary", 4, "signs")):
        made = DocumentIndex(2, "m", "cosine", storage)
        documents = [Document(name, name) for name in "abcd"]
        rows = np.array([[1, 0.1], [0.1, 1], [1, 0.2], [-1, 1], [0.1, 2]], "float32")
        made.add(documents, [1, 2, 1, 1], rows, fingerprint="m")
        query = np.array([[1, 0.1]], "float32")
        assert [hit.id for hit in made.search(query, 4)[0]] == ["a", "b", "d", "c"]
        made.remove(["a"])
        hits = made.search(query, 4)[0]
        assert [hit.id for hit in hits] == [hit.text for hit in hits] == ["b", "d", "c"]


def test_many_replacements_keep_the_order_of_adding_and_every_vector() -> None:
    random, made = np.random.default_rng(5), DocumentIndex(4, "m", "dot")
    kept: dict[str, np.ndarray] = {}
    for step in range(3000):
        name, rows = str(random.integers(300)), random.normal(size=(random.integers(1, 4), 4)).astype("float32")
        if name in kept and step % 3 == 0:
            made.remove([name])
            del kept[name]
            continue
        kept.pop(name, None)
        kept[name] = rows
        made.add([Document(name, f"text {step}")], [len(rows)], rows, fingerprint="m")
    assert [one.id for one in made] == list(kept)
    assert made.vectors.num_slots < 2 * len(kept) + 600, "removed documents stay for ever"
    np.testing.assert_array_equal(made.vectors.vectors, np.concatenate(list(kept.values())))
    query = random.normal(size=4).astype("float32")
    expected = sorted(((float(max(rows @ query)), name) for name, rows in kept.items()), reverse=True)
    hits = made.search(query[None], len(kept))[0]
    np.testing.assert_allclose([hit.score for hit in hits], [score for score, _ in expected], rtol=1e-5)
    assert [hit.id for hit in hits[:20]] == [name for _, name in expected[:20]]


def test_replacing_documents_one_by_one_copies_a_bounded_number_of_rows_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: 8,000 replacements took 15 times as long as 2,000, as each copied all vectors."""
    moved = {}
    compacted, claim = VectorRows.compacted, VectorRows._claim
    for size in (2000, 8000):
        made, copied = DocumentIndex(1, "m", "dot"), []
        vectors = np.arange(size, dtype="float32")[:, None]
        made.add([Document(str(n), "x") for n in range(size)], [1] * size, vectors, fingerprint="m")

        def count_compacted(rows: VectorRows, copied: list[int] = copied) -> VectorRows:
            copied.append(len(rows))
            return compacted(rows)

        def count_claimed(rows: VectorRows, *room: int, copied: list[int] = copied) -> tuple:
            arrays, version = claim(rows, *room)
            copied.append(0 if arrays is rows._arrays else rows.num_vectors)
            return arrays, version

        monkeypatch.setattr(VectorRows, "compacted", count_compacted)
        monkeypatch.setattr(VectorRows, "_claim", count_claimed)
        for number in range(size):
            made.add([Document(str(number), "y")], [1], np.array([[-number]], "float32"), fingerprint="m")
        moved[size] = sum(copied)
    assert moved[8000] < 12 * 8000  # an eighth is removed between two moves
    assert moved[8000] < 6 * moved[2000]


def test_searches_beside_writers_see_one_state_each(index: DocumentIndex) -> None:
    """1,107 of 10,408 answers belonged to other questions: vectors, documents and rows changed one after another."""
    made = DocumentIndex(64, "m", "dot")
    made.add([Document(f"{n}:0", f"{n}") for n in range(64)], [1] * 64, np.eye(64, dtype="float32"), fingerprint="m")
    wrong: list[object] = []
    done = threading.Event()

    def replace_and_remove() -> None:
        try:
            for step in range(1, 400):
                for n in range(0, 64, 8):  # a document's successor has another name, and always the same vector
                    part = ([Document(f"{n}:{step}", f"{n}")], [1], np.eye(64, dtype="float32")[n : n + 1])
                    made.add_parts([part], fingerprint="m")
                    made.remove([f"{n}:{step - 1}"])
        except Exception as error:
            wrong.append(error)
        finally:
            done.set()

    def search() -> None:
        random = np.random.default_rng(threading.get_ident() % 1000)
        try:
            while not done.is_set():
                asked = random.integers(64, size=3)
                for n, hits in zip(asked, made.search(np.eye(64, dtype="float32")[asked], 1), strict=True):
                    if (hits[0].text, hits[0].score) != (str(n), 1):
                        wrong.append((n, hits[0]))
                if len(list(made)) not in (64, 65) or len(made) not in (64, 65):
                    wrong.append(len(made))
        except Exception as error:
            wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=search) for _ in range(3)] + [threading.Thread(target=replace_and_remove)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert len(made) == 64


def test_a_pickled_index_and_a_deep_copy_answer_alike(index: DocumentIndex) -> None:
    index.remove(["a"])
    for again in (pickle.loads(pickle.dumps(index)), copy.deepcopy(index)):
        assert found(again, 0, 1) == found(index, 0, 1) == [("b", 2), ("c", 1)]
        assert (list(again), again.next_number, again.fingerprint) == (list(index), 3, "model-a")
        again.add([Document("d", "x")], [1], np.array([[9, 9]], "float32"), fingerprint="model-a")
        assert found(again, 0, 1)[0] == ("d", 9)
    assert "d" not in index
