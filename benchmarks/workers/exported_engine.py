"""What ONNX Runtime's and OpenVINO's workers share: the Hugging Face tokenizer, batches sorted by length."""

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

BATCH_SIZE = 32


class ExportedEngine:
    """An exported encoder (token ids in, normalised embedding out) behind the tokenizer of its folder.

    The folder is what workers/export_peers.py wrote. There is no sentence-transformers around the runtime, which makes
    it a little faster than sentence-transformers' own backends for it.
    """

    def __init__(self, model: Path, precision: str) -> None:
        self.stem = model / ("encoder" if precision == "float32" else f"encoder-{precision}")
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.enable_truncation(json.loads((model / "export.json").read_text(encoding="utf-8"))["max_length"])
        self.tokenizer.enable_padding()

    def run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        """Embeddings of a batch of token ids."""
        raise NotImplementedError

    def encode_one(self, text: str) -> np.ndarray:
        return self.encode_batch([text])[0]

    def encode(self, texts: list[str]) -> np.ndarray:
        order = np.argsort([-len(text) for text in texts], kind="stable")
        vectors: list[np.ndarray] = []
        for start in range(0, len(texts), BATCH_SIZE):
            vectors.extend(self.encode_batch([texts[index] for index in order[start : start + BATCH_SIZE]]))
        result = np.empty((len(texts), len(vectors[0])), np.float32)
        result[order] = vectors
        return result

    def encode_batch(self, texts: list[str]) -> np.ndarray:
        encodings = self.tokenizer.encode_batch(texts)
        return self.run(
            {
                "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
                "attention_mask": np.array([encoding.attention_mask for encoding in encodings], np.int64),
                "token_type_ids": np.array([encoding.type_ids for encoding in encodings], np.int64),
            }
        )
