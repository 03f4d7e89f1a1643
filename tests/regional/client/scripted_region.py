"""A small region for tests of what calls one: it hears by loudness and answers from a script, on a real socket."""

import asyncio
import base64
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

import repartee

PAGE = Path(repartee.__file__).parent / "app" / "page"
RATE_HZ = 24_000
LOUD = 500
STAGES_MS = {"end_of_turn": 120.0, "llm": 140.4, "chunk": 51.2, "tts": 101.0, "hold": 0.0, "lead_in": 4.0}


def tone(ms: float, hz: float = 300.0) -> bytes:
    """An audible sound."""
    time = np.arange(int(RATE_HZ * ms / 1000)) / RATE_HZ
    return (8000 * np.sin(2 * np.pi * hz * time)).astype("<i2").tobytes()


@dataclass
class Script:
    """What the region does; ``answers`` are used in order, each spoken for ``answer_ms``."""

    answers: list[str] = field(default_factory=lambda: ["Certainly, I can help with that."] * 9)
    questions: list[str] = field(default_factory=lambda: ["What are your opening hours?"] * 9)
    answer_ms: list[float] = field(default_factory=lambda: [400.0] * 9)
    quiet_ms: float = 200.0
    api_key: str = "dev"
    refuse_with: int | None = None
    greeting: str | None = None
    mute: bool = False
    hang_up_after_turns: int | None = None
    tool_first: bool = False
    pace: float = 4.0
    sound: bytes = b""
    """What each answer sounds like, in place of a tone."""
    stall_s: float = 0.0
    """How long nothing comes of an answer once a third of it has; then all that has waited comes at once."""
    suggestions: list[str] = field(default_factory=list)
    stages_ms: dict[str, float] = field(default_factory=lambda: dict(STAGES_MS))
    received: list[dict[str, Any]] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    """Reports of when answers were heard."""


