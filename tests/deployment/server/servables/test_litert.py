"""Versions with a flatbuffer, served with `--prefer_tflite_model` and without, over the wire."""

import contextlib
import json
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfchain.chains.search import NeuralSearchChain
from tfchain.chains.search_client import Client
from tfchain.core.errors import ExportError
from tfchain.core.native import NATIVE_FOLDER, NativeEngine
from tfchain.core.proof import Proof
from tfchain.data.documents.reading import read_documents
from tfchain.deployment.client.client import RequestError
from tfchain.deployment.deploy import deploy
from tfchain.deployment.export import export
from tfchain.deployment.repository import DESCRIPTION
from tfchain.deployment.server.batching.batching import Batching, BatchingOptions
from tfchain.deployment.server.batching.text_servable import TextBatchingServable
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.servables.engines import load_for_engine
from tfchain.deployment.server.servables.litert import LiteRTServable, add_litert, load_version, read_halves
from tfchain.deployment.server.servables.native import NativeServable
from tfchain.deployment.server.servables.saved_model import LoadOptions, SavedModelServable
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import Code, StatusError
from tfchain.models import native_library
from tfchain.models.text_encoder import TextEncoder
from tfchain.runtime.litert import LiteRTPool
from tfchain.runtime.tf_text import load_tf_text
from tfchain.tasks.native_version import load_answers
from tfchain.tasks.search.search import PassageConfig, make_index
from tfchain.tasks.search.search_graph import make_search_graph

pytestmark = pytest.mark.usefixtures("empty_cache")

ROUTER = Path(__file__).parents[3] / "parity" / "fixtures" / "router"
# Too few to calibrate int8 on: the SavedModel computes in float32, on every processor.
DOCUMENTS = [f"the {one} sleeps on monday, a dog runs {one}" for one in ("cat", "stock", "dog", "who")]
DOCUMENTS += ["the cat sleeps. " * 20 + "stocks fell on monday.", "你好，我是一个智能助手", "who does what"]
TEXTS = ["stocks fell on monday", "你好", "a dog", "who does what, who does what, who does what, who does what", ""]
PREFER = LoadOptions(prefers_tflite=True, tflite_interpreters=2)
SIGNATURES = {"embed", "embed_ids", "search", "search_vectors", "serving_default", "tokenize", "tokenize_query"}
# int8 rounds each number to one of 255 steps: a vector of length 1 of this model moves by less than that in each place.
NEAR = 2e-2
# Where two sums round to either side of a step, the last layer's output moves by a part of one.
SAME = 2e-3


@pytest.fixture(scope="module")
def chain(wide_thin_model_path: Path, empty_cache: Path) -> NeuralSearchChain:
    made = NeuralSearchChain.from_pretrained(wide_thin_model_path)
    made.text_encoder = made.text_encoder.with_precision("int8", engine="litert")  # as the server computes
    return made.add(DOCUMENTS)


