"""tfchain as its README shows it: default settings, in fp32 or compressed.

Int8 is loaded from a saved chain; `int8-litert` is int8 run by LiteRT.
"""

from pathlib import Path

import numpy as np
from engine_worker import run_worker

from tfchain import NeuralSearchChain


class TfchainEngine:
    """A chain, whose `encode` is measured, and which exports the version that the server answers from."""

    packages = ("tfchain", "tensorflow", "keras")

    def __init__(self, model: Path, precision: str) -> None:
        engine = "litert" if precision == "int8-litert" else "auto"
        if precision.startswith("int8"):  # a chain that `save_int8.py` saved
            self.chain = NeuralSearchChain.load(model, engine=engine)
            return
        # Documents are cut at the model's maximum, as sentence-transformers does, so that both serve the same vectors.
        self.chain = NeuralSearchChain.from_pretrained(model, passages="truncate", engine=engine)

    def encode_one(self, text: str) -> np.ndarray:
        return self.chain.encode([text])[0]

    def encode(self, texts: list[str]) -> np.ndarray:
        return self.chain.encode(texts, batch_size=32)

    def export(self, documents: str, folder: str) -> None:
        """Adds the documents of a .jsonl file and writes a version."""
        self.chain.add(documents)
        self.chain.export(folder)


if __name__ == "__main__":
    run_worker(TfchainEngine)
