"""Folders with a Router that tfchain writes, read again; in `parity/` sentence-transformers reads them."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfchain import NeuralSearchChain
from tfchain.models.text_encoder import TextEncoder

FIXTURES = Path(__file__).parents[2] / "parity" / "fixtures"
TEXTS = ["the quick brown fox", "how do I merge two sorted lists", "a text of more than seven tokens, cut off"]


def make_encoder(route: str) -> TextEncoder:
    """A BERT for documents; for queries a table, or a RoBERTa of at most seven tokens with a prompt of its own."""
    encoder = TextEncoder.from_pretrained(FIXTURES / "router", engine="tensorflow")
    if route == "roberta":
        options = {"prompts": {"query": "find "}, "query_length": 7}
        encoder.query_route = TextEncoder.from_pretrained(FIXTURES / "roberta", engine="tensorflow", **options)
    return encoder


@pytest.mark.parametrize("route", ["static", "roberta"])
def test_a_saved_folder_has_the_same_vectors(route: str, tmp_path: Path) -> None:
    encoder = make_encoder(route)
    encoder.save(tmp_path, portable=True)
    again = TextEncoder.from_pretrained(tmp_path, engine="tensorflow")
    np.testing.assert_allclose(again.encode_query(TEXTS), encoder.encode_query(TEXTS), atol=1e-6)
    np.testing.assert_allclose(again.encode_document(TEXTS), encoder.encode_document(TEXTS), atol=1e-6)
    np.testing.assert_allclose(again.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    assert again.query_route is not None
    assert again.query_route.query_prompt == ("ask: " if route == "static" else "find ")


def test_its_files_are_those_of_sentence_transformers(tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(FIXTURES / "router", engine="tensorflow")
    folder = tmp_path / "portable"
    chain.save_pretrained(folder)
    values = json.loads((folder / "router_config.json").read_text())
    assert values["parameters"] == json.loads((FIXTURES / "router" / "router_config.json").read_text())["parameters"]
    assert values["structure"] == {  # the fixture's Normalize is behind both; here each has its own
        "query": ["query_0_StaticEmbedding", "query_1_Normalize"],
        "document": ["document_0_Transformer", "document_1_Pooling", "document_2_Normalize"],
    }
    kinds = {name: kind.rsplit(".", 1)[-1] for name, kind in values["types"].items()}
    assert kinds == {name: name.rsplit("_", 1)[-1] for names in values["structure"].values() for name in names}
    places = {path.name for path in folder.iterdir() if path.is_dir()}
    assert places == set(kinds)
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    assert settings["prompts"] == {"document": "", "query": "ask: "}
    (module,) = json.loads((folder / "modules.json").read_text())
    assert (module["path"], module["type"].rsplit(".", 1)[-1]) == ("", "Router")
