"""sentence-transformers as its documentation shows it: PyTorch, fp32, default settings."""

from pathlib import Path

import numpy as np
from engine_worker import run_worker
from sentence_transformers import SentenceTransformer


class SentenceTransformersEngine:
    """A SentenceTransformer on the CPU."""

    packages = ("sentence-transformers", "transformers", "torch")

    def __init__(self, model: Path, precision: str) -> None:
        assert precision == "float32"
        self.model = SentenceTransformer(str(model), device="cpu", local_files_only=True)

    def encode_one(self, text: str) -> np.ndarray:
        return self.model.encode(text)

    def encode(self, texts: list[str]) -> np.ndarray:
        return self.model.encode(texts, batch_size=32, show_progress_bar=False)


if __name__ == "__main__":
    run_worker(SentenceTransformersEngine)
