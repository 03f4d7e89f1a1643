"""What only the Worker has: bindings, cron, its size and speed, and what a deployment ships."""

import ast
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import websockets
from tests.edge.conftest import API_KEY, ROOT, TICKET_KEY, StartRegion, WorkerHost, edge_env, node
from websockets.asyncio.client import connect

from repartee_edge.heartbeats import sign_heartbeat
from repartee_edge.tickets import TicketKeys

Start = Callable[..., Awaitable[str]]
BEARER = {"Authorization": f"Bearer {API_KEY}"}
IMPORT_MS = 400
DECISION_MS = 1.0
BUNDLE_KIB = 1024


async def test_cron_finds_out_which_regions_live_and_callers_hear_of_it(
    start_region: StartRegion, start_worker: Start, worker_host: WorkerHost
) -> None:
    alive, dead = await start_region("alive"), await start_region("dead", "dead")
    edge = await start_worker(edge_env(dead, alive))
    await worker_host.post("/__cron")
    async with httpx.AsyncClient(base_url=f"http://{edge}", headers=BEARER) as http:
        listed = (await http.get("/v1/regions")).json()["regions"]
        direct = (await http.post("/v1/voice/session")).json()
    assert {entry["region"]: entry["up"] for entry in listed} == {"dead": False, "alive": True}
    assert direct["region"] == "alive"


async def test_a_heartbeat_goes_into_the_store_with_load_and_p90(
    start_region: StartRegion, start_worker: Start
) -> None:
    edge = await start_worker(edge_env(await start_region("near")))
    token = sign_heartbeat(
        TicketKeys(TICKET_KEY),
        region="near",
        instance="task-1",
        active=30,
        capacity=40,
        draining=False,
        now=time.time(),
        p90_ms=455.5,
    )
    async with httpx.AsyncClient(base_url=f"http://{edge}") as http:
        path = "/v1/regions/near/heartbeat"
        assert (await http.post(path, headers={"Authorization": "Bearer x"})).status_code == 401
        assert (await http.post(path, headers={"Authorization": f"Bearer {token}"})).status_code == 204
        stored = (await http.get("/__reports")).json()["keys"]
    assert [entry["name"] for entry in stored] == ["report:near:task-1"]
    assert stored[0]["metadata"]["active"] == 30 and stored[0]["metadata"]["p90_ms"] == 455.5


async def test_the_callers_place_comes_from_the_runtime(
    start_region: StartRegion, start_worker: Start
) -> None:
    near, far = await start_region("near"), await start_region("far")
    env = edge_env(near, far)
    env["REPARTEE_REGIONS"] = env["REPARTEE_REGIONS"].replace("-72", "139")
    edge = await start_worker(env)
    async with httpx.AsyncClient(base_url=f"http://{edge}", headers=BEARER) as http:
        for place, region in (('{"colo": "NRT", "country": "JP"}', "far"), ('{"country": "US"}', "near")):
            answer = (await http.post("/v1/voice/session", headers={"x-test-cf": place})).json()
            assert answer["region"] == region


async def test_the_rate_limit_binding_is_asked(start_region: StartRegion, start_worker: Start) -> None:
    edge = await start_worker(edge_env(await start_region("near")), limit=2)
    for status in (101, 101, 429):
        if status == 101:
            async with connect(f"ws://{edge}/v1/realtime", additional_headers=BEARER) as ws:
                await ws.recv()
            continue
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(f"ws://{edge}/v1/realtime", additional_headers=BEARER)
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["retry-after"] == "60"


async def test_a_worker_without_its_secrets_says_so_and_gives_nothing_away(start_worker: Start) -> None:
    edge = await start_worker({"REPARTEE_API_KEY": "dev", "REPARTEE_TICKET_KEY": "hush"})
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://{edge}/readyz")
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "not_configured"
    assert "hush" not in answer.text


async def test_import_and_decisions_are_quick(start_region: StartRegion, start_worker: Start) -> None:
    edge = await start_worker(edge_env(*[await start_region(f"r{i}") for i in range(8)]))
    async with httpx.AsyncClient(base_url=f"http://{edge}") as http:
        assert (await http.get("/healthz")).status_code == 200
        measured = (await http.get("/__measure", timeout=30)).json()
    assert measured["decision_ms"] <= DECISION_MS
    assert measured["import_ms"] < IMPORT_MS


def test_a_deployment_ships_the_edge_and_nothing_else(vendored: Path) -> None:
    path = f"{Path(sys.executable).parent}:{node().parent}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(vendored), "CI": "1", "WRANGLER_SEND_METRICS": "false"}
    done = subprocess.run(
        ["pywrangler", "deploy", "--dry-run"],
        cwd=vendored,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    shipped = set(re.findall(r"│ (\S+\.py)\s+│ python", output))
    ours = {str(file.relative_to(ROOT / "edge")) for file in (ROOT / "edge" / "repartee_edge").rglob("*.py")}
    assert shipped == ours
    total = re.search(r"Total Upload: ([\d.]+) KiB", output)
    assert total is not None and float(total[1]) < BUNDLE_KIB
    for binding in ("env.REPORTS", "env.LIMIT_PER_KEY", "env.LIMIT_PER_IP"):
        assert binding in output
    vendored_names = {item.name for item in (vendored / "python_modules").iterdir()}
    assert {"jwt", "workers"} <= vendored_names and not vendored_names & {"starlette", "openai", "numpy"}


def test_only_the_entry_imports_the_runtime_and_the_worker_needs_nothing_of_the_selfhosted_edge() -> None:
    edge = ROOT / "edge"
    for file in edge.rglob("*.py"):
        names = _imports(file)
        if file.name != "entry.py":
            assert not names & {"js", "workers", "pyodide"}, file
        if "selfhosted" not in file.parts:
            assert not any(name.startswith("repartee_edge.selfhosted") for name in names), file
            third_party = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
            assert third_party <= {"repartee_edge", "jwt", "js", "workers"}, file


def test_the_import_needs_neither_randomness_nor_a_clock() -> None:
    """At import time the runtime has neither: a call to either stops a deployment."""
    code = """
import asyncio, hashlib, heapq, json, jwt, os, random, secrets, sys, time, uuid
def refuse(*_args, **_options):
    raise RuntimeError("not at import time")
for module, names in ((os, ["urandom"]), (random, ["random"]), (secrets, ["token_urlsafe", "token_hex"]),
                      (time, ["time", "monotonic"]), (uuid, ["uuid4"])):
    for name in names:
        setattr(module, name, refuse)
import repartee_edge.router, repartee_edge.connecting, repartee_edge.settings
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_secrets_are_declared_and_none_is_written_down() -> None:
    text = (ROOT / "wrangler.toml").read_text()
    assert 'required = ["REPARTEE_API_KEY", "REPARTEE_TICKET_KEY"]' in text
    assert not re.search(r"^(REPARTEE_API_KEY|REPARTEE_TICKET_KEY\w*)\s*=", text, re.MULTILINE)


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for item in ast.walk(ast.parse(file.read_text())):
        if isinstance(item, ast.Import):
            found |= {alias.name for alias in item.names}
        elif isinstance(item, ast.ImportFrom):
            found.add(item.module or "")
    return found
