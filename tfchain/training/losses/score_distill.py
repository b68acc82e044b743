"""Score distillation: trains the model to find the same texts of a batch similar as the teacher does."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import check_choice, check_number
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.embed_distill import TARGETS, Target
from tfchain.training.losses.similarity import LEFT_OUT, similarity_matrix


@keras.saving.register_keras_serializable("tfchain")
class ScoreDistill(PairLoss):
    """Kullback-Leibler divergence of a text's softmax over the batch's other texts from the teacher's.

    Columns: any number, plain texts are enough; no labels, but the teacher's embeddings of all columns, which `fit`
    computes with the teacher given as `guide=`. Every text of every column is compared with all others of the batch by
    the cosine. The teacher's vectors may be of any width. Larger batches teach more.

    Which sibling: `embed_distill` if the teacher's vectors are as wide as the model's: the model's vectors can then
    share an index with the teacher's, while this loss learns only their order. `kl_divergence` if a teacher without
    vectors (a cross-encoder) scored a query's documents.

    Papers: Koohpayegani, Tejankar and Pirsiavash 2020, CompRess (https://arxiv.org/abs/2010.14713); Fang et al. 2021,
    SEED (https://arxiv.org/abs/2101.04731). Both compare with a queue of earlier samples instead of the batch.
    With `target="first"` a row's texts are translations of each other, as in Reimers and Gurevych 2020
    (https://arxiv.org/abs/2004.09813).

    Args:
        temperature: Divisor of the cosines before both softmaxes, above 0. Default: 0.05.
        target: `own`: each text is matched with the teacher's vector of itself; `first`: all texts of a row are matched
            with the teacher's vector of the first. Default: `own`.

    Raises:
        InputError: if a value is out of range.
    """

    min_columns = 1
    needs_guide = True

    def __init__(self, temperature: float = 0.05, target: Target = "own") -> None:
        super().__init__("score_distill")
        self.temperature = check_number("temperature", temperature, above=0)
        self.target = check_choice("target", target, TARGETS)
        self.guide_columns = 1 if target == "first" else None

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        guide = ops.stop_gradient(self.take(y_true, "guide"))
        if self.target == "first":
            guide = ops.repeat(guide[:, :1], y_pred.shape[1], axis=1)
        teacher = self._log_softmax(guide)  # (texts, texts)
        model = self._log_softmax(ops.cast(y_pred, "float32"))
        divergences = ops.sum(ops.exp(teacher) * (teacher - model), axis=-1)
        return ops.mean(ops.reshape(divergences, ops.shape(y_pred)[:2]), axis=-1)

    def _log_softmax(self, embeddings: Any) -> Any:
        """Over the other texts, `(texts, texts)`; the diagonal (each text itself) is the same for both models."""
        vectors = ops.reshape(embeddings, (-1, embeddings.shape[-1]))
        logits = similarity_matrix(vectors, vectors, "cosine") / self.temperature
        own = ops.cast(ops.eye(ops.shape(logits)[0]), "bool")
        logits = ops.log_softmax(ops.where(own, LEFT_OUT, logits), axis=-1)
        return ops.where(own, LEFT_OUT, logits)

    def get_config(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "target": self.target}
