"""ONNX Runtime, fp32 or int8 (dynamic quantization, a scale a channel), default session."""

from pathlib import Path

import numpy as np
import onnxruntime
from engine_worker import run_worker
from exported_engine import ExportedEngine


class OnnxRuntimeEngine(ExportedEngine):
    """The exported encoder in an inference session on the CPU."""

    packages = ("onnxruntime", "tokenizers")

    def __init__(self, model: Path, precision: str) -> None:
        super().__init__(model, precision)
        path = self.stem.with_suffix(".onnx")
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        return self.session.run(["embedding"], feeds)[0]


if __name__ == "__main__":
    run_worker(OnnxRuntimeEngine)
