"""Cartesia's ``/tts/websocket``: several contexts on one socket, text in pieces, audio and word times out.

Owns the wire: validation, messages, idle close. How one context speaks is in :mod:`repartee.standins.speaking`.
"""

import json
import uuid
from typing import Any

from repartee.standins.faults import FAULT_QUERY, Fault
from repartee.standins.link import Link, Scope
from repartee.standins.listening import IdleWatch
from repartee.standins.pcm import RAW_ENCODINGS
from repartee.standins.speaking import Context, OutputFormat
from repartee.standins.state import StandInState, key_is_good

IDLE_S = 300.0
"""A socket on which nothing was asked for so long is closed."""

RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)
QUERY = {"cartesia_version", "api_key", "access_token", FAULT_QUERY}
CANCELLING = {"context_id", "cancel"}
# fmt: off
SPEAKING = {
    "context_id", "model_id", "output_format", "transcript", "voice", "add_phoneme_timestamps",
    "add_timestamps", "continue", "flush", "generation_config", "language", "max_buffer_delay_ms",
    "pronunciation_dict_id", "speed", "use_normalized_timestamps",
}
# fmt: on
"""What a message may hold, by Cartesia's SDK; ``WITHIN``: in its objects."""

WITHIN = {
    "output_format": {"container", "encoding", "sample_rate"},
    "voice": {"mode", "id"},
    "generation_config": {"emotion", "speed", "volume"},
}
MAX_BUFFER_DELAY_MS = 5000
DEFAULT_BUFFER_DELAY_MS = 3000
TITLES = {
    400: ("bad_request", "Bad request"),
    401: ("unauthorized", "Unauthorized"),
    429: ("concurrency_limited", "Too many concurrent requests"),
    500: ("internal_error", "Internal server error"),
    503: ("unavailable", "Service unavailable"),
}


class RequestFault(ValueError):
    """A message cannot be carried out; ``str`` says why."""


async def tts_websocket(scope: Scope, receive: Any, send: Any, state: StandInState) -> None:
    """The ASGI application of ``/tts/websocket``."""
    link = Link(scope, receive, send, lambda: state.stats.of("cartesia"), state.faults)
    if not await link.admit("cartesia"):
        return
    request_id = str(uuid.uuid4())
    status = link.fault.refusal_status if link.fault is not None else None
    query = dict(link.query)
    if status is None and not key_is_good(_key(link, query)):
        status = 401
    if status is not None:
        await link.refuse(status, {}, _error(status, None, request_id))
        return
    if not (link.headers.get("cartesia-version") or query.get("cartesia_version")):
        message = "The cartesia-version header, or cartesia_version in the query, is required."
        await link.refuse(400, {}, _error(400, None, request_id, message))
        return
    if strange := sorted(query.keys() - QUERY):
        await link.refuse(400, {}, _error(400, None, request_id, f"{strange[0]} is not a parameter."))
        return
    await SpeakingSession(link, state, request_id).run()


def _key(link: Link, query: dict[str, str]) -> str | None:
    kind, _, key = link.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and key:
        return key.strip()
    return link.headers.get("x-api-key") or query.get("api_key") or query.get("access_token")


def _error(
    status: int, context_id: str | None, request_id: str, message: str | None = None, code: str | None = None
) -> dict[str, Any]:
    usual_code, title = TITLES.get(status, TITLES[500])
    return {
        "type": "error",
        "status_code": status,
        "error_code": code or usual_code,
        "title": title,
        "message": message or f"{title}.",
        "request_id": request_id,
        "context_id": context_id,
        "done": True,
    }


