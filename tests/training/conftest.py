"""A model so small that a training takes a second or two, and rows to train it on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfchain.models.encoders.config import EncoderConfig, PoolingConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.hugging_face import load_tokenizer
from tfchain.training.fit.keras_fit import FitOverWorkers

MakeEncoder = Callable[..., Encoder]
MakeTextEncoder = Callable[..., TextEncoder]

# Three texts a row, of many lengths; no text appears twice.
ROWS = [
    ("what does the cat do", "the cat sleeps on monday", "a dog fell"),
    ("who runs", "a dog does run", "stock"),
    ("what fell", "the stock fell on monday, what a day", "cat"),
    ("do dogs sleep", "dog sleeps", "the stock does run on"),
    ("on what day", "monday", "who does what on a day"),
    ("who sleeps", "the cat and the dog do", "run run run"),
    ("a stock", "stock 1 fell by 2, stock 3 fell by 4", "the dog"),
    ("what is a cat", "x y z", "sleep on it"),
]


class Stepper(FitOverWorkers, keras.Model):
    """Stands in for a trainer where only Keras' loop counts: each step adds 1 to its encoder's weights.

    Its batches are the numbers from 0 on, and each one's loss is its number.
    """

    def __init__(self, **optimizer: Any) -> None:
        super().__init__()
        inputs = keras.Input((2,))
        self.encoder = keras.Model(inputs, keras.layers.Dense(3, kernel_initializer="zeros", name="product")(inputs))
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.built = True
        optimizer = {"learning_rate": 1.0, **optimizer}
        self.compile(optimizer=keras.optimizers.SGD(**optimizer), run_eagerly=True)
        self.optimizer.build(self.encoder.trainable_weights)
        self.seen: list[int] = []

    @property
    def metrics(self) -> list[Any]:
        return [self.loss_tracker]

    @property
    def steps_in_weights(self) -> float:
        return float(np.array(self.encoder.weights[0])[0, 0])

    def train_step(self, data: Any) -> Any:
        self.seen.append(int(data))
        weights = self.encoder.trainable_weights
        self.optimizer.apply([-keras.ops.ones(weight.shape) for weight in weights], weights)
        self.loss_tracker.update_state(data)
        return self.to_logs({"loss": self.loss_tracker.result()})

    def run(
        self, *callbacks: Any, epochs: int = 2, steps_per_epoch: int = 4, position: tuple[int, int] = (0, 0)
    ) -> Any:
        """Trains as `fit_text_encoder` does, from a position on."""
        import tensorflow as tf

        epoch, step = position
        self.steps_done, self.steps_to_skip = epoch * steps_per_epoch + step, step
        return self.fit(
            tf.data.Dataset.counter(np.int64(self.steps_done)),
            epochs=epochs,
            initial_epoch=epoch,
            steps_per_epoch=steps_per_epoch,
            callbacks=list(callbacks),
            verbose=0,
            shuffle=False,
        )


@pytest.fixture(scope="session")
def tokenizer(tiny_model_path: Path) -> Any:
    """The tokenizer of the small BERT."""
    return load_tokenizer(tiny_model_path)


@pytest.fixture(scope="session")
def make_encoder(tokenizer: Any) -> MakeEncoder:
    """Makes an encoder of one layer, 8 wide; the same seed gives the same weights."""

    def make(*, seed: int = 1, num_layers: int = 1, dropout: float = 0.0, **changes: Any) -> Encoder:
        keras.utils.set_random_seed(seed)
        pooling = PoolingConfig(include_prompt=changes.pop("include_prompt", True))
        shape = {
            "architecture": "bert",
            "vocabulary_size": len(tokenizer),
            "hidden_dim": 8,
            "num_layers": num_layers,
            "num_heads": 2,
            "intermediate_dim": 12,
            "max_positions": 24,
            "num_token_types": 2,
            "dropout": dropout,
            "attention_dropout": dropout,
            **changes,
        }
        return Encoder(EncoderConfig(transformer=TransformerConfig(**shape), pooling=pooling, normalize=True))

    return make


@pytest.fixture(scope="session")
def make_text_encoder(tokenizer: Any, make_encoder: MakeEncoder) -> MakeTextEncoder:
    """Makes a text encoder of `make_encoder`'s model."""

    def make(*, prompts: dict[str, str] | None = None, **changes: Any) -> TextEncoder:
        return TextEncoder(tokenizer, make_encoder(**changes), prompts=prompts, engine="tensorflow")

    return make
