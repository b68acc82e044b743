"""A server that follows a base path's releases, with versions that compare words in Python, and shows its metrics."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.deployment.releases.versions import make_version
from tests.search_server import TEXT, WordServable, serve_http
from tfchain.core.signatures import SERVING_DEFAULT
from tfchain.deployment.repository import DESCRIPTION, list_versions
from tfchain.deployment.server.config import ModelConfig
from tfchain.deployment.server.http.monitoring import Readiness, add_monitoring
from tfchain.deployment.server.http.rest import RestApi
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.manager import Manager, ModelSpec
from tfchain.deployment.server.metrics.registry import Registry
from tfchain.deployment.server.releases import Traffic
from tfchain.deployment.server.servables.servable import Signature, TensorSpec
from tfchain.deployment.server.status import invalid_argument
from tfchain.runtime.tf_protos import find_message

DOCUMENTS = {"cat": "the cat sleeps", "stock": "stocks fell on monday"}
WRONG = {"stock": "the cat sleeps", "cat": "stocks fell on monday"}  # as if ids belonged to another index
FOUND = {"ids": TensorSpec("ids:0", 7), "scores": TensorSpec("scores:0", 1)}


class ReleasedWords(WordServable):
    """Finds the document with the most words of a text; a text with `crash` fails."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.signatures = {SERVING_DEFAULT: Signature(SERVING_DEFAULT, TEXT, FOUND)}
        proto = find_message("tensorflow.SignatureDef")()
        for name, spec in TEXT.items():
            proto.inputs[name].dtype = spec.dtype
        for name, spec in FOUND.items():
            proto.outputs[name].dtype = spec.dtype
        self.signature_defs = {SERVING_DEFAULT: proto}

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        if any(b"crash" in text for text in inputs["text"]):
            raise invalid_argument("it crashed")
        return super().run(signature, inputs, outputs, timeout_ms)


class CanaryServer:
    """The server; the test polls the base path.

    Args:
        base_path: The base path.
    """

    url = ""

    def __init__(self, base_path: Path) -> None:
        self.base_path = base_path
        self.metrics = Registry()
        self._traffic = Traffic(self.metrics)
        models = self._traffic.follow_models({"docs": ModelConfig("docs", base_path)})
        assert models is not None
        self._policy = models["docs"].policy
        self.manager = Manager(
            lambda name, version, path: self._traffic.watch(ReleasedWords(path), name, version), max_retries=0
        )

    def poll(self) -> None:
        """Looks at the base path once, and waits until what is wanted is loaded."""
        wanted = self._policy("docs", list_versions(self.base_path))
        self.manager.set_wanted("docs", wanted)
        waiting = threading.Event()
        for _ in range(1000):
            if all(self.manager.is_available("docs", version) for version in wanted):
                return
            waiting.wait(0.01)
        raise AssertionError(f"{sorted(wanted)} were not loaded in ten seconds")

    def ask(self, version: int, times: int) -> None:
        """Sends users' requests to a version."""
        with self.manager.lend(ModelSpec("docs", version)) as lease:
            signature = lease.servable.signatures[SERVING_DEFAULT]
            for _ in range(times):
                lease.servable.run(signature, {"text": np.array([b"cat"], object)}, ["ids"])


@contextmanager
def serve_releases(base_path: Path) -> Iterator[CanaryServer]:
    """Serves a base path over REST while the block runs."""
    server = CanaryServer(base_path)
    router = Router(RestApi(server.manager).answer)
    add_monitoring(router, server.metrics, readiness=lambda: Readiness({}))
    try:
        server.poll()
        with serve_http(router) as server.url:
            yield server
    finally:
        server.manager.close()


def write_words(base_path: Path, number: int, documents: Mapping[str, str]) -> Path:
    """Writes a version that finds one of the documents."""
    path = make_version(base_path, number, outcome=None)
    (path / DESCRIPTION).parent.mkdir()
    (path / DESCRIPTION).write_text(json.dumps({"top_k": 1}), encoding="utf-8")
    (path / "documents.json").write_text(json.dumps(documents), encoding="utf-8")
    return path
