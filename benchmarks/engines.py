"""The engines that are compared, and the processes that they live in."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from material import HERE, Material

REFERENCE = "sentence-transformers"
TFCHAIN = "tfchain"


@dataclass(frozen=True)
class Engine:
    """How an engine is started, and how far its vectors may be from the reference's.

    Args:
        script: The worker.
        is_peer: Whether it lives in the peers' environment.
        is_exported: Whether it reads what `workers/export_peers.py` wrote.
        precision: What it computes with.
        least_cosine: Below it an engine does other work, and its times say nothing.
    """

    script: str
    is_peer: bool = False
    is_exported: bool = False
    precision: str = "float32"
    least_cosine: float = 0.9999


ENGINES = {
    TFCHAIN: Engine("tfchain_worker.py"),
    REFERENCE: Engine("sentence_transformers_worker.py", is_peer=True),
    "ONNX Runtime": Engine("onnxruntime_worker.py", is_peer=True, is_exported=True),
    "OpenVINO": Engine("openvino_worker.py", is_peer=True, is_exported=True),
    f"{TFCHAIN} int8": Engine("tfchain_worker.py", precision="int8", least_cosine=0.95),
    f"{TFCHAIN} int8, LiteRT": Engine("tfchain_worker.py", precision="int8-litert", least_cosine=0.95),
    "ONNX Runtime int8": Engine(
        "onnxruntime_worker.py", is_peer=True, is_exported=True, precision="int8", least_cosine=0.9
    ),
    "OpenVINO bfloat16": Engine(
        "openvino_worker.py", is_peer=True, is_exported=True, precision="bfloat16", least_cosine=0.99
    ),
    "OpenVINO int8": Engine("openvino_worker.py", is_peer=True, is_exported=True, precision="int8", least_cosine=0.9),
}
LOG_LINES_SHOWN = 15


class Worker:
    """An engine in a process of its own, asked by JSON lines.

    Args:
        name: A key of ENGINES.
        material: What it works on.
    """

    def __init__(self, name: str, material: Material) -> None:
        self.name = name
        self.material = material
        self.log_path = material.work / f"{name.replace(',', '').replace(' ', '-')}.log"
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        engine = ENGINES[self.name]
        python = self.material.peers if engine.is_peer else self.material.python
        model = self.material.model
        if engine.is_exported:
            model = exported_model(self.material)
        elif engine.precision.startswith("int8"):
            model = saved_chain(self.material)
        with self.log_path.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [python, HERE / "workers" / engine.script, model, "--precision", engine.precision],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=quiet_environment(),
            )
        return self

    def ask(self, do: str, **values: Any) -> dict[str, Any]:
        """Sends a request and waits for the answer."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **values}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemExit(f"{self.name}'s worker ended at `{do}`. Its last words:\n{last_lines(self.log_path)}")
        return json.loads(line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process is not None
        end_process(self.process)


def exported_model(material: Material) -> Path:
    """The model as ONNX Runtime and OpenVINO read it; exported when first asked for."""
    folder = material.work / "exported"
    if not (folder / "export.json").exists():
        log_path = material.work / "export.log"
        calibration = material.work / "calibration.json"
        calibration.write_text(json.dumps(material.calibration), encoding="utf-8")
        with log_path.open("w", encoding="utf-8") as log:
            done = subprocess.run(
                [material.peers, HERE / "workers" / "export_peers.py", material.model, folder, calibration],
                stdout=log,
                stderr=log,
                env=quiet_environment(),
                timeout=900,
            )
        if done.returncode:
            raise SystemExit(f"The export for ONNX Runtime and OpenVINO failed:\n{last_lines(log_path)}")
    return folder


def saved_chain(material: Material) -> Path:
    """tfchain's model in int8, saved as a chain; made when first asked for, as the peers' models are."""
    folder = material.work / "int8-chain"
    if not folder.exists():
        subprocess.run(
            [material.python, HERE / "workers" / "save_int8.py", material.model, folder],
            check=True,
            capture_output=True,
            env=quiet_environment(),
            timeout=900,
        )
    return folder


def time_first_answer(name: str, material: Material) -> float:
    """Seconds from the start of a process to its first vector."""
    start = time.perf_counter()
    with Worker(name, material) as worker:
        worker.ask("encode_one", texts=[material.queries[0]])
        return time.perf_counter() - start


def end_process(process: subprocess.Popen[Any]) -> None:
    """Asks a process to end, and makes it."""
    if process.stdin is not None:
        process.stdin.close()
    else:
        process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def quiet_environment() -> dict[str, str]:
    """The environment for every process: no hub, no log lines; threads are left to each engine's defaults."""
    return os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}


def last_lines(path: Path) -> str:
    """The end of a log."""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:])
