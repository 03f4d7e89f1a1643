"""From empty accounts to a call: the documents' own commands, in order, and what happens when something is missing.

wrangler is the real one, against a stand-in of Cloudflare's API; terraform, aws and docker are stand-ins that check
arguments and order; the call goes over TLS through the self-hosted edge to a real region, with the keys that were
deployed.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.edge.conftest import start_selfhosted
from tests.regional.app.running import stand_ins

from .cloudflare import ACCOUNT, TOKEN, cloudflare
from .cloudflare_account import Account
from .conftest import ROOT, Clone
from .documents import commands, script, section
from .far_end import AWS_ACCOUNT
from .internet import Internet, StartEdge, internet

__all__ = ["start_selfhosted"]

ZONE = "acme.test"
WORKER = "repartee-edge"
STAMPS = ("run", "dev", "node")
PATIENCE_S = 300
pytestmark = pytest.mark.timeout(PATIENCE_S + 60)


@dataclass
class World:
    """Empty accounts, and a fresh clone on the machine of somebody who has credentials for them."""

    clone: Clone
    account: Account
    net: Internet
    env: dict[str, str] = field(default_factory=dict)

    async def bash(self, script: str, answer: str = "y\n", **env: str) -> tuple[int, str]:
        """Run a script as the deployer does, who answers every question so. Exit status and output."""
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            script,
            cwd=self.clone.folder,
            env={**self.env, "MAKEFLAGS": "", "ARGS": "", **env},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await process.communicate(answer.encode())
        return process.returncode or 0, out.decode()

    @property
    def commands(self) -> list[str]:
        """What was asked of terraform, aws and docker."""
        return list(self.net.state.get("commands", []))


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, str]]:
    with stand_ins(light=False) as variables:
        yield variables


@pytest.fixture
async def world(
    clone: Clone, providers: dict[str, str], start_selfhosted: StartEdge, tmp_path: Path
) -> AsyncIterator[World]:
    with ExitStack() as stack:
        account = stack.enter_context(cloudflare())
        account.zones = {ZONE: "e" * 32}
        async with internet(account, tmp_path, providers, start_selfhosted, ZONE) as net:
            made = World(clone, account, net)
            install_programs(tmp_path / "bin")
            install_venv(clone.folder / ".venv")
            made.env = {
                **clone.env,
                **net.env,
                **providers,
                "PATH": f"{tmp_path / 'bin'}:{clone.env['PATH']}",
                "FAR_END": str(net.state_file),
                "FAR_END_ACCOUNT": ACCOUNT,
                "CLOUDFLARE_API_BASE_URL": account.url,
                "CLOUDFLARE_API_TOKEN": TOKEN,
                "AWS_ACCESS_KEY_ID": "key-of-the-tests",
            }
            yield made


def install_programs(folder: Path) -> None:
    folder.mkdir()
    far_end = Path(__file__).with_name("far_end.py")
    for name in ("terraform", "aws", "docker"):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{far_end}" {name} "$@"\n')
        path.chmod(0o755)


def install_venv(folder: Path) -> None:
    """As `make` sets it up: this environment under the clone's name, and the stamps that say so."""
    (folder / ".stamps").mkdir(parents=True)
    for name in ("bin", "lib", "pyvenv.cfg"):
        (folder / name).symlink_to(Path(sys.prefix) / name)
    for stamp in STAMPS:
        (folder / ".stamps" / stamp).touch()


def pages() -> dict[str, str]:
    return {
        "README": section(ROOT / "README.md", "Deploy it"),
        "operations": section(ROOT / "docs" / "operations.md", "From nothing to a call"),
    }


@pytest.mark.parametrize("page", ["README", "operations"])
async def test_the_documents_own_commands_lead_from_empty_accounts_to_a_call(world: World, page: str) -> None:
    """Every command, as written, in order; the edge's own host is asked for only once the edge is there."""
    text = pages()[page]
    assert "make deploy" in list(commands(text, ZONE))
    status, output = await world.bash(script(text, ZONE, set(world.env)))
    assert status == 0, output
    deployed_as_it_should(world, output)
    if page == "README":
        await from_another_machine_what_exists_is_kept(world)


