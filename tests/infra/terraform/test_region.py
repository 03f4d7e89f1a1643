"""What a caller notices of a region's settings: calls outlive deploys, sockets stay open, secrets stay secret."""

import re
from pathlib import Path
from typing import Any

import pytest

from repartee.app.aws.cloudwatch import metrics_document
from repartee.app.worker import WorkerState
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


def test_only_the_balancer_reaches_a_worker(region: dict[str, dict[str, Any]]) -> None:
    rules = [
        body
        for name, body in region.items()
        if name.startswith("aws_vpc_security_group_ingress_rule.")
        and body["security_group_id"] == "${aws_security_group.task.id}"
    ]
    assert [rule["referenced_security_group_id"] for rule in rules] == ["${aws_security_group.balancer.id}"]
    assert "cidr_ipv4" not in rules[0]


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
