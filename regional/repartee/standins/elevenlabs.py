"""ElevenLabs' ``/v1/text-to-speech/{voice}/multi-stream-input``: several contexts on one socket.

Owns the wire: validation, messages, the limit of contexts, idle closes. How one context speaks is in
:mod:`repartee.standins.speaking`.
"""

import base64
import json
from typing import Any

from repartee.standins.faults import FAULT_QUERY, Fault
from repartee.standins.link import Link, Scope
from repartee.standins.listening import IdleWatch
from repartee.standins.speaking import Context, OutputFormat
from repartee.standins.state import StandInState, key_is_good
from repartee.standins.synthesiser import SpokenText

MOST_CONTEXTS = 5
MOST_INACTIVITY_S = 180.0
USUAL_INACTIVITY_S = 20.0
BUFFER_MS = 3_000.0
"""Without auto_mode, text waits for more for so long."""

FORMATS = {f"pcm_{rate_hz}": rate_hz for rate_hz in (8000, 16000, 22050, 24000, 44100, 48000)}
MODELS = ("eleven_flash_v2_5", "eleven_turbo_v2_5", "eleven_multilingual_v2", "eleven_flash_v2")
FLAGS = ("auto_mode", "sync_alignment", "enable_logging", "enable_ssml_parsing")
KNOWN = {"model_id", "output_format", "inactivity_timeout", "language_code", "seed", "authorization", *FLAGS}
FIRST_ONLY = ("voice_settings", "pronunciation_dictionary_locators", "generation_config")
FIELDS = {"text", "context_id", "flush", "close_context", "close_socket", *FIRST_ONLY}
WITHIN = {
    "voice_settings": {"speed", "stability", "similarity_boost", "style", "use_speaker_boost"},
    "generation_config": {"chunk_length_schedule"},
}
SPEEDS = (0.7, 1.2)


def voice_of(path: str) -> str | None:
    """The voice in a path of this API; None: the path is another."""
    head, _, rest = path.partition("/v1/text-to-speech/")
    voice, _, tail = rest.partition("/")
    return voice if not head and voice and tail == "multi-stream-input" else None


async def multi_stream(scope: Scope, receive: Any, send: Any, state: StandInState) -> None:
    """The ASGI application of the multi-context socket."""
    link = Link(scope, receive, send, lambda: state.stats.of("elevenlabs"), state.faults)
    if not await link.admit("elevenlabs"):
        return
    query = dict(link.query)
    status = link.fault.refusal_status if link.fault is not None else None
    if status is None and not key_is_good(link.headers.get("xi-api-key") or query.get("authorization")):
        status = 401
    told = "invalid_api_key" if status == 401 else "the_request_was_refused"
    if status is None and (wrong := wrong_query(query)):
        status, told = 400, wrong
    if status is not None:
        await link.refuse(status, {}, {"detail": {"status": told, "message": told.replace("_", " ")}})
        return
    await VoicingSession(link, state, voice_of(scope["path"]) or "", query).run()


def wrong_query(query: dict[str, str]) -> str:
    wrong = [f"{name} is not a parameter" for name in query if name not in KNOWN and name != FAULT_QUERY]
    if query.get("model_id", MODELS[0]) not in MODELS:
        wrong.append(f"model_id {query['model_id']} is not served here")
    if query.get("output_format", "pcm_24000") not in FORMATS:
        wrong.append(f"output_format must be one of {', '.join(FORMATS)} here")
    wrong += [
        f"{name} must be true or false" for name in FLAGS if query.get(name, "true") not in ("true", "false")
    ]
    limit = query.get("inactivity_timeout", "20")
    if not limit.isdigit() or not 1 <= int(limit) <= MOST_INACTIVITY_S:
        wrong.append(f"inactivity_timeout must be from 1 to {MOST_INACTIVITY_S:g}")
    return "; ".join(wrong)


class VoiceContext(Context):
    """A context whose messages are ElevenLabs'."""

    def words_messages(self, spoken: SpokenText) -> list[str | bytes]:
        self._spoken = spoken
        self._told = False
        return []

    def audio_message(self, pcm: bytes, due_s: float) -> str:
        alignment = None if self._told else _alignment(self._spoken)
        self._told = True
        data = base64.b64encode(pcm).decode("ascii")
        return self._said(audio=data, isFinal=None, alignment=alignment, normalizedAlignment=alignment)

    def flushed(self) -> None:
        """Nothing is said of it."""

    def ended(self) -> None:
        self.send(self._said(isFinal=True))

    def _said(self, **fields: Any) -> str:
        return json.dumps({**fields, "contextId": self.context_id})