@pytest.fixture(scope="module")
def version(chain: NeuralSearchChain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chain.export(tmp_path_factory.mktemp("versions") / "docs", top_k=3)


@pytest.fixture(scope="module")
def clients(version: Path) -> Iterator[dict[str, Client]]:
    """Clients of two servers of one version: `litert` with the flag, `saved_model` without."""
    load_tf_text()
    options = {"host": "127.0.0.1", "grpc_port": 0, "rest_port": 0, "poll_seconds": 0}
    with (
        ModelServer(ServerOptions("docs", version.parent, load=PREFER, **options)) as litert,
        ModelServer(ServerOptions("docs", version.parent, **options)) as saved_model,
    ):
        made = {}
        for name, server in (("litert", litert), ("saved_model", saved_model)):
            server.start()
            made[name] = Client(f"127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}")
        yield made
        for client in made.values():
            client.close()


@pytest.fixture(scope="module")
def servable(version: Path) -> Iterator[LiteRTServable]:
    load_tf_text()
    made = load_version(version, PREFER)
    assert isinstance(made, LiteRTServable)
    yield made
    made.close()


def to_array(texts: list[str]) -> np.ndarray:
    return np.array([text.encode() for text in texts], dtype=object)


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_texts_are_encoded_by_litert_and_near_what_the_saved_model_gives(
    chain: NeuralSearchChain, clients: dict[str, Client], protocol: str
) -> None:
    vectors = {name: client.embed(TEXTS, model="docs", protocol=protocol) for name, client in clients.items()}
    assert vectors["litert"].dtype == np.float32
    np.testing.assert_allclose(vectors["litert"], chain.encode(TEXTS), atol=SAME)
    assert 1e-4 < np.abs(vectors["litert"] - vectors["saved_model"]).max() < NEAR
    one = clients["litert"].embed(TEXTS[0], model="docs", protocol=protocol)
    np.testing.assert_allclose(one, vectors["litert"][:1], atol=SAME)


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_searches_rank_as_the_saved_model_does(clients: dict[str, Client], protocol: str) -> None:
    found = {name: client.search(TEXTS[:4], model="docs", protocol=protocol) for name, client in clients.items()}
    for mine, theirs in zip(found["litert"], found["saved_model"], strict=True):
        assert [hit.id for hit in mine.hits] == [hit.id for hit in theirs.hits]
        assert [hit.text for hit in mine.hits] == [hit.text for hit in theirs.hits]
        np.testing.assert_allclose([hit.score for hit in mine.hits], [hit.score for hit in theirs.hits], atol=NEAR)
    asked = {"text": TEXTS[:2]}
    for signature in ("search", "serving_default"):
        scores = {
            name: client.predict(asked, model="docs", signature=signature, output_filter=["scores"], protocol="grpc")
            for name, client in clients.items()
        }
        assert list(scores["litert"]) == ["scores"]
        assert 0 < np.abs(scores["litert"]["scores"] - scores["saved_model"]["scores"]).max() < NEAR


def test_auto_takes_the_kernels_files_of_an_int8_version_where_they_run_and_else_its_flatbuffer(
    version: Path, chain: NeuralSearchChain
) -> None:
    """As a chain's own `engine="auto"` does; the kernels search the chain's vectors, LiteRT the SavedModel's."""
    engine, auto = NativeEngine(native_library.find_obstacle, load_answers), LoadOptions(engine="auto")
    with contextlib.closing(load_for_engine(version, auto)) as servable:  # a program without the kernels
        assert isinstance(servable, LiteRTServable)
    if native_library.find_obstacle() is not None:
        assert not (version / NATIVE_FOLDER).exists()
        return
    described = json.loads((version / DESCRIPTION).read_text(encoding="utf-8"))
    assert described["native"] == ["embed", "serving_default", "tokenize"]  # proven before the version appeared
    with contextlib.closing(load_for_engine(version, auto, native=engine)) as servable:
        assert isinstance(servable, NativeServable)
        signature = servable.signatures["serving_default"]
        ids, scores = servable.run(signature, {"text": to_array(TEXTS[:4])}, ["ids", "scores"])
    expected = [result.hits for result in chain.search(TEXTS[:4], top_k=3)]
    assert ids.tolist() == [[hit.id.encode() for hit in hits] for hits in expected]
    np.testing.assert_allclose(scores, [[hit.score for hit in hits] for hits in expected], atol=NEAR)


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_token_ids_go_to_the_flatbuffer_directly(version: Path, clients: dict[str, Client], protocol: str) -> None:
    token_ids = np.array([[2, 6, 7, 3], [2, 9, 3, 0]], "int32")
    inputs = {"token_ids": token_ids, "padding_mask": (token_ids > 0).astype("int32")}
    expected = tf.lite.Interpreter(str(version / "model.tflite")).get_signature_runner("embed_ids")(**inputs)
    found = clients["litert"].predict(inputs, model="docs", signature="embed_ids", protocol=protocol)
    np.testing.assert_allclose(found["embedding"], expected["embedding"], atol=1e-6)


def test_the_metadata_is_the_same_and_shows_the_halves(clients: dict[str, Client]) -> None:
    for protocol in ("grpc", "rest"):
        mine, theirs = (clients[name].metadata("docs", protocol=protocol) for name in ("litert", "saved_model"))
        assert mine == theirs
    signatures = mine["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) >= SIGNATURES
    assert set(signatures["tokenize"]["outputs"]) == {"token_ids", "padding_mask"}
    assert set(signatures["search_vectors"]["inputs"]) == {"embedding"}
    assert set(signatures["search_vectors"]["outputs"]) == {"ids", "scores", "texts"}


def test_the_halves_answer_by_themselves(chain: NeuralSearchChain, clients: dict[str, Client]) -> None:
    tokenizer = chain.text_encoder.tokenizer
    for name, client in clients.items():
        found = client.predict({"text": TEXTS}, model="docs", signature="tokenize")
        assert [row[:n].tolist() for row, n in zip(found["token_ids"], found["padding_mask"].sum(1), strict=True)] == [
            list(ids) for ids in tokenizer(TEXTS)
        ]
        vectors = client.embed(TEXTS[:1], model="docs")
        hits = client.predict({"embedding": vectors}, model="docs", signature="search_vectors")
        (whole,) = client.search(TEXTS[0], model="docs")
        assert hits["ids"][0].tolist() == [hit.id for hit in whole.hits]
        np.testing.assert_allclose(hits["scores"][0], [hit.score for hit in whole.hits], atol=SAME, err_msg=name)


def ids(values: Any, dtype: str = "int32") -> np.ndarray:
    return np.array(values, dtype)


@pytest.mark.parametrize(
    ("signature", "inputs", "error"),
    [
        ("embed_ids", {"token_ids": ids([[2, 99999]]), "padding_mask": ids([[1, 1]])}, "99999 is not in [0, "),
        ("embed_ids", {"token_ids": ids([[5] * 40]), "padding_mask": ids([[1] * 40])}, "24 is not in [0, 24)"),
        ("embed_ids", {"token_ids": ids([[2, 3]], "int64"), "padding_mask": ids([[1, 1]])}, "to be int32 but int64"),
        ("embed_ids", {"token_ids": ids([[2, 3, 4]]), "padding_mask": ids([[1, 1]])}, "Incompatible shapes"),
        ("embed_ids", {"token_ids": ids([[2, 3]])}, "input size does not match signature"),
        ("embed", {"text": ids([1.0], "float32")}, "to be string but float"),
        ("serving_default", {"text": ids([1.0], "float32")}, "to be string but float"),
        ("serving_default", {"text": np.array([["a", "b"]], object)}, "must be a scalar"),
        ("search", {"texts": np.array(["a"], object)}, "Inputs"),
        ("nothing", {"text": np.array(["a"], object)}, '"nothing" not found'),
    ],
)
def test_bad_input_is_the_same_error(
    clients: dict[str, Client], signature: str, inputs: dict[str, np.ndarray], error: str
) -> None:
    inputs = {
        name: np.vectorize(str.encode, [object])(one) if one.dtype == object else one for name, one in inputs.items()
    }
    errors = []
    for client in clients.values():
        with pytest.raises(RequestError) as caught:
            client.predict(inputs, model="docs", signature=signature, protocol="grpc")
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert error in errors[0]


def test_a_shape_that_two_ops_refuse_is_refused_by_one_of_them(clients: dict[str, Client]) -> None:
    """Which of the two is told first is chance, with the SavedModel alone too."""
    inputs = {"token_ids": ids([2, 3]), "padding_mask": ids([1, 1])}
    told = "INVALID_ARGUMENT: (slice index 1 of dimension 0 out of bounds|Invalid reduction dimension)"
    for client in clients.values():
        with pytest.raises(RequestError, match=told):
            client.predict(inputs, model="docs", signature="embed_ids", protocol="grpc")


def test_no_text_and_padding_alone_are_answered_as_by_the_saved_model(clients: dict[str, Client]) -> None:
    for signature, inputs in {
        "embed": {"text": np.array([], object)},
        "search": {"text": np.array([], object)},
        "embed_ids": {"token_ids": ids([[0, 0]]), "padding_mask": ids([[0, 0]])},
    }.items():
        mine, theirs = (client.predict(inputs, model="docs", signature=signature) for client in clients.values())
        for name in theirs:
            np.testing.assert_array_equal(mine[name], theirs[name])


def test_many_requests_at_once_get_their_own_answers(clients: dict[str, Client]) -> None:
    client = clients["litert"]
    asked = [" ".join(["who does what"] * number) for number in (1, 2, 3, 4)] + TEXTS[:4]
    expected = [client.embed(text, model="docs") for text in asked]
    ranked = [[hit.id for hit in client.search(text, model="docs")[0].hits] for text in asked]

    def ask(number: int) -> None:
        place, protocol = number % len(asked), ("grpc", "rest")[number % 2]
        found = client.embed(asked[place], model="docs", protocol=protocol)
        np.testing.assert_allclose(found, expected[place], atol=SAME)
        (result,) = client.search(asked[place], model="docs", protocol=protocol)
        assert [hit.id for hit in result.hits] == ranked[place]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(64)))


