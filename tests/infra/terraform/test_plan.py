"""The whole configuration, planned and applied by Terraform against stand-in providers (no AWS, no Cloudflare)."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import TERRAFORM, Terraform
from .standin_provider import StandinProvider, reattach, serve

SECRETS = {
    "CARTESIA_API_KEY": "secret-cartesia",
    "DEEPGRAM_API_KEY": "secret-deepgram",
    "OPENAI_API_KEY": "secret-openai",
    "REPARTEE_TICKET_KEY": "secret-0123456789abcdef0123456789abcdef",
}


@dataclass
class Deployment:
    """A copy of terraform/ beside its regions.json, its providers, and Terraform's words about it."""

    terraform: Terraform
    root: Path
    providers: dict[str, StandinProvider]
    env: dict[str, str]

    def run(self, *arguments: str, secrets: dict[str, str] = SECRETS, folder: str = "terraform") -> str:
        env = self.env | {"TF_VAR_secrets": json.dumps(secrets)}
        done = self.terraform.run(self.root / folder, *arguments, env=env)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        return done.stdout

    def plan(self, *options: str) -> str:
        return self.run("plan", "-input=false", "-no-color", "-var-file=example.tfvars", *options)

    def apply(self, *options: str, secrets: dict[str, str] = SECRETS) -> str:
        arguments = ["apply", "-auto-approve", "-input=false", "-no-color", "-var-file=example.tfvars"]
        return self.run(*arguments, *options, secrets=secrets)

    def enable(self, *names: str) -> None:
        file = self.root / "infra" / "regions.json"
        table = json.loads(file.read_text())
        for region in table["regions"]:
            region["enabled"] = region["name"] in names
        file.write_text(json.dumps(table))

    def given(self, type_: str) -> list[dict[str, Any]]:
        return [body for name, body in self.providers["aws"].given if name == type_]


