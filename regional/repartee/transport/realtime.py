"""OpenAI's Realtime protocol over a WebSocket: the first transport.

Decodes the client's events, encodes the call's commands (wire/announcer says how), and keeps a bounded queue in front
of the socket. Audio is base64 in JSON events or, with ``binary``, raw frames.
"""

import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from repartee.errors import ClientProtocolError
from repartee.transport import close_codes
from repartee.transport.interfaces import AudioFormats, CallEnd, CallSide
from repartee.transport.outbox import Outbox
from repartee.transport.websocket import ClientGone, WebSocketLink
from repartee.turn.commands import Command
from repartee.wire.announcer import Announcer, ServerEvent
from repartee.wire.client_events import MAX_OTHER_BYTES, AppendAudio, decode
from repartee.wire.own_events import OwnEvents
from repartee.wire.relay_events import AudioDelta
from repartee.wire.session_settings import SessionSettings

MAX_REASON_CHARS = 100
"""Of a close frame, which takes 123 bytes."""

OUTBOX_BYTES = 8 * 1024 * 1024
"""How much may wait for a client that does not read."""


async def turned_away(socket: WebSocket, error: ClientProtocolError) -> None:
    """Tell a client why it is not served, on a socket that was accepted for that, and close it."""
    event = Announcer("none").error(error)
    with contextlib.suppress(WebSocketDisconnect, ConnectionError):
        await socket.send_text(msgspec.json.encode(event).decode())
        await socket.close(close_codes.REFUSED, str(error)[:MAX_REASON_CHARS])


class WebSocketTransport:
    """Implements :class:`~repartee.transport.interfaces.RealtimeTransport`.

    ``own_events`` go to a client that asks for them alone. ``event_bytes`` bounds an event without audio;
    ``outbox_bytes`` what may wait for a client that does not read.
    """

    def __init__(
        self,
        link: WebSocketLink,
        *,
        call_id: str,
        own_events: OwnEvents | None = None,
        binary: bool = False,
        event_bytes: int = MAX_OTHER_BYTES,
        outbox_bytes: int = OUTBOX_BYTES,
    ) -> None:
        self._link = link
        self._binary = binary
        self._event_bytes = event_bytes
        self._announcer = Announcer(call_id, own_events)
        self._outbox = Outbox(
            link.send, link.push, binary=binary, limit_bytes=outbox_bytes, on_overfull=self._overfull
        )
        self._call: CallSide

    @property
    def formats(self) -> AudioFormats | None:
        """``session.update`` decides."""
        return None

    @property
    def reports_played(self) -> bool:
        """The client truncates what it has not played, but reports nothing in between."""
        return False

    @property
    def passes_audio(self) -> bool:
        """A provider's audio events go on as they are, unless audio is raw frames here."""
        return not self._binary

    def lines(self, call: CallSide) -> Sequence[Coroutine[Any, Any, None]]:
        """Sending what waits."""
        self._call = call
        return [self._send()]

    async def receive(self) -> None:
        """Hand over what the client sends, until it is gone."""
        self._link.listen(self._take)
        while (message := await self._link.receive()) is not None:
            self._take(message)
        self._call.client_gone()

    def stop_receiving(self) -> None:
        """Hand over nothing more."""
        self._link.stop_listening()

    async def flush(self) -> None:
        """Send what waits."""
        try:
            await self._outbox.flush()
        except ClientGone:
            self._call.client_gone()

    async def close(self, end: CallEnd) -> None:
        """Close with the reason."""
        await self._link.close(end)

    # --- to the client -------------------------------------------------------------------------------------------

    def opened(self, settings: SessionSettings) -> None:
        """session.created"""
        for event in self._announcer.created(settings):
            self._put(event)

    def configured(self, settings: SessionSettings) -> None:
        """session.updated"""
        self._put(self._announcer.session("session.updated", settings))

    def tell(self, command: Command, audio_ms: int) -> None:
        """The command's events, in OpenAI's order."""
        for event in self._announcer.tell(command, audio_ms):
            self._put(event)

    def key_received(self, digit: str, at_s: int) -> None:
        """input_audio_buffer.dtmf_event_received"""
        self._put(self._announcer.key_received(digit, at_s))

    def play(self, reply_id: int, audio: bytes) -> None:
        """response.output_audio.delta, or a binary frame."""
        if audio and (delta := self._announcer.audio_delta(reply_id)):
            self._outbox.put_audio(delta, audio)

    def clear(self, reply_id: int) -> None:
        """Nothing to send: clients drop what they hold at input_audio_buffer.speech_started."""

    def clear_all(self) -> None:
        """Nothing to send: as :meth:`clear`."""

    def refuse(self, error: ClientProtocolError) -> None:
        """An error event: the client's mistake."""
        self._put(self._announcer.error(error))

    def report_failure(self, message: str, code: str) -> None:
        """An error event: the server's."""
        self._put(self._announcer.failure(message, code))

    def pass_on(self, event: str) -> None:
        """A provider's event, unchanged."""
        self._outbox.put_text(event)

    @property
    def announcer(self) -> Announcer:
        """What makes this session's events."""
        return self._announcer

    def announce(self, event: ServerEvent) -> None:
        """An event that the announcer made."""
        self._put(event)

    def play_as(self, place: AudioDelta, audio: bytes) -> None:
        """A provider's audio, converted."""
        if audio:
            self._outbox.put_audio(place.event(), audio)

    def end_sound(self, response_id: str) -> None:
        """The provider's own event says so."""

    def _put(self, event: ServerEvent) -> None:
        self._outbox.put_event(event)

    async def _send(self) -> None:
        try:
            await self._outbox.run()
        except ClientGone:
            self._call.client_gone()

    def _overfull(self) -> None:
        self._call.client_slow()

    # --- from the client -----------------------------------------------------------------------------------------

    def _take(self, message: str | bytes) -> None:
        """Take a message, outside of any task: a fault ends this call, and touches nothing else."""
        try:
            self._decode_and_take(message)
        except ClientProtocolError as error:
            self.refuse(error)
        except Exception as error:
            self._call.fail(error)

    def _decode_and_take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._take_frame(message)
            return
        event = decode(message, self._event_bytes)
        try:
            if isinstance(event, AppendAudio):  # nearly all of them
                self._call.take_audio(event.audio)
            else:
                self._call.take_event(event, message)
        except ClientProtocolError as error:
            error.event_id = event.event_id
            raise

    def _take_frame(self, audio: bytes) -> None:
        if not self._binary:
            raise ClientProtocolError(
                "A binary frame came in a session without ?audio=binary: send audio with "
                "input_audio_buffer.append, or connect with ?audio=binary.",
                code="unexpected_binary_frame",
            )
        self._call.take_audio(audio)
