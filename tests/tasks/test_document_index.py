import numpy as np
import pytest

from tfchain.core.errors import FingerprintError, InputError
from tfchain.core.types import Document
from tfchain.tasks.document_index import DocumentIndex


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


def test_vectors_of_another_model_are_refused(index: DocumentIndex) -> None:
    with pytest.raises(FingerprintError, match="Expected: model model-a. Received: model model-b"):
        index.add([Document("d", "x")], [1], np.array([[1, 1]], "float32"), fingerprint="model-b")
    assert len(index) == 3


def test_vectors_that_are_refused_replace_nothing(index: DocumentIndex) -> None:
    with pytest.raises(InputError, match="finite"):
        index.add([Document("b", "new")], [1], np.array([[np.nan, 0]], "float32"), fingerprint="model-a")
    assert index.get("b") == Document("b", "second")
    assert found(index, 0, 1)[0] == ("b", 2)
