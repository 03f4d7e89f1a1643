"""A provider that fails: new calls are refused and everybody is told why, but nothing has the worker replaced.

The recogniser is a server under the test's control; the other providers are stand-ins.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import yaml
from tests.promptness import DEADLINE_S, measured
from tests.regional.app.running import (
    TICKET_KEY,
    Region,
    calling,
    line_with,
    region,
    region_process,
    until,
)
from tests.regional.tcp_server import tcp
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

from repartee.app.readiness import Readiness
from repartee.errors import AdmissionRefused
from repartee.pool.faults import PoolFault
from repartee.pool.figures import PoolFigures

ROOT = Path(__file__).parents[3]
REFUSED = {"dg-error": "Project is out of credits"}


class Recogniser:
    """Flux, as far as a pool meets it. While it ``refuses``, it takes nobody and drops whom it has."""

    def __init__(self) -> None:
        self.refuses = False
        self.url = ""
        self._open: set[ServerConnection] = set()

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if not self.refuses:
            return None
        headers = Headers({**REFUSED, "Content-Length": "2"})
        return Response(402, HTTPStatus(402).phrase, headers, b"no")

    async def handle(self, connection: ServerConnection) -> None:
        self._open.add(connection)
        try:
            await connection.send(
                json.dumps({"type": "Connected", "request_id": "a", "sequence_id": len(self._open)})
            )
            async for _ in connection:
                pass
        except ConnectionClosed:
            pass
        finally:
            self._open.discard(connection)

    async def fail(self) -> None:
        """Refuse from now on."""
        self.refuses = True
        await asyncio.gather(*(connection.close(1011, "internal") for connection in list(self._open)))


@pytest.fixture
async def recogniser() -> AsyncIterator[Recogniser]:
    far = Recogniser()
    async with serve(far.handle, "127.0.0.1", 0, process_request=far.answer) as server:
        far.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield far


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url)


async def readiness(worker: Region) -> dict[str, Any]:
    answer = await get(f"{worker.http}/readyz")
    assert answer.status_code == 200, "it has served: nothing may have it replaced"
    return dict(answer.json())


async def until_admitting(worker: Region, wanted: bool) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while (await readiness(worker))["admitting"] is not wanted:  # noqa: ASYNC110 - a worker's state
            await asyncio.sleep(0.02)


async def test_a_recogniser_that_refuses(providers: dict[str, str], recogniser: Recogniser) -> None:
    async with region({**providers, "DEEPGRAM_BASE_URL": recogniser.url}) as worker:
        assert await readiness(worker) == {
            "ready": True,
            "admitting": True,
            "draining": False,
            "faults": [],
        }
        async with calling(worker.url) as call:
            assert json.loads(await call.recv())["type"] == "session.created"
            await recogniser.fail()
            await until_admitting(worker, False)

            [fault] = (await readiness(worker))["faults"]
            assert fault["pool"] == "deepgram"
            assert "Project is out of credits" in fault["why"]
            assert "DEEPGRAM_API_KEY" in fault["do"]
            with pytest.raises(InvalidStatus) as refusal:
                async with calling(worker.url):
                    pass
            assert refusal.value.response.status_code == 503
            assert "Speech recognition is unavailable" in refusal.value.response.body.decode()
            assert refusal.value.response.headers["Retry-After"] == "2"
            figures = await worker.metrics()
            assert figures["repartee_admitting"] == 0
            assert figures['repartee_pool_usable{provider="deepgram"}'] == 0
            assert figures['repartee_pool_usable{provider="openai"}'] == 1
            assert figures['repartee_pool_dials_total{outcome="failed",provider="deepgram"}'] >= 1
            assert figures["repartee_calls_active"] == 1, "the call that is there goes on"

            recogniser.refuses = False
            machine, back = measured(), time.monotonic()
            await until_admitting(worker, True)
            machine.promise(time.monotonic() - back < 5, "taking calls within 5 s of the provider's return")
        async with calling(worker.url) as call:
            assert json.loads(await call.recv())["type"] == "session.created"
        assert (await readiness(worker))["faults"] == []


@asynccontextmanager
async def edge() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """What takes heartbeats; gives its URL and their claims."""
    claims: list[dict[str, Any]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        [token] = re.findall(r"(?i)^authorization: bearer (\S+)", head, re.MULTILINE)
        claims.append(jwt.decode(token, TICKET_KEY, algorithms=["HS256"], options={"verify_aud": False}))
        assert len(token) <= 2048
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    async with tcp(take) as url:
        yield url, claims


async def test_heartbeats_say_so_at_once_and_name_the_fault(
    providers: dict[str, str], recogniser: Recogniser
) -> None:
    async with edge() as (url, claims):
        settings = {"REPARTEE_EDGE_URL": url, "REPARTEE_TICKET_KEY": TICKET_KEY, "REPARTEE_HEARTBEAT_S": "60"}
        async with region({**providers, **settings, "DEEPGRAM_BASE_URL": recogniser.url}) as worker:
            await until(lambda: claims)
            assert claims[0]["admitting"] is True
            await recogniser.fail()
            await until(lambda: len(claims) > 1)
            assert claims[1]["admitting"] is False
            assert "Project is out of credits" in claims[1]["faults"][0]
            recogniser.refuses = False
            await until(lambda: len(claims) > 2)
            assert claims[2]["admitting"] is True
            assert worker.worker.ready


def probes() -> dict[str, str]:
    """What asks a worker whether it may live on, and the path that it asks for."""
    deployment = yaml.safe_load((ROOT / "infra/kubernetes/base/deployment.yaml").read_text())
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    paths = {
        f"kubernetes {name}": container[name]["httpGet"]["path"]
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    balancer = (ROOT / "terraform/modules/region/balancer.tf").read_text()
    check = balancer.partition("health_check {")[2].partition("}")[0]
    paths["terraform target group"] = re.findall(r'path\s*=\s*"([^"]+)"', check)[0]
    [asked] = re.findall(
        r'"http://127\.0\.0\.1:8000(/\w+)"', (ROOT / "infra/container/healthcheck.py").read_text()
    )
    for file in ("terraform/modules/region/service.tf", "infra/container/Dockerfile"):
        [argument] = re.findall(
            r'"python", "/opt/repartee/healthcheck\.py"(.*?)\]', (ROOT / file).read_text()
        )
        assert argument == "", "it asks its default address"
        paths[file] = asked
    return paths


async def test_no_providers_fault_has_a_worker_with_calls_in_it_stopped(
    providers: dict[str, str], recogniser: Recogniser
) -> None:
    async with region({**providers, "DEEPGRAM_BASE_URL": recogniser.url}) as worker, calling(worker.url):
        await recogniser.fail()
        await until_admitting(worker, False)
        asked = {who: (await get(worker.http + path)).status_code for who, path in probes().items()}
    assert len(asked) == 6
    assert asked == dict.fromkeys(asked, 200)


class Vendor:
    """A provider with one pool."""

    def __init__(self, name: str, *, usable: bool, warm: bool) -> None:
        self.warm, self.usable = warm, usable
        counts: dict[str, Any] = dict.fromkeys(
            ("idle", "leased", "dialling", "waiting", "hits", "misses", "dials", "dial_failures", "lost"), 0
        )
        fault = None if usable else PoolFault(name, f"{name} refused.", f"Mend {name}.")
        self._figures = PoolFigures(
            name=name,
            warm=warm,
            **counts,
            wait_ms=0,
            wait_ms_max=0,
            oldest_s=0,
            last_error=None,
            usable=usable,
            fault=fault,
        )

    def pools(self) -> tuple[PoolFigures, ...]:
        return (self._figures,)


GOOD = Vendor("good", usable=True, warm=True)
BAD = Vendor("bad", usable=False, warm=False)


def test_a_usable_vendor_of_each_kind_is_enough() -> None:
    ready = Readiness({"stt": (BAD, GOOD), "llm": (GOOD,), "tts": (GOOD, BAD)})
    assert ready.warm
    ready.check(("stt", "llm", "tts"))
    assert [fault.pool for fault in ready.faults()] == ["bad", "bad"], "told of all the same"


def test_without_one_of_a_kind_no_call_is_taken() -> None:
    ready = Readiness({"stt": (BAD, BAD), "llm": (GOOD,), "tts": (BAD,)})
    assert not ready.warm
    with pytest.raises(AdmissionRefused, match="Speech recognition and Speech synthesis are unavailable"):
        ready.check(("stt", "llm", "tts"))
    ready.check(("llm",))


def test_a_regions_log_names_a_refused_key_within_two_seconds(providers: dict[str, str]) -> None:
    settings = {**providers, "OPENAI_API_KEY": "bad-key"}
    with region_process(settings, "--allow-anonymous") as worker:
        machine, started = measured(), time.monotonic()
        line = line_with(worker.process, "cannot connect to openai")
        machine.promise(time.monotonic() - started < 2, "in the log within 2 s of listening")
        answer = httpx.get(f"{worker.http}/readyz")
    assert "cannot connect to openai: openai refused the API key (status 401)" in line
    assert "Put a valid key into OPENAI_API_KEY." in line
    assert "bad-key" not in line
    assert answer.status_code == 503
    [fault] = answer.json()["faults"]
    assert (fault["pool"], fault["do"]) == ("openai", "Put a valid key into OPENAI_API_KEY.")
    assert "status 401" in fault["why"]
