"""OpenAI's Realtime protocol over WebRTC: audio as RTP, events on the data channel `oai-events`.

The events are those of the WebSocket but for audio, which needs none; `output_audio_buffer.*` says when it is
heard. Further listeners may attach to the events (a side-band WebSocket) and may send theirs. This transport knows
what the caller has heard and reports it to the call, and a barge-in takes back at once what has not been sent.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from repartee.errors import ClientProtocolError
from repartee.rtc.pacing import FRAME_MS, AudioFrame
from repartee.rtc.peer import PeerLeft
from repartee.transport.interfaces import AudioFormats, CallEnd, CallSide
from repartee.transport.webrtc.line import MediaLine
from repartee.transport.webrtc.playout import PacedPlayout, SpokenItem
from repartee.turn import commands as c
from repartee.turn.commands import Command
from repartee.wire.announcer import Announcer, ServerEvent
from repartee.wire.audio_format import WireFormat
from repartee.wire.client_events import MAX_OTHER_BYTES, AppendAudio, ClearOutput, ClientEvent, decode
from repartee.wire.own_events import OwnEvents
from repartee.wire.relay_events import AudioDelta
from repartee.wire.session_settings import SessionSettings

log = logging.getLogger(__name__)

FORMATS = AudioFormats(WireFormat(), WireFormat())
"""PCM16 at 24 kHz, whatever the session's settings say: the codec is Opus."""

CHANNEL_BYTES = 8 * 1024 * 1024
"""How much may wait for a caller whose data channel does not take it."""

MOST_HEARD = 16
"""Answers of which is kept how far they were heard."""

FLUSH_S = 1.0
"""How long the last events may take."""

FLUSH_LOOK_S = 0.02

Listener = Callable[[str], None]

_encoder = msgspec.json.Encoder()


class _PassedOn(msgspec.Struct):
    """What of a provider's event matters here."""

    type: str = ""
    response_id: str = ""
    item_id: str = ""


_passed_on = msgspec.json.Decoder(_PassedOn)


@dataclass(frozen=True, slots=True)
class WebRtcCallSettings:
    """What is particular to one call. ``own_events`` makes the `repartee.*` events, for a caller that asked."""

    call_id: str
    own_events: OwnEvents | None = None
    event_bytes: int = MAX_OTHER_BYTES
    frame_ms: int = FRAME_MS