def test_many_texts_are_more_than_one_batch(chain: NeuralSearchChain, servable: LiteRTServable) -> None:
    texts = [" ".join(["dog"] * (1 + number % 15)) for number in range(70)]
    (vectors,) = servable.run(servable.signatures["embed"], {"text": to_array(texts)}, ["embedding"])
    np.testing.assert_allclose(vectors, chain.encode(texts), atol=SAME)
    assert servable.num_failures == 0


def test_texts_of_several_clients_share_batches_of_which_two_run_for_each_interpreter(
    version: Path, chain: NeuralSearchChain, servable: LiteRTServable, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    run = servable.run

    def count(signature: Any, inputs: Any, outputs: Any, timeout_ms: int | None = None) -> Any:
        runs.append(len(inputs["text"]))
        if len(runs) <= 4:
            assert all_wait.wait(10)
        return run(signature, inputs, outputs, timeout_ms)

    all_wait = threading.Event()
    monkeypatch.setattr(servable, "run", count)
    batched = Batching(BatchingOptions()).wrap(servable, version)
    assert isinstance(batched, TextBatchingServable)
    asked = [TEXTS[number % len(TEXTS)] for number in range(20)]
    embed = servable.signatures["embed"]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = [pool.submit(batched.run, embed, {"text": to_array([text])}, ["embedding"]) for text in asked]
        while batched.statistics.queue_length < len(asked) - 4:
            time.sleep(0.001)
        all_wait.set()
        vectors = np.concatenate([answer.result(20)[0] for answer in answers])
    np.testing.assert_allclose(vectors, chain.encode(asked), atol=SAME)
    assert runs[:4] == [1] * 4  # two interpreters have two each
    assert sum(runs) == len(asked)
    assert len(runs) < 12


def test_interpreters_share_the_cores_that_a_version_may_use(
    version: Path, servable: LiteRTServable, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int]] = []

    def make_pool(model: Path, *, size: int, num_threads: int) -> Any:
        made.append((size, num_threads))
        return SimpleNamespace(size=size, num_threads=num_threads)

    monkeypatch.setattr("tfchain.deployment.server.servables.litert.LiteRTPool", make_pool)
    for options in ({"num_cores": 2}, {}, {"tflite_interpreters": 1}, {"intra_op_threads": 3}):
        add_litert(servable, version, LoadOptions(**{"num_cores": 8, **options}))
    assert made == [(2, 1), (4, 2), (1, 8), (4, 3)]


