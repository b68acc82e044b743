"""OpenVINO, fp32 or int8 (quantized by NNCF with calibration)."""

from pathlib import Path

import numpy as np
import openvino
from engine_worker import run_worker
from exported_engine import ExportedEngine


class OpenVinoEngine(ExportedEngine):
    """The exported encoder compiled for the CPU."""

    packages = ("openvino", "tokenizers")

    def __init__(self, model: Path, precision: str) -> None:
        super().__init__(model, precision)
        # Said aloud, because OpenVINO computes in bfloat16 on processors that have it.
        hint = {"INFERENCE_PRECISION_HINT": "f32"}
        self.compiled = openvino.Core().compile_model(self.stem.with_suffix(".xml"), "CPU", hint)

    def run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        return self.compiled(feeds)[0].copy()


if __name__ == "__main__":
    run_worker(OpenVinoEngine)
