"""Training from text to text: what a step teaches, what is kept, what is refused."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.tiny_translation import PAIRS, make_tiny_chain
from tfchain.core.errors import DivergedError, InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.optimization.recipes import Prune
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.validation import Validation
from tfchain.training.mining.options import Mining
from tfchain.training.seq2seq.checks import TokenOptions
from tfchain.training.seq2seq.fit import fit_seq2seq
from tfchain.training.seq2seq.token_batches import TokenBatches, TokenRows
from tfchain.training.seq2seq.tokenize_rows import tokenize_rows

SMALL = Path(__file__).parents[2] / "parity" / "translation_fixtures"
SHORT: dict[str, Any] = {"learning_rate": 0.01, "batch_size": 5, "epochs": 2, "warmup": 0, "schedule": "constant"}


@pytest.fixture(scope="module")
def model() -> Seq2SeqModel:
    """A model that nothing was taught yet; tests train copies of it."""
    return make_tiny_chain().model


@pytest.fixture(scope="module")
def rows(model: Seq2SeqModel) -> TokenRows:
    return tokenize_rows(model, [source for source, _ in PAIRS], [target for _, target in PAIRS])


class Stop(keras.callbacks.Callback):
    """Kills the training after a step."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.model.steps_done == 3 and not self.model.skipping:
            raise KeyboardInterrupt


