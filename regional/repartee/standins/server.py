"""All stand-ins on one port of this machine: routing, start and stop.

    async with serve(StandInSettings(profile="budget", light=True)) as running:
        running.base_url  # http://127.0.0.1:PORT

Runs on whatever event loop it is started in; under load, uvloop.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from repartee.standins.carrier.account import account_in
from repartee.standins.carrier.network import TelephoneNetwork
from repartee.standins.carrier.routes import is_telephone, telephone
from repartee.standins.cartesia import tts_websocket
from repartee.standins.control import control
from repartee.standins.deepgram import listen_v1, listen_v2
from repartee.standins.detector import VAD_HZ, LevelDetector, SpeechDetector
from repartee.standins.elevenlabs import multi_stream, voice_of
from repartee.standins.flux_tts import speak_v2
from repartee.standins.ink import stt_turns
from repartee.standins.link import DirectWebSocket, PlainHttp, Scope
from repartee.standins.openai_chat import Exchange, chat_completions, models
from repartee.standins.openai_realtime import realtime
from repartee.standins.profiles import load_profile
from repartee.standins.recogniser import ScriptedRecogniser
from repartee.standins.script import DEFAULT_SCRIPT, load_script
from repartee.standins.sphinx import SphinxPool
from repartee.standins.state import Engines, StandInState
from repartee.standins.synthesiser import hum
from repartee.standins.uvicorn_insides import ServerState, reaches_sockets

KEEP_ALIVE_S = 600
STOP_S = 2.0
BACKLOG = 2048
MESSAGE_LIMIT_BYTES = 4_000_000


class PortTaken(OSError):
    """Another program listens on the port."""


@dataclass(frozen=True, slots=True)
class StandInSettings:
    """How to run the stand-ins. ``profile`` is a name or a path; port 0 takes any free one."""

    profile: str = "budget"
    light: bool = False
    script: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    workers: int = 1
    """Processes that recognise speech, in the real mode."""
    models: tuple[str, ...] = ()
    """Language models that are served beside OpenAI's."""
    telephone: str | None = None
    """The edge that the carriers announce calls to; empty: numbers are to be bought first; None: no carriers."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is up."""

    base_url: str
    port: int
    state: StandInState

    def environment(self, key: str = "stand-in") -> dict[str, str]:
        """The variables that point a worker here."""
        return {
            "DEEPGRAM_BASE_URL": self.base_url,
            "OPENAI_BASE_URL": f"{self.base_url}/v1",
            "CARTESIA_BASE_URL": self.base_url,
            "ELEVENLABS_BASE_URL": self.base_url,
            "DEEPGRAM_API_KEY": key,
            "OPENAI_API_KEY": key,
            "CARTESIA_API_KEY": key,
            "ELEVENLABS_API_KEY": key,
        }


_WEBSOCKETS = {
    "/v1/listen": listen_v1,
    "/v2/listen": listen_v2,
    "/v2/speak": speak_v2,
    "/v1/realtime": realtime,
    "/tts/websocket": tts_websocket,
    "/stt/turns/websocket": stt_turns,
}
_POSTS = {"/v1/chat/completions": chat_completions}


class Application:
    """Routes each connection to its stand-in."""

    def __init__(self, state: StandInState) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] == "websocket" and path in _WEBSOCKETS:
            await _WEBSOCKETS[path](scope, receive, send, self._state)
        elif scope["type"] == "websocket" and voice_of(path) is not None:
            await multi_stream(scope, receive, send, self._state)
        elif self._state.telephone is not None and is_telephone(path):
            await telephone(scope, receive, send, self._state.telephone)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"There is no such WebSocket here."})
        elif scope["type"] == "http":
            await self._http(path, scope, receive, send)

    async def _http(self, path: str, scope: Scope, receive: Any, send: Any) -> None:
        if path in _POSTS and scope["method"] == "POST":
            await _POSTS[path](scope, receive, send, self._state)
        elif (path == "/v1/models" or path.startswith("/v1/models/")) and scope["method"] == "GET":
            await models(scope, receive, send, self._state)
        elif path.startswith("/standins/"):
            await control(scope, receive, send, self._state)
        elif path in ("/healthz", "/"):
            await self._health(Exchange(scope, receive, send))
        else:
            message = f"Unknown request URL: {scope['method']} {path}."
            await Exchange(scope, receive, send).error(404, message)

    async def _health(self, exchange: Exchange) -> None:
        """200, or 503 while a process that recognises speech is down; the body says how many are up."""
        report: dict[str, Any] = {"status": "ok", "what": "Repartee's stand-ins"}
        health = self._state.engines.hearing_health
        if health is not None:
            report["recognition"] = hearing = health()
            if hearing["up"] < hearing["workers"]:
                report["status"] = "speech recognition is starting again"
        await exchange.json(200 if report["status"] == "ok" else 503, report)


