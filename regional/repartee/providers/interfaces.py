"""What a call needs of its providers: STT, an LLM and TTS.

One file a vendor implements these over the vendor's own SDK, and translates its exceptions into
:class:`~repartee.errors.ProviderError`; nothing above this floor knows a vendor's types.

Audio is PCM16, little endian, mono, at 24 kHz both ways.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from repartee.latency.extra_requests import ExtraRequests
from repartee.turn.events import (
    EagerEndOfTurn,
    EndOfTurn,
    PartialTranscript,
    SpeechAudio,
    SpeechWords,
    StartOfTurn,
    TurnResumed,
)
from repartee.turn.usage import TokenUsage

HEARING_HZ = 24_000
"""Sample rate of audio sent to speech recognition: the rate that sessions speak by default, so that nothing is
resampled (which would hold audio back)."""

SPEECH_HZ: Final = 24_000
"""Sample rate of audio that synthesis returns."""

Hearing = StartOfTurn | PartialTranscript | EagerEndOfTurn | TurnResumed | EndOfTurn


class Transcriber(Protocol):
    """One call's speech recognition, on one connection that is its own until closed."""

    def feed(self, pcm: bytes) -> None:
        """Send audio (PCM16 at HEARING_HZ, any length). Never blocks, never raises for a lost connection: that
        surfaces in :meth:`events`. Aggregates small frames as the provider advises."""

    @property
    def has_room(self) -> bool:
        """It can be fed more. False: the provider does not read what it is sent, and what is fed would pile up."""

    @property
    def owing_since(self) -> float | None:
        """Since when (s, the loop's time) the provider has said nothing to audio that it must answer: that of a turn
        which it has begun. None: it owes nothing."""

    def finish_turn(self) -> None:
        """Ask for the end of the current turn now (manual turn-taking); ``EndOfTurn`` follows."""

    def events(self) -> AsyncGenerator[Hearing, None]:
        """What is heard, until :meth:`aclose`. Raises ProviderError when the connection is lost."""

    async def aclose(self) -> None:
        """Give the connection back. Idempotent; never raises."""


class STT(Protocol):
    """Opens transcribers, from warm connections where there are any."""

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> Transcriber:
        """Raises ProviderError or PoolTimeout."""


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """One or more tokens."""

    text: str


class CalledTool(msgspec.Struct, frozen=True, gc=False):
    """A complete tool call; ``arguments`` is JSON text as the model wrote it. ``extra`` is what the server sent along
    and wants back with the call, ``reasoning`` the thoughts before it that it wants back."""

    call_id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] | None = None
    reasoning: str | None = None


class Finished(msgspec.Struct, frozen=True, gc=False):
    """The end of a reply. ``reason``: ``stop``, ``length``, ``content_filter`` or ``tool_calls``.
    ``usage_follows``: what it has used may be told after it, within moments."""

    reason: str
    usage_follows: bool = False


ReplyPart = TextDelta | CalledTool | Finished | TokenUsage


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """What a language model is asked.

    ``extra`` is what may be asked beside it for the same reply (None: as much as anyone likes).
    ``messages`` and ``tools`` are in OpenAI's chat form (``{"role": …, "content": …}``, ``{"type": "function",
    "function": {…}}``); ``tool_choice`` is ``auto``, ``none``, ``required`` or a tool's name.
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    tool_choice: str = "auto"
    max_tokens: int = 200
    temperature: float | None = None
    extra: ExtraRequests | None = field(default=None, compare=False)


class LLM(Protocol):
    """A language model."""

    def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        """Stream one reply; the last part is :class:`Finished`, or behind it what the reply has used
        (:class:`~repartee.turn.usage.TokenUsage`). Closing the iterator cancels the request. Raises ProviderError."""


class Utterance(Protocol):
    """One reply being spoken: text goes in piece by piece, audio comes out while it does."""

    def say(self, text: str, *, last: bool = False) -> None:
        """Add text; prosody continues over the pieces. ``last`` ends the utterance (text may then be empty).
        Never blocks."""

    def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        """Audio (24 kHz PCM16) and word times (from the utterance's start) as they are made; ends after the last.
        Raises ProviderError."""

    async def cancel(self) -> None:
        """Stop at once and free what it holds. Idempotent; never raises; also the way to end a finished one."""


class TTS(Protocol):
    """Speech synthesis."""

    async def speak(self, reply_id: int, *, voice: str | None = None, language: str = "en") -> Utterance:
        """Open an utterance whose events carry ``reply_id``. Raises ProviderError or PoolTimeout."""
