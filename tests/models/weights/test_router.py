"""Routes of a Router: which modules a query and a document take, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain import NeuralSearchChain, ReduceDimensions, TextClassificationChain, TrimVocabulary
from tfchain.core.errors import ModelFolderError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.router import read_routes
from tfchain.optimization.reduce import find_directions, reduce_dimensions
from tfchain.optimization.trim_vocabulary import trim_vocabulary
from tfchain.training.adapters.linear_adapter import fit_linear_adapter
from tfchain.training.adapters.options import AdapterOptions

FOLDER = Path(__file__).parents[2] / "parity" / "fixtures" / "router"
TEXTS = ["the quick brown fox", "how do I merge two sorted lists", "stocks fell on monday"]
LISTED = [{"type": "x.Router", "path": "0_Router"}, {"type": "x.Normalize", "path": "1_Normalize"}]
TYPES = {"a": "x.StaticEmbedding", "b": "x.Transformer"}


def write(folder: Path, structure: dict[str, list[str]], name: str = "router_config.json", **parameters: Any) -> Path:
    (folder / "0_Router").mkdir()
    values = {"types": TYPES, "structure": structure, "parameters": parameters}
    (folder / "0_Router" / name).write_text(json.dumps(values))
    return folder


def paths(modules: list[dict[str, Any]]) -> list[str]:
    return [module["path"] for module in modules]


@pytest.mark.parametrize("name", ["router_config.json", "config.json"])
def test_a_query_and_a_document_take_their_routes(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, {"query": ["a"], "document": ["b"]}, name, default_route="document")
    documents, queries = read_routes(folder, LISTED)
    assert paths(documents) == ["0_Router/b", "1_Normalize"]
    assert paths(queries) == ["0_Router/a", "1_Normalize"]


def test_mappings_come_before_names(tmp_path: Path) -> None:
    mappings = {"('query', 'text')": "fast", "(None, 'text')": "slow"}
    folder = write(tmp_path, {"fast": ["a"], "slow": ["b"]}, route_mappings=mappings)
    documents, queries = read_routes(folder, LISTED)
    assert (paths(documents)[0], paths(queries)[0]) == ("0_Router/b", "0_Router/a")


@pytest.mark.parametrize(
    ("structure", "parameters", "message"),
    [
        ({"query": ["a"], "other": ["b"]}, {}, "must have a route for document. Received: routes 'query', 'other'"),
        ({"query": ["a"], "document": ["b"]}, {}, "must take the documents' route, 'document', .* Received: 'query'"),
        ({"query": ["a"], "document": ["b"]}, {"allow_empty_key": False}, "must have a route for texts without a role"),
    ],
)
def test_other_routes_are_refused(
    tmp_path: Path, structure: dict[str, list[str]], parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelFolderError, match=message):
        read_routes(write(tmp_path, structure, **parameters), LISTED)


def test_routes_of_two_widths_are_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "router")
    dense = folder / "narrow"
    dense.mkdir()
    settings = {"in_features": 24, "out_features": 8, "bias": False, "activation_function": "torch.nn.Identity"}
    (dense / "config.json").write_text(json.dumps(settings))
    routes = json.loads((folder / "router_config.json").read_text())
    routes["types"]["narrow"] = "sentence_transformers.models.Dense"
    routes["structure"]["query"].append("narrow")
    (folder / "router_config.json").write_text(json.dumps(routes))
    with pytest.raises(ModelFolderError, match="cannot be read: .* Received: 8 for queries and 24 for documents"):
        TextEncoder.from_pretrained(folder)


def test_a_chain_searches_with_both_and_is_saved(tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(FOLDER, engine="tensorflow")
    chain.add(TEXTS)
    again = NeuralSearchChain.load(chain.save(tmp_path / "chain"), engine="tensorflow")
    for made in (chain, again):
        assert type(made.text_encoder.query_route).__name__ == "TextEncoder"
        scores = {hit.text: hit.score for hit in made.search("fox").hits}
        vectors = made.text_encoder.encode_document(TEXTS) @ made.text_encoder.encode_query("fox")
        assert [round(scores[text], 5) for text in TEXTS] == [round(float(score), 5) for score in vectors]


def make_routed() -> TextEncoder:
    return TextEncoder.from_pretrained(FOLDER, engine="tensorflow")


@pytest.mark.parametrize("recipe", [ReduceDimensions(3), ReduceDimensions(3, method="pca")])
def test_narrower_vectors_of_both_are_on_the_same_directions(recipe: ReduceDimensions) -> None:
    encoder = make_routed()
    documents, queries = encoder.encode_document(TEXTS), encoder.encode_query(TEXTS)
    reduced = reduce_dimensions(encoder, recipe, TEXTS)
    directions = np.eye(24, 3) if recipe.method == "truncate" else find_directions(documents, 3)
    for found, whole in (
        (reduced.encode_document(TEXTS), documents @ directions),
        (reduced.encode_query(TEXTS), queries @ directions),
    ):
        np.testing.assert_allclose(found, whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-5)
    assert encoder.query_route is not None
    assert encoder.query_route.embedding_dim == 24


def test_a_trimmed_vocabulary_is_the_documents_alone() -> None:
    encoder = make_routed()
    trimmed = trim_vocabulary(encoder, TrimVocabulary(), TEXTS)
    assert len(trimmed.tokenizer.tokenizer) < len(encoder.tokenizer.tokenizer)
    np.testing.assert_array_equal(trimmed.encode_query("a zebra"), encoder.encode_query("a zebra"))


def test_a_linear_map_is_that_of_both() -> None:
    encoder = make_routed()
    adapted = fit_linear_adapter(encoder, ["fox", "lists"], TEXTS, [0, 1], options=AdapterOptions(steps=20))
    kernel = adapted.own_encoder.get_weights()[-1]
    assert np.abs(kernel - np.eye(24)).max() > 1e-3
    whole = encoder.encode_query(TEXTS) @ kernel
    np.testing.assert_allclose(
        adapted.encode_query(TEXTS), whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-5
    )


def test_a_task_without_queries_trains_and_serves_the_documents_encoder_alone(tmp_path: Path, eager: None) -> None:
    chain = TextClassificationChain.from_pretrained(FOLDER, engine="tensorflow")
    chain.fit([(text, label) for text, label in zip(TEXTS, ["animals", "code", "money"], strict=True)], epochs=1)
    assert chain.text_encoder.query_route is None
    version = chain.export(tmp_path / "versions")
    signatures = json.loads((version / "assets.extra" / "tfchain.json").read_text())["signatures"]
    assert "embed_query_ids" not in signatures
