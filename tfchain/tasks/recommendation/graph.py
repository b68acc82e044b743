"""Recommendation as a TensorFlow graph: user and history in, items out, by stock ops."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfchain.core.proof import Proof
from tfchain.core.signatures import SERVING_DEFAULT
from tfchain.data.interactions.tables import Table
from tfchain.models.indexes.exact_graph import make_search
from tfchain.models.precision import TOLERANCES
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.tasks.recommendation.catalogue import Catalogue
from tfchain.tasks.recommendation.ranking import ask, rank_items, similar_items
from tfchain.tasks.recommendation.titles import item_titles
from tfchain.tasks.ties import find_ties

RECOMMEND = "recommend"  # user, history → ids, scores, titles
RECOMMEND_FILTERED = "recommend_filtered"  # the same, and which items may appear
SIMILAR = "similar"  # item → ids, scores, titles
PROVEN_USERS = 4


@dataclass
class RecommendationGraph:
    """The graph of a version; see `core.task.Graph`."""

    module: Any
    signatures: dict[str, Any] = field(default_factory=dict)
    proofs: list[Proof] = field(default_factory=list)
    litert_proofs: Sequence[Any] = ()
    halves: Mapping[str, Any] = field(default_factory=dict)
    methods: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServedRecommendation:
    """A version before it is written; see `core.task.Served`."""

    graph: RecommendationGraph
    description: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    native: None = None


def make_recommendation_graph(
    model: RecommendationModel, catalogue: Catalogue, *, top_k: int, exclude_seen: bool = True
) -> RecommendationGraph:
    """Makes the graph of a version that recommends.

    `recommend` and `serving_default` take `user`, string `(batch,)`, and `history`, string `(batch, any)`: the ids of
    the items that the user took, the last one last, padded by empty strings. An empty history stands for what the
    catalogue knows of the user. `recommend_filtered` takes `allowed`, too, booleans `(items,)`. `similar` takes `item`,
    string `(batch,)`. Each gives `ids`, `scores` and `titles`, `(batch, top_k)`; where too few items are left, empty
    ids with scores of minus infinity follow.

    Args:
        model: The model.
        catalogue: Items, users and histories.
        top_k: The number of items; all, if there are fewer.
        exclude_seen: Whether items that a user has taken are left out. Default: True.
    """
    import tensorflow as tf

    top_k = min(top_k, len(catalogue.items))
    graph = RecommendationGraph(tf.Module(name="recommendation"))
    parts = _Parts(graph.module, model, catalogue, top_k)
    user = tf.TensorSpec([None], tf.string, name="user")
    history = tf.TensorSpec([None, None], tf.string, name="history")
    allowed = tf.TensorSpec([len(catalogue.items)], tf.bool, name="allowed")

    def recommend(user: Any, history: Any) -> dict[str, Any]:
        return parts.recommend(user, history, None, exclude_seen)

    def recommend_filtered(user: Any, history: Any, allowed: Any) -> dict[str, Any]:
        return parts.recommend(user, history, allowed, exclude_seen)

    graph.signatures[RECOMMEND] = tf.function(recommend, input_signature=[user, history], autograph=False)
    graph.signatures[SERVING_DEFAULT] = graph.signatures[RECOMMEND]
    graph.signatures[RECOMMEND_FILTERED] = tf.function(
        recommend_filtered, input_signature=[user, history, allowed], autograph=False
    )
    item = tf.TensorSpec([None], tf.string, name="item")
    graph.signatures[SIMILAR] = tf.function(parts.similar, input_signature=[item], autograph=False)
    graph.proofs.extend(_prove(model, catalogue, top_k, exclude_seen))
    return graph


class _Parts:
    """What the signatures share: the variables and tables of the module, and the functions of them."""

    def __init__(self, module: Any, model: RecommendationModel, catalogue: Catalogue, top_k: int) -> None:
        import tensorflow as tf

        self.module, self.model, self.top_k = module, model, top_k
        self.num_items, self.num_users = len(catalogue.items), len(catalogue.users)
        self.search = make_search(module, catalogue.index(model), top_k)
        module.items = _make_table(catalogue.items.ids)
        module.users = _make_table(catalogue.users.ids)
        module.ids = tf.Variable([id.encode() for id in catalogue.items.ids], trainable=False, name="ids")
        titles = item_titles(catalogue.items)
        module.titles = tf.Variable([title.encode() for title in titles], trainable=False, name="titles")
        module.taken = tf.Variable(catalogue.taken, trainable=False, name="taken")
        starts = np.append(catalogue.starts, catalogue.starts[-1]).astype("int64")  # the last user has no history
        module.starts = tf.Variable(starts, trainable=False, name="starts")
        self.encode_history = _make_encoder(module, model)
        known = _user_vectors(model, catalogue)
        self.has_users = known is not None
        if known is not None:
            module.user_vectors = tf.Variable(known, trainable=False, name="user_vectors")

    def recommend(self, user: Any, history: Any, allowed: Any, exclude_seen: bool) -> dict[str, Any]:
        """The best items for users."""
        import tensorflow as tf

        module, config = self.module, self.model.config
        found = module.users.lookup(user)
        rows = tf.where(found < 0, self.num_users, found)
        is_given = tf.reduce_any(history != "", axis=1)
        items = module.items.lookup(history)
        given = tf.ragged.boolean_mask(items, items >= 0)
        known = self._histories(rows)
        chosen = tf.concat([given, self._histories(tf.where(is_given, self.num_users, rows))], axis=1)
        lengths = tf.minimum(tf.cast(chosen.row_lengths(), tf.int32), config.max_history)
        last = chosen[:, -config.max_history :].to_tensor(0, shape=[None, config.max_history])
        vectors = tf.zeros([tf.shape(rows)[0], config.dim])
        if self.encode_history is not None:
            vectors += self.encode_history(self._vectors(last), lengths)
        if self.has_users:
            vectors += tf.gather(module.user_vectors, rows)
        if config.bias:
            part = tf.where(lengths > 0, 1 - config.balance, 1.0)
            vectors = tf.concat([vectors, part[:, None]], axis=1)
        mask = None if allowed is None else allowed[None]
        if exclude_seen:
            fresh = tf.logical_not(self._mark(tf.concat([given, known], axis=1)))
            mask = fresh if mask is None else fresh & mask
        scores, places = self.search(vectors, mask)
        return self._to_answer(scores, places)

    def similar(self, item: Any) -> dict[str, Any]:
        """The items most like others, by cosine, without these."""
        import tensorflow as tf

        row = self.module.items.lookup(item)
        everything = self._vectors(tf.range(self.num_items))
        lengths = tf.maximum(tf.sqrt(tf.reduce_sum(tf.square(everything), axis=1)), 1e-12)
        units = everything / lengths[:, None]
        asked = tf.gather(units, tf.maximum(row, 0))
        scores = tf.matmul(asked, units, transpose_b=True)
        is_self = tf.range(self.num_items)[None] == row[:, None]
        scores = tf.where(is_self | (row < 0)[:, None], -np.inf, scores)
        best, places = tf.math.top_k(scores, k=self.top_k)
        return self._to_answer(best, places)

    def _histories(self, rows: Any) -> Any:
        """The histories of users, ragged `(batch, items)`."""
        import tensorflow as tf

        starts = tf.gather(self.module.starts, rows)
        places = tf.ragged.range(starts, tf.gather(self.module.starts, rows + 1))
        return tf.ragged.map_flat_values(lambda flat: tf.gather(self.module.taken, flat), places)

    def _mark(self, rows: Any) -> Any:
        """Which items are in ragged rows, booleans `(batch, items)`."""
        import tensorflow as tf

        places = tf.stack([tf.cast(rows.value_rowids(), tf.int32), rows.flat_values], axis=1)
        shape = [tf.cast(rows.nrows(), tf.int32), self.num_items]
        return tf.scatter_nd(places, tf.ones([tf.shape(places)[0]], tf.int32), shape) > 0

    def _vectors(self, rows: Any) -> Any:
        """The vectors of items, float32 `(…, dim)`, without the bias."""
        import tensorflow as tf

        values = tf.cast(tf.gather(self.module.vectors, rows), tf.float32)
        if self.model.vector_storage.precision == "int8":
            values *= tf.gather(self.module.scales, rows)[..., None]
        return values[..., : self.model.config.dim]

    def _to_answer(self, scores: Any, places: Any) -> dict[str, Any]:
        import tensorflow as tf

        is_none = scores == -np.inf
        ids = tf.where(is_none, "", tf.gather(self.module.ids, places))
        titles = tf.where(is_none, "", tf.gather(self.module.titles, places))
        return {"ids": ids, "scores": scores, "titles": titles}


def _make_table(ids: Sequence[str]) -> Any:
    """A table from ids to rows, int32; -1 for others."""
    import tensorflow as tf

    keys = tf.constant([id.encode() for id in ids], tf.string)
    values = tf.range(len(ids), dtype=tf.int32)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1)


def _make_encoder(module: Any, model: RecommendationModel) -> Callable[[Any, Any], Any] | None:
    """Puts the weights of the history encoder into the module, in the model's precision; returns what runs it."""
    import tensorflow as tf

    encoder = model.towers.history_encoder
    if encoder is None:
        return None
    from tfchain.models.recommendation.towers import take_last

    packed = model.pack()
    getters = [
        packed[f"history/{weight.path}"].to_tensor(module, f"history_{number}")
        for number, weight in enumerate(encoder.trainable_variables)
    ]
    others = [tf.constant(np.array(variable)) for variable in encoder.non_trainable_variables]

    def encode(history: Any, lengths: Any) -> Any:
        made, _ = encoder.stateless_call([get() for get in getters], others, history, training=False)
        return take_last(made, lengths)

    return encode


