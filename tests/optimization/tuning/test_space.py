"""The space of a search: what may be in it, and what KerasTuner makes of it."""

from typing import Any

import numpy as np
import pytest

from tfchain import Range
from tfchain.core.errors import InputError
from tfchain.optimization.tuning.space import SearchSpace
from tfchain.optimization.tuning.trial_values import check_losses
from tfchain.training.batches.training_data import read_datasets
from tfchain.training.losses import Triplet


def asked(space: Any) -> list[dict[str, Any]]:
    """What `hp` was asked for, without what says nothing."""
    entries = [one["config"] for one in SearchSpace(space).describe()]
    return [{name: value for name, value in one.items() if value and name not in ("default",)} for one in entries]


def test_a_dict_of_choices_and_ranges_is_what_kerastuner_is_asked_for() -> None:
    space = {
        "learning_rate": Range(1e-5, 1e-3, sampling="log"),
        "batch_size": Range(16, 64, 16),
        "warmup": (0.0, 0.2),
        "epochs": {"min": 1, "max": 3},
        "pooling": ["mean", "cls"],
        "lora_rank": [None, 8],
        "matryoshka.dims": [[], [16, 8]],
        "drop_remainder": [True, False],
        "weight_decay": [0, 0.01],
    }
    assert asked(space) == [
        {"name": "learning_rate", "min_value": 1e-5, "max_value": 1e-3, "sampling": "log"},
        {"name": "batch_size", "min_value": 16, "max_value": 64, "step": 16, "sampling": "linear"},
        {"name": "warmup", "max_value": 0.2, "sampling": "linear"},
        {"name": "epochs", "min_value": 1, "max_value": 3, "step": 1, "sampling": "linear"},
        {"name": "pooling", "values": ["mean", "cls"]},
        {"name": "lora_rank", "values": ["null", "8"]},
        {"name": "matryoshka.dims", "values": ["[]", "[16, 8]"]},
        {"name": "drop_remainder", "values": ["true", "false"]},
        {"name": "weight_decay", "values": [0.0, 0.01], "ordered": True},
    ]
    assert SearchSpace(space).names == tuple(space)


def test_values_come_back_as_they_were_given() -> None:
    space = SearchSpace({"lora_rank": [None, 8], "matryoshka.dims": [[16, 8], []], "loss": [{"name": "cosent"}]})
    hp = space.hp.copy()
    hp.values = {"lora_rank": "8", "matryoshka.dims": "[16, 8]", "loss": '{"name": "cosent"}'}
    assert space.values(hp) == {"lora_rank": 8, "matryoshka.dims": [16, 8], "loss": {"name": "cosent"}}
    hp.values["lora_rank"] = "null"
    assert space.values(hp)["lora_rank"] is None
    assert space.choices("lora_rank") == [None, 8]
    assert space.choices("loss") == [{"name": "cosent"}]
    assert space.choices("epochs") == []


def test_a_function_may_compute_values_and_have_conditions() -> None:
    def space(hp: Any) -> dict[str, Any]:
        batch_size = hp.Choice("batch_size", [16, 32])
        loss = hp.Choice("loss", ["in_batch_softmax", "triplet"])
        values = {"batch_size": batch_size, "learning_rate": batch_size * 1e-5, "loss": loss}
        with hp.conditional_scope("loss", ["triplet"]):
            if loss == "triplet":
                values["loss.margin"] = hp.Float("loss.margin", 1.0, 5.0)
        return values

    made = SearchSpace(space)
    assert made.names == ("batch_size", "learning_rate", "loss", "loss.margin")
    assert [one.name for one in made.hp.space] == ["batch_size", "loss", "loss.margin"]
    hp = made.hp.copy()
    hp.values = {"batch_size": 32, "loss": "in_batch_softmax"}
    assert made.values(hp) == {"batch_size": 32, "learning_rate": 32e-5, "loss": "in_batch_softmax"}
    hp.values = {"batch_size": 16, "loss": "triplet", "loss.margin": 2.0}
    assert made.values(hp)["loss.margin"] == 2.0


