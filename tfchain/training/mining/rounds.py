"""Hard negatives mined before a training, and anew between its epochs."""

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
    """Mines negatives with the weights as they are, before the first epoch and after every so many.

    Put it before a checkpoint among the callbacks: what is saved at an epoch's end then holds the next one's negatives.

    Args:
        mining: How, and how often.
        datasets: The rows as they were given; what they were read from may have a corpus.
        text_encoder: With the encoder in training; under several workers each encodes a part of the texts.
        make_set: Tokenizes rows.
        epochs: Of the whole training.
        cross_check: See `mine_negatives`. Default: none.
        progress: Whether to show progress bars. Default: when it takes more than a second.

    Attributes:
        rows: The datasets with the negatives of the moment.
        steps_per_epoch: Of the whole training: those of the first round.
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
        self._judged = [make_judged(one.pairs).shape[1] for one in datasets]

    def start(self, saved: Path | None) -> list[TrainingSet]:
        """The first epoch's rows: mined, or those that a checkpoint holds.

        Args:
            saved: The save that the training goes on from, if any.
        """
        if saved is None:
            self.rows = self.mine(0)
        else:
            self.rows, self.steps_per_epoch = self.read(saved)
        return self._make_sets()

    def attach(self, maker: BatchMaker, epoch: int) -> None:
        """Takes the maker whose rows are replaced, in a training that begins with some epoch."""
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
        """Mines for each dataset that can have negatives; each epoch draws others where it draws at random."""
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
        """Puts the negatives of the moment into a checkpoint's folder."""
        content = {
            "steps_per_epoch": self.steps_per_epoch,
            "datasets": [
                {
                    "columns": [list(column) for column in one.pairs.columns],
                    "relevant": one.pairs.relevant and [sorted(keys) for keys in one.pairs.relevant],
                }
                if can_be_mined(one.pairs)
                else None
                for one in self.rows
            ],
        }
        (folder / FILE_NAME).write_text(json.dumps(content), encoding="utf-8")

    def read(self, folder: Path) -> tuple[list[NamedPairs], int]:
        """What `write` wrote.

        Raises:
            TfchainError: if the file is damaged.
        """
        try:
            content: Mapping[str, Any] = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
            rows = []
            for named, one in zip(self.datasets, content["datasets"], strict=True):
                pairs = named.pairs
                if one is not None:
                    relevant = one["relevant"] and tuple(frozenset(keys) for keys in one["relevant"])
                    pairs = Pairs(tuple(one["columns"]), relevant=relevant, symmetric=pairs.symmetric)
                rows.append(dataclasses.replace(named, pairs=pairs))
            return rows, int(content["steps_per_epoch"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TfchainError(
                f"The checkpoint {folder} is damaged: {FILE_NAME}: {error}. Delete this folder and go on."
            ) from error

    def _next_round(self, epoch: int) -> int | None:
        """The first epoch after this one that needs other negatives."""
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
        """Raises if the workers found other negatives: they would train on other rows."""
        if self.text_encoder.num_workers == 1:
            return
        found = make_fingerprint({}, [(one.name, one.pairs.keys()) for one in mined])
        number = np.frombuffer(bytes.fromhex(found)[:8], dtype="int64")[None]
        if len(np.unique(gather_over_workers(self.text_encoder.strategy, number))) > 1:
            raise TfchainError(
                "The workers mined other negatives than each other. Give all the same corpus, and a cross-check that "
                "scores alike on all machines."
            )