class Spoil(keras.callbacks.Callback):
    """Makes a weight NaN after the first step."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        weight = self.model.encoder.weights[0]
        weight.assign(np.full(weight.shape, np.nan))


def weights_of(model: Seq2SeqModel) -> list[np.ndarray]:
    return [np.array(weight) for weight in model.transformer.weights]


def test_rows_end_and_are_truncated(model: Seq2SeqModel, rows: TokenRows, caplog: pytest.LogCaptureFixture) -> None:
    assert all(row[-1] == model.transformer.config.eos_token_id for row in (*rows.sources, *rows.targets))
    assert model.tokenizer.decode(rows.targets) == [target for _, target in PAIRS]
    long = tokenize_rows(model, ["The cat. " * 50], ["猫。"])
    assert len(long.sources[0]) == model.max_source_length
    assert "1 of 1 rows have a text of 24 tokens or more" in caplog.text
    with pytest.raises(InputError, match="a target for each source. Received: 2 and 1"):
        tokenize_rows(model, ["a", "b"], ["c"])


def test_rows_of_a_model_of_several_languages_begin_with_their_codes() -> None:
    model = Seq2SeqModel.from_pretrained(SMALL / "m2m_100")
    rows = tokenize_rows(model, ["a b"], ["c d"], source_language="en", target_language="de")
    codes = model.tokenizer.languages
    assert (rows.sources[0][0], rows.targets[0][0]) == (codes["en"], codes["de"])
    assert model.tokenizer.decode(rows.targets) == ["c d"]
    model.languages = (None, None)
    with pytest.raises(
        InputError, match="must be given to train a model of several languages. Received: None and 'de'"
    ):
        tokenize_rows(model, ["a b"], ["c d"], target_language="de")


@pytest.mark.usefixtures("eager")
def test_the_loss_is_the_mean_over_all_tokens(model: Seq2SeqModel, rows: TokenRows) -> None:
    expected, count = 0.0, 0
    for source, target in zip(rows.sources, rows.targets, strict=True):
        inputs = {
            "token_ids": np.array([source]),
            "padding_mask": np.ones((1, len(source)), "int32"),
            "target_ids": np.array([[model.transformer.config.decoder_start_token_id, *target[:-1]]]),
        }
        logits = np.array(model.transformer(inputs))[0]
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        smoothed = 0.9 * log_probabilities[np.arange(len(target)), target] + 0.1 * log_probabilities.mean(axis=1)
        expected, count = expected - smoothed.sum(), count + len(target)
    still = Hyperparameters(**{**SHORT, "learning_rate": 1e-12, "epochs": 1})
    history = fit_seq2seq(model.copy(), rows, still, tokens=TokenOptions(batch_tokens=30))
    assert history.history["loss"] == [pytest.approx(expected / count, rel=1e-5)]


@pytest.mark.usefixtures("eager")
def test_a_training_that_was_stopped_comes_to_the_same_end(
    model: Seq2SeqModel, rows: TokenRows, tmp_path: Path
) -> None:
    values = Hyperparameters(**SHORT, dropout=0.2, ema_momentum=0.5)
    whole = model.copy()
    history = fit_seq2seq(whole, rows, values, FitOptions(log_path=tmp_path / "logs"))
    stopped = model.copy()
    options: dict[str, Any] = {"checkpoint": tmp_path / "saves", "checkpoint_every": 1}
    with pytest.raises(KeyboardInterrupt):
        fit_seq2seq(stopped, rows, values, FitOptions(**options, callbacks=[Stop()]))
    for kept, before in zip(weights_of(stopped), weights_of(model), strict=True):
        np.testing.assert_array_equal(kept, before)  # until a training has ended well
    resumed = fit_seq2seq(stopped, rows, values, FitOptions(**options))
    assert resumed.history["loss"] == pytest.approx(history.history["loss"], rel=1e-6)
    for found, expected in zip(weights_of(stopped), weights_of(whole), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (tmp_path / "logs" / "training.csv").read_text().startswith("epoch,loss\n0,")
    with pytest.raises(InputError, match="belongs to another training: .*label_smoothing was 0.1, is 0.2"):
        fit_seq2seq(model.copy(), rows, values, FitOptions(**options), tokens=TokenOptions(label_smoothing=0.2))


@pytest.mark.usefixtures("eager")
def test_the_model_ends_with_the_best_weights(model: Seq2SeqModel, rows: TokenRows) -> None:
    trained, seen = model.copy(), []

    def evaluate(measured: Seq2SeqModel) -> dict[str, float]:
        seen.append(weights_of(measured))
        return {"chrf": [1.0, 3.0, 2.0][len(seen) - 1]}

    validation = Validation(dataset=None, metrics=["chrf"])
    given = Hyperparameters(**{**SHORT, "epochs": 3})
    history = fit_seq2seq(trained, rows, given, evaluate=evaluate, validation=validation)
    assert history.history["chrf"] == [1.0, 3.0, 2.0]
    for found, expected in zip(weights_of(trained), seen[1], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("eager")
def test_frozen_layers_stay_and_pruned_ones_have_zeros(model: Seq2SeqModel, rows: TokenRows) -> None:
    trained = model.copy()
    hooks = [Prune(0.5).make_hook(0)]
    fit_seq2seq(trained, rows, Hyperparameters(**SHORT, freeze=["tokens"]), FitOptions(hooks=hooks))
    names = [weight.path for weight in trained.transformer.weights]
    changed = {
        name: (found, before)
        for name, found, before in zip(names, weights_of(trained), weights_of(model), strict=True)
        if not np.array_equal(found, before)
    }
    assert "tokens/embeddings" not in changed
    found, _ = changed["decoder_layer_0/intermediate/kernel"]
    assert (found == 0).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.usefixtures("eager")
def test_a_loss_that_is_no_number_stops_the_training(model: Seq2SeqModel, rows: TokenRows) -> None:
    trained = model.copy()
    with pytest.raises(DivergedError, match="The loss must be a finite number. Received: nan in step 2 of epoch 1"):
        fit_seq2seq(trained, rows, Hyperparameters(**SHORT), FitOptions(callbacks=[Spoil()]))
    for kept, before in zip(weights_of(trained), weights_of(model), strict=True):
        np.testing.assert_array_equal(kept, before)
    trained.transformer.weights[0].assign(np.full(trained.transformer.weights[0].shape, np.nan))
    with pytest.raises(InputError, match="The model's weights must be finite numbers"):
        fit_seq2seq(trained, rows, Hyperparameters(**SHORT))


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (
            {"mini_batch_size": 2},
            {},
            "`mini_batch_size` does not apply to a training of translations: it is for losses",
        ),
        ({"remat": True}, {}, "`remat` does not apply"),
        ({"jit_compile": True}, {}, "`jit_compile` does not apply"),
        ({}, {"mining": Mining()}, "`mining` does not apply to a training of translations: there are no negatives"),
        ({}, {"loss": "cosent"}, "`loss` does not apply .*set `label_smoothing`. Received: loss='cosent'"),
        ({}, {"mixing": "proportional"}, "`mixing` does not apply"),
        ({"freeze": ["nothing"]}, {}, "`freeze` must match layers"),
    ],
)
def test_what_has_no_meaning_here_is_refused(
    model: Seq2SeqModel, rows: TokenRows, values: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit_seq2seq(model, rows, Hyperparameters(**{**SHORT, **values}), FitOptions(**options))


def test_smoothing_and_tokens_are_checked() -> None:
    with pytest.raises(InputError, match=r"`label_smoothing` must be in \[0, 1\). Received: label_smoothing=1"):
        TokenOptions(label_smoothing=1)
    with pytest.raises(InputError, match="`batch_tokens` must be"):
        TokenOptions(batch_tokens=0.5)  # type: ignore[arg-type]


def test_two_replicas_have_the_gradient_of_one_device(model: Seq2SeqModel, rows: TokenRows) -> None:
    """The losses of the replicas' rows add up to that of the batch; `MirroredStrategy` only adds them."""
    from tfchain.training.seq2seq.loss import smoothed_cross_entropy

    config = model.transformer.config
    options: dict[str, Any] = {
        "batch_size": 6,
        "start_token_id": config.decoder_start_token_id,
        "pad_token_id": config.pad_token_id,
    }

    def loss_of(batch: dict[str, np.ndarray]) -> float:
        inputs = {name: batch[name] for name in ("token_ids", "padding_mask", "target_ids")}
        losses = np.array(smoothed_cross_entropy(model.transformer(inputs), batch["labels"], smoothing=0.1))
        return float(losses.sum() / batch["num_tokens"])

    whole, shared = TokenBatches(rows, **options), TokenBatches(rows, **options, num_replicas=2)
    parts = [loss_of(shared.make(0, replica)) for replica in range(2)]
    assert sum(parts) == pytest.approx(loss_of(whole.make(0)), rel=1e-5)
