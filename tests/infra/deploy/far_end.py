"""What stands in for terraform, aws and docker at the far end of the command line.

Run as ``python far_end.py PROGRAM ARGUMENT...``; ``FAR_END`` names the file that holds what exists, in JSON. They
make nothing, are strict about arguments and order, and refuse what the real ones refuse: no credentials, a folder
that was not initialised, a variable without a value, an image that was not pushed, a tag that exists, a host outside
the zone, an option that they do not have.
"""

import json
import os
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

AWS_ACCOUNT = "123456789012"
REGISTRY = f"{AWS_ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
PASSWORD = "registry-password"
SECRET_NAMES = {"CARTESIA_API_KEY", "DEEPGRAM_API_KEY", "OPENAI_API_KEY", "REPARTEE_TICKET_KEY"}


def main() -> int:
    program, arguments = sys.argv[1], sys.argv[2:]
    path = Path(os.environ["FAR_END"])
    state = json.loads(path.read_text()) if path.exists() else {}
    state.setdefault("commands", []).append(" ".join([program, *arguments]))
    try:
        {"terraform": terraform, "aws": aws, "docker": docker}[program](state, arguments)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    finally:
        path.write_text(json.dumps(state))
    return 0


class Refusal(Exception):
    """What the real program would say."""


def need(condition: object, message: str) -> None:
    if not condition:
        raise Refusal(message)


def signed_in() -> None:
    need(
        os.environ.get("AWS_ACCESS_KEY_ID"),
        "Unable to locate credentials. You can configure credentials by ...",
    )


def aws(state: dict[str, Any], arguments: list[str]) -> None:
    signed_in()
    ecr = ["--region", "us-east-1"]
    match arguments:
        case ["sts", "get-caller-identity", "--output", "json"]:
            print(json.dumps({"Account": AWS_ACCOUNT, "Arn": "arn", "UserId": "id"}))
        case ["ecr", "describe-repositories", "--region", "us-east-1", "--repository-names", name, *form] if (
            form == ["--query", "repositories[0].repositoryUri", "--output", "text"]
        ):
            need(name == state.get("repository"), f"(RepositoryNotFoundException) {name} does not exist")
            print(f"{REGISTRY}/{name}")
        case ["ecr", "get-login-password", *options] if options == ecr:
            print(PASSWORD)
        case ["ecr", "describe-images", *options, "--repository-name", name, "--image-ids", tag] if (
            options == ecr
        ):
            need(name == state.get("repository"), f"(RepositoryNotFoundException) {name} does not exist")
            pushed = tag.removeprefix("imageTag=") in state.get("tags", [])
            need(pushed, "An error occurred (ImageNotFoundException) when calling DescribeImages")
        case _:
            raise Refusal(f"aws: error: argument command: invalid choice: {arguments}")


def docker(state: dict[str, Any], arguments: list[str]) -> None:
    match arguments:
        case ["buildx", "version"]:
            print("github.com/docker/buildx v0.20.0")
        case ["login", "--username", "AWS", "--password-stdin", registry]:
            need(registry == REGISTRY and sys.stdin.read().strip() == PASSWORD, "unauthorized: bad password")
            state["logged_in"] = True
        case ["buildx", "build", "--platform", "linux/arm64", "--file", file, "--tag", image, "--push", "."]:
            need(Path(file).exists(), f"failed to read {file}")
            need(state.get("logged_in"), "no basic auth credentials")
            repository, _, tag = image.rpartition(":")
            need(repository == f"{REGISTRY}/{state.get('repository')}", f"name unknown: {repository}")
            need(tag not in state.setdefault("tags", []), "tag is immutable and exists already")
            state["tags"].append(tag)
        case _:
            raise Refusal(f"docker: unknown command: {arguments}")


def terraform(state: dict[str, Any], arguments: list[str]) -> None:
    if arguments == ["version", "-json"]:
        print(json.dumps({"terraform_version": os.environ.get("FAR_END_TERRAFORM", "1.13.0")}))
        return
    signed_in()
    need(arguments[0].startswith("-chdir="), "no configuration files in this folder")
    folder, command = arguments[0].removeprefix("-chdir="), arguments[1:]
    need(list(Path(folder).glob("*.tf")), f"no configuration files in {folder}")
    initialised = state.setdefault("initialised", [])
    if command == ["init", "-input=false"]:
        if (Path(folder) / "backend.tf").exists():
            backend = hcl(Path(folder) / "backend.tf")["terraform"][0]["backend"][0]
            [bucket] = [text(value["bucket"]) for value in backend.values()]
            need(bucket == state.get("bucket"), f"S3 bucket {bucket} does not exist")
        initialised.append(folder)
        return
    need(folder in initialised, "Error: Inconsistent dependency lock file: please run terraform init")
    if folder.endswith("bootstrap"):
        bootstrap(state, command, Path(folder))
    else:
        regions(state, command, Path(folder))


