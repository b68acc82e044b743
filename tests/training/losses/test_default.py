"""From names and columns to losses."""

import doctest
import importlib

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.training.losses import LOSSES, InBatchSoftmax, Matryoshka, Triplet, default_loss, get_loss

FILES = {cls.__module__ for cls in LOSSES.values()} | {default_loss.__module__}


@pytest.mark.parametrize(
    ("num_columns", "labels", "name"),
    [
        (1, None, "simcse"),
        (2, None, "in_batch_softmax"),
        (5, None, "in_batch_softmax"),
        (2, [[1], [1]], "in_batch_softmax"),
        (2, [1.0, 0.0], "online_contrastive"),
        (2, [True, False], "online_contrastive"),
        (2, [0, 0], "online_contrastive"),
        (2, [0.5, 1.0], "cosent"),
        (2, [[5], [1]], "cosent"),
        (3, [[0.7], [-0.2]], "margin_mse"),
        (3, [[0.7, 0.1]], "kl_divergence"),
        (5, [[0.7, 0.1, 0.2]], "margin_mse"),
        (5, [[0.7, 0.1, 0.2, 0.3]], "kl_divergence"),
    ],
)
def test_the_default_loss_follows_from_the_columns_and_takes_them(num_columns, labels, name):
    labels = None if labels is None else np.array(labels)

    loss = default_loss(num_columns, labels)

    assert loss.name == name
    loss.check(num_columns, labels)


@pytest.mark.parametrize(
    ("num_columns", "labels", "message"),
    [
        (0, None, "at least one column of text. Found 0."),
        (1, [[1.0]], "No loss takes 1 columns of text with 1 numbers a row."),
        (2, [[1.0, 2.0]], "No loss takes 2 columns of text with 2 numbers a row."),
        (5, [[0.5]], "No loss takes 5 columns of text with 1 numbers a row. Expected 1 column without labels; 2"),
        (2, [[1.0], [float("nan")]], "must be finite numbers. Received: nan in row 1"),
    ],
)
def test_columns_that_no_loss_takes_are_an_error(num_columns, labels, message):
    with pytest.raises(InputError, match=message):
        default_loss(num_columns, None if labels is None else np.array(labels))


def test_a_loss_is_made_from_its_name_or_a_mapping_and_given_back_as_it_is():
    assert get_loss("in_batch_softmax").scale == 20.0
    assert get_loss({"name": "triplet", "margin": 1}).margin == 1.0
    made = Triplet()
    assert get_loss(made) is made


def test_a_mapping_may_hold_a_loss_in_a_loss():
    settings = {"name": "matryoshka", "loss": {"name": "in_batch_softmax", "temperature": 0.1}, "dims": [4, 2]}

    loss = get_loss(settings)

    assert isinstance(loss, Matryoshka)
    assert isinstance(loss.loss, InBatchSoftmax)
    assert loss.loss.scale == 10.0
    assert settings["loss"] == {"name": "in_batch_softmax", "temperature": 0.1}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("softmax", "There is no loss 'softmax'. Expected one of: in_batch_softmax, guided_in_batch_softmax, triplet,"),
        ({"name": ["x"]}, "There is no loss \\['x'\\]."),
        ({"scale": 3}, "by a mapping with `name` and its arguments, or as a PairLoss. Received: {'scale': 3}."),
        (None, "A loss is given by its name, .* Received: None."),
        ({"name": "cosent", "size": 3}, "The loss `cosent` takes the arguments scale. Received: size"),
        ({"name": "cosine_mse", "size": 3}, "The loss `cosine_mse` takes the arguments none. Received: size"),
        (
            "matryoshka",
            "takes the arguments loss, dims, weights. Received: none \\(missing a required argument: 'loss'\\).",
        ),
        ({"name": "matryoshka", "loss": "no", "dims": [2]}, "There is no loss 'no'."),
        (
            {"name": "triplet", "margin": "wide"},
            "`margin` must be a finite number of at least 0. Received: margin='wide'.",
        ),
    ],
)
def test_an_unknown_name_or_argument_is_an_error(given, message):
    with pytest.raises(InputError, match=message):
        get_loss(given)


def test_the_examples_in_the_docstrings_run():
    results = [doctest.testmod(importlib.import_module(file)) for file in FILES]

    assert sum(result.attempted for result in results) >= 8
    assert not any(result.failed for result in results)


def test_every_docstring_names_columns_siblings_and_paper():
    for name, cls in LOSSES.items():
        assert "Columns" in cls.__doc__, name
        assert "https://" in cls.__doc__, name
        assert any(f"`{other}`" in cls.__doc__ for other in LOSSES if other != name), name
