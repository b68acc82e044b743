"""Writes versions: SavedModels for stock TensorFlow Serving, checked before they appear."""

import dataclasses
import errno
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain import __version__
from tfchain.core.atomic import new_folder, remove_partials
from tfchain.core.errors import ExportError
from tfchain.core.native import NATIVE_FOLDER, NativeParts
from tfchain.core.proof import Proof
from tfchain.core.signatures import CLASSIFY, TFLITE_FILE, Halves
from tfchain.deployment.arguments import check_base_path
from tfchain.deployment.op_check import OpReport, check_ops
from tfchain.deployment.proof_files import write_proofs
from tfchain.deployment.repository import DESCRIPTION, next_version
from tfchain.runtime.fork import check_tensorflow_runs
from tfchain.runtime.quiet_stderr import quiet_native_log
from tfchain.runtime.tf_text import load_tf_text

if TYPE_CHECKING:
    from tfchain.deployment.server.servables.servable import Servable

logger = logging.getLogger(__name__)

WARM_UP = "assets.extra/tf_serving_warmup_requests"
WARM_UP_TEXTS = 4
ABANDONED_SECONDS = 3600  # no export takes this long: older partial versions belong to killed exports


def export(
    base_path: Path | str,
    module: Any,
    signatures: Mapping[str, Any],
    *,
    proofs: Sequence[Proof] = (),
    description: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes] | None = None,
    litert_proofs: Sequence[Proof] = (),
    halves: Mapping[str, Halves] | None = None,
    methods: Mapping[str, str] | None = None,
    native: NativeParts | None = None,
    complete: Callable[[Path], object] | None = None,
) -> Path:
    """Writes the next version below a base path.

    The version is written beside its final place. Its ops are compared with those of stock TensorFlow Serving, it is
    loaded as the server loads it, and it must answer each proof; only then is it renamed to its number.

    Args:
        base_path: A TensorFlow Serving base path; made if it does not exist.
        module: A `tf.Module` that owns all variables of the signatures.
        signatures: Name → `tf.function` with an input signature.
        proofs: Questions with their answers; their inputs become the warm-up requests, of the signature's method.
            Default: none.
        description: Plain values, stored with the model in `assets.extra/tfchain.json`. `deploy(source=)` selects
            versions by the value of `source`. Default: none.
        files: More files of the version, by their paths in its folder, such as `model.tflite`. Default: none.
        litert_proofs: Proofs for the embedded server with `--prefer_tflite_model`, for a version with `model.tflite`.
            Default: none.
        halves: Signature of texts → the signatures before and after the encoder, for such a server. Default: none.
        methods: Signature → its TensorFlow Serving method, if that is not Predict: `core.signatures.CLASSIFY`. Default:
            Predict for all.
        native: What the embedded server's native engine needs, in a folder of its own in `assets.extra/`. Default:
            nothing, TensorFlow answers.
        complete: Called with the folder of the finished version before it appears, to add files to it. What it raises
            keeps the version from appearing. Default: nothing is added.

    Returns:
        The version's folder, `<base_path>/<number>`.

    Raises:
        InputError: if the base path is a file.
        ExportError: if an op is not in stock TensorFlow Serving, or an answer differs; no version appears then.
        TfchainError: if the disk is full, or the base path cannot be written.
    """
    check_tensorflow_runs()
    base_path = check_base_path(base_path)
    remove_partials(base_path, older_than_seconds=ABANDONED_SECONDS)
    while True:
        version = base_path / str(next_version(base_path))
        try:
            with new_folder(version) as partial:
                described = {**(description or {})}
                if halves:
                    described["halves"] = {name: dataclasses.asdict(pair) for name, pair in halves.items()}
                _write(partial, module, signatures, proofs, described, methods or {})
                for name, content in (files or {}).items():
                    (partial / name).parent.mkdir(parents=True, exist_ok=True)
                    (partial / name).write_bytes(content)
                if native is not None:
                    (partial / NATIVE_FOLDER).mkdir(parents=True)
                    native.write(partial / NATIVE_FOLDER)
                write_proofs(partial, proofs, () if native is None else native.proofs)
                check_proofs(partial, proofs, litert_proofs, native)
                if complete is not None:
                    complete(partial)
        except FileExistsError:
            continue  # another process took the number
        logger.info("Exported %s.", version)
        return version


def _write(
    path: Path,
    module: Any,
    signatures: Mapping[str, Any],
    proofs: Sequence[Proof],
    description: Mapping[str, Any],
    methods: Mapping[str, str],
) -> None:
    import tensorflow as tf

    with quiet_native_log():
        try:
            tf.saved_model.save(module, str(path), signatures=dict(signatures))
        except tf.errors.OpError as error:
            for code in (errno.ENOSPC, errno.EFBIG):
                if os.strerror(code) in str(error):
                    raise OSError(code, os.strerror(code)) from error
            raise
    if methods:
        set_methods(path, methods)
    report = check_ops(path)
    _write_warm_up(path / WARM_UP, proofs, methods)
    _write_description(path / DESCRIPTION, description, report, list(signatures))


