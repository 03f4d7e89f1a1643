"""The files of one deployment: the region table, Terraform's variables and backend, wrangler.toml, the keys.

What is there already is kept: a second run changes nothing that the first one, or you, wrote. None but
``.repartee/deploy.env`` holds a secret; that one is for your eyes only and is not in the repository.
"""

import hashlib
import json
import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path

from deployment.findings import Region, Zone, secrets_given
from deployment.programs import StoppedError

REGIONS_FILE = Path("infra") / "regions.json"
KEYS_FILE = Path(".repartee") / "deploy.env"
SHIPPED_ZONE = "example.com"
TICKET_KEY = "REPARTEE_TICKET_KEY"
TICKET_KEY_MIN = 32
KEY_NAMES = ("REPARTEE_API_KEY", TICKET_KEY)
IMAGE_SOURCES = (
    "requirements/run.txt",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "regional",
    "edge/repartee_edge",
    "infra/container",
)


def hosts_named(root: Path, zone: Zone) -> str:
    """The region table's text, with the zone in the hosts that still have the shipped one.

    Raises StoppedError for an enabled region whose host lies in another zone.
    """
    text = (root / REGIONS_FILE).read_text()
    text = re.sub(rf'("host": "[a-z0-9.-]+)\.{re.escape(SHIPPED_ZONE)}"', rf'\1.{zone.name}"', text)
    for region in enabled_regions(text):
        if not region.host.endswith(f".{zone.name}"):
            raise StoppedError(
                f"{REGIONS_FILE} has {region.host} for {region.name}, which is not in {zone.name}: correct it, or "
                "say --domain with the domain that it is in."
            )
    return text


def write_hosts(root: Path, text: str) -> None:
    """Write the region table."""
    (root / REGIONS_FILE).write_text(text)


def enabled_regions(text: str) -> list[Region]:
    """The enabled regions of a region table."""
    table = json.loads(text)["regions"]
    return [Region(r["name"], r["aws_region"], r["host"]) for r in table if r["enabled"]]


def keys(root: Path, env: Mapping[str, str], *, deployed: bool) -> dict[str, str]:
    """The edge's API key and the ticket key: the environment's, the last run's, or new ones. They are kept.

    Raises StoppedError if the system was ``deployed`` with keys that are not here, or with another ticket key, or if
    TF_VAR_secrets gives the regions another one: the edge would sign what the regions refuse.
    """
    regional = secrets_given(env)
    path = root / KEYS_FILE
    lines = path.read_text().splitlines() if path.exists() else []
    kept = dict(line.split("=", 1) for line in lines if "=" in line)
    given = {name: env[name] for name in KEY_NAMES if env.get(name)}
    of_regions = {TICKET_KEY: regional[TICKET_KEY]} if TICKET_KEY in regional else {}
    known = {**of_regions, **kept, **given}
    if deployed and set(known) != set(KEY_NAMES):
        raise StoppedError(
            f"This is deployed already, with keys that are not here: copy {KEYS_FILE} from where it was deployed, or "
            f"set {' and '.join(KEY_NAMES)} to the keys in use."
        )
    if deployed and kept and kept[TICKET_KEY] != known[TICKET_KEY]:
        advice = f'"Rotate the ticket key" in docs/operations.md changes it; until then unset {TICKET_KEY}.'
        raise StoppedError(
            f"{TICKET_KEY} differs from the one in {KEYS_FILE}, which the regions have. {advice}"
        )
    new = {KEY_NAMES[0]: f"first:sk-{secrets.token_urlsafe(32)}", TICKET_KEY: secrets.token_urlsafe(48)}
    made = {**new, **known}
    _agree_with_regions(made[TICKET_KEY], regional, given_by_hand=TICKET_KEY in given)
    if len(made[TICKET_KEY]) < TICKET_KEY_MIN:
        raise StoppedError(
            f"{TICKET_KEY} needs {TICKET_KEY_MIN} characters or more: openssl rand -base64 48."
        )
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in made.items()))
    return made


