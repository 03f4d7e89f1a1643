"""Who else gets the events of a call whose own client knows none: a side-band WebSocket on a telephone call."""

from collections.abc import Callable, Sequence

import msgspec

from repartee.errors import ClientProtocolError
from repartee.wire.announcer import Announcer, ServerEvent
from repartee.wire.client_events import AppendAudio, ClientEvent, decode
from repartee.wire.session_settings import SessionSettings

Listener = Callable[[str], None]
"""Takes an event, as JSON text."""

_encoder = msgspec.json.Encoder()


class EventListeners:
    """The listeners of one call. Nothing is encoded while nobody listens."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._settings: SessionSettings | None = None
        self._ended: dict[Listener, Callable[[], None]] = {}

    def settle(self, settings: SessionSettings, type_: str) -> None:
        """session.created or session.updated."""
        self._settings = settings
        self.put([self._announcer.session(type_, settings)])

    def put(self, events: Sequence[ServerEvent]) -> None:
        """These events are for the listeners."""
        for event in events if self._ended else ():
            self.put_text(_encoder.encode(event).decode())

    def put_text(self, event: str) -> None:
        """An event of a provider's, as it came."""
        for listener in list(self._ended):
            listener(event)

    def listen(self, listener: Listener, ended: Callable[[], None]) -> Callable[[], None]:
        """Another one gets the events from now on, and knows when the call has ended; what is returned ends that."""
        self._ended[listener] = ended
        if self._settings is not None:
            listener(_encoder.encode(self._announcer.session("session.created", self._settings)).decode())
        return lambda: self._ended.pop(listener, None) and None

    def take(self, text: str, listener: Listener, use: Callable[[ClientEvent, str], None]) -> None:
        """An event of a listener's, for ``use``; its mistakes are answered to it alone."""
        try:
            event = decode(text)
            if isinstance(event, AppendAudio):
                raise ClientProtocolError(
                    "Audio comes by telephone here.",
                    code="invalid_value",
                    param="type",
                    event_id=event.event_id,
                )
            use(event, text)
        except ClientProtocolError as error:
            listener(_encoder.encode(self._announcer.error(error)).decode())

    def end(self) -> None:
        """The call is over."""
        ended, self._ended = self._ended, {}
        for tell in ended.values():
            tell()
