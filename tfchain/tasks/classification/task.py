"""Classification as a task: the state is the labels, and the model ends in a head with an output per label."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.judgement import Judge
from tfchain.core.native import NativeParts
from tfchain.core.sampling import spread_evenly
from tfchain.core.task import Evaluate
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.classification.calibration import calibrate
from tfchain.tasks.classification.graph import CLASSIFY_TEXT, add_classification
from tfchain.tasks.classification.labels import Labels, sort_labels
from tfchain.tasks.classification.logistic_head import choose_rows, fit_logistic_head
from tfchain.tasks.classification.losses import (
    LabelLoss,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    balance_weights,
    check_smoothing,
)
from tfchain.tasks.classification.metrics import LOWER_IS_BETTER, METRICS, measure
from tfchain.tasks.classification.native_classification import make_native_classification
from tfchain.tasks.classification.rows import read_rows
from tfchain.tasks.classification.version_judge import make_classification_judge
from tfchain.tasks.heads import has_head
from tfchain.tasks.text_graph import TextGraph, check_signatures
from tfchain.tasks.text_rows import TextRows, find_separator
from tfchain.tasks.text_task import TextTask
from tfchain.training.losses import PairLoss

logger = logging.getLogger(__name__)

ClassWeights = Literal["balanced"] | Mapping[str, float] | None
SAMPLE_TEXTS = 64  # the number that a calibration of int8 reads
NO_LABELS = "The chain has no labels yet. Call `fit`, or `fit_head` for a first answer without training."


@dataclass(frozen=True)
class ClassificationTask(TextTask):
    """Classifies texts; see `core.task.Task` for its methods.

    The state is `Labels`, or None before there are any.

    Args:
        multi_label: Whether a text may have several labels, or none. Default: False.
        class_weights: `balanced`, or a dict of weights by label, 1 for other labels; see `losses`. Default: none.
        label_smoothing: In [0, 1). Default: 0.

    Raises:
        InputError: if a value is out of range.
    """

    multi_label: bool = False
    class_weights: ClassWeights = None
    label_smoothing: float = 0.0

    name: ClassVar[str] = "classification"
    metrics: ClassVar[Sequence[str]] = METRICS
    lower_is_better: ClassVar[frozenset[str]] = LOWER_IS_BETTER
    signature: ClassVar[str] = CLASSIFY_TEXT

    def __post_init__(self) -> None:
        check_smoothing(self.label_smoothing)
        weights = self.class_weights
        if weights is not None and weights != "balanced" and not isinstance(weights, Mapping):
            raise InputError(
                f"`class_weights` must be 'balanced' or a dict of weights by label. Received: {weights!r:.100}."
            )

    @property
    def objective(self) -> str:
        """Accuracy; with several labels macro F1, because all labels of a text are rarely right."""
        return "macro_f1" if self.multi_label else "accuracy"

    def read(self, source: Any, *, split: str) -> TextRows:
        return read_rows(source, split=split, multi_label=self.multi_label)

    def adapt(
        self, model: TextEncoder, state: Labels | None, rows: TextRows, *, keeps_head: bool = True
    ) -> tuple[TextEncoder, Labels]:
        """Returns the model with a head for the rows' labels; a model that knows all of them keeps its head.

        A new head is not random: it is fitted on the vectors of up to 4,096 rows, which saves training steps.

        Args:
            model: The model, with a head or without.
            state: The labels that the model knows, or None.
            rows: The rows, with the labels that it must know.
            keeps_head: Whether to keep a head that fits; if not, a new head is fitted on all rows. Default: True.
        """
        names = sort_labels({name for target in rows.targets for name in target})
        known = state.names if state is not None and has_head(model) else ()
        texts = rows.join("" if rows.second_texts is None else find_separator(model))
        sample = tuple(spread_evenly(texts, SAMPLE_TEXTS))
        if set(names) <= set(known):
            names = known
        elif known:
            logger.warning("Other labels in the data (%d) than the model has (%d): new head.", len(names), len(known))
        labels = Labels(names, self.multi_label, rows.second_texts is not None, texts=sample)
        if keeps_head and names == known:
            return model, labels
        table = labels.to_table(rows.targets)
        chosen = choose_rows(table) if keeps_head else np.arange(len(texts))
        logger.info("Fitting a head of %d labels on the vectors of %d texts.", len(labels), len(chosen))
        return fit_logistic_head(model, labels, [texts[row] for row in chosen], table[chosen]), labels

    def to_targets(self, rows: TextRows, state: Labels) -> np.ndarray:
        table = state.to_table(rows.targets)
        targets: np.ndarray = table if self.multi_label else table.argmax(axis=1)[:, None]
        return targets.astype("float32")

    def check_loss(self, given: Any) -> None:
        if given is not None and not isinstance(given, LabelLoss):
            expected = "sigmoid_cross_entropy" if self.multi_label else "softmax_cross_entropy"
            raise InputError(
                f"A classification has its own loss, {expected}. Received: {given!r:.100}. Leave `loss` out; "
                "`label_smoothing` and `class_weights` are arguments of the chain."
            )

    def make_loss(self, rows: TextRows, state: Labels, given: Any = None) -> PairLoss:
        """Makes a cross-entropy with the task's smoothing and weights; a given loss only gets the weights."""
        kind = SigmoidCrossEntropy if self.multi_label else SoftmaxCrossEntropy
        loss = given if isinstance(given, kind) else kind(self.label_smoothing)
        return loss.with_weights(self._make_weights(rows, state))

    def measure(self, outputs: np.ndarray, rows: TextRows, state: Labels) -> Mapping[str, float]:
        return measure(outputs, state.to_table(rows.targets), state)

    def is_paired(self, state: Labels) -> bool:
        return state.paired

    def from_plain(self, values: Any) -> Labels | None:
        return None if values is None else Labels(**values)

    def make_evaluation(self, judged: TextRows, state: Labels | None, **options: Any) -> Evaluate:
        labels = self.check_state(state)
        check_pairs(judged, labels)
        labels.to_table(judged.targets)  # raises before anything is encoded
        return super().make_evaluation(judged, labels, **options)

    def make_judge(self, judged: TextRows, state: Labels | None, *, metric: str | None = None) -> Judge:
        return make_classification_judge(judged, metric=metric or self.objective)

    def finish(self, model: TextEncoder, state: Labels, judged: TextRows | None, *, batch_size: int) -> Labels:
        """Calibrates temperature and thresholds on the validation data of the training; without it, resets them."""
        if judged is None:
            return dataclasses.replace(state, temperature=1.0, thresholds=())
        outputs = self.compute(model, judged, batch_size=batch_size)
        found = calibrate(outputs, state.to_table(judged.targets), state)
        logger.info("Calibrated on %d texts: the temperature is %.3g.", len(judged), found.temperature)
        return found

    def learning_texts(self, state: Labels | None) -> Sequence[str] | None:
        return list(state.texts) if state is not None and state.texts else None

    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        check_signatures(signatures)
        check_whole_number("top_k", options.get("top_k", 1), advice="Ask for one label or more.")

    def add_signatures(self, graph: TextGraph, state: Labels, options: Mapping[str, Any]) -> None:
        separator = find_separator(graph.text_encoder) if state.paired else None
        add_classification(graph, state, top_k=min(options["top_k"], len(state)), separator=separator)

    def describe(self, state: Labels) -> Mapping[str, Any]:
        return {"labels": list(state.names)}

    def make_native(
        self, model: TextEncoder, state: Labels, graph: TextGraph, options: Mapping[str, Any]
    ) -> NativeParts | None:
        separator = find_separator(model) if state.paired else None
        return make_native_classification(
            model, state, graph, top_k=min(options["top_k"], len(state)), separator=separator
        )

    def check_state(self, state: Labels | None) -> Labels:
        if state is None:
            raise InputError(NO_LABELS)
        return state

    def _make_weights(self, rows: TextRows, state: Labels) -> list[float] | None:
        if self.class_weights is None:
            return None
        if not isinstance(self.class_weights, Mapping):
            return balance_weights(state.to_table(rows.targets), multi_label=self.multi_label)
        unknown = [name for name in self.class_weights if name not in state.names]
        if unknown:
            raise InputError(
                f"`class_weights` must name labels of the data. Received: {unknown[0]!r}. The labels: "
                f"{', '.join(state.names[:10])}{', …' if len(state) > 10 else ''}."
            )
        return [float(self.class_weights.get(name, 1.0)) for name in state.names]


def check_pairs(rows: TextRows, labels: Labels) -> None:
    """Raises if rows are pairs of texts and the model was trained on single texts, or the reverse."""
    received = rows.second_texts is not None
    if received != labels.paired:
        kinds = ("single texts", "pairs of texts")
        raise InputError(f"The chain was trained on {kinds[labels.paired]}. Received: {kinds[received]}.")
