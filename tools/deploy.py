"""From empty accounts to a call: ``make deploy``, or ``.venv/bin/python tools/deploy.py``.

Looks at what is there (programs, accounts, keys by the doctor), says what it will make and what that costs, asks
once, and then takes the three moves: the regions by Terraform, the edge by wrangler, a call through both. It stops
with a sentence at whatever is missing. Run it again to go on: what exists is kept, what changed is brought up to
date. It destroys nothing.
"""

import argparse
import json
import os
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from deployment import files
from deployment.findings import PROVIDER_KEYS, Region, Zone, look, secrets_given
from deployment.programs import Programs, StoppedError

ROOT = Path(__file__).resolve().parent.parent
BACKEND, BOOTSTRAP = ROOT / "terraform" / "backend.tf", ROOT / "terraform" / "bootstrap"
REGISTRY_REGION = "us-east-1"
"""Where the image and Terraform's state are kept: the default of terraform/bootstrap."""
REPOSITORY = "repartee"
REGION_USD_MONTH, EDGE_USD_MONTH = 93, 5
POLL_S, ANSWER_S = 2.0, 5.0
QUESTION = "What can you do for me?"
AGAIN = "Mend that and run the same command again: it goes on from here."


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the steps share."""

    programs: Programs
    zone: Zone
    regions: list[Region]
    keys: dict[str, str]
    wait_s: float

    @property
    def secrets(self) -> dict[str, str]:
        """What the regions are given: the ticket key and the providers' keys, and TF_VAR_secrets above them."""
        env = self.programs.env
        names = {name: env[name] for name in PROVIDER_KEYS if env.get(name)}
        return {files.TICKET_KEY: self.keys[files.TICKET_KEY], **names, **secrets_given(env)}


def main() -> int:
    options = _options()
    env = dict(os.environ)
    env["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), str(ROOT / "node_modules" / "node" / "bin"), env.get("PATH", "")]
    )
    programs = Programs(ROOT, env)
    try:
        deploy(programs, options)
    except StoppedError as stopped:
        print(f"\n✗ {stopped}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n✗ Stopped. {AGAIN}", file=sys.stderr)
        return 130
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make deploy", description="From empty accounts to a call.")
    parser.add_argument(
        "--domain", default="", help="the domain at Cloudflare (default: the only one the token sees)"
    )
    parser.add_argument("--image", default="", help="a worker's image that exists, instead of building one")
    parser.add_argument(
        "--wait-s", type=float, default=900, help="how long a region or the edge may take to answer"
    )
    parser.add_argument("--yes", action="store_true", help="don't ask before anything is created")
    return parser.parse_args()


def deploy(programs: Programs, options: argparse.Namespace) -> None:
    """All of it, in order. Raises StoppedError."""
    heading("1 of 5: what is there (creates nothing)")
    found = look(programs, domain=options.domain, image=options.image, worker=files.worker_name(ROOT))
    if found.faults or found.zone is None:
        raise StoppedError("\n✗ ".join(found.faults) + "\nNothing was created.")
    try:
        table = files.hosts_named(ROOT, found.zone)
        keys = files.keys(ROOT, programs.env, deployed=found.edge_exists or BACKEND.exists())
    except StoppedError as stopped:
        raise StoppedError(f"{stopped}\nNothing was created.") from None
    regions = files.enabled_regions(table)
    run = Deployment(programs, found.zone, regions, keys, options.wait_s)
    _ask_doctor(run)
    _agree(found.aws_account, found.zone, regions, agreed=options.yes)
    files.write_hosts(ROOT, table)
    programs.show(sys.executable, "tools/generate_edge.py", "--regions", remedy=AGAIN)

    heading("2 of 5: registry, state and the workers' image")
    image = options.image or push_image(run, make_registry(run))
    heading("3 of 5: the regions (five to ten minutes the first time, most of it certificates)")
    namespace = make_regions(run, image)
    for region in run.regions:
        _wait(f"https://{region.host}/readyz", f"The region {region.name}", run.wait_s)
    heading("4 of 5: the edge")
    deploy_edge(run, namespace)
    heading("5 of 5: a call")
    place_call(run)
    _tell(run)


def _ask_doctor(run: Deployment) -> None:
    """Before anything is made: are the keys good that the regions will have, are the settings right?"""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    remedy = "Nothing was created: mend what the doctor names, then run the same command again."
    run.programs.show("repartee", "doctor", "--port", port, remedy=remedy, **run.secrets)


