"""Where pods find a version: addresses that are taken, and those that are not."""

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.targets.model_place import ModelPlace, read_model_place


def test_places_have_a_root_and_a_path() -> None:
    assert read_model_place("model", "image") == ModelPlace("image")
    assert read_model_place("model", "gs://bucket/models/docs/") == ModelPlace("gs", "bucket", "models/docs")
    assert read_model_place("model", "s3://bucket") == ModelPlace("s3", "bucket", "")
    assert read_model_place("model", "pvc://models.a/docs") == ModelPlace("pvc", "models.a", "docs")


def test_addresses_below_a_place_have_no_double_slash() -> None:
    assert read_model_place("model", "gs://bucket/models/docs").uri("3") == "gs://bucket/models/docs/3"
    assert read_model_place("model", "s3://bucket").uri("3") == "s3://bucket/3"
    assert read_model_place("model", "s3://bucket").uri() == "s3://bucket"
    assert read_model_place("model", "pvc://models").below("docs", "3") == "docs/3"


@pytest.mark.parametrize(
    "value",
    [
        *("", "saved_models/docs", "https://example.com/docs", "gs://", "gs://Bucket/docs", "gs://bucket//docs"),
        *(
            "s3://key:secret@bucket/docs",
            "gs://bucket/a?token=b",
            "s3://bucket/a b",
            "gs://bucket/../docs",
            "pvc:///docs",
        ),
    ],
)
def test_other_addresses_are_an_error_that_shows_the_possible(value: str) -> None:
    with pytest.raises(InputError, match="gs://bucket/models/docs or s3://bucket/models/docs") as caught:
        read_model_place("model", value)

    assert caught.value.argument == "model"


def test_a_target_may_take_some_of_them_only() -> None:
    with pytest.raises(InputError, match="`model` must be gs://bucket/models/docs, without"):
        read_model_place("model", "image", schemes=("gs",))
