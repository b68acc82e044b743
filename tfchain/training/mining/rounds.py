"""Mines hard negatives before a training, and again between its epochs."""

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfchain.core.errors import TfchainError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.data.pairs.reading import Pairs
from tfchain.training.batches.layout import TrainingSet
from tfchain.training.batches.maker import BatchMaker
from tfchain.training.batches.training_data import NamedPairs, can_be_mined, make_judged
from tfchain.training.distributed.workers import gather_over_workers
from tfchain.training.mining.mine import corpus_of, mine_negatives
from tfchain.training.mining.options import Mining
from tfchain.training.mining.pair_scores import CrossCheck

if TYPE_CHECKING:  # `fit` mines between its epochs
    from tfchain.training.fit.validation import TrainingTextEncoder

logger = logging.getLogger(__name__)

FILE_NAME = "negatives.json"


class MiningRounds(keras.callbacks.Callback):
    """Mines negatives with the current weights, before the first epoch and again every few epochs.

    Put it before a checkpoint among the callbacks, so that a save at an epoch's end holds the next epoch's negatives.

    Args:
        mining: How to mine, and how often.
        datasets: The original rows; their source may have a corpus.
        text_encoder: The text encoder with the encoder in training; with several workers, each encodes a part.
        make_set: Tokenizes rows.
        epochs: Epochs of the whole training.
        cross_check: See `mine_negatives`. Default: none.
        progress: Whether to show progress bars. Default: when it takes more than a second.

    Attributes:
        rows: The datasets with the current negatives.
        steps_per_epoch: Steps of each epoch, set by the first round.
    """

    def __init__(
        self,
        mining: Mining,
        datasets: Sequence[NamedPairs],
        text_encoder: "TrainingTextEncoder",
        make_set: Callable[[NamedPairs], TrainingSet],
        *,
        epochs: int,
        cross_check: CrossCheck | None = None,
        progress: bool | None = None,
    ) -> None:
        super().__init__()
        self.mining = mining
        self.datasets = list(datasets)
        self.text_encoder = text_encoder
        self.make_set = make_set
        self.epochs = epochs
        self.cross_check = cross_check
        self.progress = progress
        self.rows: list[NamedPairs] = []
        self.steps_per_epoch: int | None = None
        self._maker: BatchMaker | None = None
        self._judged = [make_judged(named.pairs).shape[1] for named in datasets]

    def start(self, saved: Path | None) -> list[TrainingSet]:
        """Mines the first epoch's rows, or reads them from a checkpoint.

        Args:
            saved: The save that the training resumes from, if any.
        """
        if saved is None:
            self.rows = self.mine(0)
        else:
            self.rows, self.steps_per_epoch = self.read(saved)
        return self._make_sets()

    def attach(self, maker: BatchMaker, epoch: int) -> None:
        """Sets the maker whose rows are replaced, and the epoch that the training starts with."""
        self._maker = maker
        self.steps_per_epoch = maker.steps_per_epoch
        maker.hold(self._next_round(epoch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        assert self._maker is not None
        if epoch + 1 == self._next_round(epoch) and not self.model.stop_training:
            self.rows = self.mine(epoch + 1)
            self._maker.replace(self._make_sets(), epoch + 1)
        self._maker.hold(self._next_round(epoch + 1))

    def mine(self, epoch: int) -> list[NamedPairs]:
        """Mines for each dataset that can have negatives; each epoch has its own random choices."""
        mining = dataclasses.replace(self.mining, seed=self.mining.seed + epoch)
        mined = []
        for named in self.datasets:
            pairs = named.pairs
            if can_be_mined(pairs):
                pairs = mine_negatives(
                    self.text_encoder,
                    pairs,
                    mining,
                    corpus=corpus_of(named.source) if mining.corpus is None else mining.corpus,
                    cross_check=self.cross_check,
                    progress=self.progress,
                )
                logger.info(
                    "Mined %d negatives for each of %d rows of %s (%d had too few).",
                    *(mining.num_negatives, len(pairs), named.name, len(named.pairs) - len(pairs)),
                )
            mined.append(dataclasses.replace(named, pairs=pairs))
        self._compare(mined)
        return mined

    def write(self, folder: Path) -> None:
        """Writes the current negatives into a checkpoint folder."""
        content = {
            "steps_per_epoch": self.steps_per_epoch,
            "datasets": [
                {
                    "columns": [list(column) for column in named.pairs.columns],
                    "relevant": named.pairs.relevant and [sorted(keys) for keys in named.pairs.relevant],
                }
                if can_be_mined(named.pairs)
                else None
                for named in self.rows
            ],
        }
        (folder / FILE_NAME).write_text(json.dumps(content), encoding="utf-8")

    def read(self, folder: Path) -> tuple[list[NamedPairs], int]:
        """Reads what `write` wrote.

        Raises:
            TfchainError: if the file is damaged.
        """
        try:
            content: Mapping[str, Any] = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
            rows = []
            for named, saved in zip(self.datasets, content["datasets"], strict=True):
                pairs = named.pairs
                if saved is not None:
                    relevant = saved["relevant"] and tuple(frozenset(keys) for keys in saved["relevant"])
                    pairs = Pairs(tuple(saved["columns"]), relevant=relevant, symmetric=pairs.symmetric)
                rows.append(dataclasses.replace(named, pairs=pairs))
            return rows, int(content["steps_per_epoch"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TfchainError(
                f"The checkpoint {folder} is damaged: {FILE_NAME}: {error}. Delete this folder and go on."
            ) from error

    def _next_round(self, epoch: int) -> int | None:
        """The first epoch after this one that needs new negatives."""
        every = self.mining.every
        if every is None:
            return None
        following = (epoch // every + 1) * every
        return following if following < self.epochs else None

    def _make_sets(self) -> list[TrainingSet]:
        sets = []
        for named, width in zip(self.rows, self._judged, strict=True):
            made = self.make_set(named)
            missing = width - made.judged.shape[1]  # rows that got no negatives may have been the widest
            sets.append(dataclasses.replace(made, judged=np.pad(made.judged, [(0, 0), (0, missing)])))
        return sets

    def _compare(self, mined: Sequence[NamedPairs]) -> None:
        """Raises if the workers found different negatives, because they would train on different rows."""
        if self.text_encoder.num_workers == 1:
            return
        found = make_fingerprint({}, [(named.name, named.pairs.keys()) for named in mined])
        number = np.frombuffer(bytes.fromhex(found)[:8], dtype="int64")[None]
        if len(np.unique(gather_over_workers(self.text_encoder.strategy, number))) > 1:
            raise TfchainError(
                "The workers mined different negatives. Give all of them the same corpus, and a cross-check that gives "
                "the same scores on all machines."
            )
