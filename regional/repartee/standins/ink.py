"""Cartesia's ``/stt/turns/websocket``: ink-2, which tells of turns. Owns its handshake and its messages.

Silence alone ends a turn: there is no message for it. What it does not know it refuses.
"""

import json
import uuid
from dataclasses import dataclass, replace
from typing import Any

from repartee.standins.deepgram import Query
from repartee.standins.faults import Fault
from repartee.standins.link import Link, Scope
from repartee.standins.listening import HeardFormat, IdleWatch, Listening, Wording
from repartee.standins.pcm import SAMPLE_BYTES
from repartee.standins.recogniser import Word, text_of
from repartee.standins.state import StandInState, key_is_good
from repartee.standins.turn_telling import heard_step, tell_turn
from repartee.standins.turns import USUAL_EAGER, USUAL_EOT, FluxTurns, TurnEvent

IDLE_S = 20.0
"""A stream on which nothing was sent for so long is closed."""

USUAL_EAGER_END, USUAL_END = 0.4, 0.2
ENCODINGS = {"pcm_s16le": "linear16", "pcm_mulaw": "mulaw", "pcm_alaw": "alaw"}
LIMITS = {
    "turn_start_threshold": (0.5, 0.9),
    "turn_eager_end_threshold": (0.3, 0.6),
    "turn_end_threshold": (0.05, 0.5),
    "turn_end_timeout_ms": (640.0, 11_200.0),
}
KNOWN = {
    "model",
    "encoding",
    "sample_rate",
    "keyterm",
    "cartesia_version",
    "api_key",
    "access_token",
    *LIMITS,
}
MOST_KEYTERMS = 100
MOST_KEYTERM_CHARS = 1_200
NAMES = {
    TurnEvent.START: "turn.start",
    TurnEvent.UPDATE: "turn.update",
    TurnEvent.EAGER: "turn.eager_end",
    TurnEvent.RESUMED: "turn.resume",
    TurnEvent.END: "turn.end",
}
WITHOUT_WORDS = (TurnEvent.START, TurnEvent.RESUMED)


@dataclass(frozen=True, slots=True)
class InkParameters:
    """A stream's parameters, checked."""

    audio: HeardFormat
    start_threshold: float = 0.8
    eager_end_threshold: float = USUAL_EAGER_END
    end_threshold: float = USUAL_END
    end_timeout_ms: float = 5_600.0

    @property
    def eager_eot(self) -> float:
        """How sure of an eager end one must be: at the usual threshold, as sure as Flux usually is."""
        return USUAL_EAGER + USUAL_EAGER_END - self.eager_end_threshold

    @property
    def eot(self) -> float:
        """How sure of an end."""
        return USUAL_EOT + USUAL_END - self.end_threshold

    @property
    def fault(self) -> str | None:
        """What is wrong with the thresholds together."""
        if not self.end_threshold < self.eager_end_threshold < self.start_threshold:
            return "turn_eager_end_threshold must stay between the end and start thresholds"
        return None


def read_ink(query: Query) -> InkParameters:
    """The settings of a stream; mistakes go to ``query.faults``."""
    query.only(KNOWN)
    if query.text("model") != "ink-2":
        query.faults.append(f"model must be ink-2, not '{query.text('model')}'")
    encoding = query.text("encoding") or ""
    if encoding not in ENCODINGS:
        query.faults.append(f"encoding must be one of {', '.join(ENCODINGS)} here, not '{encoding}'")
    rate = query.number("sample_rate", 8000, 48000)
    if query.text("sample_rate") is None:
        query.faults.append("sample_rate is required")
    keyterms = query.several("keyterm")
    if len(keyterms) > MOST_KEYTERMS or sum(map(len, keyterms)) > MOST_KEYTERM_CHARS:
        query.faults.append(f"keyterm: at most {MOST_KEYTERMS}, of {MOST_KEYTERM_CHARS} characters together")
    audio = HeardFormat(ENCODINGS.get(encoding, "linear16"), int(rate or 16000))
    given = {name: query.number(name, *LIMITS[name]) for name in LIMITS}
    changes: dict[str, Any] = {
        name.removeprefix("turn_"): value for name, value in given.items() if value is not None
    }
    settings = replace(InkParameters(audio), **changes)
    if settings.fault is not None:
        query.faults.append(settings.fault)
    return settings