class ScriptedCall:
    """One connection."""

    def __init__(self, websocket: WebSocket, script: Script) -> None:
        self.socket, self.script = websocket, script
        self.binary = websocket.query_params.get("audio") == "binary"
        self.turns = 0
        self.speaking = False
        self.quiet_ms = 0.0
        self.answer: asyncio.Task[None] | None = None

    async def send(self, type_: str, **fields: Any) -> None:
        await self.socket.send_text(json.dumps({"type": type_, "event_id": "event_1", **fields}))

    async def run(self) -> None:
        await self.send("session.created", session={"id": "sess_1", "type": "realtime"})
        if self.script.greeting:
            self.answer = asyncio.create_task(self.respond("resp_0", self.script.greeting, 300))
        with contextlib.suppress(WebSocketDisconnect, KeyError, RuntimeError):
            while True:
                message = await self.socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                if message.get("bytes"):
                    await self.hear(message["bytes"])
                else:
                    await self.event(json.loads(message["text"]))
        if self.answer:
            self.answer.cancel()

    async def event(self, event: dict[str, Any]) -> None:
        if event["type"] == "input_audio_buffer.append":
            await self.hear(base64.b64decode(event["audio"]))
            return
        if event["type"] == "repartee.turn.heard":
            self.script.heard.append(event)
            return
        self.script.received.append(event)
        if event["type"] == "conversation.item.create":
            await self.send("conversation.item.added", item=event["item"] | {"id": "item_text"})
        elif event["type"] == "conversation.item.retrieve":
            content = [{"type": "output_audio", "transcript": "Certainly, I"}]
            await self.send("conversation.item.retrieved", item={"id": event["item_id"], "content": content})
        elif event["type"] == "response.create":
            self.turns += 1
            if self.script.hang_up_after_turns == self.turns:
                await self.socket.close(1011, "the region fell over")
                return
            self.answer = asyncio.create_task(self.reply(self.turns))

    async def hear(self, pcm: bytes) -> None:
        loud = np.abs(np.frombuffer(pcm, dtype="<i2").astype(int)).max() > LOUD
        if loud:
            self.quiet_ms = 0.0
            if not self.speaking:
                self.speaking = True
                self.turns += 1
                await self.send(
                    "input_audio_buffer.speech_started", item_id=f"user_{self.turns}", audio_start_ms=0
                )
                if self.answer and not self.answer.done():
                    self.answer.cancel()
                    await self.send(
                        "response.done", response={"id": f"resp_{self.turns - 1}", "status": "cancelled"}
                    )
        elif self.speaking:
            self.quiet_ms += len(pcm) / 2 / RATE_HZ * 1000
            if self.quiet_ms >= self.script.quiet_ms:
                self.speaking = False
                await self.end_of_turn()

    async def end_of_turn(self) -> None:
        if self.script.hang_up_after_turns == self.turns:
            await self.socket.close(1011, "the region fell over")
            return
        item = f"user_{self.turns}"
        question = self.script.questions[self.turns - 1]
        await self.send("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=0)
        await self.send("input_audio_buffer.committed", item_id=item)
        await self.send("conversation.item.added", item={"id": item, "type": "message", "role": "user"})
        await self.send(
            "conversation.item.input_audio_transcription.completed",
            item_id=item,
            content_index=0,
            transcript=question,
        )
        if not self.script.mute:
            self.answer = asyncio.create_task(self.reply(self.turns))

    async def reply(self, turn: int) -> None:
        text, ms = self.script.answers[turn - 1], self.script.answer_ms[turn - 1]
        if self.script.tool_first:
            await self.send("response.created", response={"id": f"tool_{turn}"})
            call = {"id": "fc", "type": "function_call", "name": "get_balance"}
            await self.send("response.output_item.added", response_id=f"tool_{turn}", item=call)
            done = {"id": f"tool_{turn}", "status": "completed", "output": [call]}
            await self.send("response.done", response=done)
        await self.respond(f"resp_{turn}", text, ms)

    async def respond(self, response_id: str, text: str, ms: float) -> None:
        item_id = f"item_{response_id}"
        message = {
            "id": item_id,
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        await self.send("response.created", response={"id": response_id, "status": "in_progress"})
        await self.send("response.output_item.added", response_id=response_id, output_index=0, item=message)
        stages = self.script.stages_ms
        if response_id != "resp_0":
            await self.send(
                "repartee.turn.latency",
                call_id="call_1",
                turn_id=self.turns,
                response_id=response_id,
                region="us-east",
                providers={"stt": "deepgram", "llm": "openai", "tts": "cartesia"},
                stages_ms=stages,
                voice_to_voice_ms=sum(stages.values()),
                filler_ms=None,
                prefetch=None,
                interrupted=False,
            )
        audio, words = self.script.sound or tone(ms), text.split()
        stalled_ms = 0.0
        size = RATE_HZ * 2 * 40 // 1000
        pieces = [audio[at : at + size] for at in range(0, len(audio), size)]
        for index, piece in enumerate(pieces):
            said = words[index * len(words) // len(pieces) : (index + 1) * len(words) // len(pieces)]
            where = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
            if said:
                await self.send("response.output_audio_transcript.delta", delta=" ".join(said) + " ", **where)
            if self.binary:
                await self.socket.send_bytes(piece)
            else:
                await self.send(
                    "response.output_audio.delta", delta=base64.b64encode(piece).decode(), **where
                )
            if self.script.stall_s and index == len(pieces) // 3:
                stalled_ms = 1000 * self.script.stall_s
                await asyncio.sleep(self.script.stall_s)
            piece_ms = 40 / self.script.pace
            made_up_ms = min(stalled_ms, piece_ms)
            stalled_ms -= made_up_ms
            await asyncio.sleep((piece_ms - made_up_ms) / 1000)
        await self.send("response.output_item.done", response_id=response_id, output_index=0, item=message)
        done = {"id": response_id, "status": "completed", "output": [message]}
        await self.send("response.done", response=done)


def app(script: Script) -> Starlette:
    """The region; the page is served if it is there."""

    async def session(websocket: WebSocket) -> None:
        if script.refuse_with:
            await websocket.send_denial_response(
                JSONResponse(
                    {"error": {"message": "every line is taken"}},
                    status_code=script.refuse_with,
                    headers={"Retry-After": "7"},
                )
            )
            return
        protocols = websocket.scope.get("subprotocols") or []
        allowed = (f"Bearer {script.api_key}", "openai-insecure-api-key.ek_1")
        offered = [websocket.headers.get("authorization", ""), *protocols]
        if not any(name in allowed for name in offered):
            await websocket.send_denial_response(JSONResponse({"error": {"message": "no"}}, status_code=401))
            return
        await websocket.accept(subprotocol="realtime" if "realtime" in protocols else None)
        await ScriptedCall(websocket, script).run()

    async def secret(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {script.api_key}":
            return JSONResponse({"error": {"message": "wrong key"}}, status_code=401)
        return JSONResponse({"value": "ek_1", "expires_at": 2_000_000_000, "session": {"type": "realtime"}})

    async def agent(request: Request) -> Response:
        return JSONResponse({"name": "desk.front:agent", "suggestions": script.suggestions})

    async def page(request: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    routes: list[BaseRoute] = [
        WebSocketRoute("/v1/voice/session", session),
        WebSocketRoute("/v1/realtime", session),
        Route("/v1/realtime/client_secrets", secret, methods=["POST"]),
        Route("/", page),
        Route("/page/agent.json", agent),
    ]
    if PAGE.is_dir():
        routes.append(Mount("/page", StaticFiles(directory=PAGE)))
    return Starlette(routes=routes)


def server(script: Script) -> tuple[uvicorn.Server, socket.socket]:
    """A server and its socket, on which callers can queue before it has started."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app(script), log_level="error", ws="websockets-sansio", lifespan="off")
    return uvicorn.Server(config), listening


def url_of(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.asynccontextmanager
async def running(script: Script) -> AsyncIterator[str]:
    """Serve in this event loop; gives the http URL."""
    region, listening = server(script)
    task = asyncio.create_task(region.serve([listening]))
    yield url_of(listening)
    region.should_exit = True
    await task


@contextlib.contextmanager
def running_in_thread(script: Script) -> Iterator[str]:
    """The same in a thread, for tests that are not asynchronous."""
    region, listening = server(script)
    thread = threading.Thread(target=region.run, args=([listening],), daemon=True)
    thread.start()
    yield url_of(listening)
    region.should_exit = True
    thread.join(5)
