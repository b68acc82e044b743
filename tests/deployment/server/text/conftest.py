"""A tiny search chain with prompts, exported once and served over a real socket for all tests of the endpoints."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.conftest import Wire
from tests.tiny_model import save_tiny_model
from tfchain import NeuralSearchChain
from tfchain.deployment.server.http.limits import RequestLimits
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.ports import PortOptions
from tfchain.models.text_encoder import TextEncoder

API_KEY = "a-key"
DOCUMENTS = (
    {"text": "the cat sleeps", "metadata": {"topic": "animals", "year": 2020, "tags": ["a", "b"]}},
    {"text": "stocks fell on monday", "title": "Markets 市场", "metadata": {"topic": "money", "year": 2021.5}},
    {"text": "who runs"},
)


@pytest.fixture(scope="session")
def prompted_chain(tmp_path_factory: pytest.TempPathFactory) -> NeuralSearchChain:
    """A chain of a random BERT of one layer, whose prompt for queries is `who `, and which declares shorter vectors."""
    folder = tmp_path_factory.mktemp("prompted") / "bert"
    save_tiny_model(folder, seed=1, num_layers=1)
    file = folder / "config_sentence_transformers.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "prompts": {"query": "who ", "document": ""}}))
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "matryoshka_dimensions": [8, 16, 4]}))
    return NeuralSearchChain.from_pretrained(folder, engine="tensorflow").add(DOCUMENTS)


@pytest.fixture(scope="session")
def encoder(prompted_chain: NeuralSearchChain) -> TextEncoder:
    """What Python answers."""
    return prompted_chain.text_encoder


@pytest.fixture(scope="session")
def docs_path(prompted_chain: NeuralSearchChain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base path of the exported chain."""
    folder = tmp_path_factory.mktemp("served") / "docs"
    prompted_chain.export(folder)
    return folder


@pytest.fixture(scope="session")
def docs_wire(docs_path: Path) -> Iterator[Wire]:
    """A server of the model `docs`, with CORS headers, that takes at most 70 texts and 20,000 bytes a request."""
    options = ServerOptions(
        "docs",
        docs_path,
        host="127.0.0.1",
        grpc_port=0,
        rest_port=0,
        poll_seconds=0,
        has_warmup=False,
        has_cors=True,
        limits=RequestLimits(max_batch_size=70, max_body_bytes=20_000),
    )
    with ModelServer(options) as server:
        server.start()
        yield Wire(server)


@pytest.fixture(scope="session")
def keyed_wire(docs_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """The same model behind an API key."""
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(API_KEY)
    options = ServerOptions(
        "docs",
        docs_path,
        host="127.0.0.1",
        grpc_port=None,
        rest_port=0,
        poll_seconds=0,
        has_warmup=False,
        ports=PortOptions(api_key_file=str(keys)),
    )
    with ModelServer(options) as server:
        server.start()
        yield Wire(server)


@pytest.fixture(scope="session")
def base_url(docs_wire: Wire) -> str:
    """Where the server answers."""
    return f"http://127.0.0.1:{docs_wire.server.rest_port}"
