"""Evaluation during training: the task's metrics every epoch or every few steps, best weights, early stopping."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.task import Evaluate
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.text_roles import Role
from tfchain.training.distributed.strategies import find_task
from tfchain.training.distributed.workers import from_chief, gather_over_workers
from tfchain.training.fit.divergence import check_finite

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What to measure during training, and what to do with the result.

    Vectors are computed in float32, even for a model in another precision (`Quantize`), which would have to be
    converted for each evaluation. A search ranks documents by vectors as its index stores them (`QuantizeVectors`).
    Learned bits are learned again each time, which takes seconds at 384 dimensions and minutes at 1,024;
    `codes="signs"` needs no learning.

    Args:
        dataset: What `chain.evaluate` accepts, such as a BEIR folder for search. It must be held out: do not train on
            any of it.
        split: The split of a BEIR folder. Default: `test`.
        every: `epoch`, or a number of steps (the end of an epoch is always evaluated). Default: `epoch`.
        metrics: Names of the task's metrics. Default: those that its `evaluate` measures.
        monitor: The metric that decides which weights are best. Default: the first.
        mode: Whether the best value of `monitor` is the `max` or the `min`, as in Keras' callbacks. Default: what
            the task defines for the metric, `max` without a task.
        patience: Training stops after this many evaluations without improvement. Default: none, it does not stop.
        restore_best: Whether the model ends with the best weights instead of the last. Default: True.

    Raises:
        InputError: if a value is out of range or the monitor is not among the metrics.
    """

    dataset: Any
    split: str = "test"
    every: str | int = "epoch"
    metrics: Sequence[str] | None = None
    monitor: str | None = None
    mode: Literal["max", "min"] | None = None
    patience: int | None = None
    restore_best: bool = True

    def __post_init__(self) -> None:
        if self.metrics is not None and (isinstance(self.metrics, str) or not self.metrics):
            raise InputError(f"`metrics` must be a list of names. Received: metrics={self.metrics!r}.")
        if self.mode not in (None, "max", "min"):
            raise InputError(f"`mode` must be 'max' or 'min'. Received: mode={self.mode!r}.")
        if self.monitor is not None and self.metrics is not None and self.monitor not in self.metrics:
            raise InputError(
                f"`monitor` must be one of the metrics ({', '.join(self.metrics)}). Received: {self.monitor!r}."
            )
        if self.every != "epoch":
            check_whole_number("every", self.every, advice="Or write every='epoch'.")
        if self.patience is not None:
            check_whole_number("patience", self.patience)