def test_a_function_that_gives_nothing_means_what_it_asked_for() -> None:
    assert SearchSpace(lambda hp: hp.Int("epochs", 1, 3) and None).names == ("epochs",)


def test_an_epoch_that_no_trial_may_have_is_told_when_the_function_is_asked() -> None:
    with pytest.raises(InputError, match="`epochs` of the space: `epochs` must be a whole number of at least 1"):
        SearchSpace(lambda hp: {"epochs": hp.Int("half", 1, 3) - 1})


@pytest.mark.parametrize(("space", "message"), [
    ({}, "must hold at least one hyperparameter. Received: none"),
    (lambda hp: {}, "must hold at least one hyperparameter. Received: none"),
    (7, "`space` must be a dict of names and their values, or a function of hp. Received: int"),
    (lambda hp: [hp.Int("epochs", 1, 2)], "must give a dict of values by name, or None. Received: list"),
    ({"learning_rte": [1e-5]}, "`space` must name hyperparameters. Received: 'learning_rte'. Expected one of: learn"),
    ({7: [1e-5]}, "`space` must name hyperparameters. Received: 7"),
    ({"mining.negatives": [1]}, "Received: 'mining.negatives'. Those of mining: mining.num_negatives, "),
    ({"shrink.": [1]}, "`space` must name hyperparameters. Received: 'shrink.'"),
    (lambda hp: {"scale": hp.Int("loss.scale", 10, 20)}, "must name hyperparameters. Received: 'scale'"),
    ({"epochs": []}, "`epochs` of the space must have at least one choice"),
    ({"epochs": 3}, "`epochs` of the space must be a list of choices, or a range"),
    ({"epochs": (1,)}, "`epochs` of the space must be a list of choices, or a range"),
    ({"epochs": (1, 2, 1, "linear", 0)}, "`epochs` of the space must be a list of choices, or a range"),
    ({"epochs": {"min": 1}}, "`epochs` of the space must be a list of choices, or a range: Range\\(min, max\\)"),
    ({"batch_size": (16, 32, 64)}, "`batch_size` of the space: `step` .* its width, 16 .*write a list for"),
    ({"batch_size": [8, 16, 8]}, "`batch_size` of the space must not have a choice twice"),
    ({"weight_decay": [0, 0.0]}, "`weight_decay` of the space must not have a choice twice"),
    (lambda hp: hp.Choice("epochs", [2, 2]) and None, "`epochs` of the space must not have a choice twice"),
    ({"loss": [Triplet(), "cosent"]}, "`loss` of the space must hold numbers, words .*Give losses as names or dicts"),
    (lambda hp: {"epochs": hp.Int("epochs", 1, 2), "loss": Triplet()}, "`loss` of the space must hold numbers, words"),
    ({"epochs": (3, 1)}, "`epochs` of the space: `min` of a range must not be above `max`"),
    ({"epochs": [1, 0]}, "`epochs` of the space: `epochs` must be a whole number of at least 1. Received: epochs=0"),
    ({"batch_size": (8.0, 16.0)}, "`batch_size` of the space: `batch_size` must be a whole number"),
    ({"learning_rate": Range(1e-5, 2.0)}, "`learning_rate` of the space: .*Received: learning_rate=2.0"),
    ({"loss": ["softmax"]}, "`loss` of the space: .*softmax"),
    ({"loss.scale": [None]}, "`loss.scale` of the space: Expected a number or a word"),
    ({"pooling": ["median"]}, "`pooling` of the space: Expected one of cls, .*Received: 'median'"),
    ({"mining.num_negatives": [-1]}, "`mining.num_negatives` of the space: .*num_negatives=-1"),
    ({"shrink.layers": [0]}, "`shrink.layers` of the space: .*layers=0"),
    ({"matryoshka.dims": [[8, 8]]}, "`matryoshka.dims` of the space: .*must not have a width twice"),
])  # fmt: skip
def test_bad_spaces_are_named(space: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SearchSpace(space)


@pytest.mark.parametrize(("arguments", "message"), [
    (("a", 2), "`min` of a range must be a finite number. Received: min='a'"),
    ((0, 2.0, None, "log"), "`min` of a range must be above 0 with sampling='log'"),
    ((1, 8, 1, "log"), "`step` of a range must be above 1 with sampling='log'"),
    ((1, 8, 0), "`step` of a range must be above 0 with sampling='linear'"),
    ((1, 8, 8), "`step` of a range must not be above its width, 7 with sampling='linear'"),
    ((2, 8, 5, "log"), "`step` of a range must not be above its width, 4 with sampling='log'"),
    ((1, 8, 0.5), "`step` of a range of whole numbers must be whole, too. Received: step=0.5"),
    ((1, 8, None, "cubic"), "`sampling` of a range must be one of linear, log, reverse_log"),
])  # fmt: skip
def test_bad_ranges_are_named(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Range(*arguments)


def test_a_step_as_wide_as_the_range_is_one() -> None:
    assert (Range(1, 8, 7).step, Range(2, 8, 4, "log").step) == (7, 4)


def test_values_of_another_branch_do_not_count() -> None:
    def space(hp: Any) -> None:
        if hp.Choice("loss", ["in_batch_softmax", "triplet"]) == "triplet":
            hp.Float("loss.margin", 1.0, 5.0)
        else:
            hp.Float("loss.scale", 10.0, 20.0)

    made = SearchSpace(space)
    hp = made.hp.copy()
    hp.values = {"loss": "triplet", "loss.margin": 2.0, "loss.scale": 15.0, "tuner/epochs": 3}
    assert made.values(hp) == {"loss": "triplet", "loss.margin": 2.0}
    assert set(made.names) == {one.name for one in made.hp.space} == {"loss", "loss.margin", "loss.scale"}
    assert made.always == ("loss",)


def test_none_of_a_plain_hyperparameter_is_a_value_and_of_a_closed_condition_is_none() -> None:
    def space(hp: Any) -> dict[str, Any]:
        low = hp.Boolean("low")
        with hp.conditional_scope("low", [True]):
            epochs = hp.Int("epochs", 1, 3)
        return {"lora_rank": 8 if low else None, "epochs": epochs}

    made = SearchSpace(space)
    hp = made.hp.copy()
    hp.values = {"low": False}
    assert made.values(hp) == {"lora_rank": None}
    hp.values = {"low": True, "epochs": 2}
    assert made.values(hp) == {"lora_rank": 8, "epochs": 2}
    assert made.always == ("lora_rank",)


def test_losses_that_are_constant_or_computed_are_seen() -> None:
    datasets = read_datasets([("a", "b")])
    for function in (
        lambda hp: {"loss": {"name": "triplet"}, "loss.margin": hp.Float("loss.margin", 1.0, 2.0)},
        lambda hp: hp.Fixed("loss", "triplet") and hp.Float("loss.margin", 1.0, 2.0) and None,
        lambda hp: {"loss": ("cosent", "triplet")[hp.Choice("which", [0, 1])], "loss.margin": 1.0},
    ):
        made = SearchSpace(function)
        check_losses(made.names, datasets, made.choices("loss"))
        assert made.choices("loss")[-1] in ("triplet", {"name": "triplet"})
    made = SearchSpace(lambda hp: {"loss": "triplet", "loss.scale": hp.Int("loss.scale", 10, 20)})
    with pytest.raises(InputError, match="`loss.scale` of the space must be an argument of a loss that is used"):
        check_losses(made.names, datasets, made.choices("loss"))


def test_numpys_numbers_are_pythons() -> None:
    space = {"batch_size": list(np.array([8, 16])), "lora_rank": [None, np.int64(4)], "warmup": (np.float32(0), 0.5)}
    made = SearchSpace(space)
    assert made.choices("batch_size") == [8, 16]
    assert made.choices("lora_rank") == [None, 4]
    assert asked(space)[0] == {"name": "batch_size", "values": [8, 16], "ordered": True}
