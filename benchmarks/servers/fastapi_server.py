"""What a user of sentence-transformers writes to serve a search: FastAPI, uvicorn, FAISS.

Run as `fastapi_server.py MODEL VECTORS DOCUMENTS PORT`.
"""

import argparse
import json
from pathlib import Path

import faiss
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer


class Query(BaseModel):
    """A request."""

    text: str
    top_k: int = 10


def make_app(model: Path, vectors: Path, documents: Path) -> FastAPI:
    """The service: POST /search."""
    encoder = SentenceTransformer(str(model), device="cpu", local_files_only=True)
    rows = [json.loads(line) for line in documents.read_text(encoding="utf-8").splitlines()]
    embeddings = np.load(vectors)
    index = faiss.IndexFlatIP(embeddings.shape[1])
    index.add(embeddings)
    app = FastAPI()

    @app.post("/search")
    def search(query: Query) -> dict[str, list]:
        embedding = encoder.encode([query.text], show_progress_bar=False)
        scores, found = index.search(embedding, query.top_k)
        hits = [rows[position] for position in found[0]]
        return {
            "ids": [hit["id"] for hit in hits],
            "scores": scores[0].tolist(),
            "texts": [hit["text"] for hit in hits],
        }

    @app.post("/embed")
    def embed(query: Query) -> dict[str, list]:
        return {"embedding": encoder.encode([query.text], show_progress_bar=False)[0].tolist()}

    return app


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "vectors", "documents"):
        parser.add_argument(name, type=Path)
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    app = make_app(arguments.model, arguments.vectors, arguments.documents)
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
