"""sentence-transformers' side of the training benchmarks: its own trainer, on batches that it is given or its own."""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from channel import Channel, read_pairs_file, versions_of

CHANNEL = Channel()

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from sentence_transformers import (  # noqa: E402
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import DefaultBatchSampler  # noqa: E402
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss  # noqa: E402
from torch.utils.data import BatchSampler, SequentialSampler  # noqa: E402
from transformers import TrainerCallback  # noqa: E402


class PlannedBatches(DefaultBatchSampler):
    """Gives batches of rows that were planned elsewhere, in their order; they may differ in size.

    Args:
        batches: The rows of each batch.
    """

    def __init__(self, batches: list[list[int]]) -> None:
        BatchSampler.__init__(self, SequentialSampler(batches), batch_size=len(batches[0]), drop_last=False)
        self.batches = batches
        self.epoch = 0

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class RecordedLoss(MultipleNegativesRankingLoss):
    """The in-batch softmax, which notes each step's loss."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__(model, scale=20.0)
        self.values: list[float] = []

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().forward(*args, **kwargs)
        self.values.append(loss.item())
        return loss


class LearningRates(TrainerCallback):
    """Notes each step's learning rate, and ends the training after some steps.

    Args:
        stop_after: Steps to run; None for all.
    """

    def __init__(self, stop_after: int | None) -> None:
        self.stop_after = stop_after
        self.values: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, lr_scheduler: Any = None, **_: Any) -> None:
        self.values.append(float(lr_scheduler.get_last_lr()[0]))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.stop_after is not None and len(self.values) >= self.stop_after:
            control.should_training_stop = True


class TurnTaker(TrainerCallback):
    """Stops the clock and waits after so many steps, until the other systems have had their turn.

    Args:
        steps: Steps of a turn.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.done = 0
        self.start = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.start = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.done += 1
        if self.done == self.steps:
            CHANNEL.answer({"seconds": time.perf_counter() - self.start})
            if CHANNEL.receive() is None:
                control.should_training_stop = True
            self.done, self.start = 0, time.perf_counter()


def train(
    model: str,
    planned: str,
    max_length: int,
    seed: int,
    learning_rate: float,
    dropout: float | None = None,
    stop_after: int | None = None,
    save: str | None = None,
) -> dict[str, Any]:
    """Trains on the planned batches: all epochs' batches are one epoch of the trainer's."""
    content = json.loads(Path(planned).read_text(encoding="utf-8"))
    batches = content["batches"][str(seed)]
    encoder = load(model, max_length, dropout)
    loss, rates = RecordedLoss(encoder), LearningRates(stop_after)
    with tempfile.TemporaryDirectory() as folder:
        trainer = SentenceTransformerTrainer(
            model=encoder,
            args=training_arguments(
                folder,
                seed=seed,
                learning_rate=learning_rate,
                batch_size=len(batches[0]),
                num_train_epochs=1,
                batch_sampler=lambda *_, **__: PlannedBatches(batches),
            ),
            train_dataset=Dataset.from_dict({"anchor": content["queries"], "positive": content["documents"]}),
            loss=loss,
            callbacks=[rates],
        )
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    if save is not None:
        encoder.save(save, create_model_card=False)
    return {"seconds": seconds, "losses": loss.values, "learning_rates": rates.values}


def take_turns(
    model: str, dataset: str, max_length: int, batch_size: int, steps: int, epochs: int, bfloat16: bool
) -> dict[str, Any]:
    """Trains epoch after epoch, one a request, as the trainer does by default; this is the answer to the last."""
    encoder = load(model, max_length, None)
    queries, documents = zip(*read_pairs_file(dataset), strict=True)
    with tempfile.TemporaryDirectory() as folder:
        SentenceTransformerTrainer(
            model=encoder,
            args=training_arguments(folder, batch_size=batch_size, num_train_epochs=epochs, bf16=bfloat16),
            train_dataset=Dataset.from_dict({"anchor": queries, "positive": documents}),
            loss=MultipleNegativesRankingLoss(encoder, scale=20.0),
            callbacks=[TurnTaker(steps)],
        ).train()
    return {"seconds": 0.0}


def versions() -> dict[str, str]:
    """Of what trains."""
    return versions_of("sentence-transformers", "transformers", "torch")


def load(model: str, max_length: int, dropout: float | None) -> SentenceTransformer:
    """The model on the CPU, its dropouts set where asked."""
    encoder = SentenceTransformer(model, device="cpu", local_files_only=True)
    encoder.max_seq_length = max_length
    if dropout is not None:
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
    return encoder


def training_arguments(folder: str, *, batch_size: int, **changes: Any) -> SentenceTransformerTrainingArguments:
    """AdamW with a linear schedule and no warm-up, clipping at 1; nothing is saved or reported."""
    settings = {
        "learning_rate": 2e-5,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "adam_epsilon": 1e-8,
        "max_grad_norm": 1.0,
        "use_cpu": True,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    return SentenceTransformerTrainingArguments(
        output_dir=folder, per_device_train_batch_size=batch_size, **{**settings, **changes}
    )


if __name__ == "__main__":
    torch.set_num_threads(2)
    CHANNEL.serve({"train": train, "take_turns": take_turns, "versions": versions})