def _agree_with_regions(ticket_key: str, regional: Mapping[str, str], *, given_by_hand: bool) -> None:
    """Raises StoppedError if the regions are to have ticket keys of which none is the edge's."""
    accepted = [regional[name] for name in (TICKET_KEY, f"{TICKET_KEY}_PREVIOUS") if name in regional]
    if TICKET_KEY in regional and ticket_key not in accepted:
        edge = "the environment" if given_by_hand else str(KEYS_FILE)
        raise StoppedError(
            f"TF_VAR_secrets gives the regions another {TICKET_KEY} than the edge has from {edge}: they would refuse "
            f'every call. Take it out of TF_VAR_secrets, or make both the same; "Rotate the ticket key" in '
            f"docs/operations.md changes one that is in use."
        )


def caller_key(api_keys: str) -> str:
    """What a caller presents, of the edge's setting: ``key`` or ``id:key``, the first of several."""
    return api_keys.split(",")[0].strip().rpartition(":")[2]


def write_backend(root: Path, bucket: str, region: str) -> None:
    """Have Terraform keep the regions' state in the bucket, unless backend.tf is there."""
    path = root / "terraform" / "backend.tf"
    if path.exists():
        return
    text = (root / "terraform" / "backend.tf.example").read_text()
    text = re.sub(r"^#.*\n+", "", text)
    text = re.sub(r'(bucket\s*=\s*)".*"', rf'\1"{bucket}"', text)
    path.write_text(re.sub(r'(region\s*=\s*)".*"', rf'\1"{region}"', text))


def write_variables(root: Path, zone: Zone, image: str) -> None:
    """Terraform's variables; of a terraform.tfvars that is there, only the image changes. Raises StoppedError."""
    path = root / "terraform" / "terraform.tfvars"
    if path.exists():
        text, count = re.subn(r'^(image\s*=\s*)".*"', rf'\1"{image}"', path.read_text(), flags=re.MULTILINE)
        if not count:
            raise StoppedError(f'terraform/terraform.tfvars names no image: put in image = "{image}".')
        path.write_text(text)
        return
    path.write_text(
        f"""# Written by `make deploy`; yours to change. example.tfvars shows what else there is.
zone_name             = "{zone.name}"
cloudflare_zone_id    = "{zone.id}"
cloudflare_account_id = "{zone.account}"

image = "{image}"

worker_environment = {{
  REPARTEE_EDGE_URL    = "https://{zone.edge_host}"
  REPARTEE_HEARTBEAT_S = "30"
}}
"""
    )


def write_worker(root: Path, zone: Zone, namespace: str) -> None:
    """Let the Worker use Terraform's namespace, answer under the zone, and belong to its account."""
    path = root / "wrangler.toml"
    text = path.read_text()
    config = tomllib.loads(text)
    if "account_id" not in config:
        text = _after(text, r'^name = ".*"$', f'account_id = "{zone.account}"')
    if "routes" not in config and "route" not in config:
        route = f'routes = [{{ pattern = "{zone.edge_host}", custom_domain = true }}]'
        text = _after(text, r"^compatibility_flags = .*$", route)
    [reports] = [each for each in config["kv_namespaces"] if each["binding"] == "REPORTS"]
    if "id" in reports:
        text = text.replace(f'id = "{reports["id"]}"', f'id = "{namespace}"')
    else:
        text = _after(text, r'^binding = "REPORTS"$', f'id = "{namespace}"')
    tomllib.loads(text)
    path.write_text(text)


def worker_name(root: Path) -> str:
    return str(tomllib.loads((root / "wrangler.toml").read_text())["name"])


def image_tag(root: Path) -> str:
    """The version and what the image is made of: the same sources have the same tag."""
    digest = hashlib.sha256()
    for source in IMAGE_SOURCES:
        path = root / source
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return f"{version}-{digest.hexdigest()[:12]}"


def _after(text: str, line: str, new: str) -> str:
    changed, count = re.subn(line, lambda found: f"{found[0]}\n{new}", text, count=1, flags=re.MULTILINE)
    if not count:
        raise StoppedError(f"wrangler.toml has no line like {line.strip('^$')}: put in {new} by hand.")
    return changed
