"""What a deployment needs, looked at before anything is made: programs, accounts, domain, keys.

Creates nothing and costs nothing. It reports all that is missing at once.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from deployment.programs import Programs, StoppedError
from repartee.providers.vendor import VendorKind
from repartee.providers.vendors import listed

CLOUDFLARE = "https://api.cloudflare.com/client/v4"
TERRAFORM_AT_LEAST = (1, 11)
CASCADE = (VendorKind.STT, VendorKind.LLM, VendorKind.TTS)
PROVIDER_KEYS = tuple(dict.fromkeys(listed(kind, "")[0].account.key_variable for kind in CASCADE))
REQUEST_S = 20.0
TOKEN_ADVICE = (
    "Make one at https://dash.cloudflare.com/profile/api-tokens with Zone: Zone: Read, Zone: DNS: Edit, "
    "Zone: Workers Routes: Edit, Account: Workers KV Storage: Edit and Account: Workers Scripts: Edit, and put it "
    "into CLOUDFLARE_API_TOKEN."
)


@dataclass(frozen=True, slots=True)
class Zone:
    """A domain at Cloudflare, and the account that it belongs to."""

    name: str
    id: str
    account: str

    @property
    def edge_host(self) -> str:
        return f"voice.{self.name}"


@dataclass(frozen=True, slots=True)
class Region:
    """A region that is enabled in the region table."""

    name: str
    aws_region: str
    host: str


@dataclass
class Findings:
    """What was found; ``faults`` are sentences that say what is missing and what to do."""

    aws_account: str = ""
    zone: Zone | None = None
    edge_exists: bool = False
    faults: list[str] = field(default_factory=list)


def look(programs: Programs, *, domain: str, image: str, worker: str) -> Findings:
    """Look at everything. ``domain`` and ``image`` may be empty; ``worker`` is the edge Worker's name."""
    found = Findings()
    _look_for_programs(programs, found, builds=not image)
    done = programs.ask("aws", "sts", "get-caller-identity", "--output", "json")
    if done.status == 127:
        found.faults.append("The AWS command line is missing: https://aws.amazon.com/cli/")
    elif done.status:
        advice = "Run aws configure or aws sso login, or set AWS_PROFILE."
        found.faults.append(f"AWS does not know you: {done.last_words}\n{advice}")
    else:
        found.aws_account = str(json.loads(done.out)["Account"])
    missing = [name for name in PROVIDER_KEYS if not programs.env.get(name)]
    try:
        if not secrets_given(programs.env) and missing:
            found.faults.append(f"Set the keys of the providers in the environment: {', '.join(missing)}.")
    except StoppedError as fault:
        found.faults.append(str(fault))
    try:
        found.zone = _zone(programs.env, domain)
        _host_is_free(programs.env, found.zone, worker)
        scripts = _cloudflare(programs.env, f"/accounts/{found.zone.account}/workers/scripts", {})
        found.edge_exists = any(script["id"] == worker for script in scripts)
    except StoppedError as fault:
        found.faults.append(str(fault))
    return found


def secrets_given(env: Mapping[str, str]) -> dict[str, str]:
    """TF_VAR_secrets as it was set by hand, without what is empty. Raises StoppedError if it can't be read."""
    try:
        given = json.loads(env.get("TF_VAR_secrets") or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise StoppedError(
            'TF_VAR_secrets is no JSON object of strings, such as {"OPENAI_API_KEY": "sk-..."}: correct it, or unset '
            "it and set the keys in the environment."
        )
    return {name: value for name, value in given.items() if value}


def _look_for_programs(programs: Programs, found: Findings, *, builds: bool) -> None:
    done = programs.ask("terraform", "version", "-json")
    wanted = ".".join(map(str, TERRAFORM_AT_LEAST))
    if done.status:
        found.faults.append(
            f"Terraform is missing: https://developer.hashicorp.com/terraform/install ({wanted} or newer)."
        )
    else:
        version = str(json.loads(done.out)["terraform_version"])
        if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < TERRAFORM_AT_LEAST:
            found.faults.append(f"Terraform is {version}; it must be {wanted} or newer.")
    if builds and programs.ask("docker", "buildx", "version").status:
        found.faults.append(
            "Docker with buildx is missing, which builds the workers' image: https://docs.docker.com/engine/install/ "
            "(or name an image that exists: --image IMAGE)."
        )
    if not (programs.root / "node_modules" / "wrangler").exists():
        found.faults.append("wrangler is missing: install Node 20 or newer with npm, then run npm ci.")


def _zone(env: Mapping[str, str], domain: str) -> Zone:
    """The domain that is named, or the only one that the token sees. Raises StoppedError."""
    zones = _cloudflare(env, "/zones", {"per_page": "50", **({"name": domain} if domain else {})})
    found = [Zone(zone["name"], zone["id"], zone["account"]["id"]) for zone in zones]
    if len(found) == 1:
        return found[0]
    if domain:
        raise StoppedError(
            f"CLOUDFLARE_API_TOKEN sees no zone {domain}: add the domain at Cloudflare, or give the token the zone."
        )
    if not found:
        raise StoppedError(
            "CLOUDFLARE_API_TOKEN sees no zone: add a domain at Cloudflare, or give the token the zone."
        )
    names = ", ".join(zone.name for zone in found)
    raise StoppedError(f"Which domain? Say --domain NAME: CLOUDFLARE_API_TOKEN sees {names}.")


def _host_is_free(env: Mapping[str, str], zone: Zone, worker: str) -> None:
    """Raises StoppedError if something else answers under the edge's host: wrangler would put itself in its place."""
    host = zone.edge_host
    domains = _cloudflare(env, f"/accounts/{zone.account}/workers/domains", {"hostname": host})
    others = [each["service"] for each in domains if each["service"] != worker]
    if others:
        raise StoppedError(
            f"{host} belongs to the Worker {others[0]}: take it away from that one, or use another domain."
        )
    if not domains and _cloudflare(env, f"/zones/{zone.id}/dns_records", {"name": host}):
        raise StoppedError(
            f"{host} has a DNS record already, which the edge would replace: remove it, or use another domain."
        )


def _cloudflare(env: Mapping[str, str], path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
    token = env.get("CLOUDFLARE_API_TOKEN", "")
    if not token:
        raise StoppedError(f"CLOUDFLARE_API_TOKEN is not set. {TOKEN_ADVICE}")
    base = env.get("CLOUDFLARE_API_BASE_URL", CLOUDFLARE)
    try:
        answer = httpx.get(
            f"{base}{path}",
            params=dict(query),
            headers={"Authorization": f"Bearer {token}"},
            timeout=REQUEST_S,
        )
        content = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise StoppedError(
            f"Cloudflare's API can't be reached: {str(error) or type(error).__name__}."
        ) from None
    if not content.get("success"):
        said = "; ".join(str(each.get("message")) for each in content.get("errors", [])) or str(
            answer.status_code
        )
        raise StoppedError(
            f"Cloudflare refuses CLOUDFLARE_API_TOKEN: {said} (asked for {path}). {TOKEN_ADVICE}"
        )
    result: list[dict[str, Any]] = content["result"]
    return result
