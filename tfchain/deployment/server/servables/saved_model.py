"""SavedModels as servables: loaded by the v1 loader, and run in its session."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.deployment.server.servables.dtypes import BY_NUMBER, HANDLES
from tfchain.deployment.server.servables.servable import Signature
from tfchain.deployment.server.servables.session import GraphSession
from tfchain.deployment.server.servables.session_config import SessionOptions, make_session_config
from tfchain.deployment.server.servables.signature_def import check_dense, check_readable, read_signature
from tfchain.deployment.server.servables.xla import find_xla_outputs
from tfchain.deployment.server.status import Code, StatusError, invalid_argument, not_found

# The collections that loading needs. The C++ server reads no others, so that those may be broken, or of classes that
# are not registered here.
_COLLECTIONS = frozenset({"saved_model_main_op", "legacy_init_op", "saved_model_assets"})


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How SavedModels are loaded and run.

    Args:
        tags: The tags of the graph to load. Default: `serve`.
        intra_op_threads: Threads within one op, of one of LiteRT's interpreters, or of one call of the native engine; 0
            lets them choose among `num_cores`.
        inter_op_threads: Threads across ops; 0 lets TensorFlow choose.
        is_xla_enabled: Whether to run XLA-compiled functions, which a stock server refuses by default. Default: False.
        prefers_tflite: Whether LiteRT runs the encoder of versions with `model.tflite`. Default: False.
        tflite_interpreters: The number of requests that LiteRT encodes at once; 0 for one per core, at most four.
        checks_method_names: Whether a request is refused if its signature has another API's method. Default: False.
        session: How the session is configured apart from its threads.
        engine: What computes, as in `servables.engines`. Default: TensorFlow, or LiteRT with `prefers_tflite`.
        num_cores: The cores that a version may use; 0 for all.
    """

    tags: tuple[str, ...] = ("serve",)
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    is_xla_enabled: bool = False
    prefers_tflite: bool = False
    tflite_interpreters: int = 0
    checks_method_names: bool = False
    session: SessionOptions = field(default_factory=SessionOptions)
    engine: str = ""
    num_cores: int = 0


class SavedModelServable:
    """A loaded SavedModel; see `Servable` for its methods.

    Args:
        session: The session with the model.
        signatures: The model's functions by name.
        signature_defs: The functions as protos.
        xla_tensors: The tensors to refuse because XLA is off. Default: none.
    """

    def __init__(
        self,
        session: GraphSession,
        signatures: Mapping[str, Signature],
        signature_defs: Mapping[str, Any],
        xla_tensors: frozenset[str] = frozenset(),
    ) -> None:
        self._session = session
        self._signatures = signatures
        self._signature_defs = signature_defs
        self._xla_tensors = xla_tensors
        self._tensors: dict[str, Any] = {}
        self._special: dict[str, int] = {}  # the tensors whose data type NumPy does not have

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The model's functions by name."""
        return self._signatures

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        """The functions as `SignatureDef` protos, for metadata."""
        return self._signature_defs

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        """Runs a signature in the session."""
        specs = [signature.outputs[name] for name in outputs]
        check_dense(signature, outputs)
        names = [spec.tensor_name for spec in specs]
        if self._xla_tensors and not self._xla_tensors.isdisjoint(names):
            raise StatusError(Code.INTERNAL, "XLA compilation disabled")
        feeds: dict[Any, np.ndarray] = {}
        for name, spec in signature.inputs.items():
            tensor = self._tensor(spec.tensor_name)
            if tensor in feeds:
                raise invalid_argument(f'Endpoint "{spec.tensor_name}" fed more than once.')
            feeds[tensor] = inputs[name]
        fetches = [self._tensor(name) for name in names]
        if not self._special:
            return self._session.run(feeds, fetches, timeout_ms)
        check_readable(signature, outputs, self._special)
        values = self._session.run(feeds, fetches, timeout_ms)
        return [
            value.view(BY_NUMBER[self._special[name]].numpy) if name in self._special else value
            for name, value in zip(names, values, strict=True)
        ]

    def close(self) -> None:
        """Closes the session."""
        self._session.close()

    def _tensor(self, name: str) -> Any:
        tensor = self._tensors.get(name)
        if tensor is None:
            tensor = self._session.tensor(name)
            number = self._session.dtype(name)
            if number in HANDLES or (number in BY_NUMBER and BY_NUMBER[number].numpy.names):
                self._special[name] = number
            self._tensors[name] = tensor
        return tensor