def deployed_as_it_should(world: World, output: str) -> None:
    worker, state = world.account.scripts[WORKER], world.net.state
    assert "All is well." in output, "the doctor's words"
    assert output.index("All is well.") < output.index("Go on?") < output.index("5 of 5: a call")
    assert "voice to voice" in output.lower() and "unanswered" not in output, output[-2000:]
    assert state["hosts"] == {"us-east": f"us-east.voice.{ZONE}", "eu-west": f"eu-west.voice.{ZONE}"}
    assert state["environment"]["REPARTEE_EDGE_URL"] == f"https://voice.{ZONE}"
    assert worker.domains == [f"voice.{ZONE}"] and not worker.workers_dev
    assert worker.secrets["REPARTEE_TICKET_KEY"] == state["secrets"]["REPARTEE_TICKET_KEY"]
    assert worker.bindings["REPORTS"]["namespace_id"] == state["namespace"], "the one that Terraform made"
    assert list(world.account.namespaces.values()) == ["repartee-reports"]
    table = b"".join(
        part for name, part in worker.modules.items() if name.endswith("regions_data.py")
    ).decode()
    assert ZONE in table.replace("'\n    '", "") and "example.com" not in table.replace("'\n    '", "")
    kept = world.clone.folder / ".repartee" / "deploy.env"
    assert kept.stat().st_mode & 0o077 == 0
    assert (
        worker.secrets["REPARTEE_API_KEY"] not in output
        and worker.secrets["REPARTEE_TICKET_KEY"] not in output
    )


async def from_another_machine_what_exists_is_kept(world: World) -> None:
    """What was committed is there; the keys and bootstrap's state are not."""
    (world.clone.folder / "terraform" / "bootstrap" / "terraform.tfstate").unlink()
    kept = world.clone.folder / ".repartee" / "deploy.env"
    keys = kept.read_text()
    kept.unlink()
    status, output = await world.bash("make deploy ARGS=--yes")
    assert (
        status != 0 and "deployed already, with keys that are not here: copy .repartee/deploy.env" in output
    )
    kept.write_text(keys)
    status, output = await world.bash("make deploy ARGS=--yes", REPARTEE_TICKET_KEY="x" * 48)
    assert status != 0 and "REPARTEE_TICKET_KEY differs from the one in .repartee/deploy.env" in output
    another = json.dumps({"REPARTEE_TICKET_KEY": "x" * 48})
    status, output = await world.bash("make deploy ARGS=--yes", TF_VAR_secrets=another)
    assert status != 0 and "another REPARTEE_TICKET_KEY than the edge has from .repartee/deploy.env" in output
    secrets, before = world.account.scripts[WORKER].secrets, len(world.commands)
    files = {path: path.read_text() for path in changed_files(world)}
    status, output = await world.bash("make deploy ARGS=--yes")
    assert status == 0, output
    assert world.account.scripts[WORKER].secrets == secrets
    assert not [c for c in world.commands[before:] if c.startswith("docker buildx build")], "the same image"
    assert {path: path.read_text() for path in changed_files(world)} == files
    assert len(world.account.namespaces) == 1 and len(world.account.scripts) == 1

    disable(world, "eu-west")
    status, output = await world.bash("make deploy ARGS=--yes")
    assert status != 0 and "would destroy" in output and "Remove a region" in output
    assert "eu-west" in world.net.state["hosts"]


def disable(world: World, name: str) -> None:
    path = world.clone.folder / "infra" / "regions.json"
    table = json.loads(path.read_text())
    for region in table["regions"]:
        region["enabled"] = region["enabled"] and region["name"] != name
    path.write_text(json.dumps(table))


def changed_files(world: World) -> list[Path]:
    names = ("wrangler.toml", "infra/regions.json", "terraform/terraform.tfvars", "terraform/backend.tf")
    return [world.clone.folder / name for name in names]


