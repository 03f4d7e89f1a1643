"""Calls by WebRTC over real sockets: OpenAI's HTTP contract, the data channel's events, WHIP, the side band."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from tests.contract.caller import calling
from tests.contract.webrtc_caller import WebRtcCaller, calling_by_webrtc
from tests.promptness import DEADLINE_S
from tests.regional.app.running import Region
from tests.regional.rtc.link import CLIENT_IDENTITY, level_of
from websockets.asyncio.client import connect

from repartee.rtc import sdp
from repartee.rtc.ice import IceCredentials

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAME = re.compile(r"/v1/realtime/calls/(rtc_local_[0-9a-f]{36})")
SDP = {"Content-Type": "application/sdp"}


def an_offer() -> str:
    """Of a caller that will never connect."""
    parts = sdp.OfferParts(IceCredentials("caller01", "x" * 24), CLIENT_IDENTITY.fingerprint, 2, 1)
    return sdp.offer(parts)


@asynccontextmanager
async def asking(worker: Region) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=worker.http, timeout=DEADLINE_S) as client:
        yield client


async def hang_up_all(client: httpx.AsyncClient, *names: str) -> None:
    for name in names:
        assert (await client.post(f"/v1/realtime/calls/{name}/hangup")).status_code == 200


async def test_an_offer_with_a_token_gets_201_a_location_and_the_answer(worker: Region) -> None:
    async with asking(worker) as client:
        token = (await client.post("/v1/realtime/client_secrets")).json()["value"]
        headers = {**SDP, "Authorization": f"Bearer {token}"}
        answer = await client.post("/v1/realtime/calls", content=an_offer(), headers=headers)
        assert answer.status_code == 201
        assert answer.headers["content-type"] == "application/sdp"
        location = NAME.fullmatch(answer.headers["location"])
        assert location
        read = sdp.parse(answer.text)
        assert {(one.host, one.protocol) for one in read.candidates} == {
            ("127.0.0.1", "udp"),
            ("127.0.0.1", "tcp"),
        }
        assert len({one.port for one in read.candidates}) == 1
        await hang_up_all(client, location[1])
    await worker.until_idle()


async def test_an_offer_may_come_with_the_sessions_settings(worker: Region) -> None:
    """As multipart, with the parts sdp and session."""

    class Multipart(httpx.AsyncClient):
        async def post(self, url: Any, **options: Any) -> httpx.Response:
            session = {"type": "realtime", "instructions": "Speak of the sea.", "output_modalities": ["text"]}
            files = {
                "sdp": (None, options["content"], "application/sdp"),
                "session": (None, json.dumps(session), "application/json"),
            }
            return await super().post(url, files=files)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repartee.client.webrtc.httpx.AsyncClient", Multipart)
        async with calling_by_webrtc(worker.http) as caller:
            session = caller.events[0]["session"]
            assert session["instructions"] == "Speak of the sea."
            assert session["output_modalities"] == ["text"]
    await worker.until_idle()


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (b"hello", SDP, "v=0"),
        (b"\xff\xfe", SDP, "no text"),
        (b"x" * 70_000, SDP, "too long"),
        (b"{}", {"Content-Type": "application/json"}, "application/sdp"),
        (b"--x\r\n\r\n--x--", {"Content-Type": "multipart/form-data; boundary=x"}, "sdp"),
        (b"nothing", {"Content-Type": "multipart/form-data"}, "multipart"),
    ],
)
async def test_a_body_that_cannot_be_used_is_refused_in_words(
    worker: Region, body: bytes, headers: dict[str, str], words: str
) -> None:
    async with asking(worker) as client:
        refused = await client.post("/v1/realtime/calls", content=body, headers=headers)
    assert refused.status_code in (400, 413)
    assert refused.status_code == 413 or words in refused.json()["error"]["message"]
    await worker.until_idle()


async def test_hanging_up_says_goodbye_and_ends_the_call(worker: Region) -> None:
    async with calling_by_webrtc(worker.http) as caller, asking(worker) as client:
        await hang_up_all(client, caller.name)
        await asyncio.wait_for(caller.hung_up.wait(), DEADLINE_S)
        await worker.until_idle()
        gone = await client.post(f"/v1/realtime/calls/{caller.name}/hangup")
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "call_not_found")


def without_audio(types: list[str]) -> list[str]:
    """In their order, without what differs: audio, and how many pieces words come in."""
    kept = [
        each for each in types if not each.startswith(("output_audio_buffer.", "response.output_audio.delta"))
    ]
    return [each for place, each in enumerate(kept) if place == 0 or kept[place - 1] != each]


async def test_the_same_dialogue_has_the_same_events_in_the_same_order(
    worker: Region, openai: AsyncOpenAI
) -> None:
    async with calling(openai, asks=False) as caller:
        await caller.says_something()
        await caller.hears("response.done")
        by_websocket = without_audio(caller.types)
    async with calling_by_webrtc(worker.http, "/v1/realtime/calls") as other:
        await other.says_something()
        await other.hears("response.done")
        assert without_audio(other.types) == by_websocket
        assert not [each for each in other.types if each.startswith("repartee.")]
        assert "response.output_audio.delta" not in other.types
        await other.hears("output_audio_buffer.stopped")
        assert level_of(bytes(other.heard)) > 100, "the answer was heard"
    await worker.until_idle()


async def test_events_of_ours_are_for_those_who_ask(worker: Region) -> None:
    async with calling_by_webrtc(worker.http, "/v1/realtime/calls?events=repartee") as caller:
        await caller.says_something()
        latency = await caller.hears("repartee.turn.latency")
        assert sum(latency["stages_ms"].values()) == pytest.approx(latency["voice_to_voice_ms"], abs=1)


async def test_sound_is_announced_when_it_begins_and_when_it_ends(worker: Region) -> None:
    async with calling_by_webrtc(worker.http) as caller:
        await caller.says_something()
        created = await caller.hears("response.created")
        started = await caller.hears("output_audio_buffer.started")
        assert started["response_id"] == created["response"]["id"]
        stopped = await caller.hears("output_audio_buffer.stopped")
        assert stopped["response_id"] == started["response_id"]
        assert started["_heard_bytes"] <= 48 * 60, "with the first packet"
        assert stopped["_heard_bytes"] > 48 * 1_000
        await asyncio.sleep(0.2)
        assert len(caller.heard) - stopped["_heard_bytes"] <= 48 * 60, "with the last packet"
        assert "output_audio_buffer.cleared" not in caller.types


async def _cut(caller: WebRtcCaller) -> int:
    """Until the answer was cut; how much was heard after that, in bytes, before another began."""
    cleared = await caller.hears("output_audio_buffer.cleared")
    await asyncio.sleep(0.3)
    later = caller.events[caller.events.index(cleared) :]
    until_bytes = next(
        (event["_heard_bytes"] for event in later if event["type"] == "output_audio_buffer.started"),
        len(caller.heard),
    )
    return int(until_bytes - cleared["_heard_bytes"])


async def test_a_barge_in_empties_the_queue_and_keeps_what_was_heard(worker: Region) -> None:
    async with calling_by_webrtc(worker.http) as caller:
        await caller.says_something()
        await caller.hears("output_audio_buffer.started")
        await asyncio.sleep(0.5)
        await caller.says_something(pause_ms=0, ms=900)
        assert await _cut(caller) <= 48 * 60, "no further packet of the answer leaves"
        truncated = next(event for event in caller.events if event["type"] == "conversation.item.truncated")
        assert 200 < truncated["audio_end_ms"] <= truncated["_heard_bytes"] / 48 + 60


async def test_a_client_may_clear_the_sound(worker: Region) -> None:
    async with calling_by_webrtc(worker.http) as caller:
        await caller.says_something()
        await caller.hears("output_audio_buffer.started")
        await caller.send("output_audio_buffer.clear")
        assert await _cut(caller) <= 48 * 60
        assert "error" not in caller.types


async def test_a_mistake_is_told_on_the_channel(worker: Region) -> None:
    async with calling_by_webrtc(worker.http) as caller:
        await caller.send("input_audio_buffer.append", audio="AAAA", event_id="mine")
        error = (await caller.hears("error"))["error"]
        assert error["event_id"] == "mine" and "audio track" in error["message"]
        await caller.send("no.such.event")
        assert "no.such.event" in (await caller.hears("error"))["error"]["message"]


async def test_a_side_band_sees_the_calls_events_and_steers_it(worker: Region) -> None:
    async with (
        calling_by_webrtc(worker.http) as caller,
        connect(f"ws://127.0.0.1:{worker.port}/v1/realtime?call_id={caller.name}") as side,
    ):
        for created in ("session.created", "repartee.session.created"):
            assert json.loads(await side.recv())["type"] == created
        update = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
        await side.send(json.dumps(update))
        updated = await caller.hears("session.updated")
        assert updated["session"]["instructions"] == "Be brief."
        seen = {**updated}
        del seen["_heard_bytes"]
        assert json.loads(await side.recv()) == seen
        await side.send("no event")
        assert json.loads(await side.recv())["type"] == "error"
        assert "error" not in caller.types
        async with asking(worker) as client:
            await hang_up_all(client, caller.name)
        async with asyncio.timeout(DEADLINE_S):
            await side.wait_closed()
        assert side.close_code == 1000


async def test_whip_begins_ends_and_refuses_as_its_rfc_says(worker: Region) -> None:
    async with asking(worker) as client:
        begun = await client.post("/v1/realtime/whip", content=an_offer(), headers=SDP)
        assert begun.status_code == 201 and begun.headers["content-type"] == "application/sdp"
        where = begun.headers["location"]
        assert where.startswith("/v1/realtime/whip/rtc_")
        patch = {"Content-Type": "application/trickle-ice-sdpfrag"}
        assert (await client.patch(where, content="a=ice-ufrag:x", headers=patch)).status_code == 501
        assert (await client.post("/v1/realtime/whip", json={})).status_code == 415
        assert (await client.delete(where)).status_code == 200
        await worker.until_idle()
        assert (await client.delete(where)).status_code == 404


async def test_a_caller_that_is_back_goes_on_with_its_call(worker: Region) -> None:
    """A new connection, from another port, with the call's id: the conversation is still there."""
    async with calling_by_webrtc(worker.http) as first:
        await first.says_something()
        item = (await first.hears("conversation.item.input_audio_transcription.completed"))["item_id"]
        session = first.events[0]["session"]["id"]
        await first.hears("output_audio_buffer.started")
        first.socket.go_silent()
        path = f"/v1/realtime/calls?call_id={first.name}"
        async with calling_by_webrtc(worker.http, path) as back:
            assert back.events[0]["session"]["id"] == session
            await back.send("conversation.item.retrieve", item_id=item)
            assert (await back.hears("conversation.item.retrieved"))["item"]["id"] == item
            await back.says_something()
            assert (await back.hears("response.done"))["response"]["status"] == "completed"
            assert back.name == first.name
            assert worker.worker.state().active == 1
    await worker.until_idle()
