"""Compressed chains over the wire: each recipe's model is exported, served, and answers as the chain does."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import ROWS
from tfchain import (
    Cluster,
    Distill,
    NeuralSearchChain,
    Prune,
    Quantize,
    QuantizeAware,
    QuantizeVectors,
    ReduceDimensions,
    Shrink,
)
from tfchain.chains.search_client import Client
from tfchain.deployment.server import model_server
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.servables.engines import load_for_engine
from tfchain.deployment.server.servables.litert import LiteRTServable
from tfchain.deployment.server.servables.saved_model import LoadOptions, SavedModelServable
from tfchain.deployment.server.servables.servable import Servable
from tfchain.runtime.tf_text import load_tf_text

pytestmark = pytest.mark.usefixtures("empty_cache")

TEXTS = sorted({text for row in ROWS for text in row})
SAME = 2e-3  # of LiteRT with LiteRT; see test_litert.py
QUERIES = ["stocks fell on monday", "a dog", "who does what", "你好"]
DISTILL = Distill(batch_size=8)


@dataclass(frozen=True)
class Case:
    """Recipes, and how far what is served may be from what the chain computes.

    Args:
        recipes: As `compress` takes them.
        near: The largest difference of any number of a vector, and of a score, by the SavedModel.
        needs_int8: Whether oneDNN's int8 products compute what is served.
    """

    recipes: tuple[Any, ...]
    near: float = 1e-5
    needs_int8: bool = False


CASES = {
    "prune and cluster": Case((Prune(pattern="2:4", end=0.5), Cluster(5, begin=0.5), DISTILL)),
    "shrink and distill": Case((Shrink(layers=1, intermediate_dim=8), Distill(batch_size=8, objective="layers"))),
    "quantize_aware": Case((QuantizeAware(), DISTILL, Quantize("int8")), near=5e-2),
    "reduce": Case((ReduceDimensions(8, "pca"),)),
    "bfloat16": Case((Quantize("bfloat16"),), near=1e-2),
    "float16": Case((Quantize("float16"),), near=1e-2),
    "int8": Case((Quantize("int8"),), near=5e-2),
    "calibrated int8": Case((Quantize("int8", calibrated=True),), near=1e-4, needs_int8=True),
    "int8 vectors": Case((QuantizeVectors("int8"),)),
    "binary vectors": Case((QuantizeVectors("binary"),)),
}
LITERT = ("quantize_aware", "float16", "int8")


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """The kinds of servables that servers have loaded."""
    made: list[type] = []

    def load(*arguments: Any, **options: Any) -> Servable:
        servable = load_for_engine(*arguments, **options)
        made.append(type(servable))
        return servable

    monkeypatch.setattr(model_server, "load_for_engine", load)
    return made


@pytest.mark.parametrize("name", CASES)
def test_the_server_answers_as_the_chain_does(
    name: str,
    wide_model_path: Path,
    wide_thin_model_path: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    loads: list[type],
) -> None:
    case = CASES[name]
    path = wide_model_path if name.startswith("shrink") else wide_thin_model_path
    if case.needs_int8:
        request.getfixturevalue("int8_products")
    engine = "auto" if name in LITERT else "tensorflow"  # without a conversion
    chain = NeuralSearchChain.from_pretrained(path, engine=engine).add(TEXTS)
    tf.config.run_functions_eagerly(True)  # some steps: tracing takes longer
    try:
        chain.compress(list(case.recipes), texts=TEXTS, progress=False)
    finally:
        tf.config.run_functions_eagerly(False)
    version = chain.export(tmp_path / "docs", top_k=3)
    load_tf_text()
    with serve(tmp_path / "docs", LoadOptions()) as client:
        check_answers(chain, client, case.near)
    assert (version / "model.tflite").is_file() is (name in LITERT)
    if name in LITERT:
        with serve(tmp_path / "docs", LoadOptions(prefers_tflite=True, tflite_interpreters=1)) as client:
            assert loads == [SavedModelServable, LiteRTServable]
            check_answers(chain, client, case.near)
            chain.text_encoder = chain.text_encoder.with_precision(chain.text_encoder.precision, engine="litert")
            chain.add(list(chain.index))  # encodes them again by LiteRT; `reindex` would convert the encoder again, too
            check_answers(chain, client, SAME)


@contextlib.contextmanager
def serve(path: Path, load: LoadOptions) -> Iterator[Client]:
    options = {"host": "127.0.0.1", "grpc_port": 0, "rest_port": 0, "poll_seconds": 0, "load": load}
    with ModelServer(ServerOptions("docs", path, **options)) as server:
        server.start()
        with Client(f"127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}") as client:
            yield client


def check_answers(chain: NeuralSearchChain, client: Client, near: float) -> None:
    """Compares vectors and rankings of a server, over gRPC and REST, with the chain's."""
    expected = {result["text"]: result.hits for result in chain.search(QUERIES, top_k=3)}
    for protocol in ("grpc", "rest"):
        vectors = client.embed(QUERIES, model="docs", protocol=protocol)
        np.testing.assert_allclose(vectors, chain.encode(QUERIES), atol=near)
        for result in client.search(QUERIES, model="docs", protocol=protocol):
            hits = expected[result["text"]]
            scores = [[hit.score for hit in found] for found in (result.hits, hits)]
            np.testing.assert_allclose(*scores, atol=2 * near)
            if near <= 1e-4:
                assert [hit.id for hit in result.hits] == [hit.id for hit in hits]
