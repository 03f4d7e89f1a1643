"""What the voices have in common: sockets that many replies share, and the watch over one that falls silent.

Tells the contexts on a socket apart and collects one reply's sounds; knows no vendor's messages.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from repartee.audio.pcm import SampleAligner, duration_ms
from repartee.errors import ProviderError, VoiceError
from repartee.pool.lease import Lease
from repartee.providers.connecting import OwnSocket
from repartee.providers.inbox import Inbox
from repartee.providers.interfaces import SPEECH_HZ
from repartee.providers.sockets import PushedSocket
from repartee.providers.vendor_errors import VendorErrors
from repartee.turn.events import SpeechAudio, SpeechWords, SpokenWord

MAX_UNREAD_SOUNDS = 4_096
"""Synthesis is faster than speech, and a call reads at once: so many chunks behind, it has stopped."""

MessageT = TypeVar("MessageT")
MessageInT = TypeVar("MessageInT", contravariant=True)


class Listener(Protocol[MessageInT]):
    """Whoever speaks in a context."""

    def on_message(self, context: str, said: MessageInT) -> None:
        """A message for the context."""

    def on_failure(self, error: ProviderError) -> None:
        """The context has ended with its socket."""


@dataclass(frozen=True, slots=True)
class Dialect(Generic[MessageT]):
    """How to read a vendor's messages: ``read`` gives the context (None: about the socket) and the message, and
    raises ProviderError for what cannot be read; ``socket_fault`` tells whether a message without context is an
    error."""

    read: Callable[[bytes], tuple[str | None, MessageT]]
    socket_fault: Callable[[MessageT], ProviderError | None]
    errors: VendorErrors


class SharedSocket(Generic[MessageT]):
    """One socket and the contexts on it, told apart by one callback."""

    def __init__(self, socket: PushedSocket, dialect: Dialect[MessageT]) -> None:
        self._socket = socket
        self._dialect = dialect
        self._listeners: dict[str, Listener[MessageT]] = {}
        self._fault: ProviderError | None = None
        socket.listen(self._on_message)
        socket.on_close(self._on_close)

    @property
    def is_open(self) -> bool:
        return self._socket.is_open

    @property
    def why_lost(self) -> ProviderError:
        """Why the socket has ended: the fault that the vendor reported before it closed, or the code it closed
        with."""
        return self._fault or self._dialect.errors.lost(self._socket)

    def on_close(self, call: Callable[[], None]) -> None:
        """Call once when the socket has ended."""
        self._socket.on_close(call)

    def push(self, message: str) -> None:
        """Send at once; a socket that has ended tells its contexts by itself."""
        self._socket.push(message)

    def close_soon(self) -> None:
        self._socket.close_soon()

    def register(self, context: str, listener: Listener[MessageT]) -> None:
        """Pass on what is said in a context; if the socket has ended meanwhile, its failure follows at once."""
        self._listeners[context] = listener
        if not self._socket.is_open:
            asyncio.get_running_loop().call_soon(self._on_close)

    def forget(self, context: str) -> None:
        self._listeners.pop(context, None)

    def _on_message(self, raw: bytes) -> None:
        try:
            context, said = self._dialect.read(raw)
        except ProviderError as error:
            self._fail_all(error)
            self._socket.close_soon()
            return
        if context is not None:
            listener = self._listeners.get(context)
            if listener is not None:
                listener.on_message(context, said)
            elif (refused := self._dialect.socket_fault(said)) is not None:
                self._fault = refused  # nobody's any more, or the priming's: it may tell why the socket ends
        elif (fault := self._dialect.socket_fault(said)) is not None:
            self._fault = fault
            self._fail_all(fault)
        else:
            self._fault = None

    def _on_close(self) -> None:
        if self._listeners:
            self._fail_all(self.why_lost)

    def _fail_all(self, error: ProviderError) -> None:
        listeners = dict.fromkeys(self._listeners.values())
        self._listeners.clear()
        for listener in listeners:
            listener.on_failure(error)


class Sounds:
    """What one reply has brought so far and its call has not yet read."""

    def __init__(self, reply_id: int, overflow: Callable[[], VoiceError]) -> None:
        self.inbox: Inbox[SpeechAudio | SpeechWords] = Inbox(MAX_UNREAD_SOUNDS, overflow)
        self._reply_id = reply_id
        self._aligner = SampleAligner()
        self._bytes = 0

    @property
    def audio_ms(self) -> float:
        """How much audio there has been."""
        return duration_ms(self._bytes, SPEECH_HZ)

    def audio(self, data: bytes) -> None:
        """Add PCM, of any length."""
        pcm = self._aligner.feed(data)
        if pcm:
            self._bytes += len(pcm)
            self.inbox.put(SpeechAudio(self._reply_id, pcm))

    def words(self, words: tuple[SpokenWord, ...]) -> None:
        """Add when words are spoken, in ms from the reply's start."""
        if words:
            self.inbox.put(SpeechWords(self._reply_id, words))


class SocketUtterance(ABC):
    """One reply on a socket of its own, which is closed with it. ``heard`` collects what :meth:`on_message` makes of
    the vendor's messages."""

    def __init__(self, lease: Lease[OwnSocket], reply_id: int, errors: VendorErrors) -> None:
        self._lease = lease
        self.heard = Sounds(reply_id, lambda: errors.unread("its audio"))
        lease.connection.socket.listen(self.on_message)
        lease.connection.on_close(lambda: self.heard.inbox.fail(lease.connection.why_lost))

    @abstractmethod
    def say(self, text: str, *, last: bool = False) -> None:
        """As in :class:`~repartee.providers.interfaces.Utterance`."""

    @abstractmethod
    def on_message(self, message: bytes) -> None:
        """The vendor's next message, text or binary."""

    def push(self, message: bytes | str) -> None:
        """Send the vendor a message; never waits."""
        self._lease.connection.socket.push(message)

    async def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        async for sound in self.heard.inbox:
            yield sound

    async def cancel(self) -> None:
        self.heard.inbox.end()
        self._lease.release(reusable=False)


class SilenceWatch:
    """Notices a voice that owes audio and sends none.

    ``first_s`` is the longest wait for the first audio after the first text, ``stall_s`` the longest silence after
    any later text, and once the last text is sent; other silence is the model's, which writes no faster.
    ``on_silence`` gets its length.
    """

    def __init__(self, first_s: float, stall_s: float, on_silence: Callable[[float], None]) -> None:
        self._first_s = first_s
        self._stall_s = stall_s
        self._on_silence = on_silence
        self._loop = asyncio.get_running_loop()
        self._active_at = self._loop.time()
        self._heard = False
        self._owes = False
        self._last_sent = False
        self._timer: asyncio.TimerHandle | None = None

    def text_sent(self, *, last: bool) -> None:
        self._active_at = self._loop.time()
        self._last_sent = last
        self._owes = True
        if self._timer is None:
            self._timer = self._loop.call_later(self._first_s, self._look)

    def heard(self) -> None:
        self._active_at = self._loop.time()
        self._heard = True
        self._owes = False

    @property
    def quiet_s(self) -> float:
        """How long ago anything was sent or heard."""
        return self._loop.time() - self._active_at

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        limit_s = self._stall_s if self._heard else self._first_s
        left_s = limit_s - self.quiet_s
        if left_s <= 0 and (self._last_sent or self._owes):
            self._timer = None
            self._on_silence(limit_s)
        else:
            self._timer = self._loop.call_later(max(left_s, 0.05), self._look)
