"""OpenVINO, fp32, bfloat16 or int8 (quantized by NNCF with calibration)."""

from pathlib import Path

import numpy as np
import openvino
from engine_worker import run_worker
from exported_engine import ExportedEngine


class OpenVinoEngine(ExportedEngine):
    """The exported encoder compiled for the CPU."""

    packages = ("openvino", "tokenizers")

    def __init__(self, model: Path, precision: str) -> None:
        # bfloat16 reads the weights of fp32. Said aloud, because OpenVINO takes it by itself where processors have it.
        super().__init__(model, "float32" if precision == "bfloat16" else precision)
        hint = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32"}
        self.compiled = openvino.Core().compile_model(self.stem.with_suffix(".xml"), "CPU", hint)

    def run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        return self.compiled(feeds)[0].copy()


if __name__ == "__main__":
    run_worker(OpenVinoEngine)
