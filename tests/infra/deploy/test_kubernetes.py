"""The manifests for a cluster: they build, and mean the same as the Terraform module."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.programs import program

from .conftest import INFRA, ROOT

KUBERNETES = INFRA / "kubernetes"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())


@cache
def built(overlay: str) -> dict[str, dict[str, Any]]:
    """The overlay's objects by kind, as kubectl would apply them."""
    kubectl = program("kubectl", "Debian's package kubernetes-client has it")
    done = subprocess.run(
        [kubectl, "kustomize", KUBERNETES / "overlays" / overlay], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {item["kind"]: item for item in yaml.safe_load_all(done.stdout)}


def base(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((KUBERNETES / "base" / f"{name}.yaml").read_text())
    return document


def test_every_enabled_region_has_an_overlay() -> None:
    regions = json.loads((INFRA / "regions.json").read_text())["regions"]
    assert {region["name"] for region in regions if region["enabled"]} == set(OVERLAYS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_agrees_with_the_region_table(overlay: str) -> None:
    regions = json.loads((INFRA / "regions.json").read_text())["regions"]
    region = next(region for region in regions if region["name"] == overlay)
    objects = built(overlay)
    settings = objects["ConfigMap"]["data"]
    assert settings["REPARTEE_REGION"] == overlay
    assert objects["HTTPRoute"]["spec"]["hostnames"] == [region["host"]]
    pinned = {f"{vendor.upper()}_BASE_URL": url for vendor, url in region["providers"].items()}
    assert {name: value for name, value in settings.items() if name.endswith("_BASE_URL")} == pinned


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_builds_every_object(overlay: str) -> None:
    assert set(built(overlay)) == {
        "ServiceAccount", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler",
        "HTTPRoute", "NetworkPolicy",
    }  # fmt: skip
    container = built(overlay)["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"][0]["configMapRef"]["name"] == built(overlay)["ConfigMap"]["metadata"]["name"]


def test_a_worker_may_drain_as_long_as_its_longest_call() -> None:
    pod = base("deployment")["spec"]["template"]["spec"]
    for overlay in OVERLAYS:
        text = (KUBERNETES / "overlays" / overlay / "kustomization.yaml").read_text()
        drain = int(re.findall(r"REPARTEE_DRAIN_S=(\d+)", text)[0])
        assert drain + 30 <= pod["terminationGracePeriodSeconds"]


def test_a_deploy_never_takes_capacity() -> None:
    rolling = base("deployment")["spec"]["strategy"]["rollingUpdate"]
    assert rolling["maxUnavailable"] == 0
    assert "replicas" not in base("deployment")["spec"]


def test_workers_are_unprivileged_and_never_throttled() -> None:
    pod = base("deployment")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "cpu" not in container["resources"]["limits"]


def test_the_autoscaler_means_what_terraforms_means() -> None:
    spec = base("autoscaler")["spec"]
    assert spec["metrics"][0]["pods"]["target"]["averageValue"] == "60"
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 600
    assert spec["minReplicas"] == 2
    adapter = yaml.safe_load((KUBERNETES / "prometheus-adapter-values.yaml").read_text())
    assert adapter["rules"]["custom"][0]["name"]["as"] == spec["metrics"][0]["pods"]["metric"]["name"]


def test_the_page_is_reachable_and_metrics_stay_inside_the_cluster() -> None:
    matches = base("httproute")["spec"]["rules"][0]["matches"]
    found = {match["path"]["value"]: match["path"]["type"] for match in matches}
    assert found == {
        "/": "Exact",
        "/page": "PathPrefix",
        "/v1": "PathPrefix",
        "/healthz": "Exact",
        "/readyz": "Exact",
    }
    listener = (ROOT / "terraform" / "modules" / "region" / "balancer.tf").read_text()
    assert 'values = ["/", "/page/*", "/v1/*", "/healthz", "/readyz"]' in listener


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_schemas_accept_it(overlay: str, tmp_path: Path) -> None:
    validate = program("kubernetes-validate", "pip install kubernetes-validate")
    file = tmp_path / "objects.yaml"
    file.write_text("---\n".join(yaml.safe_dump(item) for item in built(overlay).values()))
    done = subprocess.run(
        [validate, "--strict", "--no-warn", file], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_webrtc_is_a_component_with_a_port_of_the_nodes(tmp_path: Path) -> None:
    """The overlay of a region with it builds, opens one port for UDP and ICE-TCP, and the schemas accept it."""
    kubectl = program("kubectl", "Debian's package kubernetes-client has it")
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes" / "overlays" / OVERLAYS[0]
    file = overlay / "kustomization.yaml"
    file.write_text(file.read_text() + "\ncomponents:\n  - ../../components/webrtc\n")
    done = subprocess.run([kubectl, "kustomize", overlay], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    objects = {item["kind"]: item for item in yaml.safe_load_all(done.stdout)}
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    opened = {(port["protocol"], port["hostPort"]) for port in container["ports"] if "hostPort" in port}
    assert opened == {("UDP", 3478), ("TCP", 3478)}
    known = [each["name"] for each in container["env"]]
    assert known.index("POD_IP") < known.index("REPARTEE_WORKER_ADDRESS"), "it is made from the other"
    from_anywhere = [
        port
        for rule in objects["NetworkPolicy"]["spec"]["ingress"]
        if {"ipBlock": {"cidr": "0.0.0.0/0"}} in rule["from"]
        for port in rule["ports"]
    ]
    assert from_anywhere == [{"protocol": "UDP", "port": 3478}, {"protocol": "TCP", "port": 3478}]
    validate = program("kubernetes-validate", "pip install kubernetes-validate")
    built_file = tmp_path / "objects.yaml"
    built_file.write_text(done.stdout)
    checked = subprocess.run(
        [validate, "--strict", "--no-warn", built_file], check=False, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
