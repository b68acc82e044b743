"""Tuning of a search's model: trials are ranked on documents and queries, and the best values are kept."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.types import Document
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.tuning.options import Search
from tfchain.optimization.tuning.report import TuningReport
from tfchain.optimization.tuning.space import Space
from tfchain.optimization.tuning.trial_values import Setting
from tfchain.optimization.tuning.tune import choose_values, make_task, train_with, tune
from tfchain.optimization.tuning.workers import find_role
from tfchain.tasks.search.evaluation import EvaluationSource, make_evaluation, read_evaluation
from tfchain.tasks.search.search import PassageConfig
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.validation import Validation
from tfchain.training.metrics import DEFAULT_METRICS


@dataclass(frozen=True)
class Tuned:
    """What a search for hyperparameters leaves.

    Args:
        report: All trials.
        setting: What the best one trained.
        text_encoder: Trained with the best values; None without a refit.
        lacks_shape: Whether the best trial has another shape, and no refit was asked for, which would give it.
    """

    report: TuningReport
    setting: Setting
    text_encoder: TextEncoder | None = None
    lacks_shape: bool = False


def tune_for_search(
    text_encoder: TextEncoder,
    dataset: Any,
    space: Space,
    search: Search,
    documents: Iterable[Document],
    passages: PassageConfig,
    *,
    hyperparameters: Hyperparameters,
    validation: EvaluationSource | Validation | None,
    options: FitOptions | None = None,
    path: str | Path | None = None,
    refit: bool = False,
) -> Tuned:
    """Tunes a text encoder that documents are searched with.

    Args:
        text_encoder: What each trial begins with a copy of; it stays as it is.
        dataset: What `fit_text_encoder` takes.
        space: See `SearchSpace`.
        search: Which tuner, how many trials, what counts, the limits.
        documents: What is searched where the validation brings none.
        passages: How long documents are treated.
        hyperparameters: Those that the space leaves as they are.
        validation: What trials are ranked on: what `evaluate` takes, or a `Validation`.
        options: Loss, strategy, mining. Default: those of `FitOptions`.
        path: A folder to keep the search in, and to go on from. Default: nothing is kept.
        refit: Whether a model is trained with the best values at the end; of several workers the chief does so.
            Default: False.

    Raises:
        InputError: if something does not go together, or no trial was completed.
        TfchainError: if the disk is full.
    """
    if validation is None:
        raise InputError(
            "`validation` must be queries with judgments, by which trials are compared. Received: None. Give a BEIR "
            "folder, a dict of queries, qrels and documents, or a Validation; nothing of it may be trained on."
        )
    if not isinstance(validation, Validation):
        metrics = tuple(dict.fromkeys((search.objective, *DEFAULT_METRICS)))
        validation = Validation(dataset=validation, metrics=metrics)
    read = read_evaluation(validation.dataset, split=validation.split)
    ranked = list(documents if read.corpus is None else read.documents())
    evaluate = make_evaluation(
        read, ranked, passages, metrics=validation.metrics, batch_size=hyperparameters.batch_size
    )
    task = make_task(
        text_encoder,
        dataset,
        hyperparameters,
        options or FitOptions(),
        evaluate=evaluate,
        validation=dataclasses.replace(validation, dataset=read),
        ranked=describe_ranked(ranked, passages),
    )
    report = tune(task, space, search, queries=list(read.queries.values()), path=path)
    values = choose_values(report)
    setting = task.make_setting(values)
    if find_role(os.environ) == "worker":
        return Tuned(report, setting)
    if refit:
        return Tuned(report, setting, train_with(task, values, monitor=search.objective))
    return Tuned(report, setting, lacks_shape=task.changes_shape(setting))


def describe_ranked(documents: Sequence[Document], passages: PassageConfig) -> str:
    """A fingerprint of documents, in order, and of how long ones are treated."""
    digest = hashlib.sha256(json.dumps(passages.to_dict(), sort_keys=True).encode())
    for one in documents:
        digest.update(json.dumps([one.id, one.title, one.text]).encode())
    return digest.hexdigest()