class SpeakingSession:
    """One socket and its contexts."""

    def __init__(self, link: Link, state: StandInState, request_id: str) -> None:
        self._link = link
        self._state = state
        self._request_id = request_id
        self._contexts: dict[str, Context] = {}
        self._idle: IdleWatch | None = None
        link.error_message = self._fault_message

    async def run(self) -> None:
        """Carry the socket to its end."""
        try:
            await self._link.accept(self._on_message, {})
            self._idle = IdleWatch(IDLE_S, lambda: self._link.close(1000, "idle for five minutes"))
            await self._link.closed()
        finally:
            if self._idle is not None:
                self._idle.stop()
            for context in self._contexts.values():
                context.cancel()

    def _on_message(self, message: str | bytes) -> None:
        counts = self._state.stats.of("cartesia")
        counts.messages_in += 1
        if self._idle is not None:
            self._idle.active()
        try:
            request = json.loads(message)
        except ValueError:
            self._refuse(None, "The message is not JSON.")
            return
        context_id = request.get("context_id") if isinstance(request, dict) else None
        if not isinstance(context_id, str) or not context_id:
            self._refuse(None, "context_id must be text that is not empty.")
            return
        if strange := strange_field(request):
            self._refuse(context_id, f"{strange}: no such field.")
            return
        if request.get("cancel"):
            context = self._contexts.pop(context_id, None)
            if context is not None:
                context.cancel()
                counts.cancelled += 1
            return
        try:
            self._say(context_id, request)
        except RequestFault as fault:
            self._refuse(context_id, str(fault))

    def _say(self, context_id: str, request: dict[str, Any]) -> None:
        transcript = request.get("transcript")
        if not isinstance(transcript, str):
            raise RequestFault("transcript must be text.")
        context = self._contexts.get(context_id)
        if context is None:
            context = self._open(context_id, request)
        elif context.last_taken:
            raise RequestFault("The context takes no more text: its last message did not continue.")
        context.say(
            transcript, last=not request.get("continue", False), flush=bool(request.get("flush", False))
        )

    def _open(self, context_id: str, request: dict[str, Any]) -> Context:
        model, voice = request.get("model_id"), request.get("voice")
        if not isinstance(model, str) or not model.startswith("sonic"):
            raise RequestFault(f"model_id must be one of the sonic models, not {model!r}.")
        voice_id = voice.get("id") if isinstance(voice, dict) else None
        if not isinstance(voice_id, str):
            raise RequestFault('voice must be {"mode": "id", "id": …}.')
        delay = request.get("max_buffer_delay_ms")
        delay = DEFAULT_BUFFER_DELAY_MS if delay is None else delay
        if not isinstance(delay, int) or not 0 <= delay <= MAX_BUFFER_DELAY_MS:
            raise RequestFault(
                f"max_buffer_delay_ms must be between 0 and {MAX_BUFFER_DELAY_MS}, not {delay!r}."
            )
        context = Context(
            context_id=context_id,
            state=self._state,
            send=self._link.send,
            on_end=self._ended,
            output=_output(request.get("output_format")),
            voice=voice_id,
            timestamps=bool(request.get("add_timestamps")),
            buffer_delay_ms=delay,
            late_ms=self._late_ms(),
        )
        self._contexts[context_id] = context
        self._state.stats.of("cartesia").requests += 1
        return context

    def _late_ms(self) -> float:
        fault = self._link.fault
        return fault.delay_ms if fault is not None and fault.kind == "slow_first_token" else 0.0

    def _ended(self, context: Context) -> None:
        if self._contexts.get(context.context_id) is context:
            del self._contexts[context.context_id]
            self._state.stats.of("cartesia").finished += 1

    def _refuse(self, context_id: str | None, message: str) -> None:
        self._link.send(json.dumps(_error(400, context_id, self._request_id, message)))

    def _fault_message(self, fault: Fault) -> str:
        context_id = next(iter(self._contexts), None)
        error = _error(fault.status or 500, context_id, self._request_id, code=fault.reason or None)
        return json.dumps(error)


def strange_field(request: dict[str, Any]) -> str:
    """A field that no such message has; empty: there is none."""
    unknown = request.keys() - (CANCELLING if request.get("cancel") else SPEAKING)
    for name, known in WITHIN.items():
        inner = request.get(name)
        unknown |= {f"{name}.{key}" for key in inner.keys() - known} if isinstance(inner, dict) else set()
    return min(unknown, default="")


def _output(given: object) -> OutputFormat:
    if not isinstance(given, dict) or given.get("container") != "raw":
        raise RequestFault('output_format must be {"container": "raw", "encoding": …, "sample_rate": …}.')
    encoding, rate = given.get("encoding"), given.get("sample_rate")
    if encoding not in RAW_ENCODINGS:
        raise RequestFault(
            f"output_format.encoding must be one of {', '.join(RAW_ENCODINGS)}, not {encoding!r}."
        )
    if rate not in RATES_HZ:
        known = ", ".join(map(str, RATES_HZ))
        raise RequestFault(f"output_format.sample_rate must be one of {known}, not {rate!r}.")
    return OutputFormat(encoding, rate)
