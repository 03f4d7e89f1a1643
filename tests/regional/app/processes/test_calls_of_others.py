"""What belongs to a WebRTC call reaches the process that holds it, whichever of them it comes to."""

import asyncio
import json

import httpx
from tests.contract.test_webrtc import SDP, an_offer
from tests.contract.webrtc_caller import calling_by_webrtc
from tests.promptness import DEADLINE_S
from tests.regional.app.processes.test_parent import two_processes, until_active, until_ready
from websockets.asyncio.client import connect

from repartee.app.processes.membership import Membership
from repartee.app.processes.shared_table import SharedTable
from repartee.app.webrtc_holders import Holders
from repartee.transport.webrtc.names import CallName, WorkerLabel, new_call_id, read_call

KEY = b"a key of the fleet's"
OWN, OTHER = WorkerLabel("10.0.0.1", 8000).signed(KEY), WorkerLabel("10.0.0.2", 8000).signed(KEY)


def test_a_name_says_which_process_holds_the_call() -> None:
    table = SharedTable.create(2, slots=3)
    one, two = (Membership(table, index, reports=-1) for index in range(2))
    for number, each in enumerate((one, two)):
        each.listens_at(9_001 + number)
    first, second = (Holders(OWN, KEY, each) for each in (one, two))
    name = read_call(str(second.new_name("near")))
    assert name is not None and name.process == 1
    assert first.holder(name, forwarded=False) == "127.0.0.1:9002"
    assert first.holder(name, forwarded=True) == "127.0.0.1:9002", "of another worker, to the right process"
    assert second.holder(name, forwarded=False) is None
    table.clear(1)
    assert first.holder(name, forwarded=False) is None, "the process is gone"
    assert first.holder(CallName("near", OWN, new_call_id(7, "0" * 14)), forwarded=False) is None
    elsewhere = CallName("near", OTHER, new_call_id(1, "0" * 14))
    assert first.holder(elsewhere, forwarded=False) == "10.0.0.2:8000"
    assert first.holder(elsewhere, forwarded=True) is None, "nothing goes on twice to another worker"
    forged = CallName("near", WorkerLabel("10.0.0.3", 80).signed(b"guessed"), new_call_id(1, "0" * 14))
    assert first.holder(forged, forwarded=False) is None
    table.close()


async def test_requests_reach_the_process_that_holds_the_call(providers: dict[str, str]) -> None:
    """Each thing is asked twice or of two calls, one in each process: connections take turns, so half come to the
    wrong one."""
    settings = {**providers, "REPARTEE_WEBRTC_PORT": "0", "REPARTEE_WEBRTC_ADDRESS": "127.0.0.1"}
    with two_processes(settings) as region:
        await until_ready(region)
        async with (
            calling_by_webrtc(region.http) as one,
            calling_by_webrtc(region.http) as other,
            httpx.AsyncClient(base_url=region.http, timeout=DEADLINE_S) as client,
        ):
            assert {call.process for caller in (one, other) if (call := read_call(caller.name))} == {0, 1}
            for caller in (one, one, other, other):
                session = caller.events[0]["session"]["id"]
                async with connect(f"{region.url}?call_id={caller.name}") as side:
                    assert json.loads(await side.recv())["session"]["id"] == session
            for caller in (one, other):
                back_path = f"/v1/realtime/calls?call_id={caller.name}"
                for _ in range(2):
                    async with calling_by_webrtc(region.http, back_path) as back:
                        assert back.events[0]["session"]["id"] == caller.events[0]["session"]["id"]
                        back.socket.go_silent()  # to hang up would end the call
            await until_active(region, 2)
            for caller in (one, other):
                path = f"/v1/realtime/calls/{caller.name}/hangup"
                async with httpx.AsyncClient(base_url=region.http, timeout=DEADLINE_S) as another:
                    assert (await another.post(path)).status_code == 200
            begun = [
                await client.post("/v1/realtime/whip", content=an_offer(), headers=SDP) for _ in range(2)
            ]
            for answer in begun:
                async with httpx.AsyncClient(base_url=region.http, timeout=DEADLINE_S) as another:
                    assert (await another.delete(answer.headers["location"])).status_code == 200
            await asyncio.wait_for(until_active(region, 0), DEADLINE_S)
