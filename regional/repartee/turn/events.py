"""What can happen to a conversation, as the turn core sees it.

Providers, clients and timers are translated into these before they reach the core. All are immutable; none
carries a time: ``TurnMachine.receive(event, now)`` gets the time beside the event.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from repartee.turn.foresight import Foreseen
    from repartee.turn.history import Item, Message
    from repartee.turn.usage import TokenUsage


class Event(msgspec.Struct, frozen=True, gc=False):
    """The base of all events."""


# --- what the caller's speech recognition says -------------------------------------------------------------------


class StartOfTurn(Event, frozen=True):
    """The caller has begun to speak. ``text`` is what has been recognised so far, perhaps nothing."""

    text: str = ""


class PartialTranscript(Event, frozen=True):
    """The turn's words so far (the whole turn, not a difference)."""

    text: str


class EagerEndOfTurn(Event, frozen=True):
    """The turn has probably ended with these words; ``TurnResumed`` or ``EndOfTurn`` follows.

    ``speech_ended_at`` is when the last sample of the speech arrived, where that could be told. ``word_ended_ms``: so
    much audio before the event the last word ended, where the recogniser gives times.
    """

    text: str
    speech_ended_at: float | None = None
    word_ended_ms: float | None = None


class TurnResumed(Event, frozen=True):
    """The caller went on speaking after an eager end of turn."""


class EndOfTurn(Event, frozen=True):
    """The turn has ended with these words (none: there was no speech in it).

    ``speech_ended_at`` and ``word_ended_ms`` as with :class:`EagerEndOfTurn`; ``speech_end_certain`` is false where
    noise hides the end of the speech.
    """

    text: str
    speech_ended_at: float | None = None
    speech_end_certain: bool = True
    word_ended_ms: float | None = None


class HearingResumes(Event, frozen=True):
    """Speech recognition was lost, and another takes over: a turn that is open stays open.

    ``anew``: the turn is heard again from its beginning; if not, what is heard from now on follows its words.
    """

    anew: bool = True


class HearingLost(Event, frozen=True):
    """What there is of the open turn is all that will be heard of it: its end was lost with speech recognition."""


# --- what the language model says --------------------------------------------------------------------------------


class ReplyText(Event, frozen=True):
    """Tokens of a reply, as they arrive."""

    reply_id: int
    text: str


class ReplyToolCall(Event, frozen=True):
    """The model asks for a tool; the arguments (JSON text) are complete. ``extra`` and ``reasoning`` go back to its
    server with the call."""

    reply_id: int
    call_id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] | None = None
    reasoning: str | None = None


class ReplyDone(Event, frozen=True):
    """The model has finished. ``reason``: ``stop``, ``length``, ``content_filter`` or ``tool_calls``.
    ``usage_follows``: :class:`ReplyUsed` comes next."""

    reply_id: int
    reason: str = "stop"
    usage_follows: bool = False


class ReplyUsed(Event, frozen=True):
    """What the model has used for a reply; None: its server has not said so."""

    reply_id: int
    tokens: "TokenUsage | None"


class VoiceUsed(Event, frozen=True):
    """A voice was given so many characters of a reply; those that another has to say again count again."""

    reply_id: int
    characters: int


class ExtraRequest(Event, frozen=True):
    """A model was asked once more than the reply is one request: late, refused or failed, it was asked again."""

    reply_id: int


class ReplyFailed(Event, frozen=True):
    """The reply failed, at the language model (``llm``) or the voice (``tts``)."""

    reply_id: int
    stage: str
    message: str


# --- what the synthesised voice says -----------------------------------------------------------------------------


class SpokenWord(msgspec.Struct, frozen=True, gc=False):
    """One word of synthesised speech; the times are ms from the start of the reply's audio."""

    text: str
    start_ms: float
    end_ms: float


class SpeechAudio(Event, frozen=True):
    """Synthesised audio: PCM16 little endian, mono, at the session's inner rate (24 kHz)."""

    reply_id: int
    pcm: bytes


class SpeechWords(Event, frozen=True):
    """When words are spoken within the reply's audio; may come before or after the audio they belong to."""

    reply_id: int
    words: tuple[SpokenWord, ...]


class SpeechDone(Event, frozen=True):
    """All audio of the reply has arrived."""

    reply_id: int


# --- what a tool says --------------------------------------------------------------------------------------------


class ToolFinished(Event, frozen=True):
    """A tool's result, as text for the model (an error is a result too).

    ``prefetch``: ``hit`` if it was there before it was asked for, ``miss`` if it could have been, else None.
    """

    call_id: str
    output: str
    prefetch: str | None = None


# --- what the agent's side says ----------------------------------------------------------------------------------


class LookedUp(Event, frozen=True):
    """What had been looked up for the words that this reply answers; it went to the model with them."""

    reply_id: int
    results: Sequence["Foreseen"]


class Summarised(Event, frozen=True):
    """The agent's own summary of what a model is no longer shown; it takes the place of the one before."""

    text: str


class SayRequested(Event, frozen=True):
    """The agent wants the caller to hear this text as it is, as soon as nothing else is being said."""

    text: str


class NoticeSent(Event, frozen=True):
    """The caller hears this notice, outside of any turn, behind what was sent before it. ``number`` is no reply's."""

    number: int
    message: "Message"


# --- what the client says ----------------------------------------------------------------------------------------


class TurnCommitted(Event, frozen=True):
    """The client declares the caller's turn over (manual turn-taking)."""


class AudioCleared(Event, frozen=True):
    """The client takes back audio it has not committed (manual turn-taking)."""


class ReplyRequested(Event, frozen=True):
    """The client asks for a reply to the conversation as it stands.

    ``spoken`` says whether this one reply is to be spoken (None: as the policy says). ``options`` go to the model
    with this one request and mean nothing here. ``client_tools`` are the names of the tools that the client declares
    for this reply (None: the session's).
    """

    spoken: bool | None = None
    options: Any = None
    client_tools: frozenset[str] | None = None


class AsideRequested(Event, frozen=True):
    """The client asks for a reply that the conversation is not to hold, beside whatever is being said.

    ``context`` is what it answers: items, and ids of the conversation's (None: the conversation as it stands).
    """

    request: ReplyRequested
    context: Sequence["Item | str"] | None = None


class ReplyCancelled(Event, frozen=True):
    """The client wants the reply stopped; ``reply_id`` None means the one in progress."""

    reply_id: int | None = None


class Truncated(Event, frozen=True):
    """The client reports how much of an answer it really played."""

    item_id: str
    audio_end_ms: float


class Played(Event, frozen=True):
    """A transport that knows what the caller has heard reports it: so much of an answer, counted from its start."""

    item_id: str
    played_ms: float


class ItemCreated(Event, frozen=True):
    """The client adds an item. An empty ``item_id`` is filled in; ``after`` is the item before it (None: the
    last)."""

    item: "Item"
    after: str | None = None


class ItemRetrieved(Event, frozen=True):
    """The client asks for an item."""

    item_id: str


class ItemDeleted(Event, frozen=True):
    """The client removes an item."""

    item_id: str


class HungUp(Event, frozen=True):
    """The call is over."""


# --- what time says ----------------------------------------------------------------------------------------------


class DeadlinePassed(Event, frozen=True):
    """A deadline set by the core has come."""

    name: str
