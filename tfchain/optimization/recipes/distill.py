"""The recipe that trains a small encoder to give a large one's vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Batches, DTypePolicy, Hyperparameters
from tfchain.optimization.recipes.base import Materials, Recipe

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder

Distance = Literal["cosine", "l2", "mse"]
Objective = Literal["embeddings", "scores", "layers"]


@dataclass(frozen=True, kw_only=True)
class Distill(Recipe):
    """Trains the model to reproduce the vectors of the model before all recipes, on plain texts.

    Any texts of the kind that the model is for will do, the more the better; no judgments are needed. Pass `teacher` to
    learn from another model: `compress(model, [Distill()], texts=texts, teacher=other)`. Texts with their translations
    teach a model other languages (Reimers and Gurevych 2020, https://arxiv.org/abs/2004.09813): in
    `compress(multilingual, [Distill(distance="mse")], texts=[("Who runs?", "Wer rennt?"), ...], teacher=english)` it
    learns the teacher's vector of the first text of a row for all texts of the row.

    Args:
        objective: `embeddings`: the vectors themselves, so that one index can hold both models' vectors
            (`training.losses.EmbedDistill`). `scores`: the similarities between the texts of a batch
            (`training.losses.ScoreDistill`), which leaves the student free to place them elsewhere, and allows vectors
            of another width. `layers`: the vectors (or the scores, if the widths differ) and the hidden states of the
            layers below, token by token, as in TinyBERT (`optimization.layer_distillation.LayerDistillationHook` has
            the formula); it takes a forward pass of the teacher in every step, and both models must be tfchain's own
            encoders with the same tokenizer. Default: `embeddings`.
        epochs: Passes over the texts. Default: 1.
        batch_size: Texts in a step. Default: 32.
        learning_rate: The peak learning rate. Default: 2e-4, ten times that of training on pairs: vectors are a strong
            signal.
        distance: Distance between the two vectors, for `embeddings`: see `training.losses.EmbedDistill`.
            Default: `cosine`.
        layers: For `layers`: pairs of a student's layer and the teacher's layer that it learns, counted from 0.
            Default: all of the student's, spread evenly: (0, 1), (1, 3), (2, 5) for three layers and a teacher of six.
        layer_weight: For `layers`: weight of the hidden states' loss relative to the vectors', above 0. Default: 1.
        dropout: Rate of all the student's dropout layers, in [0, 1); 0 suits a long training of a small student.
            Default: the model's own.
        dtype_policy: As in `Hyperparameters`; `mixed_bfloat16` is faster if the processor multiplies in bfloat16.
            Default: `float32`.
        batches: As in `Hyperparameters`. Default: `length`, which batches texts of similar length to save padding.
        seed: Seed of order and dropout. Default: 0.

    Raises:
        InputError: if a value is out of range.
    """

    place: ClassVar[int] = 5
    trains: ClassVar[bool] = True

    epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 2e-4
    objective: Objective = "embeddings"
    distance: Distance = "cosine"
    layers: Sequence[tuple[int, int]] | None = None
    layer_weight: float = 1.0
    dropout: float | None = None
    dtype_policy: DTypePolicy = "float32"
    batches: Batches = "length"
    seed: int = 0

    def __post_init__(self) -> None:
        self.hyperparameters()
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            object.__setattr__(self, name, check_whole_number(name, getattr(self, name), least=least))
        for name, choices in (("objective", get_args(Objective)), ("distance", get_args(Distance))):
            value = getattr(self, name)
            if value not in choices:
                raise InputError(f"`{name}` must be one of {', '.join(choices)}. Received: {name}={value!r}.")
        weight = self.layer_weight
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            raise InputError(f"`layer_weight` must be a number above 0. Received: layer_weight={weight!r}.")
        if self.layers is not None:
            object.__setattr__(self, "layers", _check_layers(self.layers))
        if self.objective != "layers" and (self.layers is not None or weight != 1):
            raise InputError(
                "`layers` and `layer_weight` are for the objective 'layers'. Received: "
                f"objective={self.objective!r}, layers={self.layers!r}, layer_weight={weight!r}. Leave them out."
            )

    def hyperparameters(self) -> Hyperparameters:
        """The hyperparameters of the training."""
        return Hyperparameters(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            dropout=self.dropout,
            dtype_policy=self.dtype_policy,
            batches=self.batches,
            seed=self.seed,
        )

    @property
    def label(self) -> str:
        """The recipe's name in a report."""
        return "distill"

    def apply(self, text_encoder: "TextEncoder", materials: Materials) -> "TextEncoder":
        from tfchain.optimization.distill import distill

        hooks = [recipe.make_hook(self.seed) for recipe in materials.acting]
        return distill(text_encoder, materials.teacher, self, materials.rows, hooks=hooks, progress=materials.progress)


def _check_layers(layers: Any) -> tuple[tuple[int, int], ...]:
    listed = list(layers) if isinstance(layers, Sequence) and not isinstance(layers, str) else []
    if not listed or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in listed):
        raise InputError(
            "`layers` must be pairs of a student's and a teacher's layer, such as [(0, 1), (1, 3)]. Received: "
            f"layers={layers!r}."
        )
    first, second = ([check_whole_number("layers", pair[place], least=0) for pair in listed] for place in (0, 1))
    return tuple(zip(first, second, strict=True))
