"""A search without TensorFlow: the same documents, scores and order as the index, and what a version answers."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.native_version import DOCUMENTS, TOP_K, NativeVersion
from tfchain.core.errors import ModelFolderError
from tfchain.core.filters.filter import parse_filter
from tfchain.core.native import NATIVE_FOLDER, Answer, NativeEngine
from tfchain.core.types import Document
from tfchain.deployment.server.servables.engines import load_for_engine
from tfchain.deployment.server.servables.saved_model import LoadOptions, load_saved_model
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import StatusError
from tfchain.models.indexes.storage import FLOAT_VECTORS, VectorStorage
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.native_version import can_serve_natively, load_answers
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.native_search import load_search, make_native_search, save_index

DIM = 24
TEXTS = ["who runs", "你好", "[SEP] a cat", "", "stocks? " * 30, "È l'gatto"]
OUTPUTS = ["ids", "scores", "texts"]


def draw_exact(num: int, seed: int) -> np.ndarray:
    """Vectors of length 1 whose products are exact, in whatever order a processor adds: 16 numbers of ±1/4, else 0."""
    random = np.random.default_rng(seed)
    vectors = np.where(random.random((num, DIM)) < 0.5, 0.25, -0.25).astype("float32")
    for vector in vectors:
        vector[random.choice(DIM, DIM - 16, replace=False)] = 0
    return vectors


def make_vectors(
    storage: VectorStorage = FLOAT_VECTORS, similarity: Any = "cosine", vectors: np.ndarray | None = None
) -> DocumentIndex:
    """Nine documents with one to three vectors each, among them equal ones; the one in the middle has been removed."""
    counts = [1, 2, 3, 1, 2, 1, 3, 1, 2]
    if vectors is None:
        vectors = np.random.default_rng(1).normal(size=(sum(counts), DIM)).astype("float32")
    vectors[-1] = vectors[0]
    documents = [Document(f"id {number} 好", f"text {number}", f"title {number}") for number in range(9)]
    documents[2] = Document("no text", "", "only a title")
    index = DocumentIndex(DIM, "made up", similarity, storage)
    index.add(documents, counts, vectors, fingerprint="made up")
    index.remove(["id 4 好"])
    return index


@pytest.mark.parametrize(
    ("storage", "similarity"),
    [
        (VectorStorage(), "cosine"),
        (VectorStorage(), "dot"),
        (VectorStorage("int8"), "cosine"),
        (VectorStorage("binary", codes="signs"), "cosine"),
        (VectorStorage("binary", rescore_multiplier=None), "cosine"),
    ],
)
def test_a_saved_index_answers_as_the_index(storage: VectorStorage, similarity: Any, tmp_path: Path) -> None:
    index = make_vectors(storage, similarity, draw_exact(16, seed=1))
    save_index(tmp_path / "index", index)
    settings = {"top_k": 5, "dim": DIM, "similarity": similarity, "vectors": storage.to_dict()}
    queries = draw_exact(7, seed=2)
    queries[0] = 0
    ids, scores, texts = load_search(tmp_path, settings)(queries, OUTPUTS, {})
    expected = index.search(queries, 5)
    assert ids.tolist() == [[hit.id.encode() for hit in hits] for hits in expected]
    assert texts.tolist() == [[(hit.text or hit.title).encode() for hit in hits] for hits in expected]
    assert np.array_equal(scores, np.array([[hit.score for hit in hits] for hits in expected], "float32"))
    assert (ids.dtype, scores.dtype, texts.dtype) == (object, np.float32, object)


@pytest.mark.parametrize("num_allowed", [0, 2, 8])
def test_a_saved_index_finds_only_what_it_may(num_allowed: int, tmp_path: Path) -> None:
    index = make_vectors()
    save_index(tmp_path / "index", index)
    settings = {"top_k": 5, "dim": DIM, "similarity": "cosine", "vectors": VectorStorage().to_dict()}
    queries = np.random.default_rng(2).normal(size=(3, DIM)).astype("float32")
    allowed = np.arange(8) >= 8 - num_allowed
    ids, scores, texts = load_search(tmp_path, settings)(queries, OUTPUTS, {"allowed": allowed})
    width = min(num_allowed, 5)
    expected = index.search(queries, 5, allowed=allowed)
    assert ids[:, :width].tolist() == [[hit.id.encode() for hit in hits] for hits in expected]
    assert {tuple(row) for row in ids[:, width:].tolist()} == {(b"",) * (5 - width)}
    assert {tuple(row) for row in texts[:, width:].tolist()} == {(b"",) * (5 - width)}
    assert scores[:, :width].tolist() == np.array([[hit.score for hit in hits] for hits in expected], "f").tolist()
    assert np.isneginf(scores[:, width:]).all()


@pytest.mark.parametrize("allowed", [np.ones(7, bool), np.ones(8, np.int32), np.ones((1, 8), bool)], ids=repr)
def test_what_is_no_list_of_documents_is_left_to_the_saved_model(allowed: np.ndarray, tmp_path: Path) -> None:
    save_index(tmp_path / "index", make_vectors())
    settings = {"top_k": 5, "dim": DIM, "similarity": "cosine", "vectors": VectorStorage().to_dict()}
    answer = load_search(tmp_path, settings)
    assert answer(np.zeros((1, DIM), "float32"), OUTPUTS, {"allowed": allowed}) is None


def test_a_learned_codebook_is_saved_too(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(400, 8)).astype("float32") @ random.normal(size=(8, 8)).astype("float32")
    index = DocumentIndex(8, "made up", "cosine", VectorStorage("binary"))
    index.add([Document(str(row), "text") for row in range(400)], [1] * 400, vectors, fingerprint="made up")
    assert index.vectors.codebook is not None
    save_index(tmp_path / "index", index)
    settings = {"top_k": 3, "dim": 8, "similarity": "cosine", "vectors": index.vectors.storage.to_dict()}
    (ids,) = load_search(tmp_path, settings)(vectors[:20], ["ids"], {})
    assert ids.tolist() == [[hit.id.encode() for hit in hits] for hits in index.search(vectors[:20], 3)]


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    index = make_vectors()
    save_index(tmp_path / "index", index)
    (tmp_path / "other").mkdir()
    index.remove(["id 0 好"])
    save_index(tmp_path / "other" / "index", index)
    for name in ("ids", "ids.offsets.npy"):
        shutil.copy(tmp_path / "other" / "index" / name, tmp_path / "index" / name)
    settings = {"top_k": 5, "dim": DIM, "similarity": "cosine", "vectors": {"precision": "float32"}}
    with pytest.raises(ModelFolderError, match="has 8 documents, 7 ids and 8 texts"):
        load_search(tmp_path, settings)


@pytest.fixture(scope="module")
def text_encoder(native_version: NativeVersion) -> TextEncoder:
    return native_version.text_encoder


@pytest.fixture(scope="module")
def index(native_version: NativeVersion) -> DocumentIndex:
    return native_version.index


@pytest.fixture(scope="module")
def version(native_version: NativeVersion) -> Path:
    return native_version.path


@pytest.fixture(scope="module")
def saved_model(version: Path) -> Iterator[Servable]:
    loaded = load_saved_model(version)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def servable(version: Path) -> Iterator[Servable]:
    """The version as the server loads it."""
    loaded = load_for_engine(version, LoadOptions(engine="native"), native=NativeEngine(lambda: None, load_answers))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def answers(version: Path) -> Mapping[str, Answer]:
    return load_answers(version / NATIVE_FOLDER)


def ask(answers: Mapping[str, Answer], texts: list[str], name: str = "serving_default", **options: Any) -> Any:
    inputs = {"text": np.array([text.encode() for text in texts], dtype=object), **options.get("more", {})}
    return answers[name](inputs, options.get("outputs", OUTPUTS), lambda: None)


def test_a_version_searches_some_documents_as_python_does(
    answers: Mapping[str, Answer], saved_model: Servable, text_encoder: TextEncoder, index: DocumentIndex
) -> None:
    allowed = index.match(parse_filter({"animal": {"$exists": True}}))
    assert allowed.tolist() == [True, False, False, False, True, True]
    ids, scores, _ = ask(answers, TEXTS, "search_filtered", more={"allowed": allowed})
    expected = index.search(text_encoder.encode_query(TEXTS), TOP_K, allowed=allowed)
    assert ids.tolist() == [[*(hit.id.encode() for hit in hits), b""] for hits in expected]
    assert np.isneginf(scores[:, 3:]).all()
    assert saved_model.signatures["search_filtered"].inputs.keys() == {"text", "allowed"}


@pytest.mark.parametrize("name", ["serving_default", "search"])
def test_a_version_searches_as_python_does_in_english_and_chinese(
    answers: Mapping[str, Answer], text_encoder: TextEncoder, index: DocumentIndex, name: str
) -> None:
    ids, scores, texts = ask(answers, TEXTS, name)
    expected = index.search(text_encoder.encode_query(TEXTS), TOP_K)
    assert ids.tolist() == [[hit.id.encode() for hit in hits] for hits in expected]
    assert texts.tolist() == [[hit.text.encode() for hit in hits] for hits in expected]
    assert np.array_equal(scores, np.array([[hit.score for hit in hits] for hits in expected], "float32"))
    assert scores.shape == (6, TOP_K)


def test_equal_documents_come_in_the_order_of_adding_as_in_the_saved_model(
    answers: Mapping[str, Answer], saved_model: Servable
) -> None:
    ids, scores, _ = ask(answers, ["a dog"])
    expected = saved_model.run(
        saved_model.signatures["serving_default"], {"text": np.array([b"a dog"], dtype=object)}, OUTPUTS
    )
    assert ids.tolist()[0][:2] == expected[0].tolist()[0][:2] == [b"4", b"5"]
    assert scores[0, 0] == scores[0, 1]
    assert np.abs(scores - expected[1]).max() < 2e-2  # int8 beside float32
    for found, wanted in zip((ids, scores), expected, strict=False):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)


def test_vectors_are_pythons_and_outputs_are_those_asked_for(
    answers: Mapping[str, Answer], text_encoder: TextEncoder
) -> None:
    (vectors,) = ask(answers, TEXTS, "embed", outputs=["embedding"])
    assert np.array_equal(vectors, text_encoder.encode(TEXTS))
    (texts, ids) = ask(answers, ["a dog"], outputs=["texts", "ids"])
    assert texts.tolist()[0][0] == b"a dog"
    assert ids.tolist()[0][0] == b"4"


@pytest.mark.parametrize(
    "texts",
    [
        np.array([], dtype=object),
        np.array([[b"a"]], dtype=object),
        np.array([b"caf\xe9"], dtype=object),
        np.array([1], dtype="int32"),
    ],
)
def test_other_requests_are_answered_as_the_saved_model_answers_them(
    servable: Servable, saved_model: Servable, texts: np.ndarray
) -> None:
    results: list[Any] = []
    for asked in (servable, saved_model):
        try:
            found = asked.run(asked.signatures["embed"], {"text": texts}, ["embedding"])
            results.append([found[0].shape, found[0].tolist()])
        except StatusError as error:
            results.append(str(error))
    assert results[0] == results[1]


def list_files() -> list[str]:
    names = ("vectors.npy", "counts.npy", "ids", "ids.offsets.npy", "texts", "texts.offsets.npy")
    own = ("encoder.json", "model.kernels.safetensors", "tokenizer.json", "tokenizer_settings.json")
    return [*(f"index/{name}" for name in names), *(f"encoder/{name}" for name in own)]


def test_every_file_is_in_the_manifest(version: Path) -> None:
    folder = version / NATIVE_FOLDER
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {*list_files(), "native.json", "encoder/tokenizer_config.json"} <= found


@pytest.mark.parametrize("name", [*list_files(), "native.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_or_missing_file_is_refused(version: Path, tmp_path: Path, name: str, damage: str) -> None:
    folder = Path(shutil.copytree(version / NATIVE_FOLDER, tmp_path / "native"))
    content = (folder / name).read_bytes()
    if damage == "remove":
        (folder / name).unlink()
    elif damage == "cut":
        (folder / name).write_bytes(content[: len(content) // 2])
    else:
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 0x80]))
    if name == "native.json" and damage == "flip":
        return  # its last byte is a line feed
    with pytest.raises(ModelFolderError, match="Export the version again"):
        load_answers(folder)


def test_a_chain_without_documents_answers_embed_alone(text_encoder: TextEncoder, tmp_path: Path) -> None:
    native = make_native_search(text_encoder, None, top_k=3, texts=["a"])
    assert native is not None
    native.write(tmp_path)
    assert list(load_answers(tmp_path)) == ["embed", "tokenize"]


def test_fewer_documents_than_top_k_are_all_found(
    text_encoder: TextEncoder, index: DocumentIndex, tmp_path: Path
) -> None:
    native = make_native_search(text_encoder, index, top_k=100, texts=["a"])
    assert native is not None
    native.write(tmp_path)
    assert ask(load_answers(tmp_path), ["who runs"])[0].shape == (1, len(DOCUMENTS))


def test_the_prompt_for_queries_is_put_before_them(
    text_encoder: TextEncoder, index: DocumentIndex, tmp_path: Path
) -> None:
    prompted = TextEncoder(
        text_encoder.tokenizer.source,
        text_encoder.own_encoder,
        precision="int8",
        prompts={"query": "who does ", "asked": "stock "},
        default_prompt_name="asked",
    )
    native = make_native_search(prompted, index, top_k=3, texts=["a"])
    assert native is not None
    native.write(tmp_path)
    answers = load_answers(tmp_path)
    assert np.array_equal(ask(answers, ["run"], "embed", outputs=["embedding"])[0], text_encoder.encode(["stock run"]))
    queries = text_encoder.encode(["who does run"])
    assert np.array_equal(ask(answers, ["run"], "embed_query", outputs=["embedding"])[0], queries)
    documents = ask(answers, ["run"], "embed_document", outputs=["embedding"])[0]
    assert np.array_equal(documents, text_encoder.encode(["run"]))
    expected = index.search(queries, 3)
    assert ask(answers, ["run"])[0].tolist() == [[hit.id.encode() for hit in hits] for hits in expected]


def test_token_ids_are_the_tokenizers_with_the_default_prompt(
    text_encoder: TextEncoder, index: DocumentIndex, answers: Mapping[str, Answer]
) -> None:
    ids, mask = ask(answers, ["a cat", "who runs and sleeps"], "tokenize", outputs=["token_ids", "padding_mask"])
    expected = text_encoder.tokenizer(["a cat", "who runs and sleeps"])
    assert [row[kept != 0].tolist() for row, kept in zip(ids, mask, strict=True)] == [list(text) for text in expected]
    assert ids.dtype == mask.dtype == np.int32
    assert ids.shape == mask.shape == (2, max(map(len, expected)))
    (alone,) = ask(answers, ["a cat"], "tokenize", outputs=["padding_mask"])
    assert alone.tolist() == [[1] * len(expected[0])]


def test_a_float32_model_gets_no_native_files(thin_model_path: Path) -> None:
    whole = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    assert not can_serve_natively(whole)
    assert make_native_search(whole, None, top_k=3, texts=["a"]) is None


def test_without_kernels_an_int8_model_gets_none_and_the_log_says_why(
    thin_model_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfchain.models.native_text_encoder.find_obstacle_of", lambda _: "the processor is too old")
    text_encoder = TextEncoder.from_pretrained(thin_model_path, precision="int8", engine="litert")
    with caplog.at_level("INFO"):
        assert make_native_search(text_encoder, None, top_k=3, texts=["a"]) is None
    assert "no files for --engine=native: the processor is too old." in caplog.text