def _agree(aws_account: str, zone: Zone, regions: list[Region], *, agreed: bool) -> None:
    """Say what will exist and what it costs; ask, unless that was answered beforehand."""
    total = REGION_USD_MONTH * len(regions) + EDGE_USD_MONTH
    print(f"\nThis makes, or brings up to date, in the AWS account {aws_account} and at Cloudflare:")
    print(f"  a registry for images and a bucket for Terraform's state in {REGISTRY_REGION}: cents a month")
    for region in regions:
        where = f"{region.name} in {region.aws_region}, https://{region.host}"
        print(f"  the region {where}: about {REGION_USD_MONTH} $ a month")
    print(f"  the edge, https://{zone.edge_host}: {EDGE_USD_MONTH} $ a month (Workers' paid plan)")
    print(f"About {total} $ a month before the first call: docs/operations.md has the arithmetic.")
    if agreed:
        return
    print("Go on? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise StoppedError("Nothing was created. To answer beforehand: make deploy ARGS=--yes")


def make_registry(run: Deployment) -> str:
    """The registry and the state's bucket, by terraform/bootstrap; returns the repository for images.

    Bootstrap's own state is on the machine that ran it first. On another, backend.tf says that both exist.
    """
    programs, folder = run.programs, "-chdir=terraform/bootstrap"
    if BACKEND.exists() and not (BOOTSTRAP / "terraform.tfstate").exists():
        where = ["--region", REGISTRY_REGION, "--repository-names", REPOSITORY]
        what = ["--query", "repositories[0].repositoryUri", "--output", "text"]
        return programs.read("aws", "ecr", "describe-repositories", *where, *what, remedy=AGAIN)
    programs.show("terraform", folder, "init", "-input=false", remedy=AGAIN)
    programs.show("terraform", folder, "apply", "-input=false", "-auto-approve", remedy=AGAIN)
    bucket = programs.read("terraform", folder, "output", "-raw", "state_bucket", remedy=AGAIN)
    files.write_backend(ROOT, bucket, REGISTRY_REGION)
    return programs.read("terraform", folder, "output", "-raw", "image_repository", remedy=AGAIN)


def push_image(run: Deployment, repository: str) -> str:
    """Build the workers' image and push it, unless the registry has one of the same sources."""
    tag, programs = files.image_tag(ROOT), run.programs
    image, registry, name = f"{repository}:{tag}", repository.partition("/")[0], repository.partition("/")[2]
    where = ["--region", REGISTRY_REGION]
    known = programs.ask(
        "aws", "ecr", "describe-images", *where, "--repository-name", name, "--image-ids", f"imageTag={tag}"
    )
    if known.status == 0:
        print(f"{image} is there already.")
        return image
    if "ImageNotFound" not in known.err:
        raise StoppedError(f"The registry can't be asked for {image}: {known.last_words}\n{AGAIN}")
    password = programs.read("aws", "ecr", "get-login-password", *where, remedy=AGAIN)
    login = programs.ask("docker", "login", "--username", "AWS", "--password-stdin", registry, stdin=password)
    if login.status:
        raise StoppedError(f"docker login {registry} failed: {login.last_words}\n{AGAIN}")
    build = ["--platform", "linux/arm64", "--file", "infra/container/Dockerfile", "--tag", image]
    programs.show("docker", "buildx", "build", *build, "--push", ".", remedy=AGAIN)
    return image


def make_regions(run: Deployment, image: str) -> str:
    """The regions, by Terraform; returns the id of the edge's KV namespace. Refuses a plan that destroys anything."""
    files.write_variables(ROOT, run.zone, image)
    programs, folder = run.programs, "-chdir=terraform"
    secrets = {"TF_VAR_secrets": json.dumps(run.secrets)}
    programs.show("terraform", folder, "init", "-input=false", remedy=AGAIN)
    programs.show("terraform", folder, "plan", "-input=false", "-out=deploy.tfplan", remedy=AGAIN, **secrets)
    shown = json.loads(programs.read("terraform", folder, "show", "-json", "deploy.tfplan", remedy=AGAIN))
    lost = [c["address"] for c in shown.get("resource_changes", []) if c["change"]["actions"] == ["delete"]]
    if lost:
        advice = 'See "Remove a region" in docs/operations.md, and apply that yourself.'
        raise StoppedError(
            f"The plan would destroy {len(lost)} things, {lost[0]} first; this command destroys nothing. {advice}"
        )
    programs.show("terraform", folder, "apply", "-input=false", "deploy.tfplan", remedy=AGAIN, **secrets)
    (ROOT / "terraform" / "deploy.tfplan").unlink(missing_ok=True)
    return programs.read("terraform", folder, "output", "-raw", "edge_kv_namespace_id", remedy=AGAIN)


def deploy_edge(run: Deployment, namespace: str) -> None:
    """The Worker and its secrets, by wrangler, in one go: without them Cloudflare refuses a Worker that is new."""
    files.write_worker(ROOT, run.zone, namespace)
    run.programs.show(
        "npx", "wrangler", "deploy", "--secrets-file", str(files.KEYS_FILE), remedy=AGAIN, CI="1"
    )
    _wait(f"https://{run.zone.edge_host}/readyz", "The edge", run.wait_s)


def place_call(run: Deployment) -> None:
    """A spoken call through the edge."""
    url = f"wss://{run.zone.edge_host}/v1/voice/session"
    key = files.caller_key(run.keys["REPARTEE_API_KEY"])
    remedy = 'See "When something is wrong" in docs/operations.md.'
    run.programs.show(
        "repartee", "call", "--url", url, "--say", QUESTION, remedy=remedy, REPARTEE_API_KEY=key
    )


def _wait(url: str, what: str, patience_s: float) -> None:
    """Until it answers with 200. Raises StoppedError when patience ends."""
    print(f"Waiting for {url} ...", flush=True)
    until, said = time.monotonic() + patience_s, "nothing"
    while time.monotonic() < until:
        try:
            answer = httpx.get(url, timeout=ANSWER_S)
            if answer.status_code == 200:
                return
            said = f"{answer.status_code} {' '.join(answer.text.split())[:200]}"
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
        time.sleep(POLL_S)
    raise StoppedError(f"{what} is not ready after {patience_s:g} s; {url} says: {said}\n{AGAIN}")


def _tell(run: Deployment) -> None:
    print(f"\n✓ The edge is https://{run.zone.edge_host}, and the page to talk to it is the same.")
    print(f"  Its API key and the ticket key are in {files.KEYS_FILE}: keep them as you keep secrets.")
    print(
        "  Commit infra/regions.json, edge/, wrangler.toml, terraform/*.tf, terraform.tfvars and the lock files."
    )


def heading(text: str) -> None:
    print(f"\n=== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