def bootstrap(state: dict[str, Any], command: list[str], folder: Path) -> None:
    local = folder / "terraform.tfstate"
    match command:
        case ["apply", "-input=false", "-auto-approve"]:
            need(local.exists() or "bucket" not in state, "BucketAlreadyOwnedByYou: creating S3 Bucket")
            state |= {"repository": "repartee", "bucket": f"repartee-state-{AWS_ACCOUNT}"}
            local.touch()
        case ["output", "-raw", "image_repository"] if "repository" in state:
            print(f"{REGISTRY}/{state['repository']}", end="")
        case ["output", "-raw", "state_bucket"] if "bucket" in state:
            print(state["bucket"], end="")
        case _:
            raise Refusal(f"terraform: no such output, or usage: {command}")


def regions(state: dict[str, Any], command: list[str], folder: Path) -> None:
    match command:
        case ["plan", "-input=false", plan] if plan.startswith("-out="):
            wanted = planned(state, folder)
            (folder / plan.removeprefix("-out=")).write_text(json.dumps(wanted))
            print(f"Plan: {37 * len(wanted['hosts'])} to add, 0 to change, 0 to destroy.")
        case ["show", "-json", plan]:
            now = json.loads((folder / plan).read_text())["hosts"]
            gone = [name for name in state.get("hosts", {}) if name not in now]
            changes = [
                {"address": f"module.region[{name}]", "change": {"actions": ["delete"]}} for name in gone
            ]
            print(json.dumps({"format_version": "1.2", "resource_changes": changes}))
        case ["apply", "-input=false", plan]:
            need((folder / plan).exists(), f"Error: Failed to load {plan} as a plan file")
            secrets = given_secrets()
            state |= json.loads((folder / plan).read_text()) | {"secrets": secrets}
            if "namespace" not in state:
                state["namespace"] = create_namespace()
        case ["output", "-raw", "edge_kv_namespace_id"] if "namespace" in state:
            print(state["namespace"], end="")
        case _:
            raise Refusal(f"terraform: no such output, or usage: {command}")


def planned(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a plan would make, after every check that the configuration makes of its variables."""
    file = folder / "terraform.tfvars"
    given = hcl(file) if file.exists() else {}
    for name in ("zone_name", "cloudflare_zone_id", "cloudflare_account_id", "image"):
        need(name in given, f'Error: No value for required variable "{name}"')
    for name in ("cloudflare_zone_id", "cloudflare_account_id"):
        need(re.fullmatch("[0-9a-f]{32}", text(given[name])), f"{name} is 32 hexadecimal digits")
    image = text(given["image"])
    repository, _, tag = image.rpartition(":")
    need(repository == f"{REGISTRY}/{state.get('repository')}", f"CannotPullContainerError: {repository}")
    need(tag in state.get("tags", []), f"CannotPullContainerError: {image} not found")
    given_secrets()
    table = json.loads((folder.parent / "infra" / "regions.json").read_text())["regions"]
    hosts = {region["name"]: region["host"] for region in table if region["enabled"]}
    for host in hosts.values():
        need(host.endswith("." + text(given["zone_name"])), f"{host} is outside {given['zone_name']}")
    environment = {text(k): text(v) for k, v in given.get("worker_environment", {}).items()}
    return {"hosts": hosts, "image": image, "environment": environment}


def given_secrets() -> dict[str, str]:
    secrets: dict[str, str] = json.loads(os.environ.get("TF_VAR_secrets", "{}"))  # noqa: SIM112
    missing = SECRET_NAMES - {name for name, value in secrets.items() if value}
    need(not missing, f"Error: secrets needs a value for each of: {', '.join(sorted(missing))}")
    need(len(secrets["REPARTEE_TICKET_KEY"]) >= 32, "REPARTEE_TICKET_KEY has at least 32 characters")
    return secrets


def create_namespace() -> str:
    """The Cloudflare provider's part: the namespace is made through the API."""
    account = os.environ["FAR_END_ACCOUNT"]
    request = urllib.request.Request(
        f"{os.environ['CLOUDFLARE_API_BASE_URL']}/accounts/{account}/storage/kv/namespaces",
        data=json.dumps({"title": "repartee-reports"}).encode(),
        headers={"Authorization": f"Bearer {os.environ['CLOUDFLARE_API_TOKEN']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.load(answer)["result"]["id"])


def hcl(path: Path) -> dict[str, Any]:
    import hcl2  # here, because it takes longer to import than most commands take

    document: dict[str, Any] = hcl2.loads(path.read_text())
    return document


def text(value: object) -> str:
    """The parser leaves HCL's quotes on."""
    return str(value).strip('"')


if __name__ == "__main__":
    sys.exit(main())
