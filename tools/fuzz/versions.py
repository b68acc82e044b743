"""Damaged versions: a SavedModel cut off or changed at a byte, its variables, its warm-up records, its description.

Run as a program, it loads damaged versions one after the other and reports each: in a process of its own, because the
engine might end the process.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from tfchain.deployment.server.status import Code, StatusError

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = (
    *("saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"),
    *("assets.extra/tf_serving_warmup_requests", "assets.extra/tfchain.json"),
)


def write_version(path: Path) -> None:
    """Writes a small version with variables, two signatures, a warm-up record and a description."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable([[1.0], [10.0]])

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def answer(self, x: Any) -> Any:
            return {"y": tf.matmul(x, self.kernel)}

    module = Module()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.answer})
    request = predict_pb2.PredictRequest()
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([[1.0, 2.0]]))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    (path / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(path / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())
    (path / "assets.extra" / "tfchain.json").write_text('{"source": "a", "halves": {}}')


def damage(random: Random, path: Path) -> str:
    """Damages one file of a version, and returns what was done."""
    name = random.choice((*FILES, "saved_model.pb", "saved_model.pb"))
    file = path / name
    data = file.read_bytes()
    at = random.randrange(len(data))
    match random.randrange(4):
        case 0:
            file.write_bytes(data[:at])
            return f"{name} cut at {at}"
        case 1:
            file.write_bytes(data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :])
            return f"{name} changed by a bit at {at}"
        case 2:
            value = random.randrange(256)
            file.write_bytes(data[:at] + bytes([value]) + data[at + 1 :])
            return f"{name} set to {value} at {at}"
    file.unlink()
    return f"{name} gone"


def try_versions(seeds: range, folder: Path) -> Iterator[tuple[int, str]]:
    """Damages and loads a version for each seed, in a process that is started again when it dies.

    Returns:
        Seed and outcome: `loaded`, the code of a load error, or what was wrong.
    """
    left = seeds
    while left:
        command = [sys.executable, "-m", "tools.fuzz.versions", str(folder), str(left.start), str(left.stop)]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
        done = left.start
        for line in process.stdout.splitlines():
            seed, mark, outcome = line.partition("\t")
            if mark and seed.isdigit():
                done = int(seed) + 1
                yield int(seed), outcome
        if done < left.stop:
            yield done, f"fault: the process ended with {process.returncode}: {process.stderr[-300:]}"
        left = range(done + 1, left.stop)


def load_damaged(seed: int, folder: Path, load: Callable[[Path], Any]) -> str:
    """Damages a copy of `good` in a folder, and loads it.

    Args:
        seed: Chooses the damage.
        folder: The folder, with the version `good`.
        load: Loads a version as the server does.

    Returns:
        `loaded`, the code of a load error, or what was wrong, beginning with `fault`.
    """
    damaged = folder / "damaged" / "1"
    shutil.rmtree(damaged, ignore_errors=True)
    shutil.copytree(folder / "good", damaged)
    what = damage(Random(seed), damaged)
    try:
        load(damaged).close()
    except StatusError as error:
        return error.code.name if error.message and error.code is not Code.OK else f"fault: no message: {what}"
    except Exception as error:
        return f"fault: {what}: {error!r}"
    return "loaded"


def main() -> None:
    """Loads damaged versions: folder, first seed, seed after the last."""
    from tfchain.deployment.server.model_server import ModelServer
    from tfchain.deployment.server.options import ServerOptions

    folder, start, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if not (folder / "good").exists():
        write_version(folder / "good")
    server = ModelServer(ServerOptions("m", folder / "damaged"))
    for seed in range(start, stop):
        outcome = load_damaged(seed, folder, lambda path: server._load("m", 1, path))
        print(f"{seed}\t{outcome}", flush=True)


if __name__ == "__main__":
    main()
