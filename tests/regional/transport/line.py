"""A client's connection that is played by the test: a telephone line with marks, far from WebSockets and JSON."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.regional.session.actors import Stage
from tests.regional.session.bell import Bell

from repartee.errors import ClientProtocolError
from repartee.transport.interfaces import AudioFormats, CallEnd, CallSide
from repartee.turn.commands import Command
from repartee.wire.audio_format import WireFormat
from repartee.wire.client_events import ClientEvent
from repartee.wire.session_settings import SessionSettings

TELEPHONE = WireFormat("audio/pcmu", 8_000)


@dataclass
class FakeLine:
    """Implements :class:`~repartee.transport.interfaces.Transport`; keeps all that the call gives it, in order.

    ``marks``: it says what has been played. ``room_bytes``: how much audio may wait for a client that does not take
    any, before it is overfull.
    """

    bell: Bell
    formats: AudioFormats | None = field(default_factory=lambda: AudioFormats(TELEPHONE, TELEPHONE))
    marks: bool = True
    room_bytes: int = 1_000_000
    takes_audio: bool = True
    told: list[Command] = field(default_factory=list)
    audio: dict[int, bytearray] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    cleared: list[int] = field(default_factory=list)
    mistakes: list[ClientProtocolError] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    sessions: list[SessionSettings] = field(default_factory=list)
    closed: CallEnd | None = None
    listening: bool = False
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting_bytes: int = 0
    _call: CallSide | None = None

    @property
    def call(self) -> CallSide:
        assert self._call is not None, "the call has not said who it is"
        return self._call

    # --- the transport's side of the seam ------------------------------------------------------------------------

    @property
    def reports_played(self) -> bool:
        return self.marks

    def lines(self, call: CallSide) -> Sequence[Coroutine[Any, Any, None]]:
        self._call = call
        return [self._keep_alive()]

    async def _keep_alive(self) -> None:
        await asyncio.Event().wait()

    async def receive(self) -> None:
        self.listening = True
        self.bell.ring()
        await self._gone.wait()
        self.call.client_gone()

    def stop_receiving(self) -> None:
        self.listening = False

    def opened(self, config: SessionSettings) -> None:
        self._note("opened")
        self.sessions.append(config)

    def configured(self, config: SessionSettings) -> None:
        self._note("configured")
        self.sessions.append(config)

    def tell(self, command: Command, received_ms: int) -> None:
        assert received_ms >= 0
        self.told.append(command)
        self._note(type(command).__name__)

    def key_received(self, digit: str, at_s: int) -> None:
        self._note(f"key {digit}")

    def play(self, reply_id: int, audio: bytes) -> None:
        self._note("play")
        self.audio.setdefault(reply_id, bytearray()).extend(audio)
        if not self.takes_audio:
            self._waiting_bytes += len(audio)
            if self._waiting_bytes > self.room_bytes:
                self.call.client_slow()

    def clear(self, reply_id: int) -> None:
        self._note("clear")
        self.cleared.append(reply_id)

    def refuse(self, error: ClientProtocolError) -> None:
        self._note("refuse")
        self.mistakes.append(error)

    def report_failure(self, message: str, code: str) -> None:
        self._note("failure")
        self.failures.append(code)

    async def flush(self) -> None:
        await asyncio.sleep(0)

    async def close(self, end: CallEnd) -> None:
        assert not self.listening, "a call that is over still takes what the client sends"
        self.closed = end
        self._note("close")

    # --- the test's side -----------------------------------------------------------------------------------------

    def sends_audio(self, audio: bytes) -> None:
        self._sends(lambda: self.call.take_audio(audio))

    def wishes(self, event: ClientEvent) -> None:
        self._sends(lambda: self.call.take_event(event, ""))

    def has_played(self, item_id: str, ms: float) -> None:
        self._sends(lambda: self.call.take_played(item_id, ms))

    def hangs_up(self) -> None:
        self._gone.set()

    def _sends(self, send: Any) -> None:
        assert self.listening
        try:
            send()
        except ClientProtocolError as error:
            self.refuse(error)

    async def hears(self, kind: type[Any], number: int = 1) -> Any:
        """The command of this kind, of that number."""

        def seen() -> list[Command]:
            return [command for command in self.told if isinstance(command, kind)][number - 1 : number]

        return (await self.bell.until(seen))[0]

    def _note(self, what: str) -> None:
        self.order.append(what)
        self.bell.ring()


class LineStage(Stage):
    """A cascade's call over such a line. ``finish`` closes the line as a worker does."""

    def __init__(self, *arguments: Any, line: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.line = FakeLine(self.bell, **(line or {}))

    def connect(self, names: Mapping[str, str]) -> FakeLine:
        return self.line

    async def begun(self) -> None:
        await self.bell.until(lambda: self.line.listening)

    def hang_up(self) -> None:
        self.line.hangs_up()

    async def finish(self) -> CallEnd:
        """How the call ended; the line is closed with that."""
        end = await self.ended()
        await self.line.close(end)
        return end
