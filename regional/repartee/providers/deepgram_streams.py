"""One call's speech recognition at Deepgram: its messages in both directions, and what is made of them.

Owns the streams of Flux, which decides on turns itself, and of nova, whose words and pauses turn/endpointing makes
turns of; their signs of life, and what a connection owes. The session decides what becomes of a stream that falls
silent; deepgram.py knows how to get a connection.
"""

import asyncio
import logging
import math
from collections.abc import Sequence

import msgspec
from deepgram.listen.v1.types import ListenV1Finalize, ListenV1KeepAlive
from deepgram.listen.v2.types import ListenV2CloseStream, ListenV2Configure, ListenV2ForceEndTurn

from repartee.audio.gathering import GatherSettings
from repartee.audio.vad import FRAME_MS, VoiceActivity
from repartee.pool.lease import Lease
from repartee.providers.connecting import OwnSocket
from repartee.providers.heard_format import USUAL_FORMAT
from repartee.providers.interfaces import HEARING_HZ, Hearing
from repartee.providers.socket_transcriber import SocketTranscriber
from repartee.providers.vendor_errors import MOST_WORDS, VendorErrors
from repartee.turn.endpointing import Endpointer, EndpointingSettings, Finalize, Output, Transcript
from repartee.turn.events import (
    EagerEndOfTurn,
    EndOfTurn,
    PartialTranscript,
    StartOfTurn,
    TurnResumed,
)
from repartee.wire.audio_format import WireFormat
from repartee.wire.tolerant_json import TolerantDecoder

log = logging.getLogger(__name__)

PRIMING_MS = 100.0
"""Silence sent on a new connection, so that a call's first word does not meet a cold recogniser."""

CLOSE_STREAM = ListenV2CloseStream().model_dump_json()
KEEP_ALIVE = ListenV1KeepAlive(type="KeepAlive").model_dump_json()
FINALIZE = ListenV1Finalize(type="Finalize").model_dump_json()
FORCE_END_TURN = ListenV2ForceEndTurn().model_dump_json()
"""What is sent is of the SDK's types, once; what comes, several times a second, is read with msgspec."""


def configure_keyterms(keyterms: Sequence[str]) -> str:
    return ListenV2Configure(keyterms=list(keyterms)).model_dump_json(exclude_none=True)


ERRORS = VendorErrors("deepgram", "stt", "Deepgram", details=("dg-error", "dg-request-id"))


class _FluxMessage(msgspec.Struct):
    """The fields of all of Flux's messages that matter here; unknown types and fields pass unread."""

    type: str = ""
    event: str = ""
    transcript: str | None = None
    code: str = ""
    description: str = ""


FLUX_MESSAGES = TolerantDecoder[_FluxMessage](_FluxMessage)


class FluxTranscriber(SocketTranscriber):
    """One call through Flux."""

    def __init__(
        self, lease: Lease[OwnSocket], *, gather: GatherSettings, heard: WireFormat = USUAL_FORMAT
    ) -> None:
        self._in_turn = False
        self._known = ""
        """The turn's words, as far as they were said."""
        super().__init__(lease, gather, ERRORS, heard)

    @property
    def in_turn(self) -> bool:
        return self._in_turn

    def finish_turn(self) -> None:
        self.push_after_audio(FORCE_END_TURN)

    def on_text(self, message: bytes) -> None:
        said = FLUX_MESSAGES.decode(message)
        if said.type == "TurnInfo":
            if said.transcript is not None:
                self._known = said.transcript
            event = _flux_event(said.event, self._known)
            if event is not None:
                self._in_turn = not isinstance(event, EndOfTurn)
                self.emit(event)
            if not self._in_turn:
                self._known = ""
        elif said.type == "Error":
            self.fail(ERRORS.error(f"ended the stream: {said.code} {said.description}", said.code))
        elif said.type in ("Warning", "ConfigureFailure"):
            log.warning(
                "Deepgram sent a %s: %s %s; listening on", said.type, said.code, said.description[:MOST_WORDS]
            )


