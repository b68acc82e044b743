"""`RecommendationModel`: towers, vocabularies and an encoder of texts as one model, with a fingerprint."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.core.errors import InputError, ModelFolderError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.shared_lock import SharedLock
from tfchain.data.interactions.interactions import Interactions
from tfchain.data.interactions.tables import Table
from tfchain.models.indexes.storage import FLOAT_VECTORS, VectorStorage
from tfchain.models.precision import Precision
from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.models.recommendation.features import fit_features, make_inputs
from tfchain.models.recommendation.packed_weights import PackedWeight, pack_weight
from tfchain.models.recommendation.recommendation_folder import StoredModel, read_model, write_model, write_packed
from tfchain.models.recommendation.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tfchain.models.recommendation.towers import Towers, TowerShape
    from tfchain.models.text_encoder import TextEncoder

NOT_TRAINED = "The recommendation model is not trained yet. Call `fit` first."


class RecommendationModel:
    """Two towers with what they have learned, and an encoder of texts that is not trained.

    Before a training it is a configuration alone. Threads may use it at the same time.

    Args:
        config: The shape of the towers.
        text_encoder: From texts of items and users to vectors. Default: None, texts are left out.
        vocabulary: What it has learned the rows of. Default: None, it is not trained.
        weights: The weights of the towers by path, float32. Default: none.
        precision: What the weights are rounded to: `float32`, `float16`, `bfloat16` or `int8`. Default: `float32`.
        vector_storage: How the vectors of items are kept. Default: float32.
    """

    engine = "tensorflow"

    def __init__(
        self,
        config: RecommendationConfig,
        text_encoder: TextEncoder | None = None,
        *,
        vocabulary: Vocabulary | None = None,
        weights: Mapping[str, np.ndarray] | None = None,
        precision: Precision = "float32",
        vector_storage: VectorStorage = FLOAT_VECTORS,
    ) -> None:
        self.config = config
        self.text_encoder = text_encoder
        self.vocabulary = vocabulary
        self.precision: Precision = precision
        self.vector_storage = vector_storage
        self.lock = SharedLock()
        self._weights = None if weights is None else dict(weights)
        self._making = threading.RLock()
        self._towers: Towers | None = None
        self._fingerprint: str | None = None
        self._own_vectors: np.ndarray | None = None

    @property
    def is_trained(self) -> bool:
        """Whether it has weights."""
        return self._weights is not None

    @property
    def is_settled(self) -> bool:
        """Whether its vectors may be kept under its fingerprint; a model in training changes all the time."""
        return True

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The weights of the towers by path, float32, before rounding.

        Raises:
            InputError: if the model is not trained.
        """
        if self._weights is None:
            raise InputError(NOT_TRAINED)
        return self._weights

    @property
    def shape(self) -> TowerShape:
        """What the towers are built for."""
        from tfchain.models.recommendation.towers import TowerShape

        known = self.known
        return TowerShape(len(known.items), len(known.users), known.item_features, known.user_features)

    @property
    def known(self) -> Vocabulary:
        """What it has learned the rows of.

        Raises:
            InputError: if the model is not trained.
        """
        if self.vocabulary is None:
            raise InputError(NOT_TRAINED)
        return self.vocabulary

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides a vector."""
        if self._fingerprint is None:
            values = {
                "config": self.config.to_dict(),
                "precision": self.precision,
                "vectors": self.vector_storage.to_dict(),
                "text": None if self.text_encoder is None else self.text_encoder.fingerprint,
                "vocabulary": None if self.vocabulary is None else self.vocabulary.to_dict(),
            }
            self._fingerprint = make_fingerprint(values, sorted((self._weights or {}).items()))
        return self._fingerprint

    @contextlib.contextmanager
    def unchanged(self) -> Any:
        """Keeps the weights as they are while the block runs."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.lock.shared())
            if self.text_encoder is not None:
                stack.enter_context(self.text_encoder.unchanged())
            yield

    def refresh(self) -> None:
        """Does nothing: weights change through `set_weights` alone."""

    # Training

    def for_data(self, interactions: Interactions, *, seed: int = 0) -> RecommendationModel:
        """Returns a model for interactions, not trained on them: vocabularies, and weights to begin with.

        What this model has learned is kept: the weights of the features, and the vectors of the ids that are known.

        Args:
            interactions: What will be trained on. Items and users without an interaction get no vector of their own.
            seed: The seed of new weights. Default: 0.

        Raises:
            InputError: if a column that the configuration names is missing.
        """
        taken = sorted(set(interactions.item_rows.tolist()))
        active = sorted(set(interactions.user_rows.tolist()))
        text_dim = 0 if self.text_encoder is None else self.text_encoder.embedding_dim
        old, config = self.vocabulary, self.config
        if old is None:
            features = [
                fit_features(table, chosen, name=name, text_dim=text_dim)
                for table, chosen, name in (
                    (interactions.items, config.item_features, "items"),
                    (interactions.users, config.user_features, "users"),
                )
            ]
        else:
            features = [old.item_features, old.user_features]
        items = tuple(interactions.items.ids[row] for row in taken)
        users = tuple(interactions.users.ids[row] for row in active)
        if not config.item_ids and not features[0]:
            raise InputError("Items need ids or features. Received: item_ids=False, and items without a table.")
        if config.history == "none" and not config.user_ids and not features[1]:
            raise InputError("Users need a history, ids or features. Received: none, and users without a table.")
        made = self._with(vocabulary=Vocabulary(items, users, features[0], features[1]), weights=None)
        made._weights = {}  # so that the towers' inputs can be made
        from tfchain.models.recommendation.start_weights import make_start

        made._weights = make_start(made, self, interactions, seed)
        return made

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Replaces the weights of the towers, by path, once nobody computes with them."""
        with self.lock.exclusive():
            self._weights = dict(weights)
            self._towers = self._fingerprint = self._own_vectors = None

    # Computing

    @property
    def keras_model(self) -> Towers:
        """The towers."""
        return self.towers

    @property
    def towers(self) -> Towers:
        """The towers, with weights in the model's precision."""
        if self._towers is None:
            with self._making:
                if self._towers is None:
                    from tfchain.models.recommendation.tower_weights import load_weights
                    from tfchain.models.recommendation.towers import make_towers

                    towers = make_towers(self.config, self.shape)
                    load_weights(towers, {path: packed.to_float() for path, packed in self.pack().items()})
                    self._towers = towers
        return self._towers

    def pack(self) -> dict[str, PackedWeight]:
        """Returns the weights in the model's precision, by path."""
        return {path: pack_weight(path, weight, self.precision) for path, weight in self.weights.items()}

    def item_inputs(self, items: Table) -> dict[str, np.ndarray]:
        """Returns what the tower reads of items; texts are encoded here."""
        rows = {id: number for number, id in enumerate(self.known.items, start=1)}
        return make_inputs(items, self.known.item_features, rows, self._encode_texts)

    def user_inputs(self, users: Table) -> dict[str, np.ndarray] | None:
        """Returns what the tower reads of users; None if it reads nothing of them."""
        if not self.config.user_ids and not self.known.user_features:
            return None
        rows = {id: number for number, id in enumerate(self.known.users, start=1)}
        return make_inputs(users, self.known.user_features, rows, self._encode_texts)

    def encode_items(self, inputs: Mapping[str, np.ndarray], *, batch_size: int = 4096) -> np.ndarray:
        """Returns the vectors of items, with their bias as the last number, float32 `(items, vector_dim)`.

        Args:
            inputs: What `item_inputs` returned.
            batch_size: The most items in a step. Default: 4096.
        """
        count = len(inputs["id"])
        parts = [np.zeros((0, self.config.vector_dim), "float32")]
        for start in range(0, count, batch_size):
            part = {name: array[start : start + batch_size] for name, array in inputs.items()}
            parts.append(np.asarray(self.towers.items(part, training=False), dtype="float32"))
        return np.concatenate(parts)

    def encode_users(
        self,
        vectors: np.ndarray,
        histories: Sequence[Any],
        user_inputs: Mapping[str, np.ndarray] | None,
        *,
        batch_size: int = 256,
    ) -> np.ndarray:
        """Returns the vectors of users, float32 `(users, vector_dim)`: with a bias, the last number is its weight.

        Args:
            vectors: The vectors of all items, as `encode_items` returns them.
            histories: The rows of the items that each user took, the last ones last.
            user_inputs: What `user_inputs` returned for the same users; None if nothing is known of them.
            batch_size: The most users in a step. Default: 256.
        """
        parts = [np.zeros((0, self.config.dim), "float32")]
        for start in range(0, len(histories), batch_size):
            rows, lengths = pad_histories(histories[start : start + batch_size], self.config.max_history)
            part = None
            if user_inputs is not None:
                part = {name: array[start : start + batch_size] for name, array in user_inputs.items()}
            parts.append(self._encode_batch(vectors, rows, lengths, part))
        users = np.concatenate(parts)
        if not self.config.bias:
            return users
        has_history = np.array([len(history) > 0 for history in histories], dtype=bool)[:, None]
        popularity = np.where(has_history, 1 - self.config.balance, 1.0).astype("float32")
        return np.concatenate([users, popularity], axis=1)

    def run_one(self, item: Mapping[str, Any]) -> None:
        """Computes the vector of a user with a history; see `run`."""
        self.run([item], batch_size=1)

    def run(self, items: Sequence[Mapping[str, Any]], *, batch_size: int) -> None:
        """Computes the vectors of users with histories of the items that the model was trained on.

        Args:
            items: Dicts of `history`, ids; others than the model's are left out.
            batch_size: The most histories in a step.
        """
        known = self.known
        rows = {id: number for number, id in enumerate(known.items)}
        if self._own_vectors is None:
            inputs = make_inputs(
                Table(list(known.items)), known.item_features, {id: n + 1 for id, n in rows.items()}, self._blanks
            )
            self._own_vectors = self.encode_items(inputs)
        histories = [[rows[id] for id in item["history"] if id in rows] for item in items]
        users = self.user_inputs(Table([""] * len(items)))
        self.encode_users(self._own_vectors, histories, users, batch_size=batch_size)

    # Other models of the same

    def copy(self) -> RecommendationModel:
        """Returns a model of its own, with the same weights."""
        return self._with()

    def with_precision(
        self, precision: Precision, *, engine: str | None = None, calibration: Any = None
    ) -> RecommendationModel:
        """Returns the model with its weights, and its vectors of items, in another precision.

        Args:
            precision: `float32`, `float16`, `bfloat16` or `int8`; `int8` keeps the vectors in int8, too.
            engine: `tensorflow` or None.
            calibration: None: activations are not quantized.

        Raises:
            InputError: if there is a calibration, or another engine.
        """
        if calibration is not None:
            raise InputError("A recommendation model has no calibrated int8. Use Quantize('int8') without calibrated.")
        if engine not in (None, "auto", self.engine):
            raise InputError(f"`engine` of a recommendation model must be 'tensorflow'. Received: {engine!r}.")
        pack_weight("", np.zeros((LEAST_ROWS, LEAST_ROWS), "float32"), precision)  # raises for an unknown one
        storage = VectorStorage("int8") if precision == "int8" else self.vector_storage
        return self._with(precision=precision, vector_storage=storage)

    def with_vector_storage(self, storage: VectorStorage) -> RecommendationModel:
        """Returns the model with the vectors of items kept otherwise.

        Raises:
            InputError: if the storage keeps bits, which have no lengths.
        """
        storage.check_similarity("dot")
        return self._with(vector_storage=storage)

    def plain(self) -> RecommendationModel:
        """Returns the model in float32, with vectors in float32."""
        return self._with(precision="float32", vector_storage=FLOAT_VECTORS)

    def with_keras_model(self, keras_model: Any) -> RecommendationModel:
        """Returns a model with the weights of other towers of the same shape."""
        from tfchain.models.recommendation.tower_weights import read_weights

        return self._with(weights=read_weights(keras_model))

    def describe_shape(self) -> Mapping[str, Any]:
        """Returns what decides the cost of an answer."""
        sizes = {path: list(weight.shape) for path, weight in self.weights.items()}
        return {"config": self.config.to_dict(), "precision": self.precision, "weights": sizes}

    def _with(self, **changes: Any) -> RecommendationModel:
        values: dict[str, Any] = {
            "vocabulary": self.vocabulary,
            "weights": self._weights,
            "precision": self.precision,
            "vector_storage": self.vector_storage,
            **changes,
        }
        return RecommendationModel(self.config, self.text_encoder, **values)

    def with_config(self, **changes: Any) -> RecommendationModel:
        """Returns a model of another shape, not trained.

        Args:
            **changes: Fields of `RecommendationConfig`.
        """
        return RecommendationModel(dataclasses.replace(self.config, **changes), self.text_encoder)

    # Keeping

    @classmethod
    def from_pretrained(cls, path: str | Path, *, engine: Any = "auto") -> RecommendationModel:
        """Reads what `save` wrote; `engine` runs the encoder of texts."""
        stored = read_model(Path(path), engine=engine)
        model = cls(
            stored.config,
            stored.text_encoder,
            vocabulary=stored.vocabulary,
            weights=stored.weights,
            precision=stored.precision,
            vector_storage=stored.vector_storage,
        )
        if model.is_trained:
            try:
                _ = model.towers
            except InputError as error:
                raise ModelFolderError(f"{path} is damaged: {error} Save the chain again.") from error
        return model

    def save(self, folder: Path | str) -> None:
        """Writes the model to an empty folder, which `from_pretrained` reads: its weights in float32."""
        stored = StoredModel(
            *(self.config, self.text_encoder, self.vocabulary, self._weights, self.precision, self.vector_storage)
        )
        write_model(stored, Path(folder))

    def write_served_files(self, folder: Path | str) -> None:
        """Writes what a server needs of the model: the weights in its precision; the vectors are the state's."""
        write_packed(self.pack(), Path(folder))

    # Helpers

    def _encode_batch(
        self, vectors: np.ndarray, rows: np.ndarray, lengths: np.ndarray, users: Mapping[str, np.ndarray] | None
    ) -> np.ndarray:
        from tfchain.models.recommendation.towers import take_last

        made = np.zeros((len(rows), self.config.dim), "float32")
        if self.towers.history_encoder is not None:
            history = vectors[rows, : self.config.dim]  # (batch, length, dim)
            found = self.towers.history_encoder(history, training=False)
            made = made + np.asarray(take_last(found, lengths), dtype="float32")
        if self.towers.users is not None and users is not None:
            made = made + np.asarray(self.towers.users(dict(users), training=False), dtype="float32")
        return made

    def _encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        assert self.text_encoder is not None  # a feature is a text only with an encoder
        different = list(dict.fromkeys(texts))
        found = self.text_encoder.encode_document(different, progress=False)
        places = {text: place for place, text in enumerate(different)}
        chosen: np.ndarray = found[[places[text] for text in texts]]
        return chosen

    def _blanks(self, texts: Sequence[str]) -> np.ndarray:
        assert self.text_encoder is not None
        return np.zeros((len(texts), self.text_encoder.embedding_dim), "float32")


LEAST_ROWS = 32


def pad_histories(histories: Sequence[Any], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the last items of histories as a table, padded by 0 at the end, and how many each has.

    Args:
        histories: Rows of items, the last ones last.
        length: The most that count.

    Returns:
        int32 `(histories, longest)`, at least one wide, and int32 `(histories,)`.
    """
    last = [np.asarray(history, dtype="int32")[-length:] for history in histories]
    lengths = np.array([len(history) for history in last], dtype="int32")
    rows = np.zeros((len(last), max(1, int(lengths.max(initial=1)))), dtype="int32")
    for place, history in enumerate(last):
        rows[place, : len(history)] = history
    return rows, lengths