@pytest.fixture(scope="module")
def deployment(
    terraform: Terraform, schema: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Both regions as shipped, applied."""
    root = tmp_path_factory.mktemp("deployment")
    shutil.copytree(
        TERRAFORM, root / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfvars.json")
    )
    (root / "infra").mkdir()
    shutil.copy(TERRAFORM.parent / "infra" / "regions.json", root / "infra")
    providers = {name: StandinProvider(name, schema) for name in ("aws", "cloudflare")}
    sources = {"aws": "hashicorp/aws", "cloudflare": "cloudflare/cloudflare"}
    # A socket's path is short, or it is none.
    with tempfile.TemporaryDirectory() as sockets:
        servers = [serve(provider, Path(sockets) / name) for name, provider in providers.items()]
        found = {sources[name]: Path(sockets) / name for name in providers}
        made = Deployment(terraform, root, providers, {"TF_REATTACH_PROVIDERS": reattach(os.getpid(), found)})
        try:
            made.run("init", "-input=false", "-no-color")
            made.enable("us-east", "eu-west")
            made.apply()
            yield made
        finally:
            for server in servers:
                server.stop(grace=None).wait()


def counts(plan: str) -> tuple[int, int, int]:
    """What a plan would add, change and destroy."""
    if "No changes." in plan:
        return (0, 0, 0)
    found = re.findall(r"Plan: (\d+) to add, (\d+) to change, (\d+) to destroy", plan)[0]
    return (int(found[0]), int(found[1]), int(found[2]))


def test_what_was_applied_stays_as_it_is(deployment: Deployment) -> None:
    assert counts(deployment.plan()) == (0, 0, 0)


def test_a_saved_plan_says_what_it_would_destroy_and_applies_with_the_secrets(deployment: Deployment) -> None:
    """The order of `make deploy`: plan, look, apply; the secrets are in the environment, and in no plan."""

    def deletions() -> list[str]:
        shown = json.loads(deployment.run("show", "-json", "deploy.tfplan"))
        assert not any(secret in json.dumps(shown) for secret in SECRETS.values())
        return [c["address"] for c in shown["resource_changes"] if c["change"]["actions"] == ["delete"]]

    deployment.enable("us-east")
    deployment.plan("-out=deploy.tfplan")
    assert any("eu-west" in address for address in deletions())
    deployment.enable("us-east", "eu-west")
    deployment.plan("-out=deploy.tfplan")
    assert not deletions()
    deployment.run("apply", "-input=false", "-no-color", "deploy.tfplan")
    deployment.apply()


def test_adding_a_region_changes_none_of_the_others(deployment: Deployment) -> None:
    deployment.enable("us-east", "eu-west", "ap-northeast")
    plan = deployment.plan()
    deployment.enable("us-east", "eu-west")
    added, changed, destroyed = counts(plan)
    assert added > 30
    assert (changed, destroyed) == (0, 0)
    touched = re.findall(r"# (\S+) will be", plan)
    assert [address for address in touched if "ap-northeast" not in address] == []


def test_removing_a_region_destroys_that_one_only(deployment: Deployment) -> None:
    deployment.enable("us-east")
    plan = deployment.plan()
    deployment.enable("us-east", "eu-west")
    added, changed, destroyed = counts(plan)
    assert destroyed > 30
    assert (added, changed) == (0, 0)
    assert [address for address in re.findall(r"# (\S+) will be", plan) if "eu-west" not in address] == []


def test_secrets_reach_secrets_manager_and_nothing_else(deployment: Deployment) -> None:
    versions = deployment.given("aws_secretsmanager_secret_version")
    assert [json.loads(version["secret_string_wo"]) for version in versions[:2]] == [SECRETS, SECRETS]
    kept = (deployment.root / "terraform" / "terraform.tfstate").read_text()
    assert [value for value in SECRETS.values() if value in kept] == []
    assert "secret-" not in deployment.plan()


def test_a_carriers_key_reaches_the_task_as_a_secret(deployment: Deployment) -> None:
    secrets = SECRETS | {"SIGNALWIRE_API_TOKEN": "secret-signalwire"}
    arguments = ["plan", "-input=false", "-no-color", "-var-file=example.tfvars"]
    plan = deployment.run(*arguments, f"-var=secret_names={json.dumps(sorted(secrets))}", secrets=secrets)
    [name] = set(re.findall(r'\+ name +(?:= )?"(SIGNALWIRE_\w+)"', plan)) or {plan[-3000:]}
    assert name == "SIGNALWIRE_API_TOKEN" and ":SIGNALWIRE_API_TOKEN::" in plan
    assert "secret-" not in plan


def test_a_rotated_secret_rolls_the_tasks_over(deployment: Deployment) -> None:
    plan = deployment.plan("-var=secrets_version=2")
    touched = {address.rsplit(".", 2)[-2] for address in re.findall(r"# (\S+) will be", plan)}
    assert touched == {"aws_secretsmanager_secret_version", "aws_ecs_task_definition"}


def test_a_task_is_told_its_region_its_slots_and_its_nearest_endpoints(deployment: Deployment) -> None:
    tasks = {}
    for body in deployment.given("aws_ecs_task_definition"):
        container = json.loads(body["container_definitions"])[0]
        environment = {item["name"]: item["value"] for item in container["environment"]}
        tasks[environment["REPARTEE_REGION"]] = (container, environment)
    assert set(tasks) == {"us-east", "eu-west"}
    container, environment = tasks["eu-west"]
    assert environment["REPARTEE_MAX_CALLS"] == "50"
    assert environment["REPARTEE_DRAIN_S"] == "110"
    assert environment["DEEPGRAM_BASE_URL"] == "https://api.eu.deepgram.com"
    assert environment["REPARTEE_PUBLIC_URL"] == "https://eu-west.voice.example.com"
    assert container["stopTimeout"] == 120
    assert container["readonlyRootFilesystem"] is True
    assert {secret["name"] for secret in container["secrets"]} == set(SECRETS)
    assert not set(SECRETS) & environment.keys()


def test_outputs_name_what_the_edge_needs(deployment: Deployment) -> None:
    table = json.loads(deployment.run("output", "-raw", "edge_regions_json"))
    assert [region["name"] for region in table["regions"]] == ["us-east", "eu-west"]
    outputs = json.loads(deployment.run("output", "-json", "regions"))
    assert outputs["us-east"]["session_url"] == "wss://us-east.voice.example.com/v1/voice/session"
    assert (outputs["us-east"]["min_tasks"], outputs["us-east"]["max_tasks"]) == (2, 7)


def test_a_load_that_the_floor_cannot_take_is_warned_of(deployment: Deployment) -> None:
    warned = deployment.plan("-var=scaling={arrivals_per_s=1}")
    assert "100 slots free, 240 needed" in " ".join(warned.split())


def test_bootstrap_plans(deployment: Deployment) -> None:
    deployment.run("init", "-input=false", "-no-color", folder="terraform/bootstrap")
    plan = deployment.run("plan", "-input=false", "-no-color", folder="terraform/bootstrap")
    assert counts(plan) == (6, 0, 0)