class WebRtcTransport:
    """Implements :class:`~repartee.transport.interfaces.RealtimeTransport`."""

    def __init__(self, line: MediaLine, settings: WebRtcCallSettings) -> None:
        self._line = line
        self._settings = settings
        self._announcer = Announcer(settings.call_id, settings.own_events)
        self._playout = PacedPlayout(self, frame_ms=settings.frame_ms)
        self._spoken: dict[int, SpokenItem] = {}
        self._listeners: dict[Listener, Callable[[], None]] = {}
        self._waiting: deque[str] = deque()
        self._waiting_bytes = 0
        self._heard_ms: dict[SpokenItem, float] = {}
        self._channel_known = False
        self._session: SessionSettings | None = None
        self._gone = asyncio.Event()
        self._call: CallSide

    @property
    def formats(self) -> AudioFormats | None:
        """The codec fixes them."""
        return FORMATS

    @property
    def reports_played(self) -> bool:
        """What was sent, and when, is known here."""
        return True

    @property
    def passes_audio(self) -> bool:
        """A provider's audio events have to be unpacked."""
        return False

    @property
    def announcer(self) -> Announcer:
        """What makes this session's events."""
        return self._announcer

    # --- the call's life -----------------------------------------------------------------------------------------

    def lines(self, call: CallSide) -> Sequence[Coroutine[Any, Any, None]]:
        """Nothing runs: the port hands over what comes."""
        self._call = call
        return []

    async def receive(self) -> None:
        """Hand over what the caller sends, until it is gone."""
        self._line.use(self)
        if self._line.connected.is_set():
            self._playout.release()
        await self._gone.wait()
        self._call.client_gone()

    def stop_receiving(self) -> None:
        """Hand over nothing more."""
        self._line.leave()
        self._playout.stop()

    async def flush(self) -> None:
        """Give the last events time to arrive."""
        for _ in range(round(FLUSH_S / FLUSH_LOOK_S)):
            if not self._line.peer.channel_backlog_bytes:
                return
            await asyncio.sleep(FLUSH_LOOK_S)

    async def close(self, end: CallEnd) -> None:
        """Say goodbye."""
        self._playout.stop()
        if end is not CallEnd.CLIENT_GONE:
            self._put(*self._announcer.ended(end.name.lower(), end.value))
            await self.flush()
        self._line.hang_up()
        listeners, self._listeners = self._listeners, {}
        for ended in listeners.values():
            ended()

    def hang_up(self) -> None:
        """The call ends, as if its caller had hung up."""
        self._gone.set()

    # --- to the caller -------------------------------------------------------------------------------------------

    def opened(self, settings: SessionSettings) -> None:
        """session.created"""
        self._session = settings
        self._put(*self._announcer.created(settings))

    def configured(self, settings: SessionSettings) -> None:
        """session.updated"""
        self._session = settings
        self._put(self._announcer.session("session.updated", settings))

    def tell(self, command: Command, audio_ms: int) -> None:
        """The command's events, in OpenAI's order."""
        self._put(*self._announcer.tell(command, audio_ms))
        if isinstance(command, c.ReplyEnded) and (spoken := self._spoken.get(command.reply_id)):
            self._playout.end(spoken)

    def key_received(self, digit: str, at_s: int) -> None:
        """input_audio_buffer.dtmf_event_received"""
        self._put(self._announcer.key_received(digit, at_s))

    def play(self, reply_id: int, audio: bytes) -> None:
        """Audio of the agent's, to be paced."""
        if audio and (delta := self._announcer.audio_delta(reply_id)):
            spoken = SpokenItem(delta["response_id"], delta["item_id"])
            self._spoken[reply_id] = spoken
            self._speak(spoken, audio)

    def clear(self, reply_id: int) -> None:
        """What has not been sent of it is not sent."""
        if spoken := self._spoken.pop(reply_id, None):
            self._cut(spoken)

    def clear_all(self) -> None:
        """The same for all that is being said."""
        for spoken in self._playout.unfinished:
            self._cut(spoken)

    def end_sound(self, response_id: str) -> None:
        """The audio of a provider's response is complete."""
        for spoken in self._playout.unfinished:
            if spoken.response_id == response_id:
                self._playout.end(spoken)

    def refuse(self, error: ClientProtocolError) -> None:
        """An error event: the caller's mistake."""
        self._put(self._announcer.error(error))

    def report_failure(self, message: str, code: str) -> None:
        """An error event: the server's."""
        self._put(self._announcer.failure(message, code))

    def pass_on(self, event: str) -> None:
        """A provider's event. What ends or interrupts audio there does so here."""
        self._put_text(event)
        if '"response.output_audio.done"' in event[:200]:
            done = _passed_on.decode(event)
            self._playout.end(SpokenItem(done.response_id, done.item_id))
        elif '"input_audio_buffer.speech_started"' in event[:200] and self._interrupts:
            self._interrupt()

    def announce(self, event: ServerEvent) -> None:
        """An event that the announcer made."""
        self._put(event)

    def play_as(self, place: AudioDelta, audio: bytes) -> None:
        """A provider's audio, to be paced."""
        if audio:
            self._speak(SpokenItem(place.response_id, place.item_id), audio)

    def _speak(self, spoken: SpokenItem, audio: bytes) -> None:
        if not self._playout.put(spoken, audio):
            self._call.client_slow()

    def _cut(self, spoken: SpokenItem) -> None:
        if self._playout.clear(spoken):
            self._put(self._announcer.event("output_audio_buffer.cleared", response_id=spoken.response_id))

    @property
    def _interrupts(self) -> bool:
        detection = self._session.turn_detection if self._session else None
        return detection is not None and detection.interruptible

    def _interrupt(self) -> None:
        """The provider hears the caller: tell it how far its answer was heard, as any client would."""
        for spoken in self._playout.unfinished:
            self._silence(spoken)

    def _silence(self, spoken: SpokenItem) -> None:
        """Take back what was not sent, and have the history keep what was heard."""
        heard_ms = self._heard_ms.get(spoken, 0.0)
        self._cut(spoken)
        event = {
            "type": "conversation.item.truncate",
            "item_id": spoken.item_id,
            "content_index": 0,
            "audio_end_ms": round(heard_ms),
        }
        self._take(_encoder.encode(event).decode(), self.refuse)

    # --- the line and its playout --------------------------------------------------------------------------------

    @property
    def playout_delay_ms(self) -> float:
        """From sending a sample until it is heard."""
        return self._line.peer.playout_delay_ms

    def send_frame(self, frame: AudioFrame, now: float) -> None:
        """A frame is due."""
        self._line.send_frame(frame, now)

    def sound_began(self, spoken: SpokenItem) -> None:
        """output_audio_buffer.started"""
        self._put(self._announcer.event("output_audio_buffer.started", response_id=spoken.response_id))

    def sound_ended(self, spoken: SpokenItem) -> None:
        """output_audio_buffer.stopped"""
        for reply_id in [known for known, its in self._spoken.items() if its == spoken]:
            del self._spoken[reply_id]
        self._put(self._announcer.event("output_audio_buffer.stopped", response_id=spoken.response_id))

    def was_heard(self, spoken: SpokenItem, heard_ms: float) -> None:
        """Report it."""
        self._heard_ms[spoken] = heard_ms
        while len(self._heard_ms) > MOST_HEARD:
            del self._heard_ms[next(iter(self._heard_ms))]
        self._call.take_played(spoken.item_id, heard_ms)

    def take_pcm(self, pcm: bytes) -> None:
        """The caller's audio."""
        try:
            self._call.take_audio(pcm)
        except ClientProtocolError as error:
            log.warning(
                "call %s: the caller's audio cannot be taken: %s; dropping it", self._settings.call_id, error
            )
        except Exception as error:
            self._call.fail(error)

    def take_text(self, text: str) -> None:
        """An event of the caller's."""
        self._take(text, self.refuse)

    def line_opened(self) -> None:
        """Begin to speak."""
        self._playout.release()

    def channel_opened(self) -> None:
        """Send what waits, and before that the session to a caller that has come back."""
        if self._channel_known and self._session is not None:
            for event in self._announcer.created(self._session):
                self._line.send_text(_encoder.encode(event).decode())
        self._channel_known = True
        while self._waiting and self._line.can_send_text():
            text = self._waiting.popleft()
            self._waiting_bytes -= len(text)
            self._line.send_text(text)

    def line_away(self) -> None:
        """Another connection is being made: speak when it stands."""
        self._playout.hold()

    def line_lost(self, why: PeerLeft) -> None:
        """The caller is gone."""
        log.info("call %s: the caller is gone (%s); ending the call", self._settings.call_id, why.why)
        self._gone.set()

    # --- events --------------------------------------------------------------------------------------------------

    def listen(self, listener: Listener, ended: Callable[[], None]) -> Callable[[], None]:
        """Have another one get the events too, and know when the call has ended; what is returned ends that."""
        self._listeners[listener] = ended
        if self._session is not None:
            for event in self._announcer.created(self._session):
                listener(_encoder.encode(event).decode())

        def leave() -> None:
            self._listeners.pop(listener, None)

        return leave

    def take_from_listener(self, text: str, listener: Listener) -> None:
        """An event from a listener, which alone hears of its mistakes."""

        def refuse(error: ClientProtocolError) -> None:
            listener(_encoder.encode(self._announcer.error(error)).decode())

        self._take(text, refuse)

    def _take(self, text: str, refuse: Callable[[ClientProtocolError], None]) -> None:
        """Take an event, outside of any task: a fault ends this call, and touches nothing else."""
        try:
            event = decode(text, self._settings.event_bytes)
            if isinstance(event, AppendAudio):
                raise ClientProtocolError(
                    "Audio comes on the call's audio track; input_audio_buffer.append is for WebSockets.",
                    code="invalid_value",
                    param="type",
                    event_id=event.event_id,
                )
            try:
                self._pass_in(event, text)
            except ClientProtocolError as error:
                error.event_id = event.event_id
                raise
        except ClientProtocolError as error:
            refuse(error)
        except Exception as error:
            self._call.fail(error)

    def _pass_in(self, event: ClientEvent, text: str) -> None:
        if not isinstance(event, ClearOutput):
            self._call.take_event(event, text)
            return
        unfinished = self._playout.unfinished
        try:
            self._call.take_event(event, text)
        except ClientProtocolError:
            if not unfinished:  # what is all made, and still sounds, is no response in progress
                raise
        for spoken in set(unfinished) & set(self._playout.unfinished):
            self._silence(spoken)

    def _put(self, *events: ServerEvent) -> None:
        for event in events:
            self._put_text(_encoder.encode(event).decode())

    def _put_text(self, text: str) -> None:
        for listener in list(self._listeners):
            listener(text)
        if not self._line.has_channel or self._gone.is_set():
            return
        if len(text) > self._line.payload_bytes:
            log.warning(
                "call %s: an event of %d bytes is too long; dropping it", self._settings.call_id, len(text)
            )
            return
        if not self._waiting and self._channel_known and self._line.can_send_text():
            self._line.send_text(text)
            waiting = self._line.peer.channel_backlog_bytes
        else:
            self._waiting.append(text)
            self._waiting_bytes += len(text)
            waiting = self._waiting_bytes
        if waiting > CHANNEL_BYTES:
            self._call.client_slow()
