"""Clients that others wrote, over real sockets against ``repartee up --tls``.

A spoken question, a tool of the client's, an agent with a tool of its own, and an interruption: no error on either
side, every event as the SDK types it, and nothing spoken twice. The programs in drivers/ do what each client's
documentation tells one to; a tap between them and the edge writes down what the server says.
"""

import asyncio
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.clients import environment
from tests.clients.strict import faults_in
from tests.clients.tap import Tap, tapping
from tests.free_ports import free_port
from tests.promptness import DEADLINE_S
from tests.regional.app.running import REPARTEE, clean_environment

from repartee.client.speech import spoken
from repartee.launch.certificate import make_certificate

DRIVERS = Path(__file__).parent / "drivers"
ROOT = environment.ROOT
BALANCE = "What is the balance of my account?"
HOURS = "What are your opening hours?"
HOW = "How do you work?"
FORECAST = "What is the weather like today?"


@dataclass(frozen=True)
class Program:
    """A client, and whether it is one of the project's own dependencies."""

    name: str
    file: str
    ours: bool = False

    @property
    def part(self) -> str:
        """Its part of an environment: the folder's name."""
        return "node_modules" if self.file.endswith(".mjs") else "python"

    def missing(self) -> str | None:
        """Why it cannot be run, if so."""
        if self.ours:
            there = self.part == "python" or (ROOT / "node_modules" / "openai").is_dir()
            return (
                None if there else "node_modules/openai is missing: run npm ci for OpenAI's client for Node"
            )
        if environment.has(self.part):
            return None
        return f"{self.name} needs an environment of its own: run make test-clients"

    def command(self, home: Path) -> list[str]:
        """What to run. A Node program finds its packages beside it."""
        if self.file.endswith(".mjs"):
            shutil.copytree(DRIVERS, home / "drivers", dirs_exist_ok=True)
            modules = ROOT if self.ours else environment.folder()
            assert modules is not None
            (home / "drivers" / "node_modules").unlink(missing_ok=True)
            (home / "drivers" / "node_modules").symlink_to(modules / "node_modules")
            node = ROOT / "node_modules" / ".bin" / "node"
            return [str(node) if node.exists() else "node", str(home / "drivers" / self.file)]
        if self.ours:
            return [sys.executable, str(DRIVERS / self.file)]
        where = environment.folder()
        assert where is not None
        return [str(where / "python" / "bin" / "python"), str(DRIVERS / self.file)]


PROGRAMS = [
    Program("openai for Python", "openai_python.py", ours=True),
    Program("openai for Node", "openai_npm.mjs", ours=True),
    Program("openai-agents for Python", "openai_agents.py"),
    Program("@openai/agents-realtime", "agents_realtime_npm.mjs"),
    Program("LiveKit's RealtimeModel", "livekit_realtime.py"),
    Program("Pipecat's OpenAIRealtimeLLMService", "pipecat_realtime.py"),
]


@dataclass
class System:
    """A running ``repartee up --tls``."""

    url: str
    certificate: Path
    folder: Path


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each question, spoken: PCM16 at 24 kHz."""
    folder = tmp_path_factory.mktemp("questions")
    files = {}
    for number, text in enumerate((BALANCE, HOURS, HOW, FORECAST)):
        files[text] = folder / f"{number}.pcm"
        files[text].write_bytes(spoken(text, 24_000).pcm)
    return files


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One for all of them."""
    folder = tmp_path_factory.mktemp("system")
    port = free_port(3)
    desk = f"{Path(__file__).parent / 'desk.py'}:agent"
    command = [str(REPARTEE), "up", "--tls", "--port", str(port), "--regions", "1", "--agent", desk]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**clean_environment(), "PYTHONUNBUFFERED": "1"},
    )
    certificate, said = None, list[str]()
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        if found := re.search(r"Certificate\s+(\S+)", line):
            certificate = Path(found.group(1))
        if "Ctrl-C" in line:
            break
    # What it goes on to say is read as well: else it would wait for us once the pipe is full.
    reading = threading.Thread(target=process.stdout.read, daemon=True)
    reading.start()
    try:
        assert certificate is not None, "".join(said)
        yield System(f"wss://127.0.0.1:{port}/v1/realtime", certificate, folder)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
        reading.join(DEADLINE_S)
        process.stdout.close()


