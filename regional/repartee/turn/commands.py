"""What the turn core wants done. The session carries these commands out in order, and decides nothing.

All are immutable. A command that concerns a turn or a reply carries its id, so that whatever comes back late can
be told from what is current.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from repartee.latency.timeline import TurnTrace
from repartee.turn.foresight import Foreseen
from repartee.turn.history import FunctionCall, Item, Message
from repartee.turn.outcome import SpeculationOutcome, TurnOutcome
from repartee.turn.usage import TokenUsage

ReplyStatus = Literal["completed", "cancelled", "failed", "incomplete"]


class Command(msgspec.Struct, frozen=True, gc=False):
    """The base of all commands."""


# --- towards the language model, the voice and the tools ---------------------------------------------------------


class StartReply(Command, frozen=True):
    """Ask the model for a reply to these messages (OpenAI's chat form, without instructions).

    ``words`` are the caller's, in the turn that is answered: what has been looked up for them goes to the model
    too, and :class:`~repartee.turn.events.LookedUp` says what that was. ``follows_tools``: the reply is to speak
    about the results of tools that were called for the same turn. ``tools``: it may call tools. ``extra``: it may
    cost so many further requests; :class:`~repartee.turn.events.ExtraRequest` reports each. ``aside``: the agent's
    own tools and lookups are none of its business.
    """

    reply_id: int
    turn_id: int
    messages: Sequence[dict[str, Any]]
    speculative: bool
    options: Any = None
    words: str = ""
    follows_tools: bool = False
    tools: bool = True
    extra: int = 0
    aside: bool = False


class Say(Command, frozen=True):
    """Have the voice speak this piece of the reply; ``last`` ends the utterance (the text may then be empty).

    ``urgent``: it cannot wait for the voice; it is played from memory, in whichever voice it is there."""

    reply_id: int
    text: str
    last: bool = False
    urgent: bool = False


class StopReply(Command, frozen=True):
    """Stop the model and the voice for this reply and drop whatever they still send."""

    reply_id: int


class RunTool(Command, frozen=True):
    """Run a tool; :class:`~repartee.turn.events.ToolFinished` follows."""

    turn_id: int
    call_id: str
    name: str
    arguments: str


class EndHearing(Command, frozen=True):
    """Ask speech recognition to end the open turn now."""


# --- towards the caller ------------------------------------------------------------------------------------------


class Play(Command, frozen=True):
    """Send this audio (PCM16, 24 kHz) to the caller."""

    reply_id: int
    pcm: bytes


class StopPlaying(Command, frozen=True):
    """The caller's side must not play what it still holds of this reply's audio."""

    reply_id: int


# --- time --------------------------------------------------------------------------------------------------------


class SetDeadline(Command, frozen=True):
    """Send ``DeadlinePassed(name)`` at this time (seconds); replaces an earlier deadline of that name."""

    name: str
    at: float


class ClearDeadline(Command, frozen=True):
    """The deadline is no longer wanted."""

    name: str


# --- news, for the client and for metrics ------------------------------------------------------------------------


class TurnStarted(Command, frozen=True):
    """The caller has begun to speak; the turn's words will become the item ``item_id``."""

    turn_id: int
    item_id: str


class TurnHeard(Command, frozen=True):
    """The words of the turn so far."""

    turn_id: int
    item_id: str
    text: str


class CallerIdle(Command, frozen=True):
    """The caller has said nothing for so long since the agent was last heard; the model is asked. ``item_id`` is the
    turn's, in which nobody spoke."""

    item_id: str
    silent_ms: float


class TurnEnded(Command, frozen=True):
    """The caller's turn is over. ``item`` is None if it held no words."""

    turn_id: int
    item_id: str
    item: Message | None
    previous_item_id: str | None = None


class ReplyStarted(Command, frozen=True):
    """A reply is in progress that the client may know about (a speculation only once it is confirmed). ``aside``:
    the conversation does not hold it."""

    reply_id: int
    turn_id: int
    options: Any = None
    aside: bool = False


class AnswerStarted(Command, frozen=True):
    """The reply has its first words: from here on it stands in the history as this item."""

    reply_id: int
    message: Message
    previous_item_id: str | None


class ReplyWords(Command, frozen=True):
    """More text of the reply, as it goes to the voice."""

    reply_id: int
    text: str


class ToolRequested(Command, frozen=True):
    """The model has asked for a tool: the item stands in the history."""

    reply_id: int
    item: FunctionCall
    previous_item_id: str | None


class ReplyEnded(Command, frozen=True):
    """The reply is over: ``message`` is what stands in the history of it (None: nothing was said).

    ``reason`` says why it is not ``completed``: ``turn_detected``, ``client_cancelled``, ``max_output_tokens``,
    ``content_filter`` or a sentence about a failure. ``tokens`` is what the model has used (None: no model was asked,
    or its server has not said so), ``characters`` what the voice was given.
    """

    reply_id: int
    turn_id: int
    status: ReplyStatus
    message: Message | None
    reason: str | None = None
    tokens: TokenUsage | None = None
    characters: int = 0


class AnswerCut(Command, frozen=True):
    """The caller interrupted: the history keeps only what was heard."""

    item_id: str
    heard_ms: float
    heard_text: str


class AnswerMissing(Command, frozen=True):
    """Nothing of a reply could be heard, for this reason. ``asked_again``: the model is asked once more; if not, the
    caller hears an apology."""

    reply_id: int
    turn_id: int
    reason: str
    asked_again: bool


class GiveUp(Command, frozen=True):
    """Nothing can reach the caller, not even that something is wrong: the call cannot go on."""

    reason: str


class HangUp(Command, frozen=True):
    """The agent ends the call."""

    reason: str


class SpeechCut(Command, frozen=True):
    """The caller spoke over the agent, which stops. ``turn_id`` is the turn that was being answered (0: none);
    ``heard_ms`` is how much of what was being said had been heard."""

    turn_id: int
    heard_ms: float


class PrepareTool(Command, frozen=True):
    """A speculative reply asks for this tool. That must not run it; a lookup on a guess may."""

    name: str
    arguments: str


class ItemAdded(Command, frozen=True):
    """An item that is complete was put into the history: a tool's result, a lookup made ahead, or the client's."""

    item: Item
    previous_item_id: str | None


class ItemShown(Command, frozen=True):
    """The item that the client asked for."""

    item: Item


class ItemRemoved(Command, frozen=True):
    """The item is in the history no more: the client removed it, or the conversation has become too long."""

    item_id: str


class InputCleared(Command, frozen=True):
    """The audio that the client took back is forgotten."""


class LookupUsed(Command, frozen=True):
    """The turn is confirmed, and its answer was made with this result."""

    turn_id: int
    result: Foreseen


class SayDropped(Command, frozen=True):
    """More texts wait to be said than may; this one is dropped."""

    text: str


class TurnTraced(Command, frozen=True):
    """The answer to a turn has become audible: where the time went. The ids are the provider's, where it gave any."""

    trace: TurnTrace
    response_id: str | None = None
    item_id: str | None = None


class TurnFinished(Command, frozen=True):
    """A turn that wanted an answer is over. ``trace`` is None if it was never audible; ``apology``: the caller
    hears an apology in place of the answer."""

    turn_id: int
    outcome: TurnOutcome
    trace: TurnTrace | None
    apology: bool = False


class SpeculationEnded(Command, frozen=True):
    """A reply begun before its turn was confirmed was ``released``, ``resumed`` (the caller went on) or
    ``reworded`` (the turn ended with other words)."""

    reply_id: int
    outcome: SpeculationOutcome
