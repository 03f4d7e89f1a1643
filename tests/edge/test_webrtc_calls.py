"""WebRTC calls through the self-hosted edge: the POST goes by way of it, media does not."""

import json
from typing import Any

import httpx
from tests.contract.webrtc_caller import calling_by_webrtc
from tests.edge.conftest import StartEdge
from tests.edge.test_with_regions import ACME, system
from tests.regional.app.running import stand_ins
from websockets.asyncio.client import connect

BEARER: dict[str, Any] = {"Authorization": f"Bearer {ACME}"}
CALLS = "/v1/realtime/calls?events=repartee"


async def test_a_call_begins_is_steered_and_ends_through_the_edge(start_selfhosted: StartEdge) -> None:
    with stand_ins() as providers:
        settings = {**providers, "REPARTEE_WEBRTC_PORT": "0", "REPARTEE_WEBRTC_ADDRESS": "127.0.0.1"}
        settings |= {"REPARTEE_TURN_URLS": "turn:turn.example.com", "REPARTEE_TURN_SECRET": "a secret"}
        regions = dict.fromkeys(("near", "far"), settings)
        async with system(start_selfhosted, regions) as running, httpx.AsyncClient(headers=BEARER) as http:
            edge = f"http://{running.edge}"
            (servers,) = (await http.get(f"{edge}/v1/realtime/ice_servers")).json()["iceServers"]
            assert servers["urls"] == ["turn:turn.example.com"] and servers["username"].endswith(":acme")
            async with calling_by_webrtc(edge, CALLS, **BEARER) as caller:
                assert caller.name.startswith("rtc_near_")
                await caller.says_something()
                assert (await caller.hears("response.done"))["response"]["status"] == "completed"
                side_band: dict[str, Any] = {"additional_headers": BEARER}
                url = f"ws://{running.edge}/v1/realtime?call_id={caller.name}"
                async with connect(url, **side_band) as side:
                    assert json.loads(await side.recv())["type"] == "session.created"
                hung_up = await http.post(f"{edge}/v1/realtime/calls/{caller.name}/hangup")
                assert hung_up.status_code == 200
                await caller.hung_up.wait()
            unknown = await http.post(f"{edge}/v1/realtime/calls/rtc_mars_{'0' * 36}/hangup")
            assert unknown.status_code == 404
            running.regions["near"].process.kill()
            async with calling_by_webrtc(edge, CALLS, **BEARER) as caller:
                assert caller.name.startswith("rtc_far_"), "the next region takes the call"