def load_saved_model(path: Path | str, options: LoadOptions | None = None) -> SavedModelServable:
    """Loads a version.

    Args:
        path: The version's folder.
        options: How to load and run it.

    Raises:
        StatusError: if there is no SavedModel, or it cannot be loaded here.
    """
    import tensorflow as tf

    options = options or LoadOptions()
    path = Path(path)
    if not any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise not_found(
            f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}. "
            "Check that the directory exists and that you have the right permissions for accessing it."
        )
    try:
        config = make_session_config(
            options.session,
            intra_op_threads=options.intra_op_threads or options.num_cores,
            inter_op_threads=options.inter_op_threads,
        )
    except InputError as error:
        raise invalid_argument(str(error)) from error
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    with contextlib.ExitStack() as on_error:
        on_error.callback(session.close)
        with session.graph.as_default(), _load_errors(path, options.tags):
            meta_graph = _load_meta_graph(session, path, options.tags)
            graph_session = GraphSession(session)
        signature_defs = {name: _copy(proto) for name, proto in sorted(meta_graph.signature_def.items())}
        signatures = {
            name: read_signature(name, proto, checks_method_name=options.checks_method_names)
            for name, proto in signature_defs.items()
        }
        fetched = {spec.tensor_name for signature in signatures.values() for spec in signature.outputs.values()}
        xla = frozenset() if options.is_xla_enabled else find_xla_outputs(meta_graph.graph_def, fetched)
        servable = SavedModelServable(graph_session, signatures, signature_defs, xla)
        on_error.pop_all()
    return servable


def _load_meta_graph(session: Any, path: Path, tags: Sequence[str]) -> Any:
    """Loads the graph with these tags, restores its variables and runs its init op; returns its `MetaGraphDef`."""
    from tensorflow.python.saved_model.loader_impl import SavedModelLoader

    loader = SavedModelLoader(str(path))
    collections = loader.get_meta_graph_def_from_tags(tags).collection_def
    for name in set(collections) - _COLLECTIONS:
        del collections[name]
    return loader.load(session, tags)


@contextlib.contextmanager
def _load_errors(path: Path, tags: Sequence[str]) -> Any:
    """Converts errors of the Python loader to the codes and, where known, the texts of the C++ loader."""
    from tensorflow.python.framework import errors

    try:
        yield
    except errors.OpError as error:
        raise StatusError(Code(error.error_code), str(error.message)) from error
    except RuntimeError as error:
        if "associated with tags" not in str(error):
            raise StatusError(Code.UNKNOWN, f"{path} could not be loaded: {error}") from error
        raise not_found(
            f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }}. To inspect available "
            "tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`"
        ) from error
    except UnicodeDecodeError as error:  # the engine's own text, which quotes bytes that are not UTF-8
        text = bytes(error.object).decode("utf-8", "replace")
        raise StatusError(Code.UNKNOWN, f"{path} could not be loaded: {text}") from error
    except Exception as error:
        if isinstance(error, OSError) and "Cannot parse file" in str(error):
            raise _unreadable(path) from error
        raise StatusError(Code.UNKNOWN, f"{path} could not be loaded: {type(error).__name__}: {error}") from error


def _unreadable(path: Path) -> StatusError:
    is_binary = (path / "saved_model.pb").is_file()  # which is read if both are there
    name, form = ("saved_model.pb", "binary") if is_binary else ("saved_model.pbtxt", "text")
    return StatusError(Code.DATA_LOSS, f"Can't parse {path / name} as {form} proto")


def _copy(proto: Any) -> Any:
    """Copies a message, so that it does not keep the memory of the one that contains it, here with the whole graph."""
    copied = type(proto)()
    copied.CopyFrom(proto)
    return copied
