"""Deepgram's ``/v2/speak``: Flux TTS. Text in pieces, binary audio out, one turn after the other.

Owns its handshake and its messages; how a turn is spoken is in :mod:`repartee.standins.speaking`.
"""

import json
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from repartee.standins.deepgram import Query, deepgram_key, refuse_deepgram
from repartee.standins.faults import Fault
from repartee.standins.link import Link, Scope
from repartee.standins.listening import IdleWatch
from repartee.standins.pcm import from_linear16
from repartee.standins.speaking import Context, OutputFormat
from repartee.standins.state import StandInState
from repartee.standins.synthesiser import SpokenText

IDLE_S = 60.0
ENCODINGS = {"linear16": "pcm_s16le", "mulaw": "pcm_mulaw", "alaw": "pcm_alaw"}
RATES_HZ = ("8000", "16000", "24000", "32000", "44100", "48000")
KNOWN = {"model", "encoding", "sample_rate", "speed", "expressivity", "mip_opt_out", "tag", "authorization"}


async def speak_v2(scope: Scope, receive: Any, send: Any, state: StandInState) -> None:
    """The ASGI application of ``/v2/speak``."""
    link = Link(scope, receive, send, lambda: state.stats.of("deepgram-tts"), state.faults)
    request_id = str(uuid.uuid4())
    if not await link.admit("deepgram-tts"):
        return
    status = link.fault.refusal_status if link.fault is not None else None
    if status is None and deepgram_key(link) is None:
        status = 401
    if status is not None:
        await refuse_deepgram(link, status, request_id)
        return
    query = Query(link.query, [])
    output = read_speak(query)
    if query.faults:
        await refuse_deepgram(link, 400, request_id, "; ".join(query.faults) + ".")
        return
    await SpeakSession(link, state, query.text("model") or "", output, request_id).run()


def read_speak(query: Query) -> OutputFormat:
    """What is to come out; mistakes go to ``query.faults``."""
    query.only(KNOWN)
    model = (query.text("model") or "").split("-")
    if len(model) != 3 or model[0] != "flux" or not all(model):
        query.faults.append(f"model must be flux-<voice>-<language>, not '{query.text('model')}'")
    encoding, rate = query.text("encoding") or "linear16", query.text("sample_rate") or "24000"
    if encoding not in ENCODINGS:
        query.faults.append(f"encoding must be one of {', '.join(ENCODINGS)}, not '{encoding}'")
    if rate not in RATES_HZ:
        query.faults.append(f"sample_rate must be one of {', '.join(RATES_HZ)}, not '{rate}'")
    speed = query.number("speed", 0.5, 1.5)
    if speed is not None and abs(speed * 20 - round(speed * 20)) > 1e-6:
        query.faults.append("SPEED_INCREMENT_INVALID: speed goes in steps of 0.05")
    return OutputFormat(ENCODINGS.get(encoding, "pcm_s16le"), int(rate) if rate in RATES_HZ else 24000)


class TurnContext(Context):
    """A turn being spoken. ``told`` takes what else there is to say of it."""

    told: Callable[..., None]
    chars = 0
    started = False

    def say(self, text: str, *, last: bool, flush: bool) -> None:
        self.chars += len(text)
        super().say(text, last=last, flush=flush)

    def words_messages(self, spoken: SpokenText) -> list[str | bytes]:
        if not self.started:
            self.started = True
            self.told("SpeechStarted", speech_id=self.context_id)
        return []

    def audio_message(self, pcm: bytes, due_s: float) -> bytes:
        return from_linear16(pcm, self.output.encoding)

    def flushed(self) -> None:
        """A turn is flushed once."""

    def ended(self) -> None:
        self.told("Flushed", speech_id=self.context_id)
        self.told("SpeechMetadata", **self.metadata())

    def metadata(self) -> dict[str, Any]:
        """Billing and timing."""
        controls = {"pronunciations_applied": 0, "breaks_applied": 0, "pronunciation_warnings": 0}
        return {
            "speech_id": self.context_id,
            "audio_duration_ms": round(self.spoken_ms),
            "input_character_count": self.chars,
            "billable_character_count": self.chars,
            "controls_applied": controls,
        }


