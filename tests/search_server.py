"""A server for the tests of search: the real endpoints, page and sockets, with models that compare words in Python."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.filters.files import make_metadata_files
from tfchain.core.signatures import EMBED, SEARCH_FILTERED, SERVING_DEFAULT
from tfchain.core.titles import make_title_files
from tfchain.deployment.repository import DESCRIPTION
from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.http.page import add_page
from tfchain.deployment.server.http.rest import RestApi
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.http.server import HttpServer
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.servables.servable import Signature, TensorSpec
from tfchain.deployment.server.text.search import add_search

TEXT = {"text": TensorSpec("text:0", 7)}
FOUND = {name: TensorSpec(f"{name}:0", 7) for name in ("ids", "scores", "texts")}
ALLOWED = {"allowed": TensorSpec("allowed:0", 10)}
VECTOR = {"embedding": TensorSpec("embedding:0", 1)}


class WordServable:
    """Scores a document by the share of the query's words that it has; equal scores keep the documents' order."""

    signature_defs: Mapping[str, Any] = {}

    def __init__(self, path: Path) -> None:
        self.documents: dict[str, str] = json.loads((path / "documents.json").read_text(encoding="utf-8"))
        described = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        self.top_k: int = described.get("top_k", len(self.documents))
        self.signatures = {EMBED: Signature(EMBED, TEXT, VECTOR)} if described.get("embeds", True) else {}
        if self.documents:
            self.signatures[SERVING_DEFAULT] = Signature(SERVING_DEFAULT, TEXT, FOUND)
            self.signatures[SEARCH_FILTERED] = Signature(SEARCH_FILTERED, TEXT | ALLOWED, FOUND)

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        found: dict[str, list[list[Any]]] = {"ids": [], "scores": [], "texts": []}
        allowed = inputs.get("allowed", np.ones(len(self.documents), bool))
        for query in inputs["text"]:
            words = query.decode().lower().split()
            scored = [
                (sum(word in text.lower() for word in words) / len(words), key) for key, text in self.documents.items()
            ]
            scored = [pair for pair, may_be_found in zip(scored, allowed, strict=True) if may_be_found]
            best = sorted(scored, key=lambda pair: -pair[0])[: self.top_k]
            blanks = min(self.top_k, len(self.documents)) - len(best)
            found["ids"].append([key.encode() for _, key in best] + [b""] * blanks)
            found["scores"].append([score for score, _ in best] + [-np.inf] * blanks)
            found["texts"].append([self.documents[key].encode() for _, key in best] + [b""] * blanks)
        dtypes = {"scores": np.float32}
        return [np.array(found[name], dtype=dtypes.get(name, object)) for name in outputs]

    def close(self) -> None: ...


def write_version(
    path: Path,
    documents: Mapping[str, str],
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
    titles: Mapping[str, str] | None = None,
    **description: Any,
) -> None:
    """Writes what `WordServable` reads, and the documents' metadata and titles by their ids."""
    (path / DESCRIPTION).parent.mkdir(parents=True)
    (path / "documents.json").write_text(json.dumps(documents), encoding="utf-8")
    (path / DESCRIPTION).write_text(json.dumps({"documents": len(documents), **description}), encoding="utf-8")
    files = make_metadata_files(list(documents), [(metadata or {}).get(key, {}) for key in documents])
    files |= make_title_files(list(documents), [(titles or {}).get(key, "") for key in documents])
    for name, content in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(content)


@contextmanager
def serve_models(models: Mapping[str, Mapping[int, Path]]) -> Iterator[Manager]:
    """A manager of models, by their versions' folders."""
    manager = Manager(lambda _name, _version, path: WordServable(path), max_retries=0)
    for name, versions in models.items():
        manager.set_wanted(name, versions)
    try:
        manager.wait_until_loaded(list(models), 10)
        yield manager
    finally:
        manager.close()


def make_router(manager: Manager, keys: ApiKeys | None = None, **options: Any) -> Router:
    """The table with search and page, before TensorFlow Serving's API."""
    router = Router(RestApi(manager).answer, keys=keys)
    add_search(router, manager, **options)
    add_page(router)
    return router


@contextmanager
def serve_http(router: Router) -> Iterator[str]:
    """Serves a table on a port of this machine, and gives its address."""
    server = HttpServer(router, host="127.0.0.1", port=0, num_threads=8)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.close(1.0)
