"""How the page plays and measures: catching up after a stall, a WebRTC line's figures, a waterfall's axis."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.e2e.conftest import ask
from tests.regional.client.scripted_region import RATE_HZ, Script, running_in_thread, tone

RECORDED = """(() => {
  const recorder = `registerProcessor("recorder", class extends AudioWorkletProcessor {
    process([[samples]]) {
      if (samples) this.port.postMessage(samples.slice());
      return true;
    }
  });`;
  const module = URL.createObjectURL(new Blob([recorder], { type: "text/javascript" }));
  const [addModule, connect] = [AudioWorklet.prototype.addModule, AudioNode.prototype.connect];
  window.sound = [];
  AudioWorklet.prototype.addModule = async function (url) {
    await addModule.call(this, module);
    return addModule.call(this, url);
  };
  AudioNode.prototype.connect = function (to, ...others) {
    if (to === this.context.destination && this instanceof AudioWorkletNode) {
      const tap = new AudioWorkletNode(this.context, "recorder", { numberOfOutputs: 0 });
      tap.port.onmessage = ({ data }) => window.sound.push(...data);
      window.soundHz = this.context.sampleRate;
      connect.call(this, tap);
    }
    return connect.call(this, to, ...others);
  };
  window.behind = [];
  addEventListener("load", () => new MutationObserver(() => {
    window.behind.push(parseFloat(document.getElementById("line-behind").textContent));
  }).observe(document.getElementById("line-behind"), { childList: true }));
})()"""
"""Keeps what the page plays, at its own rate, and how far behind it says that it is."""

METER = """async ([before, after]) => {
  const { PeerMeter } = await import("/page/peer-meter.js");
  const context = { outputLatency: 0.03, baseLatency: 0.01 };
  let now = before;
  const peer = { getStats: async () => new Map(now.map((one) => [one.id, one])) };
  const meter = new PeerMeter(peer, { track: { stats: { averageLatency: 12 } } }, context);
  await meter.quality();
  meter.answerStarts("item");
  await new Promise((resolve) => setTimeout(resolve, 50));
  now = after;
  const stages = await meter.stages("item", { end_of_turn: 120, tts: 100 });
  return { stages, quality: await meter.quality() };
}"""


def words_with_pauses(count: int, *, word_ms: float = 300, pause_ms: float = 250) -> bytes:
    """An answer of so many words, each a tone."""
    return b"".join(tone(word_ms) + bytes(int(RATE_HZ * pause_ms / 1000) * 2) for _ in range(count))


def word_lengths_ms(sound: list[float], rate_hz: float) -> list[float]:
    """How long each stretch of sound is; what is quiet for under 20 ms is within a word."""
    loud = np.abs(np.array(sound)) > 0.05
    at = np.flatnonzero(loud)
    breaks = np.flatnonzero(np.diff(at) > rate_hz * 0.02)
    starts = at[np.concatenate([[0], breaks + 1])]
    ends = at[np.concatenate([breaks, [len(at) - 1]])]
    return [float(ms) for ms in (ends - starts) / rate_hz * 1000]


def test_after_a_stall_silence_is_skipped_until_the_answer_is_on_time_and_no_word(browser: Browser) -> None:
    # The answer comes about as fast as it is spoken, so that what is late stays late unless the page does something.
    script = Script(sound=words_with_pauses(16), stall_s=1.0, pace=1.1)
    page = browser.new_page(bypass_csp=True)
    page.add_init_script(RECORDED)
    with running_in_thread(script) as url:
        page.goto(url)
        ask(page, "Tell me something long.")
        expect(page.locator("body")).to_have_attribute("data-state", "speaking")
        expect(page.locator("body")).to_have_attribute("data-state", "listening", timeout=25_000)
        behind = page.evaluate("window.behind.filter(Number.isFinite)")
        sound, rate_hz = page.evaluate("[window.sound, window.soundHz]")
    page.close()
    assert max(behind) > 500, "the page says that it is late"
    assert behind[-1] < 60, "and no more of it once it has caught up"
    words = word_lengths_ms(sound, rate_hz)
    # A word within which the stall came is in two pieces.
    assert sum(words) == pytest.approx(16 * 300, abs=60)
    assert len(words) >= 16


def stats(**changes: float) -> list[dict[str, Any]]:
    """What getStats has of a call, with these differences."""
    has = {
        "rtt": 0.02,
        "emitted": 0,
        "delay": 0.0,
        "lost": 0,
        "received": 0,
        "their_loss": 0.0,
        "jitter": 0.0,
    } | changes
    return [
        {
            "id": "in",
            "type": "inbound-rtp",
            "kind": "audio",
            "jitterBufferEmittedCount": has["emitted"],
            "jitterBufferDelay": has["delay"],
            "packetsLost": has["lost"],
            "packetsReceived": has["received"],
            "jitter": has["jitter"],
        },
        {
            "id": "out",
            "type": "outbound-rtp",
            "kind": "audio",
            "packetsSent": 100,
            "totalPacketSendDelay": 0.2,
        },
        {
            "id": "theirs",
            "type": "remote-inbound-rtp",
            "roundTripTime": has["rtt"],
            "fractionLost": has["their_loss"],
            "jitter": 0.001,
        },
        {"id": "playing", "type": "media-playout", "totalPlayoutDelay": 480.0, "totalSamplesCount": 16_000},
    ]


@pytest.mark.parametrize(("rtt", "buffered"), [(0.02, 0.03), (0.15, 0.12)])
def test_the_stages_of_a_webrtc_turn_follow_the_line(page: Page, rtt: float, buffered: float) -> None:
    before = stats(rtt=rtt, emitted=48_000, delay=48_000 * 0.5)
    after = stats(rtt=rtt, emitted=67_200, delay=48_000 * 0.5 + 19_200 * buffered)
    with running_in_thread(Script()) as url:
        page.goto(url)
        stages = page.evaluate(METER, [before, after])["stages"]
    assert stages["end_of_turn"] == 120 and stages["tts"] == 100
    assert stages["network"] == pytest.approx(1000 * rtt)
    assert stages["playback"] == pytest.approx(1000 * buffered + 30), (
        "the jitter buffer, and the sound system"
    )
    assert stages["capture"] == pytest.approx(12 + 6.5 + 2), "the device, the encoder, the wait to be sent"


@pytest.mark.parametrize(
    ("line", "loss", "jitter_ms"),
    [
        ({"received": 300, "lost": 0}, 0.0, 1.0),
        ({"received": 285, "lost": 15, "jitter": 0.012}, 0.05, 12.0),
        ({"received": 300, "their_loss": 0.1}, 0.1, 1.0),
    ],
)
def test_loss_and_jitter_follow_the_line(
    page: Page, line: dict[str, float], loss: float, jitter_ms: float
) -> None:
    with running_in_thread(Script()) as url:
        page.goto(url)
        quality = page.evaluate(METER, [stats(), stats(rtt=0.08, **line)])["quality"]
    assert quality["roundTripMs"] == pytest.approx(80)
    assert quality["lossShare"] == pytest.approx(loss)
    assert quality["jitterMs"] == pytest.approx(jitter_ms)


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("server_ms", [300, 700, 1_500, 3_400, 9_000])
def test_the_labels_of_an_axis_do_not_overlap(page: Page, width: int, server_ms: float) -> None:
    script = Script(stages_ms={"end_of_turn": 100.0, "llm": server_ms - 200, "tts": 100.0})
    with running_in_thread(script) as url:
        page.set_viewport_size({"width": width, "height": 740})
        page.goto(url)
        ask(page, "Hello?")
        expect(page.locator("#turns .turn")).to_have_count(1)
        heads = page.locator(".stages thead span:not(.visually-hidden)")
        boxes = [box for index in range(heads.count()) if (box := heads.nth(index).bounding_box())]
    assert len(boxes) >= 4, "two labels of the axis at least, and the two columns beside it"
    boxes.sort(key=lambda box: box["x"])
    for left, right in pairwise(boxes):
        assert left["x"] + left["width"] + 3 <= right["x"]
