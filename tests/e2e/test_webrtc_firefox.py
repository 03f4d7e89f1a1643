"""Firefox calls by WebRTC through the edge.

Its fake microphone hums and plays no file, and WebAudio stands still on a machine without an audio device: so its
caller is muted, and writes.
"""

import re
import socket
import time
from contextlib import closing
from typing import Any

import pytest
from tests.e2e.firefox import Firefox, firefox
from tests.e2e.test_webrtc_browser import SAID_DONE, Relay
from tests.promptness import DEADLINE_S

from repartee.bench.line_quality import LineQuality
from repartee.launch.exposure import KNOWN_KEY
from repartee.rtc import sdp

CALL = """async (key) => {
  const events = window.events = [];
  const peer = window.peer = new RTCPeerConnection();
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  microphone.getTracks()[0].enabled = false;
  peer.addTrack(microphone.getTracks()[0], microphone);
  const player = new Audio();
  peer.ontrack = ({ streams }) => { player.srcObject = streams[0]; player.play(); };
  const channel = window.channel = peer.createDataChannel("oai-events");
  channel.onmessage = ({ data }) => events.push(JSON.parse(data));
  await peer.setLocalDescription(await peer.createOffer());
  const answer = await fetch("/v1/realtime/calls", {
    method: "POST",
    headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${key}` },
    body: peer.localDescription.sdp,
  });
  return answer.text();
}"""

SAY = """(text) => {
  const content = [{ type: "input_text", text }];
  for (const event of [
    { type: "conversation.item.create", item: { type: "message", role: "user", content } },
    { type: "response.create" },
  ]) window.channel.send(JSON.stringify(event));
}"""

ANSWERED = """(sdp) => window.peer.setRemoteDescription({ type: "answer", sdp })"""

STATS = """async () => {
  const all = [...(await window.peer.getStats()).values()];
  const of = (kind) => all.find(({ type }) => type === kind);
  return { inbound: of("inbound-rtp"), reported: of("remote-inbound-rtp"), outbound: of("outbound-rtp") };
}"""


def events(page: Firefox, type_: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(
        f"() => window.events.filter(({{ type }}) => type === '{type_}')"
    )
    return found


def hears(page: Firefox, type_: str, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + DEADLINE_S
    while len(found := events(page, type_)) < count:
        types = page.evaluate("() => window.events.map(({ type }) => type)")
        assert time.monotonic() < deadline, f"no {count} {type_} among {types}"
        time.sleep(0.25)
    return found


def an_address() -> str:
    """This machine's in its network: Firefox does not reach a worker at 127.0.0.1, as it offers no such address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but its own, at which Firefox makes no WebRTC calls")
        return str(probe.getsockname()[0])


def test_a_call_is_answered_and_reported_on(system: str) -> None:
    address = an_address()
    relay = Relay(LineQuality(), address)
    with closing(relay), firefox() as page:
        page.goto(system)
        answer = page.evaluate(CALL, KNOWN_KEY)
        port = sdp.parse(answer).candidates[0].port
        by_relay = answer.replace(f"127.0.0.1 {port} ", f"{address} {relay.to(str(port))} ")
        page.evaluate(ANSWERED, re.sub(r"a=candidate:\S+ 1 tcp .*\r\n", "", by_relay))
        hears(page, "session.created", 1)
        for asked in (1, 2):
            page.evaluate(SAY, "What are your opening hours?")
            said = hears(page, SAID_DONE, asked)[asked - 1]
            assert "We open at eight thirty" in said["transcript"]
            hears(page, "output_audio_buffer.stopped", asked)
        stats = page.evaluate(STATS)
        assert stats["inbound"]["packetsReceived"] > 100, "the agent's voice"
        assert stats["outbound"]["packetsSent"] > 100 and stats["reported"]["packetsReceived"] > 100
        assert stats["reported"]["roundTripTime"] < 1
