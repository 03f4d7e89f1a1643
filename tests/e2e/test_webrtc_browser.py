"""A real browser calls by WebRTC through the edge; its microphone hears spoken questions."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright
from tests.e2e.conftest import launch
from tests.e2e.speaking import write_questions
from tests.promptness import DEADLINE_S

from repartee.launch.exposure import KNOWN_KEY

CALL = """async ({ key, udp }) => {
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
  let sdp = await answer.text();
  if (!udp) sdp = sdp.replace(/a=candidate:\\S+ 1 udp .*\\r\\n/g, "");
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

CAME = "([type, count]) => window.events.filter((event) => event.type === type).length >= count"
SAID_DONE = "response.output_audio_transcript.done"
HEARD_DONE = "conversation.item.input_audio_transcription.completed"


def begin(page: Page, *, udp: bool = True) -> None:
    """Call from the page; without UDP it learns of the worker's TCP address only."""
    page.set_default_timeout(DEADLINE_S * 1000)
    assert page.evaluate(CALL, {"key": KNOWN_KEY, "udp": udp}) == 201


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


def test_three_turns_with_an_interruption(system: str, playwright: Playwright, tmp_path: Path) -> None:
    questions = [
        (2.0, "Please explain how you work."),
        (4.5, "What are your opening hours?"),
        (10.0, "What are your opening hours?"),
    ]
    browser = launch(playwright, write_questions(tmp_path / "questions.wav", questions, 30.0))
    page = browser.new_page()
    page.goto(system)
    begin(page)
    hears(page, "output_audio_buffer.cleared")
    heard = [event["transcript"] for event in hears(page, HEARD_DONE, 3)]
    # A browser without the time to play its recording leaves gaps in it: a word of a question may be misheard.
    assert re.search("explain|work", heard[0], re.I)
    assert all(re.search("open|hours", question, re.I) for question in heard[1:])
    said = [event["transcript"] for event in hears(page, SAID_DONE, 3)]
    assert "That is a good question" in said[0]
    assert all("We open at eight thirty" in answer for answer in said[1:])
    ended = [event["response"]["status"] for event in hears(page, "response.done", 3)]
    assert ended[:2] == ["cancelled", "completed"], "the second question cut the first answer off"
    assert len(hears(page, "output_audio_buffer.started", 3)) == 3
    stats = page.evaluate(STATS)
    assert stats["protocol"] == "udp"
    assert stats["inbound"]["totalAudioEnergy"] > 0
    assert stats["inbound"]["packetsReceived"] > 100
    browser.close()


def test_a_call_where_udp_is_blocked(system: str, playwright: Playwright, tmp_path: Path) -> None:
    questions = [(2.0, "What are your opening hours?")]
    browser = launch(playwright, write_questions(tmp_path / "question.wav", questions))
    page = browser.new_page()
    page.goto(system)
    begin(page, udp=False)
    assert re.search("open|hours", hears(page, HEARD_DONE)[0]["transcript"], re.I)
    hears(page, "output_audio_buffer.stopped")
    assert "We open at eight thirty" in hears(page, SAID_DONE)[0]["transcript"]
    stats = page.evaluate(STATS)
    assert stats["protocol"] == "tcp"
    assert stats["inbound"]["totalAudioEnergy"] > 0
    browser.close()
