"""What compression and tuning ask of a text encoder as of any task's model: copies, files, a workload, the shape."""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tfchain.core.fingerprint import make_fingerprint
from tfchain.models.indexes.storage import FLOAT_VECTORS
from tfchain.models.text_encoder_checks import check_route_width
from tfchain.models.text_roles import TextRoles

if TYPE_CHECKING:
    import keras

    from tfchain.models.engines.runner import EncoderRunner
    from tfchain.models.precision import EngineName, Precision
    from tfchain.models.text_encoder import TextEncoder


class TextEncoderModel(TextRoles):
    """The part of `TextEncoder` that the model contract asks for besides encoding (`core.model.Model`).

    Attributes:
        runner: What runs the encoder.
    """

    runner: "EncoderRunner"
    _query_route: "TextEncoder | None" = None

    @property
    def query_route(self) -> "TextEncoder | None":
        """An encoder of its own for queries, whose vectors are compared with this one's, or None.

        Folders of sentence-transformers' Router have one. Setting one of another width is an `InputError`.
        """
        return self._query_route

    @query_route.setter
    def query_route(self, route: "TextEncoder | None") -> None:
        if route is not None:
            check_route_width(route.embedding_dim, self._text_encoder.embedding_dim)
        self._query_route = route

    @property
    def model_fingerprint(self) -> str:
        """The fingerprint of everything that determines an answer: `fingerprint`, and that of an encoder for queries.

        Use it to ask whether two models are the same; `fingerprint` says whether an index has a model's vectors.
        """
        with self._text_encoder.unchanged():
            documents, route = self._text_encoder.fingerprint, self._text_encoder.query_route
            if route is None:
                return documents
            return make_fingerprint({"documents": documents, "queries": route.model_fingerprint}, ())

    @property
    def keras_model(self) -> "keras.Model":
        """The encoder for tfchain's own use, as `own_encoder`."""
        return self._text_encoder.own_encoder

    @property
    def precision(self) -> "Precision":
        """The precision of the computation."""
        return self.runner.precision

    @property
    def engine(self) -> "EngineName":
        """The engine that runs the encoder, as the constructor takes it."""
        return self.runner.engine

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Keeps the weights while the block runs: `set_weights`, and so `fit`, waits in other threads.

        Those of `query_route` are kept too. Several threads may be in such blocks at the same time. A training loop of
        your own that writes to the Keras model does not wait.
        """
        route = self._text_encoder.query_route
        with self._text_encoder._shared.lock.shared(), contextlib.nullcontext() if route is None else route.unchanged():
            yield

    def copy(self) -> "TextEncoder":
        """Returns a text encoder with the same settings and weights of its own, by the saved form."""
        return copy.deepcopy(self._text_encoder)

    def plain(self) -> "TextEncoder":
        """Returns the text encoder in float32, whose index stores vectors in float32."""
        return self._text_encoder.with_precision("float32").with_vector_storage(FLOAT_VECTORS)

    def with_keras_model(self, keras_model: "keras.Model") -> "TextEncoder":
        """Returns the text encoder around another Keras model, as `with_encoder` does."""
        return self._text_encoder.with_encoder(keras_model)

    def describe_shape(self) -> Mapping[str, Any]:
        """Returns what decides a text's cost: the encoder's shape, precision, engine and maximum length."""
        config = self._text_encoder.config
        weights = None if config is not None else [list(weight.shape) for weight in self.keras_model.weights]
        return {
            "shape": weights if config is None else config.to_dict(),
            "precision": self.precision,
            "engine": self.engine,
            "max_length": self.tokenizer.max_length,
            **self.role_lengths,
        }

    def write_served_files(self, folder: Path) -> None:
        """Writes what a server needs: `model.tflite` or a SavedModel of `embed_ids`, and the tokenizer's files.

        Raises:
            TfchainError: if LiteRT has no kernel for one of the encoder's ops.
        """
        if self.runner.needs_flatbuffer:
            (folder / "model.tflite").write_bytes(self.runner.make_flatbuffer())
        else:
            self._write_graph(folder)
        self.tokenizer.save(folder)

    def run_one(self, item: str) -> None:
        """Encodes a query."""
        self._text_encoder.encode_query(item, progress=False)

    def run(self, items: Sequence[str], *, batch_size: int) -> None:
        """Encodes documents."""
        self._text_encoder.encode_document(items, batch_size=batch_size, progress=False)

    @property
    def _text_encoder(self) -> "TextEncoder":
        return cast("TextEncoder", self)

    def _write_graph(self, folder: Path) -> None:
        import tensorflow as tf

        from tfchain.models.engines.tensorflow_engine import make_function
        from tfchain.runtime.quiet_stderr import quiet_native_log

        encoder = self.runner.compute_encoder
        module = tf.Module()
        module.encoder = [weight.value for weight in encoder.weights]
        with quiet_native_log():
            tf.saved_model.save(module, str(folder), signatures={"embed_ids": make_function(encoder)})


def identify_model(model: Any) -> str:
    """Returns the fingerprint of everything that determines what a task's model answers, whatever its class."""
    return str(model.model_fingerprint if isinstance(model, TextEncoderModel) else model.fingerprint)
