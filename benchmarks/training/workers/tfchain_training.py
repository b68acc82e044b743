"""tfchain's side of the training benchmarks: plans, trains, takes turns, evaluates."""

import json
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from channel import Channel, peak_memory, versions_of

CHANNEL = Channel()  # before TensorFlow is imported: what that prints is no answer

import keras  # noqa: E402

from tfchain import NeuralSearchChain  # noqa: E402
from tfchain.core.hyperparameters import Hyperparameters  # noqa: E402
from tfchain.data.documents.beir import BeirDataset, read_beir  # noqa: E402
from tfchain.data.shards.pair_shards import PairShards  # noqa: E402
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig  # noqa: E402
from tfchain.models.encoders.encoder import Encoder  # noqa: E402
from tfchain.models.text_encoder import TextEncoder  # noqa: E402
from tfchain.training.batches.layout import Layout  # noqa: E402
from tfchain.training.batches.maker import BatchMaker  # noqa: E402
from tfchain.training.batches.training_data import make_training_set, read_datasets  # noqa: E402
from tfchain.training.fit.fit import FitOptions, fit_text_encoder  # noqa: E402

LOSS = {"name": "in_batch_softmax", "scale": 20.0}


class StepRecorder(keras.callbacks.Callback):
    """Notes each step's loss and learning rate, and ends the training after some steps.

    Args:
        stop_after: Steps to run; None for all.
    """

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.stop_after = stop_after
        self.losses: list[float] = []
        self.learning_rates: list[float] = []
        self._before = (0.0, 0.0)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._before = (0.0, 0.0)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.learning_rates.append(float(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        tracker = self.model.loss_tracker
        now = (float(tracker.total), float(tracker.count))  # sums over the rows of the epoch so far
        self.losses.append((now[0] - self._before[0]) / (now[1] - self._before[1]))
        self._before = now
        if self.stop_after is not None and len(self.losses) >= self.stop_after:
            self.model.stop_training = True


class TurnTaker(keras.callbacks.Callback):
    """Stops the clock and waits after so many steps, until the other systems have had their turn.

    Args:
        steps: Steps of a turn.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.done = 0
        self.start = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        float(self.model.loss_tracker.total)  # the step is over when its loss is there
        self.done += 1
        if self.done == self.steps:
            CHANNEL.answer({"seconds": time.perf_counter() - self.start})
            if CHANNEL.receive() is None:
                self.model.stop_training = True
            self.done, self.start = 0, time.perf_counter()


def plan(
    model: str, dataset: str, max_length: int, epochs: int, seeds: list[int], save: str, **settings: Any
) -> dict[str, Any]:
    """Writes the rows' texts and, by seed, the rows of every batch of every epoch, as `fit` will take them."""
    encoder = TextEncoder.from_pretrained(model, max_length=max_length)
    (named,) = read_datasets(dataset, LOSS)
    plans = {}
    for seed in seeds:
        maker = make_maker(encoder, named, Hyperparameters(**settings, seed=seed), Layout())
        plans[seed] = []
        for epoch in range(epochs):
            of_epoch = maker.plan(epoch)
            plans[seed] += [
                of_epoch[step % len(of_epoch)][1].tolist() for step in range(maker.steps_per_epoch)
            ]  # as `BatchMaker.make`
    queries, documents = named.pairs.columns
    content = {"queries": list(queries), "documents": list(documents), "batches": plans}
    Path(save).write_text(json.dumps(content), encoding="utf-8")
    return {"rows": len(named.pairs), "steps": {seed: len(batches) for seed, batches in plans.items()}}


def train(
    model: str,
    dataset: str,
    max_length: int,
    hyperparameters: dict[str, Any],
    length_groups: int | None = None,
    stop_after: int | None = None,
    save: str | None = None,
) -> dict[str, Any]:
    """Trains, and gives each step's loss and learning rate, the seconds, and the peak of memory before and after."""
    encoder = TextEncoder.from_pretrained(model, max_length=max_length)
    loaded = peak_memory()
    recorder = StepRecorder(stop_after)
    start = time.perf_counter()
    fit_text_encoder(encoder, dataset, Hyperparameters(**hyperparameters), fit_options(length_groups, recorder))
    seconds = time.perf_counter() - start
    if save is not None:
        Path(save).mkdir(parents=True)
        encoder.save(Path(save))
    return {
        "seconds": seconds,
        "losses": recorder.losses,
        "learning_rates": recorder.learning_rates,
        "loaded_megabytes": loaded,
        "peak_megabytes": peak_memory(),
    }


def train_on_shards(model: str, folder: str, batch_size: int) -> dict[str, Any]:
    """Trains a tiny random encoder for an epoch on files; a text is cut at 16 tokens."""
    tokenizer = TextEncoder.from_pretrained(model, max_length=16).tokenizer.tokenizer
    shape = TransformerConfig(
        architecture="bert",
        vocabulary_size=len(tokenizer),
        hidden_dim=32,
        num_layers=1,
        num_heads=2,
        intermediate_dim=64,
        max_positions=16,
        num_token_types=2,
    )
    encoder = TextEncoder(tokenizer, Encoder(EncoderConfig(transformer=shape)), max_length=16, engine="tensorflow")
    loaded = peak_memory()
    recorder = StepRecorder()
    start = time.perf_counter()
    hyperparameters = Hyperparameters(batch_size=batch_size, epochs=1, learning_rate=1e-3)
    fit_text_encoder(encoder, PairShards(folder), hyperparameters, fit_options(1, recorder))
    return {
        "seconds": time.perf_counter() - start,
        "steps": len(recorder.losses),
        "first_loss": recorder.losses[0],
        "last_loss": recorder.losses[-1],
        "loaded_megabytes": loaded,
        "peak_megabytes": peak_memory(),
    }


def take_turns(
    model: str,
    dataset: str,
    max_length: int,
    hyperparameters: dict[str, Any],
    steps: int,
    length_groups: int | None = None,
) -> dict[str, Any]:
    """Trains epoch after epoch, one a request; this is the answer to the last."""
    encoder = TextEncoder.from_pretrained(model, max_length=max_length)
    fit_text_encoder(encoder, dataset, Hyperparameters(**hyperparameters), fit_options(length_groups, TurnTaker(steps)))
    return {"seconds": 0.0}


def count_tokens(
    model: str, dataset: str, max_length: int, hyperparameters: dict[str, Any], length_groups: int
) -> dict[str, Any]:
    """The texts' own tokens in an epoch, and those that are computed with padding."""
    encoder = TextEncoder.from_pretrained(model, max_length=max_length)
    (named,) = read_datasets(dataset, LOSS)
    maker = make_maker(encoder, named, Hyperparameters(**hyperparameters), Layout(groups=length_groups))
    own = computed = 0
    for step in range(maker.steps_per_epoch):
        for token_ids, padding_mask in maker.make(step, 0)["chunks"]:
            own += int((padding_mask > 0).sum())
            computed += token_ids.size
    return {"rows": len(named.pairs), "steps": maker.steps_per_epoch, "own": own, "computed": computed}


def evaluate(model: str, beir: str, max_length: int, max_documents: int | None = None) -> dict[str, Any]:
    """Metrics on the test split; documents are cut at the model's maximum, as sentence-transformers does."""
    dataset = read_beir(beir)
    if max_documents is not None:
        judged = {id for grades in dataset.qrels.values() for id in grades}
        documents = list(dataset.documents())
        kept = [one for one in documents if one.id in judged]
        kept += list(islice((one for one in documents if one.id not in judged), max_documents))
        dataset = BeirDataset(dataset.queries, dataset.qrels, kept)
    chain = NeuralSearchChain.from_pretrained(model, passages="truncate", max_length=max_length)
    return dict(chain.evaluate(dataset, progress=False))


def versions() -> dict[str, str]:
    """Of what trains."""
    return versions_of("tfchain", "tensorflow", "keras")


def fit_options(length_groups: int | None, callback: keras.callbacks.Callback) -> FitOptions:
    """The options of `fit`; its default for the length groups where none are given."""
    given: Mapping[str, Any] = {} if length_groups is None else {"length_groups": length_groups}
    return FitOptions(loss=LOSS, strategy="one", callbacks=[callback], progress=False, **given)


def make_maker(encoder: TextEncoder, named: Any, hyperparameters: Hyperparameters, layout: Layout) -> BatchMaker:
    """The batches that `fit` makes on one device."""
    return BatchMaker(
        [make_training_set(named, encoder, progress=False)],
        batch_size=hyperparameters.batch_size,
        batches=hyperparameters.batches,
        seed=hyperparameters.seed,
        layout=layout,
    )


if __name__ == "__main__":
    CHANNEL.serve(
        {
            "plan": plan,
            "train": train,
            "train_on_shards": train_on_shards,
            "take_turns": take_turns,
            "count_tokens": count_tokens,
            "evaluate": evaluate,
            "versions": versions,
        }
    )
