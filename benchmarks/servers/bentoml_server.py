"""What a user of BentoML writes to serve a search: adaptive batching around sentence-transformers, and FAISS.

Run as `bentoml_server.py MODEL VECTORS DOCUMENTS PORT`.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import bentoml
import faiss
import numpy as np
from sentence_transformers import SentenceTransformer

VARIABLES = ("SEARCH_MODEL", "SEARCH_VECTORS", "SEARCH_DOCUMENTS")  # for BentoML's worker, which imports this file
TOP_K = 10
MOST_TEXTS = 64  # in a batch, as many as there are clients


@bentoml.service(traffic={"timeout": 120, "max_concurrency": 256})
class Search:
    """A search service; BentoML joins the lists of requests that come at the same time, and takes the answers apart."""

    def __init__(self) -> None:
        model, vectors, documents = (Path(os.environ[name]) for name in VARIABLES)
        self.encoder = SentenceTransformer(str(model), device="cpu", local_files_only=True)
        self.rows = [json.loads(line) for line in documents.read_text(encoding="utf-8").splitlines()]
        embeddings = np.load(vectors)
        self.index = faiss.IndexFlatIP(embeddings.shape[1])
        self.index.add(embeddings)

    @bentoml.api(batchable=True, max_batch_size=MOST_TEXTS, max_latency_ms=60_000)
    def search(self, texts: list[str]) -> list[dict[str, Any]]:
        """POST /search."""
        scores, found = self.index.search(self._encode(texts), TOP_K)
        return [
            {
                "ids": [self.rows[place]["id"] for place in places],
                "scores": values.tolist(),
                "texts": [self.rows[place]["text"] for place in places],
            }
            for values, places in zip(scores, found, strict=True)
        ]

    @bentoml.api(batchable=True, max_batch_size=MOST_TEXTS, max_latency_ms=60_000)
    def embed(self, texts: list[str]) -> np.ndarray:
        """POST /embed."""
        return self._encode(texts)

    def _encode(self, texts: list[str]) -> np.ndarray:
        return self.encoder.encode(texts, batch_size=MOST_TEXTS, show_progress_bar=False)


def main() -> None:
    """Becomes BentoML's own server program."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "vectors", "documents"):
        parser.add_argument(name, type=Path)
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    values = (arguments.model, arguments.vectors, arguments.documents)
    os.environ |= dict(zip(VARIABLES, map(str, values), strict=True)) | {"BENTOML_DO_NOT_TRACK": "True"}
    folder = Path(__file__).resolve().parent
    program = ["-m", "bentoml", "serve", f"{Path(__file__).stem}:Search", f"--working-dir={folder}"]
    os.execv(sys.executable, [sys.executable, *program, "--host=127.0.0.1", f"--port={arguments.port}"])


if __name__ == "__main__":
    main()
