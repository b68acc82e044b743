"""The check of manifests itself: it finds what is wrong, and says where."""

from typing import Any

import pytest

from tests.jobs.api_checker import check_manifest

GOOD = {
    "displayName": "a",
    "jobSpec": {"workerPoolSpecs": [{"machineSpec": {"acceleratorType": "NVIDIA_L4"}, "replicaCount": "1"}]},
}


def with_pool(**values: Any) -> dict[str, Any]:
    return {"displayName": "a", "jobSpec": {"workerPoolSpecs": [values]}}


def test_what_is_right_passes() -> None:
    check_manifest(GOOD, "CustomJob")
    check_manifest({"metadata": {"name": "a"}, "spec": {"suspend": False}}, "JobSet")


@pytest.mark.parametrize(
    ("api", "value", "words"),
    [
        ("CustomJob", {"displayName": "a"}, "CustomJob lacks ['jobSpec']"),
        ("CustomJob", with_pool(replica_count=1), "workerPoolSpecs[0] has no field replica_count"),
        ("CustomJob", with_pool(replicaCount="one"), "replicaCount must be a whole number"),
        ("CustomJob", with_pool(machineSpec={"acceleratorType": "GPU"}), "acceleratorType must be one of"),
        ("CustomJob", with_pool(machineSpec={"acceleratorCount": True}), "acceleratorCount must be integer"),
        ("CustomJob", with_pool(containerSpec={"imageUri": "a", "args": "train"}), "args must be a list"),
        ("CustomJob", with_pool(nfsMounts=[{}]), "NfsMount, which the tables leave out"),
        ("JobSet", {"spec": {"replicatedJobs": [{"name": "a"}]}}, "replicatedJobs[0] lacks ['template']"),
        ("JobSet", {"spec": {"network": {"subdomain": 5}}}, "network.subdomain must be string"),
        ("JobSet", {"metadata": {"labels": ["a"]}}, "metadata.labels must be a mapping"),
        ("TFJob", {"spec": {"tfReplicaSpecs": {}}}, "spec lacks ['runPolicy']"),
    ],
)
def test_what_is_wrong_is_named(api: str, value: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_manifest(value, api)

    assert words in str(caught.value)
