"""Training for a task: the task makes it ready, runs it and finishes its state."""

from dataclasses import dataclass
from typing import Any

import keras

from tfchain.chains.arguments import complete_validation
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.task import Task
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.fit.options import FitOptions


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Args:
        text_encoder: The model that was trained.
        state: What belongs to it.
        history: Losses and metrics by epoch.
    """

    text_encoder: TextEncoder
    state: Any
    history: keras.callbacks.History


def train_for(
    task: Task,
    text_encoder: TextEncoder,
    state: Any,
    dataset: Any,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    *,
    validation: Any = None,
) -> Trained:
    """Trains the model of a task.

    Args:
        task: The task.
        text_encoder: What is trained, in place unless the task makes a model of it.
        state: What the task keeps beside it.
        dataset: The rows, in any form that the task reads.
        hyperparameters: What is trained how.
        options: Loss, strategy, checkpoint, logs.
        validation: What the task is evaluated on, or a `Validation`. Default: nothing is measured.

    Raises:
        InputError: if something does not fit; nothing has been trained then.
    """
    evaluate = judged = None
    if validation is not None:
        validation = complete_validation(task, validation)
        judged = task.read_judged(validation.dataset, split=validation.split)
    training = task.prepare(text_encoder, state, dataset, options)
    batch_size = hyperparameters.batch_size
    if judged is not None:
        evaluate = task.make_evaluation(
            judged, training.state, metrics=validation.metrics, batch_size=batch_size, progress=False
        )
    history = task.fit(training, hyperparameters, evaluate=evaluate, validation=validation)
    finished = task.finish(training.model, training.state, judged, batch_size=batch_size)
    return Trained(training.model, finished, history)