@dataclass
class RunningClient:
    """A client in a call."""

    process: asyncio.subprocess.Process
    tap: Tap
    questions: dict[str, Path]
    errors: list[str] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            told = json.loads(line) if line.startswith(b"{") else {}
            if told.get("kind") == "error":
                self.errors.append(told["error"])
            elif told.get("kind") == "ready":
                self.ready.set()

    async def says(self, question: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"say {self.questions[question]}\n".encode())
        await self.process.stdin.drain()

    async def hears(self, words: str) -> None:
        """An answer with these words, to its end."""
        await self.tap.hears(lambda: [text for text in self.tap.said if words in text.lower()], repr(words))


@asynccontextmanager
async def calling(
    program: Program, system: System, questions: dict[str, Path], *options: str
) -> AsyncIterator[RunningClient]:
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = make_certificate(system.folder)
    own.load_cert_chain(*files)
    trusted = ssl.create_default_context(cafile=str(system.certificate))
    async with tapping(system.url, own, trusted) as (tap, url):
        process = await asyncio.create_subprocess_exec(
            *program.command(system.folder),
            url,
            *options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={
                **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
                "SSL_CERT_FILE": str(files[0]),
                "NODE_EXTRA_CA_CERTS": str(files[0]),
                "OPENAI_API_KEY": "dev",
                "OPENAI_AGENTS_DISABLE_TRACING": "1",
            },
        )
        client = RunningClient(process, tap, questions)
        listening = asyncio.create_task(client.listen())
        try:
            async with asyncio.timeout(DEADLINE_S):
                await client.ready.wait()
            await tap.hears(lambda: tap.of("session.created"), "the session")
            yield client
        finally:
            process.terminate()
            await process.wait()
            listening.cancel()
            await asyncio.wait([listening])
    check(client)


def check(client: RunningClient) -> None:
    """What holds for every call."""
    tap = client.tap
    assert tap.of("error") == []
    assert client.errors == []
    assert [fault for event in tap.events for fault in faults_in(event)] == []
    assert not [event for event in tap.events if event["type"].startswith("repartee.")]
    sentences = [sentence for text in tap.said for sentence in re.findall(r"[^.!?]+[.!?]", text)]
    assert len(set(sentences)) == len(sentences), "nothing is spoken twice"
    for item, audio in audio_of(tap).items():
        assert len(set(audio)) == len(audio), f"no audio of {item} is sent twice"


def audio_of(tap: Tap) -> dict[str, list[Any]]:
    """The pieces of each answer's audio that are not silence."""
    pieces: dict[str, list[Any]] = {}
    for event in tap.of("response.output_audio.delta"):
        if event["delta"].strip("A="):
            pieces.setdefault(event["item_id"], []).append(event["delta"])
    return pieces


@pytest.fixture(params=PROGRAMS, ids=[program.file for program in PROGRAMS])
def program(request: pytest.FixtureRequest) -> Program:
    chosen: Program = request.param
    if why := chosen.missing():
        pytest.skip(why)
    return chosen


async def test_a_spoken_question(program: Program, system: System, questions: dict[str, Path]) -> None:
    async with calling(program, system, questions) as client:
        await client.says(HOURS)
        await client.hears("eight thirty")
        assert client.tap.of("conversation.item.input_audio_transcription.completed")


async def test_a_tool_of_the_clients(program: Program, system: System, questions: dict[str, Path]) -> None:
    async with calling(program, system, questions, "tool") as client:
        await client.says(FORECAST)
        await client.hears("sunny")
        [called] = client.tap.of("response.function_call_arguments.done")
        assert called["name"] == "weather_forecast"


async def test_an_agent_with_a_tool_of_its_own(
    program: Program, system: System, questions: dict[str, Path]
) -> None:
    async with calling(program, system, questions) as client:
        await client.says(BALANCE)
        await client.hears("1240")
        assert "function_call" not in json.dumps([e for e in client.tap.events if "delta" not in e])


async def test_an_interruption(program: Program, system: System, questions: dict[str, Path]) -> None:
    async with calling(program, system, questions) as client:
        tap = client.tap
        await client.says(HOW)
        await tap.hears(lambda: len(tap.of("response.output_audio.delta")) > 20, "the answer's beginning")
        await client.says(HOURS)
        await client.hears("eight thirty")
        assert len(tap.of("input_audio_buffer.speech_started")) >= 2
        assert tap.of("conversation.item.truncated")
