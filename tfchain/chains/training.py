"""Training for a task: the task prepares it, runs it and completes its state."""

from dataclasses import dataclass
from typing import Any

import keras

from tfchain.chains.arguments import complete_validation
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.model import Model
from tfchain.core.task import Task
from tfchain.training.fit.options import FitOptions


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Args:
        model: The trained model.
        state: Its state.
        history: Losses and metrics by epoch.
    """

    model: Model
    state: Any
    history: keras.callbacks.History


def train_for(
    task: Task,
    model: Model,
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
        model: The model to train; in place, unless the task makes another model from it.
        state: The task's state.
        dataset: The rows, in any form that the task reads.
        hyperparameters: Batch size, epochs, learning rate and so on.
        options: Loss, strategy, checkpoint, logs.
        validation: The data to evaluate on, or a `Validation`. Default: nothing is measured.

    Raises:
        InputError: if arguments or data do not fit together; nothing has been trained then.
    """
    evaluate = judged = None
    if validation is not None:
        validation = complete_validation(task, validation)
        judged = task.read_judged(validation.dataset, split=validation.split)
    training = task.prepare(model, state, dataset, options)
    batch_size = hyperparameters.batch_size
    if judged is not None:
        evaluate = task.make_evaluation(
            judged, training.state, metrics=validation.metrics, batch_size=batch_size, progress=False
        )
    history = task.fit(training, hyperparameters, evaluate=evaluate, validation=validation)
    finished = task.finish(training.model, training.state, judged, batch_size=batch_size)
    return Trained(training.model, finished, history)
