"""How long a sound takes from a page to the worker and back, by WebSocket and by WebRTC.

`python -m tests.e2e.loop --json loop.json` measures it in headless Chromium: bursts of a tone go out, come back from
a server that echoes them on the worker's own transports, and are looked for in what the page plays. Bursts come from
WebAudio, which reaches a WebRTC track over a bridge that no microphone has; it is measured by itself and taken off.
"""

import argparse
import contextlib
import json
import statistics
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Page, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect
from tests.e2e.conftest import launch
from tests.promptness import DEADLINE_S
from tests.regional.client.scripted_region import PAGE

from repartee.app.client_socket import Budget, with_budget
from repartee.rtc.pacing import AudioFrame
from repartee.rtc.peer import PeerLeft
from repartee.transport.webrtc.line import MediaLine
from repartee.transport.webrtc.peers import MediaSettings, PeerMaker
from repartee.transport.webrtc.playout import PacedPlayout, SpokenItem
from repartee.transport.webrtc.port import MediaPort

BURSTS = 15
WAYS = ("websocket", "webrtc", "webrtc_low_delay")

LOOP = """async ([way, bursts]) => {
  const { Speaker } = await import("/page/speaker.js");
  const context = new AudioContext({ latencyHint: "interactive" });
  await context.resume();
  const source = `registerProcessor("detector", class extends AudioWorkletProcessor {
    constructor() { super(); this.last = -1; }
    process([[samples]]) {
      for (let at = 0; samples && at < samples.length; at += 1) {
        if (Math.abs(samples[at]) < 0.12) continue;
        const time = currentTime + at / sampleRate;
        if (time - this.last > 0.3) this.port.postMessage(time);
        this.last = time;
      }
      return true;
    }
  })`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  await context.audioWorklet.addModule("/page/capture-worklet.js");
  const [tone, gain] = [new OscillatorNode(context, { frequency: 800 }), new GainNode(context, { gain: 0 })];
  tone.connect(gain);
  tone.start();
  const detector = new AudioWorkletNode(context, "detector", { numberOfOutputs: 0 });
  const seen = [];
  detector.port.onmessage = ({ data }) => seen.push(data);
  const held = new Audio();
  held.muted = true;
  const heard = (stream) => {
    held.srcObject = stream;
    held.play();
    context.createMediaStreamSource(stream).connect(detector);
  };
  let close = () => {};
  if (way === "websocket") {
    const speaker = await Speaker.open(context);
    const socket = new WebSocket(`ws://${location.host}/echo`);
    socket.binaryType = "arraybuffer";
    await new Promise((resolve) => { socket.onopen = resolve; });
    const options = { numberOfOutputs: 0, processorOptions: { rateHz: 24000, frameSamples: 480 } };
    const capture = new AudioWorkletNode(context, "capture", options);
    capture.port.onmessage = ({ data: { pcm } }) => socket.send(pcm);
    socket.onmessage = ({ data }) => speaker.play("echo", data);
    gain.connect(capture);
    speaker.node.connect(detector);
    close = () => socket.close();
  } else {
    const out = context.createMediaStreamDestination();
    gain.connect(out);
    if (way === "bridge") heard(out.stream);
    else {
      const peer = new RTCPeerConnection();
      peer.addTrack(out.stream.getAudioTracks()[0], out.stream);
      peer.ontrack = ({ streams }) => heard(streams[0]);
      await peer.setLocalDescription(await peer.createOffer());
      const answer = await fetch(`/calls?way=${way}`, { method: "POST", body: peer.localDescription.sdp });
      await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
      close = () => peer.close();
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const sent = Array.from({ length: bursts }, (_, index) => context.currentTime + 0.2 + index * 0.4);
  for (const time of sent) {
    gain.gain.setValueAtTime(0.6, time);
    gain.gain.setValueAtTime(0, time + 0.06);
  }
  await new Promise((resolve) => setTimeout(resolve, bursts * 400 + 500));
  close();
  context.close();
  return sent.flatMap((time) => seen.filter((at) => at > time && at < time + 0.39).slice(0, 1)
    .map((at) => 1000 * (at - time)));
}"""


