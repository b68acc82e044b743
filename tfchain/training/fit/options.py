"""How a training runs, apart from its hyperparameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tfchain.core.checks import check_whole_number, to_path
from tfchain.core.errors import InputError
from tfchain.data.pairs.samplers import Mixing
from tfchain.data.steps.step import Step
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.batches.training_data import LossChoice
from tfchain.training.fit.callback_checks import check_callbacks
from tfchain.training.fit.training_hook import TrainingHook
from tfchain.training.mining.options import Mining
from tfchain.training.mining.pair_scores import CrossCheck, check_cross_check


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a training runs, apart from its hyperparameters.

    Args:
        loss: A loss, its name, a dict of `name` and arguments, or, with several datasets, a dict from their names to
            any of these. Default: chosen by the columns.
        split: The split of a BEIR folder. Default: `train`.
        strategy: See `make_strategy`. Default: `auto`.
        checkpoint: A folder to save to and resume from. Default: none.
        checkpoint_every: Also save after this many steps. Default: save only at the end of each epoch.
        callbacks: Keras callbacks. `ModelCheckpoint` saves the encoder; `ReduceLROnPlateau` and
            `LearningRateScheduler` need schedule="constant" and warmup=0. The state of a callback, such as the best
            value so far, is not part of a checkpoint; that of `Validation(patience=…)` is. Default: none.
        hooks: Hooks that change how the encoder trains, such as pruning; see `TrainingHook`. Default: none.
        log_path: A folder for `training.csv` and TensorBoard's events. Default: none.
        mixing: How several datasets are mixed: `round_robin` takes a batch of each in turn until the shortest is used
            up, `proportional` takes all batches in random order. Default: `round_robin`.
        guide: The model that a guided loss consults, or that `embed_distill` or `score_distill` learns from.
            Default: none.
        mining: Adds hard negatives to the rows of the datasets without labels, before the first epoch and, with
            `every`, again between epochs. Default: none.
        cross_check: A better model that checks mined negatives; see `mine_negatives`. Default: none.
        augment: Steps that disturb the rows anew in each epoch, such as `[DeleteWords(columns=("query",))]`; see
            `data.augmentation`. Rows must be in memory, and steps give one row for a row. Default: none.
        data_service: `grpc://host:port` of a `tf.data` service that reads `PairShards`; see
            `data.shards.service.read_through_service`. Default: none.
        length_groups: Number of rectangles that a batch's texts are split into by length; see `Layout`. Default: 4.
        progress: Whether to show progress bars. Default: when standard error is a terminal.
    """

    loss: LossChoice = None
    split: str = "train"
    strategy: Any = "auto"
    checkpoint: str | Path | None = None
    checkpoint_every: int | None = None
    callbacks: Sequence[keras.callbacks.Callback] = ()
    hooks: Sequence[TrainingHook] = ()
    log_path: str | Path | None = None
    mixing: Mixing = "round_robin"
    guide: TextEncoder | None = None
    mining: Mining | None = None
    cross_check: CrossCheck | None = None
    augment: Sequence[Step] = ()
    data_service: str | None = None
    length_groups: int = 4
    progress: bool | None = None

    def __post_init__(self) -> None:
        if self.checkpoint_every is not None:
            check_whole_number("checkpoint_every", self.checkpoint_every)
            if self.checkpoint is None:
                raise InputError("`checkpoint_every` needs a folder. Received: checkpoint=None. Name one.")
        if self.mixing not in ("round_robin", "proportional"):
            raise InputError(f"`mixing` must be 'round_robin' or 'proportional'. Received: mixing={self.mixing!r}.")
        check_whole_number("length_groups", self.length_groups, least=0)
        self._check_mining()
        object.__setattr__(self, "callbacks", check_callbacks(self.callbacks))
        for name in ("checkpoint", "log_path"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, to_path(name, getattr(self, name)))
        if not isinstance(self.hooks, Sequence):
            raise InputError(f"`hooks` must be a list of hooks. Received: {self.hooks!r:.100}.")
        for hook in self.hooks:
            if not isinstance(hook, TrainingHook):
                raise InputError(f"Each of `hooks` must be a `TrainingHook`. Received: {hook!r:.100}.")
        self._check_augment()
        if self.guide is not None and not isinstance(self.guide, TextEncoder):
            raise InputError(
                f"`guide` must be a TextEncoder. Received: {type(self.guide).__name__}. For a chain, pass "
                "`chain.text_encoder`."
            )
        if self.progress is not None and not isinstance(self.progress, bool):
            raise InputError(f"`progress` must be True, False or None. Received: progress={self.progress!r}.")
        if not isinstance(self.split, str):
            raise InputError(f"`split` must be a string. Received: split={self.split!r}.")

    def _check_mining(self) -> None:
        if self.mining is not None and not isinstance(self.mining, Mining):
            raise InputError(f"`mining` must be a `Mining`. Received: {self.mining!r}. Write mining=Mining().")
        if self.cross_check is not None:
            check_cross_check(self.cross_check)
        if self.cross_check is not None and self.mining is None:
            raise InputError("`cross_check` is for mining. Received: mining=None. Add mining=Mining().")

    def _check_augment(self) -> None:
        if not isinstance(self.augment, list | tuple):
            raise InputError(f"`augment` must be a list of steps. Received: {self.augment!r:.100}.", argument="augment")
        for step in self.augment:
            if not isinstance(step, Step):
                raise InputError(
                    f"Each of `augment` must be a step, such as DeleteWords(). Received: {step!r:.100}.",
                    argument="augment",
                )
