"""A canary by numbers of pods: the share, what is added to the live version, and what stands still meanwhile."""

import pytest

from tests.deployment.targets.kubernetes.plans import make_case
from tests.deployment.targets.kubernetes.strategic_merge import build
from tests.deployment.targets.published_schemas import check_manifest
from tfchain.core.errors import InputError
from tfchain.deployment.targets.kubernetes import canary
from tfchain.deployment.targets.kubernetes.canary import (
    ReplicaSplit,
    make_canary_manifests,
    make_canary_overlay,
    split_replicas,
)
from tfchain.deployment.targets.kubernetes.kustomize import make_kustomize


@pytest.mark.parametrize(
    ("percent", "replicas", "split"),
    [
        (50, 2, ReplicaSplit(2, 2)),
        (10, 2, ReplicaSplit(8, 1)),  # 1 of 9 is 11.1 %; 1 of 8 would be 12.5 %
        (25, 3, ReplicaSplit(3, 1)),
        (33, 4, ReplicaSplit(4, 2)),
        (5, 14, ReplicaSplit(14, 1)),
    ],
)
def test_the_fewest_pods_give_the_share(percent: int, replicas: int, split: ReplicaSplit) -> None:
    assert split_replicas(percent, replicas=replicas, most=20) == split
    assert abs(split.percent - percent) <= 2


def test_a_share_that_needs_too_many_pods_is_refused_with_one_that_does_not() -> None:
    with pytest.raises(InputError) as caught:
        split_replicas(1, replicas=2, most=10)

    assert str(caught.value) == (
        "A canary of 1 % needs more than 10 pods, each of which takes as many requests. Received: replicas=2, "
        "max_replicas=10. Give a larger max_replicas, or canary=10, which 9 + 1 pods give; the target kserve splits by "
        "request."
    )
    with pytest.raises(InputError, match="Give a larger max_replicas; the target kserve"):
        split_replicas(10, replicas=10, most=10)


def test_many_pods_are_not_tried_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(canary, "ReplicaSplit", lambda *pods: made.append(pods) or ReplicaSplit(*pods))
    assert split_replicas(50, replicas=2, most=20_000) == ReplicaSplit(2, 2)
    assert len(made) == 3  # 2 + 1, then 3 + 1 and 2 + 2


def test_the_canary_is_beside_the_live_pods_which_stay_as_they_are() -> None:
    plan = make_case(canary=10)
    live = build(make_kustomize(plan), "overlays/prod")
    canary = build(make_canary_overlay(plan), "overlays/canary")

    assert set(canary) == {
        ("ConfigMap", "docs-canary-config"),
        ("Deployment", "docs-canary"),
        ("HorizontalPodAutoscaler", "docs"),
    }
    deployment = canary["Deployment", "docs-canary"]
    assert deployment["spec"]["replicas"] == 1
    assert deployment["metadata"]["namespace"] == "docs"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert live["Service", "docs"]["spec"]["selector"].items() <= labels.items()
    # The live Deployment's pods are not the canary's: its selector does not fit them.
    assert not live["Deployment", "docs"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    # What is deleted at the end by its label is the canary's alone.
    labelled = {place for place, each in canary.items() if each["metadata"]["labels"].get("tfchain/track") == "canary"}
    assert labelled == {("ConfigMap", "docs-canary-config"), ("Deployment", "docs-canary")}
    assert all(each["metadata"]["labels"].get("tfchain/track") != "canary" for each in live.values())
    scaler = canary["HorizontalPodAutoscaler", "docs"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (8, 8)
    assert scaler["scaleTargetRef"]["name"] == "docs"


def test_kubernetes_takes_the_canary() -> None:
    for case in ("image", "s3"):
        for manifest in make_canary_manifests(make_case(case), ReplicaSplit(9, 1)).values():
            check_manifest(manifest)