class SpeakSession:
    """One socket from its handshake to its close."""

    def __init__(
        self, link: Link, state: StandInState, model: str, output: OutputFormat, request_id: str
    ) -> None:
        self._link = link
        self._state = state
        self._model = model
        self._output = output
        self._request_id = request_id
        self._turn: TurnContext | None = None
        self._flushed = False
        self._behind: deque[str | None] = deque()
        """Text of the turns after it; None: a turn ends."""

        self._idle: IdleWatch | None = None
        link.error_message = self._fault_message

    async def run(self) -> None:
        """Carry the socket to its end."""
        try:
            await self._link.accept(self._on_message, {"dg-request-id": self._request_id})
            self._idle = IdleWatch(IDLE_S, lambda: self._fail("NET-0001", "Nothing arrived in time.", 1011))
            self._link.socket.on_ping = self._idle.active
            self._tell(
                "Connected",
                request_id=self._request_id,
                model_name=self._model,
                model_version="2026-10-01",
                model_uuids=[str(uuid.UUID(int=7))],
            )
            await self._link.closed()
        finally:
            if self._idle is not None:
                self._idle.stop()
            if self._turn is not None:
                self._turn.cancel()

    def _on_message(self, raw: str | bytes) -> None:
        self._state.stats.of("deepgram-tts").messages_in += 1
        if self._idle is not None:
            self._idle.active()
        try:
            message = json.loads(raw) if isinstance(raw, str) else None
        except ValueError:
            message = None
        match message:
            case {"type": "Speak", "text": str(text), **others} if not others:
                self._take(text)
            case {"type": "Flush", **others} if not others:
                self._take(None)
            case {"type": "Interrupt", **others} if not others.keys() - {"playback_offset"}:
                self._interrupt()
            case {"type": "Configure", **others} if not others.keys() - {"speed"}:
                self._tell("ConfigureSuccess", applied={"speed": others.get("speed")})
            case {"type": "Close", **others} if not others:
                self._link.close(1000)
            case _:
                self._fail("MESSAGE-0000", f"The message is not known: {raw[:100]!r}", 1008)

    def _take(self, text: str | None) -> None:
        if self._turn is not None and self._flushed:
            self._behind.append(text)
        elif text is None:
            self._flush()
        else:
            if self._turn is None:
                self._turn = self._open()
            self._turn.say(text, last=False, flush=False)

    def _flush(self) -> None:
        if self._turn is None:
            self._tell("Warning", code="NO_ACTIVE_SPEECH", description="There is nothing to flush.")
            return
        self._flushed = True
        self._turn.say("", last=True, flush=False)

    def _open(self) -> TurnContext:
        self._flushed = False
        turn = TurnContext(
            context_id=f"dg_sp_{uuid.uuid4().hex[:12]}",
            state=self._state,
            send=self._link.send,
            on_end=self._ended,
            output=self._output,
            voice=self._model,
            timestamps=False,
            buffer_delay_ms=0.0,
            expiry_s=None,
        )
        turn.told = self._tell
        self._state.stats.of("deepgram-tts").requests += 1
        return turn

    def _ended(self, turn: Context) -> None:
        self._state.stats.of("deepgram-tts").finished += 1
        self._turn = None
        waiting, self._behind = self._behind, deque()
        for text in waiting:
            self._take(text)

    def _interrupt(self) -> None:
        turn = self._turn
        if turn is None or not turn.spoken_ms:
            self._tell("Warning", code="NO_AUDIO_GENERATED", description="There is nothing to interrupt.")
            return
        turn.cancel()
        self._turn = None
        self._behind.clear()
        self._state.stats.of("deepgram-tts").cancelled += 1
        played = round(turn.spoken_ms)
        self._tell("SpeechInterrupted", audio_played_ms=played, metadata=turn.metadata())

    def _fail(self, code: str, description: str, close: int) -> None:
        self._tell("Error", code=code, description=description)
        self._link.close(close, code)

    def _fault_message(self, fault: Fault) -> str:
        told = {"type": "Error", "code": fault.reason or "NET-0000", "description": "A fault was asked for."}
        return json.dumps(told)

    def _tell(self, kind: str, **fields: Any) -> None:
        self._link.send(json.dumps({"type": kind, **fields}))
