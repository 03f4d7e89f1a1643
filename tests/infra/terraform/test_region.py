"""What a caller notices of a region's settings: calls outlive deploys, sockets stay open, secrets stay secret."""

import re
from pathlib import Path
from typing import Any

import pytest

from repartee.app.aws.cloudwatch import latency_documents, metrics_document
from repartee.app.settings import Settings
from repartee.app.worker import WorkerState
from repartee.latency.kinds import ANSWERED_AT_ONCE, kind_of
from repartee.latency.timeline import STAGES
from repartee.telemetry.tally import TurnFigures

from .conftest import TERRAFORM, Resource


@pytest.fixture(scope="module")
def region(modules: dict[Path, list[Resource]]) -> dict[str, dict[str, Any]]:
    module = next(found for folder, found in modules.items() if folder.name == "region")
    return {f"{r.type}.{r.name}": r.body for r in module}


def worker_definition() -> str:
    return (TERRAFORM / "modules/region/service.tf").read_text()


def test_sockets_stay_open_and_calls_may_finish(region: dict[str, dict[str, Any]]) -> None:
    assert region["aws_lb.this"]["idle_timeout"] == 300
    group = region["aws_lb_target_group.this"]
    assert group["deregistration_delay"] == 3600
    check = group["health_check"][0]
    assert check["path"] == '"/readyz"'
    assert check["interval"] * check["unhealthy_threshold"] >= 60


def test_the_worker_drains_before_fargate_kills_it() -> None:
    text = worker_definition()
    stop = int(re.findall(r"stop_timeout_s = (\d+)", text)[0])
    assert stop == 120
    assert "stopTimeout            = local.stop_timeout_s" in text
    assert "REPARTEE_DRAIN_S   = tostring(local.stop_timeout_s - 10)" in text


def test_deploys_never_take_capacity_or_wait_for_calls(region: dict[str, dict[str, Any]]) -> None:
    service = region["aws_ecs_service.worker"]
    assert service["deployment_minimum_healthy_percent"] == 100
    assert service["deployment_maximum_percent"] == 200
    assert service["wait_for_steady_state"] is False
    assert service["availability_zone_rebalancing"] == '"DISABLED"'
    breaker = service["deployment_circuit_breaker"][0]
    assert (breaker["enable"], breaker["rollback"]) == (True, True)
    assert service["lifecycle"][0]["ignore_changes"] == ["desired_count"]


def test_the_autoscaler_follows_call_slots(region: dict[str, dict[str, Any]]) -> None:
    policy = region["aws_appautoscaling_policy.slots"]["target_tracking_scaling_policy_configuration"][0]
    assert (policy["scale_out_cooldown"], policy["scale_in_cooldown"]) == (30, 600)
    metric = policy["customized_metric_specification"][0]
    assert metric["metric_name"] == '"CallSlotsUsedPct"'
    assert metric["statistic"] == '"Average"'
    assert [d["name"] for d in metric["dimensions"]] == ['"Region"', '"Service"']


def test_workers_publish_what_alarms_and_the_autoscaler_read(region: dict[str, dict[str, Any]]) -> None:
    assert re.search(r'REPARTEE_CLOUDWATCH += "emf"', worker_definition())
    state = WorkerState(active=1, slots=2, ready=True, draining=False)
    published = metrics_document("us-east", state, TurnFigures((300.0,)), at_s=0)
    for alarm in ("worker", "unanswered"):
        assert region[f"aws_cloudwatch_metric_alarm.{alarm}"]["namespace"] == "${local.metrics.namespace}"
    alarms = (TERRAFORM / "modules/region/alarms.tf").read_text()
    read = set(re.findall(r'metric(?:_name)? += "(\w+)"', alarms)) - {"HealthyHostCount"}
    directive = published["_aws"]["CloudWatchMetrics"][0]
    assert {metric["Name"] for metric in directive["Metrics"]} == read
    assert f'namespace  = "{directive["Namespace"]}"' in alarms
    assert directive["Dimensions"] == [["Region", "Service"]]
    assert f'Service = "{published["Service"]}"' in alarms