MISSING = {
    "aws credentials": ({"AWS_ACCESS_KEY_ID": ""}, ("AWS does not know you", "aws configure")),
    "cloudflare token": ({"CLOUDFLARE_API_TOKEN": ""}, ("CLOUDFLARE_API_TOKEN is not set", "DNS: Edit")),
    "a wrong token": ({"CLOUDFLARE_API_TOKEN": "x"}, ("Cloudflare refuses", "Invalid API Token")),
    "a newer terraform": ({"FAR_END_TERRAFORM": "1.5.7"}, ("Terraform is 1.5.7", "1.11 or newer")),
    "keys": ({"OPENAI_API_KEY": ""}, ("Set the keys of the providers", "OPENAI_API_KEY")),
    "secrets that can be read": ({"TF_VAR_secrets": "{'a': 1}"}, ("TF_VAR_secrets is no JSON object",)),
    "one ticket key": (
        {"TF_VAR_secrets": json.dumps({"REPARTEE_TICKET_KEY": "a" * 48}), "REPARTEE_TICKET_KEY": "b" * 48},
        ("TF_VAR_secrets gives the regions another REPARTEE_TICKET_KEY", "make both the same"),
    ),
    "all of these": (
        {"AWS_ACCESS_KEY_ID": "", "CLOUDFLARE_API_TOKEN": "", "DEEPGRAM_API_KEY": ""},
        ("AWS does not know", "CLOUDFLARE_API_TOKEN", "DEEPGRAM_API_KEY"),
    ),
    "what the doctor needs": (
        {"DEEPGRAM_BASE_URL": "http://127.0.0.1:1"},
        ("Nothing listens at 127.0.0.1:1", "the doctor names"),
    ),
}


async def test_what_is_missing_is_named_at_once_and_nothing_is_created(world: World) -> None:
    for missing, (env, words) in MISSING.items():
        status, output = await world.bash("make deploy ARGS=--yes", **env)
        assert status != 0, missing
        assert all(word in output for word in (*words, "Nothing was created")), (missing, output)
        nothing_exists(world)


async def test_the_domain_is_found_and_what_is_not_ours_stays_as_it_is(world: World) -> None:
    """wrangler, which nobody asks here, would put the edge in the place of what answers under its host."""

    async def refused(*words: str, options: str = "") -> None:
        status, output = await world.bash(f'make deploy ARGS="--yes {options}"')
        assert status != 0 and all(word in output for word in words), output
        nothing_exists(world)

    account, host = world.account, f"voice.{ZONE}"
    account.foreign_domains[host] = "shop"
    await refused(f"{host} belongs to the Worker shop", "another domain")
    account.foreign_domains.clear()
    account.records[host] = [{"id": "1", "type": "A"}]
    await refused(f"{host} has a DNS record", "remove it")
    account.records.clear()
    account.zones["b.test"] = "d" * 32
    await refused("--domain", "acme.test, b.test")
    await refused("sees no zone c.test", options="--domain c.test")
    account.zones.clear()
    await refused("sees no zone", "add a domain at Cloudflare")


def nothing_exists(world: World) -> None:
    assert not {"repository", "hosts", "namespace", "tags"} & set(world.net.state)
    assert not world.account.scripts and not world.account.namespaces
    assert not (world.clone.folder / "terraform" / "terraform.tfvars").exists()


async def test_it_says_what_it_costs_and_spends_nothing_without_a_yes(world: World) -> None:
    for answer in ("n\n", ""):
        status, output = await world.bash("make deploy", answer=answer)
        assert status != 0 and "Nothing was created" in output
        assert AWS_ACCOUNT in output and "About 191 $ a month" in output
        nothing_exists(world)


async def test_it_goes_on_where_it_stopped(world: World) -> None:
    """The edge's deploy fails once; the second run takes the same keys and the same regions, and ends with a call."""
    route = 'routes = [{ pattern = "voice.elsewhere.test", custom_domain = true }]\n'
    config = world.clone.folder / "wrangler.toml"
    shipped = config.read_text()
    config.write_text(shipped.replace("compatibility_date", route + "compatibility_date"))
    status, output = await world.bash("make deploy ARGS=--yes")
    assert status != 0 and "run the same command again" in output and "voice.elsewhere.test" in output
    ticket_key = world.net.state["secrets"]["REPARTEE_TICKET_KEY"]
    config.write_text(shipped)
    status, output = await world.bash("make deploy ARGS=--yes")
    assert status == 0, output
    assert world.net.state["secrets"]["REPARTEE_TICKET_KEY"] == ticket_key
    assert world.account.scripts[WORKER].domains == [f"voice.{ZONE}"]
