"""Layer distillation: the hidden states of a student's layers learn to match those of a teacher's layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.encoders.anatomy import name_layer
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.training.fit.training_copy import make_training_copy
from tfchain.training.fit.training_hook import TrainingHook

LayerPairs = Sequence[tuple[int, int]]


class LayerDistillationHook(TrainingHook):
    """Adds the distance between a student's and a teacher's hidden states to the loss of any training.

    For a text of n tokens, where layers s of the student learn from layers t of the teacher,

        loss = weight * mean over (s, t) of 1/n * sum over tokens of mean over units of (H_s W - H_t)^2

    which is L_hidn of TinyBERT (Jiao et al. 2020, https://arxiv.org/abs/1909.10351, equation 8) with the mean over the
    layers instead of the sum, and without padding. W is one matrix for all layers, trained with the student and dropped
    after training; if both models' layers have the same width, it is left out. The teacher's hidden states are computed
    in every step, without dropout, from the same token ids with the same padding, and are never stored: a step takes
    longer by a forward pass of the teacher. `Distill(objective="layers")` makes this hook; pass it to
    `FitOptions(hooks=[...])` to add it to another training. It also works on several devices and with GradCache, which
    runs the teacher twice.

    Args:
        teacher: One of tfchain's own encoders, with the student's tokenizer (`check_same_tokenizer`).
        layers: Pairs of a student's layer and the teacher's layer that it learns, counted from 0. Default: all of the
            student's layers, spread evenly over the teacher's; see `map_layers`.
        weight: Weight of this loss relative to the other. Default: 1.
        seed: Seed of the matrix. Default: 0.

    Raises:
        InputError: if the teacher is not one of tfchain's own encoders; in `prepare` also if the student is not, or a
            layer does not exist.
    """

    def __init__(
        self, teacher: TextEncoder, layers: LayerPairs | None = None, *, weight: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        if not isinstance(teacher.own_encoder, Encoder):
            raise _not_own("teacher", teacher.own_encoder)
        self.teacher = teacher
        self.layers = layers
        self.weight = weight
        self.seed = seed
        self._projection: keras.layers.Dense | None = None

    def describe(self) -> Mapping[str, Any]:
        return {
            "name": "layer_distillation",
            "teacher": self.teacher.encoder_fingerprint,
            "layers": None if self.layers is None else [list(pair) for pair in self.layers],
            "weight": self.weight,
        }

    def prepare(self, encoder: keras.Model) -> None:
        if not isinstance(encoder, Encoder):
            raise _not_own("student", encoder)
        student, teacher = encoder.config.transformer, self.teacher.own_encoder.config.transformer
        if student.is_static or teacher.is_static:
            who = "student" if student.is_static else "teacher"
            raise InputError(
                f"Distill(objective='layers') needs a {who} with layers. Received: a static encoder, which is a table "
                "of token vectors. Distill embeddings or scores."
            )
        self._pairs = self.layers or map_layers(student.num_layers, teacher.num_layers)
        for place, (who, count) in enumerate((("student", student.num_layers), ("teacher", teacher.num_layers))):
            beyond = [pair[place] for pair in self._pairs if pair[place] >= count]
            if beyond:
                raise InputError(
                    f"`layers` must name layers below the {who}'s {count}, counted from 0. Received: {beyond[0]}."
                )
        self._projection = None
        if student.hidden_dim != teacher.hidden_dim:
            self._projection = keras.layers.Dense(
                teacher.hidden_dim,
                use_bias=False,
                kernel_initializer=keras.initializers.GlorotUniform(self.seed),
                name="projection",
                dtype="float32",
            )
            self._projection.build((None, student.hidden_dim))

    def make_step_encoder(self, encoder: keras.Model) -> keras.Model:
        policy = encoder.get_layer("embeddings").dtype_policy.name
        # Made again in the strategy's scope, in the dtype that the student computes in.
        teacher = make_training_copy(self.teacher.own_encoder, Hyperparameters(dropout=0.0, dtype_policy=policy))
        teacher.trainable = False
        return StudentAndTeacher(encoder, teacher, self._pairs, projection=self._projection, weight=self.weight)

    def variables(self) -> Sequence[Any]:
        return [] if self._projection is None else self._projection.weights


class StudentAndTeacher(keras.Model):
    """A student that returns, after each text's vector, how far its hidden states are from the teacher's.

    Args:
        student: One of tfchain's own encoders.
        teacher: Another of tfchain's own encoders.
        layers: Pairs of a student's layer and the teacher's layer that it learns, counted from 0.
        projection: From the student's width to the teacher's. Default: none.
        weight: The factor for the distance. Default: 1.

    Call with a dict of `token_ids` and `padding_mask`, int32 `(texts, length)`; returns float32 `(texts, dim + 1)`.
    """

    def __init__(
        self,
        student: Encoder,
        teacher: Encoder,
        layers: LayerPairs,
        *,
        projection: keras.layers.Dense | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(name="student_and_teacher", dtype="float32")
        self.student = student  # first, so that its weights come first
        self.projection = projection
        self.seen = show_layers(student, [pair[0] for pair in layers])
        self.taught = show_layers(teacher, [pair[1] for pair in layers])
        self.weight = weight
        self.built = True

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        return (None, self.student.output_shape[-1] + 1)

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        vectors, *hidden = self.seen(inputs, training=training)
        _, *targets = self.taught(inputs, training=False)
        distances = [
            hidden_distance(self._project(states), ops.stop_gradient(target), inputs["padding_mask"])
            for states, target in zip(hidden, targets, strict=True)
        ]
        own = self.weight * ops.mean(ops.stack(distances, axis=-1), axis=-1, keepdims=True)  # (texts, 1)
        return ops.concatenate([ops.cast(vectors, "float32"), own], axis=-1)

    def _project(self, hidden: Any) -> Any:
        return hidden if self.projection is None else self.projection(ops.cast(hidden, "float32"))


def hidden_distance(hidden: Any, target: Any, padding_mask: Any) -> Any:
    """The mean squared difference over each text's tokens and all units; padding does not count.

    Args:
        hidden: `(texts, length, dim)`.
        target: The same of the teacher.
        padding_mask: int32 `(texts, length)`, 0 for padding.

    Returns:
        float32 `(texts,)`.
    """
    squares = ops.square(ops.cast(hidden, "float32") - ops.cast(target, "float32"))
    is_token = ops.cast(ops.not_equal(padding_mask, 0), "float32")
    of_tokens = ops.mean(squares, axis=-1) * is_token  # (texts, length)
    return ops.sum(of_tokens, axis=-1) / ops.maximum(ops.sum(is_token, axis=-1), 1)


def map_layers(num_student: int, num_teacher: int) -> tuple[tuple[int, int], ...]:
    """Says which layer of a teacher each layer of a student learns, spread evenly: the last learns the last.

    Counted from 1 as in TinyBERT, layer m of M learns layer m * N / M of N, rounded up.

    Args:
        num_student: Layers of the student.
        num_teacher: Layers of the teacher.

    Example:
        >>> map_layers(3, 6)
        ((0, 1), (1, 3), (2, 5))
    """
    return tuple((layer, -(-(layer + 1) * num_teacher // num_student) - 1) for layer in range(num_student))


def show_layers(encoder: Encoder, layers: Sequence[int]) -> keras.Model:
    """The same encoder, which also returns the hidden states after some of its layers.

    Args:
        encoder: One of tfchain's own encoders; the returned model shares its weights.
        layers: Layer numbers, counted from 0.

    Returns:
        A model with the same inputs; its outputs are a list of the vectors `(texts, dim)` and, for each number,
        `(texts, length, hidden_dim)`.
    """
    inputs = {tensor.name: tensor for tensor in encoder.inputs}
    return keras.Model(inputs, [encoder.outputs[0], *(_find_output(encoder, number) for number in layers)])


def _find_output(encoder: Encoder, number: int) -> Any:
    """Returns what a layer computes, also where several in a row share their weights, and so the Keras layer."""
    config = encoder.config.transformer
    distinct = config.find_distinct_layer(number)
    first = next(layer for layer in range(config.num_layers) if config.find_distinct_layer(layer) == distinct)
    node = encoder.get_layer(name_layer(distinct))._inbound_nodes[number - first]
    return node.outputs[0]


def check_same_tokenizer(student: TextEncoder, teacher: TextEncoder) -> None:
    """Raises an InputError if the two tokenize a text differently, cut at the student's length."""
    teachers = HostTokenizer(
        teacher.tokenizer.tokenizer,
        max_length=student.tokenizer.max_length,
        do_lower_case=teacher.tokenizer.do_lower_case,
    )
    if teachers.describe() != student.tokenizer.describe():
        raise InputError(
            "Distill(objective='layers') needs a student and a teacher with the same tokenizer: hidden states are "
            f"compared token by token. Received: vocabularies of {len(student.tokenizer.tokenizer)} and "
            f"{len(teacher.tokenizer.tokenizer)} (the teacher's) tokens that differ. Distill embeddings or scores."
        )
    positions = teacher.own_encoder.config.transformer.max_length
    if positions < student.longest:
        raise InputError(
            "Distill(objective='layers') needs a teacher for texts as long as the student's. Received: "
            f"{student.longest} tokens, and {positions} positions of the teacher. Make the student's "
            "`max_length` smaller."
        )


def _not_own(who: str, encoder: Any) -> InputError:
    return InputError(
        f"Distill(objective='layers') needs a {who} that is one of tfchain's own encoders: only their layers are "
        f"known. Received: {type(encoder).__name__}. Distill embeddings or scores."
    )