class TrainingTextEncoder(TextEncoder):
    """Encodes with the current weights; with several workers, each encodes a part of the texts.

    Args:
        text_encoder: Supplies tokenizer, length, prompts and vector storage; the precision is float32.
        encoder: The encoder in training.
        strategy: The strategy of the training; None for one device.
    """

    def __init__(self, text_encoder: TextEncoder, encoder: keras.Model, strategy: Any = None) -> None:
        super().__init__(
            text_encoder.tokenizer.tokenizer,
            encoder,
            engine="tensorflow",
            vector_storage=text_encoder.vector_storage,
            **{**text_encoder.settings(), "matryoshka_dims": ()},
        )
        self.strategy = strategy
        self.worker, self.num_workers = find_task(strategy)

    @property
    def fingerprint(self) -> str:
        """The same for the whole training: vectors are not kept beyond an evaluation."""
        return "training"

    def notice_changes(self) -> None:
        """Does nothing: the compiled function reads the current weights each time."""

    def _encode_part(
        self,
        texts: Sequence[str],
        prompt: str,
        role: Role | None,
        batch_size: int,
        advance: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        if self.num_workers == 1:
            return super()._encode_part(texts, prompt, role, batch_size, advance)
        share = -(-len(texts) // self.num_workers)  # rounded up; the last workers may have fewer, or none
        own = texts[self.worker * share : (self.worker + 1) * share]
        vectors = np.zeros((0, 0), "float32")
        if len(own):
            vectors = super()._encode_part(own, prompt, role, batch_size, advance)
        padded = np.zeros((share, self.embedding_dim), dtype="float32")
        padded[: len(own)] = vectors.reshape(len(own), -1)
        return gather_over_workers(self.strategy, padded)[: len(texts)]


def make_in_training(text_encoder: TextEncoder, copy: keras.Model, strategy: Any = None) -> TrainingTextEncoder:
    """Makes the text encoder of an encoder in training, with one for queries if these have their own.

    Args:
        text_encoder: The text encoder that is trained.
        copy: What `make_training_copy` made of it.
        strategy: The strategy of the training; None for one device.
    """
    if text_encoder.query_route is None:
        return TrainingTextEncoder(text_encoder, copy, strategy)
    made = TrainingTextEncoder(text_encoder, copy.documents, strategy)
    made.query_route = TrainingTextEncoder(text_encoder.query_route, copy.queries, strategy)
    return made


class EvaluationCallback(keras.callbacks.Callback):
    """Evaluates during training; `History`, the progress bar and the logs show the metrics.

    Args:
        evaluate: Function from a text encoder to metrics.
        text_encoder: The text encoder with the encoder in training.
        validation: When to evaluate, which metric decides, and what to do with the result.
        strategy: With several workers, each encodes a part, and all use the chief's metrics. Default: none.

    Attributes:
        results: `{"step": …, "epoch": …, metric: …}` of each evaluation, in order.
        best_value: The best value of the monitored metric so far; negated if lower is better.
        best_weights: The weights with that value, as NumPy arrays.
    """

    def __init__(
        self, evaluate: Evaluate, text_encoder: TextEncoder, validation: Validation, strategy: Any = None
    ) -> None:
        super().__init__()
        self.evaluate = evaluate
        self.text_encoder = text_encoder
        self.validation = validation
        self.strategy = strategy
        self.monitor = validation.monitor or (validation.metrics[0] if validation.metrics else None)
        self.sign = -1 if validation.mode == "min" else 1
        self.results: list[dict[str, float]] = []
        self.best_value = -np.inf
        self.best_weights: list[np.ndarray] | None = None
        self.waited = 0
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        every = self.validation.every
        if not isinstance(every, str) and not self.model.skipping and self.model.steps_done % every == 0:
            self._run()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.results or self.results[-1]["step"] != self.model.steps_done:
            self._run()
        if logs is not None:
            logs.update({name: value for name, value in self.results[-1].items() if name not in ("step", "epoch")})

    def on_train_end(self, logs: Any = None) -> None:
        if self.validation.restore_best and self.best_weights is not None:
            self.model.encoder.set_weights(self.best_weights)

    def get_state(self) -> dict[str, Any]:
        """Plain values for a checkpoint; the best weights are saved separately."""
        return {"results": self.results, "best_value": float(self.best_value), "waited": self.waited}

    def set_state(self, state: Mapping[str, Any], best_weights: list[np.ndarray] | None) -> None:
        """Restores the state from a checkpoint."""
        self.results, self.best_value, self.waited = list(state["results"]), state["best_value"], state["waited"]
        self.best_weights = best_weights

    def _run(self) -> None:
        encoder = self.model.encoder
        check_finite(encoder.variables, self.model.steps_done)  # NaN would still be ranked, and might look best
        with averaged_weights(self.model):
            measured = dict(self.evaluate(self.text_encoder))
            values = from_chief(self.strategy, np.array(list(measured.values()), dtype="float64"))
            measured = dict(zip(measured, values.tolist(), strict=True))
            self.results.append({"step": self.model.steps_done, "epoch": self._epoch, **measured})
            self.monitor = self.monitor or next(iter(measured))
            value = self.sign * measured[self.monitor]
            logger.info("Step %d: %s", self.model.steps_done, ", ".join(f"{k} {v:.4f}" for k, v in measured.items()))
            if not all(hook.is_settled for hook in self.model.hooks):
                return  # a hook is still changing the weights, and no training may end with them
            if value > self.best_value:
                self.best_value, self.waited = value, 0
                if self.validation.restore_best:
                    self.best_weights = encoder.get_weights()
                return
        self.waited += 1
        if self.validation.patience is not None and self.waited >= self.validation.patience:
            logger.info("No better %s in %d evaluations: training stops.", self.monitor, self.waited)
            self.model.stop_training = True


class averaged_weights:
    """Replaces the weights with their moving averages within a block, if the optimizer keeps averages."""

    def __init__(self, model: keras.Model) -> None:
        optimizer = model.optimizer
        self.optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        self.weights = model.trainable_weights
        self.hooks = model.hooks
        self.kept: list[np.ndarray] = []

    def __enter__(self) -> None:
        if self.optimizer.use_ema:
            self.kept = [np.array(weight) for weight in self.weights]
            averages = self.optimizer._model_variables_moving_average
            for weight, average in zip(self.weights, averages, strict=True):
                weight.assign(np.array(average))
            for hook in self.hooks:
                hook.hold_form()

    def __exit__(self, *_: Any) -> None:
        for weight, value in zip(self.weights, self.kept, strict=False):
            weight.assign(value)
