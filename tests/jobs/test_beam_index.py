"""A chain made by a pipeline is the chain that `add` makes; texts in pipelines of one's own become vectors."""

from pathlib import Path

import numpy as np
import pytest
from apache_beam.ml.transforms.base import MLTransform

from tests.data.beam.corpora import run_transform
from tfchain import NeuralSearchChain
from tfchain.core.errors import FingerprintError, IndexFolderError, InputError
from tfchain.core.types import Document
from tfchain.jobs import beam_worker
from tfchain.jobs.beam_embeddings import TfchainTextEmbeddings
from tfchain.jobs.beam_index import index_with_beam
from tfchain.jobs.beam_worker import LoadCallables, WorkerModel, make_segment
from tfchain.models.indexes.storage import FLOAT_VECTORS, VectorStorage
from tfchain.tasks.search.index_folder import add_segments

pytestmark = pytest.mark.beam

WORDS = ("cat", "dog", "stock", "monday", "sleep", "run")
DOCUMENTS = [
    Document(str(3 * number), f"the {one} does {other} " * (9 if number % 5 == 0 else 1), title=f"t{number}")
    for number, (one, other) in enumerate((one, other) for one in WORDS for other in WORDS)
]


def make_chain(path: Path, storage: VectorStorage = FLOAT_VECTORS) -> NeuralSearchChain:
    chain = NeuralSearchChain.from_pretrained(path, engine="tensorflow")
    chain.text_encoder = chain.text_encoder.with_vector_storage(storage)
    return chain


@pytest.mark.parametrize("storage", [FLOAT_VECTORS, VectorStorage("int8")], ids=["float32", "int8"])
def test_the_chain_is_that_of_add(thin_model_path: Path, tmp_path: Path, storage: VectorStorage) -> None:
    chain = make_chain(thin_model_path, storage)
    made = index_with_beam(
        [*DOCUMENTS, Document("again", DOCUMENTS[1].text, title="t1")],
        tmp_path / "index",
        ["remove_exact_duplicates"],
        chain=chain,
        segment_documents=10,
    )
    chain.add(DOCUMENTS)

    assert (made.documents, made.segments) == (36, 4)
    assert made.report.steps[0].dropped == {"exact duplicate": 1}
    loaded = NeuralSearchChain.load(tmp_path / "index", engine="tensorflow")
    vectors, expected = loaded.index.vectors, chain.index.vectors
    assert list(loaded.index) == list(chain.index)
    assert loaded.index.next_number == chain.index.next_number == 106
    assert vectors.counts.tolist() == expected.counts.tolist()
    assert vectors.stored.values.dtype == expected.stored.values.dtype
    np.testing.assert_allclose(vectors.vectors, expected.vectors, atol=1e-5 if storage.is_plain else 1)
    assert loaded.search("the cat does run").hits[0].id == chain.search("the cat does run").hits[0].id
    assert [path.name for path in tmp_path.iterdir()] == ["index"]

    loaded.add(["one more"]).save(tmp_path / "index")
    assert len(NeuralSearchChain.load(tmp_path / "index", engine="tensorflow")) == 37


def test_a_run_that_starts_again_encodes_only_what_is_missing(
    thin_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = make_chain(thin_model_path)
    encoded: list[str] = []

    def make_some(encoder: object, documents: list[Document], *options: object) -> dict[str, bytes]:
        if len(encoded) == 2:
            raise InputError("The machine is gone.")
        encoded.append(documents[0].id)
        return make_segment(encoder, documents, *options)  # type: ignore[arg-type]

    monkeypatch.setattr(beam_worker, "make_segment", make_some)
    with pytest.raises(InputError, match="The machine is gone"):
        index_with_beam(DOCUMENTS, tmp_path / "index", chain=chain, segment_documents=10)
    assert not (tmp_path / "index").exists()

    first = encoded.copy()
    encoded.clear()
    index_with_beam(DOCUMENTS, tmp_path / "index", chain=chain, segment_documents=10)
    assert sorted([*first, *encoded], key=int) == ["0", "30", "60", "90"]
    assert list(NeuralSearchChain.load(tmp_path / "index", engine="tensorflow").index) == DOCUMENTS


def test_learned_bits_are_refused(thin_model_path: Path, tmp_path: Path) -> None:
    chain = make_chain(thin_model_path, VectorStorage("binary"))
    with pytest.raises(InputError, match="bits whose meaning is learned.*Use codes='signs' or int8"):
        index_with_beam(DOCUMENTS, tmp_path / "index", chain=chain)


def test_segments_are_added_only_to_a_chain_without_documents() -> None:
    with pytest.raises(IndexFolderError, match="Received: one with 3 documents"):
        add_segments({"segments": ["segment-000001"], "documents": 3}, ["segment-000002"], documents=1, next_number=1)


def test_a_worker_refuses_another_model(thin_model_path: Path) -> None:
    with pytest.raises(FingerprintError, match="A worker has loaded another model.*Expected: other"):
        WorkerModel(str(thin_model_path), "tensorflow", fingerprint="other").load()


def test_what_steps_need_comes_from_the_model(thin_model_path: Path) -> None:
    model = WorkerModel(str(thin_model_path), "tensorflow")
    callables = LoadCallables(model)()

    assert callables["count_tokens"](["the cat"]) == [2]
    np.testing.assert_array_equal(callables["encode"](["the cat"]), model.load().encode_document(["the cat"]))


def test_texts_become_vectors_in_a_pipeline_of_ones_own(thin_model_path: Path, tmp_path: Path) -> None:
    chain = make_chain(thin_model_path)
    chain.add(["a cat"]).save(tmp_path / "chain")
    embeddings = TfchainTextEmbeddings(tmp_path / "chain", columns=["text"], engine="tensorflow")
    rows = [{"id": number, "text": text} for number, text in enumerate(("the cat", "a dog does sleep", "monday"))]
    found = run_transform(
        rows,
        lambda elements: (
            elements | MLTransform(write_artifact_location=str(tmp_path / "artifacts")).with_transform(embeddings)
        ),
    )

    expected = chain.encode([row["text"] for row in rows])
    assert len(found) == 3
    for row in found:
        assert isinstance(row["text"], list)
        np.testing.assert_allclose(row["text"], expected[row["id"]], atol=1e-5)

    again = run_transform(
        rows, lambda elements: elements | MLTransform(read_artifact_location=str(tmp_path / "artifacts"))
    )
    assert sorted(again, key=lambda row: row["id"]) == sorted(found, key=lambda row: row["id"])


@pytest.mark.parametrize("columns", ["text", [], [1]])
def test_columns_are_names(thin_model_path: Path, columns: object) -> None:
    with pytest.raises(InputError, match="`columns` must be a list of names, such as"):
        TfchainTextEmbeddings(thin_model_path, columns=columns)  # type: ignore[arg-type]