@asynccontextmanager
async def serve(settings: StandInSettings) -> AsyncIterator[Running]:
    """Run the stand-ins for as long as the block lasts.

    Raises ProfileError, ScriptError or PortTaken before anything is listening.
    """
    profile = load_profile(settings.profile)
    lines = load_script(settings.script or DEFAULT_SCRIPT)
    async with AsyncExitStack() as stack:
        if settings.light:
            engines = light_engines(lines)
        else:
            pool = await stack.enter_async_context(SphinxPool.started(settings.workers))
            engines = Engines(
                light=False,
                recogniser=pool.recogniser,
                detector=lambda rate_hz: SpeechDetector(),
                hearing_hz=lambda rate_hz: VAD_HZ,
                speak=lambda text, voice, rate_hz: None,
                lines=lines,
                hearing_health=pool.health,
            )
        state = StandInState(profile, engines, models=frozenset(settings.models))
        if settings.telephone is not None:
            state.telephone = network = TelephoneNetwork(account_in(os.environ), settings.telephone)
            stack.push_async_callback(network.aclose)
        yield await stack.enter_async_context(_listening(settings, state))


def light_engines(lines: Any) -> Engines:
    """The light mode: sound is heard by its level, words come from a script, speech is a hum."""
    return Engines(
        light=True,
        recogniser=lambda: ScriptedRecogniser(lines),
        detector=LevelDetector,
        hearing_hz=lambda rate_hz: rate_hz,
        speak=lambda text, voice, rate_hz: hum(text, rate_hz),
        lines=lines,
    )


@asynccontextmanager
async def _listening(settings: StandInSettings, state: StandInState) -> AsyncIterator[Running]:
    logging.getLogger("uvicorn.access").disabled = True
    own = reaches_sockets()
    served = uvicorn.Config(
        Application(state),
        ws=DirectWebSocket if own else "websockets-sansio",
        http=PlainHttp if own else "httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(STOP_S),
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        ws_max_size=MESSAGE_LIMIT_BYTES,
    )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or error
        raise PortTaken(
            f"Port {settings.port} on {settings.host} is not free ({reason}): choose another with --port."
        ) from error
    port = int(listener.getsockname()[1])
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    async with (_reached if own else _through_asgi)(served, listener):
        yield Running(f"http://{host}:{port}", port, state)


@asynccontextmanager
async def _reached(served: uvicorn.Config, listener: socket.socket) -> AsyncIterator[None]:
    """Serve with our own protocols, on this loop, without a server's handling of signals."""
    served.load()
    shared = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: PlainHttp(config=served, server_state=shared, app_state={}, _loop=loop), sock=listener
    )
    try:
        yield
    finally:
        server.close()
        await _hang_up(shared)


@asynccontextmanager
async def _through_asgi(served: uvicorn.Config, listener: socket.socket) -> AsyncIterator[None]:
    """Serve as uvicorn documents it."""
    serving = asyncio.create_task(uvicorn.Server(served).serve([listener]), name="stand-ins")
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.wait([serving], timeout=STOP_S)
        listener.close()


async def _hang_up(shared: ServerState) -> None:
    """Close all connections, and end their tasks soon."""
    for connection in list(shared.connections):
        connection.shutdown()
    tasks = set(shared.tasks)
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_S)
    for connection in list(shared.connections):
        connection.transport.abort()
    left = {task for task in tasks if not task.done()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=STOP_S)
