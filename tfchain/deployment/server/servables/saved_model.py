"""SavedModels as servables: loaded by the v1 loader, and run in its session."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.deployment.server.servables.servable import Signature, TensorSpec
from tfchain.deployment.server.servables.session import GraphSession
from tfchain.deployment.server.servables.tensor_proto import to_array
from tfchain.deployment.server.servables.xla import find_xla_outputs
from tfchain.deployment.server.status import Code, StatusError, not_found


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How SavedModels are loaded and run.

    Args:
        tags: The tags of the graph to load. Default: `serve`.
        intra_op_threads: Threads within one op; 0 lets TensorFlow choose.
        inter_op_threads: Threads across ops; 0 lets TensorFlow choose.
        is_xla_enabled: Whether to run XLA-compiled functions, which a stock server refuses by default. Default: False.
        prefers_tflite: Whether LiteRT runs the encoder of versions with `model.tflite`. Default: False.
        tflite_interpreters: The number of requests that LiteRT encodes at once; 0 for one per core, at most four.
        engine: What computes, as in `servables.engines`. Default: TensorFlow, or LiteRT with `prefers_tflite`.
    """

    tags: tuple[str, ...] = ("serve",)
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    is_xla_enabled: bool = False
    prefers_tflite: bool = False
    tflite_interpreters: int = 0
    engine: str = ""


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
        names = [signature.outputs[name].tensor_name for name in outputs]
        if self._xla_tensors and not self._xla_tensors.isdisjoint(names):
            raise StatusError(Code.INTERNAL, "XLA compilation disabled")
        feeds = {self._tensor(spec.tensor_name): inputs[name] for name, spec in signature.inputs.items()}
        return self._session.run(feeds, [self._tensor(name) for name in names], timeout_ms)

    def close(self) -> None:
        """Closes the session."""
        self._session.close()

    def _tensor(self, name: str) -> Any:
        tensor = self._tensors.get(name)
        if tensor is None:
            tensor = self._tensors[name] = self._session.tensor(name)
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
    session = tf.compat.v1.Session(
        graph=tf.Graph(),
        config=tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=options.intra_op_threads, inter_op_parallelism_threads=options.inter_op_threads
        ),
    )
    with contextlib.ExitStack() as on_error:
        on_error.callback(session.close)
        with session.graph.as_default(), _load_errors(path, options.tags):
            meta_graph = tf.compat.v1.saved_model.loader.load(session, list(options.tags), str(path))
        signature_defs = dict(sorted(meta_graph.signature_def.items()))
        signatures = {name: to_signature(name, proto) for name, proto in signature_defs.items()}
        fetched = {spec.tensor_name for signature in signatures.values() for spec in signature.outputs.values()}
        xla = frozenset() if options.is_xla_enabled else find_xla_outputs(meta_graph.graph_def, fetched)
        servable = SavedModelServable(GraphSession(session), signatures, signature_defs, xla)
        on_error.pop_all()
    return servable


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
    except Exception as error:
        raise StatusError(Code.UNKNOWN, f"{path} could not be loaded: {type(error).__name__}: {error}") from error


def to_signature(name: str, proto: Any) -> Signature:
    """Reads a `SignatureDef`.

    Raises:
        StatusError: if a default value is not a tensor.
    """
    defaults: dict[str, np.ndarray] = {}
    for alias, value in proto.defaults.items():
        try:
            defaults[alias] = to_array(value)
        except InputError as error:
            raise StatusError(
                Code.INVALID_ARGUMENT, f"default value of input {alias} of signature {name}: {error}"
            ) from error
    return Signature(
        name=name,
        inputs={alias: TensorSpec(info.name, info.dtype) for alias, info in sorted(proto.inputs.items())},
        outputs={alias: TensorSpec(info.name, info.dtype) for alias, info in sorted(proto.outputs.items())},
        defaults=defaults,
    )