def _alignment(spoken: SpokenText) -> dict[str, list[Any]]:
    """Characters and their times, from the start of this piece of audio; a space follows each word."""
    chars: list[str] = []
    starts: list[float] = []
    lengths: list[float] = []
    for word, start_ms, end_ms in spoken.words:
        step = (end_ms - start_ms) / max(len(word), 1)
        chars += [*word, " "]
        starts += [round(start_ms + place * step, 3) for place in range(len(word))] + [end_ms]
        lengths += [step] * len(word) + [0.0]
    return {"chars": chars, "charStartTimesMs": starts, "charsDurationsMs": lengths}


class VoicingSession:
    """One socket and its contexts."""

    def __init__(self, link: Link, state: StandInState, voice: str, query: dict[str, str]) -> None:
        self._link = link
        self._state = state
        self._voice = voice
        self._rate_hz = FORMATS[query.get("output_format", "pcm_24000")]
        self._buffer_ms = 0.0 if query.get("auto_mode") == "true" else BUFFER_MS
        self._idle_s = float(query.get("inactivity_timeout", USUAL_INACTIVITY_S))
        self._contexts: dict[str, VoiceContext] = {}
        self._idle: IdleWatch | None = None
        link.error_message = self._fault_message

    async def run(self) -> None:
        """Carry the socket to its end."""
        try:
            await self._link.accept(self._on_message, {})
            self._idle = IdleWatch(self._idle_s, lambda: self._link.close(1000, "input_timeout_exceeded"))
            await self._link.closed()
        finally:
            if self._idle is not None:
                self._idle.stop()
            for context in self._contexts.values():
                context.cancel()

    def _on_message(self, raw: str | bytes) -> None:
        self._state.stats.of("elevenlabs").messages_in += 1
        if self._idle is not None:
            self._idle.active()
        try:
            message = json.loads(raw)
        except ValueError:
            message = None
        wrong = wrong_message(message)
        if wrong:
            self._fail(wrong)
        elif message.get("close_socket"):
            self._link.close(1000)
        elif message.get("close_context"):
            self._close_context(message["context_id"])
        else:
            self._take_text(message)

    def _close_context(self, context_id: str) -> None:
        context = self._contexts.get(context_id)
        if context is not None:
            context.say("", last=True, flush=False)

    def _take_text(self, message: dict[str, Any]) -> None:
        context_id = message["context_id"]
        context = self._contexts.get(context_id)
        if context is None:
            if len(self._contexts) >= MOST_CONTEXTS:
                self._link.close(1008, "Maximum simultaneous contexts exceeded")
                return
            context = self._open(context_id)
        elif any(message.get(name) is not None for name in FIRST_ONLY):
            self._fail("voice_settings can only be provided in the first message of a context")
            return
        if context.last_taken:
            self._fail("the context is being closed, and takes no more text")
            return
        text = message.get("text") or ""
        context.say(text if text.strip() else "", last=False, flush=bool(message.get("flush")))

    def _open(self, context_id: str) -> VoiceContext:
        context = self._contexts[context_id] = VoiceContext(
            context_id=context_id,
            state=self._state,
            send=self._link.send,
            on_end=self._ended,
            output=OutputFormat("pcm_s16le", self._rate_hz),
            voice=self._voice,
            timestamps=True,
            buffer_delay_ms=self._buffer_ms,
            expiry_s=self._idle_s,
        )
        self._state.stats.of("elevenlabs").requests += 1
        return context

    def _ended(self, context: Context) -> None:
        if self._contexts.pop(context.context_id, None) is not None:
            self._state.stats.of("elevenlabs").finished += 1

    def _fail(self, told: str) -> None:
        self._link.send(json.dumps({"error": "invalid_message", "message": told, "code": 1008}))
        self._link.close(1008, told[:100])

    def _fault_message(self, fault: Fault) -> str:
        told = {"error": fault.reason or "internal_error", "message": "A fault was asked for."}
        return json.dumps({**told, "code": fault.status or 1011})


def wrong_message(message: object) -> str:
    """What ElevenLabs would refuse of a message; empty: nothing."""
    if not isinstance(message, dict):
        return "the message is not a JSON object"
    if unknown := message.keys() - FIELDS:
        return f"{', '.join(sorted(unknown))}: no such field"
    for name, known in WITHIN.items():
        inner = message.get(name)
        if isinstance(inner, dict) and (unknown := inner.keys() - known):
            return f"{name}.{min(unknown)}: no such field"
    if message.get("close_socket"):
        return ""
    context = message.get("context_id")
    if not isinstance(context, str) or not context:
        return "context_id must be text"
    text = message.get("text")
    if not message.get("close_context") and not isinstance(text, str) and not message.get("flush"):
        return "text must be text"
    settings = message.get("voice_settings") or {}
    speed = settings.get("speed") if isinstance(settings, dict) else None
    if speed is not None and not SPEEDS[0] <= speed <= SPEEDS[1]:
        return f"speed must be from {SPEEDS[0]} to {SPEEDS[1]}"
    return ""