class Echo:
    """A WebRTC call whose caller hears itself. Implements PlayoutUser and LineTaker."""

    def __init__(self, line: MediaLine, frame_ms: int) -> None:
        self._line = line
        self._playout = PacedPlayout(self, frame_ms=frame_ms)
        self._item = SpokenItem("resp", "item")

    @property
    def playout_delay_ms(self) -> float:
        return 0.0

    def take_pcm(self, pcm: bytes) -> None:
        self._playout.put(self._item, pcm)

    def send_frame(self, frame: AudioFrame, now: float) -> None:
        self._line.send_frame(frame, now)

    def line_opened(self) -> None:
        self._playout.release()

    def line_lost(self, why: PeerLeft) -> None:
        self._playout.stop()

    def line_away(self) -> None: ...

    def take_text(self, text: str) -> None: ...

    def channel_opened(self) -> None: ...

    def sound_began(self, spoken: SpokenItem) -> None: ...

    def sound_ended(self, spoken: SpokenItem) -> None: ...

    def was_heard(self, spoken: SpokenItem, heard_ms: float) -> None: ...


def app() -> Starlette:
    """Echoes on both of the worker's transports, and serves the page's own files."""
    ports: list[MediaPort] = []

    @contextlib.asynccontextmanager
    async def open_ports(app: Starlette) -> AsyncIterator[None]:
        yield
        for port in ports:
            await port.aclose()

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect, KeyError):
            while True:
                await websocket.send_bytes(await websocket.receive_bytes())

    async def call(request: Request) -> Response:
        low_delay = request.query_params["way"] == "webrtc_low_delay"
        frame_ms = 10 if low_delay else 20
        port = MediaPort("127.0.0.1", 0, streams=False)
        await port.open()
        line = MediaLine(port, PeerMaker(MediaSettings(["127.0.0.1"], "echo", frame_ms, low_delay=low_delay)))
        ports.append(port)
        answer = line.answer((await request.body()).decode())
        line.use(Echo(line, frame_ms))
        return Response(answer, status_code=201, media_type="application/sdp")

    async def page(request: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    return Starlette(
        routes=[
            WebSocketRoute("/echo", socket),
            Route("/calls", call, methods=["POST"]),
            Route("/", page),
            Mount("/page", StaticFiles(directory=PAGE)),
        ],
        lifespan=open_ports,
    )


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The echo in a thread; gives its URL."""
    config = uvicorn.Config(
        app(),
        port=0,
        log_level="error",
        ws=with_budget(Budget()),
        ws_per_message_deflate=False,
        lifespan="on",
        loop="uvloop",
    )
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(DEADLINE_S)


def figures(took_ms: list[float]) -> dict[str, float]:
    """Median and spread of a loop."""
    ordered = sorted(took_ms)
    if not ordered:
        raise RuntimeError("no burst came back in time: this machine is too busy for a figure")
    tenth = max(1, len(ordered) // 10)
    return {
        "bursts": len(ordered),
        "p50_ms": statistics.median(ordered),
        "spread_ms": ordered[-tenth] - ordered[tenth - 1],
    }


def measure(page: Page, bursts: int = BURSTS) -> dict[str, Any]:
    """The loop each way. What comes by WebRTC is without the bridge, which is beside it."""
    bridge = figures(page.evaluate(LOOP, ["bridge", bursts]))
    loops = {way: figures(page.evaluate(LOOP, [way, bursts])) for way in WAYS}
    for way in WAYS[1:]:
        loops[way]["p50_ms"] -= bridge["p50_ms"]
    return {"bridge_ms": bridge["p50_ms"], "loops": loops}


def main() -> None:
    """Measure, print, and write the JSON if that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    with serving() as url, sync_playwright() as playwright:
        browser = launch(playwright, None)
        page = browser.new_page(bypass_csp=True)
        page.goto(url)
        told = json.dumps(measure(page), indent=2)
        browser.close()
    print(told)
    if wanted.json:
        wanted.json.write_text(told + "\n")


if __name__ == "__main__":
    main()
