"""The engines of the server: what answers a version's requests, by the flag `--engine`."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

from tfchain.core.errors import ServerError
from tfchain.core.native import NativeEngine
from tfchain.core.signatures import TFLITE_FILE
from tfchain.deployment.engine import choose_engine
from tfchain.deployment.server.servables.lazy_saved_model import LazySavedModel, read_signature_defs
from tfchain.deployment.server.servables.litert import load_version
from tfchain.deployment.server.servables.native import NativeServable, load_native_answers
from tfchain.deployment.server.servables.saved_model import LoadOptions, load_saved_model
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import Code, StatusError, not_found
from tfchain.deployment.server.tensorflow_start import has_tensorflow, start_tensorflow

logger = logging.getLogger(__name__)


def needs_tensorflow(engine: str) -> bool:
    """Returns whether an engine needs TensorFlow for every version, so that the server may import it at its start."""
    return engine not in ("auto", "native")


def check_native(engine: NativeEngine | None) -> None:
    """Raises early if no version can be answered by the native engine.

    Raises:
        ServerError: if the program has none, or it cannot run in this process.
    """
    obstacle = "this program has none; start tfchain-model-server" if engine is None else engine.find_obstacle()
    if obstacle is not None:
        raise ServerError(
            f"The native engine cannot run here: {obstacle}. Received: --engine=native. Use --engine=auto."
        )


def load_for_engine(
    path: Path,
    options: LoadOptions,
    *,
    native: NativeEngine | None = None,
    on_load: Callable[[Servable], None] = lambda _: None,
) -> Servable:
    """Loads a version for the engine of the options.

    `auto` takes the first that can answer the version, in the order in which a chain's own `engine="auto"` prefers
    them: `native` if the version has files for it, `litert` if it has a flatbuffer, else `tensorflow`.

    Args:
        path: The version's folder.
        options: How to load and run it.
        native: The native engine, if the program has one.
        on_load: Called with the SavedModel that the native engine loads later. Default: not called.

    Raises:
        StatusError: if it cannot be loaded here.
    """
    engine = choose_engine(options.engine, prefers_tflite=options.prefers_tflite)
    if engine in ("auto", "native"):
        try:
            return _load_native(path, options, native, on_load)
        except StatusError as error:
            if engine == "native":
                raise
            is_damaged = error.code is Code.INVALID_ARGUMENT
            level = logging.WARNING if is_damaged else logging.INFO
            logger.log(level, "The native engine does not answer %s: %s.", path, error.message.removesuffix("."))
        start_tensorflow()
    has_flatbuffer = (path / TFLITE_FILE).is_file()
    if engine == "auto" and has_flatbuffer:
        try:
            return load_version(path, dataclasses.replace(options, prefers_tflite=True))
        except StatusError as error:
            logger.warning("LiteRT does not answer %s: %s.", path, error.message.removesuffix("."))
    elif engine == "litert" and not has_flatbuffer:
        logger.info("%s has no %s: the SavedModel answers.", path, TFLITE_FILE)
    return load_version(path, dataclasses.replace(options, prefers_tflite=engine == "litert"))


def _load_native(
    path: Path, options: LoadOptions, native: NativeEngine | None, on_load: Callable[[Servable], None]
) -> NativeServable:
    signature_defs = read_signature_defs(path, options.tags)
    if signature_defs is None:
        raise not_found(f"{path} has no saved_model.pb with the tags {{ {' '.join(options.tags)} }} that can be read")

    def load() -> Servable:
        if not has_tensorflow():
            raise StatusError(
                Code.UNIMPLEMENTED,
                "This server has no TensorFlow, which this request needs: the native engine answers "
                f"{', '.join(sorted(answers))}, for texts in UTF-8.",
            )
        start_tensorflow()
        saved_model = load_saved_model(path, options)
        try:
            on_load(saved_model)
        except BaseException:
            saved_model.close()
            raise
        return saved_model

    answers = load_native_answers(path, native, num_threads=options.intra_op_threads or options.num_cores or None)
    saved_model = LazySavedModel(path, signature_defs, load, checks_method_names=options.checks_method_names)
    servable = NativeServable(saved_model, answers)
    logger.info("The native engine answers %s of %s.", ", ".join(sorted(servable.answered)), path)
    return servable
