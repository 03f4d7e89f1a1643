"""A client's connection that copies its audio, both ways, to whoever records the call.

Only calls that may be recorded have it; all others use the connection itself.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from repartee.transport.interfaces import AudioFormats, CallEnd, CallSide, RealtimeTransport
from repartee.wire.announcer import Announcer
from repartee.wire.client_events import AppendAudio, ClientEvent
from repartee.wire.relay_events import AudioDelta
from repartee.wire.session_settings import SessionSettings


class AudioTap(Protocol):
    """Takes a copy of a call's audio, as it is on the client's wire. Nothing here waits or raises."""

    def opened(self, formats: AudioFormats, signal: Callable[[], bool]) -> None:
        """The session exists. ``signal`` tells the client that it is recorded, and says whether it was told."""

    def uses(self, formats: AudioFormats) -> None:
        """Audio has these formats from now on."""

    def heard(self, audio: bytes) -> None:
        """The caller's audio has arrived."""

    def sent(self, audio: bytes) -> None:
        """The agent's audio is on its way."""

    def cut(self) -> None:
        """What has not been played of it will not be."""

    def ended(self) -> None:
        """The call is over."""


class RecordedSide:
    """The call, as the recorded connection sees it. Implements :class:`~repartee.transport.interfaces.CallSide`."""

    def __init__(self, call: CallSide, tap: AudioTap) -> None:
        self._call = call
        self._tap = tap
        self.take_digit, self.take_played, self.part = call.take_digit, call.take_played, call.part
        self.line_troubled, self.refer = call.line_troubled, call.refer
        self.client_gone, self.client_slow, self.fail = call.client_gone, call.client_slow, call.fail

    def take_audio(self, audio: bytes) -> None:
        """The caller's audio."""
        self._call.take_audio(audio)
        self._tap.heard(audio)

    def take_event(self, event: ClientEvent, source: str) -> None:
        """What the client wishes; audio may come so, too."""
        self._call.take_event(event, source)
        if isinstance(event, AppendAudio):
            self._tap.heard(event.audio)


class RecordedTransport:
    """Implements :class:`~repartee.transport.interfaces.RealtimeTransport` over another one."""

    def __init__(self, inner: RealtimeTransport, tap: AudioTap) -> None:
        self._inner = inner
        self._tap = tap
        self.receive, self.flush, self.tell = inner.receive, inner.flush, inner.tell
        self.key_received, self.refuse = inner.key_received, inner.refuse
        self.report_failure, self.pass_on, self.announce = inner.report_failure, inner.pass_on, inner.announce
        self.end_sound = inner.end_sound

    def __repr__(self) -> str:
        return f"<RecordedTransport of {self._inner!r}>"

    @property
    def formats(self) -> AudioFormats | None:
        """The connection's."""
        return self._inner.formats

    @property
    def reports_played(self) -> bool:
        """As the connection does."""
        return self._inner.reports_played

    @property
    def passes_audio(self) -> bool:
        """No: a provider's audio events must be unpacked to get at their sound."""
        return False

    @property
    def announcer(self) -> Announcer:
        """The connection's."""
        return self._inner.announcer

    def lines(self, call: CallSide) -> Sequence[Coroutine[Any, Any, None]]:
        """The connection's."""
        return self._inner.lines(RecordedSide(call, self._tap))

    def opened(self, settings: SessionSettings) -> None:
        """The session exists."""
        self._inner.opened(settings)
        self._tap.opened(self._formats_of(settings), self._signal)

    def configured(self, settings: SessionSettings) -> None:
        """The session's settings are these now."""
        self._inner.configured(settings)
        self._tap.uses(self._formats_of(settings))

    def play(self, reply_id: int, audio: bytes) -> None:
        """The agent's audio."""
        self._inner.play(reply_id, audio)
        self._tap.sent(audio)

    def play_as(self, place: AudioDelta, audio: bytes) -> None:
        """A provider's audio."""
        self._inner.play_as(place, audio)
        self._tap.sent(audio)

    def clear(self, reply_id: int) -> None:
        """What is still held of a reply is not heard."""
        self._inner.clear(reply_id)
        self._tap.cut()

    def clear_all(self) -> None:
        """What is still held is not heard."""
        self._inner.clear_all()
        self._tap.cut()

    def stop_receiving(self) -> None:
        """The call has ended."""
        self._tap.ended()
        self._inner.stop_receiving()

    async def close(self, end: CallEnd) -> None:
        """Close the connection."""
        await self._inner.close(end)

    def _formats_of(self, settings: SessionSettings) -> AudioFormats:
        return self._inner.formats or AudioFormats(settings.input_format, settings.output_format)

    def _signal(self) -> bool:
        event = self._inner.announcer.recording_started()
        if event is not None:
            self._inner.announce(event)
        return event is not None
