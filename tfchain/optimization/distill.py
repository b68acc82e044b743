"""Distillation: a text encoder learns another one's vectors, from plain texts or from translations."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfchain.core.errors import InputError
from tfchain.models.encoders.encoder import Encoder, make_blank_encoder
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.layer_distillation import LayerDistillationHook, check_same_tokenizer
from tfchain.optimization.learning_texts import LearningTexts, read_learning_texts
from tfchain.training.fit.fit import fit_text_encoder
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.training_hook import TrainingHook
from tfchain.training.losses import EmbedDistill, ScoreDistill
from tfchain.training.losses.embed_distill import Target

if TYPE_CHECKING:
    from tfchain.optimization.recipes import Distill


def distill(
    student: TextEncoder,
    teacher: TextEncoder,
    recipe: "Distill",
    texts: LearningTexts | None,
    *,
    hooks: Sequence[TrainingHook] = (),
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> TextEncoder:
    """Returns a text encoder that has learned the teacher's vectors; the given student is unchanged.

    Args:
        student: The encoder to train, one of tfchain's own.
        teacher: The encoder whose vectors are learned. For the objective `embeddings` its vectors are as wide as the
            student's; for `layers` it is one of tfchain's own encoders with the student's tokenizer.
        recipe: How long and how fast to train, and what to learn.
        texts: The texts to learn from. Rows of a text and its translations teach a student other languages: for all
            texts of a row it learns the teacher's vector of the first one, so the teacher need not know the other
            languages, nor share the student's vocabulary (Reimers and Gurevych 2020,
            https://arxiv.org/abs/2004.09813; its loss is `distance="mse"`). Not for the objective `layers`.
        hooks: Training hooks, such as pruning; see `optimization.recipes.TrainingRecipe.make_hook`. Default: none.
        checkpoint: A folder to save to and resume from; see `FitOptions`. Default: none.
        progress: Whether to show progress bars. Default: when standard error is a terminal.

    Raises:
        InputError: if there are no texts, the widths differ, the student is not one of tfchain's own encoders, or the
            teacher does not suit the objective.

    Example:
        >>> english = TextEncoder.from_pretrained("all-MiniLM-L6-v2")
        >>> multilingual = TextEncoder.from_pretrained("multilingual-MiniLM")  # 384 wide, as the teacher
        >>> pairs = [("The cat sleeps.", "Die Katze schläft."), ("Who runs?", "Wer rennt?")]  # and many more pairs
        >>> made = distill(multilingual, english, Distill(distance="mse", epochs=5), pairs)
    """
    if not texts:
        raise InputError("Distill needs texts to learn from. Received: none. Give `texts`, the more the better.")
    if student.query_route is not None:
        raise InputError(
            "Distill trains one encoder on texts without roles. Received: a text encoder whose queries have an encoder "
            "of their own (a Router). Leave the recipe out: `fit` trains both on rows of a query and its documents."
        )
    encoder = student.own_encoder
    if not isinstance(encoder, Encoder):
        raise InputError(f"Distill needs one of tfchain's own encoders. Received: {type(encoder).__name__}.")
    if recipe.objective == "embeddings" and student.embedding_dim != teacher.embedding_dim:
        raise InputError(
            f"Distill needs vectors as wide as the teacher's. Received: {student.embedding_dim} and "
            f"{teacher.embedding_dim} (the teacher's). Distill the scores instead: Distill(objective='scores')."
        )
    # Without roles, so without prompts: a text learns the teacher's vector of the same text, whatever its later role.
    pairs = read_learning_texts(texts)
    target: Target = "own" if pairs.num_columns == 1 else "first"
    if recipe.objective == "layers":
        if target == "first":
            raise InputError(
                "Distill(objective='layers') learns from plain texts: a translation has other tokens. Received: rows "
                f"of {pairs.num_columns} texts. Distill embeddings or scores."
            )
        layers = LayerDistillationHook(teacher, recipe.layers, weight=recipe.layer_weight, seed=recipe.seed)
        check_same_tokenizer(student, teacher)
        hooks = (*hooks, layers)
    made = make_blank_encoder(encoder.config, name=encoder.name)
    made.set_weights(encoder.get_weights())
    trained = student.with_encoder(SharedModel(made, is_private=True))
    same_width = student.embedding_dim == teacher.embedding_dim
    learns_vectors = recipe.objective == "embeddings" or (recipe.objective == "layers" and same_width)
    loss = EmbedDistill(recipe.distance, target) if learns_vectors else ScoreDistill(target=target)
    options = FitOptions(loss=loss, guide=teacher, hooks=tuple(hooks), checkpoint=checkpoint, progress=progress)
    fit_text_encoder(trained, pairs, recipe.hyperparameters(), options)
    return trained