def test_a_dashboard_has_the_percentiles_of_plain_turns_by_stage(region: dict[str, dict[str, Any]]) -> None:
    assert "local.latency_widgets" in region["aws_cloudwatch_dashboard.latency"]["dashboard_body"]
    words = (TERRAFORM / "modules/region/dashboard.tf").read_text()
    assert re.findall(r'percentiles = \["(\w+)", "(\w+)", "(\w+)"\]', words) == [("p50", "p90", "p99")]
    shown = set(re.findall(r'"(\w+Ms)"', words))
    plain: dict[str, tuple[float, ...]] = {
        stage: (1.0,) for stage in STAGES if stage not in ("tool", "filler")
    }
    [document] = latency_documents("us-east", TurnFigures((300.0,), stages_ms=plain), at_s=0)
    assert shown == {metric["Name"] for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert kind_of({"tool": 900.0}, None) not in ANSWERED_AT_ONCE, (
        "turns with tools stay out of it, and of the alarm"
    )


def test_each_regions_tasks_pull_from_its_own_registry(modules: dict[Path, list[Resource]]) -> None:
    [mirrors] = [r for r in modules[TERRAFORM / "bootstrap"] if r.type == "aws_ecr_replication_configuration"]
    assert "local.mirrors" in str(mirrors.body["replication_configuration"])
    main = (TERRAFORM / "main.tf").read_text()
    [(pattern, there)] = re.findall(r'image += replace\(var.image, "/(.+?)/", "(.+?)"\)', main)
    account = "123456789012.dkr.ecr"
    images = {
        f"{account}.us-east-1.amazonaws.com/repartee:1": f"{account}.eu-west-1.amazonaws.com/repartee:1",
        "ghcr.io/somebody/repartee:1": "ghcr.io/somebody/repartee:1",
    }
    for given, pulled in images.items():
        assert re.sub(pattern, there.replace("${each.value.aws_region}", "eu-west-1"), given) == pulled


def rules_of_tasks(region: dict[str, dict[str, Any]], direction: str) -> dict[str, dict[str, Any]]:
    prefix = f"aws_vpc_security_group_{direction}_rule."
    task = "${aws_security_group.task.id}"
    return {
        name.removeprefix(prefix): body
        for name, body in region.items()
        if name.startswith(prefix) and body["security_group_id"] == task
    }


def test_only_the_balancer_and_other_workers_reach_a_workers_http(region: dict[str, dict[str, Any]]) -> None:
    rules = rules_of_tasks(region, "ingress")
    media = rules.pop("task_webrtc")
    scraper = rules.pop("task_metrics")
    assert (scraper["count"], scraper["cidr_ipv4"]) == (
        "${var.scrape_from_vpc ? 1 : 0}",
        "${aws_vpc.this.cidr_block}",
    )
    variables = (TERRAFORM / "variables.tf").read_text()
    asked_for = variables.partition('variable "scrape_from_vpc"')[2].partition("}")[0]
    assert re.search(r"default += false", asked_for), "nobody inside either, unless asked for"
    assert {name: rule["referenced_security_group_id"] for name, rule in rules.items()} == {
        "task_from_balancer": "${aws_security_group.balancer.id}",
        "task_from_tasks": "${aws_security_group.task.id}",
    }
    assert not [rule for rule in rules.values() if "cidr_ipv4" in rule]
    assert {rule["from_port"] for rule in rules.values()} == {"${local.port}"}
    assert media["from_port"] == media["to_port"] == "${var.webrtc.port}", "callers reach this port alone"


def test_callers_media_comes_by_udp_and_by_ice_tcp(region: dict[str, dict[str, Any]]) -> None:
    media = rules_of_tasks(region, "ingress")["task_webrtc"]
    assert media["for_each"] == '${toset(["udp", "tcp"])}'
    assert (media["ip_protocol"], media["cidr_ipv4"]) == ("${each.key}", '"0.0.0.0/0"')
    out = rules_of_tasks(region, "egress")
    assert out["task_stun"]["ip_protocol"] == '"udp"'
    assert out["task_to_tasks"]["referenced_security_group_id"] == "${aws_security_group.task.id}"
    words = worker_definition()
    for setting in ("WEBRTC_PORT ", "WEBRTC_STUN ", "WORKER_ADDRESS "):
        assert f"REPARTEE_{setting}" in words
    network = region["aws_ecs_service.worker"]["network_configuration"][0]
    assert network["assign_public_ip"] is True


def test_ports_are_the_same_everywhere() -> None:
    """The setting's default, Terraform's, Kubernetes' and the page on WebRTC."""
    port = str(Settings().webrtc_port)
    variables = (TERRAFORM / "variables.tf").read_text()
    assert re.findall(r"port = optional\(number, (\d+)\)", variables) == [port]
    manifest = (TERRAFORM.parent / "infra/kubernetes/components/webrtc/kustomization.yaml").read_text()
    assert set(re.findall(r"(?:hostPort|containerPort): (\d+)", manifest)) == {port}
    page = (TERRAFORM.parent / "docs/webrtc.md").read_text()
    ports = page.partition("## Ports")[2].partition("\n## ")[0]
    assert f"`REPARTEE_WEBRTC_PORT`, {port}" in ports


def test_secrets_reach_neither_state_nor_task_definition(region: dict[str, dict[str, Any]]) -> None:
    version = region["aws_secretsmanager_secret_version.worker"]
    assert "secret_string_wo" in version
    assert "secret_string" not in version
    for variables in ("variables.tf", "modules/region/variables.tf"):
        block = re.findall(r'variable "secrets" \{.*?\n\}', (TERRAFORM / variables).read_text(), re.S)[0]
        assert re.search(r"ephemeral\s+= true", block), variables


def test_regions_records_bypass_the_proxy(resources: list[Resource]) -> None:
    records = [r for r in resources if r.type == "cloudflare_dns_record"]
    assert len(records) == 2
    assert [str(r) for r in records if r.body["proxied"] is not False] == []


def test_iam_is_made_once_and_at_the_root(modules: dict[Path, list[Resource]]) -> None:
    with_iam = {folder.name for folder, found in modules.items() if any("_iam_" in r.type for r in found)}
    assert with_iam == {"terraform"}


def test_every_variable_and_output_is_described() -> None:
    bare = []
    for file in TERRAFORM.rglob("*.tf"):
        for kind, name, body in re.findall(r'(?ms)^(variable|output) "(\w+)" \{(.*?)^\}', file.read_text()):
            if "description" not in body:
                bare.append(f"{file.name}: {kind} {name}")
    assert bare == []
