"""Hyperparameters: what is out of range is told by name, and what is kept is plain."""

import json
import math
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import HYPERPARAMETER_NAMES, HyperparameterOptions, Hyperparameters


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0}, r"`learning_rate` must be a number above 0 and at most 1\. Received: learning_rate=0\."),
        ({"learning_rate": 1.5}, r"`learning_rate` .* Received: learning_rate=1\.5\. 2e-5 is usual"),
        ({"learning_rate": "1e-4"}, r"`learning_rate` .* Received: learning_rate='1e-4'"),
        ({"learning_rate": math.nan}, r"`learning_rate` .* Received: learning_rate=nan"),
        ({"learning_rate": True}, r"`learning_rate` .* Received: learning_rate=True"),
        ({"weight_decay": 1}, r"`weight_decay` must be a number at least 0 and below 1\. Received: weight_decay=1\."),
        ({"warmup": -1}, r"`warmup` must be a number at least 0\. Received: warmup=-1\."),
        ({"warmup": math.inf}, r"`warmup` .* Received: warmup=inf"),
        (
            {"warmup": 2.5},
            r"`warmup` must be a share of all steps below 1, or a whole number of steps\. Received: warmup=2\.5",
        ),
        ({"max_gradient_norm": 0}, r"`max_gradient_norm` must be a number above 0\. Received"),
        ({"ema_momentum": 0}, r"`ema_momentum` must be a number above 0 and below 1\. Received"),
        ({"ema_momentum": 1.0}, r"`ema_momentum` .* Received: ema_momentum=1\.0"),
        ({"dropout": 1}, r"`dropout` must be a number at least 0 and below 1\. Received: dropout=1\."),
        ({"batch_size": 0}, r"`batch_size` must be a whole number of at least 1\. Received: batch_size=0"),
        ({"batch_size": 2.0}, r"`batch_size` must be a whole number"),
        ({"epochs": True}, r"`epochs` must be a whole number"),
        ({"accumulation_steps": 0}, r"`accumulation_steps` must be a whole number of at least 1"),
        ({"mini_batch_size": 0}, r"`mini_batch_size` must be a whole number of at least 1"),
        ({"lora_rank": -4}, r"`lora_rank` must be a whole number of at least 1"),
        ({"seed": -1}, r"`seed` must be a whole number of at least 0"),
        (
            {"schedule": "step"},
            r"`schedule` must be one of linear, cosine, constant, inverse_sqrt\. Received: schedule='step'",
        ),
        ({"batches": "shuffled"}, r"`batches` must be one of random, no_duplicates, length, no_duplicates_by_length"),
        ({"dtype_policy": "bfloat16"}, r"`dtype_policy` must be one of float32, mixed_bfloat16, mixed_float16"),
        ({"remat": 1}, r"`remat` must be True or False\. Received: remat=1"),
        ({"jit_compile": None}, r"`jit_compile` must be True or False"),
        ({"freeze": ["embeddings", 3]}, r"`freeze` must be a list of patterns"),
        ({"freeze": [""]}, r"`freeze` must be a list of patterns"),
        ({"freeze": 3}, r"`freeze` must be a list of patterns of layer paths\. Received: freeze=3"),
    ],
)
def test_a_value_out_of_range_is_told_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Hyperparameters(**values)


def test_the_ends_of_the_ranges_are_allowed() -> None:
    Hyperparameters(learning_rate=1, weight_decay=0, warmup=0, dropout=0, seed=0, batch_size=1, epochs=1)
    Hyperparameters(max_gradient_norm=None, ema_momentum=None, dropout=None, mini_batch_size=None, lora_rank=None)


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert Hyperparameters().to_dict() == {
        "learning_rate": 2e-5, "batch_size": 32, "epochs": 1, "weight_decay": 0.0, "warmup": 0.1, "schedule": "linear",
        "max_gradient_norm": 1.0, "accumulation_steps": 1, "mini_batch_size": None, "ema_momentum": None,
        "dtype_policy": "float32", "dropout": None, "freeze": [], "lora_rank": None, "remat": False,
        "jit_compile": False, "batches": "no_duplicates", "mask_false_negatives": True, "drop_remainder": False,
        "seed": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("learning_rate", 0), ("warmup", 2.5), ("batch_size", 0), ("lora_rank", 0), ("schedule", "step")),
        *(("remat", 1), ("freeze", 3)),
    ],
)
def test_an_error_holds_the_name_of_its_hyperparameter(name: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        Hyperparameters(**{name: value})
    assert caught.value.argument == name


def test_one_pattern_of_frozen_layers_may_stand_alone() -> None:
    assert Hyperparameters(freeze="embeddings").freeze == ("embeddings",)
    assert Hyperparameters(freeze=["layer_0", "pooling"]).freeze == ("layer_0", "pooling")


def test_a_copy_has_the_changes_and_checks_them() -> None:
    first = Hyperparameters(epochs=3)
    assert first.replace(batch_size=8) == Hyperparameters(epochs=3, batch_size=8)
    assert first.batch_size == 32
    with pytest.raises(InputError, match=r"no hyperparameter `batchsize`\. Expected one of: learning_rate, batch_size"):
        first.replace(batchsize=8)
    with pytest.raises(InputError, match="`epochs`"):
        first.replace(epochs=0)


def test_what_is_kept_is_plain_json_and_makes_the_same_again() -> None:
    values = Hyperparameters(batch_size=16, freeze=("embeddings",), dropout=0.2)
    assert Hyperparameters(**json.loads(json.dumps(values.to_dict()))) == values


def test_numbers_of_numpy_are_kept_as_plain_ones() -> None:
    values = Hyperparameters(
        batch_size=np.int64(16), seed=np.int32(3), mini_batch_size=np.int64(4), learning_rate=np.float64(1e-3)
    )
    assert (
        json.loads(json.dumps(values.to_dict()))
        == Hyperparameters(batch_size=16, seed=3, mini_batch_size=4, learning_rate=1e-3).to_dict()
    )


def test_the_options_by_name_are_the_hyperparameters() -> None:
    # These three stand in the signatures of `fit` and the chain on their own.
    own = {"learning_rate", "batch_size", "epochs"}
    assert set(HyperparameterOptions.__annotations__) | own == set(HYPERPARAMETER_NAMES)
