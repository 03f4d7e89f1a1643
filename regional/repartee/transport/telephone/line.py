"""A telephone call's transport: makes any carrier's stream a call's connection to its caller.

The shell around a framing for the carrier's words, a pacer for what goes out, the caller's stream for
what comes in, a watch over both. Decides nothing about turns.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from repartee.errors import ClientProtocolError
from repartee.transport.interfaces import AudioFormats, CallEnd, CallSide
from repartee.transport.listeners import EventListeners, Listener
from repartee.transport.outbox import Outbox
from repartee.transport.telephone import framing as f
from repartee.transport.telephone.caller_stream import CallerStream
from repartee.transport.telephone.hold import Hold
from repartee.transport.telephone.key_tones import KEYS_HZ, key_tones
from repartee.transport.telephone.line_watch import LineWatch
from repartee.transport.telephone.pacer import AudioDue, StreamPacer
from repartee.transport.websocket import ClientGone, WebSocketLink
from repartee.turn import commands as c
from repartee.wire import outside_json
from repartee.wire.announcer import Announcer, ServerEvent
from repartee.wire.audio_format import AudioEncoder, WireFormat
from repartee.wire.relay_events import AudioDelta
from repartee.wire.session_settings import SessionSettings

log = logging.getLogger(__name__)

LOOK_S = 0.1
"""How often the line is looked at."""

OUTBOX_BYTES = 256 * 1024
"""What may wait for a carrier that does not read: all there is to send is paced, and goes out at once otherwise."""

BAD_FRAMES = 50
"""So many messages of a stream may be unreadable; then it is no carrier's."""

SPEECH_STARTED = "input_audio_buffer.speech_started"
AUDIO_DONE = ("response.output_audio.done", "response.done")


ENDS_THE_CALL = frozenset([CallEnd.TOO_LONG, CallEnd.CALLER_SILENT, CallEnd.PROVIDERS_GONE])
"""Closing a stream does not hang up: carriers go on with what follows it."""

LEFT_BY_THE_AGENT = frozenset([CallEnd.AGENT_HUNG_UP, CallEnd.TRANSFERRED])

PLAYED_LOOK_S = 0.02

KEYS_ITEM = "keys"
KEYS = frozenset("0123456789*#ABCD")


async def nothing() -> None:
    """Hanging up without a carrier's API."""


class UnusableStream(ClientProtocolError):
    """A stream that no call can be held on; the message says why."""


async def opening(
    link: WebSocketLink, framing: f.Framing, within_s: float
) -> tuple[f.StreamStarted, WireFormat]:
    """Wait for what begins a stream. Raises UnusableStream."""
    bad = 0
    try:
        async with asyncio.timeout(within_s):
            while (message := await link.receive()) is not None:
                try:
                    started = framing.parse(message)
                except f.BadFrame as error:
                    bad += 1
                    if bad > BAD_FRAMES:
                        raise UnusableStream(str(error)) from None
                    continue
                if not isinstance(started, f.StreamStarted):
                    continue
                if started.format is None:
                    raise UnusableStream(
                        f"The stream's audio is {started.encoding!r}: have the carrier send mu-law, A-law or L16."
                    )
                return started, started.format
    except TimeoutError:
        raise UnusableStream(f"The stream did not begin within {within_s:g} s.") from None
    raise UnusableStream("The stream ended before it began.")


