"""A real browser calls by WebRTC through the edge; its microphone hears spoken questions."""

import asyncio
import re
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright
from tests.e2e.conftest import launch
from tests.e2e.speaking import write_questions
from tests.promptness import DEADLINE_S, measured

from repartee.bench.datagram_relay import DatagramRelay, relaying
from repartee.bench.line_quality import LineQuality
from repartee.launch.exposure import KNOWN_KEY

CALL = """async ({ key, udp, relay }) => {
  const events = window.events = [];
  const peer = window.peer = new RTCPeerConnection();
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  peer.addTrack(microphone.getTracks()[0], microphone);
  const player = new Audio();
  peer.ontrack = ({ streams }) => { player.srcObject = streams[0]; player.play(); };
  peer.createDataChannel("oai-events").onmessage = ({ data }) => events.push(JSON.parse(data));
  await peer.setLocalDescription(await peer.createOffer());
  const answer = await fetch("/v1/realtime/calls", {
    method: "POST",
    headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${key}` },
    body: peer.localDescription.sdp,
  });
  window.call = answer.headers.get("Location").split("/").pop();
  let sdp = await answer.text();
  if (!udp) sdp = sdp.replace(/a=candidate:\\S+ 1 udp .*\\r\\n/g, "");
  if (relay) {
    const port = /1 udp \\d+ \\S+ (\\d+)/.exec(sdp)[1];
    sdp = sdp.replace(/a=candidate:\\S+ 1 tcp .*\\r\\n/g, "");
    sdp = sdp.replaceAll(` ${port} typ`, ` ${await relay_to(port)} typ`);
  }
  if (answer.ok) await peer.setRemoteDescription({ type: "answer", sdp });
  return answer.status;
}"""

STATS = """async () => {
  const all = [...(await window.peer.getStats()).values()];
  const transport = all.find(({ type }) => type === "transport");
  const pair = all.find(({ id }) => id === transport.selectedCandidatePairId);
  return {
    inbound: all.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio"),
    protocol: all.find(({ id }) => id === pair.remoteCandidateId).protocol,
  };
}"""

# What NetEq made up while the agent was heard, and how much was heard: a look each 100 ms, from the second answer on
# (the worker knows of the loss then), but for the ends of answers, where audio stops.
WATCH = """() => {
  const watch = window.watch = { concealed: 0, heard: 0 };
  let before = null;
  setInterval(async () => {
    const types = window.events.map(({ type }) => type).filter((type) => type.startsWith("output_audio_buffer."));
    const answers = types.filter((type) => type.endsWith("started")).length;
    const speaking = types.at(-1)?.endsWith("started") && answers > 1;
    const all = [...(await window.peer.getStats()).values()];
    const now = all.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
    const since = speaking ? performance.now() - (window.speaking ??= performance.now()) : 0;
    if (!speaking) window.speaking = null;
    if (before && since > 500) {
      watch.concealed += now.concealedSamples - before.concealedSamples;
      watch.heard += now.totalSamplesReceived - before.totalSamplesReceived;
    }
    before = speaking ? now : null;
  }, 100);
}"""

CAME = "([type, count]) => window.events.filter((event) => event.type === type).length >= count"
SAID_DONE = "response.output_audio_transcript.done"
HEARD_DONE = "conversation.item.input_audio_transcription.completed"


