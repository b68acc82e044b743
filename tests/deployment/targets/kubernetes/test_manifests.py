"""The objects around the pods: Kubernetes' own schemas take them, and they fit each other."""

from typing import Any

import pytest
import yaml

from tests.deployment.targets.kubernetes.plans import CASES, make_case
from tests.deployment.targets.published_schemas import check_manifest
from tests.deployment.targets.served_versions import make_served_version
from tfchain.deployment.server.metrics.serving import ServingMetrics
from tfchain.deployment.targets.kubernetes.manifests import (
    RATE_METRIC,
    make_adapter_rules,
    make_autoscaler,
    make_deployment,
    make_manifests,
    make_network_policy,
    make_service,
    make_service_monitor,
)
from tfchain.deployment.targets.kubernetes.options import KubernetesOptions
from tfchain.deployment.targets.kubernetes.plan import CANARY, make_plan


@pytest.mark.parametrize("case", CASES)
def test_several_releases_of_kubernetes_take_the_manifests(case: str) -> None:
    for manifest in make_manifests(make_case(case)).values():
        check_manifest(manifest)


def test_a_field_that_kubernetes_does_not_have_would_be_noticed() -> None:
    manifests = make_manifests(make_case())
    deployment, monitor = manifests["deployment"], manifests["service-monitor"]
    deployment["spec"]["template"]["spec"]["containers"][0]["image_pull_policy"] = "Always"
    monitor["spec"]["endpoints"][0]["interval"] = "soon"

    for manifest in (deployment, monitor):
        with pytest.raises(Exception, match="Additional properties|does not match"):
            check_manifest(manifest)


def test_services_and_policies_find_the_pods_of_both_tracks() -> None:
    for track in ("stable", CANARY):
        plan = make_plan(make_served_version(), KubernetesOptions(**CASES["image"]), track=track)
        labels = make_deployment(plan)["spec"]["template"]["metadata"]["labels"]
        manifests = make_manifests(make_case())  # of the live version
        selectors = [
            manifests["service"]["spec"]["selector"],
            manifests["grpc-service"]["spec"]["selector"],
            manifests["network-policy"]["spec"]["podSelector"]["matchLabels"],
            manifests["disruption-budget"]["spec"]["selector"]["matchLabels"],
        ]
        assert all(selector.items() <= labels.items() for selector in selectors)
        selector = make_deployment(plan)["spec"]["selector"]["matchLabels"]
        assert selector == {"app.kubernetes.io/name": "docs", "tfchain/track": track}
        assert "app.kubernetes.io/version" not in selector  # which the next version changes; selectors never do


def test_the_monitor_finds_the_service_and_its_port() -> None:
    plan = make_case("s3")
    service, monitor = make_service(plan), make_service_monitor(plan)

    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"
    assert endpoint["authorization"]["credentials"] == {"name": "api-keys", "key": "metrics-key"}
    (stock,) = make_service_monitor(make_case())["spec"]["endpoints"]
    assert stock["path"] == "/monitoring/prometheus/metrics"
    config = make_manifests(make_case())["config"]["data"]["monitoring.pbtxt"]
    assert config == 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }\n'


def test_pods_are_added_by_processors_and_by_measured_requests() -> None:
    spec = make_autoscaler(make_case(), least=2, most=10)["spec"]

    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "docs"}
    processors, requests = spec["metrics"]
    assert processors["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    assert requests["pods"]["metric"] == {"name": RATE_METRIC}
    assert requests["pods"]["target"] == {"type": "AverageValue", "averageValue": "133"}
    assert make_autoscaler(make_case("pvc"))["spec"]["metrics"][1]["pods"]["target"]["averageValue"] == "40"
    unmeasured = make_plan(make_served_version(measurement=None), KubernetesOptions(**CASES["image"]))
    assert len(make_autoscaler(unmeasured)["spec"]["metrics"]) == 1


def test_the_adapter_reads_a_counter_that_the_server_exports() -> None:
    (rule,) = make_adapter_rules()["rules"]["custom"]
    names = {metric.name for metric in ServingMetrics().registry.metrics()}

    assert rule["name"] == {"as": RATE_METRIC}
    assert any(f'__name__="{name}"' in rule["seriesQuery"] for name in names)


def test_only_clients_and_prometheus_reach_the_pods_and_pods_reach_only_a_bucket() -> None:
    def reachable(case: str, **changes: Any) -> tuple[list[Any], list[Any]]:
        spec = make_network_policy(make_case(case, **changes))["spec"]
        return spec["ingress"], spec["egress"]

    (clients, prometheus), nowhere = reachable("image")
    assert clients["from"] == [{"podSelector": {}}]
    assert [port["port"] for port in clients["ports"]] == [8500, 8501]
    assert [port["port"] for port in prometheus["ports"]] == [8501]
    assert nowhere == []
    (others, _), bucket = reachable("s3")
    names = [each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for each in others["from"][1:]]
    assert names == ["web", "batch"]
    assert [[port["port"] for port in rule["ports"]] for rule in bucket] == [[53, 53], [443], [80, 988]]


def test_no_manifest_holds_a_secret() -> None:
    for case in CASES:
        for manifest in make_manifests(make_case(case)).values():
            assert manifest["kind"] != "Secret"
            assert "stringData" not in yaml.safe_dump(manifest)
