"""What a trial trains: values become losses, mining, hyperparameters and shapes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.recipes import Shrink
from tfchain.optimization.tuning.trial_values import (
    check_losses,
    make_setting,
    make_trial_encoder,
    sample_texts,
    strip_loss,
)
from tfchain.training.batches.training_data import read_datasets
from tfchain.training.fit.options import FitOptions
from tfchain.training.losses import InBatchSoftmax, Matryoshka, SpreadOut, Triplet
from tfchain.training.mining.options import Mining

ROUTER = Path(__file__).parents[2] / "parity" / "fixtures" / "router"
PAIRS = [("what does the cat do", "the cat sleeps"), ("who runs", "a dog runs")]


def set_up(values: dict[str, Any], **options: Any) -> Any:
    return make_setting(
        values, Hyperparameters(epochs=2), FitOptions(**options), read_datasets(PAIRS, options.get("loss"))
    )


def test_hyperparameters_that_are_not_named_stay() -> None:
    made = set_up({"learning_rate": 1e-3, "lora_rank": None})
    assert made.hyperparameters == Hyperparameters(epochs=2, learning_rate=1e-3)
    assert made.options == FitOptions()


def test_a_losss_arguments_are_its_own() -> None:
    loss = set_up({"loss.scale": 50, "loss.margin": 1.0}).options.loss
    assert isinstance(loss, InBatchSoftmax)
    assert loss.get_config() == {"scale": 50.0, "directions": "query_to_document", "similarity": "cosine"}
    named = set_up({"loss": "triplet", "loss.scale": 50, "loss.margin": 1.0}).options.loss
    assert isinstance(named, Triplet)
    assert named.margin == 1.0
    kept = set_up({"loss.scale": 50}, loss=InBatchSoftmax(directions="both")).options.loss
    assert kept.get_config() == {"scale": 50.0, "directions": "both", "similarity": "cosine"}
    other = set_up({"loss": {"name": "in_batch_softmax", "scale": 30}, "loss.temperature": 0.1}).options.loss
    assert other.scale == pytest.approx(10)


def test_widths_put_matryoshka_around_the_loss() -> None:
    loss = set_up({"matryoshka.dims": [16, 8], "loss.scale": 5}).options.loss
    assert isinstance(loss, Matryoshka)
    assert (loss.dims, loss.loss.scale) == ((16, 8), 5)
    assert isinstance(set_up({"matryoshka.dims": []}).options.loss, InBatchSoftmax)


def test_arguments_reach_the_loss_that_spread_out_stands_around() -> None:
    spread = {"name": "spread_out", "loss": "in_batch_softmax"}
    values = {"loss.scale": 30, "loss.hardness": "hard_negatives", "loss.mean_weight": 0.5, "loss.directions": "all"}
    loss = set_up(values, loss=spread).options.loss
    assert isinstance(loss, SpreadOut)
    assert (loss.mean_weight, loss.loss.scale, loss.loss.hardness, loss.loss.directions) == (
        *(0.5, 30, "hard_negatives", "all"),
    )
    check_losses(list(values), read_datasets(PAIRS, spread), [])
    stripped = strip_loss(loss, list(values))
    assert stripped.get_config() == SpreadOut(InBatchSoftmax()).get_config()


def test_several_datasets_have_a_loss_each() -> None:
    datasets = read_datasets({"a": PAIRS, "b": [(*row, "stocks fell") for row in PAIRS]}, {"b": "triplet"})
    losses = make_setting({"loss.scale": 7}, Hyperparameters(), FitOptions(), datasets).options.loss
    assert losses["a"].scale == 7
    assert isinstance(losses["b"], Triplet)


def test_no_mined_negatives_is_no_mining() -> None:
    own = Mining(num_negatives=2, relative_margin=0.05)
    assert set_up({"mining.num_negatives": 5}, mining=own).options.mining == Mining(
        num_negatives=5, relative_margin=0.05
    )
    assert set_up({"mining.num_negatives": 0}, mining=own).options.mining is None
    assert set_up({"mining.num_negatives": 3}).options.mining == Mining(num_negatives=3)


def test_an_argument_that_no_loss_takes_is_named() -> None:
    datasets = read_datasets(PAIRS)
    check_losses(["loss.scale"], datasets, [])
    check_losses(["loss.margin"], datasets, ["triplet", None])
    with pytest.raises(InputError, match="`loss.margin` of the space .*Received: the losses in_batch_softmax, none"):
        check_losses(["loss.scale", "loss.margin"], datasets, [])
    with pytest.raises(InputError, match="`loss.scale` of the space .*Received: the losses triplet, none"):
        check_losses(["loss.scale"], datasets, ["triplet"])


def test_each_trial_has_an_encoder_of_its_own_in_its_shape(tiny_model_path: Path) -> None:
    whole = TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")
    before = whole.encode("the cat sleeps")
    plain = make_trial_encoder(whole, set_up({}), [])
    np.testing.assert_allclose(plain.encode("the cat sleeps"), before, atol=1e-6)
    assert plain.encoder is not whole.encoder
    plain.encoder.set_weights([weight * 0 for weight in plain.encoder.get_weights()])

    smaller = make_trial_encoder(whole, set_up({"shrink.layers": 1, "pooling": "cls"}), [])
    assert smaller.encoder.config.transformer.num_layers == 1
    assert smaller.encoder.config.pooling.modes == ("cls",)
    assert smaller.encoder.config.normalize
    assert set_up({"shrink.layers": 1}).shrink == Shrink(layers=1)
    assert set_up({"shrink.layers": None}).shrink is None
    # The encoder with the first token's vector: by hand, from the one that has the mean.
    pooled = make_trial_encoder(whole, set_up({"pooling": "cls"}), []).encode("the cat sleeps")
    assert np.abs(pooled - before).max() > 1e-3
    both = make_trial_encoder(whole, set_up({"pooling": ["cls", "mean"]}), []).encode("the cat sleeps")
    for half, alone in ((both[:16], pooled), (both[16:], before)):
        np.testing.assert_allclose(half / np.linalg.norm(half), alone, atol=1e-5)
    np.testing.assert_allclose(whole.encode("the cat sleeps"), before, atol=1e-6)


def test_the_texts_to_look_at_are_documents_at_equal_distances() -> None:
    rows = [(f"q{number}", f"d{number}") for number in range(1024)]
    texts = sample_texts(read_datasets(rows))
    assert len(texts) == 512
    assert texts[:2] == ["d0", "d2"]
    assert sample_texts(read_datasets(PAIRS)) == ["the cat sleeps", "a dog runs"]


def test_a_loss_without_what_trials_set_is_the_same_before_and_after() -> None:
    plain = InBatchSoftmax(directions="both")
    for names, values in (
        (("loss.scale",), {"loss.scale": 7}),
        (("loss.temperature",), {"loss.temperature": 0.1}),
        (("matryoshka.dims", "loss.scale"), {"matryoshka.dims": [16, 8], "loss.scale": 3}),
        (("loss",), {"loss": "guided_in_batch_softmax"}),
    ):
        best = set_up(values, loss=plain).options.loss
        before, after = strip_loss(plain, names), strip_loss(best, names)
        assert (type(before), before.get_config()) == (type(after), after.get_config())
        again = set_up(values, loss=best).options.loss  # and a trial is the same as before
        assert repr(again.get_config()) == repr(best.get_config()) or again.loss.get_config() == best.loss.get_config()
    other = strip_loss(InBatchSoftmax(), ("loss.scale",))
    assert other.get_config() != strip_loss(plain, ("loss.scale",)).get_config()


def test_each_trial_has_an_encoder_of_queries_of_its_own_too() -> None:
    whole = TextEncoder.from_pretrained(ROUTER, engine="tensorflow")
    before = whole.encode_query("a fox")
    made = make_trial_encoder(whole, set_up({}), [])
    np.testing.assert_array_equal(made.encode_query("a fox"), before)
    assert made.query_route is not None
    made.query_route.set_weights([weight + 1 for weight in made.query_route.own_encoder.get_weights()])
    np.testing.assert_array_equal(whole.encode_query("a fox"), before)
    assert np.abs(made.encode_query("a fox") - before).max() > 1e-3


def test_documents_of_another_width_than_queries_are_refused() -> None:
    whole = TextEncoder.from_pretrained(ROUTER, engine="tensorflow")
    message = (
        "`query_route`, .* must give vectors of the documents' width. Received: 24 for queries and 48 for documents"
    )
    with pytest.raises(InputError, match=message):
        make_trial_encoder(whole, set_up({"pooling": ["mean", "max"]}), [])
    assert make_trial_encoder(whole, set_up({"pooling": "max"}), []).query_route is not None
