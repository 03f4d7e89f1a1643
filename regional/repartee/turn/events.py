"""What can happen to a conversation, as the turn core sees it.

Providers, clients and timers are translated into these before they reach the core. All are immutable; none
carries a time: ``TurnMachine.receive(event, now)`` is told the time beside the event.
"""

import msgspec


class Event(msgspec.Struct, frozen=True, gc=False):
    """The base of all events."""


# --- what the caller's speech recognition says -------------------------------------------------------------------


class StartOfTurn(Event):
    """The caller has begun to speak. ``text`` is what has been recognised so far, perhaps nothing."""

    text: str = ""


class PartialTranscript(Event):
    """The turn's words so far (the whole turn, not a difference)."""

    text: str


class EagerEndOfTurn(Event):
    """The turn has probably ended with these words; ``TurnResumed`` or ``EndOfTurn`` follows."""

    text: str


class TurnResumed(Event):
    """The caller went on speaking after an eager end of turn."""


class EndOfTurn(Event):
    """The turn has ended with these words (none: there was no speech in it)."""

    text: str


# --- what the language model says --------------------------------------------------------------------------------


class ReplyText(Event):
    """Tokens of a reply, as they arrive."""

    reply_id: int
    text: str


class ReplyToolCall(Event):
    """The model asks for a tool; the arguments (JSON text) are complete."""

    reply_id: int
    call_id: str
    name: str
    arguments: str


class ReplyDone(Event):
    """The model has finished. ``reason``: ``stop``, ``length`` or ``tool_calls``."""

    reply_id: int
    reason: str = "stop"


class ReplyFailed(Event):
    """The reply cannot be had, from the language model (``llm``) or the voice (``tts``)."""

    reply_id: int
    stage: str
    message: str


# --- what the synthesised voice says -----------------------------------------------------------------------------


class SpokenWord(msgspec.Struct, frozen=True, gc=False):
    """One word of synthesised speech; the times are ms from the start of the reply's audio."""

    text: str
    start_ms: float
    end_ms: float


class SpeechAudio(Event):
    """Synthesised audio: PCM16 little endian, mono, at the session's inner rate (24 kHz)."""

    reply_id: int
    pcm: bytes


class SpeechWords(Event):
    """When words are spoken within the reply's audio; may come before or after the audio they belong to."""

    reply_id: int
    words: tuple[SpokenWord, ...]


class SpeechDone(Event):
    """All audio of the reply has arrived."""

    reply_id: int