def _flux_event(event: str, words: str) -> Hearing | None:
    match event:
        case "Update":
            return PartialTranscript(words) if words else None
        case "StartOfTurn":
            return StartOfTurn(words)
        case "EagerEndOfTurn":
            return EagerEndOfTurn(words)
        case "TurnResumed":
            return TurnResumed()
        case "EndOfTurn":
            return EndOfTurn(words)
    return None


class _Word(msgspec.Struct):
    end: float = 0.0


class _Alternative(msgspec.Struct):
    transcript: str = ""
    words: list[_Word] = []


class _Channel(msgspec.Struct):
    alternatives: list[_Alternative] = []


class _NovaType(msgspec.Struct):
    type: str = ""
    description: str = ""
    message: str = ""
    last_word_end: float = -1.0


class _NovaResults(msgspec.Struct):
    channel: _Channel = msgspec.field(default_factory=_Channel)
    start: float = 0.0
    duration: float = 0.0
    is_final: bool | None = False
    speech_final: bool | None = False
    from_finalize: bool | None = False


_NOVA = TolerantDecoder[_NovaType](_NovaType)
_NOVA_RESULTS = TolerantDecoder[_NovaResults](_NovaResults)


class NovaTranscriber(SocketTranscriber):
    """One call through nova, with turns made by our own rule."""

    def __init__(
        self,
        lease: Lease[OwnSocket],
        *,
        gather: GatherSettings,
        keepalive_s: float,
        utterance_end_ms: float,
        endpointing: EndpointingSettings,
        heard: WireFormat = USUAL_FORMAT,
    ) -> None:
        self._utterance_end_s = utterance_end_ms / 1000
        self._keepalive_s = keepalive_s
        self._vad = VoiceActivity(HEARING_HZ)
        self._endpointer = Endpointer(endpointing, frame_ms=FRAME_MS, heard_s=PRIMING_MS / 1000)
        self._last_sent_at = asyncio.get_running_loop().time()
        super().__init__(lease, gather, ERRORS, heard)
        self.look_at_clock(self._on_clock)

    def feed(self, pcm: bytes) -> None:
        super().feed(pcm)
        now = self._last_sent_at = self.last_fed_at
        for speech in self._vad.feed(pcm):
            outputs = self._endpointer.frame(speech, now)
            if outputs:
                self._carry_out(outputs)

    @property
    def in_turn(self) -> bool:
        return self._endpointer.in_turn

    def finish_turn(self) -> None:
        self._carry_out(self._endpointer.force_end())

    def on_text(self, message: bytes) -> None:
        now = self.loop.time()
        said = _NOVA.decode(message)
        if said.type == "Results":
            self._carry_out(self._endpointer.transcript(_transcript(message), now))
        elif said.type == "SpeechStarted":
            self._carry_out(self._endpointer.speech_started())
        elif said.type == "UtteranceEnd":
            seen_s = said.last_word_end + self._utterance_end_s if said.last_word_end >= 0 else math.inf
            self._carry_out(self._endpointer.utterance_end(seen_s))
        elif said.type == "Error":
            self.fail(ERRORS.error(f"ended the stream: {said.description or said.message}"))

    def _carry_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Finalize):
                self.push_after_audio(FINALIZE)
            else:
                self.emit(output)

    def _on_clock(self, now: float) -> None:
        deadline = self._endpointer.deadline
        if deadline is not None and now >= deadline:
            self._carry_out(self._endpointer.expire(now))
        if now - self._last_sent_at >= self._keepalive_s:
            self._last_sent_at = now
            self.socket.push(KEEP_ALIVE)


def _transcript(message: bytes) -> Transcript:
    said = _NOVA_RESULTS.decode(message)
    alternatives = said.channel.alternatives
    return Transcript(
        text=alternatives[0].transcript.strip() if alternatives else "",
        start_s=said.start,
        end_s=said.start + said.duration,
        final=bool(said.is_final),
        speech_final=bool(said.speech_final),
        finalized=bool(said.from_finalize),
        last_word_ends_s=alternatives[0].words[-1].end if alternatives and alternatives[0].words else None,
    )
