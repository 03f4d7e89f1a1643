"""Keys on every transport: OpenAI's event for each, and the agent's hook."""

import asyncio
import struct
from typing import Any

import pytest
from openai.types.realtime import InputAudioBufferDtmfEventReceivedEvent
from tests.contract.kinds.call import KINDS, agent_for, on
from tests.contract.webrtc_caller import calling_by_webrtc
from tests.regional.app.running import Region

from repartee.agent.context import CallContext
from repartee.client.webrtc import MediaSocket
from repartee.rtc import sdp
from repartee.rtc.rtp import RtpPacket


def pressed(digit: str) -> Any:
    return {"type": "repartee.dtmf", "digit": digit}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_clients_keypad_reaches_the_agent_and_comes_back_as_openais_event(kind: str) -> None:
    agent, got = agent_for(kind), list[str]()

    @agent.on_dtmf(digits=2)
    async def keys(ctx: CallContext, digits: str) -> None:
        got.append(digits)
        ctx.say("Thank you.")

    async with on(kind, agent, asks=False) as call:
        for digit in "4#7":
            await call.caller.connection.send(pressed(digit))
        for digit in "4#7":
            heard = await call.caller.hears("input_audio_buffer.dtmf_event_received")
            assert isinstance(heard, InputAudioBufferDtmfEventReceivedEvent)
            assert heard.event == digit and heard.received_at > 1_700_000_000
        await call.hears_said("Thank you.")
        assert got[0] == "4"
        await call.caller.connection.send(pressed("x"))
        refused = await call.caller.hears("error")
        assert refused.error.param == "digit"


def offering_keys(parts: sdp.OfferParts) -> str:
    """As browsers offer them."""
    return (
        own_offer(parts)
        .replace("SAVPF 111 63", "SAVPF 111 63 110")
        .replace("a=rtcp-mux", "a=rtcp-mux\r\na=rtpmap:110 telephone-event/48000")
    )


own_offer = sdp.offer


async def press_by_rtp(socket: MediaSocket, key: int, *, at: int) -> None:
    """A key held for 60 ms, as a browser's RTCDTMFSender sends it: its end three times."""
    srtp = socket.peer._srtp
    assert srtp is not None
    line = socket.peer.outgoing
    for number, ended in enumerate((False, False, True, True, True)):
        line._sequence = line._sequence + 1 & 0xFFFF  # a sender numbers keys and sound together
        duration = min(number + 1, 3) * 960
        payload = struct.pack("!BBH", key, 0x80 * ended | 10, duration)
        packet = RtpPacket(110, line._sequence, at, line.ssrc, payload, number == 0)
        socket.peer._put([srtp.protect(packet.encode())])
        socket._flush()
        await asyncio.sleep(0.02)


@pytest.mark.asyncio(loop_scope="session")
async def test_keys_that_come_by_rtp_are_heard_once_each(
    worker: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdp, "offer", offering_keys)
    async with calling_by_webrtc(worker.http) as caller:
        for number, key in enumerate((4, 11, 4)):
            await press_by_rtp(caller.socket, key, at=90_000 + 9_600 * number)
        await caller.says_something(ms=100, pause_ms=100)
        heard = [(await caller.hears("input_audio_buffer.dtmf_event_received"))["event"] for _ in range(3)]
        assert heard == ["4", "#", "4"]
        await asyncio.sleep(0.1)
        assert caller.types.count("input_audio_buffer.dtmf_event_received") == 3