class TelephoneTransport:
    """Implements :class:`~repartee.transport.interfaces.RealtimeTransport`, for a client that knows no such protocol:
    the events of a speech-to-speech provider end here, and only their audio goes on."""

    def __init__(
        self, link: WebSocketLink, framing: f.Framing, format_: WireFormat, announcer: Announcer
    ) -> None:
        self._link = link
        self._framing = framing
        self._format = format_
        self._announcer = announcer
        self._outbox = Outbox(
            link.send, link.push, binary=True, limit_bytes=OUTBOX_BYTES, on_overfull=self._overfull
        )
        self._pacer = StreamPacer(format_, least_ms=framing.least_ms, most_ms=framing.most_ms)
        self._caller = CallerStream(format_, sorts=framing.sorts)
        self._items: dict[int, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._watch: LineWatch | None = None
        self._bad = 0
        self._keys_sent = 0
        self.over = False
        """The call has ended, and not only its stream."""

        self.hang_up: Callable[[], Awaitable[None]] = nothing
        self.listeners = EventListeners(announcer)
        self._hold = Hold(format_, self._put)
        self._call: CallSide

    def __repr__(self) -> str:
        return f"<TelephoneTransport {self._framing.carrier}: {self._pacer!r}>"

    # --- what it is ----------------------------------------------------------------------------------------------

    @property
    def formats(self) -> AudioFormats | None:
        """As the carrier has said."""
        return AudioFormats(self._format, self._format)

    @property
    def reports_played(self) -> bool:
        """Marks say what the caller has heard."""
        return True

    @property
    def passes_audio(self) -> bool:
        """A carrier knows no events."""
        return False

    @property
    def announcer(self) -> Announcer:
        """What makes this session's events, for those who listen in."""
        return self._announcer

    # --- for the call's length -----------------------------------------------------------------------------------

    def lines(self, call: CallSide) -> Sequence[Coroutine[Any, Any, None]]:
        """Sending what waits, and watching the line."""
        self._call = call
        return [self._send(), self._look()]

    async def receive(self) -> None:
        """Hand over what the carrier sends, until it is gone."""
        self._link.listen(self._take)
        while (message := await self._link.receive()) is not None:
            self._take(message)
        self._call.client_gone()

    def stop_receiving(self) -> None:
        """Hand over nothing more, and say nothing more."""
        self._link.stop_listening()
        self._hold.end()
        if self._timer:
            self._timer.cancel()

    async def flush(self) -> None:
        """Send what waits, and let it be played."""
        try:
            await self._outbox.flush()
        except ClientGone:
            self._call.client_gone()

    async def close(self, end: CallEnd) -> None:
        """Close the stream; and end the call with it, where nothing is to follow."""
        if end in ENDS_THE_CALL:
            await self.hang_up()
        self.over = self.over or end in ENDS_THE_CALL or end in LEFT_BY_THE_AGENT
        await self._link.close(end)
        self.listeners.end()

    async def _send(self) -> None:
        try:
            await self._outbox.run()
        except ClientGone:
            self._call.client_gone()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._watch = watch = LineWatch(loop.time())
        while True:
            await asyncio.sleep(LOOK_S)
            now = loop.time()
            for trouble in watch.look(now, late_mark=self._pacer.late_mark(now)):
                self._call.line_troubled(trouble, lost=self._framing.resumes)

    def _overfull(self) -> None:
        self._call.client_slow()

    # --- call control --------------------------------------------------------------------------------------------

    async def played(self) -> None:
        """All that was sent has been heard, as marks say."""
        while not self._pacer.idle:  # noqa: ASYNC110 - two timers and a carrier change it
            await asyncio.sleep(PLAYED_LOOK_S)

    def part(self, say: str) -> None:
        """Whoever placed the call wants it to end, with these words."""
        self._call.part(say)

    def refer(self, to: str) -> None:
        """Somebody else wants the caller handed on to this number."""
        self._call.refer(to)

    def hold(self, music: bool) -> None:
        """The caller hears music or nothing, and is not listened to."""
        self._hold.begin(music)

    def take_back(self) -> None:
        """The caller is heard again, and hears the agent at once."""
        for item_id in self._hold.end():
            self._cut(item_id)

    def play_keys(self, digits: str) -> None:
        """Have the other side hear these keys, in the audio."""
        self._keys_sent += 1
        item_id = f"{KEYS_ITEM}_{self._keys_sent}"
        encoder = AudioEncoder(self._format, KEYS_HZ)
        self._put(item_id, encoder.feed(key_tones(digits)) + encoder.flush())
        self._end(item_id)

    # --- to the carrier ------------------------------------------------------------------------------------------

    def opened(self, settings: SessionSettings) -> None:
        """For listeners; the caller has heard nothing yet."""
        self.listeners.settle(settings, "session.created")

    def configured(self, settings: SessionSettings) -> None:
        """For listeners; the carrier has no settings."""
        self.listeners.settle(settings, "session.updated")

    def tell(self, command: c.Command, audio_ms: int) -> None:
        """Which item a reply's audio belongs to, and where it ends."""
        self.listeners.put(self._announcer.tell(command, audio_ms))
        match command:
            case c.AnswerStarted():
                self._items[command.reply_id] = command.message.item_id
            case c.ReplyEnded():
                self._end(self._items.pop(command.reply_id, ""))

    def key_received(self, digit: str, at_s: int) -> None:
        """For listeners: the key came from the carrier."""
        self.listeners.put([self._announcer.key_received(digit, at_s)])

    def play(self, reply_id: int, audio: bytes) -> None:
        """Audio of a reply."""
        self._put(self._items.get(reply_id, f"reply_{reply_id}"), audio)

    def play_as(self, place: AudioDelta, audio: bytes) -> None:
        """A provider's audio, converted."""
        self._put(place.item_id, audio)

    def clear(self, reply_id: int) -> None:
        """Drop it here, and have the carrier drop it, now."""
        self._cut(self._items.get(reply_id, f"reply_{reply_id}"))

    def clear_all(self) -> None:
        """The same for all that is being said."""
        for item_id in self._pacer.items:
            self._cut(item_id)

    def end_sound(self, response_id: str) -> None:
        """The provider's own event says so."""

    def refuse(self, error: ClientProtocolError) -> None:
        """A carrier asks for nothing, so there is nothing to refuse."""
        log.info("a call on %s asked for what cannot be: %s; ignoring it", self._framing.carrier, error)

    def report_failure(self, message: str, code: str) -> None:
        """The caller hears of it by voice; here it is for the log."""
        log.warning(
            "a call on %s met a failure: %s (%s); telling the caller by voice if it can be",
            self._framing.carrier,
            message,
            code,
        )

    def pass_on(self, event: str) -> None:
        """A provider's event: where an answer ends, and that the caller speaks over it."""
        self.listeners.put_text(event)
        if SPEECH_STARTED in event or any(kind in event for kind in AUDIO_DONE):
            self._note(outside_json.decode(event))

    def announce(self, event: ServerEvent) -> None:
        """An event of this session's own."""
        self.listeners.put([event])
        self._note(event)

    def listen(self, listener: Listener, ended: Callable[[], None]) -> Callable[[], None]:
        """Have somebody get the call's events; what is returned ends that."""
        return self.listeners.listen(listener, ended)

    def take_from_listener(self, text: str, listener: Listener) -> None:
        """An event of a listener's."""
        self.listeners.take(text, listener, self._call.take_event)

    def _note(self, event: Any) -> None:
        kind = event.get("type")
        if kind == SPEECH_STARTED:
            self.clear_all()
        elif kind == AUDIO_DONE[0]:
            self._end(str(event.get("item_id")))
        elif kind == AUDIO_DONE[1]:
            for item_id in self._pacer.items:
                self._end(item_id)

    def _put(self, item_id: str, audio: bytes) -> None:
        self._pacer.put(item_id, audio)
        self._pump()

    def _end(self, item_id: str) -> None:
        if item_id:
            self._pacer.end(item_id)
            self._pump()

    def _cut(self, item_id: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._pacer.cut(item_id, now):
            self._outbox.replace(self._framing.clear())

    def _pump(self) -> None:
        """Send what is due, and come back when more is."""
        loop = asyncio.get_running_loop()
        for due in self._pacer.due(loop.time()):
            framing = self._framing
            message = framing.audio(due.audio) if isinstance(due, AudioDue) else framing.mark(due.name)
            self._outbox.put(message)
        if self._timer:
            self._timer.cancel()
        wake_at = self._pacer.wake_at()
        self._timer = None if wake_at is None else loop.call_at(wake_at, self._pump)

    # --- from the carrier ----------------------------------------------------------------------------------------

    def _take(self, message: str | bytes) -> None:
        """Take a message, outside of any task: a fault ends this call, and touches nothing else."""
        try:
            said = self._framing.parse(message)
        except f.BadFrame as error:
            self._bad += 1
            log.info("a call on %s sent what is no frame: %s; ignoring it", self._framing.carrier, error)
            if self._bad > BAD_FRAMES:
                self._call.fail(error)
            return
        try:
            self._hear(said)
        except ClientProtocolError as error:
            self.refuse(error)
        except Exception as error:
            self._call.fail(error)

    def _hear(self, said: f.StreamEvent | None) -> None:
        match said:
            case f.AudioReceived():
                if self._watch:
                    self._watch.received(asyncio.get_running_loop().time())
                for audio in self._caller.take(said):
                    self._call.take_audio(self._hold.heard(audio))
            case f.DigitReceived(digit) if digit in KEYS:
                self._call.take_digit(digit)
            case f.MarkPlayed():
                self._played(said.name)
            case f.StreamEnded():
                self.over = True
                self._call.client_gone()

    def _played(self, name: str) -> None:
        played = self._pacer.returned(name)
        if self._watch:
            self._watch.played()
        if played:
            self._call.take_played(played.item_id, played.ms)
