"""Version labels."""

from pathlib import Path

import pytest

from tfchain.deployment.server.config import ModelConfig
from tfchain.deployment.server.labels import Labels
from tfchain.deployment.server.status import StatusError

REFUSAL = (
    "FAILED_PRECONDITION: Request to assign label to version 2 of model m, which is not currently available for "
    "inference"
)


def configured(**labels: int) -> dict[str, ModelConfig]:
    return {"m": ModelConfig("m", Path("/m"), labels=labels)}


def only_one(name: str, version: int) -> bool:
    return (name, version) == ("m", 1)


def test_a_label_is_found_after_it_was_set_and_only_for_its_model() -> None:
    labels = Labels()
    labels.replace(configured(stable=1))
    assert labels.find("m", "stable") == 1
    for name, label in (("m", "canary"), ("other", "stable")):
        with pytest.raises(StatusError) as caught:
            labels.find(name, label)
        assert str(caught.value) == f"INVALID_ARGUMENT: Unrecognized servable version label: {label}"


def test_labels_that_a_configuration_lacks_are_gone() -> None:
    labels = Labels()
    labels.replace(configured(stable=1, canary=2))
    labels.replace(configured(canary=1))
    assert labels.find("m", "canary") == 1
    with pytest.raises(StatusError):
        labels.find("m", "stable")


def test_a_label_must_point_to_a_version_that_answers() -> None:
    labels = Labels()
    labels.check(configured(stable=1), only_one)
    with pytest.raises(StatusError) as caught:
        labels.check(configured(stable=1, canary=2), only_one)
    assert str(caught.value) == REFUSAL


def test_where_it_is_allowed_new_labels_may_point_to_later_versions_and_labels_in_use_may_not() -> None:
    labels = Labels()
    labels.check(configured(canary=2), only_one, allow_unavailable=True)
    labels.replace(configured(stable=1, canary=2))
    labels.check(configured(stable=1, canary=2), only_one, allow_unavailable=True)  # where it is already
    with pytest.raises(StatusError) as caught:
        labels.check(configured(stable=2), only_one, allow_unavailable=True)
    assert str(caught.value) == REFUSAL
    labels.check(configured(canary=1), only_one, allow_unavailable=True)