async def stt_turns(scope: Scope, receive: Any, send: Any, state: StandInState) -> None:
    """The ASGI application of ``/stt/turns/websocket``."""
    link = Link(scope, receive, send, lambda: state.stats.of("cartesia-stt"), state.faults)
    if not await link.admit("cartesia-stt"):
        return
    query = Query(link.query, [])
    kind, _, key = link.headers.get("authorization", "").partition(" ")
    key = key if kind.lower() == "bearer" else link.headers.get("x-api-key") or query.text("api_key") or ""
    status = link.fault.refusal_status if link.fault is not None else None
    if status is None and not key_is_good(key.strip()):
        status = 401
    settings = read_ink(query)
    if not (link.headers.get("cartesia-version") or query.text("cartesia_version")):
        query.faults.append("cartesia-version is required")
    if status is None and query.faults:
        status = 400
    request_id = str(uuid.uuid4())
    if status is not None:
        told = "; ".join(query.faults) if status == 400 else "The stream was refused"
        await link.refuse(status, {}, error_message(status, told, request_id))
        return
    await InkSession(link, state, settings, request_id).run()


def error_message(status: int, told: str, request_id: str, code: str | None = None) -> dict[str, Any]:
    """An error as Cartesia's recognition words it."""
    return {
        "type": "error",
        "status_code": status,
        "error_code": code or ("unauthorized" if status == 401 else "bad_request"),
        "title": "Error",
        "message": f"{told}.",
        "request_id": request_id,
        "doc_url": None,
    }


class InkSession:
    """One stream from its handshake to its close."""

    def __init__(self, link: Link, state: StandInState, settings: InkParameters, request_id: str) -> None:
        self._link = link
        self._state = state
        self._settings = settings
        self._request_id = request_id
        self._listening = Listening(link, state, settings.audio)
        self._turns = FluxTurns(state.turn_times, settings.eager_eot, settings.end_timeout_ms, settings.eot)
        self._idle: IdleWatch | None = None
        link.error_message = self._fault_message

    async def run(self) -> None:
        """Carry the stream to its end."""
        try:
            await self._link.accept(self._on_message, {})
            self._idle = IdleWatch(IDLE_S, lambda: self._link.close(1000, "idle for 20 seconds"))
            self._send("connected")
            await self._link.closed()
        finally:
            if self._idle is not None:
                self._idle.stop()
            self._listening.close()

    def _on_message(self, message: str | bytes) -> None:
        counts = self._state.stats.of("cartesia-stt")
        counts.messages_in += 1
        counts.audio_bytes_in += len(message) if isinstance(message, bytes) else 0
        if self._idle is not None:
            self._idle.active()
        if isinstance(message, str):
            self._on_command(message)
        elif len(message) % SAMPLE_BYTES[self._listening.audio.encoding]:
            self._fail("Audio must be whole samples")
        else:
            self._listening.take_audio(message, lambda: heard_step(self._listening, self._turns, self._tell))

    def _tell(self, event: TurnEvent) -> None:
        def build(words: list[Word]) -> str:
            fields = {} if event in WITHOUT_WORDS else {"transcript": text_of(words)}
            return self._message(NAMES[event], **fields)

        tell_turn(self._listening, self._turns, event, build)
        if event is TurnEvent.END:
            self._state.stats.of("cartesia-stt").requests += 1

    def _on_command(self, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        match message:
            case {"type": "close", **others} if not others:
                self._close()
            case {"type": "config", **others} if not others.keys() - {"turn"}:
                self._configure(others.get("turn"))
            case _:
                self._fail(f"The command is not known: {text[:100]}")

    def _close(self) -> None:
        for event in self._turns.force_end(self._listening.heard) if self._turns.speaking else []:
            self._tell(event)

        def close(words: list[Word]) -> None:
            self._link.close(1000)

        self._listening.tell(close, Wording([]))

    def _configure(self, turn: object) -> None:
        if turn is None:
            return
        if not isinstance(turn, dict) or {f"turn_{name}" for name in turn} - LIMITS.keys():
            self._fail("turn holds what is no setting")
            return
        given = {name: value for name, value in turn.items() if value is not None}
        for name, value in given.items():
            low, high = LIMITS[f"turn_{name}"]
            if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
                self._fail(f"{name} must be between {low:g} and {high:g}, not {value}")
                return
        changed = replace(self._settings, **given)
        if changed.fault is not None:
            self._fail(changed.fault)
            return
        self._settings = changed
        self._turns.timeout_ms = changed.end_timeout_ms
        self._turns.eager_eot, self._turns.eot = changed.eager_eot, changed.eot

    def _fail(self, told: str) -> None:
        self._link.send(json.dumps(error_message(400, told, self._request_id)))
        self._link.close(1008, "bad_request")

    def _fault_message(self, fault: Fault) -> str:
        status = fault.status or 500
        code = fault.reason or "internal_error"
        return json.dumps(error_message(status, "A fault was asked for", self._request_id, code))

    def _send(self, kind: str) -> None:
        self._link.send(self._message(kind))

    def _message(self, kind: str, **fields: Any) -> str:
        return json.dumps({"type": kind, "request_id": self._request_id, **fields})
