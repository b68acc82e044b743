"""ONNX Runtime, fp32, default session."""

from pathlib import Path

import numpy as np
import onnxruntime
from engine_worker import run_worker
from exported_engine import ExportedEngine


class OnnxRuntimeEngine(ExportedEngine):
    """The exported encoder in an inference session on the CPU."""

    packages = ("onnxruntime", "tokenizers")

    def __init__(self, model: Path) -> None:
        super().__init__(model)
        self.session = onnxruntime.InferenceSession(str(model / "encoder.onnx"), providers=["CPUExecutionProvider"])

    def run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        return self.session.run(["embedding"], feeds)[0]


if __name__ == "__main__":
    run_worker(OnnxRuntimeEngine)