class Relay:
    """A bad line in a thread of its own, between the browser and the worker."""

    def __init__(self, quality: LineQuality, host: str = "127.0.0.1") -> None:
        self._quality = quality
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        self.line: DatagramRelay

    def to(self, port: str) -> int:
        """The relay's port in front of this one."""
        made = self._stack.enter_async_context(
            relaying(("127.0.0.1", int(port)), self._quality, host=self._host)
        )
        self.line = asyncio.run_coroutine_threadsafe(made, self._loop).result(DEADLINE_S)
        return self.line.address[1]

    def becomes(self, quality: LineQuality) -> None:
        """From now on."""
        self._loop.call_soon_threadsafe(self.line.set_quality, quality)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stack.aclose(), self._loop).result(DEADLINE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def begin(page: Page, *, udp: bool = True, relay: Relay | None = None) -> None:
    """Call from the page; without UDP it learns of the worker's TCP address only, with a relay of that one's."""
    page.set_default_timeout(DEADLINE_S * 1000)
    if relay is not None:
        page.expose_function("relay_to", relay.to)
    assert page.evaluate(CALL, {"key": KNOWN_KEY, "udp": udp, "relay": relay is not None}) == 201


def hears(page: Page, type_: str, count: int = 1) -> list[dict[str, Any]]:
    """The events of this type, once so many have come."""
    try:
        page.wait_for_function(CAME, arg=[type_, count])
    except Exception:
        pytest.fail(f"no {count} {type_} among {[event['type'] for event in events(page)]}")
    return [event for event in events(page) if event["type"] == type_]


def events(page: Page) -> list[dict[str, Any]]:
    """All that came over the data channel so far."""
    found: list[dict[str, Any]] = page.evaluate("window.events")
    return found


THREE_QUESTIONS = [
    (2.0, "Please explain how you work."),
    (4.5, "What are your opening hours?"),
    (10.0, "What are your opening hours?"),
]


def holds_three_turns(page: Page, *, clear: bool = True) -> dict[str, Any]:
    """The second question cuts the first answer off, the third is answered too; the call's figures. Where the line is
    not ``clear``, a question may be misheard, and gets another answer."""
    hears(page, "output_audio_buffer.cleared")
    heard = [event["transcript"] for event in hears(page, HEARD_DONE, 3)]
    said = [event["transcript"] for event in hears(page, SAID_DONE, 3)]
    if clear:
        # A browser without the time to play its recording leaves gaps in it: a word may be misheard.
        assert re.search("explain|work", heard[0], re.I)
        assert all(re.search("open|hours", question, re.I) for question in heard[1:]), heard
        assert "That is a good question" in said[0]
        assert all("We open at eight thirty" in answer for answer in said[1:]), said
    ended = [event["response"]["status"] for event in hears(page, "response.done", 3)]
    assert ended[:2] == ["cancelled", "completed"], "the second question cut the first answer off"
    assert len(hears(page, "output_audio_buffer.started", 3)) == 3
    stats: dict[str, Any] = page.evaluate(STATS)
    assert stats["inbound"]["totalAudioEnergy"] > 0
    assert stats["inbound"]["packetsReceived"] > 100
    return stats


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_three_turns_with_an_interruption(
    system: str, playwright: Playwright, tmp_path: Path, protocol: str
) -> None:
    """With UDP blocked too."""
    browser = launch(playwright, write_questions(tmp_path / "questions.wav", THREE_QUESTIONS, 30.0))
    page = browser.new_page()
    page.goto(system)
    begin(page, udp=protocol == "udp")
    assert holds_three_turns(page)["protocol"] == protocol
    browser.close()


RESTART = """async (key) => {
  window.peer.restartIce();
  await window.peer.setLocalDescription(await window.peer.createOffer());
  const answer = await fetch(`/v1/realtime/calls?call_id=${window.call}`, {
    method: "POST",
    headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${key}` },
    body: window.peer.localDescription.sdp,
  });
  await window.peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  return answer.status;
}"""


def test_three_turns_at_5_percent_loss_and_a_restart(
    system: str, playwright: Playwright, tmp_path: Path
) -> None:
    """And after the restart the call has left the bad line: another address, another round trip, the same call."""
    questions = [*THREE_QUESTIONS, (9.0, "What are your opening hours?")]
    machine = measured()
    relay = Relay(LineQuality(loss=0.05, rtt_ms=50.0))
    browser = launch(playwright, write_questions(tmp_path / "questions.wav", questions, 30.0))
    page = browser.new_page()
    page.goto(system)
    begin(page, relay=relay)
    page.evaluate(WATCH)
    assert holds_three_turns(page, clear=False)["protocol"] == "udp"
    hears(page, "output_audio_buffer.stopped", 2)
    watch = page.evaluate("window.watch")
    assert relay.line.lost > 50 and watch["heard"] > 48_000
    assert page.evaluate(RESTART, KNOWN_KEY) == 201
    hears(page, SAID_DONE, 4)
    relay.close()
    browser.close()
    share = watch["concealed"] / watch["heard"]
    machine.promise(share <= 0.005, f"{share:.2%} of the answers was made up; 0.5 % is promised")