def set_methods(path: Path, methods: Mapping[str, str]) -> None:
    """Sets the TensorFlow Serving methods of a SavedModel's signatures.

    Args:
        path: The SavedModel's folder.
        methods: Signature → method, such as `tensorflow/serving/classify`.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for graph in saved.meta_graphs:
        for name, method in methods.items():
            graph.signature_def[name].method_name = method
    file.write_bytes(saved.SerializeToString(deterministic=True))


def check_proofs(
    path: Path, proofs: Sequence[Proof], litert_proofs: Sequence[Proof] = (), native: NativeParts | None = None
) -> None:
    """Loads a version as the server does, warm-up included, and compares its answers.

    Args:
        path: The version's folder.
        proofs: Questions with their answers.
        litert_proofs: Proofs for the version with `--prefer_tflite_model`. Default: none.
        native: The parts for the native engine, with their proofs. Default: none.

    Raises:
        ExportError: if the version does not load, or an answer differs.
    """
    from tfchain.deployment.server.servables.litert import add_litert
    from tfchain.deployment.server.servables.saved_model import LoadOptions, load_saved_model
    from tfchain.deployment.server.status import StatusError
    from tfchain.deployment.server.warmup import run_warmup

    load_tf_text()
    try:
        servable: Servable = load_saved_model(path, LoadOptions())
        try:
            run_warmup(servable, path)
            ask_proofs(servable, proofs)
            if native is not None:
                _check_native(path, servable, native)
            if litert_proofs:
                servable = with_litert = add_litert(servable, path, LoadOptions(tflite_interpreters=1))
                ask_proofs(with_litert, litert_proofs)
                if with_litert.num_failures:
                    raise ExportError(f"LiteRT does not run the version's {TFLITE_FILE} here. No version was written.")
        finally:
            servable.close()
    except StatusError as error:
        raise ExportError(
            f"The exported version does not run as TensorFlow Serving would run it: {error}. No version was written."
        ) from error


def _check_native(path: Path, saved_model: "Servable", native: NativeParts) -> None:
    from tfchain.deployment.server.servables.native import NativeServable

    servable = NativeServable(saved_model, native.load(path / NATIVE_FOLDER))
    missing = sorted({proof.signature for proof in native.proofs} - servable.answered)
    ask_proofs(servable, native.proofs)
    if missing or servable.num_failures:
        raise ExportError("The native engine does not answer the version's texts here. No version was written.")


def ask_proofs(servable: "Servable", proofs: Sequence[Proof]) -> None:
    """Asks a loaded version each proof.

    Raises:
        ExportError: if an answer differs.
        StatusError: if the version fails.
    """
    for proof in proofs:
        names = list(proof.outputs)
        answers = servable.run(servable.signatures[proof.signature], proof.inputs, names)
        compare(proof, dict(zip(names, answers, strict=True)))


def compare(proof: Proof, answers: Mapping[str, np.ndarray]) -> None:
    """Compares a version's answers with the expected answers.

    Args:
        proof: The question and the expected answers.
        answers: Output name → array.

    Raises:
        ExportError: if a number differs by more than rounding, or a text without a tie differs.
    """
    for name, expected in proof.outputs.items():
        answer = answers[name]
        if answer.shape != expected.shape:
            raise _differs(proof, name, f"the shape {answer.shape}, expected {expected.shape}")
        if expected.dtype in (object, bool):
            wrong = (answer != expected) & ~proof.ties.get(name, np.zeros(expected.shape, dtype=bool))
            if np.any(wrong):
                place = tuple(int(index) for index in np.argwhere(wrong)[0])
                raise _differs(proof, name, f"{answer[place]!r:.80}, expected {expected[place]!r:.80} at {place}")
        else:
            differs = answer != expected  # infinity minus infinity is not a number
            difference = float(np.abs(answer[differs] - expected[differs]).max(initial=0))
            if not difference <= proof.tolerance * _scale(expected):
                raise _differs(proof, name, f"values that are {difference:.2g} away from the expected ones")


def _scale(values: np.ndarray) -> float:
    return max(1.0, float(np.abs(values[np.isfinite(values)]).max(initial=0)))


def _differs(proof: Proof, name: str, what: str) -> ExportError:
    return ExportError(
        f"The exported version's signature {proof.signature!r} gave for {name!r} {what}. No version was written. "
        "If the model's weights were changed in memory, call the chain's reindex() and export again; if not, this is a "
        "bug in the export: please report it with the model's name."
    )


def _write_warm_up(path: Path, proofs: Sequence[Proof], methods: Mapping[str, str]) -> None:
    import tensorflow as tf

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for proof in proofs:
            if proof.is_warm_up:
                make_log = _make_classify_log if methods.get(proof.signature) == CLASSIFY else _make_predict_log
                writer.write(make_log(proof).SerializeToString())


def _make_predict_log(proof: Proof) -> Any:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "default"
    request.model_spec.signature_name = proof.signature
    for name, values in proof.inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values[:WARM_UP_TEXTS]))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


def _make_classify_log(proof: Proof) -> Any:
    from tensorflow_serving.apis import classification_pb2, prediction_log_pb2

    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "default"
    request.model_spec.signature_name = proof.signature
    (examples,) = proof.inputs.values()
    for example in examples[:WARM_UP_TEXTS]:
        request.input.example_list.examples.add().ParseFromString(example)
    return prediction_log_pb2.PredictionLog(classify_log=prediction_log_pb2.ClassifyLog(request=request))


def _write_description(path: Path, description: Mapping[str, Any], report: OpReport, signatures: Sequence[str]) -> None:
    import tensorflow as tf

    values = {
        **description,
        "signatures": sorted(signatures),
        "ops": report.ops,
        "oldest_server": report.oldest_server,
        "tensorflow": tf.__version__,
        "tfchain": __version__,
    }
    path.write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
