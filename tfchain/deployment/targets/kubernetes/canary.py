"""A canary by numbers of pods: two Deployments behind one Service, which sends each pod as many connections."""

from dataclasses import dataclass, replace

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.deployment.targets.artefact import Artefact
from tfchain.deployment.targets.kubernetes.kustomize import make_folder
from tfchain.deployment.targets.kubernetes.manifests import (
    Manifest,
    make_autoscaler,
    make_config,
    make_deployment,
)
from tfchain.deployment.targets.kubernetes.plan import CANARY, STABLE, ClusterPlan
from tfchain.deployment.targets.platform_values import check_percent

TOLERANCE = 2.0  # percentage points between the share asked for and the share that pods give


@dataclass(frozen=True)
class ReplicaSplit:
    """Pods of the live version and of the new one.

    Args:
        stable: Pods of the live version.
        canary: Pods of the new version.
    """

    stable: int
    canary: int

    @property
    def percent(self) -> float:
        """The new version's share of the pods, and so of the connections, in percent."""
        return 100 * self.canary / (self.stable + self.canary)


def split_replicas(percent: int, *, replicas: int, most: int) -> ReplicaSplit:
    """Finds the fewest pods that give the new version its share of the requests.

    Args:
        percent: The share of the new version, 1 to 50.
        replicas: The pods of the live version that the load needs; it gets at least so many.
        most: The most pods of both together.

    Raises:
        InputError: if no number of pods up to `most` is within two points of the share.

    Example:
        split_replicas(10, replicas=2, most=10)  # ReplicaSplit(stable=8, canary=1): 11.1 %
    """
    check_percent("canary", percent, least=1, most=50)
    check_whole_number("replicas", replicas)
    nearest: ReplicaSplit | None = None
    for total in range(replicas + 1, most + 1):
        for canary in range(1, total - replicas + 1):
            split = ReplicaSplit(total - canary, canary)
            if abs(split.percent - percent) <= TOLERANCE:
                return split
            if nearest is None or abs(split.percent - percent) < abs(nearest.percent - percent):
                nearest = split
    advice = (
        f", or canary={round(nearest.percent)}, which {nearest.stable} + {nearest.canary} pods give" if nearest else ""
    )
    raise InputError(
        f"A canary of {percent} % needs more than {most} pods, each of which takes as many requests. Received: "
        f"replicas={replicas}, max_replicas={most}. Give a larger max_replicas{advice}; the target kserve splits by "
        "request.",
        argument="canary",
    )


def make_canary_manifests(plan: ClusterPlan, split: ReplicaSplit) -> dict[str, Manifest]:
    """Makes what a canary adds to a live version: the new version's pods, and the autoscaler held at the live number.

    The autoscaler must stand still meanwhile: more pods of the live version would make the new one's share smaller.

    Args:
        plan: The plan of the new version.
        split: The pods of both.

    Returns:
        File's name without ending → manifest. The overlay prod of the live version, applied again, ends the canary's
        hold; what has the label `tfchain/track=canary` is then deleted.
    """
    canary = replace(plan, track=CANARY)
    stable = replace(plan, track=STABLE)
    manifests = {"deployment": make_deployment(canary, replicas=split.canary)}
    if canary.files:
        manifests = {"config": make_config(canary), **manifests}
    return {**manifests, "autoscaler": make_autoscaler(stable, least=split.stable, most=split.stable)}


def make_canary_overlay(plan: ClusterPlan) -> tuple[Artefact, ...]:
    """Makes the overlay `canary`, which is applied while an older version is live.

    Raises:
        InputError: if the share cannot be had with the most pods allowed.
    """
    options = plan.options
    split = split_replicas(options.canary, replicas=options.replicas, most=options.max_replicas)
    manifests = make_canary_manifests(plan, split)
    resources = {"namespace": plan.namespace, "resources": [f"{name}.yaml" for name in manifests]}
    return make_folder("overlays/canary", resources, manifests)
