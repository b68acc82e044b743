"""Names, images and quantities of clusters and clouds: what is taken, and the error for what is not."""

import re

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.targets.platform_values import (
    check_image,
    check_label,
    check_object_name,
    check_percent,
    read_image_release,
    read_quantity,
    to_comment,
    to_label,
)

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize("name", ["docs", "docs-3", "a" * 63])
def test_a_label_is_taken(name: str) -> None:
    check_label("name", name)


@pytest.mark.parametrize("name", ["", "Docs", "3docs", "docs-", "docs_en", "docs.en", "a" * 64, "docs\n", "文档"])
def test_what_is_no_label_is_an_error(name: str) -> None:
    with pytest.raises(InputError, match="`name` must have lower-case letters, digits and - alone") as caught:
        check_label("name", name)

    assert f"Received: name={name!r}." in str(caught.value)
    assert caught.value.argument == "name"


def test_an_object_may_have_dots_but_no_slash() -> None:
    check_object_name("claim", "models.v2-a")
    for name in ("Models", "a/b", "a..b", ".a", ""):
        with pytest.raises(InputError, match="`claim` must be the name of an object"):
            check_object_name("claim", name)


@pytest.mark.parametrize(
    ("model", "label"),
    [("docs", "docs"), ("Docs_EN", "docs-en"), ("7b", "model-7b"), ("--a--", "a"), ("a" * 50, "a" * 40)],
)
def test_a_models_name_becomes_a_label(model: str, label: str) -> None:
    assert to_label(model, longest=40) == label
    check_label("name", label, longest=40)


def test_a_model_without_a_letter_needs_a_name() -> None:
    with pytest.raises(InputError, match="Give the option `name`"):
        to_label("文档")


@pytest.mark.parametrize(
    ("image", "release"),
    [
        ("tensorflow/serving:2.20.0", "2.20"),
        ("tensorflow/serving:2.8.4-gpu", "2.8"),
        ("localhost:5000/a/b:3", None),
        (f"registry.example.com/docs@{DIGEST}", None),
        (f"registry.example.com/docs:2.20.0@{DIGEST}", "2.20"),
        ("europe-docker.pkg.dev/p-1/models/docs_x:v3", None),
    ],
)
def test_an_image_with_a_tag_or_a_digest_is_taken(image: str, release: str | None) -> None:
    check_image("image", image)
    assert read_image_release(image) == release


@pytest.mark.parametrize("image", ["tensorflow/serving", "tensorflow/serving:latest", "localhost:5000/docs"])
def test_an_image_that_may_change_is_an_error(image: str) -> None:
    with pytest.raises(InputError, match="must have a tag other than latest, or a digest"):
        check_image("image", image)


@pytest.mark.parametrize("image", ["", "a b:1", "UPPER/case:1", "docs:", "docs@sha256:abc", "https://a/b:1", "-a:1"])
def test_what_names_no_image_is_an_error(image: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"Received: image={image!r}.")):
        check_image("image", image)


def test_quantities_are_numbers() -> None:
    assert float(read_quantity("cpu", "500m")) == 0.5
    assert read_quantity("memory", "1.5Gi") == 1_610_612_736
    assert read_quantity("memory", "2M") == 2_000_000
    for text in ("", "two", "-1", "0", "1 Gi", "4gb"):
        with pytest.raises(InputError, match="`memory` must be a quantity above zero"):
            read_quantity("memory", text)


def test_a_percentage_is_whole_and_in_its_range() -> None:
    check_percent("canary", 10)
    for value in (-1, 101, 1.5, True, "10"):
        with pytest.raises(InputError, match="`canary` must be a whole percentage from 0 to 100"):
            check_percent("canary", value)  # type: ignore[arg-type]


def test_what_a_versions_files_say_is_one_plain_line_of_a_comment() -> None:
    assert to_comment("AMD EPYC (avx2), 2.4 GHz") == "AMD EPYC (avx2), 2.4 GHz"
    assert to_comment("Xeon\n[Service]\r\nExecStartPre=/bin/x {{ .Files }} $(id) `id` \\") == (
        "Xeon Service ExecStartPre /bin/x .Files (id) id"
    )
