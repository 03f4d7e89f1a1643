"""A client that does not speak OpenAI's protocol, a telephone say, in a call with a speech-to-speech model.

The provider's events mean nothing to it. Its audio reaches it as a cascade's replies do, and is cleared as they are.
"""

from collections.abc import Coroutine, Sequence
from typing import Any

from repartee.errors import ClientProtocolError
from repartee.transport.interfaces import AudioFormats, CallEnd, CallSide, Transport
from repartee.turn import commands as c
from repartee.turn.history import Message
from repartee.wire.announcer import Announcer, ServerEvent
from repartee.wire.relay_events import AudioDelta
from repartee.wire.session_settings import SessionSettings

FIRST_NUMBER = 2_000_000
"""The provider's responses are numbered from here, beyond all that is said from memory."""

MOST_SOUNDING = 64
"""So many replies are cleared at an interruption; the caller has heard those before."""


class PlainTransport:
    """Implements :class:`~repartee.transport.interfaces.RealtimeTransport` around any transport."""

    passes_audio = False

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.announcer = Announcer("")
        self._replies: dict[str, tuple[int, Message]] = {}
        self._sounding: dict[int, None] = {}
        self._number = FIRST_NUMBER

    # --- as the transport does it --------------------------------------------------------------------------------

    @property
    def formats(self) -> AudioFormats | None:
        """The transport's."""
        return self._transport.formats

    @property
    def reports_played(self) -> bool:
        """Whether the transport does."""
        return self._transport.reports_played

    def lines(self, call: CallSide) -> Sequence[Coroutine[Any, Any, None]]:
        """The transport's."""
        return self._transport.lines(call)

    async def receive(self) -> None:
        """Until the client is gone."""
        await self._transport.receive()

    def opened(self, settings: SessionSettings) -> None:
        """The session exists."""
        self._transport.opened(settings)

    def configured(self, settings: SessionSettings) -> None:
        """Its settings are these now."""
        self._transport.configured(settings)

    def tell(self, command: c.Command, audio_ms: int) -> None:
        """Pass on a command."""
        self._transport.tell(command, audio_ms)

    def key_received(self, digit: str, at_s: int) -> None:
        """The caller has pressed a key."""
        self._transport.key_received(digit, at_s)

    def play(self, reply_id: int, audio: bytes) -> None:
        """Audio of something said from memory."""
        self._sounds(reply_id)
        self._transport.play(reply_id, audio)

    def clear(self, reply_id: int) -> None:
        """It must not be heard any more."""
        self._transport.clear(reply_id)

    def refuse(self, error: ClientProtocolError) -> None:
        """The client made a mistake."""
        self._transport.refuse(error)

    def report_failure(self, message: str, code: str) -> None:
        """Something went wrong on the worker's side."""
        self._transport.report_failure(message, code)

    def stop_receiving(self) -> None:
        """Hand over nothing more."""
        self._transport.stop_receiving()

    async def flush(self) -> None:
        """Send what waits."""
        await self._transport.flush()

    async def close(self, end: CallEnd) -> None:
        """Close the connection."""
        await self._transport.close(end)

    # --- what the provider says ----------------------------------------------------------------------------------

    def pass_on(self, event: str) -> None:
        """It means nothing to this client."""

    def announce(self, event: ServerEvent) -> None:
        """Nor does this."""

    def clear_all(self) -> None:
        """What the client's side holds must not be heard."""
        for reply_id in self._sounding:
            self._transport.clear(reply_id)
        self._sounding.clear()

    def play_as(self, place: AudioDelta, audio: bytes) -> None:
        """Audio of a provider's item: a reply of its own."""
        if audio:
            reply_id = self._reply_of(place)
            self._sounds(reply_id)
            self._transport.play(reply_id, audio)

    def end_sound(self, response_id: str) -> None:
        """It is complete."""
        if (begun := self._replies.pop(response_id, None)) is not None:
            number, message = begun
            self._transport.tell(c.ReplyEnded(number, 0, "completed", message), 0)

    def _reply_of(self, place: AudioDelta) -> int:
        if (begun := self._replies.get(place.response_id)) is not None:
            return begun[0]
        self._number += 1
        number, message = self._number, Message(place.item_id, "assistant", "", spoken=True)
        self._replies[place.response_id] = (number, message)
        while len(self._replies) > MOST_SOUNDING:
            del self._replies[next(iter(self._replies))]
        self._transport.tell(c.ReplyStarted(number, 0), 0)
        self._transport.tell(c.AnswerStarted(number, message, None), 0)
        return number

    def _sounds(self, reply_id: int) -> None:
        self._sounding[reply_id] = None
        while len(self._sounding) > MOST_SOUNDING:
            del self._sounding[next(iter(self._sounding))]
