"""The options of Kubernetes: each wrong value is one clear error that names the option."""

from typing import Any

import pytest

from tests.deployment.targets.kubernetes.plans import CASES
from tfchain.core.errors import InputError
from tfchain.deployment.targets.kubernetes.options import KubernetesOptions
from tfchain.deployment.targets.options import make_options


@pytest.mark.parametrize("case", CASES)
def test_the_cases_are_taken(case: str) -> None:
    KubernetesOptions(**CASES[case])


def test_the_command_lines_texts_are_read() -> None:
    texts = {"image": "a/b:1", "replicas": "3", "client-namespaces": "web, batch", "canary": "10"}
    options = make_options("kubernetes", KubernetesOptions, texts)

    assert (options.replicas, options.client_namespaces, options.canary) == (3, ("web", "batch"), 10)


@pytest.mark.parametrize(
    ("changes", "option", "words"),
    [
        ({"image": ""}, "image", "must name the image with the version in it"),
        ({"image": "docs"}, "image", "must have a tag other than latest"),
        (
            {"server": "own", "image": "", "model": "gs://bucket"},
            "image",
            "must name the image of tfchain's server",
        ),
        ({"name": "Docs"}, "name", "lower-case letters"),
        ({"name": "a" * 41}, "name", "at most 40 characters"),
        ({"namespace": "a" * 60}, "namespace", "at most 59 characters"),
        ({"client_namespaces": ("web", "Batch")}, "client_namespaces", "lower-case letters"),
        ({"model": "/models"}, "model", "must be image or pvc://claim/models/docs"),
        ({"server": "triton"}, "server", "must be one of stock, own"),
        ({"engine": "onnx"}, "engine", "must be one of auto, native"),
        ({"loader_image": "rclone/rclone"}, "loader_image", "must have a tag"),
        ({"replicas": 0}, "replicas", "must be a whole number of at least 1"),
        ({"replicas": 5, "max_replicas": 4}, "max_replicas", "at least 5"),
        ({"cpu": "two"}, "cpu", "must be a quantity"),
        ({"memory": "4GB"}, "memory", "must be a quantity"),
        ({"cpu_percent": 0}, "cpu_percent", "from 1 to 100"),
        ({"canary": 60}, "canary", "from 0 to 50"),
        ({"requests_per_second": -1}, "requests_per_second", "at least 0"),
        ({"service_account": "A/B"}, "service_account", "must be the name of an object"),
        ({"server": "own", "batching": True}, "batching", "is for server=stock"),
        ({"region": "eu-central-1"}, "region", "must be the region of an s3:// bucket"),
        ({"model": "s3://bucket", "region": "a,b"}, "region", "such as eu-central-1"),
        ({"credentials_secret": "keys"}, "credentials_secret", "is for a bucket"),
        ({"api_key_secret": "keys"}, "api_key_secret", "is for server=own"),
    ],
)
def test_a_value_that_the_cluster_would_refuse_is_an_error(changes: dict[str, Any], option: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        KubernetesOptions(**{**CASES["image"], **changes})

    assert words in str(caught.value)
    assert caught.value.argument == option
