"""A good version with canaries, and versions that are wrong in one way each; all are exported once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_model import save_tiny_model
from tfchain.chains.monitored_version import open_version
from tfchain.core.types import Document
from tfchain.deployment.export import export
from tfchain.models.text_encoder import TextEncoder
from tfchain.monitoring.canaries.ask import make_ask, record_canaries
from tfchain.monitoring.canaries.canary import CanaryQuery
from tfchain.monitoring.served_model import ServedModel
from tfchain.tasks.search.search import PassageConfig, make_index
from tfchain.tasks.search.search_graph import make_search_graph

TEXTS = ("the cat sleeps", "stocks fell on monday", "who does run", "a dog", "what do cats do", "Monday dog runs")
QUERIES = ("What does the cat do", "Stock on Monday", "who runs")
SIGNATURES = ("serving_default", "embed", "embed_query")  # each takes a second to write
PROMPTS = {"query": "what does ", "document": ""}


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one layer, with a prompt for queries."""
    path = tmp_path_factory.mktemp("canaries") / "bert"
    save_tiny_model(path, seed=1, num_layers=1)
    return path


@pytest.fixture(scope="session")
def versions(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Exports a version by its name: good, tokenizer, prompt, stale."""
    base_path = tmp_path_factory.mktemp("versions")
    exported: dict[str, Path] = {}

    def load(**changes: Any) -> TextEncoder:
        return TextEncoder.from_pretrained(model_path, **{"engine": "tensorflow", "prompts": PROMPTS, **changes})

    def make(name: str) -> Path:
        good = load()
        encoder = {
            "good": lambda: good,
            "tokenizer": lambda: swap_tokens(good),
            "prompt": lambda: load(prompts={**PROMPTS, "query": "the dog "}),
            "stale": lambda: good,
        }[name]()
        shift = 1 if name == "stale" else 0  # the documents' vectors are of another time
        documents = [Document(f"d{row}", TEXTS[row - shift]) for row in range(len(TEXTS))]
        graph = make_search_graph(encoder, make_index(encoder, documents, PassageConfig()), top_k=3)
        signatures = {signature: graph.signatures[signature] for signature in SIGNATURES}
        return export(base_path / name, graph.module, signatures)

    def find(name: str) -> Path:
        if name not in exported:
            exported[name] = make(name)
        return exported[name]

    return find


def swap_tokens(good: TextEncoder) -> TextEncoder:
    """The same weights, behind a tokenizer whose vocabulary has two words the other way round."""
    from transformers import BertTokenizer

    vocabulary = dict(good.tokenizer.tokenizer.get_vocab())
    vocabulary["the"], vocabulary["cat"] = vocabulary["cat"], vocabulary["the"]
    swapped = BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=24)
    return TextEncoder(swapped, good.own_encoder, prompts=PROMPTS, engine="tensorflow")


@pytest.fixture(scope="session")
def served(versions: Callable[[str], Path]) -> Iterator[Callable[[str], ServedModel]]:
    """Loads a version by its name in this process."""
    loaded: dict[str, ServedModel] = {}
    with ExitStack() as stack:

        def load(name: str) -> ServedModel:
            if name not in loaded:
                loaded[name] = stack.enter_context(open_version(versions(name), engine="tensorflow"))
            return loaded[name]

        yield load


@pytest.fixture(scope="session")
def canaries(served: Callable[[str], ServedModel]) -> list[CanaryQuery]:
    """What the good version answers."""
    return record_canaries(make_ask(served("good")), [CanaryQuery(text) for text in QUERIES])
