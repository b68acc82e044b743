"""A version of a small chain in int8 with files for the kernels, made once for all tests that need one."""

from dataclasses import dataclass
from pathlib import Path

from tfchain.core.types import Document
from tfchain.deployment.export import export
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.native_search import make_native_search
from tfchain.tasks.search.search import PassageConfig, make_index
from tfchain.tasks.search.search_graph import make_search_graph

DOCUMENTS = ["the cat sleeps", "stocks fell on monday", "你好，我是一个智能助手", "who does run", "a dog", "a dog"]
METADATA = [{"animal": "cat", "row": 0}, {}, {"row": 2}, {"row": 3}, {"animal": "dog"}, {"animal": "dog", "row": 5}]
TOP_K = 4


@dataclass(frozen=True)
class NativeVersion:
    """The version, and what Python has of it.

    Args:
        path: The version's folder.
        text_encoder: The model, run by the kernels.
        index: The documents, encoded by it.
    """

    path: Path
    text_encoder: TextEncoder
    index: DocumentIndex


def make_native_version(base_path: Path, model_path: Path) -> NativeVersion:
    """Writes the native files beside a float32 SavedModel, without the conversions of `chain.export` in int8.

    Args:
        base_path: The base path to export to.
        model_path: The model's folder.
    """
    text_encoder = TextEncoder.from_pretrained(model_path).with_precision("int8", engine="native")
    documents = [Document(f"{row}", text, metadata=METADATA[row]) for row, text in enumerate(DOCUMENTS)]
    index = make_index(text_encoder, documents, PassageConfig())
    whole = text_encoder.with_precision("float32", engine="tensorflow")
    graph = make_search_graph(whole, make_index(whole, documents, PassageConfig()), top_k=TOP_K)
    native = make_native_search(text_encoder, index, top_k=TOP_K, texts=graph.texts)
    assert native is not None
    path = export(base_path, graph.module, graph.signatures, proofs=graph.proofs, native=native)
    return NativeVersion(path, text_encoder, index)
