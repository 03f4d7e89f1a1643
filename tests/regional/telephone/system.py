"""A carrier, an edge and regions on this machine's sockets, and handsets to call with. The providers are light
stand-ins: what is said is a hum."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from tests.free_ports import free_port
from tests.promptness import DEADLINE_S
from tests.regional.app.running import TICKET_KEY, Region, RegionProcess, region, region_process

from repartee.agent.agent import Agent
from repartee.client.telephone import HandsetLine
from repartee.standins.carrier.account import TELNYX_NUMBER, TWILIO_NUMBER
from repartee.standins.carrier.calls import CarriedCall
from repartee.standins.carrier.network import TelephoneNetwork
from repartee.standins.server import StandInSettings, serve
from repartee.standins.stats import Stats
from repartee_edge.selfhosted.server import server_config
from repartee_edge.settings import read_settings

NUMBERS = {"twilio": TWILIO_NUMBER, "telnyx": TELNYX_NUMBER}
ROOT = Path(__file__).parents[3]
API_KEY = "sk-telephone"
TONE = bytes([0x80, 0x00] * 80)
"""20 ms of mu-law that is loud."""


@dataclass(frozen=True)
class TelephoneSystem:
    """All of it."""

    network: TelephoneNetwork
    edge: str
    regions: Sequence[Region]
    processes: Sequence[RegionProcess]
    network_url: str
    stats: Stats
    """What the providers' stand-ins have counted."""

    @asynccontextmanager
    async def handset(self, number: str = "+15550100") -> AsyncIterator[HandsetLine]:
        handset = await HandsetLine.connected(self.network_url, number)
        try:
            yield handset
        finally:
            await handset.close()

    @asynccontextmanager
    async def calling(
        self, carrier: str, number: str = "+15550100"
    ) -> AsyncIterator[tuple[HandsetLine, CarriedCall]]:
        """A call that has been answered and whose greeting can be heard."""
        async with self.handset(number) as handset:
            await handset.say(dial=NUMBERS[carrier])
            call_id = (await handset.until("ringing"))["call_id"]
            await handset.until("answered")
            call: CarriedCall = self.network.calls[call_id]
            await until(lambda: call.streams and handset.heard_ms)
            yield handset, call

    def regions_of(self, call: CarriedCall) -> list[int]:
        """The ports that the call's streams went to."""
        return [int(stream.figures.region.rpartition(":")[2]) for stream in call.streams]


async def ready(started: RegionProcess) -> None:
    """Its pools are warm."""
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as client, asyncio.timeout(DEADLINE_S):
        while (await client.get(f"{started.http}/readyz")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def until(seen: Any, within_s: float = DEADLINE_S) -> None:
    async with asyncio.timeout(within_s):
        while not seen():  # noqa: ASYNC110 - sockets of several kinds change it
            await asyncio.sleep(0.005)


async def speak(handset: HandsetLine, ms: int) -> None:
    """Something is said, and then nothing."""
    for _ in range(ms // 20):
        await handset.speak(TONE)
        await asyncio.sleep(0.02)


@asynccontextmanager
async def telephone_system(
    agent: Agent | str,
    regions: int = 1,
    environment: Mapping[str, str] | None = None,
    agents: Mapping[str, Agent] | None = None,
    **edge: str,
) -> AsyncIterator[TelephoneSystem]:
    """``environment`` is added to the regions' settings, ``edge`` to the edge's. An agent that is named is served by
    regions in processes of their own."""
    async with AsyncExitStack() as stack:
        providers = await stack.enter_async_context(
            serve(StandInSettings(profile="instant", light=True, telephone=""))
        )
        network = providers.state.telephone
        assert network is not None
        account = network.account
        keys = {
            "TWILIO_ACCOUNT_SID": account.twilio_sid,
            "TWILIO_AUTH_TOKEN": account.twilio_token,
            "TWILIO_BASE_URL": providers.base_url,
            "TELNYX_API_KEY": account.telnyx_key,
            "TELNYX_ACCOUNT_ID": account.id_at("telnyx"),
            "TELNYX_APPLICATION_ID": "an application",
            "TELNYX_PUBLIC_KEY": account.telnyx_public_key(),
            "TELNYX_BASE_URL": providers.base_url,
            "REPARTEE_TICKET_KEY": TICKET_KEY,
        }
        edge_port = free_port()
        running: list[Region] = []
        processes: list[RegionProcess] = []
        table = []
        names = ("us-east", "eu-west", "ap-south")[:regions]
        for name, position in zip(names, (-77.5, -6.3, 72.8), strict=False):
            port = free_port()
            own = {
                **providers.environment(),
                **keys,
                "REPARTEE_REGION": name,
                "REPARTEE_PUBLIC_URL": f"http://127.0.0.1:{port}",
                "REPARTEE_EDGE_URL": f"http://127.0.0.1:{edge_port}",
                "REPARTEE_DIAL_HOURS": "0-24",
                "REPARTEE_DIAL_FROM": TWILIO_NUMBER,
                **(environment or {}),
            }
            if isinstance(agent, str):
                arguments = ("--port", str(port), "--agent", agent, "--workers", "1")
                started = stack.enter_context(region_process({**own, "PYTHONPATH": str(ROOT)}, *arguments))
                processes.append(started)
                await ready(started)
            else:
                running.append(
                    await stack.enter_async_context(
                        region(own, agent=agent, agents=agents, allow_anonymous=False, port=port)
                    )
                )
            table.append(
                {
                    "name": name,
                    "latitude": 39.0,
                    "longitude": position,
                    "host": f"http://127.0.0.1:{port}",
                    "enabled": True,
                }
            )
        port = edge_port
        url = f"http://127.0.0.1:{port}"
        settings = {
            **keys,
            "REPARTEE_API_KEY": f"acme:{API_KEY}",
            "REPARTEE_REGIONS": json.dumps({"regions": table}),
            "REPARTEE_EDGE_COLO": "IAD",
            "REPARTEE_PUBLIC_URL": url,
            **edge,
        }
        config = server_config(read_settings(settings), port=port)
        config.timeout_graceful_shutdown = 1
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        try:
            await until(lambda: server.started)
            network.announce_to(url)
            network_url = f"{providers.base_url}/telephone/"
            yield TelephoneSystem(network, url, running, processes, network_url, providers.state.stats)
        finally:
            server.should_exit = True
            await serving
            await network.aclose()
