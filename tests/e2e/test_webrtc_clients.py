"""Clients for browsers, ours and others', call by WebRTC in Chromium: each asks a question and hears its answer."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright
from tests.e2e.conftest import launch
from tests.e2e.speaking import write_questions
from tests.promptness import DEADLINE_S

from repartee.launch.exposure import KNOWN_KEY

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "webrtc"
MODULES = ROOT / "node_modules"
QUESTION = "What are your opening hours?"
ANSWER = "We open at eight thirty"

TOKEN = f"""const token = (await (await fetch("/v1/realtime/client_secrets", {{
  method: "POST", headers: {{ Authorization: "Bearer {KNOWN_KEY}" }},
}})).json()).value;
"""

PLAIN = f"""import {{ call }} from "/example/call.js";
{TOKEN}
await call("", token, new Audio(), (event) => {{
  if (event.type === "response.output_audio_transcript.done") document.body.append(event.transcript);
}});
"""

REACT = f"""import {{ createElement, useEffect }} from "react";
import {{ createRoot }} from "react-dom/client";
import {{ useVoiceCall }} from "./useVoiceCall.js";
const getToken = async () => {{ {TOKEN} return token; }};
function App() {{
  const {{ status, lines, start }} = useVoiceCall({{ server: "", getToken }});
  useEffect(() => {{ start(); }}, [start]);
  return createElement("p", {{ id: status }}, lines.map(({{ who, text }}) => `${{who}}: ${{text}}`).join(" / "));
}}
createRoot(document.body).render(createElement(App));
"""

# As its documentation has it, with the URL set.
AGENTS = f"""import {{ OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession }} from "/example/agents.mjs";
{TOKEN}
const agent = new RealtimeAgent({{ name: "Assistant", instructions: "Be brief." }});
const transport = new OpenAIRealtimeWebRTC({{ baseUrl: `${{location.origin}}/v1/realtime/calls` }});
const session = new RealtimeSession(agent, {{ transport, model: "gpt-realtime" }});
session.on("history_updated", (history) => {{ document.body.textContent = JSON.stringify(history); }});
await session.connect({{ apiKey: token }});
"""

# OpenAI's sample for browsers ("Connecting using WebRTC", with an ephemeral token), with the URL set.
SAMPLE = f"""{TOKEN}
const EPHEMERAL_KEY = token;
const pc = new RTCPeerConnection();
const audioElement = document.createElement("audio");
audioElement.autoplay = true;
pc.ontrack = (e) => (audioElement.srcObject = e.streams[0]);
const ms = await navigator.mediaDevices.getUserMedia({{ audio: true }});
pc.addTrack(ms.getTracks()[0]);
const dc = pc.createDataChannel("oai-events");
dc.addEventListener("message", (e) => {{
  const event = JSON.parse(e.data);
  if (event.type === "response.output_audio_transcript.done") document.body.append(event.transcript);
}});
const offer = await pc.createOffer();
await pc.setLocalDescription(offer);
const sdpResponse = await fetch("/v1/realtime/calls", {{
  method: "POST",
  body: offer.sdp,
  headers: {{ Authorization: `Bearer ${{EPHEMERAL_KEY}}`, "Content-Type": "application/sdp" }},
}});
const answer = {{ type: "answer", sdp: await sdpResponse.text() }};
await pc.setRemoteDescription(answer);
"""


def installed(*names: str) -> Path:
    for name in names:
        if not (MODULES / name).exists():
            pytest.skip(f"node_modules/{name} is missing: run npm ci")
    return MODULES


def served(page: Page, name: str, text: str, kind: str) -> None:
    page.route(f"**/example/{name}", lambda route: route.fulfill(body=text, content_type=kind))


@contextmanager
def running(system: str, playwright: Playwright, folder: Path, files: dict[str, str]) -> Iterator[Page]:
    """A page of the edge's origin with these files below /example/, main.js first; its microphone asks QUESTION."""
    browser = launch(playwright, write_questions(folder / "question.wav", [(3.0, QUESTION)]))
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    html = '<!doctype html><body><script type="module" src="/example/main.js"></script>'
    served(page, "", html, "text/html")
    for name, text in files.items():
        served(page, name, text, "text/javascript")
    page.goto(f"{system}/example/")
    yield page
    assert faults == []
    browser.close()


def hears_the_answer(page: Page) -> str:
    page.wait_for_function(f"document.body.textContent.includes({ANSWER!r})", timeout=DEADLINE_S * 1000)
    return page.text_content("body") or ""


def test_the_example_in_plain_javascript(system: str, playwright: Playwright, tmp_path: Path) -> None:
    text = (EXAMPLES / "call.js").read_text()
    assert len(text.splitlines()) <= 30
    with running(system, playwright, tmp_path, {"main.js": PLAIN, "call.js": text}) as page:
        hears_the_answer(page)


def test_the_react_hook(system: str, playwright: Playwright, tmp_path: Path) -> None:
    modules = installed("react/package.json", "react-dom/package.json", "esbuild/package.json")
    bundled = subprocess.run(
        [
            modules / ".bin" / "esbuild",
            "--bundle",
            "--format=esm",
            "--define:process.env.NODE_ENV='\"production\"'",
        ],
        input=REACT,
        cwd=EXAMPLES,
        env={"NODE_PATH": str(modules), "PATH": f"{modules / 'node' / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bundled.returncode == 0, bundled.stderr
    with running(system, playwright, tmp_path, {"main.js": bundled.stdout}) as page:
        said = hears_the_answer(page)
        assert re.search(r"you: .*(open|hours).* / agent: ", said, re.I)
        assert page.locator("#connected").count() == 1


def test_openais_package_for_voice_agents(system: str, playwright: Playwright, tmp_path: Path) -> None:
    modules = installed("@openai/agents-realtime/package.json")
    bundle = modules / "@openai/agents-realtime/dist/bundle/openai-realtime-agents.mjs"
    files = {"main.js": AGENTS, "agents.mjs": bundle.read_text()}
    files |= {each.name: each.read_text() for each in bundle.parent.glob("*.mjs") if each != bundle}
    with running(system, playwright, tmp_path, files) as page:
        hears_the_answer(page)


def test_openais_sample_for_browsers(system: str, playwright: Playwright, tmp_path: Path) -> None:
    with running(system, playwright, tmp_path, {"main.js": SAMPLE}) as page:
        hears_the_answer(page)
