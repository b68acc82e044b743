"""Turns the arguments of chains into a text encoder and a `Validation`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfchain.core.errors import InputError
from tfchain.core.task import Task
from tfchain.models.bundled import find_bundled_model
from tfchain.models.precision import EngineName
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.host import to_tokenizer

if TYPE_CHECKING:
    from tfchain.training.fit.validation import Validation


def make_text_encoder(tokenizer: Any, model: Any, *, engine: EngineName = "auto", **settings: Any) -> TextEncoder:
    """Makes a text encoder from what a user has.

    Args:
        tokenizer: A transformers tokenizer, a folder or hub name to read one from, or None for the tokenizer in the
            model's folder.
        model: A tfchain encoder, a Hugging Face PyTorch encoder (its weights are converted), any Keras model from
            `token_ids` and `padding_mask` to vectors, or a folder or hub name. None for the small English model that
            comes with tfchain.
        engine: The engine that runs the encoder. Default: `auto`.
        **settings: Arguments of `TextEncoder`; None takes the folder's value.

    Raises:
        InputError: if a tokenizer is given without a model, or an argument is of the wrong type or out of range.
    """
    changes = {name: value for name, value in settings.items() if value is not None}
    if model is None:
        if tokenizer is not None:
            raise InputError("A tokenizer needs the model that it belongs to. Received: model=None. Pass `model`.")
        model = find_bundled_model()
    if isinstance(model, str | Path):
        made = TextEncoder.from_pretrained(model, tokenizer=to_tokenizer(tokenizer), engine=engine, **changes)
        if made.config is not None and made.config.tokens is not None:
            raise InputError(
                f"`model` must have one vector a text. Received: {model}, which has one for each token (late "
                "interaction). Load it with tfchain.LateInteractionReranker, and give that to a search as `reranker`."
                if made.config.transformer.has_token_flags
                else f"`model` must have one vector a text. Received: {model}, which marks answers in a text. Load it "
                "with tfchain.QuestionAnsweringChain."
            )
        return made
    from tfchain.models.convert import to_encoder

    return TextEncoder(to_tokenizer(tokenizer), to_encoder(model), engine=engine, **changes)


def complete_validation(task: Task, validation: Any, *, first: str | None = None) -> Validation:
    """Returns a `Validation` that names its metrics, the monitored metric and whether higher or lower is better.

    Args:
        task: The task.
        validation: Data that `evaluate` accepts, or a `Validation`.
        first: A metric to measure first if the validation names no metrics. Default: none.

    Raises:
        InputError: if a metric is unknown, or the monitor is not among the metrics.
    """
    from tfchain.training.fit.validation import Validation

    if not isinstance(validation, Validation):
        validation = Validation(dataset=validation)
    metrics = validation.metrics
    if metrics is None:
        metrics = tuple(dict.fromkeys((*([first] if first else []), *task.metrics)))
    task.check_metrics(metrics)
    monitor = validation.monitor or metrics[0]
    mode = validation.mode or ("min" if monitor in task.lower_is_better else "max")
    return dataclasses.replace(validation, metrics=metrics, monitor=monitor, mode=mode)