def _user_vectors(model: RecommendationModel, catalogue: Catalogue) -> np.ndarray | None:
    """What is known of each user without a history, float32 `(users + 1, dim)`; the last row is of one not known."""
    inputs = model.user_inputs(catalogue.users.append(Table([""])))
    if inputs is None:
        return None
    assert model.towers.users is not None
    return np.asarray(model.towers.users(inputs, training=False), dtype="float32")


def _prove(model: RecommendationModel, catalogue: Catalogue, top_k: int, exclude_seen: bool) -> list[Proof]:
    """Questions with Python's answers: known users, strangers with a history and without, a filter, similar items."""
    tolerance = TOLERANCES["float32"]
    popular = [catalogue.items.ids[row] for row in np.argsort(-catalogue.popularity, kind="stable")[:3]]
    users = [*catalogue.users.ids[:PROVEN_USERS], "", "", *catalogue.users.ids[:1]]
    histories = [[]] * (len(users) - 3) + [popular, [], popular[:1]]
    width = max(map(len, histories)) or 1
    asked = {
        "user": np.array([user.encode() for user in users], dtype=object),
        "history": np.array([[*(id.encode() for id in row), *[b""] * (width - len(row))] for row in histories], object),
    }
    allowed = np.arange(len(catalogue.items)) % 3 != 0
    proofs = []
    for name, mask in ((SERVING_DEFAULT, None), (RECOMMEND_FILTERED, allowed)):
        more = rank_items(
            *(model, catalogue, ask(catalogue, users, histories)),
            top_k=top_k + 1,
            allowed=mask,
            exclude_seen=exclude_seen,
        )
        inputs = asked if mask is None else {**asked, "allowed": mask}
        proofs.append(_to_proof(name, inputs, catalogue, more.rows, more.scores, top_k, tolerance))
    found = [similar_items(model, catalogue, id, top_k=top_k + 1) for id in popular]
    rows, scores = np.concatenate([item.rows for item in found]), np.concatenate([item.scores for item in found])
    item = {"item": np.array([id.encode() for id in popular], dtype=object)}
    return [*proofs, _to_proof(SIMILAR, item, catalogue, rows, scores, top_k, tolerance)]


def _to_proof(
    name: str,
    inputs: Mapping[str, np.ndarray],
    catalogue: Catalogue,
    rows: np.ndarray,
    scores: np.ndarray,
    top_k: int,
    tolerance: float,
) -> Proof:
    """A proof of a ranking, of which one place more than is served is known, as it may be tied with the last."""
    finite = np.where(np.isneginf(scores), -1e6 * np.arange(1, scores.shape[1] + 1), scores)
    ties = find_ties(finite, tolerance)[:, :top_k]
    titles = item_titles(catalogue.items)
    ids = [[b"" if row < 0 else catalogue.items.ids[row].encode() for row in line] for line in rows[:, :top_k].tolist()]
    names = [[b"" if row < 0 else titles[row].encode() for row in line] for line in rows[:, :top_k].tolist()]
    outputs = {"ids": np.array(ids, object), "scores": scores[:, :top_k], "titles": np.array(names, object)}
    is_warm_up = name == SERVING_DEFAULT
    return Proof(name, inputs, outputs, {"ids": ties, "titles": ties}, is_warm_up=is_warm_up, tolerance=tolerance)
