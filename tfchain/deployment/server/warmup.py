"""Warm-up: runs the requests in a version before it serves; a failed request fails the load."""

import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tfchain.deployment.server.grpc.requests import decode_examples, decode_input, decode_tasks
from tfchain.deployment.server.inference.classify import classify
from tfchain.deployment.server.inference.multi_inference import multi_inference
from tfchain.deployment.server.inference.regress import regress
from tfchain.deployment.server.predict import DEFAULT_SIGNATURE, predict
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import Code, StatusError, invalid_argument

MAX_RECORDS = 1000
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def run_warmup(
    servable: Servable, version_path: Path | str, *, num_iterations: int = 1, only: Collection[str] | None = None
) -> int:
    """Runs a version's warm-up records.

    Args:
        servable: The loaded version.
        version_path: The version's folder, which may contain `assets.extra/tf_serving_warmup_requests`.
        num_iterations: The number of runs of each record. Default: 1.
        only: Runs Predict requests of these signatures only, and reads the file without TensorFlow. Default: all.

    Returns:
        The number of records.

    Raises:
        StatusError: if a record cannot be read, is of an unsupported kind, or its run fails.
    """
    path = Path(version_path) / WARMUP_FILE
    if not path.is_file():
        return 0
    count = 0
    for record in _read_records(path) if only is None else read_records(path):
        count += 1
        if count > MAX_RECORDS:
            raise invalid_argument(
                f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}. Write fewer records."
            )
        if only is not None and _find_signature(record) not in only:
            continue
        for _ in range(max(num_iterations, 1)):
            _run_record(servable, record)
    return count


def _find_signature(record: Any) -> str | None:
    """Returns the signature of a Predict request; None for a record of another kind."""
    if record.WhichOneof("log_type") != "predict_log":
        return None
    return record.predict_log.request.model_spec.signature_name or DEFAULT_SIGNATURE


def _run_record(servable: Servable, record: Any) -> None:
    kind = record.WhichOneof("log_type")
    if kind not in ("predict_log", "classify_log", "regress_log", "multi_inference_log"):
        number = record.DESCRIPTOR.fields_by_name[kind].number if kind else 0
        raise StatusError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
    request = getattr(record, kind).request
    if kind == "multi_inference_log":
        multi_inference(servable, decode_tasks(request), decode_examples(request.input))
        return
    name = request.model_spec.signature_name
    if kind == "predict_log":
        predict(servable, name, request.inputs, to_array=decode_input, output_filter=request.output_filter)
        return
    run = classify if kind == "classify_log" else regress
    run(servable, name, decode_examples(request.input))


def _read_records(path: Path) -> Iterator[Any]:
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    try:
        for data in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield prediction_log_pb2.PredictionLog.FromString(data)
    except DecodeError as error:
        raise invalid_argument(f"Failed to parse warmup record: {error} from {path}") from error
    except tf.errors.OpError as error:
        raise StatusError(Code(error.error_code), f"{path} cannot be read: {error.message}") from error


def read_records(path: Path) -> Iterator[Any]:
    """Reads a file of warm-up records without TensorFlow, and without comparing its checksums.

    A TFRecord is the length of the data in 8 bytes, a checksum of 4 bytes, the data, and a checksum of 4 bytes.

    Raises:
        StatusError: if a record is cut off or is not a `PredictionLog`.
    """
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    with open(path, "rb") as file:
        while header := file.read(12):
            length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else 0
            data = file.read(length + 4) if length <= path.stat().st_size else b""
            if len(header) < 12 or len(data) < length + 4:
                raise StatusError(Code.DATA_LOSS, f"{path} cannot be read: it ends within a record")
            try:
                yield prediction_log_pb2.PredictionLog.FromString(data[:-4])
            except DecodeError as error:
                raise invalid_argument(f"Failed to parse warmup record: {error} from {path}") from error