def test_a_version_without_a_flatbuffer_is_served_by_its_saved_model(version: Path, tmp_path: Path) -> None:
    plain = Path(shutil.copytree(version, tmp_path / "1"))
    (plain / "model.tflite").unlink()
    servable = load_version(plain, PREFER)
    assert isinstance(servable, SavedModelServable)
    servable.close()
    without_flag = load_version(version)
    assert isinstance(without_flag, SavedModelServable)
    without_flag.close()


def test_a_damaged_or_foreign_flatbuffer_is_one_clear_error(version: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(version, tmp_path / "1"))
    (copy / "model.tflite").write_bytes(b"damaged")
    with pytest.raises(StatusError, match=r"INVALID_ARGUMENT: Cannot build FlatBufferModel from .*model\.tflite"):
        load_version(copy, PREFER)
    double = tf.function(lambda x: x * 2.0, input_signature=[tf.TensorSpec([2], tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([double.get_concrete_function()])
    (copy / "model.tflite").write_bytes(converter.convert())
    with pytest.raises(StatusError, match="UNIMPLEMENTED: .* must have the signature embed_ids. Received: "):
        load_version(copy, PREFER)


class WithoutHalves:
    """A version as it was exported before versions had halves."""

    def __init__(self, servable: Servable) -> None:
        self.signatures = {name: one for name, one in servable.signatures.items() if name in ("embed", "embed_ids")}
        self.signature_defs = servable.signature_defs
        self.run, self.close = servable.run, servable.close


def test_a_version_without_halves_answers_texts_by_its_saved_model_and_says_so(
    chain: NeuralSearchChain, version: Path, caplog: pytest.LogCaptureFixture
) -> None:
    servable = add_litert(WithoutHalves(load_version(version)), version, PREFER)
    assert "has no halves of embed: the SavedModel answers them" in caplog.text
    (vectors,) = servable.run(servable.signatures["embed"], {"text": to_array(TEXTS)}, ["embedding"])
    np.testing.assert_allclose(
        vectors, chain.text_encoder.with_precision("float32", engine="tensorflow").encode(TEXTS), atol=1e-5
    )
    token_ids = ids([[2, 6, 7, 3]])
    inputs = {"token_ids": token_ids, "padding_mask": np.ones_like(token_ids)}
    (vectors,) = servable.run(servable.signatures["embed_ids"], inputs, ["embedding"])
    np.testing.assert_allclose(vectors, chain.text_encoder.runner(token_ids.tolist()), atol=SAME)
    servable.close()


def test_prompts_are_in_the_tokenizing_halves() -> None:
    folder = Path(__file__).parents[3] / "parity" / "fixtures" / "bert_prompt_excluded"
    text_encoder = TextEncoder.from_pretrained(folder, engine="tensorflow")
    index = make_index(text_encoder, read_documents(["the first text"]), PassageConfig())
    graph = make_search_graph(text_encoder, index, litert=text_encoder)
    for signature, prompt in (("tokenize", ""), ("tokenize_query", "search for: ")):
        answer = graph.signatures[signature](tf.constant(["a text"]))
        (expected,) = text_encoder.tokenizer([prompt + "a text"])
        assert answer["token_ids"].numpy().tolist() == [list(expected)]
        skipped = text_encoder.skipped_tokens(prompt)
        assert (skipped > 1) == bool(prompt)
        assert answer["padding_mask"].numpy().tolist() == [[2] * skipped + [1] * (len(expected) - skipped)]


def test_a_flatbuffer_that_answers_otherwise_never_appears(version: Path, tmp_path: Path) -> None:
    specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in ("token_ids", "padding_mask")]
    function = tf.function(lambda token_ids, padding_mask: {"embedding": tf.zeros([1, 64])}, input_signature=specs)
    flatbuffer = (version / "model.tflite").read_bytes()
    inputs = {"token_ids": ids([[2, 6, 3]]), "padding_mask": ids([[1, 1, 1]])}
    right = tf.lite.Interpreter(model_content=flatbuffer).get_signature_runner("embed_ids")(**inputs)["embedding"]
    proof = Proof("embed_ids", inputs, {"embedding": np.zeros((1, 64), "float32")})
    options = {"proofs": [proof], "files": {"model.tflite": flatbuffer}}  # it is what the SavedModel answers

    with pytest.raises(ExportError, match="signature 'embed_ids' gave for 'embedding' values that are .* away"):
        export(tmp_path / "v", tf.Module(), {"embed_ids": function}, litert_proofs=[proof], **options)
    long = {"token_ids": ids([[6] * 40]), "padding_mask": ids([[1] * 40])}  # LiteRT cannot, the SavedModel does
    failing = Proof("embed_ids", long, proof.outputs)
    with pytest.raises(ExportError, match=r"LiteRT does not run the version's model\.tflite here"):
        export(tmp_path / "v", tf.Module(), {"embed_ids": function}, litert_proofs=[failing], **options)
    assert list((tmp_path / "v").iterdir()) == []
    good = Proof("embed_ids", inputs, {"embedding": right})
    assert export(tmp_path / "v", tf.Module(), {"embed_ids": function}, litert_proofs=[good], **options).name == "1"


class FailingPool:
    """In place of a pool: raises what it is told to."""

    size = num_threads = 1

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_: Any) -> np.ndarray:
        raise self.error


def test_where_litert_fails_the_saved_model_answers_and_it_is_told(
    version: Path, servable: LiteRTServable, caplog: pytest.LogCaptureFixture
) -> None:
    plain = load_version(version)
    pool: Any = FailingPool(RuntimeError("no memory"))
    failing = LiteRTServable(plain, pool, read_halves(version))
    inputs, signature = {"text": to_array(TEXTS)}, plain.signatures["embed"]
    (answer,) = failing.run(signature, inputs, ["embedding"])
    np.testing.assert_array_equal(answer, plain.run(signature, inputs, ["embedding"])[0])
    assert failing.num_failures == 1
    assert "LiteRT failed, and the SavedModel answered embed: no memory" in caplog.text
    failing.close()


def test_a_request_waits_no_longer_than_its_deadline(version: Path) -> None:
    pool = LiteRTPool(version / "model.tflite", size=1, num_threads=1)
    servable = LiteRTServable(load_version(version), pool, read_halves(version))
    inputs = {"text": to_array(TEXTS)}
    with pool._lend((1, 1), None), pytest.raises(StatusError, match="Timed out waiting") as caught:
        servable.run(servable.signatures["embed"], inputs, ["embedding"], timeout_ms=50)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    (vectors,) = servable.run(servable.signatures["embed"], inputs, ["embedding"], timeout_ms=60_000)
    assert vectors.shape == (len(TEXTS), 64)
    servable.close()


@pytest.mark.usefixtures("forks")
def test_the_program_takes_the_flag(chain: NeuralSearchChain, version: Path) -> None:
    with deploy(version.parent, model_name="docs", prefer_tflite_model=True) as server, server.client() as client:
        np.testing.assert_allclose(client.embed(TEXTS, model="docs"), chain.encode(TEXTS), atol=SAME)


def test_the_log_of_a_load_tells_nothing_where_all_is_there(version: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "tfchain")
    servable = load_version(version, PREFER)
    servable.close()
    assert [record for record in caplog.records if record.name.startswith("tfchain")] == []


def test_of_a_router_in_token_ids_it_says_what_the_saved_model_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = NeuralSearchChain.from_pretrained(ROUTER)
    made.text_encoder = made.text_encoder.with_precision("float16")
    version = made.export(tmp_path / "ids", signatures="ids")
    with caplog.at_level(logging.INFO), contextlib.closing(load_for_engine(version, PREFER)):
        assert "has an encoder of its own for queries: the SavedModel answers embed_query_ids." in caplog.text
